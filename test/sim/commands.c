/* The commands of a client: which come next, and their octets.
 * Owns: the mix; the rule of RFC 2920 3.1 for what may stand in a group. */

#include <stdio.h>
#include <string.h>

#include "test/sim/sim.h"

static void
put_mail(struct client *c, char *buf, size_t size, unsigned int arg)
{
	char addr[64], said[128];
	size_t n;

	model_address(arg, true, addr, sizeof(addr));
	said_mail(arg, said, sizeof(said));
	n = (size_t)snprintf(buf, size, "MAIL FROM:<%s>", addr);
	if (c->is_esmtp && client_chance(c, 200))
		n += (size_t)snprintf(buf + n, size - n, " SIZE=%u",
		    client_below(c, c->sim->max_size != 0
		    ? (uint32_t)c->sim->max_size : 100000));
	if (c->is_esmtp && client_chance(c, 200))
		n += (size_t)snprintf(buf + n, size - n, " BODY=8BITMIME");
	snprintf(buf + n, size - n, "%s\r\n", said);
}

/* Commands with a fixed text.  One that is not here and not formatted below is
 * sent as its name. */
static const char *const fixed[] = {
	[CMD_MAIL_SYNTAX] = "MAIL FROM:<a..b@client.example>",
	[CMD_MAIL_PARAM] = "MAIL FROM:<> XYZZY=1",
	[CMD_MAIL_UNWANTED] = "MAIL FROM:<> SOLICIT=org.example:ADV,"
	    "com.EXAMPLE:ADV",
	[CMD_MAIL_BY_SHORT] = "MAIL FROM:<> BY=59;R",
	[CMD_MAIL_HOLD_LONG] = "MAIL FROM:<> HOLDFOR=50001",
	[CMD_MAIL_HOLD_LATE] = "MAIL FROM:<> HOLDFOR=100 BY=100;N",
	[CMD_RCPT_LABEL] = "RCPT TO:<x@example>",
	[CMD_RCPT_UNKNOWN] = "RCPT TO:<nobody@example.test>",
	[CMD_RCPT_FOREIGN] = "RCPT TO:<x@elsewhere.example>",
	[CMD_RCPT_LATER] = "RCPT TO:<later@example.test>",
	[CMD_RCPT_SYNTAX] = "RCPT TO:<x@@example.test>",
	[CMD_UNKNOWN] = "XYZZY plugh",
	[CMD_VRFY] = "VRFY somebody",
	[CMD_XCLIENT] = "XCLIENT ADDR=192.0.2.7 NAME=mail.client.example",
	[CMD_XCLIENT_LOGIN] = "XCLIENT ADDR=[UNAVAILABLE] LOGIN=bob",
	[CMD_QUIT] = "QUIT",
	[CMD_AUTH] = "AUTH PLAIN AGFsaWNlAHNlY3JldA==",
	[CMD_AUTH_WRONG] = "AUTH PLAIN AGFsaWNlAHdyb25n",
	[CMD_AUTH_JUNK] = "AUTH PLAIN A===",
	[CMD_AUTH_LOGIN] = "AUTH LOGIN",
	[CMD_AUTH_NAME] = "YWxpY2U=",
	[CMD_AUTH_PASSWORD] = "c2VjcmV0",
	[CMD_AUTH_WRONG_PASSWORD] = "d3Jvbmc=",
	[CMD_AUTH_CANCEL] = "*",
	[CMD_AUTH_BAD_LINE] = "QUIT?",
	[CMD_STARTTLS] = "STARTTLS",
};

/* Return how many octets. */
static size_t
format_command(struct client *c, enum cmd_kind kind, unsigned int arg,
    char *buf, size_t size)
{
	char said[128];
	size_t len;

	switch (kind) {
	case CMD_EHLO:
	case CMD_HELO:
		/* each is no command of the other protocol */
		snprintf(buf, size, "%s client%u.example\r\n",
		    kind == CMD_EHLO && c->sim->is_lmtp ? "LHLO" :
		    kind == CMD_HELO && c->sim->is_lmtp &&
		    client_chance(c, 500) ? "EHLO" :
		    model_command_name(kind), c->number);
		break;
	case CMD_MAIL:
		put_mail(c, buf, size, arg);
		break;
	case CMD_MAIL_BIG:
		snprintf(buf, size, "MAIL FROM:<> SIZE=%llu\r\n",
		    (unsigned long long)c->sim->max_size + 1);
		break;
	case CMD_RCPT:
		said_rcpt(arg, said, sizeof(said));
		snprintf(buf, size, "RCPT TO:<user%u@EXAMPLE.test>%s\r\n",
		    arg % SIM_SAID, said);
		break;
	case CMD_LONG:
		len = LIM_COMMAND_LINE + 1 + client_below(c, 5000);
		memset(buf, 'x', len);
		memcpy(buf + len - 2, "\r\n", 2);
		return len;
	case CMD_NUL:
		memcpy(buf, "NO\0OP\r\n", 7);
		return 7;
	case CMD_TAKE:
		return sim_verb_format(client_below(c, 100), buf, size);
	default:
		snprintf(buf, size, "%s\r\n", fixed[kind] != NULL
		    ? fixed[kind] : model_command_name(kind));
	}
	return strlen(buf);
}

