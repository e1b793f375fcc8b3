/* XDUMPCONTEXT, of the documented Momentum: a client that is allowed to reads the
 * variables of the connection and of the message, to test a policy. */

#include <stdio.h>
#include <string.h>

#include "core/util/addr.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_verb.h"

#define DUMP_MAX	(LIM_OUTPUT_LEAST - 2 * LIM_REPLY_LINE) /* octets: with the line in progress and the last one they fit in the room that each command has */

struct dump {
	struct esmtp_step	*st;
	size_t			 n;	/* octets so far */
	size_t			 left_out; /* lines */
};

static void
line(struct dump *d, const char *scope, const char *key, const char *value)
{
	const char *enhanced = d->st->mc->extensions &
	    ESMTP_EXT_BIT(ENHANCEDSTATUSCODES) ? "2.0.0 " : "";
	char text[LIM_REPLY_LINE];
	size_t before = d->st->out_len;

	if (value == NULL)
		return;
	if (d->n >= DUMP_MAX) {
		d->left_out++;
		return;
	}
	/* RFC 2034 4 */
	snprintf(text, sizeof(text), "%s[%s] %s", enhanced, scope, key);
	esmtp_reply_line(d->st, 250, false, text, value);
	d->n += d->st->out_len - before;
}

static void
pairs(struct dump *d, const char *scope, int which)
{
	const char *key, *value;
	size_t i;

	for (i = 0; validate_context_at(&d->st->mc->vctx, which, i, &key,
	    &value); i++)
		line(d, scope, key, value);
}

static void
session(struct dump *d)
{
	const message_construct *mc = d->st->mc;
	const struct sockaddr *via = esmtp_session_via(mc->ac);
	char text[ADDR_TEXT];

	line(d, "session", "peer", addr_text(&mc->ac->remote_addr.sa, text));
	if (via != NULL)
		line(d, "session", "via", addr_text(via, text));
	line(d, "session", "helo", mc->helo);
	line(d, "session", "login", mc->login);
}

enum esmtp_want
esmtp_cmd_xdumpcontext(struct esmtp_step *st, const char *, size_t)
{
	struct dump d = { .st = st };
	char text[64];

	session(&d);
	pairs(&d, "connection", VCTX_CONN);
	pairs(&d, "message", VCTX_MESS);
	if (d.left_out == 0)
		snprintf(text, sizeof(text), "complete");
	else
		snprintf(text, sizeof(text), "without %zu more", d.left_out);
	esmtp_reply_with(st, RPL_DUMPED, text, strlen(text));
	return W_GO;
}

static enum esmtp_reply_id
may_use(const message_construct *mc)
{
	return mc->ac->options->allow_xcontext ? RPL_OK : RPL_NOT_AUTHORIZED;
}

const struct esmtp_ext esmtp_ext_xdumpcontext = {
	.keyword = "XDUMPCONTEXT",
	.may_use = may_use,
};
