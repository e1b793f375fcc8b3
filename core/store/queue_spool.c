/* The store on this machine's disk: its table of functions.
 * Owns: the order in which its parts are opened, what is done by the clock.
 * The segments: queue_segment.c; reading them: queue_read.c; what is done:
 * queue_acknowledge.c; what is left then: queue_recycle.c; deferred messages:
 * deferred.h. */

#include "core/store/queue_spool.h"

#include <sys/param.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/spool/spool_reserve.h"
#include "core/store/queue_spool_int.h"
#include "core/util/fileio.h"

#define READ_AHEAD	(64 << 10)	/* octets of a deferred message that are fetched when it is handed out */

static struct queue_segment *
segment_of(const struct queue_place *place)
{
	return (struct queue_segment *)place->file;
}

/* --- its life ------------------------------------------------------------- */

static void
spool_close(void *store)
{
	struct queue_spool *sp = store;

	if (sp == NULL)
		return;
	if (sp->acklog != NULL)
		queue_maintain_log(sp);
	queue_sweep_stop(sp);
	queue_segments_close(sp);
	acklog_free(sp->acklog);
	deferred_free(sp->deferred);
	spool_id_close(&sp->ids);
	spool_readbuf_free(sp->readbuf);
	free(sp->bodies);
	queue_generations_free(sp);
	free(sp);
}

static void *
spool_open(const struct queue_config *config,
    const struct queue_store_user *user, struct queue *q, int64_t now_ms)
{
	struct queue_spool *sp;
	int saved;

	if ((sp = calloc(1, sizeof(*sp))) == NULL)
		return NULL;
	sp->config = *config;
	sp->user = user;
	sp->queue = q;
	sp->now_ms = now_ms;
	sp->nflushes = 1;
	sp->ids.fd = -1;
	RB_INIT(&sp->segments);
	TAILQ_INIT(&sp->ready);
	queue_room_open(sp);
	if ((sp->readbuf = spool_readbuf_new()) == NULL)
		goto err1;
	do {
		sp->deferred = deferred_open(config->folder,
		    config->queue_dirfd);
	} while (sp->deferred == NULL && queue_room_make(sp));
	if (sp->deferred == NULL) {
		log_err("deferred-open", "folder=%s", config->folder);
		goto err1;
	}
	deferred_assume(sp->deferred,
	    spool_reserve_told(config->incoming_dirfd));
	if (queue_segments_open(sp) == -1)
		goto err1;
	queue_sweep(sp);
	/* Again, for what died only just now. */
	queue_sweep_soon(sp);
	sp->scan_ms = sp->now_ms + QUEUE_SCAN_MS;
	return sp;
err1:
	saved = errno;
	spool_close(sp);
	errno = saved;
	return NULL;
}

static void
spool_begin(void *store, int64_t now_ms)
{
	struct queue_spool *sp = store;

	sp->now_ms = now_ms;
	if (sp->scan_ms <= now_ms) {
		(void)queue_segment_scan(sp);
		sp->scan_ms = now_ms + QUEUE_SCAN_MS;
		sp->lock_ms = now_ms + QUEUE_LOCK_MS;
	}
	if (sp->lock_ms <= now_ms) {
		queue_segment_check_writers(sp, true);
		sp->lock_ms = now_ms + QUEUE_LOCK_MS;
	}
	if (sp->reserve_ms <= now_ms)
		queue_room_check(sp);
	if (sp->recycle_ms <= now_ms) {
		queue_segment_check_writers(sp, false);
		queue_recycle(sp);
		queue_rewind(sp);
		sp->recycle_ms = now_ms + QUEUE_RECYCLE_MS;
	}
	if (sp->sync_ms <= now_ms) {
		queue_maintain_log(sp);
		sp->sync_ms = now_ms + QUEUE_SYNC_MS;
	}
	if (sp->sweep_ms <= now_ms)
		queue_sweep(sp);
	if (sp->check_ms <= now_ms)
		queue_check(sp);
}

static int64_t
spool_end(void *store)
{
	struct queue_spool *sp = store;
	int64_t due = MIN(MIN(sp->lock_ms, sp->scan_ms),
	    MIN(sp->sweep_ms, sp->check_ms));
	int rc;

	while ((rc = acklog_write(sp->acklog)) == -1 && queue_room_make(sp))
		;
	if (rc == -1)
		queue_log_failed(sp, "acklog-write");
	if (queue_is_damaged(sp))
		return -1;
	/* is there work that has to be looked at more often? */
	if (sp->nheld > 0 || sp->nbodies > 0 ||
	    !acklog_is_synced(sp->acklog) || !TAILQ_EMPTY(&sp->ready))
		due = MIN(due, sp->recycle_ms);
	return sp->is_short ? MIN(due, sp->reserve_ms) : due;
}

