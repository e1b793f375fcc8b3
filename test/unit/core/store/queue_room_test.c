/* A file system that is full, or a quota that is used up, while deliveries have
 * to be recorded. */

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/deferred/acklog.h"
#include "core/queue/queue_store.h"
#include "core/queue/queue_tls.h"
#include "core/queue/queue_tls_report.h"
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

static void
ignore(void *, const struct acklog_entry *)
{
}

/* Deliver while ${times} writes fail.  After each failure the queue gives up a
 * free segment or the reserve, and tries again. */
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

/* Set the time of the last change of all files of ${dirfd} to 1, or count
 * those of which it is not 1. */
static int
changed(int dirfd, bool is_set)
{
	static const struct timespec one[2] = { { .tv_sec = 1 },
	    { .tv_sec = 1 } };
	struct dirent *de;
	struct stat st;
	DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
	int n = 0;

	cr_assert_not_null(dir);
	while ((de = readdir(dir)) != NULL) {
		cr_assert_eq(fstatat(dirfd, de->d_name, &st, 0), 0);
		if (!S_ISREG(st.st_mode))
			continue;
		if (is_set)
			cr_assert_eq(utimensat(dirfd, de->d_name, one, 0), 0);
		else if (st.st_mtim.tv_sec != 1)
			n++;
	}
	(void)closedir(dir);
	return n;
}

/* The disk of an idle server may sleep. */
Test(queue_room, who_has_nothing_to_do_writes_nothing)
{
	(void)changed(f.incoming, true);
	(void)changed(f.folder, true);
	qf_pass(&f, 60000);
	cr_expect_eq(changed(f.incoming, false), 0);
	cr_expect_eq(changed(f.folder, false), 0);
	cr_expect_gt(spool_reserve_told(f.incoming), 0);
}

Test(queue_room, a_file_of_the_reserve_that_went_is_made_again)
{
	uint64_t before = spool_reserve_told(f.incoming);

	cr_assert_eq(unlinkat(f.incoming, "reserve.0", 0), 0);
	cr_assert_eq(unlinkat(f.incoming, "reserve.7", 0), 0);
	qf_pass(&f, 20000);
	cr_expect(is_made());
	cr_expect_eq(spool_reserve_told(f.incoming), before);
}

/* Or else new mail gets the room of its segment before it counts. */
static void
deferred_is_told(void)
{
	uint64_t before = spool_reserve_told(f.incoming), now;

	mail(1, 1);
	qf_finish(&f, EACCES);
	qf_pass(&f, 10);
	now = spool_reserve_told(f.incoming);
	cr_expect_geq(now, before + 2 * SPOOL_PAGE, "%llu, %llu",
	    (unsigned long long)before, (unsigned long long)now);
}

Test(queue_room, what_is_deferred_is_told_at_once)
{
	deferred_is_told();
}

/* root may write to any file: then nothing has to be made anew. */
Test(queue_room, a_file_of_the_reserve_that_may_not_be_written_is_made_anew)
{
	cr_assert_eq(fchmodat(f.incoming, "reserve.0", 0400, 0), 0);
	cr_assert_eq(fchmodat(f.incoming, "reserve.5", 0400, 0), 0);
	qf_pass(&f, 20000);
	cr_expect(is_made());
	deferred_is_told();
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
make_torn(const char *name)
{
	int fd = openat(f.incoming, name, O_WRONLY | O_CREAT, 0600);

	cr_assert_neq(fd, -1);
	close(fd);
}

Test(queue_room, then_torn_ones_before_the_reserve)
{
	struct qf_segment s;

	qf_segment(&f, &s, 9);
	spool_segment_untake(f.incoming, &s.file);
	make_torn("torn.0000000000000008.1");
	deliver_on_full_disk(ENOSPC, 1);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_TORN), 1);
	qf_pass(&f, 2000);
	mail(2, 2);
	while (qf_count(&f, SPOOL_ENTRY_FREE) > 0)
		cr_assert_eq(spool_free_remove(f.incoming), 0);
	fault_arm(FAULT_PWRITE, 0, 1, ENOSPC);
	qf_finish(&f, 0);
	qf_pass(&f, 10);
	fault_arm(FAULT_PWRITE, 0, 0, 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_TORN), 0);
	cr_assert(is_made());
}

