/* The dispatcher: one command line, the columns of its verb, its handler.
 * Owns: the order of the checks.  Knows nothing of what a verb does. */

#include <errno.h>
#include <string.h>

#include "core/lim.h"
#include "proto/hooks.h"
#include "proto/server/esmtp_own.h"

/* RFC 5321 2.4: commands are of US-ASCII; controls have no place in them.  RFC
 * 6531 3.5: an address with other characters has a reply of its own. */
static enum esmtp_reply_id
check_octets(const struct esmtp_verb *v, const char *line, size_t len)
{
	enum esmtp_reply_id id = RPL_OK;
	size_t i;

	for (i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 32 || line[i] == 127)
			return RPL_SYNTAX_CHAR;
		if ((unsigned char)line[i] > 127)
			id = v != NULL && v->flags & VF_PATH ?
			    RPL_NON_ASCII : RPL_SYNTAX_CHAR;
	}
	return id;
}

static unsigned int
stage(const message_construct *mc)
{
	if (mc->txn != NULL)
		return mc->txn->is_chunked ? ST_CHUNKS :
		    mc->txn->rcpts.n > 0 ? ST_RCPT : ST_MAIL;
	if (mc->helo == NULL && mc->ac->options->require_ehlo)
		return ST_START;
	return ST_READY;
}

/* What has to come before a verb with these flags: TLS (RFC 3207 4), a login
 * (RFC 4954 6), or RPL_OK. */
static enum esmtp_reply_id
check_secured(const message_construct *mc, unsigned int flags)
{
	const struct esmtp_options *o = mc->ac->options;

	if (o->require_tls && mc->ac->tls == NULL && !(flags & VF_CLEAR))
		return RPL_TLS_REQUIRED;
	if (o->require_auth && mc->login == NULL && !(flags & VF_NOAUTH))
		return RPL_AUTH_REQUIRED;
	return RPL_OK;
}

/* The columns, from left to right: what the verb may not do here, or RPL_OK. */
static enum esmtp_reply_id
check_columns(struct esmtp_step *st, const struct esmtp_verb *v, size_t arglen)
{
	message_construct *mc = st->mc;
	enum esmtp_reply_id id = check_secured(mc, v->flags);
	unsigned int at = stage(mc);

	if (id != RPL_OK)
		return id;
	if (!(v->states & at))
		return at == ST_START ? RPL_NO_HELLO : RPL_BAD_SEQUENCE;
	if (v->flags & VF_ARG && arglen == 0)
		return RPL_ARG_NEEDED;
	if (v->flags & VF_NOARG && arglen > 0)
		return RPL_ARG_REFUSED;
	if ((id = esmtp_ext_may_use(mc, v->extension)) != RPL_OK)
		return id;
	/* RFC 2920 3.1: some verbs may only be the last of a group */
	return v->flags & VF_LAST && st->has_more ? RPL_PIPELINE : RPL_OK;
}

/* The service goes away: a running transaction is still served. */
static bool
is_too_late(const struct esmtp_step *st, const struct esmtp_verb *v)
{
	if (!st->ac->host->is_draining || (v != NULL && v->flags & VF_DRAIN))
		return false;
	return st->mc->txn == NULL || (v != NULL && v->flags & VF_RESET);
}

/* All checks are passed.  What the program does comes first; the state may be
 * another then. */
static enum esmtp_want
act(struct esmtp_step *st, const struct esmtp_verb *v,
    const struct esmtp_extension *e, const char *arg, size_t len)
{
	enum esmtp_reply_id id = RPL_OK;
	enum esmtp_want w = W_GO;

	if (v != NULL && st->mc->own != OWN_BUILTIN)
		e = esmtp_verb_replacement(v);
	if (e != NULL && !esmtp_own_run(st, e, arg, len, &w))
		return w;
	if (e != NULL) {
		/* while its answer was waited for, the service may have begun
		 * to go away */
		if (is_too_late(st, v)) {
			esmtp_bye(st);
			return W_GO;
		}
		id = check_columns(st, v, len);
	}
	if (id == RPL_OK)
		return v->handler(st, arg, len);
	esmtp_reply(st, id);
	return W_GO;
}

/* A client that pipelines waits for the 354 before it sends the message (RFC
 * 2920 3.1: DATA is the last of a group).  One that does not wait has sent the
 * message, or will: that must not be run as commands.  So input that is there
 * already ends the session; later input does when it begins with no command. */
void
esmtp_input_refused(struct esmtp_step *st, unsigned int flags)
{
	if (st->mc->is_closing || flags == 0)
		return;
	if (!(flags & VF_CHUNK) && !st->has_more) {
		st->mc->is_body_refused = 1;
		return;
	}
	/* of a chunk nobody knows how long it is */
	esmtp_answering(st, "", "", 0);
	esmtp_reply(st, flags & VF_CHUNK ? RPL_CHUNK_END : RPL_BODY_REFUSED);
}

/* The verb was answered, or reads on.  What follows BDAT is its chunk,
 * answered or not. */
