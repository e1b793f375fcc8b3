/* The simulated process: see simhost.h.
 * Owns: what the host and the spool say, the time. */

#include "test/lib/simhost.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/util/addr.h"
#include "core/util/utf8.h"
#include "test/lib/simhost_int.h"

#define SLACK_US	2000	/* poll's milliseconds, rounded up */

volatile unsigned int simalloc_owner;

const char *const simhost_report_names[SIMHOST_NKINDS] = {
	[ESMTP_REPORT_CONNECT] = "connect",
	[ESMTP_REPORT_ACCEPTED] = "accepted",
	[ESMTP_REPORT_REJECTED] = "rejected",
	[ESMTP_REPORT_TIMEOUT] = "timeout",
	[ESMTP_REPORT_ABORT] = "abort",
	[ESMTP_REPORT_TLS] = "tls",
	[ESMTP_REPORT_TLS_FAILED] = "tls-failed",
	[ESMTP_REPORT_AUTH] = "auth",
	[ESMTP_REPORT_AUTH_FAILED] = "auth-failed",
	[ESMTP_REPORT_END] = "end",
	[ESMTP_REPORT_CLIENT] = "client",
	[ESMTP_REPORT_LONE_LF] = "lone-lf",
};

void
simhost_violation(struct simhost *h, const char *fmt, ...)
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

static void
spool_violation(void *arg, const char *text)
{
	simhost_violation(arg, "spool: %s", text);
}

/* Handles are numbers, not pointers: one whose session has ended is simply
 * not found, as in the server. */
static struct simhost_session *
by_handle(struct simhost *h, uint64_t handle)
{
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac != NULL
		    && h->sessions[i].ac->handle == handle)
			return &h->sessions[i];
	return NULL;
}

#define MANY	1000	/* recipients of a message: a test has no more */

/* The commit is decided, for some recipients otherwise than for the rest. */
static int
answer_commit(struct simhost *h, uint64_t ticket, int error)
{
	const struct simspool *sp = &h->spool;
	const char *texts[MANY] = { NULL };
	const struct spool_msg *m;
	int codes[MANY] = { 0 };
	size_t i, j;

	for (m = sp->msgs; m != NULL && m->ticket != ticket; m = m->next)
		continue;
	if (error != 0 || sp->nof_rcpt == 0 || m == NULL || m->nrcpts > MANY)
		return esmtp_answer(&h->host, ticket, error);
	for (i = 0; i < m->nrcpts; i++)
		for (j = 0; j < sp->nof_rcpt; j++)
			if (strcmp(m->rcpts[i], sp->of_rcpt[j].addr) == 0) {
				codes[i] = sp->of_rcpt[j].code;
				texts[i] = sp->of_rcpt[j].text;
			}
	return esmtp_answer_rcpts(&h->host, ticket, codes, texts, m->nrcpts);
}

static void
commit_done(void *arg, uint64_t handle, uint64_t ticket, int error)
{
	struct simhost_session *s = by_handle(arg, handle);
	struct simhost *h = arg;

	/* a session that has ended is not found by its ticket either */
	if (answer_commit(h, ticket, error) == 0 && s == NULL)
		simhost_violation(h, "a commit is awaited by no session");
	if (s == NULL)
		return;
	schedule_event_and_dispatch(s->ac->event, E_ASYNC);
}

static void
look_again(struct simhost_session *s)
{
	schedule_event_and_dispatch(s->ac->event, E_ASYNC);
}

static void
room_again(void *arg, uint64_t handle)
{
	struct simhost_session *s = by_handle(arg, handle);

	if (s != NULL)
		look_again(s);
}

static bool
text_is(const char *s, size_t len, const char *want)
{
	return len == strlen(want) && strncasecmp(s, want, len) == 0;
}

/* The server's address is 192.0.2.25. */
static const char *
host_postmaster_domain(void *, accept_construct *, const struct sockaddr *own)
{
	char text[ADDR_TEXT];

	return own == NULL || strcmp(addr_text(own, text), "192.0.2.25") == 0 ?
	    SIMHOST_DOMAIN : NULL;
}

/* The mailboxes: alice, bob, carol, Postmaster, gr\xc3\xbcn, user<anything> at
 * example.test, in quotes too; later@ cannot be told now.  What is not ours, and
 * can be relayed: next.test. */
