/* What a host has to show: the option TLS, and what the recipient's domain
 * publishes. */

#include "cmd/mailmilld/relay/relay_policy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t octets[2 * LIM_LOOKUP_OCTETS];
static size_t len;
static char none[] = "", own_name[] = "own.test";
static struct settings_domain domain;
static struct mx_hop hop;
static struct relay_policy_facts facts;
static struct relay_policy *policy;

static void
setup(void)
{
	domain = (struct settings_domain){ .tls_level = SETTINGS_TLS_DANE,
		.tls_name = none };
	len = 0;
	hop = (struct mx_hop){ .host = "mx.test", .alias = "",
		.is_mx_authentic = true, .is_addr_authentic = true };
	facts = (struct relay_policy_facts){ .domain = &domain,
		.name = "a.test", .is_mx = true, .alias = "", .hop = &hop };
	policy = NULL;
}

static void
teardown(void)
{
	relay_policy_free(policy);
}

TestSuite(relay_policy, .init = setup, .fini = teardown);

/* A record with ${n} octets of data, each ${octet}. */
static void
tlsa(unsigned int usage, unsigned int selector, unsigned int matching,
    size_t n, int octet)
{
	static uint8_t data[LIM_LOOKUP_OCTETS];
	struct lookup_record r = { .type = LOOKUP_R_TLSA, .data = data,
		.len = n };

	r.tlsa.usage = (uint8_t)usage;
	r.tlsa.selector = (uint8_t)selector;
	r.tlsa.matching = (uint8_t)matching;
	memset(data, octet, n);
	cr_assert_eq(lookup_record_put(octets, sizeof(octets), &len, &r), 0);
	hop.tlsa = (struct mx_tlsa){ .status = MX_TLSA_FOUND,
		.base = "mx.test", .records = octets, .len = len };
}

static void
choose(void)
{
	relay_policy_free(policy);
	policy = relay_policy_new(&facts);
	cr_assert_not_null(policy);
}

static void
expect(enum relay_level level, enum relay_source source, const char *where)
{
	choose();
	cr_expect_eq(policy->level, level, "%s: level %s", where,
	    relay_level_name(policy->level));
	cr_expect_eq(policy->source, source, "%s: source %s", where,
	    relay_source_name(policy->source));
}