static void
note_what_follows(struct esmtp_step *st, unsigned int flags, size_t mark,
    const char *arg, size_t len)
{
	if (st->mc->is_closing)
		return;
	if (flags & VF_CHUNK)
		esmtp_chunk_begin(st, mark, arg, len);
	else if (flags & VF_BODY && st->nreplies > 0 && st->code >= 400 &&
	    !esmtp_is_reading(st->mc))
		esmtp_input_refused(st, flags);
}

/* What is answered from here on: a verb with its argument, which begins at
 * ${arg}, or the whole line if it is none.  Passwords are not for the log;
 * where else than in AUTH there may be one, only the program knows. */
static void
note_line(struct esmtp_step *st, const struct esmtp_verb *v,
    const struct esmtp_extension *e, const char *line, size_t len, size_t arg)
{
	bool is_secret = (v != NULL && v->flags & VF_SECRET) ||
	    esmtp_verb_is_own(v, e);

	if (v == NULL && e == NULL) {
		esmtp_answering(st, "", line, st->is_secret ? 0 : len);
		return;
	}
	esmtp_answering(st, v != NULL ? v->name : e->name, line + arg,
	    is_secret ? 0 : len - arg);
	st->mc->verb = v == NULL ? 0 : (uint8_t)(v - esmtp_verbs + 1);
}

const char *
mailmill_session_command(const message_construct *c, size_t *len_r)
{
	const struct esmtp_step *st = c != NULL ? c->step : NULL;

	*len_r = st != NULL && st->line != NULL ? st->line_len : 0;
	return st != NULL ? st->line : NULL;
}

/* A command has come: tell who wants to know, once, though it may be run
 * again. */
static void
announce(struct esmtp_step *st, const char *line, size_t len)
{
	message_construct *mc = st->mc;
	int b = 0;

	mc->is_announced = 1;
	st->line = line;
	st->line_len = len;
	call_core_post_smtp_command_hook(&b, mc, &mc->vctx);
	st->line = NULL;
	(void)esmtp_hook_end(st, false);
}

/* ${e}, a verb of the program; NULL: the line is no command. */
static enum esmtp_reply_id
check_registered(const struct esmtp_step *st, const struct esmtp_extension *e)
{
	if (e == NULL)
		return RPL_UNKNOWN;
	return esmtp_ext_is_listed(st->ac->options, e->name) ?
	    check_secured(st->mc, 0) : RPL_NOT_IMPLEMENTED;
}

enum esmtp_want
esmtp_command(struct esmtp_step *st, const char *line, size_t len,
    bool has_more)
{
	const struct esmtp_extension *e = NULL;
	const struct esmtp_verb *v;
	enum esmtp_reply_id id, octets;
	enum esmtp_want w = W_GO;
	size_t n, arg, mark = st->out_len;

	if (has_core_post_smtp_command_hook() && !st->mc->is_announced) {
		announce(st, line, len);
		if (st->mc->is_dropped)
			return W_CLOSE;
	}
	/* RFC 5321 4.1.1: trailing white space is to be tolerated */
	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	for (n = 0; n < len && line[n] != ' '; n++)
		continue;
	for (arg = n; arg < len && line[arg] == ' '; arg++)
		continue;
	esmtp_settle(st->mc);
	st->has_more = has_more;
	v = esmtp_verb_find(line, n);
	if (v == NULL)
		e = esmtp_extension_find(line, n);
	note_line(st, v, e, line, len, arg);
	if (st->mc->own == OWN_LATER)
		id = RPL_OK;	/* it has been checked */
	else if (v == NULL && e == NULL && st->mc->is_body_refused)
		id = RPL_BODY_REFUSED;
	else if (v == NULL && e == NULL && esmtp_is_foreign(line, len))
		id = RPL_FOREIGN;
	else if (st->mc->state == ES_DENIED &&
	    (v == NULL || !(v->flags & VF_DENIED)))
		/* RFC 5321 3.1: after a greeting of 554 all but QUIT is 503 */
		id = RPL_BAD_SEQUENCE;
	else if ((octets = check_octets(v, line, len)) != RPL_OK)
		id = octets;
	else if (is_too_late(st, v)) {
		esmtp_bye(st);
		return W_GO;
	} else if (v != NULL)
		id = check_columns(st, v, len - arg);
	else
		id = check_registered(st, e);
	st->mc->is_body_refused = 0;
	if (id == RPL_OK)
		w = act(st, v, e, line + arg, len - arg);
	else
		esmtp_reply(st, id);
	/* the handler gave up a suspended phase when memory failed */
	if (w != W_WAIT && esmtp_is_in_phase(st->mc))
		esmtp_phase_end(st);
	if (v == NULL && e == NULL)
		esmtp_input_refused(st, esmtp_verb_input_meant(line, len));
	else if (w == W_GO)
		note_what_follows(st, esmtp_verb_input(v, e), mark,
		    line + arg, len - arg);
	return w;
}
