#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/pipe/pipe_int.h"
#include "core/spool/spool_folder.h"
#include "test/unit/cmd/settings/load.h"
#include "test/unit/core/queue/queue_fixture.h"

enum { SEGMENT = 1, BODY = 2 };

static struct qf f;
static struct qf_segment s;
static struct spool_sources *sources;
static struct settings *settings;

#define PIPE	"Delivery = pipe Pipe_User = \"list\" Command = \"/bin/cat\" "

static void
setup(void)
{
	struct spool_header header;

	qf_init(&f);
	qf_segment(&f, &s, 1);
	sources = spool_sources_new();
	cr_assert_not_null(sources);
	cr_assert_eq(spool_sources_add(sources, SEGMENT,
	    spool_segment_open(f.incoming, QF_SEGMENT(1), &header)), 0);
	/* in the order of their names */
	settings = load_good_settings(
	    "ESMTP_Listener { Listen \"127.0.0.1:2525\" { } }\n"
	    "Domain \"a.test\" { " PIPE "}\n"
	    "Domain \"b.test\" { " PIPE "Pipe_Newline = crlf Pipe_Headers = "
	    "{ Delivered-To, From, X-Original-To, Return-Path } }\n"
	    "Domain \"c.test\" { " PIPE "Pipe_Headers = none }\n");
}

static void
teardown(void)
{
	spool_sources_free(sources);
	spool_segment_close(&s.file);
	settings_free(settings);
	qf_free(&f);
}

TestSuite(pipe_mail, .init = setup, .fini = teardown);

static struct job
job_of(uint64_t offset, uint32_t rcpt)
{
	return (struct job){ .job = 100 + rcpt, .source = SEGMENT,
		.body_source = BODY, .offset = offset, .origin.rcpt = rcpt };
}

static struct pipe_mail *
load_mail(uint64_t offset, uint32_t rcpt)
{
	struct job job = job_of(offset, rcpt);
	struct pipe_mail *m = pipe_mail_new(&job, "x", 0, 1);

	cr_assert_not_null(m);
	cr_assert_eq(pipe_mail_load(m, sources, settings), 0);
	return m;
}

/* Read all of ${m} in pieces of ${size}; the octets, or -1. */
static ssize_t
read_all(struct pipe_mail *m, size_t domain, char *out, size_t size)
{
	bool is_end = false;
	size_t at = 0;
	ssize_t n;

	while (!is_end) {
		if ((n = pipe_mail_read(m, sources, &settings->domains[domain],
		    out + at, size, &is_end)) == -1)
			return -1;
		at += (size_t)n;
	}
	return (ssize_t)at;
}

/* Its header says that it was given to the same recipient; b.test adds that. */
Test(pipe_mail, what_comes_again_is_a_loop)
{
	static const struct { const char *header; int is_loop; } cases[] = {
		{ "Delivered-To: b@x.test\r\n\r\n", 1 },
		{ "a: b\r\ndelivered-to:B@X.Test \t\r\nc: d\r\n\r\n", 1 },
		{ "Delivered-To: b@x.test\n\n", 1 },
		{ "Delivered-To: b@x.test", 0 }, { "", 0 },
		{ "Delivered-To: b@x.tes\r\n\r\n", 0 },
		{ "Delivered-To: b@x.test.x\r\n\r\n", 0 },
		{ "Delivered-To: a@x.test\r\n\r\n", 0 },
		{ "Delivered-To:\r\n\r\n", 0 }, { "Delivered-To\r\n", 0 },
		{ "X-Delivered-To: b@x.test\r\n\r\n", 0 },
		{ "a: b\r\n\r\nDelivered-To: b@x.test\r\n", 0 },
		{ "a: b\n\nDelivered-To: b@x.test\r\n", 0 },
	};
	struct pipe_mail *m;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m = load_mail(qf_append(&s, QF_ID(i), "a@b.test", qf_three, 3,
		    cases[i].header), 1);
		cr_expect_eq(pipe_mail_is_loop(m, sources,
		    &settings->domains[1]), cases[i].is_loop, "%s",
		    cases[i].header);
		cr_expect_eq(pipe_mail_is_loop(m, sources,
		    &settings->domains[0]), 0);
		pipe_mail_free(m);
	}
}

