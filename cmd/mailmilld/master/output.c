/* See output.h.
 * Owns: the copy, in which nothing can control a terminal. */

#include "cmd/mailmilld/master/output.h"

#include <stddef.h>
#include <unistd.h>

#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/util/fileio.h"

#define PASS_OCTETS	65536	/* at most in one pass: others have work, too */

static Event *event;
static int terminal = -1;	/* or what standard error is */

/* What a child has written is read by a person: no control goes through. */
static void
make_plain(char *v, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((v[i] < ' ' && v[i] != '\n' && v[i] != '\t') ||
		    v[i] == '\177')
			v[i] = '?';
}

/* Copy at most ${max} octets.  What the terminal does not take is lost. */
static void
copy(int fd, size_t max)
{
	char buf[4096];
	ssize_t n;

	while (max >= sizeof(buf) && (n = read(fd, buf, sizeof(buf))) > 0) {
		make_plain(buf, (size_t)n);
		(void)fileio_write(terminal, buf, (size_t)n);
		max -= (size_t)n;
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
