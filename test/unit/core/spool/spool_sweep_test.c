#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/spool/spool_segment.h"
#include "test/unit/core/spool/spool_fixture.h"

static uint64_t known_id;

static bool
is_known(void *, uint64_t id)
{
	return (id == known_id);
}

static int
make_body(struct spool_fixture *f, uint64_t id)
{
	char name[SPOOL_NAME];
	int fd;

	spool_body_name(id, name);
	fd = openat(f->dirfd, name, O_WRONLY | O_CREAT, 0660);
	cr_assert_neq(fd, -1);
	return (fd);
}

/* Commit a large message; return its id. */
static uint64_t
send_large(struct spool_fixture *f)
{
	uint64_t id;

	fixture_init(f);
	fixture_open(f);
	cr_assert_eq(fixture_send(f, 0, 300000), 0);
	fixture_wait(f, 0);
	cr_assert_eq(f->error[0], 0);
	cr_assert_eq(fixture_count(f, SPOOL_ENTRY_BODY, &id), 1);
	return (id);
}

Test(spool_sweep, a_body_that_a_record_names_stays)
{
	struct spool_fixture f;
	uint64_t id, left;

	known_id = 0;
	id = send_large(&f);
	fixture_close(&f);	/* an open writer would make a segment */
	(void)close(make_body(&f, 4));
	cr_assert_eq(spool_sweep(f.dirfd, 0, is_known, NULL), 1);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, &left), 1);
	cr_assert_eq(left, id);
	fixture_free(&f);
}

Test(spool_sweep, known_ones_and_those_in_the_making_stay)
{
	struct spool_fixture f;
	char name[SPOOL_NAME];
	int fd, fd2;

	known_id = 5;
	fixture_init(&f);
	(void)close(make_body(&f, 5));
	fd = make_body(&f, 6);
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	spool_segment_name("new", 3, name);
	fd2 = openat(f.dirfd, name, O_WRONLY | O_CREAT, 0660);
	cr_assert_eq(flock(fd2, LOCK_EX), 0);
	cr_assert_eq(spool_sweep(f.dirfd, 0, is_known, NULL), 0);
	(void)close(fd);
	(void)close(fd2);
	cr_assert_eq(spool_sweep(f.dirfd, 0, is_known, NULL), 2);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 1);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_NEW, NULL), 0);
	fixture_free(&f);
}

Test(spool_sweep, what_was_only_just_written_stays)
{
	struct spool_fixture f;
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 0, 0 } };
	int fd, steps[] = { 0, -30, 30, -90, 90 }, removed[] = { 0, 0, 0, 1, 1 };
	unsigned int i;

	known_id = 0;
	fixture_init(&f);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		fd = make_body(&f, i + 1);
		times[1].tv_sec = time(NULL) + steps[i];
		cr_assert_eq(futimens(fd, times), 0);
		(void)close(fd);
		cr_expect_eq(spool_sweep(f.dirfd, 60, is_known, NULL),
		    removed[i], "%d seconds from now", steps[i]);
	}
	fixture_free(&f);
}

Test(spool_sweep, nothing_is_removed_while_a_segment_is_damaged)
{
	struct spool_fixture f;
	struct spool_position p;
	struct spool_header h;
	int fd;

	known_id = 0;
	(void)send_large(&f);
	cr_assert_eq(spool_writer_position(f.w, 0, &p), 1);
	fixture_close(&f);
	fd = spool_segment_open(f.dirfd, p.segment, &h);
	cr_assert_eq(pwrite(fd, "X", 1, SPOOL_PAGE + 30), 1);
	(void)close(fd);
	(void)close(make_body(&f, 4));
	cr_assert_eq(spool_sweep(f.dirfd, 0, is_known, NULL), 0);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 2);
	fixture_free(&f);
}

Test(spool_sweep, nothing_is_removed_while_a_segment_is_set_aside)
{
	struct spool_fixture f;

	known_id = 0;
	fixture_init(&f);
	(void)close(make_body(&f, 4));
	(void)close(openat(f.dirfd, "damaged.body.0000000000005",
	    O_WRONLY | O_CREAT, 0660));
	(void)close(openat(f.dirfd, "damaged.0000000000000001.1",
	    O_WRONLY | O_CREAT, 0660));
	cr_assert_eq(spool_sweep(f.dirfd, 0, is_known, NULL), 0);
	cr_assert_eq(unlinkat(f.dirfd, "damaged.0000000000000001.1", 0), 0);
	cr_assert_eq(spool_sweep(f.dirfd, 0, is_known, NULL), 1);
	fixture_free(&f);
}

Test(spool_sweep, only_what_is_older_than_a_torn_segment_stays)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 0, 0 } };
	struct spool_fixture f;
	uint64_t left;
	int fd;

	known_id = 0;
	fixture_init(&f);
	fd = make_body(&f, 4);
	times[1].tv_sec = time(NULL) - 20000;
	cr_assert_eq(futimens(fd, times), 0);
	(void)close(fd);
	(void)close(make_body(&f, 5));
	fd = openat(f.dirfd, "torn.0000000000000001.1", O_WRONLY | O_CREAT,
	    0660);
	times[1].tv_sec = time(NULL) - 10000;
	cr_assert_eq(futimens(fd, times), 0);
	(void)close(fd);
	cr_assert_eq(spool_sweep(f.dirfd, 0, is_known, NULL), 1);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, &left), 1);
	cr_assert_eq(left, 4);
	cr_assert_eq(unlinkat(f.dirfd, "torn.0000000000000001.1", 0), 0);
	cr_assert_eq(spool_sweep(f.dirfd, 0, is_known, NULL), 1);
	fixture_free(&f);
}

/* A worker that has been taken over owns the folder. */
Test(spool_sweep, a_pipe_for_a_segment_holds_up_nothing, .timeout = 10)
{
	struct spool_fixture f;
	struct spool_header h;
	char name[SPOOL_NAME];

	known_id = 0;
	fixture_init(&f);
	spool_segment_name("seg", 9, name);
	cr_assert_eq(mkfifoat(f.dirfd, name, 0660), 0);
	(void)close(make_body(&f, 4));
	cr_assert_eq(spool_sweep(f.dirfd, 0, is_known, NULL), 0);
	cr_assert_eq(spool_segment_open(f.dirfd, 9, &h), -1);
	fixture_free(&f);
}

/* The queue process starts when the workers do. */
Test(spool_sweep, segments_can_be_made_while_it_runs)
{
	struct spool_fixture f;
	struct spool_segment segment;
	char name[SPOOL_NAME];
	unsigned int i;
	pid_t pid;
	int rv;

	fixture_init(&f);
	known_id = 0;
	if ((pid = fork()) == 0)
		for (;;)
			(void)spool_sweep(f.dirfd, 60, is_known, NULL);
	cr_assert_gt(pid, 0);
	for (i = 0; i < 2000; i++) {
		rv = spool_segment_create(f.dirfd, i + 1, SPOOL_SEGMENT_MIN,
		    false, &segment);
		if (rv == -1)
			break;
		(void)close(segment.fd);
		spool_segment_name("seg", i + 1, name);
		(void)unlinkat(f.dirfd, name, 0);
	}
	rv = errno;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	cr_assert_eq(i, 2000, "segment %u: %s", i, strerror(rv));
	fixture_free(&f);
}
