#include "core/maildir/maildir.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/core/spool/fault.h"
#include "test/unit/core/util/utf8_fail.h"

static const char base[] = "/var/vmail/%d/%u";

static void
make_folder(char path[64])
{
	strlcpy(path, "/tmp/maildir-test.XXXXXX", 64);
	cr_assert_not_null(mkdtemp(path));
}

static void
remove_folder(const char *path)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	cr_assert_eq(system(cmd), 0);
}

static void
open_maildir(const char *path, size_t fixed, struct maildir *md_r)
{
	char where[MAILDIR_PATH_MAX] = "";

	cr_assert_eq(maildir_open(path, fixed, md_r, where), 0, "%s", where);
}

static void
put_file(int fd, const char *name, const char *text)
{
	int file = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	cr_assert_neq(file, -1, "%s", name);
	cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
	close(file);
}

Test(maildir, a_path_has_domain_and_local_part_in_lower_case)
{
	static const struct {
		const char *pattern, *rcpt, *path;
		size_t fixed;
	} rows[] = {
		{ base, "Joe@Example.Test", "/var/vmail/example.test/joe", 10 },
		{ "/V/%u", "a@b", "/V/a", 2 },
		{ "/%d-%u/Mail", "A@B", "/b-a/Mail", 0 },
		{ "/v/x%%y/%u.d", "q@b", "/v/x%y/q.d", 6 },
		{ "/v/all", "q@b", "/v/all", 6 },
		{ "/all%%", "q@b", "/all%", 5 },
		{ base, "%d@b", "/var/vmail/b/%d", 10 },
		{ base, "a@b@c", "/var/vmail/c/a@b", 10 },
		{ base, "a b@[127.0.0.1]", "/var/vmail/[127.0.0.1]/a b", 10 },
	};
	char path[MAILDIR_PATH_MAX];
	const char *why;
	size_t i, fixed;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(maildir_expand(rows[i].pattern, rows[i].rcpt,
		    path, &fixed, &why), 0, "%s", rows[i].rcpt);
		cr_assert_str_eq(path, rows[i].path);
		cr_assert_eq(fixed, rows[i].fixed, "%s: %zu", rows[i].pattern,
		    fixed);
	}
}

Test(maildir, a_hostile_recipient_never_leaves_its_folder)
{
	static const char *const rcpts[] = { "../x@d", "a/b@d", ".@d", "..@d",
		".hidden@d", "/etc@d", "@d", "a@", "a@..", "a@.", "a@../b",
		"a@b/c", "a", "", "@", "a\nb@d", "a\x7f@d", "a@d\r", "\x01@d" };
	char path[MAILDIR_PATH_MAX], rcpt[400];
	const char *why = NULL;
	size_t i, fixed;

	for (i = 0; i < sizeof(rcpts) / sizeof(rcpts[0]); i++) {
		errno = 0;
		cr_assert_eq(maildir_expand(base, rcpts[i], path, &fixed,
		    &why), -1, "%s", rcpts[i]);
		cr_assert_eq(errno, EINVAL);
		cr_assert_not_null(why);
	}
	memset(rcpt, 'a', sizeof(rcpt));
	memcpy(rcpt + 300, "@d", 3);
	cr_assert_eq(maildir_expand(base, rcpt, path, &fixed, &why), -1);
	memcpy(rcpt + 200, "@d", 3);
	cr_assert_eq(maildir_expand(base, rcpt, path, &fixed, &why), 0);
	cr_assert_not(maildir_local_safe("a\0b", 3));
	cr_assert_not(maildir_local_safe("", 0));
	cr_assert(maildir_local_safe("joe", 3));
}

Test(maildir, a_path_that_is_too_long_is_refused)
{
	char pattern[MAILDIR_PATH_MAX], path[MAILDIR_PATH_MAX], rcpt[220];
	const char *why;
	size_t fixed;

	memset(pattern, 'x', sizeof(pattern));
	pattern[0] = '/';
	strlcpy(pattern + 900, "/%u", 10);
	memset(rcpt, 'r', sizeof(rcpt));
	strlcpy(rcpt + 150, "@d", 3);
	cr_assert_eq(maildir_expand(pattern, rcpt, path, &fixed, &why), -1);
	cr_assert_eq(errno, ENAMETOOLONG);
}

Test(maildir, a_path_that_needs_memory_is_not_called_too_long)
{
	char path[MAILDIR_PATH_MAX];
	const char *why;
	size_t fixed;

	utf8_fail(true);
	cr_expect_eq(maildir_expand(base, "gr\xc3\xbcn@d", path, &fixed, &why),
	    -1);
	cr_expect_eq(errno, ENOMEM);
	utf8_fail(false);
	cr_expect_eq(maildir_expand(base, "gr\xc3\xbcn@d", path, &fixed, &why),
	    0);
}

