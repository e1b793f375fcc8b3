#include <sys/stat.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/lim.h"
#include "tls/tls_client_int.h"
#include "tls/tlsio.h"
#include "tls_client_fixture.h"
#include "tls_fixture.h"

TestSuite(tls_client, .init = shop_setup, .fini = shop_teardown,
    .timeout = 60);

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
#define NVERSIONS (sizeof(versions) / sizeof(versions[0]))

static struct shop_visit v;

/* --- authorities and names ------------------------------------------------ */

Test(tls_client, a_good_name_verifies_the_server)
{
	struct tls_client_server s = { .name = "mx.example.test" };
	size_t i;

	for (i = 0; i < NVERSIONS; i++) {
		shop_version(versions[i]);
		s.must_verify = !s.must_verify;
		cr_assert(shop_visit(&v, &s));
		cr_assert(v.facts.is_verified);
		cr_assert(!v.facts.is_resumed);
		cr_assert_eq(v.facts.verdict, TLS_CLIENT_VERIFIED);
		cr_assert_str_eq(v.facts.name, "mx.example.test");
		cr_assert_str_eq(v.facts.protocol, versions[i] ==
		    TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
		cr_assert_not_null(strstr(v.facts.cipher, "AES"));
		cr_assert_geq(v.facts.bits, 128);
	}
}

/* With and without must_verify. */
static void
expect_verdict(struct tls_client_server s, enum tls_client_verdict verdict,
    const char *why)
{
	size_t i;

	for (i = 0; i < NVERSIONS; i++) {
		shop_version(versions[i]);
		s.must_verify = false;
		cr_expect(shop_visit(&v, &s), "%s", why);
		cr_expect_eq(v.facts.verdict, verdict, "%s", v.facts.why);
		cr_expect_not_null(strstr(v.facts.why, why), "%s: %s", why,
		    v.facts.why);
		cr_expect(!v.facts.is_verified);
		cr_expect_str_eq(v.facts.name, "");
		s.must_verify = true;
		cr_expect(!shop_visit(&v, &s), "%s", why);
		cr_expect_eq(v.rc, -1);
		cr_expect_eq(v.error, EPROTO);
		cr_expect_eq(v.facts.verdict, verdict, "%s", v.facts.why);
		cr_expect_not_null(strstr(v.facts.why, why), "%s: %s", why,
		    v.facts.why);
		cr_expect_null(v.facts.protocol);
	}
}

Test(tls_client, what_is_wrong_with_a_certificate_is_told)
{
	struct tls_client_server s = { .name = "mx.example.test" };
	struct shop_pair old = shop_make("mx.example.test", &shop_ca);
	struct shop_pair young = shop_make("mx.example.test", &shop_ca);
	struct shop_pair own = shop_make("mx.example.test", NULL);
	struct shop_pair other_ca = shop_make("", NULL);
	struct shop_pair other = shop_make("mx.example.test", &other_ca);

	shop_times(&old, &shop_ca, -7200, -3600);
	shop_use(&old, NULL);
	expect_verdict(s, TLS_CLIENT_EXPIRED, "has expired");
	shop_times(&young, &shop_ca, 3600, 7200);
	shop_use(&young, NULL);
	expect_verdict(s, TLS_CLIENT_EXPIRED, "not valid yet");
	shop_use(&own, NULL);
	expect_verdict(s, TLS_CLIENT_UNTRUSTED, "signed by itself");
	shop_use(&other, NULL);
	expect_verdict(s, TLS_CLIENT_UNTRUSTED, "none of our authorities");
	shop_use(&other, &other_ca);
	expect_verdict(s, TLS_CLIENT_UNTRUSTED, "none of our authorities");
	shop_use(&shop_good, NULL);
	s.name = "mx.example.net";
	expect_verdict(s, TLS_CLIENT_MISMATCH, "another name");
	s.name = "192.0.2.1";
	expect_verdict(s, TLS_CLIENT_MISMATCH, "its address");
}

Test(tls_client, a_key_of_80_bits_verifies_nobody)
{
	EVP_PKEY *key = EVP_RSA_gen(1024);
	struct shop_pair weak = shop_make("mx.example.test", &shop_ca);
	struct tls_client_server s = { .name = "mx.example.test" };

	X509_set_pubkey(weak.cert, key);
	cr_assert_neq(X509_sign(weak.cert, shop_ca.key, EVP_sha256()), 0);
	/* one without another certificate */
	SSL_CTX_free(shop_server);
	shop_server = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_security_level(shop_server, 0);
	cr_assert_eq(SSL_CTX_use_cert_and_key(shop_server, weak.cert, key,
	    NULL, 1), 1);
	expect_verdict(s, TLS_CLIENT_INVALID, "too short a key");
	EVP_PKEY_free(key);
}

Test(tls_client, a_certificate_may_be_for_one_of_several_names)
{
	static const struct {
		const char	*names;		/* in the certificate */
		const char	*name;
		const char	*other;		/* NULL: none */
		bool		 is_good;
	} rows[] = {
		{ "mx.example.test", "MX.Example.Test", NULL, true },
		{ "*.example.test", "mx.example.test", NULL, true },
		{ "*.example.test", "a.mx.example.test", NULL, false },
		{ "m*.example.test", "mx.example.test", NULL, false },
		{ "*.test", "mx.example.test", NULL, false },
		{ "a.test,mx.example.test", "mx.example.test", NULL, true },
		{ "example.test", "mx.example.test", "example.test", true },
		{ "example.test", NULL, "example.test", true },
		{ "other.test", "mx.example.test", "example.test", false },
		{ "192.0.2.1", "192.0.2.1", NULL, true },
		{ "192.0.2.1", "192.0.2.2", NULL, false },
		{ "mx.example.test", "192.0.2.1", NULL, false },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct shop_pair p = shop_make(rows[i].names, &shop_ca);
		struct tls_client_server s = { .name = rows[i].name,
			.names = &rows[i].other,
			.nnames = rows[i].other != NULL, .must_verify = true };

		shop_use(&p, NULL);
		cr_expect_eq(shop_visit(&v, &s), rows[i].is_good, "%s: %s",
		    rows[i].names, v.facts.why);
	}
}

static char sni[256];

static int
note_name(SSL *ssl, int *, void *)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	snprintf(sni, sizeof(sni), "%s", name != NULL ? name : "none");
	return SSL_TLSEXT_ERR_OK;
}

