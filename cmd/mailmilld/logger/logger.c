/* The role logger: the one process that has the log open and writes it.
 * Owns: the ends of the sockets on which the other processes send their lines,
 * when these are read, the end of the logger.
 * A record is read with MSG_PEEK, its lines are written, and only then is it
 * taken from its socket: if this process is killed, the next logger finds what
 * was not written.  In each turn one record of each process is read, so that a
 * process which sends more than the log takes does not delay the lines of the
 * others.
 * Knows nothing of what a line says. */

#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/logger/relay.h"
#include "cmd/mailmilld/role/child.h"
#include "cmd/mailmilld/role/privs.h"
#include "core/loop/after.h"
#include "core/loop/watch.h"
#include "core/process/log_record.h"
#include "core/process/log_relay.h"
#include "core/process/passed.h"
#include "core/util/monotonic.h"

#define RETRY_MS	5	/* while the log takes lines, but not all */
#define RETRY_LATER_MS	500	/* while it takes none */
#define EMPTY_MAX	16	/* records without octets that are passed over in
				 * one turn */

/* A process that logs. */
struct writer {
	TAILQ_ENTRY(writer) link;
	struct logger	*logger;
	uint32_t	 instance;
	int		 fd;
	Event		*event;
	struct relay	 relay;
	bool		 is_taken;	/* its record is in the log's buffer */
	bool		 is_held;	/* it is not read from, see is_full */
};

struct logger {
	struct child	*child;
	TAILQ_HEAD(, writer) writers;
	bool		 has_taken;	/* some writer's is_taken */
	bool		 is_full;	/* the log takes nothing more: wait */
	Event		*retry;		/* set while is_full */
	Event		*report;	/* set while lines left out are to be told */
};

/* --- reading -------------------------------------------------------------- */

static void set_report(struct logger *l, unsigned int ms);

/* The process has closed its end, or died; all it sent is written. */
static void
writer_end(struct writer *w)
{
	struct logger *l = w->logger;
	struct msg_writer_end end = { .instance = w->instance };

	relay_end(&w->relay);
	(void)chanev_send(l->child->master, M_WRITER_END, &end, NULL, 0, -1);
	TAILQ_REMOVE(&l->writers, w, link);
	passed_close(w->fd);
	free(w);
	if (l->child->is_draining && TAILQ_EMPTY(&l->writers))
		child_exit(l->child);
}

/* Take the lines of the record of ${len} octets into the log's buffer. */
static void
take(struct writer *w, const char *rec, size_t len)
{
	struct logger *l = w->logger;
	uint64_t now = monotonic_ms();

	if (!relay_record(&w->relay, rec, len, now)) {
		l->is_full = true;
		return;
	}
	w->is_taken = l->has_taken = true;
	set_report(l, relay_report(&w->relay, now));
}

/* Look at the next record, of one that is longer than an honest one only at its
 * beginning.  Honest processes send no records without octets: they are passed
 * over, a few in each turn, so that nobody else waits for them, and what is
 * behind them is read in the next turn.
 * Return the number of octets, or -1 with errno.  0: there are none yet, or,
 * *is_end_r, no record comes any more, since the process has closed its end or
 * has shut it down; then all that it sent has been read.
 * recv(2) returns 0 for such a record and for the end.  But a record has the
 * credentials of its sender, which are cut off here: the master has set
 * SO_PASSCRED. */
static ssize_t
look(const struct writer *w, char *rec, size_t max, bool *is_end_r)
{
	struct iovec iov = { .iov_base = rec, .iov_len = max };
	struct msghdr mh;
	ssize_t n;
	int i;

	for (i = 0;; i++) {
		mh = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
		n = recvmsg(w->fd, &mh, MSG_PEEK | MSG_DONTWAIT);
		*is_end_r = n == 0 && (mh.msg_flags & MSG_CTRUNC) == 0;
		if (n != 0 || *is_end_r || i == EMPTY_MAX)
			return n;
		(void)passed_discard(w->fd);
	}
}

static int
on_record(Event *, int, void *closure, struct timeval *)
{
	static char rec[LOG_RECORD_MAX];
	struct writer *w = closure;
	bool is_end;
	ssize_t n;

	if (w->logger->is_full) {
		w->is_held = true;
		return E_ASYNC;
	}
	if (w->is_taken)
		return E_READ;
	n = look(w, rec, sizeof(rec), &is_end);
	if (n == -1 && (errno == EAGAIN || errno == EINTR || errno == ENOMEM))
		return E_READ;
	if (n > 0) {
		take(w, rec, (size_t)n);
		return E_READ;
	}
	if (n == 0 && !is_end)
		return E_READ;
	writer_end(w);
	return 0;
}

/* --- writing -------------------------------------------------------------- */

