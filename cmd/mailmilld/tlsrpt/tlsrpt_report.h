/* Reports of SMTP TLS Reporting (RFC 8460 4.4): what a day's connections to the MX
 * hosts of a domain have come to, as JSON.
 * Owns: the form of the JSON.
 * Knows nothing of who counts, and of how a report is sent.  No I/O. */

#ifndef CMD_MAILMILLD_TLSRPT_TLSRPT_REPORT_H
#define CMD_MAILMILLD_TLSRPT_TLSRPT_REPORT_H

#include <stddef.h>
#include <stdint.h>

enum tlsrpt_policy_type {
	TLSRPT_TLSA,		/* DANE */
	TLSRPT_STS,		/* MTA-STS, enforced or in testing */
	TLSRPT_NO_POLICY,	/* neither */
	TLSRPT_NTYPES
};

/* Connections that have failed in the same way.  Texts that are "" are left out,
 * but for result. */
struct tlsrpt_failure {
	const char	*result;	/* RFC 8460 4.3: tlsrpt_result.def */
	const char	*sending_ip;	/* as inet_ntop(3) writes it */
	const char	*mx_host;
	const char	*mx_helo;	/* what the host has called itself */
	const char	*receiving_ip;
	const char	*info;		/* a URI */
	const char	*reason;	/* in words: failure-reason-code */
	uint64_t	 n;		/* connections */
};

struct tlsrpt_policy {
	enum tlsrpt_policy_type type;
	const char	*domain;
	/* the policy, as RFC 8460 4.5 says: TLSA records, lines of MTA-STS */
	const char	*const *strings;
	size_t		 nstrings;
	/* with TLSRPT_STS: its patterns of MX hosts */
	const char	*const *mx_hosts;
	size_t		 nmx_hosts;
	uint64_t	 successes, failures;	/* connections */
	const struct tlsrpt_failure *details;
	size_t		 ndetails;
};

struct tlsrpt_report {
	const char	*organization;
	const char	*contact;	/* an address */
	const char	*id;
	/* seconds since 1970: the first and the last of the day, UTC */
	int64_t		 start, end;
	const struct tlsrpt_policy *policies;
	size_t		 npolicies;
};

/* tlsrpt_type_name(type), tlsrpt_type_of(name): "tlsa", "sts", "no-policy-found", as
 * a report has them; TLSRPT_NTYPES for a name that is none. */
const char *tlsrpt_type_name(enum tlsrpt_policy_type type);
enum tlsrpt_policy_type tlsrpt_type_of(const char *name);

/* tlsrpt_report_json(r): The report, NUL terminated; the caller frees it.
 * Texts may have any octets: of one that is not UTF-8 only what is printable ASCII
 * stays.  NULL: ENOMEM. */
char *tlsrpt_report_json(const struct tlsrpt_report *r);

#endif
