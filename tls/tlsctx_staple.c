/* The OCSP response that goes with a certificate: stapling, RFC 6066 8. */

#include "tls/tlsctx.h"

#include <time.h>

#include "tls/tlsctx_int.h"

/* The client has asked (status_request). */
static int
on_status(SSL *ssl, void *)
{
	const struct tlsctx_cert *c = tlsctx_cert_of(ssl);
	time_t now = time(NULL);
	unsigned char *copy;

	if (c == NULL || c->ocsp == NULL || now < c->this_update ||
	    now >= c->next_update)
		return SSL_TLSEXT_ERR_NOACK;
	if ((copy = OPENSSL_memdup(c->ocsp, c->ocsp_len)) == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	/* takes the copy */
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)c->ocsp_len);
	return SSL_TLSEXT_ERR_OK;
}

void
tlsctx_staple_attach(SSL_CTX *ctx)
{
	SSL_CTX_set_tlsext_status_cb(ctx, on_status);
}
