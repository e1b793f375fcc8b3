/* A mail transaction: sender, recipients, the message in the spool.
 * Owns: their memory.  Knows nothing of commands and replies. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/lim.h"
#include "proto/server/esmtp_int.h"

struct esmtp_txn *
esmtp_txn_new(const struct mailaddr *sender, const struct timeval *now)
{
	char addr[LIM_PATH + 1];
	struct esmtp_txn *t;
	int n;

	n = mailaddr_format(sender, addr, sizeof(addr));
	if (n == -1 || (t = calloc(1, sizeof(*t) + (size_t)n + 1)) == NULL)
		return NULL;
	memcpy(t->sender, addr, (size_t)n + 1);
	t->started = *now;
	t->failure = -1;
	return t;
}

void
esmtp_txn_reset(message_construct *mc)
{
	struct esmtp_txn *t = mc->txn;

	mc->txn = NULL;
	validate_context_clear(&mc->vctx, VCTX_MESS);
	if (t == NULL)
		return;
	mc->ac->host->spool->abort(t->msg);
	esmtp_rcpts_clear(&t->rcpts);
	free(t);
}

void
esmtp_rcpts_clear(struct esmtp_rcpts *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		free(r->addr[i]);
	free(r->addr);
	free(r->hash);
	memset(r, 0, sizeof(*r));
}

/* FNV-1a over the address in lower case. */
static uint32_t
hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 16777619u;
	}
	return h;
}

static int
rcpts_find(const struct esmtp_rcpts *r, const char *addr, uint32_t h)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->hash[i] == h && strcasecmp(r->addr[i], addr) == 0)
			return (int)i;
	return -1;
}

static int
rcpts_grow(struct esmtp_rcpts *r)
{
	size_t size = r->size > 0 ? r->size * 2 : 4;
	char **addr;
	uint32_t *hash;

	if ((addr = realloc(r->addr, size * sizeof(*addr))) == NULL)
		return -1;
	r->addr = addr;
	if ((hash = realloc(r->hash, size * sizeof(*hash))) == NULL)
		return -1;
	r->hash = hash;
	r->size = size;
	return 0;
}

/* Return 1 when added, 0 when it was there (${is_unique}), -1: ENOMEM. */
int
esmtp_rcpts_add(struct esmtp_rcpts *r, const char *addr, bool is_unique)
{
	uint32_t h = hash_of(addr);
	char *copy;

	if (is_unique && rcpts_find(r, addr, h) != -1)
		return 0;
	if (r->n == r->size && rcpts_grow(r) == -1)
		return -1;
	if ((copy = strdup(addr)) == NULL)
		return -1;
	r->addr[r->n] = copy;
	r->hash[r->n++] = h;
	return 1;
}

int
esmtp_rcpts_remove(struct esmtp_rcpts *r, const char *addr)
{
	int i = rcpts_find(r, addr, hash_of(addr));

	if (i == -1)
		return 0;
	free(r->addr[i]);
	r->n--;
	memmove(r->addr + i, r->addr + i + 1,
	    (r->n - (size_t)i) * sizeof(*r->addr));
	memmove(r->hash + i, r->hash + i + 1,
	    (r->n - (size_t)i) * sizeof(*r->hash));
	return 1;
}
