/* Records of a connection, and short answers: see ec_growbuf.h.
 * Each octet is looked at once, however few come at a time. */

#include "core/ec_growbuf.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_AHEAD	4096	/* octets to have room for at each read */
#define AT_ONCE		(1 << 20)	/* octets that one call reads, about */

static int
max_of(const minimal_tryread_construct *mtc)
{
	int max = mtc->max_region_size > 0 ? mtc->max_region_size :
	    TRYREAD_MAX;

	/* offsets in twice as much are ints, too */
	return max < INT_MAX / 2 ? max : INT_MAX / 2;
}

/* FNV-1a */
static unsigned int
sum_of(const char *text)
{
	unsigned int sum = 2166136261u;

	for (; *text != '\0'; text++)
		sum = (sum ^ (unsigned char)*text) * 16777619u;
	return sum;
}

/* Find ${until} in what was read.  Return where it begins, or -1. */
static int
find(grow_buf *b, const char *until, int len)
{
	unsigned int sum = sum_of(until);
	const char *found;
	int from;

	if (b->until_sum != sum)
		b->seen = b->start;
	b->until_sum = sum;
	from = b->seen > b->start ? b->seen : b->start;
	if (b->end - from < len)
		return -1;
	found = memmem(b->data + from, (size_t)(b->end - from), until,
	    (size_t)len);
	if (found != NULL)
		return (int)(found - b->data);
	/* its first octets may be the last ones here */
	b->seen = b->end - len + 1;
	return -1;
}

/* Forget what is before ${start}. */
static void
consume(grow_buf *b, int start)
{
	b->start = b->seen = start;
	if (b->start < b->end)
		return;
	b->start = b->end = b->seen = 0;
	/* a connection that waits needs no room for a long record */
	if (b->size > READ_AHEAD) {
		free(b->data);
		b->data = NULL;
		b->size = 0;
	}
}

static void
page_out(minimal_tryread_construct *mtc, int end)
{
	grow_buf *b = &mtc->gb_buffer;
	int len = end - b->start;

	if (len <= 0)
		return;
	mtc->gb_paged += len;
	mtc->page_out_hook(mtc, mtc->page_out_closure, b->data + b->start,
	    len);
	b->start = end;
}

/* The record goes to ${end}: hand it out. */
static int
finish(minimal_tryread_construct *mtc, int end, int until_len)
{
	grow_buf *b = &mtc->gb_buffer;
	size_t padding = mtc->gb_padding > 0 ? (size_t)mtc->gb_padding : 0;
	int len = end - b->start;
	char *done = NULL;

	/* first, since without memory this record is found once more */
	if (mtc->gb_paged == 0 &&
	    (done = ec_malloc_size(MEMTYPE_MESSAGE_BODY,
	    (size_t)len + 1 + padding)) == NULL)
		return -1;
	if (mtc->match_hook != NULL)
		mtc->match_hook(mtc, mtc->match_closure);
	if (mtc->gb_paged > 0) {
		page_out(mtc, end);
		mtc->gb_donebuffer = NULL;
		mtc->gb_donesize = mtc->gb_paged;
		mtc->gb_paged = 0;
	} else {
		memcpy(done, b->data + b->start, (size_t)len);
		memset(done + len, 0, 1 + padding);
		mtc->gb_donebuffer = done;
		mtc->gb_donesize = len;
	}
	consume(b, end + until_len);
	if (mtc->finalize_hook != NULL && mtc->gb_donebuffer != NULL)
		mtc->finalize_hook(mtc, mtc->finalize_closure);
	return mtc->gb_donesize + until_len;
}

/* Make room behind what was read, in amortised constant time for each octet:
 * octets are moved when no fewer have been consumed. */
static int
make_room(grow_buf *b)
{
	int have = b->end - b->start;
	size_t size;
	char *data;

	if (b->size - b->end >= READ_AHEAD)
		return 0;
	if (b->start > 0 && (b->start >= have || b->size > INT_MAX / 2)) {
		memmove(b->data, b->data + b->start, (size_t)have);
		b->seen = b->seen > b->start ? b->seen - b->start : 0;
		b->start = 0;
		b->end = have;
	}
	if (b->size - b->end >= READ_AHEAD)
		return 0;
	size = (size_t)b->size * 2 + READ_AHEAD;
	if (size > INT_MAX)
		size = INT_MAX;
	if ((data = realloc(b->data, size)) == NULL)
		return -1;
	b->data = data;
	b->size = (int)size;
	return 0;
}

/* There is no end of a record in as much as is kept in memory. */
static int
too_long(minimal_tryread_construct *mtc)
{
	grow_buf *b = &mtc->gb_buffer;

	if (mtc->page_out_hook == NULL ||
	    mtc->gb_paged > INT_MAX / 2 - (b->end - b->start)) {
		errno = E2BIG;
		return -1;
	}
	page_out(mtc, b->seen);
	return 0;
}

/* Read, unless this call has ${read} octets already: others get their turn.  What
 * the opset has is not forgotten: the loop asks it (event_pending). */
static int
read_some(Event *event, int *needmask, char *buf, int len, int read)
{
	if (read < AT_ONCE)
		return event_read(event, buf, len, needmask);
	if (needmask != NULL)
		*needmask = E_READ;
	errno = EAGAIN;
	return -1;
}

int
tryread_until(Event *event, int *needmask, minimal_tryread_construct *mtc,
    const char *until)
{
	grow_buf *b = &mtc->gb_buffer;
	int len = (int)strlen(until), max = max_of(mtc), read = 0, room, n;

	if (len == 0) {
		errno = EINVAL;
		return -1;
	}
	if (max < len)
		max = len;
	for (;;) {
		if ((n = find(b, until, len)) != -1)
			return finish(mtc, n, len);
		if (b->end - b->start >= max && too_long(mtc) == -1)
			return -1;
		if (make_room(b) == -1)
			return -1;
		room = max - (b->end - b->start);
		if (room > b->size - b->end)
			room = b->size - b->end;
		n = read_some(event, needmask, b->data + b->end, room, read);
		if (n <= 0)
			return n;
		b->end += n;
		read += n;
	}
}

void
minimal_tryread_construct_free(minimal_tryread_construct *mtc)
{
	if (mtc == NULL)
		return;
	free(mtc->gb_buffer.data);
	memset(&mtc->gb_buffer, 0, sizeof(mtc->gb_buffer));
	mtc->gb_paged = 0;
}

int
trywrite(Event *event, const char *buffer, int buflen)
{
	int n, needmask;

	while (buflen > 0) {
		n = event_write(event, buffer, buflen, &needmask);
		if (n == 0)
			errno = EPIPE;
		if (n <= 0)
			return 0;
		buffer += n;
		buflen -= n;
	}
	if (buflen == 0)
		return 1;
	errno = EINVAL;
	return 0;
}

int
trywritef(Event *event, const char *buffer, ...)
{
	char text[TRYWRITEF_MAX];
	va_list ap;
	int n;

	va_start(ap, buffer);
	n = vsnprintf(text, sizeof(text), buffer, ap);
	va_end(ap);
	if (n >= (int)sizeof(text))
		errno = E2BIG;
	if (n < 0 || n >= (int)sizeof(text))
		return 0;
	return trywrite(event, text, n);
}
