/* Requests about the queue while no server runs.
 * Owns: the account under which the spool is opened, its lock meanwhile.
 * A process of its own answers, with the code of the queue process, under the account
 * that the spool belongs to: what is in the spool is never read as root.  A server
 * that is started meanwhile waits for the lock. */

#include "cmd/mailmillctl/ctl.h"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/settings/settings.h"
#include "core/process/log.h"
#include "core/queue/queue.h"
#include "core/store/queue_spool.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define INPUT_OCTETS	65536

struct offline {
	const char	*spool;
	char		 folder[512];		/* of the queue */
	int		 incoming_fd, folder_fd, lock_fd;
	int		 fd;			/* of the answer */
};

/* The answer is an error: say so and end.  ${is_again}: it may go away by itself. */
static void __attribute__((noreturn, format(printf, 3, 4)))
fail(const struct offline *o, bool is_again, const char *fmt, ...)
{
	char text[1024], *json;
	json_t *answer;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer = json_pack("{s:s, s:b}", "error", text, "again", is_again);
	if ((json = json_dumps(answer, JSON_COMPACT)) != NULL)
		(void)fileio_write(o->fd, json, strlen(json));
	_exit(EXIT_FAILED);
}

/* Become the owner of the queue's folder. */
static void
become_owner(const struct offline *o)
{
	struct stat st;

	if (stat(o->folder, &st) == -1)
		fail(o, false, "%s: %s: no server is running, and this spool "
		    "cannot be opened without it", o->folder, strerror(errno));
	if (st.st_uid == geteuid())
		return;
	if (geteuid() != 0)
		fail(o, false, "%s: it belongs to another account: no server is "
		    "running, and without it only root and that account may "
		    "open the queue", o->folder);
	if (setgroups(0, NULL) == -1 ||
	    setresgid(st.st_gid, st.st_gid, st.st_gid) == -1 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) == -1)
		fail(o, false, "cannot become the account with the number %u, "
		    "which %s belongs to: %s", (unsigned int)st.st_uid,
		    o->folder, strerror(errno));
}

static int
open_folder(const struct offline *o, const char *name)
{
	char path[sizeof(o->folder)];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", o->spool, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		fail(o, false, "%s: %s", path, strerror(errno));
	return fd;
}