static void on_retry(void *closure);

/* What was taken is written: the next records. */
static void
go_on(struct logger *l)
{
	struct writer *w;

	l->has_taken = l->is_full = false;
	after_cancel(&l->retry);
	TAILQ_FOREACH(w, &l->writers, link) {
		if (w->is_taken)
			(void)passed_discard(w->fd);
		if (w->is_held)
			schedule_event_and_dispatch(w->event, E_READ);
		w->is_taken = w->is_held = false;
	}
}

/* The disk is full, or a pipe has a slow reader: no event says when it takes
 * more. */
static void
try_later(struct logger *l, bool has_moved)
{
	l->is_full = true;
	if (l->retry == NULL)
		l->retry = after_ms(has_moved ? RETRY_MS : RETRY_LATER_MS,
		    on_retry, l);
}

static void
write_all(struct logger *l)
{
	size_t before = log_pending();

	log_flush();
	if (log_is_written())
		go_on(l);
	else
		try_later(l, log_pending() < before);
}

static void
on_retry(void *closure)
{
	struct logger *l = closure;

	l->retry = NULL;
	write_all(l);
}

static int
end_of_pass(void *closure, struct timeval *)
{
	struct logger *l = closure;

	if ((l->has_taken || l->is_full) && l->retry == NULL)
		write_all(l);
	return 0;
}

/* --- lines that are left out ---------------------------------------------- */

static void
on_report(void *closure)
{
	struct logger *l = closure;
	struct writer *w;
	uint64_t now = monotonic_ms();

	l->report = NULL;
	TAILQ_FOREACH(w, &l->writers, link)
		set_report(l, relay_report(&w->relay, now));
}

static void
set_report(struct logger *l, unsigned int ms)
{
	if (ms > 0 && l->report == NULL)
		l->report = after_ms(ms, on_report, l);
}

/* --- what the master says ------------------------------------------------- */

static void
on_writer(void *closure, struct channel_msg *msg)
{
	struct logger *l = closure;
	struct msg_writer mw;
	struct writer *w;
	char name[LIM_NAME];

	memcpy(&mw, msg->base, sizeof(mw));
	if (msg->fd == -1 || mw.role >= NROLES ||
	    (w = calloc(1, sizeof(*w))) == NULL) {
		log_errx("log-writer", "role=%s slot=%u reason=%s",
		    role_name(mw.role), mw.slot, msg->fd == -1 ?
		    "out of descriptors" : "out of memory");
		return;
	}
	snprintf(name, sizeof(name), "mailmilld/%s-%u", role_name(mw.role),
	    mw.slot);
	relay_init(&w->relay, name, (pid_t)mw.pid, mw.rate, monotonic_ms());
	w->logger = l;
	w->instance = mw.instance;
	w->fd = msg->fd;
	if ((w->event = watch_fd(w->fd, E_READ, on_record, w)) == NULL) {
		log_err("log-writer", "role=%s slot=%u", role_name(mw.role),
		    mw.slot);
		free(w);
		return;
	}
	msg->fd = -1;
	TAILQ_INSERT_TAIL(&l->writers, w, link);
}

/* Even after a signal the logger goes on until the other processes have ended,
 * since they may log until then. */
static void
drain(void *closure)
{
	struct logger *l = closure;

	if (TAILQ_EMPTY(&l->writers))
		child_exit(l->child);
}

/* --- life ----------------------------------------------------------------- */

static const struct child_ops child_ops = {
	.on = { [M_WRITER] = on_writer },
	.drain = drain
};

static void
logger_clear(struct logger *l)
{
	struct writer *w;

	after_cancel(&l->retry);
	after_cancel(&l->report);
	while ((w = TAILQ_FIRST(&l->writers)) != NULL) {
		TAILQ_REMOVE(&l->writers, w, link);
		event_free(w->event);
		close(w->fd);
		free(w);
	}
}

static int
logger_main(struct child *c)
{
	struct logger l = { .child = c };
	int status;

	TAILQ_INIT(&l.writers);
	if (child_drop(c) == -1)
		return 1;
	/* before child_run() adds its own, which would gather these lines */
	if (scheduler_recurrent_func_add(end_of_pass, &l) == -1) {
		log_err("start", "role=%s", role_name(c->role->id));
		return 1;
	}
	status = child_run(c, &child_ops, &l);
	logger_clear(&l);
	return status;
}

const struct role role_logger = {
	.id = ROLE_LOGGER,
	.is_single = true,
	ROLE_ACCOUNT(log_user),
	.main = logger_main,
	.is_lasting = true,
	.root = SPOOL_EMPTY,
	.profile = {
		/* records of lines, and syslog */
		.calls = "recvmmsg sendmmsg"
	}
};
