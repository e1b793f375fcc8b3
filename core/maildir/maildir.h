/* Maildir: where a recipient's messages go, and how one gets there.
 * Owns: the expansion of the Domain option Maildir, the names of files, the
 * folders below the administrator's parent, the search for what an earlier
 * attempt has already delivered.
 * Knows nothing of the spool, the queue, or when to flush a disk.
 *
 * A file's name is
 *	<seconds>.<message id>R<recipient>S<segment>G<generation>N<number>.<host>,S=<octets>[,W=<octets>]
 * The part from R to the dot is the delivery's origin (core/spool/job.h): by it
 * a repeated attempt finds what an earlier one has delivered.  Seconds and id
 * are there for people: a worker that an attacker controls may give the same
 * ones to two messages.  If an earlier version has deferred the message, its
 * origin is not known, and its file is found by seconds, id and recipient; no
 * worker of this version can cause a name of that form. */

#ifndef CORE_MAILDIR_MAILDIR_H
#define CORE_MAILDIR_MAILDIR_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/spool/job.h"

#define MAILDIR_PATH_MAX	1024	/* octets of an expanded path with NUL */
#define MAILDIR_NAME_MAX	224	/* octets of a file's name with NUL; readers add flags, and file systems take 255 */
#define MAILDIR_LOCAL_MAX	200	/* octets of a local part: it becomes a file name */

/* maildir_pattern_check(pattern, &why_r): An absolute path; %d is the domain,
 * %u the local part, %% a %; no empty, "." or ".." component.  Return 0, or -1
 * with ${why_r} a constant text. */
int maildir_pattern_check(const char *pattern, const char **why_r);

/* maildir_expand(pattern, rcpt, path, &fixed_r, &why_r): Write the folder of
 * ${rcpt} (local-part@domain, NUL terminated, hostile) to ${path},
 * MAILDIR_PATH_MAX octets, in lower case.  ${fixed_r} gets the length of the
 * administrator's part: the components before the first that has a %d or %u,
 * the whole path if none has; what follows it may be created.  Return 0, or -1
 * with errno (EINVAL, ENAMETOOLONG; ENOMEM: not known) and ${why_r} a constant text. */
int maildir_expand(const char *pattern, const char *rcpt, char *path,
    size_t *fixed_r, const char **why_r);

/* maildir_local_safe(s, len): Whether a local part can become a file name: not
 * empty, no '/', no NUL or other control, no leading '.', at most
 * MAILDIR_LOCAL_MAX octets. */
bool maildir_local_safe(const char *s, size_t len);

/* An open Maildir */
struct maildir {
	int		 fd;		/* the folder; -1: not open */
	int		 tmp, new;	/* its folders, not for reading */
	dev_t		 new_dev;
	ino_t		 new_ino;
	bool		 is_new_checked;	/* for the batch */
	const char	*bad;		/* the folder in which the last failure was */
};

/* maildir_open(path, fixed, md_r, where_r): Open the Maildir at ${path}, and
 * make what is missing below its first ${fixed} octets, mode 0700, with tmp,
 * new and cur; the last component is made also if ${fixed} is the whole path.
 * Below ${fixed} no symbolic link is followed.  Return 0, or -1 with errno
 * (ENOTDIR: also for a link); ${where_r}, MAILDIR_PATH_MAX octets, then has the
 * path at which it failed.  maildir_close(md).
 * maildir_exists(path, fixed): Is there one, with cur in it, that maildir_open() would
 * open without making it?  errno says why not.
 * maildir_has_folders(md, n): Does it have ${n} folders, as Maildir++ has them, or more?
 * Also if that cannot be seen: who has put too much else into it, or there are no
 * descriptors.
 * maildir_mark_folder(md): Mark it as a folder of another Maildir, as Maildir++ has
 * it. */
int maildir_open(const char *path, size_t fixed, struct maildir *md_r,
    char *where_r);
void maildir_close(struct maildir *md);
bool maildir_exists(const char *path, size_t fixed);
bool maildir_has_folders(const struct maildir *md, unsigned int n);
void maildir_mark_folder(const struct maildir *md);

