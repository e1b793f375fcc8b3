/* What a server has to show to a client; see tls_client.h.
 * Owns: which names and TLSA records can be used, how OpenSSL is asked for them,
 * and which connection it asks back. */

#include "tls/tls_client_int.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#define DOMAIN_MAX	253	/* octets; RFC 1035 3.1, without the root */
#define LABEL_MAX	63	/* octets; RFC 1035 2.3.4 */

/* No certificate with a weaker key or signature verifies a server: 112 bits of
 * security (SSL_CTX_set_security_level(3)). */
#define VERIFIED_LEVEL	2
/* What a handshake may be with, if nobody is verified by it: 80 bits, since
 * otherwise there would be none. */
#define LEAST_LEVEL	1

/* --- whose an SSL object is ----------------------------------------------- */

static int owner_index = -1;
static pthread_once_t owner_once = PTHREAD_ONCE_INIT;

static void
ssl_gone(void *, void *owner, CRYPTO_EX_DATA *, int, long, void *)
{
	struct tls_client *t = owner;

	if (t != NULL) {
		t->ssl = NULL;
		t->event = NULL;
	}
}

static void
make_index(void)
{
	owner_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, ssl_gone);
}

int
tls_client_own(SSL *ssl, struct tls_client *t)
{
	pthread_once(&owner_once, make_index);
	return owner_index != -1 && SSL_set_ex_data(ssl, owner_index, t) == 1 ?
	    0 : -1;
}

struct tls_client *
tls_client_of(SSL *ssl)
{
	return SSL_get_ex_data(ssl, owner_index);
}

/* --- names ---------------------------------------------------------------- */

static bool
is_address(const char *s)
{
	unsigned char octets[16];

	return inet_pton(AF_INET, s, octets) == 1 ||
	    inet_pton(AF_INET6, s, octets) == 1;
}

static bool
is_domain(const char *s)
{
	size_t len = strlen(s), label = 0;

	if (len == 0 || len > DOMAIN_MAX)
		return false;
	for (; *s != '\0'; s++) {
		if (*s == '.' ? label == 0 : !isascii((unsigned char)*s) ||
		    (!isalnum((unsigned char)*s) && *s != '-' && *s != '_'))
			return false;
		label = *s == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return false;
	}
	return label > 0;
}

/* RFC 6125 6.4.3: a wildcard is the whole of the leftmost label. */
static int
set_names(struct tls_client *t, const struct tls_client_server *s)
{
	bool has_name = s->name != NULL && *s->name != '\0';
	size_t i;

	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* RFC 6066 3: an address is not told as a name */
	if (has_name && !is_address(s->name) && (!is_domain(s->name) ||
	    SSL_set_tlsext_host_name(t->ssl, s->name) != 1))
		goto refused;
	if (has_name && SSL_set1_host(t->ssl, s->name) != 1)
		goto refused;
	/* OpenSSL would ask for the address and one of the others */
	if (s->nnames > TLS_CLIENT_NAMES_MAX ||
	    (s->nnames > 0 && has_name && is_address(s->name)))
		goto refused;
	for (i = 0; i < s->nnames; i++)
		if (!is_domain(s->names[i]) ||
		    SSL_add1_host(t->ssl, s->names[i]) != 1)
			goto refused;
	t->has_name = has_name || s->nnames > 0;
	return 0;

refused:
	errno = ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE ?
	    ENOMEM : EINVAL;
	return -1;
}

/* --- TLSA records --------------------------------------------------------- */

bool
tls_client_tlsa_usable(const struct tls_client_tlsa *r)
{
	/* of each matching type */
	static const size_t octets[] = { 0, SHA256_DIGEST_LENGTH,
		SHA512_DIGEST_LENGTH };

	/* RFC 7672 3.1.3: nobody who sends mail knows which authorities those
	 * who receive it think of */
	if (r->usage != TLS_CLIENT_USAGE_TA && r->usage != TLS_CLIENT_USAGE_EE)
		return false;
	if (r->selector > 1 || r->matching > 2)
		return false;
	return r->matching == 0 ? r->len > 0 : r->len == octets[r->matching];
}

