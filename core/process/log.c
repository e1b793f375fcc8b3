/* The log: where lines go.
 * Owns: the level, the time stamp, the buffer, the descriptor, the count of
 * lost lines.
 * A process has one log; threads share it behind a lock.  Nothing here blocks:
 * a line that cannot be written waits in the buffer; when that is full, lines
 * are lost, and counted. */

#include "core/process/log.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/lim.h"
#include "core/process/log_line.h"
#include "core/util/fileio.h"

#define SYSLOG_PATH	"/dev/log"
#define FACILITY_MAIL	(2 << 3)	/* RFC 3164 4.1.1 */
#define BATCH		64		/* datagrams per sendmmsg(2) */

static const struct {
	const char	*name;
	unsigned int	 severity;	/* RFC 3164 4.1.1 */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_NOTICE] = { "notice", 5 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

static struct {
	pthread_mutex_t	 lock;
	enum log_level	 level;
	enum log_kind	 kind;
	int		 fd;
	bool		 is_initialised;
	bool		 may_block;	/* ask poll(2) before each write */
	size_t		 write_max;	/* octets of one write(2) */
	bool		 is_dead;	/* failed; until log_init() */
	void		(*on_failure)(void *);
	void		*on_failure_closure;
	char		 ident[LIM_NAME + 16];	/* with [pid] */
	size_t		 ident_len;
	time_t		 stamp_second;
	char		 stamp[40];
	size_t		 stamp_len;
	uint64_t	 lost;		/* lines, not yet reported by log_lost= */
	char		 last_error[LOG_ERROR_MAX];
	size_t		 used;
	char		 buf[LOG_BUFFER];
} g = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.level = LOG_LEVEL_NOTICE,
	.kind = LOG_TO_STDERR,
	.fd = STDERR_FILENO,
	.write_max = LOG_BUFFER,
	.stamp_second = -1,
};

static void
set_ident(const char *ident)
{
	size_t i;

	for (i = 0; ident[i] != '\0' && i < LIM_NAME; i++)
		g.ident[i] = isgraph((unsigned char)ident[i]) ? ident[i] : '-';
	g.ident_len = i + (size_t)snprintf(g.ident + i, sizeof(g.ident) - i,
	    "[%ld]", (long)getpid());
}

/* Find out whether writing to the descriptor may block, and how much may be
 * written at once. */
static void
set_fd(int fd)
{
	struct stat st;
	int flags;

	g.fd = fd;
	g.is_dead = false;
	g.may_block = false;
	g.write_max = LOG_BUFFER;
	if (g.kind == LOG_TO_SYSLOG || fstat(fd, &st) == -1 ||
	    S_ISREG(st.st_mode))
		return;
	/* up to PIPE_BUF octets are one write: processes do not mix lines */
	g.write_max = PIPE_BUF;
	flags = fcntl(fd, F_GETFL);
	g.may_block = flags == -1 || (flags & O_NONBLOCK) == 0;
}

void
log_set_level(enum log_level level)
{
	__atomic_store_n(&g.level, level, __ATOMIC_RELAXED);
}

bool
log_enabled(enum log_level level)
{
	return level <= __atomic_load_n(&g.level, __ATOMIC_RELAXED);
}

void
log_on_failure(void (*func)(void *closure), void *closure)
{
	pthread_mutex_lock(&g.lock);
	g.on_failure = func;
	g.on_failure_closure = closure;
	pthread_mutex_unlock(&g.lock);
}

static int
open_syslog(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX,
		.sun_path = SYSLOG_PATH };
	int fd;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		fileio_close(fd);
		return -1;
	}
	return fd;
}

/* A non-blocking descriptor for stderr.  O_NONBLOCK is a flag of the open file,
 * which the shell may share: so open it anew, or else use it as it is. */
static int
open_stderr(void)
{
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st) == -1)
		return -1;
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		fd = open("/proc/self/fd/2",
		    O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd != -1)
			return fd;
	}
	return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

