/* Contexts: one configuration made into OpenSSL's objects; see tlsctx.h.
 * Owns: options, the verification of clients, sessions of a context. */

#include "tls/tlsctx.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tlsctx_int.h"
#include "tls/tlsmem.h"

#define CLIENT_CHAIN_OCTETS	32768	/* of certificates that a client sends */
#define CLIENT_CHAIN_DEPTH	10

struct tlsctx {
	SSL_CTX	*first;		/* owns the others: tlsctx_host.c */
};

/* What the making of each context needs. */
struct recipe {
	const struct tlsctx_config *config;
	X509_STORE	*store;			/* NULL: clients are not asked */
	STACK_OF(X509)	*client_ca;
	unsigned char	 id[EVP_MAX_MD_SIZE];	/* session id context */
	unsigned int	 id_len;
	char		*err_r;
	size_t		 errlen;
};

/* --- clients -------------------------------------------------------------- */

/* TLSCTX_VERIFY_OPTIONAL: many clients send any certificate that they have, so
 * one that does not verify is no reason to refuse mail.  OpenSSL keeps the
 * result, which tls_describe() reads. */
static int
accept_any(int, X509_STORE_CTX *)
{
	return 1;
}

static int
read_client_ca(struct recipe *r)
{
	const struct tlsctx_config *c = r->config;
	int i;

	if (c->verify == TLSCTX_VERIFY_NONE || c->client_ca.len == 0) {
		if (c->verify != TLSCTX_VERIFY_REQUIRE)
			return 0;
		snprintf(r->err_r, r->errlen, "client certificates cannot be "
		    "required without TLS_Client_CA");
		return -1;
	}
	if (tlsctx_pem_read(c->client_ca, &r->client_ca, r->err_r, r->errlen)
	    == -1)
		return -1;
	if ((r->store = X509_STORE_new()) == NULL)
		goto err0;
	for (i = 0; i < sk_X509_num(r->client_ca); i++)
		if (X509_STORE_add_cert(r->store,
		    sk_X509_value(r->client_ca, i)) != 1)
			goto err0;
	/* each certificate of the file is trusted, not only self-signed ones */
	if (X509_STORE_set_flags(r->store, X509_V_FLAG_PARTIAL_CHAIN) == 1)
		return 0;
err0:
	tlsctx_error(r->err_r, r->errlen, "client certificates");
	return -1;
}

/* The session id context, which a ticket must match.  A resumed session has the
 * cipher from its ticket in TLS 1.2, and OpenSSL does not check it again; nor does
 * the client see another certificate.  So a ticket is accepted only where the
 * ciphers, the client authorities, the mode of verification and the server's
 * certificates are the same. */
static int
make_id(struct recipe *r)
{
	const struct tlsctx_config *c = r->config;
	unsigned char mode = (unsigned char)c->verify;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t i;
	int rc;

	rc = md != NULL &&
	    EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(md, &mode, 1) == 1 &&
	    EVP_DigestUpdate(md, c->ciphers, strlen(c->ciphers) + 1) == 1 &&
	    EVP_DigestUpdate(md, c->client_ca.v, c->client_ca.len) == 1;
	for (i = 0; rc && i < c->npairs; i++)
		rc = EVP_DigestUpdate(md, c->pairs[i].cert.v,
		    c->pairs[i].cert.len) == 1;
	rc = rc && EVP_DigestFinal_ex(md, r->id, &r->id_len) == 1;
	EVP_MD_CTX_free(md);
	if (rc)
		return 0;
	tlsctx_error(r->err_r, r->errlen, "OpenSSL");
	return -1;
}

static int
set_client_ca(SSL_CTX *ctx, const struct recipe *r)
{
	bool is_required = r->config->verify == TLSCTX_VERIFY_REQUIRE;
	int i;

	if (r->store == NULL)
		return 0;
	for (i = 0; i < sk_X509_num(r->client_ca); i++)
		if (SSL_CTX_add_client_CA(ctx, sk_X509_value(r->client_ca, i))
		    != 1)
			return -1;
	SSL_CTX_set1_cert_store(ctx, r->store);
	SSL_CTX_set_verify_depth(ctx, CLIENT_CHAIN_DEPTH);
	SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_OCTETS);
	if (is_required)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER |
		    SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	else
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
	return 0;
}

/* --- contexts ------------------------------------------------------------- */

static SSL_CTX *
make_ctx(void *closure)
{
	struct recipe *r = closure;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char which;

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
	/* else OpenSSL would add certificates of TLS_Client_CA to the chain
	 * of the server's */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	tlsctx_ticket_attach(ctx);
	tlsctx_staple_attach(ctx);
	if (tlsctx_suite_set(ctx, r->config, &which, r->err_r, r->errlen)
	    == 0 && SSL_CTX_set_session_id_context(ctx, r->id, r->id_len) == 1
	    && set_client_ca(ctx, r) == 0)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

struct tlsctx *
tlsctx_new(const struct tlsctx_config *c, int *pair_r, char *err_r,
    size_t errlen)
{
	struct recipe r = { .config = c, .err_r = err_r, .errlen = errlen };
	struct tlsctx_certs *certs = NULL;
	struct tlsctx *t;

	*pair_r = -1;
	*err_r = '\0';
	ERR_clear_error();
	if ((t = calloc(1, sizeof(*t))) == NULL) {
		snprintf(err_r, errlen, "out of memory");
		return NULL;
	}
	if (read_client_ca(&r) == 0 && make_id(&r) == 0 &&
	    (certs = tlsctx_certs_new(c, pair_r, err_r, errlen)) != NULL &&
	    (t->first = tlsctx_hosts_new(certs, make_ctx, &r)) == NULL &&
	    *err_r == '\0')
		tlsctx_error(err_r, errlen, "certificate and key");
	X509_STORE_free(r.store);
	sk_X509_pop_free(r.client_ca, X509_free);
	ERR_clear_error();
	if (t->first != NULL)
		return t;
	free(t);
	return NULL;
}

void
tlsctx_free(struct tlsctx *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->first);
	free(t);
}

SSL *
tlsctx_session(struct tlsctx *t)
{
	SSL *ssl = tlsmem_ssl(t->first);

	if (ssl == NULL) {
		ERR_clear_error();
		return NULL;
	}
	SSL_set_accept_state(ssl);
	tlsctx_ticket_session(ssl);
	return ssl;
}
