/* Policies of MTA-STS (RFC 8461): the TXT record that tells of one, its text, and
 * the hosts that it allows.
 * Owns: the form of both, and which hosts match.
 * Knows nothing of how they are fetched, kept and used.
 * Pure: no allocation, no system call.  All octets are hostile. */

#ifndef CMD_MAILMILLD_LOOKUP_STS_POLICY_H
#define CMD_MAILMILLD_LOOKUP_STS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/lookup/lookup_answer.h"
#include "core/lim.h"

/* RFC 8461 5 */
enum sts_mode {
	STS_NONE,		/* the domain has none (any more) */
	STS_TESTING,		/* what fails is told, and mail goes out all the same */
	STS_ENFORCE,		/* no mail to a host that does not match, or is not verified */
	STS_NMODES
};

/* Why a policy could not be had; in brackets, the result type of RFC 8460 4.3. */
enum sts_failure {
	STS_FETCHED,		/* it was */
	STS_FETCH_ERROR,	/* [sts-policy-fetch-error] */
	STS_INVALID,		/* [sts-policy-invalid] */
	STS_WEBPKI_INVALID,	/* the server of HTTPS is not verified [sts-webpki-invalid] */
	STS_UNKNOWN,		/* it was not asked for, for a reason of this server: nobody knows
				 * whether there is one */
	STS_NFAILURES
};

#define STS_MAX_AGE	31557600	/* seconds: a year; RFC 8461 3.2 */

struct sts_policy {
	enum sts_mode	 mode;
	uint32_t	 max_age_s;
	/* the patterns: each in lower case, ended by a NUL */
	size_t		 len;
	char		 mx[LIM_STS_MX];
};

/* sts_policy_parse(text, len, policy_r, err_r, errlen): The text of a policy (RFC
 * 8461 3.2).  Of a field other than "mx" the first one counts, fields with unknown
 * names are passed over, and a max_age beyond STS_MAX_AGE counts as that.  Return
 * 0, or -1 with what is wrong. */
#define STS_ERROR_MAX	160
int sts_policy_parse(const char *text, size_t len,
    struct sts_policy *policy_r, char *err_r, size_t errlen);

/* sts_policy_matches(p, host): Is ${host} one of the MX hosts that it allows (RFC
 * 8461 4.1)?  "*." stands for one label, the first. */
bool sts_policy_matches(const struct sts_policy *p, const char *host);

/* sts_policy_check(p): Is each member as sts_policy_parse() makes it?  What has come
 * from another process or from a file is used after that alone. */
bool sts_policy_check(const struct sts_policy *p);

/* sts_mode_name(mode): "none", "testing", "enforce", as in a policy.
 * sts_failure_name(failure): As RFC 8460 4.3 has it, or "none", "unknown". */
const char *sts_mode_name(enum sts_mode mode);
const char *sts_failure_name(enum sts_failure failure);

/* sts_group(name): The two last labels of ${name}, in which the domains of one
 * registrant are alike.  Under a public suffix of two labels ("co.uk") those of others
 * are, too: it is good for turns, and for who is to make room, and for no more. */
const char *sts_group(const char *name);

/* sts_record_parse(text, len, id_r): One TXT record of "_mta-sts.DOMAIN" (RFC 8461
 * 3.1).  Return 1 with the id; 0: it is none of MTA-STS; -1: it is, and is
 * malformed. */
int sts_record_parse(const uint8_t *text, size_t len,
    char id_r[LIM_STS_ID + 1]);

/* sts_record_find(a, id_r): The one record of MTA-STS among those of the answer to
 * LOOKUP_TXT.  Return 1 with the id, or 0: there is none, more than one, or it is
 * malformed, which is the same (RFC 8461 3.1). */
int sts_record_find(const struct lookup_answer *a, char id_r[LIM_STS_ID + 1]);

/* sts_id_check(id): Is it one that sts_record_parse() makes? */
bool sts_id_check(const char *id);

#endif
