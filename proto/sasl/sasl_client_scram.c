/* SCRAM (RFC 5802, 7677), the client's side, on OpenSSL.
 * Owns: the grammar of what a server sends, strictly (RFC 5802 7). */

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "proto/sasl/sasl_client_int.h"

#define RANDOM		24	/* octets of a nonce, before base64 */
#define SALT_MAX	1024	/* octets */

void
sasl_client_saslname(const char *name, char *out)
{
	for (; *name != '\0'; name++)
		if (*name == ',' || *name == '=')
			out = stpcpy(out, *name == ',' ? "=2C" : "=3D");
		else
			*out++ = *name;
	*out = '\0';
}

/* RFC 5802 5.1: printable, without a comma; base64 is both. */
int
sasl_client_nonce(struct sasl_client *x, const char *nonce)
{
	uint8_t octets[RANDOM];

	if (nonce != NULL) {
		if (strlen(nonce) >= sizeof(x->nonce))
			return errno = EINVAL, -1;
		strcpy(x->nonce, nonce);
		return 0;
	}
	if (RAND_bytes(octets, sizeof(octets)) != 1)
		return errno = EIO, -1;
	return base64_encode(octets, sizeof(octets), x->nonce,
	    sizeof(x->nonce)) == -1 ? -1 : 0;
}

static const EVP_MD *
hash(const struct sasl_client *x)
{
	return strstr(x->mech->name, "SHA-256") != NULL ? EVP_sha256() :
	    EVP_sha1();
}

/* RFC 5802 6: bound to the channel; or could be, if the server could ("y"); or
 * neither. */
static const char *
gs2_header(const struct sasl_client *x)
{
	if (x->mech->is_plus)
		return "p=tls-exporter,,";
	return x->exporter_len > 0 && !x->is_plus_offered ? "y,," : "n,,";
}

static int
first(struct sasl_client *x, struct sasl_client_out *out)
{
	char name[3 * SASL_CLIENT_NAME_MAX + 1];

	sasl_client_saslname(x->user, name);
	if (asprintf(&x->bare, "n=%s,r=%s", name, x->nonce) == -1) {
		x->bare = NULL;
		return errno = ENOMEM, -1;
	}
	if (asprintf(&out->s, "%s%s", gs2_header(x), x->bare) == -1) {
		out->s = NULL;
		return errno = ENOMEM, -1;
	}
	out->len = strlen(out->s);
	return 0;
}

/* What server-first-message says. */
struct server_first {
	const char	*nonce;
	size_t		 nonce_len;
	uint8_t		 salt[SALT_MAX];
	size_t		 salt_len;
	unsigned int	 iterations;
};

/* The value of the attribute ${name} at *s, up to a comma or the end, which is
 * skipped.  Return its length, or -1. */
static ssize_t
attribute(const char **s, const char *end, char name, const char **value_r)
{
	const char *comma;

	if (end - *s < 2 || (*s)[0] != name || (*s)[1] != '=')
		return -1;
	*value_r = *s + 2;
	comma = memchr(*value_r, ',', (size_t)(end - *value_r));
	*s = comma != NULL ? comma + 1 : end;
	return (comma != NULL ? comma : end) - *value_r;
}

/* posit-number, as far as it is bounded here */
static int
number(const char *s, size_t len, unsigned int *n_r)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || (i == 0 && s[i] == '0'))
			return -1;
		if ((n = n * 10 + (unsigned int)(s[i] - '0')) >
		    SASL_CLIENT_ITERATIONS_MAX)
			return -1;
	}
	*n_r = n;
	return n > 0 ? 0 : -1;
}

/* RFC 5802 7: [reserved-mext ","] nonce "," salt "," iteration-count [","
 * extensions]; a mandatory extension is none that is known, and the nonce
 * begins with ours. */
static int
parse_first(const struct sasl_client *x, const char *s, size_t len,
    struct server_first *f)
{
	const char *end = s + len, *value;
	ssize_t n;

	if (memchr(s, '\0', len) != NULL ||
	    (n = attribute(&s, end, 'r', &f->nonce)) == -1)
		return -1;
	f->nonce_len = (size_t)n;
	if (f->nonce_len <= strlen(x->nonce) ||
	    memcmp(f->nonce, x->nonce, strlen(x->nonce)) != 0)
		return -1;
	if ((n = attribute(&s, end, 's', &value)) == -1 ||
	    (n = base64_decode(value, (size_t)n, f->salt,
	    sizeof(f->salt))) <= 0)
		return -1;
	f->salt_len = (size_t)n;
	if ((n = attribute(&s, end, 'i', &value)) == -1)
		return -1;
	return number(value, (size_t)n, &f->iterations);
}

