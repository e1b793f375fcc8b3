/* The fields of a header that streams by: whether Date and Message-ID are among
 * them, and the addresses in those that hold addresses (RFC 5322 3.6.2, 3.6.3,
 * 3.6.6).
 * Owns: the names of these fields, comments, quotes, groups and routes in lists
 * of addresses (RFC 5322 3.4, 4.4).
 * Knows nothing of where the header ends, which is esmtp_header.h's; nor of what
 * an address may be: that is mailaddr.h's.
 * Takes no memory for what it has read but for one address. */

#ifndef PROTO_PARSE_ESMTP_FIELDS_H
#define PROTO_PARSE_ESMTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"

#define ESMTP_FIELDS_NAME	15	/* octets of the longest name that is known */

struct esmtp_fields {
	bool		has_date, has_message_id;	/* so far */
	bool		has_from, has_two_from;		/* fields, with or without an address */
	/* the address that esmtp_fields_next() has just found */
	bool		is_from;	/* it is in the field From */
	bool		is_too_long;	/* and cut */
	size_t		len;
	char		addr[LIM_PATH + 2];	/* as written, without comments and white space around its dots and its @; ${len} octets, among which may be NUL, and a NUL */
	/* its own */
	uint8_t		state;
	uint8_t		name_len;
	char		name[ESMTP_FIELDS_NAME];
	bool		is_spaced;	/* behind the name */
	bool		is_list;	/* a field with addresses */
	bool		is_angle, had_angle, is_quoted, is_escaped, is_literal;
	bool		is_space;	/* between the last octet and the next */
	bool		is_told;	/* what is in ${addr} was found, and is to be forgotten */
	unsigned int	depth;		/* of comments */
};

/* esmtp_fields_next(f, buf, len, is_found_r): Read from ${buf} (${len} > 0), octets of
 * the header up to the empty line.  ${f} starts zeroed.  Return the octets used;
 * to be repeated until all are.  *${is_found_r}: they have ended an address,
 * f->addr, which is valid up to the next call.
 * esmtp_fields_end(f): The header ends here.  True: it has ended an address. */
size_t esmtp_fields_next(struct esmtp_fields *f, const char *buf, size_t len,
    bool *is_found_r);
bool esmtp_fields_end(struct esmtp_fields *f);

/* esmtp_fields_is_qualified(addr, len): Has the address a domain of more than one
 * label, or an address literal? */
bool esmtp_fields_is_qualified(const char *addr, size_t len);

#endif
