/* From the connection to where messages can be sent: banner, EHLO, STARTTLS.
 * Owns: what the server must offer before it gets a message. */

#include <errno.h>
#include <string.h>

#include "proto/client/smtp_client_int.h"

static void
say_hello(struct smtp_client *c)
{
	memset(&c->ehlo, 0, sizeof(c->ehlo));
	smtp_set_state(c, SS_EHLO);
	c->owed = 1;
	/* RFC 2033 4.1: LHLO, and neither of the others */
	smtp_put(c, c->options.is_lmtp ? "LHLO " : "EHLO ", c->options.helo,
	    NULL);
}

/* The server has said what it can do: what is next? */
static void
after_hello(struct smtp_client *c)
{
	bool has_starttls = smtp_ehlo_has(&c->ehlo, SMTP_HAS(STARTTLS)) &&
	    c->ops->tls_start != NULL;
	bool can_login = c->ops->auth_start != NULL && smtp_login_mechanisms(c) != 0;

	if (!c->is_tls && !c->has_clear && has_starttls &&
	    c->options.tls != SMTP_TLS_NEVER) {
		smtp_set_state(c, SS_STARTTLS);
		c->owed = 1;
		smtp_put(c, "STARTTLS", NULL);
	} else if (!c->is_tls && c->options.tls == SMTP_TLS_MUST)
		smtp_leave_why(c, SMTP_WHY_TLS_MISSING);
	else if (can_login && c->options.login != SMTP_LOGIN_NEVER)
		smtp_login_begin(c, smtp_login_mechanisms(c));
	else if (c->options.login == SMTP_LOGIN_MUST)
		smtp_leave_why(c, SMTP_WHY_AUTH_MISSING);
	else
		smtp_ready(c);
}

/* RFC 5321 3.1: 220; 554 is no service at all, and the client is to say QUIT.
 * */
void
smtp_on_banner(struct smtp_client *c)
{
	if (c->reader.reply.code == 220)
		say_hello(c);
	else if (smtp_class(c) >= 4)
		smtp_leave_said(c);
	else
		smtp_end(c, SMTP_WHY_CODE, 0);
}

/* RFC 5321 3.2, 4.1.4: a server that does not know EHLO refuses it with 5xx,
 * and gets HELO.  One that has to do TLS or a login knows it. */
static bool
may_be_old(const struct smtp_client *c)
{
	return smtp_class(c) == 5 && !c->options.is_lmtp && !c->is_tls &&
	    c->options.tls != SMTP_TLS_MUST &&
	    c->options.login != SMTP_LOGIN_MUST;
}

void
smtp_on_ehlo(struct smtp_client *c)
{
	if (smtp_class(c) == 2)
		after_hello(c);
	else if (may_be_old(c)) {
		memset(&c->ehlo, 0, sizeof(c->ehlo));
		smtp_set_state(c, SS_HELO);
		c->owed = 1;
		smtp_put(c, "HELO ", c->options.helo, NULL);
	} else if (smtp_class(c) >= 4)
		smtp_leave_said(c);
	else
		smtp_end(c, SMTP_WHY_CODE, 0);
}

void
smtp_on_helo(struct smtp_client *c)
{
	if (smtp_class(c) == 2)
		smtp_ready(c);
	else if (smtp_class(c) >= 4)
		smtp_leave_said(c);
	else
		smtp_end(c, SMTP_WHY_CODE, 0);
}

static void
start_tls(struct smtp_client *c)
{
	if (c->ops->tls_start == NULL ||
	    c->ops->tls_start(c->host, c, c->event) == -1)
		smtp_end(c, SMTP_WHY_TLS_FAILED, errno);
	else
		smtp_tls_step(c);
}

void
smtp_on_starttls(struct smtp_client *c)
{
	if (c->reader.reply.code == 220) {
		/* RFC 3207 6: what comes in the clear behind the 220 is not the
		 * server's, or is no TLS; nothing of it is taken for a reply
		 * inside TLS */
		if (c->rest > 0) {
			smtp_end(c, SMTP_WHY_TLS_EARLY, 0);
			return;
		}
		smtp_set_state(c, SS_TLS);
		start_tls(c);
	} else if (smtp_class(c) < 4)
		smtp_end(c, SMTP_WHY_CODE, 0);
	else if (c->options.tls == SMTP_TLS_MUST)
		smtp_leave_said(c);
	else {
		c->has_clear = true;
		after_hello(c);
	}
}

/* RFC 3207 4.2: what the server has said before is forgotten. */
static void
tls_done(struct smtp_client *c)
{
	c->is_tls = true;
	c->need_read = E_READ;
	c->need_write = E_WRITE;
	c->may_read = true;
	if (c->options.tls == SMTP_TLS_FIRST) {
		smtp_set_state(c, SS_BANNER);
		c->owed = 1;
	} else
		say_hello(c);
}

void
smtp_tls_step(struct smtp_client *c)
{
	int need = E_READ;

	switch (c->ops->tls_handshake(c->host, c, c->event, &need)) {
	case 1:
		tls_done(c);
		break;
	case 0:
		c->tls_mask = (uint8_t)need;
		break;
	default:
		smtp_end(c, SMTP_WHY_TLS_FAILED, errno);
		break;
	}
}

void
smtp_begin(struct smtp_client *c)
{
	c->since = c->now;
	c->need_read = E_READ;
	c->need_write = E_WRITE;
	smtp_reader_init(&c->reader);
	if (c->options.tls == SMTP_TLS_FIRST) {
		c->state = SS_TLS;
		start_tls(c);
	} else {
		c->state = SS_BANNER;
		c->owed = 1;
	}
}
