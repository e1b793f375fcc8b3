/* SCRAM: messages and proofs. */

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "core/util/saslprep.h"
#include "proto/sasl/auth_mech.h"
#include "proto/sasl/auth_scram_int.h"

#define LETTERS	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS	"0123456789"

/* The part of a message that is not parsed yet. */
struct rest {
	const char	*s;
	size_t		 len;
};

static int
skip(struct rest *r, const char *text)
{
	size_t n = strlen(text);

	if (r->len < n || memcmp(r->s, text, n) != 0)
		return 0;
	r->s += n;
	r->len -= n;
	return 1;
}

/* Take the part up to the next comma, or all. */
static struct rest
field(struct rest *r)
{
	const char *comma = memchr(r->s, ',', r->len);
	struct rest f = { r->s, comma == NULL ? r->len :
	    (size_t)(comma - r->s) };

	r->s += f.len;
	r->len -= f.len;
	return f;
}

static int
is_of(struct rest f, const char *set)
{
	size_t i;

	for (i = 0; i < f.len; i++) {
		if (f.s[i] == '\0' || strchr(set, f.s[i]) == NULL)
			return 0;
	}
	return f.len > 0;
}

/* printable: %x21-2B / %x2D-7E */
static int
is_nonce(struct rest f)
{
	size_t i;

	for (i = 0; i < f.len; i++) {
		if (f.s[i] < 0x21 || f.s[i] > 0x7e)
			return 0;
	}
	return f.len > 0;
}

/* saslname: "," and "=" are =2C and =3D; any other "=" MUST fail (RFC 5802
 * 5.1). */
static int
saslname(struct rest f, char *name_r)
{
	static const struct { char text[4], octet; } escapes[] = {
		{ "=2C", ',' }, { "=3D", '=' } };
	size_t n = 0, i;

	if (f.len == 0 || !saslprep_is_utf8(f.s, f.len))
		return errno = EINVAL, -1;
	while (f.len > 0) {
		if (n == AUTH_LOGIN_MAX)
			return errno = ENAMETOOLONG, -1;
		for (i = 0; i < 2 && !skip(&f, escapes[i].text); i++)
			continue;
		if (i < 2) {
			name_r[n++] = escapes[i].octet;
			continue;
		}
		if (*f.s == '=')
			return errno = EINVAL, -1;
		name_r[n++] = *f.s++;
		f.len--;
	}
	name_r[n] = '\0';
	return 0;
}

/* extensions = attr-val *("," attr-val): ignored, but their form is checked. */
static int
extensions(struct rest *r)
{
	struct rest f;

	while (r->len > 0) {
		if (!skip(r, ","))
			return -1;
		f = field(r);
		if (f.len < 3 || strchr(LETTERS, f.s[0]) == NULL ||
		    f.s[0] == '\0' || f.s[1] != '=' ||
		    !saslprep_is_utf8(f.s, f.len))
			return -1;
	}
	return 0;
}

/* gs2-header = gs2-cbind-flag "," [authzid] "," */
static int
gs2_header(struct rest *r, struct scram_first *f_r)
{
	struct rest f;

	if (skip(r, "p=")) {
		f = field(r);
		if (!is_of(f, LETTERS DIGITS ".-"))
			return errno = EINVAL, -1;
		f_r->flag = 'p';
		f_r->binding = f.s;
		f_r->binding_len = f.len;
	} else if (skip(r, "n")) {
		f_r->flag = 'n';
	} else if (skip(r, "y")) {
		f_r->flag = 'y';
	} else
		return errno = EINVAL, -1;
	if (!skip(r, ","))
		return errno = EINVAL, -1;
	if (skip(r, "a=") && saslname(field(r), f_r->authzid) == -1)
		return -1;
	return skip(r, ",") ? 0 : (errno = EINVAL, -1);
}

int
scram_first_parse(const char *s, size_t len, struct scram_first *f_r)
{
	struct rest r = { s, len }, f;

	memset(f_r, 0, sizeof(*f_r));
	if (gs2_header(&r, f_r) == -1)
		return -1;
	f_r->gs2_len = len - r.len;
	/* RFC 5802 5.1: a mandatory extension, none of which is known */
	if (skip(&r, "m="))
		return errno = ENOTSUP, -1;
	if (!skip(&r, "n="))
		return errno = EINVAL, -1;
	if (saslname(field(&r), f_r->name) == -1)
		return -1;
	if (!skip(&r, ",r="))
		return errno = EINVAL, -1;
	f = field(&r);
	if (!is_nonce(f) || f.len > AUTH_NONCE_MAX || extensions(&r) == -1)
		return errno = EINVAL, -1;
	f_r->nonce = f.s;
	f_r->nonce_len = f.len;
	return 0;
}

