/* What a login inside TLS is bound to, the client's side; see tls_client.h. */

#include "tls/tls_client_int.h"

#include <openssl/err.h>

#include "tls/tlsctx_int.h"
#include "tls/tlsio.h"

static size_t
end_point(SSL *ssl, uint8_t octets_r[TLS_CLIENT_BINDING_MAX])
{
	/* that of the first handshake, if the session is resumed */
	const X509 *cert = SSL_get0_peer_certificate(ssl);

	return cert == NULL ? 0 : tlsctx_end_point(cert, octets_r);
}

/* RFC 5929 3.1: the Finished message that was sent first in the last handshake, of
 * which there is one: that of the server where the session is resumed.  Without the
 * extended master secret whoever stands in the middle could make two connections that
 * have the same (RFC 7627 1). */
static size_t
unique(SSL *ssl, uint8_t octets_r[TLS_CLIENT_BINDING_MAX])
{
	if (SSL_version(ssl) >= TLS1_3_VERSION ||
	    SSL_get_extms_support(ssl) != 1)
		return 0;
	return SSL_session_reused(ssl) ? SSL_get_peer_finished(ssl, octets_r,
	    TLS_CLIENT_BINDING_MAX) : SSL_get_finished(ssl, octets_r,
	    TLS_CLIENT_BINDING_MAX);
}

static size_t
octets_of(SSL *ssl, enum tls_client_binding binding,
    uint8_t octets_r[TLS_CLIENT_BINDING_MAX])
{
	switch (binding) {
	case TLS_CLIENT_EXPORTER:
		return tls_exporter(ssl, octets_r);
	case TLS_CLIENT_END_POINT:
		return end_point(ssl, octets_r);
	case TLS_CLIENT_UNIQUE:
		return unique(ssl, octets_r);
	case TLS_CLIENT_UNBOUND:
		break;
	}
	return 0;
}

enum tls_client_binding
tls_client_binding(const struct tls_client *t, unsigned int n,
    uint8_t octets_r[TLS_CLIENT_BINDING_MAX], size_t *len_r)
{
	static const enum tls_client_binding orders[2][3] = {
		{ TLS_CLIENT_END_POINT, TLS_CLIENT_UNIQUE, TLS_CLIENT_EXPORTER },
		{ TLS_CLIENT_EXPORTER, TLS_CLIENT_END_POINT,
		    TLS_CLIENT_UNBOUND },	/* of TLS 1.3 */
	};
	enum tls_client_binding is = TLS_CLIENT_UNBOUND;
	SSL *ssl = t->event != NULL ? tlsio_ssl(t->event) : NULL;
	size_t i, len;

	*len_r = 0;
	if (ssl == NULL || !t->facts.is_done)
		return is;
	for (i = 0; i < 3 && is == TLS_CLIENT_UNBOUND; i++) {
		is = orders[SSL_version(ssl) >= TLS1_3_VERSION][i];
		len = octets_of(ssl, is, octets_r);
		if (len == 0 || n-- > 0)
			is = TLS_CLIENT_UNBOUND;
		else
			*len_r = len;
	}
	ERR_clear_error();
	return is;
}

const char *
tls_client_binding_name(enum tls_client_binding binding)
{
	switch (binding) {
	case TLS_CLIENT_EXPORTER:
		return "tls-exporter";
	case TLS_CLIENT_END_POINT:
		return "tls-server-end-point";
	case TLS_CLIENT_UNIQUE:
		return "tls-unique";
	default:
		return NULL;
	}
}
