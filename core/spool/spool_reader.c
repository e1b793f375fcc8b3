/* Reading records.
 * Owns: the read buffer, the search for the next record, the decision what is
 * damage.
 * Knows nothing of names and folders. */

#include "core/spool/spool_reader.h"

#include <sys/param.h>
#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/spool/spool_segment.h"
#include "core/util/fileio.h"

#define READ_CHUNK	(256 * 1024)	/* octets read ahead, where that much may be read */
#define READ_ONE	8192		/* octets first read of a single record, until the usual size is known */
#define READ_ONE_MAX	65536
#define SEARCH_MAX	(2 * 1024 * 1024) /* octets looked at in one search for the next record; holes of the file do not count */
#define VIEW_BODY_MAX	(1024 * 1024)	/* a longer body stays in the file */

struct spool_readbuf {
	char			*data;
	size_t			 cap;
	size_t			 len;
	uint64_t		 offset;	/* in the file of ${owner} */
	const struct spool_reader *owner;	/* NULL: nothing in it */
};

struct spool_reader {
	int			 fd;
	unsigned int		 flags;
	uint64_t		 pos;
	uint64_t		 read_end;	/* where a read ahead must stop */
	size_t			 one_octets;	/* first read of a single record */
	struct spool_readbuf	*buf;
	struct spool_header	 header;
	bool			 is_header_told; /* damaged copy: reported */
	bool			 is_end_told;	/* damaged tail: reported */
	uint64_t		 durable;	/* offset: all records before it were committed */
};

struct spool_readbuf *
spool_readbuf_new(void)
{
	return (calloc(1, sizeof(struct spool_readbuf)));
}

void
spool_readbuf_free(struct spool_readbuf *buf)
{
	if (buf == NULL)
		return;
	free(buf->data);
	free(buf);
}

struct spool_reader *
spool_reader_new(int fd, struct spool_readbuf *buf, unsigned int flags)
{
	struct spool_reader *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	r->fd = fd;
	r->buf = buf;
	r->flags = flags;
	r->pos = SPOOL_PAGE;
	r->one_octets = READ_ONE;
	if (spool_segment_header(fd, &r->header) == -1) {
		free(r);
		return (NULL);
	}
	return (r);
}

void
spool_reader_free(struct spool_reader *r)
{
	if (r == NULL)
		return;
	if (r->buf->owner == r)
		r->buf->owner = NULL;
	free(r);
}

const struct spool_header *
spool_reader_header(const struct spool_reader *r)
{
	return (&r->header);
}

uint64_t
spool_reader_tell(const struct spool_reader *r)
{
	return (r->pos);
}

void
spool_reader_seek(struct spool_reader *r, uint64_t offset)
{
	r->pos = offset;
	r->is_end_told = false;
}

void
spool_reader_durable(struct spool_reader *r, uint64_t offset)
{
	r->durable = offset;
}

static int
buf_grow(struct spool_readbuf *b, size_t cap)
{
	char *data;

	if (cap <= b->cap)
		return (0);
	if ((data = malloc(cap)) == NULL)
		return (-1);
	free(b->data);
	b->data = data;
	b->cap = cap;
	b->owner = NULL;
	return (0);
}

/* Have ${need} octets at ${offset} in memory, and read up to ${ahead} more.
 * Return how many are at *data_r: fewer than ${need} at the end of the file;
 * -1 with errno. */
static ssize_t
get(struct spool_reader *r, uint64_t offset, size_t need, size_t ahead,
    const char **data_r)
{
	struct spool_readbuf *b = r->buf;
	uint64_t max;
	size_t want = need + ahead;
	ssize_t n;

	if (b->owner == r && offset >= b->offset &&
	    offset + need <= b->offset + b->len) {
		*data_r = b->data + (offset - b->offset);
		return ((ssize_t)(b->len - (size_t)(offset - b->offset)));
	}
	max = r->read_end > offset + need ? r->read_end - offset : need;
	if (want > max)
		want = (size_t)max;
	if (buf_grow(b, want) == -1)
		return (-1);
	b->owner = r;
	b->offset = offset;
	if ((n = fileio_pread(r->fd, b->data, want, (off_t)offset)) == -1) {
		b->owner = NULL;
		return (-1);
	}
	b->len = (size_t)n;
	*data_r = b->data;
	return (n);
}

