/* Certificates as octets, and ready for use; see tlsctx.h.
 * Owns: what a PEM text may hold, the kinds of keys, the certificates that
 * contexts share. */

#include "tls/tlsctx.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/remote.h"
#include "tls/tlsctx_int.h"

#define CHAIN_MAX	32	/* certificates in one file of a server's */

static int certs_index = -1;
static pthread_once_t certs_once = PTHREAD_ONCE_INIT;

/* --- PEM ------------------------------------------------------------------ */

/* What one block of a PEM text is. */
static int
take_block(const char *name, const unsigned char *der, long len,
    STACK_OF(X509) *chain, char *err_r, size_t errlen)
{
	const unsigned char *p = der;
	X509 *x;

	if (strstr(name, "PRIVATE KEY") != NULL) {
		/* it would be in the memory of who reads certificates */
		snprintf(err_r, errlen, "has a private key in it: put that "
		    "into a file of its own");
		return -1;
	}
	if (strcmp(name, PEM_STRING_X509) != 0 &&
	    strcmp(name, PEM_STRING_X509_OLD) != 0) {
		snprintf(err_r, errlen, "has a \"%s\" in it, which is no "
		    "certificate", name);
		return -1;
	}
	if ((x = d2i_X509(NULL, &p, len)) == NULL || p != der + len) {
		snprintf(err_r, errlen, "certificate %d is damaged",
		    sk_X509_num(chain) + 1);
		X509_free(x);
		return -1;
	}
	if (sk_X509_push(chain, x) == 0) {
		snprintf(err_r, errlen, "out of memory");
		X509_free(x);
		return -1;
	}
	return 0;
}

/* The next block.  Return 1, 0 at the end, -1. */
static int
next_block(BIO *bio, STACK_OF(X509) *chain, char *err_r, size_t errlen)
{
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len;
	int rc;

	ERR_clear_error();
	if (PEM_read_bio(bio, &name, &header, &der, &len) != 1) {
		rc = ERR_GET_REASON(ERR_peek_last_error()) ==
		    PEM_R_NO_START_LINE ? 0 : -1;
		if (rc == -1)
			tlsctx_error(err_r, errlen, "is no PEM text");
		ERR_clear_error();
		return rc;
	}
	rc = take_block(name, der, len, chain, err_r, errlen) == 0 ? 1 : -1;
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, (size_t)len);
	return rc;
}

int
tlsctx_pem_read(struct tlsctx_octets pem, STACK_OF(X509) **chain_r,
    char *err_r, size_t errlen)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	BIO *bio = BIO_new_mem_buf(pem.v, (int)pem.len);
	int rc = -1;

	if (chain == NULL || bio == NULL)
		snprintf(err_r, errlen, "out of memory");
	else
		while ((rc = next_block(bio, chain, err_r, errlen)) == 1)
			;
	BIO_free(bio);
	if (rc == 0 && sk_X509_num(chain) == 0) {
		snprintf(err_r, errlen, "has no certificate in it (PEM, "
		    "\"-----BEGIN CERTIFICATE-----\")");
		rc = -1;
	}
	if (rc == -1) {
		sk_X509_pop_free(chain, X509_free);
		chain = NULL;
	}
	*chain_r = chain;
	return rc;
}

/* --- one certificate ------------------------------------------------------ */

