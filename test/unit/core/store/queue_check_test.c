/* The store on disk: the files of deferred messages are looked at after the start, while
 * mail is delivered and deferred. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "core/store/queue_spool_int.h"
#include "test/unit/core/deferred/deferred_fixture.h"
#include "test/unit/core/queue/queue_fixture.h"

#define MANY	3000

QF_SUITE(queue_check);

static int
open_files(void)
{
	int fd = openat(f.folder, "deferred", O_RDONLY | O_DIRECTORY);

	cr_assert_neq(fd, -1);
	return fd;
}

/* MANY files that have no row; the queue is closed. */
static void
make_leftovers(void)
{
	int files = open_files(), fd, i;
	char name[SPOOL_ID_TEXT + 1];

	cr_assert_neq(fd = openat(files, "x", O_WRONLY | O_CREAT, 0600), -1);
	close(fd);
	for (i = 0; i < MANY; i++) {
		spool_id_text(QF_ID(100000 + i), name);
		cr_assert_eq(linkat(files, "x", files, name, 0), 0);
	}
	close(files);
}

static int
nleft(void)
{
	int files = open_files(), i, n = 0;
	char name[SPOOL_ID_TEXT + 1];

	for (i = 0; i < MANY; i++) {
		spool_id_text(QF_ID(100000 + i), name);
		n += faccessat(files, name, F_OK, 0) == 0;
	}
	close(files);
	return n;
}

Test(queue_check, new_mail_does_not_wait_for_it)
{
	int before, i;

	qf_close(&f);
	make_leftovers();
	qf_open(&f);
	cr_expect_geq(nleft(), MANY - 256);
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	queue_pass(f.q, &f.now, f.ms);
	cr_expect_eq(f.njobs, 1);
	for (i = 0; (before = nleft()) > 0; i++) {
		cr_assert_lt(i, 2 * MANY / QUEUE_CHECK_FILES);
		qf_pass(&f, QUEUE_CHECK_STEP_MS);
		cr_expect_leq(before - nleft(), 2 * QUEUE_CHECK_FILES);
	}
	cr_expect_gt(i, MANY / QUEUE_CHECK_FILES / 4);
	qf_finish(&f, 0);
	/* and that was all */
	qf_pass(&f, 1000);
	cr_expect_geq(queue_pass(f.q, &f.now, f.ms), 100);
}

/* Return how many passes of QUEUE_CHECK_STEP_MS it takes to look at all of them.  In
 * every ${nth} pass a message is delivered; 0: in none. */
static int
passes_with(int nth)
{
	int i;

	qf_close(&f);
	make_leftovers();
	qf_open(&f);
	qf_segment(&f, &s, 1);
	for (i = 0; nleft() > 0; i++) {
		cr_assert_lt(i, 10000);
		if (nth > 0 && i % nth == 0)
			qf_mail(&s, QF_ID(i + 1));
		qf_committed(&f, &s, false);
		qf_pass(&f, QUEUE_CHECK_STEP_MS);
		qf_finish(&f, 0);
	}
	return i;
}

/* Mail does not lose a part of the queue process to it, and it ends all the same. */
Test(queue_check, it_is_in_no_hurry_while_there_is_much_mail)
{
	int i = passes_with(1), least = MANY / QUEUE_CHECK_FILES *
	    (QUEUE_CHECK_BUSY_MS / QUEUE_CHECK_STEP_MS) / 2;

	cr_expect_geq(i, least, "%d", i);
	cr_expect_leq(i, 4 * least, "%d", i);
}