int
log_open(const char *target, enum log_kind *kind_r, int *fd_r)
{
	if (strcasecmp(target, "stderr") == 0) {
		*kind_r = LOG_TO_STDERR;
		*fd_r = open_stderr();
	} else if (strcasecmp(target, "syslog") == 0) {
		*kind_r = LOG_TO_SYSLOG;
		*fd_r = open_syslog();
	} else {
		*kind_r = LOG_TO_FILE;
		*fd_r = open(target, O_WRONLY | O_APPEND | O_CREAT |
		    O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0640);
	}
	return *fd_r == -1 ? -1 : 0;
}

/* The beginning of a line up to its level. */
static void
put_prefix(struct log_line *l, enum log_level level)
{
	struct timespec ts;
	struct tm tm;
	bool is_syslog = g.kind == LOG_TO_SYSLOG;
	char ms[6];

	if (g.ident_len == 0)
		set_ident(program_invocation_short_name);
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	if (ts.tv_sec != g.stamp_second) {
		g.stamp_second = ts.tv_sec;
		if (is_syslog)	/* RFC 3164 4.1.2: local time */
			g.stamp_len = strftime(g.stamp, sizeof(g.stamp),
			    "%b %e %H:%M:%S ", localtime_r(&ts.tv_sec, &tm));
		else
			g.stamp_len = strftime(g.stamp, sizeof(g.stamp),
			    "%Y-%m-%dT%H:%M:%S", gmtime_r(&ts.tv_sec, &tm));
	}
	if (is_syslog) {
		log_line_text(l, "<", 1);
		log_line_number(l, FACILITY_MAIL | levels[level].severity);
		log_line_text(l, ">", 1);
	}
	log_line_text(l, g.stamp, g.stamp_len);
	if (!is_syslog) {
		ms[0] = '.';
		ms[1] = (char)('0' + ts.tv_nsec / 100000000);
		ms[2] = (char)('0' + ts.tv_nsec / 10000000 % 10);
		ms[3] = (char)('0' + ts.tv_nsec / 1000000 % 10);
		ms[4] = 'Z';
		ms[5] = ' ';
		log_line_text(l, ms, sizeof(ms));
	}
	log_line_text(l, g.ident, g.ident_len);
	log_line_str(l, is_syslog ? ": level=" : " level=");
	log_line_str(l, levels[level].name);
	log_line_str(l, " event=");
}

static void
drop_octets(size_t n)
{
	g.used -= n;
	memmove(g.buf, g.buf + n, g.used);
}

/* Whether the errno ${e} is temporary. */
static bool
passes(int e)
{
	return e == EAGAIN || e == ENOBUFS || e == ENOMEM || e == ENOSPC ||
	    e == EDQUOT;
}

static size_t
whole_lines(size_t max)
{
	const char *nl;

	if (g.used <= max)
		return g.used;
	nl = memrchr(g.buf, '\n', max);
	return nl == NULL ? max : (size_t)(nl - g.buf) + 1;
}

static void
flush_stream(void)
{
	struct pollfd pfd;
	ssize_t n;

	while (g.used > 0) {
		pfd = (struct pollfd){ .fd = g.fd, .events = POLLOUT };
		if (g.may_block && poll(&pfd, 1, 0) != 1)
			return;
		n = write(g.fd, g.buf, whole_lines(g.write_max));
		if (n > 0) {
			drop_octets((size_t)n);
		} else if (errno != EINTR) {
			g.is_dead = !passes(errno);
			return;
		}
	}
}

