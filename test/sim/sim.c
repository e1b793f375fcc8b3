/* build/sim: run seeds; one that fails is printed and can be replayed.
 *	build/sim [--first N] [--seeds N]	many, silently; and for each, one of
 *						our client against our server
 *	build/sim --seed N			one, with a trace
 *	build/sim --hop N			one of the client, with a trace
 *	build/sim --selftest			insert faults; find each */

#include <err.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/monotonic.h"
#include "test/sim/alloc.h"
#include "test/sim/hop.h"
#include "test/sim/sim.h"

#define START_US	UINT64_C(1790000000000000)
#define PASSES_MAX	400000	/* of one seed; after more it has no end */
#define TLS_PERMILLE	30	/* seeds with TLS */
#define STILL_MAX	20000	/* passes at one time; after more it spins */

static const char *const mutation_names[] = { "none",
	"spool says done before the commit", "spool says done after a failure",
	"spool never says done", "spool changes an octet",
	"timer fires a second early", "timer is lost", "timeout is longer",
	"timeout is shorter", "reply is lost", "reply comes twice",
	"memory is leaked", "a password is not wiped",
	"the authority takes any password",
	"a session with work left waits for input",
	"a session with work left waits for its deadline",
	"any client may say that it is another one" };

void
sim_violation(struct sim *sim, const char *fmt, ...)
{
	va_list ap;

	if (sim->is_failed)
		return;
	sim->is_failed = true;
	va_start(ap, fmt);
	vsnprintf(sim->text, sizeof(sim->text), fmt, ap);
	va_end(ap);
	if (sim->is_traced)
		printf("*** %s\n", sim->text);
}

static void
host_violation(void *arg, const char *text)
{
	sim_violation(arg, "%s", text);
}

static uint64_t
seconds(int64_t s)
{
	return (uint64_t)s * 1000000;
}

/* The option only has to be set: simauth.c checks the passwords. */
static void
set_backend(struct esmtp_options *o)
{
	simalloc_quiet++;
	free(o->auth_backend);
	if ((o->auth_backend = strdup("passwd:users")) == NULL)
		err(1, NULL);
	simalloc_quiet--;
}

/* In some seeds all extensions are there, also those that have to be named; and
 * what clients say with them is kept. */
static void
choose_extensions(struct sim *sim)
{
	static char names[][20] = { "PIPELINING", "SIZE", "LIMITS",
		"REQUIRETLS", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME",
		"ENHANCEDSTATUSCODES", "STARTTLS", "AUTH", "DSN",
		"FUTURERELEASE", "DELIVERBY", "MT-PRIORITY", "NO-SOLICITING", "ETRN",
		"XCLIENT", "XFORWARD", "XREMOTEIP", "XSETCONTEXT",
		"XDUMPCONTEXT", "XTAKE" };
	static char *list[sizeof(names) / sizeof(names[0])];
	static char class[] = "com.example:ADV", *classes[] = { class };
	static char variable[] = "class=device", *variables[] = { variable };
	struct esmtp_options *o = &sim->host.options;
	size_t i;

	sim->has_said = simrand_chance(&sim->rand, 300);
	if (!sim->has_said)
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		list[i] = names[i];
	o->smtp_extensions.v = list;
	o->smtp_extensions.n = sizeof(names) / sizeof(names[0]);
	o->no_soliciting.v = classes;
	o->no_soliciting.n = 1;
	o->context.v = variables;
	o->context.n = 1;
	o->future_release_max = 50000;
}

/* What Kind = submission means but for Require_Auth (RFC 6409). */
static void
choose_submission(struct esmtp_options *o)
{
	o->kind = ESMTP_KIND_SUBMISSION;
	o->date_header = o->messageid_header = ESMTP_HEADER_IF_NEEDED;
	o->require_fqdn = true;
}

