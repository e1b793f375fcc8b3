/* The client on the simulated wire: see simhop.h. */

#include "test/lib/simhop.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/utf8.h"
#include "proto/sasl/sasl_client.h"
#include "test/lib/simhost.h"
#include "tls/tls_client.h"

static const char *const outcome_names[] = { "accepted", "deferred", "refused",
	"unsent", "uncertain" };
static const char *const why_names[] = {
#define SMTP_WHY(id, outcome, code, enhanced, words) #id,
#include "proto/client/smtp_why.def"
#undef SMTP_WHY
};

static void __attribute__((format(printf, 2, 3)))
violation(struct simhop *h, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (h->violation != NULL)
		h->violation(h->arg, text);
	else
		fprintf(stderr, "violation: %s\n", text);
}

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* --- what stands for TLS -------------------------------------------------- */

/* The wire is at io_data, as without TLS. */
static int
inside_read(Event *e, char *buf, int len, int *need)
{
	int n = simwire_opset.event_read(e, buf, len, need), i;

	for (i = 0; i < n; i++)
		buf[i] = (char)(buf[i] ^ SIMHOP_TURN);
	return n;
}

static int
inside_write(Event *e, const char *buf, int len, int *need)
{
	char turned[1024];
	int i;

	len = len < (int)sizeof(turned) ? len : (int)sizeof(turned);
	for (i = 0; i < len; i++)
		turned[i] = (char)(buf[i] ^ SIMHOP_TURN);
	return simwire_opset.event_write(e, turned, len, need);
}

static int
inside_close(Event *e)
{
	return simwire_opset.event_close(e);
}

static const event_io_opset inside_opset = {
	.event_read = inside_read,
	.event_write = inside_write,
	.event_close = inside_close,
};

static int
tls_start(void *host, struct smtp_client *, Event *e)
{
	static const struct tls_client_server server = {
		.name = "mx.example.test", .must_verify = true };
	struct simhop *h = host;

	h->nhello = h->nanswer = 0;
	if (h->tls_ctx == NULL)
		return 0;
	if ((h->tls = tls_client_new(h->tls_ctx, &server)) == NULL)
		return -1;
	return tls_client_start(h->tls, e);
}

static int
tls_handshake(void *host, struct smtp_client *, Event *e, int *need)
{
	struct simhop *h = host;
	char c;
	int n;

	if (h->tls != NULL) {
		n = tls_client_handshake(h->tls, need);
		h->is_inside = n == 1;
		h->is_verified = tls_client_facts(h->tls)->is_verified;
		if (n == 1 && !h->is_verified)
			violation(h, "a handshake with a server that is not "
			    "verified");
		return n;
	}
	while (h->nhello < strlen(SIMHOP_HELLO)) {
		n = simwire_opset.event_write(e, SIMHOP_HELLO + h->nhello,
		    (int)(strlen(SIMHOP_HELLO) - h->nhello), need);
		if (n <= 0)
			return n == -1 && errno == EAGAIN ? 0 : -1;
		h->nhello += (size_t)n;
	}
	while (h->nanswer < strlen(SIMHOP_ANSWER)) {
		n = simwire_opset.event_read(e, &c, 1, need);
		if (n == -1 && errno == EAGAIN)
			return 0;
		if (n != 1 || c != SIMHOP_ANSWER[h->nanswer]) {
			errno = EPROTO;
			return -1;
		}
		h->nanswer++;
	}
	e->io_opset = &inside_opset;
	h->is_inside = true;
	return 1;
}

static bool
tls_is_verified(void *host, struct smtp_client *)
{
	return ((struct simhop *)host)->is_verified;
}

/* --- the host ------------------------------------------------------------- */

static enum smtp_next
host_next(void *host, struct smtp_client *c, struct smtp_message *m_r)
{
	struct simhop *h = host;

	if (c != h->client)
		violation(h, "next() of another client");
	if (h->ntaken > 0 && !h->messages[h->ntaken - 1].is_done)
		violation(h, "next() before done()");
	if (h->nleaving > 0)
		violation(h, "next() after leaving()");
	if (h->ntaken == h->nmessages)
		return h->is_last ? SMTP_NEXT_QUIT : SMTP_NEXT_NONE;
	m_r->env = &h->messages[h->ntaken].env;
	m_r->octets = h->messages[h->ntaken].octets;
	h->ntaken++;
	return SMTP_NEXT_MESSAGE;
}

