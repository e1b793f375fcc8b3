/* What to tell the administrator when a delivery has failed.
 * Owns: one sentence per kind of failure. */

#include "core/maildir/deliver_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *
text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *
text(const char *fmt, ...)
{
	char buf[JOB_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	return strdup(buf);
}

void
deliver_fail(struct deliver_item *item, int errnum, const char *what,
    const char *path)
{
	const char *why = strerror(errnum);

	item->state = ITEM_FAILED;
	item->errnum = errnum != 0 ? errnum : EIO;
	free(item->text);
	switch (errnum) {
	case ENOENT:
		item->text = text("%s: %s: a folder above it is missing: "
		    "create it, writable for uid %u", path, why,
		    (unsigned int)geteuid());
		break;
	case EACCES:
	case EPERM:
		item->text = text("%s: %s: let uid %u write there, or in "
		    "the folder above if it is to be made", path, why, (unsigned int)geteuid());
		break;
	case ENOSPC:
		item->text = text("%s: %s: make room on its file system", path,
		    why);
		break;
	case EDQUOT:
		item->text = text("%s: %s: raise the quota of uid %u", path,
		    why, (unsigned int)geteuid());
		break;
	case EROFS:
		item->text = text("%s: %s: mount it for writing", path, why);
		break;
	case ENOTDIR:
		item->text = text("%s: %s: something else is in its place: "
		    "move it away", path, why);
		break;
	case EBADMSG:
		item->text = text("the stored message is damaged (%s): see the "
		    "log, restore it or remove it from the queue", what);
		break;
	default:
		item->text = text("%s%s%s: %s", what, *path != '\0' ? " " : "",
		    path, why);
	}
}