static const struct {
	int		 tls_level;
	enum mx_tlsa_status status;
	enum relay_sts	 sts;
	unsigned int	 usage;		/* of the one record */
	enum relay_level level;
	enum relay_source source;
	enum relay_result result;
} choices[] = {
	{ SETTINGS_TLS_DANE, MX_TLSA_NONE, RELAY_STS_NONE, 0, RELAY_MAY,
	    RELAY_BY_NOBODY, 0 },
	{ SETTINGS_TLS_DANE, MX_TLSA_FOUND, RELAY_STS_NONE, 3, RELAY_DANE,
	    RELAY_BY_DANE, 0 },
	{ SETTINGS_TLS_DANE, MX_TLSA_FOUND, RELAY_STS_NONE, 2, RELAY_DANE,
	    RELAY_BY_DANE, 0 },
	/* RFC 7672 3.1.3, 2.2: none can be used, but TLS must be */
	{ SETTINGS_TLS_DANE, MX_TLSA_FOUND, RELAY_STS_NONE, 0, RELAY_ENCRYPT,
	    RELAY_BY_DANE, 0 },
	{ SETTINGS_TLS_DANE, MX_TLSA_FOUND, RELAY_STS_NONE, 1, RELAY_ENCRYPT,
	    RELAY_BY_DANE, 0 },
	{ SETTINGS_TLS_DANE, MX_TLSA_FAILED, RELAY_STS_NONE, 0, RELAY_SKIP,
	    RELAY_BY_DANE, RELAY_RESULT_DNSSEC_INVALID },
	/* RFC 8461 2: a policy does not make a failure of DANE good */
	{ SETTINGS_TLS_DANE, MX_TLSA_FAILED, RELAY_STS_MATCH, 0, RELAY_SKIP,
	    RELAY_BY_DANE, RELAY_RESULT_DNSSEC_INVALID },
	{ SETTINGS_TLS_DANE, MX_TLSA_FOUND, RELAY_STS_MATCH, 3, RELAY_DANE,
	    RELAY_BY_DANE, 0 },
	{ SETTINGS_TLS_DANE, MX_TLSA_NONE, RELAY_STS_MATCH, 0, RELAY_VERIFY,
	    RELAY_BY_STS, 0 },
	{ SETTINGS_TLS_DANE, MX_TLSA_NONE, RELAY_STS_NO_MATCH, 0, RELAY_SKIP,
	    RELAY_BY_STS, RELAY_RESULT_VALIDATION },
	{ SETTINGS_TLS_MAY, MX_TLSA_NONE, RELAY_STS_TESTING, 0, RELAY_MAY,
	    RELAY_BY_NOBODY, 0 },
	{ SETTINGS_TLS_MAY, MX_TLSA_FOUND, RELAY_STS_NONE, 3, RELAY_MAY,
	    RELAY_BY_NOBODY, 0 },
	{ SETTINGS_TLS_MAY, MX_TLSA_NONE, RELAY_STS_MATCH, 0, RELAY_VERIFY,
	    RELAY_BY_STS, 0 },
	/* this server's own demand */
	{ SETTINGS_TLS_NONE, MX_TLSA_FOUND, RELAY_STS_MATCH, 3, RELAY_NEVER,
	    RELAY_BY_SETTINGS, 0 },
	{ SETTINGS_TLS_ENCRYPT, MX_TLSA_FOUND, RELAY_STS_MATCH, 3,
	    RELAY_ENCRYPT, RELAY_BY_SETTINGS, 0 },
	{ SETTINGS_TLS_VERIFY, MX_TLSA_FAILED, RELAY_STS_NO_MATCH, 0,
	    RELAY_VERIFY, RELAY_BY_SETTINGS, 0 },
	/* RFC 7672 6 */
	{ SETTINGS_TLS_DANE_ONLY, MX_TLSA_FOUND, RELAY_STS_NONE, 3, RELAY_DANE,
	    RELAY_BY_DANE, 0 },
	{ SETTINGS_TLS_DANE_ONLY, MX_TLSA_FOUND, RELAY_STS_NONE, 1, RELAY_SKIP,
	    RELAY_BY_DANE, RELAY_RESULT_TLSA_INVALID },
	{ SETTINGS_TLS_DANE_ONLY, MX_TLSA_NONE, RELAY_STS_MATCH, 0, RELAY_SKIP,
	    RELAY_BY_NOBODY, RELAY_RESULT_DANE_REQUIRED },
	{ SETTINGS_TLS_DANE_ONLY, MX_TLSA_FAILED, RELAY_STS_NONE, 0,
	    RELAY_SKIP, RELAY_BY_DANE, RELAY_RESULT_DNSSEC_INVALID },
};

Test(relay_policy, who_decides)
{
	char where[32];
	size_t i;

	for (i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		len = 0;
		tlsa(choices[i].usage, 1, 1, 32, 7);
		hop.tlsa.status = choices[i].status;
		domain.tls_level = choices[i].tls_level;
		facts.sts = choices[i].sts;
		snprintf(where, sizeof(where), "case %zu", i);
		expect(choices[i].level, choices[i].source, where);
		cr_expect_eq(policy->result, choices[i].result, "%s: %s",
		    where, relay_result_name(policy->result));
		cr_expect_eq(*policy->why != '\0', policy->level ==
		    RELAY_SKIP, "%s", where);
		cr_expect_eq(policy->ntlsa, policy->level == RELAY_DANE, "%s",
		    where);
	}
}

