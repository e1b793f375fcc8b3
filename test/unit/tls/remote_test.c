#include <criterion/criterion.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <string.h>
#include <unistd.h>

#include "keys_fixture.h"
#include "tls/keeper.h"
#include "tls/remote.h"

#define VERSION	7
#define PAIR	42
#define STEPS	20

/* A keeper in the same process makes the signatures. */
static enum { AT_ONCE, LATER, NEVER, REFUSES, SAYS_NO, LIES } manner;
static struct keeper *keeper;
static struct tls_sign *asked;
static unsigned int nstarted, ncancelled;
static enum tls_scheme last_scheme;

static EVP_PKEY *real, *remote;
static X509 *cert;

static void
answer(struct tls_sign *s)
{
	uint8_t sig[TLS_SIG_MAX] = { 0 };
	size_t len = 64;

	if (manner == SAYS_NO) {
		tls_sign_done(s, NULL, 0);
		return;
	}
	if (manner != LIES)
		cr_assert_eq(keeper_sign(keeper, s->version, s->pair,
		    s->scheme, s->tbs, s->tbs_len, sig, &len), 0,
		    "scheme %x", s->scheme);
	tls_sign_done(s, sig, len);
}

static int
start(struct tls_sign *s, void *closure)
{
	cr_assert_eq(closure, &keeper);
	cr_assert_eq(s->version, VERSION);
	cr_assert_eq(s->pair, PAIR);
	nstarted++;
	last_scheme = s->scheme;
	if (manner == REFUSES)
		return -1;
	if (manner == AT_ONCE)
		answer(s);
	else
		asked = s;
	return 0;
}

static void
cancel(struct tls_sign *s, void *closure)
{
	cr_assert_eq(closure, &keeper);
	cr_assert_eq(s->status, TLS_SIGN_PENDING);
	asked = NULL;
	ncancelled++;
}

static const struct tls_remote_ops ops = { start, cancel };

static void
setup(void)
{
	cr_assert_eq(tls_remote_open(&ops, &keeper), 0);
	keeper = keeper_new();
}

static void
free_key(void)
{
	X509_free(cert);
	EVP_PKEY_free(remote);
	EVP_PKEY_free(real);
	real = remote = NULL;
	cert = NULL;
}

static void
teardown(void)
{
	free_key();
	keeper_free(keeper);
}

TestSuite(remote, .init = setup, .fini = teardown);

static void
make_key(enum keys_kind kind)
{
	char err[KEEPER_ERROR_MAX], *pem;
	int fd;

	free_key();
	real = keys_make(kind);
	cert = keys_certificate(real);
	pem = keys_cert_pem(cert);
	fd = keys_file(real);
	cr_assert_eq(keeper_load(keeper, VERSION, PAIR, fd, pem, strlen(pem),
	    err, sizeof(err)), 0, "%s", err);
	close(fd);
	free(pem);
	remote = tls_remote_key(X509_get0_pubkey(cert), VERSION, PAIR);
	cr_assert_not_null(remote);
}

/* Both sides by turns; what was asked for is answered one step later. */
static bool
shake(struct keys_link *p)
{
	struct tls_sign *s;
	int i;

	for (i = 0; i < STEPS; i++) {
		if (keys_step(p))
			return true;
		if (asked == NULL || manner == NEVER)
			continue;
		cr_assert_eq(keys_server_error(p), SSL_ERROR_WANT_ASYNC);
		s = asked;
		asked = NULL;
		answer(s);
	}
	return false;
}

