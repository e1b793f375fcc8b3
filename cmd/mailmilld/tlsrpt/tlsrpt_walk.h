/* When reports of TLS are due: a walk through the days and domains of which there
 * are counts, again and again.
 * Owns: the time at which the report of a domain is due, tried again, and given up.
 * Knows nothing of where counts are kept, and of what is done when a report is due.
 *
 * RFC 8460 4.1: a report is of a day, UTC, and is sent some time after it, up to four
 * hours, so that not all come at once.  That time is drawn by a hash of the day, the
 * domain and this server's name: it is the same after a restart, and nothing has to
 * be remembered of a domain.  What is reported is gone from the counts, so that the
 * next walk does not meet it.  What stays is met in each walk, and is due in
 * one of them after each of the growing times of RFC 8460 5.5: TLSRPT_RETRY_S, then
 * twice as long, and so on up to TLSRPT_RETRY_MOST_S. */

#ifndef CMD_MAILMILLD_TLSRPT_TLSRPT_WALK_H
#define CMD_MAILMILLD_TLSRPT_TLSRPT_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lim.h"

#define TLSRPT_AFTER_S	600	/* seconds after the day before any report: a count may come late, and the clocks of two hosts differ */
#define TLSRPT_SPREAD_S	(4 * 3600 - TLSRPT_AFTER_S)	/* further ones, over which reports are spread */
#define TLSRPT_RETRY_S	900	/* from the first try to the next */
#define TLSRPT_RETRY_MOST_S 14400 /* and from one of the last to the next */
#define TLSRPT_TRY_S	85500	/* so long it is tried again: the last of these times that is in the 24 hours of RFC 8460 5.5 */
#define TLSRPT_KEEP_S	(7 * 86400)	/* after the day: what is older is of no use to anybody */

#define TLSRPT_WALK_MS	60000	/* from one walk to the next */
#define TLSRPT_STEP_MS	100	/* from one step to the next */
#define TLSRPT_STEP	100	/* domains looked at in a step */
#define TLSRPT_STEP_DUE	4	/* and those that are due: each is a transaction on the disk */

enum tlsrpt_verdict {
	TLSRPT_DUE,		/* report it */
	TLSRPT_LAST,		/* the same; what cannot be reported now is not tried again */
	TLSRPT_OLD		/* drop it */
};

struct tlsrpt_walk_ops {
	/* next(closure, day, domain, before): As deferred_tls_next().
	 * due(closure, day, domain, verdict): It is time.  Return false if not now:
	 * it is asked again in the next step */
	int	(*next)(void *closure, int64_t *day,
		    char domain[LIM_DOMAIN + 1], int64_t before);
	bool	(*due)(void *closure, int64_t day, const char *domain,
		    enum tlsrpt_verdict verdict);
};

/* Zeroed but for the first three */
struct tlsrpt_walk {
	const struct tlsrpt_walk_ops *ops;
	void		*closure;
	const char	*hostname;	/* of this server */
	int64_t		 first_s;	/* of the first walk; 0: none yet */
	int64_t		 last_s;	/* when the walk before began; 0: none did */
	int64_t		 began_s;	/* the same of this one; 0: it has ended */
	int64_t		 day;		/* where it is */
	char		 domain[LIM_DOMAIN + 1];
};

/* tlsrpt_walk_step(w, now_s): Go on, ${now_s} by the wall clock.  Return
 * milliseconds until the next step. */
unsigned int tlsrpt_walk_step(struct tlsrpt_walk *w, int64_t now_s);

/* tlsrpt_walk_due_s(w, day, domain): When its report is due first, unix seconds. */
int64_t tlsrpt_walk_due_s(const struct tlsrpt_walk *w, int64_t day,
    const char *domain);

#endif
