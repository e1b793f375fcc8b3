/* The verbs of the envelope: MAIL, RCPT.
 * Owns: their syntax.  Knows nothing of policy: the phases do that.
 * A handler may be called again for the same line, when a phase was suspended:
 * so it changes nothing before its phase is through. */

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/lim.h"
#include "core/util/addr.h"
#include "core/util/utf8.h"
#include "proto/server/esmtp_ext.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_phase.h"
#include "proto/server/esmtp_txn.h"
#include "proto/server/esmtp_verb.h"

struct path_arg {
	const char		*keyword;	/* "FROM:" or "TO:" */
	unsigned int		 flags;		/* MAILADDR_* */
	enum esmtp_reply_id	 bad, bad_utf8;
	const char		*domain;	/* of an address that has none; "": it is refused */
	bool			 is_rcpt;
	bool			 is_utf8;	/* SMTPUTF8 was said */
	struct mailaddr		 addr;		/* points into ${text} */
	char			 text[LIM_PATH + 2];
	struct esmtp_params	 params;
};

/* RFC 5321 4.5.1, RFC 1123 5.2.17: <postmaster>, and postmaster at the address
 * that the client is connected to, are the mailbox of a domain that the host
 * names.  If it names none, the address stays.  Behind a proxy the client is
 * connected to the address that the PROXY header says; the host knows that of
 * the connection, which is its own as well. */
static void
resolve_postmaster(struct esmtp_step *st, struct path_arg *p)
{
	const struct esmtp_host *host = st->ac->host;
	const char *domain;
	const message_construct *mc = st->mc;
	union addr own;
	bool is_literal = mailaddr_literal(&p->addr, &own.sa);

	if (host->ops->postmaster_domain == NULL ||
	    !mailaddr_is_postmaster(&p->addr) ||
	    (p->addr.domain_len > 0 && !is_literal))
		return;
	if (is_literal && mc->has_dest &&
	    addr_is_same(&own.sa, &mc->dest->sa))
		is_literal = false;
	domain = host->ops->postmaster_domain(host->closure, st->ac,
	    is_literal ? &own.sa : NULL);
	if (domain == NULL || strlen("postmaster@") + strlen(domain) > LIM_PATH)
		return;
	snprintf(p->text, sizeof(p->text), "postmaster@%s", domain);
	mailaddr_split(p->text, &p->addr);
}

/* How a path is refused that mailaddr_parse() has not taken. */
static enum esmtp_reply_id
bad_path(const struct path_arg *p, int errnum)
{
	return errnum == ENOMEM ? RPL_NOMEM :
	    errnum == EILSEQ ? p->bad_utf8 : p->bad;
}

/* What is accepted in place of what RFC 5321 says. */
static unsigned int
path_flags(const struct esmtp_options *o, const struct path_arg *p)
{
	unsigned int flags = p->flags | MAILADDR_ALLOW_LITERAL;

	/* RFC 5321 3.3: spaces are not permitted after the colon */
	if (o->allow_trailing_whitespace)
		flags |= MAILADDR_ALLOW_SPACE;
	if (o->allow_unbracketed)
		flags |= MAILADDR_ALLOW_BARE;
	if (!o->pedantic_addresses)
		flags |= MAILADDR_ALLOW_DOTS;
	if (p->is_utf8)
		flags |= MAILADDR_ALLOW_UTF8;
	if (p->domain[0] != '\0')
		flags |= MAILADDR_ALLOW_UNQUALIFIED;
	return flags;
}

/* The address has no domain: it gets p->domain, if it is one with that.  Return
 * RPL_OK or the refusal.  ${text} is what mailaddr_parse() has taken: without
 * brackets, "SIZE=10" is a parameter of an address that was left out. */
