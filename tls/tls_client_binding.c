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

enum tls_client_binding
tls_client_binding(const struct tls_client *t,
    uint8_t octets_r[TLS_CLIENT_BINDING_MAX], size_t *len_r)
{
	enum tls_client_binding is = TLS_CLIENT_UNBOUND;
	SSL *ssl = t->event != NULL ? tlsio_ssl(t->event) : NULL;

	*len_r = 0;
	if (ssl == NULL || !t->facts.is_done)
		return is;
	if (SSL_version(ssl) < TLS1_3_VERSION &&
	    (*len_r = end_point(ssl, octets_r)) > 0)
		is = TLS_CLIENT_END_POINT;
	else if ((*len_r = tls_exporter(ssl, octets_r)) > 0)
		is = TLS_CLIENT_EXPORTER;
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
	default:
		return NULL;
	}
}
