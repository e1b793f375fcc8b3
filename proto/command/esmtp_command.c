/* The dispatcher: one command line, the columns of its verb, its handler.
 * Owns: the order of the checks.  Knows nothing of what a verb does. */

#include <errno.h>
#include <string.h>

#include "core/lim.h"
#include "proto/command/esmtp_command.h"
#include "proto/command/esmtp_own.h"
#include "proto/hooks.h"
#include "proto/message/esmtp_message.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_phase.h"
#include "proto/server/esmtp_wait.h"

/* RFC 5321 2.4: commands are of US-ASCII; controls have no place in them.  RFC
 * 6531 3.5: an address with other characters has replies of its own, and the verb
 * knows whether it may. */
static enum esmtp_reply_id
check_octets(const message_construct *mc, const struct esmtp_verb *v,
    const char *line, size_t len)
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
	return id == RPL_NON_ASCII && esmtp_ext_may_utf8(mc) ? RPL_OK : id;
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

/* Check the columns of the verb's row, from left to right.  Return the refusal,
 * or RPL_OK. */
static enum esmtp_reply_id
check_columns(struct esmtp_step *st, const struct esmtp_verb *v, size_t arglen)
{
	message_construct *mc = st->mc;
	enum esmtp_reply_id id = check_secured(mc, v->flags);
	unsigned int at = stage(mc);

	if (id != RPL_OK)
		return id;
	if (!(v->states & at))
		return at != ST_START ? RPL_BAD_SEQUENCE :
		    options_is_lmtp(mc->ac->options) ? RPL_NO_LHLO :
		    RPL_NO_HELLO;
	if (v->flags & VF_ARG && arglen == 0)
		return RPL_ARG_NEEDED;
	if (v->flags & VF_NOARG && arglen > 0)
		return RPL_ARG_REFUSED;
	if ((id = esmtp_ext_may_use(mc, v->extension)) != RPL_OK)
		return id;
	/* RFC 2920 3.1: some verbs must be the last of a group */
	return v->flags & VF_LAST && st->has_more ? RPL_PIPELINE : RPL_OK;
}

/* Is the server shutting down, so that this verb is not served any more?  The
 * verbs of a transaction that has begun still are. */
static bool
is_too_late(const struct esmtp_step *st, const struct esmtp_verb *v)
{
	if (!st->ac->host->is_draining || (v != NULL && v->flags & VF_DRAIN))
		return false;
	return st->mc->txn == NULL || (v != NULL && v->flags & VF_RESET);
}

/* The command has passed all checks: run it.  A function of the program comes
 * first, if there is one for this verb.  It may have changed the state of the
 * session, so a built-in verb is checked again after it. */
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
		/* the server may have begun to shut down while the session
		 * waited for the function's answer */
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
 * 2920 3.1: DATA is the last of a group).  A client that does not wait has sent
 * the message already, or sends it next, and it must not be run as commands.
 * So input that is there already ends the session; input that comes later ends
 * it if the first line is not a command. */
void
esmtp_input_refused(struct esmtp_step *st, unsigned int flags)
{
	if (st->mc->is_closing || flags == 0)
		return;
	if (!(flags & VF_CHUNK) && !st->has_more) {
		st->mc->is_body_refused = 1;
		return;
	}
	/* where a chunk ends is not known, since its BDAT was not understood */
	esmtp_answering(st, "", "", 0);
	esmtp_reply(st, flags & VF_CHUNK ? RPL_CHUNK_END : RPL_BODY_REFUSED);
}

/* The verb was answered, or reads more.  Note what the next input is: after
 * BDAT its chunk, whether BDAT was answered or not; after a refused DATA
 * perhaps the message. */
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

/* A line, taken apart.  It begins with a built-in verb (v), with a verb of the
 * program (e), or with neither. */
struct command {
	const struct esmtp_verb		*v;
	const struct esmtp_extension	*e;
	const char			*line;
	size_t				 len;
	size_t				 arg;	/* where it begins, if any */
};

static struct command
take_apart(const struct esmtp_options *o, const char *line, size_t len)
{
	struct command c = { .line = line };
	size_t n;

	/* RFC 5321 4.1.1: trailing white space is to be tolerated */
	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	for (n = 0; n < len && line[n] != ' '; n++)
		continue;
	for (c.arg = n; c.arg < len && line[c.arg] == ' '; c.arg++)
		continue;
	c.len = len;
	if ((c.v = esmtp_verb_find(line, n)) == NULL)
		c.e = esmtp_extension_find(line, n);
	/* RFC 2033 4.1: 500 is the reply to HELO and EHLO */
	else if (!esmtp_verb_is_spoken(c.v, o))
		c.v = NULL;
	return c;
}

