#include "core/spool/spool_writer_int.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "test/lib/segment.h"
#include "test/unit/core/spool/spool_fixture.h"
#include "test/unit/core/spool/fault.h"

/* Read all segments, compare each message with what was sent, and count it in
 * ${seen} by its handle, which its received time tells. */
static unsigned int
read_all(struct spool_fixture *f, unsigned int *seen)
{
	struct spool_readbuf *buf = spool_readbuf_new();
	struct spool_reader *r;
	struct spool_damage d;
	struct spool_view v;
	struct spool_header h;
	char *body, name[SPOOL_NAME];
	unsigned int n = 0;
	uint64_t handle, i;
	int fd, body_fd, rv;

	memset(seen, 0, FIXTURE_SESSIONS * sizeof(*seen));
	for (i = 0; i < f->npositions && i < FIXTURE_POSITIONS; i++) {
		/* each segment once: at its last position */
		for (n = (unsigned int)i + 1; n < f->npositions; n++)
			if (f->positions[n].segment == f->positions[i].segment)
				break;
		if (n < f->npositions)
			continue;
		fd = spool_segment_open(f->dirfd, f->positions[i].segment, &h);
		cr_assert_neq(fd, -1);
		r = spool_reader_new(fd, buf, 0);
		while ((rv = spool_reader_next(r, SPOOL_TO_END, &v, &d)) != 0) {
			cr_assert_eq(rv, 1, "damage at %llu: %s",
			    (unsigned long long)d.offset, d.what);
			handle = v.record.received_us / 1000000 - 1700000000;
			cr_assert_lt(handle, FIXTURE_SESSIONS);
			seen[handle]++;
			body = malloc(v.record.body_octets + 1);
			fixture_body(body, handle, v.record.body_octets);
			if (v.record.flags & SPOOL_RECORD_LARGE) {
				spool_body_name(v.record.id, name);
				body_fd = openat(f->dirfd, name, O_RDONLY);
				cr_assert_neq(body_fd, -1);
				cr_assert_eq(spool_body_copy(body_fd, 0,
				    v.record.body_octets,
				    spool_sum(body, v.record.body_octets),
				    -1), 0);
				(void)close(body_fd);
			} else {
				cr_assert_eq(memcmp(body, v.body,
				    v.record.body_octets), 0);
			}
			free(body);
		}
		spool_reader_free(r);
		(void)close(fd);
	}
	for (i = n = 0; i < FIXTURE_SESSIONS; i++)
		n += seen[i];
	spool_readbuf_free(buf);
	return (n);
}

Test(spool_writer, what_is_committed_can_be_read_and_nothing_else)
{
	static const size_t sizes[] = { 0, 1, 4096, 7000, 8192, 16384, 32768,
		32769, 100000, 65536, 1000000 };
	unsigned int seen[FIXTURE_SESSIONS];
	struct spool_fixture f;
	uint64_t i;

	fixture_init(&f);
	fixture_open(&f);
	for (i = 0; i < 60; i++)
		cr_assert_eq(fixture_send(&f, i, sizes[i % 11]), 0);
	for (i = 0; i < 60; i++) {
		fixture_wait(&f, i);
		cr_assert_eq(f.error[i], 0);
	}
	cr_assert_eq(spool_writer_drain(f.w, 0), 0);
	fixture_close(&f);
	cr_assert_eq(read_all(&f, seen), 60);
	for (i = 0; i < 60; i++)
		cr_assert_eq(seen[i], 1);
	fixture_free(&f);
}

Test(spool_writer, many_messages_share_a_flush)
{
	struct spool_fixture f;
	uint64_t i;

	fixture_init(&f);
	fixture_open(&f);
	for (i = 0; i < 40; i++)
		cr_assert_eq(fixture_send(&f, i, 1000), 0);
	for (i = 0; i < 40; i++)
		fixture_wait(&f, i);
	cr_assert_lt(f.npositions, 4);
	fixture_free(&f);
}

Test(spool_writer, a_message_that_stays_open_holds_up_no_other)
{
	struct timeval now = { .tv_sec = 1700000000 };
	struct spool_fixture f;
	struct spool_msg *slow;
	uint64_t i;

	fixture_init(&f);
	fixture_open(&f);
	cr_assert_eq(spool_writer_ops.begin(f.w, 255, &now, &slow), 0);
	for (i = 0; i < 100; i++) {
		cr_assert_eq(fixture_send(&f, i, 1000), 0);
		fixture_wait(&f, i);
		cr_assert_eq(f.error[i], 0);
	}
	cr_assert(!f.is_done[255]);
	spool_writer_ops.abort(slow);
	fixture_free(&f);
}

