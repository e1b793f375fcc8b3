/* The part of the disk that one worker can have, whatever it does. */

#include "test/unit/cmd/mailmilld/spoold/spoold_fixture.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util/monotonic.h"
#include "test/unit/core/spool/fault.h"

#define MIB	(1024 * 1024)
#define FREE	(4 * MIB)	/* what the disk says is free: it does not get less here */
#define PART	(4 * FREE)	/* what one worker may have then */

static void
setup(void)
{
	spx_setup_with("workers=2");
	fault_free(FREE);
}

static void
teardown(void)
{
	fault_free(0);
	spx_teardown();
}

TestSuite(spoold_share, .init = setup, .fini = teardown);

static struct spoold_worker *
worker(void)
{
	return TAILQ_FIRST(&spx.sp.workers);
}

/* A body of ${octets} on the disk, closed.  Return the errno of the answer. */
static int
body(uint64_t id, size_t octets)
{
	static char data[MIB];
	struct msg_file file;
	int fd, rc;

	data[0] = 1;
	if ((rc = spx_ask_for(spx.ch, S_BODY, id, &file, &fd)) != 0)
		return rc;
	cr_assert_eq(write(fd, data, octets), (ssize_t)octets);
	close(fd);
	return 0;
}

/* Bodies until one is refused; their number */
static unsigned int
bodies(unsigned int first, size_t octets, unsigned int most)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < most && rc == 0; i++)
		rc = body(SPX_MINE(first + i), octets);
	cr_assert(rc == 0 || rc == ENOSPC, "%d", rc);
	return rc == 0 ? i : i - 1;
}

/* It is not refused any more: its list may have to be looked through. */
static void
soon(uint64_t id, size_t octets)
{
	uint64_t end = monotonic_ms() + SPX_WAIT_MS;

	while (body(id, octets) != 0)
		cr_assert_lt(monotonic_ms(), end);
}

static void
others_are_served(void)
{
	struct msg_number second;
	struct msg_file file;
	struct channel *c = spx_connect(6, &second);
	int fd;

	cr_assert_eq(spx_ask_for(c, S_BODY, SPX_OTHERS(1), &file, &fd), 0);
	close(fd);
	cr_assert_eq(spx_ask_for(c, S_SEGMENT, SPX_SIZE, &file, &fd), 0);
	close(fd);
	channel_free(c);
}

static void
queue_removes(unsigned int first, unsigned int n)
{
	for (; n > 0; n--, first++)
		cr_assert_eq(spool_body_remove(spx.dirfd, SPX_MINE(first)), 0);
}

Test(spoold_share, what_it_has_closed_counts_until_it_is_gone)
{
	unsigned int n = bodies(1, MIB, 100), more;

	/* a backlog that honest mail makes is not refused before */
	cr_assert_geq(n, PART / MIB);
	cr_assert_leq(n, PART / MIB + 8);
	cr_assert_eq(body(SPX_MINE(200), MIB), ENOSPC);
	others_are_served();
	queue_removes(1, n / 2);
	more = PART / MIB - (n - n / 2);
	soon(SPX_MINE(300), MIB);
	cr_assert_eq(bodies(301, MIB, more - 1), more - 1);
}

Test(spoold_share, files_without_anything_in_them_count)
{
	cr_assert_eq(bodies(1, 0, 2 * PART / 32768), PART / 32768 + 1);
	others_are_served();
}

/* As long as it holds them and grows them */
Test(spoold_share, what_it_still_writes_counts_as_it_grows)
{
	static char data[MIB];
	struct msg_file file;
	int fds[40], i, n, rc = 0;

	for (i = 0; i < 20; i++)
		cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(1 + i), &file,
		    &fds[i]), 0);
	for (i = 0; i < 20; i++)
		cr_assert_eq(write(fds[i], data, MIB), MIB);
	for (n = 20; n < 40 && rc == 0; n++)
		rc = spx_ask_for(spx.ch, S_BODY, SPX_MINE(1 + n), &file,
		    &fds[n]);
	cr_assert_eq(rc, ENOSPC);
	cr_assert_lt(n, 30);
	for (i = 0; i < n - 1; i++)
		close(fds[i]);
}