static struct simhop_message *
current(struct simhop *h)
{
	if (h->ntaken == 0 || h->messages[h->ntaken - 1].is_done) {
		violation(h, "a call about no message");
		return NULL;
	}
	return &h->messages[h->ntaken - 1];
}

static ssize_t
host_read(void *host, struct smtp_client *, uint64_t offset, char *buf,
    size_t size)
{
	struct simhop *h = host;
	const struct simhop_message *m = current(h);
	size_t end;

	if (m == NULL || offset > m->len) {
		errno = EINVAL;
		return -1;
	}
	end = m->len < h->source_max ? m->len : h->source_max;
	if (offset >= end && end < m->len) {
		errno = h->source_errno != 0 ? h->source_errno : EAGAIN;
		return -1;
	}
	size = size < h->read_max ? size : h->read_max;
	size = size < end - offset ? size : end - offset;
	memcpy(buf, m->body + offset, size);
	return (ssize_t)size;
}

static bool
is_clean(const char *s)
{
	size_t len = strlen(s), i, n;

	for (i = 0; i < len; i += n)
		if ((n = utf8_visible(s + i, len - i)) == 0)
			return false;
	return len <= LIM_CLIENT_WORDS;
}

static void
keep(struct simhop *h, struct simhop_result *to, const struct smtp_result *r)
{
	if (to->is_told)
		violation(h, "a second result");
	if (!is_clean(r->words) || !is_clean(r->enhanced))
		violation(h, "a result has controls, or is too long");
	if (r->enhanced[0] != '\0' && r->enhanced[0] != '0' + r->code / 100)
		violation(h, "code %d with %s", r->code, r->enhanced);
	*to = (struct simhop_result) {
		.is_told = true,
		.outcome = r->outcome,
		.why = r->why,
		.code = r->code,
		.errnum = r->errnum,
	};
	strlcpy(to->enhanced, r->enhanced, sizeof(to->enhanced));
	strlcpy(to->words, r->words, sizeof(to->words));
	strlcpy(to->command, r->command, sizeof(to->command));
}

static void
host_rcpt(void *host, struct smtp_client *, size_t i,
    const struct smtp_result *r)
{
	struct simhop *h = host;
	struct simhop_message *m = current(h);
	char text[700];

	if (m == NULL || i >= m->env.nrcpts) {
		violation(h, "a result of no recipient");
		return;
	}
	keep(h, &m->results[i], r);
	simhop_text(&m->results[i], text, sizeof(text));
	if (h->is_traced)
		printf("    result %s %s\n", m->env.rcpts[i], text);
}

static void
host_done(void *host, struct smtp_client *)
{
	struct simhop *h = host;
	struct simhop_message *m = current(h);
	size_t i;

	for (i = 0; m != NULL && i < m->env.nrcpts; i++)
		if (!m->results[i].is_told)
			violation(h, "done() without a result of %s",
			    m->env.rcpts[i]);
	if (m != NULL)
		m->is_done = true;
}

static void
host_leaving(void *host, struct smtp_client *c)
{
	struct simhop *h = host;

	if (c != h->client || h->nleaving++ > 0)
		violation(h, "leaving() of another client, or twice");
	if (h->ntaken > 0 && !h->messages[h->ntaken - 1].is_done)
		violation(h, "leaving() before done()");
}

static void
host_ended(void *host, struct smtp_client *, const struct smtp_result *r)
{
	struct simhop *h = host;
	char text[700];

	if (h->ntaken > 0 && !h->messages[h->ntaken - 1].is_done)
		violation(h, "ended() before done()");
	if (h->wire->nclosed != 1)
		violation(h, "the wire is closed %u times", h->wire->nclosed);
	if (h->sasl != NULL)
		violation(h, "ended() before auth_end()");
	h->nended++;
	tls_client_free(h->tls);
	h->tls = NULL;
	keep(h, &h->end, r);
	simhop_text(&h->end, text, sizeof(text));
	if (h->is_traced)
		printf("    ended %s\n", text);
	h->client = NULL;
	h->event = NULL;
}

