/* What the files of the delivery engine share. */

#ifndef CORE_MAILDIR_DELIVER_INT_H
#define CORE_MAILDIR_DELIVER_INT_H

#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/maildir/deliver.h"
#include "core/maildir/maildir.h"
#include "core/spool/spool_sources.h"

#define DELIVER_DIRS		256	/* Maildirs kept open; more while a batch needs them */
#define DELIVER_COUNTS		4096	/* Maildirs counted within a minute and closed since: 72 octets each */
#define DELIVER_SWEPT		65536	/* bits: a Maildir is swept once; Maildirs with the same hash share a bit */
#define DELIVER_FILESYSTEMS	64	/* file systems with Maildirs */
#define DELIVER_RECHECK_S	1	/* an open Maildir is compared with its path */
#define DELIVER_COPY_OCTETS	(128 << 10) /* of a large body at once */

struct deliver_fs {
	dev_t		 dev;
	int		 fd;		/* for syncfs; kept open, so that its errors are seen */
	bool		 is_wanted;	/* something to flush */
	int		 errnum;	/* of the last flush */
};

struct deliver_dir {
	TAILQ_ENTRY(deliver_dir) lru;
	LIST_ENTRY(deliver_dir)	 hash;
	struct maildir	 md;
	struct deliver_fs *fs;
	time_t		 checked;
	unsigned int	 nusers;	/* items that point here */
	bool		 is_stale;	/* not to be found any more */
	struct maildir_quota quota;
	struct maildir_size pending;	/* of items that are on their way into it */
	size_t		 fixed;
	char		 path[];
};

/* What is known of the quota of a Maildir that is not open any more */
struct deliver_count {
	TAILQ_ENTRY(deliver_count) order;
	LIST_ENTRY(deliver_count) hash;
	dev_t		 dev;
	ino_t		 ino;		/* of the folder */
	struct maildir_quota quota;
};

/* core/maildir/deliver_counts.c: these */
struct deliver_counts {
	TAILQ_HEAD(, deliver_count) order;	/* the longest here first */
	LIST_HEAD(, deliver_count) buckets[256];
	size_t		 n;
};

/* deliver_counts_init(c), deliver_counts_clear(c): Forget all.
 * deliver_counts_keep(c, st, q, now_ms): The Maildir ${st}, of which ${q} is known, is
 * being closed.  Kept is what maildir_quota_has_room() would use, for as long as it
 * would.
 * deliver_counts_take(c, st, q_r, now_ms): It is opened again: what was kept, or 0 in
 * all members. */
void deliver_counts_init(struct deliver_counts *c);
void deliver_counts_clear(struct deliver_counts *c);
void deliver_counts_keep(struct deliver_counts *c, const struct stat *st,
    const struct maildir_quota *q, uint64_t now_ms);
void deliver_counts_take(struct deliver_counts *c, const struct stat *st,
    struct maildir_quota *q_r, uint64_t now_ms);

/* core/maildir/deliver_dirs.c: the open Maildirs and their file systems */
struct deliver_dirs {
	TAILQ_HEAD(deliver_lru, deliver_dir) lru;	/* the oldest first */
	struct deliver_counts counts;	/* of those that were closed */
	LIST_HEAD(deliver_bucket, deliver_dir) buckets[256];
	size_t		 ndirs;
	struct deliver_fs fs[DELIVER_FILESYSTEMS];
	size_t		 nfs;
	time_t		 started;
	unsigned char	 swept[DELIVER_SWEPT / 8]; /* by hash: tmp/ has been looked at */
	char		 where[MAILDIR_PATH_MAX]; /* what the last failure is about */
};

void deliver_dirs_init(struct deliver_dirs *dirs);
void deliver_dirs_clear(struct deliver_dirs *dirs);

/* deliver_dirs_get(dirs, path, fixed, now): The Maildir, opened or made if need
 * be, with one user more; NULL with errno.  deliver_dirs_put(): One less.
 * deliver_dirs_drop(): Also do not find it again.
 * deliver_dirs_find(dirs, path, fixed, now): As deliver_dirs_get(), but NULL if there
 * is none with cur in it. */
