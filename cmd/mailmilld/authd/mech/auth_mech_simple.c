/* PLAIN, LOGIN, CRAM-MD5 and EXTERNAL: who says what, checked before the
 * library sees it. */

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/authd/mech/auth_mech_int.h"

#define CRAM_DIGEST	32	/* hexadecimal digits; RFC 2195 2 */

static int
begin(struct auth_exchange *x)
{
	x->state = auth_gsasl_new(x);
	return x->state == NULL ? -1 : 0;
}

static void
end(struct auth_exchange *x)
{
	auth_gsasl_free(x->state);
}

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
	/* too long is no grammar error, but no name either */
	if (!auth_name_copy(login, password - 1 - login, p_r->login))
		p_r->login[0] = '\0';
	p_r->authzid = in;
	p_r->password = password;
	return 0;
}

static int
plain_peek(const struct auth_exchange *x, const char *in, size_t len,
    char *name_r)
{
	struct plain p;

	(void)x;
	if (plain_split(in, len, &p) == -1 || p.login[0] == '\0')
		return 0;
	memcpy(name_r, p.login, sizeof(p.login));
	return 1;
}

/* The message with a stand-in for its password. */
static enum esmtp_auth_status
plain_library(struct auth_exchange *x, const char *in, const struct plain *p,
    struct auth_octets *out)
{
	size_t len = p->password - in;
	enum esmtp_auth_status status;
	char *message;

	if ((message = malloc(len + sizeof(AUTH_STAND_IN))) == NULL)
		return ESMTP_AUTH_LATER;
	memcpy(message, in, len);
	memcpy(message + len, AUTH_STAND_IN, sizeof(AUTH_STAND_IN));
	status = auth_gsasl_step_secret(x->state, message,
	    len + sizeof(AUTH_STAND_IN) - 1, p->password, out);
	free(message);
	return status;
}

static enum esmtp_auth_status
plain_step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	enum esmtp_auth_status status;
	struct plain p;

	if (plain_split(in, len, &p) == -1)
		return ESMTP_AUTH_MALFORMED;
	if ((status = auth_exchange_claim(x, p.login)) != ESMTP_AUTH_CHALLENGE)
		return status;
	if (!auth_exchange_may_act_as(x, p.authzid))
		return ESMTP_AUTH_FAILED;
	status = plain_library(x, in, &p, out);
	/* the library takes no name that RFC 4013 forbids, and fails before it
	 * asks; core/util/saslprep.h says why we do */
	if (status == ESMTP_AUTH_FAILED && !auth_gsasl_has_asked(x->state))
		return auth_exchange_password(x, p.password);
	return status;
}

const struct auth_mech_ops auth_mech_plain = { .is_client_first = true,
	.begin = begin, .step = plain_step, .peek = plain_peek, .end = end };

/* LOGIN.  The prompts are those that clients look for (the draft has "User
 * Name", which some do not know); a name behind the command is no prompt's
 * answer, but many clients send it. */
static enum esmtp_auth_status
login_prompt(struct auth_octets *out, const char *text)
{
	free(out->s);
	return auth_octets_set(out, text, strlen(text));
}

static int
login_peek(const struct auth_exchange *x, const char *in, size_t len,
    char *name_r)
{
	return x->nresponses == 0 ? auth_name_copy(in, len, name_r) : 0;
}

static enum esmtp_auth_status
login_name(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	char name[AUTH_LOGIN_MAX + 1];
	enum esmtp_auth_status status;

	if (memchr(in, '\0', len) != NULL)
		return ESMTP_AUTH_MALFORMED;
	if (!auth_name_copy(in, len, name))
		return ESMTP_AUTH_FAILED;
	if ((status = auth_exchange_claim(x, name)) != ESMTP_AUTH_CHALLENGE)
		return status;
	status = auth_gsasl_step(x->state, in, len, out);
	return status != ESMTP_AUTH_CHALLENGE ? status :
	    login_prompt(out, "Password:");
}

