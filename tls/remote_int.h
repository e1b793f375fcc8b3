/* What the files of remote.h share. */

#ifndef TLS_REMOTE_INT_H
#define TLS_REMOTE_INT_H

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/evp.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tls/remote.h"

#define REMOTE_NAME	"mailmill"
#define REMOTE_PROPERTY	"provider=" REMOTE_NAME

/* Parameters of EVP_PKEY_fromdata(3) that name the private key.  A key without
 * them is a public one. */
#define REMOTE_PARAM_VERSION	"mailmill-version"
#define REMOTE_PARAM_PAIR	"mailmill-pair"

/* Why there is no signature: reasons of our errors */
enum remote_reason { REMOTE_NOT_SIGNED = 1, REMOTE_NO_JOB, REMOTE_UNSUITED };

/* The kinds of keys, one row each (remote_keymgmt.c).  The name of the
 * signatures is of no other provider, so that OpenSSL never asks one to make
 * them with a key of ours. */
struct remote_kind {
	const char		*name;		/* OpenSSL's, of the key */
	const char		*signature;	/* ours */
	bool			 is_rsa;
	bool			 is_pss;	/* has no other padding */
	bool			 is_hashed;	/* needs a digest */
	const OSSL_DISPATCH	*keymgmt;
};
enum { REMOTE_NKINDS = 4 };
extern const struct remote_kind remote_kinds[REMOTE_NKINDS];

struct remote_key {
	atomic_uint		 nrefs;
	const struct remote_kind *kind;
	EVP_PKEY		*public;	/* the default provider's */
	bool			 has_private;	/* in the other process */
	uint32_t		 version, pair;
};

/* remote_key_ref(k): One more owner; remote_key_free(k): one less. */
struct remote_key *remote_key_ref(struct remote_key *k);
void remote_key_free(struct remote_key *k);

/* remote_sign(s): Ask for the signature and wait for it: the current job
 * pauses.  Return 0, or -1 with an entry in OpenSSL's error queue. */
int remote_sign(struct tls_sign *s);

/* remote_error(reason): Put it into OpenSSL's error queue. */
void remote_error(enum remote_reason reason);

extern const OSSL_DISPATCH remote_signature[];

#endif
