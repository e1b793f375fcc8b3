/* The sockets of listeners: see netlistener.h.
 * Owns: the form of addresses, the options of a socket. */

#include "proto/listener/netlistener_int.h"

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/util/addr.h"
#include "core/util/fileio.h"

union address {
	struct sockaddr		sa;
	struct sockaddr_in	in;
	struct sockaddr_in6	in6;
	struct sockaddr_un	un;
};

/* Parse "host:port" into ${a}.  Return the size of the address, or 0: ${text}
 * has another form. */
static socklen_t
parse_inet(const char *text, union address *a)
{
	union addr found;

	if (text[0] == '*' && text[1] == ':') {
		a->in.sin_family = AF_INET;
		return addr_port_parse(text + 2, &a->in.sin_port) == 0 ?
		    sizeof(a->in) : 0;
	}
	if (addr_parse(text, &found) == -1)
		return 0;
	memcpy(a, &found, sizeof(found));
	return addr_len(&a->sa);
}

static socklen_t
parse_address(const char *text, union address *a)
{
	size_t len = strlen(text);

	memset(a, 0, sizeof(*a));
	if (*text != '/')
		return parse_inet(text, a);
	if (len >= sizeof(a->un.sun_path))
		return 0;
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path, text, len + 1);
	return sizeof(a->un);
}

static int
set_int(int fd, int level, int option, int value)
{
	return value == 0 ? 0 :
	    setsockopt(fd, level, option, &value, sizeof(value));
}

static bool
is_any6(const union address *a)
{
	return a->sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

/* Set options before listen(2): accepted sockets inherit them. */
static int
set_options(int fd, const union address *a, const netlistener_def *def)
{
	if (set_int(fd, SOL_SOCKET, SO_RCVBUF, def->opt_recvbuf) == -1 ||
	    set_int(fd, SOL_SOCKET, SO_SNDBUF, def->opt_sendbuf) == -1)
		return -1;
	if (a->sa.sa_family == AF_UNIX)
		return 0;
	if (set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) == -1)
		return -1;
	/* "[::]" is both families, whatever the system's default */
	if (is_any6(a) && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
	    &(int){ 0 }, sizeof(int)) == -1)
		return -1;
	return set_int(fd, IPPROTO_TCP, TCP_NODELAY,
	    def->opt_disable_nagle != 0);
}

/* --- sockets in the file system ------------------------------------------- */

#define LOCK_PATH	(sizeof(((struct sockaddr_un *)0)->sun_path) + 32)

/* Is ${fd} the file that is at ${path} now?  The process that had the lock
 * before may have removed the file. */
static bool
is_at(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 &&
	    mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

/* Open the lock's file.  It must belong to this user, with a mode that lets no
 * other user open it: another user who can write to the folder could put a file
 * there, and keep it locked. */
static int
open_lock(const char *path)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	    0600);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid())
		return fd;
	(void)close(fd);
	errno = EPERM;
	return -1;
}

/* Lock a file beside the socket.  Another process of this user that starts a
 * listener at the same path waits for the lock, so it cannot make a socket
 * there while this one looks for an old socket and binds.  Return a descriptor
 * for unlock(), or -1 with errno: EWOULDBLOCK, another process of this user has
 * the lock; any other, the file cannot be used as a lock. */
static int
lock(const union address *a, char path[LOCK_PATH])
{
	const struct timespec moment = { .tv_nsec = 10000000 };
	const char *name = strrchr(a->un.sun_path, '/') + 1;
	int fd, left = NETLISTENER_LOCK_MS / 10, saved;

	snprintf(path, LOCK_PATH, "%.*s.%s.mailmill-lock",
	    (int)(name - a->un.sun_path), a->un.sun_path, name);
	while ((fd = open_lock(path)) != -1) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (is_at(fd, path))
				return fd;
		} else if (errno != EWOULDBLOCK || left-- == 0) {
			saved = errno;
			(void)close(fd);
			errno = saved;
			return -1;
		} else
			nanosleep(&moment, NULL);
		(void)close(fd);
	}
	return -1;
}

