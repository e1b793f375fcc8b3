/* Which recipients a request of mailmillctl is about. */

#ifndef CORE_QUEUE_QUEUE_FILTER_H
#define CORE_QUEUE_QUEUE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "core/lim.h"

/* A text, exact or with "*" at either end */
struct queue_pattern {
	char		*text;		/* without the "*", owned; NULL: any */
	size_t		 len;
	bool		 is_open_start, is_open_end;
};

/* What is to be true of a message and of one recipient of it; what is zero is
 * not asked for. */
struct queue_filter {
	struct queue_pattern sender, rcpt, domain;
	char		*error;		/* a part of the last error, owned */
	int64_t		 older_s;	/* it came at least so long ago */
	int64_t		 newer_s;	/* at most */
	uint64_t	 larger;	/* octets of the body are more */
	const char	*state;		/* of the recipient */
	bool		 is_said;	/* anything of it */
};

/* queue_filter_parse(f, json): Fill in ${f}, which is zeroed, from the object
 * ${json}, which may be NULL.  Return NULL, or what is wrong with it; a member
 * that is not known is wrong.
 * queue_filter_free(f): What is in it. */
const char *queue_filter_parse(struct queue_filter *f, json_t *json);
void queue_filter_free(struct queue_filter *f);

/* queue_filter_message(f, now_s, sender, received_us, octets): Is such a message
 * meant?  queue_filter_rcpt(f, rcpt, state, error): And this recipient of it?
 * ${error} may be NULL. */
bool queue_filter_message(const struct queue_filter *f, int64_t now_s,
    const char *sender, uint64_t received_us, uint64_t octets);
bool queue_filter_rcpt(const struct queue_filter *f, const char *rcpt,
    const char *state, const char *error);

/* queue_filter_domain(f, buf): If all recipients that ${f} means are at one
 * domain: that, in lower case, in ${buf}; else NULL.  So the others need not be
 * looked at. */
const char *queue_filter_domain(const struct queue_filter *f,
    char buf[LIM_DOMAIN + 1]);

/* queue_domain_of(addr): What is behind its last "@"; "" if there is none. */
const char *queue_domain_of(const char *addr);

#endif
