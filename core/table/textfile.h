/* Files of lines that an administrator writes: read whole, comments cut off.
 * Knows nothing of what the lines mean. */

#ifndef CORE_TEXTFILE_H
#define CORE_TEXTFILE_H

#include <stddef.h>

/* so that offsets fit in 32 bits */
#define TEXTFILE_OCTETS_MAX	(1u << 30)

/* textfile_read(path, &len_r): All of a regular file, with a newline added at
 * its end, malloced.  NULL with errno (EINVAL: not a regular file; EFBIG). */
char *textfile_read(const char *path, size_t *len_r);

/* textfile_trim(&s, &end): Cut the comment ('#' to the end) and the white space
 * at both ends off the line [*s_r, *end_r). */
void textfile_trim(const char **s_r, const char **end_r);

/* textfile_lower(c): ASCII letters in lower case. */
static inline char
textfile_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

#endif
