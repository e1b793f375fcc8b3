/* Changes of a passwd file.
 * Owns: the lock, the new file that replaces the old one.
 * The lock is flock(2) on the file itself.  A process that has got it checks
 * that the name still refers to that file: another may have replaced it. */

#include "core/table/passwdfile_int.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/table/textfile.h"
#include "core/util/base64.h"
#include "core/util/saslprep.h"
#include "core/util/wipe.h"

/* A change under way. */
struct change {
	const char	*path, *name;
	char		 prepared[PASSWDFILE_NAME_MAX + 1];
	char		*err_r;
	size_t		 errlen;
	char		 fields[PASSWDFILE_FIELDS_MAX];	/* new, each with its colon */
	bool		 is_token, is_removal;
	struct passwdfile_new new;

	char		*real;		/* the path behind symbolic links */
	char		*temp;
	int		 fd;		/* the old file, locked */
	struct stat	 st;
	char		*old;		/* its text */
	size_t		 old_len;
	bool		 has_secret, was_there;
};

static int __attribute__((format(printf, 2, 3)))
fail(const struct change *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->err_r, c->errlen, fmt, ap);
	va_end(ap);
	return -1;
}

static int
fail_errno(const struct change *c, const char *what)
{
	return fail(c, "%s: %s: %s", c->path, what, strerror(errno));
}

/* ------------------------------------------------------------ the old file */

/* Create an empty file, which is a valid one.  Another process may just have
 * done so. */
