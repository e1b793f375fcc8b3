/* TLS in the simulated process, the server's side: see simtls.h. */

#include "test/lib/simtls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/simhost.h"
#include "test/lib/simtls_int.h"
#include "tls/remote.h"
#include "tls/tlsctx.h"
#include "tls/tlsio.h"

/* A signature that the server waits for. */
struct signing {
	struct tls_sign		*sign;		/* NULL: free */
	uint64_t		 id;
};

/* What a context is made by. */
struct recipe {
	enum tlsctx_verify	 verify;
	char			 protocols[64];
};

static struct {
	struct simhost		*host;
	struct tlsctx		*ctx;
	struct recipe		 recipe;	/* of ctx */
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
sign_happens(void *, uint64_t id)
{
	struct signing *p = find(id);

	if (p != NULL)
		answer(p, true);
}

static int
sign_start(struct tls_sign *s, void *)
{
	size_t i;

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
sign_cancel(struct tls_sign *s, void *)
{
	struct signing *p = find(s->id);

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

/* What is different between the contexts that dialogues need. */
static void
read_recipe(const struct esmtp_options *o, struct recipe *r)
{
	memset(r, 0, sizeof(*r));
	r->verify = o->tls_client_ca[0] == '\0' ? TLSCTX_VERIFY_NONE
	    : o->tls_verify_mode == ESMTP_VERIFY_NONE ? TLSCTX_VERIFY_NONE
	    : o->tls_verify_mode == ESMTP_VERIFY_REQUIRE
	    ? TLSCTX_VERIFY_REQUIRE : TLSCTX_VERIFY_OPTIONAL;
	strlcpy(r->protocols, o->tls_protocols, sizeof(r->protocols));
}

static struct tlsctx *
make_context(const struct recipe *r)
{
	struct tlsctx_pair pair = { .cert = simtls_server.pem };
	struct tlsctx_config config = {
		.protocols = r->protocols, .ciphers = "", .ciphersuites = "",
		.groups = "", .verify = r->verify, .version = 1,
		.pairs = &pair, .npairs = 1
	};
	char err[TLSCTX_ERROR_MAX] = "";
	struct tlsctx *t;
	int which;

	if (r->verify != TLSCTX_VERIFY_NONE)
		config.client_ca = simtls_authority.pem;
	t = tlsctx_new(&config, &which, err, sizeof(err));
	if (t == NULL)
		fprintf(stderr, "simtls: %s\n", err);
	return t;
}

/* Kept from run to run: thousands have the same. */
static struct tlsctx *
context_for(const struct esmtp_options *o)
{
	struct recipe r;

	read_recipe(o, &r);
	if (tls.ctx != NULL && memcmp(&r, &tls.recipe, sizeof(r)) == 0)
		return tls.ctx;
	simalloc_quiet++;
	tlsctx_free(tls.ctx);
	tls.ctx = make_context(&r);
	tls.recipe = r;
	simalloc_quiet--;
	return tls.ctx;
}

static int
host_tls_start(void *, accept_construct *ac)
{
	struct tlsctx *ctx = context_for(ac->options);
	SSL *ssl;

	if (tls.start_error != 0) {
		errno = tls.start_error;
		return -1;
	}
	if (ctx == NULL || (ssl = tlsctx_session(ctx)) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	if (tlsio_attach(ac->event, ssl) == -1) {
		SSL_free(ssl);
		return -1;
	}
	tlsio_session(ac->event, ac);
	return 0;
}

static void
describe(accept_construct *ac, SSL *ssl)
{
	struct tls_description d;
	struct esmtp_tls *t;

	simalloc_quiet++;
	t = calloc(1, sizeof(*t));
	if (t == NULL || tls_describe(ssl, &d) == -1)
		abort();
	t->size = sizeof(*t);
	strlcpy(t->protocol, d.protocol, sizeof(t->protocol));
	strlcpy(t->cipher, d.cipher, sizeof(t->cipher));
	t->bits = d.bits;
	t->is_resumed = d.is_resumed;
	t->is_verified = d.is_verified;
	t->peer_name = d.peer_name;
	t->server_name = d.server_name;
	simalloc_quiet--;
	ac->tls = t;
}

static int
host_tls_handshake(void *, accept_construct *ac, int *needmask)
{
	int n = tlsio_handshake(ac->event, needmask), errnum = errno;
	enum tls_failure_kind kind;

	if (n == 1)
		describe(ac, tlsio_ssl(ac->event));
	else if (n == -1)
		ac->failure = tls_failure(tlsio_ssl(ac->event), &kind);
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
	free(ac->tls->server_name);
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

int
simtls_setup(void)
{
	static const struct tls_ticket_key ticket_key = {
		"the sim's ticket", "no secret at all, for it is here",
		"nor is this one, for all to see."
	};
	static bool is_ready;
	int r;

	if (is_ready)
		return 0;
	simalloc_quiet++;
	r = simtls_make_certificates() == -1
	    || tls_remote_open(&remote_ops, NULL) == -1 ? -1 : 0;
	if (r == 0)
		tls_tickets_set(&ticket_key, 1, 86400);
	ERR_clear_error();
	simalloc_quiet--;
	is_ready = r == 0;
	return r;
}
