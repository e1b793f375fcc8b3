/* A TLS client on memory BIOs, and everybody's certificates: see simtls.h. */

#include "test/lib/simtls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <string.h>

#include "test/lib/simclock.h"
#include "test/lib/simtls_int.h"
#include "tls/tls_client.h"

struct simtls_client {
	SSL	*ssl;
	BIO	*from_server, *to_server;	/* the SSL object's */
};

struct simtls_pair simtls_authority, simtls_server, simtls_member,
    simtls_foreign;

static SSL_CTX *client_ctx;
static SSL_SESSION *kept;		/* the last one that a server gave */

/* --- certificates --------------------------------------------------------- */

static int
add_extension(X509 *c, const char *name, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_nconf(NULL, NULL, name, value);
	int r = e != NULL && X509_add_ext(c, e, -1) == 1 ? 0 : -1;

	X509_EXTENSION_free(e);
	return r;
}

static int
write_pem(struct simtls_pair *p)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *v;
	long len;

	p->text = b;
	if (b == NULL || PEM_write_bio_X509(b, p->cert) != 1)
		return -1;
	len = BIO_get_mem_data(b, &v);
	p->pem = (struct tlsctx_octets) { v, (size_t)len };
	return 0;
}

static int
make_pair(struct simtls_pair *p, const struct simtls_pair *issuer,
    const char *name)
{
	X509_NAME *n;
	X509 *c;

	p->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	p->cert = c = X509_new();
	if (p->key == NULL || c == NULL)
		return -1;
	n = X509_get_subject_name(c);
	X509_set_version(c, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
	/* OpenSSL looks at the real clock: valid around it, whatever the
	 * simulated one says */
	X509_gmtime_adj(X509_getm_notBefore(c), -86400);
	X509_gmtime_adj(X509_getm_notAfter(c), 86400);
	X509_set_pubkey(c, p->key);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(c, X509_get_subject_name(issuer->cert));
	if ((p == issuer && add_extension(c, "basicConstraints",
	    "critical,CA:TRUE") == -1)
	    || X509_sign(c, issuer->key, NULL) == 0)
		return -1;
	return write_pem(p);
}

void
simtls_server_pem(const char **cert_r, const char **key_r)
{
	static char cert[4096], key[4096];
	BIO *b;

	if (cert[0] == '\0') {
		memcpy(cert, simtls_server.pem.v, simtls_server.pem.len);
		b = BIO_new(BIO_s_mem());
		if (b == NULL || PEM_write_bio_PrivateKey(b, simtls_server.key,
		    NULL, NULL, 0, NULL, NULL) != 1 ||
		    BIO_read(b, key, sizeof(key) - 1) <= 0)
			abort();
		BIO_free(b);
	}
	*cert_r = cert;
	*key_r = key;
}

static int
keep_session(SSL *, SSL_SESSION *session)
{
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

int
simtls_make_certificates(void)
{
	if (make_pair(&simtls_authority, &simtls_authority, "authority") == -1
	    || make_pair(&simtls_server, &simtls_authority,
	    "mx.example.test") == -1
	    || make_pair(&simtls_member, &simtls_authority,
	    "client@client.example") == -1
	    || make_pair(&simtls_foreign, &simtls_foreign,
	    "client@client.example") == -1)
		return -1;
	client_ctx = SSL_CTX_new(TLS_client_method());
	if (client_ctx == NULL
	    || SSL_CTX_set1_groups_list(client_ctx, "X25519") != 1
	    || SSL_CTX_set_ciphersuites(client_ctx,
	    "TLS_AES_128_GCM_SHA256") != 1
	    || SSL_CTX_set_cipher_list(client_ctx,
	    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
	    != 1)
		return -1;
	SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT
	    | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(client_ctx, keep_session);
	return 0;
}

/* --- the client ----------------------------------------------------------- */

static int
dress(SSL *ssl, unsigned int flags)
{
	const struct simtls_pair *p = (flags & SIMTLS_FOREIGN) != 0
	    ? &simtls_foreign : &simtls_member;

	if ((flags & (SIMTLS_V11 | SIMTLS_V12)) != 0
	    && (SSL_set_min_proto_version(ssl, 0) != 1
	    || SSL_set_max_proto_version(ssl, (flags & SIMTLS_V11) != 0
	    ? TLS1_1_VERSION : TLS1_2_VERSION) != 1))
		return -1;
	if ((flags & SIMTLS_CERT) != 0
	    && (SSL_use_certificate(ssl, p->cert) != 1
	    || SSL_use_PrivateKey(ssl, p->key) != 1))
		return -1;
	if ((flags & SIMTLS_NAMES) != 0
	    && SSL_set_tlsext_host_name(ssl, "mx.example.test") != 1)
		return -1;
	if ((flags & SIMTLS_RESUME) != 0
	    && (kept == NULL || SSL_set_session(ssl, kept) != 1))
		return -1;
	return 0;
}

struct tls_client_ctx *
simtls_client_context(void)
{
	static struct tls_client_ctx *ctx;
	struct tls_client_config config = {
		.authorities = simtls_authority.pem,
		.protocols = "TLSv1.2 TLSv1.3" };
	char err[TLSCTX_ERROR_MAX];

	simalloc_quiet++;
	if (ctx == NULL &&
	    (ctx = tls_client_ctx_new(&config, err, sizeof(err))) == NULL)
		abort();
	simalloc_quiet--;
	return ctx;
}

struct simtls_client *
simtls_client_new(unsigned int flags)
{
	struct simtls_client *c;

	simalloc_quiet++;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		abort();
	c->ssl = SSL_new(client_ctx);
	c->from_server = BIO_new(BIO_s_mem());
	c->to_server = BIO_new(BIO_s_mem());
	if (c->ssl == NULL || c->from_server == NULL || c->to_server == NULL)
		abort();
	BIO_set_mem_eof_return(c->from_server, -1);
	SSL_set_bio(c->ssl, c->from_server, c->to_server);
	SSL_set_connect_state(c->ssl);
	if (dress(c->ssl, flags) == -1) {
		simtls_client_free(c);
		c = NULL;
	}
	ERR_clear_error();
	simalloc_quiet--;
	return c;
}

void
simtls_client_free(struct simtls_client *c)
{
	if (c == NULL)
		return;
	simalloc_quiet++;
	/* else the session could not be resumed */
	SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->ssl);
	free(c);
	simalloc_quiet--;
}

void
simtls_client_forget(void)
{
	SSL_SESSION_free(kept);
	kept = NULL;
}

/* What a call has come to: ${n}, 0 for later, -1 for never. */
static int
result(struct simtls_client *c, int n)
{
	int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, n);

	ERR_clear_error();
	if (n > 0)
		return n;
	return error == SSL_ERROR_WANT_READ ? 0 : -1;
}

int
simtls_client_handshake(struct simtls_client *c)
{
	ERR_clear_error();
	return result(c, SSL_do_handshake(c->ssl));
}

void
simtls_client_feed(struct simtls_client *c, const char *buf, size_t len)
{
	if (BIO_write(c->from_server, buf, (int)len) != (int)len)
		abort();
}

size_t
simtls_client_take(struct simtls_client *c, const char **buf_r)
{
	static char *taken;
	char *p;
	long len = BIO_get_mem_data(c->to_server, &p);

	/* the BIO goes on to be used while these are sent */
	simalloc_quiet++;
	free(taken);
	taken = len > 0 ? malloc((size_t)len) : NULL;
	simalloc_quiet--;
	if (len > 0) {
		if (taken == NULL)
			abort();
		memcpy(taken, p, (size_t)len);
	}
	(void)BIO_reset(c->to_server);
	*buf_r = taken;
	return len > 0 ? (size_t)len : 0;
}

int
simtls_client_write(struct simtls_client *c, const char *buf, size_t len)
{
	size_t n;

	while (len > 0) {
		n = len > 16384 ? 16384 : len;
		ERR_clear_error();
		if (result(c, SSL_write(c->ssl, buf, (int)n)) != (int)n)
			return -1;
		buf += n;
		len -= n;
	}
	return 0;
}

int
simtls_client_read(struct simtls_client *c, char *buf, size_t len)
{
	ERR_clear_error();
	return result(c, SSL_read(c->ssl, buf, (int)len));
}

void
simtls_client_rekey(struct simtls_client *c)
{
	if (SSL_version(c->ssl) == TLS1_3_VERSION)
		(void)SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED);
	else
		(void)SSL_renegotiate(c->ssl);
	(void)simtls_client_handshake(c);
}

void
simtls_client_finish(struct simtls_client *c)
{
	(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
}
