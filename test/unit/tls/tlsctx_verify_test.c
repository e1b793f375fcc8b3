#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <string.h>

#include "tls/tlsctx.h"
#include "tls_fixture.h"

static X509 *ca, *cert, *stranger;
static EVP_PKEY *ca_key, *key, *stranger_key;
static char *ca_pem;

static void
setup(void)
{
	tls_setup();
	tls_pair(KEYS_P256, "mx.example.test");
	ca = tls_make(KEYS_P256, "", NULL, NULL, &ca_key);
	cert = tls_make(KEYS_P256, "client.example.test,a@example.test", ca,
	    ca_key, &key);
	stranger = tls_make(KEYS_P256, "client.example.test", NULL, NULL,
	    &stranger_key);
	ca_pem = keys_cert_pem(ca);
	tls_config.client_ca = (struct tlsctx_octets){ ca_pem,
	    strlen(ca_pem) };
}

static void
teardown(void)
{
	X509_free(ca);
	X509_free(cert);
	X509_free(stranger);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(stranger_key);
	free(ca_pem);
	tls_teardown();
}

TestSuite(tlsctx_verify, .init = setup, .fini = teardown, .timeout = 60);

static const char *const versions[] = { "TLSv1.2", "TLSv1.3" };

/* What the server comes to with a client that shows ${x}. */
static const char *
visit(enum tlsctx_verify verify, X509 *x, EVP_PKEY *k,
    struct tls_description *d_r)
{
	enum tls_failure_kind kind;
	const char *why = NULL;
	struct tls_link l;
	struct tlsctx *t;

	tls_config.verify = verify;
	t = tls_context();
	tls_open(&l, t);
	if (x != NULL) {
		SSL_use_certificate(l.client, x);
		SSL_use_PrivateKey(l.client, k);
	}
	memset(d_r, 0, sizeof(*d_r));
	if (tls_shake(&l))
		cr_assert_eq(tls_describe(l.server, d_r), 0);
	else {
		cr_assert_eq(l.rc, -1);
		why = tls_failure(l.server, &kind);
		cr_assert_eq(kind, TLS_FAILURE_VERIFY);
	}
	tls_close(&l);
	tlsctx_free(t);
	return why;
}

Test(tlsctx_verify, require_needs_a_certificate_that_verifies)
{
	struct tls_description d;
	size_t v;

	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		cr_assert_str_eq(visit(TLSCTX_VERIFY_REQUIRE, NULL, NULL, &d),
		    "the client has sent no certificate");
		cr_assert_str_eq(visit(TLSCTX_VERIFY_REQUIRE, stranger,
		    stranger_key, &d),
		    "the client's certificate: self-signed");
		cr_assert_null(visit(TLSCTX_VERIFY_REQUIRE, cert, key, &d));
		cr_assert(d.is_verified);
		cr_assert_str_eq(d.peer_name, "a@example.test");
		free(d.peer_name);
	}
}

Test(tlsctx_verify, optional_takes_all_and_believes_who_verifies)
{
	struct tls_description d;
	size_t v;

	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		cr_assert_null(visit(TLSCTX_VERIFY_OPTIONAL, NULL, NULL, &d));
		cr_assert(!d.is_verified);
		cr_assert_null(visit(TLSCTX_VERIFY_OPTIONAL, stranger,
		    stranger_key, &d));
		cr_assert(!d.is_verified);
		cr_assert_null(d.peer_name);
		cr_assert_null(visit(TLSCTX_VERIFY_OPTIONAL, cert, key, &d));
		cr_assert(d.is_verified);
		free(d.peer_name);
	}
}

Test(tlsctx_verify, none_does_not_ask)
{
	struct tls_description d;

	cr_assert_null(visit(TLSCTX_VERIFY_NONE, cert, key, &d));
	cr_assert(!d.is_verified);
	cr_assert_null(d.peer_name);
}

Test(tlsctx_verify, require_without_a_ca_is_refused)
{
	char err[TLSCTX_ERROR_MAX];
	int pair;

	tls_config.verify = TLSCTX_VERIFY_REQUIRE;
	tls_config.client_ca.len = 0;
	cr_assert_null(tlsctx_new(&tls_config, &pair, err, sizeof(err)));
	cr_assert_not_null(strstr(err, "TLS_Client_CA"));
}

