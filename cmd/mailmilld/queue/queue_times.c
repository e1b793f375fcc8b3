/* How long the mail of each Domain section waits, as the queue wants to know it.
 * Owns: the table of all that are different, and which a section has. */

#include "cmd/mailmilld/queue/queue.h"

#include <stdlib.h>
#include <string.h>

static struct queue_times
times_of(const struct settings_times *t)
{
	return (struct queue_times){
		.retry_s = t->retry_interval,
		.max_retry_s = t->max_retry_interval,
		.lifetime_s = t->queue_lifetime,
		.bounce_lifetime_s = t->bounce_lifetime,
		.warning_s = t->delay_warning
	};
}

/* 1 + the index of ${t}; 0: there are as many as there may be. */
static uint16_t
find_or_add(struct queue_role *r, const struct queue_times *t)
{
	unsigned int i;

	/* the struct has no padding; most are as the one before */
	for (i = r->ntimes; i > 0; i--)
		if (memcmp(&r->times[i - 1], t, sizeof(*t)) == 0)
			return (uint16_t)i;
	if (r->ntimes == QUEUE_TIMES_MAX)
		return 0;
	r->times[r->ntimes++] = *t;
	return (uint16_t)r->ntimes;
}

int
queue_times_open(struct queue_role *r)
{
	const struct settings *s = r->child->settings;
	struct queue_times all = times_of(&s->times), t;
	size_t i;

	if (r->times_of != NULL)
		return 0;
	r->times = calloc(s->ndomains + 1, sizeof(r->times[0]));
	r->times_of = calloc(s->ndomains + 1, sizeof(r->times_of[0]));
	if (r->times == NULL || r->times_of == NULL) {
		queue_times_close(r);
		return -1;
	}
	for (i = 0; i < s->ndomains; i++) {
		t = times_of(&s->domains[i].times);
		if (memcmp(&t, &all, sizeof(t)) != 0)
			r->times_of[i] = find_or_add(r, &t);
	}
	return 0;
}

void
queue_times_close(struct queue_role *r)
{
	free(r->times);
	free(r->times_of);
	r->times = NULL;
	r->times_of = NULL;
	r->ntimes = 0;
}

unsigned int
queue_times_find(const struct queue_role *r, const struct settings_domain *d)
{
	return r->times_of == NULL ? 0 :
	    r->times_of[d - r->child->settings->domains];
}
