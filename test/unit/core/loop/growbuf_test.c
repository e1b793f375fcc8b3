#include "core/ec_growbuf.h"
#include "core/ec_string.h"

#include <sys/resource.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of the linker's --wrap: the octets that are searched in, and moved. */
void *__real_memmem(const void *s, size_t n, const void *what, size_t len);
void *__wrap_memmem(const void *s, size_t n, const void *what, size_t len);
void *__real_memmove(void *to, const void *from, size_t n);
void *__wrap_memmove(void *to, const void *from, size_t n);

static _Thread_local size_t nlooked, nmoved;

void *
__wrap_memmem(const void *s, size_t n, const void *what, size_t len)
{
	const char *p = __real_memmem(s, n, what, len);

	nlooked += p != NULL ? (size_t)(p - (const char *)s) + len : n;
	return (void *)(uintptr_t)p;
}

void *
__wrap_memmove(void *to, const void *from, size_t n)
{
	nmoved += n;
	return __real_memmove(to, from, n);
}

/* A connection that gives what a test has put into it, a few octets at each
 * read, and then EAGAIN, or its end. */
static struct {
	const char	*text;
	size_t		 len, at, each;
	bool		 is_over;
	int		 nreads;
	/* what it takes */
	char		 out[8192];
	int		 nout, takes;
	bool		 is_full;
} wire;
static minimal_tryread_construct mtc;
static Event *e;

static int
wire_read(Event *, char *buf, int buflen, int *needmask)
{
	size_t n = wire.len - wire.at;

	wire.nreads++;
	cr_assert_gt(buflen, 0);
	if (n == 0 && wire.is_over)
		return 0;
	if (n == 0) {
		*needmask = E_WRITE;	/* as TLS may */
		errno = EAGAIN;
		return -1;
	}
	if (n > wire.each)
		n = wire.each;
	if (n > (size_t)buflen)
		n = (size_t)buflen;
	memcpy(buf, wire.text + wire.at, n);
	wire.at += n;
	return (int)n;
}

static int
wire_write(Event *, const char *buf, int buflen, int *needmask)
{
	int n = buflen < wire.takes ? buflen : wire.takes;

	if (wire.is_full && n == 0) {
		*needmask = E_WRITE;
		errno = EAGAIN;
		return -1;
	}
	cr_assert_leq(wire.nout + n, (int)sizeof(wire.out));
	memcpy(wire.out + wire.nout, buf, (size_t)n);
	wire.nout += n;
	if (wire.is_full)
		wire.takes -= n;
	return n;
}

static const event_io_opset wire_opset = { .event_read = wire_read,
	.event_write = wire_write };

static void
setup(void)
{
	e = build_fd_event(-1, E_READ, E_AGGRESSIVE_NONE, NULL, NULL);
	e->io_opset = &wire_opset;
	wire.takes = INT_MAX;
}

static void
teardown(void)
{
	minimal_tryread_construct_free(&mtc);
	event_free(e);
}

TestSuite(growbuf, .init = setup, .fini = teardown);

static void
come(const char *text, size_t len, size_t each)
{
	wire.text = text;
	wire.len = len;
	wire.at = 0;
	wire.each = each;
}

static void
expect_until(const char *until, const char *record, int len)
{
	int needmask = 0, rc;

	rc = tryread_until(e, &needmask, &mtc, until);
	cr_assert_eq(rc, len + (int)strlen(until), "%d: %s", rc,
	    rc == -1 ? strerror(errno) : "");
	cr_assert_eq(mtc.gb_donesize, len);
	cr_assert_arr_eq(mtc.gb_donebuffer, record, (size_t)len + 1);
	ec_free(MEMTYPE_MESSAGE_BODY, mtc.gb_donebuffer);
	mtc.gb_donebuffer = NULL;
}

static void
expect_line(const char *line)
{
	expect_until(TRYREAD_UNTIL_CRLF, line, (int)strlen(line));
}