/* --- logins --------------------------------------------------------------- */

/* What the exchange has come to: ${rc}.  The octets are the client's. */
static void
respond(struct simhop *h, int rc, char *out, size_t len)
{
	if (rc == 1) {
		h->nslices++;
		smtp_client_again(h->client);
	} else
		smtp_client_respond(h->client, rc == -1 ? NULL : out, len);
	free(out);
}

static void
begin_login(struct simhop *h)
{
	struct sasl_client_login login = { .user = h->user,
		.secret = h->password, .nonce = h->nonce,
		.mechanisms = h->mechanisms,
		.is_token = h->login != NULL &&
		    strstr(h->login, "OAUTH") != NULL };
	char *out = NULL;
	size_t len = 0;
	int rc;

	if (h->binding != NULL && smtp_client_is_tls(h->client)) {
		login.binding_type = "tls-exporter";
		login.binding = (const uint8_t *)h->binding;
		login.binding_len = strlen(h->binding);
	}
	simalloc_quiet++;
	h->sasl = h->login == NULL ? NULL : sasl_client_new(h->login, &login);
	rc = h->sasl == NULL ? -1 : sasl_client_begin(h->sasl, &out, &len);
	simalloc_quiet--;
	smtp_client_login(h->client, rc == -1 ? NULL : h->login, out, len);
	free(out);
}

void
simhop_login(struct simhop *h)
{
	char *out;
	size_t len;
	int rc;

	if (!h->is_asked || h->client == NULL)
		return;
	h->is_asked = false;
	if (h->sasl == NULL) {
		begin_login(h);
		return;
	}
	simalloc_quiet++;
	rc = sasl_client_step(h->sasl, h->challenge, h->challenge_len, &out,
	    &len);
	simalloc_quiet--;
	respond(h, rc, out, len);
}

static void
auth_go_on(void *host, struct smtp_client *)
{
	struct simhop *h = host;
	char *out;
	size_t len;
	int rc;

	simalloc_quiet++;
	rc = sasl_client_go_on(h->sasl, &out, &len);
	simalloc_quiet--;
	respond(h, rc, out, len);
}

static void
answer_login(struct simhop *h)
{
	h->is_asked = true;
	if (!h->is_login_late)
		simhop_login(h);
}

static void
auth_start(void *host, struct smtp_client *, unsigned int mechanisms)
{
	struct simhop *h = host;

	h->mechanisms = mechanisms;
	answer_login(h);
}

static void
auth_step(void *host, struct smtp_client *, const char *challenge, size_t len)
{
	struct simhop *h = host;

	if (len > sizeof(h->challenge))
		violation(h, "a challenge of %zu octets", len);
	memcpy(h->challenge, challenge, len);
	h->challenge_len = len;
	answer_login(h);
}

static bool
auth_refused(void *host, struct smtp_client *)
{
	struct simhop *h = host;
	bool is_again = h->other_login != NULL;

	if (is_again)
		h->login = h->other_login;
	h->other_login = NULL;
	return is_again;
}

static bool
auth_end(void *host, struct smtp_client *, bool is_right)
{
	struct simhop *h = host;
	bool is_good = h->sasl != NULL && sasl_client_is_done(h->sasl);

	if (h->is_traced)
		printf("    login is %s\n", is_right ? "right" : "over");
	sasl_client_free(h->sasl);
	h->sasl = NULL;
	h->is_asked = false;
	return is_good;
}

static const struct smtp_client_ops ops = {
	.next = host_next,
	.read = host_read,
	.rcpt = host_rcpt,
	.done = host_done,
	.leaving = host_leaving,
	.ended = host_ended,
	.tls_start = tls_start,
	.tls_handshake = tls_handshake,
	.tls_is_verified = tls_is_verified,
	.auth_start = auth_start,
	.auth_step = auth_step,
	.auth_go_on = auth_go_on,
	.auth_refused = auth_refused,
	.auth_end = auth_end,
}, ops_clear = {
	.next = host_next,
	.read = host_read,
	.rcpt = host_rcpt,
	.done = host_done,
	.leaving = host_leaving,
	.ended = host_ended,
	.auth_start = auth_start,
	.auth_step = auth_step,
	.auth_go_on = auth_go_on,
	.auth_refused = auth_refused,
	.auth_end = auth_end,
};

