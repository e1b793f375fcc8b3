/* The files of the worker's spool, which spoold makes.
 * Owns: the channel to spoold, the one request that waits for its answer, how
 * long it waits.
 * The maker thread asks and waits.  The loop gives it a channel, the committer
 * says that a file is not needed: both without waiting, under the lock, which
 * nobody keeps while it waits. */

#include "cmd/mailmilld/worker/host_files.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/mailmilld/role/msg.h"
#include "core/spool/spool_id.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define ASK_MS		10000	/* for an answer, and for another spoold when one has died; then it is as if the disk were full */
#define NUMBER_MS	500	/* for the number: it is asked for again */
#define SHORT_MS	20	/* how old the news of the queue's reserve may be */

struct host_files {
	bool		 is_synced;
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;		/* there is a channel */
	/* under the lock */
	struct channel	*ch;		/* NULL: none */
	int		 next_fd;	/* of another spoold, for when is_waiting ends; -1: none */
	bool		 is_waiting;	/* the maker reads from ch */
	bool		 has_number;
	struct msg_number number;
	/* the maker's */
	uint64_t	 asks;		/* the last one */
	bool		 is_short;
	uint64_t	 told_ms;	/* when it was told that; 0: never */
};

/* An answer */
struct answer {
	struct msg_answer done;
	struct msg_file	 file;
	int		 fd;		/* -1: S_DONE */
};

struct host_files *
host_files_new(bool is_synced)
{
	struct host_files *f;
	pthread_condattr_t attr;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return NULL;
	f->is_synced = is_synced;
	f->next_fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->cond, &attr);
	pthread_condattr_destroy(&attr);
	return f;
}

void
host_files_free(struct host_files *f)
{
	if (f == NULL)
		return;
	channel_free(f->ch);
	fileio_close(f->next_fd);
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* Has the lock: the channel in use is closed, for the next one if there is
 * one. */
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
	f->next_fd = -1;
	pthread_cond_signal(&f->cond);
}

void
host_files_connect(struct host_files *f, int fd)
{
	pthread_mutex_lock(&f->lock);
	fileio_close(f->next_fd);
	f->next_fd = fd;
	if (!f->is_waiting)
		change_channel(f);
	pthread_mutex_unlock(&f->lock);
}

/* --- waiting -------------------------------------------------------------- */

/* Has the lock.  Return 0: there is a channel; -1: there is none until
 * ${end_ms}. */
static int
wait_channel(struct host_files *f, uint64_t end_ms)
{
	struct timespec end = { .tv_sec = (time_t)(end_ms / 1000),
		.tv_nsec = (long)(end_ms % 1000) * 1000000 };

	while (f->ch == NULL)
		if (pthread_cond_timedwait(&f->cond, &f->lock, &end) != 0 &&
		    f->ch == NULL) {
			errno = ETIMEDOUT;
			return -1;
		}
	return 0;
}

/* The first on each channel; the number stays the same. */
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

static int
on_file(struct host_files *f, struct channel_msg *msg, struct answer *a)
{
	memcpy(&a->file, msg->base, sizeof(a->file));
	if (a->file.ask != f->asks)
		return 0;	/* too late */
	a->fd = msg->fd;
	msg->fd = -1;
	a->done = (struct msg_answer){ .ask = f->asks,
		.errnum = a->fd == -1 ? EMFILE : 0 };
	return 1;
}

/* Return 1: it is the answer to the last ask. */
static int (*const on[NMSGS])(struct host_files *f, struct channel_msg *msg,
    struct answer *a) = {
	[S_NUMBER] = on_number,
	[S_DONE] = on_done,
	[S_FILE] = on_file
};

/* Has the lock.  Take one message.  Return 1: it is the answer; 0: it is not,
 * or there was none; -1: EPIPE, spoold is gone. */
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
	a->fd = -1;
	rc = on[msg.type](f, &msg, a);
	fileio_close(msg.fd);
	return rc;
}

/* Has the lock, and lets go of it meanwhile.  Wait until the channel has
 * something to read. */
static int
wait_news(struct host_files *f, uint64_t end_ms)
{
	struct pollfd pfd = { .fd = channel_fd(f->ch),
		.events = (short)(POLLIN |
		    (channel_wants_write(f->ch) ? POLLOUT : 0)) };
	uint64_t now = monotonic_ms();
	int rc;

	f->is_waiting = true;
	pthread_mutex_unlock(&f->lock);
	rc = now >= end_ms ? 0 : poll(&pfd, 1, (int)(end_ms - now));
	pthread_mutex_lock(&f->lock);
	f->is_waiting = false;
	if (channel_wants_write(f->ch))
		(void)channel_flush(f->ch);
	if (rc != 0)
		return 0;
	errno = ETIMEDOUT;
	return -1;
}

/* Has the lock.  One spoold is asked.  Return 0, or -1: EPIPE, it is gone;
 * ETIMEDOUT. */
static int
ask_one(struct host_files *f, unsigned int type, uint64_t value,
    uint64_t end_ms, struct answer *a)
{
	struct msg_ask ask = { .ask = ++f->asks, .value = value };
	int rc;

	if (channel_send(f->ch, type, &ask, NULL, 0, -1) == -1)
		return -1;
	while ((rc = take(f, a)) == 0)
		if (wait_news(f, end_ms) == -1)
			return -1;
	return rc == 1 ? 0 : -1;
}

/* Ask, and once more where spoold has died or been replaced.  Return 0, or -1
 * with errno, which may be what spoold says.  The caller has a->fd. */
static int
ask(struct host_files *f, unsigned int type, uint64_t value, struct answer *a)
{
	uint64_t end_ms = monotonic_ms() + ASK_MS;
	int rc = -1, saved;

	a->fd = -1;
	pthread_mutex_lock(&f->lock);
	while (wait_channel(f, end_ms) == 0) {
		rc = ask_one(f, type, value, end_ms, a);
		saved = errno;
		if (f->next_fd != -1 || (rc == -1 && errno == EPIPE))
			change_channel(f);
		errno = saved;
		if (rc == 0 || errno != EPIPE)
			break;
	}
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
		if (!is_waiting || wait_channel(f, end_ms) == -1)
			error = EAGAIN;
		else if (take(f, &a) == -1)
			change_channel(f);
		else if (!f->has_number && wait_news(f, end_ms) == -1)
			error = EAGAIN;
		if (f->next_fd != -1)
			change_channel(f);
	}
	if (error == 0)
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

/* Where spoold does not get the message, the queue removes the file, since
 * nobody holds it. */
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

/* The queue finds it empty, and nobody holding it. */
static void
files_untake(void *, struct spool_segment *segment)
{
	spool_segment_close(segment);
}

static int
files_body(void *files, uint64_t id)
{
	struct answer a;

	return ask(files, S_BODY, id, &a) == -1 ? -1 : a.fd;
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

static bool
files_is_short(void *files)
{
	struct host_files *f = files;
	struct answer a;

	/* a quota is asked for elsewhere; without an answer nothing is known */
	if (f->told_ms + SHORT_MS < monotonic_ms() &&
	    ask(f, S_ROOM, 0, &a) == -1 && errno != EDQUOT)
		return true;
	return f->is_short;
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
	.is_short = files_is_short,
};