Test(tls_client, the_server_is_told_its_name_and_no_address)
{
	static const char *const rows[][2] = {
		{ "mx.example.test", "mx.example.test" },
		{ "192.0.2.1", "none" }, { "2001:db8::1", "none" },
		{ "", "none" }, { NULL, "none" },
	};
	struct shop_record r;
	struct tls_client_server s = { 0 };
	size_t i;

	SSL_CTX_set_tlsext_servername_callback(shop_server, note_name);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s.name = rows[i][0];
		cr_assert(shop_visit(&v, &s));
		cr_expect_str_eq(sni, rows[i][1]);
	}
	/* RFC 7672 3.2.2: the base domain */
	shop_tlsa(&r, &shop_good, 3, 1, 1);
	s = (struct tls_client_server) { .name = "mx.example.net",
		.tlsa = &r.r, .ntlsa = 1 };
	cr_assert(shop_visit(&v, &s));
	cr_expect_str_eq(sni, "mx.example.net");
}

Test(tls_client, without_a_name_nothing_is_verified)
{
	struct tls_client_server s = { .hop = "192.0.2.1:25" };

	cr_assert(shop_visit(&v, &s));
	cr_assert_eq(v.facts.verdict, TLS_CLIENT_NOTHING);
	cr_assert(!v.facts.is_verified);
}

Test(tls_client, without_authorities_no_certificate_verifies)
{
	struct tls_client_config config = { .protocols = "TLSv1.3" };
	struct tls_client_server s = { .name = "mx.example.test" };
	char err[TLSCTX_ERROR_MAX];

	tls_client_ctx_free(shop_ctx);
	shop_ctx = tls_client_ctx_new(&config, err, sizeof(err));
	cr_assert_not_null(shop_ctx);
	cr_assert(shop_visit(&v, &s));
	cr_assert_eq(v.facts.verdict, TLS_CLIENT_UNTRUSTED);
}