static enum esmtp_reply_id
qualify(struct path_arg *p, const char *text, size_t len, unsigned int flags)
{
	char path[sizeof(p->text) + LIM_DOMAIN + sizeof("<@>")];
	int n;

	if (memchr(text, '<', len) == NULL && memchr(text, '=', len) != NULL)
		return p->bad;
	n = snprintf(path, sizeof(path), "<%s@%s>", p->text, p->domain);
	if (mailaddr_parse(path, (size_t)n, flags, &p->addr) == -1 ||
	    mailaddr_format(&p->addr, p->text, sizeof(p->text)) == -1)
		return bad_path(p, errno);
	mailaddr_split(p->text, &p->addr);
	return RPL_OK;
}

/* Parse "FROM:<path> params" or "TO:<path> params": RPL_OK or the refusal. */
static enum esmtp_reply_id
parse_path(struct esmtp_step *st, struct path_arg *p, const char *arg,
    size_t len)
{
	const struct esmtp_options *o = st->ac->options;
	size_t n = strlen(p->keyword);
	unsigned int flags = path_flags(o, p);
	enum esmtp_reply_id id = RPL_OK;
	bool is_ascii = utf8_is_ascii(arg, len);
	int used;

	if (len < n || strncasecmp(arg, p->keyword, n) != 0)
		return RPL_SYNTAX;
	/* RFC 6531 3.4, 3.5; a parameter may hold UTF-8 as well */
	if (!p->is_utf8 && !is_ascii)
		return RPL_NEED_UTF8;
	used = mailaddr_parse(arg + n, len - n, flags, &p->addr);
	if (used == -1)
		return bad_path(p, errno);
	if (p->addr.is_literal && !o->allow_ip_literal)
		return RPL_LITERAL;
	/* from now on all forms of an address are one */
	if (mailaddr_format(&p->addr, p->text, sizeof(p->text)) == -1)
		return bad_path(p, errno);
	mailaddr_split(p->text, &p->addr);
	if (p->is_rcpt)
		resolve_postmaster(st, p);
	if (p->addr.domain_len == 0 && p->addr.local_len > 0 &&
	    p->domain[0] != '\0')
		id = qualify(p, arg + n, (size_t)used, flags);
	if (id != RPL_OK)
		return id;
	n += (size_t)used;
	id = esmtp_ext_params(st->mc, arg + n, len - n, p->is_rcpt,
	    &p->params);
	/* it seemed to be there, but was inside the quotes of the address */
	if (id == RPL_OK && !is_ascii && !p->is_rcpt &&
	    !(p->params.env_flags & SPOOL_ENV_SMTPUTF8))
		id = RPL_NEED_UTF8;
	return id;
}

/* Keep the texts that MAIL has said.  0, or -1: ENOMEM. */
static int
keep_texts(struct esmtp_txn *t, const struct esmtp_params *p)
{
	if (p->envid[0] != '\0' && (t->envid = strdup(p->envid)) == NULL)
		return -1;
	if (p->solicit != NULL && (t->solicit = strndup(p->solicit,
	    p->solicit_len)) == NULL)
		return -1;
	return 0;
}

/* Begin the transaction: RPL_SENDER_OK or the refusal. */
static enum esmtp_reply_id
begin(struct esmtp_step *st, const struct path_arg *p)
{
	struct esmtp_txn *t = esmtp_txn_new(st->ac->host, &p->addr, &st->now);

	if (t == NULL)
		return RPL_NOMEM;
	st->mc->txn = t;
	t->env_flags = p->params.env_flags;
	t->hold_until = p->params.hold_until;
	t->deliver_by = p->params.deliver_by;
	t->has_priority = p->params.has_priority;
	t->priority = p->params.priority;
	if (keep_texts(t, &p->params) == -1 || esmtp_lmtp_begin(st, t) == -1) {
		esmtp_txn_reset(st->mc);
		return RPL_NOMEM;
	}
	return p->params.is_priority_changed ? RPL_SENDER_PRIORITY :
	    RPL_SENDER_OK;
}

/* RFC 3865 2.4: the refusal names the class that is not wanted. */
static void
refuse_class(struct esmtp_step *st, const struct esmtp_params *p)
{
	char text[LIM_REPLY_LINE];
	int n = snprintf(text, sizeof(text), "SOLICIT=%.*s",
	    (int)MIN(p->unwanted_len, sizeof(text)), p->unwanted);

	esmtp_reply_with(st, RPL_SOLICITATION, text,
	    MIN((size_t)n, sizeof(text) - 1));
}

