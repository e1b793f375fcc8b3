/* The folders of the spool, and the lock that says whose they are.
 * Owns: when to wait for the process that has the lock. */

#include "cmd/mailmilld/queue/queue.h"

#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/mailmilld/role/spoollock.h"
#include "core/process/log.h"

#define LOCK_SAY_MS	10000	/* between lines in the log about that */

static int
open_folder(struct queue_role *r, const char *name, char *path, size_t len)
{
	int fd;

	snprintf(path, len, "%s/%s", r->child->settings->spool, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		log_err("spool", "folder=%s", path);
	return fd;
}

int
queue_lock_open(struct queue_role *r)
{
	char path[sizeof(r->folder)];

	r->incoming_fd = open_folder(r, "incoming", path, sizeof(path));
	r->folder_fd = open_folder(r, "queue", r->folder, sizeof(r->folder));
	if (r->incoming_fd == -1 || r->folder_fd == -1)
		return -1;
	r->lock_fd = openat(r->folder_fd, "lock",
	    O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (r->lock_fd == -1) {
		log_err("spool", "file=%s/lock", r->folder);
		return -1;
	}
	return 0;
}

/* Another process has the lock.  It goes on holding it if it belongs to another
 * server that runs.  If it is our predecessor's, or that of a master that has
 * died, it ends soon.  Return 1: try again; -1: it would be in vain. */
static int
locked_out(struct queue_role *r)
{
	bool is_alive;
	pid_t pid = spoollock_owner(r->lock_fd, &is_alive);
	bool is_passing = r->child->init.is_successor != 0 ||
	    (pid != 0 && !is_alive);
	char text[LOG_ERROR_MAX];

	if (!is_passing && is_alive && pid != getppid()) {
		log_errx("queue-lock", "file=%s/lock pid=%d reason=%s",
		    r->folder, (int)pid,
		    "another mailmilld runs with this spool");
		return -1;
	}
	if (r->waited_ms == 0) {
		r->child->is_late = !is_passing;
		snprintf(text, sizeof(text), "another process has locked "
		    "%.200s/lock", r->folder);
		if (r->child->init.is_successor == 0)
			child_trouble(r->child, text);
	}
	r->waited_ms += QUEUE_LOCK_MS;
	if (r->waited_ms % LOCK_SAY_MS == 0)
		log_event(LOG_LEVEL_NOTICE, "queue-lock",
		    "file=%s/lock waiting_s=%u", r->folder,
		    r->waited_ms / 1000);
	return 1;
}

int
queue_lock_take(struct queue_role *r)
{
	if (flock(r->lock_fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno == EWOULDBLOCK)
			return locked_out(r);
		log_err("queue-lock", "file=%s/lock", r->folder);
		return -1;
	}
	if (spoollock_sign(r->lock_fd, getppid()) == -1)
		log_warn("queue-lock", "file=%s/lock step=%s", r->folder,
		    "write");
	return 0;
}
