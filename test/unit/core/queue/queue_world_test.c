/* A world of next hops that fail, stall and recover, for virtual days: no message
 * is lost, forgotten, or tried too often, and each ends: it is delivered, or its
 * sender is told once, in its time; and once in between that it is delayed, whether
 * it was tried, waits for its turn, or is given back untried each time.  Each seed is another world; MAILMILL_WORLDS
 * says how many.
 *
 * The queue process is killed at times, and at others the machine crashes.  What a
 * result has said is on record at the end of the next pass, which the queue process
 * makes at once.  So a kill between the two takes a result back: the message is tried
 * again, at once, and if it had been delivered it is so twice, or its sender is told
 * after a delivery.  That a new message was delivered is flushed within MEM_SYNC_MS:
 * a crash takes back what is later than that.  Nothing else is ever taken back. */

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
#define PUT_OFF		2	/* the same: agents try nothing for it */
#define PERSONS		1500	/* mails of them */
#define MAILINGS	4
#define MAILING		150	/* mails, for one hop */
#define MAILS		(PERSONS + MAILINGS * MAILING)
#define PERSON		"a@b.test"
#define LIST		"list@mailings.test"
#define DAY_MS		(86400 * 1000LL)
#define END_MS		(2 * DAY_MS)	/* from then on all answer */
#define RETRY_MS	(60 * 1000LL)
#define MAX_RETRY_S	(4 * 3600)
#define LIFETIME_MS	(DAY_MS / 2)	/* in a world with failures */
#define WARNING_MS	(3 * 3600 * 1000LL)	/* the same */
#define SOON_MS		(QUEUE_REST_MAX_MS + 15 * 60 * 1000)	/* in which a hop is probed */

/* What a hop does at a time */
enum mood { UP, SLOW, REFUSES, STALLS, GREYLISTS, LATER, MOODS };

struct hop {
	char		 name[8];
	enum mood	 mood;
	int64_t		 since_ms, until_ms;
	size_t		 ntries;	/* since the mood began, but for what was sent before */
	size_t		 ndeaths;	/* of agents, since then */
	size_t		 nlist, nperson; /* tries of new mail: of mailings, of persons */
	size_t		 nlater;	/* that were none, so far */
};

struct mail {
	unsigned int	 hop;
	int64_t		 came_ms, done_ms, told_ms;
	int64_t		 expires_ms;	/* when the last attempt is */
	int64_t		 warned_ms;	/* when there is one, and its sender is told */
	int64_t		 tried_ms;	/* when it last failed; 0: it may be tried at once */
	bool		 is_busy;	/* an agent has it */
	bool		 is_refused;	/* the hop does not want it */
	bool		 is_list;	/* it is of a mailing */
	size_t		 nlist, nperson, nlater; /* of its hop when it came */
	unsigned int	 deaths;	/* of agents, when it came */
	bool		 is_unsure;	/* it was delivered, and that may have been forgotten */
	bool		 is_repeated;	/* an agent may have had it before */
	bool		 has_failed;	/* that is its last result */
	unsigned int	 turn;		/* in which its last result came; 0: none has */
	unsigned int	 ntries, ntold, ndelayed;
	unsigned int	 nfailed;	/* attempts of which the queue knows that */
};

struct work {			/* of the agent */
	uint64_t	 job;
	unsigned int	 mail, agent;
	int64_t		 end_ms;
	int		 errnum;
	unsigned int	 flags;
	bool		 was_repeated;	/* the mail, before */
};

static struct qf f;
static struct hop hops[HOPS];
static struct mail mails[MAILS];
static struct work work[8192];
static size_t nmails, npersons, nmailings, nwork;
static size_t noverlaps;	/* times that a mailing and another's mail met at a hop */
static unsigned int relay, turn, deaths;
static bool are_apart;		/* a mailing is in another lane than the others' mail */
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
		if (has_failures && (h == hops + DEAD || h == hops + PUT_OFF)) {
			h->mood = h == hops + DEAD ? REFUSES : LATER;
			continue;
		}
		h->mood = now() < END_MS ? (enum mood)below(MOODS) : UP;
		h->since_ms = now();
		h->until_ms = now() + 60000 * (1 + (int64_t)below(600));
		h->ntries = h->ndeaths = 0;
	}
}

