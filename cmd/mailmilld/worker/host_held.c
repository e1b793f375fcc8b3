/* How much more each login may have held (RFC 4865).
 * Owns: what the queue process has said of them; what this worker has accepted,
 * of which the queue does not know yet.
 * The queue says it anew with each change, and of all when it connects; with it,
 * how much has come through this worker: by so much as that has grown, the queue
 * knows what was accepted.  Of a login that it has not named it knows nothing that
 * is held.  While there is no queue process, no more is accepted than what was
 * left then.
 * All memory for this is there from the start, so that nothing which the queue
 * says is lost for want of it.  A login for which there is no place may have
 * nothing held. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

#define LOGINS_MAX	4096	/* more than the queue names (QUEUE_HOLDERS_MAX) and as many that have something accepted */
#define LEAST		(LIM_HELD_MESSAGE + LIM_HELD_RCPT)	/* what a message counts for */

/* What was released while one queue process has ended and the next one has begun,
 * it does not say that it has come.  So what was accepted is forgotten when a queue process has been
 * there for so long; one that is so far behind lets a login have more. */
#define ACCEPTED_MS	3600000

struct held_login {
	uint64_t	 left;		/* as the queue has said it */
	uint64_t	 came, held;	/* likewise, through this worker */
	uint64_t	 accepted;	/* the queue does not know it yet */
	uint64_t	 old;		/* of that, before ${turned_ms} */
	uint64_t	 turned_ms;
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

/* ${octets} of what was accepted need not be counted here any more: the queue
 * does it, or they were not committed. */
static void
settle(struct held_login *l, uint64_t octets)
{
	l->old -= MIN(l->old, octets);
	l->accepted -= MIN(l->accepted, octets);
}

static void
grow_old(const struct worker *w, struct held_login *l)
{
	uint64_t now = monotonic_ms();

	if (w->tell.queue == NULL || l->accepted == 0)
		l->turned_ms = now;
	else if (now - l->turned_ms >= ACCEPTED_MS) {
		settle(l, l->old);
		l->old = l->accepted;
		l->turned_ms = now;
	}
}

/* Those of which nothing is to be known go: neither does the queue say that they
 * have something held, nor was something accepted. */
static void
sweep(struct worker *w)
{
	struct host_held *held = &w->held;
	size_t i = 0;

	while (i < held->n) {
		grow_old(w, &held->v[i]);
		if (!held->v[i].is_told && held->v[i].accepted == 0)
			forget(held, &held->v[i]);
		else
			i++;
	}
}

/* The one that may have the most, if that is something and nothing was accepted
 * for it: it is the least harm to think that it has nothing held.  NULL: there is
 * none. */
static struct held_login *
most_left(const struct host_held *held)
{
	struct held_login *l, *most = NULL;
	size_t i;

	for (i = 0; i < held->n; i++) {
		l = &held->v[i];
		if (l->accepted == 0 && l->left >= LEAST &&
		    (most == NULL || l->left > most->left))
			most = l;
	}
	return most;
}

/* Each line is about all that has no place until there is place again. */
static void
say_full(struct host_held *held)
{
	if (!held->is_full)
		log_warnx("held-logins", "logins=%d effect=%s", LOGINS_MAX,
		    "nothing is held for other logins, until some of what "
		    "these have held has been released");
	held->is_full = true;
}

/* A place for one more, which the queue says may have ${left}.  NULL: there is
 * none. */
static struct held_login *
add(struct worker *w, const char *login, size_t len, uint64_t left)
{
	struct host_held *held = &w->held;
	struct held_login *l;

	if (held->v == NULL)
		return NULL;
	if (held->n == LOGINS_MAX)
		sweep(w);
	if (held->n == LOGINS_MAX) {
		if ((l = most_left(held)) == NULL || l->left < left) {
			say_full(held);
			return NULL;
		}
		forget(held, l);
	} else
		held->is_full = false;
	l = &held->v[held->n++];
	*l = (struct held_login){ .len = (unsigned char)len };
	memcpy(l->name, login, len);
	return l;
}

int
host_held_open(struct worker *w)
{
	const struct settings *s = w->child->settings;

	TAILQ_INIT(&w->held.commits);
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

/* It is going to name all that it knows.  What has come is still known of those
 * that it names then, if it is the same process. */
static void
begin_anew(struct worker *w)
{
	size_t i;

	for (i = 0; i < w->held.n; i++) {
		w->held.v[i].is_told = false;
		w->held.v[i].turned_ms = monotonic_ms();
	}
}

/* What has come since it was said last.  The queue begins again at 0 when nothing
 * is held, and another process with what is held. */
static uint64_t
growth(const struct held_login *l, uint64_t came)
{
	return came - MIN(came, came >= l->came ? l->came : l->held);
}

void
host_held_on_told(void *closure, struct channel_msg *msg)
{
	struct worker *w = closure;
	struct msg_held mh;
	struct held_login *l;
	bool is_news;

	memcpy(&mh, msg->base, sizeof(mh));
	if (w->held.v == NULL)
		return;
	if (msg->nentries == 0) {
		begin_anew(w);
		return;
	}
	/* else it is as if the queue had not named it */
	is_news = mh.left < w->held.share || mh.came != 0;
	l = find(&w->held, msg->entries, msg->nentries);
	if (l == NULL && (!is_news || (l = add(w, msg->entries, msg->nentries,
	    mh.left)) == NULL))
		return;
	settle(l, growth(l, mh.came));
	l->left = mh.left;
	l->came = mh.came;
	l->held = mh.held;
	l->is_told = is_news;
	if (!l->is_told && l->accepted == 0)
		forget(&w->held, l);
}

static uint64_t
left_of(const struct worker *w, struct held_login *l)
{
	uint64_t left = l->is_told ? l->left : w->held.share;

	grow_old(w, l);
	return left - MIN(l->accepted, left);
}

/* --- what is being committed ---------------------------------------------- */

struct held_commit {
	TAILQ_ENTRY(held_commit) link;
	uint64_t		 session;	/* its handle */
	uint64_t		 octets;
	unsigned char		 len;
	char			 name[];
};

void
host_held_end(struct worker *w, uint64_t session, bool is_committed)
{
	struct held_commit *c;
	struct held_login *l;

	TAILQ_FOREACH (c, &w->held.commits, link)
		if (c->session == session)
			break;
	if (c == NULL)
		return;
	l = find(&w->held, c->name, c->len);
	if (l != NULL && !is_committed)
		settle(l, c->octets);
	TAILQ_REMOVE(&w->held.commits, c, link);
	free(c);
}

static int
begin(struct worker *w, const accept_construct *ac, struct held_login *l,
    uint64_t octets)
{
	struct held_commit *c = malloc(sizeof(*c) + l->len);

	if (c == NULL)
		return -1;
	c->session = ac->handle;
	c->octets = octets;
	c->len = l->len;
	memcpy(c->name, l->name, l->len);
	TAILQ_INSERT_TAIL(&w->held.commits, c, link);
	grow_old(w, l);
	l->accepted += octets;
	return 0;
}

int
host_held_may(void *host, accept_construct *ac, const char *login,
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
	if (l == NULL && (l = add(w, login, len, 0)) == NULL)
		return 0;
	return begin(w, ac, l, more + octets) == 0;
}

void
host_held_free(struct worker *w)
{
	struct held_commit *c;

	while ((c = TAILQ_FIRST(&w->held.commits)) != NULL) {
		TAILQ_REMOVE(&w->held.commits, c, link);
		free(c);
	}
	free(w->held.v);
	w->held.v = NULL;
	w->held.n = 0;
}
