/* What a validation module may know of its session, and what it may change of
 * the envelope; see validate.h.
 * Knows nothing of what modules do with it. */

#include "proto/validate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/utf8.h"
#include "proto/server/esmtp_state.h"
#include "proto/server/esmtp_txn.h"

static message_construct *
session_of(const validate_context *vctx)
{
	return accept_construct_get_message_construct(vctx->ac);
}

int
validate_context_find_message_construct(validate_context *vctx,
    message_construct **mc)
{
	*mc = session_of(vctx);
	return *mc != NULL;
}

/* --- the connection ------------------------------------------------------- */

const struct sockaddr *
validate_context_peer(const validate_context *vctx)
{
	return &vctx->ac->remote_addr.sa;
}

const struct sockaddr *
validate_context_via(const validate_context *vctx)
{
	const message_construct *mc = session_of(vctx);

	return esmtp_is_claimed(mc) ? &mc->told->via.sa : NULL;
}

const struct esmtp_options *
validate_context_options(const validate_context *vctx)
{
	return vctx->ac->options;
}

const struct esmtp_tls *
validate_context_tls(const validate_context *vctx)
{
	return vctx->ac->tls;
}

const char *
validate_context_helo(const validate_context *vctx)
{
	return session_of(vctx)->helo;
}

const char *
validate_context_login(const validate_context *vctx)
{
	return session_of(vctx)->login;
}

/* --- the message ---------------------------------------------------------- */

int
validate_context_sender(const validate_context *vctx,
    struct mailaddr *addr_r)
{
	const struct esmtp_txn *t = session_of(vctx)->txn;

	if (t == NULL)
		return 0;
	mailaddr_split(t->sender, addr_r);
	return 1;
}

int
validate_context_rcpt(const validate_context *vctx, size_t pos,
    struct mailaddr *addr_r)
{
	const struct esmtp_txn *t = session_of(vctx)->txn;

	if (t == NULL || pos >= t->rcpts.n)
		return 0;
	mailaddr_split(esmtp_rcpts_get(&t->rcpts, pos), addr_r);
	return 1;
}

uint64_t
validate_context_count(const validate_context *vctx, enum validate_count which)
{
	const message_construct *mc = session_of(vctx);
	const struct esmtp_txn *t = mc->txn;

	switch (which) {
	case VALIDATE_COUNT_SESSION_MESSAGES:
		return mc->nmessages;
	case VALIDATE_COUNT_SESSION_RCPTS:
		return mc->nrcpts;
	case VALIDATE_COUNT_RCPTS:
		return t != NULL ? t->rcpts.n : 0;
	case VALIDATE_COUNT_OCTETS:
		return t != NULL ? t->octets : 0;
	case VALIDATE_COUNT_RECEIVED:
		return t != NULL ? t->header.nreceived : 0;
	}
	return 0;
}

/* --- what the host says --------------------------------------------------- */

/* Was the host asked about ${addr} before, in this phase, and what has it
 * answered? */
static enum answers_state
asked_before(accept_construct *ac, const struct mailaddr *addr,
    enum esmtp_rcpt_status *status_r)
{
	struct answers *answers = &ac->host->answers;
	enum answers_state state;
	char about[LIM_PATH + 2];

	if (ac->questions == 0 ||
	    mailaddr_format(addr, about, sizeof(about)) == -1)
		return ANSWERS_NONE;
	state = answers_state(answers, ac->questions, ASK_RCPT, about);
	if (state == ANSWERS_GIVEN)
		*status_r = (enum esmtp_rcpt_status)answers_value(answers,
		    ac->questions, ASK_RCPT, about);
	return state;
}

/* Ask the host, in a step of the session.  Return ESMTP_RCPT_ASKED if it
 * answers later; the answer is then kept to the end of the phase. */
static enum esmtp_rcpt_status
ask_host(struct esmtp_step *st, const struct mailaddr *addr)
{
	const struct esmtp_host *host = st->ac->host;
	enum esmtp_rcpt_status status = ESMTP_RCPT_ASKED;
	enum esmtp_ask outer = st->asking;	/* a verb may have called */

	switch (asked_before(st->ac, addr, &status)) {
	case ANSWERS_GIVEN:
	case ANSWERS_OPEN:
		return status;
	default:
		break;
	}
	st->ask_addr = addr;
	/* outside of a phase no module can be called again, so there is no
	 * answer that comes later */
	st->asking = st->is_in_phase ? ASK_RCPT : ASK_NONE;
	status = host->ops->lookup_rcpt(host->closure, st->ac, addr);
	st->asking = outer;
	/* the host may have answered by its ticket already; if it has made no
	 * ticket, it never will */
	if (status == ESMTP_RCPT_ASKED &&
	    asked_before(st->ac, addr, &status) == ANSWERS_NONE)
		return ESMTP_RCPT_LATER;
	return status;
}

enum esmtp_rcpt_status
validate_context_lookup_rcpt(validate_context *vctx,
    const struct mailaddr *addr)
{
	accept_construct *ac = vctx->ac;
	const struct esmtp_host *host = ac->host;
	struct esmtp_step *st = session_of(vctx)->step;
	enum esmtp_rcpt_status status;

	if (addr == NULL)
		return ESMTP_RCPT_LATER;
	if (host->ops->lookup_rcpt == NULL)
		return ESMTP_RCPT_OK;
	/* a module may ask between two calls of the factory: no step then */
	if (st == NULL) {
		status = host->ops->lookup_rcpt(host->closure, ac, addr);
		return status != ESMTP_RCPT_ASKED ? status : ESMTP_RCPT_LATER;
	}
	if (addr == st->addr && st->rcpt_status != -1)
		return (enum esmtp_rcpt_status)st->rcpt_status;
	status = ask_host(st, addr);
	if (status == ESMTP_RCPT_ASKED) {
		st->is_asked = true;
		return ESMTP_RCPT_LATER;
	}
	if (addr == st->addr)
		st->rcpt_status = (int)status;
	return status;
}

