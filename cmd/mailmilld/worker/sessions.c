/* The worker's table of sessions, by handle, and the report to the master of
 * those that have ended.
 * Owns: the table.  Knows nothing of how a session begins or ends.
 * A completion names its session by handle: when that session has ended
 * meanwhile, sessions_find() returns NULL, even if another has its index. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <errno.h>
#include <stdlib.h>

#include "cmd/mailmilld/role/ended.h"
#include "core/process/log.h"
#include "core/util/array.h"

#define SESSIONS_MAX	(1u << 20)	/* far above any descriptor limit */

accept_construct *
sessions_find(const struct worker *w, uint64_t handle)
{
	const struct sessions *t = &w->sessions;
	uint32_t i = HANDLE_INDEX(handle);

	if (i >= t->size || t->v[i] == NULL || t->v[i]->handle != handle)
		return NULL;
	return t->v[i];
}

static int
make_room(struct sessions *t, uint32_t i)
{
	accept_construct **v;

	if (i >= SESSIONS_MAX) {
		errno = ERANGE;
		return -1;
	}
	v = array_fit(t->v, &t->size, (size_t)i + 1, sizeof(*v));
	if (v == NULL)
		return -1;
	t->v = v;
	return 0;
}

int
sessions_add(struct worker *w, accept_construct *ac)
{
	struct sessions *t = &w->sessions;
	uint32_t i = HANDLE_INDEX(ac->handle);

	/* it would stay in the table when it ends: session_end() */
	if (ac->handle == 0) {
		errno = EINVAL;
		return -1;
	}
	if (make_room(t, i) == -1)
		return -1;
	if (t->v[i] != NULL) {
		errno = EEXIST;
		return -1;
	}
	t->v[i] = ac;
	t->n++;
	return 0;
}

void
sessions_drop(struct worker *w, const accept_construct *ac)
{
	w->sessions.v[HANDLE_INDEX(ac->handle)] = NULL;
	w->sessions.n--;
}

void
sessions_remove(struct worker *w, const accept_construct *ac)
{
	sessions_drop(w, ac);
	sessions_ended(w, ac->handle);
}

/* --- telling the master --------------------------------------------------- */

void
sessions_flush(struct worker *w)
{
	struct sessions *t = &w->sessions;
	struct msg_empty empty = { 0 };

	if (t->nended == 0)
		return;
	if (chanev_send(w->child->master, M_CLOSED, &empty, t->ended,
	    t->nended, -1) == -1 && errno == ENOBUFS)
		return;		/* again at the end of the next pass */
	t->nended = 0;
}

void
sessions_on_ended(void *closure, struct channel_msg *msg)
{
	struct worker *w = closure;
	struct sessions *t = &w->sessions;

	if (t->shared != NULL || (t->shared = ended_attach(msg->fd)) != NULL)
		return;
	/* the master would think that it takes no sessions */
	log_err("ended", "step=%s", "attach");
	child_exit(w->child);
}

void
sessions_take(struct worker *w)
{
	if (w->sessions.shared != NULL)
		ended_take(w->sessions.shared);
}

void
sessions_free(struct worker *w)
{
	ended_free(w->sessions.shared);
	free(w->sessions.v);
}

void
sessions_ended(struct worker *w, uint64_t handle)
{
	struct sessions *t = &w->sessions;

	/* the master must not hear that a session has ended before what was
	 * asked for it: then both go over the channel */
	if (t->nasked == 0 && t->shared != NULL &&
	    ended_put(t->shared, handle))
		return;
	if (t->nended == MSG_CLOSED_MAX)
		sessions_flush(w);
	if (t->nended < MSG_CLOSED_MAX)
		t->ended[t->nended++] = handle;
	else
		log_errx("session-lost", "handle=%llx",
		    (unsigned long long)handle);
}