/* What is at ${offset}: a header in *rec_r, or another sign; read up to ${ahead}
 * octets more.  Return 1, 0: the file ends before, or -1 with errno. */
static int
look(struct spool_reader *r, uint64_t offset, size_t ahead,
    enum spool_sign *sign_r, struct spool_record *rec_r)
{
	const char *data;
	ssize_t n;

	*sign_r = SPOOL_SIGN_NONE;
	n = get(r, offset, SPOOL_RECORD_HEADER, ahead, &data);
	if (n < SPOOL_RECORD_HEADER)
		return (n == -1 ? -1 : 0);
	*sign_r = spool_record_decode((const unsigned char *)data, offset,
	    r->header.nonce, rec_r);
	return (1);
}

static int
damaged(struct spool_damage *d, uint64_t offset, uint64_t end, uint64_t id,
    const char *what)
{
	d->offset = offset;
	d->octets = end > offset ? end - offset : 0;
	d->id = id;
	d->what = what;
	errno = EBADMSG;
	return (-1);
}

static int
check_body(struct spool_reader *r, const struct spool_record *rec,
    struct spool_view *view)
{
	const char *data;
	ssize_t n;

	view->body = NULL;
	if (rec->flags & SPOOL_RECORD_LARGE)
		return (0);
	if (rec->body_octets > VIEW_BODY_MAX)
		return (r->flags & SPOOL_READ_TRUST_BODY ? 0 :
		    spool_body_copy(r->fd, rec->body_offset,
		    rec->body_octets, rec->body_sum, -1));
	/* The body was read together with the envelope, and is in memory. */
	n = get(r, rec->offset, (size_t)(rec->body_offset + rec->body_octets -
	    rec->offset), 0, &data);
	if (n == -1)
		return (-1);
	view->body = data + (rec->body_offset - rec->offset);
	if (!(r->flags & SPOOL_READ_TRUST_BODY) &&
	    spool_sum(view->body, rec->body_octets) != rec->body_sum) {
		errno = EBADMSG;
		return (-1);
	}
	return (0);
}

/* The header at rec->offset is sound; the file has ${size} octets.  Check the
 * rest of the record.  Return 1, or -1 with damage or errno. */
static int
load(struct spool_reader *r, const struct spool_record *rec, uint64_t size,
    size_t ahead, struct spool_view *view, struct spool_damage *damage)
{
	const char *data;
	size_t head = SPOOL_RECORD_HEADER + rec->envelope_octets, need = head;
	ssize_t n;

	if (!(rec->flags & SPOOL_RECORD_LARGE)) {
		if (rec->body_offset + rec->body_octets > size)
			return (damaged(damage, rec->offset, size, rec->id,
			    "cut short"));
		if (rec->body_octets <= VIEW_BODY_MAX)
			need += (size_t)rec->body_octets;
	}
	if ((n = get(r, rec->offset, need, ahead, &data)) == -1)
		return (-1);
	if ((size_t)n < need)
		return (damaged(damage, rec->offset, size, rec->id,
		    "cut short"));
	if (spool_sum(data + SPOOL_RECORD_HEADER, rec->envelope_octets) !=
	    rec->envelope_sum ||
	    spool_envelope_decode(data + SPOOL_RECORD_HEADER,
	    rec->envelope_octets, &view->envelope) == -1)
		return (damaged(damage, rec->offset, rec->end, rec->id,
		    "envelope"));
	if (check_body(r, rec, view) == -1)
		return (errno == EBADMSG ? damaged(damage, rec->offset,
		    rec->end, rec->id, "body") : -1);
	view->record = *rec;
	return (1);
}

static int
file_size(struct spool_reader *r, uint64_t *size_r)
{
	struct stat st;

	if (fstat(r->fd, &st) == -1)
		return (-1);
	*size_r = (uint64_t)st.st_size;
	if (*size_r > r->header.size_octets)
		*size_r = r->header.size_octets;
	return (0);
}

/* ${from}, or where the file has data again: a worker can make a large file of
 * nothing. */
static uint64_t
skip_hole(const struct spool_reader *r, uint64_t from, uint64_t end)
{
	off_t data = lseek(r->fd, (off_t)from, SEEK_DATA);

	if (data == -1)
		return (errno == ENXIO ? end : from);
	data -= data % SPOOL_ALIGN;
	return (MIN(MAX((uint64_t)data, from), end));
}

