/* The child side of a role.
 * Owns: descriptor 3, the start-up conversation, signals of a child, what
 * happens when the master has gone.
 * Knows nothing of what a role does. */

#include "cmd/mailmilld/role/child.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/mailmilld/role/child_log.h"
#include "cmd/mailmilld/role/crypto_conf.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/process/stats.h"

#define FLUSH_MS	2000	/* at the end: for the last words to the master */
#define DRAIN_MS	30000	/* where no master says how long; as drain_time's default */

/* --- draining ------------------------------------------------------------- */

static void
drain(struct child *c, bool is_reconfig, uint32_t limit_ms)
{
	if (c->is_draining)
		return;
	c->is_draining = true;
	c->is_reconfig = is_reconfig;
	c->drain_ms = limit_ms;
	if (c->ops != NULL)
		c->ops->drain(c->closure);
}

void
child_exit(struct child *c)
{
	scheduler_stop(c->sched);
}

/* --- what the master is told ---------------------------------------------- */

void
child_ready(struct child *c)
{
	struct msg_ready ready = { .measures = c->sandbox.holds };

	if (c->is_ready)
		return;
	c->is_ready = true;
	if (chanev_send(c->master, M_READY, &ready, NULL, 0, -1) == -1)
		log_warn("start", "role=%s step=%s", role_name(c->role->id),
		    "ready");
}

void
child_trouble(struct child *c, const char *text)
{
	struct msg_empty empty = { 0 };

	(void)chanev_send(c->master, M_TROUBLE, &empty, text,
	    (unsigned int)strnlen(text, MSG_TROUBLE_MAX), -1);
}

/* The role has ended without having begun. */
static void
tell_failure(struct child *c)
{
	char text[LOG_ERROR_MAX];

	child_trouble(c, log_last_error(text, sizeof(text)));
	if (c->master != NULL)
		(void)chanev_flush_wait(c->master, FLUSH_MS);
}

/* --- what the master says ------------------------------------------------- */

static void
on_init(void *closure, struct channel_msg *msg)
{
	struct child *c = closure;

	if (c->config_fd != -1)
		return;
	memcpy(&c->init, msg->base, sizeof(c->init));
	c->config_fd = msg->fd;
	msg->fd = -1;
}

static void
on_stats(void *closure, struct channel_msg *msg)
{
	struct child *c = closure;

	if (stats_attach(msg->fd) == -1)
		log_warn("stats", "step=%s", "attach");
	/* the role's own messages follow: they wait for child_run() */
	c->has_basics = true;
	chanev_hold(c->master);
}

/* Those that it has channels to. */
static unsigned int
peers_of(const struct role *role)
{
	return role->peers | role_askers(role->id);
}

static void
on_peer(void *closure, struct channel_msg *msg)
{
	struct child *c = closure;
	struct msg_peer peer;
	int fd = msg->fd;

	if (fd == -1) {
		log_errx("peer", "reason=%s", "out of descriptors");
		return;
	}
	memcpy(&peer, msg->base, sizeof(peer));
	if (peer.role >= NROLES ||
	    (peers_of(c->role) & ROLE_BIT(peer.role)) == 0)
		return;
	msg->fd = -1;
	c->ops->peer(c->closure, &peer, fd);
}

/* A message that is the role's. */
static void
on_own(void *closure, struct channel_msg *msg)
{
	struct child *c = closure;

	c->ops->on[msg->type](c->closure, msg);
}

static void
on_drain(void *closure, struct channel_msg *msg)
{
	struct child *c = closure;
	struct msg_drain md;

	memcpy(&md, msg->base, sizeof(md));
	drain(c, md.is_reconfig != 0, md.limit_ms);
}

static void
on_start(void *closure, struct channel_msg *)
{
	struct child *c = closure;

	c->is_started = true;
}

/* What every child takes. */
static msg_fn *const on_any[NMSGS] = {
	[M_INIT] = on_init,
	[M_STATS] = on_stats,
	[M_LOG] = child_log_on_log,
	[M_PEER] = on_peer,
	[M_START] = on_start,
	[M_DRAIN] = on_drain
};

static void
assert_complete(const struct child *c)
{
	unsigned int i;

	assert(c->ops->peer != NULL || peers_of(c->role) == 0);
	for (i = 0; i < NMSGS; i++)
		assert(on_any[i] != NULL || c->ops->on[i] != NULL ||
		    !channel_row_goes(&msg_rows[i], ROLE_MASTER, c->role->id));
}

static void
master_gone(void *closure)
{
	struct child *c = closure;

	c->master = NULL;
	if (c->ops != NULL)
		log_warnx("master-gone", "effect=%s",
		    "finishing what was promised, then ending");
	drain(c, false, DRAIN_MS);
}

static void
make_master_ops(struct child *c)
{
	unsigned int i;

	c->master_ops.gone = master_gone;
	for (i = 0; i < NMSGS; i++)
		c->master_ops.on[i] = on_any[i] != NULL ? on_any[i] : on_own;
}

/* --- signals -------------------------------------------------------------- */

/* A terminal sends these to all processes; only the master acts on them. */
static const int ignored[] = { SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGPIPE,
    SIGXFSZ };

