/* A mail transaction: sender, recipients, the message in the spool.
 * Owns: its memory, the envelope that the spool gets.
 * Knows nothing of commands and replies. */

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/addr.h"
#include "proto/answers/answers.h"
#include "proto/server/esmtp_state.h"
#include "proto/server/esmtp_txn.h"

struct esmtp_txn *
esmtp_txn_new(struct esmtp_host *host, const struct mailaddr *sender,
    const struct timeval *now)
{
	char addr[LIM_PATH + 1];
	struct esmtp_txn *t;
	int n;

	n = mailaddr_format(sender, addr, sizeof(addr));
	if (n == -1 || (t = calloc(1, sizeof(*t) + (size_t)n + 1)) == NULL)
		return NULL;
	memcpy(t->sender, addr, (size_t)n + 1);
	t->started = moment_of(now);
	t->failure = -1;
	t->rcpts.held = &host->held_octets;
	return t;
}

void
esmtp_told_clear(struct esmtp_told *told, enum esmtp_attribute from,
    enum esmtp_attribute to)
{
	unsigned int i;

	for (i = from; told != NULL && i <= to; i++) {
		free(told->text[i]);
		told->text[i] = NULL;
	}
}

void
esmtp_txn_reset(message_construct *mc)
{
	struct esmtp_txn *t = mc->txn;

	mc->txn = NULL;
	validate_context_clear(&mc->vctx, VCTX_MESS);
	esmtp_told_clear(mc->told, ESMTP_FORWARD_NAME, ESMTP_FORWARD_SOURCE);
	if (t == NULL)
		return;
	free(mc->refusal);
	mc->refusal = NULL;
	if (t->msg != NULL)
		mc->ac->host->spool->abort(t->msg);
	/* it counts for the client, too */
	esmtp_lmtp_free(t->lmtp);
	esmtp_rcpts_clear(&t->rcpts);
	esmtp_client_leave(mc->ac->host, &t->rcpts);
	free(t->each.rcpt);
	free(t->envid);
	free(t->solicit);
	free(t->fields);
	free(t->submit);
	free(t);
}

void
esmtp_txn_end(struct esmtp_step *st, size_t mark)
{
	if (!esmtp_lmtp_answer(st, mark))
		esmtp_txn_reset(st->mc);
}

bool
esmtp_txn_is_late(const struct esmtp_txn *t, const struct timeval *now)
{
	return (t->env_flags & SPOOL_ENV_BY_RETURN) != 0 &&
	    t->deliver_by != 0 && t->deliver_by <= now->tv_sec;
}

/* RFC 8689 4.1: what the header says counts if MAIL has not said otherwise. */
static unsigned int
flags_of(const struct esmtp_txn *t)
{
	return t->env_flags | (t->header.is_tls_optional &&
	    (t->env_flags & SPOOL_ENV_REQUIRETLS) == 0 ?
	    SPOOL_ENV_TLS_OPTIONAL : 0);
}

#define FEW_RCPTS	8	/* a list of them is made on the stack */

/* What is told of each recipient, for the envelope */
struct rcpt_lists {
	const char	*few_rcpts[FEW_RCPTS], *few_orcpts[FEW_RCPTS];
	uint8_t		 few_notify[FEW_RCPTS];
	char		*room;		/* for more than a few; NULL: none */
};

/* Point ${env} at lists of the recipients of ${t}, in ${l}.  0, or -1: ENOMEM. */
static int
list_rcpts(const struct esmtp_txn *t, struct rcpt_lists *l,
    struct spool_envelope *env)
{
	size_t n = t->rcpts.n, i;
	const char **rcpts = l->few_rcpts, **orcpts = l->few_orcpts;
	uint8_t *notify = l->few_notify;

	l->room = NULL;
	if (n > FEW_RCPTS) {
		l->room = calloc(n, 2 * sizeof(*rcpts) + sizeof(*notify));
		if (l->room == NULL)
			return -1;
		rcpts = (const char **)(void *)l->room;
		orcpts = rcpts + n;
		notify = (uint8_t *)(orcpts + n);
	}
	env->rcpts = rcpts;
	env->nrcpts = n;
	for (i = 0; i < n; i++)
		rcpts[i] = esmtp_rcpts_get(&t->rcpts, i);
	if (t->rcpts.said == NULL)
		return 0;
	env->orcpts = orcpts;
	env->notify = notify;
	for (i = 0; i < n; i++)
		notify[i] = (uint8_t)esmtp_rcpts_said(&t->rcpts, i,
		    &orcpts[i]);
	return 0;
}

int
esmtp_txn_commit(struct esmtp_step *st)
{
	struct esmtp_txn *t = st->mc->txn;
	struct rcpt_lists lists;
	char peer[ADDR_TEXT];
	struct spool_envelope env = { .sender = t->sender };
	int result;

	if (list_rcpts(t, &lists, &env) == -1)
		return -1;
	env.session = st->ac->id;
	env.client = addr_text(&st->ac->remote_addr.sa, peer);
	env.helo = st->mc->helo != NULL ? st->mc->helo : "";
	env.received = st->now;
	env.flags = flags_of(t);
	env.envid = t->envid;
	env.solicit = t->solicit;
	env.hold_until = t->hold_until;
	env.deliver_by = t->deliver_by;
	env.priority = t->priority;
	env.login = st->mc->login;
	env.is_lmtp = t->lmtp != NULL;
	env.context = st->ac->context;
	env.id = t->id;
	env.ticket = answers_open(&st->ac->host->answers, st->ac,
	    &st->ac->questions, ASK_COMMIT, NULL);
	result = env.ticket == 0 ? -1 :
	    st->ac->host->spool->commit(t->msg, &env);
	free(lists.room);
	return result;
}