Test(tls_client, a_server_that_asks_for_a_certificate_gets_none)
{
	struct tls_client_server s = { .name = "mx.example.test",
		.must_verify = true };
	size_t i;

	for (i = 0; i < NVERSIONS; i++) {
		shop_version(versions[i]);
		SSL_CTX_set_verify(shop_server, SSL_VERIFY_PEER, NULL);
		cr_assert(shop_visit(&v, &s));
		SSL_CTX_set_verify(shop_server, SSL_VERIFY_PEER |
		    SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		cr_assert(!shop_visit(&v, &s));
	}
}

/* --- TLSA records --------------------------------------------------------- */

Test(tls_client, a_record_of_usage_3_verifies_whatever_the_certificate_says)
{
	struct shop_pair p = shop_make("other.test", NULL);
	struct shop_record r;
	struct tls_client_server s = { .name = "mx.example.test",
		.tlsa = &r.r, .ntlsa = 1, .must_verify = true };
	int selector, matching;
	size_t i;

	shop_times(&p, &p, -7200, -3600);
	shop_use(&p, NULL);
	for (i = 0; i < NVERSIONS * 6; i++) {
		shop_version(versions[i / 6]);
		selector = (int)(i % 6 / 3);
		matching = (int)(i % 3);
		shop_tlsa(&r, &p, 3, selector, matching);
		cr_expect(shop_visit(&v, &s), "3 %d %d: %s", selector,
		    matching, v.facts.why);
		cr_expect_eq(v.facts.verdict, TLS_CLIENT_DANE_EE);
		cr_expect(v.facts.is_verified);
	}
}

Test(tls_client, a_record_of_usage_2_verifies_with_the_name)
{
	struct shop_pair ca = shop_make("", NULL);
	struct shop_pair p = shop_make("mx.example.test", &ca);
	struct shop_record r;
	static const char *const other = "example.test";
	struct tls_client_server s = { .name = "mx.example.test",
		.tlsa = &r.r, .ntlsa = 1, .must_verify = true };
	int selector, matching;
	size_t i;

	shop_use(&p, &ca);
	for (i = 0; i < NVERSIONS * 6; i++) {
		shop_version(versions[i / 6]);
		selector = (int)(i % 6 / 3);
		matching = (int)(i % 3);
		shop_tlsa(&r, &ca, 2, selector, matching);
		cr_expect(shop_visit(&v, &s), "2 %d %d: %s", selector,
		    matching, v.facts.why);
		cr_expect_eq(v.facts.verdict, TLS_CLIENT_DANE_TA);
		cr_expect_str_eq(v.facts.name, "mx.example.test");
	}
	s.name = "mx.example.net";
	expect_verdict(s, TLS_CLIENT_MISMATCH, "another name");
	/* RFC 7672 3.2.2: the domain of the recipients is one, too */
	p = shop_make("example.test", &ca);
	shop_use(&p, &ca);
	s.names = &other;
	s.nnames = 1;
	cr_expect(shop_visit(&v, &s));
	cr_expect_str_eq(v.facts.name, "example.test");
	s.name = "mx.example.test";
	s.nnames = 0;
	p = shop_make("mx.example.test", &ca);
	shop_times(&p, &ca, -7200, -3600);
	shop_use(&p, &ca);
	expect_verdict(s, TLS_CLIENT_EXPIRED, "has expired");
}

Test(tls_client, records_that_do_not_match_leave_authorities_nothing_to_say)
{
	struct shop_pair ca = shop_make("", NULL), own = shop_make("a.test",
	    NULL);
	struct shop_record r[2];
	struct tls_client_tlsa both[2];
	struct tls_client_server s = { .name = "mx.example.test",
		.tlsa = both, .ntlsa = 2 };

	shop_tlsa(&r[0], &own, 3, 1, 1);
	shop_tlsa(&r[1], &ca, 2, 0, 1);
	both[0] = r[0].r;
	both[1] = r[1].r;
	expect_verdict(s, TLS_CLIENT_NO_TLSA, "no TLSA record");
	/* one of several is enough */
	shop_tlsa(&r[1], &shop_good, 3, 0, 1);
	both[1] = r[1].r;
	s.must_verify = true;
	cr_assert(shop_visit(&v, &s));
	cr_assert_eq(v.facts.verdict, TLS_CLIENT_DANE_EE);
}

/* RFC 7671 9: of one usage and selector.  A record with the whole certificate has
 * no digest. */
Test(tls_client, of_several_digests_the_strongest_alone_counts)
{
	static const struct {
		int right_selector, right, wrong_selector, wrong;
		bool is_verified;
	} rows[] = {
		{ 0, 1, 0, 2, false },
		{ 1, 1, 1, 2, false },
		{ 0, 2, 0, 1, true },
		{ 1, 1, 0, 2, true },
		{ 0, 0, 0, 2, true },
	};
	struct shop_pair other = shop_make("a.test", NULL);
	struct shop_record r[2];
	struct tls_client_tlsa both[2];
	struct tls_client_server s = { .name = "mx.example.test",
		.tlsa = both, .ntlsa = 2 };
	size_t i;

	for (i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		shop_tlsa(&r[0], &shop_good, 3, rows[i / 2].right_selector,
		    rows[i / 2].right);
		shop_tlsa(&r[1], &other, 3, rows[i / 2].wrong_selector,
		    rows[i / 2].wrong);
		/* in any order */
		both[i % 2] = r[0].r;
		both[1 - i % 2] = r[1].r;
		cr_assert(shop_visit(&v, &s));
		cr_expect_eq(v.facts.verdict, rows[i / 2].is_verified ?
		    TLS_CLIENT_DANE_EE : TLS_CLIENT_NO_TLSA, "%zu: %s", i,
		    v.facts.why);
	}
}

Test(tls_client, records_that_cannot_be_used)
{
	static const uint8_t octets[64] = { 1 };
	static const struct {
		struct tls_client_tlsa	r;
		bool			is_usable;
	} rows[] = {
		{ { 3, 1, 1, octets, 32 }, true },
		{ { 3, 1, 2, octets, 64 }, true },
		{ { 2, 0, 0, octets, 10 }, true },
		{ { 0, 0, 1, octets, 32 }, false },
		{ { 1, 0, 1, octets, 32 }, false },
		{ { 4, 0, 1, octets, 32 }, false },
		{ { 255, 0, 1, octets, 32 }, false },
		{ { 3, 2, 1, octets, 32 }, false },
		{ { 3, 1, 3, octets, 32 }, false },
		{ { 3, 1, 1, octets, 31 }, false },
		{ { 3, 1, 1, octets, 64 }, false },
		{ { 3, 1, 2, octets, 32 }, false },
		{ { 3, 1, 1, octets, 0 }, false },
		{ { 3, 1, 0, octets, 0 }, false },
	};
	struct tls_client_server s = { .name = "mx.example.test", .ntlsa = 1 };
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_eq(tls_client_tlsa_usable(&rows[i].r),
		    rows[i].is_usable, "%zu", i);
		/* that which only looks like one is found out, too */
		if (rows[i].is_usable && rows[i].r.matching != 0)
			continue;
		s.tlsa = &rows[i].r;
		s.must_verify = true;
		cr_expect_null(tls_client_new(shop_ctx, &s));
		cr_expect_eq(errno, ENOTSUP, "%zu", i);
		s.must_verify = false;
		cr_expect(shop_visit(&v, &s));
		cr_expect_eq(v.facts.verdict, TLS_CLIENT_NOTHING);
		cr_expect(!v.facts.is_verified);
	}
}