/* Find the first record or end mark of this generation from ${from} to ${end}.
 * *found_r is ${end} if there is none; or how far the search has come when it
 * has looked at SEARCH_MAX octets.  Return 1: a broken header was skipped, 0:
 * none was, or -1 with errno. */
static int
resync(struct spool_reader *r, uint64_t from, uint64_t end, uint64_t *found_r)
{
	struct spool_record rec;
	enum spool_sign sign;
	const char *data;
	size_t looked = 0;
	ssize_t n;
	int is_broken = 0;

	while (from + SPOOL_RECORD_HEADER <= end) {
		if (looked >= SEARCH_MAX) {
			*found_r = from;
			return (is_broken);
		}
		from = skip_hole(r, from, end);
		n = get(r, from, SPOOL_RECORD_HEADER, READ_CHUNK, &data);
		if (n == -1)
			return (-1);
		if (n < SPOOL_RECORD_HEADER)
			break;
		looked += (size_t)n;
		for (; n >= SPOOL_RECORD_HEADER &&
		    from + SPOOL_RECORD_HEADER <= end; n -= SPOOL_ALIGN) {
			sign = spool_record_decode(
			    (const unsigned char *)data, from,
			    r->header.nonce, &rec);
			if (sign == SPOOL_SIGN_RECORD ||
			    sign == SPOOL_SIGN_END) {
				*found_r = from;
				return (is_broken);
			}
			if (sign == SPOOL_SIGN_BROKEN)
				is_broken = 1;
			from += SPOOL_ALIGN;
			data += SPOOL_ALIGN;
		}
	}
	*found_r = end;
	return (is_broken);
}

/* There is no sound record at r->pos: report damage of ${what}, and go on with
 * the next record up to ${end}. */
static int
skip(struct spool_reader *r, uint64_t end, const char *what,
    struct spool_damage *damage)
{
	uint64_t start = r->pos, found;

	if (resync(r, start + SPOOL_ALIGN, end, &found) == -1)
		return (-1);
	r->pos = found;
	return (damaged(damage, start, found, 0, what));
}

static int
next_limited(struct spool_reader *r, uint64_t limit, struct spool_view *view,
    struct spool_damage *damage)
{
	struct spool_record rec;
	enum spool_sign sign;
	int rv;

	r->read_end = limit;
	if ((rv = look(r, r->pos, READ_CHUNK, &sign, &rec)) == -1)
		return (-1);
	if (rv == 0)
		return (skip(r, limit, "cut short", damage));
	if (sign != SPOOL_SIGN_RECORD || rec.end > limit)
		return (skip(r, limit, "record header", damage));
	rv = load(r, &rec, limit, READ_CHUNK, view, damage);
	if (rv == 1 || errno == EBADMSG)
		r->pos = rec.end;
	return (rv);
}

/* At the end of the records: report damage if the file should go on. */
static int
tail(struct spool_reader *r, uint64_t size, const char *what,
    struct spool_damage *damage)
{
	uint64_t start = r->pos;

	r->pos = r->header.size_octets;
	if (r->is_end_told)
		return (0);
	r->is_end_told = true;
	if (start >= r->header.size_octets)
		return (0);
	return (damaged(damage, start, r->header.size_octets, 0,
	    size < r->header.size_octets ? "cut short" : what));
}

/* A valid end mark is at r->pos.  If records after it were committed, or can be
 * found, it is an old one: a record was written over it, and that record is
 * lost.  That is damage. */
static int
at_end_mark(struct spool_reader *r, uint64_t size, struct spool_damage *damage)
{
	uint64_t start = r->pos, found;
	uint64_t end = MIN(size, start + SPOOL_RECORD_HEADER + SEARCH_MAX);
	int is_broken;

	if ((is_broken = resync(r, start + SPOOL_RECORD_HEADER, end,
	    &found)) == -1)
		return (-1);
	if (found < end) {
		r->pos = found;
		return (damaged(damage, start, found, 0, "record header"));
	}
	if (size == r->header.size_octets && !is_broken && start >= r->durable)
		r->is_end_told = true;
	return (tail(r, size, "record header", damage));
}

static int
next_to_end(struct spool_reader *r, struct spool_view *view,
    struct spool_damage *damage)
{
	struct spool_record rec;
	enum spool_sign sign;
	uint64_t size, found;
	int rv;