static bool
shake_once(int version, const char *client_schemes)
{
	struct keys_link p;
	bool is_done;

	keys_open(&p, cert, remote, version);
	if (client_schemes != NULL)
		cr_assert_eq(SSL_set1_sigalgs_list(p.client, client_schemes),
		    1);
	is_done = shake(&p);
	keys_close(&p);
	return is_done;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

Test(remote, every_kind_of_key_signs_at_once_and_later, .timeout = 120)
{
	int kind, v;

	for (kind = 0; kind < KEYS_NKINDS; kind++) {
		make_key(kind);
		for (v = 0; v < 2; v++) {
			manner = AT_ONCE;
			cr_assert(shake_once(versions[v], NULL), "%s %x",
			    keys_names[kind], (unsigned)versions[v]);
			manner = LATER;
			cr_assert(shake_once(versions[v], NULL), "%s %x",
			    keys_names[kind], (unsigned)versions[v]);
		}
	}
	cr_assert_eq(ncancelled, 0);
}

Test(remote, padding_and_digest_are_what_the_client_can_verify,
    .timeout = 120)
{
	static const struct {
		enum keys_kind kind;
		int		 version;
		const char	*client;
		enum tls_scheme	 scheme;
	} rows[] = {
		{ KEYS_RSA, TLS1_2_VERSION, "RSA+SHA256",
		    TLS_RSA_PKCS1_SHA256 },
		{ KEYS_RSA, TLS1_2_VERSION, "RSA+SHA384",
		    TLS_RSA_PKCS1_SHA384 },
		{ KEYS_RSA, TLS1_2_VERSION, "RSA+SHA512",
		    TLS_RSA_PKCS1_SHA512 },
		{ KEYS_RSA, TLS1_2_VERSION, "rsa_pss_rsae_sha512",
		    TLS_RSA_PSS_SHA512 },
		{ KEYS_RSA, TLS1_3_VERSION, "rsa_pss_rsae_sha384",
		    TLS_RSA_PSS_SHA384 },
		{ KEYS_RSA_PSS, TLS1_3_VERSION, "rsa_pss_pss_sha512",
		    TLS_RSA_PSS_SHA512 },
		{ KEYS_RSA_PSS, TLS1_2_VERSION, "rsa_pss_pss_sha384",
		    TLS_RSA_PSS_SHA384 },
		{ KEYS_P256, TLS1_2_VERSION, "ECDSA+SHA512",
		    TLS_ECDSA_SHA512 },
		{ KEYS_P256, TLS1_2_VERSION, "ECDSA+SHA384",
		    TLS_ECDSA_SHA384 },
		{ KEYS_P521, TLS1_2_VERSION, "ECDSA+SHA256",
		    TLS_ECDSA_SHA256 },
		{ KEYS_P384, TLS1_3_VERSION, "ECDSA+SHA384",
		    TLS_ECDSA_SHA384 },
		{ KEYS_ED25519, TLS1_2_VERSION, "ed25519", TLS_ED25519 },
	};
	size_t i;

	manner = LATER;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_key(rows[i].kind);
		cr_assert(shake_once(rows[i].version, rows[i].client), "%s",
		    rows[i].client);
		cr_assert_eq(last_scheme, rows[i].scheme, "%s: %x",
		    rows[i].client, last_scheme);
	}
}

Test(remote, without_an_answer_the_handshake_waits)
{
	struct keys_link p;

	make_key(KEYS_P256);
	manner = NEVER;
	keys_open(&p, cert, remote, TLS1_3_VERSION);
	cr_assert_not(shake(&p));
	cr_assert_eq(nstarted, 1);
	cr_assert_eq(keys_server_error(&p), SSL_ERROR_WANT_ASYNC);
	tls_sign_done(asked, NULL, 0);
	cr_assert_not(keys_step(&p));
	cr_assert_eq(keys_server_error(&p), SSL_ERROR_SSL);
	keys_close(&p);
}

static void
failing(int version)
{
	struct keys_link p;

	keys_open(&p, cert, remote, version);
	asked = NULL;
	cr_assert_not(keys_step(&p));
	cr_assert_not(SSL_is_init_finished(p.server));
	if (asked != NULL) {
		answer(asked);
		asked = NULL;
		cr_assert_not(keys_step(&p));
	}
	cr_assert_eq(keys_server_error(&p), SSL_ERROR_SSL);
	cr_assert(tls_remote_is_error(ERR_peek_error()));
	ERR_clear_error();
	cr_assert_not(tls_remote_is_error(ERR_peek_error()));
	keys_close(&p);
}

Test(remote, a_signature_that_cannot_be_had_fails_the_handshake)
{
	int v;

	make_key(KEYS_RSA);
	for (v = 0; v < 2; v++) {
		manner = REFUSES;
		failing(versions[v]);
		manner = SAYS_NO;
		failing(versions[v]);
	}
	manner = LATER;
	cr_assert(shake_once(TLS1_3_VERSION, NULL));
}

Test(remote, other_failures_are_not_for_want_of_a_signature)
{
	struct keys_link p;

	make_key(KEYS_P256);
	keys_open(&p, cert, remote, TLS1_3_VERSION);
	SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
	cr_assert_not(keys_step(&p));
	cr_assert_eq(keys_server_error(&p), SSL_ERROR_SSL);
	cr_assert_not(tls_remote_is_error(ERR_peek_error()));
	keys_close(&p);
}

Test(remote, a_signature_that_is_none_is_refused_by_the_client)
{
	make_key(KEYS_ED25519);
	manner = LIES;
	cr_assert_not(shake_once(TLS1_3_VERSION, NULL));
	cr_assert_not(shake_once(TLS1_2_VERSION, NULL));
}

