#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys_fixture.h"
#include "tls/keeper.h"

static struct keeper *k;
static char err[KEEPER_ERROR_MAX];

static void
setup(void)
{
	k = keeper_new();
	cr_assert_not_null(k);
}

static void
teardown(void)
{
	keeper_free(k);
}

TestSuite(keeper, .init = setup, .fini = teardown);

/* --- what is signed ------------------------------------------------------- */

/* RFC 8422 5.4: what a server signs in TLS 1.2 */
static size_t
tls12(uint8_t *tbs, unsigned int type, unsigned int group, size_t point)
{
	memset(tbs, 0x5a, 64);
	tbs[64] = (uint8_t)type;
	tbs[65] = (uint8_t)(group >> 8);
	tbs[66] = (uint8_t)group;
	tbs[67] = (uint8_t)point;
	memset(tbs + 68, 4, point);
	return 68 + point;
}

static int
load(uint32_t version, uint32_t pair, EVP_PKEY *key, EVP_PKEY *certified)
{
	X509 *x = keys_certificate(certified);
	char *pem = keys_cert_pem(x);
	int fd = keys_file(key), rc;

	rc = keeper_load(k, version, pair, fd, pem, strlen(pem), err,
	    sizeof(err));
	close(fd);
	free(pem);
	X509_free(x);
	return rc;
}

static EVP_PKEY *
load_new(uint32_t version, uint32_t pair, enum keys_kind kind)
{
	EVP_PKEY *key = keys_make(kind);

	cr_assert_eq(load(version, pair, key, key), 0, "%s", err);
	return key;
}

static int
try_sign(uint32_t version, uint32_t pair, enum tls_scheme scheme,
    const uint8_t *tbs, size_t len)
{
	uint8_t sig[TLS_SIG_MAX];
	size_t siglen = 0;

	errno = 0;
	if (keeper_sign(k, version, pair, scheme, tbs, len, sig, &siglen) == -1)
		return errno;
	cr_assert(siglen > 0 && siglen <= sizeof(sig));
	return 0;
}

Test(keeper, a_server_s_part_of_a_handshake_is_signed)
{
	static const struct { unsigned int group; size_t octets; } groups[] = {
		{ 23, 65 }, { 24, 97 }, { 25, 133 }, { 26, 65 }, { 27, 97 },
		{ 28, 129 }, { 29, 32 }, { 30, 56 }
	};
	uint8_t tbs[TLS_TBS_MAX];
	size_t i, len;

	EVP_PKEY_free(load_new(1, 0, KEYS_P256));
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		len = tls12(tbs, 3, groups[i].group, groups[i].octets);
		cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len), 0);
		/* neither longer nor shorter than the point */
		cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len + 1),
		    EPERM);
		cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len - 1),
		    EPERM);
	}
	len = keys_tls13(tbs, KEYS_CONTEXT, 32);
	cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len), 0);
	len = keys_tls13(tbs, KEYS_CONTEXT, 48);
	cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len), 0);
}

Test(keeper, nothing_else_is_signed)
{
	/* RFC 8446 4.4.3: the string of a client; 4.4.3 of others is none */
	static const char *const contexts[] = {
		"TLS 1.3, client CertificateVerify",
		"TLS 1.3, server CertificateVerifX",
		"tls 1.3, server CertificateVerify",
		"TLS 1.3, server certificateverify",
		"TLS 1.2, server CertificateVerify",
	};
	static const struct {
		unsigned int type, group; size_t octets;
	} curves[] = {
		{ 1, 23, 65 }, { 2, 23, 65 }, { 0, 23, 65 }, { 3, 23, 64 },
		{ 3, 23, 66 }, { 3, 24, 65 }, { 3, 29, 31 }, { 3, 29, 33 },
		{ 3, 0, 32 }, { 3, 256, 32 }, { 3, 31, 32 }, { 3, 22, 65 },
		{ 3, 0xff01, 65 }, { 3, 29, 0 }
	};
	uint8_t tbs[TLS_TBS_MAX];
	size_t i, len;

	EVP_PKEY_free(load_new(1, 0, KEYS_P256));
	for (i = 0; i < sizeof(contexts) / sizeof(contexts[0]); i++) {
		len = keys_tls13(tbs, contexts[i], 32);
		cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len), EPERM,
		    "%s", contexts[i]);
	}
	for (i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		len = tls12(tbs, curves[i].type, curves[i].group,
		    curves[i].octets);
		cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len), EPERM,
		    "%zu", i);
	}
	/* a compressed point */
	len = tls12(tbs, 3, 23, 65);
	tbs[68] = 2;
	cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len), EPERM);
	for (len = 0; len < TLS_TBS_MAX; len++) {
		keys_tls13(tbs, KEYS_CONTEXT, 100);
		cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len),
		    len == 64 + 34 + 32 || len == 64 + 34 + 48 ? 0 : EPERM,
		    "%zu", len);
	}
}

