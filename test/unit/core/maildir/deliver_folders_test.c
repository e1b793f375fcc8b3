/* What a user, an administrator or another program does to a Maildir while the
 * agent has it open. */

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/core/maildir/deliver_fixture.h"

TestSuite(deliver_folders, .init = df_setup, .fini = df_teardown);

static const char *const folders[] = { "tmp", "new", "cur" };

/* Another message for a@d */
static uint64_t
next_mail(bool is_repeated)
{
	static uint64_t id = ID;

	id += 4096;
	return df_job(df_mail(id, "a@d", "text"), 0, is_repeated);
}

/* ${cmd}, in which $F is ${folder} */
static char *
command(const char *cmd, const char *folder)
{
	static char buf[200];

	snprintf(buf, sizeof(buf), "F=%s; %s", folder, cmd);
	return buf;
}

Test(deliver_folders, a_folder_that_was_removed_is_made_again)
{
	unsigned int want = 0;
	uint64_t job;
	size_t i, repeated;

	next_mail(false);
	df_all();
	df_run("rm d/a/new/*");
	for (i = 0; i < 3; i++)
		for (repeated = 0; repeated < 2; repeated++) {
			/* before the message is written */
			df_run(command("rm -rf d/a/$F", folders[i]));
			x.now.tv_sec += 5;
			job = next_mail(repeated == 1);
			df_all();
			cr_assert_eq(x.errnum[job], 0, "%s: %s", folders[i],
			    x.text[job]);
			df_run(command("test -d d/a/$F", folders[i]));
			/* in the same second, and before the rename */
			want = df_count("d/a/new") + 1;
			if (i != 0) {
				want = i == 1 ? 1 : want;
				x.at_sync = strdup(command("rm -r d/a/$F",
				    folders[i]));
			}
			job = next_mail(repeated == 1);
			df_all();
			cr_assert_eq(x.errnum[job], 0, "%s: %s", folders[i],
			    x.text[job]);
			cr_assert_eq(df_count("d/a/new"), want, "%s",
			    folders[i]);
			cr_assert_eq(df_count("d/a/tmp"), 0);
		}
}

Test(deliver_folders, what_vanishes_before_the_rename_is_written_again)
{
	static const char *const cmds[] = { "rm -r d", "rm -r d/a",
		"rm -r d/a/tmp", "rm d/a/tmp/*" };
	uint64_t job;
	size_t i;

	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		x.at_sync = cmds[i];
		job = next_mail(false);
		df_all();
		cr_assert_eq(x.errnum[job], 0, "%s: %s", cmds[i],
		    x.text[job]);
		cr_assert_eq(df_count("d/a/new"), i < 2 ? 1 : i, "%s",
		    cmds[i]);
	}
}

/* Once for each batch the agent checks that new/ is still the folder that it has
 * open. */
Test(deliver_folders, mail_does_not_follow_a_new_that_was_moved_away)
{
	unsigned int batch, i;
	uint64_t job[3];

	for (batch = 0; batch < 3; batch++) {
		x.at_sync = batch == 0 ? NULL :
		    "rm -rf away; mv d/a/new away; mkdir d/a/new";
		for (i = 0; i < 3; i++)
			job[i] = next_mail(false);
		df_all();
		for (i = 0; i < 3; i++)
			cr_assert_eq(x.errnum[job[i]], 0, "%s",
			    x.text[job[i]]);
		cr_assert_eq(df_count("d/a/new"), 3, "batch %u", batch);
		cr_assert_eq(df_count("d/a/tmp"), 0);
	}
	cr_assert_eq(df_count("away"), 3);
}

/* Nor a Maildir as a whole, with or without another one in its place, in the
 * second in which the agent has used it: before the messages are written, and
 * before they are renamed. */
