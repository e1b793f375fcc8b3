/* See subid.h. */

#include "core/table/subid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/table/textfile.h"

#define FILE_MAX	(1 << 20)	/* octets */
#define ID_MAX		(UINT32_MAX - 1) /* (uid_t)-1 is none */

/* The number ${s}, or -1. */
static long long
number(const char *s)
{
	const char *error;
	long long n = strtonum(s, 0, UINT32_MAX, &error);

	return error == NULL ? n : -1;
}

/* "account:first:count".  Return whether it is a good range of that account. */
static bool
parse(char *line, const char *name, uint32_t id, struct subid_range *range_r)
{
	char *account = strsep(&line, ":"), *first = strsep(&line, ":");
	long long from, count;

	if (first == NULL || line == NULL || (strcmp(account, name) != 0 &&
	    number(account) != (long long)id))
		return false;
	from = number(first);
	count = number(line);
	if (from <= 0 || count <= 0 || from + count - 1 > (long long)ID_MAX)
		return false;
	*range_r = (struct subid_range){ (uint32_t)from, (uint32_t)count };
	return true;
}

int
subid_find(const char *path, const char *name, uint32_t id,
    struct subid_range *range_r)
{
	char *text, *rest, *line;
	struct subid_range range;
	size_t len;
	int fd, saved;

	*range_r = (struct subid_range){ 0, 0 };
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1)
		return -1;
	text = textfile_read(fd, FILE_MAX, &len);
	saved = errno;
	close(fd);
	errno = saved;
	if (text == NULL)
		return -1;
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
		if (parse(line, name, id, &range) &&
		    range.count > range_r->count)
			*range_r = range;
	free(text);
	errno = ENOENT;
	return range_r->count > 0 ? 0 : -1;
}
