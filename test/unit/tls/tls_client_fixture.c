#include "tls_client_fixture.h"

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test/lib/eventpair.h"
#include "tls_fixture.h"

#define STEPS		200
#define PAIRS_MAX	16

struct shop_pair shop_ca, shop_good;
struct tls_client_ctx *shop_ctx;
SSL_CTX *shop_server;

static struct shop_pair made[PAIRS_MAX];
static size_t nmade;

/* --- certificates --------------------------------------------------------- */

/* A name of its own: two issuers with one name are one to a verifier. */
static void
name_it(struct shop_pair *p)
{
	X509_NAME *name = X509_NAME_dup(X509_get_subject_name(p->cert));
	char number[24];

	snprintf(number, sizeof(number), "%zu", nmade);
	X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_ASC,
	    (const unsigned char *)number, -1, -1, 0);
	X509_set_subject_name(p->cert, name);
	X509_set_issuer_name(p->cert, name);
	cr_assert_neq(X509_sign(p->cert, p->key, EVP_sha256()), 0);
	X509_NAME_free(name);
}

struct shop_pair
shop_make(const char *names, const struct shop_pair *issuer)
{
	struct shop_pair *p = &made[nmade++];

	cr_assert_leq(nmade, PAIRS_MAX);
	p->cert = tls_make(KEYS_P256, names, issuer != NULL ? issuer->cert :
	    NULL, issuer != NULL ? issuer->key : NULL, &p->key);
	if (issuer == NULL)
		name_it(p);
	return *p;
}

void
shop_times(struct shop_pair *p, const struct shop_pair *issuer, long from,
    long to)
{
	X509_gmtime_adj(X509_getm_notBefore(p->cert), from);
	X509_gmtime_adj(X509_getm_notAfter(p->cert), to);
	cr_assert_neq(X509_sign(p->cert, issuer->key, EVP_sha256()), 0);
}

void
shop_use(const struct shop_pair *p, const struct shop_pair *issuer)
{
	cr_assert_eq(SSL_CTX_use_cert_and_key(shop_server, p->cert, p->key,
	    NULL, 1), 1);
	SSL_CTX_clear_chain_certs(shop_server);
	if (issuer != NULL)
		cr_assert_eq(SSL_CTX_add1_chain_cert(shop_server,
		    issuer->cert), 1);
}

void
shop_version(int version)
{
	SSL_CTX_set_min_proto_version(shop_server, version);
	SSL_CTX_set_max_proto_version(shop_server, version);
}

struct tls_client_ctx *
shop_context(const char *protocols)
{
	char err[TLSCTX_ERROR_MAX] = "", *pem = keys_cert_pem(shop_ca.cert);
	struct tls_client_config config = {
		.authorities = { pem, strlen(pem) },
		.protocols = protocols,
	};
	struct tls_client_ctx *ctx;

	ctx = tls_client_ctx_new(&config, err, sizeof(err));
	cr_assert_not_null(ctx, "%s", err);
	free(pem);
	return ctx;
}

void
shop_tlsa(struct shop_record *r, const struct shop_pair *p, int usage,
    int selector, int matching)
{
	unsigned char *der = NULL;
	unsigned int n;
	int len;

	len = selector == 0 ? i2d_X509(p->cert, &der) :
	    i2d_PUBKEY(p->key, &der);
	cr_assert(len > 0 && len <= (int)sizeof(r->octets));
	if (matching == 0) {
		memcpy(r->octets, der, (size_t)len);
		n = (unsigned int)len;
	} else
		cr_assert_eq(EVP_Digest(der, (size_t)len, r->octets, &n,
		    matching == 1 ? EVP_sha256() : EVP_sha512(), NULL), 1);
	OPENSSL_free(der);
	r->r = (struct tls_client_tlsa) { (uint8_t)usage, (uint8_t)selector,
	    (uint8_t)matching, r->octets, n };
}

/* --- connections ---------------------------------------------------------- */

void
shop_enter(struct shop_visit *v, struct tls_client_ctx *ctx,
    const struct tls_client_server *server)
{
	int sv[2];

	memset(v, 0, sizeof(*v));
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv),
	    0);
	v->event = build_fd_event(sv[0], E_READ, 0, no_callback, NULL);
	v->fd = sv[1];
	v->server = SSL_new(shop_server);
	SSL_set_accept_state(v->server);
	SSL_set_fd(v->server, v->fd);
	v->client = tls_client_new(ctx, server);
	cr_assert_not_null(v->client, "%s", strerror(errno));
	cr_assert_eq(tls_client_start(v->client, v->event), 0);
	cr_assert_eq(ERR_peek_error(), 0);
}

/* The server's side: the handshake, then one octet. */
static void
serve(struct shop_visit *v)
{
	if (SSL_do_handshake(v->server) == 1)
		(void)SSL_write(v->server, "x", 1);
	ERR_clear_error();
}

bool
shop_shake(struct shop_visit *v)
{
	char c;
	int i;

	for (i = 0; i < STEPS; i++) {
		v->rc = tls_client_handshake(v->client, &v->needmask);
		v->error = errno;
		if (v->rc == 1)
			break;
		if (v->rc == -1)
			return false;
		serve(v);
	}
	for (; i < STEPS; i++) {
		serve(v);
		/* the tickets of TLS 1.3 come before it */
		if (event_read(v->event, &c, 1, &v->needmask) == 1)
			return true;
	}
	return false;
}

void
shop_leave(struct shop_visit *v)
{
	v->facts = *tls_client_facts(v->client);
	SSL_set_shutdown(v->server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	event_close(v->event);
	event_free(v->event);
	tls_client_free(v->client);
	SSL_free(v->server);
	close(v->fd);
	ERR_clear_error();
}

bool
shop_visit(struct shop_visit *v, const struct tls_client_server *server)
{
	bool is_done;

	shop_enter(v, shop_ctx, server);
	is_done = shop_shake(v);
	shop_leave(v);
	cr_assert_eq(v->facts.is_done, v->rc == 1);
	cr_assert_eq(v->facts.is_done && v->facts.is_verified,
	    v->facts.why[0] == '\0', "%s", v->facts.why);
	return is_done;
}

/* -------------------------------------------------------------------------- */

void
shop_setup(void)
{
	shop_ca = shop_make("", NULL);
	shop_good = shop_make("mx.example.test", &shop_ca);
	shop_server = SSL_CTX_new(TLS_server_method());
	shop_use(&shop_good, NULL);
	shop_ctx = shop_context("TLSv1.2 TLSv1.3");
}

void
shop_teardown(void)
{
	tls_client_ctx_free(shop_ctx);
	SSL_CTX_free(shop_server);
	while (nmade > 0) {
		nmade--;
		X509_free(made[nmade].cert);
		EVP_PKEY_free(made[nmade].key);
	}
}