/* Note what the next reply answers, for reports: the verb with its argument, or
 * the whole line if it has no verb.  An argument that may be a password is left
 * out: that of AUTH, and those of the program's verbs, whose meaning is not
 * known here. */
static void
note_line(struct esmtp_step *st, const struct command *c)
{
	bool is_secret = (c->v != NULL && c->v->flags & VF_SECRET) ||
	    esmtp_verb_is_own(c->v, c->e);

	if (c->v == NULL && c->e == NULL) {
		esmtp_answering(st, "", c->line, st->is_secret ? 0 : c->len);
		return;
	}
	esmtp_answering(st, c->v != NULL ? c->v->name : c->e->name,
	    c->line + c->arg, is_secret ? 0 : c->len - c->arg);
	st->mc->verb = c->v == NULL ? 0 : (uint8_t)(c->v - esmtp_verbs + 1);
}

const char *
mailmill_session_command(const message_construct *c, size_t *len_r)
{
	const struct esmtp_step *st = c != NULL ? c->step : NULL;

	*len_r = st != NULL && st->line != NULL ? st->line_len : 0;
	return st != NULL ? st->line : NULL;
}

/* Call the hook for a line that is to be run as a command: once, although the
 * command may be run again after a module was suspended. */
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

/* May the command run?  Return RPL_OK, or the refusal; RPL_SHUTDOWN: the caller
 * calls esmtp_bye(). */
static enum esmtp_reply_id
check(struct esmtp_step *st, const struct command *c)
{
	bool is_command = c->v != NULL || c->e != NULL;
	enum esmtp_reply_id id;

	if (st->mc->own == OWN_LATER)
		return RPL_OK;	/* it was checked before the wait */
	if (!is_command && st->mc->is_body_refused)
		return RPL_BODY_REFUSED;
	if (!is_command && esmtp_is_foreign(c->line, c->len, true))
		return RPL_FOREIGN;
	/* RFC 5321 3.1: after a greeting of 554 all but QUIT is 503 */
	if (st->mc->state == ES_DENIED &&
	    (c->v == NULL || !(c->v->flags & VF_DENIED)))
		return RPL_BAD_SEQUENCE;
	if ((id = check_octets(st->mc, c->v, c->line, c->len)) != RPL_OK)
		return id;
	if (is_too_late(st, c->v))
		return RPL_SHUTDOWN;
	if (c->v != NULL)
		return check_columns(st, c->v, c->len - c->arg);
	if (c->e == NULL)
		return RPL_UNKNOWN;
	return esmtp_ext_is_listed(st->ac->options, c->e->name) ?
	    check_secured(st->mc, 0) : RPL_NOT_IMPLEMENTED;
}

enum esmtp_want
esmtp_command(struct esmtp_step *st, const char *line, size_t len,
    bool has_more)
{
	enum esmtp_want w = W_GO;
	enum esmtp_reply_id id;
	size_t mark = st->out_len;
	struct command c;

	if (has_core_post_smtp_command_hook() && !st->mc->is_announced) {
		announce(st, line, len);
		if (st->mc->is_dropped)
			return W_CLOSE;
	}
	c = take_apart(st->ac->options, line, len);
	esmtp_settle(st->mc);
	st->has_more = has_more;
	note_line(st, &c);
	if ((id = check(st, &c)) == RPL_SHUTDOWN) {
		esmtp_bye(st);
		return W_GO;
	}
	st->mc->is_body_refused = 0;
	if (id == RPL_OK)
		w = act(st, c.v, c.e, line + c.arg, c.len - c.arg);
	else
		esmtp_reply(st, id);
	/* for want of memory the handler has given up a phase that was
	 * suspended */
	if (w != W_WAIT && esmtp_is_in_phase(st->mc))
		esmtp_phase_end(st);
	if (c.v == NULL && c.e == NULL)
		esmtp_input_refused(st, esmtp_verb_input_meant(line, c.len));
	else if (w == W_GO)
		note_what_follows(st, esmtp_verb_input(c.v, c.e), mark,
		    line + c.arg, c.len - c.arg);
	return w;
}
