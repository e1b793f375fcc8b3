/* The memory behind vouch.h: an entry for each index of a handle, and a ring of
 * the handles that have ended last.
 *
 * One process writes.  While it changes an entry, the entry's turn is odd; who
 * reads takes a copy, and takes it again if the turn was odd or has changed. */

#include "cmd/mailmilld/role/vouch.h"

#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/msg.h"
#include "core/process/sealed.h"
#include "core/util/fileio.h"

#define TRIES	1000	/* of a reader; a change takes some nanoseconds */

struct entry {
	uint32_t	turn;
	uint32_t	number;		/* the upper half of the handle; 0: no session */
	struct vouched	who;
};

struct memory {
	uint32_t	nended;		/* in the ring so far; wraps */
	uint32_t	unused;
	uint64_t	ended[VOUCH_ENDED_MAX];
	struct entry	entries[];
};

struct vouch {
	union {
		struct memory		*own;	/* the master's */
		const struct memory	*memory;
		void			*p;
	};
	size_t		 octets;
	uint32_t	 n;		/* entries */
	int		 fd;		/* the master's, or -1 */
};

static uint32_t
number_of(uint64_t handle)
{
	return (uint32_t)(handle >> 32);
}

/* --- the memory ----------------------------------------------------------- */

struct vouch *
vouch_create(unsigned int max)
{
	struct vouch *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->n = max < VOUCH_MAX ? max : VOUCH_MAX;
	v->octets = sizeof(struct memory) + v->n * sizeof(struct entry);
	v->fd = sealed_create_own("mailmill-sessions", v->octets, &v->p);
	if (v->fd != -1)
		return v;
	free(v);
	return NULL;
}

int
vouch_fd(const struct vouch *v)
{
	return fcntl(v->fd, F_DUPFD_CLOEXEC, 0);
}

struct vouch *
vouch_attach(int fd)
{
	struct vouch *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->fd = -1;
	if ((v->memory = sealed_map_read(fd, &v->octets)) == NULL) {
		free(v);
		return NULL;
	}
	if (v->octets >= sizeof(struct memory) &&
	    (v->octets - sizeof(struct memory)) % sizeof(struct entry) == 0) {
		v->n = (uint32_t)((v->octets - sizeof(struct memory)) /
		    sizeof(struct entry));
		return v;
	}
	vouch_free(v);
	errno = EINVAL;
	return NULL;
}

void
vouch_free(struct vouch *v)
{
	if (v == NULL)
		return;
	munmap(v->p, v->octets);
	if (v->fd != -1)
		fileio_close(v->fd);
	free(v);
}

/* --- writing -------------------------------------------------------------- */

static bool
has_entry(const struct vouch *v, uint64_t handle)
{
	return v != NULL && HANDLE_INDEX(handle) < v->n;
}

/* The entry of ${handle}, which can be changed until change_end(). */
static struct entry *
change_begin(struct vouch *v, uint64_t handle)
{
	struct entry *e = &v->own->entries[HANDLE_INDEX(handle)];

	__atomic_store_n(&e->turn, e->turn + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return e;
}

static void
change_end(struct entry *e)
{
	__atomic_store_n(&e->turn, e->turn + 1, __ATOMIC_RELEASE);
}

void
vouch_put(struct vouch *v, uint64_t handle, const struct vouched *who)
{
	struct entry *e;

	if (!has_entry(v, handle))
		return;
	e = change_begin(v, handle);
	e->number = number_of(handle);
	e->who = *who;
	change_end(e);
}

void
vouch_name(struct vouch *v, uint64_t handle, const struct sockaddr *client)
{
	struct entry *e;

	if (!has_entry(v, handle))
		return;
	e = change_begin(v, handle);
	addr_copy(&e->who.client.sa, client);
	e->who.is_named = true;
	change_end(e);
}

void
vouch_end(struct vouch *v, uint64_t handle)
{
	struct memory *m;
	struct entry *e;

	if (!has_entry(v, handle))
		return;
	m = v->own;
	/* at every moment it is in one of both places */
	__atomic_store_n(&m->ended[m->nended++ % VOUCH_ENDED_MAX], handle,
	    __ATOMIC_RELEASE);
	e = change_begin(v, handle);
	e->number = 0;
	change_end(e);
}

/* --- reading -------------------------------------------------------------- */

/* Take a copy of an entry as it is between two changes.  Return false: there is
 * a change that does not end, since the master has died in it. */
static bool
take(const struct entry *e, struct entry *e_r)
{
	uint32_t turn;
	int i;

	for (i = 0; i < TRIES; i++) {
		turn = __atomic_load_n(&e->turn, __ATOMIC_ACQUIRE);
		memcpy(e_r, e, sizeof(*e_r));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (turn % 2 == 0 &&
		    turn == __atomic_load_n(&e->turn, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

/* Is it one of the last that have ended? */
static bool
has_ended(const struct vouch *v, uint64_t handle)
{
	unsigned int i;

	for (i = 0; i < VOUCH_ENDED_MAX; i++)
		if (__atomic_load_n(&v->memory->ended[i], __ATOMIC_ACQUIRE) ==
		    handle)
			return true;
	return false;
}

enum vouch_answer
vouch_find(const struct vouch *v, uint64_t handle, struct vouched *who_r)
{
	struct entry e;

	/* 0 is no handle, and is in the ring until that is full */
	if (!has_entry(v, handle) || number_of(handle) == 0)
		return VOUCH_NONE;
	if (take(&v->memory->entries[HANDLE_INDEX(handle)], &e) &&
	    e.number == number_of(handle)) {
		*who_r = e.who;
		return VOUCH_FOUND;
	}
	return has_ended(v, handle) ? VOUCH_ENDED : VOUCH_NONE;
}
