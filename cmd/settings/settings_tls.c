/* Settings: certificates and keys of all scopes, numbered.
 * Owns: which scopes share a pair or a context, the checks between TLS options.
 * Files are opened in creds.h, values that only OpenSSL can judge are checked in
 * tls_options.h. */

#include "cmd/settings/settings_tls.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/settings/settings_int.h"

/* --- the same? ------------------------------------------------------------ */

static bool
same_list(const struct conf_list *a, const struct conf_list *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

/* Can sessions with either share a context? */
static bool
same_context(const struct esmtp_options *a, const struct esmtp_options *b)
{
	const struct { const char *a, *b; } texts[] = {
		{ a->tls_protocols, b->tls_protocols },
		{ a->tls_ciphers, b->tls_ciphers },
		{ a->tlsv13_ciphersuites, b->tlsv13_ciphersuites },
		{ a->tls_groups, b->tls_groups },
		{ a->tls_client_ca, b->tls_client_ca },
	};
	size_t i;

	if (a->tls_verify_mode != b->tls_verify_mode ||
	    !same_list(&a->tls_certificate, &b->tls_certificate) ||
	    !same_list(&a->tls_key, &b->tls_key) ||
	    !same_list(&a->tls_ocsp_response, &b->tls_ocsp_response))
		return false;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].a, texts[i].b) != 0)
			return false;
	return true;
}

static bool
same_pair(const struct settings_pair *a, const struct settings_pair *b)
{
	return strcmp(a->cert, b->cert) == 0 && strcmp(a->key, b->key) == 0 &&
	    strcmp(a->ocsp, b->ocsp) == 0;
}

/* --- numbering ------------------------------------------------------------ */

/* The number of ${pair}, added if it is new; -1: ENOMEM. */
static int
add_pair(struct settings_tls *t, const struct settings_pair *pair,
    uint32_t *number_r)
{
	struct settings_pair *grown;
	size_t i;

	for (i = 0; i < t->npairs; i++)
		if (same_pair(&t->pairs[i], pair)) {
			*number_r = (uint32_t)i;
			return 0;
		}
	grown = reallocarray(t->pairs, t->npairs + 1, sizeof(*grown));
	if (grown == NULL)
		return -1;
	t->pairs = grown;
	t->pairs[t->npairs] = *pair;
	*number_r = (uint32_t)t->npairs++;
	return 0;
}

/* The same of a file of client CAs, counted from 1. */
static int
add_client_ca(struct settings_tls *t, const char *path,
    const struct conf_at *at, size_t *number_r)
{
	struct settings_client_ca *grown;
	size_t i;

	*number_r = 0;
	if (*path == '\0')
		return 0;
	for (i = 0; i < t->nclient_cas; i++)
		if (strcmp(t->client_cas[i].path, path) == 0) {
			*number_r = i + 1;
			return 0;
		}
	grown = reallocarray(t->client_cas, t->nclient_cas + 1,
	    sizeof(*grown));
	if (grown == NULL)
		return -1;
	t->client_cas = grown;
	t->client_cas[t->nclient_cas++] =
	    (struct settings_client_ca){ path, *at };
	*number_r = t->nclient_cas;
	return 0;
}

static int
context_fill(struct settings_tls *t, const struct conf *c,
    const struct settings_listen *l, struct settings_tls_context *x,
    const struct esmtp_options *o)
{
	struct settings_pair pair = {
		.cert_at = settings_peers_at(c, l->peers, o,
		    ROW_tls_certificate),
		.key_at = settings_peers_at(c, l->peers, o, ROW_tls_key),
		.ocsp_at = settings_peers_at(c, l->peers, o,
		    ROW_tls_ocsp_response)
	};
	const struct conf_at ca_at = settings_peers_at(c, l->peers, o,
	    ROW_tls_client_ca);
	size_t i;

	x->options = o;
	x->pairs = calloc(o->tls_certificate.n, sizeof(*x->pairs));
	if (x->pairs == NULL)
		return -1;
	for (i = 0; i < o->tls_certificate.n; i++) {
		pair.cert = o->tls_certificate.v[i];
		pair.key = o->tls_key.v[i];
		pair.ocsp = i < o->tls_ocsp_response.n ?
		    o->tls_ocsp_response.v[i] : "";
		if (add_pair(t, &pair, &x->pairs[x->npairs]) == -1)
			return -1;
		x->npairs++;
	}
	return add_client_ca(t, o->tls_client_ca, &ca_at, &x->client_ca);
}

static void
note_places(const struct conf *c, const struct settings_listen *l,
    struct settings_tls_context *x)
{
	static const size_t rows[SETTINGS_TLS_NTEXTS] = {
		[SETTINGS_TLS_PROTOCOLS] = ROW_tls_protocols,
		[SETTINGS_TLS_CIPHERS] = ROW_tls_ciphers,
		[SETTINGS_TLS_CIPHERSUITES] = ROW_tlsv13_ciphersuites,
		[SETTINGS_TLS_GROUPS] = ROW_tls_groups,
	};
	size_t i;

