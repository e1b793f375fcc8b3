/* What the files of the reports share. */

#ifndef PROTO_REPORT_DSN_INT_H
#define PROTO_REPORT_DSN_INT_H

#include "proto/report/dsn.h"

#define DSN_LINE	998	/* octets without CRLF; RFC 5322 2.1.1 */
#define DSN_TEXT	800	/* octets of one text of others, so that a line has room for it; addresses and replies are shorter */
#define DSN_FOLD	76	/* octets at which a line of words is broken */

/* A text that grows; after ENOMEM nothing is added to it any more */
struct dsn_text {
	char		*p;
	size_t		 n, room;
	bool		 has_failed;
};

/* proto/report/dsn_text.c
 * dsn_put(t, s), dsn_put_octets(t, s, len): Add octets as they are.
 * dsn_put_number(t, n): In decimal.
 * dsn_put_clean(t, s, is_utf8), dsn_put_clean_octets(): Add ${s} in one line: what is not graphic ASCII or
 * a space becomes '?', but for visible characters of UTF-8 with ${is_utf8}.
 * At most DSN_TEXT octets of it.
 * dsn_put_words(t, s, is_utf8, indent): The same, and begin a new line with
 * ${indent} at a space behind which the word does not fit.
 * dsn_put_base64(t, s, len), dsn_put_qp(t, s, len): Encoded, in lines.  No line of
 * quoted-printable begins with "-". */
void dsn_put(struct dsn_text *t, const char *s);
void dsn_put_octets(struct dsn_text *t, const char *s, size_t len);
void dsn_put_number(struct dsn_text *t, int64_t n);
void dsn_put_clean(struct dsn_text *t, const char *s, bool is_utf8);
void dsn_put_clean_octets(struct dsn_text *t, const char *s, size_t len,
    bool is_utf8);
void dsn_put_words(struct dsn_text *t, const char *s, bool is_utf8,
    const char *indent);
void dsn_put_base64(struct dsn_text *t, const char *s, size_t len);
void dsn_put_qp(struct dsn_text *t, const char *s, size_t len);

/* proto/report/dsn_7bit.c: dsn_can_be_7bit(s, len): Could our client send the message
 * ${s} to a next hop without 8BITMIME?  1: yes; 0: no, it would be refused; -1:
 * ENOMEM. */
int dsn_can_be_7bit(const char *s, size_t len);

/* proto/report/dsn_words.c: dsn_words(t, d): The part for people.
 * dsn_is_for_sender(d): Else the postmaster is told, since the sender cannot be. */
void dsn_words(struct dsn_text *t, const struct dsn *d);
const char *dsn_subject(const struct dsn *d);
bool dsn_is_for_sender(const struct dsn *d);

/* proto/report/dsn_status.c: dsn_status(t, d, is_utf8): The part for programs, in
 * the form of RFC 6533 with ${is_utf8}. */
void dsn_status(struct dsn_text *t, const struct dsn *d, bool is_utf8);

#endif
