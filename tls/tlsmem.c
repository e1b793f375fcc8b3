/* Memory of TLS sessions that rest; see tlsmem.h.
 *
 * A frame is as many pages as an SSL object needs.  At rest its words that are
 * not 0 are in a block of malloc(3)'s, behind a map of where they belong, and
 * the pages are given back to the kernel. */

#include "tls/tlsmem.h"

#include <sys/mman.h>

#include <openssl/crypto.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_OCTETS	8192
#define FRAMES_MAX	65536	/* of addresses, not of memory */
#define WORDS		(FRAME_OCTETS / sizeof(uint64_t))

struct packed {
	uint64_t map[WORDS / 64];	/* bit: the word is below */
	uint64_t words[];
};

static struct {
	uint8_t		*base;		/* NULL: not in use */
	size_t		 n;		/* frames that were ever used */
	uint32_t	*free;		/* of those, free again */
	size_t		 nfree;
	struct packed	**packed;	/* of each frame at rest */
} frames;

static _Thread_local bool wants_frame;

/* --- frames --------------------------------------------------------------- */

static bool
is_frame(const void *p)
{
	return frames.base != NULL && (const uint8_t *)p >= frames.base &&
	    (const uint8_t *)p < frames.base + FRAMES_MAX *
	    (size_t)FRAME_OCTETS;
}

static size_t
frame_index(const void *p)
{
	return (size_t)((const uint8_t *)p - frames.base) / FRAME_OCTETS;
}

static void *
frame_take(void)
{
	size_t i;

	if (frames.nfree > 0)
		i = frames.free[--frames.nfree];
	else if (frames.n < FRAMES_MAX)
		i = frames.n++;
	else
		return NULL;
	return frames.base + i * FRAME_OCTETS;
}

/* --- OpenSSL's memory ----------------------------------------------------- */

static void *
mem_malloc(size_t n, const char *, int)
{
	void *p;

	/* the SSL object is the first block of SSL_new(), and the only one of
	 * its size */
	if (wants_frame && n > FRAME_OCTETS / 2 && n <= FRAME_OCTETS &&
	    (p = frame_take()) != NULL) {
		wants_frame = false;
		return p;
	}
	return malloc(n);
}

static void
mem_free(void *p, const char *, int)
{
	if (!is_frame(p)) {
		free(p);
		return;
	}
	/* it held secrets, and madvise(2) may fail */
	explicit_bzero(p, FRAME_OCTETS);
	(void)madvise(p, FRAME_OCTETS, MADV_DONTNEED);
	frames.free[frames.nfree++] = (uint32_t)frame_index(p);
}

static void *
mem_realloc(void *p, size_t n, const char *file, int line)
{
	void *q;

	if (!is_frame(p))
		return realloc(p, n);
	if ((q = mem_malloc(n, file, line)) == NULL)
		return NULL;
	memcpy(q, p, n < FRAME_OCTETS ? n : FRAME_OCTETS);
	mem_free(p, file, line);
	return q;
}

static void *
map_pages(size_t octets)
{
	void *p = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* a huge page would hold many that rest and one that does not */
	(void)madvise(p, octets, MADV_NOHUGEPAGE);
	return p;
}

int
tlsmem_open(void)
{
	uint8_t *base = map_pages(FRAMES_MAX * (size_t)FRAME_OCTETS);

	frames.free = map_pages(FRAMES_MAX * sizeof(*frames.free));
	frames.packed = map_pages(FRAMES_MAX * sizeof(*frames.packed));
	if (base == NULL || frames.free == NULL || frames.packed == NULL ||
	    CRYPTO_set_mem_functions(mem_malloc, mem_realloc, mem_free) != 1)
		return -1;
	frames.base = base;
	return 0;
}

SSL *
tlsmem_ssl(SSL_CTX *ctx)
{
	SSL *ssl;

	wants_frame = frames.base != NULL;
	ssl = SSL_new(ctx);
	wants_frame = false;
	return ssl;
}

/* --- rest ----------------------------------------------------------------- */

void
tlsmem_rest(SSL *ssl)
{
	uint64_t *words = (uint64_t *)(void *)ssl;
	struct packed *p;
	size_t i, n = 0;

	if (!is_frame(ssl) || frames.packed[frame_index(ssl)] != NULL)
		return;
	for (i = 0; i < WORDS; i++)
		n += words[i] != 0;
	if ((p = calloc(1, sizeof(*p) + n * sizeof(p->words[0]))) == NULL)
		return;
	for (i = n = 0; i < WORDS; i++)
		if (words[i] != 0) {
			p->map[i / 64] |= UINT64_C(1) << i % 64;
			p->words[n++] = words[i];
		}
	if (madvise(ssl, FRAME_OCTETS, MADV_DONTNEED) == -1) {
		free(p);
		return;
	}
	frames.packed[frame_index(ssl)] = p;
}

void
tlsmem_wake(SSL *ssl)
{
	uint64_t *words = (uint64_t *)(void *)ssl;
	struct packed *p;
	size_t i, n = 0;

	if (!is_frame(ssl) ||
	    (p = frames.packed[frame_index(ssl)]) == NULL)
		return;
	frames.packed[frame_index(ssl)] = NULL;
	for (i = 0; i < WORDS; i++)
		if ((p->map[i / 64] >> i % 64 & 1) != 0)
			words[i] = p->words[n++];
	/* there are secrets in it */
	explicit_bzero(p, sizeof(*p) + n * sizeof(p->words[0]));
	free(p);
}