static void
arrive(unsigned int hop, bool is_list)
{
	struct mail *m = &mails[nmails];
	char text[32];
	const char *rcpt = text;
	uint64_t received_us = (uint64_t)f.now.tv_sec * 1000000 + nmails;

	m->hop = hop;
	m->is_list = is_list;
	m->nlist = hops[hop].nlist;
	m->nperson = hops[hop].nperson;
	m->nlater = hops[hop].nlater;
	m->deaths = deaths;
	m->came_ms = now();
	/* it counts in seconds */
	m->expires_ms = has_failures ?
	    now() - f.now.tv_usec / 1000 + LIFETIME_MS : INT64_MAX;
	m->warned_ms = has_failures ?
	    m->expires_ms - LIFETIME_MS + WARNING_MS : INT64_MAX;
	m->is_refused = has_failures && below(10) == 0;
	snprintf(text, sizeof(text), "m%zu@%s.hop", nmails++,
	    hops[m->hop].name);
	mem_arrive_from(received_us << 12 | 1, is_list ? LIST : PERSON, &rcpt,
	    1);
}

/* A report is there for good: no kill undoes it. */
static void
told(const char *text)
{
	const char *at, *outcome;
	struct mail *m;

	for (at = text; (at = strstr(at, "rcpt=m")) != NULL; at++) {
		m = &mails[strtoul(at + strlen("rcpt=m"), NULL, 10)];
		outcome = strstr(at, "outcome=");
		cr_assert_not_null(outcome);
		if (atoi(outcome + strlen("outcome=")) == QUEUE_WAITS) {
			cr_assert_geq(now() - m->came_ms, WARNING_MS - 1000);
			cr_assert_lt(now() - m->came_ms, WARNING_MS + SOON_MS);
			m->ndelayed++;
			continue;
		}
		m->ntold++;
		m->told_ms = now();
	}
}

/* Has ${ms} come since ${m} was last tried? */
static bool
has_passed(const struct mail *m, int64_t ms)
{
	return now() >= ms && m->tried_ms < ms;
}

/* May ${m} be tried now?  After a failure it waits, each time for longer (a next
 * attempt is at a whole second, so up to one earlier), but that its last attempt is
 * when it expires, and one is before its sender is told of the delay. */
static void
check_try(const struct mail *m, const struct job *job)
{
	int64_t waited = now() - m->tried_ms;
	int64_t wait = queue_retry_ms(RETRY_MS / 1000, MAX_RETRY_S,
	    m->nfailed) - 1000;

	cr_assert_not(m->is_busy, "two have it");
	cr_assert_eq(m->ntold, 0, "mail %zu of hop %u: tried after its sender "
	    "was told", m - mails, m->hop);
	cr_assert(m->done_ms == 0 || m->is_unsure, "mail %zu of hop %u: "
	    "delivered twice", m - mails, m->hop);
	cr_assert(job->is_repeated || !m->is_repeated, "mail %zu of hop %u: "
	    "the agent is not told that it may have it", m - mails, m->hop);
	cr_assert(m->tried_ms == 0 || waited >= wait ||
	    has_passed(m, m->expires_ms) || has_passed(m, m->warned_ms),
	    "mail %zu of hop %u: again after %lld ms, not %lld", m - mails,
	    m->hop, (long long)waited, (long long)wait);
}

/* A mailing that waits for the same hop as ${m}, a person's new mail, has a turn of
 * QUEUE_QUANTUM before each turn of persons, whose mail before it is theirs, too.
 * Mail that has waited in the deferred store has no such order. */
static void
check_turn(const struct mail *m)
{
	struct hop *h = &hops[m->hop];
	size_t n = h->nlist - m->nlist, nbefore = h->nperson - m->nperson;

	if (mem.messages[m - mails]->is_kept)
		return;
	h->nlist += m->is_list;
	h->nperson += !m->is_list;
	if (m->is_list || m->ntries > 0 || m->deaths != deaths || !are_apart ||
	    m->nlater != h->nlater)
		return;
	noverlaps += n > 0;
	cr_assert_leq(n, QUEUE_QUANTUM * (1 + nbefore / QUEUE_QUANTUM),
	    "mail %zu of hop %u: behind %zu of a mailing and %zu others",
	    m - mails, m->hop, n, nbefore);
}

