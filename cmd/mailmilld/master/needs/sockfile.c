/* The file of a Unix socket on which the server listens: see sockfile.h.
 * Owns: what its folder must be like, who may connect, when one that is there is
 * replaced.
 * Works on descriptors of the folder and the file, since the folder may belong to
 * an unprivileged account. */

#include "cmd/mailmilld/master/needs/sockfile.h"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/util/fileio.h"

#define PATH_OCTETS	sizeof(((struct sockaddr_un *)0)->sun_path)
#define LOCK_TRIES	100	/* of 10 ms each */

/* --- accounts ------------------------------------------------------------- */

/* A decimal number that can be a uid or gid.  Return 0 or -1. */
static int
parse_id(const char *text, uint32_t *id_r)
{
	const char *problem;
	long long n = strtonum(text, 0, UINT32_MAX - 1, &problem);

	*id_r = (uint32_t)n;
	return problem == NULL ? 0 : -1;
}

int
sockfile_accounts(const char *owner, const char *group,
    struct sockfile_spec *spec, const char **why_r)
{
	const struct passwd *pw;
	const struct group *gr;
	uint32_t id;

	*why_r = NULL;
	spec->uid = geteuid();
	spec->gid = getegid();
	if (*owner != '\0') {
		if ((pw = getpwnam(owner)) != NULL)
			spec->uid = pw->pw_uid;
		else if (parse_id(owner, &id) == 0)
			spec->uid = id;
		else
			*why_r = "there is no account with the name in "
			    "File_Owner: add it, or name another one";
	}
	if (*group != '\0') {
		if ((gr = getgrnam(group)) != NULL)
			spec->gid = gr->gr_gid;
		else if (parse_id(group, &id) == 0)
			spec->gid = id;
		else
			*why_r = "there is no group with the name in "
			    "File_Group: add it, or name another one";
	}
	if (*why_r == NULL)
		return 0;
	errno = EINVAL;
	return -1;
}

/* --- the folder ----------------------------------------------------------- */

static int
refuse(int errnum, const char *why, const char **why_r)
{
	*why_r = why;
	errno = errnum;
	return -1;
}

static bool
may_own(const struct stat *st, const struct sockfile_spec *spec)
{
	return st->st_uid == 0 || st->st_uid == geteuid() ||
	    st->st_uid == spec->uid;
}

/* Who can write to the folder can put a socket of his own there, and read the
 * mail. */
static int
check_folder(int dirfd, const struct sockfile_spec *spec, const char **why_r)
{
	struct stat st;

	if (fstat(dirfd, &st) == -1)
		return -1;
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return refuse(EPERM, "other accounts can write to the folder, "
		    "and so replace the socket: chmod go-w, or choose another "
		    "folder", why_r);
	if (!may_own(&st, spec))
		return refuse(EPERM, "the folder must belong to root, to the "
		    "account of the server, or to File_Owner", why_r);
	return 0;
}

/* And who can write to a folder above can replace this one, unless that is like
 * /tmp; its owner can in any case. */
static int
check_one_above(const struct stat *st, const struct sockfile_spec *spec,
    const char **why_r)
{
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
	    (st->st_mode & S_ISVTX) == 0)
		return refuse(EPERM, "other accounts can write to a folder "
		    "above, and so replace the socket's: chmod go-w, or choose "
		    "another folder", why_r);
	if (!may_own(st, spec))
		return refuse(EPERM, "a folder above must belong to root, to "
		    "the account of the server, or to File_Owner: chown it, or "
		    "choose another folder", why_r);
	return 0;
}

static int
check_above(int dirfd, const struct sockfile_spec *spec, const char **why_r)
{
	struct stat st, up;
	int fd, at = dirfd, rc = 0;

	while (rc == 0) {
		fd = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1 || fstat(at, &st) == -1 || fstat(fd, &up) == -1)
			rc = -1;
		else if (st.st_dev == up.st_dev && st.st_ino == up.st_ino)
			rc = 1;
		else
			rc = check_one_above(&up, spec, why_r);
		if (at != dirfd)
			fileio_close(at);
		at = fd;
	}
	fileio_close(at);
	return rc == -1 ? -1 : 0;
}

