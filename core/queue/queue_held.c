/* How much each login has held (RFC 4865).
 * Owns: the list of those that have more than they may.
 * Such a login is served as others are, but has nothing more held until some of
 * it was released or removed.  So none can fill the spool with mail that does
 * not leave it for a year.
 * The workers are told, and refuse.  What they accept before they know is at
 * most what a client can send in QUEUE_HELD_MS and a little. */

#include "core/queue/queue_int.h"

#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/util/array.h"

struct look {
	char	**v;
	size_t	  n, room;
};

static void
list_free(char **v, size_t n)
{
	while (n > 0)
		free(v[--n]);
	free(v);
}

static int
collect(void *closure, const char *holder)
{
	struct look *look = closure;
	char **v;

	if (look->n == QUEUE_FULL_MAX)
		return 1;
	v = array_fit(look->v, &look->room, look->n + 1, sizeof(*v));
	if (v == NULL)
		return 1;
	look->v = v;
	if ((v[look->n] = strdup(holder)) == NULL)
		return 1;
	look->n++;
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
tell(struct queue *q, const char *login, bool is_full)
{
	if (is_full)
		log_warnx("held-full", "login=%s octets=%llu effect=%s", login,
		    (unsigned long long)q->config.held_octets,
		    "nothing more is held for it until some of that has been "
		    "released");
	if (q->ops->full != NULL)
		q->ops->full(q->closure, login, is_full);
}

/* Tell what is in one of the two sorted lists alone. */
static void
tell_changes(struct queue *q, const struct look *now)
{
	size_t i = 0, k = 0;
	int order;

	while (i < q->nfull || k < now->n) {
		order = i == q->nfull ? 1 : k == now->n ? -1 :
		    strcmp(q->full[i], now->v[k]);
		if (order < 0)
			tell(q, q->full[i], false);
		else if (order > 0)
			tell(q, now->v[k], true);
		i += order <= 0;
		k += order >= 0;
	}
}

void
queue_held_look(struct queue *q)
{
	struct look now = { .n = 0 };

	if (q->config.held_octets == 0 || !q->is_held_news ||
	    q->held_ms > q->now_ms)
		return;
	q->held_ms = q->now_ms + QUEUE_HELD_MS;
	if (q->store_ops->holders(q->store, q->config.held_octets, collect,
	    &now) == -1) {
		list_free(now.v, now.n);
		return;
	}
	q->is_held_news = false;
	if (now.n > 0)
		qsort(now.v, now.n, sizeof(now.v[0]), compare);
	tell_changes(q, &now);
	list_free(q->full, q->nfull);
	q->full = now.v;
	q->nfull = now.n;
}

int64_t
queue_held_due(const struct queue *q)
{
	return q->config.held_octets != 0 && q->is_held_news ? q->held_ms :
	    INT64_MAX;
}

const char *
queue_full(const struct queue *q, size_t i)
{
	return i < q->nfull ? q->full[i] : NULL;
}

void
queue_held_free(struct queue *q)
{
	list_free(q->full, q->nfull);
}
