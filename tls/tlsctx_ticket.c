/* Session tickets (RFC 5077, RFC 8446 4.6.1); see tlsctx.h.
 * Owns: the keys of the process, what a ticket carries besides the session.
 * Knows nothing of where keys come from.
 *
 * All workers have the keys, so what a ticket says can be the word of one that
 * somebody has taken over.  It must not say who the client is: where clients are
 * asked for a certificate, tickets are neither given nor taken. */

#include "tls/tlsctx.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tls/tlsctx_int.h"

#define NAME_OCTETS	256	/* of a host name with its NUL; RFC 6066 3 */
#define KEYS_MAX	4
#define LIFETIME_MAX	604800	/* seconds; RFC 8446 4.6.1 */

/* OpenSSL's callbacks */
enum { TICKET_ERROR = -1, TICKET_NONE, TICKET_USE, TICKET_RENEW };

static struct {
	struct tls_ticket_key	 keys[KEYS_MAX];
	size_t			 n;
	unsigned int		 lifetime;
	EVP_CIPHER		*cipher;	/* fetched once: that takes time */
} tickets;

void
tls_tickets_set(const struct tls_ticket_key *keys, size_t n,
    unsigned int lifetime)
{
	if (n > KEYS_MAX)
		n = KEYS_MAX;
	OPENSSL_cleanse(tickets.keys, sizeof(tickets.keys));
	if (tickets.cipher == NULL)
		tickets.cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (tickets.cipher == NULL)
		n = 0;
	if (n > 0)
		memcpy(tickets.keys, keys, n * sizeof(*keys));
	tickets.n = n;
	tickets.lifetime = lifetime < LIFETIME_MAX ? lifetime : LIFETIME_MAX;
}

/* --- sealing and opening -------------------------------------------------- */

static int
set_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *key)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->hmac,
		    sizeof(key->hmac)),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_END
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

static int
seal(unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac)
{
	struct tls_ticket_key *key = &tickets.keys[0];

	if (tickets.n == 0)
		return TICKET_NONE;
	if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets.cipher)) != 1 ||
	    EVP_EncryptInit_ex2(cipher, tickets.cipher, key->aes, iv, NULL)
	    != 1 || set_mac(mac, key) != 1)
		return TICKET_ERROR;
	memcpy(name, key->name, sizeof(key->name));
	return TICKET_USE;
}

static int
open_ticket(SSL *ssl, const unsigned char *name, const unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	struct tls_ticket_key *key;
	size_t i;

	for (i = 0; i < tickets.n; i++)
		if (memcmp(tickets.keys[i].name, name, 16) == 0)
			break;
	if (i == tickets.n)
		return TICKET_NONE;	/* RFC 5077 3.1: a full handshake */
	key = &tickets.keys[i];
	if (EVP_DecryptInit_ex2(cipher, tickets.cipher, key->aes, iv, NULL)
	    != 1 || set_mac(mac, key) != 1)
		return TICKET_ERROR;
	/* RFC 8446 C.4: a client should not use one twice, so it gets another */
	return i > 0 || SSL_version(ssl) == TLS1_3_VERSION ? TICKET_RENEW :
	    TICKET_USE;
}

static int
on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_new)
{
	return is_new ? seal(name, iv, cipher, mac) :
	    open_ticket(ssl, name, iv, cipher, mac);
}

/* --- what it carries ------------------------------------------------------ */

/* How a session began, in its ticket: the channel binding of the certificate
 * that the server showed (RFC 5929 4: a resumed session has the same), and the
 * host name that the client asked for ("": none). */
struct origin {
	uint8_t	end_point[64];
	uint8_t	end_point_len;
	char	host[NAME_OCTETS];
};

/* The origin of ${s}; NULL: it has none, or one that is not ours. */
static const struct origin *
origin_of(SSL_SESSION *s)
{
	void *data;
	size_t len;

	if (SSL_SESSION_get0_ticket_appdata(s, &data, &len) != 1 ||
	    len < offsetof(struct origin, host) + 1 ||
	    len > sizeof(struct origin) || ((char *)data)[len - 1] != '\0')
		return NULL;
	return data;
}

static int
on_ticket_made(SSL *ssl, void *)
{
	const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct tlsctx_cert *c = tlsctx_cert_of(ssl);
	struct origin o = { .end_point_len = 0 };

	if (SSL_session_reused(ssl))
		return 1;
	if (c != NULL) {
		memcpy(o.end_point, c->end_point, c->end_point_len);
		o.end_point_len = (uint8_t)c->end_point_len;
	}
	snprintf(o.host, sizeof(o.host), "%s", host != NULL ? host : "");
	return SSL_SESSION_set1_ticket_appdata(SSL_get0_session(ssl), &o,
	    offsetof(struct origin, host) + strlen(o.host) + 1);
}

/* Put the host name of the ClientHello that is being read into ${name_r}; ""
 * when it has none.  RFC 6066 3: a list of one name, of type 0.  Return whether
 * it could be read. */
static bool
asked_host(SSL *ssl, char name_r[NAME_OCTETS])
{
	const unsigned char *ext;
	size_t len;

	*name_r = '\0';
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len)
	    != 1)
		return true;
	if (len < 6 || len - 5 >= NAME_OCTETS || ext[2] != 0 ||
	    (size_t)(ext[3] << 8 | ext[4]) != len - 5 ||
	    memchr(ext + 5, '\0', len - 5) != NULL)
		return false;
	memcpy(name_r, ext + 5, len - 5);
	name_r[len - 5] = '\0';
	return true;
}

/* RFC 6066 3: a session that began with one host name must not be resumed with
 * another.  The client would take the certificate of the first for that of the
 * second.  In TLS 1.3 the host name belongs to the connection, and the client
 * decides for which names it resumes a session (RFC 8446 4.6.1). */
static SSL_TICKET_RETURN
on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *, size_t,
    SSL_TICKET_STATUS status, void *)
{
	const struct origin *o;
	char host[NAME_OCTETS];

	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (SSL_version(ssl) < TLS1_3_VERSION &&
	    ((o = origin_of(session)) == NULL || !asked_host(ssl, host) ||
	    strcasecmp(o->host, host) != 0))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE :
	    SSL_TICKET_RETURN_USE_RENEW;
}

size_t
tls_server_end_point(SSL *ssl, uint8_t out_r[64])
{
	const struct tlsctx_cert *c;
	const struct origin *o;

	if (SSL_session_reused(ssl)) {
		if ((o = origin_of(SSL_get0_session(ssl))) == NULL)
			return 0;
		memcpy(out_r, o->end_point, o->end_point_len);
		return o->end_point_len;
	}
	if ((c = tlsctx_cert_of(ssl)) == NULL)
		return 0;
	memcpy(out_r, c->end_point, c->end_point_len);
	return c->end_point_len;
}

/* -------------------------------------------------------------------------- */

void
tlsctx_ticket_attach(SSL_CTX *ctx)
{
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket_key);
	SSL_CTX_set_session_ticket_cb(ctx, on_ticket_made, on_ticket_opened,
	    NULL);
	SSL_CTX_set_num_tickets(ctx, 1);
}

void
tlsctx_ticket_session(SSL *ssl)
{
	if (tickets.n > 0 && SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE) {
		SSL_CTX_set_timeout(SSL_get_SSL_CTX(ssl), tickets.lifetime);
		return;
	}
	SSL_set_options(ssl, SSL_OP_NO_TICKET);
	SSL_set_num_tickets(ssl, 0);
}