/* --- what it writes to files that it has open ------------------------------ */

#define OPEN	20
#define LONG_MS	11000	/* the file system has said by then what its files take */

static int open_fds[OPEN];

/* Bodies with a MiB each, which are more than its share, and which it keeps. */
static void
open_bodies(void)
{
	static char data[MIB];
	struct msg_file file;
	int i;

	for (i = 0; i < OPEN; i++)
		cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(1 + i), &file,
		    &open_fds[i]), 0);
	for (i = 0; i < OPEN; i++)
		cr_assert_eq(write(open_fds[i], data, MIB), MIB);
}

static void
close_bodies(void)
{
	int i;

	for (i = 0; i < OPEN; i++)
		close(open_fds[i]);
}

/* Time passes in which nothing is asked. */
static void
turn_for(uint64_t ms)
{
	uint64_t end = monotonic_ms() + ms;

	while (monotonic_ms() < end)
		spx_turn(10);
}

/* Until it is known which files the worker had at first. */
static void
turn_until_settled(void)
{
	uint64_t end = monotonic_ms() + SPX_WAIT_MS;

	while (!worker()->share.is_settled) {
		cr_assert_lt(monotonic_ms(), end);
		spx_turn(10);
	}
}

/* Until the worker was found to have written beyond its share. */
static void
turn_until_found(void)
{
	uint64_t end = monotonic_ms() + SPX_WAIT_MS;

	while (spx.nbeyond == 0) {
		cr_assert_lt(monotonic_ms(), end);
		spx_turn(10);
	}
}

/* Write octets to ${fd}, some each millisecond, for at most ${ms}, until spoold has
 * found it out.  Return their number. */
static uint64_t
write_until_found(int fd, uint64_t ms)
{
	static char data[16384];
	uint64_t end = monotonic_ms() + ms, n = 0;

	while (monotonic_ms() < end && spx.nbeyond == 0) {
		data[0]++;
		cr_assert_eq(write(fd, data, sizeof(data)),
		    (ssize_t)sizeof(data));
		n += sizeof(data);
		spx_turn(1);
	}
	return n;
}

/* It asks whether there is room: does the answer say that no body may grow? */
static bool
is_short(void)
{
	const struct msg_ask ask = { .ask = ++spx.asks };
	struct msg_answer answer;
	struct channel_msg msg;

	cr_assert_eq(channel_send(spx.ch, S_ROOM, &ask, NULL, 0, -1), 0);
	cr_assert(spx_hear(spx.ch, SPX_WAIT_MS, &msg));
	cr_assert_eq(msg.type, S_DONE);
	memcpy(&answer, msg.base, sizeof(answer));
	cr_assert_eq(answer.ask, ask.ask);
	return answer.is_short != 0;
}

Test(spoold_share, one_that_goes_on_to_write_is_found)
{
	uint64_t began;

	open_bodies();
	began = monotonic_ms();
	write_until_found(open_fds[7], SPX_WAIT_MS);
	cr_assert_eq(spx.nbeyond, 1);
	cr_expect_lt(monotonic_ms() - began, 10 * SPOOLD_WATCH_MS);
	/* and again, should it live on */
	spx.nbeyond = 0;
	write_until_found(open_fds[8], SPX_WAIT_MS);
	cr_assert_eq(spx.nbeyond, 1);
	close_bodies();
}

/* Whatever the worker's file is said to be for. */
Test(spoold_share, so_is_one_that_makes_its_segment_longer)
{
	uint64_t id;
	int fd = spx_segment(&id);

	open_bodies();
	cr_assert_eq(lseek(fd, 0, SEEK_END), SPX_SIZE);
	write_until_found(fd, SPX_WAIT_MS);
	cr_assert_eq(spx.nbeyond, 1);
	close_bodies();
	close(fd);
}

