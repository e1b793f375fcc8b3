/* The protocol as a client knows it from the RFCs: each command gets exactly
 * one reply, in order, and each reply must be allowed in the state that the
 * earlier replies have led to.
 * Owns: which replies a command may get, and what must be in the spool after a
 * 250 for a message.
 * Knows nothing of the server's insides but the faults that the seed chose. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test/lib/simmsg.h"
#include "test/sim/alloc.h"
#include "test/sim/sim.h"

static const char *const names[] = { "(banner)", "EHLO", "HELO", "MAIL",
	"MAIL (bad syntax)", "MAIL (too big)", "MAIL (bad parameter)",
	"MAIL (unwanted)", "MAIL (too soon)", "MAIL (held too long)",
	"MAIL (held too late)", "RCPT", "RCPT (one label)",
	"RCPT (unknown)", "RCPT (foreign)", "RCPT (later)",
	"RCPT (bad syntax)", "DATA", "(message)", "BDAT", "BDAT LAST",
	"BDAT (bad size)", "RSET", "NOOP", "VRFY",
	"HELP", "(unknown command)", "(long line)", "(NUL)", "XTAKE", "XCLIENT",
	"XCLIENT (login)", "QUIT",
	"AUTH", "AUTH (wrong)", "AUTH (junk)", "AUTH LOGIN", "(name)",
	"(password)", "(wrong password)", "(cancel)", "(bad line)", "STARTTLS" };

const char *
model_command_name(enum cmd_kind kind)
{
	return names[kind];
}

void
model_address(unsigned int arg, bool is_sender, char *buf, size_t size)
{
	/* with SMTPUTF8: said.c */
	bool is_utf8 = arg / SIM_SAID == 2;

	arg %= SIM_SAID;
	if (is_sender && arg == 0)
		*buf = '\0';
	else if (is_sender)
		snprintf(buf, size, "s%snder%u@client.example",
		    is_utf8 ? "\xc3\xa4" : "e", arg);
	else
		snprintf(buf, size, "user%u@%s", arg, SIMHOST_DOMAIN);
}

/* Does the reply begin with ${want}, as in "250 2.1.0 "? */
static bool
is(const char *line, size_t len, const char *want)
{
	return len >= strlen(want) && memcmp(line, want, strlen(want)) == 0;
}

static bool
memory_failed(const struct client *c)
{
	return alloc_of(c->s->number)->nfailed > 0;
}

/* RFC 5321 3.8: 421 may come at any time.  The reason that it gives must be
 * true. */
static void
model_closing(struct client *c, const char *line, size_t len)
{
	struct sim *sim = c->sim;

	c->is_over = true;
	if (is(line, len, "421 4.3.2 ")) {
		if (!sim->is_drained)
			sim_violation(sim, "421 4.3.2 without a drain");
	} else if (is(line, len, "421 4.4.2 ")) {
		if (c->s->timeout_us == 0)
			sim_violation(sim, "421 4.4.2 without a timeout");
	} else if (is(line, len, "421 4.7.0 Too many errors")) {
		/* a refusal that there was no memory for has counted all the
		 * same */
		if (sim->max_errors == 0 || (c->nerrors < sim->max_errors &&
		    !memory_failed(c)))
			sim_violation(sim, "too many errors after %u",
			    c->nerrors);
	} else if (is(line, len, "421 4.5.1 Data behind")) {
		if (!c->is_body_refused)
			sim_violation(sim, "nothing was refused before: %.*s",
			    (int)len, line);
	} else if (is(line, len, "421 4.5.4 Where this chunk ends")) {
		if (!c->is_chunk_bad)
			sim_violation(sim, "the size of the chunk was right: "
			    "%.*s", (int)len, line);
	} else if (is(line, len, "421 4.3.0 ")) {
		if (!memory_failed(c))
			sim_violation(sim, "421 4.3.0 without a fault");
	} else
		sim_violation(sim, "unexpected: %.*s", (int)len, line);
}

static void
end_transaction(struct client *c)
{
	c->has_mail = false;
	c->nrcpts = c->ntold = 0;
	c->is_unclear = false;
	c->is_chunked = false;
	c->chunk_refusal[0] = '\0';
}

/* Has the message as many recipients as it may?  LMTP counts one again that is
 * named again, since it has a reply of its own. */