/* The options of this seed, and what they mean to the model. */
static void
choose_options(struct sim *sim)
{
	static const int64_t timeouts[] = { 5, 60, 300 };
	struct esmtp_options *o = &sim->host.options;
	struct simrand *r = &sim->rand;

	o->command_timeout = timeouts[simrand_below(r, 3)];
	o->data_block_timeout = timeouts[simrand_below(r, 3)];
	o->data_timeout = simrand_chance(r, 200) ? 400 : 3600;
	o->idle_time = simrand_chance(r, 200) ? timeouts[simrand_below(r, 3)]
	    : 0;
	o->max_errors = simrand_chance(r, 500) ? 20
	    : simrand_chance(r, 500) ? 0 : 1 + simrand_below(r, 6);
	o->max_recipients_per_message = simrand_chance(r, 200) ? 2 : 1000;
	o->kind = simrand_chance(r, 250) ? ESMTP_KIND_LMTP : ESMTP_KIND_SMTP;
	sim->is_lmtp = o->kind == ESMTP_KIND_LMTP;
	o->trace_headers = simrand_chance(r, 800);
	o->lone_lf_in_body = simrand_chance(r, 600) ? ESMTP_LF_IGNORE
	    : simrand_chance(r, 500) ? ESMTP_LF_FIX : ESMTP_LF_PEDANTIC;
	o->max_message_size = o->lone_lf_in_body != ESMTP_LF_FIX
	    && simrand_chance(r, 200) ? 200 : 0;
	sim->may_be_lone = simrand_chance(r, 500);
	sim->is_submission = !sim->is_lmtp && simrand_chance(r, 250);
	if (sim->is_submission)
		choose_submission(o);
	sim->has_auth = simrand_chance(r, sim->is_submission ? 800 : 400);
	if (sim->has_auth) {
		set_backend(o);
		o->auth_without_tls = true;
		o->require_auth = simrand_chance(r, sim->is_submission ? 800 :
		    300);
	}
	/* which of two faults a message is refused for is not specified */
	if (o->max_message_size != 0
	    && o->lone_lf_in_body == ESMTP_LF_PEDANTIC)
		sim->may_be_lone = false;
	sim->body_max = simrand_chance(r, 950) ? 3000 : 150000;
	o->allow_xclient = sim->may_name = simrand_chance(r, 400);
	sim->max_errors = (unsigned int)o->max_errors;
	sim->max_rcpts = (unsigned int)o->max_recipients_per_message;
	sim->max_size = (uint64_t)o->max_message_size;
	sim->timeout_min_us = sim->timeout_max_us =
	    seconds(o->command_timeout);
	if (seconds(o->data_block_timeout) > sim->timeout_max_us)
		sim->timeout_max_us = seconds(o->data_block_timeout);
	if (seconds(o->data_block_timeout) < sim->timeout_min_us)
		sim->timeout_min_us = seconds(o->data_block_timeout);
	if (o->idle_time != 0
	    && seconds(o->idle_time) < sim->timeout_min_us)
		sim->timeout_min_us = seconds(o->idle_time);
	if (seconds(o->data_timeout) < sim->timeout_min_us)
		sim->timeout_min_us = seconds(o->data_timeout);
}

/* In few seeds: a handshake takes longer than all the rest of a session. */
static void
choose_tls(struct sim *sim)
{
	static char name[] = "server.pem", *names[] = { name };
	struct esmtp_options *o = &sim->host.options;
	struct simrand *r = &sim->rand;

	sim->has_tls = simrand_chance(r, TLS_PERMILLE);
	sim->has_sign_faults = false;
	if (!sim->has_tls)
		return;
	simtls_use(&sim->host);
	o->tls_certificate.v = names;
	o->tls_certificate.n = 1;
	o->use_ssl = simrand_chance(r, 300);
	/* within what the model expects of the others */
	o->tls_handshake_timeout = o->command_timeout;
	if (simrand_chance(r, 300))
		simtls_sign(SIMTLS_SIGNS, simrand_below(r, 4000000));
	if (simrand_chance(r, 50)) {
		sim->has_sign_faults = true;
		simtls_sign(SIMTLS_REFUSES, 0);
	}
}

