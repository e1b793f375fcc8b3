/* AUTH (RFC 4954), the client's side: what it says, and when.
 * Owns: the lines of an exchange, the base64 in them.
 * Knows no password and no mechanism but by name: the host does. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "core/util/wipe.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/client/smtp_client_int.h"

#define COMMAND_MAX	512	/* octets; RFC 4954 4: with an initial response that is longer it comes later */

unsigned int
smtp_login_may(bool is_tls, bool is_shown_good)
{
	const struct esmtp_auth_mech *m;
	unsigned int may = 0;
	size_t i;

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++) {
		bool is_plus = esmtp_auth_mech_is_plus(m->name,
		    strlen(m->name));
		/* the server, or whoever is in its place, gets the password or
		 * the token itself */
		bool is_shown = (m->needs & (ESMTP_CAN_PASSWORD |
		    ESMTP_CAN_TOKEN)) != 0;

		if ((is_tls || (!is_plus && !(m->flags & AM_CERT))) &&
		    (is_shown_good || !is_shown))
			may |= 1u << i;
	}
	return may;
}

/* Those that show a password only to the server that it is for, a binding only where
 * there is something to bind to. */
unsigned int
smtp_login_mechanisms(const struct smtp_client *c)
{
	return c->ehlo.mechanisms & smtp_login_may(c->is_tls,
	    c->options.may_login_clear || smtp_is_verified(c));
}

/* The exchange is over.  Return whether the host takes the login for good. */
static bool
end_login(struct smtp_client *c, bool is_right)
{
	bool is_good;

	if (!c->is_in_login)
		return false;
	c->is_in_login = c->is_working = false;
	is_good = c->ops->auth_end(c->host, c, is_right);
	if (c->initial != NULL)
		wipe_free(c->initial, strlen(c->initial));
	c->initial = NULL;
	return is_right && is_good;
}

void
smtp_login_end(struct smtp_client *c)
{
	(void)end_login(c, false);
}

void
smtp_login_begin(struct smtp_client *c, unsigned int mechanisms)
{
	smtp_set_state(c, SS_LOGIN);
	c->owed = 0;
	c->is_in_login = true;
	c->ops->auth_start(c->host, c, mechanisms);
}

void
smtp_client_again(struct smtp_client *c)
{
	c->is_working = c->state == SS_LOGIN && c->is_in_login;
}

void
smtp_login_go_on(struct smtp_client *c)
{
	if (!c->is_working)
		return;
	c->is_working = false;
	c->ops->auth_go_on(c->host, c);
}

/* Encode; malloced, NULL: no memory.  RFC 4954 4: an initial response without
 * octets is "=". */
static char *
encode(const char *s, size_t len, bool is_initial)
{
	size_t size = base64_octets(len) + 2;
	char *text = malloc(size);

	if (text == NULL)
		return NULL;
	if (len == 0 && is_initial)
		memcpy(text, "=", 2);
	else
		base64_encode(s, len, text, size);
	return text;
}

static void
say(struct smtp_client *c, const char *a, const char *b, const char *d)
{
	smtp_set_state(c, SS_AUTH);
	c->owed = 1;
	c->is_secret = true;
	smtp_put(c, a, b, d, NULL);
}

void
smtp_client_login(struct smtp_client *c, const char *mechanism,
    const char *initial, size_t len)
{
	char *text = NULL;

	if (c->state != SS_LOGIN || !c->is_in_login || c->is_ending)
		return;
	c->is_answered = true;
	if (mechanism == NULL || len > LIM_AUTH_OCTETS - COMMAND_MAX) {
		smtp_login_end(c);
		if (c->options.login == SMTP_LOGIN_MUST)
			smtp_leave_why(c, SMTP_WHY_AUTH_UNABLE);
		else
			smtp_ready(c);
		return;
	}
	if (initial != NULL && (text = encode(initial, len, true)) == NULL) {
		smtp_end(c, SMTP_WHY_MEMORY, ENOMEM);
		return;
	}
	if (text != NULL && strlen("AUTH  \r\n") + strlen(mechanism) +
	    strlen(text) > COMMAND_MAX) {
		c->initial = text;
		text = NULL;
	}
	say(c, "AUTH ", mechanism, "");
	if (text == NULL || c->is_ending)
		goto done;
	/* behind the command that was just put, before its CRLF */
	c->out_len -= 2;
	smtp_put(c, " ", text, NULL);
done:
	if (text != NULL)
		wipe_free(text, strlen(text));
}

void
smtp_client_respond(struct smtp_client *c, const char *response, size_t len)
{
	char *text;

	if (c->state != SS_LOGIN || !c->is_in_login || c->is_ending)
		return;
	c->is_answered = true;
	if (response == NULL || len > LIM_AUTH_OCTETS - COMMAND_MAX) {
		/* RFC 4954 4: this cancels the exchange, the server says 501 */
		c->is_cancelled = true;
		say(c, "*", "", "");
		return;
	}
	if ((text = encode(response, len, false)) == NULL) {
		smtp_end(c, SMTP_WHY_MEMORY, ENOMEM);
		return;
	}
	say(c, text, "", "");
	wipe_free(text, strlen(text));
}

/* 334: the host is to answer, but for an initial response that it has given. */
static void
on_challenge(struct smtp_client *c)
{
	char octets[LIM_CLIENT_LINE];
	size_t len;
	const char *s = smtp_reader_text(&c->reader, &len);
	ssize_t n;

	if (c->is_cancelled) {
		smtp_end(c, SMTP_WHY_AUTH_BROKEN, 0);
		return;
	}
	smtp_set_state(c, SS_LOGIN);
	if (c->initial != NULL) {
		say(c, c->initial, "", "");
		wipe_free(c->initial, strlen(c->initial));
		c->initial = NULL;
		return;
	}
	n = c->reader.is_cut || c->reader.reply.nlines != 1 ? -1 :
	    base64_decode(s, len, octets, sizeof(octets));
	if (n == -1)
		smtp_client_respond(c, NULL, 0);
	else
		c->ops->auth_step(c->host, c, octets, (size_t)n);
	explicit_bzero(octets, sizeof(octets));
}

/* RFC 4954 4: 235.  The mechanism may have to know the server by then, too. */
static void
on_success(struct smtp_client *c)
{
	if (!end_login(c, true)) {
		smtp_end(c, SMTP_WHY_AUTH_BROKEN, 0);
		return;
	}
	c->is_logged_in = true;
	smtp_ready(c);
}

/* RFC 4954 4: the server has refused, and another login may be tried.  Return whether
 * one is begun; each is the host's wish, who has an end. */
static bool
login_again(struct smtp_client *c)
{
	unsigned int mechanisms = smtp_login_mechanisms(c);

	if (smtp_class(c) != 5 || !c->is_in_login || mechanisms == 0 ||
	    c->ops->auth_refused == NULL ||
	    !c->ops->auth_refused(c->host, c))
		return false;
	smtp_login_end(c);
	c->is_cancelled = false;
	smtp_login_begin(c, mechanisms);
	return true;
}

void
smtp_on_auth(struct smtp_client *c)
{
	if (c->reader.reply.code == 334)
		on_challenge(c);
	else if (c->reader.reply.code == 235 && !c->is_cancelled)
		on_success(c);
	else if (smtp_class(c) < 4)
		smtp_end(c, SMTP_WHY_CODE, 0);
	else if (!login_again(c)) {
		smtp_login_end(c);
		if (c->is_cancelled)
			smtp_leave_why(c, SMTP_WHY_AUTH_BROKEN);
		else
			smtp_leave_said(c);
	}
}
