/* What is done to the header of a message on its way: RFC 6409, for those who
 * submit it.
 * Owns: the fields that are added where they are missing (RFC2822_Date_Header,
 * RFC2822_MessageID_Header); what the addresses in it have to be (Require_FQDN,
 * Header_From_Login).
 * Knows nothing of the octets: esmtp_header.h and esmtp_fields.h do. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message/esmtp_message_int.h"
#include "proto/parse/esmtp_fields.h"
#include "proto/parse/esmtp_received.h"
#include "proto/server/esmtp_output.h"

struct esmtp_submit {
	struct esmtp_fields	 fields;
	bool			 is_completed;	/* what was missing has been added */
	bool			 has_from;	/* an address in From */
};

int
esmtp_submit_begin(struct esmtp_step *st)
{
	const struct esmtp_options *o = st->ac->options;
	struct esmtp_txn *t = st->mc->txn;

	if (o->date_header == ESMTP_HEADER_IGNORE &&
	    o->messageid_header == ESMTP_HEADER_IGNORE && !o->require_fqdn &&
	    !o->header_from_login)
		return 0;
	if ((t->submit = calloc(1, sizeof(*t->submit))) == NULL)
		return -1;
	t->header.marks_end = true;
	return 0;
}

/* --- addresses ------------------------------------------------------------ */

/* May the login write as this one?  Who has not logged in, may. */
static enum esmtp_reply_id
check_from(struct esmtp_step *st, const struct esmtp_fields *f)
{
	char path[sizeof(f->addr) + 2], text[LIM_PATH + 2];
	unsigned int flags = MAILADDR_ALLOW_LITERAL | MAILADDR_ALLOW_LONG;
	struct mailaddr addr;
	int n = snprintf(path, sizeof(path), "<%s>", f->addr);

	if (!st->ac->options->pedantic_addresses)
		flags |= MAILADDR_ALLOW_DOTS;
	if (st->mc->txn->env_flags & SPOOL_ENV_SMTPUTF8)
		flags |= MAILADDR_ALLOW_UTF8;
	/* what is behind a NUL must not escape the check */
	if (f->is_too_long || (size_t)n != f->len + 2 ||
	    mailaddr_parse(path, (size_t)n, flags, &addr) != n ||
	    mailaddr_format(&addr, text, sizeof(text)) == -1)
		return RPL_HEADER_ADDRESS;
	mailaddr_split(text, &addr);
	return validate_context_may_send(&st->mc->vctx, &addr) ? RPL_OK :
	    RPL_FROM_LOGIN;
}

static enum esmtp_reply_id
check_address(struct esmtp_step *st)
{
	const struct esmtp_options *o = st->ac->options;
	struct esmtp_submit *s = st->mc->txn->submit;

	s->has_from |= s->fields.is_from;
	if (o->require_fqdn &&
	    !esmtp_fields_is_qualified(s->fields.addr, s->fields.len))
		return RPL_HEADER_FQDN;
	return o->header_from_login && s->fields.is_from ?
	    check_from(st, &s->fields) : RPL_OK;
}

static enum esmtp_reply_id
read_fields(struct esmtp_step *st, const char *buf, size_t len)
{
	struct esmtp_fields *f = &st->mc->txn->submit->fields;
	enum esmtp_reply_id id = RPL_OK;
	bool is_found;
	size_t n;

	for (; len > 0 && id == RPL_OK; buf += n, len -= n) {
		n = esmtp_fields_next(f, buf, len, &is_found);
		if (is_found)
			id = check_address(st);
	}
	return id;
}

/* --- the end of the header ------------------------------------------------ */

static enum esmtp_reply_id
append(struct esmtp_step *st, const char *buf, size_t len)
{
	return st->ac->host->spool->append(st->mc->txn->msg, buf, len) == 0 ?
	    RPL_OK : (enum esmtp_reply_id)esmtp_errno_reply(errno);
}

/* RFC 6409 8.2, 8.3: what the message lacks.  The name in Message-ID is the one
 * in our Received field. */
static enum esmtp_reply_id
complete(struct esmtp_step *st)
{
	const struct esmtp_options *o = st->ac->options;
	struct esmtp_txn *t = st->mc->txn;
	const struct esmtp_fields *f = &t->submit->fields;
	char buf[sizeof("Date: \r\nMessage-ID: <@>\r\n") + ESMTP_DATE_MAX +
	    SPOOL_ID_MAX + LIM_DOMAIN], date[ESMTP_DATE_MAX];
	int n = 0;

	if (o->date_header == ESMTP_HEADER_IF_NEEDED && !f->has_date) {
		esmtp_date_format(st->now.tv_sec, date);
		n += snprintf(buf, sizeof(buf), "Date: %s\r\n", date);
	}
	if (o->messageid_header == ESMTP_HEADER_IF_NEEDED &&
	    !f->has_message_id)
		n += snprintf(buf + n, sizeof(buf) - (size_t)n,
		    "Message-ID: <%s@%.*s>\r\n", t->id, LIM_DOMAIN,
		    esmtp_received_hostname(o));
	return n > 0 ? append(st, buf, (size_t)n) : RPL_OK;
}

static enum esmtp_reply_id
end_header(struct esmtp_step *st)
{
	struct esmtp_submit *s = st->mc->txn->submit;
	enum esmtp_reply_id id = RPL_OK;

	s->is_completed = true;
	if (esmtp_fields_end(&s->fields) &&
	    (id = check_address(st)) != RPL_OK)
		return id;
	/* RFC 5322 3.6: there is one; an empty one is nobody's, and of two nobody
	 * knows which one is shown */
	if (st->ac->options->header_from_login && st->mc->login != NULL) {
		if (s->fields.has_two_from)
			return RPL_FROM_TWICE;
		if (!s->has_from)
			return RPL_FROM_MISSING;
	}
	return complete(st);
}

enum esmtp_reply_id
esmtp_submit_piece(struct esmtp_step *st, const char *piece, size_t len)
{
	struct esmtp_txn *t = st->mc->txn;

	if (t->submit == NULL || t->submit->is_completed)
		return RPL_OK;
	return t->header.is_end ? end_header(st) : read_fields(st, piece, len);
}

enum esmtp_reply_id
esmtp_submit_end(struct esmtp_step *st)
{
	struct esmtp_txn *t = st->mc->txn;
	enum esmtp_reply_id id = RPL_OK;

	if (t->submit == NULL || t->submit->is_completed)
		return RPL_OK;
	/* the message has no body, and perhaps no end of its last line */
	if (esmtp_header_is_in_line(&t->header))
		id = append(st, "\r\n", 2);
	return id == RPL_OK ? end_header(st) : id;
}
