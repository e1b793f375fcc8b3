/* Session tickets (RFC 5077, RFC 8446 4.6.1); see tlsctx.h.
 * Owns: the keys of the process, what a ticket carries besides the session.
 * Knows nothing of where keys come from. */

#include "tls/tlsctx.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <string.h>

#include "tls/tlsctx_int.h"

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

/* A resumed session has no certificate, but its channel binding is of the one
 * that was shown when it began: RFC 5929 4. */
static int
on_ticket(SSL *ssl, void *)
{
	const struct tlsctx_cert *c;

	if (!SSL_session_reused(ssl) && (c = tlsctx_cert_of(ssl)) != NULL &&
	    c->end_point_len > 0)
		(void)SSL_SESSION_set1_ticket_appdata(SSL_get0_session(ssl),
		    c->end_point, c->end_point_len);
	return 1;
}

size_t
tls_server_end_point(SSL *ssl, uint8_t out_r[64])
{
	const struct tlsctx_cert *c;
	void *data;
	size_t len;

	if (SSL_session_reused(ssl)) {
		if (SSL_SESSION_get0_ticket_appdata(SSL_get0_session(ssl),
		    &data, &len) != 1 || len > 64)
			return 0;
		if (len > 0)
			memcpy(out_r, data, len);
		return len;
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
	SSL_CTX_set_session_ticket_cb(ctx, on_ticket, NULL, NULL);
	SSL_CTX_set_num_tickets(ctx, 1);
}

void
tlsctx_ticket_session(SSL *ssl)
{
	if (tickets.n > 0) {
		SSL_CTX_set_timeout(SSL_get_SSL_CTX(ssl), tickets.lifetime);
		return;
	}
	SSL_set_options(ssl, SSL_OP_NO_TICKET);
	SSL_set_num_tickets(ssl, 0);
}
