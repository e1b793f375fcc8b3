/* TLS in a worker: one context for each that the settings name, made of the
 * certificates that the master sends.
 * Owns: the contexts, the start of a handshake and what is kept of its end.
 * Knows nothing of private keys: their signatures come through host_keyd.c. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/creds/creds.h"
#include "core/process/log.h"
#include "tls/remote.h"
#include "tls/session/tls_session.h"
#include "tls/tlsio.h"

struct host_tls {
	struct host_keyd	*keyd;
	uint32_t		 version;	/* of the certificates; 0: none yet */
	struct tlsctx		*contexts[];	/* as many as settings->tls has */
};

/* --- contexts ------------------------------------------------------------- */

/* The context ${c}, with its certificates from ${b}.  NULL: logged. */
static struct tlsctx *
context_new(const struct settings *s, const struct settings_tls_context *c,
    const struct bundle *b, uint32_t version)
{
	static const enum tlsctx_verify modes[] = {
		[ESMTP_VERIFY_OPTIONAL] = TLSCTX_VERIFY_OPTIONAL,
		[ESMTP_VERIFY_NONE] = TLSCTX_VERIFY_NONE,
		[ESMTP_VERIFY_REQUIRE] = TLSCTX_VERIFY_REQUIRE
	};
	const struct esmtp_options *o = c->options;
	struct tlsctx_config config = {
		.protocols = o->tls_protocols,
		.ciphers = o->tls_ciphers,
		.ciphersuites = o->tlsv13_ciphersuites,
		.groups = o->tls_groups,
		.verify = modes[o->tls_verify_mode],
		.version = version,
		.npairs = c->npairs
	};
	struct tlsctx_pair *pairs;
	struct tlsctx *t;
	char err[TLSCTX_ERROR_MAX];
	size_t i;
	int bad;

	if ((pairs = calloc(c->npairs, sizeof(*pairs))) == NULL) {
		log_err("certificates", "version=%u", version);
		return NULL;
	}
	for (i = 0; i < c->npairs; i++) {
		pairs[i].pair = c->pairs[i];
		pairs[i].cert = bundle_cert(b, c->pairs[i]);
		pairs[i].ocsp = bundle_ocsp(b, c->pairs[i]);
	}
	config.pairs = pairs;
	if (c->client_ca != 0)
		config.client_ca = bundle_client_ca(b, c->client_ca - 1);
	if ((t = tlsctx_new(&config, &bad, err, sizeof(err))) == NULL)
		log_errx("certificates", "version=%u file=%s reason=%s",
		    version, bad >= 0 ?
		    s->tls->pairs[c->pairs[bad]].cert : "", err);
	free(pairs);
	return t;
}

static void
contexts_free(struct tlsctx **v, size_t n)
{
	while (n > 0)
		tlsctx_free(v[--n]);
}

void
host_tls_certs(struct worker *w, const struct msg_certs *certs, int fd)
{
	const struct settings *s = w->child->settings;
	struct host_tls *t = w->tls;
	struct tlsctx **v;
	struct bundle *b;
	size_t i, n;

	if (t == NULL)
		return;
	n = s->tls->ncontexts;
	if (fd == -1 || (b = bundle_read(fd, s)) == NULL) {
		log_err("certificates", "version=%u effect=%s",
		    certs->version, "the former ones stay");
		return;
	}
	if ((v = calloc(n, sizeof(*v))) == NULL)
		log_err("certificates", "version=%u", certs->version);
	for (i = 0; v != NULL && i < n; i++)
		if ((v[i] = context_new(s, &s->tls->contexts[i], b,
		    certs->version)) == NULL)
			break;
	if (v != NULL && i == n) {
		/* sessions hold references to what they need of the old ones */
		contexts_free(t->contexts, n);
		memcpy(t->contexts, v, n * sizeof(*v));
		t->version = certs->version;
	} else if (v != NULL)
		contexts_free(v, i);
	free(v);
	bundle_free(b);
}

void
host_tls_tickets(const struct msg_tickets *tickets)
{
	struct tls_ticket_key keys[MSG_TICKET_KEYS];
	size_t i, n = tickets->nkeys;

	if (n > MSG_TICKET_KEYS)
		return;
	for (i = 0; i < n; i++) {
		memcpy(keys[i].name, tickets->keys[i].name,
		    sizeof(keys[i].name));
		memcpy(keys[i].aes, tickets->keys[i].aes,
		    sizeof(keys[i].aes));
		memcpy(keys[i].hmac, tickets->keys[i].hmac,
		    sizeof(keys[i].hmac));
	}
	tls_tickets_set(keys, n, tickets->lifetime);
	explicit_bzero(keys, sizeof(keys));
}

int
host_tls_open(struct worker *w)
{
	const struct settings_tls *st = w->child->settings->tls;
	size_t n;

	if (st == NULL || (n = st->ncontexts) == 0)
		return 0;
	if (child_load_crypto(w->child) == -1)
		return -1;
	w->tls = calloc(1, sizeof(*w->tls) + n * sizeof(w->tls->contexts[0]));
	if (w->tls == NULL || (w->tls->keyd = host_keyd_new(w)) == NULL ||
	    tls_remote_open(&host_keyd_ops, w->tls->keyd) == -1) {
		log_err("start", "role=%s step=%s", "worker", "TLS");
		return -1;
	}
	return 0;
}

void
host_tls_close(struct worker *w)
{
	if (w->tls == NULL)
		return;
	contexts_free(w->tls->contexts, w->child->settings->tls->ncontexts);
	host_keyd_free(w->tls->keyd);
	free(w->tls);
	w->tls = NULL;
}

void
host_tls_connect(struct worker *w, int fd)
{
	if (w->tls != NULL)
		host_keyd_connect(w->tls->keyd, fd);
	else
		close(fd);
}

/* --- the handshake -------------------------------------------------------- */

int
host_tls_start(void *host, accept_construct *ac)
{
	struct worker *w = host;
	int i = -1;

	if (w->tls != NULL)
		i = settings_tls_context(ac->options);
	if (i == -1 || w->tls->contexts[i] == NULL) {
		errno = ENOKEY;
		return -1;
	}
	if (tls_session_start(ac, w->tls->contexts[i]) == -1)
		return -1;
	tlsio_session(ac->event, ac);
	return 0;
}

int
host_tls_handshake(void *, accept_construct *ac, int *needmask)
{
	enum tls_failure_kind kind;
	int rc = tls_session_handshake(ac, needmask, &kind);

	/* for report_tls_failed() of host_report.c; never NULL */
	if (rc == -1)
		ac->host_tls = kind + 1;
	return rc;
}

void
host_tls_end(void *, accept_construct *ac)
{
	tls_session_end(ac);
}
