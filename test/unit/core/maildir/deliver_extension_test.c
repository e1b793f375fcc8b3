/* Folders of a Maildir that get what an address with an extension gets. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/core/maildir/deliver_fixture.h"

static void
setup(void)
{
	df_setup();
	strcpy(x.folders[0], ".Lists");
	strcpy(x.folders[1], ".lists");
}

TestSuite(deliver_extension, .init = setup, .fini = df_teardown);

static void
deliver(const char *folder)
{
	static uint64_t n;
	unsigned int before = df_count(folder);
	uint64_t job = df_job(df_mail(ID + (n++ << 12), "a@d", "1\r\n"), 0,
	    false);

	df_all();
	cr_expect_eq(x.errnum[job], 0, "%s", x.text[job]);
	cr_expect_eq(df_count(folder), before + 1, "%s", folder);
}

Test(deliver_extension, a_folder_that_is_there_gets_it)
{
	deliver("d/a/new");
	df_run("mkdir -p d/a/.lists/cur");
	deliver("d/a/.lists/new");
	df_run("mkdir -p d/a/.Lists/cur");
	deliver("d/a/.Lists/new");
	x.folders[0][0] = '\0';
	deliver("d/a/new");
}

Test(deliver_extension, without_it_the_maildir_does_and_none_is_made)
{
	deliver("d/a/new");
	df_run("test ! -e d/a/.lists && test ! -e d/a/.Lists");
	/* a folder of something else is none of mail */
	df_run("mkdir d/a/.lists && touch d/a/.Lists");
	deliver("d/a/new");
	df_run("test ! -e d/a/.lists/new");
}

Test(deliver_extension, a_folder_that_is_removed_gets_no_more)
{
	df_run("mkdir -p d/a/.lists/cur");
	deliver("d/a/.lists/new");
	df_run("rm -r d/a/.lists");
	deliver("d/a/new");
	df_run("test ! -e d/a/.lists");
	df_run("mkdir -p d/a/.lists/cur");
	x.now.tv_sec += 2;
	deliver("d/a/.lists/new");
	df_run("mv d/a/.lists d/a/.other");
	x.now.tv_sec += 2;
	deliver("d/a/new");
	df_run("test ! -e d/a/.lists");
	cr_expect_eq(df_count("d/a/.other/new"), 1);
}

Test(deliver_extension, a_link_is_no_folder)
{
	df_run("mkdir -p elsewhere/cur elsewhere/new elsewhere/tmp d/a && "
	    "ln -s ../../elsewhere d/a/.lists && mkdir d/a/.Lists && "
	    "ln -s ../../../elsewhere/cur d/a/.Lists/cur");
	deliver("d/a/new");
	cr_expect_eq(df_count("elsewhere/new") + df_count("elsewhere/tmp"), 0);
}

Test(deliver_extension, it_is_made_where_that_is_wanted)
{
	x.makes_folder = true;
	deliver("d/a/.lists/new");
	df_run("test -f d/a/.lists/maildirfolder && test -d d/a/.lists/tmp && "
	    "test -d d/a/.lists/cur && test ! -e d/a/.Lists && "
	    "test $(stat -c %a d/a/.lists) = 700");
	df_run("mkdir -p d/a/.Lists/cur");
	deliver("d/a/.Lists/new");
}

static void
deliver_to(const char *name, const char *folder)
{
	snprintf(x.folders[0], sizeof(x.folders[0]), ".%s", name);
	strcpy(x.folders[1], x.folders[0]);
	deliver(folder);
}

Test(deliver_extension, a_maildir_has_not_more_folders_than_may_be_made)
{
	x.makes_folder = true;
	x.folders_max = 3;
	deliver_to("a", "d/a/.a/new");
	df_run("test -d d/a/cur && test -d d/a/new");
	deliver_to("b", "d/a/.b/new");
	df_run("mkdir -p d/a/.mine/cur");
	deliver_to("c", "d/a/new");
	df_run("test ! -e d/a/.c");
	/* those that are there are not affected */
	deliver_to("mine", "d/a/.mine/new");
	deliver_to("a", "d/a/.a/new");
	df_run("rm -r d/a/.b");
	x.now.tv_sec += 2;
	deliver_to("c", "d/a/.c/new");
	deliver_to("d", "d/a/new");
	x.folders_max = 0;
	deliver_to("d", "d/a/.d/new");
}

Test(deliver_extension, a_folder_that_cannot_be_made_is_none)
{
	x.makes_folder = true;
	df_run("mkdir -p d/a/.link.to d/a && echo > d/a/.file && "
	    "ln -s .link.to d/a/.link && mkdir d/a/.sub && "
	    "echo > d/a/.sub/cur && mkdir -p d/a/.full/cur d/a/.full/new && "
	    "echo > d/a/.full/tmp && rmdir d/a/.full/cur");
	deliver_to("file", "d/a/new");
	deliver_to("link", "d/a/new");
	deliver_to("sub", "d/a/new");
	deliver_to("full", "d/a/new");
	df_run("test ! -e d/a/.link.to/new");
}

Test(deliver_extension, an_attempt_finds_what_an_earlier_one_has_put_elsewhere)
{
	uint64_t offset = df_mail(ID, "a@d", "1\r\n"), job;

	df_job(offset, 0, false);
	df_all();
	cr_expect_eq(df_count("d/a/new"), 1);
	df_run("mkdir -p d/a/.lists/cur");
	job = df_job(offset, 0, true);
	df_all();
	cr_expect_eq(x.errnum[job], 0, "%s", x.text[job]);
	cr_expect_eq(df_count("d/a/new"), 1);
	cr_expect_eq(df_count("d/a/.lists/new"), 0);
	/* and in the folder */
	offset = df_mail(ID + 4096, "a@d", "2\r\n");
	df_job(offset, 0, false);
	df_all();
	df_job(offset, 0, true);
	df_all();
	cr_expect_eq(df_count("d/a/.lists/new"), 1);
	cr_expect_eq(df_count("d/a/new"), 1);
}