Test(maildir, a_pattern_is_absolute_and_stays_where_it_is)
{
	static const char *const good[] = { base, "/a", "/%%/%u", "/a/..b",
		"/a/%d.%u/Maildir" };
	static const char *const bad[] = { "", "a/%u", "/", "/a//b", "/a/",
		"/a/../b", "/a/./b", "/a/..", "/a/%x", "/a/%", "/a\n" };
	const char *why;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert_eq(maildir_pattern_check(good[i], &why), 0, "%s",
		    good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = NULL;
		cr_assert_eq(maildir_pattern_check(bad[i], &why), -1, "%s",
		    bad[i]);
		cr_assert_not_null(why);
	}
}

Test(maildir, what_is_below_the_administrators_folder_is_made)
{
	char root[64], path[128];
	struct maildir md;
	struct stat st;

	make_folder(root);
	snprintf(path, sizeof(path), "%s/d/u", root);
	open_maildir(path, strlen(root), &md);
	cr_assert_eq(fstatat(md.fd, "tmp", &st, 0), 0);
	cr_assert_eq(st.st_mode & 07777, 0700);
	cr_assert_eq(fstatat(md.fd, "new", &st, 0), 0);
	cr_assert_eq(fstatat(md.fd, "cur", &st, 0), 0);
	maildir_close(&md);
	open_maildir(path, strlen(root), &md);
	maildir_close(&md);
	remove_folder(root);
}

Test(maildir, the_administrators_folder_itself_is_not_made)
{
	char root[64], path[128], where[MAILDIR_PATH_MAX];
	struct maildir md;

	make_folder(root);
	snprintf(path, sizeof(path), "%s/gone/u", root);
	cr_assert_eq(maildir_open(path, strlen(root) + 5, &md, where), -1);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(strncmp(where, path, strlen(root) + 5), 0);
	cr_assert_eq(strlen(where), strlen(root) + 5);
	remove_folder(root);
}

Test(maildir, of_a_path_that_is_all_fixed_only_the_last_folder_is_made)
{
	char root[64], path[128], where[MAILDIR_PATH_MAX];
	struct maildir md;

	make_folder(root);
	snprintf(path, sizeof(path), "%s/gone/u", root);
	cr_assert_eq(maildir_open(path, strlen(path), &md, where), -1);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(strlen(where), strlen(root) + 5, "%s", where);
	snprintf(path, sizeof(path), "%s/u", root);
	open_maildir(path, strlen(path), &md);
	cr_assert(maildir_is_current(&md, path, strlen(path)));
	maildir_close(&md);
	cr_assert_eq(access(path, F_OK), 0);
	remove_folder(root);
}

Test(maildir, names_follow_from_the_message)
{
	char prefix[MAILDIR_NAME_MAX], name[MAILDIR_NAME_MAX];
	char want[MAILDIR_NAME_MAX + 32];
	char host[MAILDIR_HOST_MAX];
	struct job_origin origin = { .segment = 0x0652c1f2a9d3b07e,
		.generation = 12, .seq = 345, .rcpt = 7 };

	maildir_prefix(prefix, 1700000000, "0123456789ABC", &origin);
	cr_assert_str_eq(prefix,
	    "1700000000.0123456789ABCR7S0652c1f2a9d3b07eG12N345.");
	cr_assert_str_eq(maildir_key(prefix), "R7S0652c1f2a9d3b07eG12N345.");
	maildir_host(host, "a/b:c,d.test");
	cr_assert_str_eq(host, "a_b_c_d.test");
	maildir_new_name(name, prefix, "mx.test", 42, 0);
	cr_assert_str_eq(name, "1700000000.0123456789ABC"
	    "R7S0652c1f2a9d3b07eG12N345.mx.test,S=42");
	maildir_tmp_name(name, prefix, getpid());
	snprintf(want, sizeof(want), "%s%d", prefix, (int)getpid());
	cr_assert_str_eq(name, want);
	origin.segment = 0;
	maildir_prefix(prefix, 1700000000, "0123456789ABC", &origin);
	cr_assert_str_eq(prefix, "1700000000.0123456789ABCR7.");
	cr_assert_str_eq(maildir_key(prefix), prefix);
}