int
scram_final_parse(const char *s, size_t len, struct scram_final *f_r)
{
	struct rest r = { s, len }, f, before;
	const char *proof;
	ssize_t n;

	memset(f_r, 0, sizeof(*f_r));
	if (!skip(&r, "c="))
		return errno = EINVAL, -1;
	f = field(&r);
	f_r->binding = f.s;
	f_r->binding_len = f.len;
	if (!skip(&r, ",r="))
		return errno = EINVAL, -1;
	f = field(&r);
	f_r->nonce = f.s;
	f_r->nonce_len = f.len;
	if (!is_nonce(f) ||
	    (proof = memmem(r.s, r.len, ",p=", 3)) == NULL)
		return errno = EINVAL, -1;
	before = (struct rest){ r.s, proof - r.s };
	f = (struct rest){ proof + 3, s + len - proof - 3 };
	if (extensions(&before) == -1 || (n = base64_decode(f.s, f.len,
	    f_r->proof, sizeof(f_r->proof))) <= 0)
		return errno = EINVAL, -1;
	f_r->without_len = proof - s;
	f_r->proof_len = n;
	return 0;
}

int
scram_server_begin(struct scram_server *s, const char *message, size_t len,
    const struct scram_first *f, const char *nonce)
{
	char salt[sizeof(s->keys.salt) * 2];

	if (base64_encode(s->keys.salt, s->keys.salt_len, salt,
	    sizeof(salt)) == -1)
		return -1;
	s->gs2 = strndup(message, f->gs2_len);
	s->bare = strndup(message + f->gs2_len, len - f->gs2_len);
	if (s->gs2 == NULL || s->bare == NULL)
		return -1;
	if (asprintf(&s->first, "r=%.*s%s,s=%s,i=%u", (int)f->nonce_len,
	    f->nonce, nonce, salt, s->keys.iterations) == -1) {
		s->first = NULL;
		return errno = ENOMEM, -1;
	}
	return 0;
}

/* RFC 5802 6: "c=" is the gs2-header and, behind it, the binding. */
static int
is_bound(const struct scram_server *s, const struct scram_final *f)
{
	size_t gs2_len = strlen(s->gs2);
	uint8_t *got;
	ssize_t n;
	int res;

	if ((got = malloc(f->binding_len + 1)) == NULL)
		return -1;
	n = base64_decode(f->binding, f->binding_len, got, f->binding_len + 1);
	res = n >= 0 && (size_t)n == gs2_len + s->binding_len &&
	    memcmp(got, s->gs2, gs2_len) == 0 &&
	    CRYPTO_memcmp(got + gs2_len, s->binding, s->binding_len) == 0;
	free(got);
	return res;
}

/* Does the client repeat both nonces, as server-first-message has them? */
static int
has_nonce(const struct scram_server *s, const struct scram_final *f)
{
	size_t len = strcspn(s->first + 2, ",");

	return f->nonce_len == len &&
	    memcmp(f->nonce, s->first + 2, len) == 0;
}

static int
hmac(const EVP_MD *md, const uint8_t *key, size_t len, const char *text,
    uint8_t *out)
{
	unsigned int n;

	return HMAC(md, key, len, (const unsigned char *)text, strlen(text),
	    out, &n) == NULL ? -1 : 0;
}

/* ClientKey := ClientProof XOR HMAC(StoredKey, AuthMessage), and H(ClientKey)
 * is the StoredKey (RFC 5802 3). */
static int
is_proven(const struct scram_server *s, const EVP_MD *md, const char *message,
    const struct scram_final *f)
{
	uint8_t key[EVP_MAX_MD_SIZE], stored[EVP_MAX_MD_SIZE];
	size_t i;
	int res = -1;

	if (f->proof_len != s->keys.key_len)
		return 0;
	if (hmac(md, s->keys.stored_key, s->keys.key_len, message, key) == 0) {
		for (i = 0; i < f->proof_len; i++)
			key[i] ^= f->proof[i];
		if (EVP_Digest(key, f->proof_len, stored, NULL, md, NULL) == 1)
			res = CRYPTO_memcmp(stored, s->keys.stored_key,
			    s->keys.key_len) == 0;
	}
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(stored, sizeof(stored));
	return res;
}

/* server-final-message: "v=" and HMAC(ServerKey, AuthMessage). */
static int
signature(const struct scram_server *s, const EVP_MD *md, const char *message,
    char *final_r, size_t size)
{
	uint8_t octets[EVP_MAX_MD_SIZE];
	char text[EVP_MAX_MD_SIZE * 2];

	if (hmac(md, s->keys.server_key, s->keys.key_len, message, octets) ==
	    -1 || base64_encode(octets, s->keys.key_len, text,
	    sizeof(text)) == -1)
		return -1;
	return snprintf(final_r, size, "v=%s", text) < (int)size ? 1 : -1;
}

int
scram_server_check(const struct scram_server *s, const char *message,
    const struct scram_final *f, char *final_r, size_t size)
{
	const EVP_MD *md = s->hash == PASSWDFILE_SHA1 ? EVP_sha1() :
	    EVP_sha256();
	char *auth_message;
	int res;

	if (!has_nonce(s, f))
		return errno = EPROTO, -1;
	if ((res = is_bound(s, f)) != 1)
		return errno = res == 0 ? EPROTO : ENOMEM, -1;
	if (asprintf(&auth_message, "%s,%s,%.*s", s->bare, s->first,
	    (int)f->without_len, message) == -1)
		return errno = ENOMEM, -1;
	res = is_proven(s, md, auth_message, f);
	if (res == 1)
		res = signature(s, md, auth_message, final_r, size);
	free(auth_message);
	return res;
}

void
scram_server_wipe(struct scram_server *s)
{
	free(s->gs2);
	free(s->bare);
	free(s->first);
	explicit_bzero(s, sizeof(*s));
}