static bool
is_full(const struct client *c)
{
	return (c->sim->is_lmtp ? c->ntold : c->nrcpts) >= c->sim->max_rcpts;
}

/* A 4xx that a fault of the seed explains. */
static bool
is_excused(const struct client *c, enum cmd_kind kind, const char *line,
    size_t len)
{
	bool is_disk = kind == CMD_DATA || kind == CMD_BODY || kind == CMD_MAIL
	    || kind == CMD_BDAT || kind == CMD_BDAT_LAST;

	/* the recipient is one too many: the server may say that instead of
	 * what else is wrong with it */
	if (kind >= CMD_RCPT && kind <= CMD_RCPT_SYNTAX && c->has_mail
	    && is_full(c) && is(line, len, "452 4.5.3 "))
		return true;
	/* the server may have looked before it knows the size */
	if (c->is_bob && is(line, len, "552 5.7.16 "))
		return kind == CMD_MAIL || (said_is_held(c->sender) &&
		    (kind == CMD_BODY || kind == CMD_BDAT_LAST));
	/* no client takes that long: the clock was set to after the deadline */
	if (c->sim->is_clock_set && said_has_deadline(c->sender) &&
	    is(line, len, "550 5.4.7 "))
		return kind == CMD_BODY || kind == CMD_BDAT_LAST;
	if (kind == CMD_STARTTLS && memory_failed(c))
		return is(line, len, "454 4.7.0 ");
	if (kind >= CMD_AUTH && (c->sim->has_auth_faults || memory_failed(c))
	    && (is(line, len, "454 4.7.0 ")
	    || is(line, len, "501 5.5.2 Not a message")))
		return true;
	if (is(line, len, "451 4.3.0 "))
		return memory_failed(c)
		    || (is_disk && c->sim->has_spool_faults);
	if (is(line, len, "452 4.3.1 "))
		return is_disk && c->sim->has_spool_faults;
	return false;
}

/* RFC 5322 3.3 */
#define DATE	"Thu, 01 Jan 1970 00:00:00 +0000"

/* Take over the date that the server has put into the message, at ${at} of
 * ${want}, if it has the form of one. */
static void
take_date(struct sim *sim, char *want, size_t at, const char *has, size_t len)
{
	char text[sizeof(DATE)], again[64] = "";
	const char *end;
	struct tm tm = { .tm_year = 0 };

	at += strlen("Date: ");
	if (at + strlen(DATE) > len)
		return;
	memcpy(text, has + at, strlen(DATE));
	text[strlen(DATE)] = '\0';
	end = strptime(text, "%a, %d %b %Y %H:%M:%S +0000", &tm);
	if (end != NULL && *end == '\0')
		strftime(again, sizeof(again), "%a, %d %b %Y %H:%M:%S +0000",
		    &tm);
	if (strcmp(text, again) != 0)
		sim_violation(sim, "no date: %s", text);
	else if (!sim->is_clock_set && llabs((long long)timegm(&tm) -
	    (long long)(sim->host.clock.now_us / 1000000)) > 7200)
		sim_violation(sim, "another time: %s", text);
	memcpy(want + at, text, strlen(DATE));
}

/* The octets that must be stored.  Return how many; ${want_r} is the caller's to
 * free. */
static size_t
expect_stored(struct client *c, const struct spool_msg *m, size_t skip,
    char **want_r)
{
	char id[256];
	struct simmsg_added added = { "Date: " DATE "\r\n", id, 0 };
	size_t n;

	snprintf(id, sizeof(id), "Message-ID: <%s@mx.example.test>\r\n", m->id);
	*want_r = malloc(c->body.stored_len + strlen(added.date) + strlen(id) +
	    4);
	if (*want_r == NULL)
		abort();
	if (!c->sim->is_submission)
		return simmsg_expect(c->body.stored, c->body.stored_len,
		    *want_r);
	n = simmsg_expect_added(c->body.stored, c->body.stored_len, &added,
	    *want_r);
	if (added.date_at != SIZE_MAX)
		take_date(c->sim, *want_r, added.date_at, m->body + skip,
		    m->len - skip);
	return n;
}