Test(tls_client, servers_that_cannot_be_asked_for)
{
	static const char *const names[] = { "mx.example.test", "b", "c", "d",
		"e", "f", "g", "h", "i" };
	static const char *const empty[] = { "" };
	static const uint8_t octets[32];
	static struct tls_client_tlsa records[TLS_CLIENT_TLSA_MAX + 1];
	char label[66], domain[300];
	size_t i;
	const struct tls_client_server rows[] = {
		{ .name = "mx example" }, { .name = "mx..test" },
		{ .name = ".test" }, { .name = "test." }, { .name = label },
		{ .name = domain }, { .name = "m\xc3\xbcx.test" },
		{ .name = "mx.test\r\n" }, { .name = "[192.0.2.1]" },
		{ .name = "a.test", .names = empty, .nnames = 1 },
		{ .name = "a.test", .names = names, .nnames = 9 },
		{ .name = "192.0.2.1", .names = names, .nnames = 1 },
		{ .must_verify = true },
		{ .tlsa = records, .ntlsa = 1 },
		{ .name = "192.0.2.1", .tlsa = records, .ntlsa = 1 },
		{ .name = "a.test", .tlsa = records,
		    .ntlsa = TLS_CLIENT_TLSA_MAX + 1 },
	};

	memset(label, 'a', sizeof(label));
	label[64] = '\0';
	for (i = 0; i < 254; i++)
		domain[i] = i % 2 ? '.' : 'a';
	domain[i] = '\0';
	for (i = 0; i <= TLS_CLIENT_TLSA_MAX; i++)
		records[i] = (struct tls_client_tlsa) { 3, 1, 1, octets, 32 };
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		errno = 0;
		cr_expect_null(tls_client_new(shop_ctx, &rows[i]), "%zu", i);
		cr_expect_eq(errno, EINVAL, "%zu", i);
	}
}

/* --- bindings ------------------------------------------------------------- */

/* RFC 9266, RFC 5929 4: what both ends know of this connection alone, or of the
 * server's certificate. */
