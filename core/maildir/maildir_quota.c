/* The quota of a Maildir; see maildir_quota.h. */

#include "core/maildir/maildir_quota.h"

#include <sys/stat.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define FILE_NAME	"maildirsize"
#define FILE_FLAGS	(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define LIMIT_MAX	64		/* octets of the first line with NUL */

/* --- the file --------------------------------------------------------------- */

/* What a file says */
struct said {
	struct maildir_size size;
	unsigned int	 nlines;	/* behind the first */
	time_t		 mtime;
};

/* The first line of the file, "1000S,10C" */
static void
limit_line(const struct maildir_size *limit, char buf[LIMIT_MAX])
{
	int n = 0;

	if (limit->octets != 0)
		n = snprintf(buf, LIMIT_MAX, "%lluS",
		    (unsigned long long)limit->octets);
	if (limit->messages != 0)
		n += snprintf(buf + n, LIMIT_MAX - (size_t)n, "%s%lluC",
		    n == 0 ? "" : ",", (unsigned long long)limit->messages);
	snprintf(buf + n, LIMIT_MAX - (size_t)n, "\n");
}

/* Read a number with blanks before it.  Return what follows, or NULL. */
static const char *
number(const char *s, int64_t *n_r)
{
	char *end;

	while (*s == ' ')
		s++;
	if (*s != '-' && !isdigit((unsigned char)*s))
		return NULL;
	errno = 0;
	*n_r = strtoll(s, &end, 10);
	return end == s || errno != 0 ? NULL : end;
}

/* Add up the lines of ${s}.  Return 0, or -1: they make no sense. */
static int
sum_lines(const char *s, struct said *said)
{
	int64_t octets = 0, messages = 0, o, m;

	for (; *s != '\0'; s++) {
		if ((s = number(s, &o)) == NULL || *s != ' ' ||
		    (s = number(s, &m)) == NULL)
			return -1;
		while (*s == ' ' || *s == '\r')
			s++;
		if (*s != '\n' || __builtin_add_overflow(octets, o, &octets) ||
		    __builtin_add_overflow(messages, m, &messages))
			return -1;
		said->nlines++;
	}
	if (octets < 0 || messages < 0 || said->nlines == 0)
		return -1;
	said->size.octets = (uint64_t)octets;
	said->size.messages = (uint64_t)messages;
	return 0;
}

/* Open the file, if it is one.  Return a descriptor or -1. */
static int
open_file(const struct maildir *md, int flags, struct stat *st)
{
	int fd = openat(md->fd, FILE_NAME, FILE_FLAGS | flags);

	if (fd == -1)
		return -1;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_nlink == 1)
		return fd;
	close(fd);
	return -1;
}

/* Read the file.  Return 0, or -1: it says nothing that counts with ${limit}. */
static int
read_file(const struct maildir *md, const struct maildir_size *limit,
    struct said *said)
{
	char buf[MAILDIR_QUOTA_FILE_MAX + 1], first[LIMIT_MAX];
	struct stat st;
	ssize_t n;
	int fd;

	*said = (struct said){ .nlines = 0 };
	if ((fd = open_file(md, O_RDONLY, &st)) == -1)
		return -1;
	n = st.st_size > MAILDIR_QUOTA_FILE_MAX ? -1 :
	    fileio_pread(fd, buf, MAILDIR_QUOTA_FILE_MAX, 0);
	close(fd);
	if (n <= 0 || memchr(buf, '\0', (size_t)n) != NULL)
		return -1;
	buf[n] = '\0';
	said->mtime = st.st_mtime;
	limit_line(limit, first);
	if (strncmp(buf, first, strlen(first)) != 0)
		return -1;
	return sum_lines(buf + strlen(first), said);
}

/* Write a new file.  If that cannot be, the messages are counted again. */
static void
write_file(const struct maildir *md, const struct maildir_size *limit,
    const struct maildir_size *size)
{
	char text[LIMIT_MAX + 64], name[64];
	int fd;

	snprintf(name, sizeof(name), MAILDIR_QUOTA_TMP, (long)getpid());
	limit_line(limit, text);
	snprintf(text + strlen(text), sizeof(text) - strlen(text),
	    "%llu %llu\n", (unsigned long long)size->octets,
	    (unsigned long long)size->messages);
	/* its name has our pid */
	(void)unlinkat(md->tmp, name, 0);
	fd = openat(md->tmp, name, O_WRONLY | O_CREAT | O_EXCL | FILE_FLAGS,
	    0600);
	if (fd == -1)
		return;
	if (fileio_write(fd, text, strlen(text)) == -1 || renameat(md->tmp,
	    name, md->fd, FILE_NAME) == -1)
		(void)unlinkat(md->tmp, name, 0);
	close(fd);
}

/* --- counting --------------------------------------------------------------- */

struct counting {
	struct maildir_size size;
	unsigned int	 nentries;
};

