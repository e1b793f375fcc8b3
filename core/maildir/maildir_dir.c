/* Maildir: its folders, and the files made in them.
 * Owns: how the folders are opened and made, that no symbolic link below the
 * administrator's part of the path is followed, the removal of what agents that
 * were killed have left in tmp/.
 *
 * The owner of a Maildir may replace any of its folders by anything at any
 * time.  So folders are opened one component at a time, or by a path that the
 * kernel resolves without following links; files are made and renamed only in
 * folders that are open. */

#include "core/maildir/maildir.h"

#include <sys/param.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/openat2.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/fileio.h"

#define FOLDER_FLAGS	(O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define SWEEP_MAX	1000		/* entries of tmp/ looked at */
#define FOLDERS_SEEN	100000	/* entries of a Maildir looked at for its folders: twice Extension_Folder_Limit */
#define OLD_S		(36 * 60 * 60)	/* maildir(5): older files in tmp/ are leftovers */

/* Open the folder ${name} in ${fd}, made if it is missing. */
static int
enter(int fd, const char *name, int flags)
{
	int child = openat(fd, name, FOLDER_FLAGS | flags);

	if (child != -1 || errno != ENOENT)
		return child;
	if (mkdirat(fd, name, 0700) == -1 && errno != EEXIST)
		return -1;
	return openat(fd, name, FOLDER_FLAGS | flags);
}

/* Open ${path} below ${base} with one call, if the kernel can; make nothing. */
static int
open_beneath(int base, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | FOLDER_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, base, path, &how, sizeof(how));
}

/* Open it component by component: make what is missing, and note where it
 * failed. */
static int
walk(int base, const char *path, size_t at, char *where_r)
{
	int fd = dup(base), child;
	size_t end;

	while (fd != -1 && path[at] != '\0') {
		end = at + strcspn(path + at, "/");
		memcpy(where_r, path, end);
		where_r[end] = '\0';
		child = enter(fd, where_r + at,
		    path[end] == '\0' ? O_RDONLY : O_PATH);
		fileio_close(fd);
		fd = child;
		at = path[end] == '/' ? end + 1 : end;
	}
	return fd;
}

/* Open a folder of ${md}, in place of what was open as *${fd}. */
static int
enter_part(struct maildir *md, const char *name, int *fd)
{
	int part = enter(md->fd, name, O_PATH);

	if (part == -1) {
		md->bad = name;
		return -1;
	}
	fileio_close(*fd);
	*fd = part;
	return 0;
}

static int
enter_new(struct maildir *md)
{
	struct stat st;

	if (enter_part(md, "new", &md->new) == -1 || fstat(md->new, &st) == -1)
		return -1;
	md->new_dev = st.st_dev;
	md->new_ino = st.st_ino;
	return 0;
}

static int
open_parts(struct maildir *md)
{
	int cur = -1;

	if (enter_part(md, "cur", &cur) == -1)
		return -1;
	close(cur);
	return enter_part(md, "tmp", &md->tmp) == 0 ? enter_new(md) : -1;
}

/* Open ${path}, the administrator's part.  ${is_all}: this is the whole path of
 * the Maildir; then its last component is made if it is missing. */
static int
open_base(char *path, bool is_all)
{
	const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
	int base = open(path, flags);

	if (base != -1 || errno != ENOENT || !is_all)
		return base;
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return open(path, flags);
	if (errno == ENOENT)	/* report the folder above */
		*strrchr(path, '/') = '\0';
	return -1;
}

