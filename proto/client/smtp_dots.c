/* See smtp_dots.h. */

#include "proto/client/smtp_dots.h"

#include <string.h>

static size_t
put_crlf(struct smtp_dots *d, char *out)
{
	out[0] = '\r';
	out[1] = '\n';
	d->has_cr = d->is_in_line = false;
	return 2;
}

/* The octets of a line up to the next CR or LF.  Return their number. */
static size_t
plain(const char *in, size_t len)
{
	size_t n;

	for (n = 0; n < len && in[n] != '\r' && in[n] != '\n'; n++)
		continue;
	return n;
}

size_t
smtp_dots_next(struct smtp_dots *d, const char *in, size_t len, char *out)
{
	size_t i = 0, n = 0, run;

	while (i < len) {
		if (d->has_cr) {
			/* with its LF, or alone */
			n += put_crlf(d, out + n);
			i += in[i] == '\n';
			continue;
		}
		if (in[i] == '\n' || in[i] == '\r') {
			if (in[i] == '\r')
				d->has_cr = true;
			else
				n += put_crlf(d, out + n);
			i++;
			continue;
		}
		/* RFC 5321 4.5.2: a dot at the begin of a line is doubled */
		if (!d->is_in_line && !d->is_chunk && in[i] == '.')
			out[n++] = '.';
		d->is_in_line = true;
		run = plain(in + i, len - i);
		memcpy(out + n, in + i, run);
		n += run;
		i += run;
	}
	return n;
}

size_t
smtp_dots_end(struct smtp_dots *d, char *out)
{
	size_t n = 0;

	if (d->has_cr || d->is_in_line)
		n = put_crlf(d, out);
	if (!d->is_chunk) {
		memcpy(out + n, ".\r\n", 3);
		n += 3;
	}
	return n;
}
