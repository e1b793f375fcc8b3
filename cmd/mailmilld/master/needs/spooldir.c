/* The folders of the spool.
 * Owns: that they are there, with the owners and modes that the roles say; see
 * mailmill-spool(5).
 * Works on descriptors and never follows a symbolic link, since the folders
 * belong to unprivileged accounts. */

#include "cmd/mailmilld/master/needs/spooldir.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/needs/owners.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/role/spoollock.h"
#include "core/lim.h"
#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/spool/spool_segment.h"
#include "core/util/fileio.h"

/* Make ${f} in ${at}, where it has the name ${name}, or correct it.  Return its
 * descriptor, or -1. */
static int
make_dir(int at, const char *name, const struct role_folder *f,
    const struct account *a)
{
	bool is_owned = true;
	struct stat st;
	int fd;

	if (mkdirat(at, name, 0700) == -1 && errno != EEXIST)
		return -1;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		goto err1;
	/* without root the accounts are not known, and our own is the owner */
	if (geteuid() == 0) {
		is_owned = st.st_uid == a->uid && st.st_gid == a->gid;
		if (!is_owned && fchown(fd, a->uid, a->gid) == -1)
			goto err1;
		/* each time: a start before may not have got to the end */
		if (owners_put_right(fd, a, f->has_many && is_owned) == -1)
			goto err1;
	}
	if ((st.st_mode & 07777) != f->mode && fchmod(fd, f->mode) == -1)
		goto err1;
	return fd;
err1:
	fileio_close(fd);
	return -1;
}

static int
make_one(const char *path)
{
	return mkdir(path, 0755) == -1 && errno != EEXIST ? -1 : 0;
}

/* mkdir -p, for the spool's own path and what leads to it. */
static int
make_path(const char *path)
{
	char *copy, *p;
	int rc = 0;

	if ((copy = strdup(path)) == NULL)
		return -1;
	for (p = copy; rc == 0 && p != NULL;) {
		if ((p = strchr(p + 1, '/')) != NULL)
			*p = '\0';
		rc = make_one(copy);
		if (p != NULL)
			*p = '/';
	}
	free(copy);
	return rc;
}

/* Has the folder ${name} nothing in it?  It may also be missing.  Return 0, or
 * -1 with errno: ENOTEMPTY; it could not be read to its end. */
static int
check_empty(int top, const char *name)
{
	struct dirent *de;
	DIR *d;
	int error;

	if ((d = fileio_opendir(top, name)) == NULL)
		return errno == ENOENT ? 0 : -1;
	do {
		errno = 0;
		de = readdir(d);
	} while (de != NULL && (strcmp(de->d_name, ".") == 0 ||
	    strcmp(de->d_name, "..") == 0));
	error = de == NULL ? errno : ENOTEMPTY;
	if (de != NULL)
		log_errx("spool", "folder=%s file=%s reason=%s", name,
		    de->d_name, "this folder must be empty: remove it");
	closedir(d);
	errno = error;
	return error == 0 ? 0 : -1;
}

/* The chroot of processes that need no file.  It must be empty, and belong to
 * root, so that no role can write to it. */
static int
make_empty(int top, const char *name)
{
	const struct role_folder empty = { .name = name, .mode = 0755 };
	const struct account root = { 0, 0 };
	int fd;

	if ((fd = make_dir(top, name, &empty, &root)) == -1)
		return -1;
	close(fd);
	return check_empty(top, name);
}

/* Make "folder", or "folder/in_it" when "folder" has been made.  Return its
 * descriptor, or -1. */
static int
make_below(int top, const struct role_folder *f, const struct account *a)
{
	const char *slash = strchr(f->name, '/');
	char outer[LIM_NAME];
	int at, fd;

	if (slash == NULL)
		return make_dir(top, f->name, f, a);
	snprintf(outer, sizeof(outer), "%.*s", (int)(slash - f->name),
	    f->name);
	at = openat(top, outer, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (at == -1)
		return -1;
	fd = make_dir(at, slash + 1, f, a);
	if (fd != -1 && fsync(at) == -1) {
		close(fd);
		fd = -1;
	}
	close(at);
	return fd;
}

/* The folders of ${role} below ${top}. */
static int
make_folders(int top, const struct role *role, const struct account *a)
{
	const struct role_folder *f;
	int fd;

	for (f = role->folders; f < role->folders + ROLE_FOLDERS_MAX &&
	    f->name != NULL; f++) {
		if ((fd = make_below(top, f, a)) == -1) {
			log_err("spool", "role=%s folder=%s",
			    role_name(role->id), f->name);
			return -1;
		}
		close(fd);
	}
	return 0;
}

int
spooldir_free(const char *path)
{
	char file[PATH_MAX];
	bool is_alive = false;
	pid_t pid = 0;
	int fd;

	snprintf(file, sizeof(file), "%s/%s", path, SPOOLLOCK);
	fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) == -1)
		pid = spoollock_owner(fd, &is_alive);
	close(fd);
	/* the processes of a master that has died end soon */
	if (!is_alive || pid == getpid())
		return 0;
	log_errx("spool", "folder=%s pid=%d reason=%s", path, (int)pid,
	    "another mailmilld runs with this spool");
	return -1;
}