Test(remote, a_signature_that_is_too_long_is_none)
{
	static uint8_t sig[TLS_SIG_MAX + 1];
	struct keys_link p;

	make_key(KEYS_P256);
	manner = LATER;
	keys_open(&p, cert, remote, TLS1_3_VERSION);
	cr_assert_not(keys_step(&p));
	tls_sign_done(asked, sig, sizeof(sig));
	cr_assert_not(keys_step(&p));
	cr_assert(tls_remote_is_error(ERR_peek_error()));
	keys_close(&p);
	/* longer than one of that key can be */
	keys_open(&p, cert, remote, TLS1_3_VERSION);
	cr_assert_not(keys_step(&p));
	tls_sign_done(asked, sig, 200);
	cr_assert_not(keys_step(&p));
	cr_assert(tls_remote_is_error(ERR_peek_error()));
	keys_close(&p);
}

Test(remote, a_second_answer_changes_nothing)
{
	struct keys_link p;
	struct tls_sign *s;

	make_key(KEYS_P256);
	manner = LATER;
	keys_open(&p, cert, remote, TLS1_3_VERSION);
	cr_assert_not(keys_step(&p));
	s = asked;
	answer(s);
	tls_sign_done(s, NULL, 0);
	asked = NULL;
	cr_assert(shake(&p));
	keys_close(&p);
}

Test(remote, without_a_job_to_pause_only_an_answer_at_once_will_do)
{
	struct keys_link p;

	make_key(KEYS_P256);
	manner = LATER;
	keys_open(&p, cert, remote, TLS1_3_VERSION);
	SSL_clear_mode(p.server, SSL_MODE_ASYNC);
	cr_assert_not(keys_step(&p));
	cr_assert_eq(ncancelled, 1);
	cr_assert(tls_remote_is_error(ERR_peek_error()));
	keys_close(&p);
	manner = AT_ONCE;
	keys_open(&p, cert, remote, TLS1_3_VERSION);
	SSL_clear_mode(p.server, SSL_MODE_ASYNC);
	cr_assert(shake(&p));
	keys_close(&p);
}

Test(remote, an_abandoned_session_ends_its_job)
{
	struct keys_link p[2];
	int i;

	make_key(KEYS_P256);
	manner = LATER;
	for (i = 0; i < 2; i++) {
		tls_remote_session(&p[i]);
		keys_open(&p[i], cert, remote, versions[i]);
		cr_assert_not(keys_step(&p[i]));
		cr_assert(SSL_waiting_for_async(p[i].server));
		cr_assert_eq(asked->session, &p[i]);
	}
	tls_remote_session(NULL);
	cr_assert_not(tls_remote_cancel(&i));
	cr_assert(tls_remote_cancel(&p[1]));
	cr_assert_eq(ncancelled, 1);
	cr_assert_not(tls_remote_cancel(&p[1]));
	cr_assert_eq(SSL_do_handshake(p[1].server), -1);
	cr_assert_not(SSL_waiting_for_async(p[1].server));
	keys_close(&p[1]);
	cr_assert(SSL_waiting_for_async(p[0].server));
	cr_assert(tls_remote_cancel(&p[0]));
	cr_assert_eq(SSL_do_handshake(p[0].server), -1);
	keys_close(&p[0]);
}

static size_t
memory_now(void)
{
	return mallinfo2().uordblks + mallinfo2().hblkhd;
}

Test(remote, a_thousand_handshakes_leave_nothing_behind, .timeout = 240)
{
	struct keys_link p;
	size_t before = 0, after;
	int i;

	make_key(KEYS_P256);
	for (i = 0; i < 1100; i++) {
		if (i == 100)
			before = memory_now();
		manner = i % 5 == 4 ? SAYS_NO : i % 5 == 3 ? NEVER : LATER;
		tls_remote_session(&p);
		keys_open(&p, cert, remote, versions[i % 2]);
		cr_assert_eq(shake(&p), manner == LATER);
		if (manner == NEVER) {
			cr_assert(tls_remote_cancel(&p));
			cr_assert_eq(SSL_do_handshake(p.server), -1);
		}
		cr_assert_not(SSL_waiting_for_async(p.server));
		keys_close(&p);
		asked = NULL;
	}
	after = memory_now();
	/* less than 30 octets a handshake */
	cr_assert_leq(after, before + 30000, "%zu %zu", before, after);
}

/* --- keys ----------------------------------------------------------------- */

Test(remote, a_key_says_of_itself_what_its_public_half_says)
{
	char name[32];

	make_key(KEYS_P384);
	cr_assert(EVP_PKEY_is_a(remote, "EC"));
	cr_assert_eq(EVP_PKEY_get_base_id(remote), EVP_PKEY_EC);
	cr_assert_eq(EVP_PKEY_get_bits(remote), 384);
	cr_assert_eq(EVP_PKEY_get_security_bits(remote), 192);
	cr_assert_eq(EVP_PKEY_get_size(remote), EVP_PKEY_get_size(real));
	cr_assert_eq(EVP_PKEY_get_group_name(remote, name, sizeof(name), NULL),
	    1);
	cr_assert_str_eq(name, "secp384r1");
	make_key(KEYS_RSA);
	cr_assert_eq(EVP_PKEY_get_default_digest_name(remote, name,
	    sizeof(name)), EVP_PKEY_get_default_digest_name(real, name,
	    sizeof(name)));
	make_key(KEYS_ED25519);
	cr_assert_eq(EVP_PKEY_get_default_digest_name(remote, name,
	    sizeof(name)), 2);
}

