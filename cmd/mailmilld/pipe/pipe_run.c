/* A program that runs, seen from the agent: the message goes in, what it writes comes
 * out, and its guard says how it has ended.
 * Owns: its three descriptors, its time.
 * Knows nothing of how it is started and ended.
 *
 * It is over when its guard says so, or is gone: by then nothing of the program runs
 * any more.  Until then what it reads is not closed before the message has been
 * written to its end: a program that is to be stopped must not take a part of the
 * message for all of it. */

#include "cmd/mailmilld/pipe/pipe_int.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/util/fileio.h"

#define BUF_OCTETS	32768
#define READ_OCTETS	16384
#define READS_MAX	256	/* at the end: what a pipe of the largest size holds */

/* --- what it writes ------------------------------------------------------------ */

static void
keep(struct pipe_run *run, const char *buf, size_t n)
{
	size_t i, room = sizeof(run->first) - 1 - run->nfirst;

	if (room > n)
		room = n;
	memcpy(run->first + run->nfirst, buf, room);
	run->nfirst += room;
	for (i = n > sizeof(run->last) ? n - sizeof(run->last) : 0; i < n; i++)
		run->last[(run->noutput + i) % sizeof(run->last)] = buf[i];
	run->noutput += n;
}

/* The last octets in order; a NUL would hide what follows it. */
static void
last_words(const struct pipe_run *run, char to[sizeof(run->last) + 1])
{
	size_t n = run->noutput < sizeof(run->last) ? (size_t)run->noutput :
	    sizeof(run->last), i;

	for (i = 0; i < n; i++) {
		to[i] = run->last[(run->noutput - n + i) % sizeof(run->last)];
		if (to[i] == '\0')
			to[i] = ' ';
	}
	to[n] = '\0';
}

/* Return what read(2) does. */
static ssize_t
read_output(struct pipe_run *run, int fd)
{
	char buf[READ_OCTETS];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0)
		keep(run, buf, (size_t)n);
	return n;
}

static int
on_output(Event *e, int, void *closure, struct timeval *)
{
	struct pipe_run *run = closure;
	ssize_t n = read_output(run, e->fd);

	if (n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR))) {
		if (run->noutput > (uint64_t)run->domain->pipe_output)
			pipe_run_stop(run, EFBIG,
			    "it has written more than Pipe_Output allows");
		return E_READ;
	}
	run->output = NULL;
	event_close(e);
	return 0;
}

/* --- the end ----------------------------------------------------------------------- */

void
pipe_run_free(struct pipe_run *run)
{
	if (run == NULL)
		return;
	after_cancel(&run->timer);
	event_free(run->input);
	fileio_close(run->input_fd);
	watch_close(&run->output);
	watch_close(&run->guard);
	pipe_mail_free(run->mail);
	free(run->buf);
	free(run);
}

static void
log_end(const struct pipe_run *run, const char *words)
{
	char line[400];

	pipe_status_words(words, line, sizeof(line));
	if (*line != '\0')
		log_event(LOG_LEVEL_INFO, "pipe-output", "id=%s program=%s "
		    "octets=%llu text=%s", run->mail->id,
		    run->domain->command.v[0],
		    (unsigned long long)run->noutput, line);
}

/* ${end} NULL: its guard has not told how it ended. */
static void
finish(struct pipe_run *run, const struct pipe_end *end)
{
	const struct pipe_end lost = { .kind = PIPE_NO_PROCESS,
		.value = ESRCH };
	char words[sizeof(run->last) + 1];
	struct job_result result;
	struct job_error je;
	unsigned int i;

	for (i = 0; run->output != NULL && i < READS_MAX; i++)
		if (read_output(run, run->output->fd) <= 0)
			break;
	last_words(run, words);
	log_end(run, words);
	result = pipe_status(end == NULL ? &lost : end, run->domain,
	    run->first, words, &je);
	/* one that has ended well in the moment in which it was to be stopped
	 * has ended well, if it has got all of the message */
	if (run->errnum != 0 && (result.errnum != 0 || !run->is_fed)) {
		result = (struct job_result){ .errnum = run->errnum };
		strlcpy(je.enhanced, "4.3.0", sizeof(je.enhanced));
		strlcpy(je.text, run->why, sizeof(je.text));
	}
	run->ops->done(run->closure, run, &result, &je);
}