Test(spool_writer, nothing_is_written_before_commit_and_abort_leaves_no_trace)
{
	unsigned int seen[FIXTURE_SESSIONS];
	struct timeval now = { .tv_sec = 1700000000 };
	struct spool_msg *small, *large;
	struct spool_fixture f;
	char buf[50000];

	memset(buf, 'x', sizeof(buf));
	fixture_init(&f);
	fixture_open(&f);
	cr_assert_eq(spool_writer_ops.begin(f.w, 1, &now, &small), 0);
	cr_assert_eq(spool_writer_ops.begin(f.w, 2, &now, &large), 0);
	cr_assert_str_neq(spool_writer_ops.id(small), spool_writer_ops.id(large));
	cr_assert_eq(spool_writer_ops.append(small, buf, 100), 0);
	cr_assert_eq(spool_writer_ops.append(large, buf, sizeof(buf)), 0);
	cr_assert_eq(spool_writer_ops.append(large, buf, sizeof(buf)), 0);
	spool_writer_ops.abort(NULL);
	spool_writer_ops.abort(small);
	spool_writer_ops.abort(large);
	cr_assert_eq(fixture_send(&f, 3, 10), 0);
	fixture_wait(&f, 3);
	fixture_close(&f);
	cr_assert_eq(f.ndone, 1);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 0);
	cr_assert_eq(read_all(&f, seen), 1);
	fixture_free(&f);
}

Test(spool_writer, closing_forgets_messages_that_are_still_open)
{
	struct timeval now = { .tv_sec = 1700000000 };
	struct spool_fixture f;
	struct spool_msg *msg;
	char buf[50000];
	int i;

	memset(buf, 'x', sizeof(buf));
	fixture_init(&f);
	fixture_open(&f);
	for (i = 0; i < 3; i++) {
		cr_assert_eq(spool_writer_ops.begin(f.w, 1, &now, &msg), 0);
		cr_assert_eq(spool_writer_ops.append(msg, buf, sizeof(buf)), 0);
		cr_assert_eq(spool_writer_ops.append(msg, buf, sizeof(buf)), 0);
	}
	fixture_close(&f);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 0);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_SEGMENT, NULL), 0);
	fixture_free(&f);
}

Test(spool_writer, a_full_segment_is_sealed_and_the_next_one_used)
{
	struct spool_fixture f;
	unsigned int i, nsealed = 0;

	fixture_init(&f);
	fixture_open(&f);
	for (i = 0; i < 40; i++) {
		cr_assert_eq(fixture_send(&f, i, 30000), 0);
		fixture_wait(&f, i);
		cr_assert_eq(f.error[i], 0);
	}
	cr_assert_leq(f.npositions, FIXTURE_POSITIONS);
	for (i = 0; i < f.npositions; i++)
		nsealed += f.positions[i].is_sealed;
	cr_assert_eq(nsealed, 40 / 8 - 1 + (40 % 8 != 0));
	fixture_free(&f);
}

Test(spool_writer, an_envelope_that_no_segment_can_hold_is_refused)
{
	static const char *rcpts[20000];
	struct spool_envelope env = { .sender = "s@x", .rcpts = rcpts,
		.nrcpts = 20000, .session = "S", .client = "c", .helo = "h" };
	struct timeval now = { .tv_sec = 1700000000 };
	struct spool_fixture f;
	struct spool_msg *msg;
	size_t i;

	for (i = 0; i < 20000; i++)
		rcpts[i] = "somebody@example.test";
	fixture_init(&f);
	fixture_open(&f);
	cr_assert_eq(spool_writer_ops.begin(f.w, 1, &now, &msg), 0);
	cr_assert_eq(spool_writer_ops.append(msg, "x", 1), 0);
	cr_assert_eq(spool_writer_ops.commit(msg, &env), -1);
	cr_assert_eq(errno, E2BIG);
	/* If only the envelope fits, the body gets a file of its own. */
	env.nrcpts = 9500;
	cr_assert_eq(spool_writer_ops.append(msg, (const char[30000]){ "y" },
	    30000), 0);
	cr_assert_eq(spool_writer_ops.commit(msg, &env), 0);
	fixture_wait(&f, 1);
	cr_assert_eq(f.error[1], 0);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 1);
	fixture_free(&f);
}

/* The bound on memory: a session without room gets some when the messages of
 * others leave memory. */
