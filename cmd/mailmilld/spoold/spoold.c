/* The role spoold: makes the files of the spool for the workers, which can open
 * no file.
 * Owns: the start and the end of the process.
 * Knows nothing of the workers' requests: spoold_worker.c does. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/mailmilld/role/child.h"
#include "cmd/mailmilld/role/privs.h"
#include "core/process/log.h"

struct role_state {
	struct child	*child;
	struct spoold	 spoold;
};

static void
on_peer(void *closure, const struct msg_peer *peer, int fd)
{
	struct role_state *s = closure;

	if (spoold_worker_open(&s->spoold, peer, fd) == -1)
		log_err("spoold-connect", "slot=%u", peer->slot);
}

static void
on_beyond(void *closure, const struct msg_peer *who)
{
	const struct msg_beyond beyond = { .instance = who->instance };
	struct role_state *s = closure;

	(void)chanev_send(s->child->master, M_BEYOND, &beyond, NULL, 0, -1);
}

/* A worker closes its channel when it ends, or when it gets a channel to
 * another spoold.  This process ends when it is told to drain, no channel is left,
 * and no worker has a file open that only this process can look at. */
static void
exit_if_done(void *closure)
{
	struct role_state *s = closure;

	s->spoold.is_draining = s->child->is_draining;
	if (s->child->is_draining && TAILQ_EMPTY(&s->spoold.workers) &&
	    TAILQ_EMPTY(&s->spoold.lefts))
		child_exit(s->child);
}

static const struct child_ops child_ops = {
	.peer = on_peer,
	.drain = exit_if_done
};

static int
end_of_pass(void *closure, struct timeval *)
{
	struct role_state *s = closure;

	spoold_pass(&s->spoold);
	return 0;
}

static int
open_incoming(const struct settings *settings)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/incoming", settings->spool);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		log_err("spool", "folder=%s", path);
	return fd;
}

static int
spoold_main(struct child *c)
{
	struct role_state s = { .child = c, .spoold = {
		.settings = c->settings, .done = exit_if_done,
		.beyond = on_beyond, .closure = &s } };
	int status = 1;

	TAILQ_INIT(&s.spoold.workers);
	TAILQ_INIT(&s.spoold.lefts);
	s.spoold.nofile = privs_raise_nofile();
	umask(077);
	if ((s.spoold.dirfd = open_incoming(c->settings)) == -1 ||
	    child_drop(c) == -1)
		goto out;
	s.spoold.lag_ms = spoold_lag_ms(s.spoold.dirfd);
	if (scheduler_recurrent_func_add(end_of_pass, &s) == -1) {
		log_err("start", "role=%s", "spoold");
		goto out;
	}
	status = child_run(c, &child_ops, &s);
	spoold_workers_close(&s.spoold);
out:
	if (s.spoold.dirfd != -1)
		close(s.spoold.dirfd);
	return status;
}

static bool
spoold_path(const struct settings *s, size_t i, struct role_path *path_r)
{
	if (i > 0)
		return false;
	snprintf(path_r->path, sizeof(path_r->path), "%s/incoming", s->spool);
	path_r->can_write = true;
	return true;
}

/* spoold itself writes to the file "instances" alone; the workers write to the
 * segments and bodies. */
static uint64_t
spoold_file_max(const struct settings *)
{
	return (1ULL << SPOOL_NUMBER_BITS) * sizeof(uint64_t);
}

const struct role role_spoold = {
	.id = ROLE_SPOOLD,
	.is_single = true,
	ROLE_ACCOUNT(queue_user),	/* which owns the files of the spool */
	.main = spoold_main,
	.is_replaced = true,
	.root = "incoming",
	.folders = { { "incoming", 0700, false } },
	.profile = {
		.calls = "fallocate fchmod fcntl:locks fdatasync flock fstatfs "
		    "fsync ftruncate getdents64 openat pread64 pwrite64 "
		    "renameat renameat2 unlinkat utimensat",
		.path = spoold_path,
		.file_max = spoold_file_max
	}
};