static int
on_guard(Event *e, int, void *closure, struct timeval *)
{
	struct pipe_run *run = closure;
	struct pipe_end end;
	ssize_t n = recv(e->fd, &end, sizeof(end), MSG_DONTWAIT);
	bool is_end;

	/* a guard that has not read what pipe_run_stop() has sent: the system
	 * tells that before what the guard has sent */
	if (n == -1 && errno == ECONNRESET)
		n = recv(e->fd, &end, sizeof(end), MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return E_READ;
	is_end = n == (ssize_t)sizeof(end) && end.kind < PIPE_NENDS;
	run->guard = NULL;
	event_close(e);
	finish(run, is_end ? &end : NULL);
	return 0;
}

/* It has been stopped, and its guard does not say that it has ended: somebody has
 * stopped the guard. */
static void
on_lost(void *closure)
{
	struct pipe_run *run = closure;

	run->timer = NULL;
	log_warnx("pipe-guard", "id=%s program=%s effect=%s", run->mail->id,
	    run->domain->command.v[0], "it may still run");
	finish(run, NULL);
}

void
pipe_run_stop(struct pipe_run *run, int errnum, const char *why)
{
	if (run->is_stopping)
		return;
	run->is_stopping = true;
	run->errnum = errnum;
	run->why = why;
	(void)send(run->guard->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	after_cancel(&run->timer);
	run->timer = after_ms(PIPE_GUARD_MS, on_lost, run);
}

static void
on_late(void *closure)
{
	struct pipe_run *run = closure;

	run->timer = NULL;
	pipe_run_stop(run, ETIMEDOUT,
	    "it has not ended within Pipe_Timeout");
}

/* --- what it reads ------------------------------------------------------------------- */

/* Return 0; or -1: there is nothing more to write, or it has been stopped. */
static int
fill(struct pipe_run *run)
{
	ssize_t n = 0;

	while (n == 0 && !run->is_end) {
		n = pipe_mail_read(run->mail, run->sources, run->domain,
		    run->buf, BUF_OCTETS, &run->is_end);
		if (n == -1) {
			log_err("pipe-read", "id=%s", run->mail->id);
			pipe_run_stop(run, errno, "the message cannot be read "
			    "from the spool");
			return -1;
		}
	}
	run->len = (size_t)n;
	run->at = 0;
	return n == 0 ? -1 : 0;
}

/* The event ends, by itself. */
static int
end_input(struct pipe_run *run, Event *e, bool is_fed)
{
	run->is_fed = is_fed;
	run->input = NULL;
	if (is_fed) {
		event_close(e);
		run->input_fd = -1;
	}
	return 0;
}

static int
on_input(Event *e, int, void *closure, struct timeval *)
{
	struct pipe_run *run = closure;
	ssize_t n;

	if (run->is_stopping)
		return end_input(run, e, false);
	if (run->at == run->len && fill(run) == -1)
		return end_input(run, e, !run->is_stopping);
	n = write(e->fd, run->buf + run->at, run->len - run->at);
	if (n > 0)
		run->at += (size_t)n;
	else if (n == -1 && errno == EPIPE)
		/* it reads no more, and its status says whether it has read
		 * enough */
		return end_input(run, e, true);
	else if (n == -1 && errno != EAGAIN && errno != EINTR) {
		pipe_run_stop(run, errno, "the message cannot be written to it");
		return end_input(run, e, false);
	}
	return E_WRITE;
}

/* --- the beginning ------------------------------------------------------------------- */

struct pipe_run *
pipe_run_new(struct pipe_mail *m, const struct settings_domain *d,
    struct spool_sources *sources, const int fds[PIPE_NFDS], int64_t now_s,
    const struct pipe_run_ops *ops, void *closure)
{
	struct pipe_run *run = calloc(1, sizeof(*run));
	int i;

	if (run == NULL || (run->buf = malloc(BUF_OCTETS)) == NULL)
		goto err1;
	run->domain = d;
	run->sources = sources;
	run->ops = ops;
	run->closure = closure;
	run->input_fd = -1;
	run->len = pipe_mail_head(m, d, now_s, run->buf, PIPE_HEAD_MAX);
	run->timer = after_ms((unsigned int)d->pipe_timeout * 1000, on_late,
	    run);
	run->input = watch_fd(fds[PIPE_FD_INPUT], E_WRITE, on_input, run);
	run->output = watch_fd(fds[PIPE_FD_OUTPUT], E_READ, on_output, run);
	run->guard = watch_fd(fds[PIPE_FD_GUARD], E_READ, on_guard, run);
	if (run->timer == NULL || run->input == NULL || run->output == NULL ||
	    run->guard == NULL)
		goto err2;
	run->input_fd = fds[PIPE_FD_INPUT];
	run->mail = m;
	return run;
err2:
	after_cancel(&run->timer);
	event_free(run->input);
	event_free(run->output);
	event_free(run->guard);
err1:
	for (i = 0; i < PIPE_NFDS; i++)
		fileio_close(fds[i]);
	if (run != NULL)
		free(run->buf);
	free(run);
	errno = ENOMEM;
	return NULL;
}
