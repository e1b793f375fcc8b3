/* Signatures of the remote provider: what libssl sets of padding and digest
 * becomes a TLS signature scheme, and what it wants signed is passed on
 * unhashed.
 * Owns: one operation of a digest-and-sign.
 * Knows nothing of the wait for a signature (remote.c). */

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <stdlib.h>
#include <string.h>

#include "tls/remote_int.h"

struct operation {
	struct remote_key	*key;
	const EVP_MD		*md;		/* NULL: none */
	bool			 is_pss;
	bool			 is_salt_hash_long;
};

/* The number in TLS (RFC 5246 7.4.1.4.1) of a hash that is not broken; 0: of
 * any other. */
static unsigned int
hash_number(const EVP_MD *md)
{
	switch (md != NULL ? EVP_MD_get_type(md) : NID_undef) {
	case NID_sha256:
		return 4;
	case NID_sha384:
		return 5;
	case NID_sha512:
		return 6;
	default:
		return 0;
	}
}

/* The scheme; 0: TLS has no such signatures. */
static unsigned int
scheme_of(const struct operation *op)
{
	unsigned int hash = hash_number(op->md);

	if (!op->key->kind->is_hashed)
		return hash == 0 ? TLS_ED25519 : 0;
	if (hash == 0)
		return 0;
	if (!op->key->kind->is_rsa)
		return hash << 8 | 3;
	if (!op->is_pss)
		return hash << 8 | 1;
	/* the salt is as long as the digest, RFC 8446 4.2.3 */
	return op->is_salt_hash_long ? 0x0800 | hash : 0;
}

/* --- life ----------------------------------------------------------------- */

static void *
operation_new(void *, const char *)
{
	return calloc(1, sizeof(struct operation));
}

static void
operation_free(void *vop)
{
	struct operation *op = vop;

	if (op == NULL)
		return;
	remote_key_free(op->key);
	free(op);
}

/* --- parameters ----------------------------------------------------------- */

static int
set_padding(struct operation *op, const OSSL_PARAM *p)
{
	int mode = 0;

	if (p->data_type == OSSL_PARAM_UTF8_STRING) {
		if (strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0)
			mode = RSA_PKCS1_PSS_PADDING;
		else if (strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0)
			mode = RSA_PKCS1_PADDING;
	} else if (OSSL_PARAM_get_int(p, &mode) != 1)
		return 0;
	if (mode != RSA_PKCS1_PSS_PADDING &&
	    (mode != RSA_PKCS1_PADDING || op->key->kind->is_pss))
		return 0;
	op->is_pss = mode == RSA_PKCS1_PSS_PADDING;
	return 1;
}

static int
set_salt(struct operation *op, const OSSL_PARAM *p)
{
	int len;

	if (p->data_type == OSSL_PARAM_UTF8_STRING) {
		if (strcmp(p->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0)
			len = RSA_PSS_SALTLEN_DIGEST;
		else
			len = atoi(p->data);
	} else if (OSSL_PARAM_get_int(p, &len) != 1)
		return 0;
	op->is_salt_hash_long = len == RSA_PSS_SALTLEN_DIGEST ||
	    (op->md != NULL && len == EVP_MD_get_size(op->md));
	return op->is_salt_hash_long;
}

static int
operation_set_params(void *vop, const OSSL_PARAM params[])
{
	struct operation *op = vop;
	const OSSL_PARAM *p;

	if (params == NULL)
		return 1;
	if (op->key == NULL)
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p != NULL && !set_padding(op, p))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	return p == NULL || set_salt(op, p);
}

static const OSSL_PARAM *
operation_settable_params(void *, void *)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL,
		    0),
		OSSL_PARAM_END
	};

	return params;
}

/* --- digest and sign ------------------------------------------------------ */

static int
sign_init(void *vop, const char *digest, void *vkey, const OSSL_PARAM params[])
{
	struct operation *op = vop;
	struct remote_key *key = vkey;

	if (key != NULL) {
		remote_key_free(op->key);
		op->key = remote_key_ref(key);
	}
	if (op->key == NULL || !op->key->has_private)
		return 0;
	op->is_pss = op->key->kind->is_pss;
	op->is_salt_hash_long = false;
	op->md = NULL;
	if (digest != NULL && digest[0] != '\0' &&
	    hash_number(op->md = EVP_get_digestbyname(digest)) == 0) {
		remote_error(REMOTE_UNSUITED);
		return 0;
	}
	return operation_set_params(op, params);
}

static int
sign(void *vop, unsigned char *sig, size_t *len_r, size_t room,
    const unsigned char *data, size_t len)
{
	struct operation *op = vop;
	struct tls_sign s = { .version = op->key->version,
		.pair = op->key->pair, .scheme = scheme_of(op),
		.tbs = data, .tbs_len = len };
	int size = EVP_PKEY_get_size(op->key->public);

	if (size <= 0 || (unsigned int)s.scheme == 0 || len > TLS_TBS_MAX) {
		remote_error(REMOTE_UNSUITED);
		return 0;
	}
	if (sig == NULL) {
		*len_r = (size_t)size;
		return 1;
	}
	if (remote_sign(&s) == -1)
		return 0;
	if (s.sig_len > room || s.sig_len > (size_t)size) {
		remote_error(REMOTE_NOT_SIGNED);
		return 0;
	}
	memcpy(sig, s.sig, s.sig_len);
	*len_r = s.sig_len;
	return 1;
}

#define FUNC(id, f) { OSSL_FUNC_SIGNATURE_##id, (void (*)(void))(f) }

const OSSL_DISPATCH remote_signature[] = {
	FUNC(NEWCTX, operation_new),
	FUNC(FREECTX, operation_free),
	FUNC(DIGEST_SIGN_INIT, sign_init),
	FUNC(DIGEST_SIGN, sign),
	FUNC(SET_CTX_PARAMS, operation_set_params),
	FUNC(SETTABLE_CTX_PARAMS, operation_settable_params),
	{ 0, NULL }
};
