/* PLAIN, LOGIN, CRAM-MD5 and EXTERNAL: the mechanisms of a few lines each. */

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/saslprep.h"
#include "proto/sasl/auth_mech_int.h"

/* --- PLAIN, RFC 4616 ------------------------------------------------------ */

/* RFC 4616 2: message = [authzid] NUL authcid NUL passwd. */
struct plain {
	char		 login[AUTH_LOGIN_MAX + 1];
	const char	*authzid, *password;
};

static int
plain_split(const char *in, size_t len, struct plain *p_r)
{
	const char *end = in + len, *login, *password;

	if ((login = memchr(in, '\0', len)) == NULL)
		return -1;
	login++;
	if ((password = memchr(login, '\0', end - login)) == NULL)
		return -1;
	password++;
	if (memchr(password, '\0', end - password) != NULL)
		return -1;
	/* a name that is too long is well formed, but nobody's */
	if (!auth_name_copy(login, password - 1 - login, p_r->login))
		p_r->login[0] = '\0';
	p_r->authzid = in;
	p_r->password = password;
	return 0;
}

static int
plain_peek(const struct auth_exchange *, const char *in, size_t len,
    char *name_r)
{
	struct plain p;

	if (plain_split(in, len, &p) == -1 || p.login[0] == '\0')
		return 0;
	memcpy(name_r, p.login, sizeof(p.login));
	return 1;
}

static enum esmtp_auth_status
plain_step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *)
{
	enum esmtp_auth_status status;
	struct plain p;

	if (plain_split(in, len, &p) == -1)
		return ESMTP_AUTH_MALFORMED;
	if ((status = auth_exchange_claim(x, p.login)) != ESMTP_AUTH_CHALLENGE)
		return status;
	if (!auth_exchange_may_act_as(x, p.authzid))
		return auth_exchange_fail(x, ESMTP_WHY_AUTHZID);
	return auth_exchange_password(x, p.password);
}

const struct auth_mech_ops auth_mech_plain = { .step = plain_step,
	.peek = plain_peek };

/* --- LOGIN ---------------------------------------------------------------- */

static int
login_peek(const struct auth_exchange *x, const char *in, size_t len,
    char *name_r)
{
	return x->nresponses == 0 ? auth_name_copy(in, len, name_r) : 0;
}

/* The prompts are those that clients look for; some do not know the draft's
 * "User Name".  Many clients send the name as an initial response. */
static enum esmtp_auth_status
login_step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	char name[AUTH_LOGIN_MAX + 1];
	enum esmtp_auth_status status;

	if (in == NULL)
		return auth_octets_set(out, "Username:", 9);
	if (memchr(in, '\0', len) != NULL)
		return ESMTP_AUTH_MALFORMED;
	if (x->nresponses > 0)
		return auth_exchange_password(x, in);
	if (!auth_name_copy(in, len, name))
		return auth_exchange_fail(x, ESMTP_WHY_NAME);
	if ((status = auth_exchange_claim(x, name)) != ESMTP_AUTH_CHALLENGE)
		return status;
	return auth_octets_set(out, "Password:", 9);
}

const struct auth_mech_ops auth_mech_login = { .step = login_step,
	.peek = login_peek };

/* --- CRAM-MD5, RFC 2195 --------------------------------------------------- */

#define CRAM_DIGEST	32	/* hexadecimal digits; RFC 2195 2 */

/* RFC 2195 2: user name, space, digest. */
static int
cram_split(const char *in, size_t len, char *name_r)
{
	if (len < CRAM_DIGEST + 2 || in[len - CRAM_DIGEST - 1] != ' ' ||
	    strspn(in + len - CRAM_DIGEST, "0123456789abcdef") != CRAM_DIGEST ||
	    memchr(in, '\0', len) != NULL)
		return -1;
	if (!auth_name_copy(in, len - CRAM_DIGEST - 1, name_r))
		name_r[0] = '\0';
	return 0;
}

static int
cram_peek(const struct auth_exchange *, const char *in, size_t len,
    char *name_r)
{
	return cram_split(in, len, name_r) == 0 && name_r[0] != '\0';
}

/* RFC 2195 2: the challenge has the form of a Message-ID: random digits, a
 * timestamp, and the name of the server.  Keep it for the check. */
