/* How much more each login may have held (RFC 4865).
 * Owns: what the queue process has said of them; what this worker has accepted
 * since, of which the queue does not know yet.
 * The queue says it anew with each change, and of all when it connects.  Of a
 * login that it has not named it knows nothing that is held.  While there is no
 * queue process, no more is accepted than what was left then.
 * All memory is there from the start, so that nothing which the queue says is
 * lost for want of it. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

#define LOGINS_MAX	4096	/* more than the queue names (QUEUE_HOLDERS_MAX) and as many that have something accepted */
#define ACCEPTED_MS	600000	/* the queue has said what it knows of a message by then, if the message was committed */

struct held_login {
	uint64_t	 left;		/* as the queue has said it */
	uint64_t	 accepted;	/* since then */
	uint64_t	 accepted_ms;	/* the last of it; 0: nothing */
	bool		 is_told;	/* by the queue: else what is left is all of it */
	unsigned char	 len;
	char		 name[LIM_LOGIN];
};

_Static_assert(LIM_LOGIN <= UINT8_MAX, "its length needs more than an octet");

/* NULL: it has no entry. */
static struct held_login *
find(const struct host_held *held, const char *login, size_t len)
{
	size_t i;

	for (i = 0; i < held->n; i++)
		if (held->v[i].len == len &&
		    memcmp(held->v[i].name, login, len) == 0)
			return &held->v[i];
	return NULL;
}

static void
forget(struct host_held *held, struct held_login *l)
{
	*l = held->v[--held->n];
}

/* A place for one more.  Those of which only this worker knows something, and
 * which are through, make room; NULL: there is none. */
static struct held_login *
add(struct host_held *held, const char *login, size_t len)
{
	struct held_login *l;
	size_t i;

	for (i = 0; held->n == LOGINS_MAX && i < held->n; i++)
		if (!held->v[i].is_told && held->v[i].accepted_ms +
		    ACCEPTED_MS <= monotonic_ms())
			forget(held, &held->v[i]);
	if (held->v == NULL || held->n == LOGINS_MAX)
		return NULL;
	l = &held->v[held->n++];
	*l = (struct held_login){ .len = (unsigned char)len };
	memcpy(l->name, login, len);
	return l;
}

int
host_held_open(struct worker *w)
{
	const struct settings *s = w->child->settings;

	w->held.share = settings_held_share(s);
	if (w->held.share == 0)
		return 0;
	/* the system gives memory only to those that are used */
	w->held.v = calloc(LOGINS_MAX, sizeof(w->held.v[0]));
	if (w->held.v != NULL)
		return 0;
	log_err("start", "role=%s step=%s", "worker", "held");
	return -1;
}

void
host_held_on_told(void *closure, struct channel_msg *msg)
{
	struct worker *w = closure;
	struct msg_held mh;
	struct held_login *l;
	size_t i = 0;

	memcpy(&mh, msg->base, sizeof(mh));
	if (msg->nentries > 0) {
		l = find(&w->held, msg->entries, msg->nentries);
		if (l == NULL)
			l = add(&w->held, msg->entries, msg->nentries);
		if (l != NULL) {
			l->left = mh.left;
			l->accepted = l->accepted_ms = 0;
			l->is_told = true;
		}
		return;
	}
	/* it is going to name all that it knows */
	while (i < w->held.n)
		if (w->held.v[i].is_told && w->held.v[i].accepted == 0)
			forget(&w->held, &w->held.v[i]);
		else
			w->held.v[i++].is_told = false;
}

/* What was accepted so long ago, and the queue still says nothing of, has not been
 * committed. */
static uint64_t
left_of(const struct worker *w, struct held_login *l)
{
	uint64_t left = l->is_told ? l->left : w->held.share;

	if (l->accepted_ms != 0 && w->tell.queue != NULL &&
	    l->accepted_ms + ACCEPTED_MS <= monotonic_ms())
		l->accepted = l->accepted_ms = 0;
	return left - MIN(l->accepted, left);
}

int
host_held_may(void *host, accept_construct *, const char *login,
    uint64_t octets, size_t nrcpts)
{
	struct worker *w = host;
	size_t len = strnlen(login, LIM_LOGIN);
	struct held_login *l = find(&w->held, login, len);
	uint64_t left = l != NULL ? left_of(w, l) : w->held.share;
	uint64_t more = LIM_HELD_MESSAGE + LIM_HELD_RCPT * MAX(nrcpts, 1);

	if (w->held.share == 0)
		return 1;
	if (more > left || octets > left - more)
		return 0;
	if (nrcpts == 0)
		return 1;
	if (l == NULL && (l = add(&w->held, login, len)) == NULL)
		return 1;
	l->accepted += more + octets;
	l->accepted_ms = monotonic_ms();
	return 1;
}

void
host_held_free(struct worker *w)
{
	free(w->held.v);
	w->held.v = NULL;
	w->held.n = 0;
}
