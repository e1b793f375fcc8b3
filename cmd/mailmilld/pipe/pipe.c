/* The role pipe: a process that hands messages to programs.
 * Owns: which program gets a job and when, and what is told of it.
 * Knows nothing of how a program is started (pipe_starter.c), fed (pipe_run.c) and
 * ended (pipe_guard.c), and of the channel to the queue (agent/agent.c).
 *
 * Each process has the account of the programs that it has started; there is one
 * for each account that the settings name.  A job may be done twice: a program that
 * has taken a message does not know it again.  So a job is reported at once, and
 * one that was given out before (is_repeated) is like any other. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/agent/agent_route.h"
#include "cmd/mailmilld/pipe/pipe_int.h"
#include "cmd/mailmilld/role/child.h"
#include "cmd/mailmilld/role/privs.h"
#include "cmd/settings/route.h"
#include "core/loop/after.h"
#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/scheduler.h"

#define STOP_MS		20000	/* for programs to end when the queue waits for its jobs, which it does for 30 s */

/* The programs of a Domain section. */
struct target {
	struct pipe_mails	 waiting;
	struct pipe_runs	 runs;
	size_t			 nruns;
};

struct role_state {
	struct child		*child;
	struct agent		 agent;
	int			 starter_fd;
	Event			*starter;	/* which never says anything but that it is gone */
	struct spool_sources	*sources;	/* of its queue process; NULL: there is none now */
	struct target		*targets;	/* by the index of the Domain section */
	size_t			 nruns;
	uint64_t		 batch;		/* number of the last D_JOBS */
	bool			 is_stopped;	/* starts no more */
	Event			*timer;		/* the end of that */
};

static void go(struct role_state *s);

/* --- results ----------------------------------------------------------------------- */

static void
leave(struct role_state *s, const char *event)
{
	log_err(event, "effect=%s", "ending, to be started again");
	child_exit(s->child);
}

static void
unsent(void *closure)
{
	leave(closure, "pipe-results");
}

static void
tell(struct role_state *s, const struct pipe_mail *m,
    const struct job_result *result, const struct job_error *je)
{
	struct job_result jr = *result;
	struct job_error one = *je;
	size_t i;

	for (i = 0; i < m->njobs; i++) {
		one.job = jr.job = m->jobs[i].job;
		if (result->errnum != ESTALE)
			agent_say_error(&s->agent, &one);
		agent_say_results(&s->agent, &jr, 1);
	}
}

/* All recipients of ${m} fail, which is freed. */
static void
fail_mail(struct role_state *s, struct pipe_mail *m, int errnum,
    unsigned int flags, const char *enhanced, const char *text)
{
	const struct job_result jr = { .errnum = errnum, .flags = flags };
	struct job_error je = { .code = 0 };

	strlcpy(je.enhanced, enhanced, sizeof(je.enhanced));
	strlcpy(je.text, text, sizeof(je.text));
	tell(s, m, &jr, &je);
	pipe_mail_free(m);
}

static void
exit_if_done(struct role_state *s)
{
	if (s->child->is_draining && s->nruns == 0)
		child_exit(s->child);
}

static void
on_done(void *closure, struct pipe_run *run, const struct job_result *result,
    const struct job_error *je)
{
	struct role_state *s = closure;
	struct target *t = &s->targets[run->mail->domain];

	tell(s, run->mail, result, je);
	TAILQ_REMOVE(&t->runs, run, link);
	t->nruns--;
	s->nruns--;
	pipe_run_free(run);
	go(s);
	exit_if_done(s);
}

static const struct pipe_run_ops run_ops = { .done = on_done };

/* --- starting ---------------------------------------------------------------------- */

/* Read what is known of ${m} before a program is started.  Return 0, or -1: there is
 * to be none, and all its recipients have failed. */
static int
load(struct role_state *s, struct pipe_mail *m)
{
	const struct settings *set = s->child->settings;
	int rc;

	if (pipe_mail_load(m, s->sources, set) == -1 ||
	    (rc = pipe_mail_is_loop(m, s->sources,
	    &set->domains[m->domain])) == -1) {
		fail_mail(s, m, errno, JOB_UNASKED, "4.3.0",
		    "the message cannot be read from the spool");
		return -1;
	}
	if (rc == 0)
		return 0;
	fail_mail(s, m, ELOOP, JOB_REFUSED, "5.4.6", "a loop: the message has "
	    "been delivered to this address before, says its Delivered-To");
	return -1;
}

