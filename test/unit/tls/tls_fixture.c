#include "tls_fixture.h"

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test/lib/eventpair.h"
#include "tls/keeper.h"
#include "tls/remote.h"
#include "tls/tlsio.h"

#define STEPS	40

enum tls_manner tls_manner;
bool tls_has_errors;
unsigned int tls_nsigned, tls_ncancelled;
struct tlsctx_config tls_config;
X509 *tls_certs[TLS_PAIRS_MAX];
SSL_CTX *tls_client_ctx;

static struct tlsctx_pair pairs[TLS_PAIRS_MAX];
static struct keeper *keeper;
static struct tls_sign *asked;

/* --- signatures ----------------------------------------------------------- */

static void
answer(struct tls_sign *s)
{
	uint8_t sig[TLS_SIG_MAX];
	size_t len;

	if (tls_manner == SIGN_FAILS) {
		tls_sign_done(s, NULL, 0);
		return;
	}
	cr_assert_eq(keeper_sign(keeper, s->version, s->pair, s->scheme,
	    s->tbs, s->tbs_len, sig, &len), 0);
	tls_nsigned++;
	tls_sign_done(s, sig, len);
}

static int
start(struct tls_sign *s, void *)
{
	if (tls_has_errors)
		ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
	if (tls_manner == SIGN_AT_ONCE)
		answer(s);
	else if (tls_manner != SIGN_NEVER_ANY)
		asked = s;
	return 0;
}

static void
cancel(struct tls_sign *s, void *)
{
	if (tls_manner != SIGN_NEVER_ANY)
		cr_assert_eq(s, asked);
	asked = NULL;
	tls_ncancelled++;
}

static const struct tls_remote_ops ops = { start, cancel };

/* --- certificates --------------------------------------------------------- */

static void
add_names(X509 *x, const char *names)
{
	char text[512] = "";
	const char *p = names;
	X509_EXTENSION *ext;

	while (*p != '\0') {
		size_t n = strcspn(p, ",");

		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "%s%s:%.*s", *text != '\0' ? "," : "",
		    memchr(p, '@', n) != NULL ? "email" :
		    strspn(p, "0123456789.") >= n ? "IP" : "DNS", (int)n, p);
		p += n + (p[n] == ',');
	}
	/* a certificate without a name is that of a CA */
	ext = *text == '\0' ? X509V3_EXT_conf_nid(NULL, NULL,
	    NID_basic_constraints, "critical,CA:TRUE") :
	    X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
	cr_assert_eq(X509_add_ext(x, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

X509 *
tls_make(enum keys_kind kind, const char *names, X509 *issuer,
    EVP_PKEY *issuer_key, EVP_PKEY **key_r)
{
	static long serial = 100;
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	*key_r = keys_make(kind);
	if (issuer_key == NULL)
		issuer_key = *key_r;
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), -86400);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, *key_r);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)(issuer != NULL ? "somebody" :
	    "common.example.test"), -1, -1, 0);
	X509_set_issuer_name(x, issuer != NULL ?
	    X509_get_subject_name(issuer) : name);
	add_names(x, names);
	cr_assert_neq(X509_sign(x, issuer_key, EVP_PKEY_is_a(issuer_key,
	    "ED25519") ? NULL : EVP_sha256()), 0);
	return x;
}

void
tls_pair(enum keys_kind kind, const char *names)
{
	size_t i = tls_config.npairs++;
	char err[KEEPER_ERROR_MAX];
	EVP_PKEY *key;
	char *pem;
	int fd;

	tls_certs[i] = tls_make(kind, names, NULL, NULL, &key);
	pem = keys_cert_pem(tls_certs[i]);
	fd = keys_file(key);
	pairs[i].pair = 50 + (uint32_t)i;
	pairs[i].cert = (struct tlsctx_octets){ pem, strlen(pem) };
	cr_assert_eq(keeper_load(keeper, tls_config.version, pairs[i].pair,
	    fd, pem, strlen(pem), err, sizeof(err)), 0, "%s", err);
	close(fd);
	EVP_PKEY_free(key);
}

struct tlsctx *
tls_context(void)
{
	char err[TLSCTX_ERROR_MAX];
	struct tlsctx *t;
	int pair;

	t = tlsctx_new(&tls_config, &pair, err, sizeof(err));
	cr_assert_not_null(t, "pair %d: %s", pair, err);
	cr_assert_eq(ERR_peek_error(), 0);
	return t;
}

/* --- links ---------------------------------------------------------------- */

void
tls_open(struct tls_link *l, struct tlsctx *t)
{
	int sv[2];

	memset(l, 0, sizeof(*l));
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv),
	    0);
	l->event = build_fd_event(sv[0], E_READ, 0, no_callback, NULL);
	l->client_fd = sv[1];
	l->server = tlsctx_session(t);
	cr_assert_not_null(l->server);
	cr_assert_eq(tlsio_attach(l->event, l->server), 0);
	tlsio_session(l->event, l->event);
	l->client = SSL_new(tls_client_ctx);
	SSL_set_connect_state(l->client);
	SSL_set_fd(l->client, l->client_fd);
}

void
tls_close(struct tls_link *l)
{
	if (l->event->fd != -1)
		event_close(l->event);
	event_free(l->event);
	SSL_free(l->client);
	close(l->client_fd);
}

void
tls_step(struct tls_link *l)
{
	struct tls_sign *s = asked;
	char none;

	ERR_clear_error();
	l->client_rc = SSL_do_handshake(l->client);
	if (l->client_rc == 1)
		(void)SSL_read(l->client, &none, 0);
	if (s != NULL && tls_manner != SIGN_NEVER) {
		asked = NULL;
		answer(s);
	}
	l->rc = tlsio_handshake(l->event, &l->needmask);
	l->error = errno;
}

bool
tls_shake(struct tls_link *l)
{
	char c;
	int i;

	for (i = 0; i < STEPS; i++) {
		tls_step(l);
		if (l->rc == -1)
			return false;
		if (l->rc != 1 || l->client_rc != 1)
			continue;
		/* tickets of TLS 1.3 come behind the handshake */
		(void)SSL_read(l->client, &c, 1);
		ERR_clear_error();
		return true;
	}
	return false;
}

/* -------------------------------------------------------------------------- */

void
tls_setup(void)
{
	cr_assert_eq(tls_remote_open(&ops, NULL), 0);
	keeper = keeper_new();
	tls_config = (struct tlsctx_config){
		.protocols = "TLSv1.2 TLSv1.3", .ciphers = "",
		.ciphersuites = "", .groups = "",
		.verify = TLSCTX_VERIFY_NONE, .version = 3, .pairs = pairs
	};
	tls_client_ctx = SSL_CTX_new(TLS_client_method());
	tls_manner = SIGN_LATER;
}

void
tls_teardown(void)
{
	size_t i;

	for (i = 0; i < tls_config.npairs; i++) {
		X509_free(tls_certs[i]);
		free((void *)(uintptr_t)pairs[i].cert.v);
	}
	SSL_CTX_free(tls_client_ctx);
	keeper_free(keeper);
	tls_tickets_set(NULL, 0, 0);
}
