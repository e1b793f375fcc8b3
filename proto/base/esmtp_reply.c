/* Replies: the table, and the one place that writes a reply line.
 * Owns: the form of a reply (RFC 5321 4.2), what may not stand in it.
 * Knows nothing of sessions. */

#include "proto/base/reply_line.h"

#include <string.h>

#include "core/lim.h"
#include "core/util/utf8.h"

const struct esmtp_reply_row esmtp_reply_rows[ESMTP_NREPLIES] = {
#define ESMTP_REPLY(id, code, enhanced, text) \
	[id] = { code, enhanced, text, sizeof(text) - 1 },
#include "proto/esmtp_reply.def"
#undef ESMTP_REPLY
};

/* Append what fits of ${s}, made harmless. */
static size_t
put_clean(char *buf, size_t n, size_t max, const char *s, size_t len,
    bool is_utf8)
{
	size_t i, octets;

	if (len > max - n)
		len = max - n;
	for (i = 0; i < len; i += octets) {
		octets = 1;
		if (s[i] >= 32 && s[i] <= 126)
			buf[n + i] = s[i];
		else if (is_utf8 && (octets = utf8_visible(s + i,
		    len - i)) > 0)
			memcpy(buf + n + i, s + i, octets);
		else {
			buf[n + i] = '?';
			octets = 1;
		}
	}
	return n + len;
}

size_t
esmtp_reply_format(const struct esmtp_reply_line *line, char *buf,
    size_t buflen)
{
	size_t max = LIM_REPLY_LINE - 2, n = 4, elen = 0;

	if (line->enhanced != NULL)
		elen = strlen(line->enhanced);
	if (buflen < LIM_REPLY_LINE &&
	    buflen < 4 + elen + 1 + line->text_len + 1 + line->extra_len + 2)
		return 0;
	buf[0] = (char)('0' + line->code / 100);
	buf[1] = (char)('0' + line->code / 10 % 10);
	buf[2] = (char)('0' + line->code % 10);
	buf[3] = line->is_last ? ' ' : '-';
	if (elen > 0) {
		n = put_clean(buf, n, max, line->enhanced, elen, false);
		if (line->text_len > 0)
			buf[n++] = ' ';
	}
	n = put_clean(buf, n, max, line->text, line->text_len, false);
	if (line->extra != NULL && line->extra_len > 0) {
		if (n > 4 && n < max)
			buf[n++] = ' ';
		n = put_clean(buf, n, max, line->extra, line->extra_len,
		    line->is_utf8);
	}
	buf[n++] = '\r';
	buf[n++] = '\n';
	return n;
}

size_t
esmtp_reply_row_format(enum esmtp_reply_id id, char *buf, size_t buflen)
{
	const struct esmtp_reply_row *row = &esmtp_reply_rows[id];
	struct esmtp_reply_line line = { .code = row->code, .is_last = true,
		.enhanced = row->enhanced, .text = row->text,
		.text_len = row->text_len };

	return esmtp_reply_format(&line, buf, buflen);
}

/* RFC 2034 4: class digit, then 1*3digit twice. */
size_t
esmtp_reply_enhanced(const char *s, int class)
{
	size_t i = 1, start;
	int part;

	if (s[0] != '0' + class)
		return 0;
	for (part = 0; part < 2; part++) {
		if (s[i++] != '.')
			return 0;
		for (start = i; s[i] >= '0' && s[i] <= '9'; i++)
			if (i - start == 3)
				return 0;
		if (i == start)
			return 0;
	}
	return s[i] == ' ' || s[i] == '\0' ? i : 0;
}

void
esmtp_reply_split(const char *str, int code, const char **text_r,
    char enhanced_r[ESMTP_ENHANCED_MAX])
{
	int class = code / 100;
	size_t n = esmtp_reply_enhanced(str, class);

	/* RFC 2034 4: of 2xx, 4xx and 5xx; 354 has none */
	if (class == 3) {
		enhanced_r[0] = '\0';
		*text_r = str + n + (n > 0 && str[n] == ' ');
		return;
	}
	if (n == 0) {
		/* 7.1: RFC 3463 3.8, what a policy usually means */
		memcpy(enhanced_r, class == 2 ? "2.0.0" : "0.7.1", 6);
		enhanced_r[0] = (char)('0' + class);
		*text_r = str;
		return;
	}
	memcpy(enhanced_r, str, n);
	enhanced_r[n] = '\0';
	*text_r = str[n] == ' ' ? str + n + 1 : str + n;
}
