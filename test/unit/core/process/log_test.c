#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/util/utf8.h"

static char path[] = "/tmp/log-XXXXXX";
static int file;

/* The log goes to a file. */
static void
to_file(void)
{
	file = mkstemp(path);
	cr_assert_neq(file, -1);
	fcntl(file, F_SETFL, O_APPEND);
	log_init("test", LOG_TO_FILE, file, LOG_LEVEL_INFO);
}

static void
cleanup(void)
{
	unlink(path);
}

TestSuite(log, .init = to_file, .fini = cleanup);

static char text[1 << 20];

/* What is in the file. */
static char *
logged(void)
{
	ssize_t n;

	log_flush();
	n = pread(file, text, sizeof(text) - 1, 0);
	cr_assert_neq(n, -1);
	text[n] = '\0';
	return text;
}

/* What the only line says behind "event=". */
static char *
said(void)
{
	char *s = strstr(logged(), "event=");

	cr_assert_not_null(s, "%s", text);
	s[strcspn(s, "\n")] = '\0';
	return s + strlen("event=");
}

Test(log, a_line_has_time_process_level_and_event)
{
	char expected[100];

	log_event(LOG_LEVEL_INFO, "accepted", "id=%s", "X1");
	logged();
	cr_expect_eq(strlen("2026-01-01T00:00:00.000Z"), strcspn(text, " "));
	cr_expect(text[4] == '-' && text[10] == 'T' && text[19] == '.' &&
	    text[23] == 'Z', "%s", text);
	snprintf(expected, sizeof(expected),
	    " test[%d] level=info event=accepted id=X1\n", (int)getpid());
	cr_expect_str_eq(text + 24, expected);
}

Test(log, all_conversions)
{
	const char *volatile none = NULL;	/* would be warned of */

	log_event(LOG_LEVEL_INFO, "e", "a=%d b=%u c=%ld d=%lu e=%lld f=%llu "
	    "g=%zu h=%zd i=%x j=%c k=%% m=%s n=%s", -1, 4294967295u,
	    -5L, 6ul, (long long)INT64_MIN, 18446744073709551615ull,
	    (size_t)7, (ssize_t)-8, 0xffu, 'z', "s", none);
	cr_expect_str_eq(said(), "e a=-1 b=4294967295 c=-5 d=6 "
	    "e=-9223372036854775808 f=18446744073709551615 g=7 h=-8 i=ff "
	    "j=z k=% m=s n=-");
}

Test(log, seconds_have_six_decimals)
{
	static const struct {
		struct timeval tv;
		const char *text;
	} c[] = {
		{ { 0, 0 }, "0.000000" },
		{ { 12, 34 }, "12.000034" },
		{ { 0, 999999 }, "0.999999" },
		{ { 3, 500000 }, "3.500000" },
		{ { -1, 250000 }, "-1.250000" },
		{ { INT64_MIN, 1 }, "-9223372036854775808.000001" },
	};
	char buf[LOG_SECONDS];
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		cr_expect_eq(log_seconds(&c[i].tv, buf), buf);
		cr_expect_str_eq(buf, c[i].text);
	}
}

Test(log, values_cannot_forge_keys_or_lines)
{
	static const struct {
		const char *value, *shown;
	} c[] = {
		{ "plain@example.test", "plain@example.test" },
		{ "", "\"\"" },
		{ "a b", "\"a b\"" },
		{ "a=b", "\"a=b\"" },
		{ "a\"b", "\"a\\\"b\"" },
		{ "a\\b", "\"a\\\\b\"" },
		{ "a\nlevel=error", "\"a\\nlevel=error\"" },
		{ "a\r\tb", "\"a\\r\\tb\"" },
		{ "\x1b[31m", "\"\\x1b[31m\"" },
		/* an address that is UTF-8 stays so ... */
		{ "caf\xc3\xa9", "\"caf\xc3\xa9\"" },
		{ "\xe4\xbe\x8b@x", "\"\xe4\xbe\x8b@x\"" },
		/* ... but not what a terminal would obey, or hide */
		{ "a\xc2\x9b" "2J", "\"a\\xc2\\x9b2J\"" },
		{ "a\xe2\x80\xae" "b", "\"a\\xe2\\x80\\xaeb\"" },
		{ "a\xe2\x80\x8b", "\"a\\xe2\\x80\\x8b\"" },
		{ "\xff\xc3", "\"\\xff\\xc3\"" },
		{ "\xed\xa0\x80", "\"\\xed\\xa0\\x80\"" },
		{ "\x7f", "\"\\x7f\"" },
	};
	char expected[100];
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		cr_assert_eq(ftruncate(file, 0), 0);
		log_event(LOG_LEVEL_INFO, "e", "v=%s w=%d", c[i].value, 1);
		snprintf(expected, sizeof(expected), "e v=%s w=1",
		    c[i].shown);
		cr_expect_str_eq(said(), expected);
	}
}

