/* What the chapter on the Event API of the Momentum 3 documentation shows, as
 * programs of our own that make the same calls in the same order: they have to
 * compile and to work as it says. */

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "test/unit/core/loop/vloop.h"

enum { DERROR, DDEBUG };

/* The last line of each level, and how many there were. */
static struct {
	char	text[9000];
	int	n;
} logged[2];

static void
log1_printf(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(logged[level].text, sizeof(logged[level].text), fmt, ap);
	va_end(ap);
	logged[level].n++;
}

static struct scheduler *loop;
static int peer;

/* The descriptor of a connection whose other end is ${peer}; as from socket(2),
 * it blocks. */
static int
connected(void)
{
	int sv[2];

	memset(logged, 0, sizeof logged);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	peer = sv[1];
	if (loop == NULL)
		cr_assert_not_null(loop = scheduler_create(NULL));
	return sv[0];
}

static void
peer_says(const char *text)
{
	cr_assert_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
	while (scheduler_pass(loop, 0) > 0)
		continue;
}

/* The peer goes; the callback closes and the scheduler frees. */
static void
peer_closes(void)
{
	close(peer);
	while (scheduler_pass(loop, 0) > 0)
		continue;
	cr_expect_eq(scheduler_event_count(loop), 0);
	scheduler_destroy(loop);
	loop = NULL;
}

/* --- a descriptor that becomes readable -------------------------------- */

static int
reader(Event *event, int, void *, struct timeval *)
{
	char text[8192];
	/* the sample leaves it uninitialised */
	int needmask = 0x5a00, n;

	n = event_read(event, text, sizeof(text), &needmask);
	if (n <= 0) {
		log1_printf(DERROR, "cannot read: %d %s", errno,
		    strerror(errno));
		event_close(event);
		return 0;
	}
	log1_printf(DDEBUG, "%d octets: %.*s", n, n, text);
	return needmask;
}

Test(samples, a_descriptor_is_read_whenever_it_is_readable)
{
	Event *e;
	int fd = connected(), yes = 1;

	ioctl(fd, FIONBIO, &yes);
	e = build_fd_event(fd, E_READ, 0, reader, NULL);
	schedule_event(e);
	peer_says("one");
	cr_expect_str_eq(logged[DDEBUG].text, "3 octets: one");
	peer_says("three");
	cr_expect_str_eq(logged[DDEBUG].text, "5 octets: three");
	peer_closes();
	cr_expect_eq(logged[DERROR].n, 1);
}

/* --- writing and reading in turn --------------------------------------- */

#define GREETING "good day\r\n"

static int
in_turn(Event *event, int eventtype, void *, struct timeval *)
{
	char text[8192];
	int needmask = 0, n;

	if (!(eventtype & E_WRITE))
		goto read_some;
write_some:
	n = event_write(event, GREETING, sizeof(GREETING) - 1, &needmask);
	if (n == -1 && errno == EAGAIN)
		return needmask;
	if (n == 0)
		goto failed;
read_some:
	n = event_read(event, text, sizeof(text), &needmask);
	if (n == -1 && errno == EAGAIN)
		return needmask;
	if (n > 0) {
		log1_printf(DDEBUG, "%d octets: %.*s", n, n, text);
		goto write_some;
	}
failed:
	log1_printf(DERROR, "%d %s", errno, strerror(errno));
	event_close(event);
	return 0;
}

static void
expect_greetings(int n)
{
	char text[1000];

	cr_expect_eq(recv(peer, text, sizeof(text), MSG_DONTWAIT),
	    n * (int)(sizeof(GREETING) - 1));
}

static void
run_in_turn(EventFunc callback, void *closure)
{
	Event *e;
	int fd = connected(), yes = 1;

	ioctl(fd, FIONBIO, &yes);
	e = build_fd_event(fd, E_WRITE, 0, callback, closure);
	schedule_event(e);
	while (scheduler_pass(loop, 0) > 0)
		continue;
	expect_greetings(1);
	peer_says("and to you");
	cr_expect_str_eq(logged[DDEBUG].text, "10 octets: and to you");
	expect_greetings(1);
	peer_says("again");
	expect_greetings(1);
	peer_closes();
	cr_expect_eq(logged[DERROR].n, 1);
}

