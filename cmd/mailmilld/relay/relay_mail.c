/* One message for one next hop: its recipients, its envelope, its octets.
 * Owns: the checksum of the body on its way.
 * Knows nothing of connections. */

#include "cmd/mailmilld/relay/relay_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/array.h"
#include "core/util/fileio.h"

struct relay_mail *
relay_mail_new(const struct job *job, uint64_t batch)
{
	struct relay_mail *m;

	if ((m = calloc(1, sizeof(*m))) == NULL)
		return NULL;
	m->batch = batch;
	if (relay_mail_add(m, job) == 0)
		return m;
	free(m);
	return NULL;
}

int
relay_mail_add(struct relay_mail *m, const struct job *job)
{
	struct job *jobs;

	/* mostly there is one */
	if (m->njobs == 0)
		jobs = malloc(sizeof(*jobs));
	else
		jobs = array_fit(m->jobs, &m->room, m->njobs + 1,
		    sizeof(*jobs));
	if (jobs == NULL)
		return -1;
	if (m->njobs == 0)
		m->room = 1;
	m->jobs = jobs;
	m->jobs[m->njobs++] = *job;
	return 0;
}

void
relay_mail_free(struct relay_mail *m)
{
	if (m == NULL)
		return;
	relay_mail_unload(m);
	free(m->jobs);
	free(m);
}

bool
relay_mail_is_of(const struct relay_mail *m, const struct job *job,
    uint64_t batch)
{
	return m->batch == batch && m->njobs < RELAY_RCPTS_MAX &&
	    m->jobs[0].source == job->source &&
	    m->jobs[0].offset == job->offset;
}

/* --- the envelope --------------------------------------------------------- */

void
relay_mail_unload(struct relay_mail *m)
{
	free(m->octets);
	free(m->rcpts);
	free(m->notify);
	free(m->orcpts);
	free(m->results);
	free(m->is_again);
	spool_sum_free(m->sum);
	m->octets = NULL;
	m->rcpts = NULL;
	m->notify = NULL;
	m->orcpts = NULL;
	m->results = NULL;
	m->is_again = NULL;
	m->sum = NULL;
	m->nresults = 0;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = ((const struct job *)a)->origin.rcpt;
	uint32_t y = ((const struct job *)b)->origin.rcpt;

	return x < y ? -1 : x > y;
}

static int
allocate(struct relay_mail *m)
{
	size_t n = m->njobs;

	m->rcpts = calloc(n, sizeof(*m->rcpts));
	m->notify = calloc(n, sizeof(*m->notify));
	m->orcpts = calloc(n, sizeof(*m->orcpts));
	m->results = calloc(n, sizeof(*m->results));
	m->is_again = calloc(n, sizeof(*m->is_again));
	m->sum = spool_sum_new();
	if (m->rcpts == NULL || m->notify == NULL || m->orcpts == NULL ||
	    m->results == NULL || m->is_again == NULL || m->sum == NULL) {
		errno = ENOMEM;
		return -1;
	}
	spool_sum_reset(m->sum);
	return 0;
}

/* <postmaster> is that of our first domain (RFC 5321 4.5.1), and not of the next
 * hop's. */
static const char *
with_domain(struct relay_mail *m, const char *rcpt, const char *domain)
{
	if (strchr(rcpt, '@') != NULL || domain == NULL)
		return rcpt;
	snprintf(m->postmaster, sizeof(m->postmaster), "%s@%s", rcpt, domain);
	return m->postmaster;
}

