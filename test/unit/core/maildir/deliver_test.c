#include "core/maildir/deliver.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "test/unit/core/maildir/deliver_fixture.h"

TestSuite(deliver, .init = df_setup, .fini = df_teardown);

Test(deliver, a_message_arrives_byte_for_byte_behind_return_path)
{
	static const char body[] = "Subject: x\r\n\r\n.dot\r\n\x80\xff\r\n";
	char name[256], text[512], want[512];
	uint64_t job;

	job = df_job(df_mail(ID, "Joe@Example.Test", body), 0, false);
	df_all();
	cr_assert(x.is_done[job]);
	cr_assert_eq(x.errnum[job], 0, "%s", x.text[job]);
	cr_assert_eq(
	    df_files("example.test/joe/new", name, text, sizeof(text)), 1);
	snprintf(want, sizeof(want), "Return-Path: <s@b.test>\r\n%s", body);
	cr_assert_str_eq(text, want);
	cr_assert_eq(strncmp(name, "1700000000.", 11), 0, "%s", name);
	cr_assert_not_null(strstr(name, "R0S0000000000001001G1N"));
	cr_assert_not_null(strstr(name, ".mx.test,S="));
	cr_assert_eq(strtoul(strstr(name, ",S=") + 3, NULL, 10), strlen(want));
	cr_assert_eq(df_count("example.test/joe/tmp"), 0);
}

/* The message has what the setting adds, and its name the sizes. */
static void
added(bool is_lf, const char *want, const char *sizes)
{
	char name[256], text[512];
	uint64_t job;

	df_run("rm -rf example.test");
	x.is_lf = is_lf;
	job = df_job(qf_append_said(&x.s, ID, &(struct spool_envelope){
	    .rcpts = (const char *const []){ "b@example.test",
	    "Joe@Example.Test" }, .nrcpts = 2,
	    .orcpts = (const char *const []){ NULL,
	    "RFC822;team\x80@x.test" } }), 1, false);
	df_all();
	cr_assert_eq(x.errnum[job], 0, "%s", x.text[job]);
	cr_assert_eq(
	    df_files("example.test/joe/new", name, text, sizeof(text)), 1);
	cr_assert_str_eq(text, want, "%s", text);
	cr_assert_str_eq(strstr(name, ",S="), sizes, "%s", name);
}

Test(deliver, the_header_has_the_recipient_and_the_name_the_size_with_crlf)
{
	x.adds = DELIVER_TO | DELIVER_ORIGINAL | DELIVER_VIRTUAL_SIZE;
	added(false, "Return-Path: <a@b.test>\r\n"
	    "X-Original-To: team?@x.test\r\n"
	    "Delivered-To: Joe@Example.Test\r\n"
	    "Subject: x\r\n\r\nhello\r\n", ",S=107,W=107");
	added(true, "Return-Path: <a@b.test>\nX-Original-To: team?@x.test\n"
	    "Delivered-To: Joe@Example.Test\nSubject: x\n\nhello\n",
	    ",S=101,W=107");
	x.adds = DELIVER_TO;
	added(false, "Return-Path: <a@b.test>\r\n"
	    "Delivered-To: Joe@Example.Test\r\n"
	    "Subject: x\r\n\r\nhello\r\n", ",S=78");
}

/* The settings were others before: what was delivered is not delivered again. */
Test(deliver, a_message_with_other_header_lines_is_found)
{
	uint64_t offset = df_mail(ID, "a@d", "1\r\n"), job;

	df_job(offset, 0, false);
	df_all();
	x.adds = DELIVER_TO | DELIVER_ORIGINAL;
	job = df_job(offset, 0, true);
	df_all();
	cr_expect_eq(x.errnum[job], 0, "%s", x.text[job]);
	cr_expect_eq(df_count("d/a/new"), 1);
}

Test(deliver, a_file_has_the_mode_of_the_setting)
{
	char name[256], path[512];
	struct stat st;
	mode_t mask;

	x.mode = 0660;
	mask = umask(077);
	df_job(df_mail(ID, "a@d", "1\r\n"), 0, false);
	df_all();
	umask(mask);
	cr_assert_eq(df_files("d/a/new", name, NULL, 0), 1);
	snprintf(path, sizeof(path), "%s/d/a/new/%s", x.mail, name);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0660);
}