Test(tls_client, both_ends_have_the_binding)
{
	struct tls_client_server s = { .hop = "192.0.2.1:25",
		.name = "mx.example.test" };
	uint8_t ours[2][TLS_CLIENT_BINDING_MAX], theirs[64];
	enum tls_client_binding is;
	size_t i, k, len;

	for (i = 0; i < NVERSIONS * 2; i++) {
		k = i % 2;	/* the second time it is resumed */
		shop_version(versions[i / 2]);
		shop_enter(&v, shop_ctx, &s);
		cr_assert_eq(tls_client_binding(v.client, 0, ours[k], &len),
		    TLS_CLIENT_UNBOUND);
		cr_assert_eq(len, 0);
		cr_assert(shop_shake(&v));
		is = tls_client_binding(v.client, 0, ours[k], &len);
		cr_assert_eq(len, 32);
		if (versions[i / 2] == TLS1_3_VERSION) {
			cr_assert_eq(is, TLS_CLIENT_EXPORTER);
			cr_assert_eq(tls_exporter(v.server, theirs), 32);
		} else {
			cr_assert_eq(is, TLS_CLIENT_END_POINT);
			cr_assert_eq(X509_digest(shop_good.cert, EVP_sha256(),
			    theirs, NULL), 1);
		}
		cr_assert_arr_eq(ours[k], theirs, 32);
		shop_leave(&v);
		cr_assert_eq(v.facts.is_resumed, k == 1);
		cr_assert(k == 0 || (memcmp(ours[0], ours[1], 32) == 0) ==
		    (is == TLS_CLIENT_END_POINT));
	}
	cr_assert_str_eq(tls_client_binding_name(TLS_CLIENT_EXPORTER),
	    "tls-exporter");
	cr_assert_str_eq(tls_client_binding_name(TLS_CLIENT_END_POINT),
	    "tls-server-end-point");
	cr_assert_str_eq(tls_client_binding_name(TLS_CLIENT_UNIQUE),
	    "tls-unique");
	cr_assert_null(tls_client_binding_name(TLS_CLIENT_UNBOUND));
}

/* What comes next if the server does not know the first. */
Test(tls_client, a_connection_has_several_bindings)
{
	static const enum tls_client_binding want[2][4] = {
		{ TLS_CLIENT_END_POINT, TLS_CLIENT_UNIQUE, TLS_CLIENT_EXPORTER,
		    TLS_CLIENT_UNBOUND },
		{ TLS_CLIENT_EXPORTER, TLS_CLIENT_END_POINT, TLS_CLIENT_UNBOUND,
		    TLS_CLIENT_UNBOUND },
	};
	struct tls_client_server s = { .hop = "192.0.2.1:25",
		.name = "mx.example.test" };
	uint8_t ours[TLS_CLIENT_BINDING_MAX], theirs[64];
	SSL *server;
	size_t i, len, n;
	unsigned int b;

	for (i = 0; i < NVERSIONS * 2; i++) {
		bool is_13 = versions[i / 2] == TLS1_3_VERSION;

		shop_version(versions[i / 2]);
		shop_enter(&v, shop_ctx, &s);
		cr_assert(shop_shake(&v));
		for (b = 0; b < 4; b++) {
			cr_assert_eq(tls_client_binding(v.client, b, ours, &len),
			    want[is_13][b]);
			cr_assert_eq(len == 0, want[is_13][b] ==
			    TLS_CLIENT_UNBOUND);
			if (want[is_13][b] != TLS_CLIENT_UNIQUE)
				continue;
			/* RFC 5929 3.1: the second time the session is resumed */
			server = v.server;
			n = i % 2 == 1 ? SSL_get_finished(server, theirs,
			    sizeof(theirs)) : SSL_get_peer_finished(server,
			    theirs, sizeof(theirs));
			cr_assert_eq(len, n);
			cr_assert_arr_eq(ours, theirs, n);
		}
		shop_leave(&v);
		cr_assert_eq(v.facts.is_resumed, i % 2 == 1);
	}
}

/* --- resumption ----------------------------------------------------------- */