/* It has its files from the spoold that was there before. */
Test(spoold_share, another_spoold_finds_what_is_written)
{
	open_bodies();
	channel_free(spx.ch);
	spx_turn(0);
	cr_assert(TAILQ_EMPTY(&spx.sp.workers));
	close(open_fds[0]);
	spx.ch = spx_connect(5, &spx.number);
	cr_assert_eq(worker()->bodies.n, OPEN - 1);
	write_until_found(open_fds[7], SPX_WAIT_MS);
	cr_assert_eq(spx.nbeyond, 1);
	open_fds[0] = open_fds[1];
	open_fds[1] = -1;
	close_bodies();
}

static void
drop(uint64_t id, int fd)
{
	const struct msg_drop drop = { .id = id };

	cr_assert_eq(channel_send(spx.ch, S_DROP, &drop, NULL, 0, dup(fd)), 0);
	while (spx_exists("body", id))
		spx_turn(10);
}

/* Its descriptor is as good as before. */
Test(spoold_share, one_that_writes_to_what_it_has_dropped_is_found)
{
	open_bodies();
	drop(SPX_MINE(8), open_fds[7]);
	cr_assert_eq(worker()->bodies.n, OPEN);
	write_until_found(open_fds[7], SPX_WAIT_MS);
	cr_assert_eq(spx.nbeyond, 1);
	close_bodies();
}

Test(spoold_share, one_that_writes_to_what_was_delivered_is_found)
{
	open_bodies();
	queue_removes(1, OPEN);
	cr_assert_eq(worker()->bodies.n, OPEN);
	/* the folder is read again */
	cr_assert_eq(spoold_share_scan(worker()), 0);
	write_until_found(open_fds[7], SPX_WAIT_MS);
	cr_assert_eq(spx.nbeyond, 1);
	close_bodies();
}

/* As long as it has it open. */
Test(spoold_share, what_has_lost_its_name_counts)
{
	uint64_t end = monotonic_ms() + SPX_WAIT_MS;
	static char data[MIB];
	struct msg_file file;
	int fds[40], i, n, rc = 0, fd;

	for (n = 0; n < 40; n++) {
		rc = spx_ask_for(spx.ch, S_BODY, SPX_MINE(1 + n), &file,
		    &fds[n]);
		if (rc != 0)
			break;
		cr_assert_eq(write(fds[n], data, MIB), MIB);
		drop(SPX_MINE(1 + n), fds[n]);
	}
	cr_assert_eq(rc, ENOSPC);
	cr_assert_leq(n, PART / MIB + 8);
	for (i = 0; i < n; i++)
		close(fds[i]);
	while (spx_ask_for(spx.ch, S_BODY, SPX_MINE(100), &file, &fd) != 0) {
		cr_assert_lt(monotonic_ms(), end);
		spx_turn(10);
	}
	close(fd);
}

/* One that is open would be counted in place of the other. */
Test(spoold_share, an_id_is_not_given_twice_while_the_first_is_open)
{
	struct msg_file file;
	int fd, other;

	cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(1), &file, &fd), 0);
	drop(SPX_MINE(1), fd);
	cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(1), &file, &other),
	    EEXIST);
	close(fd);
	cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(1), &file, &other),
	    0);
	close(other);
}

/* What it writes between two looks counts although it has closed the file. */
Test(spoold_share, one_that_closes_what_it_has_written_is_found)
{
	static char data[MIB];
	struct msg_file file;
	int i, fd;

	open_bodies();
	turn_until_settled();
	for (i = 0; i < 3; i++) {
		cr_assert_eq(write(open_fds[i], data, MIB), MIB);
		close(open_fds[i]);
	}
	/* each request looks whether some are closed */
	for (i = 0; i < OPEN; i++)
		cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(100 + i),
		    &file, &fd), ENOSPC);
	turn_until_found();
	for (i = 3; i < OPEN; i++)
		close(open_fds[i]);
}

/* Some file systems say only seconds later what a file takes on the disk: here
 * that are holes which are filled. */
