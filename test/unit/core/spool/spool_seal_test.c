/* Segments that are given up before they are full: an attacker who takes over
 * the process cannot change what was acknowledged some time before. */

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_writer_int.h"
#include "core/util/monotonic.h"
#include "test/unit/core/spool/spool_fixture.h"

#define WAIT_MS		20000
#define SEAL_MS		30
#define SEAL_NEW_MS	400

/* A clock that is a number */
Test(spool_seal, it_is_due_after_a_second_or_a_minute)
{
	struct spool_held cur = { .is_recycled = true }, next = { .seq = 0 };
	struct spool_writer w = { .config = { .seal_ms = SPOOL_SEAL_MS,
		.seal_new_ms = SPOOL_SEAL_NEW_MS } };

	cr_assert_eq(spool_seal_due(&w), UINT64_MAX, "there is none");
	w.cur = &cur;
	w.next = &next;
	cr_assert_eq(spool_seal_due(&w), UINT64_MAX, "it has no record");
	cur.first_ms = 500000;
	cr_assert_eq(spool_seal_due(&w), 501000, "once");
	w.seal_new_ms = 499000;
	cr_assert_eq(spool_seal_due(&w), 559000, "a minute after the last");
	w.seal_new_ms = 100000;
	cr_assert_eq(spool_seal_due(&w), 501000);
	w.seal_new_ms = 499000;
	next.is_recycled = true;
	cr_assert_eq(spool_seal_due(&w), 501000);
	w.next = NULL;
	cr_assert_eq(spool_seal_due(&w), UINT64_MAX, "mail would stop");
}

static struct spool_fixture f;

static void
setup(void)
{
	fixture_init(&f);
	f.config.seal_ms = SEAL_MS;
	f.config.seal_new_ms = SEAL_NEW_MS;
	fixture_open(&f);
}

static void
teardown(void)
{
	fixture_free(&f);
}

TestSuite(spool_seal_real, .init = setup, .fini = teardown);

static void
mail(uint64_t handle)
{
	cr_assert_eq(fixture_send(&f, handle, 1000), 0);
	fixture_wait(&f, handle);
	cr_assert_eq(f.error[handle], 0);
}

static const struct spool_position *
last(void)
{
	return (&f.positions[(f.npositions - 1) % FIXTURE_POSITIONS]);
}

/* Wait until the segment of the last message is sealed; its id. */
static uint64_t
sealed(void)
{
	struct pollfd pfd = { .fd = spool_writer_fd(f.w), .events = POLLIN };

	while (!last()->is_sealed) {
		cr_assert_eq(poll(&pfd, 1, WAIT_MS), 1);
		spool_writer_dispatch(f.w);
	}
	return (last()->segment);
}

/* Has this process that file open? */
static bool
has_open(uint64_t segment)
{
	char name[SPOOL_NAME], path[512], link[64];
	struct dirent *de;
	bool rv = false;
	ssize_t n;
	DIR *dir = opendir("/proc/self/fd");

	cr_assert_not_null(dir);
	spool_segment_name("seg", segment, name);
	while ((de = readdir(dir)) != NULL) {
		snprintf(link, sizeof(link), "/proc/self/fd/%.20s",
		    de->d_name);
		if ((n = readlink(link, path, sizeof(path) - 1)) == -1)
			continue;
		path[n] = '\0';
		rv = rv || strstr(path, name) != NULL;
	}
	closedir(dir);
	return (rv);
}

/* As the queue does when all records are done */
static void
recycle(uint64_t segment)
{
	struct spool_header header;
	int fd = spool_segment_open(f.dirfd, segment, &header);

	cr_assert_neq(fd, -1);
	cr_assert_eq(spool_segment_recycle(f.dirfd, fd, &header, false), 0);
	(void)close(fd);
}