/* --- a client ------------------------------------------------------------- */

static int
step(Event *e, int type, void *closure, struct timeval *now)
{
	struct simhop *h = closure;
	unsigned int owner = simalloc_owner;
	int mask;

	if (h->is_begun && type & E_TIMEOUT &&
	    (!(h->mask & E_TIMEOUT) || h->clock->now_us < h->trigger_us))
		violation(h, "timer early");
	if (!(type & E_EXCEPTION) && type & ~(h->mask | E_ASYNC))
		violation(h, "waits for 0x%x, called with 0x%x",
		    (unsigned int)h->mask, (unsigned int)type);
	h->is_begun = true;
	simalloc_owner = h->owner;
	mask = smtp_client_event(e, type, h->client, now);
	simalloc_owner = owner;
	if (h->is_traced)
		printf("    step 0x%x -> 0x%x %s\n", (unsigned int)type,
		    (unsigned int)mask, h->client == NULL ? "ended" :
		    smtp_client_state(h->client));
	if ((mask == 0) != (h->client == NULL))
		violation(h, "mask 0x%x, and %sended", (unsigned int)mask,
		    h->client == NULL ? "" : "not ");
	if (mask != 0 && !(mask & E_TIMEOUT))
		violation(h, "waits without a timer");
	h->mask = mask;
	h->trigger_us = simclock_us(&e->trigger);
	return mask;
}

int
simhop_connect(struct simhop *h, struct simnet *net)
{
	unsigned int owner = simalloc_owner;

	h->mask = E_READ | E_WRITE;
	if ((h->wire = simwire_open(net)) == NULL)
		return -1;
	simalloc_owner = h->owner;
	h->client = smtp_client_new(&h->options, h->has_tls ? &ops :
	    &ops_clear, h);
	h->event = build_fd_event(h->wire->fd, h->mask, E_AGGRESSIVE_NONE,
	    step, h);
	simalloc_owner = owner;
	if (h->client != NULL && h->event != NULL) {
		simwire_attach(h->wire, h->event);
		if (schedule_event(h->event) == 0)
			return 0;
	}
	smtp_client_free(h->client);
	event_free(h->event);
	h->client = NULL;
	h->event = NULL;
	simwire_free(h->wire);
	return -1;
}

void
simhop_wake(struct simhop *h)
{
	if (h->event != NULL)
		schedule_event_and_dispatch(h->event, E_ASYNC);
}

void
simhop_init(struct simhop *h, struct simclock *clock)
{
	memset(h, 0, sizeof(*h));
	h->clock = clock;
	h->options.helo = "client.example";
	h->source_max = h->read_max = SIZE_MAX;
	h->user = "alice";
	h->password = "secret";
}

void
simhop_clear(struct simhop *h)
{
	struct timeval now;
	Event *e;
	size_t i;

	if (h->client != NULL) {
		/* at the end of a test: as by a host that is stopped */
		e = h->event;
		simclock_now(h->clock, &now);
		smtp_client_stop(h->client);
		event_unschedule(e);
		if (step(e, E_ASYNC, h, &now) == 0)
			event_free(e);
	}
	for (i = 0; i < h->nmessages; i++) {
		while (h->messages[i].nwords > 0)
			free(h->messages[i].words[--h->messages[i].nwords]);
		free(h->messages[i].text);
		free(h->messages[i].rcpts);
		free(h->messages[i].orcpts);
		free(h->messages[i].notify);
		free(h->messages[i].body);
		free(h->messages[i].results);
	}
	h->nmessages = 0;
}