/* RFC 7671 9: of the digests of a usage and selector, only the strongest
 * counts; OpenSSL sees to that. */
static int
set_tlsa(struct tls_client *t, const struct tls_client_server *s)
{
	size_t i, n = 0;
	int rc;

	if (s->ntlsa == 0)
		return 0;
	if (s->ntlsa > TLS_CLIENT_TLSA_MAX || s->name == NULL ||
	    !is_domain(s->name) || is_address(s->name)) {
		errno = EINVAL;
		return -1;
	}
	if (SSL_dane_enable(t->ssl, s->name) != 1)
		goto err0;
	/* RFC 7672 3.1.1: the record is for this server, whatever the names in
	 * its certificate, and the times */
	SSL_dane_set_flags(t->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (i = 0; i < s->ntlsa; i++) {
		if (!tls_client_tlsa_usable(&s->tlsa[i]))
			continue;
		rc = SSL_dane_tlsa_add(t->ssl, s->tlsa[i].usage,
		    s->tlsa[i].selector, s->tlsa[i].matching, s->tlsa[i].data,
		    s->tlsa[i].len);
		/* 0: what it holds is no certificate or key */
		if (rc == -1)
			goto err0;
		n += rc == 1;
	}
	t->has_tlsa = n > 0;
	t->has_unusable = n == 0;
	return 0;

err0:
	errno = ENOMEM;
	return -1;
}

/* --- all ------------------------------------------------------------------ */

/* What is found first is kept: it is the cause of what follows. */
static int
on_verify(int is_ok, X509_STORE_CTX *x)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_client *t = tls_client_of(ssl);

	if (is_ok || t == NULL)
		return is_ok;
	if (t->error == X509_V_OK)
		t->error = X509_STORE_CTX_get_error(x);
	return !t->must_verify;
}

int
tls_client_require(struct tls_client *t, const struct tls_client_server *s)
{
	/* SSL_dane_enable(3) sets a name, which set_names() sets again before it
	 * adds the others */
	if (set_tlsa(t, s) == -1 || set_names(t, s) == -1)
		return -1;
	if (t->must_verify && (t->has_unusable || !t->has_name)) {
		errno = t->has_unusable ? ENOTSUP : EINVAL;
		return -1;
	}
	X509_VERIFY_PARAM_set_auth_level(SSL_get0_param(t->ssl),
	    VERIFIED_LEVEL);
	SSL_set_security_level(t->ssl, t->must_verify ? VERIFIED_LEVEL :
	    LEAST_LEVEL);
	SSL_set_verify(t->ssl, SSL_VERIFY_PEER, on_verify);
	return 0;
}

/* --- the key of its sessions ---------------------------------------------- */

/* With its length: no two lists of octets are the same when joined. */
static int
add(EVP_MD_CTX *md, const void *v, size_t len)
{
	return EVP_DigestUpdate(md, &len, sizeof(len)) == 1 &&
	    (len == 0 || EVP_DigestUpdate(md, v, len) == 1);
}

static int
add_text(EVP_MD_CTX *md, const char *s)
{
	return add(md, s, s != NULL ? strlen(s) : 0);
}

static int
add_tlsa(EVP_MD_CTX *md, const struct tls_client_tlsa *r)
{
	const uint8_t numbers[] = { r->usage, r->selector, r->matching };

	return add(md, numbers, sizeof(numbers)) && add(md, r->data, r->len);
}

int
tls_client_key(struct tls_client *t, const struct tls_client_server *s)
{
	uint8_t must = s->must_verify;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t i;
	int rc;

	rc = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	    add(md, &must, 1) && add_text(md, s->hop) && add_text(md, s->name)
	    && add(md, &s->nnames, sizeof(s->nnames));
	for (i = 0; rc && i < s->nnames; i++)
		rc = add_text(md, s->names[i]);
	for (i = 0; rc && i < s->ntlsa; i++)
		rc = add_tlsa(md, &s->tlsa[i]);
	rc = rc && EVP_DigestFinal_ex(md, t->key, NULL) == 1;
	EVP_MD_CTX_free(md);
	t->has_key = rc == 1;
	if (rc)
		return 0;
	errno = ENOMEM;
	return -1;
}
