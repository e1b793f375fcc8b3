/* What is told of one connection to an MX host; see relay_told.h. */

#include "cmd/mailmilld/relay/relay_told.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STS_FIELDS	80	/* octets of the lines of MTA-STS but for its patterns */
#define MX		"\nmx: "
#define TLSA_FIELDS	16	/* octets of a record's line beside its data, at most: "255 255 255 ", LF, NUL */

struct relay_told {
	bool		 is_counted;
	bool		 is_strange;	/* a host that the policy does not have, which is tested */
	enum tlsrpt_policy_type type;
	char		 sending_ip[ADDR_TEXT], receiving_ip[ADDR_TEXT];
	char		 domain[LIM_DOMAIN + 1], host[LIM_DOMAIN + 1];
	char		 base[LIM_DOMAIN + 1];	/* TLSA base domain; "": ${domain} has the policy */
	char		 policy[];
};

static enum tlsrpt_policy_type
type_of(const struct relay_policy *p, const struct sts_policy *sts)
{
	if (p->source == RELAY_BY_DANE)
		return TLSRPT_TLSA;
	return sts != NULL && sts->mode != STS_NONE ? TLSRPT_STS :
	    TLSRPT_NO_POLICY;
}

static size_t
policy_octets(const struct relay_policy *p, const struct sts_policy *sts)
{
	size_t i, n = 1;
	const char *mx;

	if (sts != NULL) {
		n += STS_FIELDS;
		for (mx = sts->mx; mx < sts->mx + sts->len;
		    mx += strlen(mx) + 1)
			n += strlen(MX) + strlen(mx);
	}
	for (i = 0; i < p->ntlsa; i++)
		n += 2 * p->tlsa[i].len + TLSA_FIELDS;
	return n;
}

/* RFC 8460 4.5: the fields of a record as RFC 6698 2.2 writes them, with no space
 * inside them, a record a line. */
static void
put_tlsa(const struct relay_policy *p, char *s)
{
	const struct tls_client_tlsa *r;
	size_t i, k;

	for (i = 0; i < p->ntlsa; i++) {
		r = &p->tlsa[i];
		s += sprintf(s, "%s%u %u %u ", i > 0 ? "\n" : "", r->usage,
		    r->selector, r->matching);
		for (k = 0; k < r->len; k++)
			s += sprintf(s, "%02x", r->data[k]);
	}
	*s = '\0';
}

/* RFC 8460 4.5: its lines (RFC 8461 3.2).  The patterns are the last, since a long
 * policy is cut. */
static void
put_sts(const struct sts_policy *sts, char *s)
{
	const char *mx;

	s += sprintf(s, "version: STSv1\nmode: %s\nmax_age: %u",
	    sts_mode_name(sts->mode), sts->max_age_s);
	for (mx = sts->mx; mx < sts->mx + sts->len; mx += strlen(mx) + 1)
		s += sprintf(s, "%s%s", MX, mx);
}

struct relay_told *
relay_told_new(const struct relay_policy *p, const char *domain,
    const struct sts_policy *sts, const char *host,
    const struct sockaddr *addr)
{
	struct relay_told *told;

	if (p->source == RELAY_BY_SETTINGS) {
		errno = ENOENT;
		return NULL;
	}
	told = calloc(1, sizeof(*told) + policy_octets(p, sts));
	if (told == NULL)
		return NULL;
	told->type = type_of(p, sts);
	strlcpy(told->domain, domain, sizeof(told->domain));
	strlcpy(told->host, host, sizeof(told->host));
	if (addr != NULL)
		addr_text(addr, told->receiving_ip);
	told->is_strange = told->type == TLSRPT_STS &&
	    sts->mode == STS_TESTING && !sts_policy_matches(sts, host);
	if (told->type == TLSRPT_TLSA) {
		/* records that cannot be used demand TLS, and have a base */
		strlcpy(told->base, *p->name != '\0' ? p->name : host,
		    sizeof(told->base));
		put_tlsa(p, told->policy);
	} else if (told->type == TLSRPT_STS)
		put_sts(sts, told->policy);
	return told;
}

struct relay_told *
relay_told_policy(const char *domain, const struct sts_policy *sts)
{
	const struct relay_policy p = { .source = RELAY_BY_STS };
	struct relay_told *told;

	told = calloc(1, sizeof(*told) + policy_octets(&p, sts));
	if (told == NULL)
		return NULL;
	told->type = TLSRPT_STS;
	strlcpy(told->domain, domain, sizeof(told->domain));
	if (sts->mode != STS_NONE)
		put_sts(sts, told->policy);
	return told;
}

void
relay_told_free(struct relay_told *told)
{
	free(told);
}

void
relay_told_from(struct relay_told *told, const struct sockaddr *addr)
{
	addr_text(addr, told->sending_ip);
}

void
relay_told_end(struct relay_told *told, struct tlsrpt_tally *tally,
    enum relay_result result, const char *reason)
{
	struct tlsrpt_said said;

	if (told == NULL || told->is_counted)
		return;
	told->is_counted = true;
	if (told->is_strange && result == RELAY_RESULT_GOOD) {
		result = RELAY_RESULT_VALIDATION;
		reason = "it is none of the hosts in the MTA-STS policy of the "
		    "domain";
	}
	said = (struct tlsrpt_said){ .type = told->type,
		.result = (enum tlsrpt_result)result, .sessions = 1,
		.domain = told->domain, .policy_domain = told->base,
		.policy = told->policy, .mx_host = told->host,
		.sending_ip = told->sending_ip,
		.receiving_ip = told->receiving_ip,
		.reason = result == RELAY_RESULT_GOOD ? "" : reason };
	/* what is lost is only not counted: tally->nlost */
	(void)tlsrpt_tally_add(tally, &said);
}
