/* The role authd: checks logins for the workers.
 * Owns: its start (the account, the threads), the channels to the workers, its
 * end.
 * Knows nothing of exchanges: authd_exchange.c does.
 *
 * It stays outside of any chroot: back ends read files anew when they change,
 * load what PAM is configured with, and connect to the sockets of others. */

#include "cmd/mailmilld/authd/authd_int.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/privs.h"
#include "cmd/settings/auth_spec.h"
#include "core/process/log.h"
#include "core/util/fileio.h"

#define CLOSE_MS	2000	/* how long the end waits for threads */

/* --- the workers ---------------------------------------------------------- */

/* The workers drain first; authd ends when the last has closed its channel. */
static void
exit_if_done(void *closure)
{
	struct authd *a = closure;

	if (a->child->is_draining && TAILQ_EMPTY(&a->workers))
		child_exit(a->child);
}

static void
worker_free(struct authd_worker *w)
{
	authd_exchanges_end(w);
	TAILQ_REMOVE(&w->authd->workers, w, link);
	chanev_free(w->ce);
	vouch_free(w->vouch);
	free(w);
}

static void
worker_gone(void *closure)
{
	struct authd_worker *w = closure;
	struct authd *a = w->authd;

	worker_free(w);
	exit_if_done(a);
}

static const struct chanev_ops worker_ops = {
	.on = {
		[A_START] = authd_on_start,
		[A_STEP] = authd_on_step,
		[A_CANCEL] = authd_on_cancel
	},
	.gone = worker_gone
};

void
authd_vouch(struct authd *a, const struct msg_peer *who, int fd)
{
	vouch_free(a->vouch);
	a->vouch_instance = who->instance;
	if ((a->vouch = vouch_attach(fd)) == NULL)
		log_err("authd-connect", "slot=%u effect=%s", who->slot,
		    "nobody can log in there");
}

static void
on_vouch(void *closure, struct channel_msg *msg)
{
	struct msg_peer who;

	memcpy(&who, msg->base, sizeof(who));
	authd_vouch(closure, &who, msg->fd);
}

void
authd_peer(void *closure, const struct msg_peer *who, int fd)
{
	struct authd *a = closure;
	struct authd_worker *w;

	if ((w = calloc(1, sizeof(*w))) == NULL) {
		log_errx("authd-connect", "slot=%u", who->slot);
		close(fd);
		return;
	}
	w->authd = a;
	w->who = *who;
	auth_lane_init(&w->lane);
	RB_INIT(&w->exchanges);
	RB_INIT(&w->clients);
	if (a->vouch != NULL && a->vouch_instance == who->instance) {
		w->vouch = a->vouch;
		a->vouch = NULL;
	}
	TAILQ_INSERT_TAIL(&a->workers, w, link);
	w->ce = chanev_open(fd, ROLE_AUTHD, ROLE_WORKER, &worker_ops, w);
	chanev_name(w->ce, who->slot, who->instance);
	if (w->ce == NULL) {
		log_err("authd-connect", "slot=%u", who->slot);
		worker_free(w);
	}
}

/* --- life ----------------------------------------------------------------- */

/* Count failures in the memory ${fd} (auth_limit_memory()) from now on; takes
 * ${fd}.  Return 0, or -1 with errno. */
static int
count_in(struct authd *a, int fd)
{
	const struct settings *s = a->child->settings;
	const struct auth_limit_config config = {
		.client_max = (unsigned int)s->auth_client_failures,
		.login_max = (unsigned int)s->auth_login_failures,
		.via_max = (unsigned int)s->auth_proxy_failures,
		.window_s = (unsigned int)s->auth_failure_window,
		.entries_max = AUTH_LIMIT_ENTRIES
	};
	struct auth_limit *l = auth_limit_new(&config, fd);

	fileio_close(fd);
	if (l == NULL)
		return -1;
	auth_limit_free(a->limit);
	a->limit = l;
	return 0;
}

/* The memory of the authd before; it comes before any worker does. */
static void
on_limits(void *closure, struct channel_msg *msg)
{
	struct authd *a = closure;

	if (count_in(a, msg->fd) == -1)
		log_err("auth-limits", "effect=%s",
		    "failed logins of before do not count");
	msg->fd = -1;
}

static const struct child_ops child_ops = {
	.on = { [M_LIMITS] = on_limits, [M_VOUCH] = on_vouch },
	.peer = authd_peer,
	.drain = exit_if_done
};

