/* Our client against our server: see hop.h. */

#include "test/sim/hop.h"

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/client/smtp_dots.h"
#include "test/lib/simhop.h"
#include "test/lib/simhost.h"
#include "test/lib/simsaid.h"
#include "test/lib/simtls.h"
#include "test/sim/alloc.h"

#define START_US	UINT64_C(1790000000000000)
#define OWNER		60	/* of the client's memory; sessions have small numbers */
#define BODY_MAX	60000
#define PASSES_MAX	400000
#define NNAMES		11	/* extensions that a seed chooses from */
#define TLS_PERMILLE	30	/* seeds with TLS */
#define END_US		UINT64_C(40000000000)	/* longer than both sides wait for anything */

/* One direction between the wires. */
struct way {
	struct simwire	*from, *to;
	bool		 is_dead;	/* what is sent is lost */
	bool		 is_over;	/* the end of file was passed on */
};

struct hop_sim {
	struct simhost		 host;
	struct simhop		 hop;
	struct simhost_session	*session;
	struct simrand		 rand;
	struct way		 up, down;	/* to the server, to the client */
	uint64_t		 delay_max_us;
	uint64_t		 end_us;	/* after that it takes too long */
	size_t			 window;	/* of each wire; 0: unbounded */
	bool			 is_cut;
	bool			 is_failed, is_traced, has_said;
	struct hop_total	*total;
	char			*text;
	size_t			 size;
};

static struct hop_sim *the_sim;		/* too large for a stack */

static void __attribute__((format(printf, 2, 3)))
violation(struct hop_sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->is_failed)
		return;
	s->is_failed = true;
	va_start(ap, fmt);
	vsnprintf(s->text, s->size, fmt, ap);
	va_end(ap);
	if (s->is_traced)
		printf("*** %s\n", s->text);
}

static void
any_violation(void *arg, const char *text)
{
	violation(arg, "%s", text);
}

/* --- the way between them ------------------------------------------------- */

static void
arrive(void *arg, uint64_t n)
{
	simwire_arrive(arg, (size_t)n);
}

/* Octets leave one wire and are on their way to the other one, in pieces. */
static void
carry(struct hop_sim *s, struct way *w)
{
	const char *buf;
	size_t len, n;

	buf = simwire_peek(w->from, &len);
	if (len > 0 && !w->is_dead) {
		simwire_send(w->to, buf, len);
		for (; len > 0; len -= n) {
			n = simrand_chance(&s->rand, 300) ? len :
			    1 + simrand_below(&s->rand, (uint32_t)len);
			simclock_at(&s->host.clock, s->delay_max_us == 0 ? 0 :
			    simrand_below(&s->rand,
			    (uint32_t)s->delay_max_us), arrive, w->to, n);
		}
		buf = simwire_peek(w->from, &len);
	}
	simwire_take(w->from, len);
	if (s->window > 0)
		w->from->window = s->window;
	/* all that was sent comes before the end */
	if (w->from->is_closed && !w->is_over && !w->is_dead &&
	    w->to->arrived == w->to->in.len) {
		simwire_close(w->to);
		w->is_over = true;
	}
}

/* The connection is cut: both sides see it; or neither does, and what one of
 * them sends is lost. */
static void
cut(void *arg, uint64_t how)
{
	struct hop_sim *s = arg;

	s->is_cut = true;
	if (s->is_traced)
		printf("--- cut %u\n", (unsigned int)how);
	switch (how) {
	case 0:
		simwire_close(s->up.to);
		simwire_close(s->down.to);
		break;
	case 1:
		simwire_reset(s->up.to);
		simwire_reset(s->down.to);
		break;
	case 2:
		s->up.is_dead = true;
		break;
	default:
		s->down.is_dead = true;
		break;
	}
	s->up.is_dead |= how < 2;
	s->down.is_dead |= how < 2;
}

/* The server shuts down. */
static void
drain(void *arg, uint64_t)
{
	struct hop_sim *s = arg;

	if (s->is_traced)
		printf("--- drain\n");
	simhost_drain(&s->host, false);
}

