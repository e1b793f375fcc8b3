/* The keys of a keeper and their signatures.
 * Owns: the keys by version and number, which scheme is possible with which.
 * Knows nothing of files (tlskey.c) and of what may be signed
 * (keeper_tbs.c). */

#include "tls/keeper.h"

#include <sys/tree.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/keeper_int.h"
#include "tls/tlskey.h"

enum { DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512, NDIGESTS,
	NO_DIGEST = NDIGESTS };

static const char *const digest_names[NDIGESTS] = { "SHA256", "SHA384",
    "SHA512" };

#define ANY_EC	(TLSKEY_P256 | TLSKEY_P384 | TLSKEY_P521)
#define ANY_RSA	(TLSKEY_RSA | TLSKEY_RSA_PSS)

/* Which scheme is possible with which kind of key.  RFC 8446 4.2.3: in TLS 1.3
 * each curve has its hash, and RSA does not sign with PKCS#1. */
static const struct scheme {
	enum tls_scheme	 scheme;
	unsigned int	 digest;
	bool		 is_pss;
	unsigned int	 tls12, tls13;	/* kinds of keys */
} schemes[] = {
	{ TLS_RSA_PKCS1_SHA256, DIGEST_SHA256, false, TLSKEY_RSA, 0 },
	{ TLS_RSA_PKCS1_SHA384, DIGEST_SHA384, false, TLSKEY_RSA, 0 },
	{ TLS_RSA_PKCS1_SHA512, DIGEST_SHA512, false, TLSKEY_RSA, 0 },
	{ TLS_RSA_PSS_SHA256, DIGEST_SHA256, true, ANY_RSA, ANY_RSA },
	{ TLS_RSA_PSS_SHA384, DIGEST_SHA384, true, ANY_RSA, ANY_RSA },
	{ TLS_RSA_PSS_SHA512, DIGEST_SHA512, true, ANY_RSA, ANY_RSA },
	{ TLS_ECDSA_SHA256, DIGEST_SHA256, false, ANY_EC, TLSKEY_P256 },
	{ TLS_ECDSA_SHA384, DIGEST_SHA384, false, ANY_EC, TLSKEY_P384 },
	{ TLS_ECDSA_SHA512, DIGEST_SHA512, false, ANY_EC, TLSKEY_P521 },
	{ TLS_ED25519, NO_DIGEST, false, TLSKEY_ED25519, TLSKEY_ED25519 },
};
enum { NSCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

struct key {
	RB_ENTRY(key)	 node;
	uint32_t	 version, pair;
	unsigned int	 kind;
	EVP_PKEY	*pkey;
	/* ready to sign; made when first needed, and kept, since making one
	 * costs as much as a signature with P-256 */
	EVP_PKEY_CTX	*ready[NSCHEMES];
};

struct keeper {
	EVP_MD				*digests[NDIGESTS];
	RB_HEAD(keeper_keys, key)	 keys;	/* by version and pair */
};

/* --- life ----------------------------------------------------------------- */

static int
key_cmp(const struct key *a, const struct key *b)
{
	if (a->version != b->version)
		return a->version < b->version ? -1 : 1;
	return a->pair < b->pair ? -1 : a->pair > b->pair;
}

RB_PROTOTYPE(keeper_keys, key, node, key_cmp)
RB_GENERATE(keeper_keys, key, node, key_cmp)

static void
key_free(struct key *key)
{
	size_t i;

	for (i = 0; i < NSCHEMES; i++)
		EVP_PKEY_CTX_free(key->ready[i]);
	EVP_PKEY_free(key->pkey);
	free(key);
}

static void
key_remove(struct keeper *k, struct key *key)
{
	RB_REMOVE(keeper_keys, &k->keys, key);
	key_free(key);
}

struct keeper *
keeper_new(void)
{
	struct keeper *k = calloc(1, sizeof(*k));
	size_t i;

	if (k == NULL)
		return NULL;
	for (i = 0; i < NDIGESTS; i++)
		if ((k->digests[i] = EVP_MD_fetch(NULL, digest_names[i],
		    NULL)) == NULL) {
			keeper_free(k);
			errno = ENOMEM;
			return NULL;
		}
	return k;
}

void
keeper_free(struct keeper *k)
{
	struct key *key;
	size_t i;

	if (k == NULL)
		return;
	while ((key = RB_ROOT(&k->keys)) != NULL)
		key_remove(k, key);
	for (i = 0; i < NDIGESTS; i++)
		EVP_MD_free(k->digests[i]);
	free(k);
}

void
keeper_forget(struct keeper *k, uint32_t version)
{
	struct key *key;

	while ((key = RB_MIN(keeper_keys, &k->keys)) != NULL &&
	    key->version < version)
		key_remove(k, key);
}

/* --- sign ----------------------------------------------------------------- */

static EVP_PKEY_CTX *
make_ready(const struct keeper *k, const struct key *key,
    const struct scheme *scheme)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);

	if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, k->digests[scheme->digest]) != 1)
		goto err1;
	if ((key->kind & ANY_RSA) != 0 && EVP_PKEY_CTX_set_rsa_padding(ctx,
	    scheme->is_pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) != 1)
		goto err1;
	/* RFC 8446 4.2.3: the salt is as long as the digest */
	if (scheme->is_pss &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) != 1)
		goto err1;
	return ctx;
