/* Maildirs with a quota. */

#include <sys/stat.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/maildir/deliver_int.h"
#include "test/unit/core/maildir/deliver_fixture.h"

static uint64_t nmails;

static void
setup(void)
{
	df_setup();
	x.limit = (struct maildir_size){ .octets = 1000, .messages = 4 };
}

TestSuite(deliver_quota, .init = setup, .fini = df_teardown);

static uint64_t
mail(const char *body)
{
	return df_job(df_mail(ID + (nmails++ << 12), "a@d", body), 0, false);
}

/* One more message.  ${enhanced}: with which code it fails; "": it does not. */
static void
expect_body(const char *body, const char *enhanced)
{
	uint64_t job = mail(body);

	df_all();
	cr_expect_str_eq(x.enhanced[job], enhanced, "%s", x.text[job]);
	cr_expect_eq(x.errnum[job], *enhanced == '\0' ? 0 : EDQUOT, "%s",
	    x.text[job]);
	cr_expect_eq(x.flags[job], *enhanced == '\0' ? JOB_FINAL :
	    *enhanced == '5' ? JOB_REFUSED : 0);
}

static void
expect(const char *enhanced)
{
	expect_body("1\r\n", enhanced);
}

/* The whole file */
static void
expect_file(const char *want)
{
	char path[256], text[6000];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/d/a/maildirsize", x.mail);
	cr_assert_neq(fd = open(path, O_RDONLY), -1);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n] = '\0';
	cr_expect_str_eq(text, want);
}

static void
again(void)			/* nothing is known of an earlier count */
{
	df_begin();
}

#define OCTETS	"28"		/* of a message */

Test(deliver_quota, the_file_has_the_count_and_what_was_delivered_since)
{
	struct stat st;
	char path[256];

	expect("");
	expect_file("1000S,4C\n0 0\n" OCTETS " 1\n");
	expect("");
	expect_file("1000S,4C\n0 0\n" OCTETS " 1\n" OCTETS " 1\n");
	snprintf(path, sizeof(path), "%s/d/a/maildirsize", x.mail);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_expect_eq(df_count("d/a/tmp"), 0);
}

Test(deliver_quota, without_one_there_is_no_file)
{
	x.limit = (struct maildir_size){ .octets = 0 };
	expect("");
	df_run("test ! -e d/a/maildirsize");
}

Test(deliver_quota, what_does_not_fit_is_refused_or_waits)
{
	int i;

	for (i = 0; i < 4; i++)
		expect("");
	expect("5.2.2");
	cr_expect_eq(df_count("d/a/new"), 4);
	cr_expect_eq(df_count("d/a/tmp"), 0);
	x.is_deferred = true;
	expect("4.2.2");
	/* another program has removed one, and says so */
	df_run("rm d/a/new/$(ls d/a/new | head -n 1) && "
	    "echo -" OCTETS " -1 >> d/a/maildirsize");
	expect("");
	expect("4.2.2");
}

Test(deliver_quota, octets_count_and_what_is_too_large_is_never_deferred)
{
	char body[2000];

	x.is_deferred = true;
	memset(body, 'x', sizeof(body));
	body[900] = '\0';
	expect_body(body, "");
	expect_body(body, "4.2.2");
	body[900] = 'x';
	body[1500] = '\0';
	expect_body(body, "5.2.2");
	expect("");
	x.limit.octets = 0;
	body[900] = '\0';
	again();
	expect_body(body, "");
	expect_file("4C\n953 2\n925 1\n");
}

Test(deliver_quota, a_batch_does_not_get_in_together)
{
	uint64_t jobs[6];
	int i, n = 0;

	for (i = 0; i < 6; i++)
		jobs[i] = mail("1\r\n");
	df_all();
	for (i = 0; i < 6; i++)
		n += x.errnum[jobs[i]] == 0;
	cr_expect_eq(n, 4);
	cr_expect_eq(df_count("d/a/new"), 4);
	/* what has failed takes no room */
	df_run("rm -r d/a");
	again();
	x.sync_errno = EIO;
	for (i = 0; i < 4; i++)
		mail("1\r\n");
	df_all();
	x.sync_errno = 0;
	for (i = 0; i < 4; i++)
		expect("");
	expect("5.2.2");
}

