/* Addresses of RFC 5321 and RFC 6531: parsed without allocation, pointing into the input.
 * Owns: the grammar of Reverse-path, Forward-path, Domain, address-literal. */

#ifndef PROTO_MAILADDR_H
#define PROTO_MAILADDR_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>

#include <mailmill/api.h>

MAILMILL_BEGIN

#define MAILADDR_ALLOW_NULL		0x01	/* <> is an address */
#define MAILADDR_ALLOW_POSTMASTER	0x02	/* <postmaster> without a domain; RFC 5321 4.1.1.3 */
#define MAILADDR_ALLOW_LITERAL		0x04	/* user@[192.0.2.1] */
#define MAILADDR_ALLOW_SPACE		0x08	/* white space around < and > */
#define MAILADDR_ALLOW_LONG		0x10	/* a local part over 64 octets: RFC 5321 4.5.3.1 lets us, and
						 * senders that encode a recipient in it need it */
#define MAILADDR_ALLOW_BARE		0x20	/* without < and >: it ends at white space */
#define MAILADDR_ALLOW_DOTS		0x40	/* dots at the begin and end of a local part, and next to each other */
#define MAILADDR_ALLOW_UTF8		0x80	/* local part and domain may be UTF-8; RFC 6531 3.3 */
#define MAILADDR_ALLOW_UNQUALIFIED	0x100	/* <user>, any local part without a domain */

struct mailaddr {
	const char	*local;		/* as written, quotes included */
	size_t		 local_len;	/* 0 for <> */
	const char	*domain;	/* with brackets if a literal */
	size_t		 domain_len;	/* 0 for <>, <postmaster>, and others without a domain */
	bool		 is_quoted;
	bool		 is_literal;
};

/* mailaddr_parse(s, len, flags, addr_r): Parse the Path with its angle
 * brackets (MAILADDR_ALLOW_BARE: or a Mailbox without them) at ${s}, ${len}
 * octets, not NUL terminated; a source route is read and dropped (RFC 5321 4.1.2,
 * C).  Return octets used, or -1 (EINVAL; ENAMETOOLONG when a length of 4.5.3.1 is
 * exceeded, by the form of mailaddr_format() if it is not ASCII; EILSEQ: the local
 * part is not UTF-8, or has characters that cannot be seen or that nobody has
 * assigned, or the domain is none of IDNA2008; ENOMEM). */
int mailaddr_parse(const char *s, size_t len, unsigned int flags,
    struct mailaddr *addr_r);

/* mailaddr_is_postmaster(addr): Is postmaster its local part, in any case? */
bool mailaddr_is_postmaster(const struct mailaddr *addr);

/* mailaddr_domain_valid(s, len, allow_literal): Domain (or address-literal) of
 * RFC 5321 4.1.2.  The underscore counts as a letter in a label with others:
 * names with it exist (RFC 2181 11). */
bool mailaddr_domain_valid(const char *s, size_t len, bool allow_literal);

/* mailaddr_literal(addr, sa_r): Is its domain an address literal?  Then *${sa_r},
 * which has room for a struct sockaddr_in6, is that address, without a port. */
bool mailaddr_literal(const struct mailaddr *addr, struct sockaddr *sa_r);

/* mailaddr_format(addr, buf, buflen): Write local@domain, NUL terminated, in the
 * one form that all equivalent ones have (RFC 5321 4.1.2): the domain in lower
 * case, with A-labels in place of U-labels (RFC 5890), an IPv6 address in it as
 * inet_ntop(3) writes it; the local part in Normalization Form C, in quotes only
 * where it needs them, and with no needless backslash.  It is not longer than
 * ${addr} if that is ASCII, but for an IPv6 address in it, and for the quotes of
 * a local part whose dots MAILADDR_ALLOW_DOTS has allowed.  <> gives "",
 * an address without a domain the local part alone.  Return octets written without the NUL, or
 * -1 (ENOSPC; of an address that mailaddr_parse() has not made also its EILSEQ,
 * ENAMETOOLONG; ENOMEM). */
int mailaddr_format(const struct mailaddr *addr, char *buf, size_t buflen);

/* mailaddr_split(text, addr_r): The address that mailaddr_format() wrote as
 * ${text}; *${addr_r} points into it. */
void mailaddr_split(const char *text, struct mailaddr *addr_r);

MAILMILL_END

#endif
