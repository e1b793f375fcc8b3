/* Files of lines that an administrator writes: read whole, comments cut off.
 * Knows nothing of what the lines mean. */

#ifndef CORE_TABLE_TEXTFILE_H
#define CORE_TABLE_TEXTFILE_H

#include <stddef.h>

/* so that offsets fit in 32 bits */
#define TEXTFILE_OCTETS_MAX	(1u << 30)

/* textfile_read(path, &len_r): All of a regular file, with a newline added at
 * its end, malloced.  NULL with errno (EINVAL: not a regular file; EFBIG). */
char *textfile_read(const char *path, size_t *len_r);

/* textfile_lines(text, len, path, each, closure, err_r, errlen): Call ${each}
 * for each line [s, end) of what textfile_read() returned, without its comment
 * ('#' to the end) and the white space at its ends, unless nothing is left of
 * it.  ${each} says what is wrong with the line, or NULL; it may write to the
 * text up to ${end}.  Return 0, or -1 with "path:line: what is wrong". */
int textfile_lines(const char *text, size_t len, const char *path,
    const char *(*each)(void *closure, const char *s, const char *end),
    void *closure, char *err_r, size_t errlen);

/* textfile_lower(c): ASCII letters in lower case. */
static inline char
textfile_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

#endif