static enum esmtp_auth_status
cram_challenge(struct auth_exchange *x, struct auth_octets *out)
{
	uint64_t octets[2];
	char *challenge;

	if (RAND_bytes((unsigned char *)octets, sizeof(octets)) != 1)
		return ESMTP_AUTH_LATER;
	if (asprintf(&challenge, "<%020" PRIu64 "%020" PRIu64 ".%lld@%s>",
	    octets[0], octets[1], (long long)x->now, x->hostname) == -1)
		return ESMTP_AUTH_LATER;
	x->state = challenge;
	return auth_octets_set(out, challenge, strlen(challenge));
}

/* Is ${digest} the HMAC-MD5 of our challenge with this password? */
static bool
is_digest(const struct auth_exchange *x, const char *password,
    const uint8_t digest[CRAM_DIGEST / 2])
{
	uint8_t octets[EVP_MAX_MD_SIZE];
	bool is_same;

	is_same = HMAC(EVP_md5(), password, (int)strlen(password), x->state,
	    strlen(x->state), octets, NULL) != NULL &&
	    CRYPTO_memcmp(octets, digest, CRAM_DIGEST / 2) == 0;
	explicit_bzero(octets, sizeof(octets));
	return is_same;
}

/* The client may have prepared the password or not, whatever the file has. */
static enum esmtp_auth_status
cram_check(const struct auth_exchange *x, const char *password,
    const char *digest)
{
	char prepared[AUTH_PASSWORD_MAX + 1];
	uint8_t octets[CRAM_DIGEST / 2];
	bool is_right;

	if (saslprep_text(password, prepared, sizeof(prepared)) == -1)
		return errno == ENOMEM ? ESMTP_AUTH_LATER : ESMTP_AUTH_FAILED;
	if (OPENSSL_hexstr2buf_ex(octets, sizeof(octets), NULL, digest,
	    '\0') != 1)
		return ESMTP_AUTH_LATER;
	is_right = is_digest(x, prepared, octets);
	is_right |= is_digest(x, password, octets);
	explicit_bzero(prepared, sizeof(prepared));
	return is_right ? ESMTP_AUTH_OK : ESMTP_AUTH_FAILED;
}

/* For an unknown user the back end makes a password up: the digest is compared
 * all the same, and the answer is a failure in any case. */
static enum esmtp_auth_status
cram_response(struct auth_exchange *x, const char *in, size_t len)
{
	char name[AUTH_LOGIN_MAX + 1], password[AUTH_PASSWORD_MAX + 1];
	enum esmtp_auth_status status;
	enum auth_verdict v;

	if (cram_split(in, len, name) == -1)
		return ESMTP_AUTH_MALFORMED;
	if ((status = auth_exchange_claim(x, name)) != ESMTP_AUTH_CHALLENGE)
		return status;
	v = auth_back_cleartext(x->back, &x->client, x->login, password,
	    sizeof(password));
	status = v == AUTH_UNSURE ? ESMTP_AUTH_LATER :
	    cram_check(x, password, in + len - CRAM_DIGEST);
	explicit_bzero(password, sizeof(password));
	return status == ESMTP_AUTH_OK && v == AUTH_NO ? ESMTP_AUTH_FAILED :
	    status;
}

static enum esmtp_auth_status
cram_step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	return in == NULL ? cram_challenge(x, out) :
	    cram_response(x, in, len);
}

static void
cram_end(struct auth_exchange *x)
{
	free(x->state);
}

const struct auth_mech_ops auth_mech_cram_md5 = { .step = cram_step,
	.peek = cram_peek, .end = cram_end };

/* --- EXTERNAL, RFC 4422 A ------------------------------------------------- */

static int
external_peek(const struct auth_exchange *x, const char *, size_t,
    char *name_r)
{
	return x->peer_name != NULL && auth_name_copy(x->peer_name,
	    strlen(x->peer_name), name_r);
}

/* The client is who its certificate says; its response may name nobody else. */
static enum esmtp_auth_status
external_step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *)
{
	enum esmtp_auth_status status;

	if (memchr(in, '\0', len) != NULL)
		return ESMTP_AUTH_MALFORMED;
	if (x->peer_name == NULL)
		return auth_exchange_fail(x, ESMTP_WHY_CERTIFICATE);
	status = auth_exchange_claim(x, x->peer_name);
	if (status != ESMTP_AUTH_CHALLENGE)
		return status;
	if (!auth_exchange_may_act_as(x, in))
		return auth_exchange_fail(x, ESMTP_WHY_AUTHZID);
	status = auth_verdict_status(auth_back_exists(x->back, &x->client,
	    x->login));
	return status == ESMTP_AUTH_FAILED ?
	    auth_exchange_fail(x, ESMTP_WHY_USER) : status;
}

const struct auth_mech_ops auth_mech_external = { .step = external_step,
	.peek = external_peek };
