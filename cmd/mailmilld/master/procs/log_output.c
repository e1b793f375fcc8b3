/* See log_output.h.
 * Owns: what has been read of the logger's lines and not been written yet, the
 * count of lines that could not be written.
 * A terminal that takes nothing more is waited for without reading; then the
 * logger waits, as it does for any other log.  A terminal to which writing fails is
 * tried a few times, after pauses that grow.  Then it counts as gone, perhaps for
 * ever, and the logger does not wait for it: lines are read and dropped, and one of
 * them is tried every GONE_MS, in case the terminal is back. */

#include "cmd/mailmilld/master/procs/log_output.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

#define PAUSE_MS	20	/* until the terminal is tried again */
#define TRIES		6	/* that fail, each after twice the pause; then the
				 * terminal has gone */
#define GONE_MS		5000	/* until one that has gone is tried again */
#define AT_ONCE		1024	/* octets that a terminal which is ready takes */

static Event *event;
static const int *terminal;
static char text[LOG_BUFFER];
static size_t ntext;
static Event *pause_end;
static unsigned int nfailed;	/* tries in a row */
static uint64_t retry_ms;	/* when one that has gone is tried again */
static uint64_t nlost;		/* lines, not yet reported */

/* Read what there is room for.  No control goes to the terminal. */
static void
take(void)
{
	char *p = text + ntext;
	ssize_t n = ntext == sizeof(text) ? 0 :
	    read(event->fd, p, sizeof(text) - ntext);

	if (n <= 0)
		return;
	ntext += (size_t)n;
	for (; p < text + ntext; p++)
		if (*p != '\n' && *p != '\t' && (*p < ' ' || *p > '~'))
			*p = '?';
}

/* The octets of whole lines: the last one may be on its way.  No honest line is
 * longer than the buffer. */
static size_t
whole(void)
{
	const char *end = memrchr(text, '\n', ntext);

	return end != NULL ? (size_t)(end - text) + 1 :
	    ntext == sizeof(text) ? ntext : 0;
}

static void
remove_first(size_t len)
{
	ntext -= len;
	memmove(text, text + len, ntext);
}

/* Write ${len} octets of it.  Return 0, or -1 with errno: EAGAIN, the terminal does
 * not take all of them now, and the master does not wait. */
static int
give(size_t len)
{
	struct pollfd pfd = { .fd = *terminal, .events = POLLOUT };
	ssize_t n;

	for (; len > 0; len -= (size_t)n) {
		errno = EAGAIN;
		if (poll(&pfd, 1, 0) != 1 || (n = write(*terminal, text,
		    len < AT_ONCE ? len : AT_ONCE)) <= 0)
			return -1;
		remove_first((size_t)n);
	}
	return 0;
}

/* --- a terminal that has gone --------------------------------------------- */

static bool
passes(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS ||
	    error == ENOMEM;
}

static bool
is_gone(void)
{
	return nfailed >= TRIES;
}

/* Lines that will not be written; the first may be a part of one. */
static void
drop(size_t len)
{
	const char *p = text, *end = text + len;

	for (; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		nlost++;
	remove_first(len);
}

/* Something was written. */
static void
is_back(void)
{
	uint64_t n = nlost;

	nfailed = 0;
	nlost = 0;
	if (n > 0)
		log_warnx("log-output", "lines=%llu reason=%s",
		    (unsigned long long)n, "nothing could be written to the "
		    "log, these lines of other processes are lost");
}

/* Writing ${len} octets has failed.  Return the milliseconds to wait before more is
 * read. */
static unsigned int
has_failed(size_t len)
{
	if (passes(errno) && !is_gone())
		return PAUSE_MS;
	if (!is_gone())
		nfailed++;
	if (!is_gone())
		return PAUSE_MS << nfailed;
	retry_ms = monotonic_ms() + GONE_MS;
	drop(len);
	return 0;
}

/* Write the whole lines that there are.  Return the same. */
static unsigned int
copy(void)
{
	size_t len, before;

	take();
	len = whole();
	if (is_gone() && monotonic_ms() < retry_ms) {
		drop(len);
		return 0;
	}
	before = ntext;
	if (give(len) == 0) {
		if (len > 0)
			is_back();
		return 0;
	}
	if (ntext < before)
		is_back();
	return has_failed(len - (before - ntext));
}

/* --- the loop ------------------------------------------------------------- */

static void
on_pause_end(void *)
{
	pause_end = NULL;
	schedule_event_and_dispatch(event, E_READ);
}

static int
on_lines(Event *, int, void *, struct timeval *)
{
	unsigned int pause_ms;

	if (pause_end != NULL)
		return E_ASYNC;
	if ((pause_ms = copy()) == 0 ||
	    (pause_end = after_ms(pause_ms, on_pause_end, NULL)) == NULL)
		return E_READ;
	return E_ASYNC;
}

int
log_output_open(int fd, const int *log_fd)
{
	terminal = log_fd;
	ntext = 0;
	nfailed = 0;
	nlost = 0;
	if (fd == -1)
		return 0;
	event = watch_fd(fd, E_READ, on_lines, NULL);
	return event == NULL ? -1 : 0;
}

void
log_output_close(void)
{
	size_t before;

	if (event == NULL)
		return;
	after_cancel(&pause_end);
	do {
		take();
		before = ntext;
		(void)give(whole());
	} while (ntext < before);
	/* a logger that was killed has left a part of a line */
	if (ntext > 0 && whole() == 0 && ntext < sizeof(text)) {
		text[ntext++] = '\n';
		(void)give(ntext);
	}
	watch_close(&event);
}