static void
forget_tls(struct sim *sim)
{
	sim->host.options.tls_certificate.v = NULL;
	sim->host.options.tls_certificate.n = 0;
}

static void
forget_extensions(struct sim *sim)
{
	sim->host.options.smtp_extensions.v = NULL;
	sim->host.options.smtp_extensions.n = 0;
	sim->host.options.no_soliciting.v = NULL;
	sim->host.options.no_soliciting.n = 0;
	sim->host.options.context.v = NULL;
	sim->host.options.context.n = 0;
}

static void
choose_faults(struct sim *sim)
{
	struct simspool *sp = &sim->host.spool;
	struct simrand *r = &sim->rand;

	sp->delay_max_us = simrand_chance(r, 500) ? 0
	    : simrand_chance(r, 800) ? 20000 : 4000000;
	if (simrand_chance(r, 200))	/* back-pressure */
		sp->room = 1 + simrand_below(r, 2000);
	if (simrand_chance(r, 300))
		sim->host.host.scratch_octets = LIM_COMMAND_READ;
	if (simrand_chance(r, 200))	/* replies that fill the buffer */
		sim->host.host.output_octets = 4096 + 200;
	if (simrand_chance(r, 200)) {	/* modules that answer late */
		sim->host.policy.again_permille = 1 + simrand_below(r, 500);
		sim->host.policy.delay_max_us = simrand_below(r, 2000000);
	}
	if (simrand_chance(r, 500))
		sim->host.auth.delay_max_us = simrand_below(r, 4000000);
	if (simrand_chance(r, 200))
		sim->host.nest_permille = 1 + simrand_below(r, 500);
	/* a spool and an authority that answer inside the call */
	sp->is_inside = simrand_chance(r, 200);
	sim->host.auth.is_inside = simrand_chance(r, 200);
	if (simrand_chance(r, 300)) {
		sim->has_auth_faults = true;
		sim->host.auth.fault_permille = 1 + simrand_below(r, 300);
	}
	sp->stream_us = 1 + simrand_below(r, 20000);
	if (simrand_chance(r, 300)) {
		sim->has_spool_faults = true;
		sp->begin_permille = simrand_below(r, 200);
		sp->append_permille = simrand_below(r, 100);
		sp->refuse_permille = simrand_below(r, 200);
		sp->commit_permille = simrand_below(r, 300);
	}
	if (simrand_chance(r, 200))
		alloc_fail(1 + simrand_below(r, 100), 0);
	else if (simrand_chance(r, 350))
		alloc_fail(0, 1 + simrand_below(r, 120));
}

static void
choose_mutation(struct sim *sim)
{
	struct simhost *h = &sim->host;

	switch (sim->mutation) {
	case MUT_SPOOL_EARLY:
	case MUT_SPOOL_LYING:
	case MUT_SPOOL_MUTE:
	case MUT_SPOOL_CORRUPT:
		h->spool.mutation = (enum simspool_mutation)
		    (SIMSPOOL_EARLY + sim->mutation - MUT_SPOOL_EARLY);
		break;
	case MUT_TIMER_EARLY:
		h->mutation = SIMHOST_TIMER_EARLY;
		break;
	case MUT_TIMER_LOST:
		h->mutation = SIMHOST_TIMER_LOST;
		break;
	case MUT_TIMEOUT_LONG:
		h->options.command_timeout += 400;
		h->options.data_block_timeout += 400;
		h->options.idle_time = 0;
		break;
	case MUT_TIMEOUT_SHORT:
		h->options.command_timeout = 3;
		h->options.data_block_timeout = 3;
		break;
	case MUT_STALL:
		h->mutation = SIMHOST_STALL;
		break;
	case MUT_DEAF:
		h->mutation = SIMHOST_DEAF;
		break;
	case MUT_NAMED_BY_ANYBODY:
		h->options.allow_xclient = true;
		break;
	case MUT_AUTH_ANYBODY:
		h->auth.is_credulous = true;
		break;
	default:
		break;
	}
}