Test(log, long_values_and_lines_are_cut)
{
	char value[LOG_LINE_MAX * 2], *s;

	memset(value, 'a', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	log_event(LOG_LEVEL_INFO, "e", "v=%s w=%d", value, 1);
	s = said();
	cr_expect_str_eq(s + strlen("e v=") + LOG_VALUE_MAX, "... w=1");

	cr_assert_eq(ftruncate(file, 0), 0);
	memset(value, '\n', sizeof(value) - 1);
	log_event(LOG_LEVEL_INFO, "e", "v=%s w=%d", value, 1);
	s = said();
	cr_expect_str_eq(s + strlen("e v=\"") + 2 * LOG_VALUE_MAX,
	    "...\" w=1");

	cr_assert_eq(ftruncate(file, 0), 0);
	memset(value, 1, sizeof(value) - 1);
	log_event(LOG_LEVEL_INFO, "e", "v=%s w=%s x=%s", value, value, value);
	s = logged();
	cr_expect_leq(strlen(s), LOG_LINE_MAX);
	cr_expect_gt(strlen(s), LOG_LINE_MAX - 10);
	cr_expect_eq(strcspn(s, "\n"), strlen(s) - 1, "one line");
	cr_expect_str_eq(s + strlen(s) - 5, "...\"\n");
}

Test(log, every_length_keeps_the_bound)
{
	char value[LOG_VALUE_MAX + 3];
	size_t n, i;

	/* whatever is cut where: no line is longer, each has its end */
	for (n = 0; n < sizeof(value); n++) {
		memset(value, n % 3 == 0 ? 'a' : n % 3 == 1 ? '"' : 1, n);
		value[n] = '\0';
		/* characters of two octets, which may be cut */
		for (i = 0; n % 5 == 4 && i + 1 < n; i += 2)
			memcpy(value + i, "\xc3\xbc", 2);
		cr_assert_eq(ftruncate(file, 0), 0);
		log_event(LOG_LEVEL_INFO, "e", "v=%s w=%s x=%s y=%s z=%s",
		    value, value, value, value, value);
		logged();
		cr_assert_leq(strlen(text), LOG_LINE_MAX, "%zu", n);
		cr_assert_eq(strcspn(text, "\n"), strlen(text) - 1, "%zu", n);
		cr_assert(utf8_is_visible(text, strlen(text) - 1), "%zu", n);
	}
}

Test(log, levels_above_the_set_one_are_left_out)
{
	cr_expect(log_enabled(LOG_LEVEL_INFO));
	cr_expect_not(log_enabled(LOG_LEVEL_DEBUG));
	log_event(LOG_LEVEL_DEBUG, "hidden", NULL);
	cr_expect_str_eq(logged(), "");
	log_set_level(LOG_LEVEL_DEBUG);
	log_event(LOG_LEVEL_DEBUG, "shown", NULL);
	cr_expect_str_eq(said(), "shown");
}

Test(log, errors_are_written_at_once_others_at_the_flush)
{
	struct stat st;

	log_event(LOG_LEVEL_INFO, "first", NULL);
	cr_assert_eq(fstat(file, &st), 0);
	cr_expect_eq(st.st_size, 0);
	errno = ENOENT;
	log_warn("second", "file=%s", "x");
	cr_expect_eq(errno, ENOENT, "errno stays");
	cr_assert_eq(fstat(file, &st), 0);
	cr_expect_gt(st.st_size, 0);
	logged();
	cr_expect_not_null(strstr(text, "level=info event=first\n"));
	cr_expect_not_null(strstr(text, "level=warning event=second file=x "
	    "error=\"No such file or directory\"\n"));
	log_errx("third", NULL);
	cr_expect_not_null(strstr(logged(), "level=error event=third\n"));
}

Test(log, what_a_pipe_does_not_take_waits_and_the_rest_is_counted)
{
	int fds[2], i, n = 2000;
	char *line, *end, value[200];
	unsigned long lost = 0;
	ssize_t got;
	int lines = 0;

	cr_assert_eq(pipe2(fds, O_NONBLOCK), 0);
	log_init("test", LOG_TO_STDERR, fds[1], LOG_LEVEL_INFO);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (i = 0; i < n; i++)
		log_event(LOG_LEVEL_INFO, "e", "n=%d v=%s", i, value);
	/* read until all has come out and the loss has been told */
	for (i = 0; i < 100 && lines + (int)lost < n; i++) {
		log_event(LOG_LEVEL_INFO, "after", NULL);
		log_flush();
		got = read(fds[0], text, sizeof(text) - 1);
		cr_assert_gt(got, 0);
		text[got] = '\0';
		for (line = text; (end = strchr(line, '\n')) != NULL;
		    line = end + 1) {
			*end = '\0';
			lines += strstr(line, "event=e ") != NULL;
			if (strstr(line, "log_lost=") != NULL)
				lost += strtoul(strstr(line, "log_lost=") + 9,
				    NULL, 10);
		}
		cr_expect_eq(*line, '\0', "only whole lines");
	}
	cr_expect_gt(lost, 0);
	cr_expect_geq(lines + (int)lost, n, "%d lines, %lu lost", lines, lost);
}

Test(log, a_pipe_that_would_block_is_not_waited_for)
{
	char value[200];
	int fds[2], i;

	cr_assert_eq(pipe(fds), 0);	/* blocking */
	log_init("test", LOG_TO_STDERR, fds[1], LOG_LEVEL_INFO);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (i = 0; i < 2000; i++)
		log_event(LOG_LEVEL_INFO, "e", "v=%s", value);
	cr_expect_gt(log_pending(), 0);
}

/* A syslog daemon of our own. */
static int
listen_syslog(struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	snprintf(sun->sun_path, sizeof(sun->sun_path), "%s.sock", path);
	unlink(sun->sun_path);
	cr_assert_eq(bind(fd, (struct sockaddr *)sun, sizeof(*sun)), 0);
	return fd;
}

static int
connect_syslog(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	cr_assert_eq(connect(fd, (const struct sockaddr *)sun, sizeof(*sun)),
	    0);
	return fd;
}

static void
count_calls(void *closure)
{
	++*(int *)closure;
}

Test(log, syslog_gets_one_datagram_a_line)
{
	struct sockaddr_un sun;
	int daemon_fd = listen_syslog(&sun), i;
	char expected[100];
	ssize_t n;

	log_init("mailmilld/worker 1", LOG_TO_SYSLOG, connect_syslog(&sun),
	    LOG_LEVEL_INFO);
	for (i = 0; i < 3; i++)
		log_event(LOG_LEVEL_INFO, "e", "n=%d", i);
	log_flush();
	for (i = 0; i < 3; i++) {
		n = recv(daemon_fd, text, sizeof(text) - 1, 0);
		cr_assert_gt(n, 0);
		text[n] = '\0';
		snprintf(expected, sizeof(expected), "mailmilld/worker-1[%d]: "
		    "level=info event=e n=%d", (int)getpid(), i);
		/* mail is 2, info 6; then Mmm dd hh:mm:ss */
		cr_expect_eq(strncmp(text, "<22>", 4), 0, "%s", text);
		cr_expect(text[7] == ' ' && text[10] == ' ' &&
		    text[13] == ':' && text[16] == ':' && text[19] == ' ',
		    "%s", text);
		cr_expect_str_eq(text + 20, expected);
	}
	cr_expect_eq(recv(daemon_fd, text, sizeof(text), 0), -1);
	log_errx("e", NULL);
	n = recv(daemon_fd, text, sizeof(text), 0);
	cr_expect_eq(strncmp(text, "<19>", 4), 0);
	close(daemon_fd);
	unlink(sun.sun_path);
}

Test(log, a_restarted_syslog_gets_what_was_kept)
{
	struct sockaddr_un sun;
	int daemon_fd = listen_syslog(&sun), calls = 0;
	ssize_t n;

	log_init("test", LOG_TO_SYSLOG, connect_syslog(&sun), LOG_LEVEL_INFO);
	log_on_failure(count_calls, &calls);
	close(daemon_fd);
	log_event(LOG_LEVEL_INFO, "kept", NULL);
	log_flush();
	cr_expect_eq(calls, 1);
	log_warnx("too", NULL);
	log_flush();
	cr_expect_eq(calls, 1, "asked for once");

	daemon_fd = listen_syslog(&sun);
	log_init("test", LOG_TO_SYSLOG, connect_syslog(&sun), LOG_LEVEL_INFO);
	log_flush();
	n = recv(daemon_fd, text, sizeof(text) - 1, 0);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	cr_expect_not_null(strstr(text, "event=kept"));
	n = recv(daemon_fd, text, sizeof(text) - 1, 0);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	cr_expect_not_null(strstr(text, "event=too"));
	close(daemon_fd);
	log_event(LOG_LEVEL_INFO, "again", NULL);
	log_flush();
	cr_expect_eq(calls, 2);
	unlink(sun.sun_path);
}

Test(log, a_file_is_created_appended_to_and_reopened)
{
	char name[64], old[64];
	enum log_kind kind;
	int fd;

	snprintf(name, sizeof(name), "%s.log", path);
	snprintf(old, sizeof(old), "%s.old", path);
	cr_assert_eq(log_open(name, &kind, &fd), 0);
	cr_expect_eq(kind, LOG_TO_FILE);
	log_init("test", kind, fd, LOG_LEVEL_INFO);
	log_event(LOG_LEVEL_INFO, "one", NULL);
	rename(name, old);
	cr_assert_eq(log_open(name, &kind, &fd), 0);
	log_init("test", kind, fd, LOG_LEVEL_INFO);
	log_event(LOG_LEVEL_INFO, "two", NULL);
	log_flush();
	file = open(old, O_RDONLY);
	cr_expect_str_eq(said(), "one");
	close(file);
	file = open(name, O_RDONLY);
	cr_expect_str_eq(said(), "two");
	unlink(name);
	unlink(old);
}

Test(log, a_target_that_cannot_be_opened_is_told)
{
	enum log_kind kind;
	int fd;

	cr_expect_eq(log_open("/nonexistent/log", &kind, &fd), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_eq(log_open("stderr", &kind, &fd), 0);
	cr_expect_eq(kind, LOG_TO_STDERR);
	cr_expect_neq(fd, -1);
	close(fd);
}

static void *
log_1000(void *arg)
{
	int i;

	for (i = 0; i < 1000; i++) {
		log_event(LOG_LEVEL_INFO, arg, "n=%d", i);
		if (i % 100 == 0)
			log_flush();
	}
	return NULL;
}

Test(log, threads_do_not_mix_lines)
{
	static char a_name[] = "aaaa", b_name[] = "bbbb";
	pthread_t a, b;
	char *line, *end;
	int n = 0;

	pthread_create(&a, NULL, log_1000, a_name);
	pthread_create(&b, NULL, log_1000, b_name);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	for (line = logged(); (end = strchr(line, '\n')) != NULL;
	    line = end + 1, n++) {
		*end = '\0';
		cr_assert(strstr(line, " event=aaaa n=") != NULL ||
		    strstr(line, " event=bbbb n=") != NULL, "%s", line);
	}
	cr_expect_eq(n, 2000);
}
