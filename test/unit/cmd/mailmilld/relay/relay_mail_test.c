#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/relay/relay_int.h"
#include "core/spool/spool_folder.h"
#include "test/unit/core/queue/queue_fixture.h"

enum { SEGMENT = 1, BODY = 2 };

static struct qf f;
static struct qf_segment s;
static struct spool_sources *sources;

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
}

static void
teardown(void)
{
	spool_sources_free(sources);
	spool_segment_close(&s.file);
	qf_free(&f);
}

TestSuite(relay_mail, .init = setup, .fini = teardown);

static struct job
job_of(uint64_t offset, uint32_t rcpt)
{
	return (struct job){ .job = 100 + rcpt, .source = SEGMENT,
		.body_source = BODY, .offset = offset, .origin.rcpt = rcpt };
}

/* Read all of ${m} in pieces of ${size}; the octets, or -1. */
static ssize_t
read_all(struct relay_mail *m, char *out, size_t size)
{
	uint64_t at = 0;
	ssize_t n;

	while ((n = relay_mail_read(m, sources, at, out + at, size)) > 0)
		at += (uint64_t)n;
	return n == 0 ? (ssize_t)at : -1;
}

Test(relay_mail, has_the_recipients_of_its_jobs_and_what_is_said_of_them)
{
	static const uint8_t notify[3] = { SPOOL_NOTIFY_NEVER, 0,
		SPOOL_NOTIFY_DELAY };
	static const char *const orcpts[3] = { NULL, "rfc822;b@x.test", NULL };
	const struct spool_envelope said = { .flags = SPOOL_ENV_8BITMIME,
		.envid = "env", .notify = notify, .orcpts = orcpts,
		.deliver_by = 1800000000, .priority = -3 };
	uint64_t offset = qf_append_said(&s, QF_ID(1), &said);
	struct job job = job_of(offset, 2);
	struct relay_mail *m = relay_mail_new(&job, 1);

	cr_assert_not_null(m);
	job = job_of(offset, 1);
	cr_assert(relay_mail_is_of(m, &job, 1));
	cr_assert_not(relay_mail_is_of(m, &job, 2));
	cr_assert_eq(relay_mail_add(m, &job), 0);
	cr_assert_eq(relay_mail_load(m, sources, NULL), 0);
	cr_assert_eq(m->env.nrcpts, 2);
	/* in the order of the envelope, and so are the jobs */
	cr_expect_str_eq(m->env.rcpts[0], qf_three[1]);
	cr_expect_str_eq(m->env.rcpts[1], qf_three[2]);
	cr_expect_eq(m->jobs[0].job, 101);
	cr_expect_eq(m->env.notify[0], 0);
	cr_expect_eq(m->env.notify[1], SPOOL_NOTIFY_DELAY);
	cr_expect_str_eq(m->env.orcpts[0], orcpts[1]);
	cr_expect_null(m->env.orcpts[1]);
	cr_expect_str_eq(m->env.envid, "env");
	cr_expect_eq(m->env.deliver_by, 1800000000);
	cr_expect_eq(m->env.priority, -3);
	cr_expect_eq(m->env.flags, SPOOL_ENV_8BITMIME);
	relay_mail_free(m);
}

Test(relay_mail, postmaster_is_that_of_our_domain)
{
	static const char *const rcpt = "postmaster";
	uint64_t offset = qf_append(&s, QF_ID(1), "", &rcpt, 1, "x\r\n");
	struct job job = job_of(offset, 0);
	struct relay_mail *m = relay_mail_new(&job, 1);

	cr_assert_eq(relay_mail_load(m, sources, "a.test"), 0);
	cr_expect_str_eq(m->env.rcpts[0], "postmaster@a.test");
	cr_expect_str_eq(m->env.sender, "");
	relay_mail_free(m);
}

Test(relay_mail, recipients_that_the_envelope_does_not_have_are_refused)
{
	uint64_t offset = qf_mail(&s, QF_ID(1));
	struct job job = job_of(offset, 1);
	struct relay_mail *m = relay_mail_new(&job, 1);

	cr_expect_eq(relay_mail_load(m, sources, NULL), -1);
	cr_expect_eq(errno, EBADMSG);
	relay_mail_free(m);
	/* nor one twice */
	job = job_of(offset, 0);
	m = relay_mail_new(&job, 1);
	cr_assert_eq(relay_mail_add(m, &job), 0);
	cr_expect_eq(relay_mail_load(m, sources, NULL), -1);
	cr_expect_eq(errno, EBADMSG);
	relay_mail_free(m);
	spool_sources_drop(sources, SEGMENT);
	m = relay_mail_new(&job, 1);
	cr_expect_eq(relay_mail_load(m, sources, NULL), -1);
	cr_expect_eq(errno, ESTALE);
	relay_mail_free(m);
}