/* What is due counts as mail. */
Test(queue_check, nor_is_it_in_a_hurry_while_mail_is_due)
{
	int i, before, n = 0;

	qf_segment(&f, &s, 1);
	for (i = 0; i < 20; i++)
		qf_mail(&s, QF_ID(i + 1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	qf_close(&f);
	make_leftovers();
	f.now.tv_sec += 3600;
	qf_open(&f);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 20);
	for (i = 0; i < 20; i++) {
		before = nleft();
		qf_done(&f, f.agent, f.jobs[i].job.job, 0);
		qf_pass(&f, QUEUE_CHECK_STEP_MS);
		n += before - nleft() > 0;
	}
	cr_expect_leq(n, 20 * QUEUE_CHECK_STEP_MS / QUEUE_CHECK_BUSY_MS + 3, "%d", n);
}

Test(queue_check, without_mail_it_is_fast)
{
	int i = passes_with(0);

	cr_expect_leq(i, 2 * MANY / QUEUE_CHECK_FILES, "%d", i);
}

/* A server that has some mail all day long is not one that is busy. */
Test(queue_check, beside_little_mail_it_is_fast)
{
	int i = passes_with(10);

	cr_expect_leq(i, 2 * MANY / QUEUE_CHECK_FILES, "%d", i);
}

/* What a crash has made between the copy of a message and its row is a leftover, and
 * the message is tried again from its segment: it may fail before the check has come
 * to that file. */
Test(queue_check, a_copy_that_a_crash_has_left_is_used_again)
{
	static const char sql[] = "DELETE FROM deferred";
	char name[SPOOL_ID_TEXT + 1], cmd[256];
	int files;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	qf_close(&f);
	cr_assert_eq(ds_exec_in(f.path, sql), 0);
	snprintf(cmd, sizeof(cmd), "rm -f %s/ack.*", f.path);
	cr_assert_eq(system(cmd), 0);
	make_leftovers();
	qf_open(&f);
	qf_committed(&f, &s, false);
	queue_pass(f.q, &f.now, f.ms);
	cr_assert_eq(f.njobs, 1, "it is new again");
	qf_finish(&f, EACCES);
	queue_pass(f.q, &f.now, f.ms);
	cr_expect_gt(nleft(), 0, "the check goes on");
	qf_pass(&f, 2000);
	cr_expect_eq(nleft(), 0);
	files = open_files();
	spool_id_text(QF_ID(1), name);
	cr_expect_eq(faccessat(files, name, F_OK, 0), 0);
	close(files);
	qf_pass(&f, 60000);
	cr_expect_eq(f.njobs, 1, "once");
	qf_finish(&f, 0);
	qf_pass(&f, 100);
	cr_expect_eq(qf_listed(&f), 0);
}

/* The next process makes the database again. */
Test(queue_check, a_database_that_is_damaged_ends_the_queue)
{
	qf_close(&f);
	make_leftovers();
	qf_open(&f);
	ds_damage_in(f.path);
	cr_expect_eq(queue_pass(f.q, &f.now, f.ms), -1);
	cr_expect_eq(queue_pass(f.q, &f.now, f.ms), -1);
	cr_expect(qf_exists(&f, f.folder, "deferred.rebuild"));
	qf_close(&f);
	qf_open(&f);
	cr_expect_not(qf_exists(&f, f.folder, "deferred.rebuild"));
	qf_pass(&f, 100);
}

/* A deferred message is due, and an agent has it when the database is damaged. */
static void
damage_under_job(void)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 1);
	ds_damage_in(f.path);
}

/* Nothing could be written there, and no mail that is due be read, until somebody
 * restarts the server. */
Test(queue_check, damage_that_a_result_meets_ends_the_queue)
{
	damage_under_job();
	qf_finish(&f, EACCES);
	cr_expect_eq(queue_pass(f.q, &f.now, f.ms), -1);
	cr_expect(qf_exists(&f, f.folder, "deferred.rebuild"));
	cr_expect_not(qf_exists(&f, f.folder, "deferred.db"));
	qf_close(&f);
	qf_open(&f);
	cr_expect_not(qf_exists(&f, f.folder, "deferred.rebuild"));
	qf_pass(&f, 100);
	cr_expect_eq(f.njobs, 1, "it is tried again");
	qf_finish(&f, 0);
	qf_pass(&f, 100);
	cr_expect_eq(qf_listed(&f), 0);
}

Test(queue_check, damage_that_is_met_when_mail_is_due_ends_the_queue)
{
	int ms, due = 0;

	damage_under_job();
	queue_agent_gone(f.q, f.agent);
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, false);
	for (ms = 0; ms < 60000 && due != -1; ms += 1000) {
		f.now.tv_sec++;
		f.ms += 1000;
		due = queue_pass(f.q, &f.now, f.ms);
	}
	cr_expect_eq(due, -1);
}

/* It is not the message that is damaged: it stays in its segment. */
Test(queue_check, damage_that_a_new_message_meets_loses_nothing)
{
	size_t i, n = 0;

	damage_under_job();
	queue_agent_gone(f.q, f.agent);
	f.njobs = 0;
	cr_assert_eq(queue_agent_add(f.q, 0, &f.agent), 0);
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, false);
	(void)queue_pass(f.q, &f.now, f.ms);
	cr_assert_geq(f.njobs, 1);
	qf_finish(&f, EACCES);
	cr_expect_eq(queue_pass(f.q, &f.now, f.ms), -1);
	qf_close(&f);
	qf_open(&f);
	qf_committed(&f, &s, false);
	for (i = 0; i < 200 && n < 2; i++) {
		qf_pass(&f, 1000);
		n += f.njobs;
		qf_finish(&f, 0);
	}
	cr_expect_eq(n, 2, "%zu", n);
	qf_pass(&f, 100);
	cr_expect_eq(qf_listed(&f), 0);
}