/* The recipients of the jobs, of all that the envelope has.  Return 0, or -1. */
static int
find_rcpts(struct relay_mail *m, const struct spool_envelope_view *view,
    const char *domain)
{
	const char *cursor = NULL, *said_cursor = NULL, *rcpt = NULL;
	struct spool_envelope_rcpt said;
	uint32_t at = 0, want;
	size_t i;

	qsort(m->jobs, m->njobs, sizeof(m->jobs[0]), compare);
	for (i = 0; i < m->njobs; i++) {
		want = m->jobs[i].origin.rcpt;
		/* no recipient twice */
		if (i > 0 && want == m->jobs[i - 1].origin.rcpt)
			goto err1;
		do
			rcpt = spool_envelope_rcpt_next(view, &cursor);
		while (rcpt != NULL && at++ < want);
		if (rcpt == NULL)
			goto err1;
		spool_envelope_said(view, want, &said_cursor, &said);
		m->rcpts[i] = with_domain(m, rcpt, domain);
		m->notify[i] = (uint8_t)said.notify;
		m->orcpts[i] = said.orcpt;
	}
	return 0;
err1:
	errno = EBADMSG;
	return -1;
}

/* What the view points to is gone with the next record that is read. */
static int
copy_envelope(struct relay_mail *m, const struct spool_view *view,
    struct spool_envelope_view *copy_r)
{
	size_t len = view->record.envelope_octets;

	if ((m->octets = malloc(len)) == NULL)
		return -1;
	memcpy(m->octets, view->envelope.envelope, len);
	return spool_envelope_decode(m->octets, len, copy_r);
}

int
relay_mail_load(struct relay_mail *m, struct spool_sources *sources,
    const char *domain)
{
	struct spool_envelope_view copy;
	struct spool_view view;

	m->at = 0;
	if (spool_sources_record(sources, &m->jobs[0], &view) == -1)
		return -1;
	m->record = view.record;
	if (allocate(m) == -1 || copy_envelope(m, &view, &copy) == -1 ||
	    find_rcpts(m, &copy, domain) == -1) {
		relay_mail_unload(m);
		return -1;
	}
	m->env = (struct spool_envelope){
		.sender = copy.sender, .rcpts = m->rcpts, .nrcpts = m->njobs,
		.session = copy.session, .client = copy.client,
		.helo = copy.helo, .flags = copy.flags, .envid = copy.envid,
		.solicit = copy.solicit, .deliver_by = copy.deliver_by,
		.priority = copy.priority, .notify = m->notify,
		.orcpts = m->orcpts
	};
	return 0;
}

/* --- the body ------------------------------------------------------------- */

ssize_t
relay_mail_read(struct relay_mail *m, struct spool_sources *sources,
    uint64_t offset, char *buf, size_t size)
{
	uint64_t from, left = m->record.body_octets - m->at;
	ssize_t n = 0;
	int fd;

	if (offset != m->at) {
		errno = EINVAL;
		return -1;
	}
	if (left == 0 && m->at > 0)
		return 0;
	if ((fd = spool_sources_body(sources, &m->jobs[0], &m->record,
	    &from)) == -1)
		return -1;
	if (left > 0) {
		n = fileio_pread(fd, buf, size < left ? size : (size_t)left,
		    (off_t)(from + m->at));
		if (n == 0)
			errno = EBADMSG;
		if (n <= 0)
			return -1;
	}
	spool_sum_add(m->sum, buf, (size_t)n);
	m->at += (uint64_t)n;
	if (m->at < m->record.body_octets ||
	    spool_sum_get(m->sum) == m->record.body_sum)
		return n;
	errno = EBADMSG;
	return -1;
}

bool
relay_mail_is_read(const struct relay_mail *m)
{
	return m->at == m->record.body_octets;
}

/* --- again ---------------------------------------------------------------- */

struct relay_mail *
relay_mail_again(struct relay_mail *m)
{
	struct relay_mail *again = NULL;
	size_t i;

	for (i = 0; i < m->njobs; i++) {
		if (!m->is_again[i])
			continue;
		if (again == NULL) {
			if ((again = relay_mail_new(&m->jobs[i],
			    m->batch)) == NULL)
				return NULL;
		} else if (relay_mail_add(again, &m->jobs[i]) == -1)
			break;
		m->is_again[i] = false;
	}
	if (again != NULL) {
		again->ntries = m->ntries;
		again->nparts = m->nparts;
	}
	return again;
}