/* maildir_is_current(md, path, fixed): Is ${md} still the folder that
 * maildir_open() would open now?  If it is and cur is missing, make cur
 * again. */
bool maildir_is_current(struct maildir *md, const char *path, size_t fixed);

/* maildir_sweep(md, started, now, &n_r): Remove from tmp/ what agents that
 * ended have left: files with a name of ours, from before ${started}, whose
 * process is no more, and such files of any age over 36 hours (maildir(5)).
 * Looks at a bounded number of files.  *n_r: how many were removed.  Return 0,
 * or -1 with errno: the files could not be listed to the end. */
int maildir_sweep(const struct maildir *md, time_t started, time_t now,
    unsigned int *n_r);

/* maildir_prefix(buf, seconds, id, origin): Write the beginning of a file's
 * name, up to the dot before the host, to ${buf}.  ${buf} has MAILDIR_NAME_MAX
 * octets.
 * maildir_key(prefix): The part of ${prefix} by which maildir_look() finds its
 * file. */
void maildir_prefix(char *buf, uint64_t seconds, const char *id,
    const struct job_origin *origin);
const char *maildir_key(const char *prefix);

/* maildir_host(buf, host): ${host} as it may stand in a name: '/', ':', ',' and
 * controls become '_'; cut to fit ${buf}, MAILDIR_HOST_MAX octets. */
#define MAILDIR_HOST_MAX	80
void maildir_host(char *buf, const char *host);

/* maildir_look(fd, keys, n, found, closure): Look through new/ and then cur/
 * for names with one of ${keys}, sorted by strcmp, and call
 * ${found}(closure, index, dir, name, octets) for each regular file that has
 * it, ${dir} being "new" or "cur".  Files in tmp/ that have one and were left
 * by a process that is no more are removed.  Return 0, or -1 with errno. */
typedef void (*maildir_found)(void *closure, size_t index, const char *dir,
    const char *name, uint64_t octets);
int maildir_look(const struct maildir *md, const char *const *keys, size_t n,
    maildir_found found, void *closure);

/* maildir_tmp_name(buf, prefix, pid): The name in tmp/ of a file that process
 * ${pid} makes for ${prefix}: <prefix><pid>.  maildir_new_name: the name in
 * new/, with host and size, and unless it is 0 the size that the message has with
 * CRLF at the end of each line.  ${buf} has MAILDIR_NAME_MAX octets. */
void maildir_tmp_name(char *buf, const char *prefix, pid_t pid);
void maildir_new_name(char *buf, const char *prefix, const char *host,
    uint64_t octets, uint64_t virtual_octets);

/* maildir_create(md, name): Create the file ${name} in tmp/, mode 0600, never
 * through a link; one of the same name is a leftover of ours and is replaced.
 * Return its descriptor or -1 with errno.
 * maildir_publish(md, path, fixed, tmp, name): Rename ${tmp} in tmp/ to ${name}
 * in new/ without ever overwriting.  Return 0, or -1 with errno (EEXIST).  It
 * looks whether what is open is still the Maildir at ${path} with its new/
 * unless md->is_new_checked, and sets that: somebody may move either away, and
 * mail must not follow.  A caller who has other files to publish soon after
 * needs one look for all.
 * Both make their folder again if it has been removed; ENOENT then means that
 * the Maildir itself has been, or was moved away, or new/ since the look. */
int maildir_create(struct maildir *md, const char *name);
int maildir_publish(struct maildir *md, const char *path, size_t fixed,
    const char *tmp, const char *name);

/* maildir_return_path(buf, buflen, sender): The Return-Path header line with
 * CRLF (RFC 5321 4.4, RFC 6531 3.7.3); controls of a hostile ${sender}, and octets
 * that are not UTF-8 of characters that can be seen, become '?'.  Return octets.
 * maildir_address_field(buf, buflen, name, address): The header line of that name,
 * with an address without < and >, likewise. */
size_t maildir_return_path(char *buf, size_t buflen, const char *sender);
size_t maildir_address_field(char *buf, size_t buflen, const char *name,
    const char *address);

#endif
