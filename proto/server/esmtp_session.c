/* The beginning and the end of a session.
 * Owns: the message_construct, the reports of both, what is left to the caller.
 * Knows nothing of what is said in between.
 *
 * A session ends in its own step, or from outside with
 * esmtp_destroy_message_construct().  That function may also be called inside a
 * step: by a verb, a module, a report.  Then the step still needs its session:
 * it is only noted (is_dropped), nothing more is answered, reported or committed,
 * and the session ends with the step. */

#include <errno.h>
#include <stdlib.h>

#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_ext.h"

message_construct *
esmtp_session_new(accept_construct *ac, const struct timeval *now)
{
	message_construct *mc;

	esmtp_begin();
	if ((mc = calloc(1, sizeof(*mc))) == NULL)
		return NULL;
	mc->ac = ac;
	mc->started = mc->idle_since = mc->wait_since = mc->seen = *now;
	mc->extensions = esmtp_ext_enabled(ac->options);
	validate_context_init(&mc->vctx);
	mc->vctx.mc = mc;
	ac->id[sizeof(ac->id) - 1] = '\0';
	ac->accept_construct_closure.vptr = mc;
	ac->protocol = P_ESMTP;
	return mc;
}

static void
session_free(message_construct *mc)
{
	mc->ac->accept_construct_closure.vptr = NULL;
	mc->ac->is_ended = 1;
	esmtp_tls_raise(mc);
	esmtp_auth_forget(mc);
	esmtp_txn_reset(mc);
	validate_context_destroy(&mc->vctx);
	free(mc->helo);
	esmtp_drop_input(mc);
	free(mc->out);
	free(mc);
}

static void
report_end(struct esmtp_step *st)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_END };

	r.nmessages = st->mc->nmessages;
	timersub(&st->now, &st->mc->started, &r.elapsed);
	esmtp_answering(st, "", "", 0);
	esmtp_report(st, &r);
}

void
esmtp_destroy_message_construct(message_construct *info)
{
	struct esmtp_step st;

	if (info == NULL)
		return;
	info->is_dropped = info->is_closing = info->is_hasty = 1;
	if (info->step != NULL)
		return;
	/* what is called by the report, and by what ends with the session, is
	 * inside a step */
	st = (struct esmtp_step){ .mc = info, .ac = info->ac,
	    .event = info->ac->event, .now = info->seen };
	info->step = &st;
	report_end(&st);
	session_free(info);
}

/* The descriptor is closed in any case, through TLS if there is. */
int
esmtp_session_end(struct esmtp_step *st)
{
	esmtp_tls_raise(st->mc);
	event_close(st->event);
	report_end(st);
	session_free(st->mc);
	return 0;
}

int
esmtp_session_end_here(struct esmtp_step *st)
{
	event_close(st->event);
	session_free(st->mc);
	return 0;
}

int
esmtp_session_refuse(struct esmtp_step *st)
{
	const struct esmtp_reply_row *row = &esmtp_reply_rows[RPL_INTERNAL];
	const struct esmtp_options *o = st->ac->options;
	struct esmtp_report r = { .kind = ESMTP_REPORT_CONNECT,
		.enhanced = row->enhanced, .detail = row->text,
		.errnum = ENOMEM };
	size_t n;
	int need;

	st->ac->is_ended = 1;
	n = esmtp_reply_row_format(RPL_INTERNAL, st->out, st->out_size);
	if (!o->use_ssl && !o->proxy_protocol)
		(void)event_write(st->event, st->out, (int)n, &need);
	event_close(st->event);
	esmtp_report(st, &r);
	r.kind = ESMTP_REPORT_REJECTED;
	r.code = row->code;
	esmtp_report(st, &r);
	r.kind = ESMTP_REPORT_END;
	esmtp_report(st, &r);
	return 0;
}