Test(spool_writer, past_the_bound_there_is_no_room_until_something_is_freed)
{
	struct timeval now = { .tv_sec = 1700000000 };
	struct spool_msg *msgs[200];
	struct pollfd pfd = { .events = POLLIN };
	struct spool_fixture f;
	char buf[6000];
	uint64_t i, n;

	memset(buf, 'x', sizeof(buf));
	fixture_init(&f);
	f.config.buffer_octets = 512 * 1024;
	fixture_open(&f);
	pfd.fd = spool_writer_fd(f.w);
	for (n = 0; n < 200; n++) {
		cr_assert_eq(spool_writer_ops.begin(f.w, n, &now, &msgs[n]), 0);
		if (spool_writer_ops.room(f.w, n) == 0)
			break;
		cr_assert_eq(spool_writer_ops.append(msgs[n], buf,
		    sizeof(buf)), 0);
	}
	cr_assert_geq(n, 512 / 8);
	cr_assert_lt(n, 80, "more than the bound");
	/* No session ends its message: the oldest bodies go to files. */
	while (f.room[n] == 0) {
		cr_assert_eq(poll(&pfd, 1, 20000), 1);
		spool_writer_dispatch(f.w);
		spool_writer_pass(f.w);
	}
	cr_assert_gt(spool_writer_ops.room(f.w, n), 0);
	for (i = 0; i <= n; i++)
		spool_writer_ops.abort(msgs[i]);
	fixture_close(&f);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 0);
	fixture_free(&f);
}

/* Sessions that have had room use all of it again and are silent then: nobody asks
 * for room any more, and the one behind them gets some nevertheless. */
Test(spool_writer, who_waits_for_room_is_not_forgotten_when_nobody_asks)
{
	struct timeval now = { .tv_sec = 1700000000 };
	struct spool_msg *msgs[200];
	struct pollfd pfd = { .events = POLLIN };
	struct spool_fixture f;
	char buf[6000];
	uint64_t i, n;

	memset(buf, 'x', sizeof(buf));
	fixture_init(&f);
	f.config.buffer_octets = 512 * 1024;
	fixture_open(&f);
	pfd.fd = spool_writer_fd(f.w);
	for (n = 0; spool_writer_ops.room(f.w, n) > 0; n++) {
		cr_assert_lt(n, 100);
		cr_assert_eq(spool_writer_ops.begin(f.w, n, &now, &msgs[n]), 0);
		cr_assert_eq(spool_writer_ops.append(msgs[n], buf,
		    sizeof(buf)), 0);
	}
	while (f.w->away_octets > 0) {
		cr_assert_eq(poll(&pfd, 1, 20000), 1);
		spool_writer_dispatch(f.w);
	}
	for (i = n; f.w->held_octets < f.config.buffer_octets; i++) {
		cr_assert_lt(i, 200);
		cr_assert_eq(spool_writer_ops.begin(f.w, i, &now, &msgs[i]), 0);
		cr_assert_eq(spool_writer_ops.append(msgs[i], buf,
		    sizeof(buf)), 0);
	}
	cr_assert_eq(f.room[n], 0);
	for (spool_writer_pass(f.w); f.room[n] == 0; spool_writer_pass(f.w)) {
		cr_assert_eq(poll(&pfd, 1, 20000), 1, "nobody helps it");
		spool_writer_dispatch(f.w);
	}
	while (i-- > 0)
		spool_writer_ops.abort(msgs[i]);
	fixture_close(&f);
	fixture_free(&f);
}

/* Try every millisecond until a message is done.  begin() may succeed just
 * before the maker of segments finds that there is still no room. */
static void
send_until_works(struct spool_fixture *f, uint64_t handle)
{
	struct timespec ms = { .tv_nsec = 1000000 };
	int i, error = 0;

	for (i = 0; i < 20000; i++) {
		if ((error = fixture_send(f, handle, 100)) == 0) {
			fixture_wait(f, handle);
			if ((error = f->error[handle]) == 0)
				return;
			f->is_done[handle] = false;
		}
		spool_writer_dispatch(f->w);
		(void)nanosleep(&ms, NULL);
	}
	cr_assert_fail("still %s", strerror(error));
}

static uint64_t
send_until_error(struct spool_fixture *f, size_t octets, int *error_r)
{
	uint64_t i;

	for (i = 0; i < FIXTURE_SESSIONS; i++) {
		if ((*error_r = fixture_send(f, i, octets)) != 0)
			return (i);
		fixture_wait(f, i);
		if ((*error_r = f->error[i]) != 0)
			return (i + 1);
	}
	cr_assert_fail("no error");
	return (0);
}

