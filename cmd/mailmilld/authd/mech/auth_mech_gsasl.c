/* GNU SASL: its sessions, its callback, its errors.
 * Its handle is shared: "multiple library handles and session handles may be
 * used in parallel" (its manual, 1.3), and this one is const once it is open.
 * Whoever calls has checked what the library hands on unchecked: lengths,
 * NULs, who acts for whom. */

#include <errno.h>
#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/authd/mech/auth_mech_int.h"

struct auth_gsasl {
	Gsasl_session		*session;
	struct auth_exchange	*x;
	enum esmtp_auth_status	 verdict;	/* of the callback */
	const char		*secret;	/* of the step, or NULL */
};

static Gsasl *handle;

/* What an error of the library's means here; the rest: FAILED. */
static const struct {
	int			 error;
	enum esmtp_auth_status	 status;
} errors[] = {
	{ GSASL_OK, ESMTP_AUTH_OK },
	{ GSASL_NEEDS_MORE, ESMTP_AUTH_CHALLENGE },
	{ GSASL_MECHANISM_PARSE_ERROR, ESMTP_AUTH_MALFORMED },
	{ GSASL_BASE64_ERROR, ESMTP_AUTH_MALFORMED },
	{ GSASL_MALLOC_ERROR, ESMTP_AUTH_LATER },
	{ GSASL_CRYPTO_ERROR, ESMTP_AUTH_LATER },
};

static enum esmtp_auth_status
error_status(int error)
{
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].error == error)
			return errors[i].status;
	}
	return ESMTP_AUTH_FAILED;
}

/* The library keeps its own copy of a secret, and only frees it. */
static void
wipe(Gsasl_session *session, Gsasl_property property)
{
	const char *s = gsasl_property_fast(session, property);

	if (s != NULL)
		explicit_bzero((char *)(uintptr_t)s, strlen(s));
}

/* PLAIN and LOGIN: the library has taken the response apart. */
static enum esmtp_auth_status
validate_simple(struct auth_gsasl *g)
{
	return g->secret == NULL ? ESMTP_AUTH_FAILED :
	    auth_exchange_password(g->x, g->secret);
}

/* EXTERNAL: ${login} is what the certificate says, claimed before. */
static enum esmtp_auth_status
validate_external(struct auth_gsasl *g)
{
	struct auth_exchange *x = g->x;
	const char *authzid = gsasl_property_fast(g->session, GSASL_AUTHZID);

	if (authzid != NULL && !auth_exchange_may_act_as(x, authzid))
		return ESMTP_AUTH_FAILED;
	return auth_verdict_status(auth_back_exists(x->back, &x->client,
	    x->login));
}

static const struct {
	Gsasl_property		  property;
	enum esmtp_auth_status	(*validate)(struct auth_gsasl *g);
} validations[] = {
	{ GSASL_VALIDATE_SIMPLE, validate_simple },
	{ GSASL_VALIDATE_EXTERNAL, validate_external },
};

static int
callback(Gsasl *ctx, Gsasl_session *session, Gsasl_property property)
{
	struct auth_gsasl *g = gsasl_session_hook_get(session);
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(validations) / sizeof(validations[0]); i++) {
		if (validations[i].property != property)
			continue;
		g->verdict = validations[i].validate(g);
		return g->verdict == ESMTP_AUTH_OK ? GSASL_OK :
		    GSASL_AUTHENTICATION_ERROR;
	}
	return GSASL_NO_CALLBACK;
}

int
auth_mech_gsasl_open(void)
{
	if (handle != NULL)
		return 0;
	if (gsasl_init(&handle) != GSASL_OK) {
		handle = NULL;
		return errno = ENOMEM, -1;
	}
	gsasl_callback_set(handle, callback);
	return 0;
}

void
auth_mech_gsasl_close(void)
{
	if (handle != NULL)
		gsasl_done(handle);
	handle = NULL;
}

struct auth_gsasl *
auth_gsasl_new(struct auth_exchange *x)
{
	struct auth_gsasl *g;

	if (handle == NULL)
		return errno = EINVAL, NULL;
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return NULL;
	if (gsasl_server_start(handle, x->mech->name, &g->session) !=
	    GSASL_OK) {
		free(g);
		return errno = ENOMEM, NULL;
	}
	g->x = x;
	g->verdict = ESMTP_AUTH_CHALLENGE;
	gsasl_session_hook_set(g->session, g);
	return g;
}

void
auth_gsasl_free(struct auth_gsasl *g)
{
	if (g == NULL)
		return;
	wipe(g->session, GSASL_PASSWORD);
	wipe(g->session, GSASL_SCRAM_SERVERKEY);
	wipe(g->session, GSASL_SCRAM_STOREDKEY);
	gsasl_finish(g->session);
	free(g);
}

enum esmtp_auth_status
auth_gsasl_step(struct auth_gsasl *g, const char *in, size_t len,
    struct auth_octets *out)
{
	enum esmtp_auth_status status;

	status = error_status(gsasl_step(g->session, in, len, &out->s,
	    &out->len));
	wipe(g->session, GSASL_PASSWORD);
	/* the back end had no answer: the library knows only yes and no */
	if (status == ESMTP_AUTH_FAILED && g->verdict == ESMTP_AUTH_LATER)
		return ESMTP_AUTH_LATER;
	return status;
}

static int
set_base64(Gsasl_session *session, Gsasl_property property, const void *octets,
    size_t len)
{
	char *text = NULL;
	int res;

	res = gsasl_base64_to(octets, len, &text, NULL);
	if (res == GSASL_OK)
		res = gsasl_property_set(session, property, text);
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	gsasl_free(text);
	return res;
}

int
auth_gsasl_scram(struct auth_gsasl *g, const struct auth_scram *keys,
    const struct auth_binding *exporter)
{
	char iterations[16];

	snprintf(iterations, sizeof(iterations), "%u", keys->iterations);
	if (gsasl_property_set(g->session, GSASL_SCRAM_ITER, iterations) !=
	    GSASL_OK ||
	    set_base64(g->session, GSASL_SCRAM_SALT, keys->salt,
	    keys->salt_len) != GSASL_OK ||
	    set_base64(g->session, GSASL_SCRAM_STOREDKEY, keys->stored_key,
	    keys->key_len) != GSASL_OK ||
	    set_base64(g->session, GSASL_SCRAM_SERVERKEY, keys->server_key,
	    keys->key_len) != GSASL_OK)
		return -1;
	if (exporter->len > 0 && set_base64(g->session, GSASL_CB_TLS_EXPORTER,
	    exporter->octets, exporter->len) != GSASL_OK)
		return -1;
	return 0;
}

enum esmtp_auth_status
auth_gsasl_step_secret(struct auth_gsasl *g, const char *in, size_t len,
    const char *secret, struct auth_octets *out)
{
	enum esmtp_auth_status status;

	g->secret = secret;
	status = auth_gsasl_step(g, in, len, out);
	g->secret = NULL;
	return status;
}

int
auth_gsasl_password(struct auth_gsasl *g, const char *password)
{
	return gsasl_property_set(g->session, GSASL_PASSWORD, password) ==
	    GSASL_OK ? 0 : -1;
}

bool
auth_gsasl_has_asked(const struct auth_gsasl *g)
{
	return g->verdict != ESMTP_AUTH_CHALLENGE;
}
