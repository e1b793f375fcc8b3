/* Batches that fail.  The writer wipes what it has written of a message before
 * it reports the message as refused.  So a refused message is never delivered,
 * whenever the process dies. */

#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_writer_int.h"
#include "core/util/monotonic.h"
#include "test/lib/segment.h"
#include "test/unit/core/spool/spool_fixture.h"
#include "test/unit/core/spool/fault.h"

#define GOOD	3	/* messages before the failure: 0 to 2 */
#define BAD	6	/* of the batch that fails: 3 to 8 */
#define STEPS	40	/* more than there are calls from the failure to the end */

struct answer {
	uint64_t	 handle;
	int		 error;
};

static int out;		/* a pipe: the child reports the answers */

static void
on_done(void *, uint64_t handle, uint64_t, int error)
{
	struct answer a = { .handle = handle, .error = error };

	if (write(out, &a, sizeof(a)) != sizeof(a))
		_exit(6);
}

static bool
on_room(void *, uint64_t)
{
	return (true);
}

static void
work(struct spool_writer *w, int timeout_ms)
{
	struct pollfd pfd = { .fd = spool_writer_fd(w), .events = POLLIN };

	spool_writer_pass(w);
	(void)poll(&pfd, 1, timeout_ms);
	spool_writer_dispatch(w);
}

/* Three messages are accepted.  Then the first call of the kind ${call} fails,
 * and with it a batch of six.  The process is killed at system call ${at} after
 * the three. */
static void
child(struct spool_fixture *f, enum fault_call call, int at)
{
	struct spool_writer_callbacks cb = { .done = on_done, .room = on_room };
	uint64_t i;

	if ((f->w = spool_writer_open(&f->config, &cb, f)) == NULL)
		_exit(2);
	for (i = 0; i < GOOD; i++)
		if (fixture_send(f, i, 1000) != 0)
			_exit(3);
	if (spool_writer_drain(f->w, 20000) == -1)
		_exit(4);
	fault_arm(call, 0, 1, EIO);
	fault_kill_at(at);
	for (; i < GOOD + BAD; i++)
		if (fixture_send(f, i, 2000) != 0)
			_exit(5);
	if (spool_writer_drain(f->w, 20000) == -1)
		_exit(4);
	_exit(0);
}

struct seen {
	int		 dirfd;
	unsigned int	 n[GOOD + BAD];
};

static int
read_segment(void *closure, enum spool_entry kind, uint64_t id, const char *)
{
	struct seen *seen = closure;
	struct spool_readbuf *buf;
	struct spool_reader *r;
	struct spool_damage d;
	struct spool_header h;
	struct spool_view v;
	uint64_t n;
	int fd, rv;

	if (kind != SPOOL_ENTRY_SEGMENT)
		return (0);
	fd = spool_segment_open(seen->dirfd, id, &h);
	cr_assert_neq(fd, -1);
	buf = spool_readbuf_new();
	r = spool_reader_new(fd, buf, 0);
	while ((rv = spool_reader_next(r, SPOOL_TO_END, &v, &d)) != 0) {
		n = v.record.received_us / 1000000 - 1700000000;
		if (rv == 1 && n < GOOD + BAD)
			seen->n[n]++;
	}
	spool_reader_free(r);
	spool_readbuf_free(buf);
	(void)close(fd);
	return (0);
}

/* Run child(), and check what the queue would find in the spool afterwards.
 * Return whether the child was killed. */
static bool
live(enum fault_call call, int at)
{
	struct spool_fixture f;
	struct seen seen = { 0 };
	struct answer a;
	bool is_told[GOOD + BAD] = { false };
	int fds[2], status, i;
	pid_t pid;

	fixture_init(&f);
	seen.dirfd = f.dirfd;
	cr_assert_eq(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		out = fds[1];
		child(&f, call, at);
	}
	(void)close(fds[1]);
	while (read(fds[0], &a, sizeof(a)) == sizeof(a)) {
		cr_assert_lt(a.handle, GOOD + BAD);
		cr_assert_eq(a.error, a.handle < GOOD ? 0 : EIO);
		is_told[a.handle] = true;
	}
	(void)close(fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(spool_scan(f.dirfd, read_segment, &seen), 0);
	for (i = 0; i < GOOD; i++)
		cr_assert(is_told[i] && seen.n[i] == 1, "message %d", i);
	for (; i < GOOD + BAD; i++)
		cr_assert(!is_told[i] || seen.n[i] == 0,
		    "refused message %d is delivered, killed at call %d", i,
		    at);
	fixture_free(&f);
	if (WIFSIGNALED(status))
		return (true);
	cr_assert_eq(WEXITSTATUS(status), 0);
	for (i = GOOD; i < GOOD + BAD; i++)
		cr_assert(is_told[i], "message %d was not answered", i);
	return (false);
}

Test(spool_refuse, no_refused_message_is_delivered_wherever_the_writer_dies)
{
	int at = 1;

	while (live(FAULT_FDATASYNC, at))
		cr_assert_lt(++at, STEPS);
	cr_assert_gt(at, 3, "a flush, the wipe, its flush");
	at = 1;
	while (live(FAULT_PWRITEV, at))
		cr_assert_lt(++at, STEPS);
}

/* While the wipe fails, too, no client is answered. */
Test(spool_refuse, no_answer_until_the_wipe_is_on_disk)
{
	struct spool_fixture f;
	int i;

	fixture_init(&f);
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 0, 1000), 0);
	fixture_wait(&f, 0);
	/* the flush of the batch and of two wipes; then the disk works */
	fault_arm(FAULT_FDATASYNC, 0, 3, EIO);
	cr_assert_eq(fixture_send(&f, 1, 1000), 0);
	for (i = 0; i < 5; i++) {
		work(f.w, 100);
		cr_assert(!f.is_done[1], "answered before the wipe");
	}
	fixture_wait(&f, 1);
	cr_assert_eq(f.error[1], EIO);
	cr_assert_eq(fixture_send(&f, 2, 1000), 0);
	fixture_wait(&f, 2);
	cr_assert_eq(f.error[2], 0);
	fixture_free(&f);
}

