/* A worker that has been taken over: how much it can have the queue open, read
 * and log. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "test/lib/segment.h"
#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/spool/fault.h"

static struct qf f;
static struct qf_segment s;
static FILE *lines;
static char text[1 << 20];

static void
setup(void)
{
	lines = tmpfile();
	cr_assert_not_null(lines);
	log_init("test", LOG_TO_FILE, fileno(lines), LOG_LEVEL_INFO);
	qf_init(&f);
	qf_open(&f);
	s.file.fd = -1;
}

static void
teardown(void)
{
	spool_segment_close(&s.file);
	qf_free(&f);
	log_init("test", LOG_TO_STDERR, STDERR_FILENO, LOG_LEVEL_NOTICE);
	fclose(lines);
}

TestSuite(queue_flood, .init = setup, .fini = teardown);

/* How many lines there are with ${what}; the last one is in *last_r. */
static unsigned int
count(const char *what, const char **last_r)
{
	unsigned int n = 0;
	const char *p;
	ssize_t len;

	log_flush();
	len = pread(fileno(lines), text, sizeof(text) - 1, 0);
	cr_assert_geq(len, 0);
	text[len] = '\0';
	for (p = text; (p = strstr(p, what)) != NULL; p += strlen(what)) {
		n++;
		if (last_r != NULL)
			*last_r = p;
	}
	return n;
}

static unsigned int
descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	cr_assert_not_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

Test(queue_flood, closed_segments_that_are_spoken_of_are_not_all_opened)
{
	enum { N = 300 };
	unsigned int before = descriptors(), i;
	uint64_t end = 0;

	/* each has a record that can be neither delivered nor deferred */
	fault_arm(FAULT_DATABASE, 0, 1 << 20, ENOSPC);
	for (i = 0; i < N; i++) {
		qf_segment(&f, &s, 1 + i);
		end = qf_mail(&s, QF_ID(i));
		qf_committed(&f, &s, true);
		spool_segment_close(&s.file);
		qf_pass(&f, 0);
		qf_finish(&f, EACCES);
	}
	qf_pass(&f, 3000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), N);
	cr_assert_lt(descriptors(), before + 20);
	/* that there is more, and that there is not */
	for (i = 0; i < N; i++) {
		queue_committed(f.q, QF_WRITER, QF_SEGMENT(1 + i), 1,
		    end + 8192, i % 2 == 0);
		queue_committed(f.q, QF_WRITER, QF_SEGMENT(1 + i), 1,
		    SPOOL_PAGE, i % 2 == 0);
	}
	cr_assert_lt(descriptors(), before + 20);
	for (i = 0; i < 20; i++)
		qf_pass(&f, 100);
	cr_assert_lt(descriptors(), before + 20);
	/* mail of others is read */
	qf_segment(&f, &s, 1 + N);
	qf_mail(&s, QF_ID(N));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	fault_arm(FAULT_DATABASE, 0, 0, 0);
	qf_finish(&f, 0);
}

Test(queue_flood, lines_about_damage_are_bounded_and_counted)
{
	enum { N = 200 };
	const char *last;
	unsigned int i;

	qf_segment(&f, &s, 1);
	for (i = 0; i < N; i++)
		qf_mail(&s, QF_ID(i) + 1);	/* another writer's */
	qf_committed(&f, &s, false);
	qf_pass(&f, 1000);
	cr_assert_eq(count("event=spool-damage", NULL), 16);
	qf_pass(&f, 10000);
	qf_mail(&s, QF_ID(N) + 1);
	qf_committed(&f, &s, false);
	qf_pass(&f, 1000);
	cr_assert_eq(count("event=spool-damage", &last), 17);
	cr_assert_not_null(strstr(last, " times=185"), "%s", last);
	/* those of another writer are told */
	queue_writer_add(f.q, 2);
	spool_segment_close(&s.file);
	cr_assert_eq(segment_create(f.incoming, 0x9002, 1 << 20, false,
	    &s.file), 0);
	s.end = SPOOL_PAGE;
	s.seq = 0;
	qf_mail(&s, QF_ID(1));
	queue_committed(f.q, 2, 0x9002, 1, s.end, false);
	qf_pass(&f, 1000);
	cr_assert_eq(count("event=spool-damage", &last), 18);
	cr_assert_not_null(strstr(last, "file=seg.0000000000009002"), "%s",
	    last);
}

Test(queue_flood, lines_about_wrong_ends_are_bounded_and_counted)
{
	const char *last;
	unsigned int i;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	for (i = 0; i < 200; i++)
		queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 1,
		    UINT64_MAX - i, false);
	cr_assert_eq(count("event=segment-end", NULL), 1);
	qf_pass(&f, 10000);
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 1, 1, false);
	cr_assert_eq(count("event=segment-end", &last), 2);
	cr_assert_not_null(strstr(last, " times=200"), "%s", last);
	qf_finish(&f, 0);
}

Test(queue_flood, a_segment_that_cannot_be_opened_is_told)
{
	const char *last;
	unsigned int i;

	cr_assert_eq(symlinkat("nowhere", f.incoming, "seg.0000000000005001"),
	    0);
	qf_pass(&f, 60000);
	i = count("event=segment-open", &last);
	cr_assert_geq(i, 2);
	cr_assert_leq(i, 7);
	cr_assert_not_null(strstr(last, "file=incoming/seg.0000000000005001"),
	    "%s", last);
	cr_assert_not_null(strstr(last, "advice="), "%s", last);
	cr_assert_not_null(strstr(last, "error="), "%s", last);
}
