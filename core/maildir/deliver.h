/* Batches of deliveries into Maildirs, one flush of the disk for each.
 * Owns: the jobs in hand, the sources they read from, the open Maildirs, the
 * order in which files are written, flushed, renamed and reported.
 * Knows nothing of channels and of the loop: it is called with jobs and calls
 * out through a small table.
 *
 * A batch: the tmp files of all jobs are written; one syncfs(2) per file system
 * makes them durable, and with them the renames of the batch before, which are
 * reported now; then the files of this batch are renamed into new/.  When no
 * batch follows, deliver_flush() makes the last renames durable. */

#ifndef CORE_MAILDIR_DELIVER_H
#define CORE_MAILDIR_DELIVER_H

#include <sys/time.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/maildir/maildir.h"
#include "core/maildir/maildir_folder.h"
#include "core/maildir/maildir_quota.h"
#include "core/spool/job.h"

#define DELIVER_BATCH_OCTETS	(8 << 20)

/* What a Maildir's messages have beside Return-Path */
#define DELIVER_TO		0x01	/* Delivered-To: the recipient */
#define DELIVER_ORIGINAL	0x02	/* X-Original-To: what the sender, or the alias, has named it */
#define DELIVER_VIRTUAL_SIZE	0x04	/* W= in the name: the size with CRLF */

struct deliver_route {
	char		 path[MAILDIR_PATH_MAX];	/* the Maildir */
	size_t		 fixed;		/* octets of it that are the administrator's part */
	bool		 is_lf;		/* CRLF becomes LF */
	unsigned int	 adds;		/* DELIVER_* */
	mode_t		 mode;		/* of the file; 0: 0600 */
	/* the folder of the Maildir that gets the message if it is there, as on disk:
	 * the first one that is; "": none */
	char		 folders[2][MAILDIR_FOLDER_MAX];
	bool		 makes_folder;	/* if there is neither, the second one is made, ... */
	unsigned int	 folders_max;	/* ... if the Maildir has fewer; 0: however many it has */
	struct maildir_size limit;	/* of the Maildir with its folders; 0: none */
	bool		 is_deferred;	/* what is over it is tried again, not refused */
};

struct deliver_ops {
	/* route(closure, job, rcpt, &route_r, text_r): Where ${rcpt} of ${job} goes,
	 * local@domain or postmaster alone.  Return 0, or -1 with errno when
	 * these settings have no place for it, and in ${text_r}, JOB_TEXT
	 * octets, what to do. */
	int	(*route)(void *closure, const struct job *job, const char *rcpt,
		    struct deliver_route *route_r, char *text_r);
	/* error(closure, job, enhanced, text): Why ${job} has failed; its result
	 * follows.  ${enhanced} is "" or of RFC 3463.
	 * done(closure, results, n): At most JOBS_AT_ONCE results.  Both
	 * are called from deliver_run() and deliver_flush(). */
	void	(*error)(void *closure, uint64_t job, const char *enhanced,
		    const char *text);
	void	(*done)(void *closure, const struct job_result *results,
		    unsigned int n);
	/* sync(closure, fd): syncfs(2); NULL: the real one */
	int	(*sync)(void *closure, int fd);
	/* is_left(closure): Whether the queue that gave the jobs has gone: the
	 * next one may have given them to another agent.  Asked after the flush
	 * of a batch, whose files are then not renamed.  NULL: never. */
	bool	(*is_left)(void *closure);
};

struct deliver;

/* deliver_new(ops, closure, host): ${host} becomes part of file names.  NULL:
 * ENOMEM. */
struct deliver *deliver_new(const struct deliver_ops *ops, void *closure,
    const char *host);
void deliver_free(struct deliver *d);	/* unlinks nothing; closes all */

/* deliver_source(d, source, fd): Jobs may name ${source} from now on.  takes
 * ${fd} when it succeeds.  Return 0, or -1 with errno (EEXIST, ENOMEM).
 * deliver_forget(d, source): Close it; jobs that still name it fail. */
int deliver_source(struct deliver *d, uint64_t source, int fd);
void deliver_forget(struct deliver *d, uint64_t source);

/* deliver_add(d, job): Put it in the queue of the next batch.  Return 0, or -1
 * with errno (ENOMEM). */
int deliver_add(struct deliver *d, const struct job *job);

/* deliver_waiting(d): Jobs not yet in a batch.  deliver_unflushed(d): renamed,
 * not yet reported. */
size_t deliver_waiting(const struct deliver *d);
size_t deliver_unflushed(const struct deliver *d);

/* deliver_run(d, now): One batch.  Blocks on the disk. */
void deliver_run(struct deliver *d, const struct timeval *now);

/* deliver_flush(d): Flush and report what is renamed.  Blocks on the disk. */
void deliver_flush(struct deliver *d);

#endif
