/* spoold and the worker's side of it: a spool writer over host_files. */

#include "test/unit/cmd/mailmilld/spoold/spoold_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/worker/host_files.h"
#include "core/spool/spool_writer.h"
#include "core/util/monotonic.h"

TestSuite(spoold_writer, .init = spx_setup, .fini = spx_teardown);

struct writer {
	struct spool_writer	*w;
	struct host_files	*files;
	int			 ndone, nfailed, opened;
};

static void
on_done(void *closure, uint64_t, int error)
{
	struct writer *x = closure;

	x->ndone++;
	x->nfailed += error != 0;
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
writer_open(struct writer *x)
{
	static const struct spool_writer_callbacks callbacks = {
		.done = on_done, .room = on_room_again, .opened = on_opened };
	struct spool_writer_config config = { .files = &host_files_ops,
		.segment_octets = SPX_SIZE, .buffer_octets = 1024 * 1024,
		.large_octets = 8192, .is_synced = true };

	memset(x, 0, sizeof(*x));
	x->files = config.files_closure = host_files_new(true);
	x->w = spool_writer_open(&config, &callbacks, x);
	cr_assert_not_null(x->w);
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
		cr_assert_eq(spool_writer_ops.append(msg, body + at, n), 0);
	}
	free(body);
	cr_assert_eq(spool_writer_ops.commit(msg, &env), 0);
	return 0;
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
	for (i = 0; i < 60; i++)
		cr_assert_eq(send_mail(&x, i % 10 == 0 ? 100000 : 6000), 0);
	work(&x, &x.ndone, 60);
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