/* What comes of ${w}, in which ${h} gets ${m} */
static void
decide(const struct hop *h, const struct mail *m, struct work *w)
{
	w->end_ms = now() + below(200);
	if (h->mood == SLOW)
		w->end_ms += 2000 + below(20000);
	else if (h->mood == REFUSES || h->mood == STALLS) {
		w->end_ms += h->mood == STALLS ? 300 * 1000 : 0;
		w->errnum = ECONNREFUSED;
		w->flags = JOB_TARGET;
	} else if (h->mood == LATER) {
		w->errnum = EAGAIN;
		w->flags = JOB_LATER_IN(below(20000));
	} else if (h->mood == GREYLISTS && m->ntries < 3)
		w->errnum = EAGAIN;
	else if (m->is_refused) {
		w->errnum = EACCES;
		w->flags = JOB_REFUSED;
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
		check_try(m, &f.jobs[i].job);
		check_turn(m);
		w->was_repeated = m->is_repeated;
		m->is_busy = m->is_repeated = true;
		m->ntries++;
		h->ntries++;
		decide(h, m, w);
	}
	f.njobs = 0;
}

static void
arrive_some(void)
{
	unsigned int i, hop;

	if (npersons == PERSONS)
		return;
	/* what there is room for at an agent has gone there before they come */
	qf_pass(&f, 0);
	begin_work();
	for (i = below(8); i > 4 && npersons < PERSONS; i--, npersons++)
		arrive(below(HOPS), false);
	if (nmailings == MAILINGS || below(400) != 0)
		return;
	nmailings++;
	hop = below(HOPS);
	for (i = 0; i < MAILING; i++)
		arrive(hop, true);
}

static void
note_result(struct mail *m, const struct work *w)
{
	m->turn = turn;
	m->has_failed = w->errnum != 0;
	if (w->errnum == 0) {
		m->done_ms = now();
		m->is_unsure = false;
	} else {
		m->tried_ms = now();
		m->nfailed++;
	}
}

/* ${m} was not tried: it waits as before, in front of others. */
static void
put_off(struct mail *m, const struct work *w)
{
	m->is_repeated = w->was_repeated;
	m->ntries--;
	hops[m->hop].nlater++;
}

/* It has ended with some; return how many. */
static unsigned int
end_work(void)
{
	unsigned int nresults = 0;
	struct mail *m;
	struct work w;
	size_t i;

	for (i = 0; i < nwork;) {
		w = work[i];
		if (w.end_ms > now()) {
			i++;
			continue;
		}
		work[i] = work[--nwork];
		m = &mails[w.mail];
		m->is_busy = false;
		if ((w.flags & JOB_LATER) != 0)
			put_off(m, &w);
		else {
			note_result(m, &w);
			nresults++;
		}
		qf_done_with(&f, w.agent, w.job, w.errnum, w.flags);
	}
	return nresults;
}

/* What the agent has is given to the next one. */
static void
agent_dies(void)
{
	size_t i;

	deaths++;
	for (i = 0; i < HOPS; i++)
		hops[i].ndeaths++;
	queue_agent_gone(f.q, relay);
	for (i = 0; i < nwork; i++) {
		mails[work[i].mail].is_busy = false;
		mails[work[i].mail].tried_ms = 0;
	}
	nwork = 0;
	cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
}

static void
begin_queue(void)
{
	qf_open(&f);
	/* the same seed is the same world */
	f.q->targets.seed = (uint32_t)random_state;
	are_apart = queue_target_lane(f.q, LIST) !=
	    queue_target_lane(f.q, PERSON);
	cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
}

/* Is the last result of mail ${i}, of this turn, forgotten?  If it is known that it
 * was deferred, each later result is a change of its row. */
static bool
is_forgotten(size_t i, bool is_crash)
{
	const struct mail *m = &mails[i];

	if (m->turn == 0)
		return false;
	return m->turn == turn || (is_crash && !m->has_failed &&
	    !mem.messages[i]->is_kept && now() - m->done_ms < MEM_SYNC_MS);
}

/* The queue process alone, or the machine */
static void
queue_dies(bool is_crash)
{
	struct mail *m;
	size_t i;

	agent_dies();
	for (i = 0; i < nmails; i++) {
		m = &mails[i];
		if (!is_forgotten(i, is_crash))
			continue;
		if (!m->has_failed) {
			m->is_unsure = true;
			continue;
		}
		m->tried_ms = 0;
		m->nfailed--;
	}
	mem.is_kill = !is_crash;
	qf_close(&f);
	begin_queue();
}

/* While a hop fails, it gets what was sent before that was known, then probes:
 * with twice the time between two of them, up to 15 minutes; and again after each
 * death of the agent, which that of the queue process is, too.  STALLS: each probe takes its time, too. */