err1:
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

static int
sign_digest(const struct keeper *k, struct key *key,
    const struct scheme *scheme, const uint8_t *tbs, size_t len,
    uint8_t *sig, size_t *len_r)
{
	EVP_PKEY_CTX **ready = &key->ready[scheme - schemes];
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int n;

	if (*ready == NULL && (*ready = make_ready(k, key, scheme)) == NULL)
		return -1;
	if (EVP_Digest(tbs, len, digest, &n, k->digests[scheme->digest],
	    NULL) != 1 || EVP_PKEY_sign(*ready, sig, len_r, digest, n) != 1)
		return -1;
	return 0;
}

/* Ed25519 hashes by itself, twice, RFC 8032 5.1.6. */
static int
sign_whole(const struct key *key, const uint8_t *tbs, size_t len,
    uint8_t *sig, size_t *len_r)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int rc = -1;

	if (ctx != NULL &&
	    EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
	    EVP_DigestSign(ctx, sig, len_r, tbs, len) == 1)
		rc = 0;
	EVP_MD_CTX_free(ctx);
	return rc;
}

static const struct scheme *
scheme_find(enum tls_scheme number)
{
	size_t i;

	for (i = 0; i < NSCHEMES; i++)
		if (schemes[i].scheme == number)
			return &schemes[i];
	return NULL;
}

static int
key_sign(const struct keeper *k, struct key *key, enum tls_scheme number,
    const uint8_t *tbs, size_t len, uint8_t sig_r[TLS_SIG_MAX], size_t *len_r)
{
	const struct scheme *scheme = scheme_find(number);
	enum keeper_tls tls = keeper_tbs(tbs, len);
	int rc;

	if (tls == KEEPER_NOT_TLS) {
		errno = EPERM;
		return -1;
	}
	if (scheme == NULL || (key->kind & (tls == KEEPER_TLS13 ?
	    scheme->tls13 : scheme->tls12)) == 0) {
		errno = EINVAL;
		return -1;
	}
	*len_r = TLS_SIG_MAX;
	if (scheme->digest == NO_DIGEST)
		rc = sign_whole(key, tbs, len, sig_r, len_r);
	else
		rc = sign_digest(k, key, scheme, tbs, len, sig_r, len_r);
	if (rc == -1) {
		ERR_clear_error();
		errno = EIO;
	}
	return rc;
}

