/* Reports of TLS that the queue has posted (RFC 8460 3, 5.4).
 * Owns: which are under way, and what the queue is told of each.
 * How they are posted: sts_fetch.h. */

#include "cmd/mailmilld/sts/sts_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/fileio.h"

#define POSTS_MAX	64	/* at once; the queue has fewer */

struct sts_post {
	TAILQ_ENTRY(sts_post)	 link;
	struct sts_asker	*asker;
	uint64_t		 id;
	struct sts_fetch	*fetch;
};

/* An asker that does not read has a time limit for each. */
static void
answer(struct sts_asker *k, uint64_t id, enum sts_failure failure,
    const char *why)
{
	const struct msg_sts_posted base = { .ask = id, .failure = failure };

	(void)chanev_send(k->ce, T_POSTED, &base, why,
	    (unsigned int)MIN(strlen(why), MSG_POSTED_WHY), -1);
}

static void
post_free(struct sts_post *p)
{
	sts_fetch_cancel(&p->fetch);
	TAILQ_REMOVE(&p->asker->posts, p, link);
	p->asker->nposts--;
	free(p);
}

static void
on_posted(void *closure, enum sts_failure failure, const char *why,
    const struct sts_policy *)
{
	struct sts_post *p = closure;

	p->fetch = NULL;
	answer(p->asker, p->id, failure, why);
	post_free(p);
}

static struct sts_post *
find(struct sts_asker *k, uint64_t id)
{
	struct sts_post *p;

	TAILQ_FOREACH(p, &k->posts, link)
		if (p->id == id)
			return p;
	return NULL;
}

/* takes ${fd} */
static const char *
begin(struct sts_asker *k, uint64_t id, const struct https_uri *uri, int fd)
{
	struct sts_post *p = calloc(1, sizeof(*p));
	int errnum = ENOMEM;

	if (p != NULL && (p->fetch = sts_fetch_post(k->askers->posts, uri, fd,
	    on_posted, p)) != NULL) {
		p->asker = k;
		p->id = id;
		TAILQ_INSERT_TAIL(&k->posts, p, link);
		k->nposts++;
		return NULL;
	}
	if (p != NULL)
		errnum = errno;
	free(p);
	(void)fileio_close_passed(fd);
	answer(k, id, STS_UNKNOWN, "it cannot be posted now: out of memory, or "
	    "too many questions wait");
	return errnum != EINVAL ? NULL : "what is to be posted is no file, or "
	    "is too long";
}

const char *
sts_post_begin(struct sts_asker *k, uint64_t id, const char *text, int fd)
{
	struct https_uri uri;
	const char *why;

	if (find(k, id) != NULL) {
		(void)fileio_close_passed(fd);
		return "two reports have one number";
	}
	why = https_uri_parse(text, &uri);
	if (fd == -1 || k->nposts == POSTS_MAX)
		answer(k, id, STS_UNKNOWN, "out of descriptors, or too many "
		    "reports at once");
	else if (k->askers->no_curl != NULL)
		/* not STS_UNKNOWN, with which the queue keeps it for a week:
		 * that does not bring the library */
		answer(k, id, STS_FETCH_ERROR, k->askers->no_curl);
	else if (k->askers->posts == NULL)
		answer(k, id, STS_UNKNOWN, "the authorities could not be "
		    "read");
	else if (why != NULL)
		answer(k, id, STS_FETCH_ERROR, why);
	else
		return begin(k, id, &uri, fd);
	(void)fileio_close_passed(fd);
	return NULL;
}

bool
sts_post_cancel(struct sts_asker *k, uint64_t id)
{
	struct sts_post *p = find(k, id);

	if (p != NULL)
		post_free(p);
	return p != NULL;
}

void
sts_post_cancel_all(struct sts_asker *k)
{
	struct sts_post *p;

	while ((p = TAILQ_FIRST(&k->posts)) != NULL)
		post_free(p);
}