static void
check_hops(void)
{
	const struct hop *h;
	size_t most;

	for (h = hops; h < hops + HOPS; h++) {
		if (h->mood != REFUSES && h->mood != STALLS)
			continue;
		most = (size_t)((now() - h->since_ms) / QUEUE_REST_MAX_MS);
		most += (QUEUE_WINDOW_MAX + 12) * (1 + h->ndeaths);
		cr_assert_leq(h->ntries, most, "hop %zu: %zu tries", h - hops,
		    h->ntries);
	}
}

static void
check_alive(void)
{
	const struct mail *m;

	for (m = mails; m < mails + nmails; m++)
		if (m->hop == ALIVE && !m->is_list && m->done_ms == 0 &&
		    m->ntold == 0)
			cr_assert_lt(now() - m->came_ms, 30 * 1000,
			    "mail %zu waits for a hop that answers", m - mails);
}

/* It has ended in its time: delivered, or told once that it is not.  The last
 * attempt is made when the time is over, or when its hop is probed next. */
static void
check_end(uint64_t seed, size_t i)
{
	const struct mail *m = &mails[i];
	int64_t ended_ms;

	cr_assert(m->ntold == 0 ? m->done_ms != 0 : m->ntold == 1 &&
	    (m->done_ms == 0 || m->is_unsure), "seed %llu: mail %zu of hop %u "
	    "was delivered at %lld and reported %u times, after %u tries",
	    (unsigned long long)seed, i, m->hop, (long long)m->done_ms,
	    m->ntold, m->ntries);
	ended_ms = m->ntold > 0 ? m->told_ms : m->done_ms;
	if (has_failures)
		cr_assert(m->ndelayed == (ended_ms - m->came_ms > WARNING_MS +
		    SOON_MS) || (m->ndelayed < 2 &&
		    ended_ms - m->came_ms >= WARNING_MS - 1000),
		    "seed %llu: mail %zu of hop %u ends after %lld s, and is "
		    "delayed %u times", (unsigned long long)seed, i, m->hop,
		    (long long)(ended_ms - m->came_ms) / 1000, m->ndelayed);
	if (m->ntold == 0)
		return;
	/* it counts in seconds */
	cr_assert(m->is_refused || m->told_ms - m->came_ms > LIFETIME_MS - 1000,
	    "seed %llu: mail %zu of hop %u is given up %lld ms early",
	    (unsigned long long)seed, i, m->hop,
	    (long long)(LIFETIME_MS - m->told_ms + m->came_ms));
	/* what is put off may have an attempt yet, after each kill */
	cr_assert_lt(m->told_ms - m->came_ms, LIFETIME_MS + SOON_MS +
	    (m->hop == PUT_OFF ? LIFETIME_MS + 60000 :
	    hops[m->hop].nlater > 0 ? 2 * QUEUE_LAST_MOST_S * 1000 : 0),
	    "seed %llu: mail %zu of hop %u "
	    "is given up %lld s late", (unsigned long long)seed, i, m->hop,
	    (long long)(m->told_ms - m->came_ms - LIFETIME_MS) / 1000);
}

static void
world(uint64_t seed)
{
	unsigned int ntold = 0, nresults;
	size_t i, ndone = 0;

	memset(mails, 0, sizeof(mails));
	memset(hops, 0, sizeof(hops));
	nmails = npersons = nmailings = nwork = turn = 0;
	begin_ms = f.ms - 1;
	for (i = 0; i < HOPS; i++)
		snprintf(hops[i].name, sizeof(hops[i].name), "h%zu", i);
	while (now() < END_MS + DAY_MS / 4 && (now() < END_MS ||
	    ndone < nmails || mem.nrows > 0)) {
		change_moods();
		arrive_some();
		qf_pass(&f, (int)below(5000));
		turn++;
		begin_work();
		nresults = end_work();
		/* more often when there is something to lose */
		if (below(nwork > 0 ? 1000 : 20000) == 0)
			agent_dies();
		if (below(nresults > 0 ? 300 : 20000) == 0)
			queue_dies(below(2) == 0);
		check_alive();
		check_hops();
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
		if (has_failures) {
			f.config.lifetime_s = LIFETIME_MS / 1000;
			f.config.warning_s = WARNING_MS / 1000;
		}
		f.config.max_retry_s = MAX_RETRY_S;
		mem.told = told;
		random_state = seed * 2654435761U + 1;
		begin_queue();
		world(seed);
		qf_free(&f);
		mem_free();
	}
	cr_assert_gt(noverlaps, 0);
}

Test(queue_world, every_message_ends_and_none_is_tried_too_often)
{
	worlds(3);
}

Test(queue_world, what_cannot_be_delivered_comes_back_once_and_in_its_time)
{
	has_failures = true;
	worlds(2);
}