/* Whatever a worker has written into its record and its header */
Test(maildir, the_longest_name_is_whole)
{
	const struct job_origin origin = { .segment = UINT64_MAX,
		.generation = UINT64_MAX, .seq = UINT32_MAX,
		.rcpt = UINT32_MAX };
	char prefix[MAILDIR_NAME_MAX], name[MAILDIR_NAME_MAX];
	char host[MAILDIR_HOST_MAX], long_host[200];

	memset(long_host, 'h', sizeof(long_host));
	long_host[sizeof(long_host) - 1] = '\0';
	maildir_host(host, long_host);
	maildir_prefix(prefix, UINT64_MAX, "RRRRRRRRRRRRR", &origin);
	cr_assert_str_eq(maildir_key(prefix), "R4294967295Sffffffffffffffff"
	    "G18446744073709551615N4294967295.");
	maildir_new_name(name, prefix, host, UINT64_MAX, UINT64_MAX);
	cr_assert_not_null(strstr(name, "h,S=18446744073709551615,"
	    "W=18446744073709551615"), "%s", name);
	cr_assert_null(strpbrk(name, "/:"));
	cr_assert_lt(strlen(name) + sizeof(":2,DFPRST"), 255);
}

Test(maildir, a_rename_never_overwrites)
{
	char root[64];
	struct maildir md;
	int fd;

	make_folder(root);
	open_maildir(root, 1, &md);
	fd = md.fd;
	put_file(fd, "tmp/a", "mine");
	put_file(fd, "new/a", "theirs");
	cr_assert_eq(maildir_publish(&md, root, 1, "a", "a"), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(maildir_publish(&md, root, 1, "a", "b"), 0);
	cr_assert_eq(faccessat(fd, "tmp/a", F_OK, 0), -1);
	maildir_close(&md);
	remove_folder(root);
}

Test(maildir, a_tmp_file_is_never_written_through_a_link)
{
	char root[64];
	struct stat st;
	struct maildir md;
	int fd, file;

	make_folder(root);
	open_maildir(root, 1, &md);
	fd = md.fd;
	put_file(fd, "victim", "precious");
	cr_assert_eq(symlinkat("../victim", fd, "tmp/x"), 0);
	file = maildir_create(&md, "x");
	cr_assert_neq(file, -1);
	cr_assert_eq(fstat(file, &st), 0);
	cr_assert(S_ISREG(st.st_mode));
	cr_assert_eq(st.st_mode & 0777, 0600);
	close(file);
	cr_assert_eq(fstatat(fd, "victim", &st, 0), 0);
	cr_assert_eq(st.st_size, 8);
	maildir_close(&md);
	remove_folder(root);
}

struct seen {
	unsigned int	n;
	size_t		index[8];
	uint64_t	octets[8];
	char		dir[8][8];
};

static void
see(void *closure, size_t index, const char *dir, const char *,
    uint64_t octets)
{
	struct seen *s = closure;

	cr_assert_lt(s->n, 8);
	s->index[s->n] = index;
	s->octets[s->n] = octets;
	strlcpy(s->dir[s->n++], dir, 8);
}

Test(maildir, earlier_deliveries_are_found_in_new_and_cur)
{
	static const char *const keys[] = { "1.AR0.", "1.AR1.", "2.BR0.",
		"R0S1G1N2.", "R1S1G1N1." };
	struct seen seen = { .n = 0 };
	char root[64];
	struct maildir md;
	int fd;

	make_folder(root);
	open_maildir(root, 1, &md);
	fd = md.fd;
	put_file(fd, "new/1.AR1.host,S=3", "abc");
	put_file(fd, "new/1.AR10.host,S=3", "abc");
	put_file(fd, "new/other", "abc");
	put_file(fd, "new/R1S1G1N1.", "abc");
	put_file(fd, "new/1.AR1S1G1N1", "abc");
	put_file(fd, "new/1.AR1S1G1N10.host,S=3", "abc");
	put_file(fd, "new/1.AR0S1G1N1.host,S=3", "abc");
	put_file(fd, "cur/2.BR0.otherhost,S=4:2,S", "abcd");
	put_file(fd, "cur/9.R0S1G1N2R1S1G1N1.host,S=5:2,S", "abcde");
	cr_assert_eq(mkdirat(fd, "new/1.AR0.dir", 0700), 0);
	cr_assert_eq(maildir_look(&md, keys, 5, see, &seen), 0);
	cr_assert_eq(seen.n, 3);
	cr_assert_eq(seen.index[0], 1);
	cr_assert_eq(seen.octets[0], 3);
	cr_assert_str_eq(seen.dir[0], "new");
	/* in the order of the folder */
	cr_assert_eq(seen.index[1] + seen.index[2], 2 + 4);
	cr_assert_eq(seen.octets[1] + seen.octets[2], 4 + 5);
	cr_assert_str_eq(seen.dir[1], "cur");
	maildir_close(&md);
	remove_folder(root);
}

Test(maildir, leftovers_of_dead_processes_are_removed)
{
	static const char *const keys[] = { "1.AR0." };
	struct seen seen = { .n = 0 };
	char root[64], dead[64], alive[64];
	pid_t pid;
	struct maildir md;
	int fd;

	if ((pid = fork()) == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	make_folder(root);
	open_maildir(root, 1, &md);
	fd = md.fd;
	snprintf(dead, sizeof(dead), "tmp/1.AR0.%d", (int)pid);
	snprintf(alive, sizeof(alive), "tmp/1.AR0.%d", (int)getppid());
	put_file(fd, dead, "half");
	put_file(fd, alive, "half");
	put_file(fd, "tmp/1.AR0.x", "whose?");
	cr_assert_eq(maildir_look(&md, keys, 1, see, &seen), 0);
	cr_assert_eq(faccessat(fd, dead, F_OK, 0), -1);
	cr_assert_eq(faccessat(fd, alive, F_OK, 0), 0);
	cr_assert_eq(faccessat(fd, "tmp/1.AR0.x", F_OK, 0), 0);
	cr_assert_eq(seen.n, 0);
	maildir_close(&md);
	remove_folder(root);
}

/* The end of a folder that could not be read to its end is not known. */
Test(maildir, a_read_that_fails_is_not_the_end_of_a_folder)
{
	static const char *const keys[] = { "1.AR0." };
	struct seen seen;
	unsigned int nremoved;
	char root[64];
	struct maildir md;
	int n, left, rc, error;

	make_folder(root);
	open_maildir(root, 1, &md);
	for (n = 0, left = 0; left == 0; n++) {
		fault_arm(FAULT_READDIR, n, 1, EIO);
		seen.n = 0;
		rc = maildir_look(&md, keys, 1, see, &seen);
		error = errno;
		left = fault_left(FAULT_READDIR);
		cr_expect_eq(rc, left > 0 ? 0 : -1, "look, %d", n);
		cr_expect(rc == 0 || error == EIO, "look, %d", n);
	}
	/* ".", ".." and the end of three folders */
	cr_expect_eq(n, 10);
	for (n = 0, left = 0; left == 0; n++) {
		fault_arm(FAULT_READDIR, n, 1, EIO);
		rc = maildir_sweep(&md, 0, 0, &nremoved);
		error = errno;
		left = fault_left(FAULT_READDIR);
		cr_expect_eq(rc, left > 0 ? 0 : -1, "sweep, %d", n);
		cr_expect(rc == 0 || error == EIO, "sweep, %d", n);
	}
	cr_expect_eq(n, 4);
	fault_arm(FAULT_READDIR, 0, 0, 0);
	maildir_close(&md);
	remove_folder(root);
}

Test(maildir, return_path_is_one_line_whatever_the_sender)
{
	char buf[64], name[100];
	size_t i;

	/* RFC 5321 4.4: Return-Path is added at the final delivery */
	maildir_return_path(buf, sizeof(buf), "a@b.test");
	cr_assert_str_eq(buf, "Return-Path: <a@b.test>\r\n");
	maildir_return_path(buf, sizeof(buf), "");
	cr_assert_str_eq(buf, "Return-Path: <>\r\n");
	maildir_return_path(buf, sizeof(buf), "a\r\nX: y\x80@b");
	cr_assert_str_eq(buf, "Return-Path: <a??X: y?@b>\r\n");
	/* RFC 6531 3.7.3: the address of a message with SMTPUTF8 */
	maildir_return_path(buf, sizeof(buf), "gr\xc3\xbcn@x");
	cr_assert_str_eq(buf, "Return-Path: <gr\xc3\xbcn@x>\r\n");
	maildir_return_path(buf, sizeof(buf), "a\xe2\x80\xae\xc2\x85\xc3@b");
	cr_assert_str_eq(buf, "Return-Path: <a??????@b>\r\n");
	for (i = 0; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "\xc3\xbc", 2);
	name[i] = '\0';
	for (i = 20; i < sizeof(buf); i++) {
		cr_assert_lt(maildir_return_path(buf, i, name), i);
		cr_assert_str_eq(buf + strlen(buf) - 3, ">\r\n");
	}
	cr_assert_lt(maildir_return_path(buf, sizeof(buf),
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b"), sizeof(buf));
	cr_assert_str_eq(buf + strlen(buf) - 3, ">\r\n");
}
