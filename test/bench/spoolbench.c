/* What the spool writer alone can do: messages of one size, a fixed number in
 * flight, durable commits; no sessions, no queue process.
 *	spoolbench dir [in-flight [messages [octets [none]]]]
 * Prints messages and flushes per second and CPU time per message.  The folder
 * must be empty; segments that are full are recycled at once, as if their mail
 * had been delivered. */

#include <sys/resource.h>

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/process/stats.h"
#include "core/spool/spool_segment.h"
#include "core/spool/spool_writer.h"

struct bench {
	struct spool_writer	*w;
	int			 dirfd;
	uint64_t		 todo, begun, done;
	size_t			 octets;
	char			*body;
};

static const char *const rcpts[] = { "somebody@example.test" };

static void
send_one(struct bench *b, uint64_t handle)
{
	struct spool_envelope env = { .sender = "sender@example.test",
		.rcpts = rcpts, .nrcpts = 1, .session = "1234567890123",
		.client = "192.0.2.1", .helo = "client.example.test" };
	struct spool_msg *msg;
	struct timespec ts;
	struct timeval now;

	if (b->begun == b->todo)
		return;
	b->begun++;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	now.tv_sec = ts.tv_sec;
	now.tv_usec = ts.tv_nsec / 1000;
	env.received = now;
	if (spool_writer_ops.begin(b->w, handle, &now, &msg) == -1)
		err(1, "begin");
	if (spool_writer_ops.append(msg, b->body, b->octets) == -1)
		err(1, "append");
	if (spool_writer_ops.commit(msg, &env) == -1)
		err(1, "commit");
}

static void
done(void *closure, uint64_t handle, uint64_t, int error)
{
	struct bench *b = closure;

	if (error != 0)
		errx(1, "commit: %s", strerror(error));
	b->done++;
	send_one(b, handle);
}

static bool
room(void *, uint64_t)
{
	return (true);
}

static void
committed(void *closure, const struct spool_position *position)
{
	struct bench *b = closure;
	struct spool_header header;
	int fd;

	if (!position->is_sealed)
		return;
	if ((fd = spool_segment_open(b->dirfd, position->segment, &header)) ==
	    -1)
		err(1, "segment");
	if (spool_segment_recycle(b->dirfd, fd, &header, true) == -1)
		err(1, "recycle");
	(void)close(fd);
}

static double
seconds(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static void
run(struct bench *b, uint64_t inflight)
{
	struct pollfd pfd = { .fd = spool_writer_fd(b->w), .events = POLLIN };
	uint64_t i;

	for (i = 0; i < inflight; i++)
		send_one(b, i);
	for (;;) {
		spool_writer_pass(b->w);
		if (b->done == b->todo)
			break;
		if (poll(&pfd, 1, -1) == -1)
			err(1, "poll");
		spool_writer_dispatch(b->w);
	}
}

int
main(int argc, char **argv)
{
	struct spool_writer_config c = { .number = 1,
		.segment_octets = 16 * 1024 * 1024,
		.buffer_octets = 64 * 1024 * 1024, .large_octets = 256 * 1024,
		.is_synced = argc < 6 };
	struct spool_writer_callbacks cb = { .done = done, .room = room,
		.committed = committed };
	struct bench b = { .octets = 4096, .todo = 20000 };
	uint64_t inflight = 10;
	double start, cpu;

	if (argc < 2)
		errx(2, "usage: spoolbench dir [in-flight [messages [octets [none]]]]");
	if (argc > 2)
		inflight = strtoull(argv[2], NULL, 10);
	if (argc > 3)
		b.todo = strtoull(argv[3], NULL, 10);
	if (argc > 4)
		b.octets = strtoull(argv[4], NULL, 10);
	if ((b.dirfd = c.dirfd = open(argv[1], O_RDONLY | O_DIRECTORY)) == -1)
		err(1, "%s", argv[1]);
	if ((b.body = malloc(b.octets + 1)) == NULL)
		err(1, "malloc");
	memset(b.body, 'x', b.octets);
	if ((b.w = spool_writer_open(&c, &cb, &b)) == NULL)
		err(1, "spool_writer_open");
	start = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	run(&b, inflight);
	start = seconds(CLOCK_MONOTONIC) - start;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	(void)printf("%" PRIu64 " in flight: %.0f messages/s, %.0f flushes/s, "
	    "%.2f messages per flush, %.1f us CPU per message, "
	    "%" PRIu64 " segments made, %" PRIu64 " recycled\n",
	    inflight, (double)b.done / start,
	    (double)stats_sum(STATS_COMMITS) / start,
	    (double)b.done / (double)stats_sum(STATS_COMMITS),
	    1e6 * cpu / (double)b.done, stats_sum(STATS_SEGMENTS_CREATED),
	    stats_sum(STATS_SEGMENTS_RECYCLED));
	spool_writer_close(b.w);
	free(b.body);
	return (0);
}
