/* spoold and the worker's side of it: a spool writer over host_files. */

#include "test/unit/cmd/mailmilld/spoold/spoold_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/worker/host_files.h"
#include "core/spool/spool_writer.h"
#include "core/util/monotonic.h"

TestSuite(spoold_writer, .init = spx_setup, .fini = spx_teardown);

struct writer {
	struct spool_writer	*w;
	struct host_files	*files;
	int			 ndone, nfailed, opened;
	int			 error;		/* of the last that has failed */
};

static void
on_done(void *closure, uint64_t, uint64_t, int error)
{
	struct writer *x = closure;

	x->ndone++;
	x->nfailed += error != 0;
	x->error = error != 0 ? error : x->error;
}

static bool
on_room_again(void *, uint64_t)
{
	return true;
}

static void
on_opened(void *closure, int error)
{
	((struct writer *)closure)->opened = error == 0 ? 1 : -1;
}

static void
link_up(struct writer *x, unsigned int instance)
{
	const struct msg_peer who = { ROLE_WORKER, 2, instance };
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(spoold_worker_open(&spx.sp, &who, fds[0]), 0);
	host_files_connect(x->files, fds[1]);
}

static void
writer_open_with(struct writer *x, unsigned int ask_ms)
{
	static const struct spool_writer_callbacks callbacks = {
		.done = on_done, .room = on_room_again, .opened = on_opened };
	struct spool_writer_config config = { .files = &host_files_ops,
		.segment_octets = SPX_SIZE, .buffer_octets = 1024 * 1024,
		.large_octets = 8192, .is_synced = true };

	memset(x, 0, sizeof(*x));
	x->files = config.files_closure = host_files_new(true, ask_ms);
	x->w = spool_writer_open(&config, &callbacks, x);
	cr_assert_not_null(x->w);
}

static void
writer_open(struct writer *x)
{
	writer_open_with(x, HOST_FILES_ASK_MS);
}

/* A spoold that does not answer; the other end of its channel */
static int
link_to_mute(struct writer *x)
{
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	host_files_connect(x->files, fds[1]);
	return fds[0];
}

/* Wait until the maker has asked there. */
static void
wait_asked(struct writer *x, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	spool_writer_pass(x->w);
	cr_assert_eq(poll(&pfd, 1, SPX_WAIT_MS), 1);
}

/* Let the worker alone work, as if spoold hung, until ${*n} is ${want}. */
static void
work_alone(struct writer *x, const int *n, int want)
{
	struct pollfd pfd = { .fd = spool_writer_fd(x->w), .events = POLLIN };

	for (;;) {
		spool_writer_pass(x->w);
		if (*n == want)
			return;
		cr_assert_eq(poll(&pfd, 1, SPX_WAIT_MS), 1);
		spool_writer_dispatch(x->w);
	}
}

static int
send_mail(struct writer *x, size_t octets)
{
	static const char *const rcpts[] = { "a@example.test" };
	struct timeval now = { .tv_sec = 1700000000 };
	struct spool_envelope env = { .sender = "", .rcpts = rcpts,
		.nrcpts = 1, .session = "S1", .client = "192.0.2.1",
		.helo = "client", .received = now };
	struct spool_msg *msg;
	char *body = calloc(1, octets);
	size_t at, n;

	if (spool_writer_ops.begin(x->w, 1, &now, &msg) == -1) {
		free(body);
		return errno;
	}
	for (at = 0; at < octets; at += n) {
		n = octets - at < 1000 ? octets - at : 1000;
		if (spool_writer_ops.append(msg, body + at, n) == -1)
			break;
	}
	free(body);
	if (at >= octets && spool_writer_ops.commit(msg, &env) == 0)
		return 0;
	at = (size_t)errno;
	spool_writer_ops.abort(msg);
	return (int)at;
}

/* Let both sides work until ${*n} is ${want}. */
static void
work(struct writer *x, const int *n, int want)
{
	uint64_t end = monotonic_ms() + SPX_WAIT_MS;

	while (*n != want) {
		cr_assert_lt(monotonic_ms(), end, "%d, not %d", *n, want);
		spool_writer_pass(x->w);
		spx_turn(2);
		spool_writer_dispatch(x->w);
	}
}