/* Wherever the pieces end. */
Test(pipe_mail, a_line_ends_with_lf_unless_it_is_to_end_with_crlf)
{
	static const struct { const char *body, *lf; } cases[] = {
		{ "", "" }, { "x\r\n", "x\n" }, { "\r\n\r\n", "\n\n" },
		{ "a\r\nb\r\n", "a\nb\n" }, { "a\rb\r\r\nc\r", "a\rb\r\nc\r" },
		{ "\r", "\r" }, { "\r\r", "\r\r" }, { "a\nb", "a\nb" },
		{ "Subject: x\r\n\r\nand so on\r\n", "Subject: x\n\nand so on\n" },
	};
	char out[200];
	struct pipe_mail *m;
	uint64_t offset;
	ssize_t n;
	size_t i, size, domain;
	const char *want;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		offset = qf_append(&s, QF_ID(i), "a@b.test", qf_three, 3,
		    cases[i].body);
		for (size = 2; size < 40; size++)
			for (domain = 0; domain < 2; domain++) {
				want = domain == 0 ? cases[i].lf :
				    cases[i].body;
				m = load_mail(offset, 0);
				n = read_all(m, domain, out, size);
				cr_expect_eq(n, (ssize_t)strlen(want),
				    "%zu in %zu: %zd", i, size, n);
				cr_expect_eq(memcmp(out, want, strlen(want)), 0,
				    "%zu in %zu", i, size);
				pipe_mail_free(m);
			}
	}
}

Test(pipe_mail, a_binary_message_keeps_its_octets)
{
	const struct spool_envelope said = { .flags = SPOOL_ENV_BINARYMIME };
	uint64_t offset = qf_append_said(&s, QF_ID(1), &said);
	struct pipe_mail *m = load_mail(offset, 0);
	char binary[1000], crlf[1000];
	ssize_t n = read_all(m, 0, binary, 100);

	pipe_mail_free(m);
	m = load_mail(offset, 0);
	cr_expect_eq(read_all(m, 1, crlf, 100), n);
	cr_expect_gt(n, 0);
	cr_expect_not_null(memmem(binary, (size_t)n, "\r\n", 2));
	cr_expect_eq(memcmp(binary, crlf, (size_t)n), 0);
	pipe_mail_free(m);
}

/* Wherever it is damaged, its last octets are not given. */
Test(pipe_mail, a_damaged_message_is_never_whole)
{
	char body[10000], out[20000], name[SPOOL_NAME];
	struct pipe_mail *m;
	uint64_t offset;
	size_t at;
	int fd;

	memset(body, 'b', sizeof(body));
	offset = qf_large(&f, &s, QF_ID(1), body, sizeof(body));
	spool_body_name(QF_ID(1), name);
	cr_assert_neq(fd = openat(f.incoming, name, O_RDWR), -1);
	cr_assert_eq(spool_sources_add(sources, BODY, fd), 0);
	for (at = 0; at < sizeof(body); at += 2500) {
		cr_assert_eq(pwrite(fd, "X", 1, (off_t)at), 1);
		m = load_mail(offset, 0);
		errno = 0;
		cr_expect_eq(read_all(m, 0, out, 4096), -1, "%zu", at);
		cr_expect_eq(errno, EBADMSG);
		cr_assert_eq(pwrite(fd, "b", 1, (off_t)at), 1);
		pipe_mail_free(m);
	}
	m = load_mail(offset, 0);
	cr_expect_eq(read_all(m, 0, out, 4096), (ssize_t)sizeof(body));
	pipe_mail_free(m);
	cr_assert_eq(ftruncate(fd, 9999), 0);
	m = load_mail(offset, 0);
	cr_expect_eq(read_all(m, 0, out, 4096), -1);
	cr_expect_eq(errno, EBADMSG);
	pipe_mail_free(m);
}