struct simhop_message *
simhop_add(struct simhop *h, const char *sender, const char *rcpts,
    const char *body, size_t len)
{
	struct simhop_message *m;
	char *at;
	size_t n = 1, i;

	if (h->nmessages == SIMHOP_MESSAGES)
		return NULL;
	simalloc_quiet++;
	m = &h->messages[h->nmessages++];
	memset(m, 0, sizeof(*m));
	for (i = 0; rcpts[i] != '\0'; i++)
		n += rcpts[i] == ',';
	m->text = must(malloc(strlen(sender) + strlen(rcpts) + 2));
	m->rcpts = must(calloc(n, sizeof(*m->rcpts)));
	m->orcpts = must(calloc(n, sizeof(*m->orcpts)));
	m->notify = must(calloc(n, sizeof(*m->notify)));
	m->results = must(calloc(n, sizeof(*m->results)));
	m->body = must(malloc(len + 1));
	simalloc_quiet--;
	memcpy(m->body, body, len);
	m->len = m->octets = len;
	m->env.sender = m->text;
	at = stpcpy(m->text, sender) + 1;
	strcpy(at, rcpts);
	for (i = 0; i < n; i++)
		m->rcpts[i] = strsep(&at, ",");
	m->env.rcpts = m->rcpts;
	m->env.nrcpts = n;
	m->env.session = m->env.client = m->env.helo = m->env.id = "";
	return m;
}

static unsigned int
flag_of(const char *word)
{
	static const struct { const char *word; unsigned int flag; } flags[] = {
		{ "8bitmime", SPOOL_ENV_8BITMIME },
		{ "binarymime", SPOOL_ENV_BINARYMIME },
		{ "smtputf8", SPOOL_ENV_SMTPUTF8 },
		{ "requiretls", SPOOL_ENV_REQUIRETLS },
		{ "ret=full", SPOOL_ENV_RET_FULL },
		{ "ret=hdrs", SPOOL_ENV_RET_HDRS },
	};
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strcmp(flags[i].word, word) == 0)
			return flags[i].flag;
	return 0;
}

static void
set_notify(struct simhop_message *m, const char *words)
{
	unsigned int flags = strstr(words, "never") ? SPOOL_NOTIFY_NEVER : 0;
	size_t i;

	flags |= strstr(words, "success") ? SPOOL_NOTIFY_SUCCESS : 0;
	flags |= strstr(words, "failure") ? SPOOL_NOTIFY_FAILURE : 0;
	flags |= strstr(words, "delay") ? SPOOL_NOTIFY_DELAY : 0;
	for (i = 0; i < m->env.nrcpts; i++)
		m->notify[i] = (uint8_t)flags;
	m->env.notify = m->notify;
}

bool
simhop_envelope(struct simhop_message *m, const char *text)
{
	const char *word, *value;
	size_t i;

	if (m->nwords == sizeof(m->words) / sizeof(m->words[0]))
		return false;
	simalloc_quiet++;
	word = m->words[m->nwords++] = must(strdup(text));
	simalloc_quiet--;
	value = strchr(word, '=');
	if (flag_of(word) != 0)
		m->env.flags |= flag_of(word);
	else if (value++ == NULL)
		return false;
	else if (strncmp(word, "envid=", 6) == 0)
		m->env.envid = value;
	else if (strncmp(word, "priority=", 9) == 0)
		m->env.priority = atoi(value);
	else if (strncmp(word, "octets=", 7) == 0)
		m->octets = strtoull(value, NULL, 10);
	else if (strncmp(word, "notify=", 7) == 0)
		set_notify(m, value);
	else if (strncmp(word, "orcpt=", 6) == 0) {
		for (i = 0; i < m->env.nrcpts; i++)
			m->orcpts[i] = value;
		m->env.orcpts = m->orcpts;
	} else if (strncmp(word, "by=", 3) == 0) {
		m->env.deliver_by = atoll(value);
		m->env.flags |= strstr(value, ";R") ? SPOOL_ENV_BY_RETURN : 0;
		m->env.flags |= strrchr(value, 'T') ? SPOOL_ENV_BY_TRACE : 0;
	} else
		return false;
	return true;
}

void
simhop_text(const struct simhop_result *r, char *buf, size_t size)
{
	snprintf(buf, size, "%s %d %s%s%s%s%s", outcome_names[r->outcome],
	    r->code, r->enhanced, r->enhanced[0] != '\0' ? " " : "",
	    r->words[0] != '\0' ? r->words : why_names[r->why],
	    r->command[0] != '\0' ? "; " : "", r->command);
}
