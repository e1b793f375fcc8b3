/* One report of TLS to URIs of HTTPS (RFC 8460 3): by the process sts, since this one
 * has no connection to others.
 * Owns: what has become of each URI, and the lines in the log about that.
 * Knows nothing of what is in the report, and of when it is posted again. */

#ifndef CMD_MAILMILLD_QUEUE_QUEUE_POST_H
#define CMD_MAILMILLD_QUEUE_QUEUE_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/lookup/sts_ask.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_record.h"

struct queue_post;

/* queue_post_fn(closure, nfailed, is_unknown, why): All is over: ${nfailed} of the URIs
 * have not taken it.  is_unknown: of one of these that is not known, or it was not
 * posted there, for a reason of this server.  ${why}: of the last of them, in words;
 * valid until it returns.
 * queue_post_taken_fn(closure, uri): That one has.  It may not cancel the post. */
typedef void queue_post_fn(void *closure, size_t nfailed, bool is_unknown,
    const char *why);
typedef void queue_post_taken_fn(void *closure, const char *uri);

struct queue_post_spec {
	int64_t		 day;
	const char	*domain;	/* that the report is about */
	const struct tlsrpt_record *record;	/* those of TLSRPT_HTTPS count */
	const char	*json;
	size_t		 len;
	queue_post_taken_fn *taken;
	queue_post_fn	*done;
	void		*closure;
};

/* queue_post_begin(sts, spec): Nothing of ${spec} is kept but the last three.  done()
 * is called once, never from within this call, and taken() before it.  NULL with errno.
 * queue_post_cancel(&p): Forget it; *p is NULL afterwards; NULL there does
 * nothing. */
struct queue_post *queue_post_begin(struct sts *sts,
    const struct queue_post_spec *spec);
void queue_post_cancel(struct queue_post **p);

#endif
