/* Certificates as octets; see tlsctx.h.
 * Owns: what a PEM text may hold, the names of kinds of keys, and how an error
 * of OpenSSL is told. */

#include "tls/tlsctx.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tls/tlsctx_int.h"

void
tlsctx_error(char *err_r, size_t errlen, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(e);

	if (reason != NULL)
		snprintf(err_r, errlen, "%s: %s", what, reason);
	else
		snprintf(err_r, errlen, "%s: error %lx of OpenSSL", what, e);
}

time_t
tlsctx_time(const ASN1_TIME *t)
{
	struct tm tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return -1;
	return timegm(&tm);
}

/* What one block of a PEM text is. */
static int
take_block(const char *name, const unsigned char *der, long len,
    STACK_OF(X509) *chain, char *err_r, size_t errlen)
{
	const unsigned char *p = der;
	X509 *x;

	if (strstr(name, "PRIVATE KEY") != NULL) {
		/* workers read certificates, and must never have a key */
		snprintf(err_r, errlen, "contains a private key: move it to a "
		    "file of its own");
		return -1;
	}
	if (strcmp(name, PEM_STRING_X509) != 0 &&
	    strcmp(name, PEM_STRING_X509_OLD) != 0) {
		snprintf(err_r, errlen, "contains a PEM block \"%s\": remove it, "
		    "only certificates are allowed", name);
		return -1;
	}
	if ((x = d2i_X509(NULL, &p, len)) == NULL || p != der + len) {
		snprintf(err_r, errlen, "its certificate %d is damaged",
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
			tlsctx_error(err_r, errlen, "is not valid PEM");
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
		snprintf(err_r, errlen, "contains no PEM certificate "
		    "(-----BEGIN CERTIFICATE-----)");
		rc = -1;
	}
	if (rc == -1) {
		sk_X509_pop_free(chain, X509_free);
		chain = NULL;
	}
	*chain_r = chain;
	return rc;
}

void
tlsctx_kind(EVP_PKEY *key, char *buf, size_t len)
{
	const char *name = EVP_PKEY_get0_type_name(key);
	const char *nist;
	char group[24] = "?";

	if (EVP_PKEY_is_a(key, "EC")) {
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
		nist = EC_curve_nid2nist(OBJ_txt2nid(group));
		snprintf(buf, len, "EC-%.12s", nist != NULL ? nist : group);
	} else if (name != NULL && strncasecmp(name, "RSA", 3) == 0)
		snprintf(buf, len, "%.8s-%d", name, EVP_PKEY_get_bits(key));
	else if (EVP_PKEY_is_a(key, "ED25519"))
		snprintf(buf, len, "Ed25519");
	else
		snprintf(buf, len, "%s", name != NULL ? name : "?");
}