void
tlsctx_kind(EVP_PKEY *key, char *buf, size_t len)
{
	char group[24] = "?";
	size_t i;
	static const char *const nist[][2] = {
		{ "prime256v1", "P-256" }, { "secp384r1", "P-384" },
		{ "secp521r1", "P-521" },
	};

	if (!EVP_PKEY_is_a(key, "EC")) {
		const char *name = EVP_PKEY_get0_type_name(key);

		if (name != NULL && strncasecmp(name, "RSA", 3) == 0)
			snprintf(buf, len, "%.8s-%d", name,
			    EVP_PKEY_get_bits(key));
		else if (name != NULL && strcasecmp(name, "ED25519") == 0)
			snprintf(buf, len, "Ed25519");
		else
			snprintf(buf, len, "%s", name != NULL ? name : "?");
		return;
	}
	(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	for (i = 0; i < sizeof(nist) / sizeof(nist[0]); i++)
		if (strcmp(group, nist[i][0]) == 0)
			snprintf(group, sizeof(group), "%s", nist[i][1]);
	snprintf(buf, len, "EC-%.12s", group);
}

static int
cert_load(struct tlsctx_cert *cert, const struct tlsctx_pair *pair,
    uint32_t version, char *err_r, size_t errlen)
{
	EVP_PKEY *public;

	if (tlsctx_pem_read(pair->cert, &cert->chain, err_r, errlen) == -1)
		return -1;
	if (sk_X509_num(cert->chain) > CHAIN_MAX) {
		snprintf(err_r, errlen, "has more than %d certificates in it",
		    CHAIN_MAX);
		return -1;
	}
	cert->cert = sk_X509_shift(cert->chain);
	if ((public = X509_get0_pubkey(cert->cert)) == NULL) {
		snprintf(err_r, errlen, "the certificate's key is of no kind "
		    "that OpenSSL knows");
		return -1;
	}
	tlsctx_kind(public, cert->kind, sizeof(cert->kind));
	cert->key = tls_remote_key(public, version, pair->pair);
	if (cert->key == NULL) {
		snprintf(err_r, errlen, "a key of the kind %s cannot be used: "
		    "it must be RSA, EC on P-256, P-384 or P-521, or Ed25519",
		    cert->kind);
		return -1;
	}
	tlsctx_end_point(cert);
	tlsctx_ocsp_load(cert, pair->ocsp);
	ERR_clear_error();
	return 0;
}

static void
cert_clear(struct tlsctx_cert *cert)
{
	X509_free(cert->cert);
	sk_X509_pop_free(cert->chain, X509_free);
	EVP_PKEY_free(cert->key);
	OPENSSL_free(cert->ocsp);
}

/* --- all of them ---------------------------------------------------------- */

struct tlsctx_certs *
tlsctx_certs_new(const struct tlsctx_config *c, int *pair_r, char *err_r,
    size_t errlen)
{
	struct tlsctx_certs *certs;
	size_t i;

	*pair_r = -1;
	if (c->npairs == 0) {
		snprintf(err_r, errlen, "no certificate");
		return NULL;
	}
	certs = calloc(1, sizeof(*certs) + c->npairs * sizeof(certs->v[0]));
	if (certs == NULL) {
		snprintf(err_r, errlen, "out of memory");
		return NULL;
	}
	atomic_init(&certs->nrefs, 1);
	for (i = 0; i < c->npairs; i++) {
		certs->n++;
		if (cert_load(&certs->v[i], &c->pairs[i], c->version, err_r,
		    errlen) == -1) {
			*pair_r = (int)i;
			tlsctx_certs_free(certs);
			return NULL;
		}
	}
	return certs;
}

void
tlsctx_certs_free(struct tlsctx_certs *certs)
{
	size_t i;

	if (certs == NULL || atomic_fetch_sub(&certs->nrefs, 1) > 1)
		return;
	for (i = 0; i < certs->n; i++)
		cert_clear(&certs->v[i]);
	free(certs);
}

int
tlsctx_certs_add(SSL_CTX *ctx, const struct tlsctx_certs *certs, size_t i)
{
	const struct tlsctx_cert *cert = &certs->v[i];

	return SSL_CTX_use_cert_and_key(ctx, cert->cert, cert->key,
	    cert->chain, 0) == 1 ? 0 : -1;
}

static void
ctx_gone(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
    void *argp)
{
	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;
	tlsctx_certs_free(ptr);
}

static void
make_index(void)
{
	certs_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, ctx_gone);
}

int
tlsctx_certs_attach(SSL_CTX *ctx, struct tlsctx_certs *certs)
{
	pthread_once(&certs_once, make_index);
	if (certs_index == -1 ||
	    SSL_CTX_set_ex_data(ctx, certs_index, certs) != 1)
		return -1;
	atomic_fetch_add(&certs->nrefs, 1);
	return 0;
}

struct tlsctx_certs *
tlsctx_certs_of(const SSL_CTX *ctx)
{
	return certs_index == -1 ? NULL : SSL_CTX_get_ex_data(ctx, certs_index);
}

const struct tlsctx_cert *
tlsctx_cert_of(SSL *ssl)
{
	const struct tlsctx_certs *certs =
	    tlsctx_certs_of(SSL_get_SSL_CTX(ssl));
	const X509 *cert = SSL_get_certificate(ssl);
	size_t i;

	for (i = 0; certs != NULL && cert != NULL && i < certs->n; i++)
		if (certs->v[i].cert == cert)
			return &certs->v[i];
	return NULL;
}
