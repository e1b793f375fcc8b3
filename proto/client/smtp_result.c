/* Outcomes: of recipients, and of the connection.
 * Owns: what a reply or a failure means for a recipient (smtp_why.def). */

#include <stdlib.h>
#include <string.h>

#include "proto/client/smtp_client_int.h"

static const struct {
	enum smtp_outcome	 outcome;
	int			 code;
	const char		*enhanced;
	const char		*words;
} rows[SMTP_NWHYS] = {
#define SMTP_WHY(id, outcome, code, enhanced, words) \
	[SMTP_WHY_##id] = { SMTP_##outcome, code, enhanced, words },
#include "proto/client/smtp_why.def"
#undef SMTP_WHY
};

void
smtp_result_why(const struct smtp_client *c, enum smtp_why why, int errnum,
    struct smtp_result *r)
{
	*r = (struct smtp_result) {
		.outcome = rows[why].outcome,
		.why = why,
		.code = rows[why].code,
		.enhanced = rows[why].enhanced,
		.words = rows[why].words,
		.command = c->state == SS_EHLO && c->options.is_lmtp ?
		    "LHLO" : smtp_state_row(c)->command,
		.errnum = errnum,
	};
	if (why == SMTP_WHY_NO_REPLY &&
	    smtp_reader_why(&c->reader)[0] != '\0')
		r->words = smtp_reader_why(&c->reader);
}

void
smtp_result_said(const struct smtp_client *c, struct smtp_result *r)
{
	const struct smtp_reply *p = &c->reader.reply;

	smtp_result_why(c, SMTP_WHY_CODE, 0, r);
	switch (p->code / 100) {
	case 2:
		r->outcome = SMTP_ACCEPTED;
		break;
	case 4:
		r->outcome = SMTP_DEFERRED;
		break;
	case 5:
		r->outcome = SMTP_REFUSED;
		break;
	default:
		return;
	}
	r->why = SMTP_WHY_SAID;
	r->code = p->code;
	r->enhanced = p->enhanced;
	r->words = p->words;
}

void
smtp_tell(struct smtp_client *c, size_t i, const struct smtp_result *r)
{
	c->txn.of[i] = SR_TOLD;
	c->ops->rcpt(c->host, c, i, r);
}

void
smtp_tell_all(struct smtp_client *c, const struct smtp_result *r)
{
	struct smtp_result each = *r;
	size_t i;

	if (c->txn.is_sent && r->why != SMTP_WHY_SAID)
		each.outcome = SMTP_UNCERTAIN;
	for (i = 0; i < c->txn.m.env->nrcpts; i++)
		if (c->txn.of[i] != SR_TOLD)
			smtp_tell(c, i, &each);
}

void
smtp_note_end(struct smtp_client *c, const struct smtp_result *r)
{
	struct smtp_end *end = &c->end;

	if (end->is_noted)
		return;
	end->is_noted = true;
	end->result = *r;
	if (r->why != SMTP_WHY_SAID)
		return;
	/* the next reply overwrites the words */
	end->words = strdup(r->words);
	end->result.words = end->words != NULL ? end->words : "";
	memcpy(end->enhanced, c->reader.reply.enhanced, sizeof(end->enhanced));
	end->result.enhanced = end->enhanced;
}

void
smtp_end(struct smtp_client *c, enum smtp_why why, int errnum)
{
	struct smtp_result r;

	smtp_result_why(c, why, errnum, &r);
	smtp_note_end(c, &r);
	if (c->end.last == SMTP_NWHYS) {
		c->end.last = why;
		c->end.errnum = errnum;
	}
	c->is_ending = true;
}

void
smtp_end_said(struct smtp_client *c)
{
	struct smtp_result r;

	smtp_result_said(c, &r);
	smtp_note_end(c, &r);
	c->is_ending = true;
}
