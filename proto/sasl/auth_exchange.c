/* What a mechanism asks of its exchange: to take a login, to check an
 * authorization identity, to have the back end check a password.  Calls no
 * mechanism. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/saslprep.h"
#include "core/util/wipe.h"
#include "proto/sasl/auth_mech_int.h"

enum esmtp_auth_status
auth_octets_set(struct auth_octets *out, const char *s, size_t len)
{
	if ((out->s = malloc(len + 1)) == NULL)
		return ESMTP_AUTH_LATER;
	memcpy(out->s, s, len);
	out->s[len] = '\0';
	out->len = len;
	return ESMTP_AUTH_CHALLENGE;
}

enum esmtp_auth_status
auth_exchange_fail(struct auth_exchange *x, enum esmtp_auth_why why)
{
	x->why = why;
	return ESMTP_AUTH_FAILED;
}

enum esmtp_auth_status
auth_verdict_status(enum auth_verdict v)
{
	static const enum esmtp_auth_status status[] = {
		[AUTH_YES] = ESMTP_AUTH_OK,
		[AUTH_NO] = ESMTP_AUTH_FAILED,
		[AUTH_UNSURE] = ESMTP_AUTH_LATER,
		[AUTH_CHALLENGE] = ESMTP_AUTH_CHALLENGE,
		[AUTH_PENDING] = AUTH_STEP_PENDING,
	};

	return status[v];
}

int
auth_name_copy(const char *s, size_t len, char *name_r)
{
	if (len == 0 || len > AUTH_LOGIN_MAX || memchr(s, '\0', len) != NULL)
		return 0;
	memcpy(name_r, s, len);
	name_r[len] = '\0';
	return 1;
}

/* No login has control characters, even though they are UTF-8: it goes to logs,
 * files of users and the line protocols of other programs. */
static bool
has_controls(const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	}
	return false;
}

enum esmtp_auth_status
auth_exchange_claim(struct auth_exchange *x, const char *name)
{
	if (saslprep_text(name, x->login, sizeof(x->login)) == -1)
		return errno == ENOMEM ? ESMTP_AUTH_LATER :
		    auth_exchange_fail(x, ESMTP_WHY_NAME);
	if (has_controls(x->login)) {
		x->login[0] = '\0';
		return auth_exchange_fail(x, ESMTP_WHY_NAME);
	}
	if (x->may != NULL && !x->may(x->login, x->may_closure))
		return ESMTP_AUTH_FAILED;
	return ESMTP_AUTH_CHALLENGE;
}

bool
auth_exchange_may_act_as(const struct auth_exchange *x, const char *authzid)
{
	char prepared[AUTH_LOGIN_MAX + 1];

	if (authzid[0] == '\0')
		return true;
	return saslprep_text(authzid, prepared, sizeof(prepared)) == 0 &&
	    strcmp(prepared, x->login) == 0;
}

enum esmtp_auth_status
auth_exchange_wait(struct auth_exchange *x,
    enum esmtp_auth_status (*resume)(struct auth_exchange *,
    enum auth_verdict, struct auth_octets *))
{
	x->resume = resume;
	return AUTH_STEP_PENDING;
}

void
auth_exchange_forget(struct auth_exchange *x)
{
	if (x->password != NULL)
		wipe_free(x->password, strlen(x->password));
	x->password = NULL;
}

/* The verdict ${v} on the prepared password; x->password is another one, or was
 * the one that was asked about.  The same work for users who exist and others:
 * RFC 4616 2 wants both strings prepared, but what is in the file cannot be. */
static enum esmtp_auth_status
password_answered(struct auth_exchange *x, enum auth_verdict v,
    struct auth_octets *)
{
	if (v == AUTH_NO && x->password != NULL && !x->is_last) {
		x->is_last = true;
		v = auth_back_password(x->back, &x->client, x->login,
		    x->password);
	}
	if (v == AUTH_PENDING)
		return auth_exchange_wait(x, password_answered);
	auth_exchange_forget(x);
	return auth_verdict_status(v);
}

enum esmtp_auth_status
auth_exchange_password(struct auth_exchange *x, const char *password)
{
	char prepared[AUTH_PASSWORD_MAX + 1];
	enum auth_verdict v;

	if (saslprep_text(password, prepared, sizeof(prepared)) == -1)
		return errno == ENOMEM ? ESMTP_AUTH_LATER : ESMTP_AUTH_FAILED;
	if (strcmp(prepared, password) != 0 &&
	    strlen(password) <= AUTH_PASSWORD_MAX &&
	    (x->password = strdup(password)) == NULL)
		v = AUTH_UNSURE;
	else
		v = auth_back_password(x->back, &x->client, x->login,
		    prepared);
	explicit_bzero(prepared, sizeof(prepared));
	return password_answered(x, v, NULL);
}
