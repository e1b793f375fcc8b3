/* Reading a bundle, as workers and keyd do: see creds.h.
 * The master has written it; it is checked nevertheless. */

#include "cmd/mailmilld/creds/creds_int.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct bundle {
	const char			*octets;
	size_t				 len;
	size_t				 npairs, ncas;
	const struct bundle_place	*places;
};

static bool
is_sound(const struct bundle *b, const struct settings_tls *t)
{
	const struct bundle_head *head = (const void *)b->octets;
	size_t i, n = 2 * t->npairs + t->nclient_cas;

	if (b->len < sizeof(*head) || head->magic != BUNDLE_MAGIC ||
	    head->npairs != t->npairs || head->ncas != t->nclient_cas ||
	    (b->len - sizeof(*head)) / sizeof(struct bundle_place) < n)
		return false;
	for (i = 0; i < n; i++)
		if (b->places[i].offset > b->len ||
		    b->places[i].len > b->len - b->places[i].offset)
			return false;
	return true;
}

struct bundle *
bundle_read(int fd, const struct settings *s)
{
	struct bundle *b;
	struct stat st;
	int seals;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		return NULL;
	/* sealed: it can become no shorter under the map */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals == -1 || (seals & SEALS) != SEALS ||
	    fstat(fd, &st) == -1 || st.st_size <= 0)
		goto err1;
	b->len = (size_t)st.st_size;
	b->octets = mmap(NULL, b->len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (b->octets == MAP_FAILED)
		goto err2;
	b->places = (const void *)(b->octets + sizeof(struct bundle_head));
	b->npairs = s->tls->npairs;
	b->ncas = s->tls->nclient_cas;
	if (is_sound(b, s->tls))
		return b;
	bundle_free(b);
	errno = EPROTO;
	return NULL;
err1:
	errno = EPROTO;
err2:
	free(b);
	return NULL;
}

void
bundle_free(struct bundle *b)
{
	union { const char *from; void *to; } octets;

	if (b == NULL)
		return;
	octets.from = b->octets;
	munmap(octets.to, b->len);
	free(b);
}

static struct tlsctx_octets
at(const struct bundle *b, size_t i)
{
	return (struct tlsctx_octets){ b->octets + b->places[i].offset,
		b->places[i].len };
}

struct tlsctx_octets
bundle_cert(const struct bundle *b, size_t pair)
{
	return at(b, pair);
}

struct tlsctx_octets
bundle_ocsp(const struct bundle *b, size_t pair)
{
	return at(b, b->npairs + pair);
}

struct tlsctx_octets
bundle_client_ca(const struct bundle *b, size_t i)
{
	return at(b, 2 * b->npairs + i);
}