/* RFC 8689 4.2.2: what others demand is left aside, not what this server does. */
Test(relay_policy, a_sender_can_leave_aside_what_others_demand)
{
	static const enum relay_level levels[] = {
		[SETTINGS_TLS_DANE] = RELAY_MAY,
		[SETTINGS_TLS_MAY] = RELAY_MAY,
		[SETTINGS_TLS_NONE] = RELAY_NEVER,
		[SETTINGS_TLS_ENCRYPT] = RELAY_ENCRYPT,
		[SETTINGS_TLS_VERIFY] = RELAY_VERIFY,
		[SETTINGS_TLS_DANE_ONLY] = RELAY_DANE
	};
	size_t i;

	facts.is_optional = true;
	tlsa(3, 1, 1, 32, 1);
	facts.sts = RELAY_STS_NO_MATCH;
	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		domain.tls_level = (int)i;
		choose();
		cr_expect_eq(policy->level, levels[i], "%zu: %s", i,
		    relay_level_name(policy->level));
	}
}

Test(relay_policy, records_that_cannot_be_used_are_left_out)
{
	tlsa(3, 1, 1, 31, 1);		/* no SHA-256 */
	tlsa(3, 1, 1, 32, 2);
	tlsa(1, 1, 1, 32, 3);
	tlsa(2, 0, 2, 64, 4);
	tlsa(3, 2, 1, 32, 5);
	tlsa(3, 1, 3, 32, 6);
	tlsa(4, 1, 1, 32, 7);
	tlsa(3, 0, 0, 0, 8);
	expect(RELAY_DANE, RELAY_BY_DANE, "some");
	/* nothing of what was chosen lies in the answer */
	memset(octets, 0, sizeof(octets));
	cr_assert_eq(policy->ntlsa, 2);
	cr_expect_eq(policy->tlsa[0].usage, 3);
	cr_expect_eq(policy->tlsa[0].len, 32);
	cr_expect_eq(policy->tlsa[0].data[31], 2);
	cr_expect_eq(policy->tlsa[1].usage, 2);
	cr_expect_eq(policy->tlsa[1].matching, 2);
	cr_expect_eq(policy->tlsa[1].data[63], 4);
}

/* DNSSEC proves a record that is too short to be one, too. */
Test(relay_policy, a_set_of_records_that_are_none_demands_tls)
{
	hop.tlsa = (struct mx_tlsa){ .status = MX_TLSA_FOUND,
		.base = "mx.test", .records = octets };
	expect(RELAY_ENCRYPT, RELAY_BY_DANE, "none can be read");
}

Test(relay_policy, the_records_of_a_host_are_bounded)
{
	unsigned int i;

	for (i = 0; i < TLS_CLIENT_TLSA_MAX; i++)
		tlsa(3, 1, 1, 32, (int)i);
	expect(RELAY_DANE, RELAY_BY_DANE, "as many as may be");
	cr_expect_eq(policy->ntlsa, TLS_CLIENT_TLSA_MAX);
	tlsa(3, 1, 1, 32, (int)i);
	expect(RELAY_SKIP, RELAY_BY_DANE, "one more");
	cr_expect_eq(policy->result, RELAY_RESULT_TLSA_INVALID);
	len = 0;
	tlsa(3, 0, 0, RELAY_TLSA_OCTETS, 1);
	expect(RELAY_DANE, RELAY_BY_DANE, "as many octets as may be");
	tlsa(3, 0, 0, 1, 1);
	expect(RELAY_SKIP, RELAY_BY_DANE, "one octet more");
}

/* RFC 8460 4.3.2.1: the DNS gives an answer, and what is wrong are the records. */
Test(relay_policy, more_records_than_an_answer_holds_are_wrong_records)
{
	hop.tlsa = (struct mx_tlsa){ .status = MX_TLSA_FAILED };
	expect(RELAY_SKIP, RELAY_BY_DANE, "no answer");
	cr_expect_eq(policy->result, RELAY_RESULT_DNSSEC_INVALID);
	hop.tlsa.is_too_much = true;
	expect(RELAY_SKIP, RELAY_BY_DANE, "too many");
	cr_expect_eq(policy->result, RELAY_RESULT_TLSA_INVALID);
	cr_expect_not_null(strstr(policy->why, "more TLSA records"));
	domain.tls_level = SETTINGS_TLS_DANE_ONLY;
	expect(RELAY_SKIP, RELAY_BY_DANE, "too many, and one is demanded");
	cr_expect_eq(policy->result, RELAY_RESULT_TLSA_INVALID);
}

