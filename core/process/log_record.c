/* The lines of a process on their way to the logger: see log_record.h. */

#include "core/process/log_record.h"

#include <stdbool.h>
#include <string.h>

#include "core/process/log_prefix.h"

void
log_record_begin(struct log_line *l, enum log_level level)
{
	char digit = (char)('0' + level);

	log_line_leave(l, LOG_PREFIX_MAX);
	log_line_text(l, &digit, 1);
}

/* Does ${s} begin with the name of an event? */
static bool
has_event(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len && ((s[i] >= 'a' && s[i] <= 'z') ||
	    (i > 0 && (s[i] == '-' || s[i] == '_'))); i++)
		;
	return i > 0 && (i == len || s[i] == ' ');
}

int
log_record_next(const char *rec, size_t len, size_t *at,
    struct log_record_line *line_r)
{
	const char *line = rec + *at, *nl;
	size_t n;

	if (*at >= len)
		return 0;
	nl = memchr(line, '\n', len - *at);
	n = nl == NULL ? len - *at : (size_t)(nl - line);
	*at += nl == NULL ? n : n + 1;
	if (n < 2 || line[0] < '0' + LOG_LEVEL_ERROR ||
	    line[0] > '0' + LOG_LEVEL_DEBUG || !has_event(line + 1, n - 1))
		return -1;
	*line_r = (struct log_record_line){
		.level = (enum log_level)(line[0] - '0'),
		.text = line + 1, .len = n - 1 };
	return 1;
}
