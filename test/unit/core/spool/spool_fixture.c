#include "test/unit/core/spool/spool_fixture.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS		20000	/* more than any step takes */

uint64_t
fixture_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return (x ^ x >> 31);
}

void
fixture_body(char *buf, uint64_t seed, size_t octets)
{
	size_t i;

	for (i = 0; i < octets; i++)
		buf[i] = (char)fixture_random(&seed);
}

static void
on_done(void *closure, uint64_t handle, uint64_t, int error)
{
	struct spool_fixture *f = closure;

	cr_assert(!f->is_inside, "callback from inside a spool call");
	cr_assert_lt(handle, FIXTURE_SESSIONS);
	cr_assert(!f->is_done[handle], "done twice");
	f->is_done[handle] = true;
	f->error[handle] = error;
	f->ndone++;
}

static bool
on_room(void *closure, uint64_t handle)
{
	struct spool_fixture *f = closure;

	cr_assert(!f->is_inside, "callback from inside a spool call");
	cr_assert_lt(handle, FIXTURE_SESSIONS);
	f->room[handle]++;
	return (true);
}

static void
on_client(void *, uint64_t handle, unsigned char key[SPOOL_CLIENT_KEY])
{
	key[0] = (unsigned char)(handle / FIXTURE_PER_CLIENT);
}

static void
on_committed(void *closure, const struct spool_position *position)
{
	struct spool_fixture *f = closure;

	cr_assert(!f->is_inside, "callback from inside a spool call");
	f->positions[f->npositions++ % FIXTURE_POSITIONS] = *position;
}

void
fixture_init(struct spool_fixture *f)
{
	memset(f, 0, sizeof(*f));
	(void)snprintf(f->path, sizeof(f->path), "/tmp/mailmill-spool.XXXXXX");
	cr_assert_not_null(mkdtemp(f->path));
	f->dirfd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_neq(f->dirfd, -1);
	f->config = (struct spool_writer_config){ .dirfd = f->dirfd,
		.number = 7, .segment_octets = 256 * 1024,
		.buffer_octets = 1024 * 1024, .large_octets = 32 * 1024,
		.is_synced = true };
}

void
fixture_open(struct spool_fixture *f)
{
	struct spool_writer_callbacks cb = { .done = on_done, .room = on_room,
		.client = f->has_clients ? on_client : NULL,
		.committed = on_committed };

	memset(f->is_done, 0, sizeof(f->is_done));
	f->w = spool_writer_open(&f->config, &cb, f);
	cr_assert_not_null(f->w);
}

void
fixture_close(struct spool_fixture *f)
{
	spool_writer_close(f->w);
	f->w = NULL;
}

static int
unlink_one(void *closure, enum spool_entry, uint64_t, const char *name)
{
	(void)unlinkat(*(int *)closure, name, 0);
	return (0);
}

void
fixture_free(struct spool_fixture *f)
{
	spool_writer_close(f->w);
	(void)spool_scan(f->dirfd, unlink_one, &f->dirfd);
	(void)unlinkat(f->dirfd, "instances", 0);
	(void)spool_reserve_give_up(f->dirfd);
	(void)unlinkat(f->dirfd, "reserve.0", 0);
	(void)close(f->dirfd);
	cr_expect_eq(rmdir(f->path), 0);
}

static int
send_body(struct spool_msg *msg, const char *body, size_t octets)
{
	size_t n, at;

	for (at = 0; at < octets; at += n) {
		n = octets - at < 1000 ? octets - at : 1000;
		if (spool_writer_ops.append(msg, body + at, n) == -1)
			return (errno);
	}
	return (0);
}

int
fixture_send(struct spool_fixture *f, uint64_t handle, size_t octets)
{
	static const char *const rcpts[] = { "a@example.test",
		"someone.else@example.org" };
	struct timeval now = { .tv_sec = 1700000000 + (time_t)handle };
	struct spool_envelope env = { .sender = "sender@example.net",
		.rcpts = rcpts, .nrcpts = 1 + handle % 2, .session = "S1",
		.client = "192.0.2.1", .helo = "client", .received = now };
	struct spool_msg *msg;
	char *body;
	int error = 0;

	body = malloc(octets + 1);
	cr_assert_not_null(body);
	fixture_body(body, handle, octets);
	f->is_inside = true;
	if (spool_writer_ops.begin(f->w, handle, &now, &msg) == -1) {
		error = errno;
	} else if ((error = send_body(msg, body, octets)) != 0 ||
	    (spool_writer_ops.commit(msg, &env) == -1 && (error = errno) != 0))
		spool_writer_ops.abort(msg);
	f->is_inside = false;
	free(body);
	return (error);
}

void
fixture_wait(struct spool_fixture *f, uint64_t handle)
{
	struct pollfd pfd = { .fd = spool_writer_fd(f->w), .events = POLLIN };

	for (;;) {
		spool_writer_pass(f->w);
		if (f->is_done[handle])
			break;
		cr_assert_eq(poll(&pfd, 1, WAIT_MS), 1);
		spool_writer_dispatch(f->w);
	}
}

struct counting {
	enum spool_entry kind;
	unsigned int	 n;
	uint64_t	 id;
};

static int
count_one(void *closure, enum spool_entry kind, uint64_t id, const char *)
{
	struct counting *c = closure;

	if (kind == c->kind) {
		c->n++;
		c->id = id;
	}
	return (0);
}

unsigned int
fixture_count(const struct spool_fixture *f, enum spool_entry kind,
    uint64_t *id_r)
{
	struct counting c = { .kind = kind };

	cr_assert_eq(spool_scan(f->dirfd, count_one, &c), 0);
	if (id_r != NULL)
		*id_r = c.id;
	return (c.n);
}

char *
fixture_load(const struct spool_fixture *f, uint64_t segment, size_t *octets_r)
{
	struct spool_header header;
	struct stat st;
	char *buf;
	int fd;

	fd = spool_segment_open(f->dirfd, segment, &header);
	cr_assert_neq(fd, -1);
	cr_assert_eq(fstat(fd, &st), 0);
	*octets_r = (size_t)st.st_size;
	buf = malloc(*octets_r);
	cr_assert_not_null(buf);
	cr_assert_eq(pread(fd, buf, *octets_r, 0), st.st_size);
	(void)close(fd);
	return (buf);
}

int
fixture_memfile(const void *buf, size_t octets)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);

	cr_assert_neq(fd, -1);
	cr_assert_eq(pwrite(fd, buf, octets, 0), (ssize_t)octets);
	return (fd);
}
