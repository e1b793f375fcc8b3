/* The files of the worker's spool, which spoold makes.
 * Owns: the channel to spoold, the one request that waits for its answer, how
 * long it waits.
 * The maker thread sends a request and waits for the answer.  The loop's thread
 * gives it another channel or ends its waiting, and the committer tells spoold
 * that a file is not needed; these two never wait.  A lock protects the
 * channel, and no thread has it locked while it waits.
 * When spoold does not answer, only the first request waits for it.  After that
 * requests fail at once, until spoold sends something or there is another
 * spoold. */

#include "cmd/mailmilld/worker/host_files.h"

#include <sys/eventfd.h>
#include <sys/param.h>
#include <sys/stat.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/mailmilld/role/msg.h"
#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define ASK_TIMES	3	/* a request takes at most so many times ask_ms, however often spoold is replaced */
#define LEAVE_MS	200	/* wait for the answer of an old spoold when there is a new one */
#define NUMBER_MS	500	/* wait for the number at once; the maker asks again */
#define SHORT_MS	20	/* ask again about the queue's reserve after this time */

struct host_files {
	bool		 is_synced;
	unsigned int	 ask_ms;
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;		/* ch, is_cancelled */
	int		 wake_fd;	/* eventfd: next_fd, is_cancelled */
	/* under the lock */
	struct channel	*ch;		/* NULL: none */
	int		 next_fd;	/* channel to a new spoold, used when is_waiting ends; -1: none */
	bool		 is_waiting;	/* the maker reads from ch */
	bool		 is_silent;	/* a request had no answer, and nothing has come since */
	bool		 is_cancelled;	/* the writer is being closed: do not wait */
	bool		 has_number;
	struct msg_number number;
	/* of the maker thread alone */
	uint64_t	 asks;		/* the number of the last request */
	bool		 is_short;	/* the queue has given up its reserve */
	uint64_t	 told_ms;	/* when spoold told that; 0: never */
};

/* An answer of spoold */
struct answer {
	struct msg_answer done;
	struct msg_file	 file;
	int		 fd;		/* -1: S_DONE */
};