Test(deliver, done_is_said_only_after_a_flush_that_follows_the_rename)
{
	uint64_t first, second;

	first = df_job(df_mail(ID, "a@d", "1"), 0, false);
	deliver_run(x.d, &x.now);
	cr_assert_eq(x.nsyncs, 1);
	cr_assert_eq(df_count("d/a/new"), 1);
	cr_assert_eq(x.ndone, 0);
	cr_assert_eq(deliver_unflushed(x.d), 1);
	second = df_job(df_mail(ID + 4096, "a@d", "2"), 0, false);
	deliver_run(x.d, &x.now);
	cr_assert_eq(x.nsyncs, 2, "one flush for both");
	cr_assert(x.is_done[first]);
	cr_assert_not(x.is_done[second]);
	deliver_flush(x.d);
	cr_assert_eq(x.nsyncs, 3);
	cr_assert(x.is_done[second]);
	deliver_flush(x.d);
	cr_assert_eq(x.nsyncs, 3);
}

Test(deliver, one_flush_serves_a_whole_batch)
{
	char rcpt[32];
	size_t i;

	for (i = 0; i < 400; i++) {
		snprintf(rcpt, sizeof(rcpt), "u%zu@d", i % 37);
		df_job(df_mail(ID + i * 4096, rcpt, "body"), 0, false);
	}
	deliver_run(x.d, &x.now);
	cr_assert_eq(x.nsyncs, 1);
	deliver_flush(x.d);
	cr_assert_eq(x.ndone, 400);
	cr_assert_eq(df_count("d/u0/new"), 11);
}

Test(deliver, more_maildirs_than_are_kept_open_are_served)
{
	char rcpt[32];
	size_t i;

	for (i = 0; i < 600; i++) {
		snprintf(rcpt, sizeof(rcpt), "u%zu@d", i);
		df_job(df_mail(ID + i * 4096, rcpt, "body"), 0, false);
	}
	df_all();
	cr_assert_eq(x.ndone, 600);
	for (i = 0; i < 600; i++)
		cr_assert_eq(x.errnum[i], 0, "%s", x.text[i]);
}

Test(deliver, a_flush_that_fails_publishes_nothing)
{
	uint64_t job = df_job(df_mail(ID, "a@d", "1"), 0, false);

	x.sync_errno = EIO;
	deliver_run(x.d, &x.now);
	cr_assert(x.is_done[job]);
	cr_assert_eq(x.errnum[job], EIO);
	cr_assert_eq(df_count("d/a/new"), 0);
	cr_assert_eq(df_count("d/a/tmp"), 0);
}

Test(deliver, a_batch_whose_queue_has_gone_is_not_published)
{
	(void)df_job(df_mail(ID, "a@d", "1"), 0, false);
	x.is_left = true;
	deliver_run(x.d, &x.now);
	cr_assert_eq(x.nsyncs, 1);
	cr_assert_eq(df_count("d/a/new"), 0);
	cr_assert_eq(df_count("d/a/tmp"), 0);
}

Test(deliver, a_rename_that_may_not_be_durable_is_not_reported_as_done)
{
	uint64_t offset = df_mail(ID, "a@d", "1");
	uint64_t job = df_job(offset, 0, false);

	deliver_run(x.d, &x.now);
	x.sync_errno = EIO;
	deliver_flush(x.d);
	cr_assert_eq(x.errnum[job], EIO);
	/* and the next attempt finds what there is */
	x.sync_errno = 0;
	job = df_job(offset, 0, true);
	deliver_run(x.d, &x.now);
	cr_assert_not(x.is_done[job], "it is not flushed yet");
	deliver_flush(x.d);
	cr_assert(x.is_done[job]);
	cr_assert_eq(x.errnum[job], 0);
	cr_assert_eq(df_count("d/a/new"), 1);
}

