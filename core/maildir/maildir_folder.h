/* Names of folders in a Maildir, as of Maildir++: what is a folder "lists" to a mail
 * client is the folder ".lists" of the Maildir.
 * Owns: which names a folder may have, their form on disk.
 * Knows nothing of what is in them. */

#ifndef CORE_MAILDIR_MAILDIR_FOLDER_H
#define CORE_MAILDIR_MAILDIR_FOLDER_H

#include <stddef.h>

#define MAILDIR_FOLDER_MAX	201	/* octets of such a name with NUL */

/* maildir_folder_name(name, buf): Write the name on disk of the folder ${name}, UTF-8
 * and hostile, to ${buf}, MAILDIR_FOLDER_MAX octets: with a dot before it, in the
 * modified UTF-7 of IMAP (RFC 3501 5.1.3); a dot in it is between a folder and one
 * below it.  Return 0, or -1: no folder is called so.  That is INBOX, which is the
 * Maildir itself, in any case of its letters; one with an empty part between its
 * dots, with a slash, or with what cannot be seen; or one too long. */
int maildir_folder_name(const char *name, char *buf);

#endif