Test(tls_client, a_session_is_resumed_with_the_same_server_alone)
{
	static const char *const names[] = { "example.test" };
	struct shop_record r;
	struct tls_client_server s = { .hop = "192.0.2.1:25",
		.name = "mx.example.test", .must_verify = true };
	struct tls_client_server rows[] = { s, s, s, s, s, s };
	struct tls_client_ctx *first = shop_ctx;
	size_t i, k;

	shop_tlsa(&r, &shop_good, 3, 1, 1);
	rows[0].hop = "192.0.2.2:25";
	rows[1].name = "MX.example.test";
	rows[2].names = names;
	rows[2].nnames = 1;
	rows[3].must_verify = false;
	rows[4].tlsa = &r.r;
	rows[4].ntlsa = 1;
	rows[5].hop = NULL;
	for (i = 0; i < NVERSIONS; i++) {
		shop_version(versions[i]);
		shop_ctx = shop_context("TLSv1.2 TLSv1.3");
		cr_assert(shop_visit(&v, &s));
		cr_assert(!v.facts.is_resumed);
		for (k = 0; k < 3; k++) {
			cr_assert(shop_visit(&v, &s));
			cr_assert(v.facts.is_resumed, "%zu", k);
			cr_assert(v.facts.is_verified);
			cr_assert_eq(v.facts.verdict, TLS_CLIENT_VERIFIED);
			cr_assert_str_eq(v.facts.name, "mx.example.test");
		}
		for (k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
			cr_expect(shop_visit(&v, &rows[k]));
			cr_expect(!v.facts.is_resumed, "%zu", k);
			cr_expect(v.facts.is_verified);
			cr_expect(shop_visit(&v, &rows[k]));
			cr_expect_eq(v.facts.is_resumed, rows[k].hop != NULL);
			cr_expect(v.facts.is_verified);
		}
		tls_client_ctx_free(shop_ctx);
	}
	shop_ctx = first;
	cr_assert(shop_visit(&v, &s));
	cr_assert(!v.facts.is_resumed);
}

Test(tls_client, a_resumed_session_is_as_little_verified_as_its_first)
{
	struct shop_pair own = shop_make("mx.example.test", NULL);
	struct tls_client_server s = { .hop = "192.0.2.1:25",
		.name = "mx.example.test" };
	char why[TLS_CLIENT_WHY_MAX];
	size_t i;

	shop_use(&own, NULL);
	for (i = 0; i < NVERSIONS; i++) {
		shop_version(versions[i]);
		s.hop = i == 0 ? "a" : "b";
		cr_assert(shop_visit(&v, &s));
		memcpy(why, v.facts.why, sizeof(why));
		cr_assert(shop_visit(&v, &s));
		cr_assert(v.facts.is_resumed);
		cr_assert(!v.facts.is_verified);
		cr_assert_eq(v.facts.verdict, TLS_CLIENT_UNTRUSTED);
		cr_assert_str_eq(v.facts.why, why);
	}
}

/* Nothing of the kind is ever kept; whatever is, must_verify is held to. */
Test(tls_client, a_resumed_session_that_nothing_verifies_fails)
{
	struct tls_client_server s = { .hop = "a", .name = "mx.example.test",
		.must_verify = true };
	struct tls_client_shown shown;
	struct tls_client *t;
	SSL_SESSION *session;
	size_t i;

	for (i = 0; i < NVERSIONS; i++) {
		shop_version(versions[i]);
		cr_assert(shop_visit(&v, &s));
		t = tls_client_new(shop_ctx, &s);
		session = tls_client_cache_get(t->cache, t->key,
		    tls_client_now(), &shown);
		cr_assert_not_null(session);
		shown.verdict = TLS_CLIENT_UNTRUSTED;
		tls_client_cache_put(t->cache, t->key, session, &shown,
		    tls_client_now());
		SSL_SESSION_free(session);
		tls_client_free(t);
		shop_enter(&v, shop_ctx, &s);
		cr_assert(!shop_shake(&v));
		cr_assert_eq(v.rc, -1);
		cr_assert_eq(v.error, EPROTO);
		shop_leave(&v);
		cr_assert(!v.facts.is_done && !v.facts.is_verified);
		cr_assert_null(v.facts.protocol);
		cr_assert_eq(v.facts.verdict, TLS_CLIENT_UNTRUSTED);
		/* and it is forgotten */
		cr_assert(shop_visit(&v, &s));
		cr_assert(!v.facts.is_resumed);
		s.hop = "b";
	}
}

Test(tls_client, a_session_is_not_offered_again_after_a_handshake_that_failed)
{
	struct tls_client_server s = { .hop = "192.0.2.1:25",
		.name = "mx.example.test" };

	cr_assert(shop_visit(&v, &s));
	shop_enter(&v, shop_ctx, &s);
	cr_assert_eq(tls_client_handshake(v.client, &v.needmask), 0);
	shutdown(v.fd, SHUT_RDWR);
	cr_assert(!shop_shake(&v));
	shop_leave(&v);
	cr_assert(shop_visit(&v, &s));
	cr_assert(!v.facts.is_resumed);
}

