/* One message as a file of its own, for the deferred store.
 * Owns: the copy of a record with its body, checked on the way. */

#include "core/spool/spool_reader.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_segment.h"
#include "core/util/fileio.h"

#define NAME_TMP_MAX	256

/* Make header page, record header and envelope; their size in *octets_r. */
static char *
encode_head(const struct spool_view *view, uint64_t id,
    const struct spool_origin *origin, size_t *octets_r)
{
	struct spool_header h = { .segment = origin->segment,
		.generation = origin->generation, .nonce = spool_nonce(),
		.created_us = view->record.received_us };
	struct spool_record rec = view->record;
	const char *envelope = view->envelope.envelope;
	char *head;

	h.size_octets = SPOOL_PAGE + spool_record_octets(rec.envelope_octets,
	    rec.body_octets);
	rec.offset = SPOOL_PAGE;
	rec.id = id;
	rec.seq = origin->seq;
	rec.flags &= ~(uint32_t)SPOOL_RECORD_LARGE;
	*octets_r = SPOOL_PAGE + SPOOL_RECORD_HEADER + rec.envelope_octets;
	if ((head = malloc(*octets_r)) == NULL)
		return (NULL);
	spool_header_encode(&h, (unsigned char *)head);
	spool_record_encode(&rec, h.nonce,
	    (unsigned char *)head + SPOOL_PAGE);
	memcpy(head + SPOOL_PAGE + SPOOL_RECORD_HEADER, envelope,
	    rec.envelope_octets);
	return (head);
}

static int
write_message(int out, const struct spool_view *view, uint64_t id,
    const struct spool_origin *origin, int fd, int body_fd)
{
	static const char zeros[SPOOL_ALIGN];
	const struct spool_record *rec = &view->record;
	bool is_large = (rec->flags & SPOOL_RECORD_LARGE) != 0;
	char *head;
	size_t octets, total;
	int rv;

	if ((head = encode_head(view, id, origin, &octets)) == NULL)
		return (-1);
	rv = fileio_write(out, head, octets);
	free(head);
	if (rv == 0 && fd == -1 && body_fd == -1)
		rv = fileio_write(out, view->body, (size_t)rec->body_octets);
	else if (rv == 0)
		rv = spool_body_copy(is_large ? body_fd : fd,
		    is_large ? 0 : rec->body_offset, rec->body_octets,
		    rec->body_sum, out);
	if (rv == -1)
		return (-1);
	octets = SPOOL_RECORD_HEADER + rec->envelope_octets + rec->body_octets;
	total = spool_record_octets(rec->envelope_octets, rec->body_octets);
	return (fileio_write(out, zeros, total - octets));
}

int
spool_message_write(int dirfd, const char *name, const struct spool_view *view,
    uint64_t id, const struct spool_origin *origin, int fd, int body_fd,
    bool is_synced)
{
	char tmp[NAME_TMP_MAX];
	int out;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", name) >= (int)sizeof(tmp)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	/* O_TRUNC: a crash may have left a file of this name */
	if ((out = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
	    O_NOFOLLOW, 0600)) == -1)
		return (-1);
	if (write_message(out, view, id, origin, fd, body_fd) == -1 ||
	    (is_synced && fdatasync(out) == -1) ||
	    renameat(dirfd, tmp, dirfd, name) == -1)
		goto err1;
	(void)close(out);
	if (is_synced && fsync(dirfd) == -1) {
		fileio_unlink(dirfd, name);
		return (-1);
	}
	return (0);

err1:	fileio_unlink(dirfd, tmp);
	fileio_close(out);
	return (-1);
}

/* An earlier version wrote the message's id in the place of the segment. */
void
spool_message_origin(const struct spool_header *header,
    const struct spool_record *record, struct spool_origin *origin_r)
{
	*origin_r = (struct spool_origin){ .segment = header->segment,
		.generation = header->generation, .seq = record->seq };
	if (header->segment == record->id)
		*origin_r = (struct spool_origin){ .segment = 0 };
}