static int
create(const struct change *c)
{
	int fd = open(c->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	if (fd == -1 && errno == EEXIST && lstat(c->path, &st) == 0 &&
	    S_ISLNK(st.st_mode))
		return fail(c, "%s: a symbolic link to a file that does not "
		    "exist: create that file or remove the link", c->path);
	if (fd == -1)
		return errno == EEXIST ? 0 : fail_errno(c, "cannot be created");
	if ((c->new.gid != (gid_t)-1 && fchown(fd, (uid_t)-1, c->new.gid) ==
	    -1) || fchmod(fd, c->new.mode) == -1) {
		fail_errno(c, "owner and mode cannot be set");
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

/* Open what is there under the name now.  O_NOFOLLOW: no link that was put
 * there since realpath(3); O_NONBLOCK: do not wait for the other end of a FIFO,
 * which is refused later. */
static int
open_old(struct change *c)
{
	free(c->real);
	if ((c->real = realpath(c->path, NULL)) == NULL)
		return -1;
	c->fd = open(c->real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY |
	    O_NONBLOCK);
	return c->fd == -1 ? -1 : 0;
}

/* Open and lock it. */
static int
lock(struct change *c)
{
	struct stat now;

	for (;;) {
		if (open_old(c) == -1) {
			if (errno != ENOENT || c->is_removal)
				return fail_errno(c, "cannot be opened");
			if (create(c) == -1)
				return -1;
			continue;
		}
		while (flock(c->fd, LOCK_EX) == -1) {
			if (errno != EINTR)
				return fail_errno(c, "cannot be locked");
		}
		if (fstat(c->fd, &c->st) == 0 && stat(c->real, &now) == 0 &&
		    now.st_dev == c->st.st_dev && now.st_ino == c->st.st_ino)
			return 0;
		close(c->fd);
		c->fd = -1;
	}
}

/* Read it, and refuse to change a file with errors. */
static int
read_old(struct change *c)
{
	struct passwdfile *f;
	char *copy;

	if ((c->old = textfile_read(c->fd,
	    PASSWDFILE_OCTETS_MAX, &c->old_len)) == NULL ||
	    (copy = malloc(c->old_len + 1)) == NULL)
		return fail_errno(c, "cannot be read");
	memcpy(copy, c->old, c->old_len + 1);
	f = passwdfile_parse(c->path, copy, c->old_len, c->err_r, c->errlen);
	if (f == NULL)
		return -1;
	c->has_secret = f->has_secret;
	passwdfile_free(f);
	return 0;
}

/* ------------------------------------------------------------ the new file */

/* Write the fields of the old line that stay: the token if the password
 * changes, all others if the token does. */
static void
put_kept(FILE *fp, const struct change *c, const char *line, size_t len)
{
	const char *end = line + len, *p = memchr(line, ':', len), *next;

	while (end > line && strchr(" \t\r", end[-1]) != NULL)
		end--;
	for (; p != NULL && p < end; p = next) {
		next = memchr(p + 1, ':', (size_t)(end - p - 1));
		if ((strncmp(p + 1, "{TOKEN}", 7) == 0) != c->is_token)
			fwrite(p, 1, (size_t)((next != NULL ? next : end) - p),
			    fp);
	}
}

/* ${line}: the old one, or NULL. */
static void
put_entry(FILE *fp, const struct change *c, const char *line, size_t len)
{
	fputs(c->name, fp);
	if (c->is_token && line != NULL)
		put_kept(fp, c, line, len);
	fputs(c->fields, fp);
	if (!c->is_token && line != NULL)
		put_kept(fp, c, line, len);
	putc('\n', fp);
}

static bool
is_line_of(const char *line, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len > n && strncmp(line, name, n) == 0 && line[n] == ':';
}

/* Write a new secret, so that the fake SCRAM keys of unknown users stay the
 * same after a restart. */
static void
put_secret(FILE *fp)
{
	uint8_t secret[PASSWDFILE_SECRET];
	char text[48];

	arc4random_buf(secret, sizeof(secret));
	if (base64_encode(secret, sizeof(secret), text, sizeof(text)) != -1)
		fprintf(fp, "# secret for the SCRAM challenges of unknown "
		    "users\n:{SECRET}%s\n", text);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(text, sizeof(text));
}

static void
put_all(FILE *fp, struct change *c)
{
	const char *line = c->old, *end = line + c->old_len, *nl;
	size_t len;

	for (; line < end; line = nl + 1) {
		nl = memchr(line, '\n', (size_t)(end - line));
		if (nl == NULL)
			nl = end;
		len = (size_t)(nl - line);
		if (!is_line_of(line, len, c->name)) {
			fwrite(line, 1, len, fp);
			putc('\n', fp);
			continue;
		}
		c->was_there = true;
		if (!c->is_removal)
			put_entry(fp, c, line, len);
	}
	if (c->is_removal)
		return;
	if (!c->has_secret)
		put_secret(fp);
	if (!c->was_there)
		put_entry(fp, c, NULL, 0);
}

static int
temp_open(struct change *c)
{
	int fd;

	if (asprintf(&c->temp, "%s.new", c->real) == -1) {
		c->temp = NULL;
		errno = ENOMEM;
		return fail_errno(c, "cannot be written");
	}
	/* remove what a crash has left; nobody else has the lock */
	unlink(c->temp);
	fd = open(c->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1) {
		fail(c, "%s: cannot be created: %s", c->temp, strerror(errno));
		free(c->temp);
		c->temp = NULL;
	}
	return fd;
}

static int
flush_folder(const char *path)
{
	char folder[PATH_MAX], *slash;
	int fd, rc;

	strlcpy(folder, path, sizeof(folder));
	if ((slash = strrchr(folder, '/')) == NULL)
		return errno = EINVAL, -1;
	slash[slash == folder] = '\0';
	if ((fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* Write the new file, with the owner and mode of the old one. */
static int
put_file(struct change *c, int fd)
{
	FILE *fp = fdopen(fd, "w");
	int rc = -1;

	if (fp == NULL) {
		close(fd);
		return fail_errno(c, "cannot be written");
	}
	put_all(fp, c);
	if (fchown(fd, c->st.st_uid, c->st.st_gid) == -1 ||
	    fchmod(fd, c->st.st_mode & 07777) == -1)
		fail_errno(c, "owner and mode cannot be kept");
	else if (ferror(fp) || fflush(fp) == EOF || fsync(fd) == -1)
		fail_errno(c, "cannot be written");
	else
		rc = 0;
	if (fclose(fp) == EOF && rc == 0)
		rc = fail_errno(c, "cannot be written");
	return rc;
}

static int
replace(struct change *c)
{
	int fd;

	if ((fd = temp_open(c)) == -1)
		return -1;
	if (put_file(c, fd) == -1) {
		unlink(c->temp);
		return -1;
	}
	if (c->is_removal && !c->was_there) {
		unlink(c->temp);
		return 1;
	}
	if (rename(c->temp, c->real) == -1) {
		fail_errno(c, "cannot be replaced");
		unlink(c->temp);
		return -1;
	}
	if (flush_folder(c->real) == -1)
		return fail_errno(c, "is changed, but its folder cannot be "
		    "flushed");
	return 0;
}

static int
apply(struct change *c)
{
	int rc = -1;

	c->fd = -1;
	if (lock(c) == 0 && read_old(c) == 0)
		rc = replace(c);
	if (c->fd != -1)
		close(c->fd);		/* and the lock with it */
	wipe_free(c->old, c->old_len);
	free(c->real);
	free(c->temp);
	return rc;
}

/* ------------------------------------------------------------ the interface */

static int
change_init(struct change *c, const char *path, const char *name, char *err_r,
    size_t errlen)
{
	const char *fault;

	memset(c, 0, sizeof(*c));
	c->path = path;
	c->err_r = err_r;
	c->errlen = errlen;
	/* prepared like a login: else a login would never match it */
	c->name = saslprep_text(name, c->prepared, sizeof(c->prepared)) == 0 ?
	    c->prepared : name;
	fault = passwdfile_name_fault(c->name);
	if (fault != NULL)
		return fail(c, "'%s': %s", name, fault);
	return 0;
}

int
passwdfile_set(const char *path, const char *name, const char *secret,
    bool is_token, const char *method, const struct passwdfile_new *new,
    char *err_r, size_t errlen)
{
	struct change c;
	int rc = -1;

	if (change_init(&c, path, name, err_r, errlen) == -1)
		return -1;
	c.new = *new;
	c.is_token = is_token;
	if (passwdfile_make(method, secret, is_token, new->iterations > 0 ?
	    new->iterations : PASSWDFILE_ITERATIONS, c.fields, err_r,
	    errlen) == 0)
		rc = apply(&c);
	explicit_bzero(c.fields, sizeof(c.fields));
	return rc;
}

int
passwdfile_remove(const char *path, const char *name, char *err_r,
    size_t errlen)
{
	struct change c;

	if (change_init(&c, path, name, err_r, errlen) == -1)
		return -1;
	c.is_removal = true;
	return apply(&c);
}
