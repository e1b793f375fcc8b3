#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/event.h"
#include "test/lib/eventpair.h"

static Event *ea, *eb;
static event_io_state state;

static void
setup(void)
{
	Event *ends[2];

	cr_assert_eq(event_pair(ends), 0);
	ea = ends[0];
	eb = ends[1];
	memset(&state, 0, sizeof state);
}

static void
teardown(void)
{
	event_io_state_clean(&state);
	event_close(ea);
	event_close(eb);
	event_free(ea);
	event_free(eb);
}

TestSuite(event_transfer, .init = setup, .fini = teardown);

static void
put(const char *octets)
{
	cr_assert_eq(write(eb->fd, octets, strlen(octets)),
	    (ssize_t)strlen(octets));
}

/* Each call has another buffer, as one on the stack is, and those of before
 * are overwritten. */
Test(event_transfer, a_read_goes_on_into_another_buffer)
{
	char a[10], b[10], c[11] = "";

	cr_assert_eq(event_io_read(ea, a, 10, &state), EVENT_IO_PENDING);
	cr_assert_eq(state.needmask, E_READ);
	put("012");
	cr_assert_eq(event_io_read(ea, a, 10, &state), EVENT_IO_PENDING);
	memset(a, 'x', sizeof a);
	put("34");
	cr_assert_eq(event_io_read(ea, b, 10, &state), EVENT_IO_PENDING);
	memset(b, 'x', sizeof b);
	cr_assert_eq(state.offset, 5);
	put("56789ab");
	cr_assert_eq(event_io_read(ea, c, 10, &state), EVENT_IO_DONE);
	cr_assert_str_eq(c, "0123456789");
	cr_assert_eq(state.needmask, 0);
	/* not an octet more than was asked for */
	cr_assert_eq(read(ea->fd, c, 10), 2);
}

Test(event_transfer, a_state_is_used_again_with_the_memory_that_it_has)
{
	char buf[5] = "";
	char *kept = NULL;
	int i;

	for (i = 0; i < 3; i++) {
		put("ab");
		cr_assert_eq(event_io_read(ea, buf, 4, &state),
		    EVENT_IO_PENDING);
		kept = i == 0 ? state.buf : kept;
		cr_assert_eq(state.buf, kept);
		put("cd");
		cr_assert_eq(event_io_read(ea, buf, 4, &state),
		    EVENT_IO_DONE);
		cr_assert_str_eq(buf, "abcd");
	}
}

Test(event_transfer, a_shorter_read_leaves_the_rest_for_the_next_one)
{
	char buf[9] = "";

	put("01234");
	cr_assert_eq(event_io_read(ea, buf, 8, &state), EVENT_IO_PENDING);
	cr_assert_eq(event_io_read(ea, buf, 2, &state), EVENT_IO_DONE);
	cr_assert_eq(memcmp(buf, "01", 2), 0);
	cr_assert_eq(state.needmask, 0);
	put("567");
	cr_assert_eq(event_io_read(ea, buf, 6, &state), EVENT_IO_DONE);
	cr_assert_eq(memcmp(buf, "234567", 6), 0);
}

Test(event_transfer, the_end_is_its_own_result_and_leaves_what_came)
{
	char buf[10] = "";

	put("012");
	cr_assert_eq(event_io_read(ea, buf, 10, &state), EVENT_IO_PENDING);
	memset(buf, 'x', sizeof buf);
	put("34");
	event_close(eb);
	cr_assert_eq(event_io_read(ea, buf, 10, &state), EVENT_IO_EOF);
	cr_assert_eq(state.offset, 5);
	cr_assert_eq(memcmp(buf, "01234", 5), 0);
	cr_assert_eq(state.needmask, 0);
	cr_assert_eq(event_io_read(ea, buf, 10, &state), EVENT_IO_EOF);
	cr_assert_eq(state.offset, 0);
}

static int
failing_read(Event *, char *, int, int *)
{
	errno = ECONNRESET;
	return -1;
}

