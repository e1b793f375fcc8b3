/* What relay tells of connections to MX hosts, for reports of TLS: the octets of a
 * message between processes, and structs.
 * Owns: the form of both, in both directions.
 * Knows nothing of channels, and of what becomes of it.
 * Pure: no allocation, no system call.  Octets of another process are hostile. */

#ifndef CMD_MAILMILLD_TLSRPT_TLSRPT_SAID_H
#define CMD_MAILMILLD_TLSRPT_TLSRPT_SAID_H

#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_report.h"
#include "core/lim.h"

/* RFC 8460 4.3 */
enum tlsrpt_result {
#define TLSRPT_RESULT(id, name) TLSRPT_RESULT_##id,
#include "cmd/mailmilld/tlsrpt/tlsrpt_result.def"
#undef TLSRPT_RESULT
	TLSRPT_NRESULTS
};

/* Connections that are alike.  No text is NULL. */
struct tlsrpt_said {
	enum tlsrpt_policy_type type;
	enum tlsrpt_result result;
	uint32_t	 sessions;	/* at least 1 */
	const char	*domain;	/* as lookup_name() writes it; that is told */
	/* whose policy it is, likewise; "": ${domain}; with TLSRPT_TLSA the TLSA
	 * base domain */
	const char	*policy_domain;
	const char	*policy;	/* its lines, with LF between them */
	const char	*mx_host;	/* as lookup_name() writes it; "": not known */
	const char	*sending_ip, *receiving_ip; /* as inet_ntop(3) writes them; "": not known */
	const char	*reason;	/* in words, without controls */
};

/* Octets of one at most */
#define TLSRPT_SAID_MAX	(6 + 3 * (LIM_DOMAIN + 1) + 2 * 46 + \
	(LIM_TLSRPT_POLICY + 1) + (LIM_TLSRPT_REASON + 1))

/* tlsrpt_said_put(buf, len, &at, said): Write ${said} at the offset *${at} of
 * ${buf}, which has ${len} octets, and move it on.  Of a policy only whole lines
 * are written, as far as LIM_TLSRPT_POLICY goes; a reason is cut, and what is no
 * printable ASCII in both becomes '?'.  Return 0, or -1 with errno ENOSPC, or
 * EINVAL: tlsrpt_said_next() would not take it. */
int tlsrpt_said_put(char *buf, size_t len, size_t *at,
    const struct tlsrpt_said *said);

/* tlsrpt_said_next(buf, len, &at, said_r): The one at the offset *${at}, which is
 * moved on.  What it points to lies in ${buf}.  Return 1; 0: there are no more;
 * -1: the octets are none. */
int tlsrpt_said_next(const char *buf, size_t len, size_t *at,
    struct tlsrpt_said *said_r);

/* tlsrpt_result_name(r): "starttls-not-supported", ...; of TLSRPT_RESULT_GOOD
 * "none", which no report has. */
const char *tlsrpt_result_name(enum tlsrpt_result r);

#endif