int
spooldir_make(const char *path, const struct account accounts[NROLES])
{
	unsigned int id;
	int top, rc = -1;

	if (make_path(path) == -1 ||
	    (top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		log_err("spool", "folder=%s", path);
		return -1;
	}
	if (fchmod(top, 0755) == -1)
		goto out;
	for (id = 0; id < NROLES; id++)
		if (make_folders(top, role_of(id), &accounts[id]) == -1)
			goto out;
	if (make_empty(top, SPOOL_EMPTY) == -1)
		goto out;
	/* a file in a folder is durable only if the folder's name is */
	rc = fsync(top);
out:
	if (rc == -1)
		log_err("spool", "folder=%s", path);
	close(top);
	return rc;
}

int
spooldir_could_make(const char *path, unsigned int missing)
{
	char at[PATH_MAX], *slash;
	struct stat st;

	if (strlcpy(at, path, sizeof(at)) >= sizeof(at)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (;;) {
		slash = strrchr(at, '/');
		slash[slash == at] = '\0';
		if (stat(at, &st) == 0)
			break;
		if (errno != ENOENT || missing-- == 0)
			return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	return faccessat(AT_FDCWD, at, W_OK | X_OK, AT_EACCESS);
}

/* The same checks as make_dir() has, of a folder that may be missing. */
static int
check_dir(int at, const char *name)
{
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	if (geteuid() == 0 || st.st_uid == geteuid())
		return 0;
	errno = EACCES;
	return -1;
}

int
spooldir_check(const char *path)
{
	const struct role_folder *f;
	unsigned int id;
	int top, rc = 0;

	top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top == -1)
		return errno == ENOENT ?
		    spooldir_could_make(path, UINT_MAX) : -1;
	for (id = 0; rc == 0 && id < NROLES; id++)
		for (f = role_of(id)->folders; rc == 0 && f < role_of(id)->
		    folders + ROLE_FOLDERS_MAX && f->name != NULL; f++)
			rc = check_dir(top, f->name);
	if (rc == 0)
		rc = check_dir(top, SPOOL_EMPTY);
	if (rc == 0)
		rc = faccessat(top, ".", W_OK | X_OK, AT_EACCESS);
	if (rc == 0)
		rc = check_empty(top, SPOOL_EMPTY);
	fileio_close(top);
	return rc;
}

static int
note_number(void *closure, enum spool_entry kind, uint64_t id, const char *)
{
	struct spooldir_numbers *numbers = closure;
	unsigned int number = spool_number(id);

	if (kind != SPOOL_ENTRY_OTHER)
		numbers->bits[number / 8] |=
		    (unsigned char)(1u << number % 8);
	return 0;
}

/* A deferred message's file has its id for a name. */
static int
note_deferred(int dirfd, struct spooldir_numbers *numbers)
{
	struct dirent *de;
	uint64_t id;
	DIR *d;
	int error;

	if ((d = fileio_opendir(dirfd, ".")) == NULL)
		return -1;
	while (errno = 0, (de = readdir(d)) != NULL)
		if (spool_id_parse(de->d_name, strlen(de->d_name), &id) == 0)
			(void)note_number(numbers, SPOOL_ENTRY_BODY, id, NULL);
	error = errno;
	closedir(d);
	errno = error;
	return error == 0 ? 0 : -1;
}

static int
note_incoming(int dirfd, struct spooldir_numbers *numbers)
{
	return spool_scan(dirfd, note_number, numbers);
}

/* Those of the folder ${name}. */
static int
note_folder(const char *path, const char *name,
    int (*note)(int dirfd, struct spooldir_numbers *numbers),
    struct spooldir_numbers *numbers)
{
	char folder[PATH_MAX];
	int fd, rc;

	snprintf(folder, sizeof(folder), "%s/%s", path, name);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	rc = note(fd, numbers);
	fileio_close(fd);
	return rc;
}

int
spooldir_numbers_incoming(const char *path, struct spooldir_numbers *numbers)
{
	return note_folder(path, "incoming", note_incoming, numbers);
}

int
spooldir_numbers(const char *path, struct spooldir_numbers *numbers_r)
{
	memset(numbers_r, 0, sizeof(*numbers_r));
	if (spooldir_numbers_incoming(path, numbers_r) == -1)
		return -1;
	return note_folder(path, "queue/deferred", note_deferred, numbers_r);
}

int
rundir_make(const char *file)
{
	char *copy;
	int rc;

	if ((copy = strdup(file)) == NULL)
		return -1;
	rc = make_one(dirname(copy));
	free(copy);
	return rc;
}