static enum esmtp_auth_status
login_step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	enum esmtp_auth_status status;

	if (x->nresponses > 0)
		return memchr(in, '\0', len) != NULL ? ESMTP_AUTH_MALFORMED :
		    auth_gsasl_step_secret(x->state, AUTH_STAND_IN,
		    sizeof(AUTH_STAND_IN) - 1, in, out);
	if (x->is_initial) {
		status = auth_gsasl_step(x->state, NULL, 0, out);
		if (status != ESMTP_AUTH_CHALLENGE)
			return status;
		if (in == NULL)
			return login_prompt(out, "Username:");
		free(out->s);
		out->s = NULL;
	}
	return login_name(x, in, len, out);
}

const struct auth_mech_ops auth_mech_login = { .begin = begin,
	.step = login_step, .peek = login_peek, .end = end };

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
cram_peek(const struct auth_exchange *x, const char *in, size_t len,
    char *name_r)
{
	(void)x;
	return cram_split(in, len, name_r) == 0 && name_r[0] != '\0';
}

/* The password of a user, or one that nobody can know: the digest is worked out
 * for both. */
static enum esmtp_auth_status
cram_password(struct auth_exchange *x, char *buf, size_t size)
{
	enum auth_verdict v;
	uint8_t octets[16];
	size_t i;

	v = auth_back_cleartext(x->back, &x->client, x->login, buf, size);
	if (v == AUTH_UNSURE || (v == AUTH_NO &&
	    RAND_bytes(octets, sizeof(octets)) != 1))
		return ESMTP_AUTH_LATER;
	for (i = 0; v == AUTH_NO && i < sizeof(octets); i++)
		snprintf(buf + 2 * i, 3, "%02x", octets[i]);
	return ESMTP_AUTH_CHALLENGE;
}

static enum esmtp_auth_status
cram_response(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	char name[AUTH_LOGIN_MAX + 1], password[AUTH_PASSWORD_MAX + 1];
	struct auth_gsasl *g = x->state;
	enum esmtp_auth_status status;

	if (cram_split(in, len, name) == -1)
		return ESMTP_AUTH_MALFORMED;
	if ((status = auth_exchange_claim(x, name)) != ESMTP_AUTH_CHALLENGE ||
	    (status = cram_password(x, password, sizeof(password))) !=
	    ESMTP_AUTH_CHALLENGE)
		return status;
	status = auth_gsasl_password(g, password) == -1 ? ESMTP_AUTH_LATER :
	    auth_gsasl_step(g, in, len, out);
	explicit_bzero(password, sizeof(password));
	return status;
}

static enum esmtp_auth_status
cram_step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	if (in == NULL)
		return auth_gsasl_step(x->state, NULL, 0, out);
	/* RFC 4954 4: the server begins: an initial response gets 501 */
	if (x->is_initial)
		return ESMTP_AUTH_MALFORMED;
	return cram_response(x, in, len, out);
}

const struct auth_mech_ops auth_mech_cram_md5 = { .begin = begin,
	.step = cram_step, .peek = cram_peek, .end = end };

static int
external_peek(const struct auth_exchange *x, const char *in, size_t len,
    char *name_r)
{
	(void)in;
	(void)len;
	return x->peer_name != NULL && auth_name_copy(x->peer_name,
	    strlen(x->peer_name), name_r);
}

static enum esmtp_auth_status
external_step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	enum esmtp_auth_status status;

	if (memchr(in, '\0', len) != NULL)
		return ESMTP_AUTH_MALFORMED;
	if (x->peer_name == NULL)
		return ESMTP_AUTH_FAILED;
	status = auth_exchange_claim(x, x->peer_name);
	return status != ESMTP_AUTH_CHALLENGE ? status :
	    auth_gsasl_step(x->state, in, len, out);
}

const struct auth_mech_ops auth_mech_external = { .is_client_first = true,
	.begin = begin, .step = external_step, .peek = external_peek,
	.end = end };