Test(deliver, a_repeated_job_finds_what_was_delivered_wherever_it_is_now)
{
	char cmd[800], name[256];
	uint64_t offset = df_mail(ID, "a@d", "1"), job;

	df_job(offset, 0, false);
	df_all();
	df_job(offset, 0, true);
	df_all();
	cr_assert_eq(df_count("d/a/new"), 1);
	df_files("d/a/new", name, NULL, 0);
	snprintf(cmd, sizeof(cmd), "cd %s/d/a && mv new/%s cur/%s:2,S", x.mail,
	    name, name);
	cr_assert_eq(system(cmd), 0);
	job = df_job(offset, 0, true);
	df_all();
	cr_assert_eq(x.errnum[job], 0);
	cr_assert_eq(df_count("d/a/new"), 0);
	cr_assert_eq(df_count("d/a/cur"), 1);
}

Test(deliver, a_repeated_job_that_was_not_delivered_is_delivered)
{
	uint64_t a = df_mail(ID, "a@d", "1");
	uint64_t b = df_mail(ID + 4096, "a@d", "2");

	df_job(a, 0, false);
	df_all();
	df_job(b, 0, true);
	df_job(a, 0, true);
	df_all();
	cr_assert_eq(x.ndone, 3);
	cr_assert_eq(df_count("d/a/new"), 2);
}

Test(deliver, a_file_of_the_same_name_but_another_size_is_not_overwritten)
{
	char cmd[800], name[256], text[64];
	uint64_t offset = df_mail(ID, "a@d", "1"), job;
	int repeated;

	df_job(offset, 0, false);
	df_all();
	df_files("d/a/new", name, NULL, 0);
	snprintf(cmd, sizeof(cmd), "echo other > %s/d/a/new/%s", x.mail, name);
	cr_assert_eq(system(cmd), 0);
	for (repeated = 0; repeated < 2; repeated++) {
		job = df_job(offset, 0, repeated == 1);
		df_all();
		cr_assert_eq(x.errnum[job], EEXIST);
		cr_assert_neq(x.text[job][0], '\0');
		cr_assert_eq(df_files("d/a/new", NULL, text, sizeof(text)), 1);
		cr_assert_str_eq(text, "other\n");
		cr_assert_eq(df_count("d/a/tmp"), 0);
	}
}

Test(deliver, two_agents_with_the_same_job_deliver_once)
{
	uint64_t offset = df_mail(ID, "a@d", "1"), job;

	df_job(offset, 0, false);
	df_all();
	/* this one has not looked: it meets the other at the rename */
	job = df_job(offset, 0, false);
	df_all();
	cr_assert_eq(x.errnum[job], 0);
	cr_assert_eq(df_count("d/a/new"), 1);
}

Test(deliver, hostile_recipients_fail_and_touch_nothing)
{
	static const char *const rcpts[] = {"../x@d", "a/b@d", ".@d", "..@d",
	    "x@..", "x@../../etc", "x@", "noat", "@d"};
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(rcpts) / sizeof(rcpts[0]); i++) {
		uint64_t job =
		    df_job(df_mail(ID + i * 4096, rcpts[i], "1"), 0, false);

		df_all();
		cr_assert_eq(x.errnum[job], EINVAL, "%s", rcpts[i]);
		cr_assert_neq(x.text[job][0], '\0');
	}
	cr_assert_eq(stat(x.mail, &st), 0);
	cr_assert_eq(st.st_nlink, 2, "nothing was made");
	cr_assert_eq(x.nsyncs, 0);
}

Test(deliver, jobs_that_name_nothing_fail)
{
	uint64_t offset = df_mail(ID, "a@d", "1");
	struct job job = { .job = 100, .source = 999,
		.offset = offset };
	uint64_t past, middle, rcpt;

	cr_assert_eq(deliver_add(x.d, &job), 0);
	past = df_job(1ULL << 60, 0, false);
	middle = df_job(offset + 64, 0, true);
	rcpt = df_job(offset, 7, false);
	df_all();
	cr_assert_eq(x.errnum[100], ESTALE);
	cr_assert_neq(x.errnum[past], 0);
	cr_assert_eq(x.errnum[middle], EBADMSG);
	cr_assert_eq(x.errnum[rcpt], EBADMSG);
	cr_assert_eq(x.ndone, 4);
}

Test(deliver, a_damaged_body_is_not_delivered)
{
	uint64_t job = df_job(df_mail(ID, "a@d", "0123456789"), 0, false);

	cr_assert_eq(
	    pwrite(x.s.file.fd, "XXXXXXXXXXXXXXXX", 16, (off_t)x.s.end - 70),
	    16);
	df_all();
	cr_assert_neq(x.errnum[job], 0);
	cr_assert_eq(df_count("d/a/new"), 0);
	cr_assert_eq(df_count("d/a/tmp"), 0);
}