Test(event_transfer, a_failure_is_not_the_end)
{
	static event_io_opset opset;
	char buf[10];

	opset = event_plain_opset;
	opset.event_read = failing_read;
	ea->io_opset = &opset;
	cr_assert_eq(event_io_read(ea, buf, 10, &state), EVENT_IO_ERROR);
	cr_assert_eq(errno, ECONNRESET);
	cr_assert_eq(state.needmask, 0);
}

Test(event_transfer, retry_goes_on_with_a_read_which_is_then_fetched)
{
	char buf[5] = "";

	cr_assert_eq(event_io_retry(ea, &state), EVENT_IO_DONE);
	put("a");
	cr_assert_eq(event_io_read(ea, buf, 4, &state), EVENT_IO_PENDING);
	put("bc");
	cr_assert_eq(event_io_retry(ea, &state), EVENT_IO_PENDING);
	cr_assert_eq(state.needmask, E_READ);
	put("d");
	cr_assert_eq(event_io_retry(ea, &state), EVENT_IO_DONE);
	cr_assert_eq(state.needmask, 0);
	cr_assert_eq(event_io_retry(ea, &state), EVENT_IO_DONE);
	cr_assert_eq(event_io_read(ea, buf, 4, &state), EVENT_IO_DONE);
	cr_assert_str_eq(buf, "abcd");
	put("e");
	cr_assert_eq(event_io_read(ea, buf, 4, &state), EVENT_IO_PENDING);
	event_close(eb);
	cr_assert_eq(event_io_retry(ea, &state), EVENT_IO_EOF);
	/* what came before the end */
	cr_assert_eq(state.offset, 1);
	cr_assert_eq(state.buf[0], 'e');
}

static size_t nread;

static int
read_endless(Event *, char *buf, int buflen, int *)
{
	int n = buflen < 65536 ? buflen : 65536;

	memset(buf, 'x', (size_t)n);
	nread += (size_t)n;
	return n;
}

/* Other events get their turn while a peer sends without a pause. */
Test(event_transfer, one_call_reads_a_bounded_number_of_octets)
{
	enum { SIZE = 5 << 20 };
	static const event_io_opset opset = { .event_read = read_endless };
	char *buf = malloc(SIZE);
	int ncalls = 0, rc;

	cr_assert_not_null(buf);
	memset(buf, 0, SIZE);
	ea->io_opset = &opset;
	do {
		rc = ncalls % 2 == 0 ? event_io_read(ea, buf, SIZE, &state) :
		    event_io_retry(ea, &state);
		cr_assert(rc == EVENT_IO_DONE || rc == EVENT_IO_PENDING);
		cr_assert_leq(nread, (size_t)++ncalls * (2 << 20));
		cr_assert_eq(state.needmask, rc == EVENT_IO_DONE ? 0 :
		    E_READ);
	} while (rc == EVENT_IO_PENDING);
	if (ncalls % 2 == 0)
		cr_assert_eq(event_io_read(ea, buf, SIZE, &state),
		    EVENT_IO_DONE);
	cr_assert_eq(nread, SIZE);
	for (rc = 0; rc < SIZE; rc++)
		cr_assert_eq(buf[rc], 'x');
	free(buf);
	ea->io_opset = &event_plain_opset;
}

/* Larger than the socket takes; what is written is overwritten at once, as a
 * buffer on the stack is. */
Test(event_transfer, a_write_keeps_a_copy_of_what_is_not_sent)
{
	enum { SIZE = 1 << 20 };
	static char out[SIZE], in[SIZE];
	event_io_state reader = { 0 };
	int i, rc_in, rc_out;

	for (i = 0; i < SIZE; i++)
		out[i] = (char)(i * 31 >> 3);
	rc_out = event_io_write(ea, out, SIZE, &state);
	cr_assert_eq(rc_out, EVENT_IO_PENDING);
	cr_assert_eq(state.needmask, E_WRITE);
	memset(out, 0, SIZE);
	do {
		rc_in = event_io_read(eb, in, SIZE, &reader);
		if (rc_out == EVENT_IO_PENDING)
			rc_out = event_io_retry(ea, &state);
	} while (rc_in == EVENT_IO_PENDING);
	cr_assert_eq(rc_in, EVENT_IO_DONE);
	cr_assert_eq(rc_out, EVENT_IO_DONE);
	cr_assert_eq(state.needmask, 0);
	for (i = 0; i < SIZE && in[i] == (char)(i * 31 >> 3); i++)
		;
	cr_assert_eq(i, SIZE);
	event_io_state_clean(&reader);
}

