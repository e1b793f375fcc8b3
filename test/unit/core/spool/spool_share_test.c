/* Clients that never end their large messages, and mail of other clients. */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "test/unit/core/spool/spool_fixture.h"

#define QUOTA		(64ULL << 20)
#define CLIENT_MAX	(QUOTA / 8)
#define ALL_MAX		(QUOTA / 4)

static struct spool_fixture f;

static void
setup(void)
{
	fixture_init(&f);
	f.config.quota_octets = QUOTA;
	f.has_clients = true;
	fixture_open(&f);
	/* when this is done, the writer has asked how much is free */
	cr_assert_eq(fixture_send(&f, 250, 1000), 0);
	fixture_wait(&f, 250);
}

static void
teardown(void)
{
	fixture_free(&f);
}

TestSuite(spool_share, .init = setup, .fini = teardown);

/* Append until the writer refuses, at most ${most} octets.  Return how many it
 * took. */
static uint64_t
pour(uint64_t handle, uint64_t most, struct spool_msg **msg_r)
{
	struct timeval now = { .tv_sec = 1700000000 };
	struct pollfd pfd = { .fd = spool_writer_fd(f.w), .events = POLLIN };
	static char buf[8000];
	uint64_t n = 0;

	cr_assert_eq(spool_writer_ops.begin(f.w, handle, &now, msg_r), 0);
	while (n < most) {
		if (spool_writer_ops.room(f.w, handle) < sizeof(buf)) {
			(void)poll(&pfd, 1, 100);
			spool_writer_dispatch(f.w);
			spool_writer_pass(f.w);
			continue;
		}
		if (spool_writer_ops.append(*msg_r, buf, sizeof(buf)) == -1) {
			cr_assert_eq(errno, ENOSPC);
			break;
		}
		n += sizeof(buf);
	}
	return (n);
}

Test(spool_share, what_one_client_does_not_end_leaves_room_for_others)
{
	struct spool_msg *a, *b;
	uint64_t n;

	n = pour(0, CLIENT_MAX / 2, &a);
	n += pour(1, QUOTA, &b);
	cr_assert_lt(n, CLIENT_MAX + 1000000);
	cr_assert_gt(n, CLIENT_MAX / 2);
	/* its next message, too, is refused when it is large; not a small one */
	spool_writer_ops.abort(b);
	cr_assert_eq(fixture_send(&f, 2, 1000), 0);
	fixture_wait(&f, 2);
	cr_assert_eq(f.error[2], 0);
	/* another client */
	cr_assert_eq(fixture_send(&f, 20, 3000000), 0);
	fixture_wait(&f, 20);
	cr_assert_eq(f.error[20], 0);
	/* what has ended does not count any more */
	spool_writer_ops.abort(a);
	cr_assert_eq(fixture_send(&f, 3, 3000000), 0);
	fixture_wait(&f, 3);
	cr_assert_eq(f.error[3], 0);
}

Test(spool_share, all_clients_together_leave_room_for_small_mail)
{
	struct spool_msg *msgs[8];
	uint64_t n = 0, i;

	for (i = 0; i < 8; i++)
		n += pour(10 * i, QUOTA, &msgs[i]);
	cr_assert_lt(n, ALL_MAX + 2000000);
	cr_assert_gt(n, ALL_MAX / 2);
	cr_assert_eq(fixture_send(&f, 200, 10000), 0);
	fixture_wait(&f, 200);
	cr_assert_eq(f.error[200], 0);
	for (i = 0; i < 8; i++)
		spool_writer_ops.abort(msgs[i]);
}

/* Each of four workers may use a fourth of what all may hold together. */
Test(spool_share, workers_share_the_bounds)
{
	struct spool_msg *a, *b, *c;
	uint64_t n, others;

	fixture_close(&f);
	f.config.nworkers = 4;
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 250, 1000), 0);
	fixture_wait(&f, 250);
	n = pour(0, QUOTA, &a);
	cr_assert_lt(n, CLIENT_MAX / 4 + 500000);
	cr_assert_gt(n, CLIENT_MAX / 8);
	others = pour(10, QUOTA, &b);
	others += pour(20, QUOTA, &c);
	cr_assert_lt(n + others, ALL_MAX / 4 + 1000000);
	cr_assert_gt(n + others, ALL_MAX / 8);
	spool_writer_ops.abort(a);
	spool_writer_ops.abort(b);
	spool_writer_ops.abort(c);
}