static void
drain_happens(void *arg, uint64_t value)
{
	struct sim *sim = arg;

	sim->is_drained = true;
	if (sim->is_traced)
		printf("--- drain\n");
	simhost_drain(&sim->host, value != 0);
}

/* As an administrator sets it, or a machine that was asleep: forward or back, by
 * up to a day. */
static void
clock_happens(void *arg, uint64_t)
{
	struct sim *sim = arg;
	int64_t delta_us = (int64_t)simrand_below(&sim->rand, 86400) * 1000000;
	unsigned int i;

	if (simrand_chance(&sim->rand, 500))
		delta_us = -delta_us;
	if (sim->is_traced)
		printf("--- the clock is set by %lld us\n",
		    (long long)delta_us);
	sim->is_clock_set = true;
	simhost_set_clock(&sim->host, delta_us);
	for (i = 0; i < sim->nclients; i++)
		sim->clients[i].progress_us += (uint64_t)delta_us;
}

static bool
all_done(const struct sim *sim)
{
	unsigned int i;

	for (i = 0; i < sim->nclients; i++)
		if (!client_is_done(&sim->clients[i]))
			return false;
	return sim->host.spool.ncommitting == 0;
}

static void
leak_on_purpose(struct sim *sim)
{
	simalloc_owner = 1;
	sim->leak = malloc(1);
	simalloc_owner = 0;
	if (sim->leak != NULL)
		sim->mutation = MUT_NONE;
}

static void
leave_secret(struct sim *sim)
{
	char *p;

	simalloc_owner = 1;
	p = malloc(64);
	simalloc_owner = 0;
	if (p == NULL)
		return;
	memcpy(p + 7, "AUTH PLAIN AGFsaWNlAHNlY3JldA==", 32);
	__asm__ volatile("" : : "r"(p) : "memory");
	free(p);
	sim->mutation = MUT_NONE;
}

static void
run_passes(struct sim *sim)
{
	struct simhost *h = &sim->host;
	unsigned int i, npasses = 0, nstill = 0;
	uint64_t before;

	while (!sim->is_failed && !all_done(sim)) {
		before = h->clock.now_us;
		if (scheduler_pass(h->sched, -1) == -1) {
			sim_violation(sim, "scheduler_pass() failed");
			break;
		}
		simhost_check(h);
		for (i = 0; i < sim->nclients; i++)
			client_after_pass(&sim->clients[i]);
		if (sim->mutation == MUT_LEAK && h->nsessions == 1)
			leak_on_purpose(sim);
		if (sim->mutation == MUT_SECRET && h->nsessions == 1)
			leave_secret(sim);
		nstill = h->clock.now_us == before ? nstill + 1 : 0;
		if (nstill > STILL_MAX)
			sim_violation(sim, "the loop spins");
		if (++npasses > PASSES_MAX)
			sim_violation(sim, "the seed does not end");
		if (h->clock.is_stuck && !all_done(sim))
			sim_violation(sim, "sessions wait without an event");
	}
}