	for (i = 0; i < SETTINGS_TLS_NTEXTS; i++)
		x->at[i] = settings_peers_at(c, l->peers, x->options,
		    rows[i]);
}

/* The number of the context for ${o} of ${l}, or -1: ENOMEM. */
static int
add_context(struct settings_tls *t, const struct conf *c,
    const struct settings_listen *l, const struct esmtp_options *o)
{
	struct settings_tls_context *grown;
	size_t i;

	for (i = 0; i < t->ncontexts; i++)
		if (same_context(t->contexts[i].options, o))
			return (int)i;
	grown = reallocarray(t->contexts, t->ncontexts + 1, sizeof(*grown));
	if (grown == NULL)
		return -1;
	t->contexts = grown;
	memset(&t->contexts[t->ncontexts], 0, sizeof(*grown));
	if (context_fill(t, c, l, &t->contexts[t->ncontexts++], o) == -1)
		return -1;
	note_places(c, l, &t->contexts[i]);
	return (int)i;
}

/* --- checks between options ----------------------------------------------- */

int
settings_tls_check(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	static const char pair[] = "TLS_Certificate and TLS_Key to go with it";
	size_t n = o->tls_certificate.n;
	char found[32], expected[80];

	if (o->tls_key.n != n) {
		snprintf(expected, sizeof(expected), "one key for each "
		    "certificate (%zu)", n);
		snprintf(found, sizeof(found), "%zu", o->tls_key.n);
		return settings_refuse(c, l, o, o->tls_key.n > 0 ? ROW_tls_key :
		    ROW_tls_certificate, found, expected);
	}
	if (o->tls_ocsp_response.n > n) {
		snprintf(expected, sizeof(expected), "at most one response for "
		    "each certificate (%zu)", n);
		snprintf(found, sizeof(found), "%zu", o->tls_ocsp_response.n);
		return settings_refuse(c, l, o, ROW_tls_ocsp_response, found,
		    expected);
	}
	if (o->use_ssl && n == 0)
		return settings_refuse(c, l, o, ROW_use_ssl, "true", pair);
	if (o->require_tls && n == 0)
		return settings_refuse(c, l, o, ROW_require_tls, "true", pair);
	if (n > 0 && o->tls_verify_mode == ESMTP_VERIFY_REQUIRE &&
	    *o->tls_client_ca == '\0')
		return settings_refuse(c, l, o, ROW_tls_verify_mode, "require",
		    "TLS_Client_CA to go with it");
	return 0;
}

/* --- build ---------------------------------------------------------------- */

/* Number what the sessions of one listener use. */
static int
build_listen(struct conf *c, const struct settings_listen *l,
    struct settings_tls *t)
{
	struct settings_scope *scope;
	size_t i;

	for (i = 0; i < l->peers->n; i++) {
		scope = l->peers->v[i].scope;
		if (scope->options.tls_certificate.n > 0 &&
		    (scope->tls_context = add_context(t, c, l,
		    &scope->options)) == -1)
			return conf_nomem(c);
	}
	return 0;
}

/* Which keys the sessions of a listener may use. */
static void
note_usable(const struct settings_listen *l, const struct settings_tls *t,
    bool *usable_r)
{
	const struct settings_tls_context *x;
	size_t i, j;

	for (i = 0; i < l->peers->n; i++) {
		if (l->peers->v[i].scope->tls_context == -1)
			continue;
		x = &t->contexts[l->peers->v[i].scope->tls_context];
		for (j = 0; j < x->npairs; j++)
			usable_r[x->pairs[j]] = true;
	}
}

int
settings_tls_build(struct conf *c, struct settings *s)
{
	struct settings_tls *t;
	size_t i;

	if ((t = s->tls = calloc(1, sizeof(*t))) == NULL)
		return conf_nomem(c);
	for (i = 0; i < s->nlistens; i++)
		if (build_listen(c, &s->listens[i], t) == -1)
			return -1;
	t->usable = calloc(s->nlistens * t->npairs + 1, sizeof(*t->usable));
	if (t->usable == NULL)
		return conf_nomem(c);
	for (i = 0; i < s->nlistens; i++)
		note_usable(&s->listens[i], t, t->usable + i * t->npairs);
	return 0;
}

void
settings_tls_clear(struct settings *s)
{
	struct settings_tls *t = s->tls;
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < t->ncontexts; i++)
		free(t->contexts[i].pairs);
	free(t->contexts);
	free(t->pairs);
	free(t->client_cas);
	free(t->usable);
	free(t);
	s->tls = NULL;
}

/* --- lookup --------------------------------------------------------------- */

int
settings_tls_context(const struct esmtp_options *o)
{
	/* the first member of a scope, see settings_int.h */
	return ((const struct settings_scope *)o)->tls_context;
}

bool
settings_tls_may_use(const struct settings *s, size_t listen, uint32_t pair)
{
	const struct settings_tls *t = s->tls;

	if (listen >= s->nlistens || pair >= t->npairs)
		return false;
	return t->usable[listen * t->npairs + pair];
}