Test(deliver_quota, a_full_maildir_is_counted_again_when_that_is_old)
{
	int i;

	for (i = 0; i < 4; i++)
		expect("");
	df_run("rm d/a/new/*");
	/* counted a moment ago */
	expect("5.2.2");
	again();
	expect("");
	expect_file("1000S,4C\n0 0\n" OCTETS " 1\n");
	/* one line, and not old: it is believed */
	df_run("printf '1000S,4C\\n999 4\\n' > d/a/maildirsize");
	again();
	expect("5.2.2");
	df_run("touch -d '16 minutes ago' d/a/maildirsize");
	expect("");
	expect_file("1000S,4C\n" OCTETS " 1\n" OCTETS " 1\n");
}

/* Nothing that a user can put there is followed, or keeps the agent. */
Test(deliver_quota, what_makes_no_sense_is_counted_again)
{
	static const char *const made[] = {
		"printf '' > d/a/maildirsize",
		"printf '1000S,4C\\n' > d/a/maildirsize",
		"printf '9999S,4C\\n0 0\\n' > d/a/maildirsize",
		"printf '1000S,4C\\n-100 -7\\n' > d/a/maildirsize",
		"printf '1000S,4C\\n9223372036854775807 1\\n1 1\\n' "
		    "> d/a/maildirsize",
		"printf '1000S,4C\\n99999999999999999999 1\\n' "
		    "> d/a/maildirsize",
		"printf '1000S,4C\\nx y\\n' > d/a/maildirsize",
		"printf '1000S,4C\\n0 0\\n1' > d/a/maildirsize",
		"printf '1000S,4C\\n0 0\\0\\n' > d/a/maildirsize",
		"truncate -s 1G d/a/maildirsize",
		"(printf '1000S,4C\\n'; yes '0 0' | head -n 2000) "
		    "> d/a/maildirsize",
		"mkfifo d/a/maildirsize",
		"ln -s ../../secret d/a/maildirsize",
		"ln secret d/a/maildirsize",
		"ln -s /dev/zero d/a/maildirsize",
	};
	char cmd[512];
	size_t i;

	df_run("printf '1000S,4C\\n0 0\\n' > secret");
	for (i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		df_run("rm -rf d && mkdir -p d/a/cur && "
		    "printf 'mail' > d/a/cur/1 && printf x > d/a/cur/2,S=500:2,");
		snprintf(cmd, sizeof(cmd), "%s", made[i]);
		df_run(cmd);
		again();
		expect("");
		expect_file("1000S,4C\n504 2\n" OCTETS " 1\n");
	}
	df_run("test \"$(cat secret)\" = \"$(printf '1000S,4C\\n0 0')\"");
	/* what cannot be replaced, or written */
	df_run("rm -rf d && mkdir -p d/a/maildirsize/x");
	again();
	for (i = 0; i < 4; i++)
		expect("");
	expect("5.2.2");
}

Test(deliver_quota, folders_are_counted_and_links_are_not)
{
	df_run("mkdir -p d/a/new d/a/.b/cur d/a/.b.c/new other/cur && "
	    "touch d/a/new/m,S=1 d/a/.b/cur/m,S=20:2,S d/a/.b.c/new/m,S=300, "
	    "other/cur/m,S=99 && ln -s ../../other d/a/.other && "
	    "ln -s ../../other/cur d/a/.b/new && mkfifo d/a/.fifo && "
	    "touch d/a/new/.hidden,S=7");
	expect("");
	expect_file("1000S,4C\n321 3\n" OCTETS " 1\n");
	expect("5.2.2");
}

Test(deliver_quota, a_name_may_say_anything)
{
	df_run("mkdir -p d/a/new && cd d/a/new && echo 12345 > a,S=x && "
	    "echo 12345 > b,S=9999999999999999999999 && "
	    "echo 12345 > c,S=-5 && mkdir d,S=y");
	expect("");
	expect_file("1000S,4C\n18 3\n" OCTETS " 1\n");
	df_run("cd d/a/new && touch e,S=9223372036854775807 "
	    "f,S=9223372036854775807 g,S=9223372036854775807");
	again();
	df_run("rm d/a/maildirsize");
	expect("5.2.2");
}

Test(deliver_quota, a_folder_of_an_extension_counts_for_its_maildir)
{
	strcpy(x.folders[0], ".lists");
	df_run("mkdir -p d/a/.lists/cur");
	expect("");
	cr_expect_eq(df_count("d/a/.lists/new"), 1);
	expect_file("1000S,4C\n0 0\n" OCTETS " 1\n");
	df_run("test ! -e d/a/.lists/maildirsize");
	x.folders[0][0] = '\0';
	expect("");
	expect("");
	expect("");
	strcpy(x.folders[0], ".lists");
	expect("5.2.2");
}