Test(spool_seal_real, what_was_acknowledged_some_time_ago_is_out_of_reach)
{
	uint64_t start = monotonic_ms(), id;

	mail(0);
	cr_assert(has_open(last()->segment) || last()->is_sealed);
	id = sealed();
	cr_assert_geq(monotonic_ms() - start, SEAL_MS);
	cr_assert_not(has_open(id));
	/* mail goes on elsewhere */
	mail(1);
	cr_assert_neq(last()->segment, id);
}

Test(spool_seal_real, without_records_nothing_is_sealed)
{
	struct pollfd pfd = { .fd = spool_writer_fd(f.w), .events = POLLIN };

	cr_assert_eq(poll(&pfd, 1, 4 * SEAL_MS), 0);
	mail(0);
	(void)sealed();
	while (poll(&pfd, 1, SEAL_NEW_MS + 4 * SEAL_MS) == 1)
		spool_writer_dispatch(f.w);
	cr_assert_leq(f.npositions, 2, "committed, sealed");
}

Test(spool_seal_real, new_segments_are_used_up_slowly)
{
	uint64_t start = monotonic_ms();

	mail(0);
	(void)sealed();
	mail(1);
	(void)sealed();
	cr_assert_geq(monotonic_ms() - start, SEAL_MS + SEAL_NEW_MS);
}

Test(spool_seal_real, recycled_ones_are_not)
{
	uint64_t start, handle;
	unsigned int i;

	/* new ones, until three go round */
	for (handle = 0; handle < 3; handle++) {
		mail(handle);
		recycle(sealed());
	}
	start = monotonic_ms();
	for (i = 0; i < 5; i++, handle++) {
		mail(handle);
		recycle(sealed());
	}
	cr_assert_lt(monotonic_ms() - start, 5 * SEAL_NEW_MS * 3 / 4);
}

static uint64_t
octets_on_disk(uint64_t segment)
{
	char name[SPOOL_NAME];
	struct stat st;

	spool_segment_name("seg", segment, name);
	cr_assert_eq(fstatat(f.dirfd, name, &st, 0), 0);
	cr_assert_eq(st.st_size, (off_t)f.config.segment_octets);
	return ((uint64_t)st.st_blocks * 512);
}

/* The queue is stopped: a segment a minute must not fill the disk. */
Test(spool_seal_real, when_none_comes_back_the_rest_is_given_back)
{
	struct spool_header header;
	struct spool_segment segment;
	struct spool_damage damage;
	struct spool_readbuf *buf;
	struct spool_reader *r;
	struct spool_view view;
	uint64_t handle, id = 0, octets, idle;
	int fd;

	for (handle = 0; handle < 5; handle++) {
		mail(handle);
		id = sealed();
	}
	cr_assert_leq(octets_on_disk(id), 16384);
	/* nor does it count for the quota */
	cr_assert_eq(spool_usage(f.dirfd, &octets, &idle), 0);
	cr_assert_lt(octets, 5 * f.config.segment_octets);
	/* it is read as any other */
	fd = spool_segment_open(f.dirfd, id, &header);
	cr_assert_neq(fd, -1);
	buf = spool_readbuf_new();
	r = spool_reader_new(fd, buf, 0);
	cr_assert_eq(spool_reader_next(r, SPOOL_TO_END, &view, &damage), 1);
	cr_assert_eq(view.record.body_octets, 1000);
	cr_assert_eq(spool_reader_next(r, SPOOL_TO_END, &view, &damage), 0);
	spool_reader_free(r);
	spool_readbuf_free(buf);
	(void)close(fd);
	/* and has its room again when it is used again */
	recycle(id);
	fixture_close(&f);
	cr_assert_eq(spool_segment_take(f.dirfd, f.config.number,
	    f.config.segment_octets, &segment), 0);
	while (segment.header.segment != id) {
		spool_segment_close(&segment);
		cr_assert_eq(spool_segment_take(f.dirfd, f.config.number,
		    f.config.segment_octets, &segment), 0);
	}
	cr_assert_geq(octets_on_disk(id), f.config.segment_octets);
	spool_segment_close(&segment);
}