static void
expect_error(int errnum)
{
	int needmask = 0;

	cr_assert_eq(tryread_until(e, &needmask, &mtc, "\r\n"), -1);
	cr_assert_eq(errno, errnum, "%s", strerror(errno));
	if (errnum == EAGAIN)
		cr_assert_eq(needmask, E_WRITE, "what the opset says");
}

Test(growbuf, lines_come_one_by_one_however_they_are_cut)
{
	static const char text[] = "EHLO a\r\n\r\nb\rc\nd\r\r\nlast";
	size_t each;

	for (each = 1; each < sizeof(text) + 1; each++) {
		come(text, sizeof(text) - 1, each);
		expect_line("EHLO a");
		expect_line("");
		expect_line("b\rc\nd\r");
		expect_error(EAGAIN);
		/* the rest of it comes later */
		come("\r", 1, 1);
		expect_error(EAGAIN);
		come("\n", 1, 1);
		expect_line("last");
	}
}

Test(growbuf, a_record_may_have_nuls_and_is_followed_by_one_and_its_padding)
{
	int needmask;

	come("a\0b\r\n", 5, 5);
	mtc.gb_padding = 7;
	cr_assert_eq(tryread_until(e, &needmask, &mtc, "\r\n"), 5);
	cr_assert_eq(mtc.gb_donesize, 3);
	cr_assert_arr_eq(mtc.gb_donebuffer, "a\0b\0\0\0\0\0\0\0\0", 3 + 8);
	ec_free(MEMTYPE_MESSAGE_BODY, mtc.gb_donebuffer);
}

/* Octets that were looked at for one end are looked at again for another. */
Test(growbuf, another_end_may_be_asked_for_at_any_time)
{
	static const char text[] = "a\nb\r\n.\r\nc";

	come(text, 5, 5);
	cr_assert_eq(tryread_until(e, &(int){ 0 }, &mtc,
	    TRYREAD_UNTIL_CRLFDOTCRLF), -1);
	expect_until("\n", "a", 1);
	cr_assert_eq(tryread_until(e, &(int){ 0 }, &mtc,
	    TRYREAD_UNTIL_CRLFDOTCRLF), -1);
	come(text + 5, 4, 1);
	expect_until(TRYREAD_UNTIL_CRLFDOTCRLF, "b", 1);
	expect_error(EAGAIN);
	cr_assert_eq(tryread_until(e, &(int){ 0 }, &mtc, ""), -1);
	cr_assert_eq(errno, EINVAL);
}

Test(growbuf, an_end_that_begins_like_itself_is_found)
{
	come("aababaabab", 10, 1);
	expect_until("abab", "a", 1);
	expect_until("abab", "a", 1);
}

Test(growbuf, the_end_of_the_connection_is_0_and_what_is_left_of_a_line_no_line)
{
	int needmask;

	come("a\r\nb", 4, 4);
	wire.is_over = true;
	expect_line("a");
	cr_assert_eq(tryread_until(e, &needmask, &mtc, "\r\n"), 0);
	cr_assert_eq(tryread_until(e, &needmask, &mtc, "\r\n"), 0);
}

Test(growbuf, a_record_has_a_bound)
{
	static char text[TRYREAD_MAX + 8], expected[TRYREAD_MAX + 8];
	int size;

	for (size = 10; size < 2 * TRYREAD_MAX; size *= 3) {
		if (size > TRYREAD_MAX)
			size = TRYREAD_MAX;
		mtc.max_region_size = size == TRYREAD_MAX ? 0 : size;
		memset(text, 'x', sizeof(text));
		memset(expected, 0, sizeof(expected));
		memset(expected, 'x', (size_t)size - 2);
		memcpy(text + size - 2, "\r\n", 2);
		come(text, (size_t)size, 1000);
		expect_until("\r\n", expected, size - 2);
		/* one octet more */
		memcpy(text + size - 2, "x\r\n", 3);
		come(text, (size_t)size + 1, 1000);
		expect_error(E2BIG);
		expect_error(E2BIG);
		minimal_tryread_construct_free(&mtc);
	}
}

static int nmatched, nfinal;

