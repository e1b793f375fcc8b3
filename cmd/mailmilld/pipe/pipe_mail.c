/* One message for one program: its recipients, its envelope, its octets.
 * Owns: the lines before the message, what they say when it comes again, its line
 * ends, the checksum of the body on its way.
 * Knows nothing of processes. */

#include "cmd/mailmilld/pipe/pipe_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/util/fileio.h"

#define HEADER_OCTETS	65536	/* that are searched for Delivered-To */
#define RCPTS	(sizeof(((struct pipe_mail *)0)->jobs) / sizeof(struct job))

struct pipe_mail *
pipe_mail_new(const struct job *job, const char *rcpt, size_t domain,
    uint64_t batch)
{
	struct pipe_mail *m;

	if ((m = calloc(1, sizeof(*m))) == NULL)
		return NULL;
	m->batch = batch;
	m->domain = domain;
	m->jobs[m->njobs++] = *job;
	m->rcpt_octets = strlen(rcpt) + 1;
	return m;
}

bool
pipe_mail_add(struct pipe_mail *m, const struct job *job, const char *rcpt,
    size_t domain, uint64_t batch, size_t max)
{
	size_t len = strlen(rcpt) + 1, i;

	if (m->batch != batch || m->domain != domain || m->njobs >= max ||
	    m->njobs >= RCPTS || m->jobs[0].source != job->source ||
	    m->jobs[0].offset != job->offset ||
	    m->rcpt_octets + len > PIPE_RCPTS_OCTETS)
		return false;
	/* no recipient twice, whatever the queue says */
	for (i = 0; i < m->njobs; i++)
		if (m->jobs[i].origin.rcpt == job->origin.rcpt)
			return false;
	m->jobs[m->njobs++] = *job;
	m->rcpt_octets += len;
	return true;
}

static void
unload(struct pipe_mail *m)
{
	free(m->octets);
	spool_sum_free(m->sum);
	m->octets = NULL;
	m->sum = NULL;
}

void
pipe_mail_free(struct pipe_mail *m)
{
	if (m == NULL)
		return;
	unload(m);
	free(m);
}

/* --- the envelope ---------------------------------------------------------- */

/* <postmaster> is that of our first domain: RFC 5321 4.5.1 */
static const char *
with_domain(struct pipe_mail *m, const char *rcpt, const struct settings *s)
{
	if (strchr(rcpt, '@') != NULL || s->default_domain == NULL)
		return rcpt;
	snprintf(m->postmaster, sizeof(m->postmaster), "%s@%s", rcpt,
	    s->default_domain->name);
	return m->postmaster;
}

/* What the view points to is gone with the next record that is read. */
static int
copy_envelope(struct pipe_mail *m, const struct spool_view *view,
    const struct settings *s)
{
	struct spool_envelope_view copy;
	size_t len = view->record.envelope_octets, i;
	const char *rcpt;

	if ((m->octets = malloc(len)) == NULL)
		return -1;
	memcpy(m->octets, view->envelope.envelope, len);
	if (spool_envelope_decode(m->octets, len, &copy) == -1)
		return -1;
	m->sender = copy.sender;
	m->client = copy.client;
	m->helo = copy.helo;
	m->is_binary = (copy.flags & SPOOL_ENV_BINARYMIME) != 0;
	for (i = 0; i < m->njobs; i++) {
		rcpt = spool_envelope_rcpt(&copy, m->jobs[i].origin.rcpt);
		if (rcpt == NULL) {
			errno = EBADMSG;
			return -1;
		}
		m->rcpts[i] = with_domain(m, rcpt, s);
	}
	return 0;
}

