/* See maildrop.h.
 * Owns: what the folder of an account may hold, and when a message is in it. */

#include "cmd/maildrop/maildrop.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/lim.h"
#include "core/util/fileio.h"
#include "core/util/unique.h"

#define COPY_OCTETS	65536
#define LOCK_TRIES	600	/* of 100 ms each */
#define LIST_OCTETS	65536	/* of a file, in which its addresses are looked for */

struct said {
	char	*err;
	size_t	 errlen;
};

static int __attribute__((format(printf, 3, 4)))
fail(const struct said *said, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said->err, said->errlen, fmt, ap);
	va_end(ap);
	return status;
}

/* --- folders ------------------------------------------------------------------- */

int
maildrop_open(const char *path, char *err, size_t errlen)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd != -1)
		return fd;
	if (errno == ENOENT)
		snprintf(err, errlen, "%s: there is no such folder: \"make "
		    "install\" makes it, as root", path);
	else if (errno == EACCES)
		snprintf(err, errlen, "%s: the program mailmill-maildrop must "
		    "have the group of this folder, and be set-group-id (mode "
		    "2755)", path);
	else
		snprintf(err, errlen, "%s: %s", path, strerror(errno));
	return -1;
}

int
maildrop_open_of(int dirfd, uid_t uid, bool may_make)
{
	char name[16];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "%u", (unsigned int)uid);
	/* another process may have made it a moment ago */
	if (may_make && ((mkdirat(dirfd, name, 0700) == -1 &&
	    errno != EEXIST) || fsync(dirfd) == -1))
		return -1;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (fd != -1 && fstat(fd, &st) == 0 && st.st_uid == uid &&
	    (st.st_mode & 077) == 0)
		return fd;
	if (fd != -1) {
		close(fd);
		errno = EPERM;
	}
	return -1;
}

bool
maildrop_is_message(const char *name)
{
	size_t len = strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return len > 0 && len < UNIQUE_TEXT && name[len] == '\0';
}

/* --- what there is --------------------------------------------------------------- */

/* Only one process at a time writes to the folder of an account.  Others of the
 * account may stop theirs, so that it is not waited for for ever. */
static int
lock(int dirfd)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	int i;

	for (i = 0; flock(dirfd, LOCK_EX | LOCK_NB) == -1; i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES)
			return -1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Count what is there, and remove what processes that have died have left: with the
 * lock. */
