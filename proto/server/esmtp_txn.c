/* A mail transaction: sender, recipients, the message in the spool.
 * Owns: its memory.  Knows nothing of commands and replies. */

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/server/esmtp_int.h"

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
esmtp_txn_reset(message_construct *mc)
{
	struct esmtp_txn *t = mc->txn;

	mc->txn = NULL;
	validate_context_clear(&mc->vctx, VCTX_MESS);
	if (t == NULL)
		return;
	free(mc->refusal);
	mc->refusal = NULL;
	mc->ac->host->spool->abort(t->msg);
	esmtp_rcpts_clear(&t->rcpts);
	free(t->each.rcpt);
	free(t);
}