static void
check_stored(struct client *c, const struct spool_msg *m)
{
	struct sim *sim = c->sim;
	const char *why = "";
	size_t skip = 0, len, want_len, i;
	char addr[128], *want;

	if (sim->host.options.trace_headers) {
		skip = simmsg_strip_received(m, &why);
		if (skip == 0)
			sim_violation(sim, "message %s: %s", m->id, why);
	}
	simalloc_quiet++;
	want_len = expect_stored(c, m, skip, &want);
	len = m->len - skip;
	if (len != want_len
	    || (len > 0 && memcmp(m->body + skip, want, len) != 0))
		sim_violation(sim, "message %s: %zu octets differ from the %zu "
		    "expected", m->id, len, want_len);
	free(want);
	simalloc_quiet--;
	model_address(c->sender, true, addr, sizeof(addr));
	if (strcmp(m->sender, addr) != 0)
		sim_violation(sim, "message %s from %s, not %s", m->id,
		    m->sender, addr);
	said_check(c, m->said);
	if (m->nrcpts != c->nrcpts)
		sim_violation(sim, "message %s to %zu recipients, not %u",
		    m->id, m->nrcpts, c->nrcpts);
	for (i = 0; i < m->nrcpts && i < c->nrcpts; i++) {
		model_address(c->rcpts[i], false, addr, sizeof(addr));
		if (strcmp(m->rcpts[i], addr) != 0)
			sim_violation(sim, "message %s to %s, not %s", m->id,
			    m->rcpts[i], addr);
	}
}

/* 250 after data: only when that very message is safe, and is what was sent. */
static void
model_accepted(struct client *c, const char *line, size_t len)
{
	static const char text[] = "250 2.0.0 OK: queued as ";
	struct sim *sim = c->sim;
	struct spool_msg *m;

	if (len <= sizeof(text) - 1 || !is(line, len, text)) {
		sim_violation(sim, "no id after data: %.*s", (int)len, line);
		return;
	}
	m = simspool_find(&sim->host.spool, line + sizeof(text) - 1,
	    len - (sizeof(text) - 1));
	if (m == NULL)
		sim_violation(sim, "250 for an unknown message: %.*s",
		    (int)len, line);
	else if (m->handle >> 8 != c->s->number)
		sim_violation(sim, "250 for another session's message");
	else if (m->state != SIMSPOOL_SAFE)
		sim_violation(sim, "250 before the commit");
	else if (m->is_checked)
		sim_violation(sim, "250 twice for one message");
	else {
		m->is_checked = true;
		check_stored(c, m);
	}
	if (sim->host.options.require_auth && !c->s->auth.is_right)
		sim_violation(sim, "a message of a client that has not logged in");
	c->naccepted++;
	c->nerrors = 0;		/* the server counts anew after a message */
	sim->nmessages++;
}

/* The reply to a complete message, with the options of the seed. */
static const char *
body_wanted(const struct client *c)
{
	if (c->sim->max_size != 0 && c->body.stored_len > c->sim->max_size)
		return "552 5.3.4 ";
	if (c->body.has_lone
	    && c->sim->host.options.lone_lf_in_body == ESMTP_LF_PEDANTIC)
		return "550 5.6.0 ";
	return "250 2.0.0 OK: queued as ";
}

static const char *
auth_wanted(const struct client *c, enum cmd_kind kind)
{
	if (kind == CMD_AUTH_NAME)
		return "334 UGFzc3dvcmQ6";
	if (kind == CMD_AUTH_PASSWORD)
		return "235 2.7.0 ";
	if (kind == CMD_AUTH_WRONG_PASSWORD)
		return "535 5.7.8 ";
	if (kind >= CMD_AUTH_CANCEL)
		return kind == CMD_AUTH_CANCEL ? "501 5.7.0 " : "501 5.5.2 ";
	if (!c->is_greeted || !c->is_esmtp || c->has_mail || c->has_login)
		return "503 5.5.1 ";
	return kind == CMD_AUTH ? "235 2.7.0 "
	    : kind == CMD_AUTH_WRONG ? "535 5.7.8 "
	    : kind == CMD_AUTH_LOGIN ? "334 VXNlcm5hbWU6" : "501 5.5.2 ";
}

/* A client that is allowed to names another, whose session begins anew. */
static const char *
xclient_wanted(const struct client *c)
{
	if (c->has_mail)
		return "503 5.5.1 ";
	return c->sim->may_name ? "220 " : "550 5.7.0 ";
}

