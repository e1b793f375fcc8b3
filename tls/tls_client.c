/* TLS as a client: contexts and connections; see tls_client.h. */

#include "tls/tls_client_int.h"

#include <openssl/err.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lim.h"
#include "tls/tlsctx_int.h"
#include "tls/tlsio.h"
#include "tls/tlsmem.h"

/* Of TLS 1.2.  A server without any of these would get the mail without TLS,
 * or not at all; so what is not broken is there, what is best comes first. */
#define CIPHERS	"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:HIGH:!aNULL:!eNULL:" \
    "!PSK:!SRP:!DSS:!3DES"

struct tls_client_ctx {
	SSL_CTX	*ssl_ctx;
};

/* --- contexts ------------------------------------------------------------- */

static int
set_authorities(SSL_CTX *ctx, struct tlsctx_octets pem, char *err_r,
    size_t errlen)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	STACK_OF(X509) *certs;
	int i, rc = 1;

	if (pem.len == 0)
		return 0;
	if (tlsctx_pem_read(pem, &certs, err_r, errlen) == -1)
		return -1;
	for (i = 0; rc == 1 && i < sk_X509_num(certs); i++)
		rc = X509_STORE_add_cert(store, sk_X509_value(certs, i));
	sk_X509_pop_free(certs, X509_free);
	/* each of them is trusted, not only those that sign themselves */
	if (rc == 1 && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN)
	    == 1)
		return 0;
	tlsctx_error(err_r, errlen, "authorities");
	return -1;
}

/* A session that the server has given: TLS 1.2 in the handshake, TLS 1.3 behind
 * it, as often as it likes.  Return 0: the caller's is not kept. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_client *t = tls_client_of(ssl);
	struct tls_client_shown shown;

	if (t == NULL || !t->has_key || SSL_SESSION_is_resumable(session) != 1)
		return 0;
	tls_client_shown(t, ssl, &shown);
	tls_client_cache_put(t->cache, t->key, session, &shown,
	    tls_client_now());
	return 0;
}

/* The octets that a server can make us keep: its certificates, and no
 * renegotiation, in which it could send others. */
static void
set_bounds(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION);
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
	SSL_CTX_set_options(ctx, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
	SSL_CTX_set_verify_depth(ctx, LIM_TLS_CHAIN);
	SSL_CTX_set_max_cert_list(ctx, LIM_TLS_CHAIN_OCTETS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
}

static SSL_CTX *
make_ctx(const struct tls_client_config *config, char *err_r, size_t errlen)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL || SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1 ||
	    SSL_CTX_dane_enable(ctx) != 1 || tls_client_cache_new(ctx) == NULL)
		tlsctx_error(err_r, errlen, "OpenSSL");
	else if (tlsctx_protocols_set(ctx, config->protocols, err_r, errlen)
	    == 0 && set_authorities(ctx, config->authorities, err_r, errlen)
	    == 0) {
		set_bounds(ctx);
		return ctx;
	}
	SSL_CTX_free(ctx);
	return NULL;
}

struct tls_client_ctx *
tls_client_ctx_new(const struct tls_client_config *config, char *err_r,
    size_t errlen)
{
	struct tls_client_ctx *c;

	ERR_clear_error();
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		snprintf(err_r, errlen, "out of memory");
		return NULL;
	}
	c->ssl_ctx = make_ctx(config, err_r, errlen);
	ERR_clear_error();
	if (c->ssl_ctx != NULL)
		return c;
	free(c);
	return NULL;
}

void
tls_client_ctx_free(struct tls_client_ctx *c)
{
	if (c == NULL)
		return;
	SSL_CTX_free(c->ssl_ctx);
	free(c);
}

/* --- connections ---------------------------------------------------------- */

/* Offer the session that is kept, if there is one. */
static void
offer(struct tls_client *t)
{
	SSL_SESSION *session;

	session = tls_client_cache_get(t->cache, t->key, tls_client_now(),
	    &t->offered);
	if (session == NULL)
		return;
	t->has_offered = SSL_set_session(t->ssl, session) == 1;
	SSL_SESSION_free(session);
}

struct tls_client *
tls_client_new(struct tls_client_ctx *c, const struct tls_client_server *server)
{
	struct tls_client *t = calloc(1, sizeof(*t));
	int error = ENOMEM;

	if (t == NULL)
		return NULL;
	t->must_verify = server->must_verify;
	t->cache = tls_client_cache_of(c->ssl_ctx);
	if ((t->ssl = tlsmem_ssl(c->ssl_ctx)) == NULL ||
	    tls_client_own(t->ssl, t) == -1)
		goto err0;
	SSL_set_connect_state(t->ssl);
	if (tls_client_require(t, server) == -1 || (server->hop != NULL &&
	    tls_client_key(t, server) == -1)) {
		error = errno;
		goto err0;
	}
	if (t->has_key)
		offer(t);
	ERR_clear_error();
	return t;

err0:
	tls_client_free(t);
	ERR_clear_error();
	errno = error;
	return NULL;
}

void
tls_client_free(struct tls_client *t)
{
	if (t == NULL)
		return;
	if (t->event != NULL)
		(void)tls_client_own(tlsio_ssl(t->event), NULL);
	SSL_free(t->ssl);
	free(t);
}

int
tls_client_start(struct tls_client *t, Event *e)
{
	if (tlsio_attach(e, t->ssl) == -1)
		return -1;
	/* the end of the handshake and EHLO are two writes with nothing from
	 * the server between them */
	tlsio_send_at_once(e);
	t->ssl = NULL;
	t->event = e;
	return 0;
}

/* What has come of a handshake that OpenSSL has finished.  It has asked
 * on_verify() about each certificate; but whether the server is verified is our
 * own judgement, of a session that is resumed, too. */
static int
done(struct tls_client *t, int *error_r)
{
	tls_client_learn(t, tlsio_ssl(t->event));
	if (t->facts.is_verified || !t->must_verify)
		return 1;
	t->facts.is_done = false;
	t->facts.protocol = t->facts.cipher = NULL;
	t->facts.bits = 0;
	*error_r = EPROTO;
	return -1;
}

int
tls_client_handshake(struct tls_client *t, int *needmask)
{
	int rc = tlsio_handshake(t->event, needmask), error = errno;

	if (rc == 1)
		rc = done(t, &error);
	else if (rc == -1)
		tls_client_failed(t, error);
	/* a server may fail because of it: the next one goes without */
	if (rc == -1 && t->has_offered)
		tls_client_cache_drop(t->cache, t->key);
	if (rc != 0)
		ERR_clear_error();
	errno = error;
	return rc;
}

const struct tls_client_facts *
tls_client_facts(const struct tls_client *t)
{
	return &t->facts;
}
