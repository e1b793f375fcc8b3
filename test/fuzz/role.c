/* One process of mailmilld: see role.h. */

#include "test/fuzz/role.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/privs.h"
#include "core/spool/spool_writer.h"
#include "core/util/monotonic.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/fuzz.h"

#define PASSES	4	/* of the loop for each message */
#define DRAIN_MS	10	/* of a worker's messages, at the end */
#define THREAD_MS	2	/* for the answer of a thread */

static const char plain[] =
    "hostname = \"mx.example.test\"\n"
    "spool = \"%1$s\"\n"
    "auth_threads = 1\n"
    "workers = 1\n"
    "worker_affinity = none\n"
    "segment_size = 1M\n"
    "ESMTP_Listener {\n"
    "  Auth_Backend = \"passwd:%1$s/users\"\n"
    "  Auth_Without_TLS = true\n"
    "  Listen \"127.0.0.1:25\" { }\n"
    "  Listen \"127.0.0.1:587\" { Kind = submission }\n"
    "}\n"
    "Domain \"example.test\" { Maildir = \"%1$s/mail/%%u\" }\n";
/* beside that: of what relay has jobs for, and whom the resolver asks */
static const char away[] =
    "Resolver = { \"127.0.0.1:1\" }\n"
    "Domain \"b\" { Delivery = lmtp Route = \"unix:%s/next\" }\n";
