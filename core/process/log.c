/* The log: where lines go.
 * Owns: the level, the buffer, the count of lost lines.
 * A process has one log; threads share it behind a lock.  Nothing here blocks:
 * a line that cannot be written waits in the buffer; when that is full, lines
 * are lost, and counted. */

#include "core/process/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log_line.h"
#include "core/process/log_out.h"
#include "core/process/log_prefix.h"
#include "core/process/log_record.h"
#include "core/process/log_relay.h"

static struct {
	pthread_mutex_t	 lock;
	enum log_level	 level;
	bool		 is_initialised;
	struct log_out	 out;
	void		(*on_failure)(void *);
	void		*on_failure_closure;
	struct log_ident ident;
	uint64_t	 lost;		/* lines, not yet reported by log_lost= */
	char		 last_error[LOG_ERROR_MAX];
	size_t		 used;
	char		 buf[LOG_BUFFER];
} g = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.level = LOG_LEVEL_NOTICE,
	.out = { .kind = LOG_TO_STDERR, .fd = STDERR_FILENO,
	    .write_max = LOG_BUFFER },
};

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

static void
flush_locked(void)
{
	size_t n = log_out_write(&g.out, g.buf, g.used, &g.lost);

	if (n == 0)
		return;
	g.used -= n;
	memmove(g.buf, g.buf + n, g.used);
}

/* Drop the lines in the buffer: those for a file have another form than those
 * for the logger. */
static void
forget_locked(void)
{
	const char *p = g.buf, *end = g.buf + g.used;

	for (; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		g.lost++;
	g.used = 0;
}

void
log_init(const char *ident, enum log_kind kind, int fd, enum log_level level)
{
	log_prefix_setup();
	pthread_mutex_lock(&g.lock);
	/* what was formatted for the old kind */
	if (g.is_initialised || kind == LOG_TO_LOGGER)
		flush_locked();
	if (kind == LOG_TO_LOGGER && g.out.kind != LOG_TO_LOGGER)
		forget_locked();
	log_ident_set(&g.ident, ident, getpid());
	g.level = level;
	log_out_set(&g.out, kind, fd);
	if (!g.is_initialised)
		atexit(log_flush);
	g.is_initialised = true;
	pthread_mutex_unlock(&g.lock);
}

/* Begin a line of this process. */
static void
begin_line(struct log_line *l, enum log_level level)
{
	if (g.ident.len == 0)
		log_ident_set(&g.ident, program_invocation_short_name,
		    getpid());
	log_line_init(l);
	if (g.out.kind == LOG_TO_LOGGER)
		log_record_begin(l, level);
	else
		log_prefix(l, g.out.kind, &g.ident, level);
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
	begin_line(&l, LOG_LEVEL_WARNING);
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
	bool tell = g.out.is_dead && !was_dead && g.on_failure != NULL;
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
	was_dead = g.out.is_dead;
	flush_locked();
	unlock_and_tell(was_dead);
}

bool
log_relay(const struct log_ident *who, enum log_level level, const char *text,
    size_t len)
{
	struct log_line l;
	bool was_dead, is_taken;

	pthread_mutex_lock(&g.lock);
	was_dead = g.out.is_dead;
	append_lost();
	log_line_init(&l);
	log_prefix(&l, g.out.kind, who, level);
	log_line_checked(&l, text, len);
	log_line_end(&l);
	is_taken = append(&l);
	unlock_and_tell(was_dead);
	return is_taken;
}

bool
log_has_room(void)
{
	bool was_dead, has_room;

	pthread_mutex_lock(&g.lock);
	was_dead = g.out.is_dead;
	if (sizeof(g.buf) - g.used < LOG_LINE_MAX)
		flush_locked();
	has_room = sizeof(g.buf) - g.used >= LOG_LINE_MAX;
	unlock_and_tell(was_dead);
	return has_room;
}

bool
log_is_written(void)
{
	bool is_written;

	pthread_mutex_lock(&g.lock);
	is_written = g.used == 0;
	pthread_mutex_unlock(&g.lock);
	return is_written;
}

size_t
log_pending(void)
{
	size_t n;

	pthread_mutex_lock(&g.lock);
	n = g.out.is_dead ? 0 : g.used;
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
	was_dead = g.out.is_dead;
	append_lost();
	begin_line(&l, level);
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
