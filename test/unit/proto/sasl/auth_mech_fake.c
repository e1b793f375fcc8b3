#include "test/unit/proto/sasl/auth_mech_fake.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ITERATIONS	4096	/* the least that RFC 7677 4 has */

static bool
is_user(struct fake *f, const char *login)
{
	f->nasked++;
	strcpy(f->asked, login);
	return strcmp(login, f->login) == 0;
}

static enum auth_verdict
verdict(const struct fake *f, bool is_good)
{
	return f->is_down ? AUTH_UNSURE : is_good ? AUTH_YES : AUTH_NO;
}

static enum auth_verdict
fake_password(void *state, const struct auth_client *, const char *login,
    const char *password)
{
	struct fake *f = state;
	bool is_known = is_user(f, login);

	cr_assert_leq(strlen(password), AUTH_PASSWORD_MAX);
	strcpy(f->secret, password);
	return verdict(f, is_known && strcmp(password, f->password) == 0);
}

static enum auth_verdict
fake_token(void *state, const struct auth_client *, const char *login,
    const char *token)
{
	struct fake *f = state;
	bool is_known = is_user(f, login);

	return verdict(f, is_known && strcmp(token, f->token) == 0);
}

static enum auth_verdict
fake_exists(void *state, const struct auth_client *, const char *login)
{
	return verdict(state, is_user(state, login));
}

static enum auth_verdict
fake_scram(void *state, const struct auth_client *, const char *login,
    enum passwdfile_scram_hash hash, struct passwdfile_scram *s)
{
	struct fake *f = state;
	bool is_known = is_user(f, login);
	char salted[GSASL_HASH_MAX_SIZE], client_key[GSASL_HASH_MAX_SIZE];

	memset(s, 0, sizeof(*s));
	s->iterations = ITERATIONS;
	s->salt_len = 16;
	memset(s->salt, is_known ? 's' : 'u', s->salt_len);
	s->key_len = hash == PASSWDFILE_SHA1 ? 20 : 32;
	cr_assert_eq(gsasl_scram_secrets_from_password(
	    hash == PASSWDFILE_SHA1 ? GSASL_HASH_SHA1 : GSASL_HASH_SHA256,
	    f->password, s->iterations, (const char *)s->salt, s->salt_len,
	    salted, client_key, (char *)s->server_key, (char *)s->stored_key),
	    GSASL_OK);
	return verdict(f, is_known);
}

static enum auth_verdict
fake_cleartext(void *state, const struct auth_client *,
    const char *login, char *buf, size_t len)
{
	struct fake *f = state;
	bool is_known = is_user(f, login);

	/* what a mechanism makes of it for others must come to nothing */
	snprintf(buf, len, "%s", f->password);
	return verdict(f, is_known);
}

static const struct auth_back_ops fake_ops = { .password = fake_password,
	.token = fake_token, .exists = fake_exists, .scram = fake_scram,
	.cleartext = fake_cleartext };

void
fake_init(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->back.ops = &fake_ops;
	f->back.state = f;
	f->login = "user";
	f->password = "pencil";
	f->token = "abc";
	f->start.back = &f->back;
	f->start.now = time(NULL);
	f->start.hostname = "mx.example.test";
}

struct auth_exchange *
fake_exchange(struct fake *f, const char *mech)
{
	struct auth_exchange *x;

	f->start.mech = mech;
	x = auth_exchange_new(&f->start);
	cr_assert_not_null(x, "%s", mech);
	return x;
}

enum esmtp_auth_status
say(struct auth_exchange *x, const char *text, size_t len, struct said *said_r)
{
	char *exact = NULL, *out;

	/* nothing behind it, so that the sanitizer sees a read beyond it */
	if (text != NULL) {
		exact = malloc(len == 0 ? 1 : len);
		memcpy(exact, text, len);
	}
	said_r->status = auth_exchange_step(x, exact, len, INT64_MAX, &out,
	    &said_r->len);
	free(exact);
	cr_assert(said_r->status == ESMTP_AUTH_CHALLENGE || out == NULL);
	cr_assert_lt(said_r->len, sizeof(said_r->text));
	if (out != NULL)
		memcpy(said_r->text, out, said_r->len);
	said_r->text[said_r->len] = '\0';
	free(out);
	return said_r->status;
}

enum esmtp_auth_status
say_text(struct auth_exchange *x, const char *text, struct said *said_r)
{
	return say(x, text, text == NULL ? 0 : strlen(text), said_r);
}

void
client_init(struct client *c, const char *mech, const char *login,
    const char *password)
{
	cr_assert_eq(gsasl_init(&c->handle), GSASL_OK);
	cr_assert_eq(gsasl_client_start(c->handle, mech, &c->session),
	    GSASL_OK, "%s", mech);
	gsasl_property_set(c->session, GSASL_AUTHID, login);
	gsasl_property_set(c->session, GSASL_PASSWORD, password);
}

void
client_free(struct client *c)
{
	gsasl_finish(c->session);
	gsasl_done(c->handle);
}

/* The client begins with nothing, or with its initial response: as the
 * library's mechanism likes it. */
enum esmtp_auth_status
play(struct auth_exchange *x, struct client *c)
{
	struct said said;
	char *response = NULL;
	size_t len;
	int res = GSASL_NEEDS_MORE;

	say(x, NULL, 0, &said);
	while (said.status == ESMTP_AUTH_CHALLENGE) {
		response = NULL;
		len = 0;
		if (res == GSASL_NEEDS_MORE) {
			res = gsasl_step(c->session, said.text, said.len,
			    &response, &len);
			cr_assert(res == GSASL_OK || res == GSASL_NEEDS_MORE,
			    "client: %s", gsasl_strerror(res));
		}
		say(x, response == NULL ? "" : response, len, &said);
		gsasl_free(response);
	}
	if (said.status == ESMTP_AUTH_OK)
		cr_assert_eq(res, GSASL_OK, "the client is not content");
	return said.status;
}