static void
unlock(int fd, const char path[LOCK_PATH])
{
	if (fd == -1)
		return;
	(void)unlink(path);
	(void)close(fd);
}

/* Remove a socket of that name that nobody listens on: a process that has died
 * has left it.  The caller has the lock. */
static void
remove_left(const union address *a, socklen_t len)
{
	struct stat st;
	int fd;

	if (lstat(a->un.sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	if (connect(fd, &a->sa, len) == -1 && errno == ECONNREFUSED)
		(void)unlink(a->un.sun_path);
	(void)close(fd);
}

/* Note which call has failed, with errno. */
static int
failed(netlistener_instance *inst, enum netlistener_syscall call)
{
	inst->last_errno = errno;
	inst->failed_syscall = call;
	return -1;
}

/* Bind and listen.  Return 0, or -1 with errno. */
static int
listen_at(netlistener_instance *inst, const union address *a, socklen_t len)
{
	const netlistener_def *def = inst->def;
	struct stat st;

	if (bind(inst->fd, &a->sa, len) == -1)
		return failed(inst, NLSN_SYS_BIND);
	if (a->sa.sa_family == AF_UNIX && lstat(a->un.sun_path, &st) == 0) {
		inst->has_file = 1;
		inst->file_dev = st.st_dev;
		inst->file_ino = st.st_ino;
	}
	if (a->sa.sa_family == AF_UNIX && def->opt_file_mode != 0 &&
	    chmod(a->un.sun_path, (mode_t)def->opt_file_mode) == -1)
		return failed(inst, NLSN_SYS_BIND);
	if (listen(inst->fd, def->opt_backlog > 0 ? def->opt_backlog :
	    NETLISTENER_BACKLOG) == -1)
		return failed(inst, NLSN_SYS_LISTEN);
	return 0;
}

void
netlistener_remove_file(netlistener_instance *inst)
{
	struct stat st;

	if (inst->has_file && lstat(inst->address, &st) == 0 &&
	    st.st_dev == inst->file_dev && st.st_ino == inst->file_ino)
		(void)unlink(inst->address);
	inst->has_file = 0;
}

/* Half of the descriptors that the process may have: the other half is left for
 * files and sockets that the program opens for its connections. */
static int
most_connections(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1 || r.rlim_cur / 2 > INT_MAX)
		return INT_MAX;
	return r.rlim_cur < 4 ? 1 : (int)(r.rlim_cur / 2);
}

static int
listen_at_path(netlistener_instance *inst, const union address *a,
    socklen_t len)
{
	char path[LOCK_PATH];
	int fd = lock(a, path), rc;

	/* if another user keeps the lock's file from being used, go on without
	 * a lock: that user cannot stop this process from starting, but two
	 * processes of this user may then start at once */
	if (fd != -1 || errno != EWOULDBLOCK)
		remove_left(a, len);
	rc = listen_at(inst, a, len);
	unlock(fd, path);
	return rc;
}

int
netlistener_open(netlistener_instance *inst)
{
	union address a;
	socklen_t len = parse_address(inst->address, &a);

	if (len == 0) {
		errno = EINVAL;
		return failed(inst, NLSN_SYS_NEVER_ATTEMPTED);
	}
	inst->fd = socket(a.sa.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (inst->fd == -1)
		return failed(inst, NLSN_SYS_SOCKET);
	if (set_options(inst->fd, &a, inst->def) == -1)
		return failed(inst, NLSN_SYS_IOCTL);
	inst->most = most_connections();
	return a.sa.sa_family == AF_UNIX ? listen_at_path(inst, &a, len) :
	    listen_at(inst, &a, len);
}

int
netlistener_port(const netlistener_instance *inst)
{
	union address a;
	socklen_t len = sizeof(a);

	if (inst == NULL || inst->fd == -1 ||
	    getsockname(inst->fd, &a.sa, &len) == -1)
		return 0;
	return (int)addr_port(&a.sa);
}