/* The folder, and the name in it.  Return a descriptor or -1. */
static int
open_folder(const struct sockfile_spec *spec, const char **name_r,
    const char **why_r)
{
	const char *slash = strrchr(spec->path, '/');
	size_t len = (size_t)(slash - spec->path);
	char folder[PATH_OCTETS];
	int fd;

	*why_r = NULL;
	*name_r = slash + 1;
	snprintf(folder, sizeof(folder), "%.*s", len == 0 ? 1 : (int)len,
	    spec->path);
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	if (check_folder(fd, spec, why_r) == 0 &&
	    check_above(fd, spec, why_r) == 0)
		return fd;
	fileio_close(fd);
	return -1;
}

/* --- the lock ------------------------------------------------------------- */

struct lock {
	int	dirfd, fd;
	char	name[NAME_MAX + 1];
};

/* The file must be one that no other account can open, and so keep locked. */
static int
open_lock(const struct lock *l, const char **why_r)
{
	struct stat st;
	int fd;

	fd = openat(l->dirfd, l->name, O_RDWR | O_CREAT | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid() && (st.st_mode & 077) == 0)
		return fd;
	fileio_close(fd);
	return refuse(EPERM, "the file for a lock, .NAME.mailmill-lock beside "
	    "the socket, is another account's: remove it", why_r);
}

/* Is ${fd} the file that has the name now?  Who had the lock before may have
 * removed it. */
static bool
is_at(const struct lock *l, int fd)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && fstatat(l->dirfd, l->name, &there,
	    AT_SYMLINK_NOFOLLOW) == 0 && mine.st_dev == there.st_dev &&
	    mine.st_ino == there.st_ino;
}

/* Keep other servers from making a socket with that name until unlock(), also
 * those that use the library's netlistener.  Return 0 or -1. */
static int
lock(struct lock *l, int dirfd, const char *name, const char **why_r)
{
	const struct timespec moment = { .tv_nsec = 10000000 };
	int left = LOCK_TRIES;

	l->dirfd = dirfd;
	snprintf(l->name, sizeof(l->name), ".%s.mailmill-lock", name);
	while ((l->fd = open_lock(l, why_r)) != -1) {
		if (flock(l->fd, LOCK_EX | LOCK_NB) == 0) {
			if (is_at(l, l->fd))
				return 0;
		} else if (errno != EWOULDBLOCK || left-- == 0) {
			fileio_close(l->fd);
			return errno != EWOULDBLOCK ? -1 : refuse(EADDRINUSE,
			    "another server is starting there", why_r);
		} else
			nanosleep(&moment, NULL);
		fileio_close(l->fd);
	}
	return -1;
}

static void
unlock(struct lock *l)
{
	fileio_unlink(l->dirfd, l->name);
	fileio_close(l->fd);
}

/* --- what is there -------------------------------------------------------- */

static void
fill(struct sockaddr_un *un, const char *path)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strlen(path) + 1);
}

/* Does somebody listen on the socket at ${path}?  1, 0, or -1 with errno. */
static int
is_alive(const char *path)
{
	struct sockaddr_un un;
	int fd, rc;

	fill(&un, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	rc = connect(fd, (const struct sockaddr *)&un, sizeof(un));
	fileio_close(fd);
	/* EAGAIN: its backlog is full; EPROTOTYPE: a socket of datagrams */
	if (rc == 0 || errno == EAGAIN || errno == EPROTOTYPE)
		return 1;
	return errno == ECONNREFUSED || errno == ENOENT ? 0 : -1;
}

enum there { NOTHING, REMAINS };	/* REMAINS: a socket of nobody */

/* What has the name now?  Return it, or -1: the name is taken. */
static int
look(int dirfd, const char *name, const char *path, const char **why_r)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? NOTHING : -1;
	if (!S_ISSOCK(st.st_mode))
		return refuse(EEXIST, "something else than a socket is there: "
		    "remove it, or choose another path", why_r);
	switch (is_alive(path)) {
	case 0:
		return REMAINS;
	case 1:
		return refuse(EADDRINUSE, "another process listens there: "
		    "stop it, or choose another path", why_r);
	default:
		return -1;
	}
}

