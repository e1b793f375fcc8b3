/* The attributes of XCLIENT and XFORWARD: NAME=value, values in xtext (Postfix's
 * XCLIENT_README and XFORWARD_README).
 * Owns: their grammar, the forms of values, [UNAVAILABLE] and [TEMPUNAVAIL].
 * Knows nothing of which a verb has: its rows say so.
 * Pure: no allocation, no system call. */

#ifndef PROTO_PARSE_XATTR_H
#define PROTO_PARSE_XATTR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/util/addr.h"

#define XATTR_MAX	255	/* octets of a value, decoded; XFORWARD_README, note 1 */

enum xattr_form {
	XATTR_HOST,	/* the name of a host, or [TEMPUNAVAIL] */
	XATTR_ADDR,	/* 192.0.2.1, IPV6:2001:db8::1 */
	XATTR_PLACE,	/* the same, IPv6 also without prefix; or as XATTR_TEXT: of another network */
	XATTR_PORT,	/* 0 to 65535 */
	XATTR_WORD,	/* one of ${words}, in any case */
	XATTR_TEXT,	/* printable; '?' for what is special in a header */
	XATTR_LOGIN	/* printable, and taken as it is */
};

struct xattr_row {
	const char	*name;
	enum xattr_form	 form;
	const char	*words;	/* of XATTR_WORD: "SMTP|ESMTP" */
	size_t		 max;	/* octets; 0: XATTR_MAX */
};

struct xattr {
	bool	is_given;
	bool	is_known;	/* false: [UNAVAILABLE], [TEMPUNAVAIL] */
	char	text[XATTR_MAX + 1]; /* decoded; of an address as inet_ntop(3) has it, of a word as the row has it */
};

/* What a command says that is refused: the name of the attribute, in the input;
 * or, of what has no name, all of it up to the next space. */
struct xattr_bad {
	const char	*name;
	size_t		 len;
};

/* xattr_parse(s, len, rows, n, v_r, bad_r): Parse one or more attributes, with
 * spaces between them; those of ${rows}, each at most once, in any case.
 * v_r[i] is that of rows[i].  Return 0; or -1 (EINVAL), and *${bad_r}. */
int xattr_parse(const char *s, size_t len, const struct xattr_row *rows,
    size_t n, struct xattr *v_r, struct xattr_bad *bad_r);

/* xattr_names(rows, n, buf, len): Write the names, for the reply to EHLO. */
void xattr_names(const struct xattr_row *rows, size_t n, char *buf, size_t len);

/* xattr_address(s, a_r): The address ${s}, of IPv6 with or without "IPV6:"
 * before it; IPv4 mapped into IPv6 is IPv4; the port is 0.  Return 0 or -1
 * (EINVAL). */
int xattr_address(const char *s, union addr *a_r);

#endif
