/* TLS of an ESMTP session: its start, its handshake and what is kept of it; see
 * tls_session.h. */

#include "tls/session/tls_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls/tlsio.h"

int
tls_session_start(accept_construct *ac, struct tlsctx *t)
{
	SSL *ssl = tlsctx_session(t);

	if (ssl == NULL || tlsio_attach(ac->event, ssl) == -1) {
		SSL_free(ssl);
		errno = ENOMEM;
		return -1;
	}
	/* the session ticket and the banner are two writes with nothing from the
	 * client between them */
	tlsio_send_at_once(ac->event);
	return 0;
}

/* What the session is told of its handshake. */
static int
keep_description(accept_construct *ac)
{
	struct tls_description d;
	struct esmtp_tls *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return -1;
	if (tls_describe(tlsio_ssl(ac->event), &d) == -1) {
		free(t);
		return -1;
	}
	t->size = sizeof(*t);
	snprintf(t->protocol, sizeof(t->protocol), "%s", d.protocol);
	snprintf(t->cipher, sizeof(t->cipher), "%s", d.cipher);
	t->bits = d.bits;
	t->is_resumed = d.is_resumed;
	t->is_verified = d.is_verified;
	t->peer_name = d.peer_name;
	t->server_name = d.server_name;
	esmtp_session_set_tls(ac, t);
	return 0;
}

int
tls_session_handshake(accept_construct *ac, int *needmask,
    enum tls_failure_kind *kind_r)
{
	int rc, error;

	rc = tlsio_handshake(ac->event, needmask);
	if (rc == 0)
		return 0;
	if (rc == 1 && keep_description(ac) == 0)
		return 1;
	error = rc == 1 ? ENOMEM : errno;
	if (rc == 1) {
		*kind_r = TLS_FAILURE_OTHER;
		ac->failure = "out of memory";
	} else
		ac->failure = tls_failure(tlsio_ssl(ac->event), kind_r);
	errno = error;
	return -1;
}

void
tls_session_end(accept_construct *ac)
{
	struct esmtp_tls *t = ac->tls;

	if (t == NULL)
		return;
	esmtp_session_set_tls(ac, NULL);
	free(t->peer_name);
	free(t->server_name);
	free(t);
}