/* --- OCSP ----------------------------------------------------------------- */

/* A response for ${x} that holds from ${from} to ${to}, seconds from now. */
static struct tlsctx_octets
response(X509 *x, int status, long from, long to)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	ASN1_TIME *this = X509_gmtime_adj(NULL, from);
	ASN1_TIME *next = X509_gmtime_adj(NULL, to);
	ASN1_GENERALIZEDTIME *until = to == 0 ? NULL :
	    ASN1_TIME_to_generalizedtime(next, NULL);
	ASN1_GENERALIZEDTIME *since = ASN1_TIME_to_generalizedtime(this, NULL);
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), x, ca);
	OCSP_RESPONSE *r;
	unsigned char *der = NULL;
	int len;

	OCSP_basic_add1_status(basic, id, status, 0,
	    status == V_OCSP_CERTSTATUS_REVOKED ? this : NULL, since, until);
	cr_assert_eq(OCSP_basic_sign(basic, ca, ca_key, EVP_sha256(), NULL,
	    0), 1);
	r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	len = i2d_OCSP_RESPONSE(r, &der);
	cr_assert_gt(len, 0);
	OCSP_RESPONSE_free(r);
	OCSP_CERTID_free(id);
	OCSP_BASICRESP_free(basic);
	ASN1_GENERALIZEDTIME_free(until);
	ASN1_GENERALIZEDTIME_free(since);
	ASN1_TIME_free(next);
	ASN1_TIME_free(this);
	return (struct tlsctx_octets){ (const char *)der, (size_t)len };
}

static long
stapled(struct tlsctx_octets ocsp)
{
	struct tlsctx_pair pair = tls_config.pairs[0];
	const struct tlsctx_pair *before = tls_config.pairs;
	unsigned char *got;
	struct tls_link l;
	struct tlsctx *t;
	long len;

	pair.ocsp = ocsp;
	tls_config.pairs = &pair;
	t = tls_context();
	tls_config.pairs = before;
	tls_open(&l, t);
	SSL_set_tlsext_status_type(l.client, TLSEXT_STATUSTYPE_ocsp);
	cr_assert(tls_shake(&l));
	len = SSL_get_tlsext_status_ocsp_resp(l.client, &got);
	tls_close(&l);
	tlsctx_free(t);
	return len;
}

Test(tlsctx_verify, a_response_is_stapled_only_while_it_holds)
{
	char err[TLSCTX_ERROR_MAX];
	struct tlsctx_octets o;
	size_t i, v;
	struct {
		X509 *cert;
		int status;
		long from, to;
		const char *why;	/* NULL: stapled */
	} rows[] = {
		{ tls_certs[0], V_OCSP_CERTSTATUS_GOOD, -100, 1000, NULL },
		{ tls_certs[0], V_OCSP_CERTSTATUS_GOOD, -100, -10, "expired" },
		{ tls_certs[0], V_OCSP_CERTSTATUS_GOOD, 500, 1000, "not valid" },
		{ tls_certs[0], V_OCSP_CERTSTATUS_GOOD, -100, 0, "no time of the next" },
		{ tls_certs[0], V_OCSP_CERTSTATUS_REVOKED, -100, 1000, "good" },
		{ cert, V_OCSP_CERTSTATUS_GOOD, -100, 1000, "another" },
	};

	tls_config.verify = TLSCTX_VERIFY_NONE;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		o = response(rows[i].cert, rows[i].status, rows[i].from,
		    rows[i].to);
		cr_expect_eq(tls_ocsp_check(o, tls_config.pairs[0].cert, err,
		    sizeof(err)), rows[i].why == NULL ? 0 : -1);
		if (rows[i].why != NULL)
			cr_expect_not_null(strstr(err, rows[i].why), "%s",
			    err);
		for (v = 0; v < 2; v++) {
			tls_config.protocols = versions[v];
			cr_expect_eq(stapled(o), rows[i].why == NULL ?
			    (long)o.len : -1, "%zu", i);
		}
		OPENSSL_free((void *)(uintptr_t)o.v);
	}
	cr_expect_eq(stapled((struct tlsctx_octets){ "nonsense", 8 }), -1);
}
