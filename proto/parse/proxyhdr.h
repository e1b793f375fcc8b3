/* The header of the PROXY protocol, versions 1 and 2 (HAProxy's
 * doc/proxy-protocol.txt): who the client of a proxy is.
 * Owns: its two forms.  Knows nothing of sessions, and reads nothing itself.
 * What follows a header, a ClientHello for example, is for others to read: so
 * the reader is told how many octets it may take. */

#ifndef PROTO_PARSE_PROXYHDR_H
#define PROTO_PARSE_PROXYHDR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/util/addr.h"

#define PROXYHDR_V1_MAX	107	/* octets with CRLF; section 2.1 */

struct proxyhdr {
	bool	is_known;	/* else LOCAL, UNKNOWN, or of a family that is
				 * none of ours: the connection's own address */
	union addr source, dest;	/* the client; what it has connected to */
};

/* proxyhdr_missing(buf, len, &why_r): ${len} octets of the header are at
 * ${buf}: how many more are certainly its own, no matter how it goes on.
 * 0: it is complete.  -1: this is no header, and *why_r says what is wrong. */
int proxyhdr_missing(const char *buf, size_t len, const char **why_r);

/* proxyhdr_parse(buf, len, h, &why_r): A complete header.  Return 0, or -1
 * with what is wrong.  The fields behind the addresses (TLVs) are skipped. */
int proxyhdr_parse(const char *buf, size_t len, struct proxyhdr *h,
    const char **why_r);

#endif
