/* Messages that the queue writes itself, and a look into one that is deferred.
 * Owns: the ids and origins of such messages.  Their segment has the number of the
 * queue process, so that it is none of a worker, and it never was a file. */

#include "core/store/queue_spool_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"

#define OWN_GENERATION	1	/* of the only record in such a segment */
#define OWN_SEQ		1

int
queue_own_place(void *store, struct queue_place *place_r)
{
	struct queue_place place = { .offset = SPOOL_PAGE, .is_own = true,
		.origin = { .generation = OWN_GENERATION, .seq = OWN_SEQ } };

	/* two ids: spool_message_origin() tells an early version by a segment
	 * that has the number of the message */
	if (queue_mint_id(store, &place.id) == -1 ||
	    queue_mint_id(store, &place.origin.segment) == -1)
		return -1;
	place.kept_id = place.id;
	*place_r = place;
	return 0;
}

/* Write the file of ${view}, with its body, or with that of the file ${fd}. */
static int
write_own(struct queue_spool *sp, const struct queue_place *place,
    const struct spool_view *view, int fd)
{
	int rc;

	do {
		errno = ENOSPC;
		if ((place->is_spare && sp->is_short) ||
		    !queue_room_for_copy(sp, view->record.body_octets))
			return -1;
		rc = deferred_file_write(sp->deferred, place->id, view,
		    &place->origin, fd, -1);
	} while (rc == -1 && !place->is_spare && queue_room_make(sp));
	return rc;
}

/* Write the message with the envelope ${env}. */
static int
write_with(struct queue_spool *sp, const struct queue_place *place,
    const struct spool_envelope *env, struct spool_view *view, int fd)
{
	size_t octets = spool_envelope_octets(env);
	char *buf;
	int rc = -1;

	if (octets == 0 || (buf = malloc(octets)) == NULL)
		return -1;
	spool_envelope_encode(env, buf);
	view->record.envelope_octets = (uint32_t)octets;
	view->record.envelope_sum = spool_sum(buf, octets);
	if (spool_envelope_decode(buf, octets, &view->envelope) == 0)
		rc = write_own(sp, place, view, fd);
	free(buf);
	return rc;
}

int
queue_own_write(void *store, const struct queue_place *place,
    const struct spool_envelope *env, uint64_t received_us, const char *text,
    size_t len)
{
	struct spool_view view = {
		.record = { .received_us = received_us, .body_octets = len,
			.body_sum = spool_sum(text, len) },
		.body = text,
	};

	return write_with(store, place, env, &view, -1);
}

int
queue_own_copy(void *store, const struct queue_place *place,
    const struct spool_envelope *env, const struct queue_record *of)
{
	struct spool_view view = {
		.record = { .received_us = of->received_us,
			.body_octets = of->octets, .body_offset = of->body_at,
			.body_sum = of->body_sum },
	};

	return write_with(store, place, env, &view, of->fd);
}

void
queue_own_drop(void *store, const struct queue_place *place)
{
	struct queue_spool *sp = store;

	if (deferred_has(sp->deferred, place->id, DEFERRED_ANY) == 0 &&
	    deferred_file_remove(sp->deferred, place->id) == -1)
		log_warn("deferred-file-remove", "folder=%s",
		    sp->config.folder);
}

/* Read the first octets of the body of ${view}, ${max} at most, into a block of
 * their own: *text_r, or NULL.  A body that cannot be read is none. */
static size_t
read_text(int fd, const struct spool_view *view, size_t max, char **text_r)
{
	size_t len = (size_t)MIN(max, view->record.body_octets), n = 0;
	ssize_t rc = 1;

	if (len == 0 || (*text_r = malloc(len)) == NULL)
		return 0;
	while (n < len && rc > 0) {
		rc = pread(fd, *text_r + n, len - n,
		    (off_t)(view->record.body_offset + n));
		if (rc > 0)
			n += (size_t)rc;
	}
	return n;
}

int
queue_read_message(void *store, uint64_t id, size_t max, queue_record_func each,
    void *closure)
{
	struct queue_spool *sp = store;
	int fd = deferred_file_open(sp->deferred, id), rc = -1;
	struct queue_record record = { .place.id = id };
	struct spool_damage damage;
	struct spool_reader *r;
	struct spool_view view;
	char *text = NULL;

	if (fd == -1)
		return -1;
	r = spool_reader_new(fd, sp->readbuf, SPOOL_READ_TRUST_BODY);
	if (r != NULL && spool_reader_at(r, SPOOL_PAGE, &view, &damage) == 1) {
		record.place.offset = SPOOL_PAGE;
		record.received_us = view.record.received_us;
		record.octets = view.record.body_octets;
		record.body_at = view.record.body_offset;
		record.envelope = &view.envelope;
		record.text_len = read_text(fd, &view, max, &text);
		record.text = text;
		record.fd = fd;
		record.body_sum = view.record.body_sum;
		record.is_whole = record.text_len == record.octets &&
		    spool_sum(text, record.text_len) == view.record.body_sum;
		each(closure, &record);
		rc = 0;
	}
	free(text);
	spool_reader_free(r);
	close(fd);
	return rc;
}
