/* The Received field that each message gets, RFC 5321 4.4 and RFC 3848.
 * Owns: its form, and the form of dates (RFC 5322 3.3).
 * Pure: the time comes from the caller, zone +0000. */

#ifndef PROTO_PARSE_ESMTP_RECEIVED_H
#define PROTO_PARSE_ESMTP_RECEIVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct esmtp_received {
	const char	*helo;		/* what the client called itself; NULL: nothing */
	const char	*peer;		/* its address as text, or ... */
	bool		 is_local;	/* ... it has none, but an account: ... */
	uint32_t	 uid;		/* ... this one */
	const char	*peer_name;	/* and its name in the DNS; NULL: not known */
	const char	*by;
	const char	*id;
	const char	*rcpt;		/* NULL: no "for" clause */
	bool		 has_priority;	/* the client has said MT-PRIORITY: ... */
	int		 priority;	/* ... -9 to 9, as it is now, RFC 6710 */
	bool		 is_esmtp;
	bool		 is_utf8;	/* SMTPUTF8 was said: RFC 6531 3.7.3 */
	bool		 is_lmtp;	/* else SMTP */
	bool		 is_auth;	/* the client has authenticated ... */
	const char	*login;		/* ... as whom; NULL: not told */
	const char	*tls_protocol;	/* NULL: in the clear */
	const char	*tls_cipher;
	int		 tls_bits;
	bool		 tls_is_resumed;
	const char	*tls_peer;	/* name of the verified client; NULL: none */
	const char	*solicit;	/* the classes that SOLICIT has named, RFC 3865; NULL: none */
	time_t		 seconds;
};

#define ESMTP_RECEIVED_MAX	3700

/* esmtp_received_format(r, buf): The field with its CRLF, not NUL terminated;
 * each text is cut and cleaned.  Return octets written. */
size_t esmtp_received_format(const struct esmtp_received *r,
    char buf[ESMTP_RECEIVED_MAX]);

/* esmtp_received_own(text, len, buf): The field with another text, which may
 * begin with its name: lines are folded, controls and 8-bit octets become '?', so
 * that it stays one field.  Return octets written, 0: there is nothing in
 * ${text}, it is too long, or a line of it is (RFC 5322 2.1.1: 998 octets). */
#define ESMTP_RECEIVED_OWN_MAX	4096
size_t esmtp_received_own(const char *text, size_t len,
    char buf[ESMTP_RECEIVED_OWN_MAX]);

/* esmtp_date_format(seconds, buf): "Mon, 23 Nov 2026 16:05:19 +0000", NUL
 * terminated. */
#define ESMTP_DATE_MAX	40
void esmtp_date_format(time_t seconds, char buf[ESMTP_DATE_MAX]);

#endif
