/* Key management of the remote provider: a public key of the default
 * provider's, and the number of the private one.
 * Owns: the kinds of keys; their parameters, comparison, import and export.
 * Knows nothing of how signatures are made. */

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <stdlib.h>

#include "tls/remote_int.h"

static void *
key_new(const struct remote_kind *kind)
{
	struct remote_key *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	atomic_init(&k->nrefs, 1);
	k->kind = kind;
	return k;
}

struct remote_key *
remote_key_ref(struct remote_key *k)
{
	atomic_fetch_add(&k->nrefs, 1);
	return k;
}

void
remote_key_free(struct remote_key *k)
{
	if (k == NULL || atomic_fetch_sub(&k->nrefs, 1) > 1)
		return;
	EVP_PKEY_free(k->public);
	free(k);
}

static void
key_free(void *keydata)
{
	remote_key_free(keydata);
}

static int
key_has(const void *keydata, int selection)
{
	const struct remote_key *k = keydata;

	if (k == NULL || k->public == NULL)
		return 0;
	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 ||
	    k->has_private;
}

static int
key_match(const void *keydata1, const void *keydata2, int selection)
{
	const struct remote_key *a = keydata1, *b = keydata2;

	if (a->public == NULL || b->public == NULL || a->kind != b->kind)
		return 0;
	if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0)
		return EVP_PKEY_parameters_eq(a->public, b->public) == 1;
	/* a public key has one private key, whatever its number */
	return EVP_PKEY_eq(a->public, b->public) == 1;
}

static int
key_get_params(void *keydata, OSSL_PARAM params[])
{
	struct remote_key *k = keydata;

	return k->public != NULL && EVP_PKEY_get_params(k->public, params);
}

/* --- in and out ----------------------------------------------------------- */

static int
import_public(struct remote_key *k, const OSSL_PARAM params[])
{
	EVP_PKEY_CTX *ctx;
	OSSL_PARAM *copy;
	int rc = 0;

	ctx = EVP_PKEY_CTX_new_from_name(NULL, k->kind->name, NULL);
	copy = OSSL_PARAM_dup(params);
	if (ctx != NULL && copy != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
		rc = EVP_PKEY_fromdata(ctx, &k->public, EVP_PKEY_PUBLIC_KEY,
		    copy) == 1;
	OSSL_PARAM_free(copy);
	EVP_PKEY_CTX_free(ctx);
	return rc;
}

/* Without a number it is a public key: OpenSSL imports the public key of a
 * certificate in order to compare it with one of ours. */
static int
key_import(void *keydata, int selection, const OSSL_PARAM params[])
{
	struct remote_key *k = keydata;
	const OSSL_PARAM *version, *pair;

	if (k->public != NULL || !import_public(k, params))
		return 0;
	version = OSSL_PARAM_locate_const(params, REMOTE_PARAM_VERSION);
	pair = OSSL_PARAM_locate_const(params, REMOTE_PARAM_PAIR);
	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 ||
	    version == NULL || pair == NULL)
		return 1;
	k->has_private = OSSL_PARAM_get_uint32(version, &k->version) == 1 &&
	    OSSL_PARAM_get_uint32(pair, &k->pair) == 1;
	return k->has_private;
}

static int
key_export(void *keydata, int selection, OSSL_CALLBACK *callback, void *arg)
{
	struct remote_key *k = keydata;
	OSSL_PARAM *params;
	int rc;

	/* OpenSSL exports a private key to another provider in order to sign
	 * there.  No other provider can, and one that got the public half
	 * would try. */
	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 &&
	    k->has_private)
		return 0;
	if (k->public == NULL || EVP_PKEY_todata(k->public,
	    selection & ~OSSL_KEYMGMT_SELECT_PRIVATE_KEY, &params) != 1)
		return 0;
	rc = callback(params, arg);
	OSSL_PARAM_free(params);
	return rc;
}

/* The parameters of all kinds: a caller looks for those of its kind only. */
static const OSSL_PARAM public_params[] = {
	OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
	OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
	OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
	OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
	OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
	OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
	OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
	OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_FIELD_TYPE, NULL, 0),
	OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0),
	OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
	    NULL, 0),
	OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
	OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
	OSSL_PARAM_END
};

static const OSSL_PARAM *
key_gettable_params(void *)
{
	return public_params;
}

static const OSSL_PARAM *
key_types(int)
{
	return public_params;
}

/* --- the kinds ------------------------------------------------------------ */

#define FUNC(id, f) { OSSL_FUNC_KEYMGMT_##id, (void (*)(void))(f) }

/* OpenSSL tells which kind it wants by the function that it calls, and in no
 * other way. */
#define KIND(i, prefix)							\
static void *								\
prefix##_new(void *provctx)						\
{									\
	(void)provctx;							\
	return key_new(&remote_kinds[i]);				\
}									\
static const char *							\
prefix##_operation(int operation)					\
{									\
	return operation == OSSL_OP_SIGNATURE ?				\
	    remote_kinds[i].signature : NULL;				\
}									\
static const OSSL_DISPATCH prefix##_keymgmt[] = {			\
	FUNC(NEW, prefix##_new),					\
	FUNC(FREE, key_free),						\
	FUNC(HAS, key_has),						\
	FUNC(MATCH, key_match),						\
	FUNC(GET_PARAMS, key_get_params),				\
	FUNC(GETTABLE_PARAMS, key_gettable_params),			\
	FUNC(IMPORT, key_import),					\
	FUNC(IMPORT_TYPES, key_types),					\
	FUNC(EXPORT, key_export),					\
	FUNC(EXPORT_TYPES, key_types),					\
	FUNC(QUERY_OPERATION_NAME, prefix##_operation),			\
	{ 0, NULL }							\
};

KIND(0, rsa)
KIND(1, rsapss)
KIND(2, ec)
KIND(3, ed25519)

const struct remote_kind remote_kinds[REMOTE_NKINDS] = {
	{ "RSA", "MAILMILL-RSA", .is_rsa = true, .is_hashed = true,
	    .keymgmt = rsa_keymgmt },
	{ "RSA-PSS", "MAILMILL-RSA-PSS", .is_rsa = true, .is_pss = true,
	    .is_hashed = true, .keymgmt = rsapss_keymgmt },
	{ "EC", "MAILMILL-ECDSA", .is_hashed = true, .keymgmt = ec_keymgmt },
	{ "ED25519", "MAILMILL-ED25519", .keymgmt = ed25519_keymgmt },
};
