/* When reports are due; see tlsrpt_walk.h. */

#include "cmd/mailmilld/tlsrpt/tlsrpt_walk.h"

#include <sys/param.h>

#include <string.h>
#include <xxhash.h>

#include "core/deferred/deferred_tls.h"

#define DAY_S	86400

int64_t
tlsrpt_walk_due_s(const struct tlsrpt_walk *w, int64_t day,
    const char *domain)
{
	uint64_t h = (uint64_t)day;

	h = XXH3_64bits_withSeed(w->hostname, strlen(w->hostname), h);
	h = XXH3_64bits_withSeed(domain, strlen(domain), h);
	return day + DAY_S + TLSRPT_AFTER_S +
	    (int64_t)(h % (TLSRPT_SPREAD_S + 1));
}

/* How many tries there have been by ${now_s} of what is due at ${due_s} */
static int64_t
tries(int64_t due_s, int64_t now_s)
{
	int64_t n, late_s = now_s - due_s, wait_s = TLSRPT_RETRY_S;

	if (late_s < 0)
		return 0;
	for (n = 1; wait_s < TLSRPT_RETRY_MOST_S && late_s >= wait_s; n++) {
		late_s -= wait_s;
		wait_s *= 2;
	}
	return n + late_s / MIN(wait_s, TLSRPT_RETRY_MOST_S);
}

/* Is the next try of what is due at ${due_s} in this walk? */
static bool
is_its_turn(const struct tlsrpt_walk *w, int64_t due_s)
{
	int64_t n = tries(due_s, w->began_s);

	return n > 0 && (w->last_s == 0 || n > tries(due_s, w->last_s));
}

/* Look at where the walk is.  Return false when it is to stop there for now. */
static bool
see(struct tlsrpt_walk *w, unsigned int *ndue)
{
	int64_t due_s = tlsrpt_walk_due_s(w, w->day, w->domain);
	enum tlsrpt_verdict verdict = TLSRPT_DUE;

	if (w->began_s - w->day - DAY_S > TLSRPT_KEEP_S)
		verdict = TLSRPT_OLD;
	else if (!is_its_turn(w, due_s))
		return true;
	else if (w->began_s - MAX(due_s, w->first_s) >= TLSRPT_TRY_S)
		/* also of what was due while there was no server */
		verdict = TLSRPT_LAST;
	if (*ndue == TLSRPT_STEP_DUE)
		return false;
	++*ndue;
	return w->ops->due(w->closure, w->day, w->domain, verdict);
}

static void
begin(struct tlsrpt_walk *w, int64_t now_s)
{
	/* the clock has been set back: what was tried in that time is tried again */
	if (w->last_s > now_s)
		w->last_s = 0;
	if (w->first_s == 0 || w->first_s > now_s)
		w->first_s = now_s;
	w->began_s = now_s;
	w->day = 0;
	w->domain[0] = '\0';
}

unsigned int
tlsrpt_walk_step(struct tlsrpt_walk *w, int64_t now_s)
{
	char domain[LIM_DOMAIN + 1];
	unsigned int i, ndue = 0;
	int64_t day;
	int rc;

	if (w->began_s == 0)
		begin(w, now_s);
	for (i = 0; i < TLSRPT_STEP; i++) {
		day = w->day;
		memcpy(domain, w->domain, sizeof(domain));
		rc = w->ops->next(w->closure, &w->day, w->domain,
		    deferred_tls_day(w->began_s));
		if (rc != 1) {
			/* one that has failed is begun anew */
			if (rc == 0)
				w->last_s = w->began_s;
			w->began_s = 0;
			return TLSRPT_WALK_MS;
		}
		if (!see(w, &ndue)) {
			w->day = day;
			memcpy(w->domain, domain, sizeof(domain));
			break;
		}
	}
	return TLSRPT_STEP_MS;
}