static enum esmtp_rcpt_status
host_lookup(void *closure, accept_construct *, const struct mailaddr *a)
{
	static const char *const users[] = { "alice", "bob", "carol",
		"postmaster", "gr\xc3\xbcn" };
	struct simhost *h = closure;
	char address[LIM_PATH + 1], text[LIM_PATH + 1], *at;
	ssize_t n;
	size_t i;

	if (h->is_lookup_later)
		return ESMTP_RCPT_LATER;
	if (a->domain_len == 0)		/* <postmaster> */
		return ESMTP_RCPT_OK;
	if (text_is(a->domain, a->domain_len, "next.test"))
		return ESMTP_RCPT_RELAY;
	if (!text_is(a->domain, a->domain_len, SIMHOST_DOMAIN))
		return ESMTP_RCPT_FOREIGN;
	if (mailaddr_format(a, address, sizeof(address)) == -1
	    || (at = strrchr(address, '@')) == NULL)
		return ESMTP_RCPT_UNKNOWN;
	if ((n = utf8_lower(address, (size_t)(at - address), text,
	    sizeof(text) - 1)) == -1)
		return errno == ENOMEM ? ESMTP_RCPT_LATER : ESMTP_RCPT_UNKNOWN;
	text[n] = '\0';
	if (strcasecmp(text, "later") == 0)
		return ESMTP_RCPT_LATER;
	for (i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		if (strcasecmp(text, users[i]) == 0)
			return ESMTP_RCPT_OK;
	if (strlen(text) > 4 && strncasecmp(*text == '"' ? text + 1 : text,
	    "user", 4) == 0)
		return ESMTP_RCPT_OK;
	return ESMTP_RCPT_UNKNOWN;
}

/* What waits: something for wait.test, nothing for none.test, and of other domains
 * that is not known.  later.test cannot be had now. */
static enum esmtp_start_status
host_start_queue(void *, accept_construct *, const char *domain, int)
{
	return strcmp(domain, "wait.test") == 0 ? ESMTP_START_PENDING :
	    strcmp(domain, "none.test") == 0 ? ESMTP_START_NONE :
	    strcmp(domain, "later.test") == 0 ? ESMTP_START_LATER :
	    ESMTP_START_OK;
}

static struct esmtp_host_ops host_ops = {
	.report = simhost_report,
	.lookup_rcpt = host_lookup,
	.postmaster_domain = host_postmaster_domain,
	.start_queue = host_start_queue,
	.session_end = simhost_session_end,
};

int
simhost_init(struct simhost *h, uint64_t start_us, struct simrand *r)
{
	struct scheduler_backend backend;

	memset(h, 0, offsetof(struct simhost, scratch));
	simpolicy_use(h);
	simauth_ops(&host_ops);
	simclock_init(&h->clock, start_us);
	simnet_init(&h->net, r);
	h->clock.poll = simnet_poll;
	h->clock.poll_arg = &h->net;
	simspool_init(&h->spool, &h->clock);
	h->spool.rand = r;
	h->spool.done = commit_done;
	h->spool.room_again = room_again;
	h->spool.violation = spool_violation;
	h->spool.arg = h;
	h->ops = host_ops;
	h->host = (struct esmtp_host) {
		.ops = &h->ops,
		.closure = h,
		.spool = &simspool_ops,
		.spool_closure = &h->spool,
		.scratch = h->scratch,
		.scratch_octets = sizeof(h->scratch),
		.output = h->output,
		.output_octets = sizeof(h->output),
	};
	/* it is the host's, whatever session it grows for */
	answers_init(&h->host.answers);
	simalloc_quiet++;
	if (answers_reserve(&h->host.answers, 4 * SIMWIRE_MAX) == -1)
		abort();
	simalloc_quiet--;
	simclock_backend(&h->clock, &backend);
	h->sched = scheduler_create(&backend);
	if (h->sched == NULL)
		return -1;
	simalloc_quiet++;
	if (options_init(&h->options, SIMHOST_HOSTNAME) == -1) {
		simalloc_quiet--;
		scheduler_destroy(h->sched);
		h->sched = NULL;
		return -1;
	}
	simalloc_quiet--;
	return 0;
}

void
simhost_clear(struct simhost *h)
{
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac != NULL)
			simhost_session_kill(&h->sessions[i]);
	if (h->spool.nopen != 0)
		simhost_violation(h, "%zu open messages are left",
		    h->spool.nopen);
	if (h->sched != NULL) {
		if (scheduler_event_count(h->sched) != 0)
			simhost_violation(h, "%d events are left",
			    scheduler_event_count(h->sched));
		scheduler_destroy(h->sched);
		h->sched = NULL;
	}
	simalloc_quiet++;
	answers_clear(&h->host.answers);
	options_clear(&h->options);
	simalloc_quiet--;
	simspool_clear(&h->spool);
	simnet_clear(&h->net);
	simclock_clear(&h->clock);
}

void
simhost_drain(struct simhost *h, bool is_reconfigured)
{
	size_t i;

	h->host.is_draining = 1;
	h->host.is_reconfigured = is_reconfigured;
	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac != NULL)
			look_again(&h->sessions[i]);
}

static void
check(void *h)
{
	simhost_check(h);
}

static void
no_rest(struct simhost *h)
{
	if (errno == ELOOP)
		simhost_violation(h, "never comes to rest");
	else
		simhost_violation(h, "scheduler_pass: %s", strerror(errno));
}

int
simhost_settle(struct simhost *h)
{
	int n = simclock_settle(&h->clock, h->sched, check, h);

	if (n == -1)
		no_rest(h);
	return n == -1 ? 0 : n;
}

void
simhost_advance(struct simhost *h, uint64_t us)
{
	if (simclock_advance(&h->clock, h->sched, us, check, h) == -1)
		no_rest(h);
}

void
simhost_set_clock(struct simhost *h, int64_t delta_us)
{
	struct simhost_session *s;
	size_t i, k;

	simclock_set(&h->clock, delta_us);
	scheduler_shift(h->sched, delta_us);
	for (i = 0; i < SIMWIRE_MAX; i++) {
		s = &h->sessions[i];
		uint64_t *times[] = { &s->trigger_us, &s->wrote_us,
			&s->woken_us, &s->timeout_us };

		/* 0: not yet */
		for (k = 0; k < sizeof(times) / sizeof(times[0]); k++)
			if (*times[k] != 0)
				*times[k] += (uint64_t)delta_us;
	}
}

void
simhost_check(struct simhost *h)
{
	struct simhost_session *s;
	int nlive = 0;
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++) {
		s = &h->sessions[i];
		if (s->ac == NULL)
			continue;
		nlive++;
		if (s->is_begun && (s->mask & E_TIMEOUT) != 0
		    && h->clock.now_us > s->trigger_us + SLACK_US)
			simhost_violation(h, "session %u: timer forgotten",
			    s->number);
	}
	if (scheduler_event_count(h->sched) != nlive + h->nothers)
		simhost_violation(h, "%d events for %d sessions and %d others",
		    scheduler_event_count(h->sched), nlive, h->nothers);
}
