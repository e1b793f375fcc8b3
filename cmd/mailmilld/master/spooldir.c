/* The folders of the spool.
 * Owns: their names, owners and modes; see mailmill-spool(5).
 * Works on descriptors and never follows a symbolic link, since the folders
 * belong to unprivileged accounts. */

#include "cmd/mailmilld/master/spooldir.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"

/* Make ${a} the owner of the plain files in ${dirfd}.  A file with a second
 * name is left alone: the folder's owner could have linked a file of somebody
 * else into it. */
static void
own_files(int dirfd, const struct account *a)
{
	struct dirent *de;
	struct stat st;
	DIR *d;
	int fd, copy;

	if ((copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
	    == -1)
		return;
	if ((d = fdopendir(copy)) == NULL) {
		close(copy);
		return;
	}
	while ((de = readdir(d)) != NULL) {
		fd = openat(dirfd, de->d_name, O_RDONLY | O_NOFOLLOW |
		    O_NONBLOCK | O_CLOEXEC);
		if (fd == -1)
			continue;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    st.st_nlink == 1 && st.st_uid != a->uid &&
		    fchown(fd, a->uid, a->gid) == -1)
			log_warn("spool-owner", "file=%s", de->d_name);
		close(fd);
	}
	closedir(d);
}

/* Make ${name} in ${at}, or correct it.  Return its descriptor, or -1. */
static int
make_dir(int at, const char *name, mode_t mode, const struct account *a)
{
	struct stat st;
	int fd;

	if (mkdirat(at, name, 0700) == -1 && errno != EEXIST)
		return -1;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		goto err1;
	/* without root the accounts are not known, and our own is the owner */
	if (geteuid() == 0 && (st.st_uid != a->uid || st.st_gid != a->gid)) {
		if (fchown(fd, a->uid, a->gid) == -1)
			goto err1;
		own_files(fd, a);
	}
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) == -1)
		goto err1;
	return fd;
err1:
	if (fd != -1)
		close(fd);
	return -1;
}

/* mkdir -p, for the spool's own path and what leads to it. */
static int
make_path(const char *path)
{
	char *copy, *p;
	int rc = 0;

	if ((copy = strdup(path)) == NULL)
		return -1;
	for (p = copy + 1; rc == 0 && (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			rc = -1;
		*p = '/';
	}
	if (rc == 0 && mkdir(copy, 0755) == -1 && errno != EEXIST)
		rc = -1;
	free(copy);
	return rc;
}

/* The chroot of processes that need no file.  It must be empty, and belong to
 * root, so that no role can write to it. */
static int
make_empty(int top, const char *name)
{
	const struct account root = { 0, 0 };
	struct dirent *de;
	DIR *d;
	int fd, rc = 0;

	if ((fd = make_dir(top, name, 0755, &root)) == -1)
		return -1;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	while (rc == 0 && (de = readdir(d)) != NULL)
		if (strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0) {
			log_errx("spool", "dir=%s file=%s reason=%s", name,
			    de->d_name, "this folder must be empty: remove it");
			rc = -1;
		}
	closedir(d);
	errno = ENOTEMPTY;
	return rc;
}

int
spooldir_make(const char *path, const struct account accounts[NROLES])
{
	const struct account *worker = &accounts[ROLE_WORKER];
	const struct account *queue = &accounts[ROLE_QUEUE];
	const char *at = path;
	int top, incoming = -1, dir = -1, deferred = -1, rc = -1;

	if (make_path(path) == -1 ||
	    (top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		log_err("spool", "dir=%s", path);
		return -1;
	}
	if (fchmod(top, 0755) == -1)
		goto out;
	at = "incoming";
	if ((incoming = make_dir(top, at, 02770, worker)) == -1)
		goto out;
	at = "queue";
	if ((dir = make_dir(top, at, 0700, queue)) == -1)
		goto out;
	at = "queue/deferred";
	if ((deferred = make_dir(dir, "deferred", 0700, queue)) == -1)
		goto out;
	at = SPOOL_EMPTY;
	if (make_empty(top, at) == -1)
		goto out;
	/* a file in a folder is durable only if the folder's name is */
	if (fsync(dir) == -1 || fsync(top) == -1)
		goto out;
	rc = 0;
out:
	if (rc == -1)
		log_err("spool", "dir=%s at=%s", path, at);
	close(top);
	if (incoming != -1)
		close(incoming);
	if (dir != -1)
		close(dir);
	if (deferred != -1)
		close(deferred);
	return rc;
}

int
rundir_make(const char *file)
{
	char *copy, *slash;
	int rc = 0;

	if ((copy = strdup(file)) == NULL)
		return -1;
	slash = strrchr(copy, '/');
	if (slash != NULL && slash != copy) {
		*slash = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			rc = -1;
	}
	free(copy);
	return rc;
}