Test(remote, a_key_belongs_to_its_certificate_and_to_no_other,
    .timeout = 60)
{
	EVP_PKEY *other;
	X509 *x;
	int kind;

	for (kind = 0; kind < KEYS_NKINDS; kind++) {
		make_key(kind);
		cr_assert_eq(X509_check_private_key(cert, remote), 1);
		cr_assert_eq(EVP_PKEY_eq(remote, real), 1);
		cr_assert_eq(EVP_PKEY_eq(real, remote), 1);
		other = keys_make(kind);
		x = keys_certificate(other);
		cr_assert_neq(X509_check_private_key(x, remote), 1);
		X509_free(x);
		EVP_PKEY_free(other);
	}
}

Test(remote, no_kind_of_key_gives_out_more_than_its_public_half,
    .timeout = 60)
{
	OSSL_PARAM *params = NULL;
	BIGNUM *bn = NULL;
	int kind;

	for (kind = 0; kind < KEYS_NKINDS; kind++) {
		make_key(kind);
		cr_assert_eq(EVP_PKEY_todata(remote, EVP_PKEY_KEYPAIR, &params),
		    0);
		cr_assert_lt(i2d_PrivateKey(remote, NULL), 1);
		cr_assert_eq(EVP_PKEY_get_bn_param(remote, "d", &bn), 0);
		cr_assert_eq(EVP_PKEY_get_bn_param(remote, "priv", &bn), 0);
		cr_assert_eq(EVP_PKEY_todata(remote, EVP_PKEY_PUBLIC_KEY,
		    &params), 1);
		OSSL_PARAM_free(params);
		params = NULL;
	}
}

Test(remote, keys_that_are_no_use_are_refused)
{
	static const char *const names[] = { "X25519", "ED448" };
	static const char *const groups[] = { "P-224", "secp256k1" };
	EVP_PKEY *key;
	size_t i;

	for (i = 0; i < 2; i++) {
		key = EVP_PKEY_Q_keygen(NULL, NULL, names[i]);
		cr_assert_null(tls_remote_key(key, VERSION, PAIR));
		EVP_PKEY_free(key);
		key = EVP_EC_gen(groups[i]);
		cr_assert_null(tls_remote_key(key, VERSION, PAIR));
		EVP_PKEY_free(key);
	}
}

Test(remote, ordinary_keys_stay_with_the_default_provider)
{
	static const char *const names[] = { "RSA", "RSA-PSS", "EC",
	    "ED25519" };
	struct keys_link p;
	EVP_KEYMGMT *k;
	size_t i;

	for (i = 0; i < 4; i++) {
		k = EVP_KEYMGMT_fetch(NULL, names[i], NULL);
		cr_assert_str_eq(OSSL_PROVIDER_get0_name(
		    EVP_KEYMGMT_get0_provider(k)), "default");
		EVP_KEYMGMT_free(k);
	}
	make_key(KEYS_RSA);
	cr_assert_eq(X509_verify(cert, X509_get0_pubkey(cert)), 1);
	keys_open(&p, cert, real, TLS1_3_VERSION);
	nstarted = 0;
	cr_assert(shake(&p));
	cr_assert_eq(nstarted, 0);
	keys_close(&p);
}

Test(remote, it_is_loaded_once)
{
	cr_assert_eq(tls_remote_open(&ops, &keeper), -1);
}

/* --- signatures outside of handshakes ------------------------------------- */

static int
sign_data(const char *digest, size_t len)
{
	static uint8_t data[TLS_TBS_MAX + 1];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[TLS_SIG_MAX];
	size_t siglen = sizeof(sig);
	int rc;

	rc = EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, remote,
	    NULL) == 1 && EVP_DigestSign(ctx, sig, &siglen, data, len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

Test(remote, what_tls_does_not_sign_is_not_asked_for)
{
	make_key(KEYS_P256);
	manner = REFUSES;
	nstarted = 0;
	cr_assert_not(sign_data("SHA256", TLS_TBS_MAX));
	cr_assert_eq(nstarted, 1);
	cr_assert_not(sign_data("SHA256", TLS_TBS_MAX + 1));
	cr_assert_not(sign_data("SHA1", 100));
	cr_assert_not(sign_data("SHA224", 100));
	cr_assert_not(sign_data("SHA3-256", 100));
	make_key(KEYS_ED25519);
	cr_assert_not(sign_data("SHA256", 100));
	cr_assert_eq(nstarted, 1);
}