Test(deliver_folders, mail_does_not_follow_a_maildir_that_was_moved_away)
{
	static const char *const cmds[] = { "mv d/a away",
		"mv d/a away; mkdir d/a",
		"mv d/a away; mkdir -p d/a/new d/a/cur d/a/tmp",
		"mkdir away; mv d/a/* away",
		"mv d gone; mv gone/a away",
		"cp -r d/a other; mv d/a away; mv other d/a; rm d/a/new/*" };
	uint64_t job[3];
	size_t i, k, late;

	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++)
		for (late = 0; late < 2; late++) {
			df_run("rm -rf away gone d");
			next_mail(false);
			df_all();
			cr_assert_eq(df_count("d/a/new"), 1, "%s", cmds[i]);
			if (late)
				x.at_sync = cmds[i];
			else
				df_run(cmds[i]);
			for (k = 0; k < 3; k++)
				job[k] = next_mail(false);
			df_all();
			for (k = 0; k < 3; k++)
				cr_assert_eq(x.errnum[job[k]], 0, "%s: %s",
				    cmds[i], x.text[job[k]]);
			cr_assert_eq(df_count("d/a/new"), 3, "%s, %zu",
			    cmds[i], late);
			cr_assert_eq(df_count("d/a/tmp"), 0);
			cr_assert_eq(df_count("away/new"), 1, "%s", cmds[i]);
			cr_assert_eq(df_count("away/tmp"), 0, "%s", cmds[i]);
		}
}

/* Something else in the place of tmp, new or cur, of the user's folder and of
 * the domain's, before and after the agent has opened them */
static void
expect_refusal(const char *put, const char *what)
{
	static const char *const paths[] = { "d/a/tmp", "d/a/new", "d/a/cur",
		"d/a", "d" };
	unsigned int before;
	uint64_t job;
	size_t i, n;

	for (n = 0; n < 2 * sizeof(paths) / sizeof(paths[0]); n++) {
		i = n / 2;
		next_mail(false);
		df_all();
		df_run(command("mv $F kept", paths[i]));
		df_run(command(put, paths[i]));
		before = x.ndone;
		x.now.tv_sec += 5;
		if (n % 2 == 0)
			df_begin();
		job = next_mail(false);
		df_all();
		cr_assert_eq(x.ndone, before + 1);
		/* an open tmp is used wherever it is, and cur not at all */
		if (n % 2 == 0 || (i != 0 && i != 2)) {
			cr_assert_eq(x.errnum[job], ENOTDIR, "%s: %s %s",
			    what, paths[i], x.text[job]);
			cr_assert_not_null(strstr(x.text[job], paths[i]),
			    "%s: %s", paths[i], x.text[job]);
		}
		df_run("! find . -path './victim*' -type f | grep .");
		df_run(command("rm $F", paths[i]));
		df_run(command("mv kept $F", paths[i]));
		x.now.tv_sec += 5;
		job = next_mail(false);
		df_all();
		cr_assert_eq(x.errnum[job], 0, "%s", x.text[job]);
	}
}

Test(deliver_folders, a_file_in_the_place_of_a_folder_is_named)
{
	expect_refusal("touch $F", "file");
}

Test(deliver_folders, a_symbolic_link_is_not_followed)
{
	df_run("mkdir -p victim/new victim/tmp victim/cur");
	df_run("mkdir -p victim/a/new victim/a/tmp victim/a/cur");
	expect_refusal("ln -s $PWD/victim $F", "link");
	expect_refusal("ln -s nowhere $F", "dangling link");
}

Test(deliver_folders, nor_one_that_appears_before_the_rename)
{
	uint64_t job;

	df_run("mkdir victim");
	next_mail(false);
	df_all();
	x.at_sync = "mv d/a/new kept; ln -s $PWD/victim d/a/new";
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], ENOTDIR);
	cr_assert_not_null(strstr(x.text[job], "d/a/new"), "%s", x.text[job]);
	x.at_sync = "mv d/a/tmp kept2; ln -s $PWD/victim d/a/tmp";
	df_run("rm d/a/new; mv kept d/a/new");
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], 0, "it is where it was written");
	cr_assert_eq(df_count("victim"), 0);
}

/* From now on ${number} fails with ${errnum}. */
static void
forbid(unsigned int number, unsigned int errnum)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errnum),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };

	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

