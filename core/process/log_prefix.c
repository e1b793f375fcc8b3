/* How a line of the log begins: see log_prefix.h. */

#include "core/process/log_prefix.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#define FACILITY_MAIL	(2 << 3)	/* RFC 3164 4.1.1 */

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

/* The time stamp of the last line, up to the second. */
static struct {
	time_t	 second;
	bool	 is_syslog;
	size_t	 len;
	char	 text[40];
} stamp = { .second = -1 };

void
log_ident_set(struct log_ident *id, const char *name, pid_t pid)
{
	size_t i;

	for (i = 0; name[i] != '\0' && i < LIM_NAME; i++)
		id->text[i] = isgraph((unsigned char)name[i]) ? name[i] : '-';
	id->len = i + (size_t)snprintf(id->text + i, sizeof(id->text) - i,
	    "[%ld]", (long)pid);
}

void
log_prefix_setup(void)
{
	struct tm tm;
	time_t now = time(NULL);

	tzset();
	localtime_r(&now, &tm);
}

static void
set_stamp(time_t second, bool is_syslog)
{
	struct tm tm;

	if (is_syslog)	/* RFC 3164 4.1.2: local time */
		stamp.len = strftime(stamp.text, sizeof(stamp.text),
		    "%b %e %H:%M:%S ", localtime_r(&second, &tm));
	else
		stamp.len = strftime(stamp.text, sizeof(stamp.text),
		    "%Y-%m-%dT%H:%M:%S", gmtime_r(&second, &tm));
	stamp.second = second;
	stamp.is_syslog = is_syslog;
}

static void
put_time(struct log_line *l, bool is_syslog)
{
	struct timespec ts;
	char ms[6];

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	if (ts.tv_sec != stamp.second || is_syslog != stamp.is_syslog)
		set_stamp(ts.tv_sec, is_syslog);
	log_line_text(l, stamp.text, stamp.len);
	if (is_syslog)
		return;
	ms[0] = '.';
	ms[1] = (char)('0' + ts.tv_nsec / 100000000);
	ms[2] = (char)('0' + ts.tv_nsec / 10000000 % 10);
	ms[3] = (char)('0' + ts.tv_nsec / 1000000 % 10);
	ms[4] = 'Z';
	ms[5] = ' ';
	log_line_text(l, ms, sizeof(ms));
}

void
log_prefix(struct log_line *l, enum log_kind kind, const struct log_ident *id,
    enum log_level level)
{
	bool is_syslog = kind == LOG_TO_SYSLOG;

	if (is_syslog) {
		log_line_text(l, "<", 1);
		log_line_number(l, FACILITY_MAIL | levels[level].severity);
		log_line_text(l, ">", 1);
	}
	put_time(l, is_syslog);
	log_line_text(l, id->text, id->len);
	log_line_str(l, is_syslog ? ": level=" : " level=");
	log_line_str(l, levels[level].name);
	log_line_str(l, " event=");
}
