/* The simulator's allocator: see alloc.h.
 * A side table from pointer to size and owner, open addressing: the blocks
 * themselves stay as they are, so that ASan sees every octet beside them. */

#include "test/sim/alloc.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/simhost.h"

#define TABLE_SIZE	16384	/* a power of two, far more than a seed holds */

struct block {
	void		*ptr;
	size_t		 size;
	unsigned int	 owner;
};

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void __real_free(void *ptr);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_reallocarray(void *ptr, size_t n, size_t size);
void __wrap_free(void *ptr);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static struct block table[TABLE_SIZE];
static size_t nblocks;
static struct alloc_account accounts[ALLOC_OWNERS];
static struct simrand *fail_rand;
static unsigned int fail_permille;
static unsigned long fail_nth;

static size_t
slot_of(const void *ptr)
{
	uint64_t h = (uint64_t)(uintptr_t)ptr >> 4;

	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(h >> 40) & (TABLE_SIZE - 1);
}

static size_t
find(const void *ptr)
{
	size_t i = slot_of(ptr);

	while (table[i].ptr != NULL && table[i].ptr != ptr)
		i = (i + 1) & (TABLE_SIZE - 1);
	return i;
}

static void
enter(void *ptr, size_t size)
{
	struct alloc_account *a;
	struct block *b;

	if (ptr == NULL || simalloc_quiet > 0)
		return;
	if (nblocks > TABLE_SIZE / 2) {
		fprintf(stderr, "sim: too many blocks outstanding\n");
		abort();
	}
	b = &table[find(ptr)];
	b->ptr = ptr;
	b->size = size;
	b->owner = simalloc_owner % ALLOC_OWNERS;
	nblocks++;
	a = &accounts[b->owner];
	a->octets += size;
	a->blocks++;
	if (a->octets > a->peak)
		a->peak = a->octets;
}

static void
leave(const void *ptr)
{
	struct alloc_account *a;
	size_t i, k, home;

	if (ptr == NULL)
		return;
	i = find(ptr);
	if (table[i].ptr == NULL)
		return;		/* the test or a library allocated it */
	a = &accounts[table[i].owner];
	if (simauth_is_secret(ptr, table[i].size))
		a->nsecrets++;
	a->octets -= table[i].size;
	a->blocks--;
	nblocks--;
	for (k = (i + 1) & (TABLE_SIZE - 1); table[k].ptr != NULL;
	    k = (k + 1) & (TABLE_SIZE - 1)) {
		home = slot_of(table[k].ptr);
		if (((k - home) & (TABLE_SIZE - 1))
		    >= ((k - i) & (TABLE_SIZE - 1))) {
			table[i] = table[k];
			i = k;
		}
	}
	table[i].ptr = NULL;
}

static bool
must_fail(void)
{
	struct alloc_account *a = &accounts[simalloc_owner % ALLOC_OWNERS];

	if (simalloc_quiet > 0)
		return false;
	a->nrequests++;
	if (fail_rand == NULL)
		return false;
	if ((fail_nth > 0 && --fail_nth == 0)
	    || simrand_chance(fail_rand, fail_permille)) {
		a->nfailed++;
		errno = ENOMEM;
		return true;
	}
	return false;
}

void *
__wrap_malloc(size_t size)
{
	void *ptr;

	if (must_fail())
		return NULL;
	ptr = __real_malloc(size);
	/* a password that an earlier owner left there must not count here */
	if (ptr != NULL && simalloc_quiet == 0)
		memset(ptr, 0xa5, size);
	enter(ptr, size);
	return ptr;
}

void *
__wrap_calloc(size_t n, size_t size)
{
	void *ptr;

	if (must_fail())
		return NULL;
	ptr = __real_calloc(n, size);
	enter(ptr, n * size);
	return ptr;
}

void *
__wrap_realloc(void *ptr, size_t size)
{
	unsigned int owner = simalloc_owner;
	struct block old;
	void *p;

	if (must_fail())
		return NULL;
	old = ptr == NULL ? (struct block){ 0 } : table[find(ptr)];
	leave(ptr);
	p = __real_realloc(ptr, size);
	if (p == NULL && size > 0) {
		enter(ptr, old.size);
		return NULL;
	}
	/* a block that grows keeps its owner */
	if (old.ptr != NULL)
		simalloc_owner = old.owner;
	enter(p, size);
	simalloc_owner = owner;
	return p;
}

void *
__wrap_reallocarray(void *ptr, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return __wrap_realloc(ptr, total);
}

void
__wrap_free(void *ptr)
{
	leave(ptr);
	__real_free(ptr);
}

char *
__wrap_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = __wrap_malloc(len + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *
__wrap_strdup(const char *s)
{
	return __wrap_strndup(s, strlen(s));
}

void
alloc_reset(struct simrand *r)
{
	memset(accounts, 0, sizeof(accounts));
	fail_rand = r;
	fail_permille = 0;
	fail_nth = 0;
	if (nblocks > 0)
		memset(table, 0, sizeof(table));
	nblocks = 0;
}

void
alloc_fail(unsigned int permille, unsigned long nth)
{
	fail_permille = permille;
	fail_nth = nth;
}

const struct alloc_account *
alloc_of(unsigned int owner)
{
	return &accounts[owner % ALLOC_OWNERS];
}

size_t
alloc_outstanding(void)
{
	return nblocks;
}