/* Bodies of large messages come in faster than the disk takes them. */
Test(spool_refuse, the_wipe_is_tried_again_however_busy_the_maker_is)
{
	struct timeval now = { .tv_sec = 1700000000 };
	static char buf[60000];
	struct spool_fixture f;
	struct spool_msg *msg;
	uint64_t end;

	fixture_init(&f);
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 0, 1000), 0);
	fixture_wait(&f, 0);
	cr_assert_eq(spool_writer_ops.begin(f.w, 2, &now, &msg), 0);
	fault_slow(20000);
	/* the flush of the batch, and of the first wipe */
	fault_arm(FAULT_FDATASYNC, 0, 2, EIO);
	cr_assert_eq(fixture_send(&f, 1, 1000), 0);
	end = monotonic_ms() + 4 * SPOOL_RETRY_MS;
	while (!f.is_done[1] && monotonic_ms() < end) {
		while (spool_writer_ops.room(f.w, 2) >= sizeof(buf))
			cr_assert_eq(spool_writer_ops.append(msg, buf,
			    sizeof(buf)), 0);
		work(f.w, 100);
	}
	fault_slow(0);
	cr_assert(f.is_done[1]);
	spool_writer_ops.abort(msg);
	fixture_free(&f);
}

/* A batch may fail after the maker has ended. */
Test(spool_refuse, a_batch_that_fails_while_closing_is_wiped)
{
	struct spool_fixture f;
	struct seen seen = { 0 };

	fixture_init(&f);
	seen.dirfd = f.dirfd;
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 0, 1000), 0);
	fixture_wait(&f, 0);
	cr_assert_eq(fixture_send(&f, 1, 1000), 0);
	fault_arm(FAULT_FDATASYNC, 0, 1, EIO);
	fixture_close(&f);
	cr_assert_eq(spool_scan(f.dirfd, read_segment, &seen), 0);
	cr_assert_eq(seen.n[0], 1);
	cr_assert_eq(seen.n[1], 0);
	fixture_free(&f);
}

/* A writer without threads, with a failed batch in each of its segments. */
static void
fail_both(struct spool_writer *w, struct spool_held helds[2],
    struct spool_msg msgs[2], struct spool_fixture *f)
{
	struct spool_held *h;
	int i;

	memset(w, 0, sizeof(*w));
	TAILQ_INIT(&w->helds);
	STAILQ_INIT(&w->done);
	w->config = f->config;
	w->event_fd = -1;
	w->is_posted = w->is_wipe_wanted = true;
	cr_assert_eq(pthread_mutex_init(&w->lock, NULL), 0);
	for (i = 0; i < 2; i++) {
		h = &helds[i];
		memset(h, 0, sizeof(*h));
		STAILQ_INIT(&h->failed);
		cr_assert_eq(segment_create(f->dirfd, 1 + (uint64_t)i,
		    f->config.segment_octets, false, &h->segment), 0);
		h->end = SPOOL_PAGE;
		h->wipe_end = SPOOL_PAGE + SPOOL_ALIGN;
		cr_assert_eq(pwrite(h->segment.fd, "refused", 7, SPOOL_PAGE),
		    7);
		h->is_failed = true;
		h->error = EIO;
		memset(&msgs[i], 0, sizeof(msgs[i]));
		msgs[i].body_fd = -1;
		STAILQ_INSERT_TAIL(&h->failed, &msgs[i], link);
		TAILQ_INSERT_TAIL(&w->helds, h, link);
	}
}

static bool
is_readable(const struct spool_fixture *f, uint64_t segment)
{
	size_t octets;
	char *file = fixture_load(f, segment, &octets);
	bool is_found = memmem(file, octets, "refused", 7) != NULL;

	free(file);
	return (is_found);
}

Test(spool_refuse, a_segment_that_cannot_be_wiped_holds_up_no_other)
{
	struct spool_fixture f;
	struct spool_writer w;
	struct spool_held helds[2];
	struct spool_msg msgs[2];
	int fd, good;

	fixture_init(&f);
	fail_both(&w, helds, msgs, &f);
	good = helds[0].segment.fd;
	helds[0].segment.fd = fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	spool_wipe_all(&w);
	cr_assert(helds[0].is_failed);
	cr_assert(is_readable(&f, 1));
	cr_assert_not(helds[1].is_failed);
	cr_assert_not(is_readable(&f, 2));
	cr_assert_eq(STAILQ_FIRST(&w.done), &msgs[1]);
	cr_assert_eq(w.notes[SPOOL_NOTE_WIPE], ENOSPC);
	cr_assert(w.is_wipe_wanted, "to be tried again");
	helds[0].segment.fd = good;
	spool_wipe_all(&w);
	cr_assert_not(is_readable(&f, 1));
	cr_assert_not(w.is_wipe_wanted);
	(void)close(fd);
	pthread_mutex_destroy(&w.lock);
	fixture_free(&f);
}
