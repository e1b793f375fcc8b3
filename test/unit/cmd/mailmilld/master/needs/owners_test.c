#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/needs/owners.h"
#include "test/unit/core/loop/vloop.h"
#include "test/unit/core/spool/fault.h"

#define MANY	(OWNERS_FIRST + 5 * OWNERS_STEP)

static struct scheduler *s;
static char top[64];
static int folder;
static struct account us, other;

static void
setup(void)
{
	s = v_create();
	us = (struct account){ geteuid(), getegid() };
	other = (struct account){ geteuid() + 1, getegid() };
	strcpy(top, "/tmp/mailmill-owners.XXXXXX");
	cr_assert_not_null(mkdtemp(top));
	cr_assert_neq(folder = open(top, O_RDONLY | O_DIRECTORY), -1);
}

static void
teardown(void)
{
	char command[128];

	owners_end();
	scheduler_destroy(s);
	close(folder);
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	cr_assert_eq(system(command), 0);
}

TestSuite(owners, .init = setup, .fini = teardown);

static void
make(unsigned int n)
{
	char name[16];
	unsigned int i;
	int fd;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%u", i);
		fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
		cr_assert_neq(fd, -1);
		close(fd);
	}
}

/* How many files belong to ${a}? */
static unsigned int
nowned(const struct account *a, unsigned int n)
{
	unsigned int i, owned = 0;
	char name[16];
	struct stat st;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%u", i);
		cr_assert_eq(fstatat(folder, name, &st, 0), 0);
		owned += st.st_uid == a->uid;
	}
	return owned;
}

/* The others are looked at by the loop, a few in each step. */
Test(owners, a_start_does_not_wait_for_many_that_are_right)
{
	unsigned int i;

	make(MANY);
	cr_assert_eq(owners_put_right(folder, &us, true), 0);
	for (i = 0; scheduler_event_count(s) > 0; i++) {
		cr_assert_lt(i, 100);
		v_turn(OWNERS_STEP_MS * 1000);
		scheduler_pass(s, 0);
	}
	/* with "." and ".." */
	cr_expect_eq(i, (MANY + 2 - OWNERS_FIRST) / OWNERS_STEP + 1, "%u", i);
	cr_expect_not(owners_step());
}

Test(owners, few_are_looked_at_at_once)
{
	make(OWNERS_FIRST - 3);
	cr_assert_eq(owners_put_right(folder, &us, true), 0);
	cr_expect_eq(scheduler_event_count(s), 0);
	cr_expect_not(owners_step());
}

/* As when an account has been made, or root has brought files back. */
Test(owners, where_they_are_wrong_a_start_waits_for_all)
{
	make(MANY);
	cr_assert_eq(owners_put_right(folder, &other, true), 0);
	cr_expect_eq(scheduler_event_count(s), 0);
	/* only root can */
	cr_expect_eq(nowned(&other, MANY), geteuid() == 0 ? MANY : 0);
}

Test(owners, without_leave_it_waits_for_all)
{
	make(MANY);
	cr_assert_eq(owners_put_right(folder, &other, false), 0);
	cr_expect_eq(scheduler_event_count(s), 0);
	cr_expect_eq(nowned(&other, MANY), geteuid() == 0 ? MANY : 0);
}

/* One among many is found later. */
Test(owners, one_that_is_wrong_is_put_right_by_the_loop)
{
	unsigned int i;
	char name[16];

	make(MANY);
	cr_assert_eq(owners_put_right(folder, &us, true), 0);
	/* a second name would keep it as it is */
	for (i = 0; geteuid() == 0 && i < MANY; i++) {
		snprintf(name, sizeof(name), "%u", i);
		cr_assert_eq(fchownat(folder, name, other.uid, other.gid, 0),
		    0);
	}
	while (owners_step())
		continue;
	i = nowned(&us, MANY);
	cr_expect_geq(i, geteuid() == 0 ? MANY - OWNERS_FIRST : MANY, "%u", i);
	cr_expect_leq(i, MANY);
}

/* Else a role would not be able to read the others. */
Test(owners, a_folder_that_cannot_be_listed_is_an_error)
{
	make(MANY);
	fault_arm(FAULT_READDIR, OWNERS_FIRST / 2, 1, EIO);
	cr_expect_eq(owners_put_right(folder, &us, true), -1);
	cr_expect_eq(errno, EIO);
	fault_arm(FAULT_READDIR, OWNERS_FIRST + 100, 1, EIO);
	cr_expect_eq(owners_put_right(folder, &us, false), -1);
	cr_expect_eq(errno, EIO);
	/* later: it is logged, and the next start looks again */
	fault_arm(FAULT_READDIR, OWNERS_FIRST + 50, 1, EIO);
	cr_expect_eq(owners_put_right(folder, &us, true), 0);
	cr_expect_not(owners_step());
	cr_expect_eq(scheduler_event_count(s), 0);
}
