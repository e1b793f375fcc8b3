/* The folder in which messages wait while no server takes them: one folder for each
 * account, named by its number, which belongs to it and which nobody else may enter;
 * in it, a file for each message.
 *
 *	FOLDER/			root:GROUP 1770
 *	FOLDER/1000/		1000:GROUP 0700
 *	FOLDER/1000/ID		1000:GROUP 0600: a message; ID of capitals and digits
 *	FOLDER/1000/tmp.ID	one that is being written
 *	FOLDER/1000/bad.ID	one that nobody takes; not tried again
 *
 * A process that has the group, from a set-group-id program, can make the folder
 * and the files of its account, but nothing in that of another one.  So what is in
 * a folder was written by this program for that account, and is no more trusted
 * than what the account says over the Unix socket. */

#ifndef CMD_MAILDROP_MAILDROP_H
#define CMD_MAILDROP_MAILDROP_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MAILDROP_TMP	"tmp."
#define MAILDROP_BAD	"bad."

/* maildrop_open(path, err, errlen): The folder.
 * maildrop_open_of(dirfd, uid, may_make): That of the account ${uid} in it, which is
 * made if it is missing and ${may_make}.
 * Return a descriptor, or -1 with errno; the first one also with a text in ${err}. */
int maildrop_open(const char *path, char *err, size_t errlen);
int maildrop_open_of(int dirfd, uid_t uid, bool may_make);

/* maildrop_is_message(name): Is it the name of a message that waits? */
bool maildrop_is_message(const char *name);

/* maildrop_put(dirfd, in, octets, err, errlen): Write the ${octets} octets that come
 * from ${in} to a new file of the account's folder ${dirfd}, and flush it.  Return 0;
 * or a status of sysexits.h, with what is wrong in ${err}: then there is no file. */
int maildrop_put(int dirfd, int in, uint64_t octets, char *err, size_t errlen);

/* maildrop_list(dirfd, out): Print what the account's folder has.  Return how many
 * messages. */
unsigned int maildrop_list(int dirfd, FILE *out);

#endif
