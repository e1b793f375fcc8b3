#include "core/deferred/acklog.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/core/spool/fault.h"

struct fixture {
	char			 path[64];
	int			 dirfd;
	struct acklog		*log;
	struct acklog_entry	 seen[256];
	size_t			 nseen;
};

static struct fixture f;

static void
see(void *, const struct acklog_entry *e)
{
	cr_assert_lt(f.nseen, 256);
	f.seen[f.nseen++] = *e;
}

static void
setup(void)
{
	strlcpy(f.path, "/tmp/acklog-test.XXXXXX", sizeof(f.path));
	cr_assert_not_null(mkdtemp(f.path));
	f.dirfd = open(f.path, O_RDONLY | O_DIRECTORY);
	f.log = acklog_open(f.dirfd, see, NULL);
	cr_assert_not_null(f.log);
	cr_assert_eq(f.nseen, 0);
}

static void
reopen(void)
{
	acklog_free(f.log);
	f.nseen = 0;
	f.log = acklog_open(f.dirfd, see, NULL);
	cr_assert_not_null(f.log);
}

static void
teardown(void)
{
	char cmd[128];

	acklog_free(f.log);
	close(f.dirfd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", f.path);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(acklog, .init = setup, .fini = teardown);

static void
append(uint32_t seq)
{
	struct acklog_entry e = { .segment = 5, .generation = 2, .seq = seq,
		.last = seq, .rcpt = ACKLOG_ALL };

	cr_assert_eq(acklog_append(f.log, &e), 0);
}

static off_t
file_octets(const char *name)
{
	struct stat st;

	return fstatat(f.dirfd, name, &st, 0) == 0 ? st.st_size : -1;
}

Test(acklog, what_was_written_is_replayed_in_order)
{
	struct acklog_entry e = {
	    .segment = 7, .generation = 3, .seq = 9, .last = 12, .rcpt = 4};

	append(1);
	append(2);
	cr_assert_eq(acklog_append(f.log, &e), 0);
	cr_assert_eq(acklog_pending(f.log), 3);
	cr_assert_eq(acklog_write(f.log), 0);
	cr_assert_eq(acklog_pending(f.log), 0);
	cr_assert_not(acklog_is_synced(f.log));
	cr_assert_eq(acklog_sync(f.log), 0);
	cr_assert(acklog_is_synced(f.log));
	reopen();
	cr_assert_eq(f.nseen, 3);
	cr_assert_eq(f.seen[0].seq, 1);
	cr_assert_eq(f.seen[1].seq, 2);
	cr_assert_eq(f.seen[2].segment, e.segment);
	cr_assert_eq(f.seen[2].generation, e.generation);
	cr_assert_eq(f.seen[2].seq, e.seq);
	cr_assert_eq(f.seen[2].last, e.last);
	cr_assert_eq(f.seen[2].rcpt, e.rcpt);
	append(10);
	cr_assert_eq(acklog_write(f.log), 0);
	reopen();
	cr_assert_eq(f.nseen, 4);
}

Test(acklog, a_tail_torn_at_any_octet_loses_no_more_than_its_entry)
{
	off_t size, one, cut;
	uint32_t i;

	for (i = 0; i < 4; i++)
		append(i);
	cr_assert_eq(acklog_sync(f.log), 0);
	size = file_octets("ack.1");
	one = size / 4;
	for (cut = size; cut >= 0; cut--) {
		int fd = openat(f.dirfd, "ack.1", O_WRONLY);

		cr_assert_eq(ftruncate(fd, cut), 0);
		close(fd);
		reopen();
		cr_assert_eq(f.nseen, (size_t)(cut / one));
		cr_assert_eq(file_octets("ack.1"), cut / one * one);
	}
	append(77);
	cr_assert_eq(acklog_sync(f.log), 0);
	reopen();
	cr_assert_eq(f.nseen, 1);
	cr_assert_eq(f.seen[0].seq, 77);
}

Test(acklog, what_follows_a_damaged_entry_is_not_believed)
{
	uint32_t i;
	off_t size;
	int fd;

	for (i = 0; i < 8; i++)
		append(i);
	cr_assert_eq(acklog_sync(f.log), 0);
	size = file_octets("ack.1");
	fd = openat(f.dirfd, "ack.1", O_WRONLY);
	cr_assert_eq(pwrite(fd, "!", 1, size / 8 * 5 + 3), 1);
	close(fd);
	reopen();
	cr_assert_eq(f.nseen, 5);
}

Test(acklog, a_full_disk_keeps_entries_pending_and_leaves_no_half_one)
{
	struct rlimit rl = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
	uint32_t i;

	signal(SIGXFSZ, SIG_IGN);
	append(1);
	cr_assert_eq(acklog_write(f.log), 0);
	for (i = 2; i < 6; i++)
		append(i);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &rl), 0);
	cr_assert_eq(acklog_write(f.log), -1);
	cr_assert_eq(acklog_pending(f.log), 4);
	cr_assert_eq(file_octets("ack.1") % 40, 0);
	rl.rlim_cur = RLIM_INFINITY;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &rl), 0);
	cr_assert_eq(acklog_write(f.log), 0);
	reopen();
	cr_assert_eq(f.nseen, 5);
}

