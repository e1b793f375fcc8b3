/* Signatures of the remote provider: what libssl sets of padding and digest
 * becomes a TLS signature scheme, what it wants signed is gathered unhashed.
 * Owns: one operation of a digest-and-sign.
 * Knows nothing of the wait for a signature (remote.c). */

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tls/remote_int.h"

struct operation {
	struct remote_key	*key;
	unsigned int		 hash;		/* its number in TLS; 0: none */
	bool			 is_pss;
	bool			 is_salt_hash_long;
	size_t			 tbs_len;
	uint8_t			 tbs[TLS_TBS_MAX];
};

/* The hashes of TLS signatures that are not broken, by their number (RFC 5246
 * 7.4.1.4.1), and their names in OpenSSL. */
static const struct {
	unsigned int	 hash;
	int		 octets;
	const char	*names[3];
} hashes[] = {
	{ 4, 32, { "SHA256", "SHA2-256", "SHA-256" } },
	{ 5, 48, { "SHA384", "SHA2-384", "SHA-384" } },
	{ 6, 64, { "SHA512", "SHA2-512", "SHA-512" } },
};
enum { NHASHES = sizeof(hashes) / sizeof(hashes[0]), NNAMES = 3 };

static unsigned int
hash_named(const char *name)
{
	size_t i, k;

	for (i = 0; i < NHASHES; i++)
		for (k = 0; k < NNAMES; k++)
			if (strcasecmp(name, hashes[i].names[k]) == 0)
				return hashes[i].hash;
	return 0;
}

static int
hash_octets(unsigned int hash)
{
	return hash == 0 ? 0 : hashes[hash - hashes[0].hash].octets;
}

/* The scheme; 0: TLS has no such signatures. */
static unsigned int
scheme_of(const struct operation *op)
{
	if (!op->key->kind->is_hashed)
		return op->hash == 0 ? TLS_ED25519 : 0;
	if (op->hash == 0)
		return 0;
	if (!op->key->kind->is_rsa)
		return op->hash << 8 | 3;
	if (!op->is_pss)
		return op->hash << 8 | 1;
	/* the salt is as long as the digest, RFC 8446 4.2.3 */
	return op->is_salt_hash_long ? 0x0800 | op->hash : 0;
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

static void *
operation_dup(void *vop)
{
	struct operation *op = malloc(sizeof(*op));

	if (op == NULL)
		return NULL;
	memcpy(op, vop, sizeof(*op));
	if (op->key != NULL)
		remote_key_ref(op->key);
	return op;
}

/* --- parameters ----------------------------------------------------------- */

static int
set_digest(struct operation *op, const OSSL_PARAM *p)
{
	/* only the one that sign_init() was given */
	return p->data_type == OSSL_PARAM_UTF8_STRING && op->hash != 0 &&
	    hash_named(p->data) == op->hash;
}

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
	    (len > 0 && len == hash_octets(op->hash));
	return op->is_salt_hash_long;
}

static const struct {
	const char	*name;
	int		(*set)(struct operation *op, const OSSL_PARAM *p);
} settings[] = {
	{ OSSL_SIGNATURE_PARAM_DIGEST, set_digest },
	{ OSSL_SIGNATURE_PARAM_MGF1_DIGEST, set_digest },
	{ OSSL_SIGNATURE_PARAM_PAD_MODE, set_padding },
	{ OSSL_SIGNATURE_PARAM_PSS_SALTLEN, set_salt },
};

static int
operation_set_params(void *vop, const OSSL_PARAM params[])
{
	struct operation *op = vop;
	const OSSL_PARAM *p;
	size_t i;

	if (params == NULL)
		return 1;
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		p = OSSL_PARAM_locate_const(params, settings[i].name);
		if (p != NULL && (op->key == NULL || !settings[i].set(op, p)))
			return 0;
	}
	return 1;
}

static const OSSL_PARAM *
operation_settable_params(void *, void *)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL,
		    0),
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
	op->tbs_len = 0;
	op->is_pss = op->key->kind->is_pss;
	op->is_salt_hash_long = false;
	op->hash = 0;
	if (digest != NULL && digest[0] != '\0' &&
	    (op->hash = hash_named(digest)) == 0) {
		remote_error(REMOTE_UNSUITED);
		return 0;
	}
	return operation_set_params(op, params);
}

static int
sign_update(void *vop, const unsigned char *data, size_t len)
{
	struct operation *op = vop;

	if (len > sizeof(op->tbs) - op->tbs_len) {
		remote_error(REMOTE_UNSUITED);
		return 0;
	}
	if (len > 0)
		memcpy(op->tbs + op->tbs_len, data, len);
	op->tbs_len += len;
	return 1;
}

static int
sign_final(void *vop, unsigned char *sig, size_t *len_r, size_t room)
{
	struct operation *op = vop;
	struct tls_sign s = { .version = op->key->version,
		.pair = op->key->pair, .scheme = scheme_of(op),
		.tbs = op->tbs, .tbs_len = op->tbs_len };
	int size = EVP_PKEY_get_size(op->key->public);

	if (size <= 0 || (unsigned int)s.scheme == 0) {
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

static int
sign_at_once(void *vop, unsigned char *sig, size_t *len_r, size_t room,
    const unsigned char *data, size_t len)
{
	if (sig != NULL && !sign_update(vop, data, len))
		return 0;
	return sign_final(vop, sig, len_r, room);
}

#define FUNC(id, f) { OSSL_FUNC_SIGNATURE_##id, (void (*)(void))(f) }

const OSSL_DISPATCH remote_signature[] = {
	FUNC(NEWCTX, operation_new),
	FUNC(FREECTX, operation_free),
	FUNC(DUPCTX, operation_dup),
	FUNC(DIGEST_SIGN_INIT, sign_init),
	FUNC(DIGEST_SIGN_UPDATE, sign_update),
	FUNC(DIGEST_SIGN_FINAL, sign_final),
	FUNC(DIGEST_SIGN, sign_at_once),
	FUNC(SET_CTX_PARAMS, operation_set_params),
	FUNC(SETTABLE_CTX_PARAMS, operation_settable_params),
	{ 0, NULL }
};
