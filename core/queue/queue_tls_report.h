/* Reports of TLS (RFC 8460): from the counts that the store keeps
 * (core/deferred/deferred_tls.h) to messages of the queue.
 * Owns: that the messages of a report are put into the queue in the transaction in
 * which what they tell of goes, so that each is sent once, whatever crashes.
 * Knows nothing of what is in a report, of when it is due, and of who wants it. */

#ifndef CORE_QUEUE_QUEUE_TLS_REPORT_H
#define CORE_QUEUE_QUEUE_TLS_REPORT_H

#include <sys/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/deferred/deferred_tls.h"

struct queue;

struct queue_tls_report {
	int64_t		 day;		/* as in struct deferred_tls */
	const char	*domain;
	const char	*sender;	/* of the messages */
	const char	*const *to;	/* a message for each of them, as mailaddr_format() writes them; one for those that are the same */
	size_t		 nto;		/* at most LIM_TLSRPT_URIS; 0: the counts go unreported */
	/* with is_kept the counts stay, for others that are to have the report:
	 * what is remembered as served (deferred_tls_take()), besides those of
	 * ${to} that get a message, which are known by ${to_uris} */
	bool		 is_kept;
	const uint64_t	*taken;
	size_t		 ntaken;	/* at most LIM_TLSRPT_URIS */
	const uint64_t	*to_uris;	/* of each of ${to} */
	/* compose(closure, id, to, text_r, len_r): The message ${id} to ${to}: *text_r,
	 * to be freed, ${len_r} octets.  Return 0, or -1 with errno: EINVAL, there is
	 * none to this one; any other, not now */
	int		(*compose)(void *closure, const char *id,
			    const char *to, char **text_r, size_t *len_r);
	void		*closure;
};

/* queue_tls_report_next(q, day, domain, before),
 * queue_tls_report_rows(q, day, domain, each, closure): As deferred_tls_next() and
 * deferred_tls_rows(). */
int queue_tls_report_next(struct queue *q, int64_t *day,
    char domain[LIM_DOMAIN + 1], int64_t before);
int queue_tls_report_rows(struct queue *q, int64_t day, const char *domain,
    deferred_tls_func each, void *closure);

/* queue_tls_report_tried(q, day, domain, now_s): The report could not be made, at
 * ${now_s} by the wall clock: since when is that so?  It is kept on disk, for the
 * processes after this one; ${now_s}: it is the first time, or cannot be kept. */
int64_t queue_tls_report_tried(struct queue *q, int64_t day,
    const char *domain, int64_t now_s);

/* queue_tls_report_taken(q, day, domain, uris_r): As deferred_tls_taken(). */
int queue_tls_report_taken(struct queue *q, int64_t day, const char *domain,
    uint64_t uris_r[LIM_TLSRPT_URIS]);

/* queue_tls_report_end(q, report, now): Put its messages into the queue and drop the
 * counts, or with is_kept remember who has the report, all or nothing, on disk.  An
 * address to which there is no way is logged and gets no message.  The messages ask
 * for no report of their own delivery (NOTIFY=NEVER), and are sent whatever their
 * domain demands of TLS; their own connections are not counted (RFC 8460 3).  Return
 * how many there are, or -1 with errno, and the counts are as they were: EAGAIN, the store, or one of
 * these calls, has failed a moment ago, or all rows are being moved since the clock was
 * set; ENOSPC, the disk is full, and what is left is for mail; another.  Mail does not
 * wait because of that.
 * queue_tls_report_is_ready(q): Would that be no EAGAIN now? */
int queue_tls_report_end(struct queue *q,
    const struct queue_tls_report *report, const struct timeval *now);
bool queue_tls_report_is_ready(const struct queue *q);

#endif