static void
run_seed(struct sim *sim, uint64_t seed)
{
	unsigned int i;

	simrand_seed(&sim->rand, seed);
	alloc_reset(&sim->rand);
	sim->seed = seed;
	sim->is_failed = false;
	sim->has_spool_faults = sim->is_drained = sim->is_clock_set = false;
	sim->has_auth_faults = false;
	if (simhost_init(&sim->host, START_US, &sim->rand) == -1)
		errx(1, "out of memory");
	sim->host.violation = host_violation;
	sim->host.arg = sim;
	sim->host.is_traced = sim->is_traced;
	choose_options(sim);
	choose_tls(sim);
	choose_extensions(sim);
	choose_faults(sim);
	choose_mutation(sim);
	sim->nclients = 1 + simrand_below(&sim->rand, SIM_CLIENTS);
	for (i = 0; i < sim->nclients; i++)
		client_init(&sim->clients[i], sim, i + 1);
	if (simrand_chance(&sim->rand, 150))
		simclock_at(&sim->host.clock, simrand_below(&sim->rand,
		    5000000), drain_happens, sim,
		    simrand_chance(&sim->rand, 500));
	for (i = 0; simrand_chance(&sim->rand, 200) && i < 4; i++)
		simclock_at(&sim->host.clock, simrand_below(&sim->rand,
		    60000000), clock_happens, sim, 0);
	run_passes(sim);
	for (i = 0; i < sim->nclients && !sim->is_failed; i++)
		client_check_end(&sim->clients[i]);
	for (i = 0; i < sim->nclients; i++)
		sim->nfailed_allocs += alloc_of(i + 1)->nfailed;
	forget_tls(sim);
	forget_extensions(sim);
	simhost_clear(&sim->host);
	if (!sim->is_failed && alloc_outstanding() != 0)
		sim_violation(sim, "%zu blocks are left", alloc_outstanding());
	free(sim->leak);
	sim->leak = NULL;
}

static unsigned long
run_many(struct sim *sim, uint64_t first, uint64_t nseeds,
    unsigned long *npassed)
{
	unsigned long nfailed = 0;
	uint64_t seed, start_ns = monotonic_ns();

	for (seed = first; seed < first + nseeds; seed++) {
		run_seed(sim, seed);
		if (!sim->is_failed)
			continue;
		printf("FAIL seed %llu: %s (replay: make sim SEED=%llu)\n",
		    (unsigned long long)seed, sim->text,
		    (unsigned long long)seed);
		if (++nfailed == 20)
			break;
	}
	printf("sim: %llu seeds from %llu: %lu sessions, %lu commands, "
	    "%lu messages, %lu handshakes, %lu timeouts, "
	    "%lu failed allocations, %.1f s\n",
	    (unsigned long long)(seed - first), (unsigned long long)first,
	    sim->nsessions, sim->ncommands, sim->nmessages, sim->nhandshakes,
	    sim->ntimeouts,
	    sim->nfailed_allocs, (double)(monotonic_ns() - start_ns) / 1e9);
	*npassed += (unsigned long)(seed - first) - nfailed;
	return nfailed;
}

/* Our client against our server. */
static unsigned long
run_hops(uint64_t first, uint64_t nseeds, bool is_traced,
    unsigned long *npassed)
{
	struct hop_total t = { .nmessages = 0 };
	uint64_t seed, start_ns = monotonic_ns();
	unsigned long nfailed = 0;
	char text[512];

	for (seed = first; seed < first + nseeds && nfailed < 20; seed++)
		if (!hop_run(seed, SIMSPOOL_HONEST, is_traced, &t, text,
		    sizeof(text))) {
			nfailed++;
			printf("FAIL client, seed %llu: %s (replay: "
			    "build/sim --hop %llu)\n",
			    (unsigned long long)seed, text,
			    (unsigned long long)seed);
		}
	printf("sim: %llu seeds of the client from %llu: %lu messages to %lu "
	    "recipients, of which %lu accepted, %lu refused, %lu unsent, %lu "
	    "uncertain; %lu cuts, %lu handshakes, %.1f s\n",
	    (unsigned long long)(seed - first), (unsigned long long)first,
	    t.nmessages, t.nrcpts, t.naccepted, t.nrefused, t.nunsent,
	    t.nuncertain, t.ncuts, t.nhandshakes, (double)(monotonic_ns() - start_ns) / 1e9);
	*npassed += (unsigned long)(seed - first) - nfailed;
	return nfailed;
}