Test(keeper, each_octet_of_the_form_counts)
{
	uint8_t tbs[TLS_TBS_MAX];
	size_t i, len = keys_tls13(tbs, KEYS_CONTEXT, 32);
	uint8_t was;

	EVP_PKEY_free(load_new(1, 0, KEYS_P256));
	for (i = 0; i < len; i++) {
		was = tbs[i];
		tbs[i] ^= 1;
		cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len),
		    i < 98 ? EPERM : 0, "%zu", i);
		tbs[i] = was;
	}
	len = tls12(tbs, 3, 29, 32);
	for (i = 0; i < len; i++) {
		was = tbs[i];
		tbs[i] ^= 1;
		cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len),
		    i >= 64 && i < 68 ? EPERM : 0, "%zu", i);
		tbs[i] = was;
	}
}

Test(keeper, random_octets_are_not_signed)
{
	uint8_t tbs[TLS_TBS_MAX];
	size_t i, len;

	EVP_PKEY_free(load_new(1, 0, KEYS_P256));
	for (i = 0; i < 20000; i++) {
		cr_assert_eq(RAND_bytes(tbs, sizeof(tbs)), 1);
		len = (size_t)(tbs[0] | tbs[1] << 8) % (sizeof(tbs) + 1);
		/* what a random one may hit: curve type, group and length */
		if (tbs[64] == 3)
			tbs[64] = 4;
		cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len), EPERM);
	}
}

/* --- which key, which scheme ---------------------------------------------- */

static const enum tls_scheme all_schemes[] = { TLS_RSA_PKCS1_SHA256,
    TLS_RSA_PKCS1_SHA384, TLS_RSA_PKCS1_SHA512, TLS_RSA_PSS_SHA256,
    TLS_RSA_PSS_SHA384, TLS_RSA_PSS_SHA512, TLS_ECDSA_SHA256,
    TLS_ECDSA_SHA384, TLS_ECDSA_SHA512, TLS_ED25519,
    (enum tls_scheme)0, (enum tls_scheme)0x0201, (enum tls_scheme)0x0203,
    (enum tls_scheme)0x0808, (enum tls_scheme)0x0301,
    (enum tls_scheme)0xffffffff };
enum { NALL = sizeof(all_schemes) / sizeof(all_schemes[0]) };

Test(keeper, a_scheme_has_to_fit_the_key_and_the_version, .timeout = 60)
{
	/* of all_schemes, '2' for TLS 1.2, '3' for TLS 1.3, '+' for both */
	static const char *const fits[KEYS_NKINDS] = {
		[KEYS_RSA] =	 "222+++----------",
		[KEYS_RSA_PSS] = "---+++----------",
		[KEYS_P256] =	 "------+22-------",
		[KEYS_P384] =	 "------2+2-------",
		[KEYS_P521] =	 "------22+-------",
		[KEYS_ED25519] = "---------+------",
	};
	uint8_t of13[TLS_TBS_MAX], of12[TLS_TBS_MAX];
	size_t len13 = keys_tls13(of13, KEYS_CONTEXT, 48);
	size_t len12 = tls12(of12, 3, 29, 32);
	unsigned int kind, i;
	char c;

	for (kind = 0; kind < KEYS_NKINDS; kind++) {
		EVP_PKEY_free(load_new(1, kind, kind));
		for (i = 0; i < NALL; i++) {
			c = fits[kind][i];
			cr_assert_eq(try_sign(1, kind, all_schemes[i], of13,
			    len13), c == '3' || c == '+' ? 0 : EINVAL,
			    "%u %x", kind, all_schemes[i]);
			cr_assert_eq(try_sign(1, kind, all_schemes[i], of12,
			    len12), c == '2' || c == '+' ? 0 : EINVAL,
			    "%u %x", kind, all_schemes[i]);
		}
	}
}