int
sockfile_check(const struct sockfile_spec *spec, const char **why_r)
{
	const char *name;
	int rc, dirfd = open_folder(spec, &name, why_r);

	if (dirfd == -1)
		return -1;
	rc = look(dirfd, name, spec->path, why_r);
	if (rc != -1)
		rc = faccessat(dirfd, ".", W_OK | X_OK, AT_EACCESS);
	fileio_close(dirfd);
	return rc;
}

/* --- making it ------------------------------------------------------------ */

/* ${fd} is of O_PATH.  chmod(2) through /proc changes that very file. */
static int
own(int fd, const struct sockfile_spec *spec)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) == -1 || ((st.st_uid != spec->uid ||
	    st.st_gid != spec->gid) && fchownat(fd, "", spec->uid, spec->gid,
	    AT_EMPTY_PATH) == -1))
		return -1;
	return chmod(path, spec->mode);
}

/* The file that bind(2) has just made with mode 0, and not what the folder's owner
 * has put in its place: only the server's account could have made that one.  Return
 * a descriptor or -1. */
static int
open_made(int dirfd, const char *name, struct sockfile *f_r,
    const char **why_r)
{
	struct stat st;
	int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_nlink == 1 &&
	    st.st_uid == geteuid() && (st.st_mode & 0777) == 0) {
		f_r->dev = st.st_dev;
		f_r->ino = st.st_ino;
		f_r->is_made = true;
		return fd;
	}
	fileio_close(fd);
	return refuse(EPERM, "somebody has replaced the socket that was just "
	    "made", why_r);
}

/* With the lock. */
static int
make(int dirfd, const char *name, int fd, const struct sockfile_spec *spec,
    struct sockfile *f_r, const char **why_r)
{
	struct sockaddr_un un;
	mode_t mask;
	int file, rc;

	fill(&un, spec->path);
	mask = umask(0777);
	rc = bind(fd, (const struct sockaddr *)&un, sizeof(un));
	umask(mask);
	if (rc == -1 || (file = open_made(dirfd, name, f_r, why_r)) == -1)
		return -1;
	rc = own(file, spec);
	fileio_close(file);
	return rc;
}

int
sockfile_listen(int fd, const struct sockfile_spec *spec, int backlog,
    struct sockfile *f_r, const char **why_r)
{
	const char *name;
	struct lock l;
	int there, dirfd, rc = -1;

	memset(f_r, 0, sizeof(*f_r));
	if ((dirfd = open_folder(spec, &name, why_r)) == -1)
		return -1;
	if (lock(&l, dirfd, name, why_r) == -1)
		goto err1;
	if ((there = look(dirfd, name, spec->path, why_r)) == -1 ||
	    (there == REMAINS && unlinkat(dirfd, name, 0) == -1 &&
	    errno != ENOENT))
		goto err2;
	rc = make(dirfd, name, fd, spec, f_r, why_r);
	if (rc == 0)
		rc = listen(fd, backlog);
	if (rc == -1 && f_r->is_made) {
		fileio_unlink(dirfd, name);
		f_r->is_made = false;
	}
err2:
	unlock(&l);
err1:
	fileio_close(dirfd);
	return rc;
}

/* --- later ---------------------------------------------------------------- */

static bool
is_file(const struct sockfile *f, const struct stat *st)
{
	return f->is_made && S_ISSOCK(st->st_mode) && st->st_dev == f->dev &&
	    st->st_ino == f->ino;
}

bool
sockfile_is_there(const struct sockfile *f, const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && is_file(f, &st);
}

int
sockfile_change(const struct sockfile *f, const struct sockfile_spec *spec)
{
	int rc = -1, fd = open(spec->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd == -1)
		return -1;
	errno = ENOENT;
	if (fstat(fd, &st) == 0 && is_file(f, &st))
		rc = own(fd, spec);
	fileio_close(fd);
	return rc;
}

void
sockfile_remove(struct sockfile *f, const char *path)
{
	if (sockfile_is_there(f, path))
		(void)unlink(path);
	f->is_made = false;
}