/* Return 0, or -1: nothing can be started any more. */
static int
start(struct role_state *s, struct target *t, struct pipe_mail *m)
{
	const struct settings *set = s->child->settings;
	const struct settings_domain *d = &set->domains[m->domain];
	struct pipe_answer answer;
	struct pipe_run *run;
	int fds[PIPE_NFDS];

	if (load(s, m) == -1)
		return 0;
	if (pipe_starter_ask(s->starter_fd, m, &answer, fds) == -1) {
		pipe_mail_free(m);
		leave(s, "pipe-starter");
		return -1;
	}
	if (answer.errnum != 0) {
		fail_mail(s, m, answer.errnum, answer.errnum == EINVAL ?
		    JOB_REFUSED : JOB_UNASKED, answer.enhanced, answer.text);
		return 0;
	}
	run = pipe_run_new(m, d, s->sources, fds, scheduler_now()->tv_sec,
	    &run_ops, s);
	if (run == NULL) {
		fail_mail(s, m, errno, JOB_UNASKED, "4.3.0",
		    "no memory for a program");
		return 0;
	}
	TAILQ_INSERT_TAIL(&t->runs, run, link);
	t->nruns++;
	s->nruns++;
	return 0;
}

/* Start what waits, as far as it may run now. */
static void
go(struct role_state *s)
{
	const struct settings *set = s->child->settings;
	struct pipe_mail *m;
	struct target *t;
	size_t i;

	for (i = 0; i < set->ndomains && !s->is_stopped; i++) {
		t = &s->targets[i];
		while (s->nruns < PIPE_RUNS_MAX && t->nruns <
		    (size_t)set->domains[i].pipe_processes &&
		    (m = TAILQ_FIRST(&t->waiting)) != NULL) {
			TAILQ_REMOVE(&t->waiting, m, link);
			if (start(s, t, m) == -1)
				return;
		}
	}
}

/* --- jobs -------------------------------------------------------------------------- */

/* Have ${job} wait for its program. */
static int
add_job(void *closure, const struct job *job, const char *rcpt,
    struct route *route)
{
	struct role_state *s = closure;
	struct pipe_mail *m;
	struct target *t;
	size_t i;

	/* the queue has chosen with other settings */
	if (route->transport != TRANSPORT_PIPE ||
	    route->domain->pipe_account + 1 != s->child->init.slot) {
		agent_refuse(&s->agent, job, EAGAIN,
		    "the settings have changed");
		return 0;
	}
	i = (size_t)(route->domain - s->child->settings->domains);
	t = &s->targets[i];
	m = TAILQ_LAST(&t->waiting, pipe_mails);
	if (m != NULL && pipe_mail_add(m, job, rcpt, i, s->batch,
	    (size_t)route->domain->pipe_recipients))
		return 0;
	if ((m = pipe_mail_new(job, rcpt, i, s->batch)) == NULL)
		return -1;
	TAILQ_INSERT_TAIL(&t->waiting, m, link);
	return 0;
}

static void
on_jobs(void *closure, const struct job *jobs, unsigned int n)
{
	struct role_state *s = closure;

	if (s->is_stopped)
		return;		/* the queue gives them to another one */
	s->batch++;
	if (agent_route(&s->agent, s->sources, s->child->settings, jobs, n,
	    add_job) == -1) {
		leave(s, "pipe-jobs");
		return;
	}
	go(s);
}

/* --- the queue --------------------------------------------------------------------- */

static int
on_source(void *closure, uint64_t source, int fd)
{
	struct role_state *s = closure;

	spool_sources_drop(s->sources, source);
	if (fd != -1 && spool_sources_add(s->sources, source, fd) == 0)
		return 0;
	log_warn("pipe-source", "source=%llu", (unsigned long long)source);
	return -1;
}

static void
on_forget(void *closure, uint64_t source)
{
	struct role_state *s = closure;

	spool_sources_drop(s->sources, source);
}

/* What has run for as long as it may is ended, and its message goes back to the
 * queue, which gives it out again. */
static void
on_stop_late(void *closure)
{
	struct role_state *s = closure;
	struct pipe_run *run;
	size_t i;

	s->timer = NULL;
	for (i = 0; i < s->child->settings->ndomains; i++)
		TAILQ_FOREACH (run, &s->targets[i].runs, link)
			pipe_run_stop(run, ESTALE, "the server has stopped it");
}

/* Give back what waits; what runs may end. */
static void
stop(struct role_state *s, bool is_told)
{
	struct pipe_mail *m;
	size_t i;

	if (s->is_stopped)
		return;
	s->is_stopped = true;
	for (i = 0; i < s->child->settings->ndomains; i++)
		while ((m = TAILQ_FIRST(&s->targets[i].waiting)) != NULL) {
			TAILQ_REMOVE(&s->targets[i].waiting, m, link);
			if (is_told)
				fail_mail(s, m, ESTALE, 0, "", "");
			else
				pipe_mail_free(m);
		}
	if (s->nruns > 0 &&
	    (s->timer = after_ms(STOP_MS, on_stop_late, s)) == NULL)
		on_stop_late(s);
}

static void
on_stop(void *closure)
{
	stop(closure, true);
}