Test(tls_client, a_context_that_is_gone_leaves_its_connections_alone)
{
	struct tls_client_server s = { .hop = "192.0.2.1:25",
		.name = "mx.example.test" };

	shop_enter(&v, shop_ctx, &s);
	tls_client_ctx_free(shop_ctx);
	shop_ctx = NULL;
	cr_assert(shop_shake(&v));
	shop_leave(&v);
	cr_assert(v.facts.is_verified);
}

/* --- servers that fail ---------------------------------------------------- */

static void
expect_failure(int error, enum tls_client_verdict verdict, const char *why)
{
	cr_assert(!shop_shake(&v));
	cr_assert_eq(v.rc, -1);
	cr_expect_eq(v.error, error, "%s", strerror(v.error));
	shop_leave(&v);
	cr_expect_eq(v.facts.verdict, verdict, "%s", v.facts.why);
	cr_expect_not_null(strstr(v.facts.why, why), "%s", v.facts.why);
	cr_expect(!v.facts.is_done && !v.facts.is_verified);
}

Test(tls_client, what_is_no_tls)
{
	static const struct tls_client_server s = { .name = "mx.example.test" };

	shop_enter(&v, shop_ctx, &s);
	cr_assert_eq(write(v.fd, "250 2.0.0 all is well\r\n", 23), 23);
	expect_failure(EPROTO, TLS_CLIENT_BROKEN, "did not send TLS");
	shop_enter(&v, shop_ctx, &s);
	cr_assert_eq(write(v.fd, "\x16\x03\x03\x00\x04\x02\xff\xff\xff", 9),
	    9);
	expect_failure(EPROTO, TLS_CLIENT_BROKEN, "");
}

Test(tls_client, nothing_in_common)
{
	static const struct tls_client_server s = { .name = "mx.example.test" };

	SSL_CTX_set_security_level(shop_server, 0);
	shop_version(TLS1_1_VERSION);
	shop_enter(&v, shop_ctx, &s);
	expect_failure(EPROTO, TLS_CLIENT_BROKEN, "alert \"protocol version\"");
	tls_client_ctx_free(shop_ctx);
	shop_ctx = shop_context("TLSv1.3");
	shop_version(TLS1_2_VERSION);
	shop_enter(&v, shop_ctx, &s);
	expect_failure(EPROTO, TLS_CLIENT_BROKEN, "alert \"protocol version\"");
}

Test(tls_client, more_certificates_than_a_chain_has)
{
	static const struct tls_client_server s = { .name = "mx.example.test" };
	size_t i;

	for (i = 0; i < LIM_TLS_CHAIN_OCTETS / 256; i++)
		SSL_CTX_add1_chain_cert(shop_server, shop_ca.cert);
	shop_version(TLS1_2_VERSION);
	shop_enter(&v, shop_ctx, &s);
	expect_failure(EPROTO, TLS_CLIENT_BROKEN, "too long a message");
}

/* What the server has to send is cut after ${max} octets.  Return whether that
 * was all. */
static bool
visit_cut(size_t max, const struct tls_client_server *s)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char buf[4096];
	size_t sent = 0;
	ssize_t n;
	int rc = 0;

	shop_enter(&v, shop_ctx, s);
	SSL_set_bio(v.server, in, out);
	while (rc == 0 && sent < max) {
		rc = tls_client_handshake(v.client, &v.needmask);
		while ((n = read(v.fd, buf, sizeof(buf))) > 0)
			BIO_write(in, buf, (int)n);
		SSL_do_handshake(v.server);
		ERR_clear_error();
		while (sent < max && (n = BIO_read(out, buf,
		    (int)(max - sent < sizeof(buf) ? max - sent :
		    sizeof(buf)))) > 0) {
			cr_assert_eq(write(v.fd, buf, (size_t)n), n);
			sent += (size_t)n;
		}
	}
	if (rc == 0) {
		shutdown(v.fd, SHUT_WR);
		while ((rc = tls_client_handshake(v.client, &v.needmask)) == 0)
			;
	}
	shop_leave(&v);
	if (rc == -1)
		cr_expect_eq(v.facts.verdict, TLS_CLIENT_CLOSED, "%zu: %s",
		    max, v.facts.why);
	return rc == 1;
}

Test(tls_client, a_server_may_close_at_any_octet)
{
	static const struct tls_client_server s = { .hop = "a",
		.name = "mx.example.test" };
	size_t i, max;

	for (i = 0; i < NVERSIONS; i++) {
		shop_version(versions[i]);
		for (max = 0; !visit_cut(max, &s); max += max < 200 ? 1 : 13)
			cr_assert_lt(max, 20000);
		cr_assert_gt(max, 500);
	}
}

