/* DELIVERBY, RFC 2852: BY of MAIL, by when a message is to be delivered, and
 * what becomes of it if it is not: it goes back (mode R), or the sender is told
 * (N).
 * Owns: the grammar.  The queue delivers no message of mode R too late.
 *
 * RFC 2852 4.1: both modes promise a notification.  Nothing here sends one yet,
 * so the extension is offered only where SMTP_Extensions names it, like DSN. */

#include <sys/param.h>

#include <stdio.h>

#include "proto/server/esmtp_ext.h"

#define TIME_DIGITS	9	/* RFC 2852 4 */
#define LEAST_SECONDS	60	/* RFC 2852 3, min-by-time: what the queue may be behind, and more */

static void
ehlo_arg(const message_construct *, char *buf, size_t len)
{
	snprintf(buf, len, "%d", LEAST_SECONDS);
}

static enum esmtp_reply_id
set_by(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t len)
{
	bool is_negative = len > 0 && value[0] == '-';
	size_t i = len > 0 && (value[0] == '-' || value[0] == '+'), first = i;

	/* RFC 2852 4: by-time = ["-" / "+"] 1*9DIGIT */
	for (; i < len && value[i] >= '0' && value[i] <= '9'; i++)
		if (i - first < TIME_DIGITS)
			p->by = p->by * 10 + value[i] - '0';
	if (i == first || i - first > TIME_DIGITS)
		return RPL_SYNTAX;
	if (is_negative)
		p->by = -p->by;
	/* by-value = by-time ";" by-mode [by-trace] */
	if (len - i < 2 || len - i > 3 || value[i] != ';')
		return RPL_SYNTAX;
	if ((value[i + 1] | 0x20) == 'r')
		p->env_flags |= SPOOL_ENV_BY_RETURN;
	else if ((value[i + 1] | 0x20) != 'n')
		return RPL_SYNTAX;
	if (len - i == 3 && (value[i + 2] | 0x20) != 't')
		return RPL_SYNTAX;
	if (len - i == 3)
		p->env_flags |= SPOOL_ENV_BY_TRACE;
	/* RFC 2852 4: a message whose time has passed already could only be
	 * returned, so it is refused */
	if ((p->env_flags & SPOOL_ENV_BY_RETURN) != 0 && p->by <= 0)
		return RPL_SYNTAX;
	if ((p->env_flags & SPOOL_ENV_BY_RETURN) != 0 && p->by < LEAST_SECONDS)
		return RPL_BY_SHORT;
	p->has_by = true;
	return RPL_OK;
}

static enum esmtp_reply_id
check(const message_construct *mc, struct esmtp_params *p)
{
	if (!p->has_by)
		return RPL_OK;
	/* 0 would mean that BY was not said; a clock that is far behind could
	 * give that */
	p->deliver_by = MAX(mc->step->now.tv_sec + p->by, 1);
	/* RFC 4865 5.2: one that is held until it is late cannot be delivered in
	 * time, whatever the mode says is to be done then */
	return p->hold_until >= p->deliver_by ? RPL_HOLD_LATE : RPL_OK;
}

static const struct esmtp_param params[] = {
	{ .keyword = "BY", .set = set_by },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_deliverby = {
	.keyword = "DELIVERBY",
	.is_by_name = true,
	.ehlo_arg = ehlo_arg,
	.params = params,
	.check = check,
};
