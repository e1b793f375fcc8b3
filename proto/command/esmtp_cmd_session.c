/* The verbs that are about the session: EHLO, LHLO, HELO, RSET, NOOP, QUIT, VRFY,
 * EXPN, HELP.
 * Owns: the greeting; what is told of a mailbox.  Knows nothing of messages. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/utf8.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_phase.h"
#include "proto/server/esmtp_txn.h"
#include "proto/server/esmtp_verb.h"

/* RFC 5321 4.1.1.1: the host's name, then one keyword and its argument per
 * line. */
static void
reply_ehlo(struct esmtp_step *st)
{
	const int code = esmtp_reply_rows[RPL_HELLO].code;
	const struct esmtp_extension *e;
	char arg[LIM_REPLY_LINE];	/* a registered extension may use less: ESMTP_EXTENSION_ARG_MAX */
	const char *keyword;
	size_t i;

	esmtp_reply_line(st, code, false,
	    esmtp_banner_hostname(st->ac->options), "");
	for (i = 0; i < ESMTP_NEXTS; i++) {
		if (!esmtp_ext_is_offered(st->mc, i))
			continue;
		arg[0] = '\0';
		keyword = esmtp_exts[i]->keyword;
		/* with a NUL, what the line has room for */
		if (esmtp_exts[i]->ehlo_arg != NULL)
			esmtp_exts[i]->ehlo_arg(st->mc, arg, sizeof(arg) -
			    strlen("250-") - strlen(keyword) -
			    strlen(" \r\n") + 1);
		esmtp_reply_line(st, code, false, keyword, arg);
	}
	for (i = 0; (e = esmtp_extension_get(i)) != NULL; i++) {
		arg[0] = '\0';
		if (!esmtp_ext_is_listed(st->ac->options, e->name) ||
		    (e->setup != NULL &&
		    e->setup(arg, st->mc, e->closure) != 1))
			continue;
		arg[ESMTP_EXTENSION_ARG_MAX - 1] = '\0';
		esmtp_reply_line(st, code, false, e->name, arg);
	}
	esmtp_reply_end(st);
}

/* RFC 5321 4.1.4: mail must not be refused because the name is not that of the
 * client.  Only its form is checked, and loosely: clients send all kinds. */
static bool
is_hello_name(const char *s, size_t len)
{
	return len <= LIM_DOMAIN && memchr(s, ' ', len) == NULL;
}

static enum esmtp_want
hello(struct esmtp_step *st, const char *arg, size_t len, bool is_esmtp)
{
	message_construct *mc = st->mc;
	enum esmtp_want w;
	char *name;

	if (!is_hello_name(arg, len)) {
		esmtp_reply(st, RPL_SYNTAX);
		return W_GO;
	}
	if ((name = strndup(arg, len)) == NULL) {
		esmtp_reply(st, RPL_NOMEM);
		return W_GO;
	}
	esmtp_enter(mc, ES_EHLO_REPLY);
	w = esmtp_phase(st, VALIDATE_PHASE_EHLO, name, NULL);
	if (w != W_GO) {
		free(name);
		return w == W_REFUSED ? W_GO : w;
	}
	/* RFC 5321 4.1.4: as if RSET had been issued */
	esmtp_txn_reset(mc);
	free(mc->helo);
	mc->helo = name;
	mc->is_esmtp = is_esmtp;
	if (is_esmtp)
		reply_ehlo(st);
	else
		esmtp_reply_line(st, esmtp_reply_rows[RPL_HELLO].code, true,
		    esmtp_banner_hostname(st->ac->options), "");
	return W_GO;
}

enum esmtp_want
esmtp_cmd_ehlo(struct esmtp_step *st, const char *arg, size_t len)
{
	return hello(st, arg, len, true);
}

enum esmtp_want
esmtp_cmd_helo(struct esmtp_step *st, const char *arg, size_t len)
{
	return hello(st, arg, len, false);
}

enum esmtp_want
esmtp_cmd_rset(struct esmtp_step *st, const char *, size_t)
{
	esmtp_txn_reset(st->mc);
	esmtp_reply(st, RPL_OK);
	return W_GO;
}

enum esmtp_want
esmtp_cmd_noop(struct esmtp_step *st, const char *, size_t)
{
	esmtp_reply(st, RPL_OK);
	return W_GO;
}

enum esmtp_want
esmtp_cmd_quit(struct esmtp_step *st, const char *, size_t)
{
	esmtp_reply(st, RPL_BYE);
	st->mc->is_closing = 1;
	return W_GO;
}

/* RFC 5321 4.1.1.6: the argument is a string.  What is looked up is an address,
 * with or without angle brackets; a name without a domain could be anybody's.
 * Return 0 with ${text} in the form of mailaddr_split(), 1: it is none; -1 with
 * errno: it is malformed. */