Test(samples, writing_and_reading_in_turn)
{
	run_in_turn(in_turn, NULL);
}

/* --- the same, when not all is written at once ------------------------- */

struct talk {
	event_io_state st;
};

static int
in_turn_with_state(Event *event, int eventtype, void *closure,
    struct timeval *)
{
	struct talk *talk = closure;
	char text[8192];
	int needmask = 0, n, ret;

	if (!(eventtype & E_WRITE))
		goto read_some;
write_some:
	if (talk->st.needmask)
		ret = event_io_retry(event, &talk->st);
	else
		ret = event_io_write(event, GREETING, sizeof(GREETING) - 1,
		    &talk->st);
	switch (ret) {
	case EVENT_IO_PENDING:
		return talk->st.needmask;
	case EVENT_IO_DONE:
		goto read_some;
	}
	goto failed;
read_some:
	n = event_read(event, text, sizeof(text), &needmask);
	if (n == -1 && errno == EAGAIN)
		return needmask;
	if (n > 0) {
		log1_printf(DDEBUG, "%d octets: %.*s", n, n, text);
		goto write_some;
	}
failed:
	log1_printf(DERROR, "%d %s", errno, strerror(errno));
	event_io_state_clean(&talk->st);
	free(talk);
	event_close(event);
	return 0;
}

Test(samples, writing_with_the_helpers)
{
	run_in_turn(in_turn_with_state, calloc(1, sizeof(struct talk)));
}

/* A transport that takes three octets at a time, and none every other call. */
static int
reluctant_write(Event *e, const char *buf, int buflen, int *needmask)
{
	static int ncalls;

	if (ncalls++ % 2 == 1) {
		*needmask = E_WRITE;
		errno = EAGAIN;
		return -1;
	}
	return event_plain_opset.event_write(e, buf, buflen < 3 ? buflen : 3,
	    needmask);
}

Test(samples, writing_with_the_helpers_in_small_parts)
{
	static event_io_opset opset;
	Event *e;
	int fd = connected(), yes = 1;

	opset = event_plain_opset;
	opset.event_write = reluctant_write;
	ioctl(fd, FIONBIO, &yes);
	e = build_fd_event(fd, E_WRITE, 0, in_turn_with_state,
	    calloc(1, sizeof(struct talk)));
	e->io_opset = &opset;
	schedule_event(e);
	while (scheduler_pass(loop, 0) > 0)
		continue;
	expect_greetings(1);
	peer_says("x");
	expect_greetings(1);
	peer_closes();
}

/* --- a fixed length ----------------------------------------------------- */

static int
fixed(Event *event, int, void *closure, struct timeval *)
{
	struct talk *talk = closure;
	char block[8192];

	switch (event_io_read(event, block, sizeof(block), &talk->st)) {
	case EVENT_IO_PENDING:
		/* it is on the stack */
		memset(block, '?', sizeof(block));
		return talk->st.needmask;
	case EVENT_IO_DONE:
		log1_printf(DDEBUG, "%.*s", (int)sizeof(block), block);
		goto close_out;
	}
	log1_printf(DERROR, "%d %s", errno, strerror(errno));
close_out:
	event_io_state_clean(&talk->st);
	free(talk);
	event_close(event);
	return 0;
}

static void
run_fixed(void)
{
	Event *e;
	int fd = connected(), yes = 1;

	ioctl(fd, FIONBIO, &yes);
	e = build_fd_event(fd, E_READ, 0, fixed,
	    calloc(1, sizeof(struct talk)));
	schedule_event(e);
}

