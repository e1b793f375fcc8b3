/* Segments that are kept because their last batch is not whole. */

#include "core/spool/spool_torn.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "core/spool/spool_segment.h"
#include "test/unit/core/spool/spool_fixture.h"

static struct spool_fixture f;

static void
setup(void)
{
	fixture_init(&f);
}

static void
teardown(void)
{
	fixture_free(&f);
}

TestSuite(spool_torn_keep, .init = setup, .fini = teardown);

/* A file that was last written to ${age_s} seconds ago. */
static void
make(const char *name, time_t age_s)
{
	struct timespec times[2] = { { 0, UTIME_OMIT },
		{ .tv_sec = time(NULL) - age_s } };
	int fd = openat(f.dirfd, name, O_WRONLY | O_CREAT, 0660);

	cr_assert_neq(fd, -1);
	cr_assert_eq(futimens(fd, times), 0);
	close(fd);
}

static bool
exists(const char *name)
{
	return faccessat(f.dirfd, name, F_OK, 0) == 0;
}

#define FIRST	"torn.0000000000000001.1"
#define SECOND	"torn.00000000000000ff.12"

Test(spool_torn_keep, one_goes_after_a_week)
{
	make(FIRST, SPOOL_TORN_KEEP_S - 60);
	make(SECOND, SPOOL_TORN_KEEP_S + 60);
	cr_assert_eq(spool_torn_expire(f.dirfd), 0);
	cr_expect(exists(FIRST));
	cr_expect_not(exists(SECOND));
}

/* The machine may have been off for longer. */
Test(spool_torn_keep, the_week_begins_when_it_is_set_aside)
{
	char name[SPOOL_NAME];

	spool_segment_name("seg", 1, name);
	make(name, 2 * SPOOL_TORN_KEEP_S);
	cr_assert_eq(spool_torn_keep(f.dirfd, 1, 1), 0);
	cr_expect_not(exists(name));
	cr_assert_eq(spool_torn_expire(f.dirfd), 0);
	cr_expect(exists(FIRST));
	cr_expect_eq(spool_torn_keep(f.dirfd, 1, 1), -1);
	cr_expect_eq(errno, ENOENT);
}

Test(spool_torn_keep, a_clock_that_was_set_back_makes_it_stay_no_longer_than_a_week)
{
	struct timespec now;
	struct stat st;

	make(FIRST, -1000 * SPOOL_TORN_KEEP_S);
	cr_assert_eq(spool_torn_expire(f.dirfd), 0);
	cr_assert_eq(fstatat(f.dirfd, FIRST, &st, 0), 0);
	/* time(3) may be a tick behind the times of files */
	cr_assert_eq(clock_gettime(CLOCK_REALTIME, &now), 0);
	cr_expect_leq(st.st_mtime, now.tv_sec);
}

Test(spool_torn_keep, what_only_looks_like_one_stays)
{
	static const char *const names[] = { "torn.tar", "torn.1.1",
		"torn.0000000000000001", "torn.0000000000000001.",
		"torn.0000000000000001.1x", "torn.000000000000000G.1",
		"torn.00000000000000FF.1", "damaged.0000000000000001.1" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		make(names[i], 2 * SPOOL_TORN_KEEP_S);
	cr_assert_eq(spool_torn_expire(f.dirfd), 0);
	cr_expect_eq(spool_torn_remove(f.dirfd), -1);
	cr_expect_eq(errno, ENOENT);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect(exists(names[i]), "%s", names[i]);
}

/* A worker that an attacker controls may write to the folder. */
Test(spool_torn_keep, a_folder_of_that_name_holds_up_nothing)
{
	cr_assert_eq(mkdirat(f.dirfd, FIRST, 0700), 0);
	make(SECOND, 0);
	cr_expect_eq(spool_torn_remove(f.dirfd), 0);
	cr_expect_not(exists(SECOND));
	cr_expect_eq(spool_torn_remove(f.dirfd), -1);
	cr_expect_eq(unlinkat(f.dirfd, FIRST, AT_REMOVEDIR), 0);
}

Test(spool_torn_keep, they_make_room_one_by_one)
{
	uint64_t octets, idle;
	int fd;

	make(FIRST, 0);
	make(SECOND, 0);
	fd = openat(f.dirfd, FIRST, O_WRONLY);
	cr_assert_eq(write(fd, "12345", 5), 5);
	close(fd);
	cr_assert_eq(spool_usage(f.dirfd, &octets, &idle), 0);
	cr_expect_eq(octets, 5);
	cr_expect_eq(idle, 5);
	cr_expect_eq(spool_torn_remove(f.dirfd), 0);
	cr_expect_eq(exists(FIRST) + exists(SECOND), 1);
	cr_expect_eq(spool_torn_remove(f.dirfd), 0);
	cr_expect_eq(spool_torn_remove(f.dirfd), -1);
	cr_expect_eq(errno, ENOENT);
}
