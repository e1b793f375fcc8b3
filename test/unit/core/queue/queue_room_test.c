/* A file system that is full, or a quota that is used up, while deliveries have
 * to be recorded. */

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_reserve.h"
#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/spool/fault.h"

static struct qf f;

static void
setup(void)
{
	qf_init(&f);
	qf_open(&f);
	qf_pass(&f, 100);
}

static void
teardown(void)
{
	qf_free(&f);
}

TestSuite(queue_room, .init = setup, .fini = teardown);

static void
mail(uint64_t segment, uint64_t id)
{
	struct qf_segment s;

	qf_segment(&f, &s, segment);
	qf_mail(&s, QF_ID(id));
	qf_committed(&f, &s, true);
	spool_segment_close(&s.file);
	qf_pass(&f, 10);
}

static bool
is_made(void)
{
	return qf_exists(&f, f.incoming, "reserve.7") &&
	    !spool_reserve_is_given_up(f.incoming);
}

/* ${times} writes fail; each is tried again after something was given up. */
static void
deliver_on_full_disk(int errnum, int times)
{
	mail(1, 1);
	cr_assert_eq(f.njobs, 1);
	fault_arm(FAULT_PWRITE, 0, times, errnum);
	qf_finish(&f, 0);
	qf_pass(&f, 10);
	fault_arm(FAULT_PWRITE, 0, 0, 0);
}

Test(queue_room, the_reserve_is_there_from_the_start)
{
	cr_assert(is_made());
	cr_assert_gt(spool_reserve_told(f.incoming), 0, "the database");
}

Test(queue_room, idle_segments_are_given_up_before_the_reserve)
{
	struct qf_segment s;

	qf_segment(&f, &s, 9);
	spool_segment_untake(f.incoming, &s.file);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
	deliver_on_full_disk(ENOSPC, 1);
	cr_assert(is_made());
	qf_pass(&f, 2000);
	cr_assert_eq(qf_listed(&f), 0);
}

static void
expect_reserve_is_used(int errnum)
{
	deliver_on_full_disk(errnum, 1);
	cr_assert(spool_reserve_is_given_up(f.incoming));
	cr_assert(!qf_exists(&f, f.incoming, "reserve.1"));
	/* the segment is removed, not kept for later */
	qf_pass(&f, 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 0);
	/* there is room now */
	qf_pass(&f, 10000);
	cr_assert(is_made());
	/* what was recorded is known to the next process */
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 100);
	cr_assert_eq(qf_listed(&f), 0);
	cr_assert_eq(f.njobs, 0);
}

Test(queue_room, a_full_disk_uses_the_reserve_and_makes_it_again)
{
	expect_reserve_is_used(ENOSPC);
}

Test(queue_room, so_does_a_quota)
{
	expect_reserve_is_used(EDQUOT);
}

/* The rows of deferred messages, written by SQLite */
static void
defer_on_full_disk(int errnum)
{
	mail(1, 1);
	fault_arm(FAULT_PWRITE, 0, 1, errnum);
	qf_finish(&f, EIO);
	qf_pass(&f, 100);
	fault_arm(FAULT_PWRITE, 0, 0, 0);
	cr_assert(spool_reserve_is_given_up(f.incoming));
	cr_assert_eq(qf_listed(&f), 1);
	qf_pass(&f, 10000);
	cr_assert(is_made());
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0, "it is deferred");
}

Test(queue_room, the_database_may_use_it)
{
	defer_on_full_disk(ENOSPC);
}

Test(queue_room, the_database_may_use_it_when_a_quota_is_used_up)
{
	defer_on_full_disk(EDQUOT);
}

Test(queue_room, without_room_it_is_not_made)
{
	deliver_on_full_disk(ENOSPC, 1);
	fault_arm(FAULT_FALLOCATE, 0, 1000, EDQUOT);
	qf_pass(&f, 20000);
	cr_assert(spool_reserve_is_given_up(f.incoming));
	fault_arm(FAULT_FALLOCATE, 0, 0, 0);
	qf_pass(&f, 10000);
	cr_assert(is_made());
}

/* Workers may write to the folder. */
Test(queue_room, what_a_worker_puts_in_its_place_does_no_harm)
{
	cr_assert_eq(unlinkat(f.incoming, "reserve.0", 0), 0);
	cr_assert_eq(symlinkat("/dev/zero", f.incoming, "reserve.0"), 0);
	cr_assert_eq(unlinkat(f.incoming, "reserve.1", 0), 0);
	cr_assert_eq(mkfifoat(f.incoming, "reserve.1", 0600), 0);
	qf_pass(&f, 20000);
	cr_assert(is_made());
}
