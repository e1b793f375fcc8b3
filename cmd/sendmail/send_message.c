/* See send_message.h. */

#include "cmd/sendmail/send_message.h"

#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/sendmail/send_text.h"
#include "core/lim.h"
#include "core/util/array.h"
#include "core/util/fileio.h"

#define READ_OCTETS	32768
#define WRITE_OCTETS	(2 * READ_OCTETS + SEND_TEXT_MORE)

struct reading {
	const struct send_header_want	*want;
	struct send_list		*rcpts;
	struct send_message		*m;
	char				*header;	/* NULL: it is written */
	size_t				 len, room, at;
	bool				 is_body;
	char				*err;
	size_t				 errlen;
};

/* A file that only this process has.  In memory, where no folder for temporary
 * files can be written to. */
static int
open_file(void)
{
	FILE *fp = tmpfile();
	int fd;

	if (fp == NULL)
		return memfd_create("message", MFD_CLOEXEC);
	fd = dup(fileno(fp));
	fclose(fp);
	return fd;
}

static int
fail(const struct reading *r, int status, const char *what, const char *why)
{
	snprintf(r->err, r->errlen, "%s: %s", what, why);
	return status;
}

static int
put(struct reading *r, const char *s, size_t len)
{
	if (fileio_write(r->m->fd, s, len) == -1)
		return fail(r, EX_TEMPFAIL, "the message cannot be written to "
		    "a temporary file", strerror(errno));
	r->m->octets += len;
	return 0;
}

/* The header is complete: write it, and what there is of the body. */
static int
end_header(struct reading *r, size_t body)
{
	char *text = NULL, bad[SEND_ADDRESS_MAX];
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int rc;

	if (out == NULL)
		return fail(r, EX_OSERR, "the header", strerror(errno));
	rc = send_header_make(r->header, r->at, r->want, out, r->rcpts, bad);
	if (fclose(out) != 0 || (rc == -1 && errno != EINVAL))
		rc = fail(r, EX_OSERR, "the header", strerror(errno));
	else if (rc == -1)
		rc = fail(r, EX_DATAERR, "an address in the header is none",
		    bad);
	else if ((rc = put(r, text, len)) == 0)
		rc = put(r, r->header + body, r->len - body);
	free(text);
	free(r->header);
	r->header = NULL;
	r->is_body = true;
	return rc;
}

/* Lines of the message; ${is_all}: the last ones */
static int
take(struct reading *r, const char *s, size_t len, bool is_all)
{
	size_t body;
	char *more;

	if (r->is_body)
		return put(r, s, len);
	if ((more = array_fit(r->header, &r->room, r->len + len + 1, 1)) ==
	    NULL)
		return fail(r, EX_OSERR, "the header", strerror(errno));
	r->header = more;
	memcpy(r->header + r->len, s, len);
	r->len += len;
	if (send_header_find(r->header, r->len, &r->at, is_all, &body))
		return end_header(r, body);
	if (r->len <= LIM_SENDMAIL_HEADER)
		return 0;
	return fail(r, EX_DATAERR, "the header",
	    "it is larger than 1 MiB; an empty line ends it");
}

static int
read_all(struct reading *r, int in, struct send_text *t)
{
	char buf[READ_OCTETS], lines[WRITE_OCTETS];
	ssize_t n = 1;
	size_t len;
	int rc;

	while (!t->is_end && n != 0) {
		if ((n = read(in, buf, sizeof(buf))) == -1) {
			if (errno == EINTR)
				continue;
			return fail(r, EX_IOERR, "standard input",
			    strerror(errno));
		}
		if (n == 0)
			send_text_end(t, lines, &len);
		else
			send_text_next(t, buf, (size_t)n, lines, &len);
		if ((rc = take(r, lines, len, n == 0 || t->is_end)) != 0)
			return rc;
	}
	return 0;
}

int
send_message_read(int in, bool is_dot_plain,
    const struct send_header_want *want, struct send_list *rcpts,
    struct send_message *m_r, char *err, size_t errlen)
{
	struct send_text t = { .is_dot_plain = is_dot_plain };
	struct reading r = { .want = want, .rcpts = rcpts, .m = m_r,
		.err = err, .errlen = errlen };
	int rc;

	*m_r = (struct send_message){ .fd = open_file() };
	if (m_r->fd == -1)
		return fail(&r, EX_TEMPFAIL, "a temporary file",
		    strerror(errno));
	rc = read_all(&r, in, &t);
	free(r.header);
	m_r->is_8bit = t.is_8bit;
	return rc;
}

int
send_message_of(const char *s, size_t len, struct send_message *m_r)
{
	*m_r = (struct send_message){ .fd = open_file(), .octets = len };
	if (m_r->fd == -1 || fileio_write(m_r->fd, s, len) == -1) {
		send_message_close(m_r);
		return -1;
	}
	return 0;
}

void
send_message_close(struct send_message *m)
{
	fileio_close(m->fd);
	m->fd = -1;
}

ssize_t
send_message_pread(const struct send_message *m, uint64_t offset, char *buf,
    size_t size)
{
	uint64_t left = offset < m->octets ? m->octets - offset : 0;
	ssize_t n;

	if (left == 0)
		return 0;
	n = fileio_pread(m->fd, buf, size < left ? size : (size_t)left,
	    (off_t)(m->offset + offset));
	if (n == 0) {
		errno = EBADMSG;
		return -1;
	}
	return n;
}