/* --- who frees what ------------------------------------------------------- */

Test(tls_client, a_connection_may_be_freed_before_its_event)
{
	static const struct tls_client_server s = { .hop = "a",
		.name = "mx.example.test" };
	char c;
	int i;

	shop_version(TLS1_3_VERSION);
	shop_enter(&v, shop_ctx, &s);
	for (i = 0; i < 20 && tls_client_handshake(v.client, &v.needmask) != 1;
	    i++)
		SSL_do_handshake(v.server);
	tls_client_free(v.client);
	/* the tickets come to nobody */
	SSL_do_handshake(v.server);
	SSL_write(v.server, "x", 1);
	for (i = 0; event_read(v.event, &c, 1, &v.needmask) != 1; i++)
		cr_assert_lt(i, 20);
	event_close(v.event);
	event_free(v.event);
	SSL_free(v.server);
	close(v.fd);
	tls_client_free(tls_client_new(shop_ctx, &s));
	tls_client_free(NULL);
	tls_client_ctx_free(NULL);
}

/* --- the files of authorities --------------------------------------------- */

static char dir[64];

static void
put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	cr_assert_not_null(f = fopen(path, "w"));
	fputs(text, f);
	cr_assert_eq(fclose(f), 0);
}

/* How many certificates are read; -1: none, and err. */
static int
count(const char *path, char *err)
{
	struct tlsctx_octets pem;
	int n = 0;
	const char *p;

	if (tls_authorities_read(path, &pem, err, TLSCTX_ERROR_MAX) == -1)
		return -1;
	for (p = pem.v; p < pem.v + pem.len - 5; p++)
		n += memcmp(p, "BEGIN", 5) == 0;
	free((void *)(uintptr_t)pem.v);
	return n;
}

Test(tls_client, authorities_are_read_from_a_file_or_a_folder)
{
	char *pem = keys_cert_pem(shop_ca.cert), path[128];
	char err[TLSCTX_ERROR_MAX] = "";

	snprintf(dir, sizeof(dir), "/tmp/tls_client.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_expect_eq(count(dir, err), -1);
	cr_expect_not_null(strstr(err, "openssl rehash"), "%s", err);
	put("0a775a30.0", pem);
	put("0a775a30.1", pem);
	put("whole.pem", pem);
	put("0a775a30.r0", "a list of revocations");
	cr_expect_eq(count(dir, err), 2, "%s", err);
	snprintf(path, sizeof(path), "%s/whole.pem", dir);
	cr_expect_eq(count(path, err), 1, "%s", err);
	put("0a775a31.0", "nonsense");
	cr_expect_eq(count(dir, err), -1);
	cr_expect_not_null(strstr(err, "0a775a31.0"), "%s", err);
	snprintf(path, sizeof(path), "%s/none", dir);
	cr_expect_eq(count(path, err), -1);
	cr_expect_not_null(strstr(err, strerror(ENOENT)), "%s", err);
	cr_expect_eq(count("/dev/null", err), -1);
	cr_expect_not_null(strstr(err, "neither a file"), "%s", err);
	snprintf(path, sizeof(path), "rm -r %s", dir);
	cr_assert_eq(system(path), 0);
	free(pem);
}

Test(tls_client, a_file_of_authorities_has_a_bound)
{
	char err[TLSCTX_ERROR_MAX], path[128];

	snprintf(dir, sizeof(dir), "/tmp/tls_client.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	put("a", "");
	snprintf(path, sizeof(path), "%s/a", dir);
	cr_assert_eq(truncate(path, LIM_TLS_AUTHORITIES), 0);
	cr_expect_eq(count(path, err), -1);
	cr_expect_not_null(strstr(err, "too large"), "%s", err);
	unlink(path);
	rmdir(dir);
}

Test(tls_client, contexts_that_cannot_be)
{
	static const struct {
		struct tls_client_config config;
		const char *why;
	} rows[] = {
		{ { .protocols = "TLSv1.1" }, "RFC 8996" },
		{ { .protocols = "TLSv1.4" }, "unknown protocol" },
		{ { .protocols = "", .authorities = { "nonsense", 8 } },
		    "no PEM certificate" },
	};
	char err[TLSCTX_ERROR_MAX];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_null(tls_client_ctx_new(&rows[i].config, err,
		    sizeof(err)));
		cr_expect_not_null(strstr(err, rows[i].why), "%s", err);
	}
}
