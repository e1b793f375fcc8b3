/* Which TLS a host has to show; see relay_policy.h. */

#include "cmd/mailmilld/relay/relay_policy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- names ---------------------------------------------------------------- */

const char *
relay_result_name(enum relay_result r)
{
	static const char *const names[RELAY_NRESULTS] = {
#define TLSRPT_RESULT(id, name) [RELAY_RESULT_##id] = name,
#include "cmd/mailmilld/tlsrpt/tlsrpt_result.def"
#undef TLSRPT_RESULT
	};

	return names[r];
}

const char *
relay_source_name(enum relay_source s)
{
	static const char *const names[RELAY_NSOURCES] = {
		[RELAY_BY_NOBODY] = "none",
		[RELAY_BY_SETTINGS] = "configured",
		[RELAY_BY_DANE] = "dane",
		[RELAY_BY_STS] = "sts"
	};

	return names[s];
}

const char *
relay_level_name(enum relay_level l)
{
	static const char *const names[RELAY_NLEVELS] = {
		[RELAY_NEVER] = "none",
		[RELAY_MAY] = "may",
		[RELAY_ENCRYPT] = "encrypt",
		[RELAY_VERIFY] = "verify",
		[RELAY_DANE] = "dane",
		[RELAY_SKIP] = "skip"
	};

	return names[l];
}

enum relay_result
relay_policy_result(enum tls_client_verdict verdict)
{
	switch (verdict) {
	case TLS_CLIENT_VERIFIED:
	case TLS_CLIENT_DANE_TA:
	case TLS_CLIENT_DANE_EE:
		return RELAY_RESULT_GOOD;
	case TLS_CLIENT_MISMATCH:
		return RELAY_RESULT_HOST_MISMATCH;
	case TLS_CLIENT_EXPIRED:
		return RELAY_RESULT_EXPIRED;
	case TLS_CLIENT_UNTRUSTED:
		return RELAY_RESULT_NOT_TRUSTED;
	case TLS_CLIENT_NOTHING:
	case TLS_CLIENT_NO_TLSA:
	case TLS_CLIENT_INVALID:
	case TLS_CLIENT_BROKEN:
	case TLS_CLIENT_CLOSED:
		break;
	}
	return RELAY_RESULT_VALIDATION;
}

/* --- TLSA records --------------------------------------------------------- */

/* The usable records of a host. */
struct usable {
	struct tls_client_tlsa	 v[TLS_CLIENT_TLSA_MAX];
	size_t			 n, octets;
	bool			 is_too_much;
};

static void
find_usable(const struct mx_tlsa *t, struct usable *u)
{
	const struct lookup_answer a = { .records = t->records, .len = t->len };
	struct lookup_record r;
	size_t at = 0;

	memset(u, 0, sizeof(*u));
	while (lookup_record_next(&a, &at, &r) == 1) {
		struct tls_client_tlsa one = { .usage = r.tlsa.usage,
			.selector = r.tlsa.selector,
			.matching = r.tlsa.matching, .data = r.data,
			.len = r.len };

		if (!tls_client_tlsa_usable(&one))
			continue;
		if (u->n == TLS_CLIENT_TLSA_MAX ||
		    u->octets + one.len > RELAY_TLSA_OCTETS) {
			u->is_too_much = true;
			return;
		}
		u->octets += one.len;
		u->v[u->n++] = one;
	}
}

/* --- choosing ------------------------------------------------------------- */

bool
relay_policy_is_of_others(const struct relay_policy *p)
{
	return p->source == RELAY_BY_DANE || p->source == RELAY_BY_STS;
}

bool
relay_policy_wants_tlsa(const struct settings_domain *d)
{
	return d->tls_level == SETTINGS_TLS_DANE ||
	    d->tls_level == SETTINGS_TLS_DANE_ONLY;
}

static void
skip(struct relay_policy *p, enum relay_result result, const char *why)
{
	p->level = RELAY_SKIP;
	p->result = result;
	p->why = why;
}

/* RFC 7672 3.2.2: names that a certificate by a record of usage 2 may be for: the
 * base domain, and what was asked for, with the end of its CNAME records. */
static void
set_names(struct relay_policy *p, const struct relay_policy_facts *f)
{
	const char *others[] = { f->name, f->alias };
	size_t i;

	p->name = f->hop->tlsa.base;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (*others[i] != '\0' && strcasecmp(others[i], p->name) != 0)
			p->names[p->nnames++] = others[i];
}

/* RFC 7672 2.2: "a secure TLSA RRset".  Return whether its records decide. */
static bool
choose_dane(struct relay_policy *p, const struct relay_policy_facts *f,
    const struct usable *u)
{
	if (f->hop == NULL || f->hop->tlsa.status == MX_TLSA_NONE)
		return false;
	p->source = RELAY_BY_DANE;
	/* RFC 8460 4.3.2.1: the DNS has answered, and it is the records that are
	 * wrong */
	if (f->hop->tlsa.is_too_much || u->is_too_much) {
		skip(p, RELAY_RESULT_TLSA_INVALID, "it has more TLSA records "
		    "than are looked at");
	} else if (f->hop->tlsa.status == MX_TLSA_FAILED) {
		skip(p, RELAY_RESULT_DNSSEC_INVALID, "the DNS gives no answer "
		    "about its TLSA records, which DNSSEC would prove: its "
		    "administrator can see why with \"delv TLSA\"");
	} else {
		/* if all are unusable, RFC 7672 2.2: TLS, unauthenticated */
		p->level = u->n > 0 ? RELAY_DANE : RELAY_ENCRYPT;
		set_names(p, f);
	}
	return true;
}

