/* The beginning and the end of a session.
 * Owns: the message_construct, the reports of both, what is left to the caller.
 * Knows nothing of what is said in between.
 *
 * A session ends in its own step, or from outside with
 * esmtp_destroy_message_construct().  That function may also be called inside a
 * step: by a verb, a module, a report.  Then the step still needs its session:
 * it is only noted (is_dropped), nothing more is answered, reported or committed,
 * and the session ends with the step.
 * With esmtp_session_close() it always ends in a step, since its client may have to
 * be told. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/command/esmtp_own.h"
#include "proto/factory/esmtp_embed.h"
#include "proto/factory/esmtp_factory_int.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_tls.h"
#include "proto/server/esmtp_txn.h"

static_assert(offsetof(message_construct, ac) ==
    offsetof(message_construct, vctx.ac), "vctx begins with ac");

void
esmtp_host_enter(accept_construct *ac)
{
	if (ac->protocol == P_ESMTP)
		return;
	ac->protocol = P_ESMTP;
	ac->host->nlive++;
	options_take(ac->options);
}

void
esmtp_host_leave(accept_construct *ac)
{
	/* else it is a listener's that has not begun */
	if (ac->protocol != P_ESMTP)
		return;
	ac->host->nlive--;
	options_release(ac->options);
}

message_construct *
esmtp_session_begin(accept_construct *ac, const struct timeval *now)
{
	bool is_proxy = ac->options->proxy_protocol;
	message_construct *mc;

	esmtp_begin();
	mc = calloc(1, sizeof(*mc) + (is_proxy ? sizeof(*mc->dest) : 0));
	if (mc == NULL)
		return NULL;
	mc->ac = ac;
	mc->has_dest = is_proxy;
	mc->started = mc->idle_since = mc->wait_since = mc->seen =
	    moment_of(now);
	mc->extensions = esmtp_ext_enabled(ac->options);
	validate_context_init(&mc->vctx, ac);
	ac->id[sizeof(ac->id) - 1] = '\0';
	ac->accept_construct_closure.vptr = mc;
	esmtp_host_enter(ac);
	return mc;
}

static void
session_free(message_construct *mc)
{
	accept_construct *ac = mc->ac;

	esmtp_own_stop(mc);
	ac->accept_construct_closure.vptr = NULL;
	ac->is_ended = 1;
	answers_drop(&ac->host->answers, &ac->questions, -1);
	esmtp_tls_raise(mc);
	esmtp_auth_forget(mc);
	esmtp_txn_reset(mc);
	validate_context_destroy(&mc->vctx);
	free(mc->helo);
	free(mc->refusal);
	esmtp_told_clear(mc->told, 0, ESMTP_NATTRIBUTES - 1);
	free(mc->told);
	esmtp_drop_input(mc);
	free(mc->out);
	free(mc);
	/* the last that is done with options which another thread may free */
	esmtp_host_leave(ac);
}

static void
report_end(struct esmtp_step *st)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_END };

	r.nmessages = st->mc->nmessages;
	r.elapsed = moment_tv(moment_of(&st->now) - st->mc->started);
	esmtp_answering(st, "", "", 0);
	esmtp_report(st, &r);
}

void
esmtp_destroy_message_construct(message_construct *info)
{
	struct esmtp_host *host;
	struct esmtp_step st, *outer;

	if (info == NULL)
		return;
	info->is_dropped = info->is_closing = info->is_hasty = 1;
	if (info->step != NULL)
		return;
	/* what is called by the report, and by what ends with the session, is
	 * inside a step */
	st = (struct esmtp_step){ .mc = info, .ac = info->ac,
	    .event = info->ac->event, .now = moment_tv(info->seen) };
	info->step = &st;
	host = info->ac->host;
	outer = host->step;
	host->step = &st;
	/* before the report, which is the last call for this session */
	esmtp_own_stop(info);
	report_end(&st);
	session_free(info);
	host->step = outer;
}

/* Would the client understand a reply now?  While a message is being committed
 * it would not: it would take a refusal for the answer to a message that may be
 * delivered; in LMTP the same is true while replies to a message are owed. */
static bool
can_hear(const message_construct *mc)
{
	const struct esmtp_options *o = mc->ac->options;

	if (esmtp_is_answering(mc))
		return false;
	switch (mc->wait) {
	case WAIT_ACCEPT:
		/* a session before its first step has this value, too */
	case WAIT_PROXY:
		return !o->proxy_protocol && !o->use_ssl;
	case WAIT_CLIENT:
		return !o->use_ssl;
	case WAIT_TLS:
	case WAIT_COMMIT:
		return false;
	default:
		return mc->tls_stage == TLS_IDLE;
	}
}

/* Add ${line}, the last reply of the session: to the replies of the step that
 * is running, or to those that the client has not taken yet. */
static int
say_last(message_construct *mc, const char *line, size_t len)
{
	struct esmtp_step *st = mc->step;
	size_t kept = mc->out != NULL ? mc->out->len : 0;
	struct esmtp_kept *out;

	if (st != NULL) {
		/* there is room: it is made before each command */
		if (len <= st->out_size - st->out_len) {
			memcpy(st->out + st->out_len, line, len);
			st->out_len += len;
		}
		return 0;
	}
	if ((out = realloc(mc->out, sizeof(*out) + kept + len)) == NULL)
		return -1;
	if (mc->out == NULL)
		*out = (struct esmtp_kept){ .len = 0 };
	memcpy(out->octets + kept, line, len);
	out->size = out->len = (uint32_t)(kept + len);
	mc->out = out;
	return 0;
}

int
esmtp_session_close(accept_construct *ac, int code, const char *text)
{
	message_construct *mc = accept_construct_get_message_construct(ac);
	char line[LIM_REPLY_LINE];
	size_t n;

	if (mc == NULL || (code != 0 && (code < 400 || code > 599)) ||
	    (text != NULL && strpbrk(text, "\r\n") != NULL)) {
		errno = EINVAL;
		return -1;
	}
	/* its last reply has been given already */
	if (mc->is_closing)
		return 0;
	if (code != 0 && can_hear(mc)) {
		n = esmtp_reply_last_words(mc, code, text != NULL ? text : "",
		    line);
		if (say_last(mc, line, n) == -1)
			return -1;
	}
	mc->is_closing = mc->is_hasty = 1;
	mc->is_dropped = mc->step != NULL;
	return 0;
}

/* The descriptor is closed in any case, through TLS if there is. */
int
esmtp_session_end(struct esmtp_step *st)
{
	esmtp_own_stop(st->mc);
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
	esmtp_host_leave(st->ac);
	return 0;
}