Test(deliver, a_recipient_without_a_domain_section_waits)
{
	uint64_t job = df_job(df_mail(ID, "a@d", "1"), 0, false);

	x.has_route = false;
	df_all();
	cr_assert_eq(x.errnum[job], ENXIO);
	cr_assert_not_null(strstr(x.text[job], "a@d"));
}

Test(deliver, a_recipient_without_a_domain_gets_the_domain_of_its_route)
{
	uint64_t job = df_job(df_mail(ID, "postmaster", "1"), 0, false);
	uint64_t other = df_job(df_mail(ID + 1, "alone", "1"), 0, false);

	df_all();
	cr_assert_eq(x.errnum[job], 0, "%s", x.text[job]);
	cr_assert_eq(df_count("d/postmaster/new"), 1);
	cr_assert_eq(x.errnum[other], EINVAL);
}

Test(deliver, a_missing_parent_folder_is_an_error_that_names_it)
{
	uint64_t job = df_job(df_mail(ID, "a@d", "1"), 0, false);

	snprintf(x.pattern, sizeof(x.pattern), "%s/gone/%%u", x.mail);
	df_all();
	cr_assert_eq(x.errnum[job], ENOENT);
	cr_assert_not_null(strstr(x.text[job], "/gone/a"));
}

Test(deliver, a_maildir_that_was_moved_away_is_made_again)
{
	char cmd[300];

	df_job(df_mail(ID, "a@d", "1"), 0, false);
	df_all();
	snprintf(cmd, sizeof(cmd), "rm -rf %s/d/a", x.mail);
	cr_assert_eq(system(cmd), 0);
	df_job(df_mail(ID + 4096, "a@d", "2"), 0, false);
	df_all();
	cr_assert_eq(df_count("d/a/new"), 1);
	snprintf(cmd, sizeof(cmd), "mv %s/d/a %s/d/b", x.mail, x.mail);
	cr_assert_eq(system(cmd), 0);
	x.now.tv_sec += 5;
	df_job(df_mail(ID + 8192, "a@d", "3"), 0, false);
	df_all();
	cr_assert_eq(x.ndone, 3);
	cr_assert_eq(df_count("d/a/new"), 1);
	cr_assert_eq(df_count("d/b/new"), 1);
}

Test(deliver, newline_lf_changes_crlf_and_nothing_else)
{
	char text[256], name[256];
	uint64_t offset;

	x.is_lf = true;
	offset = df_mail(ID, "a@d", "a\r\n\r\nb\rc\n\r\r\n\r");
	df_job(offset, 0, false);
	df_all();
	cr_assert_eq(df_files("d/a/new", name, text, sizeof(text)), 1);
	cr_assert_str_eq(text, "Return-Path: <s@b.test>\na\n\nb\rc\n\r\n\r");
	cr_assert_eq(strtoul(strstr(name, ",S=") + 3, NULL, 10),
	    strlen(text));
	df_job(offset, 0, true);
	df_all();
	cr_assert_eq(df_count("d/a/new"), 1);
}

/* RFC 3030 3: what looks like CRLF in BODY=BINARYMIME may be anything. */
Test(deliver, newline_lf_changes_nothing_in_a_message_of_binarymime)
{
	static const char body[] = "A: b\r\n\r\n\x89PNG\r\n\x1a\n\r";
	char text[256], name[256];
	uint64_t offset;

	x.is_lf = true;
	x.s.env_flags = SPOOL_ENV_BINARYMIME;
	offset = df_mail(ID, "a@d", body);
	df_job(offset, 0, false);
	df_all();
	cr_assert_eq(df_files("d/a/new", name, text, sizeof(text)), 1);
	cr_assert_str_eq(text, "Return-Path: <s@b.test>\r\nA: b\r\n\r\n"
	    "\x89PNG\r\n\x1a\n\r");
	cr_assert_eq(strtoul(strstr(name, ",S=") + 3, NULL, 10),
	    strlen(text));
	df_job(offset, 0, true);
	df_all();
	cr_assert_eq(df_count("d/a/new"), 1);
	/* text, as 8BITMIME is */
	x.s.env_flags = SPOOL_ENV_8BITMIME;
	df_job(df_mail(ID + 4096, "b@d", body), 0, false);
	df_all();
	cr_assert_eq(df_files("d/b/new", name, text, sizeof(text)), 1);
	cr_assert_str_eq(text, "Return-Path: <s@b.test>\nA: b\n\n"
	    "\x89PNG\n\x1a\n\r");
}