static void
expect_names(const char *want)
{
	char text[256];
	size_t i, at;

	choose();
	at = (size_t)snprintf(text, sizeof(text), "%s", policy->name);
	for (i = 0; i < policy->nnames; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, " %s",
		    policy->names[i]);
	cr_expect_str_eq(text, want, "%s", text);
}

/* RFC 7672 3.2.2 */
Test(relay_policy, names_of_a_certificate_by_an_authority_in_tlsa_records)
{
	tlsa(2, 0, 1, 32, 1);
	expect_names("mx.test a.test");
	facts.alias = "b.test";
	expect_names("mx.test a.test b.test");
	/* the host has an alias, whose records these are */
	hop.tlsa.base = "end.test";
	expect_names("end.test a.test b.test");
	/* no MX records: the domain is the host */
	facts.alias = "";
	hop.host = hop.tlsa.base = "a.test";
	expect_names("a.test");
	hop.tlsa.base = "end.test";
	expect_names("end.test a.test");
	/* a name in Route */
	facts.is_mx = false;
	facts.name = hop.host = "smart.test";
	expect_names("end.test smart.test");
}

Test(relay_policy, tls_name_is_for_authorities_alone)
{
	domain.tls_name = own_name;
	expect_names("own.test");
	tlsa(3, 1, 1, 32, 1);
	expect_names("mx.test a.test");
	domain.tls_level = SETTINGS_TLS_VERIFY;
	expect_names("own.test");
}

/* RFC 8689 4.2.1 */
Test(relay_policy, a_name_is_sure_if_nobody_could_have_forged_it)
{
	choose();
	cr_expect(policy->is_sure);
	hop.is_mx_authentic = false;
	choose();
	cr_expect_not(policy->is_sure);
	facts.sts = RELAY_STS_MATCH;
	choose();
	cr_expect(policy->is_sure);
	cr_expect_str_eq(policy->name, "mx.test");
	facts.sts = RELAY_STS_NONE;
	facts.name = "MX.test";
	choose();
	cr_expect(policy->is_sure, "it is the recipient's domain");
	facts.name = "a.test";
	domain.tls_name = own_name;
	choose();
	cr_expect(policy->is_sure);
	domain.tls_name = none;
	hop.host = "";
	choose();
	cr_expect(policy->is_sure, "an address literal");
	facts = (struct relay_policy_facts){ .domain = &domain, .name = "",
		.alias = "" };
	choose();
	cr_expect(policy->is_sure, "an address in Route");
	cr_expect_eq(policy->level, RELAY_MAY);
}

/* RFC 8460 4.3 */
Test(relay_policy, results_have_the_names_of_reports)
{
	static const struct {
		enum tls_client_verdict verdict;
		const char *name;
	} verdicts[] = {
		{ TLS_CLIENT_MISMATCH, "certificate-host-mismatch" },
		{ TLS_CLIENT_EXPIRED, "certificate-expired" },
		{ TLS_CLIENT_UNTRUSTED, "certificate-not-trusted" },
		{ TLS_CLIENT_NO_TLSA, "validation-failure" },
		{ TLS_CLIENT_BROKEN, "validation-failure" },
		{ TLS_CLIENT_DANE_EE, "none" },
	};
	size_t i;

	for (i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		cr_expect_str_eq(relay_result_name(relay_policy_result(
		    verdicts[i].verdict)), verdicts[i].name);
	for (i = 0; i < RELAY_NRESULTS; i++)
		cr_expect_not_null(relay_result_name((enum relay_result)i));
}
