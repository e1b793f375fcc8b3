/* The role sts: learns the policies of MTA-STS (RFC 8461) of domains to which mail
 * goes, and posts reports of TLS (RFC 8460) to those that want them over HTTPS.
 * Owns: its start (libcurl, the authorities, the file of policies), the channels to
 * those that ask, when the file is written, its end.
 *
 * It is in a folder of its own, whose two files it has open, and opens no other.  It
 * connects to port MTA_STS_Port of addresses that the resolver has told.  Whoever
 * controls it can say that a domain has a policy, or none, and read reports or have
 * them lost; it has no mail and no key. */

#include "cmd/mailmilld/sts/sts_int.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/mailmilld/lookup/lookup.h"
#include "cmd/mailmilld/role/child.h"
#include "cmd/mailmilld/role/privs.h"
#include "cmd/mailmilld/sts/sts_curl.h"
#include "cmd/mailmilld/sts/sts_errand.h"
#include "cmd/mailmilld/sts/sts_file.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/fileio.h"
#include "core/util/log_bound.h"
#include "core/util/monotonic.h"
#include "tls/tls_client.h"

#define LOCK_MS		50		/* the process before this one ends soon */
#define PASS_MS		1000		/* what has changed is written, ... */
#define PASSES		60		/* ... and what is old is looked for, each so many of these */
#define ERROR_MAX	512

struct role_state {
	struct child		*child;
	struct tlsctx_octets	 authorities;
	struct lookup		*lookup;
	struct sts_fetches	*fetches, *posts;
	struct sts_cache	*cache;
	struct sts_file		*file;
	struct sts_askers	 askers;
	struct sts_ctls		 ctls;
	struct sts_errands	 errands;
	Event			*timer;
	unsigned int		 npasses;
	bool			 is_writer;
	bool			 is_unsaved;
	struct log_bound	 failures;
	char			 no_curl[ERROR_MAX];
};

/* --- the file ------------------------------------------------------------- */

static void
load(struct role_state *s)
{
	int n = sts_file_load(s->file, s->cache, time(NULL));

	if (n == -1)
		log_err("sts-file", "step=%s effect=%s", "read", "policies are "
		    "fetched when they are asked for");
	else
		log_event(LOG_LEVEL_INFO, "sts-file", "npolicies=%d", n);
	(void)sts_cache_is_changed(s->cache);
}

static void
save(struct role_state *s)
{
	uint64_t n;

	s->is_unsaved = sts_cache_is_changed(s->cache) || s->is_unsaved;
	if (!s->is_unsaved || !s->is_writer)
		return;
	if (sts_file_save(s->file, s->cache, time(NULL)) == 0)
		s->is_unsaved = false;
	else if ((n = log_bound_count(&s->failures, monotonic_ms())) > 0)
		log_err("sts-file", "step=%s effect=%s times=%llu", "write",
		    "new policies are forgotten at a restart",
		    (unsigned long long)n);
}

/* At a reload the process before this one still has the file.  When it ends, it has
 * written what it has learned, and not before that is anything answered: a policy in
 * force is not forgotten for a moment. */
static void
become_writer(struct role_state *s)
{
	if (s->is_writer || !sts_file_lock(s->file))
		return;
	s->is_writer = true;
	load(s);
	sts_askers_answer(&s->askers);
	s->ctls.is_open = true;
}

static void
on_timer(void *closure)
{
	struct role_state *s = closure;

	become_writer(s);
	sts_errands_late(&s->errands);
	if (++s->npasses % PASSES == 0)
		sts_cache_pass(s->cache);
	save(s);
	if ((s->timer = after_ms(s->is_writer ? PASS_MS : LOCK_MS, on_timer,
	    s)) == NULL) {
		log_err("sts-timer", "effect=%s",
		    "ending, to be started again");
		child_exit(s->child);
	}
}