enum esmtp_want
esmtp_cmd_mail(struct esmtp_step *st, const char *arg, size_t len)
{
	message_construct *mc = st->mc;
	enum esmtp_reply_id id;
	enum esmtp_want w = W_GO;
	struct path_arg p;	/* large: parse_path() fills it in */

	p.keyword = "FROM:";
	p.bad = RPL_BAD_SENDER;
	p.bad_utf8 = RPL_SENDER_UTF8;
	p.flags = MAILADDR_ALLOW_NULL | MAILADDR_ALLOW_LONG;
	p.domain = st->ac->options->domain_for_sender;
	p.is_rcpt = false;
	p.is_utf8 = esmtp_ext_may_utf8(mc) && esmtp_ext_names_utf8(arg, len);
	id = parse_path(st, &p, arg, len);
	if (id == RPL_OK && p.addr.local_len == 0 &&
	    !st->ac->options->allow_null_envelope_sender)
		id = RPL_NULL_SENDER;
	if (id == RPL_OK && st->ac->host->is_held)
		id = RPL_HELD;
	esmtp_enter(mc, ES_MAIL_REPLY);
	if (id == RPL_OK)
		w = esmtp_phase(st, VALIDATE_PHASE_MAILFROM, NULL, &p.addr);
	if (w != W_GO)
		return w == W_REFUSED ? W_GO : w;
	if (id == RPL_OK)
		id = begin(st, &p);
	if (id == RPL_SOLICITATION)
		refuse_class(st, &p.params);
	else
		esmtp_reply(st, id);
	return W_GO;
}

/* The recipients are the only memory of a session that a client can make much
 * larger than others do.  When those of all sessions reach the host's bound, or
 * those of a client its share of that, the sessions that have had a share of
 * their own get no more, and the others are served. */
static bool
has_room(message_construct *mc)
{
	const struct esmtp_host *host = mc->ac->host;
	bool is_room;

	if (esmtp_rcpts_octets(&mc->txn->rcpts) +
	    esmtp_lmtp_octets(mc->txn->lmtp) < LIM_RCPTS_SHARE)
		return true;
	if (host->held_max != 0 && host->held_octets >= host->held_max)
		return false;
	is_room = esmtp_client_has_room(mc);
	esmtp_lmtp_count_for(mc->txn->lmtp, mc->txn->rcpts.client);
	return is_room;
}

#define ENVELOPE_EACH	2	/* octets of a recipient in the envelope beyond its text ... */
#define ENVELOPE_SAID	20	/* ... and beyond what it has said, if any has */

/* Does the envelope take one more, with its parameters?  If not, the client has
 * to know it now, and not behind its message. */
static bool
fits_envelope(const message_construct *mc)
{
	const struct esmtp_rcpts *r = &mc->txn->rcpts;
	size_t each = ENVELOPE_EACH + (r->said != NULL ? ENVELOPE_SAID : 0);

	return r->len + r->n * each + LIM_PATH + LIM_ORCPT <=
	    LIM_ENVELOPE_RCPTS;
}

/* RFC 9422 4.3: some servers cannot take a message for more than so many domains;
 * the client sends it to the others in another transaction. */
static bool
is_domain_too_many(const message_construct *mc)
{
	int64_t max = mc->ac->options->max_recipient_domains_per_message;

	return max > 0 && mc->txn->rcpts.ndomains > (uint64_t)max;
}

/* Add the recipient; one named twice gets the message once, and what the first
 * one has said holds. */
