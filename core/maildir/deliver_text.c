/* What to tell the administrator when a delivery has failed.
 * Owns: one sentence per kind of failure. */

#include "core/maildir/deliver_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the administrator can do about an errno */
static const struct advice {
	int		 errnum;
	bool		 names_uid;	/* the agent's uid follows the text */
	const char	*text;
} advices[] = {
	{ EACCES, true, "the folder, or the one above if it is to be made, "
	    "must be writable for" },
	{ EPERM, true, "the folder, or the one above if it is to be made, "
	    "must be writable for" },
	{ EDQUOT, true, "raise the quota of" },
	{ ENOSPC, false, "make room on its file system" },
	{ EROFS, false, "mount it for writing" },
	{ ENOTDIR, false, "something else is in its place, or a symbolic link, "
	    "which is not followed here: put a folder there" },
};

static const struct advice *
find_advice(int errnum)
{
	size_t i;

	for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
		if (advices[i].errnum == errnum)
			return &advices[i];
	return NULL;
}

void
deliver_fail(struct deliver_item *item, int errnum, const char *what,
    const char *path)
{
	const struct advice *a = find_advice(errnum);
	const char *why = strerror(errnum);
	char uid[32] = "";
	int rc;

	item->state = ITEM_FAILED;
	item->errnum = errnum != 0 ? errnum : EIO;
	free(item->text);
	if (a != NULL && a->names_uid)
		snprintf(uid, sizeof(uid), " uid %u", (unsigned int)geteuid());
	if (a != NULL)
		rc = asprintf(&item->text, "%s: %s: %s%s", path, why, a->text,
		    uid);
	else if (errnum == ENOENT)
		rc = asprintf(&item->text, "%s: %s: create %s, writable for "
		    "uid %u", path, why, what, (unsigned int)geteuid());
	else if (errnum == EBADMSG)
		rc = asprintf(&item->text, "the stored message is damaged "
		    "(%s): see the log, restore it or remove it from the "
		    "queue", what);
	else
		rc = asprintf(&item->text, "%s%s%s: %s", what,
		    *path != '\0' ? " " : "", path, why);
	if (rc == -1)
		item->text = NULL;
}

/* RFC 3463 3.3: X.2.2, the mailbox is full.  This is told to the sender, so it does not
 * say where the mailbox is. */
void
deliver_fail_full(struct deliver_item *item)
{
	item->state = ITEM_FAILED;
	item->errnum = EDQUOT;
	item->enhanced = item->is_refused ? "5.2.2" : "4.2.2";
	free(item->text);
	item->text = strdup("the mailbox is full");
}