/* However many messages there are, and whatever comes: one count a minute */
Test(deliver_quota, a_large_maildir_is_counted_once)
{
	int i;

	x.limit.messages = 100000;
	x.limit.octets = 0;
	df_run("mkdir -p d/a/cur && cd d/a/cur && "
	    "seq -f %g,S=10:2, 1 3000 | xargs touch");
	for (i = 0; i < 20; i++) {
		df_run("rm -f d/a/maildirsize && touch d/a/cur/more,S=1");
		expect("");
		df_run("rm d/a/cur/more,S=1");
		if (i == 0)
			expect_file("100000C\n30001 3001\n" OCTETS " 1\n");
		else
			df_run("test ! -e d/a/maildirsize");
	}
}

/* One message to each of more Maildirs than are kept open */
static void
mail_others(void)
{
	static unsigned int n;
	char rcpt[32];
	int i;

	for (i = 0; i < DELIVER_DIRS; i++) {
		snprintf(rcpt, sizeof(rcpt), "u%u@d", n++);
		df_job(df_mail(ID + (nmails++ << 12), rcpt, "1\r\n"), 0, false);
	}
	df_all();
}

Test(deliver_quota, a_maildir_that_was_closed_since_is_not_counted_again)
{
	int i;

	for (i = 0; i < 4; i++)
		expect("");
	df_run("rm d/a/new/*");
	/* counted a moment ago, and again if that was forgotten */
	expect("5.2.2");
	mail_others();
	expect("5.2.2");
	/* another Maildir in its place is another one */
	mail_others();
	df_run("mv d/a d/b");
	expect("");
	mail_others();
	df_run("rm -r d/a && mv d/b d/a");
	expect("5.2.2");
}

Test(deliver_counts, what_is_kept_is_bounded_and_the_longest_there_goes_first)
{
	struct maildir_quota q = { .counted_ms = 1000 }, got;
	struct deliver_counts c;
	struct stat st = { .st_dev = 7 };

	deliver_counts_init(&c);
	for (st.st_ino = 1; st.st_ino <= DELIVER_COUNTS + 1; st.st_ino++) {
		q.size.messages = st.st_ino;
		deliver_counts_keep(&c, &st, &q, 1001);
	}
	cr_expect_eq(c.n, DELIVER_COUNTS);
	st.st_ino = 1;
	deliver_counts_take(&c, &st, &got, 1001);
	cr_expect_eq(got.counted_ms, 0);
	st.st_ino = 2;
	deliver_counts_take(&c, &st, &got, 1001);
	cr_expect_eq(got.counted_ms, 1000);
	cr_expect_eq(got.size.messages, 2);
	deliver_counts_take(&c, &st, &got, 1001);
	cr_expect_eq(got.counted_ms, 0, "it is taken once");
	st.st_dev = 8;
	st.st_ino = 3;
	deliver_counts_take(&c, &st, &got, 1001);
	cr_expect_eq(got.counted_ms, 0, "of another file system");
	/* what is old does not count, and is forgotten when there is more */
	st.st_dev = 7;
	deliver_counts_take(&c, &st, &got, 1000 + MAILDIR_QUOTA_COUNT_MS);
	cr_expect_eq(got.counted_ms, 0);
	deliver_counts_keep(&c, &st, &q, 1000 + MAILDIR_QUOTA_COUNT_MS);
	cr_expect_eq(c.n, DELIVER_COUNTS - 2);
	q.counted_ms = 1000 + MAILDIR_QUOTA_COUNT_MS;
	deliver_counts_keep(&c, &st, &q, 1000 + MAILDIR_QUOTA_COUNT_MS);
	cr_expect_eq(c.n, 1);
	deliver_counts_clear(&c);
	cr_expect_eq(c.n, 0);
}

Test(deliver_quota, what_a_dead_agent_has_begun_to_write_is_removed)
{
	char cmd[256], name[64];
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	snprintf(name, sizeof(name), MAILDIR_QUOTA_TMP, (long)pid);
	snprintf(cmd, sizeof(cmd), "mkdir -p d/a/tmp && "
	    "touch -d '1 hour ago' d/a/tmp/%s", name);
	df_run(cmd);
	expect("");
	cr_expect_eq(df_count("d/a/tmp"), 0);
}