Test(spoold_share, what_is_late_on_the_disk_has_not_grown)
{
	static char data[MIB];
	int i;

	open_bodies();
	cr_assert_eq(ftruncate(open_fds[0], (off_t)40 * MIB), 0);
	spx.sp.lag_ms = LONG_MS - 1000;
	turn_until_settled();
	for (i = 1; i < 20; i++)
		cr_assert_eq(pwrite(open_fds[0], data, MIB, (off_t)i * MIB),
		    MIB);
	turn_for(SPOOLD_WATCH_MS);
	cr_assert_eq(spx.nbeyond, 0);
	/* but after so long a time it is something that it writes now */
	worker()->share.over_ms -= LONG_MS;
	turn_for(SPOOLD_WATCH_MS);
	cr_assert_eq(spx.nbeyond, 0);
	for (; i < 24; i++)
		cr_assert_eq(pwrite(open_fds[0], data, MIB, (off_t)i * MIB),
		    MIB);
	turn_until_found();
	close_bodies();
}

/* Others say it at once: there it is found as soon as anything else. */
Test(spoold_share, one_that_fills_holes_is_found)
{
	uint64_t began;

	open_bodies();
	/* octets that it has not written yet */
	cr_assert_eq(ftruncate(open_fds[0], (off_t)1024 * MIB), 0);
	cr_assert_eq(lseek(open_fds[0], MIB, SEEK_SET), MIB);
	spx.sp.lag_ms = 0;
	began = monotonic_ms();
	write_until_found(open_fds[0], SPX_WAIT_MS);
	cr_assert_eq(spx.nbeyond, 1);
	cr_expect_lt(monotonic_ms() - began, LONG_MS / 2);
	close_bodies();
}

Test(spoold_share, a_file_system_that_is_not_known_may_be_late)
{
	int shm = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_gt(spoold_lag_ms(proc), 0);
	cr_assert_gt(spoold_lag_ms(-1), 0);
	if (shm != -1)
		cr_assert_eq(spoold_lag_ms(shm), 0);
	close(shm);
	close(proc);
}

/* Then nobody can look at its files any more but the spoold that has given
 * them. */
Test(spoold_share, one_that_closes_its_channel_and_keeps_files_is_found)
{
	open_bodies();
	channel_free(spx.ch);
	turn_until_found();
	cr_assert(TAILQ_EMPTY(&spx.sp.workers));
	cr_assert_not(spx.is_done);
	close_bodies();
	while (!spx.is_done)
		spx_turn(10);
	cr_assert_eq(spx.sp.ngiven, 0);
	spx.ch = spx_connect(5, &spx.number);
}

/* It has another spoold, which can open what has a name. */
Test(spoold_share, one_that_has_another_spoold_keeps_only_what_has_a_name)
{
	open_bodies();
	spx.sp.is_draining = true;
	queue_removes(1, 1);
	channel_free(spx.ch);
	turn_until_found();
	cr_assert_eq(spx.sp.ngiven, 1);
	close(open_fds[0]);
	while (!spx.is_done)
		spx_turn(10);
	cr_assert_eq(spx.nbeyond, 1);
	open_fds[0] = -1;
	close_bodies();
	spx.ch = spx_connect(5, &spx.number);
}

/* One descriptor of each file is here. */
Test(spoold_share, descriptors_are_left_to_the_others)
{
	struct msg_file file;
	int fds[200], n, rc = 0;

	spx.sp.nofile = 400;
	for (n = 0; n < 200 && rc == 0; n++)
		rc = spx_ask_for(spx.ch, S_BODY, SPX_MINE(1 + n), &file,
		    &fds[n]);
	cr_assert_eq(rc, EMFILE);
	cr_assert_eq(--n, 136);	/* of 400 - 128, half */
	cr_assert_not(spx_exists("body", SPX_MINE(1 + n)));
	others_are_served();
	while (n > 0)
		close(fds[--n]);
}

