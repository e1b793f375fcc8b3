#include <sys/file.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "core/spool/spool_segment.h"
#include "core/spool/spool_sweep.h"
#include "test/lib/segment.h"
#include "test/unit/core/spool/spool_fixture.h"

static uint64_t known_id;

static bool
is_known(void *, uint64_t id)
{
	return (id == known_id);
}

static struct { unsigned int calls, number, n; int why; } kept;

static void
note_kept(void *, unsigned int number, unsigned int n,
    enum spool_sweep_why why)
{
	kept.calls++;
	kept.number = number;
	kept.n = n;
	kept.why = (int)why;
}

static const struct spool_sweep_ops ops = {
	.is_known = is_known,
	.kept = note_kept
};

static unsigned int nsteps;

/* A whole sweep, with ${at_step} called before each step.  Return the number of
 * files removed, or -1. */
static int
sweep_with(int dirfd, unsigned int grace_s, void (*at_step)(int dirfd))
{
	struct spool_sweep *s = spool_sweep_new(dirfd, grace_s, &ops, NULL);
	int n, rv;

	memset(&kept, 0, sizeof(kept));
	nsteps = 0;
	if (s == NULL)
		return (-1);
	do {
		if (at_step != NULL)
			at_step(dirfd);
		nsteps++;
	} while ((rv = spool_sweep_step(s)) == 1);
	n = (int)spool_sweep_removed(s);
	spool_sweep_free(s);
	return (rv == -1 ? -1 : n);
}

static int
sweep(int dirfd, unsigned int grace_s)
{
	return (sweep_with(dirfd, grace_s, NULL));
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
	cr_assert_eq(sweep(f.dirfd, 0), 1);
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
	cr_assert_eq(sweep(f.dirfd, 0), 0);
	(void)close(fd);
	(void)close(fd2);
	cr_assert_eq(sweep(f.dirfd, 0), 2);
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
		cr_expect_eq(sweep(f.dirfd, 60),
		    removed[i], "%d seconds from now", steps[i]);
	}
	fixture_free(&f);
}

/* body.4 is handed out again, written and closed. */
static void
write_again(int dirfd)
{
	time_t began = time(NULL);
	char name[SPOOL_NAME];
	int fd;

	/* the first step has found that nobody has it */
	if (nsteps != 1)
		return;
	while (time(NULL) == began)
		usleep(10000);
	spool_body_name(4, name);
	fd = openat(dirfd, name, O_WRONLY);
	cr_assert_eq(write(fd, "x", 1), 1);
	(void)close(fd);
}

Test(spool_sweep, what_is_written_during_the_sweep_stays)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 0, 0 } };
	struct spool_fixture f;
	int fd;

	known_id = 0;
	fixture_init(&f);
	fd = make_body(&f, 4);
	times[1].tv_sec = time(NULL) - 90;
	cr_assert_eq(futimens(fd, times), 0);
	(void)close(fd);
	cr_assert_eq(sweep_with(f.dirfd, 0, write_again), 0);
	cr_assert_gt(nsteps, 2);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 1);
	fixture_free(&f);
}

