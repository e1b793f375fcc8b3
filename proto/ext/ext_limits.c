/* LIMITS, RFC 9422: what a client may send in a session and in a transaction,
 * in the EHLO reply, so that it need not find out by refusals. The limits are
 * those of the options of the scope; proto/policy/policy_limits.c holds the
 * client to them. */

#include <sys/param.h>

#include <inttypes.h>
#include <stdio.h>

#include "proto/server/esmtp_ext.h"

#define LIMIT_MAX	999999	/* RFC 9422 3: at most six digits */

/* RFC 9422 4: a client counts its commands.  We count what was accepted of them,
 * so a client that keeps to these numbers stays within our limits.  A limit on
 * the recipients of a session has no keyword of its own: it is told as so many
 * messages with so many recipients. */
static int64_t
rcpt_max(const struct esmtp_options *o)
{
	int64_t max = o->max_recipients_per_message;

	if (o->max_recipients_per_connection > 0)
		max = MIN(max, o->max_recipients_per_connection);
	return MIN(max, LIMIT_MAX);
}

static int64_t
mail_max(const struct esmtp_options *o)
{
	int64_t max = o->max_receptions_per_connection, of_rcpts;

	if (o->max_recipients_per_connection > 0) {
		of_rcpts = o->max_recipients_per_connection / rcpt_max(o);
		max = max == 0 ? of_rcpts : MIN(max, of_rcpts);
	}
	return MIN(max, LIMIT_MAX);
}

static void
ehlo_arg(const message_construct *mc, char *buf, size_t len)
{
	const struct esmtp_options *o = mc->ac->options;
	int64_t mail = mail_max(o), rcpt = rcpt_max(o);
	int64_t domains = o->max_recipient_domains_per_message;
	size_t n = 0;

	/* RFC 9422 3: 0 cannot be said; no limit is one that is left out, and so
	 * is one on domains that that on recipients keeps */
	if (mail > 0)
		n = (size_t)snprintf(buf, len, "MAILMAX=%" PRId64 " ", mail);
	n += (size_t)snprintf(buf + n, len - n, "RCPTMAX=%" PRId64, rcpt);
	/* RFC 9422 4.3: domains of a session; ours are those of a message */
	if (mail == 1 && domains > 0 && domains < rcpt)
		snprintf(buf + n, len - n, " RCPTDOMAINMAX=%" PRId64, domains);
}

const struct esmtp_ext esmtp_ext_limits = {
	.keyword = "LIMITS",
	.ehlo_arg = ehlo_arg,
};