Test(pipe_mail, lines_before_the_message)
{
	uint64_t offset = qf_append(&s, QF_ID(1), "a@b.test", qf_three, 3, "");
	struct pipe_mail *m = load_mail(offset, 1);
	char head[PIPE_HEAD_MAX], want[500];

	setenv("TZ", "UTC", 1);
	head[pipe_mail_head(m, &settings->domains[0], 0, head,
	    sizeof(head))] = '\0';
	cr_expect_str_eq(head, "Return-Path: <a@b.test>\n");
	head[pipe_mail_head(m, &settings->domains[1], 86400, head,
	    sizeof(head))] = '\0';
	snprintf(want, sizeof(want), "From a@b.test Fri Jan  2 00:00:00 1970\r\n"
	    "Return-Path: <a@b.test>\r\nX-Original-To: %s\r\n"
	    "Delivered-To: %s\r\n", qf_three[1], qf_three[1]);
	cr_expect_str_eq(head, want);
	cr_expect_eq(pipe_mail_head(m, &settings->domains[2], 0, head,
	    sizeof(head)), 0);
	pipe_mail_free(m);
	m = load_mail(qf_append(&s, QF_ID(2), "", qf_three, 3, ""), 0);
	head[pipe_mail_head(m, &settings->domains[0], 0, head,
	    sizeof(head))] = '\0';
	cr_expect_str_eq(head, "Return-Path: <>\n");
	pipe_mail_free(m);
}

Test(pipe_mail, postmaster_is_that_of_our_domain)
{
	static const char *const rcpt = "postmaster";
	struct pipe_mail *m = load_mail(qf_append(&s, QF_ID(1), "", &rcpt, 1,
	    "x\r\n"), 0);

	cr_expect_str_eq(m->rcpts[0], "postmaster@a.test");
	pipe_mail_free(m);
}

Test(pipe_mail, a_recipient_that_the_envelope_does_not_have_is_refused)
{
	struct job job = job_of(qf_mail(&s, QF_ID(1)), 1);
	struct pipe_mail *m = pipe_mail_new(&job, "x", 0, 1);

	cr_expect_eq(pipe_mail_load(m, sources, settings), -1);
	cr_expect_eq(errno, EBADMSG);
	spool_sources_drop(sources, SEGMENT);
	cr_expect_eq(pipe_mail_load(m, sources, settings), -1);
	cr_expect_eq(errno, ESTALE);
	pipe_mail_free(m);
}

/* Only recipients of one message, one batch and one Domain section, none of them
 * twice, and as many as are allowed. */
Test(pipe_mail, recipients_for_one_program)
{
	struct job job = job_of(1000, 0), other;
	struct pipe_mail *m = pipe_mail_new(&job, "a@a.test", 4, 7);
	char address[20000];

	job = job_of(1000, 1);
	cr_expect_not(pipe_mail_add(m, &job, "b", 4, 7, 1));
	cr_expect_not(pipe_mail_add(m, &job, "b", 4, 8, 9));
	cr_expect_not(pipe_mail_add(m, &job, "b", 5, 7, 9));
	other = job_of(2000, 1);
	cr_expect_not(pipe_mail_add(m, &other, "b", 4, 7, 9));
	other = job_of(1000, 0);
	cr_expect_not(pipe_mail_add(m, &other, "b", 4, 7, 9));
	cr_expect(pipe_mail_add(m, &job, "b", 4, 7, 9));
	memset(address, 'a', sizeof(address));
	address[sizeof(address) - 1] = '\0';
	job = job_of(1000, 2);
	cr_expect(pipe_mail_add(m, &job, address, 4, 7, 9));
	job = job_of(1000, 3);
	cr_expect_not(pipe_mail_add(m, &job, address, 4, 7, 9));
	cr_expect_eq(m->njobs, 3);
	pipe_mail_free(m);
}