static void
matched(minimal_tryread_construct *m, void *closure)
{
	cr_expect_eq(m, &mtc);
	cr_expect_eq(closure, &nmatched);
	nmatched++;
}

static void
finalized(minimal_tryread_construct *m, void *closure)
{
	cr_expect_eq(closure, &nfinal);
	cr_expect_str_eq(m->gb_donebuffer, "short");
	nfinal++;
}

static struct {
	char	*text;
	int	 len;
	int	 most;
} paged;

static void
page(minimal_tryread_construct *, void *closure, const char *buf, int len)
{
	cr_expect_eq(closure, &paged);
	memcpy(paged.text + paged.len, buf, (size_t)len);
	paged.len += len;
	if (len > paged.most)
		paged.most = len;
}

Test(growbuf, a_long_record_is_paged_out_and_others_are_not)
{
	enum { LONG = 100000 };
	static char text[LONG + 20], out[LONG + 20];
	int needmask, i, each;

	for (i = 0; i < LONG; i++)
		text[i] = (char)('a' + i % 26);
	/* what is nearly an end, at any place */
	for (i = 5; i < LONG; i += 97)
		text[i] = '\r';
	strcpy(text + LONG, "\r\nshort\r\n");
	mtc.max_region_size = 64;
	mtc.match_hook = matched;
	mtc.match_closure = &nmatched;
	mtc.finalize_hook = finalized;
	mtc.finalize_closure = &nfinal;
	mtc.page_out_hook = page;
	mtc.page_out_closure = &paged;
	paged.text = out;
	for (each = 1; each < 70; each += 3) {
		nmatched = nfinal = paged.len = paged.most = 0;
		come(text, LONG + 9, (size_t)each);
		cr_assert_eq(tryread_until(e, &needmask, &mtc, "\r\n"),
		    LONG + 2);
		cr_expect_null(mtc.gb_donebuffer);
		cr_expect_eq(mtc.gb_donesize, LONG);
		cr_assert_eq(paged.len, LONG);
		cr_assert_arr_eq(out, text, LONG);
		cr_expect_leq(paged.most, 64);
		cr_expect_eq(nmatched, 1);
		cr_expect_eq(nfinal, 0);
		expect_line("short");
		cr_expect_eq(nmatched, 2);
		cr_expect_eq(nfinal, 1);
		cr_expect_eq(paged.len, LONG);
	}
}

/* A peer that sends without a pause. */
static int
read_endless(Event *, char *buf, int buflen, int *)
{
	memset(buf, 'x', (size_t)buflen);
	wire.at += (size_t)buflen;
	return buflen;
}

static void
drop(minimal_tryread_construct *, void *, const char *, int)
{
}

/* Others get their turn; the loop comes back, since the descriptor is readable or
 * the opset says so. */
Test(growbuf, a_peer_that_sends_without_a_pause_does_not_hold_the_thread,
    .timeout = 30)
{
	static const event_io_opset endless = { .event_read = read_endless };
	int needmask, i;

	e->io_opset = &endless;
	mtc.page_out_hook = drop;
	for (i = 1; i <= 10; i++) {
		needmask = 0;
		cr_assert_eq(tryread_until(e, &needmask, &mtc, "\r\n"), -1);
		cr_assert_eq(errno, EAGAIN);
		cr_assert_eq(needmask, E_READ);
		cr_assert_leq(wire.at, (size_t)i * (2 << 20));
	}
	cr_assert_eq(tryread_until(e, NULL, &mtc, "\r\n"), -1);
	cr_assert_eq(errno, EAGAIN);
	/* and a record that has its end is not forgotten */
	e->io_opset = &wire_opset;
	come("\r\nnext\r\n", 8, 100);
	cr_assert_eq(tryread_until(e, &needmask, &mtc, "\r\n"),
	    mtc.gb_donesize + 2);
	cr_assert_eq((size_t)mtc.gb_donesize, wire.at - 8 + mtc.gb_donesize);
	expect_line("next");
}