static const struct sts_cache_ops cache_ops = {
	.record = sts_errand_record,
	.fetch = sts_errand_fetch,
	.now_ms = monotonic_ms
};

/* --- the master ----------------------------------------------------------- */

static void
on_peer(void *closure, const struct msg_peer *peer, int fd)
{
	struct role_state *s = closure;
	int failed = peer->role == ROLE_RESOLVER ?
	    lookup_peer(s->lookup, peer, fd) :
	    sts_asker_open(&s->askers, peer, fd);

	if (failed == -1)
		log_err("sts-connect", "role=%s slot=%u",
		    role_name(peer->role), peer->slot);
}

/* Those that ask end first, or get a channel to another one; both close the one to
 * this. */
static void
exit_if_done(void *closure)
{
	struct role_state *s = closure;

	if (s->child->is_draining && TAILQ_EMPTY(&s->askers.list))
		child_exit(s->child);
}

static void
on_control(void *closure, struct channel_msg *msg)
{
	struct role_state *s = closure;

	sts_ctl_begin(&s->ctls, msg->fd, msg->entries, msg->nentries);
	msg->fd = -1;
}

/* mailmillctl asks the next one. */
static void
on_drain(void *closure)
{
	struct role_state *s = closure;

	s->ctls.is_open = false;
	exit_if_done(s);
}

static const struct child_ops child_ops = {
	.on = { [M_CONTROL] = on_control },
	.peer = on_peer,
	.drain = on_drain
};

/* --- start and end -------------------------------------------------------- */

/* libcurl cannot be loaded.  Where only reports need it, the master has warned of that
 * (sts_check.h), and the queue logs each one that is not posted. */
static int
do_without(struct role_state *s, const char *why)
{
	if (settings_wants_sts(s->child->settings)) {
		log_errx("start", "role=%s step=%s reason=%s", "sts",
		    "libcurl", why);
		return -1;
	}
	snprintf(s->no_curl, sizeof(s->no_curl), "%s", why);
	s->askers.no_curl = s->no_curl;
	return 0;
}

/* What needs files: of all authorities, and of libraries. */
static int
open_library(struct role_state *s)
{
	char err[ERROR_MAX];

	if (child_load_crypto(s->child) == -1)
		return -1;
	if (sts_curl_load(err, sizeof(err)) == -1)
		return do_without(s, err);
	if (tls_authorities_read(s->child->settings->mta_sts_ca_file,
	    &s->authorities, err, sizeof(err)) == -1)
		log_warnx("sts-authorities", "reason=%s effect=%s", err,
		    "no policy can be fetched: mail for domains with one waits, "
		    "unless it is known already; no report is posted");
	return 0;
}

static int
open_folder(const struct settings *settings)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/" STS_FOLDER, settings->spool);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		log_err("spool", "folder=%s", path);
	return fd;
}

/* What uses libcurl. */
static int
open_fetches(struct role_state *s)
{
	struct sts_fetches_config config = {
		.authorities = s->authorities.v,
		.authorities_len = s->authorities.len,
		.port = (unsigned int)s->child->settings->mta_sts_port,
		.lookup = s->lookup, .kind = STS_CURL_FETCHES,
		.places = STS_FETCHES_MAX, .seconds = STS_FETCH_SECONDS,
		.short_ms = STS_FETCH_SHORT_MS,
		.is_wanted = sts_errand_is_wanted, .now_ms = monotonic_ms };
	char err[ERROR_MAX];

	if (s->askers.no_curl != NULL)
		return 0;
	if ((s->fetches = sts_fetches_new(&config, err, sizeof(err))) == NULL)
		goto err1;
	config.kind = STS_CURL_POSTS;
	config.places = STS_POSTS_MAX;
	config.seconds = STS_POST_SECONDS;
	config.short_ms = 0;
	config.is_wanted = NULL;
	if ((s->posts = sts_fetches_new(&config, err, sizeof(err))) == NULL)
		goto err1;
	if (s->authorities.len > 0) {
		s->errands.fetches = s->fetches;
		s->askers.posts = s->posts;
	}
	return 0;
err1:
	log_errx("start", "role=%s step=%s reason=%s", "sts", "libcurl", err);
	return -1;
}

