#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "tls/tlsctx.h"
#include "tls/tlsio.h"
#include "tls_fixture.h"

TestSuite(tlsctx, .init = tls_setup, .fini = tls_teardown, .timeout = 60);

static const char *const versions[] = { "TLSv1.2", "TLSv1.3" };

/* --- protocols, ciphers, groups ------------------------------------------- */

Test(tlsctx, protocols_are_words_with_signs)
{
	static const struct {
		const char *text;
		int min, max;	/* 0: an error */
	} rows[] = {
		{ "", TLS1_2_VERSION, TLS1_3_VERSION },
		{ "TLSv1.2 TLSv1.3", TLS1_2_VERSION, TLS1_3_VERSION },
		{ "+ALL", TLS1_2_VERSION, TLS1_3_VERSION },
		{ " all ", TLS1_2_VERSION, TLS1_3_VERSION },
		{ "+ALL -TLSv1.2", TLS1_3_VERSION, TLS1_3_VERSION },
		{ "-TLSv1.2", TLS1_3_VERSION, TLS1_3_VERSION },
		{ "tlsv1.2", TLS1_2_VERSION, TLS1_2_VERSION },
		{ "+TLSv1.2,+TLSv1.3", TLS1_2_VERSION, TLS1_3_VERSION },
		{ "+ALL -SSLv3 -TLSv1 -TLSv1.1", TLS1_2_VERSION,
		    TLS1_3_VERSION },
		{ "TLSv1.1 TLSv1.2", 0, 0 }, { "TLSv1", 0, 0 },
		{ "+SSLv3", 0, 0 }, { "TLSv1.4", 0, 0 },
		{ "-ALL", 0, 0 }, { "TLSv1.2 -TLSv1.2", 0, 0 },
	};
	char err[TLSCTX_ERROR_MAX], which;
	struct tlsctx *t;
	SSL *ssl;
	size_t i;

	tls_pair(KEYS_P256, "mx.example.test");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tls_config.protocols = rows[i].text;
		cr_expect_eq(tlsctx_check(&tls_config, &which, err,
		    sizeof(err)), rows[i].min != 0 ? 0 : -1, "%s",
		    rows[i].text);
		if (rows[i].min == 0) {
			cr_expect_eq(which, 'p');
			cr_expect_gt(strlen(err), 10);
			continue;
		}
		t = tls_context();
		ssl = tlsctx_session(t);
		cr_expect_eq(SSL_get_min_proto_version(ssl), rows[i].min);
		cr_expect_eq(SSL_get_max_proto_version(ssl), rows[i].max);
		SSL_free(ssl);
		tlsctx_free(t);
	}
}

Test(tlsctx, versions_before_1_2_are_refused_with_their_rfc)
{
	char err[TLSCTX_ERROR_MAX], which;

	tls_config.protocols = "TLSv1.1";
	cr_assert_eq(tlsctx_check(&tls_config, &which, err, sizeof(err)), -1);
	cr_assert_not_null(strstr(err, "RFC 8996"));
}

Test(tlsctx, every_name_in_a_list_must_be_known)
{
	static const struct {
		const char *ciphers, *suites, *groups;
		char which;	/* 0: good */
	} rows[] = {
		{ "HIGH", "", "", 0 },
		{ "ECDHE+AESGCM:!AES128", "", "", 0 },
		{ "ECDHE-RSA-AES256-SHA384:@SECLEVEL=1", "", "", 0 },
		{ "ECDHE-RSA-AES256-GCM-SHA384:NOSUCH", "", "", 'c' },
		/* no key for them: RSA decrypts, DHE is not signed by keyd */
		{ "AES128-SHA", "", "", 'c' },
		{ "DHE-RSA-AES256-GCM-SHA384", "", "", 'c' },
		{ "aNULL", "", "", 'c' }, { "!ALL", "", "", 'c' },
		{ "", "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384", "", 0 },
		{ "", "TLS_AES_128_GCM_SHA256:TLS_NOSUCH", "", 's' },
		{ "", "", "X25519:P-256", 0 }, { "", "", "X448 P-521", 0 },
		{ "", "", "P-256:P-257", 'g' },
	};
	char err[TLSCTX_ERROR_MAX], which;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tls_config.ciphers = rows[i].ciphers;
		tls_config.ciphersuites = rows[i].suites;
		tls_config.groups = rows[i].groups;
		which = 0;
		cr_expect_eq(tlsctx_check(&tls_config, &which, err,
		    sizeof(err)), rows[i].which == 0 ? 0 : -1, "%zu: %s", i,
		    err);
		if (rows[i].which != 0)
			cr_expect_eq(which, rows[i].which, "%zu", i);
	}
}