/* An honest worker asks, and then writes nothing more. */
Test(spoold_share, one_that_stops_when_it_is_told_is_not)
{
	static char data[4096];
	uint64_t end = monotonic_ms() + SPX_WAIT_MS;
	struct msg_file file;
	unsigned int i;

	cr_assert_not(is_short());
	open_bodies();
	for (i = 0; !is_short(); i++) {
		cr_assert_lt(monotonic_ms(), end);
		cr_assert_eq(write(open_fds[i % OPEN], data, sizeof(data)),
		    (ssize_t)sizeof(data));
		spx_turn(2);
	}
	/* a block may have been under way */
	cr_assert_eq(write(open_fds[0], data, sizeof(data)),
	    (ssize_t)sizeof(data));
	turn_for(3 * SPOOLD_WATCH_MS);
	cr_assert(is_short());
	cr_assert_eq(spx.nbeyond, 0);
	close_bodies();
	/* the queue has delivered half of it */
	queue_removes(1, OPEN / 2);
	while (worker()->share.is_over) {
		cr_assert_lt(monotonic_ms(), end);
		spx_turn(10);
	}
	cr_assert_not(is_short());
	cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(100), &file,
	    &open_fds[0]), 0);
	close(open_fds[0]);
}

/* Nor one that writes a segment which it was given before, for the first time or
 * over zeros that the file system had left out. */
Test(spoold_share, one_that_writes_within_its_segment_is_not)
{
	enum { SIZE = 8 * MIB };
	struct spool_header header;
	struct msg_file file;
	int fd;

	fault_free(1024ULL * MIB);
	cr_assert_eq(spx_ask_for(spx.ch, S_SEGMENT, SIZE, &file, &fd), 0);
	fault_free(FREE);
	open_bodies();
	turn_until_settled();
	/* the folder may be read again meanwhile */
	cr_assert_eq(spoold_share_scan(worker()), 0);
	cr_assert_eq(spool_segment_format(fd, file.id, SIZE, false, &header),
	    0);
	turn_for(SPOOLD_WATCH_MS);
	worker()->share.over_ms -= LONG_MS;
	turn_for(SPOOLD_WATCH_MS);
	cr_assert_eq(spx.nbeyond, 0);
	/* but over its end */
	cr_assert_eq(lseek(fd, 0, SEEK_END), SIZE);
	write_until_found(fd, SPX_WAIT_MS);
	cr_assert_eq(spx.nbeyond, 1);
	close_bodies();
	close(fd);
}

/* It is the disk that has got smaller, not the worker that has written. */
Test(spoold_share, one_that_writes_nothing_is_not)
{
	static char data[65536];

	fault_free(1024ULL * MIB);
	open_bodies();
	turn_for(SPOOLD_WATCH_MS + 100);
	cr_assert_not(is_short());
	fault_free(1);
	/* but for what was under way */
	cr_assert_eq(write(open_fds[0], data, sizeof(data)),
	    (ssize_t)sizeof(data));
	turn_for(3 * SPOOLD_WATCH_MS);
	cr_assert(is_short());
	cr_assert_eq(spx.nbeyond, 0);
	/* an answer says what is true now */
	fault_free(1024ULL * MIB);
	cr_assert_not(is_short());
	close_bodies();
}

Test(spoold_share, one_without_others_may_fill_the_disk)
{
	channel_free(spx.ch);
	spx_turn(0);
	spx.settings->workers = 1;
	spx.ch = spx_connect(5, &spx.number);
	open_bodies();
	cr_assert_null(spx.sp.watch);
	turn_for(SPOOLD_WATCH_MS + 500);
	cr_assert_not(is_short());
	close_bodies();
}

/* Segments until one is refused */
static unsigned int
segments(unsigned int most, uint64_t *ids)
{
	struct spool_header header;
	struct msg_file file;
	unsigned int i;
	int fd;

	for (i = 0; i < most; i++) {
		if (spx_ask_for(spx.ch, S_SEGMENT, SPX_SIZE, &file, &fd) != 0)
			break;
		cr_assert_eq(spool_segment_format(fd, file.id, SPX_SIZE, false,
		    &header), 0);
		cr_assert_eq(spx_ask(S_MADE, file.id), 0);
		close(fd);
		ids[i] = file.id;
	}
	return i;
}