Test(samples, a_block_of_a_fixed_length_is_read)
{
	char part[4097];
	size_t i;

	run_fixed();
	for (i = 0; i < sizeof(part) - 1; i++)
		part[i] = (char)('a' + i % 26);
	part[i] = '\0';
	peer_says(part);
	cr_expect_eq(scheduler_event_count(loop), 1);
	peer_says("A");
	peer_says(part);
	cr_expect_eq(logged[DDEBUG].n, 1);
	cr_expect_eq(strlen(logged[DDEBUG].text), 8192);
	cr_expect_eq(strncmp(logged[DDEBUG].text, part, 4096), 0);
	cr_expect_eq(logged[DDEBUG].text[4096], 'A');
	cr_expect_eq(strncmp(logged[DDEBUG].text + 4097, part, 4095), 0);
	peer_closes();
	run_fixed();
	peer_says("too short");
	peer_closes();
	cr_expect_eq(logged[DERROR].n, 1);
	cr_expect_eq(logged[DDEBUG].n, 0);
}

/* --- timed events ------------------------------------------------------- */

/* The samples pass a string literal as the closure. */
#pragma GCC diagnostic ignored "-Wdiscarded-qualifiers"

static int
timed(Event *, int eventtype, void *closure, struct timeval *)
{
	log1_printf(DDEBUG, "%s %d", (char *)closure, eventtype);
	return 0;
}

Test(samples, a_timed_event_is_called_once)
{
	struct scheduler *s = v_create();
	Event *t = build_event_from_now_f(30, -1, timed, "hello");

	schedule_event(t);
	v_turn(29999999);
	cr_expect_eq(scheduler_pass(s, 0), 0);
	v_turn(1);
	cr_expect_eq(scheduler_pass(s, 0), 1);
	cr_expect_str_eq(logged[DDEBUG].text, "hello 8");
	v_turn(60000000);
	cr_expect_eq(scheduler_pass(s, 0), 0);
	cr_expect_eq(scheduler_event_count(s), 0);
	scheduler_destroy(s);
}

static int
repeating(Event *, int, void *closure, struct timeval *)
{
	Event *t;

	log1_printf(DDEBUG, "%s", (char *)closure);
	t = build_event_from_now_f(30, -1, repeating, closure);
	schedule_event(t);
	return 0;
}

Test(samples, a_timed_event_makes_the_next_one)
{
	struct scheduler *s = v_create();
	Event *t = build_event_from_now_f(30, -1, repeating, "hello");
	int i;

	schedule_event(t);
	for (i = 0; i < 5; i++) {
		v_turn(30000000);
		cr_expect_eq(scheduler_pass(s, 0), 1);
	}
	cr_expect_eq(logged[DDEBUG].n, 5);
	cr_expect_eq(scheduler_event_count(s), 1);
	scheduler_destroy(s);
}

Test(samples, a_timed_event_is_cancelled)
{
	struct scheduler *s = v_create();
	Event *t = build_event_from_now_f(30, -1, timed, "hello");

	schedule_event(t);
	if (!clear_timed_event(t))
		event_free(t);
	/* t is no longer valid */
	cr_expect_eq(scheduler_event_count(s), 0);
	/* and one that was never scheduled */
	t = build_event_from_now_f(30, -1, timed, "hello");
	if (!clear_timed_event(t))
		event_free(t);
	v_turn(60000000);
	cr_expect_eq(scheduler_pass(s, 0), 0);
	scheduler_destroy(s);
}

/* As the macros are defined there. */
Test(samples, two_macros_build_events_with_a_time)
{
	struct scheduler *s = v_create();
	struct timeval when = { .tv_sec = 7 };
	Event *e;

	e = build_event_from_epoch(when, -1, timed, "hello");
	cr_expect_eq(e->trigger.tv_sec, 7);
	event_free(e);
	e = build_event(when, E_FROM_EPOCH, -1, timed, "hello");
	cr_expect_eq(e->trigger.tv_sec, 7);
	event_free(e);
	e = build_event_from_now(when, -1, timed, "hello");
	cr_expect_eq(e->trigger.tv_sec, v.now.tv_sec + 7);
	event_free(e);
	e = build_event(when, E_FROM_NOW, -1, timed, "hello");
	cr_expect_eq(e->trigger.tv_sec, v.now.tv_sec + 7);
	event_free(e);
	scheduler_destroy(s);
}