/* The record is there still, and is found once. */
Test(growbuf, without_memory_it_is_tried_again)
{
	struct rlimit as = { 0, 0 }, all;
	unsigned long pages;
	int needmask, rc;
	FILE *f;

	mtc.match_hook = matched;
	mtc.match_closure = &nmatched;
	mtc.gb_padding = 256 << 20;
	come("line\r\n", 6, 100);
	cr_assert_not_null(f = fopen("/proc/self/statm", "r"));
	cr_assert_eq(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	cr_assert_eq(getrlimit(RLIMIT_AS, &all), 0);
	as.rlim_cur = pages * (rlim_t)getpagesize() + (64 << 20);
	as.rlim_max = all.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_AS, &as), 0);
	rc = tryread_until(e, &needmask, &mtc, "\r\n");
	cr_assert_eq(setrlimit(RLIMIT_AS, &all), 0);
	cr_assert_eq(rc, -1);
	cr_assert_eq(errno, ENOMEM);
	mtc.gb_padding = 0;
	expect_line("line");
	cr_assert_eq(nmatched, 1);
}

/* Many short lines that come at once, and one line that comes in many pieces:
 * each octet is looked at and moved a bounded number of times. */
Test(growbuf, what_was_read_ahead_is_not_moved_for_each_line, .timeout = 10)
{
	enum { N = 100000 };
	char *text = malloc(3 * N);
	int i;

	for (i = 0; i < N; i++)
		memcpy(text + 3 * i, "x\r\n", 3);
	mtc.max_region_size = 1 << 20;
	come(text, 3 * N, 3 * N);
	for (i = 0; i < N; i++)
		expect_line("x");
	cr_expect_leq(nlooked, (size_t)4 * 3 * N, "%zu", nlooked);
	cr_expect_geq(nlooked, (size_t)3 * N, "not counted: %zu", nlooked);
	cr_expect_leq(nmoved, (size_t)2 * 3 * N, "%zu", nmoved);
	nlooked = nmoved = 0;
	memset(text, 'y', N);
	come(text, N, 1);
	expect_error(EAGAIN);
	cr_expect_leq(nlooked, (size_t)4 * N, "%zu", nlooked);
	cr_expect_leq(nmoved, (size_t)2 * N, "%zu", nmoved);
	cr_expect_geq(wire.nreads, N);
	free(text);
}

Test(growbuf, memory_is_kept_for_what_waits_alone)
{
	static char text[50002];

	memset(text, 'x', 50000);
	memcpy(text + 50000, "\r\n", 2);
	come(text, sizeof(text), sizeof(text));
	text[50000] = '\r';
	cr_assert_eq(tryread_until(e, &(int){ 0 }, &mtc, "\r\n"), 50002);
	ec_free(MEMTYPE_MESSAGE_BODY, mtc.gb_donebuffer);
	cr_expect_eq(mtc.gb_buffer.size, 0);
	come("half", 4, 4);
	expect_error(EAGAIN);
	minimal_tryread_construct_free(&mtc);
	cr_expect_null(mtc.gb_buffer.data);
	/* it is ready for use */
	come("a\r\n", 3, 3);
	expect_line("a");
	minimal_tryread_construct_free(NULL);
}

/* --- answers -------------------------------------------------------------- */

static void
expect_out(const char *text)
{
	cr_expect_eq(wire.nout, (int)strlen(text));
	cr_expect_arr_eq(wire.out, text, strlen(text));
	wire.nout = 0;
}

Test(growbuf, trywrite_writes_all_or_says_that_it_has_not)
{
	cr_expect_eq(trywrite(e, ".\r\n", 3), 1);
	expect_out(".\r\n");
	cr_expect_eq(trywrite(e, "", 0), 1);
	cr_expect_eq(trywrite(e, "x", -1), 0);
	cr_expect_eq(errno, EINVAL);
	wire.is_full = true;
	wire.takes = 2;
	cr_expect_eq(trywrite(e, ".\r\n", 3), 0);
	cr_expect_eq(errno, EAGAIN);
	expect_out(".\r");
	wire.is_full = false;
	wire.takes = 1;
	cr_expect_eq(trywrite(e, "abc", 3), 1, "octet by octet");
	expect_out("abc");
	wire.takes = 0;
	cr_expect_eq(trywrite(e, "abc", 3), 0, "no endless loop");
}

