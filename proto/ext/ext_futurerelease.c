/* FUTURERELEASE, RFC 4865: HOLDFOR and HOLDUNTIL of MAIL, until when a message
 * is held.
 * Owns: their grammar, the longest time, who may ask.  The queue holds it.
 *
 * RFC 4865 is an extension of submission, and a server that lets anybody use it
 * stores anybody's mail (RFC 4865 6).  So it is offered only where
 * Future_Release_Max says for how long, and to clients that have logged in.  It
 * is also offered before a login where a login is required, since clients do
 * not repeat EHLO afterwards. */

#include <inttypes.h>
#include <stdio.h>

#include "proto/parse/datetime.h"
#include "proto/server/esmtp_ext.h"

#define INTERVAL_DIGITS	9	/* RFC 4865 4 */

static bool
is_offered(const message_construct *mc)
{
	const struct esmtp_options *o = mc->ac->options;

	return o->future_release_max > 0 &&
	    (mc->login != NULL || o->require_auth);
}

/* RFC 4865 3: the longest interval, and the time of its end */
static void
ehlo_arg(const message_construct *mc, char *buf, size_t len)
{
	int64_t max = mc->ac->options->future_release_max;
	char date[DATETIME_MAX];

	datetime_format(mc->step->now.tv_sec + max, date);
	snprintf(buf, len, "%" PRId64 " %s", max, date);
}

static enum esmtp_reply_id
set_hold_for(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t len)
{
	size_t i;

	/* RFC 4865 4: 1*9DIGIT, the first not 0 */
	if (len == 0 || len > INTERVAL_DIGITS || value[0] == '0' ||
	    p->has_hold)
		return RPL_SYNTAX;
	for (i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return RPL_SYNTAX;
		p->hold_for = p->hold_for * 10 + value[i] - '0';
	}
	p->has_hold = true;
	return RPL_OK;
}

static enum esmtp_reply_id
set_hold_until(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t len)
{
	/* RFC 4865 4: one of the two, once */
	if (value == NULL || p->has_hold ||
	    datetime_parse(value, len, &p->hold_until) == -1)
		return RPL_SYNTAX;
	p->has_hold = true;
	return RPL_OK;
}

/* A time that has passed is no time to wait for. */
static enum esmtp_reply_id
check(const message_construct *mc, struct esmtp_params *p)
{
	const struct esmtp_host *host = mc->ac->host;
	int64_t now = mc->step->now.tv_sec;

	if (p->hold_for != 0)
		p->hold_until = now + p->hold_for;
	if (p->hold_until > now + mc->ac->options->future_release_max)
		return RPL_HOLD_LONG;
	if (p->hold_until <= now) {
		p->hold_until = 0;
		return RPL_OK;
	}
	/* RFC 4865 6: here, as far as it is known how large it will be;
	 * esmtp_body_finish() asks again */
	if (mc->login != NULL && host->ops->may_hold != NULL &&
	    !host->ops->may_hold(host->closure, mc->ac, mc->login, p->size, 0))
		return RPL_HOLD_ROOM;
	if (p->hold_for != 0)
		p->env_flags |= SPOOL_ENV_HOLD_FOR;
	return RPL_OK;
}

static const struct esmtp_param params[] = {
	{ .keyword = "HOLDFOR", .set = set_hold_for },
	{ .keyword = "HOLDUNTIL", .set = set_hold_until },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_futurerelease = {
	.keyword = "FUTURERELEASE",
	.is_offered = is_offered,
	.ehlo_arg = ehlo_arg,
	.params = params,
	.check = check,
};