Test(keeper, its_signatures_verify_again_and_again, .timeout = 60)
{
	uint8_t tbs[TLS_TBS_MAX], sig[TLS_SIG_MAX];
	size_t siglen, len = keys_tls13(tbs, KEYS_CONTEXT, 32);
	EVP_PKEY *key = load_new(1, 0, KEYS_RSA);
	EVP_PKEY_CTX *pctx;
	EVP_MD_CTX *ctx;
	int i;

	for (i = 0; i < 10; i++) {
		tbs[100] = (uint8_t)i;
		cr_assert_eq(keeper_sign(k, 1, 0, TLS_RSA_PSS_SHA384, tbs, len,
		    sig, &siglen), 0);
		ctx = EVP_MD_CTX_new();
		cr_assert_eq(EVP_DigestVerifyInit(ctx, &pctx, EVP_sha384(),
		    NULL, key), 1);
		EVP_PKEY_CTX_set_rsa_padding(pctx, 6);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 48);
		cr_assert_eq(EVP_DigestVerify(ctx, sig, siglen, tbs, len), 1);
		EVP_MD_CTX_free(ctx);
	}
	EVP_PKEY_free(key);
}

Test(keeper, keys_are_found_by_version_and_number)
{
	static const uint32_t versions[] = { 5, 3, 9, 4 };
	uint8_t tbs[TLS_TBS_MAX];
	size_t i, len = keys_tls13(tbs, KEYS_CONTEXT, 32);
	uint32_t v, p;

	for (i = 0; i < 4; i++)
		for (p = 10; p > 0; p -= 2)
			EVP_PKEY_free(load_new(versions[i], p, KEYS_P256));
	keeper_forget(k, 4);
	for (v = 0; v < 11; v++)
		for (p = 0; p < 12; p++)
			cr_assert_eq(try_sign(v, p, TLS_ECDSA_SHA256, tbs,
			    len), (v == 4 || v == 5 || v == 9) && p > 0 &&
			    p < 11 && p % 2 == 0 ? 0 : ENOKEY, "%u %u", v, p);
	keeper_forget(k, UINT32_MAX);
	cr_assert_eq(try_sign(9, 2, TLS_ECDSA_SHA256, tbs, len), ENOKEY);
}

/* --- files ---------------------------------------------------------------- */

Test(keeper, a_key_belongs_to_its_certificate)
{
	EVP_PKEY *a = keys_make(KEYS_P256), *b = keys_make(KEYS_P256);
	EVP_PKEY *c = keys_make(KEYS_ED25519);
	uint8_t tbs[TLS_TBS_MAX];
	size_t len = keys_tls13(tbs, KEYS_CONTEXT, 32);

	cr_assert_eq(load(1, 0, a, a), 0);
	cr_assert_eq(load(1, 0, a, b), -1);
	cr_assert_str_eq(err, "does not belong to the certificate");
	/* and then it has none */
	cr_assert_eq(try_sign(1, 0, TLS_ECDSA_SHA256, tbs, len), ENOKEY);
	cr_assert_eq(load(1, 0, a, c), -1);
	cr_assert_str_eq(err, "does not belong to the certificate");
	cr_assert_eq(load(1, 0, c, c), 0);
	cr_assert_eq(load(1, 0, b, b), 0);
	cr_assert_eq(try_sign(1, 0, TLS_ED25519, tbs, len), EINVAL);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	EVP_PKEY_free(c);
}

static void
expect_text(const char *text, const char *cert, const char *message)
{
	int fd = keys_text_file(text);

	cr_assert_eq(keeper_load(k, 1, 0, fd, cert, strlen(cert), err,
	    sizeof(err)), -1);
	cr_assert_not_null(strstr(err, message), "%s", err);
	cr_assert_eq(ERR_peek_error(), 0);
	close(fd);
}

