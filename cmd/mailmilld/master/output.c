/* See output.h.
 * Owns: the copy, in which nothing can control a terminal or looks like a line of
 * the log. */

#include "cmd/mailmilld/master/output.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/util/bucket.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define PASS_OCTETS	65536	/* at most in one pass: others have work, too */
#define RATE		65536	/* octets a second; the rest is left out */
#define AT_ONCE		262144	/* a sanitizer's report */
#define PIECE		1024
/* Before each line.  Two words: fail2ban.conf allows one before a line of ours. */
static const char mark[] = "from a child: ";
#define MARK		(sizeof(mark) - 1)

static Event *event;
static int terminal = -1;	/* or what standard error is */
static bool is_in_line;
static struct bucket bucket;

/* What a child has written is read by a person, or by a program that looks for
 * lines of ours: no control goes through, and no line of its own begins as one
 * of ours.  ${out} has room for ${len} marks.  Return the octets there. */
static size_t
make_plain(const char *v, size_t len, char *out)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (!is_in_line) {
			memcpy(out + n, mark, MARK);
			n += MARK;
		}
		is_in_line = v[i] != '\n';
		out[n++] = (v[i] < ' ' && v[i] != '\n' && v[i] != '\t') ||
		    v[i] == '\177' ? '?' : v[i];
	}
	return n;
}

/* Copy at most ${max} octets.  What the terminal does not take is lost, and
 * what a child writes too fast. */
static void
copy(int fd, size_t max)
{
	char buf[PIECE], out[PIECE * (MARK + 1)];
	size_t len;
	ssize_t n;

	while (max >= sizeof(buf) && (n = read(fd, buf, sizeof(buf))) > 0) {
		max -= (size_t)n;
		if (!bucket_take_n(&bucket, (uint64_t)n, monotonic_ms()))
			continue;
		len = make_plain(buf, (size_t)n, out);
		(void)fileio_write(terminal, out, len);
	}
}

static int
on_output(Event *e, int, void *, struct timeval *)
{
	copy(e->fd, PASS_OCTETS);
	return E_READ;
}

int
output_open(int fd)
{
	enum log_kind kind;

	if (fd == -1)
		return 0;
	is_in_line = false;
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
	copy(event->fd, (size_t)1 << 20);
	watch_close(&event);
	fileio_close(terminal);
	terminal = -1;
}