/* --- keys ----------------------------------------------------------------- */

Test(tlsctx, each_kind_of_key_serves_each_version)
{
	struct tls_description d;
	struct tls_link l;
	struct tlsctx *t;
	int kind;
	size_t v;

	for (kind = 0; kind < KEYS_NKINDS; kind++)
		tls_pair((enum keys_kind)kind, "mx.example.test");
	for (kind = 0; kind < KEYS_NKINDS; kind++)
		for (v = 0; v < 2; v++) {
			struct tlsctx_config one = tls_config;

			tls_config.pairs += kind;
			tls_config.npairs = 1;
			tls_config.protocols = versions[v];
			t = tls_context();
			tls_config = one;
			tls_nsigned = 0;
			tls_open(&l, t);
			tlsctx_free(t);
			cr_assert(tls_shake(&l), "%s %s: %s",
			    keys_names[kind], versions[v],
			    tls_failure(l.server,
			    &(enum tls_failure_kind){ 0 }));
			cr_assert_eq(tls_nsigned, 1);
			cr_assert_eq(tls_describe(l.server, &d), 0);
			cr_assert_str_eq(d.protocol, versions[v]);
			cr_assert(!d.is_resumed && !d.is_verified);
			cr_assert_null(d.peer_name);
			cr_assert_null(d.server_name);
			cr_assert_geq(d.bits, 128);
			tls_close(&l);
		}
}

/* The certificate that a client gets which asks for ${host} and can do
 * ${sigalgs}. */
static int
index_for(struct tlsctx *t, const char *host, const char *sigalgs)
{
	struct tls_link l;
	X509 *got;
	int i, found = -1;

	tls_open(&l, t);
	if (host != NULL)
		SSL_set_tlsext_host_name(l.client, host);
	if (sigalgs != NULL)
		cr_assert_eq(SSL_set1_sigalgs_list(l.client, sigalgs), 1);
	if (tls_shake(&l)) {
		got = SSL_get0_peer_certificate(l.client);
		for (i = 0; i < (int)tls_config.npairs; i++)
			if (X509_cmp(got, tls_certs[i]) == 0)
				found = i;
	}
	tls_close(&l);
	return found;
}

Test(tlsctx, the_client_chooses_among_kinds_of_keys)
{
	struct tlsctx *t;
	size_t v;

	tls_pair(KEYS_RSA, "mx.example.test");
	tls_pair(KEYS_P256, "mx.example.test");
	tls_pair(KEYS_ED25519, "mx.example.test");
	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		t = tls_context();
		cr_expect_eq(index_for(t, NULL, "rsa_pss_rsae_sha256"), 0);
		cr_expect_eq(index_for(t, NULL, "ECDSA+SHA256"), 1);
		cr_expect_eq(index_for(t, NULL, "ed25519"), 2);
		cr_expect_eq(index_for(t, NULL, NULL), 1);
		tlsctx_free(t);
	}
}

Test(tlsctx, the_host_that_is_asked_for_chooses_the_certificate)
{
	struct tlsctx *t;
	size_t v;

	tls_pair(KEYS_RSA, "mx.example.test");
	tls_pair(KEYS_P256, "mx.example.test");
	tls_pair(KEYS_P256, "mail.example.org,*.example.net");
	tls_pair(KEYS_RSA, "*.example.net,mail.example.org,x.example.org");
	tls_pair(KEYS_P384, "");	/* common.example.test */
	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		t = tls_context();
		cr_expect_eq(index_for(t, "MX.example.test", NULL), 1);
		cr_expect_eq(index_for(t, "mail.example.org", NULL), 2);
		cr_expect_eq(index_for(t, "mail.example.org", "RSA-PSS+SHA256"),
		    3);
		cr_expect_eq(index_for(t, "any.example.net", NULL), 2);
		cr_expect_eq(index_for(t, "x.example.org", "RSA-PSS+SHA256"),
		    3);
		cr_expect_eq(index_for(t, "a.b.example.net", NULL), 1);
		cr_expect_eq(index_for(t, "common.example.test", NULL), 4);
		/* no alert: mail must get through */
		cr_expect_eq(index_for(t, "nobody.example", NULL), 1);
		cr_expect_eq(index_for(t, NULL, "RSA-PSS+SHA256"), 0);
		tlsctx_free(t);
	}
}

