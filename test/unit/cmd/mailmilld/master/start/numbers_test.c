#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/start/start.h"
#include "core/spool/spool_id.h"
#include "core/spool/spool_segment.h"

#define FIRST	1
#define LAST	(SPOOL_NUMBER_QUEUE - 1)

static struct master m;
static char spool[64];

static void
setup(void)
{
	char path[128];

	strcpy(spool, "/tmp/mailmill-numbers.XXXXXX");
	cr_assert_not_null(mkdtemp(spool));
	snprintf(path, sizeof(path), "%s/queue", spool);
	cr_assert_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/queue/deferred", spool);
	cr_assert_eq(mkdir(path, 0700), 0);
	TAILQ_INIT(&m.procs);
}

static void
teardown(void)
{
	char command[128];

	numbers_free(&m);
	snprintf(command, sizeof(command), "rm -rf '%s'", spool);
	cr_assert(system(command) == 0);
}

TestSuite(numbers, .init = setup, .fini = teardown);

/* The deferred message of a writer; its time does not matter. */
static void
path_of(unsigned int number, char path[128])
{
	char id[SPOOL_ID_TEXT + 1];

	spool_id_text(1ULL << 40 | number, id);
	snprintf(path, 128, "%s/queue/deferred/%s", spool, id);
}

static void
leave(unsigned int number)
{
	char path[128];
	int fd;

	path_of(number, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	cr_assert_neq(fd, -1, "%s", path);
	close(fd);
}

static void
take_away(unsigned int number)
{
	char path[128];

	path_of(number, path);
	cr_assert_eq(unlink(path), 0, "%s", path);
}

static unsigned int
next(void)
{
	unsigned int instance;

	cr_assert_eq(instance_next(&m, ROLE_WORKER, spool, &instance), 0);
	return spool_number(instance);
}

static void
next_is(unsigned int number)
{
	cr_expect_eq(next(), number);
}

Test(numbers, those_of_files_are_passed_over)
{
	leave(2);
	leave(3);
	next_is(1);
	next_is(4);
}

Test(numbers, other_roles_have_instances_and_no_numbers)
{
	unsigned int instance;

	leave(1);
	cr_assert_eq(instance_next(&m, ROLE_QUEUE, spool, &instance), 0);
	cr_assert_eq(instance, 1);
	next_is(2);
}

/* 4094 workers, one after the other: the folder is looked at once. */
Test(numbers, none_is_given_twice_before_all_have_been_given)
{
	unsigned int i;

	leave(FIRST + 1);
	next_is(FIRST);
	take_away(FIRST + 1);
	leave(LAST);
	for (i = FIRST + 2; i <= LAST; i++)
		next_is(i);
	/* from now on as the files are */
	next_is(FIRST);
	next_is(FIRST + 1);
}

Test(numbers, of_two_that_live_none_has_the_others)
{
	struct proc a = { .role = ROLE_WORKER }, b = { .role = ROLE_QUEUE };
	unsigned int i;

	for (i = FIRST; i <= LAST; i++)
		next_is(i);
	a.instance = 1;
	b.instance = 2;
	TAILQ_INSERT_TAIL(&m.procs, &a, link);
	TAILQ_INSERT_TAIL(&m.procs, &b, link);
	leave(3);
	next_is(2);
	next_is(4);
}

Test(numbers, when_all_are_in_names_only_the_living_count)
{
	struct proc p = { .role = ROLE_WORKER, .instance = 1 };
	unsigned int i;

	TAILQ_INSERT_TAIL(&m.procs, &p, link);
	for (i = FIRST; i <= LAST; i++)
		leave(i);
	next_is(2);
	next_is(3);
	cr_assert_eq(m.instances >> SPOOL_NUMBER_BITS, 2);
	/* some are free again */
	take_away(1);
	take_away(10);
	next_is(10);
	take_away(8);
	take_away(9);
	next_is(8);
	next_is(9);
}

Test(numbers, a_folder_that_cannot_be_read_is_looked_at_again)
{
	char path[128], away[140];

	leave(2);
	leave(3);
	snprintf(path, sizeof(path), "%s/queue/deferred", spool);
	snprintf(away, sizeof(away), "%s.away", path);
	cr_assert_eq(rename(path, away), 0);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	next_is(1);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(rename(away, path), 0);
	next_is(4);
}

/* --- the file "numbers" ---------------------------------------------------- */

/* Another master begins. */
static void
restart(void)
{
	numbers_free(&m);
	m.instances = 0;
}

static void
path_in(const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", spool, name);
}

/* There may be a million. */
Test(numbers, the_next_start_does_not_read_the_names_of_deferred_messages)
{
	leave(3);
	next_is(1);
	next_is(2);
	leave(5);
	restart();
	next_is(4);
	/* what nobody but an administrator can have brought back */
	next_is(5);
	restart();
	next_is(6);
}

Test(numbers, when_all_have_been_given_the_names_are_read)
{
	unsigned int i;

	leave(FIRST + 1);
	next_is(FIRST);
	for (i = FIRST + 2; i <= LAST; i++)
		next_is(i);
	restart();
	next_is(FIRST);
	restart();
	next_is(FIRST + 2);
}

Test(numbers, those_of_segments_are_read_at_each_start)
{
	char path[128], name[SPOOL_NAME], in[200];

	path_in("incoming", path);
	cr_assert_eq(mkdir(path, 0700), 0);
	next_is(1);
	spool_segment_name("seg", 7ULL << SPOOL_NUMBER_BITS | 2, name);
	snprintf(in, sizeof(in), "%s/%s", path, name);
	close(open(in, O_WRONLY | O_CREAT, 0600));
	restart();
	next_is(3);
}

/* An administrator who brings messages back makes it. */
Test(numbers, with_the_mark_the_names_are_read)
{
	char path[128];

	next_is(1);
	leave(2);
	path_in("queue/deferred.rebuild", path);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	restart();
	/* nobody has the first any more */
	next_is(1);
	next_is(3);
}

/* What it says is believed of a whole file of ours alone. */
Test(numbers, a_file_that_is_not_ours_is_not_believed)
{
	char path[128], cmd[400];
	static const char *const changes[] = {
		"truncate -s -1 $f", "printf x | dd of=$f conv=notrunc",
		"chmod g+w $f", "rm $f", "ln $f $f.2",
		"mv $f $f.3; ln -s $f.3 $f"
	};
	size_t i;

	path_in("numbers", path);
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		restart();
		(void)unlink(path);
		next_is(1);
		leave(2);
		snprintf(cmd, sizeof(cmd), "exec 2>/dev/null; f=%s; %s", path,
		    changes[i]);
		cr_assert_eq(system(cmd), 0, "%s", cmd);
		restart();
		next_is(1);
		next_is(3);
		/* it is a good one again */
		take_away(2);
		leave(4);
		restart();
		next_is(4);
		take_away(4);
	}
}
