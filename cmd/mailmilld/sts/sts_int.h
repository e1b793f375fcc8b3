/* What the files of the role sts share: sts.c has the process, sts_asker.c its
 * askers, sts_post.c reports of TLS, sts_ctl.c mailmillctl's requests; sts_errand.h,
 * sts_cache.h, sts_fetch.h, sts_file.h and sts_curl.h are below them. */

#ifndef CMD_MAILMILLD_STS_STS_INT_H
#define CMD_MAILMILLD_STS_STS_INT_H

#include <sys/queue.h>

#include "cmd/mailmilld/role/chanev.h"
#include "cmd/mailmilld/sts/sts_cache.h"
#include "core/util/log_bound.h"

struct sts_question;
struct sts_post;
struct sts_ctl;

/* A process that asks. */
struct sts_asker {
	TAILQ_ENTRY(sts_asker)	 link;
	struct sts_askers	*askers;
	struct chanev		*ce;
	struct msg_peer		 who;
	TAILQ_HEAD(, sts_question) questions;
	unsigned int		 n;
	TAILQ_HEAD(, sts_post)	 posts;
	unsigned int		 nposts;
	struct log_bound	 complaints;
};

struct sts_askers {
	TAILQ_HEAD(, sts_asker)	 list;
	struct sts_cache	*cache;
	struct sts_fetches	*posts;		/* NULL: without authorities no server can be verified */
	const char		*no_curl;	/* why nothing can be posted at all; NULL: it can */
	bool			 is_open;	/* questions are read */
	/* done(closure): the last of them has gone */
	void			(*done)(void *closure);
	void			*closure;
};

/* sts_asker_open(as, who, fd): Answer that process; takes ${fd}.  Return 0, or -1
 * with errno.
 * sts_askers_answer(as): From now on questions are read; those before wait.
 * sts_askers_close(as): All of them, without done(). */
int sts_asker_open(struct sts_askers *as, const struct msg_peer *who, int fd);
void sts_askers_answer(struct sts_askers *as);
void sts_askers_close(struct sts_askers *as);

/* sts_post_begin(k, id, uri, fd): Post the report ${fd}, which is taken (-1: it has
 * been lost), to ${uri}, and tell ${k} what has come of it.  Return NULL, or why
 * nobody should have asked for it.
 * sts_post_cancel(k, id): If there is such a one.  Return whether there is.
 * sts_post_cancel_all(k): The asker has gone. */
const char *sts_post_begin(struct sts_asker *k, uint64_t id, const char *uri,
    int fd);
bool sts_post_cancel(struct sts_asker *k, uint64_t id);
void sts_post_cancel_all(struct sts_asker *k);

/* Requests of mailmillctl. */
struct sts_ctls {
	TAILQ_HEAD(, sts_ctl)	 list;
	unsigned int		 n;
	struct sts_cache	*cache;
	bool			 is_open;	/* they are answered; else: try again */
};

/* sts_ctl_begin(cs, fd, request, len): Answer the ${request} on ${fd}, which is
 * taken; -1: it has been lost.
 * sts_ctls_close(cs): End all connections. */
void sts_ctl_begin(struct sts_ctls *cs, int fd, const char *request,
    unsigned int len);
void sts_ctls_close(struct sts_ctls *cs);

#endif