Test(acklog, pending_entries_are_bounded)
{
	struct rlimit rl = { .rlim_cur = 0, .rlim_max = RLIM_INFINITY };
	struct acklog_entry e = {.segment = 1, .rcpt = ACKLOG_ALL};
	size_t i;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &rl), 0);
	for (i = 0; i < ACKLOG_PENDING_MAX; i++)
		cr_assert_eq(acklog_append(f.log, &e), 0);
	cr_assert_eq(acklog_append(f.log, &e), -1);
	cr_assert_eq(errno, EFBIG);
}

static int
snapshot(void *, struct acklog *log)
{
	struct acklog_entry e = { .segment = 5, .generation = 2, .seq = 1,
		.last = 99, .rcpt = ACKLOG_ALL };

	return acklog_append(log, &e);
}

static int
snapshot_fails(void *, struct acklog *)
{
	errno = ENOSPC;
	return -1;
}

Test(acklog, compaction_begins_a_new_file_with_the_snapshot)
{
	uint32_t i;

	for (i = 1; i < 100; i++)
		append(i);
	cr_assert_eq(acklog_write(f.log), 0);
	cr_assert_eq(acklog_compact(f.log, snapshot, NULL), 0);
	cr_assert_eq(file_octets("ack.1"), -1);
	append(100);
	cr_assert_eq(acklog_sync(f.log), 0);
	reopen();
	cr_assert_eq(f.nseen, 2);
	cr_assert_eq(f.seen[0].last, 99);
	cr_assert_eq(f.seen[1].seq, 100);
}

Test(acklog, a_compaction_that_fails_leaves_the_old_file)
{
	append(1);
	cr_assert_eq(acklog_sync(f.log), 0);
	cr_assert_eq(acklog_compact(f.log, snapshot_fails, NULL), -1);
	cr_assert_eq(errno, ENOSPC);
	append(2);
	cr_assert_eq(acklog_sync(f.log), 0);
	cr_assert_eq(file_octets("ack.2"), -1);
	cr_assert_eq(file_octets("ack.2.tmp"), -1);
	reopen();
	cr_assert_eq(f.nseen, 2);
}

Test(acklog, a_compaction_whose_name_is_not_on_disk_leaves_the_old_file)
{
	append(1);
	cr_assert_eq(acklog_sync(f.log), 0);
	/* the file's flush succeeds, the folder's fails */
	fault_arm(FAULT_FSYNC, 1, 1, EIO);
	cr_assert_eq(acklog_compact(f.log, snapshot, NULL), -1);
	cr_assert_eq(errno, EIO);
	cr_assert_eq(file_octets("ack.2"), -1);
	append(2);
	cr_assert_eq(acklog_sync(f.log), 0);
	reopen();
	cr_assert_eq(f.nseen, 2);
	cr_assert_eq(acklog_compact(f.log, snapshot, NULL), 0);
	cr_assert_eq(file_octets("ack.1"), -1);
}

Test(acklog, both_files_of_an_interrupted_compaction_are_replayed)
{
	char cmd[300];

	append(1);
	cr_assert_eq(acklog_sync(f.log), 0);
	snprintf(cmd, sizeof(cmd), "cp %s/ack.1 %s/keep", f.path, f.path);
	cr_assert_eq(system(cmd), 0);
	cr_assert_eq(acklog_compact(f.log, snapshot, NULL), 0);
	snprintf(cmd, sizeof(cmd), "mv %s/keep %s/ack.1; : > %s/ack.3.tmp",
	    f.path, f.path, f.path);
	cr_assert_eq(system(cmd), 0);
	reopen();
	cr_assert_eq(f.nseen, 2);
	cr_assert_eq(file_octets("ack.3.tmp"), -1);
	/* Either may have what the other lacks, until all is in one. */
	cr_assert(acklog_wants_compaction(f.log));
	cr_assert_neq(file_octets("ack.1"), -1);
	cr_assert_eq(acklog_compact(f.log, snapshot, NULL), 0);
	cr_assert_eq(file_octets("ack.1"), -1);
	cr_assert_eq(file_octets("ack.2"), -1);
	cr_assert_neq(file_octets("ack.3"), -1);
	cr_assert(!acklog_wants_compaction(f.log));
}

Test(acklog, octets_of_another_file_are_not_entries)
{
	char cmd[300];

	append(1);
	cr_assert_eq(acklog_sync(f.log), 0);
	snprintf(cmd, sizeof(cmd), "mv %s/ack.1 %s/ack.2", f.path, f.path);
	cr_assert_eq(system(cmd), 0);
	reopen();
	cr_assert_eq(f.nseen, 0);
}

/* A file of the log that was missed would be written again. */
Test(acklog, a_folder_that_cannot_be_listed_to_its_end_is_an_error)
{
	int n, left;

	append(1);
	cr_assert_eq(acklog_sync(f.log), 0);
	for (n = 0, left = 0; left == 0; n++) {
		acklog_free(f.log);
		fault_arm(FAULT_READDIR, n, 1, EIO);
		f.log = acklog_open(f.dirfd, see, NULL);
		if ((left = fault_left(FAULT_READDIR)) > 0)
			break;
		cr_expect_null(f.log, "read %d", n);
		cr_expect_eq(errno, EIO, "read %d", n);
	}
	fault_arm(FAULT_READDIR, 0, 0, 0);
	/* ".", "..", "ack.1" and the end */
	cr_expect_eq(n, 4);
	cr_assert_not_null(f.log);
}