int
maildir_open(const char *path, size_t fixed, struct maildir *md_r,
    char *where_r)
{
	size_t at = path[fixed] == '/' ? fixed + 1 : fixed;
	int base;

	*md_r = (struct maildir){ .fd = -1, .tmp = -1, .new = -1 };
	if (strlen(path) >= MAILDIR_PATH_MAX - sizeof("/tmp")) {
		*where_r = '\0';
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(where_r, path, MAX(fixed, 1));
	where_r[MAX(fixed, 1)] = '\0';
	/* the administrator may have made links in this part */
	if ((base = open_base(where_r, path[fixed] == '\0')) == -1)
		return -1;
	if (path[at] == '\0')
		md_r->fd = openat(base, ".", O_RDONLY | FOLDER_FLAGS);
	else if ((md_r->fd = open_beneath(base, path + at)) == -1)
		md_r->fd = walk(base, path, at, where_r);
	close(base);
	if (md_r->fd == -1)
		return -1;
	if (open_parts(md_r) == 0)
		return 0;
	snprintf(where_r, MAILDIR_PATH_MAX, "%s/%s", path, md_r->bad);
	maildir_close(md_r);
	return -1;
}

void
maildir_close(struct maildir *md)
{
	fileio_close(md->tmp);
	fileio_close(md->new);
	fileio_close(md->fd);
	md->tmp = md->new = md->fd = -1;
}

bool
maildir_exists(const char *path, size_t fixed)
{
	const int flags = O_PATH | FOLDER_FLAGS;
	char part[MAILDIR_PATH_MAX];
	size_t at = path[fixed] == '/' ? fixed + 1 : fixed, end;
	int fd, child, saved;

	memcpy(part, path, MAX(fixed, 1));
	part[MAX(fixed, 1)] = '\0';
	fd = open(part, O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd != -1 && path[at] != '\0') {
		end = at + strcspn(path + at, "/");
		memcpy(part, path + at, end - at);
		part[end - at] = '\0';
		child = openat(fd, part, flags);
		fileio_close(fd);
		fd = child;
		at = path[end] == '/' ? end + 1 : end;
	}
	child = fd == -1 ? -1 : openat(fd, "cur", flags);
	saved = errno;
	fileio_close(fd);
	fileio_close(child);
	errno = saved;
	return child != -1;
}

bool
maildir_has_folders(const struct maildir *md, unsigned int n)
{
	DIR *dir = fileio_opendir(md->fd, ".");
	unsigned int seen = 0, found = 0;
	struct dirent *de;

	if (dir == NULL)
		return true;
	while (found < n && seen++ < FOLDERS_SEEN &&
	    (de = readdir(dir)) != NULL)
		found += de->d_name[0] == '.' && de->d_name[1] != '\0' &&
		    strcmp(de->d_name, "..") != 0;
	closedir(dir);
	return found >= n || seen > FOLDERS_SEEN;
}

void
maildir_mark_folder(const struct maildir *md)
{
	/* what reads it looks only whether it is there */
	fileio_close(openat(md->fd, "maildirfolder", O_WRONLY | O_CREAT |
	    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
}

bool
maildir_is_current(struct maildir *md, const char *path, size_t fixed)
{
	struct stat open, named;

	if (fstat(md->fd, &open) == -1 || fstatat(AT_FDCWD, path, &named,
	    path[fixed] == '\0' ? 0 : AT_SYMLINK_NOFOLLOW) == -1 ||
	    open.st_dev != named.st_dev || open.st_ino != named.st_ino)
		return false;
	(void)mkdirat(md->fd, "cur", 0700);
	return true;
}

int
maildir_create(struct maildir *md, const char *name)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int file;

	md->bad = "tmp";
	file = openat(md->tmp, name, flags, 0600);
	/* its name has our pid, so the process that made it is dead */
	if (file == -1 && errno == EEXIST &&
	    (unlinkat(md->tmp, name, 0) == 0 || errno == ENOENT))
		file = openat(md->tmp, name, flags, 0600);
	/* the folder has been removed */
	if (file == -1 && errno == ENOENT &&
	    enter_part(md, "tmp", &md->tmp) == 0)
		file = openat(md->tmp, name, flags, 0600);
	return file;
}

/* Is what is open as new/ still the new/ at ${path}?  By its whole name, since
 * new/ stays in its Maildir where that is moved. */
static bool
is_new(const struct maildir *md, const char *path)
{
	char new[MAILDIR_PATH_MAX];
	struct stat named;

	snprintf(new, sizeof(new), "%s/new", path);
	return fstatat(AT_FDCWD, new, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    named.st_dev == md->new_dev && named.st_ino == md->new_ino;
}

/* Open new/ again if another one is there now. */
static int
check_new(struct maildir *md, const char *path, size_t fixed)
{
	if (md->is_new_checked)
		return 0;
	if (!is_new(md, path)) {
		if (!maildir_is_current(md, path, fixed)) {
			errno = ENOENT;
			return -1;
		}
		if (enter_new(md) == -1)
			return -1;
	}
	md->is_new_checked = true;
	return 0;
}

int
maildir_publish(struct maildir *md, const char *path, size_t fixed,
    const char *tmp, const char *name)
{
	md->bad = "new";
	if (check_new(md, path, fixed) == -1)
		return -1;
	if (renameat2(md->tmp, tmp, md->new, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* a file system without RENAME_NOREPLACE: link(2) does not overwrite
	 * either */
	if (linkat(md->tmp, tmp, md->new, name, 0) == -1)
		return -1;
	unlinkat(md->tmp, tmp, 0);
	return 0;
}

/* The process that made ${name} in tmp/: such a name is a prefix as of
 * maildir_prefix(), and a pid.  0: it is another name. */
static pid_t
maker(const char *name)
{
	const char *p = name + strspn(name, "0123456789");
	char *end;
	long pid;

	if (p == name || *p != '.' || strcspn(p + 1, "R.") != 13 ||
	    p[14] != 'R')
		return 0;
	p += 15;
	p += strspn(p, "0123456789abcdefSGN");
	if (*p != '.' || p[1] < '1' || p[1] > '9')
		return 0;
	errno = 0;
	pid = strtol(p + 1, &end, 10);
	return *end != '\0' || errno != 0 || pid > INT32_MAX ? 0 : (pid_t)pid;
}

/* Was ${name} left by a process that has ended?  If another process has its pid
 * by now, the file stays until it is as old as maildir(5) says. */
static bool
is_left(int tmp, const char *name, time_t started, time_t now)
{
	pid_t pid = maker(name);
	struct stat st;

	if (pid == 0 || pid == getpid() ||
	    fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode))
		return false;
	if (st.st_mtime < now - OLD_S)
		return true;
	/* later than now: the clock has been set back */
	return (st.st_mtime < started || st.st_mtime > now) &&
	    kill(pid, 0) == -1 && errno == ESRCH;
}

int
maildir_sweep(const struct maildir *md, time_t started, time_t now,
    unsigned int *nremoved_r)
{
	DIR *dir = fileio_opendir(md->tmp, ".");
	struct dirent *de;
	unsigned int seen;
	int error = 0;

	*nremoved_r = 0;
	if (dir == NULL)
		return -1;
	for (seen = 0; seen < SWEEP_MAX; seen++) {
		errno = 0;
		if ((de = readdir(dir)) == NULL) {
			error = errno;
			break;
		}
		if (is_left(dirfd(dir), de->d_name, started, now) &&
		    unlinkat(dirfd(dir), de->d_name, 0) == 0)
			(*nremoved_r)++;
	}
	closedir(dir);
	errno = error;
	return error == 0 ? 0 : -1;
}