/* RFC 7672 6: mandatory DANE */
static void
demand_dane(struct relay_policy *p, const struct relay_policy_facts *f,
    const struct usable *u)
{
	p->is_dane_only = true;
	if (!choose_dane(p, f, u))
		skip(p, RELAY_RESULT_DANE_REQUIRED, "TLS = dane-only demands "
		    "TLSA records, and there are none that DNSSEC proves");
	else if (p->level == RELAY_ENCRYPT)
		skip(p, RELAY_RESULT_TLSA_INVALID, "TLS = dane-only demands "
		    "TLSA records, and none of those that it has can be used");
}

/* RFC 8461 4.1 */
static bool
choose_sts(struct relay_policy *p, const struct relay_policy_facts *f)
{
	p->is_testing = f->sts == RELAY_STS_TESTING;
	if (f->hop == NULL || f->sts == RELAY_STS_NONE || p->is_testing)
		return false;
	p->source = RELAY_BY_STS;
	if (f->sts == RELAY_STS_NO_MATCH) {
		skip(p, RELAY_RESULT_VALIDATION, "it is none of the hosts in "
		    "the MTA-STS policy of the domain");
		return true;
	}
	p->level = RELAY_VERIFY;
	p->name = f->hop->host;
	p->is_sure = true;
	return true;
}

static void
choose(struct relay_policy *p, const struct relay_policy_facts *f,
    const struct usable *u)
{
	static const enum relay_level levels[] = {
		[SETTINGS_TLS_NONE] = RELAY_NEVER,
		[SETTINGS_TLS_ENCRYPT] = RELAY_ENCRYPT,
		[SETTINGS_TLS_VERIFY] = RELAY_VERIFY
	};
	const struct settings_domain *d = f->domain;

	switch (d->tls_level) {
	case SETTINGS_TLS_DANE:
		if (!f->is_optional && choose_dane(p, f, u))
			return;
		/* FALLTHROUGH */
	case SETTINGS_TLS_MAY:
		if (f->is_optional || !choose_sts(p, f))
			p->level = RELAY_MAY;
		return;
	case SETTINGS_TLS_DANE_ONLY:
		demand_dane(p, f, u);
		return;
	default:
		p->level = levels[d->tls_level];
		p->source = RELAY_BY_SETTINGS;
	}
}

/* RFC 8689 4.2.1: a name that the DNS has given without proof is anybody's
 * choice. */
static bool
is_name_sure(const struct relay_policy_facts *f)
{
	return !f->is_mx || f->hop->is_mx_authentic || *f->hop->host == '\0' ||
	    strcasecmp(f->hop->host, f->name) == 0;
}

/* --- one in one piece of memory ------------------------------------------- */

static size_t
text_octets(const struct relay_policy *p)
{
	size_t n = strlen(p->name) + 1, i;

	for (i = 0; i < p->nnames; i++)
		n += strlen(p->names[i]) + 1;
	return n;
}

/* Copy ${s} to *${to}, and move that on. */
static const char *
put_text(char **to, const char *s)
{
	size_t len = strlen(s) + 1;
	char *at = *to;

	memcpy(at, s, len);
	*to += len;
	return at;
}

/* The policy, its records, their octets, its texts. */
static struct relay_policy *
pack(const struct relay_policy *p, const struct usable *u)
{
	size_t n = p->level == RELAY_DANE ? u->n : 0, i;
	struct relay_policy *to;
	uint8_t *octets;
	char *text;

	to = malloc(sizeof(*to) + n * sizeof(to->tlsa[0]) +
	    (n > 0 ? u->octets : 0) + text_octets(p));
	if (to == NULL)
		return NULL;
	*to = *p;
	to->tlsa = (struct tls_client_tlsa *)(void *)(to + 1);
	to->ntlsa = n;
	octets = (uint8_t *)(to->tlsa + n);
	for (i = 0; i < n; i++) {
		to->tlsa[i] = u->v[i];
		to->tlsa[i].data = memcpy(octets, u->v[i].data, u->v[i].len);
		octets += u->v[i].len;
	}
	text = (char *)octets;
	to->name = put_text(&text, p->name);
	for (i = 0; i < p->nnames; i++)
		to->names[i] = put_text(&text, p->names[i]);
	return to;
}

_Static_assert(sizeof(struct relay_policy) %
    _Alignof(struct tls_client_tlsa) == 0, "records can lie behind it");

struct relay_policy *
relay_policy_new(const struct relay_policy_facts *f)
{
	bool has_name = *f->domain->tls_name != '\0';
	struct relay_policy p = { .name = f->domain->tls_name,
		.is_sure = has_name || is_name_sure(f), .why = "" };
	struct usable u = { .n = 0 };

	if (f->hop != NULL && f->hop->tlsa.status == MX_TLSA_FOUND)
		find_usable(&f->hop->tlsa, &u);
	choose(&p, f, &u);
	return pack(&p, &u);
}

void
relay_policy_free(struct relay_policy *p)
{
	free(p);
}
