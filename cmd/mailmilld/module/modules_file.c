/* Whose code it is that a process is to load: nobody but root, or whoever has
 * started a server that is not root's, may be able to change or replace it. */

#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/module/modules_int.h"

/* In a folder with the sticky bit only the owner of a file can rename it. */
static bool
others_may_change(const struct stat *st)
{
	return (st->st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
	    !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0);
}

static int
check_part(const char *path, uid_t owner, bool is_file, char *err_r,
    size_t errlen)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		snprintf(err_r, errlen, "%s: %s", path, strerror(errno));
	else if (is_file && !S_ISREG(st.st_mode))
		snprintf(err_r, errlen, "%s: not a regular file", path);
	else if (st.st_uid != 0 && st.st_uid != owner)
		snprintf(err_r, errlen, "%s: belongs to uid %u, not to %s: its "
		    "code would run in the server", path,
		    (unsigned int)st.st_uid, owner == 0 ? "root" :
		    "root or the account of the server");
	else if (others_may_change(&st))
		snprintf(err_r, errlen, "%s: others may write to it (mode "
		    "%04o): its code would run in the server; chmod go-w",
		    path, (unsigned int)st.st_mode & 07777);
	else if (is_file && owner == 0 && (st.st_mode & S_IROTH) == 0)
		snprintf(err_r, errlen, "%s: not readable by all (mode %04o): "
		    "each worker has an account of its own; chmod a+r", path,
		    (unsigned int)st.st_mode & 07777);
	else
		return 0;
	return -1;
}

int
modules_file_check(const char *path, uid_t owner, char *real_r, char *err_r,
    size_t errlen)
{
	char at[PATH_MAX], *slash;

	if (realpath(path, real_r) == NULL) {
		snprintf(err_r, errlen, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (check_part(real_r, owner, true, err_r, errlen) == -1)
		return -1;
	snprintf(at, sizeof(at), "%s", real_r);
	/* /lib/mailmill/x.so: /lib/mailmill, /lib, / */
	while ((slash = strrchr(at, '/')) != NULL) {
		slash[slash == at] = '\0';
		if (check_part(at, owner, false, err_r, errlen) == -1)
			return -1;
		if (slash == at)
			break;
	}
	return 0;
}