/* The writer's last words need no answer. */
static void
writer_close(struct writer *x)
{
	spool_writer_close(x->w);
	host_files_free(x->files);
}

Test(spoold_writer, a_worker_writes_its_mail_through_it)
{
	struct writer x;
	int i;

	writer_open(&x);
	cr_assert_eq(send_mail(&x, 10), EAGAIN);
	cr_assert_not(spool_writer_is_open(x.w));
	link_up(&x, 77);
	work(&x, &x.opened, 1);
	/* some segments, and bodies of their own */
	for (i = 0; i < 250; i++)
		cr_assert_eq(send_mail(&x, i % 50 == 0 ? 100000 : 6000), 0);
	work(&x, &x.ndone, 250);
	cr_assert_eq(x.nfailed, 0);
	writer_close(&x);
}

Test(spoold_writer, a_worker_goes_on_with_the_next_one)
{
	struct writer x;
	int i;

	writer_open(&x);
	link_up(&x, 77);
	work(&x, &x.opened, 1);
	for (i = 1; i <= 6; i++) {
		cr_assert_eq(send_mail(&x, 100000), 0);
		if (i % 2 == 0)		/* this one dies */
			spoold_workers_close(&spx.sp);
		link_up(&x, 77);
		work(&x, &x.ndone, i);
	}
	cr_assert_eq(x.nfailed, 0);
	writer_close(&x);
	channel_free(spx.ch);
	spx.ch = NULL;
}

Test(spoold_writer, a_worker_without_a_number_is_of_no_use)
{
	struct spool_id_source held;
	struct writer x;

	cr_assert_eq(spool_id_open(spx.dirfd, 77, 1, &held), 0);
	writer_open(&x);
	link_up(&x, 77);
	work(&x, &x.opened, -1);
	cr_assert_eq(send_mail(&x, 10), EADDRINUSE);
	writer_close(&x);
	spool_id_close(&held);
}

Test(spoold_writer, the_next_one_is_asked_when_the_one_before_does_not_answer)
{
	uint64_t start;
	struct writer x;
	int mute;

	writer_open(&x);
	link_up(&x, 77);
	work(&x, &x.opened, 1);
	mute = link_to_mute(&x);
	cr_assert_eq(send_mail(&x, 100000), 0);
	wait_asked(&x, mute);
	start = monotonic_ms();
	link_up(&x, 77);
	work(&x, &x.ndone, 1);
	cr_assert_eq(x.nfailed, 0);
	cr_assert_lt(monotonic_ms() - start, HOST_FILES_ASK_MS / 2);
	writer_close(&x);
	close(mute);
}

/* One message waits, and the others fail at once, with what is not ENOSPC: it
 * is no fault of the disk.  Small mail does not wait at all. */
Test(spoold_writer, one_that_hangs_is_waited_for_once)
{
	enum { ASK_MS = 1000, N = 20 };
	uint64_t start;
	struct writer x;
	int i;

	writer_open_with(&x, ASK_MS);
	link_up(&x, 77);
	work(&x, &x.opened, 1);
	cr_assert_eq(send_mail(&x, 10), 0);
	work(&x, &x.ndone, 1);
	start = monotonic_ms();
	for (i = 0; i < N; i++)
		cr_assert_eq(send_mail(&x, 20000), 0);
	cr_assert_eq(send_mail(&x, 10), 0);
	work_alone(&x, &x.ndone, 2);
	cr_assert_eq(x.nfailed, 0);
	cr_assert_lt(monotonic_ms() - start, ASK_MS, "the small one");
	work_alone(&x, &x.ndone, 2 + N);
	cr_assert_eq(x.nfailed, N);
	cr_assert_eq(x.error, ETIMEDOUT);
	cr_assert_lt(monotonic_ms() - start, N * ASK_MS / 4);
	/* it goes on: what it says at last is late, and heard */
	for (i = 0; i < 5; i++)
		spx_turn(1);
	cr_assert_eq(send_mail(&x, 20000), 0);
	work(&x, &x.ndone, 3 + N);
	cr_assert_eq(x.nfailed, N);
	writer_close(&x);
}

