/* TLS in the simulated process, the server's side: see simtls.h. */

#include "test/lib/simtls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/simhost.h"
#include "test/lib/simtls_int.h"
#include "tls/remote.h"
#include "tls/tlsio.h"

/* A signature that the server waits for. */
struct signing {
	struct tls_sign		*sign;		/* NULL: free */
	uint64_t		 id;
};

static struct {
	struct simhost		*host;
	SSL_CTX			*ctx;
	enum simtls_signing	 how;
	uint64_t		 delay_us;
	int			 start_error;
	uint64_t		 last_id;
	struct signing		 signing[SIMWIRE_MAX];
} tls;

/* --- signatures ----------------------------------------------------------- */

static struct signing *
find(uint64_t id)
{
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++)
		if (tls.signing[i].sign != NULL && tls.signing[i].id == id)
			return &tls.signing[i];
	return NULL;
}

/* ${is_good}: else it is told that there will be none. */
static void
answer(struct signing *p, bool is_good)
{
	struct tls_sign *s = p->sign;
	accept_construct *ac = s->session;
	uint8_t sig[TLS_SIG_MAX];
	size_t len = sizeof(sig);
	EVP_MD_CTX *md;

	p->sign = NULL;
	md = EVP_MD_CTX_new();
	if (is_good && EVP_DigestSignInit(md, NULL, NULL, NULL,
	    simtls_server.key) == 1
	    && EVP_DigestSign(md, sig, &len, s->tbs, s->tbs_len) == 1)
		tls_sign_done(s, sig, len);
	else
		tls_sign_done(s, NULL, 0);
	EVP_MD_CTX_free(md);
	schedule_event_and_dispatch(ac->event, E_ASYNC);
}

static void
sign_happens(void *arg, uint64_t id)
{
	struct signing *p = find(id);

	(void)arg;
	if (p != NULL)
		answer(p, true);
}

static int
sign_start(struct tls_sign *s, void *closure)
{
	size_t i;

	(void)closure;
	for (i = 0; i < SIMWIRE_MAX && tls.signing[i].sign != NULL; i++)
		continue;
	if (tls.how == SIMTLS_REFUSES || i == SIMWIRE_MAX)
		return -1;
	s->id = ++tls.last_id;
	tls.signing[i] = (struct signing) { s, s->id };
	if (tls.how == SIMTLS_SIGNS)
		simclock_at(&tls.host->clock, tls.delay_us, sign_happens,
		    NULL, s->id);
	return 0;
}

static void
sign_cancel(struct tls_sign *s, void *closure)
{
	struct signing *p = find(s->id);

	(void)closure;
	if (p != NULL)
		p->sign = NULL;
}

static const struct tls_remote_ops remote_ops = {
	.start = sign_start,
	.cancel = sign_cancel
};

void
simtls_sign(enum simtls_signing how, uint64_t delay_us)
{
	tls.how = how;
	tls.delay_us = delay_us;
}

void
simtls_start_error(int errnum)
{
	tls.start_error = errnum;
}

static void
answer_all(bool is_good)
{
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++)
		if (tls.signing[i].sign != NULL)
			answer(&tls.signing[i], is_good);
}

void
simtls_release(void)
{
	answer_all(true);
}

void
simtls_break(void)
{
	answer_all(false);
}

unsigned int
simtls_nsigning(void)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++)
		n += tls.signing[i].sign != NULL;
	return n;
}

/* --- what the host does --------------------------------------------------- */

static int
verify_mode(const struct esmtp_options *o)
{
	if (o->tls_client_ca[0] == '\0'
	    || o->tls_verify_mode == ESMTP_VERIFY_NONE)
		return SSL_VERIFY_NONE;
	return o->tls_verify_mode == ESMTP_VERIFY_REQUIRE ? SSL_VERIFY_PEER
	    | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER;
}

static int
host_tls_start(void *host, accept_construct *ac)
{
	SSL *ssl;

	(void)host;
	if (tls.start_error != 0) {
		errno = tls.start_error;
		return -1;
	}
	ssl = SSL_new(tls.ctx);
	if (ssl == NULL) {
		errno = ENOMEM;
		return -1;
	}
	SSL_set_accept_state(ssl);
	SSL_set_verify(ssl, verify_mode(ac->options), NULL);
	if (tlsio_attach(ac->event, ssl) == -1) {
		SSL_free(ssl);
		return -1;
	}
	tlsio_session(ac->event, ac);
	return 0;
}

static char *
common_name(const X509 *cert)
{
	char name[256];

	if (X509_NAME_get_text_by_NID(X509_get_subject_name(cert),
	    NID_commonName, name, sizeof(name)) < 0)
		return NULL;
	return strdup(name);
}

static void
describe(accept_construct *ac, SSL *ssl)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	struct esmtp_tls *t;

	simalloc_quiet++;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		abort();
	strlcpy(t->protocol, SSL_get_version(ssl), sizeof(t->protocol));
	strlcpy(t->cipher, SSL_get_cipher_name(ssl), sizeof(t->cipher));
	t->bits = SSL_get_cipher_bits(ssl, NULL);
	t->is_resumed = SSL_session_reused(ssl) != 0;
	t->is_verified = cert != NULL
	    && SSL_get_verify_result(ssl) == X509_V_OK;
	if (t->is_verified)
		t->peer_name = common_name(cert);
	simalloc_quiet--;
	ac->tls = t;
}

static int
host_tls_handshake(void *host, accept_construct *ac, int *needmask)
{
	int n = tlsio_handshake(ac->event, needmask), errnum = errno;

	(void)host;
	if (n == 1)
		describe(ac, tlsio_ssl(ac->event));
	else if (n == -1)
		ac->tls_failure = errnum == 0 ? "the client has closed"
		    : "not a handshake that can be finished";
	ERR_clear_error();
	errno = errnum;
	return n;
}

static void
session_ended(accept_construct *ac)
{
	if (ac->tls == NULL)
		return;
	simalloc_quiet++;
	free(ac->tls->peer_name);
	free(ac->tls);
	simalloc_quiet--;
	ac->tls = NULL;
}

void
simtls_use(struct simhost *h)
{
	tls.host = h;
	tls.how = SIMTLS_SIGNS;
	tls.delay_us = 0;
	tls.start_error = 0;
	h->ops.tls_start = host_tls_start;
	h->ops.tls_handshake = host_tls_handshake;
	h->ended = session_ended;
}

/* --- once ----------------------------------------------------------------- */

static int
make_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = tls_remote_key(X509_get0_pubkey(simtls_server.cert),
	    1, 0);

	if (ctx == NULL || key == NULL
	    || SSL_CTX_use_certificate(ctx, simtls_server.cert) != 1
	    || SSL_CTX_use_PrivateKey(ctx, key) != 1
	    || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1
	    || SSL_CTX_set_num_tickets(ctx, 1) != 1
	    || X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx),
	    simtls_authority.cert) != 1) {
		SSL_CTX_free(ctx);
		EVP_PKEY_free(key);
		return -1;
	}
	EVP_PKEY_free(key);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"sim", 3);
	tls.ctx = ctx;
	return 0;
}

int
simtls_setup(void)
{
	int r;

	if (tls.ctx != NULL)
		return 0;
	simalloc_quiet++;
	r = simtls_make_certificates() == -1
	    || tls_remote_open(&remote_ops, NULL) == -1
	    || make_context() == -1 ? -1 : 0;
	ERR_clear_error();
	simalloc_quiet--;
	return r;
}