int
authd_open(struct authd *a)
{
	const struct settings *s = a->child->settings;
	int fd = auth_limit_memory(AUTH_LIMIT_ENTRIES);

	if (a->stuck_ms == 0)
		a->stuck_ms = AUTHD_STUCK_MS;
	TAILQ_INIT(&a->workers);
	LIST_INIT(&a->orphans);
	(void)pthread_mutex_init(&a->limit_lock, NULL);
	if (fd == -1 || count_in(a, fd) == -1) {
		log_err("start", "role=%s", "authd");
		return -1;
	}
	a->failures = calloc((size_t)s->workers + 1, sizeof(*a->failures));
	a->proxies = calloc((size_t)s->workers + 1, sizeof(*a->proxies));
	if (a->failures == NULL || a->proxies == NULL) {
		log_err("start", "role=%s", "authd");
		return -1;
	}
	if (authd_backs_open(a) == -1)
		return -1;
	a->pool = auth_pool_open((unsigned int)s->auth_threads);
	if (a->pool == NULL) {
		log_err("start", "role=%s step=%s", "authd", "threads");
		return -1;
	}
	return 0;
}

void
authd_close(struct authd *a)
{
	struct authd_worker *w;

	while ((w = TAILQ_FIRST(&a->workers)) != NULL)
		worker_free(w);
	if (a->pool != NULL && !auth_pool_close(a->pool, CLOSE_MS)) {
		/* a thread still uses memory that exit(3) would tear down */
		log_flush();
		_exit(1);
	}
	authd_orphans_free(a);
	authd_backs_close(a);
	auth_limit_free(a->limit);
	vouch_free(a->vouch);
	free(a->failures);
	free(a->proxies);
}

static int
authd_main(struct child *c)
{
	struct authd a = { .child = c };
	int status = 1;

	privs_raise_nofile();
	if (child_load_crypto(c) == -1 || child_drop(c) == -1)
		return 1;
	if (authd_open(&a) == 0)
		status = child_run(c, &child_ops, &a);
	authd_close(&a);
	return a.is_stuck ? 1 : status;
}

/* --- what it may do ------------------------------------------------------- */

static enum auth_spec_kind
kind_of(const struct settings *s, size_t i, const char **arg_r)
{
	enum auth_spec_kind kind = AUTH_SPEC_NKINDS;

	(void)auth_spec_check(s->backends[i].spec, &kind, arg_r, NULL, 0);
	return kind;
}

/* A module of PAM may do anything: read files, ask servers, run programs. */
static const char *
authd_more_calls(const struct settings *s)
{
	const char *calls = "", *arg;
	size_t i;

	for (i = 0; i < s->nbackends; i++)
		switch (kind_of(s, i, &arg)) {
		case AUTH_SPEC_pam:
			return PROFILE_ANY_CALLS;
		case AUTH_SPEC_dovecot:
			calls = "socket:unix connect";
			break;
		default:
			break;
		}
	return calls;
}

/* A file of users is looked for anew when it changes: in the folder that the
 * setting names, and in the one where it lies behind links.  Two paths for
 * each back end. */
static bool
authd_path(const struct settings *s, size_t i, struct role_path *path_r)
{
	char real[PATH_MAX], *slash;
	const char *arg;

	if (i / 2 >= s->nbackends)
		return false;
	if (kind_of(s, i / 2, &arg) != AUTH_SPEC_passwd)
		return true;
	if (i % 2 == 1)
		arg = realpath(arg, real) == NULL ? "" : real;
	strlcpy(path_r->path, arg, sizeof(path_r->path));
	if ((slash = strrchr(path_r->path, '/')) != NULL)
		slash[slash == path_r->path] = '\0';
	return true;
}

static unsigned int
authd_count(const struct settings *s)
{
	return s->nbackends > 0 ? 1 : 0;
}

const struct role role_authd = {
	.id = ROLE_AUTHD,
	.is_single = true,
	ROLE_ACCOUNT(auth_user),
	.keeps_groups = true,	/* so it reads what its administrator gave it */
	.count = authd_count,
	.main = authd_main,
	.has_secrets = true,
	.has_kerberos = true,
	.profile = {
		.calls = "openat:read pread64 stat",
		.more_calls = authd_more_calls,
		.path = authd_path,
		.file_max = role_writes_nothing
	}
};