Test(spool_sweep, nothing_is_removed_while_a_segment_is_damaged)
{
	struct spool_fixture f;
	struct spool_position p;
	struct spool_header h;
	unsigned int number;
	int fd;

	known_id = 0;
	(void)send_large(&f);
	cr_assert_eq(spool_writer_position(f.w, 0, &p), 1);
	fixture_close(&f);
	fd = spool_segment_open(f.dirfd, p.segment, &h);
	cr_assert_eq(pwrite(fd, "X", 1, SPOOL_PAGE + 30), 1);
	(void)close(fd);
	number = spool_number(p.segment);
	(void)close(make_body(&f, 1 << 12 | number));
	cr_assert_eq(sweep(f.dirfd, 0), 0);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 2);
	cr_assert_eq(kept.calls, 1);
	cr_assert_eq(kept.number, number);
	cr_assert_eq(kept.n, 2);
	cr_assert_eq(kept.why, SPOOL_SWEEP_DAMAGE);
	/* it is no other worker's damage */
	(void)close(make_body(&f, 1 << 12 | (number + 1)));
	(void)close(make_body(&f, 1 << 12 | (number - 1)));
	cr_assert_eq(sweep(f.dirfd, 0), 2);
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
	(void)close(make_body(&f, 5));
	(void)close(openat(f.dirfd, "damaged.0000000000007004.1",
	    O_WRONLY | O_CREAT, 0600));
	cr_assert_eq(sweep(f.dirfd, 0), 1, "that of another worker");
	cr_assert_eq(kept.calls, 1);
	cr_assert_eq(kept.number, 4);
	cr_assert_eq(kept.why, SPOOL_SWEEP_SET_ASIDE);
	/* an earlier version numbered segments otherwise */
	(void)close(make_body(&f, 5));
	(void)close(openat(f.dirfd, "damaged.0000000000007006.1",
	    O_WRONLY | O_CREAT, 0660));
	cr_assert_eq(fchmodat(f.dirfd, "damaged.0000000000007006.1", 0660, 0),
	    0);
	cr_assert_eq(sweep(f.dirfd, 0), 0);
	cr_assert_eq(kept.calls, 2);
	cr_assert_eq(unlinkat(f.dirfd, "damaged.0000000000007006.1", 0), 0);
	cr_assert_eq(unlinkat(f.dirfd, "damaged.0000000000007004.1", 0), 0);
	cr_assert_eq(sweep(f.dirfd, 0), 2);
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
	fd = make_body(&f, 5);
	cr_assert_eq(futimens(fd, times), 0);
	(void)close(fd);
	(void)close(make_body(&f, 1 << 12 | 4));
	fd = openat(f.dirfd, "torn.0000000000001004.1", O_WRONLY | O_CREAT,
	    0600);
	times[1].tv_sec = time(NULL) - 10000;
	cr_assert_eq(futimens(fd, times), 0);
	(void)close(fd);
	cr_assert_eq(sweep(f.dirfd, 0), 2, "the younger, and another's");
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, &left), 1);
	cr_assert_eq(left, 4);
	cr_assert_eq(unlinkat(f.dirfd, "torn.0000000000001004.1", 0), 0);
	cr_assert_eq(sweep(f.dirfd, 0), 1);
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
	(void)close(make_body(&f, 9));
	cr_assert_eq(sweep(f.dirfd, 0), 0);
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
	if ((pid = fork()) == 0) {
		/* nobody else ends it when this test is killed */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)sweep(f.dirfd, 60);
	}
	cr_assert_gt(pid, 0);
	for (i = 0; i < 2000; i++) {
		rv = segment_create(f.dirfd, i + 1, SPOOL_SEGMENT_MIN,
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

/* A segment with ${n} records, of 32 kB each */
static void
make_segment(struct spool_fixture *f, uint64_t id, unsigned int n)
{
	static char body[32 * 1024];
	static const char *const rcpts[] = { "x@y.test" };
	const struct spool_envelope env = { .sender = "a@b.test",
		.rcpts = rcpts, .nrcpts = 1, .session = "s", .client = "c",
		.helo = "h" };
	char buf[SPOOL_RECORD_HEADER + 256];
	struct spool_segment segment;
	struct spool_record r = { .offset = SPOOL_PAGE, .body_octets =
		sizeof(body), .body_sum = spool_sum(body, sizeof(body)) };
	unsigned int i;

	cr_assert_eq(segment_create(f->dirfd, id, 8 << 20, false,
	    &segment), 0);
	r.envelope_octets = (uint32_t)spool_envelope_octets(&env);
	spool_envelope_encode(&env, buf + SPOOL_RECORD_HEADER);
	r.envelope_sum = spool_sum(buf + SPOOL_RECORD_HEADER,
	    r.envelope_octets);
	for (i = 0; i < n; i++) {
		r.id = (uint64_t)(i + 1) << 12 | spool_number(id);
		r.seq = i + 1;
		spool_record_encode(&r, segment.header.nonce,
		    (unsigned char *)buf);
		cr_assert_eq(pwrite(segment.fd, buf, SPOOL_RECORD_HEADER +
		    r.envelope_octets, (off_t)r.offset),
		    (ssize_t)(SPOOL_RECORD_HEADER + r.envelope_octets));
		r.offset += spool_record_octets(r.envelope_octets,
		    sizeof(body));
	}
	spool_end_encode(r.offset, n + 1, segment.header.nonce,
	    (unsigned char *)buf);
	cr_assert_eq(pwrite(segment.fd, buf, SPOOL_RECORD_HEADER,
	    (off_t)r.offset), SPOOL_RECORD_HEADER);
	spool_segment_close(&segment);
}

Test(spool_sweep, a_step_reads_a_part_of_a_segment)
{
	struct spool_fixture f;
	unsigned int empty;

	known_id = 0;
	fixture_init(&f);
	(void)close(make_body(&f, 900 << 12 | 9));
	make_segment(&f, 1 << 12 | 9, 0);
	cr_assert_eq(sweep(f.dirfd, 0), 1);
	empty = nsteps;
	make_segment(&f, 2 << 12 | 9, 200);	/* 6.5 MB */
	(void)close(make_body(&f, 900 << 12 | 9));
	cr_assert_eq(sweep(f.dirfd, 0), 1);
	cr_assert_geq(nsteps, empty + 6);
	fixture_free(&f);
}

Test(spool_sweep, a_worker_with_many_segments_keeps_no_file_of_another)
{
	enum { N = SPOOL_SWEEP_SEGMENTS + 1 };
	struct spool_fixture f;
	unsigned int i;

	known_id = 0;
	fixture_init(&f);
	for (i = 0; i < N; i++)
		make_segment(&f, (uint64_t)(i + 1) << 12 | 9, 0);
	(void)close(make_body(&f, 1 << 12 | 8));
	(void)close(make_body(&f, 1 << 12 | 9));
	(void)close(make_body(&f, 1 << 12 | 10));
	cr_assert_eq(sweep(f.dirfd, 0), 2);
	cr_assert_eq(kept.calls, 1);
	cr_assert_eq(kept.number, 9);
	cr_assert_eq(kept.why, SPOOL_SWEEP_MANY);
	fixture_free(&f);
}

static void
set_aside(int dirfd)
{
	/* once it has been listed */
	if (nsteps == 2)
		cr_assert_eq(renameat(dirfd, "seg.0000000000001009", dirfd,
		    "damaged.0000000000001009.1"), 0);
}

Test(spool_sweep, what_is_set_aside_while_it_runs_counts)
{
	struct spool_fixture f;

	known_id = 0;
	fixture_init(&f);
	make_segment(&f, 1 << 12 | 9, 3);
	(void)close(make_body(&f, 900 << 12 | 9));
	cr_assert_eq(sweep_with(f.dirfd, 0, set_aside), 0);
	cr_assert_eq(kept.why, SPOOL_SWEEP_SET_ASIDE);
	cr_assert_eq(kept.n, 1);
	fixture_free(&f);
}