static int
on_sigterm(Event *e, int, void *closure, struct timeval *)
{
	struct child *c = closure;
	struct signalfd_siginfo si;

	while (read(e->fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		drain(c, false, DRAIN_MS);
	return E_READ;
}

static int
signals_init(struct child *c)
{
	sigset_t set;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    (fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) == -1)
		return -1;
	if (watch_fd(fd, E_READ, on_sigterm, c) != NULL)
		return 0;
	close(fd);
	return -1;
}

/* --- start ---------------------------------------------------------------- */

static int
open_loop(struct child *c)
{
	int type;
	socklen_t len = sizeof(type);

	if (getsockopt(CHILD_CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &len) ==
	    -1 || type != SOCK_SEQPACKET) {
		fprintf(stderr, "mailmilld: -x: not started by mailmilld\n");
		return -1;
	}
	fcntl(CHILD_CHANNEL_FD, F_SETFD, FD_CLOEXEC);
	make_master_ops(c);
	if ((c->sched = scheduler_create(NULL)) == NULL ||
	    signals_init(c) == -1 ||
	    (c->master = chanev_open(CHILD_CHANNEL_FD, c->role->id, ROLE_MASTER,
	    &c->master_ops, c)) == NULL) {
		log_err("start", "role=%s", role_name(c->role->id));
		return -1;
	}
	return 0;
}

/* Run the loop until ${*is_heard}, or until this process has to end.  Return 0,
 * or -1 having logged why. */
static int
hear_until(struct child *c, const bool *is_heard)
{
	while (!*is_heard && !c->is_draining)
		if (scheduler_pass(c->sched, -1) == -1) {
			log_err("start", "role=%s", role_name(c->role->id));
			return -1;
		}
	return 0;
}

static int
read_config(struct child *c)
{
	char err[SETTINGS_ERROR_MAX];

	c->settings_owned = settings_unpack(c->config_fd, err, sizeof(err));
	c->settings = c->settings_owned;
	close(c->config_fd);
	c->config_fd = -1;
	if (c->settings == NULL) {
		log_errx("config", "reason=%s", err);
		return -1;
	}
	log_set_level(c->settings->level);
	return 0;
}

static void
set_title(const struct child *c)
{
	if (c->role->is_single)
		setproctitle("%s", role_name(c->role->id));
	else
		setproctitle("%s %u", role_name(c->role->id), c->init.slot);
}

static void
child_clear(struct child *c)
{
	chanev_free(c->master);
	sandbox_clear(&c->sandbox);
	settings_free(c->settings_owned);
	log_flush();
}

/* While its file can be opened.  Without TZ libc would look at it again and
 * again. */
static void
read_zone(void)
{
	(void)setenv("TZ", ":/etc/localtime", 0);
	tzset();
}

int
child_main(const struct role *role)
{
	struct child c = { .role = role, .config_fd = -1, .log_fd = -1 };
	int status = 1;

	setproctitle("%s", role_name(role->id));
	read_zone();
	/* executed as /proc/self/exe it would be "exe" in ps -e and top */
	prctl(PR_SET_NAME, "mailmilld");
	if (open_loop(&c) == 0 && hear_until(&c, &c.has_basics) == 0 &&
	    c.has_basics && read_config(&c) == 0) {
		set_title(&c);
		status = role->main(&c);
	}
	if (status != 0 && !c.is_ready)
		tell_failure(&c);
	child_clear(&c);
	return status;
}

static void
sandbox_is_of(struct child *c)
{
	c->sandbox = (struct sandbox){ .role = c->role,
		.settings = c->settings, .init = c->init };
}

int
child_leave_root(struct child *c)
{
	sandbox_is_of(c);
	return sandbox_leave_root(&c->sandbox);
}

int
child_drop(struct child *c)
{
	sandbox_is_of(c);
	return sandbox_drop(&c->sandbox);
}

int
child_load_crypto(const struct child *c)
{
	char err[CRYPTO_CONF_ERROR_MAX];

	if (crypto_conf_load(err, sizeof(err)) == 0)
		return 0;
	log_errx("start", "role=%s step=%s reason=%s", role_name(c->role->id),
	    "OpenSSL", err);
	return -1;
}

/* --- run ------------------------------------------------------------------ */

/* The master hears of a call that is refused. */
static void
confine(struct child *c)
{
	struct msg_refused refused = { 0 };
	unsigned char packet[64];
	size_t len;

	len = channel_packet(&msg_rows[M_REFUSED], M_REFUSED, &refused, packet,
	    sizeof(packet));
	assert(len > 0);
	sandbox_confine(&c->sandbox, CHILD_CHANNEL_FD, packet, len,
	    CHANNEL_BASE_AT + offsetof(struct msg_refused, call));
}

int
child_run(struct child *c, const struct child_ops *ops, void *closure)
{
	int rc;

	c->ops = ops;
	c->closure = closure;
	assert_complete(c);
	if (child_log_gather(c) == -1) {
		log_err("start", "role=%s", role_name(c->role->id));
		return 1;
	}
	if (c->is_draining)		/* heard before there was a role */
		ops->drain(closure);
	chanev_resume(c->master);
	if (hear_until(c, &c->is_started) == -1)
		return 1;
	confine(c);
	if (!c->is_draining && !c->is_late)
		child_ready(c);
	rc = scheduler_run(c->sched);
	if (rc == -1)
		log_err("poll", "role=%s", role_name(c->role->id));
	if (c->master != NULL)
		(void)chanev_flush_wait(c->master, FLUSH_MS);
	log_flush();
	c->ops = NULL;
	return rc == -1 ? 1 : 0;
}