/* A spool that lies must be noticed by what the client has been told. */
static unsigned int
selftest_hops(void)
{
	static const enum simspool_mutation mutations[] = { SIMSPOOL_LYING,
		SIMSPOOL_CORRUPT };
	struct hop_total t = { .nmessages = 0 };
	unsigned int nfailed = 0, i;
	uint64_t seed;
	char text[512];

	for (i = 0; i < 2; i++) {
		for (seed = 1; seed <= 2000; seed++)
			if (!hop_run(seed, mutations[i], false, &t, text,
			    sizeof(text)))
				break;
		if (seed > 2000) {
			printf("FAIL the client does not notice: %s\n",
			    mutation_names[MUT_SPOOL_EARLY + mutations[i] -
			    SIMSPOOL_EARLY]);
			nfailed++;
		} else
			printf("noticed at seed %llu of the client: %s\n",
			    (unsigned long long)seed, text);
	}
	return nfailed;
}

/* Show that the checks can fail: each mutation must be found by some seed, and
 * that seed must pass without it. */
static int
selftest(struct sim *sim)
{
	unsigned int nfailed = selftest_hops(), m;
	uint64_t seed;

	for (m = MUT_NONE + 1; m < MUT_NMUTATIONS; m++) {
		for (seed = 1; seed <= 2000; seed++) {
			sim->mutation = (enum sim_mutation)m;
			run_seed(sim, seed);
			if (sim->is_failed)
				break;
		}
		sim->mutation = MUT_NONE;
		if (seed > 2000) {
			printf("FAIL nobody notices: %s\n", mutation_names[m]);
			nfailed++;
			continue;
		}
		printf("noticed at seed %llu: %s (%s)\n",
		    (unsigned long long)seed, mutation_names[m], sim->text);
		run_seed(sim, seed);
		if (sim->is_failed) {
			printf("FAIL seed %llu fails without it: %s\n",
			    (unsigned long long)seed, sim->text);
			nfailed++;
		}
	}
	printf("%u passed, %u failed\n", MUT_NMUTATIONS + 1 - nfailed,
	    nfailed);
	return nfailed == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seeds", required_argument, NULL, 'n' },
		{ "first", required_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' },
		{ "hop", required_argument, NULL, 'h' },
		{ "selftest", no_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t first = 1, nseeds = 20000;
	bool is_selftest = false, is_hop = false;
	unsigned long npassed = 0, nfailed = 0;
	struct sim *sim;
	unsigned int i;
	int ch, status;

	simalloc_quiet++;
	sim = calloc(1, sizeof(*sim));
	simalloc_quiet--;
	if (sim == NULL || simpolicy_register() == -1
	    || sim_verb_register() == -1
	    || simtls_setup() == -1)
		err(1, NULL);
	while ((ch = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (ch) {
		case 'n':
			nseeds = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			first = strtoull(optarg, NULL, 10);
			break;
		case 's':
			first = strtoull(optarg, NULL, 10);
			nseeds = 1;
			sim->is_traced = true;
			break;
		case 'h':
			first = strtoull(optarg, NULL, 10);
			nseeds = 1;
			is_hop = true;
			break;
		case 't':
			is_selftest = true;
			break;
		default:
			fprintf(stderr, "usage: sim [--first N] [--seeds N] "
			    "[--seed N] [--hop N] [--selftest]\n");
			return 2;
		}
	}
	if (is_selftest)
		status = selftest(sim);
	else {
		if (!is_hop)
			nfailed += run_many(sim, first, nseeds, &npassed);
		if (!sim->is_traced)
			nfailed += run_hops(first, nseeds, is_hop, &npassed);
		printf("%lu passed, %lu failed\n", npassed, nfailed);
		status = nfailed == 0 ? 0 : 1;
	}
	for (i = 0; i < SIM_CLIENTS; i++) {
		body_free(&sim->clients[i].body);
		simtls_client_free(sim->clients[i].tls);
	}
	free(sim);
	return status;
}
