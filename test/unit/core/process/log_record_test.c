#include <sys/socket.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log_record.h"
#include "core/process/log_relay.h"

static int fds[2];

/* The log goes to a logger, which is fds[1]. */
static void
to_logger(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
	    fds), 0);
	log_init("test", LOG_TO_LOGGER, fds[0], LOG_LEVEL_DEBUG);
}

TestSuite(log_record, .init = to_logger);

static char rec[LOG_RECORD_MAX + 1];

static size_t
received(void)
{
	ssize_t n = recv(fds[1], rec, sizeof(rec) - 1, 0);

	cr_assert_gt(n, 0);
	rec[n] = '\0';
	return (size_t)n;
}

Test(log_record, a_record_has_levels_and_texts_alone)
{
	log_event(LOG_LEVEL_INFO, "one", "v=%s", "a\nb");
	log_event(LOG_LEVEL_DEBUG, "two", NULL);
	log_flush();
	received();
	cr_expect_str_eq(rec, "3one v=\"a\\nb\"\n4two\n");
	log_errx("three", "n=%d", 1);
	received();
	cr_expect_str_eq(rec, "0three n=1\n", "an error is sent at once");
}

Test(log_record, what_is_written_is_read)
{
	static const char *const texts[] = { "e v=\"x y\"", "e-f_g", "e" };
	struct log_record_line line;
	size_t at = 0, len, i;

	log_event(LOG_LEVEL_NOTICE, "e", "v=%s", "x y");
	log_event(LOG_LEVEL_NOTICE, "e-f_g", NULL);
	log_event(LOG_LEVEL_NOTICE, "e", NULL);
	log_flush();
	len = received();
	for (i = 0; i < 3; i++) {
		cr_assert_eq(log_record_next(rec, len, &at, &line), 1);
		cr_expect_eq(line.level, LOG_LEVEL_NOTICE);
		cr_expect_eq(line.len, strlen(texts[i]));
		cr_expect_eq(memcmp(line.text, texts[i], line.len), 0);
	}
	cr_expect_eq(log_record_next(rec, len, &at, &line), 0);
}

Test(log_record, lines_that_are_none_are_told_from_others)
{
	static const struct {
		const char *rec;
		int rc[4];
	} c[] = {
		{ "3e\n", { 1, 0 } },
		{ "3e", { 1, 0 } },		/* the last newline */
		{ "0e\n4e\n", { 1, 1, 0 } },
		{ "5e\n3e\n", { -1, 1, 0 } },	/* no such level */
		{ "/e\n", { -1, 0 } },
		{ "\xb3" "e\n", { -1, 0 } },
		{ "e\n", { -1, 0 } },
		{ "\n\n3e\n", { -1, -1, 1, 0 } },
		{ "3\n", { -1, 0 } },		/* no event */
		{ "3 e\n", { -1, 0 } },
		{ "3e=f\n", { -1, 0 } },
		{ "3-\n", { -1, 0 } },
		{ "3E\n", { -1, 0 } },
		{ "3e\x01\n", { -1, 0 } },
		{ "3e \x01\n", { 1, 0 } },
	};
	struct log_record_line line;
	size_t i, j, at;
	int rc;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		for (j = at = 0, rc = 1; rc != 0; j++) {
			rc = log_record_next(c[i].rec, strlen(c[i].rec), &at,
			    &line);
			cr_assert_eq(rc, c[i].rc[j], "%zu %zu", i, j);
		}
}

Test(log_record, records_are_bounded_and_hold_whole_lines)
{
	char value[300];
	size_t len;
	int i, n = 0;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (i = 0; i < 100; i++)
		log_event(LOG_LEVEL_INFO, "e", "n=%d v=%s", i, value);
	log_flush();
	while (log_pending() > 0 || n < 100) {
		len = received();
		cr_assert_leq(len, LOG_RECORD_MAX);
		cr_assert_eq(rec[0], '3');
		cr_assert_eq(rec[len - 1], '\n');
		for (; len > 0; len--)
			n += rec[len - 1] == '\n';
	}
	cr_expect_eq(n, 100);
}

Test(log_record, what_the_logger_does_not_take_waits_and_the_rest_is_counted)
{
	static const char counted[] = "1log_lost log_lost=";
	unsigned long lost = 0;
	int i, n = 20000, got = 0;
	char value[200], *p, *end;
	bool is_told = false;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (i = 0; i < n; i++)
		log_event(LOG_LEVEL_INFO, "e", "v=%s", value);
	cr_assert_gt(log_pending(), 0);
	while (got + (int)lost < n) {
		received();
		for (p = rec; (end = strchr(p, '\n')) != NULL; p = end + 1)
			if (strncmp(p, counted, strlen(counted)) == 0)
				lost += strtoul(p + strlen(counted), NULL, 10);
			else
				got++;
		log_flush();
		if (log_pending() == 0 && !is_told) {
			log_warnx("after", NULL);
			is_told = true;
			n++;
		}
	}
	cr_expect_gt(lost, 0);
	cr_expect_eq(got + (int)lost, n);
}

