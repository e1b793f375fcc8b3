/* The delivery engine: jobs in, files written, one flush, renames, results.
 * Owns: the order of these steps and the jobs on their way through them.
 * Knows nothing of channels and of the loop.
 *
 * An item's states, and what makes each transition:
 *	WAITING  -> WRITTEN	write_item(): the tmp file is complete
 *	WAITING  -> RENAMED	write_item(): an earlier attempt's file is there
 *	WRITTEN  -> RENAMED	publish(), after sync_all() has flushed it
 *	RENAMED  -> reported	report(), after a later sync_all()
 *	any      -> FAILED	deliver_fail(); reported with its batch */

#include "core/maildir/deliver_int.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/process/stats.h"

#define YIELD_RENAMES	4	/* take about as long as one file */

struct deliver *
deliver_new(const struct deliver_ops *ops, void *closure, const char *host)
{
	struct deliver *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	d->ops = ops;
	d->closure = closure;
	maildir_host(d->host, host);
	d->pid = getpid();
	STAILQ_INIT(&d->waiting);
	STAILQ_INIT(&d->batch);
	STAILQ_INIT(&d->unflushed);
	deliver_dirs_init(&d->dirs);
	if ((d->sources = spool_sources_new()) == NULL ||
	    (d->sum = spool_sum_new()) == NULL ||
	    (d->copybuf = malloc(DELIVER_COPY_OCTETS)) == NULL ||
	    (d->convbuf = malloc(DELIVER_COPY_OCTETS)) == NULL) {
		deliver_free(d);
		errno = ENOMEM;
		return NULL;
	}
	return d;
}

/* ${item} needs its folders no more. */
static void
put_dirs(struct deliver *d, struct deliver_item *item)
{
	if (item->is_pending) {
		item->inbox->pending.octets -= item->pending;
		item->inbox->pending.messages--;
		item->is_pending = false;
	}
	if (item->dir != NULL)
		deliver_dirs_put(&d->dirs, item->dir);
	if (item->inbox != NULL)
		deliver_dirs_put(&d->dirs, item->inbox);
	item->dir = item->inbox = NULL;
}

static void
item_free(struct deliver *d, struct deliver_item *item)
{
	put_dirs(d, item);
	free(item->text);
	free(item);
}

static void
items_free(struct deliver *d, struct deliver_items *items)
{
	struct deliver_item *item;

	while ((item = STAILQ_FIRST(items)) != NULL) {
		STAILQ_REMOVE_HEAD(items, link);
		item_free(d, item);
	}
}

void
deliver_free(struct deliver *d)
{
	if (d == NULL)
		return;
	items_free(d, &d->waiting);
	items_free(d, &d->batch);
	items_free(d, &d->unflushed);
	spool_sources_free(d->sources);
	deliver_dirs_clear(&d->dirs);
	spool_sum_free(d->sum);
	free(d->copybuf);
	free(d->convbuf);
	free(d);
}

int
deliver_source(struct deliver *d, uint64_t source, int fd)
{
	return spool_sources_add(d->sources, source, fd);
}

void
deliver_forget(struct deliver *d, uint64_t source)
{
	spool_sources_drop(d->sources, source);
}

int
deliver_add(struct deliver *d, const struct job *job)
{
	struct deliver_item *item;

	if ((item = calloc(1, sizeof(*item))) == NULL)
		return -1;
	item->job = *job;
	STAILQ_INSERT_TAIL(&d->waiting, item, link);
	d->nwaiting++;
	return 0;
}

size_t
deliver_waiting(const struct deliver *d)
{
	return d->nwaiting;
}

size_t
deliver_unflushed(const struct deliver *d)
{
	return d->nunflushed;
}

/* ${item} has failed, with errno, in the folder md->bad of its Maildir. */
static void
fail_in_folder(struct deliver_item *item, const char *what)
{
	char path[MAILDIR_PATH_MAX + 8];
	int errnum = errno;

	snprintf(path, sizeof(path), "%s/%s", item->dir->path,
	    item->dir->md.bad);
	deliver_fail(item, errnum, errnum == ENOENT ? path : what, path);
}

/* The Maildir of ${item} has been removed: the next deliver_locate() makes it again. */
static void
leave_dir(struct deliver *d, struct deliver_item *item)
{
	deliver_dirs_drop(&d->dirs, item->dir);
	put_dirs(d, item);
}

/* Is there room in the Maildir for ${item} with ${octets}, beside what is on its way
 * into it?  Return 0, or -1: it has failed. */
