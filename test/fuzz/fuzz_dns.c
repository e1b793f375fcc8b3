/* What a name server answers, and what the resolver hands on.  The first octet
 * says which, the second is the type.
 *	packet	an answer to "a.example", whose head and question are there
 *	raw	any octets in their place
 *	records	those of an N_ANSWER */

#include "test/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/lookup/mx_plan.h"
#include "cmd/mailmilld/relay/relay_policy.h"
#include "cmd/mailmilld/resolver/dns_packet.h"

#define NAME		"a.example"
#define NAME_OCTETS	"\1a\7example"		/* with its NUL */
#define HEAD		12
#define PACKET_MAX	65535

enum { PACKET, RAW, RECORDS, NKINDS };

static const enum dns_type types[] = { DNS_A, DNS_AAAA, DNS_MX, DNS_TXT,
	DNS_TLSA, DNS_PTR, DNS_CNAME };
static const enum lookup_type lookups[] = { LOOKUP_HOST, LOOKUP_HOST,
	LOOKUP_MX, LOOKUP_TXT, LOOKUP_TLSA, LOOKUP_PTR, LOOKUP_CNAME };
#define NTYPES	(sizeof(types) / sizeof(types[0]))

/* What is read is written the same. */
static void
read_all(const struct lookup_answer *a)
{
	static uint8_t out[LIM_LOOKUP_OCTETS];
	struct lookup_record r;
	size_t at = 0, end = 0;

	while (lookup_record_next(a, &at, &r) == 1)
		FUZZ_HOLDS(lookup_record_put(out, sizeof(out), &end, &r) == 0);
	FUZZ_HOLDS(end == a->len);
	FUZZ_HOLDS(end == 0 || memcmp(out, a->records, end) == 0);
}

static uint32_t
no_chance(uint32_t)
{
	return 7;
}

/* The policy of each hop can be chosen. */
static void
choose(const struct mx_plan *p)
{
	static char none[1];
	const struct settings_domain d = { .tls_level = SETTINGS_TLS_DANE,
		.tls_name = none };
	struct relay_policy *policy;
	unsigned int i;

	for (i = 0; i < p->nhops; i++) {
		const struct relay_policy_facts facts = { .domain = &d,
			.name = NAME, .is_mx = true, .alias = p->alias,
			.hop = &p->hops[i] };

		if ((policy = relay_policy_new(&facts)) == NULL)
			return;
		FUZZ_HOLDS(policy->ntlsa <= TLS_CLIENT_TLSA_MAX &&
		    (policy->level == RELAY_DANE) == (policy->ntlsa > 0));
		relay_policy_free(policy);
	}
}

static void
answer_tlsa(struct mx_plan *p, const struct lookup_answer *tlsa)
{
	char name[LIM_DOMAIN + 1];
	enum lookup_type type;
	unsigned int i;

	for (i = 0; i < p->ngroup; i++)
		if (mx_plan_tlsa_question(p, i, name, &type))
			mx_plan_tlsa(p, i, tlsa);
}

/* Whatever the answers are, there are so many steps. */
static void
plan(const struct lookup_answer *mx, const struct lookup_answer *host,
    const struct lookup_answer *tlsa)
{
	static struct mx_plan p;
	const struct mx_want want = { .name = NAME, .port = 25,
		.wants_tlsa = true };
	unsigned int steps = 0, i, n;

	mx_plan_begin(&p, &want);
	p.random = no_chance;
	for (; mx_plan_step(&p) != MX_STEP_END; steps++) {
		FUZZ_HOLDS(steps <= 4 * MX_TARGETS_MAX + 2);
		switch (mx_plan_step(&p)) {
		case MX_STEP_MX:
			mx_plan_mx(&p, mx);
			break;
		case MX_STEP_HOSTS:
			for (n = p.ngroup, i = 0; i < n; i++) {
				FUZZ_HOLDS(*mx_plan_host_name(&p, i) != '\0');
				mx_plan_host(&p, i, host);
			}
			break;
		case MX_STEP_TLSA:
			answer_tlsa(&p, tlsa);
			break;
		default:
			FUZZ_HOLDS(p.nhops > 0 && p.nhops <= MX_HOPS_MAX);
			choose(&p);
			mx_plan_more(&p);
		}
	}
	FUZZ_HOLDS(p.end < MX_NENDS && mx_end_reply(p.end)->code >= 400);
}

static void
use(const struct lookup_answer *a, enum lookup_type type)
{
	static const struct lookup_answer none = { .status = LOOKUP_NO_DATA,
		.is_authentic = true };
	struct lookup_answer host = none;
	size_t len = 0;
	uint8_t octets[64];
	struct lookup_record r = { .type = LOOKUP_R_ADDRESS,
		.addr.in.sin_family = AF_INET };

	r.addr.in.sin_addr.s_addr = htonl(0xc0000201);
	FUZZ_HOLDS(lookup_record_put(octets, sizeof(octets), &len, &r) == 0);
	host.status = LOOKUP_FOUND;
	host.records = octets;
	host.len = len;
	read_all(a);
	if (type == LOOKUP_MX)
		plan(a, &none, &none);
	else if (type == LOOKUP_HOST)
		plan(&none, a, &none);
	else if (type == LOOKUP_TLSA)
		plan(&none, &host, a);
}

static void
packet(const uint8_t *o, size_t len, size_t type)
{
	static struct dns_result r;
	struct lookup_answer a = { 0 };

	dns_packet_parse(o, len, NAME, types[type], &r);
	a.status = r.status;
	a.ttl_s = r.ttl_s;
	a.is_authentic = r.is_authentic;
	strlcpy(a.alias, r.alias, sizeof(a.alias));
	a.records = r.records;
	a.len = r.len;
	FUZZ_HOLDS(lookup_answer_check(&a, lookups[type]));
	FUZZ_HOLDS(r.nchain <= DNS_CHAIN_MAX);
	FUZZ_HOLDS(!r.is_alias_alone || *r.alias != '\0');
	use(&a, lookups[type]);
}

/* The input has the flags and the numbers of records, then the records. */
static void
made_packet(struct fuzz_input *in, size_t type)
{
	static uint8_t o[PACKET_MAX];
	size_t at = HEAD, n;
	unsigned int i;

	memset(o, 0, HEAD);
	o[2] = 0x80 | (fuzz_octet(in) & 0x07);
	o[3] = fuzz_octet(in);
	o[5] = 1;
	for (i = 7; i < HEAD; i += 2)
		o[i] = fuzz_octet(in);
	memcpy(o + at, NAME_OCTETS, sizeof(NAME_OCTETS));
	at += sizeof(NAME_OCTETS);
	o[at++] = 0;
	o[at++] = (uint8_t)types[type];
	o[at++] = 0;
	o[at++] = 1;
	n = in->left < sizeof(o) - at ? in->left : sizeof(o) - at;
	if (n > 0)
		memcpy(o + at, in->p, n);
	packet(o, at + n, type);
}

void
fuzz_dns(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	unsigned int kind = fuzz_octet(&in) % NKINDS;
	size_t type = fuzz_octet(&in) % NTYPES;
	struct lookup_answer a = { .status = LOOKUP_FOUND };

	if (kind == RAW)
		packet(in.p, in.left, type);
	else if (kind == PACKET)
		made_packet(&in, type);
	else {
		a.records = in.p;
		a.len = in.left;
		a.is_authentic = true;
		if (lookup_answer_check(&a, lookups[type]))
			use(&a, lookups[type]);
	}
}