static uint64_t
count_good(const struct spool_fixture *f)
{
	uint64_t i, n = 0;

	for (i = 0; i < FIXTURE_SESSIONS; i++)
		n += f->is_done[i] && f->error[i] == 0;
	return (n);
}

Test(spool_writer, past_the_quota_begin_fails_and_recovers_by_itself)
{
	struct spool_fixture f;
	unsigned int seen[FIXTURE_SESSIONS], i;
	struct spool_header h;
	uint64_t n, good;
	int error, fd;

	fixture_init(&f);
	f.config.quota_octets = 3 * f.config.segment_octets;
	fixture_open(&f);
	n = send_until_error(&f, 20000, &error);
	cr_assert_eq(error, EDQUOT);
	cr_assert_geq(n, 36, "three segments of twelve");
	good = count_good(&f);
	cr_assert_eq(fixture_send(&f, 200, 20), EDQUOT, "refused at once");
	cr_assert_eq(read_all(&f, seen), good);
	/* The queue delivers what is in one of them. */
	for (i = 0; i < f.npositions; i++)
		if (f.positions[i].is_sealed)
			break;
	fd = spool_segment_open(f.dirfd, f.positions[i].segment, &h);
	cr_assert_eq(spool_segment_recycle(f.dirfd, fd, &h, true), 0);
	(void)close(fd);
	send_until_works(&f, 201);
	fixture_free(&f);
}

Test(spool_writer, a_large_body_past_the_quota_fails_that_message_alone)
{
	struct spool_fixture f;

	fixture_init(&f);
	f.config.quota_octets = 3 * f.config.segment_octets + 1024 * 1024;
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 0, 1000), 0);
	fixture_wait(&f, 0);
	if (fixture_send(&f, 1, 6000000) == 0) {
		fixture_wait(&f, 1);
		cr_assert_eq(f.error[1], EDQUOT);
	}
	cr_assert_eq(fixture_send(&f, 2, 1000), 0);
	fixture_wait(&f, 2);
	cr_assert_eq(f.error[2], 0);
	fixture_close(&f);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 0);
	fixture_free(&f);
}

Test(spool_writer, the_quota_counts_what_is_held_elsewhere)
{
	struct spool_fixture f;
	uint64_t n;
	int error;

	fixture_init(&f);
	cr_assert_eq(spool_reserve_make(f.dirfd), 0);
	f.config.quota_octets = 100 * f.config.segment_octets;
	spool_reserve_tell(f.dirfd, 98 * f.config.segment_octets);
	fixture_open(&f);
	n = send_until_error(&f, 20000, &error);
	cr_assert_eq(error, EDQUOT);
	cr_assert_lt(n, 30);
	spool_reserve_tell(f.dirfd, 0);
	send_until_works(&f, 200);
	fixture_free(&f);
}

Test(spool_writer, free_segments_make_room_for_a_large_body_within_the_quota)
{
	struct spool_fixture f;
	struct spool_segment s;
	int i;

	fixture_init(&f);
	for (i = 0; i < 20; i++) {
		cr_assert_eq(segment_create(f.dirfd, 100 + i,
		    f.config.segment_octets, false, &s), 0);
		spool_segment_untake(f.dirfd, &s);
	}
	f.config.quota_octets = 24 * f.config.segment_octets;
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 0, 1000000), 0);
	fixture_wait(&f, 0);
	cr_assert_eq(f.error[0], 0);
	fixture_free(&f);
}

Test(spool_writer, so_do_torn_ones)
{
	struct spool_fixture f;
	char name[SPOOL_NAME + 32];
	int i, fd;

	fixture_init(&f);
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "torn.%016x.1", i);
		fd = openat(f.dirfd, name, O_WRONLY | O_CREAT, 0660);
		cr_assert_eq(ftruncate(fd, (off_t)f.config.segment_octets), 0);
		(void)close(fd);
	}
	f.config.quota_octets = 24 * f.config.segment_octets;
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 0, 1000000), 0);
	fixture_wait(&f, 0);
	cr_assert_eq(f.error[0], 0);
	fixture_free(&f);
}

/* Of a file system that is full */
Test(spool_writer, and_for_a_segment_that_nothing_is_left_for)
{
	struct spool_fixture f;

	fixture_init(&f);
	(void)close(openat(f.dirfd, "torn.0000000000000001.1",
	    O_WRONLY | O_CREAT, 0660));
	/* the first write is that of the mark of the ids */
	fault_arm(FAULT_PWRITE, 1, 1, ENOSPC);
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 0, 1000), 0);
	fixture_wait(&f, 0);
	cr_assert_eq(f.error[0], 0);
	cr_assert_eq(fault_left(FAULT_PWRITE), 0);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_TORN, NULL), 0);
	fixture_free(&f);
}