int
pipe_mail_load(struct pipe_mail *m, struct spool_sources *sources,
    const struct settings *s)
{
	struct spool_view view;

	if (spool_sources_record(sources, &m->jobs[0], &view) == -1)
		return -1;
	m->record = view.record;
	spool_id_text(view.record.id, m->id);
	if ((m->sum = spool_sum_new()) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	spool_sum_reset(m->sum);
	if (copy_envelope(m, &view, s) == 0)
		return 0;
	unload(m);
	return -1;
}

/* --- loops ------------------------------------------------------------------ */

/* Is the line the field Delivered-To with ${address}? */
static bool
is_delivered_to(const char *line, size_t len, const char *address)
{
	static const char name[] = "Delivered-To:";
	size_t n = sizeof(name) - 1;

	if (len < n || strncasecmp(line, name, n) != 0)
		return false;
	while (n < len && (line[n] == ' ' || line[n] == '\t'))
		n++;
	while (len > n && strchr(" \t\r", line[len - 1]) != NULL)
		len--;
	return len - n == strlen(address) &&
	    strncasecmp(line + n, address, len - n) == 0;
}

/* Does a line of the header say so?  It ends with an empty line. */
static bool
header_has(const char *s, size_t len, const char *address)
{
	const char *end = s + len, *lf;

	for (; s < end; s = lf + 1) {
		lf = memchr(s, '\n', (size_t)(end - s));
		if (lf == NULL || lf == s || (lf == s + 1 && *s == '\r'))
			return false;
		if (is_delivered_to(s, (size_t)(lf - s), address))
			return true;
	}
	return false;
}

int
pipe_mail_is_loop(const struct pipe_mail *m, struct spool_sources *sources,
    const struct settings_domain *d)
{
	size_t len = HEADER_OCTETS < m->record.body_octets ? HEADER_OCTETS :
	    (size_t)m->record.body_octets;
	uint64_t from;
	ssize_t n;
	char *buf;
	bool has;
	int fd;

	if (!settings_pipe_has(d, SETTINGS_PIPE_DELIVERED_TO) || len == 0)
		return 0;
	if ((fd = spool_sources_body(sources, &m->jobs[0], &m->record,
	    &from)) == -1 || (buf = malloc(len)) == NULL)
		return -1;
	n = fileio_pread(fd, buf, len, (off_t)from);
	has = n > 0 && header_has(buf, (size_t)n, m->rcpts[0]);
	free(buf);
	return n == -1 ? -1 : has;
}

/* --- what stands before the message ------------------------------------------ */

/* Append "before address after", or nothing if there is no room.  Controls would
 * begin a line of their own; the spool has none. */
static size_t
put(char *buf, size_t size, size_t n, const char *before, const char *address,
    const char *after)
{
	int len = snprintf(buf + n, size - n, "%s%s%s", before, address, after);

	return len < 0 || (size_t)len >= size - n ? n : n + (size_t)len;
}

/* asctime(3) has the day and the line end of the form that mbox(5) has. */
static size_t
put_from(const struct pipe_mail *m, int64_t now_s, char *buf, size_t size,
    const char *end)
{
	time_t now = (time_t)now_s;
	char when[32], date[64];
	struct tm tm;

	if (localtime_r(&now, &tm) == NULL || asctime_r(&tm, when) == NULL)
		return 0;
	snprintf(date, sizeof(date), " %.24s%s", when, end);
	return put(buf, size, 0, "From ", *m->sender == '\0' ?
	    "MAILER-DAEMON" : m->sender, date);
}

size_t
pipe_mail_head(const struct pipe_mail *m, const struct settings_domain *d,
    int64_t now_s, char *buf, size_t size)
{
	bool is_crlf = d->pipe_newline == PIPE_NEWLINE_CRLF;
	const char *end = is_crlf ? "\r\n" : "\n";
	size_t n = 0;

	if (settings_pipe_has(d, SETTINGS_PIPE_FROM))
		n = put_from(m, now_s, buf, size, end);
	/* RFC 5321 4.4 */
	if (settings_pipe_has(d, SETTINGS_PIPE_RETURN_PATH))
		n = put(buf, size, n, "Return-Path: <", m->sender,
		    is_crlf ? ">\r\n" : ">\n");
	if (settings_pipe_has(d, SETTINGS_PIPE_X_ORIGINAL_TO))
		n = put(buf, size, n, "X-Original-To: ", m->rcpts[0], end);
	if (settings_pipe_has(d, SETTINGS_PIPE_DELIVERED_TO))
		n = put(buf, size, n, "Delivered-To: ", m->rcpts[0], end);
	return n;
}

/* --- the message ---------------------------------------------------------------- */

/* Leave out the CR of each CRLF of ${buf}, ${n} octets behind a first one that is
 * free; ${is_end}: nothing follows.  Return the octets that are there then, from
 * ${buf} on. */
static size_t
drop_cr(struct pipe_mail *m, char *buf, size_t n, bool is_end)
{
	char *from = buf + 1, *end = from + n, *to = buf;

	if (m->has_cr && (from == end || *from != '\n'))
		*to++ = '\r';
	m->has_cr = false;
	for (; from < end; from++) {
		if (*from == '\r' && from + 1 == end && !is_end) {
			m->has_cr = true;
			break;
		}
		if (*from == '\r' && from + 1 < end && from[1] == '\n')
			continue;
		*to++ = *from;
	}
	return (size_t)(to - buf);
}

ssize_t
pipe_mail_read(struct pipe_mail *m, struct spool_sources *sources,
    const struct settings_domain *d, char *buf, size_t size, bool *is_end_r)
{
	bool is_kept = d->pipe_newline == PIPE_NEWLINE_CRLF || m->is_binary;
	uint64_t from, left = m->record.body_octets - m->at;
	char *at = is_kept ? buf : buf + 1;	/* room for a CR of before */
	size_t room = is_kept ? size : size - 1;
	ssize_t n = 0;
	int fd;

	if ((fd = spool_sources_body(sources, &m->jobs[0], &m->record,
	    &from)) == -1)
		return -1;
	if (left > 0) {
		n = fileio_pread(fd, at, room < left ? room : (size_t)left,
		    (off_t)(from + m->at));
		if (n == 0)
			errno = EBADMSG;
		if (n <= 0)
			return -1;
	}
	spool_sum_add(m->sum, at, (size_t)n);
	m->at += (uint64_t)n;
	*is_end_r = m->at == m->record.body_octets;
	if (*is_end_r && spool_sum_get(m->sum) != m->record.body_sum) {
		errno = EBADMSG;
		return -1;
	}
	return is_kept ? n : (ssize_t)drop_cr(m, buf, (size_t)n, *is_end_r);
}
