/* Output: commands and octets of the body, gathered and written.
 * Owns: the buffer of a client, which is there while something is in it. */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proto/client/smtp_client_int.h"

void
smtp_output_free(struct smtp_client *c)
{
	if (c->out != NULL && c->is_secret)
		explicit_bzero(c->out, c->out_len);
	free(c->out);
	c->out = NULL;
	c->out_at = c->out_len = 0;
	c->is_secret = false;
}

char *
smtp_room(struct smtp_client *c, size_t len)
{
	if (c->is_ending)
		return NULL;
	if (c->out == NULL && (c->out = malloc(LIM_CLIENT_OUTPUT)) == NULL) {
		smtp_end(c, SMTP_WHY_MEMORY, ENOMEM);
		return NULL;
	}
	if (len > LIM_CLIENT_OUTPUT - c->out_len && c->out_at > 0) {
		memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
		c->out_len -= c->out_at;
		c->out_at = 0;
	}
	return len > LIM_CLIENT_OUTPUT - c->out_len ? NULL :
	    c->out + c->out_len;
}

void
smtp_put(struct smtp_client *c, const char *text, ...)
{
	const char *s;
	size_t len = strlen(text) + 2;
	va_list ap;
	char *out;

	va_start(ap, text);
	while ((s = va_arg(ap, const char *)) != NULL)
		len += strlen(s);
	va_end(ap);
	if ((out = smtp_room(c, len)) == NULL) {
		/* it is put where all that was before it has been answered */
		smtp_end(c, SMTP_WHY_MEMORY, ENOMEM);
		return;
	}
	c->out_len += len;
	out = stpcpy(out, text);
	va_start(ap, text);
	while ((s = va_arg(ap, const char *)) != NULL)
		out = stpcpy(out, s);
	va_end(ap);
	memcpy(out, "\r\n", 2);
}

/* Nothing can be written any more.  The server may have said why before it
 * closed: what has come is read first, and then the connection ends. */
static void
cannot_write(struct smtp_client *c, int errnum)
{
	c->write_errno = errnum != 0 ? errnum : EPIPE;
	c->may_read = true;
}

bool
smtp_flush(struct smtp_client *c)
{
	size_t at = c->out_at;
	int n, need = 0;

	while (c->out_at < c->out_len && c->write_errno == 0) {
		n = event_write(c->event, c->out + c->out_at,
		    (int)(c->out_len - c->out_at), &need);
		if (n <= 0) {
			c->need_write = (uint8_t)(need != 0 ? need : E_WRITE);
			if (n == 0 || errno != EAGAIN)
				cannot_write(c, n == 0 ? 0 : errno);
			break;
		}
		c->out_at += (size_t)n;
	}
	if (c->out_at == at)
		return false;
	/* RFC 5321 4.5.3.2.5: the time is that of one piece */
	if (c->state == SS_BODY)
		c->since = c->now;
	if (smtp_is_flushed(c)) {
		if (c->is_secret)
			explicit_bzero(c->out, c->out_len);
		c->is_secret = false;
		c->out_at = c->out_len = 0;
	}
	return true;
}