/* The clock is set: neither of both may notice. */
static void
set_clock(void *arg, uint64_t)
{
	struct hop_sim *s = arg;
	int64_t delta_us = (int64_t)simrand_below(&s->rand, 86400) * 1000000;

	if (simrand_chance(&s->rand, 500))
		delta_us = -delta_us;
	if (s->is_traced)
		printf("--- the clock is set by %lld us\n",
		    (long long)delta_us);
	simhost_set_clock(&s->host, delta_us);
	s->hop.trigger_us += (uint64_t)delta_us;
	s->end_us += (uint64_t)delta_us;
}

/* --- what this seed is ---------------------------------------------------- */

static void
choose_server(struct hop_sim *s)
{
	static char names[NNAMES][20] = { "SIZE", "8BITMIME",
		"ENHANCEDSTATUSCODES", "LIMITS", "PIPELINING", "CHUNKING",
		"BINARYMIME", "DSN", "MT-PRIORITY", "SMTPUTF8",
		"STARTTLS" };
	static char *list[NNAMES];
	struct esmtp_options *o = &s->host.options;
	struct simspool *sp = &s->host.spool;
	struct simrand *r = &s->rand;
	size_t n = 0, i;

	o->kind = simrand_chance(r, 300) ? ESMTP_KIND_LMTP : ESMTP_KIND_SMTP;
	for (i = 0; i < NNAMES; i++)
		if (simrand_chance(r, i < 3 ? 900 : 600))
			list[n++] = names[i];
	if (n == 0)
		list[n++] = names[0];
	s->has_said = simrand_chance(r, 700);
	if (s->has_said)
		for (n = 0; n < NNAMES; n++)
			list[n] = names[n];
	o->smtp_extensions.v = list;
	o->smtp_extensions.n = n;
	o->trace_headers = false;
	o->max_recipients_per_message = simrand_chance(r, 200) ? 2 : 1000;
	o->max_message_size = simrand_chance(r, 200) ? 400 : 0;
	o->max_errors = simrand_chance(r, 200) ? 2 : 0;
	o->max_receptions_per_connection = simrand_chance(r, 200) ? 2 : 0;
	if (simrand_chance(r, 300))
		sp->delay_max_us = simrand_below(r, 900000000);
	if (simrand_chance(r, 300)) {
		sp->begin_permille = simrand_below(r, 200);
		sp->append_permille = simrand_below(r, 200);
		sp->refuse_permille = simrand_below(r, 200);
		sp->commit_permille = simrand_below(r, 300);
	}
	if (simrand_chance(r, 200))
		sp->room = 1 + simrand_below(r, 5000);
	sp->stream_us = 1 + simrand_below(r, 20000);
	sp->is_inside = simrand_chance(r, 200);
}

/* In few seeds: a handshake takes longer than all the rest. */
static void
choose_tls(struct hop_sim *s)
{
	static char name[] = "server.pem", *names[] = { name };
	struct esmtp_options *o = &s->host.options;
	struct simrand *r = &s->rand;

	if (!simrand_chance(r, TLS_PERMILLE))
		return;
	simtls_use(&s->host);
	o->tls_certificate.v = names;
	o->tls_certificate.n = 1;
	o->use_ssl = simrand_chance(r, 300);
	s->hop.has_tls = true;
	s->hop.tls_ctx = simtls_client_context();
	s->hop.options.tls = o->use_ssl ? SMTP_TLS_FIRST :
	    simrand_chance(r, 500) ? SMTP_TLS_MUST : SMTP_TLS_MAY;
	if (simrand_chance(r, 300))
		simtls_sign(SIMTLS_SIGNS, simrand_below(r, 4000000));
	if (simrand_chance(r, 50))
		simtls_sign(SIMTLS_REFUSES, 0);
}

