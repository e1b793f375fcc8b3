/* The ring behind ended.h: one writer, the worker, and one reader, the master.
 * The reader trusts nothing in it: its own position is kept outside. */

#include "cmd/mailmilld/role/ended.h"

#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/process/sealed.h"

#define CACHE_LINE	64

struct ring {
	_Alignas(CACHE_LINE) uint32_t	head;	/* handles written; wraps */
	uint32_t			taken;	/* sessions taken; wraps */
	_Alignas(CACHE_LINE) uint32_t	tail;	/* handles read */
	_Alignas(CACHE_LINE) uint64_t	handles[ENDED_MAX];
};

struct ended {
	struct ring	*ring;
	uint32_t	 at;	/* the caller's own head or tail */
	uint32_t	 taken;	/* the worker's own */
	uint32_t	 end;	/* the reader's: where it stops in this turn */
};

int
ended_create(void)
{
	return sealed_create("mailmill-ended", sizeof(struct ring));
}

struct ended *
ended_attach(int fd)
{
	struct ended *e;
	struct ring *ring;

	if ((ring = sealed_map(fd, sizeof(*ring))) == NULL)
		return NULL;
	if ((e = calloc(1, sizeof(*e))) == NULL)
		munmap(ring, sizeof(*ring));
	else
		e->ring = ring;
	return e;
}

void
ended_free(struct ended *e)
{
	if (e == NULL)
		return;
	munmap(e->ring, sizeof(*e->ring));
	free(e);
}

bool
ended_put(struct ended *e, uint64_t handle)
{
	uint32_t tail = __atomic_load_n(&e->ring->tail, __ATOMIC_ACQUIRE);

	if (e->at - tail >= ENDED_MAX)
		return false;
	e->ring->handles[e->at % ENDED_MAX] = handle;
	__atomic_store_n(&e->ring->head, ++e->at, __ATOMIC_RELEASE);
	return true;
}

void
ended_take(struct ended *e)
{
	__atomic_store_n(&e->ring->taken, ++e->taken, __ATOMIC_RELEASE);
}

uint32_t
ended_taken(const struct ended *e)
{
	return __atomic_load_n(&e->ring->taken, __ATOMIC_ACQUIRE);
}

bool
ended_get(struct ended *e, uint64_t *handle_r)
{
	if (e->at == e->end) {
		e->end = __atomic_load_n(&e->ring->head, __ATOMIC_ACQUIRE);
		/* more than there is room for: the worker is hostile */
		if (e->end - e->at > ENDED_MAX)
			e->at = e->end - ENDED_MAX;
		if (e->at == e->end)
			return false;
	}
	*handle_r = e->ring->handles[e->at++ % ENDED_MAX];
	__atomic_store_n(&e->ring->tail, e->at, __ATOMIC_RELEASE);
	return true;
}