int
validate_context_may_send(validate_context *vctx, const struct mailaddr *addr)
{
	accept_construct *ac = vctx->ac;
	const struct esmtp_host *host = ac->host;
	const char *login = session_of(vctx)->login;

	return login == NULL || host->ops->may_send_as == NULL ||
	    host->ops->may_send_as(host->closure, ac, login, addr);
}

/* --- recipients ----------------------------------------------------------- */

static struct esmtp_rcpts *
rcpts_of(const validate_context *ctx)
{
	const message_construct *mc = session_of(ctx);

	return mc != NULL && mc->txn != NULL ? &mc->txn->rcpts : NULL;
}

int
validate_context_iterate_rcpt(validate_context *ctx, int pos, char **addr)
{
	const struct esmtp_rcpts *r = rcpts_of(ctx);

	*addr = NULL;
	if (r == NULL || pos < 0 || (size_t)pos >= r->n)
		return -1;
	*addr = esmtp_rcpts_get(r, (size_t)pos);
	return (size_t)pos + 1 < r->n ? pos + 1 : -1;
}

int
validate_context_can_modify_rcpts(validate_context *ctx)
{
	const message_construct *mc = session_of(ctx);

	/* while a commit is reported it is over, and nothing waits for it; the
	 * spool has the message from the call of commit on */
	return rcpts_of(ctx) != NULL && mc->wait != WAIT_COMMIT &&
	    mc->state != ES_ASYNC_REPLY &&
	    (mc->state != ES_ASYNC || mc->txn->msg != NULL);
}

/* The address goes into an envelope and a file name, so it has no controls. */
static bool
is_plain_address(const char *addr)
{
	const char *at = addr != NULL ? strrchr(addr, '@') : NULL;
	const char *p;

	if (at == NULL || at == addr || strlen(addr) > LIM_PATH ||
	    !mailaddr_domain_valid(at + 1, strlen(at + 1), true))
		return false;
	for (p = addr; p < at; p++)
		if (*p < 32 || *p > 126)
			return false;
	return true;
}

/* The address as RCPT would have added it: RFC 5321 4.1.2: one mailbox has one
 * form.  It is always the copy in ${text}: ${addr} may be in the list, which
 * moves.  Return whether it is an address. */
static bool
canonical(const char *addr, char text[LIM_PATH + 2])
{
	char path[LIM_PATH + 3];
	struct mailaddr a;
	int n = snprintf(path, sizeof(path), "<%s>", addr);

	if (n >= 0 && (size_t)n < sizeof(path) && mailaddr_parse(path,
	    (size_t)n, MAILADDR_ALLOW_LITERAL | MAILADDR_ALLOW_LONG |
	    MAILADDR_ALLOW_UTF8, &a) == n &&
	    mailaddr_format(&a, text, LIM_PATH + 2) != -1)
		return true;
	snprintf(text, LIM_PATH + 2, "%s", addr);
	return false;
}

/* May the message have this recipient?  RFC 6531 3.4: one that is not ASCII is for
 * messages with SMTPUTF8 alone; a domain in UTF-8 has become ASCII. */
static bool
is_to_add(const struct esmtp_txn *t, const char *addr, char text[LIM_PATH + 2])
{
	if (addr == NULL)
		return false;
	if (utf8_is_ascii(addr, strlen(addr))) {
		(void)canonical(addr, text);
		return is_plain_address(addr);
	}
	return canonical(addr, text) && ((t->env_flags &
	    SPOOL_ENV_SMTPUTF8) != 0 || utf8_is_ascii(text, strlen(text)));
}

int
validate_context_add_rcpt(validate_context *ctx, const char *addr, int uniq)
{
	char text[LIM_PATH + 2];
	struct esmtp_rcpts *r;
	int added;

	if (!validate_context_can_modify_rcpts(ctx)) {
		errno = EPERM;
		return -1;
	}
	if (!is_to_add(session_of(ctx)->txn, addr, text)) {
		errno = EINVAL;
		return -1;
	}
	r = rcpts_of(ctx);
	added = esmtp_rcpts_add(r, text, uniq != 0);
	if (added == 0)
		errno = EEXIST;
	return added == 1 ? (int)r->n - 1 : -1;
}

/* Recipient number ${pos} is gone; the phase for each recipient follows the
 * list. */
static void
follow_removal(struct esmtp_each *each, size_t pos)
{
	if (pos >= each->end)
		return;
	each->end--;
	if (pos < each->at)
		each->at--;
	else if (pos == each->at)
		each->is_gone = true;
}

int
validate_context_remove_rcpt(validate_context *ctx, const char *addr)
{
	char text[LIM_PATH + 2];
	int pos;

	if (addr == NULL || !validate_context_can_modify_rcpts(ctx))
		return -1;
	(void)canonical(addr, text);
	pos = esmtp_rcpts_remove(rcpts_of(ctx), text);
	if (pos != -1)
		follow_removal(&session_of(ctx)->txn->each, (size_t)pos);
	return pos;
}

int
validate_context_remove_all_rcpts(validate_context *ctx)
{
	struct esmtp_each *each;

	if (!validate_context_can_modify_rcpts(ctx))
		return 0;
	esmtp_rcpts_clear(rcpts_of(ctx));
	each = &session_of(ctx)->txn->each;
	each->at = each->end = 0;
	each->is_gone = true;
	return 1;
}