static int
reserve(struct deliver_item *item, uint64_t octets)
{
	struct deliver_dir *in = item->inbox;
	struct maildir_size more;
	int rc;

	if (!deliver_has_limit(item) || item->is_pending)
		return 0;
	more.octets = in->pending.octets + octets;
	more.messages = in->pending.messages + 1;
	rc = maildir_quota_has_room(&in->md, &in->quota, &item->limit, &more);
	if (rc == -1) {
		deliver_fail(item, errno, "counting what is in", in->path);
		return -1;
	}
	if (rc == 0) {
		/* what is larger than all of it will never fit */
		item->is_refused = !item->is_deferred ||
		    (item->limit.octets != 0 && octets > item->limit.octets);
		deliver_fail_full(item);
		return -1;
	}
	in->pending = more;
	item->pending = octets;
	item->is_pending = true;
	return 0;
}

static void
write_item(struct deliver *d, struct deliver_item *item, time_t now)
{
	struct spool_view view;
	int rc, tries;

	if (item->is_found) {
		item->state = ITEM_RENAMED;
		item->dir->fs->is_wanted = true;
		if (item->inbox != NULL)
			item->inbox->fs->is_wanted = true;
		return;
	}
	if (item->is_alien) {
		deliver_fail(item, EEXIST, "move away what has this name in",
		    item->dir->path);
		return;
	}
	for (tries = 0; tries < 2; tries++) {
		if (deliver_locate(d, item, now, &view) == -1 ||
		    reserve(item, view.record.body_octets) == -1)
			return;
		rc = deliver_write(d, item, &view);
		if (rc == 0 || errno != ENOENT || tries > 0)
			break;
		leave_dir(d, item);
	}
	if (rc == -1) {
		fail_in_folder(item, errno == EBADMSG ? "body" : "writing to");
		return;
	}
	item->state = ITEM_WRITTEN;
	item->dir->fs->is_wanted = true;
	item->dir->md.is_new_checked = false;
}

/* Write files until the batch is full; the other jobs wait for the next one.
 * A batch takes long, and a client waits for each step of its session: where
 * both want the same processor, let the session go first, after each file. */
static void
write_batch(struct deliver *d, time_t now)
{
	struct deliver_item *item, *next;
	uint64_t octets = 0;

	deliver_look(d, now);
	STAILQ_FOREACH_SAFE (item, &d->batch, link, next) {
		if (item->state != ITEM_WAITING)
			continue;
		if (octets > DELIVER_BATCH_OCTETS)
			break;
		write_item(d, item, now);
		(void)sched_yield();
		if (item->state == ITEM_WRITTEN)
			octets += item->octets;
	}
}

/* Flush every file system that has something new. */
static void
sync_all(struct deliver *d)
{
	struct deliver_fs *fs;
	size_t i;
	int rc;

	for (i = 0; i < d->dirs.nfs; i++) {
		fs = &d->dirs.fs[i];
		fs->errnum = 0;
		if (!fs->is_wanted)
			continue;
		rc = d->ops->sync != NULL ? d->ops->sync(d->closure, fs->fd) :
		    syncfs(fs->fd);
		if (rc == -1) {
			fs->errnum = errno;
			log_err("flush-failed", "fs_dev=%llu",
			    (unsigned long long)fs->dev);
		}
		fs->is_wanted = false;
	}
}

/* Report ${items}, which are not used after that. */
static void
report(struct deliver *d, struct deliver_items *items)
{
	struct job_result results[JOBS_AT_ONCE];
	struct deliver_item *item;
	unsigned int n = 0;

	STAILQ_FOREACH (item, items, link) {
		results[n] = (struct job_result){ .job = item->job.job,
			.flags = item->state != ITEM_FAILED ? JOB_FINAL :
			    item->is_refused ? JOB_REFUSED : 0 };
		if (item->state == ITEM_FAILED) {
			results[n].errnum = item->errnum;
			d->ops->error(d->closure, item->job.job,
			    item->enhanced != NULL ? item->enhanced : "",
			    item->text != NULL ? item->text :
			    strerror(item->errnum));
		}
		if (++n == JOBS_AT_ONCE) {
			d->ops->done(d->closure, results, n);
			n = 0;
		}
	}
	if (n > 0)
		d->ops->done(d->closure, results, n);
	items_free(d, items);
}

/* After a flush: the renames of the batch before are durable now; if the flush
 * has failed, they may not be. */
