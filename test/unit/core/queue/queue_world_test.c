/* A world of next hops that fail, stall and recover, for virtual days: no message
 * is lost, forgotten, or tried too often, and each ends: it is delivered, or its
 * sender is told once, in its time.  Each seed is another world; MAILMILL_WORLDS
 * says how many. */

#include <sys/param.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/queue/queue_mem.h"

#define HOPS		6
#define ALIVE		0	/* it answers at all times */
#define DEAD		1	/* never, in a world with failures */
#define MAILS		1500
#define DAY_MS		(86400 * 1000LL)
#define END_MS		(2 * DAY_MS)	/* from then on all answer */
#define RETRY_MS	(60 * 1000LL)
#define LIFETIME_MS	(DAY_MS / 2)	/* in a world with failures */

/* What a hop does at a time */
enum mood { UP, SLOW, REFUSES, STALLS, GREYLISTS, MOODS };

struct hop {
	char		 name[8];
	enum mood	 mood;
	int64_t		 since_ms, until_ms;
	size_t		 ntries;	/* since the mood began, but for what was sent before */
};

struct mail {
	unsigned int	 hop;
	int64_t		 came_ms, tried_ms, done_ms, told_ms;
	bool		 is_busy;	/* an agent has it */
	bool		 is_refused;	/* the hop does not want it */
	bool		 is_unsure;	/* it was delivered, and that may have been forgotten */
	unsigned int	 ntries, ntold;
};

struct work {			/* of the agent */
	uint64_t	 job;
	unsigned int	 mail, agent;
	int64_t		 end_ms;
	int		 errnum;
	unsigned int	 flags;
};

static struct qf f;
static struct hop hops[HOPS];
static struct mail mails[MAILS];
static struct work work[8192];
static size_t nmails, nwork;
static unsigned int relay;
static bool has_failures;
static uint64_t random_state;
static int64_t begin_ms;

static uint32_t
below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ULL +
	    1442695040888963407ULL;
	return (uint32_t)(random_state >> 33) % n;
}

static int64_t
now(void)
{
	return f.ms - begin_ms;
}

static void
change_moods(void)
{
	struct hop *h;

	for (h = hops + 1; h < hops + HOPS; h++) {
		if (now() < END_MS && now() < h->until_ms)
			continue;
		if (has_failures && h == hops + DEAD) {
			h->mood = REFUSES;
			continue;
		}
		h->mood = now() < END_MS ? (enum mood)below(MOODS) : UP;
		h->since_ms = now();
		h->until_ms = now() + 60000 * (1 + (int64_t)below(600));
		h->ntries = 0;
	}
}

static void
arrive(void)
{
	struct mail *m = &mails[nmails];
	char text[32];
	const char *rcpt = text;
	uint64_t received_us = (uint64_t)f.now.tv_sec * 1000000 + nmails;

	if (nmails == MAILS || now() > END_MS * 3 / 4)
		return;
	m->hop = below(HOPS);
	m->came_ms = now();
	m->is_refused = has_failures && below(10) == 0;
	snprintf(text, sizeof(text), "m%zu@%s.hop", nmails++,
	    hops[m->hop].name);
	mem_arrive_for(received_us << 12 | 1, &rcpt, 1);
}

/* A report is there for good: no kill undoes it. */
static void
told(const char *text)
{
	struct mail *m;
	const char *at;

	for (at = text; (at = strstr(at, "rcpt=m")) != NULL; at++) {
		m = &mails[strtoul(at + strlen("rcpt=m"), NULL, 10)];
		m->ntold++;
		m->told_ms = now();
	}
}

