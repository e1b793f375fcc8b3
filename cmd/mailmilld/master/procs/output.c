/* See output.h.
 * Owns: the copy, in which nothing can control a terminal or looks like a line of
 * the log. */

#include "cmd/mailmilld/master/procs/output.h"

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
#include "core/util/bucket.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define PASS_OCTETS	65536	/* at most in one pass: others have work, too */
#define RATE		65536	/* octets a second; the rest is left out */
#define AT_ONCE		262144	/* a sanitizer's report */
#define PAUSE_MS	10	/* after output was left out: this bounds how
				 * much is read in a second */
#define REPORT_MS	1000	/* between reports of that */
#define PIECE		256	/* with marks at most PIPE_BUF: not split */
/* Before each line.  Two words: fail2ban.conf allows one before a line of ours. */
static const char mark[] = "from a child: ";
#define MARK		(sizeof(mark) - 1)

static Event *event;
static int terminal = -1;	/* or what standard error is */
static struct bucket bucket;
static uint64_t left_out;	/* octets, not yet reported */
static Event *pause_end, *report;

/* What a child has written is read by a person, or by a program that looks for
 * lines of ours: no control goes through, and no line of its own begins as one
 * of ours.  What comes in pieces is in several lines, so that none is left
 * without an end, to which a line of ours would be added.  ${out} has room for
 * ${len} marks and a newline.  Return the octets there. */
static size_t
make_plain(const char *v, size_t len, char *out)
{
	bool is_in_line = false;
	unsigned char c;
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (!is_in_line) {
			memcpy(out + n, mark, MARK);
			n += MARK;
		}
		c = (unsigned char)v[i];
		is_in_line = c != '\n';
		out[n++] = c == '\n' || c == '\t' || (c >= ' ' && c <= '~') ?
		    v[i] : '?';
	}
	if (is_in_line)
		out[n++] = '\n';
	return n;
}

/* In one piece, or not at all where it would have to wait: the master waits for
 * nobody. */
static void
show(const char *text, size_t len)
{
	struct pollfd pfd = { .fd = terminal, .events = POLLOUT };

	if (poll(&pfd, 1, 0) == 1)
		(void)!write(terminal, text, len);
}

/* Copy at most ${max} octets.  Return false when it is too much, and what is
 * there has been thrown away: were it left in the pipe, others that have
 * something to say would have to wait. */
static bool
copy(int fd, size_t max)
{
	static char junk[PASS_OCTETS];
	char buf[PIECE], out[PIECE * (MARK + 1) + 1];
	ssize_t n;

	while (max >= sizeof(buf) && (n = read(fd, buf, sizeof(buf))) > 0) {
		max -= (size_t)n;
		if (bucket_take_n(&bucket, (uint64_t)n, monotonic_ms())) {
			show(out, make_plain(buf, (size_t)n, out));
			continue;
		}
		left_out += (uint64_t)n;
		if ((n = read(fd, junk, sizeof(junk))) > 0)
			left_out += (uint64_t)n;
		return false;
	}
	return true;
}

static void
on_report(void *)
{
	report = NULL;
	if (left_out > 0)
		log_warnx("output-throttled", "octets=%llu reason=%s",
		    (unsigned long long)left_out,
		    "children write more than is shown of them");
	left_out = 0;
}

static void
on_pause_end(void *)
{
	pause_end = NULL;
	schedule_event_and_dispatch(event, E_READ);
}

static int
on_output(Event *e, int, void *, struct timeval *)
{
	if (pause_end != NULL)
		return E_ASYNC;
	if (copy(e->fd, PASS_OCTETS))
		return E_READ;
	if (report == NULL)
		report = after_ms(REPORT_MS, on_report, NULL);
	if ((pause_end = after_ms(PAUSE_MS, on_pause_end, NULL)) == NULL)
		return E_READ;
	return E_ASYNC;
}

int
output_open(int fd)
{
	enum log_kind kind;

	if (fd == -1)
		return 0;
	bucket_init_room(&bucket, RATE, AT_ONCE, monotonic_ms());
	if (log_open("stderr", &kind, &terminal) == -1 ||
	    (event = watch_fd(fd, E_READ, on_output, NULL)) == NULL)
		return -1;
	return 0;
}

void
output_close(void)
{
	if (event == NULL)
		return;
	(void)copy(event->fd, (size_t)1 << 20);
	after_cancel(&pause_end);
	after_cancel(&report);
	on_report(NULL);
	watch_close(&event);
	fileio_close(terminal);
	terminal = -1;
}
