/* What the master answers in place of the banner, from proto's one table.
 * A file of its own since the table's R_OK and that of <unistd.h> do not go
 * together. */

#include "cmd/mailmilld/master/refusal.h"

#include "proto/server/esmtp_reply.h"

static const enum esmtp_reply_id rows[] = {
	[REFUSAL_SESSIONS] = R_SESSIONS,
	[REFUSAL_CLIENT] = R_CLIENT_SESSIONS,
	[REFUSAL_LATER] = R_SHUTDOWN,
};

size_t
refusal_line(enum refusal id, char *buf, size_t len)
{
	const struct esmtp_reply_row *row = &esmtp_reply_rows[rows[id]];
	struct esmtp_reply_line line = { .code = row->code, .is_last = true,
		.enhanced = row->enhanced, .text = row->text,
		.text_len = row->text_len };

	return esmtp_reply_format(&line, buf, len);
}
