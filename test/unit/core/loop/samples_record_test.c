/* What the documentation shows on records and short answers, as programs of our
 * own that make the same calls in the same order; see samples_test.c. */

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ec_growbuf.h"
#include "core/scheduler.h"

static struct {
	char	line[100];
	int	len;
	int	nfailed;
} seen;

static struct scheduler *loop;
static int peer;

static void
start(EventFunc callback, void *closure)
{
	int sv[2], yes = 1;
	Event *e;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	peer = sv[1];
	cr_assert_not_null(loop = scheduler_create(NULL));
	ioctl(sv[0], FIONBIO, &yes);
	e = build_fd_event(sv[0], E_READ, 0, callback, closure);
	schedule_event(e);
}

static void
peer_says(const char *text)
{
	cr_assert_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
	while (scheduler_pass(loop, 0) > 0)
		continue;
}

static void
end(void)
{
	cr_expect_eq(scheduler_event_count(loop), 0);
	scheduler_destroy(loop);
}

/* --- a line ------------------------------------------------------------- */

struct conversation {
	minimal_tryread_construct mtc;
};

static int
one_line(Event *event, int, void *closure, struct timeval *)
{
	struct conversation *c = closure;
	int n, needmask = 0;

	n = tryread_until(event, &needmask, &c->mtc, "\r\n");
	if (n == -1 && errno == EAGAIN)
		return needmask;
	if (n > 0) {
		char *line = c->mtc.gb_donebuffer;

		seen.len = c->mtc.gb_donesize;
		/* with %s in the sample: a NUL ends it */
		cr_assert_lt(strlen(line), sizeof(seen.line));
		strcpy(seen.line, line);
		ec_free(MEMTYPE_MESSAGE_BODY, line);
		goto close_out;
	}
	seen.nfailed++;
close_out:
	minimal_tryread_construct_free(&c->mtc);
	free(c);
	event_close(event);
	return 0;
}

Test(samples_record, a_line_is_read_with_what_arrives_of_it)
{
	start(one_line, calloc(1, sizeof(struct conversation)));
	peer_says("good d");
	cr_expect_eq(scheduler_event_count(loop), 1);
	peer_says("ay\r");
	cr_expect_eq(seen.len, 0);
	peer_says("\nand more");
	cr_expect_str_eq(seen.line, "good day");
	cr_expect_eq(seen.len, 8);
	cr_expect_eq(seen.nfailed, 0);
	close(peer);
	end();
}

Test(samples_record, a_peer_that_goes_before_the_end_of_the_line_is_a_failure)
{
	start(one_line, calloc(1, sizeof(struct conversation)));
	peer_says("good d");
	close(peer);
	scheduler_pass(loop, 0);
	cr_expect_eq(seen.nfailed, 1);
	end();
}

/* --- short answers ------------------------------------------------------ */

static int
answering(Event *event, int, void *, struct timeval *)
{
	int i;

	i = trywrite(event, ".\r\n", 3);
	cr_expect(i);
	i = trywritef(event, "250 OK\r\n");
	cr_expect(i);
	i = trywritef(event, "%d %s\r\n", 250, "again");
	cr_expect(i);
	event_close(event);
	return 0;
}

Test(samples_record, short_answers)
{
	char buf[100] = "";

	start(answering, NULL);
	peer_says("x");
	cr_expect_eq(read(peer, buf, sizeof(buf) - 1), 22);
	cr_expect_str_eq(buf, ".\r\n250 OK\r\n250 again\r\n");
	close(peer);
	end();
}
