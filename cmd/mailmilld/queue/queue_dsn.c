/* Reports to senders, as the queue wants them made: from what it knows to what
 * proto/report/dsn.h writes. */

#include <errno.h>
#include <stdlib.h>

#include "cmd/mailmilld/queue/queue.h"
#include "core/spool.h"
#include "proto/report/dsn.h"

static struct dsn_rcpt
rcpt_of(const struct queue_report_rcpt *r)
{
	static const struct {
		enum dsn_action	 action;
		enum dsn_why	 why;
	} outcomes[QUEUE_OUTCOMES] = {
		[QUEUE_WAITS] = { DSN_DELAYED, DSN_REFUSED },
		[QUEUE_FAILED] = { DSN_FAILED, DSN_REFUSED },
		[QUEUE_EXPIRED] = { DSN_FAILED, DSN_EXPIRED },
		[QUEUE_LATE] = { DSN_FAILED, DSN_LATE },
		[QUEUE_DELIVERED] = { DSN_DELIVERED, DSN_REFUSED },
		[QUEUE_RELAYED] = { DSN_RELAYED, DSN_REFUSED },
		[QUEUE_EXPANDED] = { DSN_EXPANDED, DSN_REFUSED },
	};

	return (struct dsn_rcpt){ .rcpt = r->rcpt, .orcpt = r->orcpt,
		.action = outcomes[r->outcome].action,
		.why = r->is_late ? DSN_LATE : outcomes[r->outcome].why, .code = r->code,
		.enhanced = r->enhanced, .remote = r->remote,
		.text = r->text, .last_attempt = r->last_attempt,
		.retry_until = r->retry_until };
}

int
queue_dsn(void *closure, const struct queue_report *report, char **text_r,
    size_t *len_r, unsigned int *flags_r)
{
	struct queue_role *role = closure;
	struct dsn d = { .hostname = role->child->settings->hostname,
		.id = report->id, .now = report->now, .to = report->to,
		.of = report->of, .sender = report->sender,
		.envid = report->envid, .arrival = report->arrival,
		.is_utf8 = (report->env_flags & SPOOL_ENV_SMTPUTF8) != 0,
		.text = report->text, .len = report->len,
		.is_whole = report->is_whole, .nrcpts = report->nrcpts };
	struct dsn_rcpt *rcpts = calloc(d.nrcpts, sizeof(*rcpts));
	unsigned int needs;
	size_t i;

	if (rcpts == NULL)
		return -1;
	for (i = 0; i < d.nrcpts; i++)
		rcpts[i] = rcpt_of(&report->rcpts[i]);
	d.rcpts = rcpts;
	*text_r = dsn_compose(&d, len_r, &needs);
	free(rcpts);
	if (*text_r == NULL) {
		errno = ENOMEM;
		return -1;
	}
	*flags_r = ((needs & DSN_NEEDS_8BITMIME) != 0 ?
	    SPOOL_ENV_8BITMIME : 0) | ((needs & DSN_NEEDS_SMTPUTF8) != 0 ?
	    SPOOL_ENV_SMTPUTF8 : 0);
	return 0;
}
