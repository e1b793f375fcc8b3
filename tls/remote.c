/* The provider, the making of its keys, and the wait for a signature.
 * Owns: what is loaded, tls_remote_ops, the signatures that are pending.
 * Knows nothing of parameters and digests (remote_keymgmt.c,
 * remote_signature.c). */

#include "tls/remote.h"

#include <sys/tree.h>

#include <openssl/async.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <errno.h>
#include <string.h>

#include "tls/tlskey.h"
#include "tls/remote_int.h"

/* ASYNC_pause_job(3) returns at once where OpenSSL forbids a pause; that must
 * not become a loop without end. */
#define RESUMPTIONS_MAX	100000

/* On the stack of its job, from the call of start() to the answer. */
struct wait {
	struct tls_sign		 sign;		/* first: others have its address */
	RB_ENTRY(wait)		 link;
};

static int
wait_cmp(const struct wait *a, const struct wait *b)
{
	uintptr_t x = (uintptr_t)a->sign.session;
	uintptr_t y = (uintptr_t)b->sign.session;

	return x < y ? -1 : x > y;
}

RB_HEAD(remote_waits, wait);
RB_PROTOTYPE(remote_waits, wait, link, wait_cmp)
RB_GENERATE(remote_waits, wait, link, wait_cmp)

static struct {
	const struct tls_remote_ops	*ops;
	void				*closure;
	int				 error_lib;
	OSSL_PROVIDER			*default_provider, *provider;
} remote;

/* of this thread */
static __thread void *session_now;
static __thread struct remote_waits pending = RB_INITIALIZER(&pending);

/* --- signatures ----------------------------------------------------------- */

void
tls_remote_session(void *session)
{
	session_now = session;
}

void
tls_sign_done(struct tls_sign *s, const uint8_t *sig, size_t len)
{
	if (s->status != TLS_SIGN_PENDING)
		return;
	if (sig == NULL || len == 0 || len > sizeof(s->sig)) {
		s->status = TLS_SIGN_FAILED;
		return;
	}
	memcpy(s->sig, sig, len);
	s->sig_len = len;
	s->status = TLS_SIGN_DONE;
}

static void
give_up(struct tls_sign *s)
{
	if (s->status != TLS_SIGN_PENDING)
		return;
	remote.ops->cancel(s, remote.closure);
	s->status = TLS_SIGN_FAILED;
}

bool
tls_remote_cancel(void *session)
{
	struct wait key = { .sign.session = session };
	struct wait *w = RB_FIND(remote_waits, &pending, &key);

	if (w == NULL || w->sign.status != TLS_SIGN_PENDING)
		return false;
	give_up(&w->sign);
	return true;
}

/* Leave the job again and again until there is an answer: it may be resumed
 * for other reasons. */
static void
pause_job(struct wait *w)
{
	bool has_session = w->sign.session != NULL;
	unsigned int n;

	if (has_session && RB_INSERT(remote_waits, &pending, w) != NULL) {
		/* a session makes one signature at a time */
		give_up(&w->sign);
		return;
	}
	for (n = 0; w->sign.status == TLS_SIGN_PENDING; n++)
		if (n == RESUMPTIONS_MAX || ASYNC_pause_job() == 0)
			give_up(&w->sign);
	if (has_session)
		RB_REMOVE(remote_waits, &pending, w);
}

int
remote_sign(struct tls_sign *s)
{
	struct wait w = { .sign = *s };
	enum remote_reason reason = REMOTE_NOT_SIGNED;

	w.sign.session = session_now;
	w.sign.status = TLS_SIGN_PENDING;
	if (remote.ops->start(&w.sign, remote.closure) == -1)
		w.sign.status = TLS_SIGN_FAILED;
	else if (w.sign.status == TLS_SIGN_PENDING &&
	    ASYNC_get_current_job() == NULL) {
		give_up(&w.sign);
		reason = REMOTE_NO_JOB;
	} else if (w.sign.status == TLS_SIGN_PENDING)
		pause_job(&w);
	*s = w.sign;
	if (s->status == TLS_SIGN_DONE)
		return 0;
	remote_error(reason);
	return -1;
}

/* --- errors --------------------------------------------------------------- */

static ERR_STRING_DATA error_strings[] = {
	{ ERR_PACK(0, 0, REMOTE_NOT_SIGNED), "no signature was made" },
	{ ERR_PACK(0, 0, REMOTE_NO_JOB), "no job to pause" },
	{ ERR_PACK(0, 0, REMOTE_UNSUITED), "not a signature of TLS" },
	{ 0, NULL }
};

void
remote_error(enum remote_reason reason)
{
	ERR_raise(remote.error_lib, (int)reason);
}

bool
tls_remote_is_error(unsigned long error)
{
	return error != 0 && remote.error_lib != 0 &&
	    ERR_GET_LIB(error) == remote.error_lib;
}

/* --- the provider --------------------------------------------------------- */