Test(tlsctx, a_certificate_file_holds_certificates_and_nothing_else)
{
	char err[TLSCTX_ERROR_MAX], text[8000];
	struct tls_cert_info info;
	BIO *bio = BIO_new(BIO_s_mem());
	EVP_PKEY *key = keys_make(KEYS_P256);
	const char *pem;
	char *data;
	size_t i;
	struct { const char *v, *why; } rows[] = {
		{ "", "no PEM certificate" },
		{ "hello\n", "no PEM certificate" },
		{ "-----BEGIN CERTIFICATE-----\nAAAA\n"
		    "-----END CERTIFICATE-----\n", "damaged" },
		{ "-----BEGIN CERTIFICATE-----\nAAAA\n", "not valid PEM" },
		{ "-----BEGIN DH PARAMETERS-----\nAAAA\n"
		    "-----END DH PARAMETERS-----\n", "DH PARAMETERS" },
		{ NULL, "private key" },
	};

	tls_pair(KEYS_RSA, "mx.example.test,other.example.test");
	pem = tls_config.pairs[0].cert.v;
	cr_assert_eq(tls_cert_info(tls_config.pairs[0].cert, &info, err,
	    sizeof(err)), 0);
	cr_assert_str_eq(info.name, "mx.example.test");
	cr_assert_str_eq(info.kind, "RSA-2048");
	cr_assert_eq(info.not_after - info.not_before, 2 * 86400);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	BIO_write(bio, "", 1);
	BIO_get_mem_data(bio, &data);
	snprintf(text, sizeof(text), "%s%s", pem, data);
	rows[5].v = text;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_eq(tls_cert_info((struct tlsctx_octets){ rows[i].v,
		    strlen(rows[i].v) }, &info, err, sizeof(err)), -1);
		cr_expect_not_null(strstr(err, rows[i].why), "%s", err);
	}
	EVP_PKEY_free(key);
	BIO_free(bio);
}

Test(tlsctx, a_bad_pair_is_named)
{
	char err[TLSCTX_ERROR_MAX];
	struct tlsctx_pair bad[2];
	int pair;

	tls_pair(KEYS_P256, "mx.example.test");
	cr_assert_null(tlsctx_new(&(struct tlsctx_config){ .protocols = "",
	    .ciphers = "", .ciphersuites = "", .groups = "" }, &pair, err,
	    sizeof(err)));
	cr_assert_eq(pair, -1);
	bad[0] = tls_config.pairs[0];
	bad[1] = bad[0];
	bad[1].cert.len /= 2;
	tls_config.pairs = bad;
	tls_config.npairs = 2;
	cr_assert_null(tlsctx_new(&tls_config, &pair, err, sizeof(err)));
	cr_assert_eq(pair, 1);
	tls_config.npairs = 0;
	X509_free(tls_certs[0]);
	free((void *)(uintptr_t)bad[0].cert.v);
}

/* --- channel bindings ----------------------------------------------------- */

Test(tlsctx, bindings_are_the_same_on_both_sides)
{
	uint8_t a[32], b[32], end[64], hash[64];
	struct tls_link l;
	struct tlsctx *t;
	unsigned int len;
	size_t v;

	tls_pair(KEYS_P256, "mx.example.test");
	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		t = tls_context();
		tls_open(&l, t);
		cr_assert_eq(tls_exporter(l.server, a), 0);
		cr_assert(tls_shake(&l));
		cr_assert_eq(tls_exporter(l.server, a), 32);
		cr_assert_eq(tls_exporter(l.client, b), 32);
		cr_assert_arr_eq(a, b, 32);
		X509_digest(tls_certs[0], EVP_sha256(), hash, &len);
		cr_assert_eq(tls_server_end_point(l.server, end), 32);
		cr_assert_arr_eq(end, hash, 32);
		tls_close(&l);
		tlsctx_free(t);
	}
}

Test(tlsctx, there_is_no_end_point_without_a_hash)
{
	struct tls_link l;
	struct tlsctx *t;
	uint8_t end[64];

	tls_pair(KEYS_ED25519, "mx.example.test");
	t = tls_context();
	tls_open(&l, t);
	cr_assert(tls_shake(&l));
	cr_assert_eq(tls_server_end_point(l.server, end), 0);
	tls_close(&l);
	tlsctx_free(t);
}
