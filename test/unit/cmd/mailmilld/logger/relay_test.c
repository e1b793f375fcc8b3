#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/logger/relay.h"
#include "core/process/log_record.h"
#include "core/process/log_relay.h"
#include "test/unit/core/process/logged.h"

#define RATE	1000

static struct relay r;

static void
setup(void)
{
	logged_open("mailmilld/logger-1");
	relay_init(&r, "mailmilld/worker-1", 77, RATE, 0);
}

TestSuite(relay, .init = setup, .fini = logged_close);

static unsigned int
count(const char *s, const char *what)
{
	unsigned int n = 0;

	for (; (s = strstr(s, what)) != NULL; s += strlen(what))
		n++;
	return n;
}

static bool
relay(const char *rec, uint64_t now_ms)
{
	return relay_record(&r, rec, strlen(rec), now_ms);
}

/* Whatever is in a record: each line of the log is the process's own, or one
 * of the logger about it. */
Test(relay, no_octets_make_a_line_of_another_process)
{
	static const char *const recs[] = {
		"3accepted id=1\n3accepted id=2\n",
		"3e v=1\n2026-01-01T00:00:00.000Z mailmilld/authd-1[9] "
		    "level=info event=auth-failed client=192.0.2.1\n",
		"3e\r2026-01-01T00:00:00.000Z mailmilld/authd-1[9] level=info\n",
		"3e \r\x0b\x0c\x85 mailmilld/authd-1[9] level=info event=e\n",
		"<22>mailmilld/authd-1[9]: level=info event=e\n",
		"9e\n\n\n3\n-1e\n",
		"3\x1b[2Je\n",
		"\xff\xff\xff\xff",
		"3e", "3", "\n", "3e\n3", "",
	};
	char *line, *rest;
	size_t i;

	for (i = 0; i < sizeof(recs) / sizeof(recs[0]); i++) {
		cr_assert(relay(recs[i], i));
		for (rest = logged(); (line = strsep(&rest, "\n")) != NULL &&
		    rest != NULL;) {
			cr_assert_gt(strlen(line), 25, "%s", line);
			line += 25;
			cr_expect(strncmp(line, "mailmilld/worker-1[77] level=",
			    29) == 0 || (strncmp(line, "mailmilld/logger-1[",
			    19) == 0 && strstr(line,
			    "log-protocol process=mailmilld/worker-1 ") !=
			    NULL), "%zu: %s", i, line);
			for (; *line != '\0'; line++)
				cr_assert(*line >= ' ' && *line <= '~');
		}
	}
}

Test(relay, random_octets_do_no_harm)
{
	static char rec[LOG_RECORD_MAX];
	char *line, *rest;
	size_t i, j;

	srandom(1);
	for (i = 0; i < 2000; i++) {
		for (j = 0; j < sizeof(rec); j++)
			rec[j] = (char)(random() % 20 == 0 ? '\n' :
			    random() % 3 == 0 ? "0123e =-"[random() % 8] :
			    random());
		cr_assert(relay_record(&r, rec, (size_t)random() %
		    sizeof(rec), i * 50));
		for (rest = logged(); (line = strsep(&rest, "\n")) != NULL &&
		    rest != NULL;)
			cr_assert(strncmp(line + 25, "mailmilld/worker-1[77] "
			    "level=", 29) == 0 || strncmp(line + 25,
			    "mailmilld/logger-1[", 19) == 0, "%s", line);
	}
}

Test(relay, bad_lines_are_counted_in_few_lines)
{
	uint64_t now;

	for (now = 0; now < 60000; now += 10)
		cr_assert(relay("bad\nworse\n", now));
	logged();
	cr_expect_eq(count(logged_text, "\n"), 6);
	cr_expect_not_null(strstr(logged_text,
	    " level=warning event=log-protocol "
	    "process=mailmilld/worker-1 lines=2\n"));
	cr_expect_not_null(strstr(logged_text, " lines=2002\n"));
}

Test(relay, a_rate_of_lines_passes_and_the_rest_is_counted)
{
	unsigned int i, passed, told = 0;
	uint64_t now, seconds = 10;
	char *p;

	/* ten times its rate */
	for (now = 0; now < seconds * 1000; now++)
		for (i = 0; i < 10; i++)
			cr_assert(relay("3e\n", now));
	relay_end(&r);
	logged();
	passed = count(logged_text,
	    "mailmilld/worker-1[77] level=info event=e\n");
	cr_expect(passed >= RATE * seconds && passed <= RATE * (seconds + 1),
	    "%u", passed);
	for (p = logged_text; (p = strstr(p, " left_out=")) != NULL; p += 10)
		told += (unsigned int)strtoul(p + 10, NULL, 10);
	cr_expect_eq(passed + told, 10 * RATE * seconds);
	cr_expect_leq(count(logged_text, "event=log-throttled"), seconds + 1);
	cr_expect_not_null(strstr(logged_text,
	    " level=warning event=log-throttled "
	    "process=mailmilld/worker-1 left_out="));
}