static void
lock(struct offline *o)
{
	o->incoming_fd = open_folder(o, "incoming");
	o->folder_fd = open_folder(o, "queue");
	o->lock_fd = openat(o->folder_fd, "lock",
	    O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (o->lock_fd == -1)
		fail(o, false, "%s/lock: %s", o->folder, strerror(errno));
	if (flock(o->lock_fd, LOCK_EX | LOCK_NB) == -1)
		fail(o, errno == EWOULDBLOCK, "%s/lock: another process has "
		    "locked it: if a mailmilld runs with this spool, name its "
		    "configuration with -c or its socket with -s", o->folder);
	/* it belongs to no master: a server that starts waits for it */
	(void)!ftruncate(o->lock_fd, 0);
}

static const char *
find_section(void *closure, const char *name, const char **why_r)
{
	const struct settings_domain *d = settings_section_to(closure, name,
	    why_r);

	return d != NULL ? d->name : NULL;
}

/* No row may wait for longer: what a Domain section says counts, too. */
static int64_t
longest_retry_s(const struct settings *s)
{
	int64_t longest = s->times.max_retry_interval;
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		if (s->domains[i].times.max_retry_interval > longest)
			longest = s->domains[i].times.max_retry_interval;
	return longest;
}

static struct queue *
open_queue(struct offline *o, struct settings *s)
{
	const struct queue_config config = {
		.store = &queue_spool_ops,
		.folder = o->folder,
		.queue_dirfd = o->folder_fd,
		.incoming_dirfd = o->incoming_fd,
		.retry_s = s->times.retry_interval,
		.max_retry_s = longest_retry_s(s),
		.is_synced = s->spool_sync != SPOOL_SYNC_NONE,
	};
	/* no agent is there */
	static const struct queue_ops ops = { .section = find_section };
	struct timeval now;
	struct queue *q;

	gettimeofday(&now, NULL);
	q = queue_open(&config, &ops, s, &now, (int64_t)monotonic_ms());
	if (q == NULL)
		fail(o, false, "%s: the queue cannot be opened: %s", o->folder,
		    strerror(errno));
	return q;
}

/* Nobody may keep the lock by not reading what is printed, or by sending nothing.
 * Return whether ${events} have come within ${limit_s} seconds. */
static bool
wait_for(const struct offline *o, short events, int limit_s)
{
	struct pollfd pfd = { .fd = o->fd, .events = events };
	int rc;

	do {
		rc = poll(&pfd, 1, limit_s * 1000);
	} while (rc == -1 && errno == EINTR);
	return rc == 1;
}

/* Octets of what is imported, or 0: no more come. */
static size_t
read_input(const struct offline *o, char buf[INPUT_OCTETS])
{
	ssize_t n;

	if (!wait_for(o, POLLIN, QUEUE_ANSWER_INPUT_S)) {
		fprintf(stderr, "mailmillctl: nothing more to import has come "
		    "for %d seconds: the spool is closed, so that a server can "
		    "start; import the rest from a file\n",
		    QUEUE_ANSWER_INPUT_S);
		return 0;
	}
	n = read(o->fd, buf, INPUT_OCTETS);
	return n > 0 ? (size_t)n : 0;
}

static int
write_output(const struct offline *o, const char *piece, size_t len)
{
	ssize_t n;

	for (; len > 0; piece += n, len -= (size_t)n) {
		if (!wait_for(o, POLLOUT, QUEUE_ANSWER_STALL_S)) {
			fprintf(stderr, "mailmillctl: nobody has read the "
			    "answer for %d seconds: the spool is closed, so "
			    "that a server can start; write the answer to a "
			    "file, and read that\n", QUEUE_ANSWER_STALL_S);
			return -1;
		}
		n = send(o->fd, piece, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -1 && errno != EAGAIN)
			return -1;
		n = n == -1 ? 0 : n;
	}
	return 0;
}

static void __attribute__((noreturn))
answer(struct offline *o, struct settings *s, const char *request)
{
	struct queue_answer *a;
	struct timeval now;
	char buf[INPUT_OCTETS];
	const char *piece;
	struct queue *q;
	size_t len;

	/* the signals of a terminal are for the reader, whose end is seen here */
	(void)setsid();
	log_init("mailmillctl", LOG_TO_STDERR, STDERR_FILENO,
	    LOG_LEVEL_WARNING);
	/* a reader that has seen enough: close the queue all the same */
	signal(SIGPIPE, SIG_IGN);
	become_owner(o);
	umask(077);
	lock(o);
	q = open_queue(o, s);
	if ((a = queue_control(q, request, strlen(request))) == NULL)
		fail(o, false, "out of memory: try again");
	for (;;) {
		gettimeofday(&now, NULL);
		if (queue_answer_wants(a)) {
			len = read_input(o, buf);
			queue_answer_feed(a, &now, buf, len);
		} else if (queue_answer_next(a, &now, &piece, &len) != 1 ||
		    write_output(o, piece, len) == -1)
			break;
	}
	queue_answer_free(a);
	queue_close(q);
	_exit(0);
}

static struct settings *
load(const char *filename)
{
	char err[SETTINGS_ERROR_MAX];
	struct settings *s = NULL;
	FILE *fp = fopen(filename, "re");

	if (fp == NULL) {
		fprintf(stderr, "mailmillctl: %s: %s\n", filename,
		    strerror(errno));
		return NULL;
	}
	if ((s = settings_load(fp, filename, NULL, 0, err, sizeof(err))) ==
	    NULL)
		fprintf(stderr, "mailmillctl: %s (no server is running, and "
		    "where its spool is, its configuration says)\n", err);
	fclose(fp);
	return s;
}

int
offline_ask(const char *filename, const json_t *request)
{
	struct offline o = { .lock_fd = -1 };
	struct settings *s = load(filename);
	char *text = json_dumps(request, JSON_COMPACT);
	int fds[2];
	pid_t pid;

	if (s == NULL || text == NULL ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		goto err1;
	o.spool = s->spool;
	o.fd = fds[1];
	snprintf(o.folder, sizeof(o.folder), "%s/queue", s->spool);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		close(fds[0]);
		answer(&o, s, text);
	}
	close(fds[1]);
	if (pid == -1) {
		close(fds[0]);
		goto err1;
	}
	settings_free(s);
	free(text);
	return fds[0];
err1:
	if (s != NULL)
		fprintf(stderr, "mailmillctl: %s\n", strerror(errno));
	settings_free(s);
	free(text);
	return -1;
}
