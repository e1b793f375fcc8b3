/* Starting the queue for one domain (ETRN, RFC 1985): what is deferred for it is
 * tried now.
 * Owns: the list of these starts.
 * A client asks a worker for it, and a worker may be somebody else's: so the same
 * start begins at most once in QUEUE_START_MS, whoever asks for it, and no slot of
 * workers has more than QUEUE_STARTS_MAX of them in that time.  A start looks at
 * some rows in each pass of the queue, which goes on with its other work. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"

#define STARTS_EACH	10	/* in a pass, of those that find nothing to do */

struct queue_start {
	TAILQ_ENTRY(queue_start) link;
	unsigned int	 slot;		/* that has asked first */
	bool		 has_subdomains;
	bool		 is_wanted;	/* to begin when it may */
	bool		 is_running;
	int64_t		 next_ms;	/* it may not begin before */
	unsigned int	 nrcpts;	/* that it has made due */
	struct deferred_domain at;	/* where it goes on */
	char		 domain[];
};

static void
start_free(struct queue *q, struct queue_start *s)
{
	TAILQ_REMOVE(&q->starts, s, link);
	q->nstarts[s->slot]--;
	free(s);
}

/* Those that have run, and may begin again: nothing is to be known of them. */
static void
forget_old(struct queue *q)
{
	struct queue_start *s, *next;

	TAILQ_FOREACH_SAFE (s, &q->starts, link, next)
		if (!s->is_wanted && !s->is_running && s->next_ms <= q->now_ms)
			start_free(q, s);
}

static struct queue_start *
find(const struct queue *q, const char *domain, bool has_subdomains)
{
	struct queue_start *s;

	TAILQ_FOREACH (s, &q->starts, link)
		if (s->has_subdomains == has_subdomains &&
		    strcmp(s->domain, domain) == 0)
			return s;
	return NULL;
}

/* ${slot}, or the one that all others share. */
static unsigned int
slot_of(unsigned int slot)
{
	return slot > QUEUE_SLOTS ? 0 : slot;
}

unsigned int
queue_start_room(const struct queue *q, unsigned int slot)
{
	return QUEUE_STARTS_MAX - q->nstarts[slot_of(slot)];
}

int
queue_start(struct queue *q, unsigned int slot, const char *domain,
    bool has_subdomains)
{
	struct queue_start *s = find(q, domain, has_subdomains);
	size_t len = strlen(domain);

	if (s != NULL) {
		s->is_wanted = true;
		return 0;
	}
	if (len == 0 || len > LIM_DOMAIN) {
		errno = EINVAL;
		return -1;
	}
	slot = slot_of(slot);
	if (queue_start_room(q, slot) == 0) {
		errno = ENOSPC;
		return -1;
	}
	if ((s = calloc(1, sizeof(*s) + len + 1)) == NULL)
		return -1;
	s->slot = slot;
	s->has_subdomains = has_subdomains;
	s->is_wanted = true;
	s->next_ms = q->now_ms;
	memcpy(s->domain, domain, len + 1);
	TAILQ_INSERT_TAIL(&q->starts, s, link);
	q->nstarts[slot]++;
	return 0;
}

/* What waits for the domain may wait until a target answers. */
static void
wake_target(struct queue *q, const struct queue_start *s)
{
	char rcpt[LIM_DOMAIN + 16];
	const struct queue_addressee to = { .rcpt = rcpt, .sender = "" };

	snprintf(rcpt, sizeof(rcpt), "postmaster@%s", s->domain);
	queue_target_hurry_to(q, &to);
}

static void
begin(struct queue *q, struct queue_start *s)
{
	wake_target(q, s);
	s->is_wanted = false;
	s->is_running = true;
	s->next_ms = q->now_ms + QUEUE_START_MS;
	s->nrcpts = 0;
	s->at = (struct deferred_domain){ .is_over = false };
}

/* Go on with ${s}.  Return false when no more is to be done in this pass. */
static bool
run(struct queue *q, struct queue_start *s)
{
	int n = q->store_ops->hurry_domain(q->store, s->domain,
	    s->has_subdomains, &s->at, QUEUE_START_ROWS, q->wall_ms / 1000);

	if (n == -1) {
		q->store_ms = q->now_ms + QUEUE_TROUBLE_MS;
		return false;
	}
	if (n > 0)
		q->due_ms = 0;
	s->nrcpts += (unsigned int)n;
	s->is_running = !s->at.is_over;
	/* the others have their turn, also before it begins again */
	TAILQ_REMOVE(&q->starts, s, link);
	TAILQ_INSERT_TAIL(&q->starts, s, link);
	if (!s->is_running)
		log_event(LOG_LEVEL_INFO, "queue-started",
		    "domain=%s subdomains=%s recipients=%u worker=%u",
		    s->domain, s->has_subdomains ? "yes" : "no", s->nrcpts,
		    s->slot);
	return s->nrcpts == 0 && !s->is_running;
}

void
queue_starts_run(struct queue *q)
{
	struct queue_start *s, *next;
	unsigned int turns = STARTS_EACH;

	if (q->is_stopped || q->store_ms > q->now_ms ||
	    queue_is_shifting(q) || TAILQ_EMPTY(&q->starts))
		return;
	TAILQ_FOREACH_SAFE (s, &q->starts, link, next) {
		if (!s->is_running && (!s->is_wanted || s->next_ms > q->now_ms))
			continue;
		if (!s->is_running)
			begin(q, s);
		if (!run(q, s) || --turns == 0)
			break;
	}
	forget_old(q);
}

int64_t
queue_starts_due(const struct queue *q)
{
	const struct queue_start *s;
	int64_t due = INT64_MAX;

	TAILQ_FOREACH (s, &q->starts, link)
		if (s->is_running)
			due = MIN(due, q->now_ms);
		else
			due = MIN(due, s->next_ms);
	return q->is_stopped ? INT64_MAX : due;
}

void
queue_starts_free(struct queue *q)
{
	struct queue_start *s;

	while ((s = TAILQ_FIRST(&q->starts)) != NULL)
		start_free(q, s);
}
