/* Files that list addresses: one a line, perhaps with other words behind it.
 * What follows a '#' is a comment, unless it is in a quoted local part; blank
 * lines and white space at the ends of a line are skipped.  Addresses match in
 * any case of their letters.
 * Owns: the text in memory, a hash table of its lines.
 * Knows nothing of what may stand in a line. */

#ifndef CORE_TABLE_TEXTFILE_H
#define CORE_TABLE_TEXTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"

struct textfile {
	char	*text;			/* lines, each with a NUL */
	size_t	 len;			/* octets of it, with the last NUL */
	char	*more;			/* lines that have become longer */
	size_t	 more_len, more_room;
	struct textfile_line {
		uint32_t at;		/* where it begins in the text, or behind it: in ${more} */
		uint32_t next;		/* number of the next line in the same
					 * bucket, from 1; 0: none */
	}	*lines;
	size_t	 nlines, room;
	uint32_t *buckets;		/* numbers of lines, from 1; 0: none */
	size_t	 nbuckets;		/* a power of two */
};

/* Write the address ${s}, *${len} octets, not NUL terminated, in the form in which
 * it will be looked for to ${text_r}; *${len} becomes its length.  Return what is
 * wrong with it, or NULL. */
#define TEXTFILE_ADDRESS_MAX	(LIM_PATH + LIM_DOMAIN)	/* octets: none is longer */
typedef const char *textfile_address(const void *closure, const char *s,
    size_t *len, char text_r[TEXTFILE_ADDRESS_MAX]);

/* textfile_load(path, address, closure, fault, err_r, errlen): Read the file.
 * Each address is given to ${address} with ${closure}.  ${fault} gets that and each line,
 * NUL terminated: an address of ${len} octets and the words behind it, "" if
 * there are none.  It says what is wrong with them, or NULL.  Return NULL with
 * "path:line: what is wrong" or "path: cannot be read: ...". */
struct textfile *textfile_load(const char *path, textfile_address *address,
    const void *closure,
    const char *(*fault)(const void *closure, const char *address, size_t len,
	const char *words),
    char *err_r, size_t errlen);
void textfile_free(struct textfile *t);	/* NULL does nothing */

/* textfile_find(t, address, len, pos): The words behind ${address}, ${len}
 * octets, in the next line that has it; NULL with errno ENOENT: there is no other,
 * or ENOMEM: it is not known.  *${pos} is TEXTFILE_FIRST before the first call. */
#define TEXTFILE_FIRST	((size_t)-1)
const char *textfile_find(const struct textfile *t, const char *address,
    size_t len, size_t *pos);

/* textfile_word(s): Octets of the word at ${s}; textfile_blank(s): of the white
 * space there.
 * textfile_quoted(s, end): Octets of the quoted local part that begins at ${s} and
 * ends before ${end}, with its quotes; 0: there is none.
 * textfile_is_blank(c): Is it white space within a line? */
size_t textfile_word(const char *s);
size_t textfile_blank(const char *s);
size_t textfile_quoted(const char *s, const char *end);
bool textfile_is_blank(char c);

/* textfile_read(fd, max, len_r): All of a regular file, *${len_r} octets and a
 * NUL, malloced.  NULL with errno (EINVAL: not a regular file; EFBIG: longer
 * than ${max} octets). */
char *textfile_read(int fd, size_t max, size_t *len_r);

#endif