Test(deliver_folders, without_openat2_it_is_the_same)
{
	forbid(SYS_openat2, ENOSYS);
	df_run("mkdir -p victim/new victim/tmp victim/cur");
	df_run("mkdir -p victim/a/new victim/a/tmp victim/a/cur");
	expect_refusal("ln -s $PWD/victim $F", "link");
}

Test(deliver_folders, where_a_sandbox_forbids_openat2_it_is_the_same)
{
	uint64_t job;

	forbid(SYS_openat2, EPERM);
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], 0, "%s", x.text[job]);
	x.now.tv_sec += 5;
	df_run("mv d/a d/b; ln -s b d/a");
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], ENOTDIR);
}

Test(deliver_folders, a_link_in_the_administrators_part_is_followed)
{
	uint64_t job;

	df_run("mkdir real; ln -s real link");
	snprintf(x.pattern, sizeof(x.pattern), "%s/link/%%d/%%u", x.mail);
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], 0, "%s", x.text[job]);
	cr_assert_eq(df_count("real/d/a/new"), 1);
}

Test(deliver_folders, in_a_path_that_is_the_same_for_all_so_is_the_last)
{
	uint64_t job;

	df_run("mkdir real other; ln -s real a");
	snprintf(x.pattern, sizeof(x.pattern), "%s/a", x.mail);
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], 0, "%s", x.text[job]);
	/* the administrator makes it point elsewhere */
	df_run("ln -sfn other a");
	x.now.tv_sec += 5;
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], 0, "%s", x.text[job]);
	cr_assert_eq(df_count("real/new"), 1);
	cr_assert_eq(df_count("other/new"), 1);
	/* what is below is not the administrator's */
	df_run("rm -r other/tmp; ln -s ../real/tmp other/tmp");
	x.now.tv_sec += 5;
	df_run("ln -sfn nowhere a");
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], ENOENT);
	df_run("ln -sfn other a");
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], ENOTDIR);
	cr_assert_not_null(strstr(x.text[job], "a/tmp"), "%s", x.text[job]);
}

Test(deliver_folders, the_same_path_by_a_pattern_with_the_user_stays_refused)
{
	uint64_t job;

	df_run("mkdir real; ln -s real a");
	snprintf(x.pattern, sizeof(x.pattern), "%s/a", x.mail);
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], 0, "%s", x.text[job]);
	/* although it is open by the other pattern */
	snprintf(x.pattern, sizeof(x.pattern), "%s/%%u", x.mail);
	job = next_mail(false);
	df_all();
	cr_assert_eq(x.errnum[job], ENOTDIR, "%s", x.text[job]);
	cr_assert_eq(df_count("real/new"), 1);
}

Test(deliver_folders, what_dead_agents_have_left_is_removed)
{
	/* no process has the number 999999999 */
	static const char made[] =
	    "mkdir -p d/a/tmp && cd d/a/tmp &&"
	    "touch -d '-1 minute' 1700000000.0000000000000R0.999999999"
	    " 1700000000.0000000000001R12.1"
	    " 1700000000.0000000000002R0.mx.test other"
	    " 1700000000.0000000000003R0.9999999999999999999"
	    " 1700000000.0000000000007R0S0652c1f2a9d3b07eG1N2.999999999"
	    " 1700000000.0000000000008R0S0652c1f2a9d3b07eG1N2.mx.test &&"
	    "touch -d '+1 hour' 1700000000.0000000000004R0.999999999 &&"
	    "touch -d '-40 hours' 1700000000.0000000000005R0.1 old &&"
	    "mkdir 1700000000.0000000000006R0.999999999";

	df_run(made);
	next_mail(false);
	df_all();
	cr_assert_eq(df_count("d/a/tmp"), 7);
	df_run("cd d/a/tmp; ! ls -d *0R0.999999999 *4R0.999999999 *5R0.1 "
	    "*7R0S* 2>/dev/null && ls -d *1R12.1 *2R0.mx.test *3R0.9* other "
	    "old *6R0.9* *8R0S* >/dev/null");
}
