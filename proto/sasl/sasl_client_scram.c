/* SCRAM (RFC 5802, 7677), the client's side, on OpenSSL.
 * Owns: the grammar of what a server sends, strictly (RFC 5802 7). */

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "core/util/wipe.h"
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

#define GS2_MAX	(sizeof("p=,,") + SASL_CLIENT_TYPE)

/* RFC 5802 6: bound to the channel; or could be, if the server could ("y"); or
 * neither.  Return ${buf}. */
static const char *
gs2_header(const struct sasl_client *x, char buf[GS2_MAX])
{
	if (x->mech->is_plus)
		snprintf(buf, GS2_MAX, "p=%s,,", x->binding_type);
	else
		strcpy(buf, x->binding_len > 0 && !x->is_plus_offered ?
		    "y,," : "n,,");
	return buf;
}

static int
first(struct sasl_client *x, struct sasl_client_out *out)
{
	char name[3 * SASL_CLIENT_NAME_MAX + 1], gs2[GS2_MAX];

	sasl_client_saslname(x->user, name);
	if (asprintf(&x->bare, "n=%s,r=%s", name, x->nonce) == -1) {
		x->bare = NULL;
		return errno = ENOMEM, -1;
	}
	if (asprintf(&out->s, "%s%s", gs2_header(x, gs2), x->bare) == -1) {
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

/* posit-number, within our bounds */
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
	return n >= SASL_CLIENT_ITERATIONS_MIN ? 0 : -1;
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

/* --- the proof ------------------------------------------------------------ */

/* A proof that is under way: the SaltedPassword, PBKDF2 (RFC 8018 5.2) with one
 * block of output, of which each iteration is one HMAC with the same key. */
struct sasl_client_proof {
	EVP_MAC_CTX	*mac;		/* the password is its key */
	uint8_t		 last[EVP_MAX_MD_SIZE]; /* U of the last iteration */
	uint8_t		 salted[EVP_MAX_MD_SIZE]; /* exclusive or of all so far */
	unsigned int	 left;		/* iterations to be made */
	char		*start;		/* client-final-message-without-proof */
	char		*message;	/* AuthMessage */
};

void
sasl_client_scram_end(struct sasl_client *x)
{
	struct sasl_client_proof *p = x->proof;

	if (p == NULL)
		return;
	EVP_MAC_CTX_free(p->mac);
	free(p->start);
	free(p->message);
	wipe_free(p, sizeof(*p));
	x->proof = NULL;
}

static EVP_MAC_CTX *
mac_new(const struct sasl_client *x)
{
	char name[20];
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
		OSSL_PARAM_END
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac);
	snprintf(name, sizeof(name), "%s", EVP_MD_get0_name(hash(x)));
	if (ctx != NULL && EVP_MAC_init(ctx, (const uint8_t *)x->secret,
	    strlen(x->secret), params) == 1)
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

/* HMAC of what was updated to p->last, which goes into p->salted, too. */
static int
iterated(struct sasl_client_proof *p)
{
	size_t len, i;

	if (EVP_MAC_final(p->mac, p->last, &len, sizeof(p->last)) != 1)
		return -1;
	for (i = 0; i < len; i++)
		p->salted[i] ^= p->last[i];
	p->left--;
	return 0;
}

/* U1 = HMAC(password, salt || INT(1)) */
static int
derive_first(struct sasl_client_proof *p, const struct server_first *f)
{
	static const uint8_t one[] = { 0, 0, 0, 1 };

	p->left = f->iterations;
	return EVP_MAC_update(p->mac, f->salt, f->salt_len) == 1 &&
	    EVP_MAC_update(p->mac, one, sizeof(one)) == 1 ? iterated(p) : -1;
}

/* At most SASL_CLIENT_SLICE more. */
static int
derive(const struct sasl_client *x, struct sasl_client_proof *p)
{
	size_t len = (size_t)EVP_MD_get_size(hash(x)), n;

	for (n = 0; n < SASL_CLIENT_SLICE && p->left > 0; n++)
		/* without a key: the same again */
		if (EVP_MAC_init(p->mac, NULL, 0, NULL) != 1 ||
		    EVP_MAC_update(p->mac, p->last, len) != 1 ||
		    iterated(p) == -1)
			return -1;
	return 0;
}

/* RFC 5802 3: ClientProof, and the ServerSignature that is to come. */
static int
prove(struct sasl_client *x, const uint8_t *salted, const char *auth_message,
    uint8_t *proof)
{
	const EVP_MD *md = hash(x);
	size_t len = (size_t)EVP_MD_get_size(md), i;
	uint8_t key[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE];
	int rc = -1;

	if (hmac(md, salted, "Client Key", key) == -1 ||
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
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(stored, sizeof(stored));
	return rc;
}

/* client-final-message-without-proof; malloced, or NULL. */
static char *
without_proof(const struct sasl_client *x, const struct server_first *f)
{
	uint8_t octets[GS2_MAX + sizeof(x->binding)];
	char text[2 * sizeof(octets)], gs2[GS2_MAX], *s;
	size_t len = strlen(gs2_header(x, gs2));

	memcpy(octets, gs2, len);
	if (x->mech->is_plus) {
		memcpy(octets + len, x->binding, x->binding_len);
		len += x->binding_len;
	}
	if (base64_encode(octets, len, text, sizeof(text)) == -1 ||
	    asprintf(&s, "c=%s,r=%.*s", text, (int)f->nonce_len,
	    f->nonce) == -1)
		return NULL;
	return s;
}

/* The second message: its proof is begun. */
static int
begin_final(struct sasl_client *x, const char *in, size_t len)
{
	struct sasl_client_proof *p;
	struct server_first f;

	if (x->proof != NULL || parse_first(x, in, len, &f) == -1)
		return errno = EPROTO, -1;
	if ((p = x->proof = calloc(1, sizeof(*p))) == NULL)
		return -1;
	if ((p->start = without_proof(x, &f)) == NULL)
		return errno = ENOMEM, -1;
	if (asprintf(&p->message, "%s,%.*s,%s", x->bare, (int)len, in,
	    p->start) == -1) {
		p->message = NULL;
		return errno = ENOMEM, -1;
	}
	if ((p->mac = mac_new(x)) == NULL || derive_first(p, &f) == -1)
		return errno = ENOMEM, -1;
	return 1;
}

static int
end_final(struct sasl_client *x, struct sasl_client_out *out)
{
	struct sasl_client_proof *p = x->proof;
	char text[2 * EVP_MAX_MD_SIZE];
	uint8_t proof[EVP_MAX_MD_SIZE];
	int n = -1;

	if (prove(x, p->salted, p->message, proof) == 0 &&
	    base64_encode(proof, x->signature_len, text, sizeof(text)) != -1)
		n = asprintf(&out->s, "%s,p=%s", p->start, text);
	OPENSSL_cleanse(proof, sizeof(proof));
	if (n == -1) {
		out->s = NULL;
		return errno = ENOMEM, -1;
	}
	out->len = (size_t)n;
	return 0;
}

int
sasl_client_scram_go_on(struct sasl_client *x, struct sasl_client_out *out)
{
	int rc;

	if (x->proof == NULL)
		return errno = EPROTO, -1;
	if (derive(x, x->proof) == -1) {
		errno = ENOMEM;
		rc = -1;
	} else if (x->proof->left > 0)
		return 1;
	else
		rc = end_final(x, out);
	sasl_client_scram_end(x);
	return rc;
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
		return begin_final(x, in, len);
	case 2:
		return verify(x, in, len, out);
	default:
		return errno = EPROTO, -1;
	}
}