struct host_files *
host_files_new(bool is_synced, unsigned int ask_ms)
{
	struct host_files *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return NULL;
	if ((f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1) {
		free(f);
		return NULL;
	}
	f->is_synced = is_synced;
	f->ask_ms = ask_ms;
	f->next_fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	(void)monotonic_cond_init(&f->cond);
	return f;
}

void
host_files_free(struct host_files *f)
{
	if (f == NULL)
		return;
	channel_free(f->ch);
	fileio_close(f->next_fd);
	(void)close(f->wake_fd);
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* With the lock.  spoold has sent something, or there is a new one. */
static void
heard(struct host_files *f)
{
	if (f->is_silent)
		log_event(LOG_LEVEL_NOTICE, "spoold-answers", "effect=%s",
		    "spoold is asked for files again");
	f->is_silent = false;
}

/* With the lock.  Close the channel in use, and use the one to the new spoold
 * if there is one. */
static void
change_channel(struct host_files *f)
{
	channel_free(f->ch);
	f->ch = NULL;
	if (f->next_fd == -1)
		return;
	f->ch = channel_open(f->next_fd, msg_rows, NMSGS, ROLE_WORKER,
	    ROLE_SPOOLD);
	if (f->ch == NULL)
		fileio_close(f->next_fd);
	else
		heard(f);
	f->next_fd = -1;
	pthread_cond_signal(&f->cond);
}

/* With the lock.  Wake the maker thread if it waits. */
static void
wake(struct host_files *f)
{
	uint64_t one = 1;

	while (write(f->wake_fd, &one, sizeof(one)) == -1 && errno == EINTR)
		;
	pthread_cond_signal(&f->cond);
}

void
host_files_connect(struct host_files *f, int fd)
{
	pthread_mutex_lock(&f->lock);
	fileio_close(f->next_fd);
	f->next_fd = fd;
	if (f->is_waiting)
		wake(f);
	else
		change_channel(f);
	pthread_mutex_unlock(&f->lock);
}

/* --- waiting -------------------------------------------------------------- */

/* With the lock.  Wait for a channel until ${end_ms}.  Return 0, or -1 with
 * errno: ETIMEDOUT, ECANCELED. */
static int
wait_channel(struct host_files *f, uint64_t end_ms)
{
	struct timespec end = monotonic_at(end_ms);
	int rc = 0;

	while (f->ch == NULL && !f->is_cancelled && rc == 0)
		rc = pthread_cond_timedwait(&f->cond, &f->lock, &end);
	if (f->ch != NULL && !f->is_cancelled)
		return 0;
	errno = f->is_cancelled ? ECANCELED : ETIMEDOUT;
	return -1;
}

/* S_NUMBER is the first message on each channel; a later spoold sends the same
 * number. */
static int
on_number(struct host_files *f, struct channel_msg *msg, struct answer *)
{
	if (!f->has_number)
		memcpy(&f->number, msg->base, sizeof(f->number));
	f->has_number = true;
	return 0;
}

static int
on_done(struct host_files *f, struct channel_msg *msg, struct answer *a)
{
	memcpy(&a->done, msg->base, sizeof(a->done));
	return a->done.ask == f->asks;
}

static bool
is_plain(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int
on_file(struct host_files *f, struct channel_msg *msg, struct answer *a)
{
	memcpy(&a->file, msg->base, sizeof(a->file));
	if (a->file.ask != f->asks)
		return 0;	/* to a request that was given up */
	a->fd = msg->fd;
	msg->fd = -1;
	a->done = (struct msg_answer){ .ask = f->asks,
		.errnum = a->fd == -1 ? EMFILE : 0 };
	if (a->fd != -1 && !is_plain(a->fd)) {
		(void)fileio_close_passed(a->fd);
		a->fd = -1;
		a->done.errnum = EBADMSG;
	}
	return 1;
}

/* Each returns 1 if the message is the answer to the last request. */
static int (*const on[NMSGS])(struct host_files *f, struct channel_msg *msg,
    struct answer *a) = {
	[S_NUMBER] = on_number,
	[S_DONE] = on_done,
	[S_FILE] = on_file
};

/* With the lock.  Read one message.  Return 1: it is the answer; 0: it is
 * another one, or there was none; -1 with errno EPIPE: spoold has ended. */
static int
take(struct host_files *f, struct answer *a)
{
	struct channel_msg msg;
	int rc = channel_recv(f->ch, &msg);

	if (rc == 0) {
		errno = EPIPE;
		return -1;
	}
	if (rc == -1 && errno != EMFILE)
		return 0;
	heard(f);
	a->fd = -1;
	rc = on[msg.type](f, &msg, a);
	fileio_close(msg.fd);
	return rc;
}

/* With the lock, which it gives up while it waits.  Wait until the channel has
 * something to read, or there is a new one. */
static int
wait_news(struct host_files *f, uint64_t end_ms)
{
	struct pollfd pfds[] = { { .fd = channel_fd(f->ch),
		.events = (short)(POLLIN |
		    (channel_wants_write(f->ch) ? POLLOUT : 0)) },
		{ .fd = f->wake_fd, .events = POLLIN } };
	uint64_t now = monotonic_ms(), n;
	int rc = 0, ms = now >= end_ms || f->is_cancelled ? 0 :
	    (int)(end_ms - now);

	f->is_waiting = true;
	pthread_mutex_unlock(&f->lock);
	if (ms > 0)
		rc = poll(pfds, 2, ms);
	pthread_mutex_lock(&f->lock);
	f->is_waiting = false;
	if (read(f->wake_fd, &n, sizeof(n)) == -1)
		n = 0;		/* the channel has woken it */
	if (channel_wants_write(f->ch))
		(void)channel_flush(f->ch);
	if (rc != 0 && !f->is_cancelled)
		return 0;
	errno = f->is_cancelled ? ECANCELED : ETIMEDOUT;
	return -1;
}

/* With the lock.  Send a request to the present spoold and wait for the answer.
 * Return 0, or -1 with errno: EPIPE, it has ended, or was replaced and does not
 * answer; ETIMEDOUT; ECANCELED. */
static int
ask_one(struct host_files *f, unsigned int type, uint64_t value,
    uint64_t end_ms, struct answer *a)
{
	struct msg_ask ask = { .ask = ++f->asks, .value = value };
	bool is_leaving = false;
	int rc;

	if (channel_send(f->ch, type, &ask, NULL, 0, -1) == -1)
		return -1;
	while ((rc = take(f, a)) == 0) {
		if (f->next_fd != -1 && !is_leaving) {
			is_leaving = true;
			end_ms = MIN(end_ms, monotonic_ms() + LEAVE_MS);
		}
		if (wait_news(f, end_ms) == 0)
			continue;
		if (errno == ETIMEDOUT && is_leaving)
			errno = EPIPE;
		return -1;
	}
	return rc == 1 ? 0 : -1;
}

/* With the lock.  If spoold has not answered an earlier request, has it still
 * sent nothing since? */
static bool
is_still_silent(struct host_files *f)
{
	struct answer a = { .fd = -1 };

	if (f->is_silent && f->ch != NULL && take(f, &a) == -1)
		change_channel(f);
	fileio_close(a.fd);
	return f->is_silent;
}

/* With the lock.  Log the first request that has got no answer. */
static void
silent(struct host_files *f, unsigned int type)
{
	f->is_silent = true;
	log_warnx("spoold-silent", "request=%s reason=%s effect=%s advice=%s",
	    msg_rows[type].name, f->ch == NULL ? "there is no spoold" :
	    "spoold does not answer", "mail that needs a new file of the spool "
	    "is answered 451", "see what the log says of spoold, and whether "
	    "the disk of the spool hangs; mail is accepted again when it "
	    "answers");
}

/* With the lock.  Send a request; if spoold has died or was replaced, send it
 * to the new one, which gets ask_ms of its own. */
static int
ask_any(struct host_files *f, unsigned int type, uint64_t value,
    struct answer *a)
{
	uint64_t now = monotonic_ms(), end_ms = now + f->ask_ms;
	uint64_t last_ms = now + ASK_TIMES * (uint64_t)f->ask_ms;
	int rc, saved;

	if (is_still_silent(f)) {
		errno = ETIMEDOUT;
		return -1;
	}
	for (;;) {
		if (wait_channel(f, end_ms) == -1)
			break;
		rc = ask_one(f, type, value, end_ms, a);
		saved = errno;
		if (f->next_fd != -1) {
			change_channel(f);
			end_ms = MIN(monotonic_ms() + f->ask_ms, last_ms);
		} else if (rc == -1 && errno == EPIPE) {
			change_channel(f);
		}
		errno = saved;
		if (rc == 0)
			return 0;
		if (errno != EPIPE)
			break;
	}
	if (errno == ETIMEDOUT)
		silent(f, type);
	errno = f->is_silent ? ETIMEDOUT : errno;
	return -1;
}

/* Send a request and wait for the answer; a->fd is the caller's then.  Return
 * 0, or -1 with errno, which may be the one that spoold has answered. */
static int
ask(struct host_files *f, unsigned int type, uint64_t value, struct answer *a)
{
	int rc, saved;

	a->fd = -1;
	pthread_mutex_lock(&f->lock);
	rc = ask_any(f, type, value, a);
	saved = errno;
	pthread_mutex_unlock(&f->lock);
	errno = saved;
	if (rc == -1)
		return -1;
	if (type == S_ROOM) {
		f->is_short = a->done.is_short != 0;
		f->told_ms = monotonic_ms();
	}
	if (a->done.errnum == 0)
		return 0;
	errno = a->done.errnum;
	return -1;
}

/* --- struct spool_files_ops ----------------------------------------------- */

static int
files_number(void *files, bool is_waiting, unsigned int *number_r,
    uint64_t *lowest_us_r)
{
	uint64_t end_ms = monotonic_ms() + NUMBER_MS;
	struct host_files *f = files;
	struct answer a;
	int error = 0;

	pthread_mutex_lock(&f->lock);
	while (error == 0 && !f->has_number) {
		if (!is_waiting)
			error = EAGAIN;
		else if (wait_channel(f, end_ms) == -1)
			error = errno;
		else if (take(f, &a) == -1)
			change_channel(f);
		else if (!f->has_number && wait_news(f, end_ms) == -1)
			error = errno;
		if (f->next_fd != -1)
			change_channel(f);
	}
	if (error == ETIMEDOUT)
		error = EAGAIN;
	else if (error == 0)
		error = f->number.errnum;
	*number_r = f->number.number;
	*lowest_us_r = f->number.lowest_us;
	pthread_mutex_unlock(&f->lock);
	errno = error;
	return error == 0 ? 0 : -1;
}

static void
files_mark(void *files, uint64_t us)
{
	const struct msg_mark mark = { .us = us };
	struct host_files *f = files;

	pthread_mutex_lock(&f->lock);
	if (f->ch != NULL)
		(void)channel_send(f->ch, S_MARK, &mark, NULL, 0, -1);
	pthread_mutex_unlock(&f->lock);
}

/* If spoold does not get the message, the queue process removes the file later,
 * since no process has it locked. */
static void
drop(struct host_files *f, uint64_t id, bool is_segment, int fd)
{
	const struct msg_drop msg = { .id = id, .is_segment = is_segment };

	pthread_mutex_lock(&f->lock);
	if (f->ch == NULL ||
	    channel_send(f->ch, S_DROP, &msg, NULL, 0, fd) == -1)
		fileio_close(fd);
	pthread_mutex_unlock(&f->lock);
}

static int
files_segment(void *files, uint64_t octets, struct spool_segment *segment_r,
    bool *is_recycled_r)
{
	struct host_files *f = files;
	struct answer a;
	uint64_t id;
	int saved;

	if (ask(f, S_SEGMENT, octets, &a) == -1)
		return -1;
	if (a.fd == -1 || a.file.octets != octets) {
		fileio_close(a.fd);
		errno = EBADMSG;
		return -1;
	}
	id = a.file.id;
	segment_r->fd = a.fd;
	segment_r->header = (struct spool_header){ .segment = id,
		.generation = a.file.generation, .nonce = a.file.nonce,
		.size_octets = a.file.octets };
	*is_recycled_r = a.file.generation != 0;
	if (*is_recycled_r)
		return 0;
	if (spool_segment_format(segment_r->fd, id, octets, f->is_synced,
	    &segment_r->header) == 0 && ask(f, S_MADE, id, &a) == 0)
		return 0;
	saved = errno;
	drop(f, id, true, segment_r->fd);
	segment_r->fd = -1;
	errno = saved;
	return -1;
}

/* The queue process will find the segment empty and not locked, and recycle
 * it. */
static void
files_untake(void *, struct spool_segment *segment)
{
	spool_segment_close(segment);
}

static int
files_body(void *files, uint64_t id)
{
	struct answer a;

	if (ask(files, S_BODY, id, &a) == -1)
		return -1;
	errno = EBADMSG;	/* S_DONE without an error, and no file */
	return a.fd;
}

static void
files_drop(void *files, uint64_t id, int fd)
{
	drop(files, id, false, fd);
}

static int
files_flush(void *files)
{
	struct host_files *f = files;
	struct answer a;

	return f->is_synced ? ask(f, S_FLUSH, 0, &a) : 0;
}

static int
files_room(void *files, uint64_t more, uint64_t *left_r)
{
	struct answer a;

	if (ask(files, S_ROOM, more, &a) == -1)
		return -1;
	*left_r = a.done.left;
	return 0;
}

static int
files_reserve(void *files)
{
	struct host_files *f = files;
	struct answer a;

	/* a quota is checked by room() */
	if (f->told_ms + SHORT_MS < monotonic_ms() &&
	    ask(f, S_ROOM, 0, &a) == -1 && errno != EDQUOT)
		return -1;
	if (!f->is_short)
		return 0;
	errno = ENOSPC;
	return -1;
}

static void
files_cancel(void *files)
{
	struct host_files *f = files;

	pthread_mutex_lock(&f->lock);
	f->is_cancelled = true;
	wake(f);
	pthread_mutex_unlock(&f->lock);
}

const struct spool_files_ops host_files_ops = {
	.number = files_number,
	.mark = files_mark,
	.segment = files_segment,
	.untake = files_untake,
	.body = files_body,
	.drop = files_drop,
	.flush = files_flush,
	.room = files_room,
	.reserve = files_reserve,
	.cancel = files_cancel,
};