/* Is there no more to count? */
static bool
is_enough(struct counting *c)
{
	return ++c->nentries > MAILDIR_QUOTA_ENTRIES;
}

/* The octets of a message by the name of its file: S= in it; -1: it does not say. */
static int64_t
named_octets(const char *name)
{
	const char *p = strstr(name, ",S=");
	int64_t n;

	if (p == NULL || !isdigit((unsigned char)p[3]) ||
	    (p = number(p + 3, &n)) == NULL || strchr(":,", *p) == NULL)
		return -1;
	return n;
}

static void
count_file(int dir, const char *name, struct counting *c)
{
	int64_t octets = named_octets(name);
	struct stat st;

	if (octets == -1) {
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
		    !S_ISREG(st.st_mode))
			return;
		octets = st.st_size;
	}
	/* a name may say anything */
	if (__builtin_add_overflow(c->size.octets, (uint64_t)octets,
	    &c->size.octets))
		c->size.octets = UINT64_MAX;
	c->size.messages++;
}

/* A folder that is missing, or that is none, has nothing.  Return 0, or -1: there are
 * no descriptors or memory. */
static int
no_folder(void)
{
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -1 : 0;
}

/* new/ or cur/ in the folder ${fd} */
static int
count_part(int fd, const char *part, struct counting *c)
{
	struct dirent *de;
	DIR *dir = fileio_opendir(fd, part);

	if (dir == NULL)
		return no_folder();
	while ((de = readdir(dir)) != NULL && !is_enough(c))
		if (de->d_name[0] != '.')
			count_file(dirfd(dir), de->d_name, c);
	closedir(dir);
	return 0;
}

static int
count_folder(int fd, struct counting *c)
{
	return count_part(fd, "new", c) == -1 ? -1 : count_part(fd, "cur", c);
}

/* A folder of the Maildir ${dir} */
static int
count_child(int dir, const char *name, struct counting *c)
{
	int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC), rc;

	if (fd == -1)
		return no_folder();
	rc = count_folder(fd, c);
	close(fd);
	return rc;
}

static int
count(const struct maildir *md, struct maildir_size *size_r)
{
	struct counting c = { .nentries = 0 };
	struct dirent *de;
	int rc = count_folder(md->fd, &c);
	DIR *dir = rc == -1 ? NULL : fileio_opendir(md->fd, ".");

	if (dir == NULL)
		return -1;
	while (rc == 0 && (de = readdir(dir)) != NULL && !is_enough(&c))
		if (de->d_name[0] == '.' && de->d_name[1] != '\0' &&
		    strcmp(de->d_name, "..") != 0)
			rc = count_child(dirfd(dir), de->d_name, &c);
	closedir(dir);
	*size_r = c.size;
	return rc;
}

/* --- the quota -------------------------------------------------------------- */

static bool
fits_one(uint64_t limit, uint64_t used, uint64_t more)
{
	return limit == 0 || (used <= limit && more <= limit - used);
}

static int
fits(const struct maildir_size *limit, const struct maildir_size *used,
    const struct maildir_size *more)
{
	return fits_one(limit->octets, used->octets, more->octets) &&
	    fits_one(limit->messages, used->messages, more->messages);
}

int
maildir_quota_has_room(const struct maildir *md, struct maildir_quota *q,
    const struct maildir_size *limit, const struct maildir_size *more)
{
	uint64_t now = monotonic_ms();
	struct said said;
	bool is_said = read_file(md, limit, &said) == 0;
	time_t age;

	if (is_said && fits(limit, &said.size, more))
		return 1;
	/* others may have removed messages, and not written that down */
	age = time(NULL) - said.mtime;
	if (is_said && said.nlines == 1 && age >= 0 &&
	    age < MAILDIR_QUOTA_OLD_S)
		return 0;
	/* whoever fills it, or writes into the file, is not to keep this process
	 * counting */
	if (q->counted_ms != 0 && now - q->counted_ms < MAILDIR_QUOTA_COUNT_MS)
		return fits(limit, is_said ? &said.size : &q->size, more);
	if (count(md, &q->size) == -1)
		return -1;
	q->counted_ms = now;
	write_file(md, limit, &q->size);
	return fits(limit, &q->size, more);
}

void
maildir_quota_add(const struct maildir *md, struct maildir_quota *q,
    uint64_t octets)
{
	char line[32];
	struct stat st;
	int n = snprintf(line, sizeof(line), "%llu 1\n",
	    (unsigned long long)octets);
	int fd = open_file(md, O_WRONLY | O_APPEND, &st);
	ssize_t done;

	q->size.octets += octets;
	q->size.messages++;
	if (fd == -1)
		return;
	/* in one call, since others append, too; a part of a line makes no sense,
	 * and the messages are counted again */
	done = write(fd, line, (size_t)n);
	(void)done;
	close(fd);
}