/* They may have been set aside after that. */
Test(queue_room, while_the_reserve_is_given_up_they_go_too)
{
	deliver_on_full_disk(ENOSPC, 1);
	cr_assert(spool_reserve_is_given_up(f.incoming));
	make_torn("torn.0000000000000008.1");
	make_torn("torn.0000000000000008.2");
	fault_free(4096);
	qf_pass(&f, 10000);
	fault_free(0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_TORN), 0);
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
	/* now there is room */
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
	fault_arm(FAULT_DATABASE, 0, 1, errnum);
	qf_finish(&f, EIO);
	qf_pass(&f, 100);
	fault_arm(FAULT_DATABASE, 0, 0, 0);
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

Test(queue_room, while_it_cannot_be_made_that_is_tried_ever_more_seldom)
{
	deliver_on_full_disk(EDQUOT, 1);
	fault_arm(FAULT_FALLOCATE, 0, 1000, EDQUOT);
	qf_pass(&f, 60000);
	cr_assert_lt(1000 - fault_left(FAULT_FALLOCATE), 15, "%d tries",
	    1000 - fault_left(FAULT_FALLOCATE));
	cr_assert_gt(1000 - fault_left(FAULT_FALLOCATE), 5);
	fault_arm(FAULT_FALLOCATE, 0, 0, 0);
	qf_pass(&f, 10000);
	cr_assert(is_made());
}

/* A quota of the user is not seen before it is used up. */
Test(queue_room, one_that_never_lasts_is_made_ever_more_seldom)
{
	unsigned int i, n = 0;

	for (i = 1; i <= 40; i++) {
		if (is_made()) {
			deliver_on_full_disk(EDQUOT, 1);
			cr_assert_not(is_made());
			n++;
		}
		qf_pass(&f, 1000);
	}
	cr_assert_lt(n, 10);
	cr_assert_gt(n, 3);
	/* when it has lasted, it is soon made again */
	qf_pass(&f, 80000);
	deliver_on_full_disk(EDQUOT, 1);
	qf_pass(&f, 2000);
	cr_assert(is_made());
}

Test(queue_room, after_a_restart_it_needs_as_much_room_to_be_made_again)
{
	uint64_t octets = spool_reserve_octets(f.incoming);

	deliver_on_full_disk(ENOSPC, 1);
	fault_free(2 * octets);
	qf_pass(&f, 5000);
	cr_assert_not(is_made());
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 5000);
	cr_assert_not(is_made());
	fault_free(5 * octets);
	qf_pass(&f, 2000);
	cr_assert(is_made());
	fault_free(0);
}

Test(queue_room, another_error_gives_nothing_up)
{
	cr_assert_eq(unlinkat(f.incoming, "reserve.5", 0), 0);
	fault_arm(FAULT_FALLOCATE, 0, 2, EIO);
	qf_pass(&f, 1500);
	cr_assert_lt(fault_left(FAULT_FALLOCATE), 2);
	cr_assert(is_made());
	fault_arm(FAULT_FALLOCATE, 0, 0, 0);
	qf_pass(&f, 1500);
	cr_assert(qf_exists(&f, f.incoming, "reserve.5"));
}

/* The rows of a deferred message, while only the reserve is left */
static void
defer_one(void)
{
	mail(1, 1);
	qf_finish(&f, EIO);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_listed(&f), 1);
}

Test(queue_room, deferred_mail_is_tried_again_when_the_clock_has_been_set)
{
	defer_one();
	f.now.tv_sec -= 86400;
	/* a free segment first, then the reserve */
	fault_arm(FAULT_DATABASE, 0, 2, ENOSPC);
	qf_pass(&f, 10);
	cr_assert_eq(fault_left(FAULT_DATABASE), 0);
	cr_assert(spool_reserve_is_given_up(f.incoming));
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 1);
}

Test(queue_room, an_administrator_may_have_it_tried_again)
{
	char *answer;

	defer_one();
	fault_arm(FAULT_DATABASE, 0, 1, ENOSPC);
	answer = qf_ask(&f, "{\"action\":\"retry\",\"id\":\"all\"}");
	cr_assert_eq(fault_left(FAULT_DATABASE), 0, "%s", answer);
	cr_assert_null(strstr(answer, "error"), "%s", answer);
	free(answer);
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, 1);
}

/* --- reports of TLS ------------------------------------------------------------- */

static int
compose(void *, const char *, const char *to, char **text_r, size_t *len_r)
{
	cr_assert_neq(asprintf(text_r, "To: %s\r\n\r\nx\r\n", to), -1);
	*len_r = strlen(*text_r);
	return 0;
}