/* Content of the only file in new/ against ${want} */
static void
expect_file(const char *folder, const char *want, size_t len)
{
	char name[256], path[600], *got = malloc(len + 2);
	int fd;

	cr_assert_not_null(got);
	cr_assert_eq(df_files(folder, name, NULL, 0), 1);
	snprintf(path, sizeof(path), "%s/%s/%s", x.mail, folder, name);
	fd = open(path, O_RDONLY);
	cr_assert_eq(read(fd, got, len + 2), (ssize_t)len);
	cr_assert_eq(memcmp(got, want, len), 0);
	close(fd);
	free(got);
}

/* Deliver the recipient of the record at ${offset}, as accepted in
 * ${generation} of the segment. */
static uint64_t
deliver_as(uint64_t offset, uint64_t generation, bool is_repeated)
{
	struct job job = { .job = x.next_job++, .source = SOURCE,
		.offset = offset, .is_repeated = is_repeated,
		.origin = { .segment = QF_SEGMENT(1),
		    .generation = generation, .seq = 1 } };

	cr_assert_eq(deliver_add(x.d, &job), 0);
	df_all();
	cr_assert_eq(x.errnum[job.job], 0, "%s", x.text[job.job]);
	return job.job;
}

/* A worker that has been taken over gives its record the id, the time, the
 * recipient and the size of another message. */
Test(deliver, a_file_is_known_by_where_its_message_was_accepted)
{
	uint64_t victim = df_mail(ID, "joe@example.test", "victim\r\n");
	uint64_t forged = df_mail(ID, "joe@example.test", "forged\r\n");
	char id[SPOOL_ID_TEXT + 1], name[256], want[256], text[256];
	int repeated;

	deliver_as(forged, 2, false);
	df_files("example.test/joe/new", name, NULL, 0);
	spool_id_text(ID, id);
	snprintf(want, sizeof(want), "1700000000.%sR0S%016llxG2N1.mx.test,S=",
	    id, (unsigned long long)QF_SEGMENT(1));
	cr_assert_eq(strncmp(name, want, strlen(want)), 0, "%s", name);
	for (repeated = 0; repeated < 3; repeated++) {
		deliver_as(victim, 1, repeated > 0);
		deliver_as(forged, 2, repeated > 0);
		cr_assert_eq(df_count("example.test/joe/new"), 2);
	}
	df_run("rm example.test/joe/new/*G2N1*");
	cr_assert_eq(df_files("example.test/joe/new", NULL, text,
	    sizeof(text)), 1);
	cr_assert_not_null(strstr(text, "victim"), "%s", text);
}

/* Or a repeated delivery, whose record has another id by now */
Test(deliver, a_file_is_found_under_another_id_and_time)
{
	uint64_t first = df_mail(ID, "joe@example.test", "1\r\n");
	uint64_t again = df_mail(ID + ((uint64_t)5000000 << 12),
	    "joe@example.test", "1\r\n");

	deliver_as(first, 1, false);
	df_run("mv example.test/joe/new/* example.test/joe/cur/");
	deliver_as(again, 1, true);
	cr_assert_eq(df_count("example.test/joe/new"), 0);
	cr_assert_eq(df_count("example.test/joe/cur"), 1);
}

/* As an earlier version has named it */
Test(deliver, what_was_deferred_by_an_earlier_version_has_its_name)
{
	uint64_t offset = df_mail(ID, "joe@example.test", "1\r\n");
	struct job job = { .job = x.next_job++, .source = SOURCE,
		.offset = offset, .origin.rcpt = 0, .is_repeated = true };
	char id[SPOOL_ID_TEXT + 1], name[256], want[256];
	int i;

	for (i = 0; i < 2; i++) {
		cr_assert_eq(deliver_add(x.d, &job), 0);
		df_all();
		cr_assert_eq(x.errnum[job.job], 0, "%s", x.text[job.job]);
		x.is_done[job.job] = false;
	}
	cr_assert_eq(df_files("example.test/joe/new", name, NULL, 0), 1);
	spool_id_text(ID, id);
	snprintf(want, sizeof(want), "1700000000.%sR0.mx.test,S=", id);
	cr_assert_eq(strncmp(name, want, strlen(want)), 0, "%s", name);
	/* it is not taken for the same record's that is accepted now */
	deliver_as(offset, 1, true);
	cr_assert_eq(df_count("example.test/joe/new"), 2);
}