static int
open_all(struct role_state *s, int dirfd)
{
	if ((s->file = sts_file_open(dirfd)) == NULL) {
		log_err("start", "role=%s step=%s", "sts", "files");
		return -1;
	}
	if ((s->lookup = lookup_new(ROLE_STS)) == NULL ||
	    (s->cache = sts_cache_new(&cache_ops, &s->errands)) == NULL ||
	    (s->timer = after_ms(LOCK_MS, on_timer, s)) == NULL) {
		log_err("start", "role=%s", "sts");
		return -1;
	}
	s->askers.cache = s->ctls.cache = s->cache;
	s->errands.lookup = s->lookup;
	if (open_fetches(s) == -1)
		return -1;
	become_writer(s);
	return 0;
}

static void
close_all(struct role_state *s)
{
	after_cancel(&s->timer);
	sts_askers_close(&s->askers);
	sts_ctls_close(&s->ctls);
	sts_errands_end(&s->errands);
	sts_fetches_free(s->fetches);
	sts_fetches_free(s->posts);
	sts_cache_free(s->cache);
	lookup_free(s->lookup);
	sts_file_close(s->file);
	free((void *)(uintptr_t)s->authorities.v);
}

static int
sts_main(struct child *c)
{
	struct role_state s = { .child = c, .askers = {
		.done = exit_if_done, .closure = &s } };
	int status = 1, dirfd = -1;

	TAILQ_INIT(&s.askers.list);
	TAILQ_INIT(&s.ctls.list);
	sts_errands_begin(&s.errands, NULL, monotonic_ms);
	privs_raise_nofile();
	umask(077);
	json_object_seed(arc4random());		/* not from a file, later */
	if (open_library(&s) == -1 ||
	    (dirfd = open_folder(c->settings)) == -1 ||
	    child_drop(c) == -1 || open_all(&s, dirfd) == -1)
		goto out;
	status = child_run(c, &child_ops, &s);
	save(&s);
out:
	close_all(&s);
	fileio_close(dirfd);
	return status;
}

/* --- what it may do ------------------------------------------------------- */

static bool
sts_path(const struct settings *s, size_t i, struct role_path *path_r)
{
	if (i > 0)
		return false;
	snprintf(path_r->path, sizeof(path_r->path), "%s/" STS_FOLDER,
	    s->spool);
	path_r->can_write = true;
	return true;
}

static bool
sts_port(const struct settings *s, size_t i, unsigned int *port_r)
{
	*port_r = (unsigned int)s->mta_sts_port;
	return i == 0;
}

static uint64_t
sts_file_max(const struct settings *)
{
	return STS_FILE_MAX;
}

/* One, if a Domain section wants policies, or reports may be posted. */
static unsigned int
sts_count(const struct settings *s)
{
	return settings_has_sts(s);
}

const struct role role_sts = {
	.id = ROLE_STS,
	.is_single = true,
	ROLE_ACCOUNT(sts_user),
	.count = sts_count,
	.main = sts_main,
	.peers = ROLE_BIT(ROLE_RESOLVER),
	.is_replaced = true,
	.root = STS_FOLDER,
	.folders = { { STS_FOLDER, 0700, false } },
	.profile = {
		/* no call opens a file: it has its files open when it is bound.
		 * libcurl's connections; the addresses are in memory, where the
		 * filter does not see them */
		.calls = "fdatasync flock ftruncate pread64 pwrite64 "
		    "connect fcntl:nonblock getpeername getsockname "
		    "setsockopt:nodelay socket:tcp",
		.path = sts_path,
		.port = sts_port,
		.file_max = sts_file_max
	}
};