Test(spoold_writer, without_it_small_mail_goes_on_while_there_is_room_for_it)
{
	struct writer x;
	int i, error = 0;

	writer_open_with(&x, 50);
	link_up(&x, 77);
	work(&x, &x.opened, 1);
	cr_assert_eq(send_mail(&x, 10), 0);
	work(&x, &x.ndone, 1);
	for (i = 1; i < 1000 && error == 0; i++) {
		if ((error = send_mail(&x, 7000)) == 0)
			work_alone(&x, &x.ndone, i + 1);
		if (x.nfailed > 0)
			error = x.error;
	}
	cr_assert_eq(error, ETIMEDOUT);
	cr_assert_gt(i, SPX_SIZE / 8000);
	writer_close(&x);
}

/* As when a worker ends */
Test(spoold_writer, closing_does_not_wait_for_it)
{
	uint64_t start = monotonic_ms();
	struct writer x;
	int mute;

	writer_open(&x);
	link_up(&x, 77);
	work(&x, &x.opened, 1);
	mute = link_to_mute(&x);
	cr_assert_eq(send_mail(&x, 100000), 0);
	cr_assert_eq(send_mail(&x, 100000), 0);
	wait_asked(&x, mute);
	writer_close(&x);
	close(mute);
	/* nor where there is none at all */
	writer_open(&x);
	writer_close(&x);
	cr_assert_lt(monotonic_ms() - start, HOST_FILES_ASK_MS / 2);
}

/* A spoold that has been taken over: segments that cannot be written to, and
 * pipes for bodies. */
static void
answer_badly(struct channel *c, int segment_fd, int pipe_fd)
{
	struct msg_answer done = { .left = UINT64_MAX };
	struct msg_file file = { .generation = 2, .nonce = 1,
		.octets = SPX_SIZE };
	struct channel_msg msg;
	struct msg_ask a;

	while (channel_recv(c, &msg) == 1) {
		if (msg.type == S_MARK || msg.type == S_DROP)
			continue;
		memcpy(&a, msg.base, sizeof(a));
		done.ask = file.ask = a.ask;
		if (msg.type == S_SEGMENT || msg.type == S_BODY)
			cr_assert_eq(channel_send(c, S_FILE, &file, NULL, 0,
			    fcntl(msg.type == S_BODY ? pipe_fd : segment_fd,
			    F_DUPFD_CLOEXEC, 0)), 0);
		else
			cr_assert_eq(channel_send(c, S_DONE, &done, NULL, 0,
			    -1), 0);
	}
}

Test(spoold_writer, files_that_are_none_fail_their_mail_and_no_more)
{
	const struct msg_number number = { .number = 77,
		.lowest_us = spool_id_now_us() };
	uint64_t end = monotonic_ms() + SPX_WAIT_MS;
	int fds[2], pipes[2], segment_fd;
	struct channel *c;
	struct writer x;

	cr_assert_eq(pipe(pipes), 0);
	segment_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	cr_assert_neq(segment_fd, -1);
	cr_assert_eq(channel_pair(fds), 0);
	c = channel_open(fds[0], msg_rows, NMSGS, ROLE_SPOOLD, ROLE_WORKER);
	cr_assert_not_null(c);
	cr_assert_eq(channel_send(c, S_NUMBER, &number, NULL, 0, -1), 0);
	writer_open(&x);
	host_files_connect(x.files, fds[1]);
	work(&x, &x.opened, 1);
	cr_assert_eq(send_mail(&x, 10), 0);
	cr_assert_eq(send_mail(&x, 20000), 0);
	while (x.ndone < 2) {
		cr_assert_lt(monotonic_ms(), end, "%d", x.ndone);
		spool_writer_pass(x.w);
		answer_badly(c, segment_fd, pipes[0]);
		(void)usleep(1000);
		spool_writer_dispatch(x.w);
	}
	cr_assert_eq(x.nfailed, 2);
	writer_close(&x);
	channel_free(c);
	close(pipes[0]);
	close(pipes[1]);
	close(segment_fd);
}