/* The agent begins with its jobs. */
static void
begin_work(void)
{
	struct mail *m;
	struct work *w;
	struct hop *h;
	size_t i;

	for (i = 0; i < f.njobs; i++) {
		if (f.jobs[i].agent != relay) {	/* a report, which arrives */
			qf_done_with(&f, f.jobs[i].agent,
			    f.jobs[i].job.job, 0, 0);
			continue;
		}
		w = &work[nwork++];
		cr_assert_lt(nwork, sizeof(work) / sizeof(work[0]));
		*w = (struct work){ .job = f.jobs[i].job.job,
			.agent = f.jobs[i].agent,
			.mail = f.jobs[i].job.origin.seq };
		m = &mails[w->mail];
		h = &hops[m->hop];
		cr_assert_not(m->is_busy, "two have it");
		if (!f.jobs[i].job.is_repeated)
			cr_assert_eq(m->done_ms, 0, "delivered twice");
		/* the first failure waits for RETRY_MS, the others for more */
		cr_assert(m->tried_ms == 0 ||
		    now() - m->tried_ms >= RETRY_MS - 1000,
		    "mail %u of hop %u: again after %lld ms", w->mail, m->hop,
		    (long long)(now() - m->tried_ms));
		m->is_busy = true;
		m->ntries++;
		h->ntries++;
		w->end_ms = now() + below(200);
		if (h->mood == SLOW)
			w->end_ms += 2000 + below(20000);
		else if (h->mood == REFUSES || h->mood == STALLS) {
			w->end_ms += h->mood == STALLS ? 300 * 1000 : 0;
			w->errnum = ECONNREFUSED;
			w->flags = JOB_TARGET;
		} else if (h->mood == GREYLISTS && m->ntries < 3)
			w->errnum = EAGAIN;
		else if (m->is_refused) {
			w->errnum = EACCES;
			w->flags = JOB_REFUSED;
		}
	}
	f.njobs = 0;
}

static void
end_work(void)
{
	struct work w;
	size_t i;

	for (i = 0; i < nwork;) {
		w = work[i];
		if (w.end_ms > now()) {
			i++;
			continue;
		}
		work[i] = work[--nwork];
		mails[w.mail].is_busy = false;
		if (w.errnum == 0)
			mails[w.mail].done_ms = now();
		else
			mails[w.mail].tried_ms = now();
		qf_done_with(&f, w.agent, w.job, w.errnum, w.flags);
	}
}

/* What the agent has is given to the next one. */
static void
agent_dies(void)
{
	size_t i;

	queue_agent_gone(f.q, relay);
	for (i = 0; i < nwork; i++) {
		mails[work[i].mail].is_busy = false;
		mails[work[i].mail].tried_ms = 0;
	}
	nwork = 0;
	cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
}

static void
queue_dies(void)
{
	size_t i;

	agent_dies();
	for (i = 0; i < nmails; i++)
		mails[i].is_unsure = mails[i].is_unsure ||
		    (mails[i].done_ms != 0 && now() - mails[i].done_ms < 10000);
	/* each new process may try what rests: it cannot know */
	qf_close(&f);
	qf_open(&f);
	cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
}

/* While a hop fails, it gets what was sent before that was known, then probes:
 * with twice the time between two of them, up to 15 minutes; and after each start
 * again.  STALLS: each probe takes its time, too. */
static void
check_hops(unsigned int nstarts)
{
	const struct hop *h;
	size_t most;

	for (h = hops; h < hops + HOPS; h++) {
		if (h->mood != REFUSES && h->mood != STALLS)
			continue;
		most = (size_t)((now() - h->since_ms) / QUEUE_REST_MAX_MS);
		most += (QUEUE_WINDOW_MAX + 12) * (1 + nstarts);
		cr_assert_leq(h->ntries, most, "hop %zu: %zu tries", h - hops,
		    h->ntries);
	}
}

static void
check_alive(void)
{
	size_t i;

	for (i = 0; i < nmails; i++)
		if (mails[i].hop == ALIVE && mails[i].done_ms == 0 &&
		    mails[i].ntold == 0)
			cr_assert_lt(now() - mails[i].came_ms, 30 * 1000,
			    "mail %zu waits for a hop that answers", i);
}