/* Lines, dots, and CR and LF wherever they like. */
static size_t
make_body(struct hop_sim *s, size_t number, char *body)
{
	static const char set[] = "aaaaaab. ..\r\n\r\n\n\r";
	struct simrand *r = &s->rand;
	size_t n = (size_t)snprintf(body, 40, "Subject: %zu\r\n\r\n", number),
	    len = simrand_chance(r, 900) ? simrand_below(r, 300) :
	    simrand_below(r, BODY_MAX - 100), i;

	for (i = 0; i < len; i++)
		if (simrand_chance(r, 300)) {
			body[n++] = '\r';
			body[n++] = '\n';
			i++;
		} else
			body[n++] = set[simrand_below(r, sizeof(set) - 1)];
	return n;
}

static void
add_message(struct hop_sim *s, size_t number)
{
	static const char *const users[] = { "alice", "bob", "carol",
		"nobody", "later", "user1", "user2", "user3" };
	static const char *const wishes[] = { "ret=full", "ret=hdrs",
		"envid=a+b=c", "priority=-3", "notify=never",
		"notify=success,delay", "orcpt=rfc822;x+y@z", "8bitmime" };
	static char body[BODY_MAX];
	char rcpts[512] = "";
	struct simhop_message *m;
	size_t i, len = make_body(s, number, body);

	for (i = 0; i < 8; i++)
		if (simrand_chance(&s->rand, 300) || (i == 7 &&
		    rcpts[0] == '\0')) {
			if (rcpts[0] != '\0')
				strlcat(rcpts, ",", sizeof(rcpts));
			strlcat(rcpts, users[i], sizeof(rcpts));
			strlcat(rcpts, "@" SIMHOST_DOMAIN, sizeof(rcpts));
		}
	m = simhop_add(&s->hop, "sender@client.example", rcpts, body, len);
	if (m == NULL)
		errx(1, "too many messages");
	for (i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		if (simrand_chance(&s->rand, 200) && !(i == 1 &&
		    m->env.flags & SPOOL_ENV_RET_FULL))
			simhop_envelope(m, wishes[i]);
	s->total->nmessages++;
	s->total->nrcpts += m->env.nrcpts;
}

static void
choose_client(struct hop_sim *s)
{
	struct simrand *r = &s->rand;
	size_t n = 1 + simrand_below(r, 5), i;

	simhop_init(&s->hop, &s->host.clock);
	s->hop.violation = any_violation;
	s->hop.arg = s;
	s->hop.owner = OWNER;
	s->hop.is_traced = s->is_traced;
	s->hop.is_last = true;
	s->hop.options.is_lmtp = s->host.options.kind == ESMTP_KIND_LMTP;
	s->hop.options.is_bdat_preferred = simrand_chance(r, 500);
	s->hop.options.may_convert = simrand_chance(r, 500);
	if (simrand_chance(r, 300))
		s->hop.read_max = 1 + simrand_below(r, 100);
	for (i = 0; i < n; i++)
		add_message(s, i);
}

static void
choose_way(struct hop_sim *s)
{
	struct simrand *r = &s->rand;
	struct simwire *wires[] = { s->up.to, s->down.to };
	size_t i;

	s->delay_max_us = simrand_chance(r, 400) ? 0 : simrand_chance(r, 700) ?
	    50000 : 5000000;
	s->window = simrand_chance(r, 600) ? 0 : 20 + simrand_below(r, 500);
	for (i = 0; i < 2; i++) {
		wires[i]->short_permille = simrand_chance(r, 300) ?
		    simrand_below(r, 900) : 0;
		wires[i]->again_permille = simrand_chance(r, 300) ?
		    simrand_below(r, 300) : 0;
	}
	if (simrand_chance(r, 500)) {
		s->total->ncuts++;
		simclock_at(&s->host.clock, simrand_chance(r, 500) ?
		    simrand_below(r, 100000) : simrand_below(r, 20000000),
		    cut, s, simrand_below(r, 4));
	}
	if (simrand_chance(r, 100))
		simclock_at(&s->host.clock, simrand_below(r, 5000000), drain,
		    s, 0);
	for (i = 0; simrand_chance(r, 200) && i < 4; i++)
		simclock_at(&s->host.clock, simrand_below(r, 60000000),
		    set_clock, s, 0);
	if (simrand_chance(r, 100))
		alloc_fail(0, 1 + simrand_below(r, 60));
}

/* --- what must hold ------------------------------------------------------- */

/* How often recipient ${i} of message ${number} is in the spool. */
static unsigned int
times_safe(struct hop_sim *s, size_t number, size_t i)
{
	const struct simhop_message *m = &s->hop.messages[number];
	const struct spool_msg *sm;
	unsigned int n = 0;
	char subject[40];
	size_t len, k;

	len = (size_t)snprintf(subject, sizeof(subject), "Subject: %zu\r\n",
	    number);
	for (sm = s->host.spool.msgs; sm != NULL; sm = sm->next)
		for (k = 0; sm->state == SIMSPOOL_SAFE && k < sm->nrcpts; k++)
			n += sm->len >= len &&
			    memcmp(sm->body, subject, len) == 0 &&
			    strcmp(sm->rcpts[k], m->env.rcpts[i]) == 0;
	return n;
}

/* What is in the spool of message ${number} is what was to be sent. */
static void
check_body(struct hop_sim *s, size_t number, const struct spool_msg *sm)
{
	static char want[2 * BODY_MAX + SMTP_DOTS_MORE];
	const struct simhop_message *m = &s->hop.messages[number];
	struct smtp_dots d = { .is_chunk = true };
	size_t len;
	char *said;

	len = smtp_dots_next(&d, m->body, m->len, want);
	len += smtp_dots_end(&d, want + len);
	if (len != sm->len || memcmp(want, sm->body, len) != 0)
		violation(s, "message %zu has another body", number);
	/* the server keeps what it offers; recipients that it has refused would
	 * not be there */
	if (!s->has_said || sm->nrcpts != m->env.nrcpts)
		return;
	simalloc_quiet++;
	said = simsaid(&m->env);
	if (strcmp(said, sm->said) != 0)
		violation(s, "message %zu says \"%s\", it is to say \"%s\"",
		    number, sm->said, said);
	free(said);
	simalloc_quiet--;
}

static void
check_rcpt(struct hop_sim *s, size_t number, size_t i)
{
	const struct simhop_message *m = &s->hop.messages[number];
	const struct simhop_result *r = &m->results[i];
	unsigned int n = times_safe(s, number, i);
	bool is_taken = number < s->hop.ntaken;

	if (is_taken != r->is_told)
		violation(s, "message %zu, %s: %s result", number,
		    m->env.rcpts[i], is_taken ? "no" : "a");
	if (!r->is_told) {
		if (n > 0)
			violation(s, "message %zu was not sent, and is there",
			    number);
		return;
	}
	s->total->naccepted += r->outcome == SMTP_ACCEPTED;
	s->total->nuncertain += r->outcome == SMTP_UNCERTAIN;
	s->total->nunsent += r->outcome == SMTP_UNSENT;
	s->total->nrefused += r->outcome == SMTP_REFUSED;
	if (r->outcome == SMTP_UNCERTAIN ? n > 1 :
	    n != (r->outcome == SMTP_ACCEPTED))
		violation(s, "message %zu, %s: outcome %d \"%s\", and it is "
		    "there %u times", number, m->env.rcpts[i],
		    (int)r->outcome, r->words, n);
	/* nobody has to guess on a way that was not cut, between two that have
	 * memory, and a disk that answers in time */
	if (r->outcome == SMTP_UNCERTAIN && !s->is_cut &&
	    r->why != SMTP_WHY_TIMEOUT && alloc_of(OWNER)->nfailed == 0 &&
	    alloc_of(s->session->number)->nfailed == 0 &&
	    alloc_of(0)->nfailed == 0 && s->host.spool.delay_max_us == 0)
		violation(s, "message %zu, %s: uncertain without a cut",
		    number, m->env.rcpts[i]);
}

static void
check(struct hop_sim *s)
{
	const struct spool_msg *sm;
	size_t number, i;

	for (number = 0; number < s->hop.nmessages; number++)
		for (i = 0; i < s->hop.messages[number].env.nrcpts; i++)
			check_rcpt(s, number, i);
	for (sm = s->host.spool.msgs; sm != NULL; sm = sm->next) {
		if (sm->state != SIMSPOOL_SAFE)
			continue;
		/* an empty message to nobody would have no number */
		number = sm->len > 9 ? strtoul(sm->body + 9, NULL, 10) : 99;
		if (number < s->hop.nmessages)
			check_body(s, number, sm);
		else
			violation(s, "a message that nobody has sent");
	}
}

/* --- a seed --------------------------------------------------------------- */

static bool
is_over(const struct hop_sim *s)
{
	return s->hop.client == NULL && s->session->ac == NULL &&
	    s->host.spool.ncommitting == 0;
}

static void
run_passes(struct hop_sim *s)
{
	unsigned int n;

	s->end_us = s->host.clock.now_us + END_US;
	for (n = 0; !s->is_failed && !is_over(s); n++) {
		if (n == PASSES_MAX) {
			violation(s, "the seed does not end");
			return;
		}
		if (s->host.clock.now_us > s->end_us) {
			violation(s, "it takes too long: the client %s",
			    s->hop.client == NULL ? "has ended" :
			    smtp_client_state(s->hop.client));
			return;
		}
		s->host.nothers = s->hop.client != NULL;
		scheduler_pass(s->host.sched, -1);
		s->host.nothers = s->hop.client != NULL;
		simhost_check(&s->host);
		carry(s, &s->up);
		carry(s, &s->down);
		if (s->host.clock.is_stuck && !is_over(s))
			violation(s, "both sides wait without an event");
	}
}

static bool
begin(struct hop_sim *s)
{
	if ((s->session = simhost_connect(&s->host, "192.0.2.1")) == NULL ||
	    simhop_connect(&s->hop, &s->host.net) == -1)
		return false;
	s->up = (struct way){ .from = s->hop.wire, .to = s->session->wire };
	s->down = (struct way){ .from = s->session->wire,
		.to = s->hop.wire };
	choose_way(s);
	return true;
}

bool
hop_run(uint64_t seed, int mutation, bool is_traced, struct hop_total *total,
    char *text, size_t size)
{
	struct hop_sim *s = the_sim;

	if (s == NULL) {
		simalloc_quiet++;
		s = the_sim = calloc(1, sizeof(*s));
		simalloc_quiet--;
		if (s == NULL)
			err(1, NULL);
	}
	simrand_seed(&s->rand, seed);
	alloc_reset(&s->rand);
	s->is_failed = s->is_cut = false;
	s->is_traced = is_traced;
	s->total = total;
	s->text = text;
	s->size = size;
	if (simhost_init(&s->host, START_US, &s->rand) == -1)
		errx(1, "out of memory");
	s->host.violation = any_violation;
	s->host.arg = s;
	s->host.is_traced = is_traced;
	choose_server(s);
	s->host.spool.mutation = (enum simspool_mutation)mutation;
	choose_client(s);
	choose_tls(s);
	if (begin(s)) {
		run_passes(s);
		if (!s->is_failed)
			check(s);
	}
	total->nhandshakes += s->hop.is_inside;
	s->host.nothers = 0;
	s->host.options.smtp_extensions.v = NULL;
	s->host.options.smtp_extensions.n = 0;
	s->host.options.tls_certificate.v = NULL;
	s->host.options.tls_certificate.n = 0;
	simhop_clear(&s->hop);
	simhost_clear(&s->host);
	if (!s->is_failed && alloc_outstanding() != 0)
		violation(s, "%zu blocks are left", alloc_outstanding());
	return !s->is_failed;
}