Test(relay_mail, a_body_is_read_in_pieces_also_an_empty_one)
{
	static const char *const bodies[] = { "", "x\r\n",
		"Subject: x\r\n\r\nand so on\r\n" };
	char out[100];
	struct relay_mail *m;
	struct job job;
	size_t i, size;

	for (i = 0; i < 3; i++) {
		job = job_of(qf_append(&s, QF_ID(i), "a@b.test", qf_three, 3,
		    bodies[i]), 0);
		for (size = 1; size < 100; size += 13) {
			m = relay_mail_new(&job, 1);
			cr_assert_eq(relay_mail_load(m, sources, NULL), 0);
			cr_expect_eq(read_all(m, out, size),
			    (ssize_t)strlen(bodies[i]));
			cr_expect_eq(memcmp(out, bodies[i],
			    strlen(bodies[i])), 0);
			relay_mail_free(m);
		}
	}
}

/* Wherever it is damaged, its last octets are not given. */
Test(relay_mail, a_damaged_body_is_never_whole)
{
	char body[10000], out[10000], name[SPOOL_NAME];
	struct relay_mail *m;
	struct job job;
	size_t at;
	int fd;

	memset(body, 'b', sizeof(body));
	job = job_of(qf_large(&f, &s, QF_ID(1), body, sizeof(body)), 0);
	spool_body_name(QF_ID(1), name);
	cr_assert_neq(fd = openat(f.incoming, name, O_RDWR), -1);
	cr_assert_eq(spool_sources_add(sources, BODY, fd), 0);
	for (at = 0; at <= sizeof(body); at += 2500) {
		/* the last time there is no damage */
		cr_assert_eq(pwrite(fd, at < sizeof(body) ? "X" : "b", 1,
		    (off_t)(at < sizeof(body) ? at : 0)), 1);
		m = relay_mail_new(&job, 1);
		cr_assert_eq(relay_mail_load(m, sources, NULL), 0);
		errno = 0;
		if (at < sizeof(body)) {
			cr_expect_eq(read_all(m, out, 4096), -1, "%zu", at);
			cr_expect_eq(errno, EBADMSG);
			cr_assert_eq(pwrite(fd, "b", 1, (off_t)at), 1);
		} else
			cr_expect_eq(read_all(m, out, 4096),
			    (ssize_t)sizeof(body));
		relay_mail_free(m);
	}
	/* cut short */
	cr_assert_eq(ftruncate(fd, 9999), 0);
	m = relay_mail_new(&job, 1);
	cr_assert_eq(relay_mail_load(m, sources, NULL), 0);
	cr_expect_eq(read_all(m, out, 4096), -1);
	cr_expect_eq(errno, EBADMSG);
	relay_mail_free(m);
}

Test(relay_mail, what_is_to_be_sent_again_is_a_mail_of_its_own)
{
	uint64_t offset = qf_append(&s, QF_ID(1), "a@b.test", qf_three, 3,
	    "x\r\n");
	struct job job = job_of(offset, 0);
	struct relay_mail *m = relay_mail_new(&job, 5), *again;
	uint32_t i;

	for (i = 1; i < 3; i++) {
		job = job_of(offset, i);
		cr_assert_eq(relay_mail_add(m, &job), 0);
	}
	cr_assert_eq(relay_mail_load(m, sources, NULL), 0);
	cr_expect_null(relay_mail_again(m));
	m->is_again[0] = m->is_again[2] = true;
	m->ntries = 1;
	again = relay_mail_again(m);
	cr_assert_not_null(again);
	cr_expect_eq(again->njobs, 2);
	cr_expect_eq(again->jobs[0].job, 100);
	cr_expect_eq(again->jobs[1].job, 102);
	cr_expect_eq(again->ntries, 1);
	cr_expect_not(m->is_again[0] || m->is_again[2]);
	relay_mail_free(again);
	relay_mail_free(m);
}