Test(spool_writer, while_the_reserve_is_given_up_nothing_that_needs_room_is_taken)
{
	struct spool_fixture f;
	int error;

	fixture_init(&f);
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 250, 1000), 0);
	fixture_wait(&f, 250);
	cr_assert(!spool_reserve_is_given_up(f.dirfd), "there is none");
	cr_assert_eq(spool_reserve_make(f.dirfd), 0);
	cr_assert(spool_reserve_give_up(f.dirfd));
	cr_assert(!spool_reserve_give_up(f.dirfd), "no more than once");
	if ((error = fixture_send(&f, 251, 1000000)) == 0) {
		fixture_wait(&f, 251);
		error = f.error[251];
	}
	cr_assert_eq(error, ENOSPC);
	(void)send_until_error(&f, 20000, &error);
	cr_assert_eq(error, ENOSPC);
	cr_assert_eq(spool_reserve_make(f.dirfd), 0);
	send_until_works(&f, 200);
	fixture_free(&f);
}

Test(spool_writer, without_descriptors_commits_fail_cleanly_and_recover)
{
	struct rlimit old, low;
	struct spool_fixture f;
	uint64_t n;
	int error;

	fixture_init(&f);
	fixture_open(&f);
	cr_assert_eq(fixture_send(&f, 250, 100), 0);
	fixture_wait(&f, 250);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 3;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	n = send_until_error(&f, 20000, &error);
	cr_assert_eq(error, EMFILE);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	send_until_works(&f, n + 1);
	fixture_free(&f);
}

Test(spool_writer, a_batch_that_cannot_be_written_fails_and_is_wiped)
{
	unsigned int seen[FIXTURE_SESSIONS];
	struct spool_fixture f;
	struct spool_position p = { 0 };
	uint64_t i, good;
	int error;

	fixture_init(&f);
	fixture_open(&f);
	for (i = 200; i < 203; i++) {
		cr_assert_eq(fixture_send(&f, i, 100), 0);
		fixture_wait(&f, i);
	}
	fault_arm(FAULT_PWRITEV, 1, 1, EFBIG);
	(void)send_until_error(&f, 3000, &error);
	cr_assert_eq(error, EFBIG);
	good = count_good(&f);
	send_until_works(&f, 210);
	for (i = 0; i < f.npositions; i++)
		if (f.positions[i].is_sealed)
			p = f.positions[i];
	cr_assert(p.is_sealed);
	fixture_close(&f);
	cr_assert_eq(read_all(&f, seen), good + 1, "refused ones are gone");
	fixture_free(&f);
}

Test(spool_writer, positions_name_the_locked_segment_for_a_new_queue_process)
{
	struct spool_fixture f;
	struct spool_position p;
	struct spool_header h;
	int fd;

	fixture_init(&f);
	fixture_open(&f);
	cr_assert_eq(spool_writer_position(f.w, 0, &p), 0);
	cr_assert_eq(fixture_send(&f, 0, 100), 0);
	fixture_wait(&f, 0);
	cr_assert_eq(spool_writer_position(f.w, 0, &p), 1);
	cr_assert_eq(p.end, f.positions[0].end);
	cr_assert_eq(p.generation, 1);
	cr_assert(!p.is_sealed);
	cr_assert_eq(spool_writer_position(f.w, 1, &p), 0);
	fd = spool_segment_open(f.dirfd, f.positions[0].segment, &h);
	cr_assert_eq(spool_segment_lock(fd), -1);
	fixture_close(&f);
	cr_assert_eq(spool_segment_lock(fd), 0);
	(void)close(fd);
	fixture_free(&f);
}

Test(spool_writer, draining_waits_for_all_that_was_handed_over)
{
	struct spool_fixture f;
	uint64_t i;

	fixture_init(&f);
	fixture_open(&f);
	for (i = 0; i < 20; i++)
		cr_assert_eq(fixture_send(&f, i, i % 2 == 0 ? 100 : 100000),
		    0);
	cr_assert_eq(spool_writer_drain(f.w, 20000), 0);
	cr_assert_eq(f.ndone, 20);
	fixture_free(&f);
}

Test(spool_writer, sizes_that_make_no_sense_are_refused)
{
	struct spool_writer_callbacks cb = { .done = NULL };
	struct spool_fixture f;

	fixture_init(&f);
	f.config.segment_octets = 100;
	cr_assert_null(spool_writer_open(&f.config, &cb, NULL));
	cr_assert_eq(errno, EINVAL);
	fixture_free(&f);
}
