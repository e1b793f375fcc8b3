/* One file: Return-Path and what else a mailbox gets, and the body, out of a record, into tmp/.
 * Owns: the checksum of the body on its way, the change of line ends.
 * Knows nothing of batches and of flushing. */

#include "core/maildir/deliver_int.h"

#include <sys/stat.h>
#include <sys/uio.h>

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/util/fileio.h"

#define FIELD_MAX	2048		/* octets of a header line that is added */

/* Where the octets go */
struct sink {
	int		 fd;
	bool		 is_lf;
	bool		 has_cr;	/* the last octet was a CR, kept back */
	char		*conv;
	uint64_t	 octets;	/* written */
	uint64_t	 removed;	/* CRs that were left out */
};

static int
sink_raw(struct sink *s, const char *buf, size_t len)
{
	if (len > 0 && fileio_write(s->fd, buf, len) == -1)
		return -1;
	s->octets += len;
	return 0;
}

/* CRLF becomes LF; a CR alone stays. */
static int
sink_lf(struct sink *s, const char *buf, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (s->has_cr && buf[i] != '\n')
			s->conv[n++] = '\r';
		else
			s->removed += s->has_cr;
		s->has_cr = buf[i] == '\r';
		if (!s->has_cr)
			s->conv[n++] = buf[i];
		if (n + 2 > DELIVER_COPY_OCTETS) {
			if (sink_raw(s, s->conv, n) == -1)
				return -1;
			n = 0;
		}
	}
	return sink_raw(s, s->conv, n);
}

static int
sink_put(struct sink *s, const char *buf, size_t len)
{
	return s->is_lf ? sink_lf(s, buf, len) : sink_raw(s, buf, len);
}

static int
sink_end(struct sink *s)
{
	if (!s->has_cr)
		return 0;
	s->has_cr = false;
	return sink_raw(s, "\r", 1);
}

/* The usual case: the body is in memory and goes out as it is. */
static int
write_at_once(struct sink *s, const char *head, size_t head_len,
    const char *body, size_t len)
{
	struct iovec iov[2] = { { .iov_len = head_len }, { .iov_len = len } };
	ssize_t n;

	/* writev(2) reads only, but struct iovec has no const */
	memcpy(&iov[0].iov_base, &head, sizeof(head));
	memcpy(&iov[1].iov_base, &body, sizeof(body));
	do
		n = writev(s->fd, iov, 2);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	s->octets = (uint64_t)n;
	if ((size_t)n < head_len) {
		if (sink_raw(s, head + n, head_len - (size_t)n) == -1)
			return -1;
		n = (ssize_t)head_len;
	}
	n -= (ssize_t)head_len;
	return sink_raw(s, body + n, len - (size_t)n);
}

/* Copy ${octets} from a file, and compare their checksum. */
static int
copy_body(struct deliver *d, struct sink *s, int fd, uint64_t offset,
    uint64_t octets, uint64_t sum)
{
	ssize_t n;
	size_t want;

	spool_sum_reset(d->sum);
	while (octets > 0) {
		want = octets < DELIVER_COPY_OCTETS ? (size_t)octets :
		    DELIVER_COPY_OCTETS;
		n = fileio_pread(fd, d->copybuf, want, (off_t)offset);
		if (n == 0)
			errno = EBADMSG;
		if (n <= 0)
			return -1;
		spool_sum_add(d->sum, d->copybuf, (size_t)n);
		if (sink_put(s, d->copybuf, (size_t)n) == -1)
			return -1;
		offset += (uint64_t)n;
		octets -= (uint64_t)n;
	}
	if (spool_sum_get(d->sum) == sum)
		return 0;
	errno = EBADMSG;
	return -1;
}

/* The body of ${view}: in a file of its own, or in the record's */
static int
write_stored(struct deliver *d, struct sink *s, const struct job *job,
    const struct spool_record *r)
{
	uint64_t offset;
	int fd;

	if ((fd = spool_sources_body(d->sources, job, r, &offset)) == -1)
		return -1;
	return copy_body(d, s, fd, offset, r->body_octets, r->body_sum);
}

/* The address that the sender, or the alias that has the recipient, has named: that
 * of ORCPT, if it is one of mail (RFC 3461 4.2, RFC 6533 3) */
static const char *
original_of(const struct spool_view *view, uint32_t rcpt)
{
	struct spool_envelope_rcpt said;
	const char *cursor = NULL;

	spool_envelope_said(&view->envelope, rcpt, &cursor, &said);
	if (said.orcpt != NULL && strncasecmp(said.orcpt, "rfc822;", 7) == 0)
		return said.orcpt + 7;
	if (said.orcpt != NULL && strncasecmp(said.orcpt, "utf-8;", 6) == 0)
		return said.orcpt + 6;
	return spool_envelope_rcpt(&view->envelope, rcpt);
}

/* Write the header lines that are added to ${buf}, room for three.  Return
 * octets. */
static size_t
write_head(const struct deliver_item *item, const struct spool_view *view,
    char buf[3 * FIELD_MAX])
{
	uint32_t rcpt = item->job.origin.rcpt;
	size_t len;

	len = maildir_return_path(buf, FIELD_MAX, view->envelope.sender);
	if ((item->adds & DELIVER_ORIGINAL) != 0)
		len += maildir_address_field(buf + len, FIELD_MAX,
		    "X-Original-To", original_of(view, rcpt));
	if ((item->adds & DELIVER_TO) != 0)
		len += maildir_address_field(buf + len, FIELD_MAX,
		    "Delivered-To", spool_envelope_rcpt(&view->envelope,
		    rcpt));
	return len;
}

static int
write_message(struct deliver *d, struct sink *s,
    const struct deliver_item *item, const struct spool_view *view)
{
	char head[3 * FIELD_MAX];
	size_t len = write_head(item, view, head);

	if (view->body != NULL) {
		/* the buffer is ours alone, so what is checked is written */
		if (spool_sum(view->body, view->record.body_octets) !=
		    view->record.body_sum) {
			errno = EBADMSG;
			return -1;
		}
		if (!s->is_lf)
			return write_at_once(s, head, len, view->body,
			    view->record.body_octets);
	}
	if (sink_put(s, head, len) == -1)
		return -1;
	if (view->body == NULL) {
		if (write_stored(d, s, &item->job, &view->record) == -1)
			return -1;
	} else if (sink_put(s, view->body, view->record.body_octets) == -1)
		return -1;
	return sink_end(s);
}

int
deliver_write(struct deliver *d, struct deliver_item *item,
    const struct spool_view *view)
{
	struct sink s = { .is_lf = item->is_lf, .conv = d->convbuf };
	char tmp[MAILDIR_NAME_MAX];

	maildir_tmp_name(tmp, item->prefix, d->pid);
	if ((s.fd = maildir_create(&item->dir->md, tmp)) == -1)
		return -1;
	if (write_message(d, &s, item, view) == -1 || (item->mode != 0 &&
	    fchmod(s.fd, item->mode) == -1))
		goto err1;
	/* NFS and some quotas report a full disk here. */
	if (close(s.fd) == -1 && errno != EINTR)
		goto err2;
	item->octets = s.octets;
	item->virtual_octets = (item->adds & DELIVER_VIRTUAL_SIZE) == 0 ? 0 :
	    s.octets + s.removed;
	return 0;
err1:
	fileio_close(s.fd);
err2:
	fileio_unlink(item->dir->md.tmp, tmp);
	return -1;
}