static const char *
starttls_wanted(const struct client *c)
{
	if (!c->is_greeted || c->has_mail || c->tls != NULL)
		return "503 5.5.1 ";
	return c->sim->has_tls ? "220 2.0.0 " : "502 5.5.1 ";
}

/* RFC 4954 6 (530): is the command refused before a login, where Require_Auth
 * is on? */
static bool
needs_login(enum cmd_kind kind)
{
	return (kind >= CMD_MAIL && kind <= CMD_DATA) || kind == CMD_VRFY
	    || kind == CMD_TAKE || (kind >= CMD_BDAT && kind <= CMD_BDAT_BAD);
}

/* RFC 3030 2: each chunk has one reply; when one was refused, the message is lost,
 * and the others get the same. */
static const char *
bdat_wanted(const struct client *c, const struct cmd *cmd)
{
	if (!c->is_greeted || !c->is_esmtp || !c->has_mail)
		return "503 5.5.1 ";
	if (cmd->kind == CMD_BDAT_BAD)
		return "5";
	if (c->chunk_refusal[0] != '\0')
		return c->chunk_refusal;
	if (c->nrcpts == 0)
		return "503 5.5.1 ";
	if (cmd->kind == CMD_BDAT_LAST)
		return body_wanted(c);
	return c->sim->max_size != 0 && cmd->arg > c->sim->max_size ?
	    "552 5.3.4 " : "250 2.0.0 Chunk received";
}

/* BDAT was answered. */
static void
follow_bdat(struct client *c, const struct cmd *cmd, int code,
    const char *line, size_t len)
{
	if (cmd->kind == CMD_BDAT_BAD) {
		c->is_chunk_bad = true;
		c->is_chunking = false;
	}
	/* RFC 3030 2: no more segments are sent behind a refused one; but some
	 * are in the pipeline, and some clients send them all the same */
	if (code >= 400 && !client_chance(c, 300))
		c->is_chunking = false;
	if (!c->has_mail || !c->is_esmtp)
		return;
	if (cmd->kind == CMD_BDAT_LAST) {
		end_transaction(c);
		return;
	}
	c->is_chunked = true;
	if (code < 400)
		return;
	snprintf(c->chunk_refusal, sizeof(c->chunk_refusal), "%.*s",
	    len < 10 ? (int)len : 10, line);
	c->is_unclear = !c->is_chunking;
}

/* How the reply to MAIL must begin, where its place is right. */
static const char *
mail_wanted(const struct client *c, const struct cmd *cmd)
{
	switch (cmd->kind) {
	case CMD_MAIL:
		return said_is_held(cmd->arg) && !said_may_hold(c) ?
		    "555 5.5.4 " : "250 2.1.0 ";
	case CMD_MAIL_BIG:
		return "552 5.3.4 ";
	case CMD_MAIL_UNWANTED:
		return c->sim->has_said && c->is_esmtp ? "550 5.7.1 " :
		    "555 5.5.4 ";
	case CMD_MAIL_HOLD_LONG:
	case CMD_MAIL_HOLD_LATE:
		return said_may_hold(c) ? "501 5.5.4 " : "555 5.5.4 ";
	case CMD_MAIL_PARAM:
	case CMD_MAIL_BY_SHORT:
		return "555 5.5.4 ";
	default:
		return "501 5.";
	}
}

