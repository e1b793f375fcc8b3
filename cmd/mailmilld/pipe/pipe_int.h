/* What the files of the role pipe share.
 *
 * Three processes of the same account see to one program:
 *	pipe N		gets the jobs and reads the messages.  It is bound as each
 *			agent is: it opens, executes and forks nothing
 *	the starter	is forked by pipe N before that is bound, knows the
 *			settings, and runs what they name: for it there are only
 *			the number of a Domain section and the values of the
 *			arguments
 *	a guard		is forked by the starter for each program, and has nothing
 *			to do but to end it, with all processes that it has started
 */

#ifndef CMD_MAILMILLD_PIPE_PIPE_INT_H
#define CMD_MAILMILLD_PIPE_PIPE_INT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/pipe/pipe_request.h"
#include "cmd/settings/pipe_args.h"
#include "cmd/settings/settings.h"
#include "core/event.h"
#include "core/spool/job.h"
#include "core/spool/spool_id.h"
#include "core/spool/spool_sources.h"

#define PIPE_RUNS_MAX		100	/* programs at once of one agent: three descriptors each, and two processes */
#define PIPE_RCPTS_OCTETS	32768	/* recipients of one program in all */
#define PIPE_REQUEST_MAX	(PIPE_RCPTS_OCTETS + 8192) /* octets of a request to the starter */
#define PIPE_TERM_MS		2000	/* between SIGTERM and SIGKILL */
#define PIPE_KILL_MS		5000	/* until what SIGKILL does not end is left alone */
#define PIPE_STARTER_MS		10000	/* for the starter to answer */
#define PIPE_GUARD_MS		(PIPE_TERM_MS + PIPE_KILL_MS + 3000) /* for a guard to end */

/* --- pipe_mail.c: one message for one program -------------------------------- */

struct pipe_mail {
	TAILQ_ENTRY(pipe_mail)	 link;		/* of those that wait */
	uint64_t		 batch;		/* jobs of one D_JOBS */
	size_t			 domain;	/* index of the settings */
	struct job		 jobs[100];	/* recipients */
	size_t			 njobs;
	size_t			 rcpt_octets;
	/* while it is loaded */
	char			*octets;	/* of the envelope, which all below points into */
	const char		*sender, *client, *helo;
	const char		*rcpts[100];	/* one for each job */
	char			 postmaster[LIM_DOMAIN + 16];
	char			 id[SPOOL_ID_TEXT + 1];
	struct spool_record	 record;
	struct spool_sum	*sum;		/* of what has been read */
	uint64_t		 at;		/* how far that is */
	bool			 is_binary;	/* BODY=BINARYMIME: its octets stay as they are */
	bool			 has_cr;	/* one has been read that is not given yet */
};
TAILQ_HEAD(pipe_mails, pipe_mail);

/* pipe_mail_new(job, rcpt, domain, batch): With this one recipient.  NULL: ENOMEM.
 * pipe_mail_add(m, job, rcpt, domain, batch, max): One more, if it is of the same
 * message and program, and there are less than ${max}.  Return false: it is not. */
struct pipe_mail *pipe_mail_new(const struct job *job, const char *rcpt,
    size_t domain, uint64_t batch);
bool pipe_mail_add(struct pipe_mail *m, const struct job *job,
    const char *rcpt, size_t domain, uint64_t batch, size_t max);
void pipe_mail_free(struct pipe_mail *m);	/* NULL does nothing */

/* pipe_mail_load(m, sources, s): Read the envelope.  Return 0, or -1 with errno.
 * pipe_mail_is_loop(m, sources, d): Does ${d} add Delivered-To, and the header of the
 * message has it with the same recipient already: has the program sent again what it
 * was given?  Return 1, 0, or -1 with errno.
 * pipe_mail_head(m, d, now_s, buf, size): What stands before the message, as
 * Pipe_Headers of ${d} says, with the line ends of Pipe_Newline.  Return octets.
 * pipe_mail_read(m, sources, d, buf, size): The next octets of the message, with
 * these line ends, unless it is binary; ${size} is at least 2.  Return their number, which may be 0
 * before the end, when ${*is_end_r} is set; or -1 with errno.  The checksum is
 * compared before the last ones are given: EBADMSG. */
int pipe_mail_load(struct pipe_mail *m, struct spool_sources *sources,
    const struct settings *s);
int pipe_mail_is_loop(const struct pipe_mail *m, struct spool_sources *sources,
    const struct settings_domain *d);
size_t pipe_mail_head(const struct pipe_mail *m,
    const struct settings_domain *d, int64_t now_s, char *buf, size_t size);
