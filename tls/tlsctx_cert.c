/* Certificates, ready for use; see tlsctx.h.
 * Owns: the certificates that contexts share. */

#include "tls/tlsctx.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>

#include "tls/remote.h"
#include "tls/tlsctx_int.h"
#include "tls/tlskey.h"

#define CHAIN_MAX	32	/* certificates in one file of a server's */

/* --- one certificate ------------------------------------------------------ */

/* RFC 5929 4.1: the hash of the certificate's signature, SHA-256 for weaker
 * ones; if the signature has no hash, or two, there is no binding. */
size_t
tlsctx_end_point(const X509 *cert, uint8_t out_r[64])
{
	/* OpenSSL keeps there what it has found, and takes it const nowhere */
	X509 *c = (X509 *)(uintptr_t)cert;
	int nid;
	unsigned int len = 0;
	const EVP_MD *md;

	if (X509_get_signature_info(c, &nid, NULL, NULL, NULL) != 1 ||
	    nid == NID_undef)
		return 0;
	if (nid == NID_md5 || nid == NID_sha1)
		nid = NID_sha256;
	if ((md = EVP_get_digestbynid(nid)) == NULL ||
	    EVP_MD_get_size(md) > 64 ||
	    X509_digest(c, md, out_r, &len) != 1)
		return 0;
	return len;
}

/* The key that came with the certificate. */
static int
key_load(struct tlsctx_cert *cert, const struct tlsctx_pair *pair,
    char *err_r, size_t errlen)
{
	char why[TLSKEY_ERROR_MAX];

	cert->key = tlskey_parse(pair->key.v, pair->key.len, why, sizeof(why));
	if (cert->key != NULL && tlskey_kind(cert->key, why, sizeof(why)) != 0) {
		if (X509_check_private_key(cert->cert, cert->key) == 1)
			return 0;
		snprintf(why, sizeof(why), "does not belong to the "
		    "certificate");
	}
	snprintf(err_r, errlen, TLSCTX_OF_KEY "%s", why);
	return -1;
}

/* The key that another process has. */
static int
key_name(struct tlsctx_cert *cert, EVP_PKEY *public, uint32_t version,
    uint32_t pair, char *err_r, size_t errlen)
{
	if ((cert->key = tls_remote_key(public, version, pair)) != NULL)
		return 0;
	snprintf(err_r, errlen, "has a key of type %s: use RSA of 2048 to 8192 "
	    "bits, ECDSA on P-256, P-384 or P-521, or Ed25519", cert->kind);
	return -1;
}

static int
cert_load(struct tlsctx_cert *cert, const struct tlsctx_pair *pair,
    uint32_t version, char *err_r, size_t errlen)
{
	EVP_PKEY *public;

	if (tlsctx_pem_read(pair->cert, &cert->chain, err_r, errlen) == -1)
		return -1;
	if (sk_X509_num(cert->chain) > CHAIN_MAX) {
		snprintf(err_r, errlen, "contains more than %d certificates",
		    CHAIN_MAX);
		return -1;
	}
	cert->cert = sk_X509_shift(cert->chain);
	if ((public = X509_get0_pubkey(cert->cert)) == NULL) {
		snprintf(err_r, errlen, "has a public key of a type that "
		    "OpenSSL does not know");
		return -1;
	}
	tlsctx_kind(public, cert->kind, sizeof(cert->kind));
	if (pair->key.len > 0 ? key_load(cert, pair, err_r, errlen) == -1 :
	    key_name(cert, public, version, pair->pair, err_r, errlen) == -1)
		return -1;
	cert->end_point_len = tlsctx_end_point(cert->cert, cert->end_point);
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

	if (certs == NULL)
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

const struct tlsctx_cert *
tlsctx_cert_of(SSL *ssl)
{
	const struct tlsctx_certs *certs =
	    SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const X509 *cert = SSL_get_certificate(ssl);
	size_t i;

	for (i = 0; certs != NULL && cert != NULL && i < certs->n; i++)
		if (certs->v[i].cert == cert)
			return &certs->v[i];
	return NULL;
}