/* How the reply to the command must begin. */
static const char *
wanted(const struct client *c, const struct cmd *cmd)
{
	if (cmd->kind == CMD_STARTTLS)
		return starttls_wanted(c);
	if (cmd->kind >= CMD_AUTH)
		return auth_wanted(c, cmd->kind);
	if (c->sim->host.options.require_auth && !c->has_login
	    && needs_login(cmd->kind))
		return "530 5.7.0 ";
	switch (cmd->kind) {
	case CMD_BANNER:	return "220 ";
	case CMD_HELO:
		if (c->sim->is_lmtp)
			return c->is_body_refused ? "421 4.5.1 " :
			    "500 5.5.2 ";
		return "250 ";
	case CMD_EHLO:		return "250 ";
	case CMD_RSET:
	case CMD_NOOP:		return "250 2.0.0 ";
	case CMD_VRFY:		return "252 2.5.2 ";
	case CMD_HELP:		return "214 2.0.0 ";
	case CMD_UNKNOWN:
		return c->is_body_refused ? "421 4.5.1 " : "500 5.5.2 ";
	case CMD_LONG:
		return c->is_body_refused ? "421 4.5.1 " : "500 5.5.6 ";
	case CMD_NUL:
		return c->is_body_refused ? "421 4.5.1 " : "501 5.5.2 ";
	case CMD_TAKE:		return "250 2.";
	case CMD_XCLIENT:
	case CMD_XCLIENT_LOGIN:	return xclient_wanted(c);
	case CMD_QUIT:		return "221 2.0.0 ";
	case CMD_BODY:		return body_wanted(c);
	case CMD_BDAT:
	case CMD_BDAT_LAST:
	case CMD_BDAT_BAD:	return bdat_wanted(c, cmd);
	default:
		break;
	}
	if (!c->is_greeted)
		return "503 5.5.1 ";
	if (cmd->kind == CMD_DATA)
		return c->nrcpts > 0 && !c->is_chunked ? "354 " : "503 5.5.1 ";
	if (cmd->kind < CMD_RCPT)
		return c->has_mail ? "503 5.5.1 " : mail_wanted(c, cmd);
	if (!c->has_mail || c->is_chunked)
		return "503 5.5.1 ";
	if (cmd->kind == CMD_RCPT_SYNTAX)
		return "501 5.1.3 ";
	if (cmd->kind == CMD_RCPT && is_full(c))
		return "452 4.5.3 ";
	/* RFC 6409 4.2 */
	if (cmd->kind == CMD_RCPT_LABEL && c->sim->host.options.require_fqdn)
		return "554 5.1.2 ";
	return cmd->kind == CMD_RCPT ? "250 2.1.5 "
	    : cmd->kind == CMD_RCPT_UNKNOWN ? "550 5.1.1 "
	    : cmd->kind == CMD_RCPT_LATER ? "451 4.3.0 "
	    : c->has_login ? "550 5.4.4 " : "550 5.7.1 ";
}

/* A recipient that is named twice is in the envelope once. */
static void
add_rcpt(struct client *c, unsigned int arg)
{
	unsigned int i;

	for (i = 0; i < c->nrcpts; i++)
		if (c->rcpts[i] % SIM_SAID == arg % SIM_SAID)
			return;
	if (c->nrcpts < SIM_RCPTS)
		c->rcpts[c->nrcpts++] = arg;
}

/* The state of the session after the reply. */
static void
follow(struct client *c, const struct cmd *cmd, int code, const char *line,
    size_t len)
{
	switch (cmd->kind) {
	case CMD_EHLO:
	case CMD_HELO:
		if (code == 250) {
			c->is_greeted = true;
			c->is_esmtp = cmd->kind == CMD_EHLO;
			end_transaction(c);
		} else
			c->is_unclear = true;
		break;
	case CMD_RSET:
		if (code == 250)
			end_transaction(c);
		break;
	case CMD_MAIL:
		if (code == 250) {
			c->has_mail = true;
			c->nrcpts = 0;
			c->sender = cmd->arg;
		}
		break;
	case CMD_RCPT:
		if (code == 250) {
			add_rcpt(c, cmd->arg);
			c->ntold++;
		}
		break;
	case CMD_DATA:
		if (code == 354)
			c->wants_body = true;
		else if (code / 100 == 4)
			c->is_unclear = true;	/* RSET is next */
		break;
	case CMD_BODY:
		end_transaction(c);
		break;
	case CMD_BDAT:
	case CMD_BDAT_LAST:
	case CMD_BDAT_BAD:
		follow_bdat(c, cmd, code, line, len);
		break;
	case CMD_QUIT:
		if (code == 221)
			c->is_over = true;
		break;
	case CMD_AUTH_LOGIN:
	case CMD_AUTH_NAME:
		if (code == 334)
			c->wants = cmd->kind == CMD_AUTH_LOGIN ? CMD_AUTH_NAME
			    : CMD_AUTH_PASSWORD;
		break;
	case CMD_XCLIENT:
	case CMD_XCLIENT_LOGIN:
		if (code != 220)
			break;
		end_transaction(c);
		c->is_greeted = c->is_esmtp = false;
		c->has_login = c->is_bob = cmd->kind == CMD_XCLIENT_LOGIN;
		c->nerrors = 0;
		break;
	case CMD_STARTTLS:
		if (code == 220) {
			/* RFC 3207 4.2: the server forgets EHLO and more */
			end_transaction(c);
			c->is_greeted = c->is_esmtp = c->has_login = false;
			c->is_bob = false;
			client_tls_begin(c);
		}
		break;
	case CMD_AUTH:
	case CMD_AUTH_PASSWORD:
		if (code == 235)
			c->has_login = true;
		break;
	default:
		break;
	}
}