Test(keeper, what_is_wrong_with_a_file_is_said)
{
	EVP_PKEY *key = keys_make(KEYS_P256), *odd = EVP_EC_gen("secp256k1");
	X509 *x = keys_certificate(key);
	char *cert = keys_cert_pem(x), *text, *big;

	expect_text("", cert, "contains no PEM private key");
	expect_text(cert, cert, "contains no PEM private key");
	expect_text("-----BEGIN PRIVATE KEY-----\nAAAA\n"
	    "-----END PRIVATE KEY-----\n", cert, "is damaged");
	expect_text("-----BEGIN PRIVATE KEY-----\n", cert, "is damaged");
	text = keys_text(key, false, EVP_aes_128_cbc());
	expect_text(text, cert, "is encrypted");
	free(text);
	text = keys_text(key, true, EVP_aes_128_cbc());
	expect_text(text, cert, "is encrypted");
	free(text);
	text = keys_text(key, false, NULL);
	expect_text(text, "no certificate", "certificate that cannot be decoded");
	text[60] = text[60] == 'A' ? 'B' : 'A';
	expect_text(text, cert, "");
	free(text);
	text = keys_text(odd, false, NULL);
	expect_text(text, cert, "is a key of type EC secp256k1");
	free(text);
	big = calloc(1, 70001);
	memset(big, '\n', 70000);
	expect_text(big, cert, "is larger than");
	free(big);
	cr_assert_eq(keeper_load(k, 1, 0, -1, cert, strlen(cert), err,
	    sizeof(err)), -1);
	cr_assert_not_null(strstr(err, "cannot be read: Bad file"), "%s", err);
	free(cert);
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(odd);
}

Test(keeper, short_rsa_keys_are_refused)
{
	EVP_PKEY *key = EVP_RSA_gen(1024);

	cr_assert_eq(load(1, 0, key, key), -1);
	cr_assert_str_eq(err, "is an RSA key of 1024 bits: use 2048 to 8192");
	EVP_PKEY_free(key);
}

Test(keeper, both_forms_of_files_are_read_wherever_the_offset_is)
{
	static const enum keys_kind kinds[] = { KEYS_RSA, KEYS_P384 };
	EVP_PKEY *key;
	char *cert, *text, *both;
	X509 *x;
	int fd, i, form;

	for (i = 0; i < 2; i++) {
		key = keys_make(kinds[i]);
		x = keys_certificate(key);
		cert = keys_cert_pem(x);
		for (form = 0; form < 2; form++) {
			text = keys_text(key, form == 1, NULL);
			/* behind its certificate, as some keep them */
			cr_assert_geq(asprintf(&both, "%s%s", cert, text), 0);
			fd = keys_text_file(both);
			cr_assert_eq(keeper_load(k, 1, 0, fd, cert,
			    strlen(cert), err, sizeof(err)), 0, "%s", err);
			cr_assert_eq(lseek(fd, 0, SEEK_CUR),
			    (off_t)strlen(both));
			close(fd);
			free(both);
			free(text);
		}
		free(cert);
		X509_free(x);
		EVP_PKEY_free(key);
	}
}

Test(keeper, a_private_half_that_is_not_the_public_one_s_is_found)
{
	EVP_PKEY *a = keys_make(KEYS_P256), *b = keys_make(KEYS_P256);
	unsigned char *da = NULL, *db = NULL;
	const unsigned char *p;
	X509 *x = keys_certificate(a);
	char *cert = keys_cert_pem(x), *text;
	EVP_PKEY *mixed;
	int na = i2d_PrivateKey(a, &da), nb = i2d_PrivateKey(b, &db);

	/* RFC 5915 3: the private octets are at 7, the public key at the end;
	 * both keys are written alike */
	cr_assert_eq(na, nb);
	memcpy(da + 7, db + 7, 32);
	p = da;
	mixed = d2i_AutoPrivateKey(NULL, &p, na);
	cr_assert_not_null(mixed);
	text = keys_text(mixed, false, NULL);
	expect_text(text, cert, "the certificate does not verify its");
	free(text);
	free(cert);
	OPENSSL_free(da);
	OPENSSL_free(db);
	EVP_PKEY_free(mixed);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	X509_free(x);
}