/* One datagram per line. */
static void
flush_syslog(void)
{
	struct mmsghdr mm[BATCH];
	struct iovec iov[BATCH];
	char *p, *nl, *end;
	int n, i;

	while (g.used > 0) {
		memset(mm, 0, sizeof(mm));
		p = g.buf;
		end = g.buf + g.used;
		for (n = 0; n < BATCH && p < end; n++, p = nl + 1) {
			nl = memchr(p, '\n', (size_t)(end - p));
			iov[n].iov_base = p;
			iov[n].iov_len = (size_t)(nl - p);
			mm[n].msg_hdr.msg_iov = &iov[n];
			mm[n].msg_hdr.msg_iovlen = 1;
		}
		i = sendmmsg(g.fd, mm, (unsigned int)n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (i == -1 && errno == EMSGSIZE) {
			g.lost++;
			i = 1;
		}
		if (i > 0) {
			p = iov[i - 1].iov_base;
			drop_octets((size_t)(p - g.buf) +
			    iov[i - 1].iov_len + 1);
		} else if (errno != EINTR) {
			g.is_dead = !passes(errno);
			return;
		}
	}
}

static void
flush_locked(void)
{
	if (g.is_dead || g.used == 0)
		return;
	if (g.kind == LOG_TO_SYSLOG)
		flush_syslog();
	else
		flush_stream();
}

void
log_init(const char *ident, enum log_kind kind, int fd, enum log_level level)
{
	struct tm tm;
	time_t now = time(NULL);

	/* read the time zone now: a chroot may follow */
	tzset();
	localtime_r(&now, &tm);

	pthread_mutex_lock(&g.lock);
	if (g.is_initialised)
		flush_locked();		/* what was formatted for the old kind */
	set_ident(ident);
	g.kind = kind;
	g.level = level;
	g.stamp_second = -1;
	set_fd(fd);
	if (!g.is_initialised)
		atexit(log_flush);
	g.is_initialised = true;
	pthread_mutex_unlock(&g.lock);
}

static bool
append(const struct log_line *l)
{
	if (l->len > sizeof(g.buf) - g.used)
		flush_locked();
	if (l->len > sizeof(g.buf) - g.used)
		return false;
	memcpy(g.buf + g.used, l->buf, l->len);
	g.used += l->len;
	return true;
}

/* If lines were lost and there is room again, log how many. */
static void
append_lost(void)
{
	struct log_line l;

	if (g.lost == 0)
		return;
	log_line_init(&l);
	put_prefix(&l, LOG_LEVEL_WARNING);
	log_line_str(&l, "log_lost log_lost=");
	log_line_number(&l, g.lost);
	log_line_end(&l);
	if (append(&l))
		g.lost = 0;
}

/* Called with the lock; releases it, and reports a failure after that. */
static void
unlock_and_tell(bool was_dead)
{
	bool tell = g.is_dead && !was_dead && g.on_failure != NULL;
	void (*func)(void *) = g.on_failure;
	void *closure = g.on_failure_closure;

	pthread_mutex_unlock(&g.lock);
	if (tell)
		func(closure);
}

void
log_flush(void)
{
	bool was_dead;

	pthread_mutex_lock(&g.lock);
	was_dead = g.is_dead;
	flush_locked();
	unlock_and_tell(was_dead);
}

size_t
log_pending(void)
{
	size_t n;

	pthread_mutex_lock(&g.lock);
	n = g.is_dead ? 0 : g.used;
	pthread_mutex_unlock(&g.lock);
	return n;
}

const char *
log_last_error(char *buf, size_t len)
{
	pthread_mutex_lock(&g.lock);
	strlcpy(buf, g.last_error, len);
	pthread_mutex_unlock(&g.lock);
	return buf;
}

void
log_put(enum log_level level, int errnum, const char *event, const char *fmt,
    ...)
{
	struct log_line l;
	const char *text;
	va_list ap;
	size_t begin, len;
	bool was_dead;
	int saved = errno;

	if (!log_enabled(level))
		return;
	pthread_mutex_lock(&g.lock);
	was_dead = g.is_dead;
	append_lost();
	log_line_init(&l);
	put_prefix(&l, level);
	begin = l.len;
	log_line_str(&l, event);
	if (fmt != NULL && *fmt != '\0') {
		log_line_text(&l, " ", 1);
		va_start(ap, fmt);
		log_line_vformat(&l, fmt, ap);
		va_end(ap);
	}
	if (errnum != 0) {
		text = strerror(errnum);
		log_line_str(&l, " error=");
		log_line_value(&l, text, strlen(text));
	}
	if (level == LOG_LEVEL_ERROR) {
		len = l.len - begin < sizeof(g.last_error) ? l.len - begin :
		    sizeof(g.last_error) - 1;
		memcpy(g.last_error, l.buf + begin, len);
		g.last_error[len] = '\0';
	}
	log_line_end(&l);
	if (!append(&l))
		g.lost++;
	if (level <= LOG_LEVEL_WARNING)
		flush_locked();
	unlock_and_tell(was_dead);
	errno = saved;
}
