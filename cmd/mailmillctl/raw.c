/* "queue show" of the message itself, or of a part of it.
 * Owns: where the header ends, how lines look on standard output.
 * As a whole the message is written octet by octet.  Its header and its body are
 * text to look at: their lines end in LF.  On a terminal, octets that are no visible
 * characters are not written, so that no sender can control it. */

#include "cmd/mailmillctl/ctl.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define LINE_OCTETS	4096	/* a longer line comes in pieces */

/* Read up to the end of a line, ${left} octets at most.  Return how many. */
static size_t
read_line(FILE *in, char buf[LINE_OCTETS + 1], uint64_t left)
{
	size_t n = 0;
	int c;

	while (n < LINE_OCTETS && n < left && (c = getc(in)) != EOF) {
		buf[n++] = (char)c;
		if (c == '\n')
			break;
	}
	buf[n] = '\0';
	return n;
}

static void
write_text(const char *line, size_t n, bool is_terminal)
{
	bool is_end = n > 0 && line[n - 1] == '\n';

	n -= is_end;
	n -= is_end && n > 0 && line[n - 1] == '\r';
	if (is_terminal)
		put_visible(stdout, line, n);
	else
		fwrite(line, n, 1, stdout);
	if (is_end)
		putchar('\n');
}

static bool
is_empty(const char *line, size_t n)
{
	return (n == 1 && line[0] == '\n') ||
	    (n == 2 && line[0] == '\r' && line[1] == '\n');
}

int
raw_print(FILE *in, enum part part, const json_t *answer)
{
	uint64_t octets = (uint64_t)json_integer_value(json_object_get(answer,
	    "octets")), left = octets;
	bool is_terminal = isatty(STDOUT_FILENO), is_start = true;
	bool is_header = true;
	char line[LINE_OCTETS + 1];
	size_t n;

	(void)getc(in);		/* the end of the line of JSON */
	for (; left > 0 && (n = read_line(in, line, left)) > 0; left -= n) {
		if (is_header && is_start && is_empty(line, n)) {
			is_header = false;
			if (part == PART_HEADERS)
				return 0;
			if (part == PART_BODY)
				continue;
		}
		is_start = line[n - 1] == '\n';
		if (part == PART_RAW && !is_terminal)
			fwrite(line, n, 1, stdout);
		else if (part == PART_RAW || (part == PART_HEADERS) ==
		    is_header)
			write_text(line, n, is_terminal);
	}
	if (left == 0 && fflush(stdout) == 0)
		return 0;
	fprintf(stderr, left == 0 ? "mailmillctl: cannot write to standard "
	    "output\n" : "mailmillctl: the message ends early: it was "
	    "delivered, removed or deferred meanwhile; try again\n");
	return EXIT_FAILED;
}