/* It has ended in its time: delivered, or told once that it is not.  The last
 * attempt is made when the time is over, or when its hop is probed next. */
static void
check_end(uint64_t seed, size_t i)
{
	const struct mail *m = &mails[i];

	cr_assert(m->ntold == 0 ? m->done_ms != 0 : m->ntold == 1 &&
	    (m->done_ms == 0 || m->is_unsure), "seed %llu: mail %zu of hop %u "
	    "was delivered at %lld and reported %u times, after %u tries",
	    (unsigned long long)seed, i, m->hop, (long long)m->done_ms,
	    m->ntold, m->ntries);
	if (m->ntold == 0)
		return;
	/* it counts in seconds */
	cr_assert(m->is_refused || m->told_ms - m->came_ms > LIFETIME_MS - 1000,
	    "seed %llu: mail %zu of hop %u is given up %lld ms early",
	    (unsigned long long)seed, i, m->hop,
	    (long long)(LIFETIME_MS - m->told_ms + m->came_ms));
	cr_assert_lt(m->told_ms - m->came_ms, LIFETIME_MS +
	    QUEUE_REST_MAX_MS + 15 * 60 * 1000, "seed %llu: mail %zu of hop %u "
	    "is given up %lld s late", (unsigned long long)seed, i, m->hop,
	    (long long)(m->told_ms - m->came_ms - LIFETIME_MS) / 1000);
}

static void
world(uint64_t seed)
{
	unsigned int nstarts = 0, ntold = 0;
	size_t i, ndone = 0;

	random_state = seed * 2654435761U + 1;
	memset(mails, 0, sizeof(mails));
	memset(hops, 0, sizeof(hops));
	nmails = nwork = 0;
	begin_ms = f.ms - 1;
	for (i = 0; i < HOPS; i++)
		snprintf(hops[i].name, sizeof(hops[i].name), "h%zu", i);
	while (now() < END_MS + DAY_MS / 4 && (now() < END_MS ||
	    ndone < nmails || mem.nrows > 0)) {
		change_moods();
		for (i = below(8); i > 4; i--)
			arrive();
		qf_pass(&f, (int)below(5000));
		begin_work();
		end_work();
		if (below(20000) == 0)
			agent_dies();
		if (below(20000) == 0) {
			queue_dies();
			nstarts++;
		}
		check_alive();
		check_hops(nstarts);
		for (ndone = i = 0; now() > END_MS && i < nmails; i++)
			ndone += mails[i].done_ms != 0 || mails[i].ntold != 0;
	}
	for (i = 0; i < nmails; i++) {
		check_end(seed, i);
		ntold += mails[i].ntold;
	}
	cr_assert(has_failures ? ntold > nmails / 10 : ntold == 0);
	cr_assert_eq(mem.nrows, 0);
}

static void
worlds(uint64_t usual)
{
	const char *n = getenv("MAILMILL_WORLDS");
	uint64_t seed, last = n != NULL ? strtoull(n, NULL, 10) : usual;

	log_init("test", LOG_TO_STDERR, STDERR_FILENO, LOG_LEVEL_ERROR);
	for (seed = 1; seed <= last; seed++) {
		qf_init(&f);
		f.config.store = &mem_ops;
		f.config.folder = NULL;
		f.config.queue_dirfd = f.config.incoming_dirfd = -1;
		f.config.max_retry_s = 4 * 3600;
		if (has_failures)
			f.config.lifetime_s = LIFETIME_MS / 1000;
		mem.told = told;
		qf_open(&f);
		cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
		world(seed);
		qf_free(&f);
		mem_free();
	}
}

Test(queue_world, every_message_ends_and_none_is_tried_too_often)
{
	worlds(2);
}

Test(queue_world, what_cannot_be_delivered_comes_back_once_and_in_its_time)
{
	has_failures = true;
	worlds(2);
}
