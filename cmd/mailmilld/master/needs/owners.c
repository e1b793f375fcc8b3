/* Owners of the files in a folder of the spool.
 * Owns: the folder that has too many of them to be looked at before a start.
 * As a rule they have the right owner: it is wrong after a trial, whose numeric uids
 * were followed by real accounts, and then the folder's is, too; or where root has
 * brought some back. */

#include "cmd/mailmilld/master/needs/owners.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/fileio.h"

static struct {
	DIR		*dir;		/* NULL: none is left */
	struct account	 account;
	Event		*timer;
} later;

/* Make ${a} the owner of ${name} in ${dirfd}, if that is a plain file.  One with
 * a second name is left alone: the folder's owner could have linked a file of
 * somebody else into it.  Return whether it had another. */
static bool
own_file(int dirfd, const char *name, const struct account *a)
{
	struct stat st;
	int fd;

	/* as a rule there is nothing to be done */
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode) || (st.st_uid == a->uid &&
	    st.st_gid == a->gid))
		return false;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd == -1)
		return true;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    fchown(fd, a->uid, a->gid) == -1)
		log_warn("spool-owner", "file=%s", name);
	close(fd);
	return true;
}

/* The next ${limit} in ${dir}, 0: all.  Return how many had another owner; -1 with
 * errno; *is_over_r: those were the last. */
static int
own_some(DIR *dir, const struct account *a, unsigned int limit, bool *is_over_r)
{
	struct dirent *de = NULL;
	unsigned int i;
	int n = 0;

	for (i = 0; (limit == 0 || i < limit) &&
	    (errno = 0, de = readdir(dir)) != NULL; i++)
		n += own_file(dirfd(dir), de->d_name, a);
	*is_over_r = limit == 0 || i < limit;
	return *is_over_r && errno != 0 ? -1 : n;
}

void
owners_end(void)
{
	after_cancel(&later.timer);
	if (later.dir != NULL)
		closedir(later.dir);
	later.dir = NULL;
}

static void
on_timer(void *)
{
	later.timer = NULL;
	(void)owners_step();
}

/* Go on soon; without memory for that, with the next reload or start. */
static bool
go_on(void)
{
	later.timer = after_ms(OWNERS_STEP_MS, on_timer, NULL);
	if (later.timer == NULL) {
		log_warn("spool-owner", "file=%s", "deferred");
		owners_end();
	}
	return later.timer != NULL;
}

bool
owners_step(void)
{
	bool is_over;

	after_cancel(&later.timer);
	if (later.dir == NULL)
		return false;
	if (own_some(later.dir, &later.account, OWNERS_STEP, &is_over) == -1)
		log_warn("spool-owner", "file=%s", "deferred");
	if (!is_over)
		return go_on();
	owners_end();
	return false;
}

int
owners_put_right(int dirfd, const struct account *account, bool may_be_later)
{
	bool is_over;
	int error, n;
	DIR *dir;

	if ((dir = fileio_opendir(dirfd, ".")) == NULL)
		return -1;
	n = own_some(dir, account, may_be_later ? OWNERS_FIRST : 0, &is_over);
	/* where one is wrong, many may be */
	if (n > 0 && !is_over)
		n = own_some(dir, account, 0, &is_over);
	if (n == 0 && !is_over) {
		owners_end();
		later.dir = dir;
		later.account = *account;
		(void)go_on();
		return 0;
	}
	error = errno;
	closedir(dir);
	errno = error;
	return n == -1 ? -1 : 0;
}
