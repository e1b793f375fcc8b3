/* See keyd_memory.h.
 * Owns: what is locked.
 *
 * With a high limit (LimitMEMLOCK of a service, or a master that may raise it)
 * all pages are locked, those to come too.  With the usual one of 8 MiB that
 * would make malloc(3) fail after the program and its libraries alone.  Then
 * malloc(3) takes all of its memory from one region, and that is locked. */

#include "cmd/mailmilld/keyd/keyd_memory.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAP_OCTETS	(2 * 1024 * 1024)	/* taken at once: OpenSSL's
						 * tables and some hundred keys */
#define STACK_OCTETS	(64 * 1024)		/* far more than a signature
						 * needs */

static bool is_heap_only;
static uintptr_t heap_end;	/* it is locked up to here */

static int
lock_range(uintptr_t from, uintptr_t to)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	from -= from % page;
	return to <= from ? 0 : mlock2((void *)from, to - from,
	    MLOCK_ONFAULT);
}

/* The stack as far down as it will be used. */
static int __attribute__((noinline))
lock_stack(void)
{
	volatile char room[STACK_OCTETS];
	size_t i;

	for (i = 0; i < sizeof(room); i += 1024)
		room[i] = 0;
	return lock_range((uintptr_t)room, (uintptr_t)room + sizeof(room));
}

/* Have malloc(3) use one region, which only grows. */
static int
make_heap(void)
{
	void *p;

	if (mallopt(M_MMAP_MAX, 0) != 1 || mallopt(M_ARENA_MAX, 1) != 1 ||
	    mallopt(M_TRIM_THRESHOLD, INT32_MAX) != 1) {
		errno = ENOTSUP;
		return -1;
	}
	if ((p = malloc(HEAP_OCTETS)) == NULL)
		return -1;
	free(p);
	return 0;
}

static int
lock_heap(void)
{
	size_t octets;

	if (make_heap() == -1)
		return -1;
	/* another malloc(3) does not say */
	if ((octets = mallinfo2().arena) < HEAP_OCTETS) {
		errno = ENOTSUP;
		return -1;
	}
	heap_end = (uintptr_t)sbrk(0);
	return lock_range(heap_end - octets, heap_end);
}

int
keyd_memory_lock(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit now;

	if (setrlimit(RLIMIT_MEMLOCK, &all) == 0 ||
	    (getrlimit(RLIMIT_MEMLOCK, &now) == 0 &&
	    now.rlim_cur == RLIM_INFINITY))
		return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	is_heap_only = true;
	return lock_heap() == -1 ? -1 : lock_stack();
}

int
keyd_memory_extend(void)
{
	uintptr_t end = (uintptr_t)sbrk(0);

	if (!is_heap_only || end <= heap_end)
		return 0;
	if (lock_range(heap_end, end) == -1)
		return -1;
	heap_end = end;
	return 0;
}