	if (file_size(r, &size) == -1)
		return (-1);
	r->read_end = size;
	if (r->pos + SPOOL_RECORD_HEADER > size)
		return (tail(r, size, "end mark", damage));
	if (look(r, r->pos, READ_CHUNK, &sign, &rec) == -1)
		return (-1);
	if (sign == SPOOL_SIGN_END)
		return (at_end_mark(r, size, damage));
	if (sign == SPOOL_SIGN_RECORD) {
		if (rec.end > r->header.size_octets)
			return (skip(r, size, "record header", damage));
		rv = load(r, &rec, size, READ_CHUNK, view, damage);
		if (rv == 1 || errno == EBADMSG)
			r->pos = rec.end;
		if (rv == -1 && errno == EBADMSG && rec.end > size) {
			/* The file ends here: one report for all of it. */
			r->is_end_told = true;
			damage->octets = r->header.size_octets - rec.offset;
		}
		return (rv);
	}
	if ((rv = resync(r, r->pos + SPOOL_ALIGN, size, &found)) == -1)
		return (-1);
	if (found == size)
		return (tail(r, size, sign == SPOOL_SIGN_BROKEN || rv == 1 ?
		    "record header" : "end mark", damage));
	rv = damaged(damage, r->pos, found, 0, "record header");
	r->pos = found;
	return (rv);
}

int
spool_reader_next(struct spool_reader *r, uint64_t limit,
    struct spool_view *view_r, struct spool_damage *damage_r)
{
	if (r->header.bad_copies != 0 && !r->is_header_told) {
		r->is_header_told = true;
		return (damaged(damage_r,
		    r->header.bad_copies & SPOOL_COPY_FIRST ? 0 :
		    SPOOL_COPY_OFFSET,
		    r->header.bad_copies & SPOOL_COPY_FIRST ?
		    SPOOL_COPY_OFFSET : SPOOL_PAGE, 0, "segment header"));
	}
	if (limit == SPOOL_TO_END)
		return (next_to_end(r, view_r, damage_r));
	if (limit > r->header.size_octets)
		limit = r->header.size_octets;
	if (r->pos >= limit)
		return (0);
	return (next_limited(r, limit, view_r, damage_r));
}

int
spool_reader_at(struct spool_reader *r, uint64_t offset,
    struct spool_view *view_r, struct spool_damage *damage_r)
{
	struct spool_record rec;
	enum spool_sign sign;
	uint64_t size = r->header.size_octets;
	int rv;

	if (offset % SPOOL_ALIGN != 0 || offset < SPOOL_PAGE || offset >= size)
		return (damaged(damage_r, offset, offset, 0, "offset"));
	r->read_end = size;
	r->buf->owner = NULL;
	if (look(r, offset, r->one_octets - SPOOL_RECORD_HEADER, &sign,
	    &rec) == -1)
		return (-1);
	if (sign != SPOOL_SIGN_RECORD || rec.end > size) {
		r->buf->owner = NULL;
		return (damaged(damage_r, offset, offset + SPOOL_ALIGN, 0,
		    "record header"));
	}
	rv = load(r, &rec, size, 0, view_r, damage_r);
	/* The writer may write after this record: forget what was read. */
	r->buf->owner = NULL;
	r->one_octets = rec.end - offset < READ_ONE_MAX - READ_ONE / 2 ?
	    (size_t)(rec.end - offset) + READ_ONE / 2 : READ_ONE_MAX;
	return (rv);
}

int
spool_body_copy(int fd, uint64_t offset, uint64_t octets, uint64_t sum,
    int out_fd)
{
	struct spool_sum *s;
	char *buf = NULL;
	ssize_t n;
	int rv = -1;

	if ((s = spool_sum_new()) == NULL ||
	    (buf = malloc(READ_CHUNK)) == NULL)
		goto out;
	while (octets > 0) {
		n = fileio_pread(fd, buf, octets < READ_CHUNK ?
		    (size_t)octets : READ_CHUNK, (off_t)offset);
		if (n == -1)
			goto out;
		if (n == 0)
			break;
		spool_sum_add(s, buf, (size_t)n);
		if (out_fd != -1 && fileio_write(out_fd, buf, (size_t)n) == -1)
			goto out;
		offset += (uint64_t)n;
		octets -= (uint64_t)n;
	}
	if (octets == 0 && spool_sum_get(s) == sum)
		rv = 0;
	else
		errno = EBADMSG;
out:	free(buf);
	spool_sum_free(s);
	return (rv);
}