static void
report_unflushed(struct deliver *d)
{
	struct deliver_item *item;

	STAILQ_FOREACH (item, &d->unflushed, link)
		if (item->fs->errnum != 0)
			deliver_fail(item, item->fs->errnum,
			    "flushing the file system", "");
	d->nunflushed = 0;
	report(d, &d->unflushed);
}

/* The name is taken.  Is it by the same message?  Another agent may have been
 * given the job, too, and have been faster. */
static int
is_same(struct deliver_item *item, const char *name)
{
	struct stat st;

	return fstatat(item->dir->md.new, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && (uint64_t)st.st_size == item->octets;
}

static void
publish(struct deliver *d, struct deliver_item *item)
{
	char tmp[MAILDIR_NAME_MAX], name[MAILDIR_NAME_MAX];
	int errnum = d->is_left ? ECANCELED : item->dir->fs->errnum;
	const char *what = d->is_left ? "abandoned by the queue:" :
	    "flushing the file system of";

	maildir_tmp_name(tmp, item->prefix, d->pid);
	maildir_new_name(name, item->prefix, d->host, item->octets,
	    item->virtual_octets);
	if (errnum == 0) {
		if (maildir_publish(&item->dir->md, item->dir->path,
		    item->dir->fixed, tmp, name) == 0) {
			item->state = ITEM_RENAMED;
			if (item->is_pending)
				maildir_quota_add(&item->inbox->md,
				    &item->inbox->quota, item->octets);
			return;
		}
		errnum = errno;
		what = "renaming into";
	}
	unlinkat(item->dir->md.tmp, tmp, 0);
	errno = errnum;
	if (errnum == EEXIST && is_same(item, name)) {
		item->state = ITEM_RENAMED;
	} else if (errnum == ENOENT && !item->is_again) {
		item->is_again = true;
		item->state = ITEM_WAITING;
		leave_dir(d, item);
	} else
		fail_in_folder(item, what);
}

/* ${item} has been renamed: it waits for the next flush, and does not need its
 * Maildir any more. */
static void
keep_unflushed(struct deliver *d, struct deliver_item *item)
{
	item->fs = item->dir->fs;
	item->fs->is_wanted = true;
	put_dirs(d, item);
	STAILQ_INSERT_TAIL(&d->unflushed, item, link);
	d->nunflushed++;
}

/* The batch has been flushed: rename, report what failed, keep what is
 * renamed for the next flush; what did not fit waits for the next batch. */
static void
finish_batch(struct deliver *d)
{
	struct deliver_items failed = STAILQ_HEAD_INITIALIZER(failed);
	struct deliver_items left = STAILQ_HEAD_INITIALIZER(left);
	struct deliver_item *item;
	unsigned int nrenames = 0;

	while ((item = STAILQ_FIRST(&d->batch)) != NULL) {
		STAILQ_REMOVE_HEAD(&d->batch, link);
		d->nbatch--;
		if (item->state == ITEM_WRITTEN) {
			publish(d, item);
			if (++nrenames % YIELD_RENAMES == 0)
				(void)sched_yield();	/* as write_batch() */
		}
		if (item->state == ITEM_RENAMED) {
			keep_unflushed(d, item);
		} else if (item->state == ITEM_WAITING) {
			STAILQ_INSERT_TAIL(&left, item, link);
			d->nwaiting++;
		} else
			STAILQ_INSERT_TAIL(&failed, item, link);
	}
	STAILQ_CONCAT(&left, &d->waiting);
	STAILQ_CONCAT(&d->waiting, &left);
	report(d, &failed);
}

void
deliver_run(struct deliver *d, const struct timeval *now)
{
	struct deliver_item *item;

	while (d->nbatch < JOBS_AT_ONCE &&
	    (item = STAILQ_FIRST(&d->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&d->waiting, link);
		d->nwaiting--;
		STAILQ_INSERT_TAIL(&d->batch, item, link);
		d->nbatch++;
	}
	if (d->nbatch == 0)
		return;
	write_batch(d, now->tv_sec);
	sync_all(d);
	/* A flush may take long.  If the queue has gone meanwhile, another
	 * agent may have delivered the same jobs, and the user's mail client
	 * may have moved the files to cur/ already. */
	d->is_left = d->ops->is_left != NULL && d->ops->is_left(d->closure);
	stats_inc(STATS_DELIVERY_BATCHES);
	report_unflushed(d);
	finish_batch(d);
}

void
deliver_flush(struct deliver *d)
{
	if (d->nunflushed == 0)
		return;
	sync_all(d);
	report_unflushed(d);
}
