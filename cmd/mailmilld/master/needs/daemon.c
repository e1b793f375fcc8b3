/* Going into the background, the pid file, messages to the service manager.
 * Owns: the parent that waits, the lock, NOTIFY_SOCKET. */

#include "cmd/mailmilld/master/needs/daemon.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libutil.h>

#include "cmd/mailmilld/master/needs/spooldir.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define TITLE		"mailmilld: master"	/* as in setproctitle("master") */
#define PIDFILE_MAX	256	/* octets of its path with NUL; setting.def says fewer */
#define LOCK_SUFFIX	".lock"

static char pid_path[PIDFILE_MAX], lock_path[PIDFILE_MAX + sizeof(LOCK_SUFFIX)];
static bool has_pid;		/* the file is ours */
static int lock_fd = -1;
static int ready_fd = -1;	/* pipe to the waiting parent */
static char *notify_path;	/* of NOTIFY_SOCKET; NULL: there is none */

/* --- the lock and the pid file -------------------------------------------- */

pid_t
daemon_running(const char *path)
{
	char text[64] = "", cmdline[64];
	long pid;
	FILE *fp;

	if ((fp = fopen(path, "re")) == NULL)
		return 0;
	if (fgets(text, sizeof(text), fp) == NULL)
		*text = '\0';
	fclose(fp);
	if ((pid = strtol(text, NULL, 10)) <= 0)
		return 0;
	/* the number may be another process's by now */
	snprintf(cmdline, sizeof(cmdline), "/proc/%ld/cmdline", pid);
	if ((fp = fopen(cmdline, "re")) == NULL)
		return 0;
	if (fgets(text, sizeof(text), fp) == NULL)
		*text = '\0';
	fclose(fp);
	return strncmp(text, TITLE, strlen(TITLE)) == 0 ? (pid_t)pid : 0;
}

/* Whoever can open the lock's file can take the lock, and keep the server from
 * starting: it must be ours, and no one else's to open.  Return 0, or -1 with
 * errno. */
static int
check_lock(const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || st->st_uid != geteuid() ||
	    (st->st_mode & 077) != 0) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

int
daemon_check(const char *path)
{
	struct stat st;

	if (spooldir_could_make(path, 1) == -1)
		return -1;
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	snprintf(lock_path, sizeof(lock_path), "%s" LOCK_SUFFIX, path);
	return lstat(lock_path, &st) == -1 ? 0 : check_lock(&st);
}

static int
lock_take(void)
{
	struct stat st;

	lock_fd = flopen(lock_path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (lock_fd == -1)
		return -1;
	if (fstat(lock_fd, &st) == 0 && check_lock(&st) == 0)
		return 0;
	fileio_close(lock_fd);
	lock_fd = -1;
	return -1;
}

int
daemon_lock(const char *path)
{
	pid_t other;

	snprintf(pid_path, sizeof(pid_path), "%s", path);
	snprintf(lock_path, sizeof(lock_path), "%s" LOCK_SUFFIX, path);
	if (lock_take() == 0)
		return 0;
	if (errno == EWOULDBLOCK && (other = daemon_running(path)) != 0)
		fprintf(stderr, "mailmilld: already running, process %ld "
		    "(%s is locked)\n", (long)other, lock_path);
	else if (errno == EWOULDBLOCK)
		fprintf(stderr, "mailmilld: another server is starting or "
		    "already running (%s is locked)\n", lock_path);
	else
		fprintf(stderr, "mailmilld: option 'pidfile': %s: %s%s\n",
		    lock_path, strerror(errno), errno == EPERM ? ": others "
		    "may open this file: remove it" : "");
	return -1;
}

/* The file is made anew beside its place and renamed, so that no link that is
 * there is followed, and no reader finds half of it. */
int
daemon_pid(void)
{
	char temporary[PIDFILE_MAX + 4];
	int fd, rc;

	snprintf(temporary, sizeof(temporary), "%s.new", pid_path);
	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0644);
	if (fd == -1)
		return -1;
	rc = fchmod(fd, 0644);		/* whatever the umask says */
	if (rc == 0 && dprintf(fd, "%ld\n", (long)getpid()) < 0)
		rc = -1;
	fileio_close(fd);
	if (rc == 0)
		rc = rename(temporary, pid_path);
	has_pid = rc == 0;
	return rc;
}

void
daemon_unlock(void)
{
	if (has_pid)
		(void)unlink(pid_path);
	(void)unlink(lock_path);
	fileio_close(lock_fd);
	lock_fd = -1;
}

/* --- into the background -------------------------------------------------- */

/* In the parent: wait for the exit status, one octet, or for the child's end.  Who
 * is told that a start has failed may start again at once: nothing of this one is
 * left then. */
static void __attribute__((noreturn))
wait_for_child(int fd, pid_t pid)
{
	unsigned char status;
	ssize_t n;

	do
		n = read(fd, &status, 1);
	while (n == -1 && errno == EINTR);
	if (n != 1)
		status = 1;
	if (status != 0)
		while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
			;
	_exit(status);
}

int
daemon_fork(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return -1;
	fflush(NULL);
	switch (pid = fork()) {
	case -1:
		fileio_close(fds[0]);
		fileio_close(fds[1]);
		return -1;
	case 0:
		break;
	default:
		close(fds[1]);
		wait_for_child(fds[0], pid);
	}
	close(fds[0]);
	ready_fd = fds[1];
	/* in another folder the server would keep that folder's file system
	 * busy for as long as it runs */
	return setsid() == -1 || chdir("/") == -1 ? -1 : 0;
}

void
daemon_tell_parent(int status)
{
	unsigned char octet = (unsigned char)status;

	if (ready_fd == -1)
		return;
	while (write(ready_fd, &octet, 1) == -1 && errno == EINTR)
		;
	close(ready_fd);
	ready_fd = -1;
}

/* --- the service manager -------------------------------------------------- */

bool
daemon_notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	if (path != NULL && (path[0] == '/' || path[0] == '@'))
		notify_path = strdup(path);
	/* so that no child can send messages to the service manager */
	unsetenv("NOTIFY_SOCKET");
	return notify_path != NULL;
}

/* Send one message as sd_notify(3) describes it.  It is no error when nobody
 * receives it. */
static void __attribute__((format(printf, 1, 2)))
notify(const char *fmt, ...)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char text[512];
	size_t len;
	va_list ap;
	int fd;

	if (notify_path == NULL ||
	    (len = strlen(notify_path)) >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, notify_path, len);
	if (notify_path[0] == '@')	/* unix(7): an abstract address */
		sun.sun_path[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL,
	    (struct sockaddr *)&sun,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

void
daemon_ready(void)
{
	int null;

	notify("READY=1\nMAINPID=%ld\nSTATUS=ready", (long)getpid());
	if (ready_fd == -1)
		return;
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) != -1) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	daemon_tell_parent(0);
}

void
daemon_reloading(void)
{
	notify("RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading the "
	    "configuration again", monotonic_ns() / 1000);
}

void
daemon_reloaded(const char *error)
{
	/* a line is one variable */
	notify("READY=1\nSTATUS=%s%.*s", *error == '\0' ? "ready" :
	    "ready with the old configuration, since the last reload failed: ",
	    (int)strcspn(error, "\n"), error);
}

void
daemon_stopping(void)
{
	notify("STOPPING=1\nSTATUS=stopping");
}