static void
spool_writer(void *store, unsigned int number, bool is_there)
{
	struct queue_spool *sp = store;
	struct queue_writer *w = &sp->writers[spool_number(number)];

	if (is_there) {
		if (w->nchannels++ == 0)
			sp->nwriters++;
		return;
	}
	if (w->nchannels > 0 && --w->nchannels == 0)
		sp->nwriters--;
	sp->lock_ms = sp->scan_ms = 0;
	/* it may have left a body that no record will name */
	queue_sweep_soon(sp);
}

/* --- files for agents ----------------------------------------------------- */

/* The agents only read, and they run under another account: their descriptor
 * of a segment allows no more, and shares no lock with ours. */
static int
spool_open_file(void *store, const struct queue_place *place)
{
	struct queue_spool *sp = store;
	struct queue_segment *seg = segment_of(place);
	int fd;

	if (seg != NULL)
		return spool_segment_reader(sp->config.incoming_dirfd, seg->id);
	fd = deferred_file_open(sp->deferred, place->id);
	/* The agent gets many, and reads them one after the other: after an
	 * outage few of them are in memory, and the disk can fetch the others
	 * meanwhile. */
	if (fd != -1)
		(void)posix_fadvise(fd, 0, READ_AHEAD, POSIX_FADV_WILLNEED);
	return fd;
}

static int
spool_open_body(void *store, const struct queue_place *place)
{
	struct queue_spool *sp = store;

	return spool_body_open(sp->config.incoming_dirfd, place->id);
}

/* --- what was handed over --------------------------------------------------- */

static void
spool_again(void *store, const struct queue_place *place)
{
	struct queue_spool *sp = store;
	struct queue_segment *seg;

	RB_FOREACH (seg, queue_segments, &sp->segments)
		if (seg->rewind_ms != 0 &&
		    (place == NULL || seg == segment_of(place)))
			seg->rewind_ms = sp->now_ms;
}

static void
spool_release(void *store, const struct queue_place *place)
{
	struct queue_spool *sp = store;
	struct queue_segment *seg = segment_of(place);

	sp->nheld--;
	/* what has been put back must not hold a descriptor */
	if (--seg->nheld == 0 && seg->is_read)
		queue_segment_close_file(sp, seg);
}

static void
spool_damaged(void *store, const struct queue_place *place, uint64_t octets)
{
	const struct spool_damage damage = { .offset = place->offset,
		.octets = octets, .id = place->id, .what = "stored message" };
	struct queue_segment *seg = segment_of(place);

	queue_segment_damage(store, seg, &damage, false);
	seg->is_damaged = true;
	if (place->has_body)
		queue_body_keep(store, place->id);
}

/* --- deferred messages ---------------------------------------------------- */

/* Is the message of ${place} in its file, and on disk?  1; 0: the file has to be
 * written; -1 with errno, EBADMSG: a file of the same origin has another message.
 * No two records have the same origin, but a writer can give one of its records
 * that of a message that is deferred.  What is deferred stays as it is. */
static int
is_kept(struct queue_spool *sp, const struct queue_place *place,
    const struct spool_view *view)
{
	int rc = deferred_file_is(sp->deferred, place->kept_id, view);

	if (rc == -1)
		return errno == ENOENT || errno == EBADMSG ? 0 : -1;
	errno = EBADMSG;
	return rc == 0 ? -1 :
	    deferred_has(sp->deferred, place->kept_id, DEFERRED_ANY);
}

static int
keep(struct queue_spool *sp, struct queue_place *place)
{
	struct queue_segment *seg = segment_of(place);
	struct spool_damage damage;
	struct spool_view view;
	int body_fd = -1, rc;

	if (queue_find_id(sp, place) == -1)
		return -1;
	if (queue_segment_open_reader(sp, seg) == -1 ||
	    spool_reader_at(seg->reader, place->offset, &view, &damage) != 1)
		return -1;
	if ((rc = is_kept(sp, place, &view)) != 0)
		return rc == 1 ? 0 : -1;
	if (place->has_body &&
	    (body_fd = spool_open_body(sp, place)) == -1) {
		if (errno == ENOENT)
			errno = EBADMSG;
		return -1;
	}
	do {
		rc = -1;
		errno = ENOSPC;
		if (!queue_room_for_copy(sp, view.record.body_octets))
			break;
		rc = deferred_file_write(sp->deferred, place->kept_id, &view,
		    &place->origin, seg->fd, body_fd);
	} while (rc == -1 && queue_room_make(sp));
	fileio_close(body_fd);
	return rc;
}

static int
spool_keep(void *store, struct queue_place *place)
{
	struct queue_spool *sp = store;
	int rc = keep(sp, place);

	/* the message is as it was, it is the database that cannot be read */
	if (rc == -1 && errno == EBADMSG)
		errno = queue_is_damaged(sp) ? EIO : EBADMSG;
	return rc;
}