Test(growbuf, trywritef_has_a_bound)
{
	char *text = malloc(TRYWRITEF_MAX + 1);

	cr_expect_eq(trywritef(e, "250 OK\r\n"), 1);
	expect_out("250 OK\r\n");
	cr_expect_eq(trywritef(e, "%d %s\r\n", 250, "2.0.0 OK"), 1);
	expect_out("250 2.0.0 OK\r\n");
	memset(text, 'x', TRYWRITEF_MAX);
	text[TRYWRITEF_MAX] = '\0';
	cr_expect_eq(trywritef(e, "%s", text), 0);
	cr_expect_eq(errno, E2BIG);
	cr_expect_eq(wire.nout, 0);
	text[TRYWRITEF_MAX - 1] = '\0';
	cr_expect_eq(trywritef(e, "%s", text), 1);
	expect_out(text);
	free(text);
}

/* --- strings -------------------------------------------------------------- */

Test(growbuf, a_string_is_written_however_little_is_taken_at_a_time)
{
	event_io_state state = { 0 };
	string s = { 0 };
	int n, rc = EVENT_IO_PENDING;

	stringprintf(&s, "250 2.0.0 OK\r\n");
	wire.is_full = true;
	for (n = 0; rc == EVENT_IO_PENDING; n++) {
		wire.takes = 3;
		rc = event_io_write_string(e, &s, &state);
		if (rc == EVENT_IO_PENDING)
			cr_expect_eq(state.needmask, E_WRITE);
	}
	cr_expect_eq(rc, EVENT_IO_DONE);
	cr_expect_eq(n, 5);
	cr_expect_eq(state.needmask, 0);
	expect_out("250 2.0.0 OK\r\n");
	/* and another one, with the same state */
	wire.is_full = false;
	wire.takes = INT_MAX;
	cr_expect_eq(event_io_write_string(e, &s, &state), EVENT_IO_DONE);
	expect_out("250 2.0.0 OK\r\n");
	s.len = 0;
	cr_expect_eq(event_io_write_string(e, &s, &state), EVENT_IO_DONE);
	expect_out("");
	event_io_state_clean(&state);
	string_destroy(&s);
}

Test(growbuf, while_a_string_is_pending_nothing_else_is)
{
	event_io_state state = { 0 };
	string s = { 0 };
	char buf[4];

	stringprintf(&s, "0123456789");
	wire.is_full = true;
	wire.takes = 4;
	cr_assert_eq(event_io_write_string(e, &s, &state), EVENT_IO_PENDING);
	cr_expect_eq(event_io_write(e, "x", 1, &state), EVENT_IO_ERROR);
	cr_expect_eq(errno, EBUSY);
	errno = 0;
	cr_expect_eq(event_io_read(e, buf, 1, &state), EVENT_IO_ERROR);
	cr_expect_eq(errno, EBUSY);
	cr_expect_eq(event_io_retry(e, &state), EVENT_IO_ERROR);
	cr_expect_eq(errno, EINVAL);
	wire.takes = 100;
	cr_expect_eq(event_io_write_string(e, &s, &state), EVENT_IO_DONE);
	expect_out("0123456789");
	cr_expect_eq(event_io_write_string(e, NULL, &state), EVENT_IO_ERROR);
	cr_expect_eq(event_io_write_string(e, &s, NULL), EVENT_IO_ERROR);
	cr_expect_eq(errno, EINVAL);
	/* nor the other way round */
	wire.takes = 4;
	cr_assert_eq(event_io_write(e, "0123456789", 10, &state),
	    EVENT_IO_PENDING);
	cr_expect_eq(event_io_write_string(e, &s, &state), EVENT_IO_ERROR);
	cr_expect_eq(errno, EBUSY);
	event_io_state_clean(&state);
	string_destroy(&s);
}