/* Report the counts of a day to ${nto} addresses. */
static int
report(size_t nto)
{
	static const char *const to[] = { "a@x.test", "b@x.test" };
	const struct queue_tls_report report = { .day = 86400,
		.domain = "z.test", .sender = "tls@y.test", .to = to,
		.nto = nto, .compose = compose };

	/* later than the failure before */
	qf_pass(&f, QUEUE_TROUBLE_MS);
	errno = 0;
	return queue_tls_report_end(f.q, &report, &f.now);
}

static bool
has_counts(void)
{
	char domain[LIM_DOMAIN + 1] = "";
	int64_t day = 0;

	return queue_tls_report_next(f.q, &day, domain, INT64_MAX) == 1;
}

static void
count_connections(void)
{
	const struct deferred_tls t = { .day = 86400, .domain = "z.test",
		.policy_type = "sts", .policy_domain = "", .policy = "",
		.result = "", .mx_host = "", .sending_ip = "",
		.receiving_ip = "", .reason = "", .sessions = 1 };
	uint64_t nlost;

	cr_assert_eq(queue_tls_add(f.q, &t, 1, &nlost), 0);
}

/* The reserve is for mail, and so is what is left when that is used.  A report, and the
 * end of its counts, can wait. */
Test(queue_room, for_reports_of_tls_no_room_is_given_up)
{
	size_t nto;

	count_connections();
	for (nto = 0; nto <= 2; nto += 2) {
		fault_arm(FAULT_DATABASE, 0, 1, ENOSPC);
		cr_expect_eq(report(nto), -1, "%zu", nto);
		cr_expect_eq(errno, ENOSPC);
		cr_assert_eq(fault_left(FAULT_DATABASE), 0);
		cr_expect(is_made(), "%zu", nto);
		cr_expect(has_counts());
	}
	cr_expect_eq(report(2), 2);
	cr_expect_not(has_counts());
}

Test(queue_room, what_is_left_for_mail_has_no_room_for_reports_of_tls)
{
	size_t nto;

	count_connections();
	deliver_on_full_disk(ENOSPC, 1);
	cr_assert(spool_reserve_is_given_up(f.incoming));
	fault_free(4096);
	for (nto = 0; nto <= 2; nto += 2) {
		cr_expect_eq(report(nto), -1, "%zu", nto);
		cr_expect_eq(errno, ENOSPC);
		cr_expect(has_counts());
	}
	fault_free(0);
	qf_pass(&f, 10000);
	cr_assert(is_made());
	cr_expect_eq(report(2), 2);
	cr_expect_not(has_counts());
}

/* More entries than are kept in memory, of which one in 65,536 is a write */
Test(queue_room, a_large_log_is_replaced_with_it)
{
	enum { N = ACKLOG_PENDING_MAX };
	struct acklog_entry e = { .segment = QF_SEGMENT(1), .generation = 1,
		.rcpt = 0 };
	struct acklog *log;
	struct qf_segment s;
	unsigned int i;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_close(&f);
	log = acklog_open(f.folder, ignore, NULL);
	cr_assert_not_null(log);
	/* each recipient alone, in a log that is large enough */
	for (i = 0; i < 4 * N; i++) {
		e.seq = e.last = 2 + i % 4;
		e.rcpt = i;
		cr_assert_eq(acklog_append(log, &e), 0);
	}
	cr_assert_eq(acklog_write(log), 0);
	acklog_free(log);
	f.is_deaf = true;
	qf_open(&f);
	fault_arm(FAULT_PWRITE, 1, 1, ENOSPC);
	qf_pass(&f, 10);
	cr_assert_eq(fault_left(FAULT_PWRITE), 0);
	cr_assert(qf_exists(&f, f.folder, "ack.2"), "replaced");
	cr_assert_not(qf_exists(&f, f.folder, "ack.1"));
	spool_segment_close(&s.file);
}

/* Workers may write to the folder. */
Test(queue_room, what_a_worker_puts_in_its_place_does_no_harm)
{
	cr_assert_eq(unlinkat(f.incoming, "reserve.0", 0), 0);
	cr_assert_eq(symlinkat("/dev/zero", f.incoming, "reserve.0"), 0);
	cr_assert_eq(unlinkat(f.incoming, "reserve.1", 0), 0);
	cr_assert_eq(mkfifoat(f.incoming, "reserve.1", 0600), 0);
	cr_assert_eq(linkat(f.incoming, "reserve.2", f.incoming, "other", 0), 0);
	errno = ENOSPC;
	cr_expect_eq(spool_reserve_make(f.incoming), -1);
	cr_expect(qf_exists(&f, f.incoming, "reserve.7"), "it is not full");
	qf_pass(&f, 20000);
	cr_assert(is_made());
}