static int
parse_mailbox(struct esmtp_step *st, const char *arg, size_t len,
    char text[LIM_PATH + 2])
{
	const struct esmtp_options *o = st->ac->options;
	char path[LIM_PATH + 3];
	struct mailaddr addr;
	bool is_path = arg[0] == '<';
	int used;

	if (!is_path && memchr(arg, '@', len) == NULL)
		return 1;
	errno = EINVAL;
	if (len + 2 > sizeof(path))
		return -1;
	path[0] = '<';
	memcpy(path + !is_path, arg, len);
	if (!is_path)
		path[++len] = '>';
	len += !is_path;
	used = mailaddr_parse(path, len, MAILADDR_ALLOW_LITERAL |
	    MAILADDR_ALLOW_POSTMASTER | MAILADDR_ALLOW_UTF8, &addr);
	if (used == -1)
		return -1;
	errno = EINVAL;
	if (used != (int)len || (addr.is_literal && !o->allow_ip_literal) ||
	    mailaddr_format(&addr, text, LIM_PATH + 2) == -1)
		return -1;
	return addr.domain_len > 0 ? 0 : 1;
}

static enum esmtp_reply_id
bad_mailbox(int errnum)
{
	return errnum == ENOMEM ? RPL_NOMEM :
	    errnum == EILSEQ ? RPL_RCPT_UTF8 : RPL_BAD_RCPT;
}

/* RFC 5321 3.5.3: 250 only for what was verified; 252 does not say whether the
 * mailbox exists. */
static void
look_up(struct esmtp_step *st, const char *arg, size_t len,
    enum esmtp_reply_id uncertain)
{
	char text[LIM_PATH + 4] = "<";
	struct mailaddr addr;
	int rc = parse_mailbox(st, arg, len, text + 1);

	if (rc != 0) {
		esmtp_reply(st, rc == 1 ? uncertain : bad_mailbox(errno));
		return;
	}
	mailaddr_split(text + 1, &addr);
	switch (validate_context_lookup_rcpt(&st->mc->vctx, &addr)) {
	case ESMTP_RCPT_OK:
		strcat(text, ">");
		if (st->is_utf8 || utf8_is_ascii(text, strlen(text)))
			esmtp_reply_with(st, RPL_VERIFIED, text, strlen(text));
		else
			esmtp_reply(st, RPL_VRFY_UTF8);
		break;
	case ESMTP_RCPT_UNKNOWN:
		esmtp_reply(st, RPL_USER);
		break;
	default:
		esmtp_reply(st, uncertain);
		break;
	}
}

/* RFC 6531 3.7.4.2: the argument may be UTF-8 where the extension is offered, the
 * reply only where the command has said so. */
static enum esmtp_want
verify(struct esmtp_step *st, const char *arg, size_t len, int policy,
    enum esmtp_reply_id uncertain)
{
	st->is_utf8 = esmtp_ext_may_utf8(st->mc) &&
	    esmtp_ext_cut_utf8(arg, &len);
	if (policy == ESMTP_VRFY_REFUSE)
		esmtp_reply(st, RPL_NOT_IMPLEMENTED);
	else if (!utf8_is_visible(arg, len))
		esmtp_reply(st, RPL_RCPT_UTF8);
	else if (policy == ESMTP_VRFY_LOOKUP)
		look_up(st, arg, len, uncertain);
	else
		esmtp_reply(st, uncertain);
	return W_GO;
}

enum esmtp_want
esmtp_cmd_vrfy(struct esmtp_step *st, const char *arg, size_t len)
{
	return verify(st, arg, len, st->ac->options->vrfy_policy, RPL_VRFY);
}

/* There are no lists here: a mailbox is one of itself. */
enum esmtp_want
esmtp_cmd_expn(struct esmtp_step *st, const char *arg, size_t len)
{
	return verify(st, arg, len, st->ac->options->expn_policy, RPL_EXPN);
}

/* Append a word; it has room: LIM_EXTENSIONS is chosen for that, too. */
static size_t
add_word(char list[LIM_REPLY_LINE], size_t n, const char *word, size_t len)
{
	if (n + 1 + len > LIM_REPLY_LINE)
		return n;
	if (n > 0)
		list[n++] = ' ';
	memcpy(list + n, word, len);
	return n + len;
}

enum esmtp_want
esmtp_cmd_help(struct esmtp_step *st, const char *, size_t)
{
	const struct esmtp_extension *e;
	const struct esmtp_verb *v;
	char list[LIM_REPLY_LINE];
	size_t i, n = 0;

	for (v = esmtp_verbs; v < esmtp_verbs + esmtp_nverbs; v++)
		if ((!(v->flags & VF_HIDDEN) ||
		    esmtp_verb_replacement(v) != NULL) &&
		    esmtp_verb_is_spoken(v, st->ac->options) &&
		    esmtp_ext_may_use(st->mc, v->extension) == RPL_OK)
			n = add_word(list, n, v->name, v->name_len);
	for (i = 0; (e = esmtp_extension_get(i)) != NULL; i++)
		if (e->func != NULL &&
		    esmtp_ext_is_listed(st->ac->options, e->name))
			n = add_word(list, n, e->name, e->name_len);
	esmtp_reply_with(st, RPL_HELP, list, n);
	return W_GO;
}
