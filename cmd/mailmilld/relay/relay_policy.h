/* What a host of a next hop has to show before mail is sent to it: TLS or none,
 * and by what its certificate is judged.
 * Owns: which of the configuration, DANE (RFC 7672) and MTA-STS (RFC 8461)
 * decides for a host, and what that demands.
 * Knows nothing of connections, and of how TLSA records and policies are looked
 * up.  No I/O.
 *
 * Levels of the option TLS that are no more than a demand of this server (none,
 * encrypt, verify, dane-only) hold whatever others publish.  With "dane" and
 * "may" those that the recipient's domain publishes hold: with "dane" its TLSA
 * records, and where there are none, its policy of MTA-STS (RFC 8461 2: a
 * policy does not make a failure of DANE good). */

#ifndef CMD_MAILMILLD_RELAY_RELAY_POLICY_H
#define CMD_MAILMILLD_RELAY_RELAY_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/mailmilld/lookup/mx.h"
#include "cmd/settings/settings.h"
#include "tls/tls_client.h"

enum relay_level {
	RELAY_NEVER,		/* no TLS */
	RELAY_MAY,		/* TLS, if the server offers it; if that fails, without */
	RELAY_ENCRYPT,		/* TLS, whoever the server is */
	RELAY_VERIFY,		/* TLS, with a certificate for one of the names, by an authority */
	RELAY_DANE,		/* TLS, with a certificate that a TLSA record is for */
	RELAY_SKIP,		/* no connection is made, as if nobody could be reached there */
	RELAY_NLEVELS
};

enum relay_source {
	RELAY_BY_NOBODY,	/* nobody demands anything: RELAY_MAY */
	RELAY_BY_SETTINGS,
	RELAY_BY_DANE,
	RELAY_BY_STS,
	RELAY_NSOURCES
};

enum relay_result {
#define TLSRPT_RESULT(id, name) RELAY_RESULT_##id,
#include "cmd/mailmilld/tlsrpt/tlsrpt_result.def"
#undef TLSRPT_RESULT
	RELAY_NRESULTS
};

/* The policy of MTA-STS of the recipient's domain, as far as it is about one
 * host. */
enum relay_sts {
	RELAY_STS_NONE,		/* there is no policy, or its mode is none; or testing, and the host is none of its mx */
	RELAY_STS_TESTING,	/* mode testing, and the host is one of its mx */
	RELAY_STS_MATCH,	/* mode enforce, and the host is one of its mx */
	RELAY_STS_NO_MATCH	/* mode enforce, and it is not */
};

/* All that a choice depends on. */
struct relay_policy_facts {
	const struct settings_domain *domain;	/* whose options count */
	/* what was asked for: the recipient's domain, or a name in Route; "":
	 * an address or a Unix socket in Route */
	const char	*name;
	bool		 is_mx;		/* it is a domain, whose MX records were asked for */
	/* the end of its CNAME records, when asked for MX records; "": none */
	const char	*alias;
	const struct mx_hop *hop;	/* NULL: an address or a Unix socket in Route */
	enum relay_sts	 sts;
	/* what others demand does not count: RFC 8689 4.2.2 */
	bool		 is_optional;
};

#define RELAY_TLSA_OCTETS	4096	/* of the usable TLSA records of a host: those of a rollover with whole certificates have some 3000 */

/* What was chosen.  It has no pointer into the facts. */
struct relay_policy {
	enum relay_level	 level;
	enum relay_source	 source;
	/* who shows a certificate for name or names is the server that the
	 * recipient's domain means: these come from the configuration or the
	 * recipient's address, or DNSSEC or MTA-STS proves them (RFC 8689
	 * 4.2.1) */
	bool			 is_sure;
	/* what the server is told as its name, and what its certificate may be
	 * for; "": the name or address of the connection */
	const char		*name;
	const char		*names[3];	/* or these */
	size_t			 nnames;
	struct tls_client_tlsa	*tlsa;		/* with RELAY_DANE: those that can be used */
	size_t			 ntlsa;
	bool			 is_testing;	/* tell what MTA-STS would not let pass */
	bool			 is_dane_only;	/* of those records, one has to do */
	/* with RELAY_SKIP: why, and in words without the name of the host */
	enum relay_result	 result;
	const char		*why;
};

/* relay_policy_new(f): What holds for a host; NULL: ENOMEM.
 * relay_policy_free(p): NULL does nothing. */
struct relay_policy *relay_policy_new(const struct relay_policy_facts *f);
void relay_policy_free(struct relay_policy *p);

/* relay_policy_wants_tlsa(d): Are TLSA records to be looked up for ${d}?
 * relay_policy_is_of_others(p): Is it the recipient's domain that demands it, by DANE
 * or MTA-STS, and not the configuration? */
bool relay_policy_wants_tlsa(const struct settings_domain *d);
bool relay_policy_is_of_others(const struct relay_policy *p);

/* relay_policy_result(verdict): What a handshake that must verify, and has come
 * to ${verdict}, is called.
 * relay_result_name(r), relay_source_name(s), relay_level_name(l): As the log
 * has them. */
enum relay_result relay_policy_result(enum tls_client_verdict verdict);
const char *relay_result_name(enum relay_result r);
const char *relay_source_name(enum relay_source s);
const char *relay_level_name(enum relay_level l);

#endif
