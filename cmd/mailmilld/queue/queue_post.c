/* One report of TLS to URIs of HTTPS; see queue_post.h. */

#include "cmd/mailmilld/queue/queue_post.h"

#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_message.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/util/fileio.h"

/* One of its URIs */
struct part {
	struct queue_post	*p;
	struct sts_ask		*ask;	/* NULL: it is over */
	char			 uri[LIM_TLSRPT_URI + 1];
};

struct queue_post {
	queue_post_taken_fn *taken;
	queue_post_fn	*done;
	void		*closure;
	int64_t		 day;
	size_t		 octets;
	struct part	 parts[LIM_TLSRPT_URIS];
	size_t		 n, nleft, nfailed;
	bool		 is_unknown;
	char		 why[MSG_POSTED_WHY + 1];
	char		 domain[LIM_DOMAIN + 1];
};

void
queue_post_cancel(struct queue_post **p)
{
	size_t i;

	if (*p == NULL)
		return;
	for (i = 0; i < (*p)->n; i++)
		sts_cancel(&(*p)->parts[i].ask);
	free(*p);
	*p = NULL;
}

static void
take_failure(struct part *part, enum sts_failure failure, const char *why)
{
	struct queue_post *p = part->p;

	p->nfailed++;
	p->is_unknown = p->is_unknown || failure == STS_UNKNOWN;
	strlcpy(p->why, why, sizeof(p->why));
	log_warnx("tls-report-none", "domain=%s to=%s reason=%s", p->domain,
	    part->uri, why);
}

static void
on_posted(void *closure, enum sts_failure failure, const char *why)
{
	struct part *part = closure;
	struct queue_post *p = part->p;

	part->ask = NULL;
	if (failure != STS_FETCHED)
		take_failure(part, failure, why);
	else {
		p->taken(p->closure, part->uri);
		stats_inc(STATS_TLS_REPORTS);
		log_event(LOG_LEVEL_INFO, "tls-report",
		    "domain=%s day=%lld to=%s size=%zu", p->domain,
		    (long long)p->day, part->uri, p->octets);
	}
	if (--p->nleft > 0)
		return;
	p->done(p->closure, p->nfailed, p->is_unknown, p->why);
	free(p);
}

/* A file in memory with the compressed report, or -1 with errno. */
static int
write_file(const struct queue_post_spec *spec, size_t *len_r)
{
	int fd = -1, errnum;
	unsigned char *gz = tlsrpt_gzip(spec->json, spec->len, len_r);

	if (gz == NULL)
		return -1;
	if ((fd = memfd_create("mailmill-report", MFD_CLOEXEC)) != -1 &&
	    fileio_write(fd, gz, *len_r) == -1) {
		errnum = errno;
		close(fd);
		errno = errnum;
		fd = -1;
	}
	free(gz);
	return fd;
}

/* Return 0, or -1 with errno: it was not begun. */
static int
begin(struct queue_post *p, struct sts *sts, const char *uri, int fd)
{
	struct part *part = &p->parts[p->n];
	size_t i;

	/* a record that names it twice has it posted once */
	for (i = 0; i < p->n; i++)
		if (strcmp(p->parts[i].uri, uri) == 0)
			return 0;
	part->p = p;
	strlcpy(part->uri, uri, sizeof(part->uri));
	if ((part->ask = sts_post(sts, uri, fd, on_posted, part)) == NULL)
		return -1;
	p->n++;
	p->nleft++;
	return 0;
}

struct queue_post *
queue_post_begin(struct sts *sts, const struct queue_post_spec *spec)
{
	struct queue_post *p = calloc(1, sizeof(*p));
	size_t i;
	int fd, errnum;

	if (p == NULL)
		return NULL;
	p->taken = spec->taken;
	p->done = spec->done;
	p->closure = spec->closure;
	p->day = spec->day;
	strlcpy(p->domain, spec->domain, sizeof(p->domain));
	if ((fd = write_file(spec, &p->octets)) == -1)
		goto err1;
	for (i = 0; i < spec->record->n; i++)
		if (spec->record->rua[i].scheme == TLSRPT_HTTPS &&
		    begin(p, sts, spec->record->rua[i].to, fd) == -1)
			goto err2;
	close(fd);
	return p;
err2:
	fileio_close(fd);
err1:
	errnum = errno;
	queue_post_cancel(&p);
	errno = errnum;
	return NULL;
}