static int
hmac(const EVP_MD *md, const uint8_t *key, const char *text, uint8_t *out)
{
	unsigned int n;

	return HMAC(md, key, EVP_MD_get_size(md), (const unsigned char *)text,
	    strlen(text), out, &n) == NULL ? -1 : 0;
}

/* RFC 5802 3: ClientProof, and the ServerSignature that is to come. */
static int
prove(struct sasl_client *x, const struct server_first *f,
    const char *auth_message, uint8_t *proof)
{
	const EVP_MD *md = hash(x);
	size_t len = (size_t)EVP_MD_get_size(md), i;
	uint8_t salted[EVP_MAX_MD_SIZE], key[EVP_MAX_MD_SIZE],
	    stored[EVP_MAX_MD_SIZE];
	int rc = -1;

	if (PKCS5_PBKDF2_HMAC(x->secret, (int)strlen(x->secret), f->salt,
	    (int)f->salt_len, (int)f->iterations, md, (int)len, salted) != 1 ||
	    hmac(md, salted, "Client Key", key) == -1 ||
	    EVP_Digest(key, len, stored, NULL, md, NULL) != 1 ||
	    hmac(md, stored, auth_message, proof) == -1)
		goto done;
	for (i = 0; i < len; i++)
		proof[i] ^= key[i];
	if (hmac(md, salted, "Server Key", key) == -1 ||
	    hmac(md, key, auth_message, x->signature) == -1)
		goto done;
	x->signature_len = len;
	rc = 0;
done:
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(stored, sizeof(stored));
	return rc == -1 ? (errno = ENOMEM, -1) : 0;
}

/* client-final-message-without-proof; malloced, or NULL. */
static char *
without_proof(const struct sasl_client *x, const struct server_first *f)
{
	const char *gs2 = gs2_header(x);
	size_t len = strlen(gs2);
	uint8_t octets[sizeof("p=tls-exporter,,") + sizeof(x->exporter)];
	char text[2 * sizeof(octets)], *s;

	memcpy(octets, gs2, len);
	if (x->mech->is_plus) {
		memcpy(octets + len, x->exporter, x->exporter_len);
		len += x->exporter_len;
	}
	if (base64_encode(octets, len, text, sizeof(text)) == -1 ||
	    asprintf(&s, "c=%s,r=%.*s", text, (int)f->nonce_len,
	    f->nonce) == -1)
		return NULL;
	return s;
}

static int
final(struct sasl_client *x, const char *in, size_t len,
    struct sasl_client_out *out)
{
	char text[2 * EVP_MAX_MD_SIZE], *start, *message = NULL;
	uint8_t proof[EVP_MAX_MD_SIZE];
	struct server_first f;
	int rc = -1;

	if (parse_first(x, in, len, &f) == -1)
		return errno = EPROTO, -1;
	if ((start = without_proof(x, &f)) == NULL)
		return errno = ENOMEM, -1;
	if (asprintf(&message, "%s,%.*s,%s", x->bare, (int)len, in,
	    start) == -1) {
		free(start);
		return errno = ENOMEM, -1;
	}
	if (prove(x, &f, message, proof) == 0 && base64_encode(proof,
	    x->signature_len, text, sizeof(text)) != -1) {
		if (asprintf(&out->s, "%s,p=%s", start, text) == -1)
			out->s = NULL;
		else
			rc = 0;
	}
	free(start);
	free(message);
	OPENSSL_cleanse(proof, sizeof(proof));
	if (rc == -1)
		return errno = ENOMEM, -1;
	out->len = strlen(out->s);
	return 0;
}

/* server-final-message: the server has to know the password, too; "e=" is a
 * refusal. */
static int
verify(struct sasl_client *x, const char *in, size_t len,
    struct sasl_client_out *out)
{
	uint8_t got[EVP_MAX_MD_SIZE];
	const char *s = in, *value;
	ssize_t n = attribute(&s, in + len, 'v', &value);

	if (n == -1 || (n = base64_decode(value, (size_t)n, got,
	    sizeof(got))) == -1 || (size_t)n != x->signature_len ||
	    CRYPTO_memcmp(got, x->signature, x->signature_len) != 0)
		return errno = EPROTO, -1;
	if ((out->s = strdup("")) == NULL)
		return -1;
	x->is_done = true;
	return 0;
}

int
sasl_client_scram(struct sasl_client *x, const char *in, size_t len,
    struct sasl_client_out *out)
{
	switch (x->nsteps) {
	case 0:
		return first(x, out);
	case 1:
		return final(x, in, len, out);
	case 2:
		return verify(x, in, len, out);
	default:
		return errno = EPROTO, -1;
	}
}