static int
measure(int dirfd, uint64_t *files_r, uint64_t *octets_r)
{
	DIR *dir = fileio_opendir(dirfd, ".");
	const struct dirent *de;
	struct stat st;

	*files_r = *octets_r = 0;
	if (dir == NULL)
		return -1;
	while ((de = readdir(dir)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		if (strncmp(de->d_name, MAILDROP_TMP,
		    strlen(MAILDROP_TMP)) == 0) {
			(void)unlinkat(dirfd, de->d_name, 0);
		} else if (fstatat(dirfd, de->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) == 0) {
			++*files_r;
			*octets_r += (uint64_t)st.st_size;
		}
	}
	closedir(dir);
	return 0;
}

/* Will there be room for ${octets} more, and some left for others? */
static bool
has_room(int dirfd, uint64_t octets)
{
	struct statvfs vfs;
	uint64_t avail, all;

	if (fstatvfs(dirfd, &vfs) == -1)
		return false;
	avail = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	all = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	return octets <= avail && avail - octets >= all / LIM_MAILDROP_FREE &&
	    (vfs.f_files == 0 || vfs.f_favail >= vfs.f_files /
	    LIM_MAILDROP_FREE);
}

static int
check_room(const struct said *said, int dirfd, uint64_t octets)
{
	uint64_t files, there;

	if (lock(dirfd) == -1)
		return fail(said, EX_TEMPFAIL, "the maildrop of this account is "
		    "in use: %s", strerror(errno));
	if (measure(dirfd, &files, &there) == -1)
		return fail(said, EX_TEMPFAIL, "the maildrop: %s",
		    strerror(errno));
	if (files >= LIM_MAILDROP_FILES)
		return fail(said, EX_TEMPFAIL, "%d messages of this account "
		    "wait for the server already: is it running?",
		    LIM_MAILDROP_FILES);
	if (octets > LIM_MAILDROP_OCTETS || there > LIM_MAILDROP_OCTETS -
	    octets)
		return fail(said, EX_TEMPFAIL, "the messages of this account "
		    "that wait for the server may have %d MiB together, and "
		    "with this one they would have more",
		    LIM_MAILDROP_OCTETS >> 20);
	if (!has_room(dirfd, octets))
		return fail(said, EX_TEMPFAIL, "the file system of the maildrop "
		    "is full, but for what is left to others");
	return 0;
}

/* --- a new message ----------------------------------------------------------------- */

static int
copy(const struct said *said, int fd, int in, uint64_t octets)
{
	char buf[COPY_OCTETS];
	ssize_t n;

	for (; octets > 0; octets -= (uint64_t)n) {
		n = read(in, buf, octets < sizeof(buf) ? (size_t)octets :
		    sizeof(buf));
		if (n == -1 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return fail(said, EX_IOERR, "the message ends early");
		else if (fileio_write(fd, buf, (size_t)n) == -1)
			return fail(said, EX_TEMPFAIL, "the maildrop: %s",
			    strerror(errno));
	}
	if (fsync(fd) == -1)
		return fail(said, EX_TEMPFAIL, "the maildrop: %s",
		    strerror(errno));
	return 0;
}

int
maildrop_put(int dirfd, int in, uint64_t octets, char *err, size_t errlen)
{
	const struct said said = { err, errlen };
	char tmp[sizeof(MAILDROP_TMP) + UNIQUE_TEXT], id[UNIQUE_TEXT];
	struct timeval now;
	int fd, status;

	if ((status = check_room(&said, dirfd, octets)) != 0)
		return status;
	gettimeofday(&now, NULL);
	snprintf(tmp, sizeof(tmp), MAILDROP_TMP "%s", unique_text(&now, id));
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd == -1)
		return fail(&said, EX_TEMPFAIL, "the maildrop: %s",
		    strerror(errno));
	status = copy(&said, fd, in, octets);
	if (status == 0 && renameat(dirfd, tmp, dirfd, id) == -1)
		status = fail(&said, EX_TEMPFAIL, "the maildrop: %s",
		    strerror(errno));
	if (status != 0)
		fileio_unlink(dirfd, tmp);
	else if (fsync(dirfd) == -1) {
		status = fail(&said, EX_TEMPFAIL, "the maildrop: %s",
		    strerror(errno));
		fileio_unlink(dirfd, id);
	}
	close(fd);
	return status;
}

/* --- what waits ---------------------------------------------------------------------- */

static void
put_address(FILE *out, const char *indent, const char *s, size_t len)
{
	size_t i;

	fputs(indent, out);
	if (len == 0)
		fputs("<>", out);
	/* root's terminal may take others for commands */
	for (i = 0; i < len; i++)
		fputc(s[i] < ' ' || s[i] >= 127 ? '?' : s[i], out);
	fputc('\n', out);
}

/* The addresses of the lines S and R: see cmd/sendmail/send_envelope.h */
static void
print_addresses(int fd, FILE *out)
{
	char *buf = malloc(LIST_OCTETS), *p, *lf, *end;
	ssize_t n = buf == NULL ? -1 : fileio_pread(fd, buf, LIST_OCTETS, 0);

	end = n > 0 ? buf + n : buf;
	for (p = buf; p < end && (lf = memchr(p, '\n',
	    (size_t)(end - p))) != NULL && lf > p; p = lf + 1) {
		if (*p == 'S')
			put_address(out, "  ", p + 1, (size_t)(lf - p) - 1);
		else if (*p == 'R')
			put_address(out, "\t\t\t\t\t", p + 1,
			    (size_t)(lf - p) - 1);
	}
	free(buf);
}

static int
is_listed(const struct dirent *de)
{
	const char *name = de->d_name;

	if (strncmp(name, MAILDROP_BAD, strlen(MAILDROP_BAD)) == 0)
		name += strlen(MAILDROP_BAD);
	return maildrop_is_message(name);
}

unsigned int
maildrop_list(int dirfd, FILE *out)
{
	struct dirent **names;
	unsigned int count = 0;
	char when[32];
	struct stat st;
	struct tm tm;
	int i, fd, n = scandirat(dirfd, ".", &names, is_listed, alphasort);

	for (i = 0; i < n; i++) {
		/* one that has gone meanwhile is not listed */
		fd = openat(dirfd, names[i]->d_name, O_RDONLY | O_NOFOLLOW |
		    O_NONBLOCK | O_CLOEXEC);
		if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
			count++;
			strftime(when, sizeof(when), "%a %b %e %H:%M:%S",
			    localtime_r(&st.st_mtime, &tm));
			fprintf(out, "%s %lld %s", names[i]->d_name,
			    (long long)st.st_size, when);
			print_addresses(fd, out);
		}
		fileio_close(fd);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return count;
}