static int
change_row(struct deferred *d, const struct queue_change *change)
{
	struct deferred_row row = change->row;

	switch (change->kind) {
	case CHANGE_PUT:
		row.origin = change->place->origin;
		return deferred_put(d, &row);
	case CHANGE_TOUCH:
		return deferred_touch(d, &row);
	case CHANGE_DROP:
		return deferred_drop(d, row.id, row.rcpt_index);
	case CHANGE_HURRY:
		return deferred_hurry(d, row.id, row.rcpt_index,
		    row.next_attempt);
	case CHANGE_HOLD:
		return deferred_hold(d, row.id, row.rcpt_index);
	case CHANGE_RELEASE:
		return deferred_release(d, row.id, row.rcpt_index,
		    row.next_attempt, row.hold_until);
	case CHANGE_GIVE_UP:
		return deferred_give_up(d, &row);
	case CHANGE_ROUTE:
		return deferred_route(d, row.id, row.rcpt_index, row.route,
		    row.next_attempt);
	case CHANGE_TLS_DROP:
		return deferred_tls_drop(d, change->tls_day,
		    change->tls_domain);
	case CHANGE_TLS_TAKE:
		return deferred_tls_take(d, change->tls_day,
		    change->tls_domain, change->tls_uri);
	}
	return 0;
}

static int
change_rows(struct deferred *d, const struct queue_change *changes, size_t n)
{
	size_t i;

	if (deferred_begin(d) == -1)
		return -1;
	for (i = 0; i < n; i++)
		if (change_row(d, &changes[i]) == -1) {
			deferred_rollback(d);
			return -1;
		}
	return deferred_commit(d);
}

/* The files of messages that have no row any more */
static void
remove_files(struct queue_spool *sp, const struct queue_change *changes,
    size_t n)
{
	uint64_t id, last = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		id = changes[i].row.id;
		if (changes[i].kind != CHANGE_DROP || id == last)
			continue;
		last = id;
		if (deferred_has(sp->deferred, id, DEFERRED_ANY) == 0 &&
		    deferred_file_remove(sp->deferred, id) == -1)
			log_warn("deferred-file-remove", "folder=%s",
			    sp->config.folder);
	}
}

/* The rows could not be written: remove the files that have an id of the
 * queue's own.  When their records are tried again, they get other ids. */
static void
remove_minted(struct queue_spool *sp, const struct queue_change *changes,
    size_t n)
{
	int saved = errno;
	size_t i;

	for (i = 0; i < n; i++)
		if (changes[i].kind == CHANGE_PUT &&
		    (changes[i].row.id != changes[i].place->id ||
		    changes[i].place->is_own) &&
		    deferred_has(sp->deferred, changes[i].row.id,
		    DEFERRED_ANY) == 0)
			(void)deferred_file_remove(sp->deferred,
			    changes[i].row.id);
	errno = saved;
}

/* Files first, flushed, then the rows.  Mail needs the room more than counts of
 * TLS. */
static int
spool_change(void *store, const struct queue_change *changes, size_t n)
{
	struct queue_spool *sp = store;
	bool has_files = false;
	bool is_spare = n > 0 && (changes[n - 1].kind == CHANGE_TLS_DROP ||
	    changes[n - 1].kind == CHANGE_TLS_TAKE);
	size_t i;
	int rc = 0;

	sp->nchanges += n;
	for (i = 0; i < n; i++)
		if (changes[i].kind == CHANGE_PUT)
			has_files = true;
	if (is_spare && sp->is_short) {
		errno = ENOSPC;
		rc = -1;
	} else if (has_files && sp->config.is_synced)
		rc = deferred_files_sync(sp->deferred);
	while (rc == 0 &&
	    (rc = change_rows(sp->deferred, changes, n)) == -1 && !is_spare &&
	    queue_room_make(sp))
		rc = 0;
	if (rc == -1) {
		remove_minted(sp, changes, n);
		return -1;
	}
	remove_files(sp, changes, n);
	queue_room_tell(sp);
	return 0;
}

static int
spool_has(void *store, uint64_t id, uint32_t rcpt)
{
	struct queue_spool *sp = store;

	return deferred_has(sp->deferred, id, rcpt);
}

static int
spool_rows(void *store, const struct deferred_query *query,
    deferred_func each, void *closure)
{
	struct queue_spool *sp = store;

	return deferred_rows(sp->deferred, query, each, closure);
}

static int
spool_waited_for(void *store, const char *behind, char *name_r, size_t len)
{
	struct queue_spool *sp = store;

	return deferred_waited_for(sp->deferred, behind, name_r, len);
}