Test(deliver, a_large_body_comes_from_its_own_file)
{
	static const char head[] = "Return-Path: <a@b.test>\r\n";
	size_t octets = 1000003, i, n = 0, lf = sizeof(head) - 2;
	struct job job = { .job = 0, .source = SOURCE,
		.body_source = 9 };
	char *body = malloc(octets + sizeof(head)), name[SPOOL_NAME];
	char *p = body + sizeof(head) - 1;

	memcpy(body, head, sizeof(head) - 1);
	for (i = 0; i < octets; i++)
		p[i] = i % 61 == 59 ? '\r' : i % 61 == 60 ? '\n' :
		    (char)('a' + i % 26);
	job.offset = qf_large(&x.f, &x.s, ID, p, octets);
	spool_body_name(ID, name);
	cr_assert_eq(
	    deliver_source(x.d, 9, openat(x.f.incoming, name, O_RDONLY)), 0);
	cr_assert_eq(deliver_add(x.d, &job), 0);
	df_all();
	cr_assert_eq(x.errnum[0], 0, "%s", x.text[0]);
	expect_file("example.test/joe/new", body, octets + sizeof(head) - 1);
	/* and with LF, elsewhere */
	x.is_lf = true;
	snprintf(x.pattern, sizeof(x.pattern), "%s/lf", x.mail);
	job.job = 1;
	cr_assert_eq(deliver_add(x.d, &job), 0);
	df_all();
	body[lf - 1] = '\n';
	for (i = 0; i < octets; i++)
		if (p[i] != '\r' || i + 1 == octets)
			body[lf + n++] = p[i];
	expect_file("lf/new", body, lf + n);
	free(body);
}

Test(deliver, a_large_body_that_is_damaged_is_not_delivered)
{
	struct job job = {.job = 0, .source = SOURCE, .body_source = 9};
	char name[SPOOL_NAME];
	char body[5000];
	int fd;

	memset(body, 'b', sizeof(body));
	job.offset = qf_large(&x.f, &x.s, ID, body, sizeof(body));
	spool_body_name(ID, name);
	fd = openat(x.f.incoming, name, O_RDWR);
	cr_assert_eq(pwrite(fd, "X", 1, 4000), 1);
	cr_assert_eq(deliver_source(x.d, 9, fd), 0);
	cr_assert_eq(deliver_add(x.d, &job), 0);
	df_all();
	cr_assert_eq(x.errnum[0], EBADMSG);
	cr_assert_eq(df_count("example.test/joe/new"), 0);
	cr_assert_eq(df_count("example.test/joe/tmp"), 0);
}

Test(deliver, a_batch_is_bounded_in_octets)
{
	size_t octets = 200000, i;
	char *body = calloc(1, octets + 1);
	uint64_t offset;

	memset(body, 'x', octets);
	offset = df_mail(ID, "a@d", body);
	for (i = 0; i < 100; i++)
		df_job(offset, 0, i > 0);
	deliver_run(x.d, &x.now);
	/* the same record again and again: all find the first */
	while (deliver_waiting(x.d) > 0)
		deliver_run(x.d, &x.now);
	deliver_flush(x.d);
	cr_assert_gt(x.nsyncs, 2);
	cr_assert_eq(x.ndone, 100);
	cr_assert_eq(df_count("d/a/new"), 1);
	free(body);
}

Test(deliver, a_source_is_known_once)
{
	int fd = fcntl(x.s.file.fd, F_DUPFD_CLOEXEC, 0);

	cr_assert_eq(deliver_source(x.d, SOURCE, fd), -1);
	cr_assert_eq(errno, EEXIST);
	close(fd);
	deliver_forget(x.d, 4711);
}
