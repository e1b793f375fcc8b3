/* See log_output.h.
 * Owns: what has been read of the logger's lines and not been written yet.
 * A terminal that takes nothing more is waited for without reading; then the
 * logger waits, as it does for any other log. */

#include "cmd/mailmilld/master/procs/log_output.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/scheduler.h"

#define PAUSE_MS	20	/* until the terminal is tried again */
#define AT_ONCE		1024	/* octets that a terminal which is ready takes */

static Event *event;
static const int *terminal;
static char text[LOG_BUFFER];
static size_t ntext;
static Event *pause_end;

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

/* Write ${len} octets of it.  Return false when the terminal does not take all of
 * them now: the master waits for nobody. */
static bool
give(size_t len)
{
	struct pollfd pfd = { .fd = *terminal, .events = POLLOUT };
	ssize_t n;

	for (; len > 0; len -= (size_t)n) {
		if (poll(&pfd, 1, 0) != 1 || (n = write(*terminal, text,
		    len < AT_ONCE ? len : AT_ONCE)) <= 0)
			return false;
		ntext -= (size_t)n;
		memmove(text, text + n, ntext);
	}
	return true;
}

static void
on_pause_end(void *)
{
	pause_end = NULL;
	schedule_event_and_dispatch(event, E_READ);
}

static int
on_lines(Event *, int, void *, struct timeval *)
{
	if (pause_end != NULL)
		return E_ASYNC;
	take();
	if (give(whole()) ||
	    (pause_end = after_ms(PAUSE_MS, on_pause_end, NULL)) == NULL)
		return E_READ;
	return E_ASYNC;
}

int
log_output_open(int fd, const int *log_fd)
{
	terminal = log_fd;
	ntext = 0;
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