static int
spool_next(void *store, int64_t *next_r)
{
	struct queue_spool *sp = store;

	return deferred_next(sp->deferred, next_r);
}

static int
spool_hurry_domain(void *store, const char *domain, bool has_subdomains,
    struct deferred_domain *at, unsigned int limit, int64_t now)
{
	struct queue_spool *sp = store;
	int n;

	while ((n = deferred_hurry_domain(sp->deferred, domain, has_subdomains,
	    at, limit, now)) == -1 && queue_room_make(sp))
		;
	return n;
}

static int
spool_shift(void *store, struct deferred_shift *at, unsigned int limit)
{
	struct queue_spool *sp = store;
	int n;

	while ((n = deferred_shift(sp->deferred, at, limit)) == -1 &&
	    queue_room_make(sp))
		;
	return n;
}

static int
spool_holders(void *store, unsigned int limit, deferred_holder_func each,
    void *closure)
{
	struct queue_spool *sp = store;

	return deferred_holders(sp->deferred, limit, each, closure);
}

static int
spool_tls_next(void *store, int64_t *day, char domain[LIM_DOMAIN + 1],
    int64_t before)
{
	struct queue_spool *sp = store;

	return deferred_tls_next(sp->deferred, day, domain, before);
}

static int
spool_tls_rows(void *store, int64_t day, const char *domain,
    deferred_tls_func each, void *closure)
{
	struct queue_spool *sp = store;

	return deferred_tls_rows(sp->deferred, day, domain, each, closure);
}

static int
add_tls(struct deferred *d, const struct deferred_tls *rows, size_t n,
    uint64_t *nlost_r)
{
	size_t i;
	int rc;

	*nlost_r = 0;
	if (deferred_begin(d) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		if ((rc = deferred_tls_add(d, &rows[i])) == -1) {
			rc = errno;
			deferred_rollback(d);
			errno = rc;
			return -1;
		}
		if (rc == 0)
			*nlost_r += rows[i].sessions;
	}
	return deferred_commit(d);
}

/* Mail needs the room more: nothing is given up for this. */
static int
spool_tls_add(void *store, const struct deferred_tls *rows, size_t n,
    uint64_t *nlost_r)
{
	struct queue_spool *sp = store;

	if (sp->is_short) {
		errno = ENOSPC;
		return -1;
	}
	if (add_tls(sp->deferred, rows, n, nlost_r) == -1)
		return -1;
	queue_room_tell(sp);
	return 0;
}

static int
spool_tls_tried(void *store, int64_t day, const char *domain, int64_t now,
    int64_t *since_r)
{
	struct queue_spool *sp = store;

	return deferred_tls_tried(sp->deferred, day, domain, now, since_r);
}

static int
spool_tls_taken(void *store, int64_t day, const char *domain,
    uint64_t uris_r[LIM_TLSRPT_URIS])
{
	struct queue_spool *sp = store;

	return deferred_tls_taken(sp->deferred, day, domain, uris_r);
}

static int
spool_find(void *store, struct queue_place *place)
{
	return queue_find_rows(store, place);
}

static int
spool_read_deferred(void *store, uint64_t id, queue_record_func each,
    void *closure)
{
	return queue_read_message(store, id, 0, each, closure);
}

const struct queue_store_ops queue_spool_ops = {
	.open = spool_open,
	.close = spool_close,
	.begin = spool_begin,
	.end = spool_end,
	.committed = queue_segment_committed,
	.writer = spool_writer,
	.read = queue_read,
	.open_file = spool_open_file,
	.open_body = spool_open_body,
	.acknowledge = queue_acknowledge,
	.acknowledged = queue_acknowledged,
	.acknowledge_row = queue_acknowledge_row,
	.flush = queue_flush,
	.put_back = queue_put_back,
	.again = spool_again,
	.release = spool_release,
	.damaged = spool_damaged,
	.keep = spool_keep,
	.change = spool_change,
	.has = spool_has,
	.find = spool_find,
	.import_file = queue_import_file,
	.import = queue_import_store,
	.rows = spool_rows,
	.waited_for = spool_waited_for,
	.next = spool_next,
	.hurry_domain = spool_hurry_domain,
	.holders = spool_holders,
	.shift = spool_shift,
	.tls_next = spool_tls_next,
	.tls_rows = spool_tls_rows,
	.tls_add = spool_tls_add,
	.tls_tried = spool_tls_tried,
	.tls_taken = spool_tls_taken,
	.search = queue_read_search,
	.read_deferred = spool_read_deferred,
	.read_body = queue_read_body,
	.read_message = queue_read_message,
	.own_place = queue_own_place,
	.own_write = queue_own_write,
	.own_copy = queue_own_copy,
	.own_drop = queue_own_drop,
};