struct deliver_dir *deliver_dirs_get(struct deliver_dirs *dirs,
    const char *path, size_t fixed, time_t now);
struct deliver_dir *deliver_dirs_find(struct deliver_dirs *dirs,
    const char *path, size_t fixed, time_t now);
void deliver_dirs_put(struct deliver_dirs *dirs, struct deliver_dir *dir);
void deliver_dirs_drop(struct deliver_dirs *dirs, struct deliver_dir *dir);

enum deliver_state {
	ITEM_WAITING,
	ITEM_WRITTEN,		/* the tmp file is there */
	ITEM_RENAMED,		/* in new/ or found there; not known to be durable */
	ITEM_FAILED
};

/* One job from the start of its batch until it is reported */
struct deliver_item {
	STAILQ_ENTRY(deliver_item) link;
	struct job job;
	enum deliver_state state;
	struct deliver_dir *dir;
	struct deliver_dir *inbox;	/* the Maildir, if dir is a folder of it, or it has a quota, and it is needed, too; else NULL */
	struct maildir_size limit;	/* of inbox */
	bool		 is_pending;	/* it is counted in inbox->pending, */
	uint64_t	 pending;	/* with so many octets */
	bool		 is_deferred;	/* if there is no room */
	bool		 is_refused;	/* for good */
	const char	*enhanced;	/* of ITEM_FAILED: RFC 3463; NULL: nothing better than X.0.0 */
	struct deliver_fs *fs;		/* once renamed; dir is NULL then */
	bool		 is_lf;
	unsigned int	 adds;		/* DELIVER_* */
	mode_t		 mode;		/* of the file; 0: 0600 */
	bool		 is_found;	/* an earlier attempt's file */
	bool		 is_alien;	/* such a file, but not of this message */
	bool		 is_again;	/* try again: its Maildir was removed before the rename */
	uint64_t	 octets;	/* of the file */
	uint64_t	 virtual_octets; /* of it with CRLF; 0: not to be in its name */
	int		 errnum;
	char		 prefix[MAILDIR_NAME_MAX];
	const char	*key;		/* of it */
	char		*text;		/* owned; NULL: none or no memory */
};
STAILQ_HEAD(deliver_items, deliver_item);

struct deliver {
	const struct deliver_ops *ops;
	void		*closure;
	char		 host[MAILDIR_HOST_MAX];
	pid_t		 pid;		/* of this process */
	struct deliver_items waiting, batch, unflushed;
	size_t		 nwaiting, nbatch, nunflushed;
	bool		 is_left;	/* the queue that gave this batch has gone */
	struct deliver_dirs dirs;
	struct spool_sources *sources;
	struct spool_sum *sum;
	char		*copybuf;	/* DELIVER_COPY_OCTETS */
	char		*convbuf;	/* the same, for LF */
};

/* core/maildir/deliver_place.c: deliver_locate(d, item, now, view_r): Find the record,
 * the recipient and the Maildir of ${item}.  Return 0, or -1: it has failed.
 * deliver_look(d, now): Locate the repeated jobs of the batch, and find the files that
 * earlier attempts have left: is_found, is_alien.
 * deliver_has_limit(item): Is there a quota? */
int deliver_locate(struct deliver *d, struct deliver_item *item, time_t now,
    struct spool_view *view_r);
void deliver_look(struct deliver *d, time_t now);
bool deliver_has_limit(const struct deliver_item *item);

/* core/maildir/deliver_write.c: deliver_write(d, item, view): Write the tmp file of
 * ${item} and set its size.  Return 0, or -1 with errno and no file left. */
int deliver_write(struct deliver *d, struct deliver_item *item,
    const struct spool_view *view);

/* core/maildir/deliver_text.c: deliver_fail(item, errnum, what, path): Note
 * that the item has failed while doing ${what}, with a text that says what to
 * do about it.  With ENOENT ${what} is the folder that ${path} needs and that
 * is missing.
 * deliver_fail_full(item): The same of a quota, which leaves no room for it. */
void deliver_fail_full(struct deliver_item *item);
void deliver_fail(struct deliver_item *item, int errnum, const char *what,
    const char *path);

#endif
