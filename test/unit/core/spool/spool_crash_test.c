/* A writer that is killed at any moment: each message that it reported as
 * done is there, once and whole; any other message that is there was sent. */

#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_sweep.h"
#include "test/unit/core/spool/spool_fixture.h"

#define ROUNDS		25
#define MESSAGES	4096	/* of all rounds */
#define INFLIGHT	8
#define EPOCH		1700000000

struct crash {
	struct spool_fixture	 f;
	struct spool_writer	*w;
	int			 out;		/* to the parent */
	uint64_t		 next;
	bool			 is_done[MESSAGES];
	unsigned int		 seen[MESSAGES];
};

static size_t
octets_of(uint64_t n)
{
	uint64_t seed = n;

	return (n % 7 == 3 ? 33000 + fixture_random(&seed) % 200000 :
	    fixture_random(&seed) % 12000);
}

static void
send_next(struct crash *c)
{
	static const char *const rcpts[] = { "a@example.test" };
	struct timeval now = { .tv_sec = EPOCH + (time_t)c->next };
	struct spool_envelope env = { .sender = "s@example.test",
		.rcpts = rcpts, .nrcpts = 1, .session = "S", .client = "c",
		.helo = "h", .received = now };
	size_t octets = octets_of(c->next), n, at;
	struct spool_msg *msg;
	char *body;

	if (c->next == MESSAGES || (body = malloc(octets + 1)) == NULL)
		return;
	fixture_body(body, c->next, octets);
	if (spool_writer_ops.begin(c->w, c->next, &now, &msg) == -1)
		_exit(3);
	for (at = 0; at < octets; at += n) {
		n = octets - at < 5000 ? octets - at : 5000;
		if (spool_writer_ops.append(msg, body + at, n) == -1)
			_exit(4);
	}
	if (spool_writer_ops.commit(msg, &env) == -1)
		_exit(5);
	free(body);
	c->next++;
}

static void
on_done(void *closure, uint64_t handle, uint64_t, int error)
{
	struct crash *c = closure;

	if (error != 0 || write(c->out, &handle, sizeof(handle)) !=
	    sizeof(handle))
		_exit(6);
	send_next(c);
}

static bool
on_room(void *, uint64_t)
{
	return (true);
}

static void
child(struct crash *c)
{
	struct spool_writer_callbacks cb = { .done = on_done, .room = on_room };
	struct pollfd pfd = { .events = POLLIN };
	int i;

	if ((c->w = spool_writer_open(&c->f.config, &cb, c)) == NULL)
		_exit(2);
	pfd.fd = spool_writer_fd(c->w);
	for (i = 0; i < INFLIGHT; i++)
		send_next(c);
	for (;;) {
		spool_writer_pass(c->w);
		(void)poll(&pfd, 1, -1);
		spool_writer_dispatch(c->w);
	}
}

/* Run a writer in a child, and kill it when it has reported ${n} messages. */
static void
live_and_die(struct crash *c, unsigned int n)
{
	uint64_t handle, max = c->next;
	int fds[2], status;
	pid_t pid;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	cr_assert_neq(pid, -1);
	if (pid == 0) {
		(void)close(fds[0]);
		c->out = fds[1];
		child(c);
	}
	(void)close(fds[1]);
	while (read(fds[0], &handle, sizeof(handle)) == sizeof(handle)) {
		cr_assert_lt(handle, MESSAGES);
		c->is_done[handle] = true;
		if (handle + 1 > max)
			max = handle + 1;
		if (n-- == 0)
			(void)kill(pid, SIGKILL);
	}
	(void)close(fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status), "exit status %d", WEXITSTATUS(status));
	c->next = max + INFLIGHT;
}

static void
check_view(struct crash *c, const struct spool_view *v)
{
	uint64_t n = v->record.received_us / 1000000 - EPOCH;
	size_t octets = octets_of(n);
	char *body, name[SPOOL_NAME];
	int fd;

	cr_assert_lt(n, MESSAGES);
	cr_assert_eq(v->record.body_octets, octets);
	c->seen[n]++;
	body = malloc(octets + 1);
	fixture_body(body, n, octets);
	if (v->record.flags & SPOOL_RECORD_LARGE) {
		spool_body_name(v->record.id, name);
		fd = openat(c->f.dirfd, name, O_RDONLY);
		cr_assert_neq(fd, -1, "body of %llu", (unsigned long long)n);
		cr_assert_eq(spool_body_copy(fd, 0, octets,
		    spool_sum(body, octets), -1), 0);
		(void)close(fd);
	} else {
		cr_assert_eq(memcmp(v->body, body, octets), 0);
	}
	free(body);
}

static int
read_segment(void *closure, enum spool_entry kind, uint64_t id,
    const char *)
{
	struct crash *c = closure;
	struct spool_readbuf *buf;
	struct spool_reader *r;
	struct spool_damage d;
	struct spool_header h;
	struct spool_view v;
	int fd, rv;

	if (kind != SPOOL_ENTRY_SEGMENT)
		return (0);
	fd = spool_segment_open(c->f.dirfd, id, &h);
	cr_assert_neq(fd, -1);
	cr_assert_eq(spool_segment_lock(fd), 0, "its writer is dead");
	buf = spool_readbuf_new();
	r = spool_reader_new(fd, buf, 0);
	cr_assert_not_null(r);
	/* The batch that was being written may be damaged.  is_done tells which
	 * messages must be there. */
	while ((rv = spool_reader_next(r, SPOOL_TO_END, &v, &d)) != 0) {
		cr_assert(rv == 1 || errno == EBADMSG);
		if (rv == 1)
			check_view(c, &v);
	}
	spool_reader_free(r);
	spool_readbuf_free(buf);
	(void)close(fd);
	return (0);
}

static bool
is_known(void *, uint64_t)
{
	return (false);
}

static void
ignore_kept(void *, unsigned int, unsigned int, enum spool_sweep_why)
{
}

static void
sweep(int dirfd)
{
	static const struct spool_sweep_ops ops = { .is_known = is_known,
		.kept = ignore_kept };
	struct spool_sweep *s = spool_sweep_new(dirfd, 0, &ops, NULL);

	cr_assert_not_null(s);
	while (spool_sweep_step(s) == 1)
		continue;
	spool_sweep_free(s);
}

Test(spool_crash, what_was_done_is_there_once_however_often_the_writer_dies)
{
	struct crash *c = calloc(1, sizeof(*c));
	uint64_t seed = 11, i;
	int round;

	cr_assert_not_null(c);
	fixture_init(&c->f);
	for (round = 0; round < ROUNDS; round++) {
		live_and_die(c, (unsigned int)(fixture_random(&seed) % 60));
		sweep(c->f.dirfd);
		cr_assert_eq(fixture_count(&c->f, SPOOL_ENTRY_NEW, NULL), 0);
	}
	cr_assert_eq(spool_scan(c->f.dirfd, read_segment, c), 0);
	for (i = 0; i < MESSAGES; i++) {
		cr_assert_leq(c->seen[i], 1, "message %llu twice",
		    (unsigned long long)i);
		cr_assert(!c->is_done[i] || c->seen[i] == 1,
		    "message %llu lost", (unsigned long long)i);
	}
	fixture_free(&c->f);
	free(c);
}