Test(spoold_share, so_do_its_segments)
{
	uint64_t ids[100];
	unsigned int n = segments(100, ids);
	struct spool_header header;
	struct msg_file file;
	int fd;

	/* there have to be five parts with the new one */
	cr_assert_geq(n, PART / MIB - 5);
	cr_assert_leq(n, PART / MIB);
	others_are_served();
	/* a free one takes nothing: it gets that */
	fd = spool_segment_open(spx.dirfd, ids[0], &header);
	cr_assert_eq(spool_segment_recycle(spx.dirfd, fd, &header, false), 0);
	close(fd);
	cr_assert_eq(spx_ask_for(spx.ch, S_SEGMENT, SPX_SIZE, &file, &fd), 0);
	cr_assert_eq(file.id, ids[0]);
	close(fd);
	cr_assert_eq(worker()->share.n, n, "it is in the list once");
}

/* It spoils the headers, and the queue sets them aside under names that it has
 * chosen with them. */
Test(spoold_share, so_does_what_was_set_aside)
{
	unsigned int i, n, all = 0;
	char from[SPOOL_NAME], to[64];
	uint64_t ids[100];

	fault_free(10 * MIB);
	while (all < 400 && (n = segments(10, ids)) == 10) {
		for (i = 0; i < n; i++, all++) {
			spool_segment_name("seg", ids[i], from);
			snprintf(to, sizeof(to), "damaged.%016llx.%u",
			    (unsigned long long)ids[i], 777 + i);
			cr_assert_eq(renameat(spx.dirfd, from, spx.dirfd, to),
			    0);
		}
		/* a long look is allowed again */
		usleep(20000);
	}
	cr_assert_gt(worker()->share.kept_files, 0);
	/* 64 MiB may be out of sight */
	cr_assert_lt(all, 64 + 4 * 10 + 20);
	cr_assert_gt(all, 3 * 10);
	fault_free(FREE);
	others_are_served();
}

Test(spoold_share, another_spoold_counts_what_is_there)
{
	unsigned int n = bodies(1, MIB, 100);
	char to[64], from[SPOOL_NAME];

	/* one of them is damaged */
	spool_body_name(SPX_MINE(1), from);
	snprintf(to, sizeof(to), "damaged.%s", from);
	cr_assert_eq(renameat(spx.dirfd, from, spx.dirfd, to), 0);
	channel_free(spx.ch);
	spx_turn(0);
	spx.ch = spx_connect(5, &spx.number);
	cr_assert_eq(worker()->share.n, n);
	cr_assert_eq(body(SPX_MINE(200), MIB), ENOSPC);
	queue_removes(2, n / 2);
	soon(SPX_MINE(200), MIB);
}

Test(spoold_share, without_other_workers_all_is_its_own)
{
	spx.settings->workers = 1;
	cr_assert_eq(bodies(1, MIB, PART / MIB + 10), PART / MIB + 10);
}

Test(spoold_share, on_a_full_disk_nothing_is_made)
{
	fault_free(1);
	cr_assert_eq(body(SPX_MINE(1), 0), ENOSPC);
}

/* The folder is not read, and what is looked at does not grow with what there
 * is. */
Test(spoold_share, a_request_costs_a_few_looks)
{
	enum { N = 2000 };
	struct spoold_share *s = &worker()->share;

	fault_free(1ULL << 40);
	cr_assert_eq(bodies(1, 0, N), N);
	cr_assert_eq(s->nscans, 1);
	cr_assert_leq(s->nlooks, 5 * N);
	cr_assert_eq(s->n, N);
	/* what is gone is found out in as many requests */
	queue_removes(1, N);
	cr_assert_eq(bodies(1 + N, 0, N), N);
	cr_assert_leq(s->n, N + 8);
	cr_assert_eq(s->nscans, 1);
	/* refused ones do not cost more */
	fault_free(MIB);
	cr_assert_eq(bodies(1 + 2 * N, 0, 10), 0);
}