Test(relay, what_is_within_the_rate_all_passes)
{
	uint64_t now;

	for (now = 0; now < 20000; now++)
		cr_assert(relay("3accepted id=x\n", now));
	cr_expect_eq(count(logged(), "\n"), 20000);
	cr_expect_null(strstr(logged_text, "log-throttled"));
}

Test(relay, octets_have_a_rate_as_well)
{
	static char rec[2002];
	unsigned int passed;
	uint64_t now;

	memset(rec, 'x', sizeof(rec) - 2);
	memcpy(rec, "3e ", 3);
	rec[2000] = '\n';
	/* half of its lines, two and a half times its octets */
	for (now = 0; now < 7000; now += 2)
		cr_assert(relay(rec, now));
	passed = count(logged(), "event=e ");
	cr_expect(passed >= 7 * RATE * RELAY_LINE_OCTETS / 2000 && passed <=
	    8 * RATE * RELAY_LINE_OCTETS / 2000, "%u", passed);
	cr_expect_not_null(strstr(logged_text, "event=log-throttled"));
}

Test(relay, what_was_left_out_last_is_told_a_second_later)
{
	unsigned int i;

	for (i = 0; i < 10 * RATE; i++)
		cr_assert(relay("3e\n", 0));
	cr_expect_eq(count(logged(), "left_out=1\n"), 1, "at once");
	cr_expect_eq(relay_report(&r, 0), 1000);
	cr_expect_eq(relay_report(&r, 999), 1);
	cr_expect_str_eq(logged(), "");
	cr_expect_eq(relay_report(&r, 1000), 0);
	cr_expect_eq(count(logged(), "left_out=8999\n"), 1);
	cr_expect_eq(relay_report(&r, 5000), 0);
	cr_expect_str_eq(logged(), "");
}

/* Lines wait for a log that takes nothing; none is lost, none comes twice. */
Test(relay, a_record_for_which_there_is_no_room_goes_on_later)
{
	static char rec[LOG_RECORD_MAX], value[201];
	char name[32], *p;
	int fds[2], i, n = 0;
	size_t len = 0;
	ssize_t got;
	bool is_taken;

	cr_assert_eq(pipe2(fds, O_NONBLOCK), 0);
	log_init("mailmilld/logger-1", LOG_TO_STDERR, fds[1], LOG_LEVEL_INFO);
	relay_init(&r, "mailmilld/worker-1", 77, 1000000, 0);
	memset(value, 'v', sizeof(value) - 1);
	for (i = 0; i < 30; i++)
		len += (size_t)snprintf(rec + len, sizeof(rec) - len,
		    "3e n=%d v=%s\n", i, value);
	/* fill pipe and buffer; then read while it goes on */
	while (relay_record(&r, rec, len, 0))
		n++;
	*logged_text = '\0';
	do {
		p = logged_text + strlen(logged_text);
		got = read(fds[0], p, sizeof(logged_text) -
		    (size_t)(p - logged_text) - 1);
		cr_assert_gt(got, 0);
		p[got] = '\0';
		is_taken = relay_record(&r, rec, len, 0);
	} while (!is_taken);
	for (;;) {
		log_flush();
		p = logged_text + strlen(logged_text);
		got = read(fds[0], p, sizeof(logged_text) -
		    (size_t)(p - logged_text) - 1);
		if (got <= 0)
			break;
		p[got] = '\0';
	}
	for (i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "event=e n=%d ", i);
		cr_expect_eq(count(logged_text, name), (unsigned int)n + 1,
		    "%s", name);
	}
	cr_expect_null(strstr(logged_text, "left_out"));
}

Test(relay, with_the_least_rate_the_longest_line_passes)
{
	static char rec[LOG_LINE_MAX];
	unsigned int i;

	relay_init(&r, "mailmilld/worker-1", 77, 0, 0);
	memset(rec, 'x', sizeof(rec) - 1);
	memcpy(rec, "3e ", 3);
	rec[sizeof(rec) - 2] = '\n';
	for (i = 0; i < 10; i++)
		cr_assert(relay(rec, i * 1000));
	cr_expect_eq(count(logged(), "event=e "), 10);
}