static int budget;

static int
slow_write(Event *e, const char *buf, int buflen, int *needmask)
{
	int n = budget < buflen ? budget : buflen;

	if (n == 0) {
		errno = EAGAIN;
		*needmask = E_READ;
		return -1;
	}
	budget -= n;
	return event_plain_opset.event_write(e, buf, n, needmask);
}

Test(event_transfer, one_transfer_at_a_time_and_the_pending_one_goes_on)
{
	static event_io_opset opset;
	char buf[10] = "";

	opset = event_plain_opset;
	opset.event_write = slow_write;
	ea->io_opset = &opset;
	budget = 2;
	cr_assert_eq(event_io_write(ea, "hello", 5, &state), EVENT_IO_PENDING);
	/* what the transport asked for */
	cr_assert_eq(state.needmask, E_READ);
	cr_assert_eq(event_io_write(ea, "x", 1, &state), EVENT_IO_ERROR);
	cr_assert_eq(errno, EBUSY);
	cr_assert_eq(event_io_printf(ea, &state, "x"), EVENT_IO_ERROR);
	cr_assert_eq(errno, EBUSY);
	cr_assert_eq(event_io_read(ea, buf, 1, &state), EVENT_IO_ERROR);
	cr_assert_eq(errno, EBUSY);
	budget = 100;
	cr_assert_eq(event_io_retry(ea, &state), EVENT_IO_DONE);
	cr_assert_eq(event_io_printf(ea, &state, "-%d", 7), EVENT_IO_DONE);
	cr_assert_eq(read(eb->fd, buf, sizeof buf), 7);
	cr_assert_eq(memcmp(buf, "hello-7", 7), 0);
	cr_assert_eq(event_io_read(ea, buf, 1, &state), EVENT_IO_PENDING);
	cr_assert_eq(event_io_write(ea, "x", 1, &state), EVENT_IO_ERROR);
	cr_assert_eq(errno, EBUSY);
}

Test(event_transfer, printf_has_room_for_8191_octets)
{
	static char buf[8192];

	cr_assert_eq(event_io_printf(ea, &state, "%*d", 8192, 1),
	    EVENT_IO_ERROR);
	cr_assert_eq(errno, E2BIG);
	cr_assert_eq(recv(eb->fd, buf, sizeof buf, 0), -1);
	cr_assert_eq(event_io_printf(ea, &state, "%*d", 8191, 1),
	    EVENT_IO_DONE);
	cr_assert_eq(recv(eb->fd, buf, sizeof buf, 0), 8191);
}

Test(event_transfer, nothing_and_nonsense)
{
	char buf[1];

	cr_assert_eq(event_io_write(ea, "", 0, &state), EVENT_IO_DONE);
	cr_assert_eq(event_io_printf(ea, &state, "%s", ""), EVENT_IO_DONE);
	cr_assert_eq(event_io_read(ea, buf, 0, &state), EVENT_IO_DONE);
	cr_assert_eq(event_io_read(ea, buf, -1, &state), EVENT_IO_ERROR);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(event_io_write(ea, buf, -1, &state), EVENT_IO_ERROR);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(event_io_read(ea, buf, 1, NULL), EVENT_IO_ERROR);
	cr_assert_eq(errno, EINVAL);
	errno = 0;
	cr_assert_eq(event_io_retry(ea, NULL), EVENT_IO_ERROR);
	cr_assert_eq(errno, EINVAL);
	errno = 0;
	cr_assert_eq(event_io_write(ea, "x", 1, NULL), EVENT_IO_ERROR);
	cr_assert_eq(errno, EINVAL);
	errno = 0;
	cr_assert_eq(event_io_printf(ea, NULL, "%s", "x"), EVENT_IO_ERROR);
	cr_assert_eq(errno, EINVAL);
	event_io_state_clean(&state);
	event_io_state_clean(&state);
	event_io_state_clean(NULL);
	cr_assert_null(state.buf);
}
