/* A verb of a program, for the unit tests: see own.h. */

#include "test/unit/proto/embed/own.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"

struct own own;

/* "550 5.7.1 text" */
static int
say(message_construct *mc, const char *text)
{
	char enhanced[6];

	memcpy(enhanced, text + 4, 5);
	enhanced[5] = '\0';
	return esmtp_extension_reply(mc, atoi(text), enhanced, text + 10);
}

int
own_verb(char *arg, Event *e, message_construct *mc, void *closure)
{
	accept_construct *ac = esmtp_session_of(mc);

	own.ncalls++;
	cr_expect_eq(closure, &own);
	cr_expect_eq(e, esmtp_session_event(ac));
	snprintf(own.arg, sizeof(own.arg), "%s", arg);
	if (own.is_reset) {
		cr_expect_eq(esmtp_verb_reset(mc), 0);
		cr_expect_null(esmtp_session_sender(ac));
	}
	if (own.reply != NULL)
		own.reply_rc = say(mc, own.reply);
	if (own.login != NULL) {
		errno = 0;
		own.login_rc = esmtp_verb_login(mc, own.login_status,
		    own.login);
		own.login_errno = errno;
	}
	if (own.more != NULL)
		own.more(mc);
	if (own.result == ESMTP_VERB_LATER)
		own.ticket = esmtp_ticket_new(ac);
	return own.result;
}

struct fake *
own_begin(const char *name)
{
	struct fake *f = fake_new();

	cr_assert_eq(name[0] == 'X' ? esmtp_extensions_register(name, NULL,
	    own_verb, &own) : esmtp_verb_replace(name, own_verb, &own), 1);
	own = (struct own){ .result = ESMTP_VERB_BUILTIN,
		.login_status = ESMTP_AUTH_OK };
	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	own.result = ESMTP_VERB_DONE;
	own.ncalls = 0;
	return f;
}

void
own_believe(struct fake *f, const char *login)
{
	f->s->auth.is_right = true;
	snprintf(f->s->auth.login, sizeof(f->s->auth.login), "%s", login);
}

const char *
own_told(struct fake *f)
{
	accept_construct *ac;

	while ((ac = esmtp_answered(&f->h.host)) != NULL)
		schedule_event_and_dispatch(esmtp_session_event(ac), E_ASYNC);
	return fake_say(f, "");
}

int
own_answer(struct fake *f, int value)
{
	return esmtp_answer(&f->h.host, own.ticket, value);
}

int
own_answer_reply(struct fake *f, int code, const char *enhanced,
    const char *text)
{
	return esmtp_answer_reply(&f->h.host, own.ticket, code, enhanced,
	    text);
}

int
own_answer_auth(struct fake *f, enum esmtp_auth_status status,
    const char *octets)
{
	return esmtp_answer_auth(&f->h.host, own.ticket, status, octets,
	    strlen(octets));
}

void
own_expect_reply(const struct fake *f, const char *begins)
{
	cr_expect_eq(strncmp(f->reply, begins, strlen(begins)), 0,
	    "expected %s: %s", begins, f->reply);
}

void
own_expect(struct fake *f, const char *command, const char *begins)
{
	fake_say(f, command);
	own_expect_reply(f, begins);
}