/* --- the logger's side ---------------------------------------------------- */

static FILE *
to_file(void)
{
	FILE *fp = tmpfile();

	cr_assert_not_null(fp);
	fcntl(fileno(fp), F_SETFL, O_APPEND);
	log_init("logger", LOG_TO_FILE, fileno(fp), LOG_LEVEL_INFO);
	return fp;
}

/* The only line, from its process on. */
static const char *
line_of(FILE *fp)
{
	static char text[2 * LOG_LINE_MAX];
	ssize_t n;

	log_flush();
	cr_assert(log_is_written());
	n = pread(fileno(fp), text, sizeof(text) - 1, 0);
	cr_assert_gt(n, 25);
	text[n] = '\0';
	cr_assert_eq(strcspn(text, "\n"), (size_t)n - 1, "one line: %s", text);
	text[n - 1] = '\0';
	return text + 25;
}

Test(log_record, a_relayed_line_has_the_name_of_its_process)
{
	FILE *fp = to_file();
	struct log_ident id;

	log_ident_set(&id, "mailmilld/worker-1", 77);
	cr_assert(log_relay(&id, LOG_LEVEL_INFO, "e v=1", 5));
	cr_expect_not(log_is_written());
	cr_expect_str_eq(line_of(fp),
	    "mailmilld/worker-1[77] level=info event=e v=1");
}

Test(log_record, octets_that_are_not_printable_are_escaped_again)
{
	static const char text[] = "e v=\"a\\nb\"\n\r\t\x1b[2J\0\x7f\xc3\xa9 w"
	    "\xe2\x80\xae\xff\xc3";
	FILE *fp = to_file();
	struct log_ident id;

	log_ident_set(&id, "p\n q", 1);
	cr_assert(log_relay(&id, LOG_LEVEL_WARNING, text, sizeof(text) - 1));
	cr_expect_str_eq(line_of(fp), "p--q[1] level=warning event=e "
	    "v=\"a\\nb\"\\n\\r\\t\\x1b[2J\\x00\\x7f\xc3\xa9 w"
	    "\\xe2\\x80\\xae\\xff\\xc3");
}

Test(log_record, a_relayed_line_is_bounded)
{
	char text[LOG_RECORD_MAX];
	FILE *fp = to_file();
	struct log_ident id;
	const char *line;

	memset(text, 1, sizeof(text));
	text[0] = 'e';
	text[1] = ' ';
	log_ident_set(&id, "p", 1);
	cr_assert(log_relay(&id, LOG_LEVEL_INFO, text, sizeof(text)));
	line = line_of(fp);
	cr_expect_lt(strlen(line), LOG_LINE_MAX - 25);
	cr_expect_str_eq(line + strlen(line) - 3, "...");
}

/* A line of an honest process is not cut a second time. */
Test(log_record, the_longest_line_of_a_record_fits_with_its_beginning)
{
	char value[LOG_VALUE_MAX + 1], name[LIM_NAME + 1], *line;
	struct log_record_line l;
	struct log_ident id;
	size_t at = 0, len;
	FILE *fp;

	memset(value, 1, sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	log_ident_set(&id, name, 999999999);
	log_event(LOG_LEVEL_WARNING, "e", "v=%s w=%s", value, value);
	log_flush();
	len = received();
	cr_expect_gt(len, LOG_LINE_MAX - LOG_PREFIX_MAX - 10);
	cr_assert_eq(log_record_next(rec, len, &at, &l), 1);
	fp = to_file();
	cr_assert(log_relay(&id, l.level, l.text, l.len));
	line = strstr(line_of(fp), "event=");
	cr_expect_eq(strncmp(line + 6, l.text, l.len), 0);
	cr_expect_eq(line[6 + l.len], '\0');
}

Test(log_record, without_room_a_line_is_not_taken_and_not_lost)
{
	struct log_ident id;
	char text[200];
	int pipes[2], n = 0;

	cr_assert_eq(pipe2(pipes, O_NONBLOCK), 0);
	log_init("logger", LOG_TO_STDERR, pipes[1], LOG_LEVEL_INFO);
	log_ident_set(&id, "p", 1);
	memset(text, 'e', sizeof(text));
	while (log_relay(&id, LOG_LEVEL_INFO, text, sizeof(text)))
		n++;
	cr_assert_gt(n, 0);
	cr_expect_gt(read(pipes[0], rec, sizeof(rec)), 0);
	log_flush();
	cr_expect(log_relay(&id, LOG_LEVEL_INFO, text, sizeof(text)));
	cr_expect_not(log_is_written());
}
