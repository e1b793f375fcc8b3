/* Tricks with the kernel: other processes, the terminal, the log. */

#include "test/hostile/hostile.h"

#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "test/hostile/attempt.h"

#define FDS	256

bool
trick_kill(uint64_t arg, unsigned int)
{
	hostile_say("killed", kill((pid_t)arg, SIGKILL) == 0);
	return true;
}

bool
trick_trace(uint64_t arg, unsigned int)
{
	hostile_say("traced",
	    ptrace(PTRACE_ATTACH, (pid_t)arg, NULL, NULL) == 0);
	return true;
}

bool
trick_look(uint64_t arg, unsigned int)
{
	static const char *const names[] = { "/proc/%u/mem", "/proc/%u/maps",
	    "/proc/%u/environ", "/proc/%u/fd", "/etc/passwd", "/", "." };
	char path[64];
	uint64_t n = 0;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strchr(names[i], '%') == NULL)
			snprintf(path, sizeof(path), "%s", names[i]);
		else
			snprintf(path, sizeof(path), "/proc/%u/%s",
			    (unsigned int)arg, strrchr(names[i], '/') + 1);
		if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
			continue;
		n++;
		close(fd);
	}
	hostile_say("opened", n);
	return true;
}

bool
trick_connect(uint64_t arg, unsigned int)
{
	const struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons((in_port_t)arg),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* 0: it is connected */
	hostile_say("connect", fd == -1 || connect(fd,
	    (const struct sockaddr *)&sin, sizeof(sin)) == -1 ?
	    (uint64_t)errno : 0);
	if (fd != -1)
		close(fd);
	return true;
}

static const struct attempt attempts[] = {
#define ARGS(...)	{ __VA_ARGS__ }
#define ATTEMPT(name, call, args, roles)	{ #name, #call, args, roles },
#include "test/hostile/attempt.def"
#undef ATTEMPT
#undef ARGS
};

bool
trick_attempt(uint64_t arg, unsigned int)
{
	const struct attempt *a = &attempts[arg %
	    (sizeof(attempts) / sizeof(attempts[0]))];

	(void)syscall(seccomp_syscall_resolve_name(a->call), a->args[0],
	    a->args[1], a->args[2], a->args[3], a->args[4], a->args[5]);
	return true;
}

bool
trick_type(uint64_t, unsigned int)
{
	char c = 'x';
	int fd;

	for (fd = 0; fd < FDS; fd++)
		(void)ioctl(fd, TIOCSTI, &c);
	return true;
}

/* Is it something that a log could be? */
static bool
is_log(int fd)
{
	struct stat st;

	return fd != hostile.fds[1] && fstat(fd, &st) == 0 &&
	    (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) ||
	    S_ISCHR(st.st_mode));
}

bool
trick_logfile(uint64_t, unsigned int)
{
	static const char line[] = "2000-01-01T00:00:00.000000Z "
	    "mailmilld/authd-1[1] level=info event=auth-failed "
	    "client=192.0.2.66 user=forged code=535\n";
	uint64_t n = 0;
	int fd;

	for (fd = 0; fd < FDS; fd++)
		if (is_log(fd) && write(fd, line, sizeof(line) - 1) > 0)
			n++;
	hostile_say("written", n);
	log_flush();
	for (fd = 0; fd < FDS; fd++)
		if (is_log(fd) && ftruncate(fd, 0) == 0)
			n = 0;
	return true;
}

bool
trick_counters(uint64_t arg, unsigned int)
{
	unsigned int id;

	for (id = 0; id < STATS_NCOUNTERS; id++)
		stats_add((enum stats_id)id, arg);
	return true;
}

bool
trick_logshut(uint64_t, unsigned int)
{
	(void)shutdown(hostile.child->log_fd, SHUT_WR);
	return true;
}

/* Is it the connection of a client? */
static bool
is_client(int fd)
{
	int domain;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	    domain == AF_INET;
}

/* Send it with an empty record.  This process has it no longer then. */
static bool
send_along(int fd)
{
	union {
		struct cmsghdr	head;
		char		buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr mh = { .msg_control = control.buf,
		.msg_controllen = sizeof(control.buf) };
	bool is_sent;

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	is_sent = sendmsg(hostile.child->log_fd, &mh, MSG_DONTWAIT) == 0;
	close(fd);
	return is_sent;
}

bool
trick_loglinger(uint64_t arg, unsigned int)
{
	static char octets[65536];
	const struct linger l = { .l_onoff = 1, .l_linger = (int)arg };
	uint64_t n = 0;
	int fd;

	for (fd = 0; fd < FDS; fd++) {
		if (!is_client(fd))
			continue;
		while (send(fd, octets, sizeof(octets), MSG_NOSIGNAL |
		    MSG_DONTWAIT) > 0)
			continue;
		if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) == 0 &&
		    send_along(fd))
			n++;
	}
	hostile_say("lingering", n);
	return true;
}

bool
trick_logflood(uint64_t arg, unsigned int turn)
{
	uint64_t i, each = 1000;

	for (i = 0; i < each; i++)
		log_event(LOG_LEVEL_ERROR, "flood", "n=%llu",
		    (unsigned long long)(turn * each + i));
	log_flush();
	return (turn + 1) * each >= arg;
}