/* and of a process that reads certificates, without which it asks nobody: one */
static const char lonely[] = "MTA_STS_CA_File = \"%s/authority\"\n";
static const char authority[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBdjCCARugAwIBAgIUU96OAC6KJmX8+vUf26c09Ao5IF4wCgYIKoZIzj0EAwIw\n"
    "DzENMAsGA1UEAwwEZnV6ejAgFw0yNjExMjcxNjAzMzZaGA8yMTI2MTEwMzE2MDMz\n"
    "NlowDzENMAsGA1UEAwwEZnV6ejBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJTK\n"
    "4ru1Cfm9y0XVBQ2FXz7Zo9TPh8oiQprCBgV/yMdSrcImCXHCFzeclfG8nj8XyMjO\n"
    "rWKoizDynYdLKtixaNejUzBRMB0GA1UdDgQWBBR5TV6RiEW0Afs1k9Jd3jxJwJIp\n"
    "rzAfBgNVHSMEGDAWgBR5TV6RiEW0Afs1k9Jd3jxJwJIprzAPBgNVHRMBAf8EBTAD\n"
    "AQH/MAoGCCqGSM49BAMCA0kAMEYCIQCsUBm4tawukZpLPN1dG6JLnTJ4YTG/mjS/\n"
    "dsBuc8fXqwIhAIehBaGp0WrIZ2KEtUXWR0CG+Xcl/XdNQmjBD9sUPaqA\n"
    "-----END CERTIFICATE-----\n";
static const char secure[] =
    "hostname = \"mx.example.test\"\n"
    "spool = \"%1$s\"\n"
    "key_rate = 10000000\n"
    "ESMTP_Listener {\n"
    "  Listen \"127.0.0.1:25\" {\n"
    "    TLS_Certificate = \"/a.crt\"\n    TLS_Key = \"/a.key\"\n"
    "  }\n"
    "  Listen \"127.0.0.1:587\" { }\n"
    "}\n";

static struct fuzz_role *running;

/* --- between the process and its life ------------------------------------- */

int __wrap_child_run(struct child *c, const struct child_ops *ops,
    void *closure);
void __wrap_child_exit(struct child *c);
int __wrap_child_drop(struct child *c);
int __wrap_child_load_crypto(const struct child *c);
unsigned long __wrap_privs_raise_nofile(void);
int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
uint64_t __real_monotonic_ms(void);
uint64_t __wrap_monotonic_ms(void);
int __real_spool_writer_drain(struct spool_writer *w, int timeout_ms);
int __wrap_spool_writer_drain(struct spool_writer *w, int timeout_ms);

int
__wrap_child_run(struct child *c, const struct child_ops *ops, void *closure)
{
	c->ops = ops;
	c->closure = closure;
	running->talk(running->closure, running);
	c->ops = NULL;
	return 0;
}

void
__wrap_child_exit(struct child *)
{
	running->is_over = true;
}

int
__wrap_child_drop(struct child *c)
{
	c->sandbox = (struct sandbox){ .role = c->role,
		.settings = c->settings, .init = c->init };
	return 0;
}

int
__wrap_child_load_crypto(const struct child *)
{
	return 0;
}

unsigned long
__wrap_privs_raise_nofile(void)
{
	return 1024;
}

/* No process reaches the network, whatever address it has been told. */
int
__wrap_socket(int family, int type, int protocol)
{
	if (family == AF_UNIX)
		return __real_socket(family, type, protocol);
	errno = ENETUNREACH;
	return -1;
}

/* --- time ----------------------------------------------------------------- */

static uint64_t skipped_ms;

uint64_t
__wrap_monotonic_ms(void)
{
	return __real_monotonic_ms() + skipped_ms;
}

static void
clock_now(void *, struct timeval *now_r)
{
	gettimeofday(now_r, NULL);
	now_r->tv_sec += (time_t)(skipped_ms / 1000);
	now_r->tv_usec += (suseconds_t)(skipped_ms % 1000 * 1000);
	if (now_r->tv_usec >= 1000000) {
		now_r->tv_usec -= 1000000;
		now_r->tv_sec++;
	}
}

/* Where nothing happens, the time is over at once.  A thread gets a moment. */
static int
clock_wait(void *closure, struct pollfd *fds, nfds_t nfds, int timeout_ms)
{
	const struct fuzz_role *r = closure;
	bool has_threads = r->role->id == ROLE_AUTHD ||
	    r->role->id == ROLE_WORKER;
	int n = poll(fds, nfds, has_threads && timeout_ms > 0 ? THREAD_MS : 0);

	if (n == 0 && timeout_ms > 0)
		skipped_ms += (unsigned int)timeout_ms;
	return n;
}

/* What others do not do in that time, they do not do at all. */
int
__wrap_spool_writer_drain(struct spool_writer *w, int)
{
	return __real_spool_writer_drain(w, DRAIN_MS);
}

/* --- what the master says ------------------------------------------------- */

static void
drain(struct child *c, bool is_reconfig, uint32_t limit_ms)
{
	if (c->is_draining)
		return;
	c->is_draining = true;
	c->is_reconfig = is_reconfig;
	c->drain_ms = limit_ms;
	c->ops->drain(c->closure);
}

static void
on_peer(struct child *c, struct channel_msg *msg)
{
	unsigned int peers = c->role->peers | role_askers(c->role->id);
	struct msg_peer peer;
	int fd = msg->fd;

	memcpy(&peer, msg->base, sizeof(peer));
	if (fd == -1 || peer.role >= NROLES ||
	    (peers & ROLE_BIT(peer.role)) == 0)
		return;
	msg->fd = -1;
	c->ops->peer(c->closure, &peer, fd);
}

/* As child.c does, after the start. */
static void
on_any(void *closure, struct channel_msg *msg)
{
	struct child *c = closure;
	struct msg_drain md;

	if (c->ops == NULL || running->is_over)
		return;
	if (c->ops->on[msg->type] != NULL)
		c->ops->on[msg->type](c->closure, msg);
	else if (msg->type == M_PEER)
		on_peer(c, msg);
	else if (msg->type == M_DRAIN) {
		memcpy(&md, msg->base, sizeof(md));
		drain(c, md.is_reconfig != 0, md.limit_ms);
	}
}

static void
master_gone(void *closure)
{
	struct child *c = closure;

	c->master = NULL;
	if (c->ops != NULL)
		drain(c, false, 0);
}

/* --- the process ---------------------------------------------------------- */

struct settings *
role_settings(enum role_id id)
{
	char text[2048], err[SETTINGS_ERROR_MAX] = "";
	const char *folder = folder_open();
	struct settings *s;
	FILE *fp;
	int n;

	n = id == ROLE_KEYD ? snprintf(text, sizeof(text), secure, folder) :
	    snprintf(text, sizeof(text), plain, folder);
	if (id == ROLE_RELAY || id == ROLE_RESOLVER)
		n += snprintf(text + n, sizeof(text) - (size_t)n, away, folder);
	if (id == ROLE_STS)
		n += snprintf(text + n, sizeof(text) - (size_t)n, lonely,
		    folder);
	if ((fp = fmemopen(text, (size_t)n, "r")) == NULL)
		abort();
	s = settings_load(fp, "fuzz", NULL, 0, err, sizeof(err));
	fclose(fp);
	if (s == NULL) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
	return s;
}

static void
log_to_nobody(void)
{
	static int fd = -1;

	if (fd == -1)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_init("fuzz", LOG_TO_FILE, fd, LOG_LEVEL_DEBUG);
}

int
role_link(struct fuzz_role *r, enum role_id role, int *fd_r)
{
	int fds[2];

	if (r->nlinks == ROLE_LINKS)
		return -1;
	FUZZ_HOLDS(channel_pair(fds) == 0);
	r->links[r->nlinks].fd = fds[0];
	r->links[r->nlinks++].role = role;
	*fd_r = fds[1];
	return 0;
}

void
role_pass(struct fuzz_role *r)
{
	int i;

	for (i = 0; i < PASSES && !r->is_over; i++)
		FUZZ_HOLDS(scheduler_pass(r->child.sched, 0) != -1);
}

void
role_wait(struct fuzz_role *r, unsigned int ms)
{
	if (!r->is_over)
		FUZZ_HOLDS(scheduler_pass(r->child.sched, (int)ms) != -1);
}

static const struct role *const roles[NROLES] = {
#define ROLE(ID, name) [ROLE_##ID] = &role_##name,
#include "cmd/mailmilld/role/role.def"
#undef ROLE
};

static void
prepare(struct fuzz_role *r, struct chanev_ops *ops)
{
	const struct scheduler_backend backend = { .size = sizeof(backend),
		.now = clock_now, .wait = clock_wait, .closure = r };
	struct child *c = &r->child;
	unsigned int i;
	int fd;

	for (i = 0; i < NMSGS; i++)
		ops->on[i] = on_any;
	ops->gone = master_gone;
	c->role = r->role;
	c->init = (struct msg_init){ .slot = 1, .instance = 1 };
	c->config_fd = c->log_fd = -1;
	c->settings = c->settings_owned = role_settings(r->role->id);
	folder_make("incoming");
	folder_make("queue");
	folder_make("mail");
	folder_make("sts");
	folder_file("users", "alice:{PLAIN}secret\n", 20);
	if (r->role->id == ROLE_STS)
		folder_file("authority", authority, sizeof(authority) - 1);
	FUZZ_HOLDS((c->sched = scheduler_create(&backend)) != NULL);
	FUZZ_HOLDS(role_link(r, ROLE_MASTER, &fd) == 0);
	c->master = chanev_open(fd, r->role->id, ROLE_MASTER, ops, c);
	FUZZ_HOLDS(c->master != NULL);
}

void
role_run(struct fuzz_role *r, enum role_id id)
{
	struct chanev_ops ops = { .gone = NULL };
	unsigned int i;
	int output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);

	roles_use(roles);
	log_to_nobody();
	running = r;
	skipped_ms = 0;
	r->role = roles[id];
	prepare(r, &ops);
	r->files(r->closure);
	(void)r->role->main(&r->child);
	chanev_free(r->child.master);
	scheduler_destroy(r->child.sched);
	settings_free(r->child.settings_owned);
	for (i = 0; i < r->nlinks; i++)
		if (r->links[i].fd != -1)
			close(r->links[i].fd);
	log_flush();
	/* keyd puts something else in its place */
	if (output != -1) {
		(void)dup2(output, STDOUT_FILENO);
		close(output);
	}
	running = NULL;
}