/* What is told of its jobs from now on reaches nobody: the next queue process gives
 * them out again.  Programs are ended, so that they are not done a second time
 * beside the first. */
static void
leave_queue(struct role_state *s)
{
	struct pipe_mail *m;
	struct pipe_run *run;
	struct target *t;
	size_t i;

	agent_leave(&s->agent);
	for (i = 0; i < s->child->settings->ndomains; i++) {
		t = &s->targets[i];
		while ((m = TAILQ_FIRST(&t->waiting)) != NULL) {
			TAILQ_REMOVE(&t->waiting, m, link);
			pipe_mail_free(m);
		}
		while ((run = TAILQ_FIRST(&t->runs)) != NULL) {
			TAILQ_REMOVE(&t->runs, run, link);
			pipe_run_free(run);
		}
		t->nruns = 0;
	}
	s->nruns = 0;
	after_cancel(&s->timer);
	s->is_stopped = false;
	spool_sources_free(s->sources);
	s->sources = NULL;
}

static void
queue_gone(void *closure)
{
	struct role_state *s = closure;

	leave_queue(s);
	exit_if_done(s);
}

static const struct agent_ops agent_ops = {
	.source = on_source,
	.forget = on_forget,
	.jobs = on_jobs,
	.stop = on_stop,
	.gone = queue_gone,
	.unsent = unsent
};

static void
on_peer(void *closure, const struct msg_peer *, int fd)
{
	struct role_state *s = closure;

	leave_queue(s);
	if ((s->sources = spool_sources_new()) == NULL) {
		log_err("pipe-start", "peer=%s", "queue");
		close(fd);
		return;
	}
	if (agent_join(&s->agent, ROLE_PIPE, fd) == -1) {
		log_err("pipe-connect", "peer=%s", "queue");
		leave_queue(s);
	}
}

/* --- the master -------------------------------------------------------------------- */

static void
on_drain(void *closure)
{
	struct role_state *s = closure;

	stop(s, false);
	exit_if_done(s);
}

static const struct child_ops child_ops = {
	.peer = on_peer,
	.drain = on_drain
};

static int
on_starter(Event *e, int, void *closure, struct timeval *)
{
	struct role_state *s = closure;

	s->starter = NULL;
	event_close(e);
	s->starter_fd = -1;
	leave(s, "pipe-starter");
	return 0;
}

static int
make_targets(struct role_state *s)
{
	size_t n = s->child->settings->ndomains, i;

	if ((s->targets = calloc(n + 1, sizeof(*s->targets))) == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		TAILQ_INIT(&s->targets[i].waiting);
		TAILQ_INIT(&s->targets[i].runs);
	}
	return 0;
}

static int
pipe_main(struct child *c)
{
	struct role_state s = { .child = c };
	int status = 1;

	s.agent = (struct agent){ .ops = &agent_ops, .closure = &s };
	s.starter_fd = pipe_starter_fork(c->settings, c->init.slot,
	    c->init.uid, c->init.gid);
	privs_raise_nofile();
	if (s.starter_fd == -1 || child_drop(c) == -1)
		return 1;
	if (make_targets(&s) == -1 || (s.starter = watch_fd(s.starter_fd,
	    E_READ, on_starter, &s)) == NULL) {
		log_err("pipe-start", "step=%s", "memory");
		free(s.targets);
		return 1;
	}
	status = child_run(c, &child_ops, &s);
	agent_last_words(&s.agent);
	leave_queue(&s);
	watch_close(&s.starter);
	free(s.targets);
	return status;
}

static unsigned int
pipe_count(const struct settings *s)
{
	return s->npipe_accounts;
}

/* A program runs as nobody else but who is named.  The accounts of the other
 * processes would let it end them, and take what is theirs; that of deliver has the
 * mail, which programs that sort it may need. */
static int
pipe_account(const struct settings *s, unsigned int slot, struct account *a_r)
{
	const struct settings_pipe_account *a = &s->pipe_accounts[slot - 1];
	char at[CONF_AT_MAX];
	const char *why;

	if (account_named(a->user, a->group, a_r, &why) == 0) {
		if (!account_is_of_role(s, a_r->uid,
		    ~ROLE_BIT(ROLE_DELIVER)))
			return 0;
		why = "other processes of the server have it";
	}
	log_errx("account", "role=%s option=%s account=%s group=%s at=%s "
	    "reason=%s", "pipe", "Pipe_User", a->user, a->group,
	    conf_at_text(&a->at, at, sizeof(at)), why);
	return -1;
}

const struct role role_pipe = {
	.id = ROLE_PIPE,
	.own_account = pipe_account,
	.count = pipe_count,
	.main = pipe_main,
	.profile = {
		/* it reads what it gets descriptors of; the starter has been
		 * forked before */
		.calls = "pread64",
		.file_max = role_writes_nothing
	}
};