static enum esmtp_reply_id
add_rcpt(message_construct *mc, const struct path_arg *p)
{
	struct esmtp_rcpts *r = &mc->txn->rcpts;
	int added;

	if (!has_room(mc) || !fits_envelope(mc))
		return RPL_RCPTS_ROOM;
	/* one that is named again has a reply of its own, which takes memory */
	if (esmtp_lmtp_count(mc->txn->lmtp) >=
	    (uint64_t)mc->ac->options->max_recipients_per_message)
		return RPL_RCPTS;
	added = esmtp_rcpts_add(r, p->text, true);
	if (added == -1)
		return RPL_NOMEM;
	if (added == 1 && is_domain_too_many(mc)) {
		esmtp_rcpts_remove(r, p->text);
		return RPL_RCPT_DOMAINS;
	}
	if (added == 1 &&
	    (p->params.notify != 0 || p->params.orcpt[0] != '\0') &&
	    esmtp_rcpts_say(r, p->params.notify, p->params.orcpt) == -1) {
		esmtp_rcpts_remove(r, p->text);
		return RPL_NOMEM;
	}
	mc->txn->is_rcpt_new = added == 1;
	mc->nrcpts += (unsigned int)added;
	return RPL_RCPT_OK;
}

/* The recipient is not accepted after all. */
static void
take_back(message_construct *mc, const struct path_arg *p)
{
	if (mc->txn->is_rcpt_new &&
	    esmtp_rcpts_remove(&mc->txn->rcpts, p->text) != -1)
		mc->nrcpts--;
}

/* The recipient is in the list now: modules may look at it, and change it.  If
 * they refuse the recipient, it was not added. */
static enum esmtp_want
list_phase(struct esmtp_step *st, const struct path_arg *p)
{
	message_construct *mc = st->mc;
	enum esmtp_want w = esmtp_phase_in(st, ES_RCPT_LIST,
	    VALIDATE_PHASE_RCPTTO_LIST, &p->addr);

	if (w == W_REFUSED)
		take_back(mc, p);
	if (w != W_WAIT)
		esmtp_enter(mc, ES_RCPT_REPLY);
	return w;
}

/* Is it an address that a server which forwards has made of a sender, for reports?
 * It has both domains in it, and so it may be long. */
static bool
is_rewritten(const char *arg, size_t len)
{
	const char *s = memchr(arg, '<', len), *end = arg + len;

	if (s == NULL)
		return false;
	s++;
	/* one in quotes has been made of one in quotes */
	if (s < end && *s == '"')
		s++;
	return end - s > 5 && (strncasecmp(s, "SRS0", 4) == 0 ||
	    strncasecmp(s, "SRS1", 4) == 0) && memchr("=+-", s[4], 3) != NULL;
}

enum esmtp_want
esmtp_cmd_rcpt(struct esmtp_step *st, const char *arg, size_t len)
{
	message_construct *mc = st->mc;
	enum esmtp_reply_id id;
	enum esmtp_want w = W_GO;
	struct path_arg p;	/* large: parse_path() fills it in */

	p.keyword = "TO:";
	p.bad = RPL_BAD_RCPT;
	p.bad_utf8 = RPL_RCPT_UTF8;
	p.flags = MAILADDR_ALLOW_POSTMASTER;
	if (is_rewritten(arg, len))
		p.flags |= MAILADDR_ALLOW_LONG;
	p.domain = st->ac->options->domain_for_recipients;
	p.is_rcpt = true;
	p.is_utf8 = (mc->txn->env_flags & SPOOL_ENV_SMTPUTF8) != 0;
	id = parse_path(st, &p, arg, len);
	esmtp_enter(mc, ES_RCPT_REPLY);
	if (id == RPL_OK)
		w = esmtp_phase(st, VALIDATE_PHASE_RCPTTO, NULL, &p.addr);
	if (w == W_GO && id == RPL_OK) {
		id = esmtp_is_suspended(mc, VALIDATE_PHASE_RCPTTO_LIST) ?
		    RPL_RCPT_OK : add_rcpt(mc, &p);
		if (id == RPL_RCPT_OK)
			w = list_phase(st, &p);
	}
	if (w != W_GO)
		return w == W_REFUSED ? W_GO : w;
	if (id == RPL_RCPT_OK &&
	    esmtp_lmtp_accept(mc->txn->lmtp, p.text) == -1) {
		take_back(mc, &p);
		id = RPL_NOMEM;
	}
	esmtp_reply(st, id);
	return W_GO;
}