int
keeper_sign(struct keeper *k, uint32_t version, uint32_t pair,
    enum tls_scheme scheme, const uint8_t *tbs, size_t len,
    uint8_t sig_r[TLS_SIG_MAX], size_t *len_r)
{
	struct key wanted = { .version = version, .pair = pair };
	struct key *key = RB_FIND(keeper_keys, &k->keys, &wanted);

	if (key == NULL) {
		errno = ENOKEY;
		return -1;
	}
	return key_sign(k, key, scheme, tbs, len, sig_r, len_r);
}

/* --- load ----------------------------------------------------------------- */

static X509 *
first_certificate(const char *cert, size_t len)
{
	BIO *bio = len > INT32_MAX ? NULL : BIO_new_mem_buf(cert, (int)len);
	X509 *x = NULL;

	if (bio != NULL)
		x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	return x;
}

/* A damaged file can have the certificate's public key beside another private
 * key: sign something, and verify it with the certificate. */
static bool
is_proven(const struct keeper *k, struct key *key, X509 *x)
{
	static const uint8_t tbs[] = { "        " "        " "        "
	    "        " "        " "        " "        " "        "
	    "TLS 1.3, server CertificateVerify\0"
	    "0123456789abcdef" "0123456789abcde" };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	const struct scheme *s;
	uint8_t sig[TLS_SIG_MAX];
	size_t len;
	bool is_proven = false;

	for (s = schemes; (s->tls13 & key->kind) == 0; s++)
		;
	/* an RSA-PSS key may be bound to one digest: try the next */
	while (s->is_pss && key_sign(k, key, s->scheme, tbs, sizeof(tbs), sig,
	    &len) == -1 && s[1].is_pss)
		s++;
	if (ctx != NULL && key_sign(k, key, s->scheme, tbs, sizeof(tbs), sig,
	    &len) == 0 && EVP_DigestVerifyInit_ex(ctx, &pctx,
	    s->digest == NO_DIGEST ? NULL : digest_names[s->digest], NULL,
	    NULL, X509_get0_pubkey(x), NULL) == 1 && (!s->is_pss ||
	    EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1))
		is_proven = EVP_DigestVerify(ctx, sig, len, tbs, sizeof(tbs))
		    == 1;
	EVP_MD_CTX_free(ctx);
	return is_proven;
}

static int
key_load(const struct keeper *k, struct key *key, int fd, X509 *x, char *err_r,
    size_t errlen)
{
	if (x == NULL) {
		snprintf(err_r, errlen, "has a certificate that cannot be "
		    "decoded");
		return -1;
	}
	if ((key->pkey = tlskey_read(fd, err_r, errlen)) == NULL ||
	    (key->kind = tlskey_kind(key->pkey, err_r, errlen)) == 0)
		return -1;
	if (X509_check_private_key(x, key->pkey) != 1) {
		snprintf(err_r, errlen, "does not belong to the certificate");
		return -1;
	}
	if (!is_proven(k, key, x)) {
		snprintf(err_r, errlen, "is damaged: the certificate does not "
		    "verify its signatures");
		return -1;
	}
	return 0;
}

int
keeper_load(struct keeper *k, uint32_t version, uint32_t pair, int key_fd,
    const char *cert, size_t len, char *err_r, size_t errlen)
{
	struct key wanted = { .version = version, .pair = pair };
	struct key *key = RB_FIND(keeper_keys, &k->keys, &wanted);
	X509 *x;
	int rc;

	if (key != NULL)
		key_remove(k, key);
	if ((key = calloc(1, sizeof(*key))) == NULL) {
		snprintf(err_r, errlen, "cannot be read: %s", strerror(ENOMEM));
		return -1;
	}
	key->version = version;
	key->pair = pair;
	x = first_certificate(cert, len);
	if ((rc = key_load(k, key, key_fd, x, err_r, errlen)) == 0)
		RB_INSERT(keeper_keys, &k->keys, key);
	else
		key_free(key);
	X509_free(x);
	ERR_clear_error();
	return rc;
}