void
client_put_command(struct client *c, enum cmd_kind kind)
{
	unsigned int arg = client_below(c, kind == CMD_RCPT ? 40 : 4);
	char buf[LIM_COMMAND_LINE + 5002];

	/* what follows may be another message */
	if (c->is_chunking && (kind < CMD_RCPT || kind == CMD_DATA ||
	    kind == CMD_RSET || kind == CMD_STARTTLS || kind == CMD_QUIT ||
	    kind == CMD_XCLIENT || kind == CMD_XCLIENT_LOGIN))
		c->is_chunking = false;
	if (kind == CMD_MAIL || kind == CMD_RCPT)
		arg = said_choose(c, arg, kind == CMD_MAIL);
	if (client_expect(c, kind, arg))
		client_send(c, buf, format_command(c, kind, arg, buf,
		    sizeof(buf)));
}

static enum cmd_kind
auth_command(struct client *c, bool is_last)
{
	if (is_last && client_chance(c, 500))
		return CMD_AUTH_LOGIN;
	return client_chance(c, 500) ? CMD_AUTH
	    : client_chance(c, 700) ? CMD_AUTH_WRONG : CMD_AUTH_JUNK;
}

void
client_answer_challenge(struct client *c)
{
	enum cmd_kind kind = c->wants;

	c->wants = 0;
	if (client_chance(c, 100))
		kind = client_chance(c, 500) ? CMD_AUTH_CANCEL
		    : CMD_AUTH_BAD_LINE;
	else if (kind == CMD_AUTH_PASSWORD && client_chance(c, 300))
		kind = CMD_AUTH_WRONG_PASSWORD;
	client_put_command(c, kind);
}

/* RFC 2920 3.1: EHLO, DATA, VRFY, NOOP and some others must be the last command
 * of a group. */
static enum cmd_kind
misc_command(struct client *c, bool is_last)
{
	static const enum cmd_kind anywhere[] = { CMD_RSET, CMD_HELP,
		CMD_UNKNOWN, CMD_LONG, CMD_NUL, CMD_MAIL_SYNTAX,
		CMD_MAIL_PARAM, CMD_MAIL_UNWANTED, CMD_MAIL_BY_SHORT,
		CMD_MAIL_HOLD_LONG, CMD_MAIL_HOLD_LATE, CMD_RCPT_LABEL,
		CMD_RCPT_UNKNOWN, CMD_RCPT_FOREIGN,
		CMD_RCPT_SYNTAX, CMD_RCPT_LATER, CMD_MAIL, CMD_RCPT };
	static const enum cmd_kind last[] = { CMD_NOOP, CMD_VRFY, CMD_EHLO,
		CMD_HELO, CMD_DATA, CMD_STARTTLS, CMD_XCLIENT,
		CMD_XCLIENT_LOGIN };

	/* RFC 4954 4: AUTH PLAIN with an initial response is one line */
	if (c->sim->has_auth && client_chance(c, 200))
		return auth_command(c, is_last);
	if (is_last && client_chance(c, 400))
		return last[client_below(c, sizeof(last) / sizeof(last[0]))];
	if (c->sim->max_size != 0 && c->is_esmtp && client_chance(c, 50))
		return CMD_MAIL_BIG;
	if (client_chance(c, 100))
		return CMD_TAKE;
	return anywhere[client_below(c, sizeof(anywhere) / sizeof(anywhere[0]))];
}

static bool
wants_tls(struct client *c)
{
	return c->sim->has_tls && c->tls == NULL && c->is_greeted
	    && !c->has_mail && client_chance(c, 700);
}

void
client_send_group(struct client *c)
{
	unsigned int n;

	if (!c->is_greeted && client_chance(c, 850)) {
		client_put_command(c, client_chance(c, 800) ? CMD_EHLO : CMD_HELO);
		return;
	}
	if (c->has_mail && client_chance(c, 500))
		client_put_command(c, CMD_RSET);
	if (wants_tls(c)) {
		client_put_command(c, CMD_STARTTLS);
		return;
	}
	if (c->sim->has_auth && !c->has_login && client_chance(c, 500)) {
		client_put_command(c, auth_command(c, true));
		return;
	}
	if (client_chance(c, 900))
		client_put_command(c, CMD_MAIL);
	for (n = client_below(c, 5); n > 0; n--)
		client_put_command(c, client_chance(c, 800) ? CMD_RCPT
		    : misc_command(c, false));
	if (c->is_esmtp && client_chance(c, 350) && client_begin_chunks(c))
		return;
	client_put_command(c, client_chance(c, 850) ? CMD_DATA : misc_command(c, true));
}

void
client_send_one(struct client *c)
{
	enum cmd_kind kind;

	/* mostly where it fits */
	if ((c->is_esmtp && c->nrcpts > 0 ? client_chance(c, 250) :
	    client_chance(c, 10)) && client_begin_chunks(c))
		return;
	if (client_chance(c, 200))
		kind = misc_command(c, true);
	else if (!c->is_greeted)
		kind = client_chance(c, 800) ? CMD_EHLO : CMD_HELO;
	else if (wants_tls(c))
		kind = CMD_STARTTLS;
	else if (c->sim->has_auth && !c->has_login && !c->has_mail
	    && client_chance(c, 500))
		kind = auth_command(c, true);
	else if (!c->has_mail)
		kind = CMD_MAIL;
	else if (c->nrcpts == 0)
		kind = CMD_RCPT;
	else
		kind = client_chance(c, 600) ? CMD_DATA : CMD_RCPT;
	client_put_command(c, kind);
}
