/* Transfers of a fixed length; see event.h.
 * Owns: event_io_state, and what a transfer that is pending keeps there.
 * Knows nothing of opsets: it calls event_read() and event_write(). */

#include "core/ec_string.h"
#include "core/event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The documented size of what event_io_printf() formats into. */
#define PRINTF_OCTETS	8192
/* What one call reads, about. */
#define AT_ONCE		(1 << 20)

enum {
	OP_NONE,
	OP_READ,	/* buf holds the offset octets that have arrived */
	OP_WRITE,	/* buf holds buflen octets, offset of them are sent */
	OP_STRING	/* offset octets of the caller's string are sent */
};

static bool
is_refused(const event_io_state *state, int buflen, bool is_busy)
{
	if (state == NULL || buflen < 0)
		errno = EINVAL;
	else if (is_busy)
		errno = EBUSY;
	else
		return false;
	return true;
}

static int
finish(event_io_state *state, int result)
{
	state->optype = OP_NONE;
	state->needmask = 0;
	return result;
}

/* Make room for ${n} octets.  Return 0, or -1 with errno ENOMEM. */
static int
make_room(event_io_state *state, int n)
{
	int size = state->bufsize;
	char *buf;

	if (n <= size)
		return 0;
	/* at least twice as much, so that single octets cost little; never
	 * more than the transfer has */
	size = size > state->buflen / 2 ? state->buflen : size * 2;
	if (size < n)
		size = n;
	if ((buf = realloc(state->buf, (size_t)size)) == NULL)
		return -1;
	state->buf = buf;
	state->bufsize = size;
	return 0;
}

/* --- reading ----------------------------------------------------------- */

/* Keep the ${n} octets that arrived in the caller's buffer. */
static int
keep(event_io_state *state, const char *octets, int n)
{
	if (n == 0)
		return 0;
	if (make_room(state, state->offset + n) == -1)
		return -1;
	memcpy(state->buf + state->offset, octets, (size_t)n);
	state->offset += n;
	return 0;
}

/* The caller has the first ${n} octets of those that the state holds. */
static void
give(event_io_state *state, int n)
{
	state->offset -= n;
	if (state->offset > 0)
		memmove(state->buf, state->buf + n, (size_t)state->offset);
	state->optype = state->offset > 0 ? OP_READ : OP_NONE;
	state->needmask = 0;
}

/* Read, unless this call has ${read} octets already: others get their turn.  What
 * the opset has is not forgotten: the loop asks it (event_pending). */
static int
read_some(Event *e, char *buf, int len, int read, event_io_state *state)
{
	if (read < AT_ONCE)
		return event_read(e, buf, len, &state->needmask);
	state->needmask = E_READ;
	errno = EAGAIN;
	return -1;
}

int
event_io_read(Event *e, char *buf, int buflen, event_io_state *state)
{
	int held, done, n = 1;

	if (is_refused(state, buflen, state != NULL &&
	    (state->optype == OP_WRITE || state->optype == OP_STRING)))
		return EVENT_IO_ERROR;
	if (state->optype == OP_NONE)
		state->offset = 0;
	state->optype = OP_READ;
	state->buflen = buflen;
	held = state->offset < buflen ? state->offset : buflen;
	for (done = held; done < buflen && n > 0; done += n > 0 ? n : 0)
		n = read_some(e, buf + done, buflen - done, done - held,
		    state);
	if (n == -1 && errno == EAGAIN &&
	    keep(state, buf + held, done - held) == 0)
		return EVENT_IO_PENDING;
	if (held > 0)
		memcpy(buf, state->buf, (size_t)held);
	if (done == buflen) {
		give(state, held);
		return EVENT_IO_DONE;
	}
	state->offset = done;
	return finish(state, n == 0 ? EVENT_IO_EOF : EVENT_IO_ERROR);
}

/* There is no buffer of the caller's to read to. */
static int
retry_read(Event *e, event_io_state *state)
{
	int before = state->offset, n;

	if (make_room(state, state->buflen) == -1)
		return finish(state, EVENT_IO_ERROR);
	while (state->offset < state->buflen) {
		n = read_some(e, state->buf + state->offset,
		    state->buflen - state->offset, state->offset - before,
		    state);
		if (n == -1 && errno == EAGAIN)
			return EVENT_IO_PENDING;
		if (n <= 0)
			return finish(state,
			    n == 0 ? EVENT_IO_EOF : EVENT_IO_ERROR);
		state->offset += n;
	}
	state->needmask = 0;
	return EVENT_IO_DONE;
}

/* --- writing ----------------------------------------------------------- */

static int
write_from(Event *e, const char *buf, event_io_state *state)
{
	int n;

	while (state->offset < state->buflen) {
		n = event_write(e, buf + state->offset,
		    state->buflen - state->offset, &state->needmask);
		if (n == -1 && errno == EAGAIN)
			return EVENT_IO_PENDING;
		if (n == 0)
			errno = 0;
		if (n <= 0)
			return finish(state, EVENT_IO_ERROR);
		state->offset += n;
	}
	return finish(state, EVENT_IO_DONE);
}

int
event_io_write(Event *e, const char *buf, int buflen, event_io_state *state)
{
	int rc, rest;

	if (is_refused(state, buflen, state != NULL &&
	    state->optype != OP_NONE))
		return EVENT_IO_ERROR;
	state->optype = OP_WRITE;
	state->buflen = buflen;
	state->offset = 0;
	rc = write_from(e, buf, state);
	if (rc != EVENT_IO_PENDING)
		return rc;
	rest = buflen - state->offset;
	if (make_room(state, rest) == -1)
		return finish(state, EVENT_IO_ERROR);
	memcpy(state->buf, buf + state->offset, (size_t)rest);
	state->buflen = rest;
	state->offset = 0;
	return rc;
}

int
event_io_write_string(Event *e, string *str, event_io_state *state)
{
	if (is_refused(state, str == NULL ? -1 : str->len, state != NULL &&
	    (state->optype == OP_READ || state->optype == OP_WRITE)))
		return EVENT_IO_ERROR;
	if (state->optype == OP_NONE)
		state->offset = 0;
	state->optype = OP_STRING;
	state->buflen = str->len;
	return write_from(e, str->buffer, state);
}

int
event_io_printf(Event *e, event_io_state *state, const char *fmt, ...)
{
	char text[PRINTF_OCTETS];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (len >= (int)sizeof text)
		errno = E2BIG;
	if (len < 0 || len >= (int)sizeof text)
		return EVENT_IO_ERROR;
	return event_io_write(e, text, len, state);
}

int
event_io_retry(Event *e, event_io_state *state)
{
	if (is_refused(state, 0, false))
		return EVENT_IO_ERROR;
	switch (state->optype) {
	case OP_READ:
		return retry_read(e, state);
	case OP_WRITE:
		return write_from(e, state->buf, state);
	case OP_STRING:		/* the caller has it */
		errno = EINVAL;
		return EVENT_IO_ERROR;
	}
	return EVENT_IO_DONE;
}

void
event_io_state_clean(event_io_state *state)
{
	if (state == NULL)
		return;
	free(state->buf);
	memset(state, 0, sizeof *state);
}
