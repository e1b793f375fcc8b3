/* What the documentation shows of a connection that is suspended while a job
 * reads a file for it, as a program of our own that makes the same calls in the
 * same order: a client says a name, and gets what is in the file. */

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ec_growbuf.h"
#include "core/io_wrapper.h"
#include "core/scheduler.h"

struct conversation {
	minimal_tryread_construct mtc;
	io_job		*reading;
	Event		*copy;
	enum { A_NAME, A_FILE, THE_CLIENT } waits_for;
	event_io_state	 io;
	string		 text;
};

static int nended, nfailed;

static int
suspend(struct conversation *c, Event *event)
{
	c->copy = ec_malloc(MEMTYPE_EVENT);
	memcpy(c->copy, event, sizeof(*event));
	event_post_dup(c->copy, event);
	clear_event_by_fd(event->fd);
	c->reading = io_wrapper_create_read_job(c->mtc.gb_donebuffer);
	/* the sample passes the string itself */
	c->reading->buffer = &c->text;
	c->text.len = 0;
	ec_free(MEMTYPE_MESSAGE_BODY, c->mtc.gb_donebuffer);
	ec_async_wake_event(&c->reading->job, c->copy, E_READ | E_WRITE);
	ec_queue_async_job(&c->reading->job);
	c->waits_for = A_FILE;
	return 0;
}

static int
hang_up(struct conversation *c, Event *event)
{
	if (c->reading != NULL)
		io_wrapper_free_read_job(c->reading);
	minimal_tryread_construct_free(&c->mtc);
	/* the sample leaves these two */
	event_io_state_clean(&c->io);
	string_destroy(&c->text);
	free(c);
	event_close(event);
	nended++;
	return 0;
}

static int
talk(Event *event, int, void *closure, struct timeval *)
{
	struct conversation *c = closure;
	int n, needmask = 0;

	for (;;)
		switch (c->waits_for) {
		case A_NAME:
			n = tryread_until(event, &needmask, &c->mtc, "\r\n");
			if (n == -1 && errno == EAGAIN)
				return needmask;
			if (n <= 0)
				return hang_up(c, event);
			return suspend(c, event);
		case A_FILE:
			if (c->reading->status != IOJ_COMPLETED) {
				nfailed++;
				return hang_up(c, event);
			}
			c->waits_for = THE_CLIENT;
			break;
		case THE_CLIENT:
			n = event_io_write_string(event, &c->text, &c->io);
			if (n == EVENT_IO_PENDING)
				return c->io.needmask;
			if (n != EVENT_IO_DONE)
				return hang_up(c, event);
			c->waits_for = A_NAME;
			io_wrapper_free_read_job(c->reading);
			c->reading = NULL;
			break;
		}
}

static int peer;

static struct scheduler *
start(void)
{
	struct scheduler *s = scheduler_create(NULL);
	int sv[2], non_blocking = 1;
	struct conversation *state;
	Event *e;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	peer = sv[1];
	ioctl(sv[0], FIONBIO, &non_blocking);
	state = calloc(1, sizeof(*state));
	string_init_type(&state->text, 8192, STRING_TYPE_ECSTRING);
	e = build_fd_event(sv[0], E_READ, 0, talk, state);
	schedule_event(e);
	return s;
}

/* Passes until the peer has something to read; what it is. */
static size_t
answer(struct scheduler *s, char *buf, size_t size)
{
	struct pollfd pfd = { .fd = peer, .events = POLLIN };
	size_t n = 0;

	while (n < size) {
		cr_assert_geq(scheduler_pass(s, 10), 0);
		if (poll(&pfd, 1, 0) == 1)
			n += (size_t)read(peer, buf + n, size - n);
	}
	return n;
}

static char path[] = "/tmp/mailmill-suspend-XXXXXX";

static void
say(size_t size)
{
	FILE *f = fopen(path, "w");
	size_t i;

	for (i = 0; i < size; i++)
		fputc((int)('a' + i % 26), f);
	fclose(f);
	dprintf(peer, "%s\r\n", path);
}

Test(samples_suspend, a_connection_waits_for_a_job_and_goes_on)
{
	/* more than a socket takes at once */
	static const size_t sizes[] = { 10, 1, 3 << 20, 26 };
	struct scheduler *s = start();
	char *buf = malloc(3 << 20);
	size_t i;

	close(mkstemp(path));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		say(sizes[i]);
		cr_expect_eq(answer(s, buf, sizes[i]), sizes[i]);
		cr_expect_eq(buf[sizes[i] - 1],
		    (char)('a' + (sizes[i] - 1) % 26));
	}
	cr_expect_eq(nended, 0);
	close(peer);
	/* until no event is left */
	cr_expect_eq(scheduler_run(s), 0);
	cr_expect_eq(nended, 1);
	mailmill_thread_pool_shutdown();
	scheduler_destroy(s);
	unlink(path);
	free(buf);
}

Test(samples_suspend, a_suspended_connection_keeps_the_loop_alive)
{
	struct scheduler *s = start();

	dprintf(peer, "/nowhere/at/all\r\n");
	/* the one event is cleared while the job runs */
	cr_expect_eq(scheduler_run(s), 0);
	cr_expect_eq(nended, 1);
	cr_expect_eq(nfailed, 1);
	mailmill_thread_pool_shutdown();
	scheduler_destroy(s);
	close(peer);
}
