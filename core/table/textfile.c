/* Files of lines that an administrator writes: read whole, comments cut off.
 * Knows nothing of what the lines mean. */

#include "core/table/textfile.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/fileio.h"

char *
textfile_read(const char *path, size_t *len_r)
{
	struct stat st;
	char *text = NULL;
	ssize_t n;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) ==
	    -1 || fstat(fd, &st) == -1)
		goto err;
	errno = EINVAL;
	if (!S_ISREG(st.st_mode))
		goto err;
	errno = EFBIG;
	if (st.st_size > (off_t)TEXTFILE_OCTETS_MAX ||
	    (text = malloc((size_t)st.st_size + 2)) == NULL)
		goto err;
	if ((n = fileio_pread(fd, text, (size_t)st.st_size, 0)) == -1)
		goto err;
	close(fd);
	text[n++] = '\n';
	*len_r = (size_t)n;
	return text;
err:
	free(text);
	fileio_close(fd);
	return NULL;
}

/* Cut the comment and the white space at both ends off the line. */
static void
trim(const char **s_r, const char **end_r)
{
	const char *s = *s_r, *end = *end_r, *hash;

	if ((hash = memchr(s, '#', (size_t)(end - s))) != NULL)
		end = hash;
	while (s < end && strchr(" \t\r", *s) != NULL && *s != '\0')
		s++;
	while (end > s && strchr(" \t\r", end[-1]) != NULL && end[-1] != '\0')
		end--;
	*s_r = s;
	*end_r = end;
}

int
textfile_lines(const char *text, size_t len, const char *path,
    const char *(*each)(void *closure, const char *s, const char *end),
    void *closure, char *err_r, size_t errlen)
{
	const char *line, *text_end = text + len, *nl, *s, *end, *fault;
	unsigned long number = 1;

	for (line = text; line < text_end; line = nl + 1, number++) {
		nl = memchr(line, '\n', (size_t)(text_end - line));
		s = line;
		end = nl;
		trim(&s, &end);
		if (s == end || (fault = each(closure, s, end)) == NULL)
			continue;
		snprintf(err_r, errlen, "%s:%lu: %s", path, number, fault);
		return -1;
	}
	return 0;
}