#define PIPE_HEAD_MAX	8192
ssize_t pipe_mail_read(struct pipe_mail *m, struct spool_sources *sources,
    const struct settings_domain *d, char *buf, size_t size,
    bool *is_end_r);

/* --- pipe_status.c: what the end of a program means --------------------------- */

/* How a program has ended, as its guard says. */
struct pipe_end {
	enum {
		PIPE_EXITED,		/* value: its status */
		PIPE_KILLED,		/* by a signal */
		PIPE_NOT_RUN,		/* errno of execve(2) */
		PIPE_NO_FOLDER,		/* errno of chdir(2) */
		PIPE_NO_PROCESS,	/* errno of fork(2) or setrlimit(2) */
		PIPE_NENDS
	}	kind;
	int32_t	value;
};

/* pipe_status(end, d, first, last, je_r): The outcome for each recipient: ${first} are
 * the first octets that the program has written, ${last} the last ones, both NUL
 * terminated and hostile.  je_r says why, but for the job; return errnum and
 * flags, likewise. */
struct job_result pipe_status(const struct pipe_end *end,
    const struct settings_domain *d, const char *first, const char *last,
    struct job_error *je_r);

/* pipe_status_words(last, to, size): The end of what a program has written as one
 * line of at most ${size} octets with NUL. */
void pipe_status_words(const char *last, char *to, size_t size);

/* --- pipe_starter.c, pipe_guard.c: what is said is in pipe_request.h ---------- */

/* pipe_starter_fork(s, slot, account): Fork the starter for the programs of the
 * ${slot}th account (from 1), which becomes it.  Before threads, and before this
 * process is bound.  Return its socket, or -1 having logged why.
 * pipe_starter_ask(fd, m, answer_r, fds_r): Have it start the program of ${m}, which
 * is loaded.  Return 0 with an answer, or -1: it cannot be asked any more. */
int pipe_starter_fork(const struct settings *s, unsigned int slot, uid_t uid,
    gid_t gid);
int pipe_starter_ask(int fd, const struct pipe_mail *m,
    struct pipe_answer *answer_r, int fds_r[PIPE_NFDS]);

/* What a guard starts. */
struct pipe_program {
	const struct settings_domain *domain;
	char	**argv, **environment;
	int	 input, output;		/* its ends */
	int	 guard;			/* the guard's end */
};

/* pipe_guard(p): The life of a guard, in its process. */
void pipe_guard(const struct pipe_program *p) __attribute__((noreturn));

/* pipe_kill_children(spared, n): SIGKILL to all children of this process but those
 * in ${spared}.  Return how many that were. */
unsigned int pipe_kill_children(const pid_t *spared, size_t n);

/* --- pipe_run.c: a program that runs, seen from the agent ---------------------- */

struct pipe_run;

struct pipe_run_ops {
	/* done(closure, run, result, je): It has ended.  ${run} and its mail are
	 * freed after the call */
	void	(*done)(void *closure, struct pipe_run *run,
		    const struct job_result *result,
		    const struct job_error *je);
};

struct pipe_run {
	TAILQ_ENTRY(pipe_run)	 link;
	struct pipe_mail	*mail;		/* owned */
	const struct settings_domain *domain;
	struct spool_sources	*sources;
	const struct pipe_run_ops *ops;
	void			*closure;
	Event			*input, *output, *guard, *timer;
	int			 input_fd;	/* of ${input}, which ends before it does when it is being stopped */
	uint64_t		 noutput;	/* octets that it has written */
	char			 first[24];	/* of these */
	size_t			 nfirst;
	char			 last[512];	/* the last ones, a ring */
	char			*buf;		/* to be written to it */
	size_t			 len, at;
	bool			 is_end;	/* nothing follows ${buf} */
	bool			 is_fed;	/* it has all of the message, or as much as it wants */
	bool			 is_stopping;
	int			 errnum;	/* why it is being stopped, not by itself; 0: it is not */
	const char		*why;
};
TAILQ_HEAD(pipe_runs, pipe_run);

/* pipe_run_new(m, d, sources, fds, now_s, ops, closure): Feed the program at the
 * other ends of ${fds}, which it takes also when it fails, as ${m} when it succeeds.
 * NULL with errno.
 * pipe_run_stop(run, errnum, why): Have it ended; ${why} is constant text.
 * pipe_run_free(run): Nothing is told of it any more; the guard ends it. */
struct pipe_run *pipe_run_new(struct pipe_mail *m,
    const struct settings_domain *d, struct spool_sources *sources,
    const int fds[PIPE_NFDS], int64_t now_s, const struct pipe_run_ops *ops,
    void *closure);
void pipe_run_stop(struct pipe_run *run, int errnum, const char *why);
void pipe_run_free(struct pipe_run *run);

#endif