static const OSSL_ALGORITHM *
query_operation(void *, int operation, int *no_cache)
{
	static OSSL_ALGORITHM keymgmts[REMOTE_NKINDS + 1];
	static OSSL_ALGORITHM signatures[REMOTE_NKINDS + 1];
	size_t i;

	*no_cache = 0;
	for (i = 0; i < REMOTE_NKINDS; i++) {
		keymgmts[i].algorithm_names = remote_kinds[i].name;
		keymgmts[i].implementation = remote_kinds[i].keymgmt;
		signatures[i].algorithm_names = remote_kinds[i].signature;
		signatures[i].implementation = remote_signature;
		keymgmts[i].property_definition =
		    signatures[i].property_definition = REMOTE_PROPERTY;
	}
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return keymgmts;
	case OSSL_OP_SIGNATURE:
		return signatures;
	default:
		return NULL;
	}
}

static const OSSL_DISPATCH provider[] = {
	{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query_operation },
	{ 0, NULL }
};

static int
provider_init(const OSSL_CORE_HANDLE *, const OSSL_DISPATCH *,
    const OSSL_DISPATCH **out, void **provctx)
{
	*out = provider;
	*provctx = &remote;
	return 1;
}

/* Does a fetch without properties find OpenSSL's keys, and not ours? */
static bool
is_ours_hidden(const char *name)
{
	EVP_KEYMGMT *k = EVP_KEYMGMT_fetch(NULL, name, NULL);
	bool is_hidden;

	is_hidden = k != NULL &&
	    strcmp(OSSL_PROVIDER_get0_name(EVP_KEYMGMT_get0_provider(k)),
	    REMOTE_NAME) != 0;
	EVP_KEYMGMT_free(k);
	return is_hidden;
}

/* At its end OpenSSL frees only providers that are no longer loaded. */
static void
unload(void)
{
	OSSL_PROVIDER_unload(remote.provider);
	OSSL_PROVIDER_unload(remote.default_provider);
}

int
tls_remote_open(const struct tls_remote_ops *ops, void *closure)
{
	size_t i;

	if (remote.ops != NULL) {
		errno = EALREADY;
		return -1;
	}
	remote.ops = ops;
	remote.closure = closure;
	/* Of several that suit, OpenSSL takes the first that it knew; and it
	 * loads the default provider unasked only if no other was loaded. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1 ||
	    OPENSSL_atexit(unload) != 1 ||
	    (remote.error_lib = ERR_get_next_error_library()) == 0 ||
	    ERR_load_strings(remote.error_lib, error_strings) != 1 ||
	    (remote.default_provider = OSSL_PROVIDER_load(NULL, "default")) ==
	    NULL)
		goto err1;
	for (i = 0; i < REMOTE_NKINDS; i++)
		if (!is_ours_hidden(remote_kinds[i].name))
			goto err1;
	if (OSSL_PROVIDER_add_builtin(NULL, REMOTE_NAME, provider_init) != 1 ||
	    (remote.provider = OSSL_PROVIDER_load(NULL, REMOTE_NAME)) == NULL)
		goto err1;
	for (i = 0; i < REMOTE_NKINDS; i++)
		if (!is_ours_hidden(remote_kinds[i].name))
			goto err1;
	return 0;
err1:
	remote.ops = NULL;
	errno = EIO;
	return -1;
}

/* --- keys ----------------------------------------------------------------- */

static const struct remote_kind *
kind_of(const EVP_PKEY *key)
{
	size_t i;

	for (i = 0; i < REMOTE_NKINDS; i++)
		if (EVP_PKEY_is_a(key, remote_kinds[i].name))
			return &remote_kinds[i];
	return NULL;
}

static EVP_PKEY *
key_fromdata(const char *name, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key = NULL;

	ctx = EVP_PKEY_CTX_new_from_name(NULL, name, REMOTE_PROPERTY);
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *
tls_remote_key(EVP_PKEY *public, uint32_t version, uint32_t pair)
{
	const struct remote_kind *kind = kind_of(public);
	OSSL_PARAM name[] = {
		OSSL_PARAM_uint32(REMOTE_PARAM_VERSION, &version),
		OSSL_PARAM_uint32(REMOTE_PARAM_PAIR, &pair),
		OSSL_PARAM_END
	};
	OSSL_PARAM *half, *all;
	EVP_PKEY *key = NULL;
	char err[TLSKEY_ERROR_MAX];

	if (kind == NULL || tlskey_kind(public, err, sizeof(err)) == 0) {
		errno = EINVAL;
		return NULL;
	}
	if (EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &half) != 1)
		goto err1;
	if ((all = OSSL_PARAM_merge(half, name)) != NULL)
		key = key_fromdata(kind->name, all);
	OSSL_PARAM_free(all);
	OSSL_PARAM_free(half);
	if (key != NULL)
		return key;
err1:
	errno = ENOMEM;
	return NULL;
}
