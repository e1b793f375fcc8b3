/* The message as it is for a server that does not take it as the host has it.
 * Owns: what is read of it and not converted yet.
 * Knows nothing of MIME: that is proto/mime's. */

#include <errno.h>
#include <stdlib.h>

#include "proto/client/smtp_client_int.h"
#include "proto/mime/mime_convert.h"

#define PIECE	4096	/* octets that the host is asked for at once */

struct smtp_convert {
	struct mime_convert	*mime;
	size_t			 at, len;	/* of ${in}: from, to */
	bool			 is_last;	/* there is no more */
	char			 in[PIECE];
};

void
smtp_convert_begin(struct smtp_client *c)
{
	unsigned int flags = c->txn.m.env->flags;
	struct mime_convert_options options = {
		.is_binary = (flags & SPOOL_ENV_BINARYMIME) != 0,
		.takes_8bit = c->txn.is_8bit,
		/* a server without it was not to get the message */
		.takes_utf8 = (flags & SPOOL_ENV_SMTPUTF8) != 0
	};
	struct smtp_convert *v;

	if ((v = calloc(1, sizeof(*v))) == NULL ||
	    (v->mime = mime_convert_new(&options)) == NULL) {
		free(v);
		smtp_end(c, SMTP_WHY_MEMORY, ENOMEM);
		return;
	}
	c->txn.convert = v;
}

void
smtp_convert_end(struct smtp_client *c)
{
	struct smtp_convert *v = c->txn.convert;

	if (v == NULL)
		return;
	mime_convert_free(v->mime);
	free(v);
	c->txn.convert = NULL;
}

/* What it is that this server does not take, and where it is */
static enum smtp_why
why_fixed(const struct mime_convert *m)
{
	bool is_binary = mime_convert_is_binary(m);

	switch (mime_convert_why(m)) {
	case MIME_WHY_HEADER:
		return is_binary ? SMTP_WHY_BINARY_HEADER :
		    SMTP_WHY_FIXED_HEADER;
	case MIME_WHY_LATE:
		return is_binary ? SMTP_WHY_BINARY_LATE : SMTP_WHY_FIXED_LATE;
	case MIME_WHY_MEMORY:
		return SMTP_WHY_MEMORY;
	case MIME_WHY_FIXED:
	case MIME_WHY_NOT:
		break;
	}
	return is_binary ? SMTP_WHY_BINARY_PART : SMTP_WHY_FIXED_PART;
}

/* The server has had a part of it: only the end of the connection takes that back. */
static void
cannot_convert(struct smtp_client *c)
{
	enum smtp_why why = why_fixed(c->txn.convert->mime);
	struct smtp_result r;

	if (why == SMTP_WHY_MEMORY) {
		smtp_end(c, why, ENOMEM);
		return;
	}
	smtp_result_why(c, why, 0, &r);
	r.command = "";
	smtp_tell_all(c, &r);
	smtp_end(c, why, 0);
}

ssize_t
smtp_convert_read(struct smtp_client *c, char *buf, size_t size)
{
	struct smtp_convert *v = c->txn.convert;
	size_t used;
	ssize_t n;

	for (;;) {
		if (v->at == v->len && !v->is_last) {
			n = c->ops->read(c->host, c, c->txn.offset, v->in,
			    sizeof(v->in));
			if (n == -1)
				return -1;
			c->txn.offset += (uint64_t)n;
			v->at = 0;
			v->len = (size_t)n;
			v->is_last = n == 0;
		}
		n = mime_convert_next(v->mime, v->in + v->at, v->len - v->at,
		    v->is_last, &used, buf, size);
		v->at += used;
		if (n == -1)
			cannot_convert(c);
		/* what is held back gives nothing yet */
		if (n != 0 || v->is_last)
			return n;
	}
}