static void
check_form(struct client *c, const struct cmd *cmd, int code,
    const char *line, size_t len)
{
	bool is_plain = code == 220 || code == 334 || code == 354
	    || (code == 250 && (cmd->kind == CMD_EHLO || cmd->kind == CMD_HELO));

	/* RFC 2034 4: a 2xx, 4xx or 5xx reply has an enhanced code of the same
	 * class, but not the greeting and the replies to EHLO and HELO */
	if (!is_plain && (len < 9 || line[4] != line[0] || line[5] != '.'))
		sim_violation(c->sim, "no enhanced code: %.*s", (int)len,
		    line);
}

/* Was a chunk of the message refused before? */
static bool
is_repeat(const struct client *c, const struct cmd *cmd)
{
	return (cmd->kind == CMD_BDAT || cmd->kind == CMD_BDAT_LAST) &&
	    c->chunk_refusal[0] != '\0';
}

/* RFC 2033 4.2, 4.3: behind the message, as many replies as RCPT were accepted. */
static void
expect_repeats(struct client *c, const struct cmd *cmd, const char *line,
    size_t len)
{
	if (!c->sim->is_lmtp || !c->has_mail || c->ntold == 0 ||
	    (cmd->kind != CMD_BODY && cmd->kind != CMD_BDAT_LAST))
		return;
	c->nrepeats = c->ntold - 1;
	snprintf(c->repeat, sizeof(c->repeat), "%.*s", (int)len, line);
}

void
model_reply(struct client *c, int code, const char *line, size_t len)
{
	struct sim *sim = c->sim;
	const char *want;
	struct cmd cmd;

	if (c->is_over) {
		sim_violation(sim, "a reply after the last one: %.*s",
		    (int)len, line);
		return;
	}
	if (code == 421) {
		model_closing(c, line, len);
		return;
	}
	if (c->nrepeats > 0) {
		c->nrepeats--;
		if (len != strlen(c->repeat) ||
		    memcmp(line, c->repeat, len) != 0)
			sim_violation(sim, "a recipient was told %.*s, another "
			    "one %s", (int)len, line, c->repeat);
		return;
	}
	if (c->npending == 0) {
		sim_violation(sim, "a reply without a command: %.*s",
		    (int)len, line);
		return;
	}
	cmd = c->pending[c->first];
	c->first = (c->first + 1) % SIM_PENDING;
	c->npending--;
	sim->ncommands++;
	check_form(c, &cmd, code, line, len);
	want = wanted(c, &cmd);
	if (is(line, len, want)) {
		if ((cmd.kind == CMD_BODY || cmd.kind == CMD_BDAT_LAST)
		    && code == 250)
			model_accepted(c, line, len);
	} else if (!is_excused(c, cmd.kind, line, len)) {
		sim_violation(sim, "%s: wanted %s, got %.*s", names[cmd.kind],
		    want, (int)len, line);
		return;
	}
	/* Max_Errors does not count replies that are not the client's fault: no
	 * resources, too many recipients, a login that cannot be checked; nor
	 * the repeats for the other chunks of a refused message */
	if (code >= 400 && !is_repeat(c, &cmd) &&
	    !is(line + 4, len - 4, "4.3.") &&
	    !is(line, len, "454 4.7.0 Temporary") &&
	    !is(line, len, "454 4.7.0 TLS ") &&
	    !is(line + 4, len - 4, "4.5.3 ")) {
		c->nerrors++;
		if (sim->max_errors != 0 && c->nerrors > sim->max_errors)
			sim_violation(sim, "%u errors, %u allowed", c->nerrors,
			    sim->max_errors);
	}
	expect_repeats(c, &cmd, line, len);
	c->is_body_refused = (cmd.kind == CMD_DATA || cmd.kind == CMD_TAKE)
	    && code >= 400;
	follow(c, &cmd, code, line, len);
}
