/* What a configuration is read from: the "name=value" of the command line, the
 * file, and the files that it includes.
 * Owns: the texts, each read once, so that they can be handed on as they were;
 * how the name of an included file is understood.
 * Knows nothing of the syntax. */

#ifndef CORE_CONF_CONF_INPUT_H
#define CORE_CONF_CONF_INPUT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CONF_FILE_MAX	(16 * 1024 * 1024)	/* octets of one file */
#define CONF_INCLUDE_DEPTH	10	/* files within files */
#define CONF_INCLUDE_MAX	10000	/* files in all: a mistake, not a need */

enum conf_item_kind { CONF_OVERRIDE, CONF_FILE, CONF_MATCH };

struct conf_item {
	STAILQ_ENTRY(conf_item) link;
	enum conf_item_kind kind;
	char	*name;		/* "name=value", a path, or a pattern */
	char	*text;		/* of a file; or the paths that match, sorted,
				 * each with its NUL */
	size_t	 len;
};

struct conf_input {
	STAILQ_HEAD(, conf_item) items;	/* the first file is the main one */
	bool	 is_copy;		/* from a pack: opens no file */
};

/* conf_input_new(fp, filename, overrides, n): Read all of ${fp}.  NULL with
 * errno. */
struct conf_input *conf_input_new(FILE *fp, const char *filename,
    const char *const *overrides, size_t n);
void conf_input_free(struct conf_input *in);	/* NULL does nothing */

/* conf_input_main(in), conf_input_file(in, path): A file, read if it was not
 * yet.  NULL with errno. */
const struct conf_item *conf_input_main(const struct conf_input *in);
const struct conf_item *conf_input_file(struct conf_input *in,
    const char *path);

/* conf_input_match(in, pattern, from): The paths for the include ${pattern} in
 * the file ${from}, beside which it is looked for unless it begins with '/'.
 * Without a wildcard (glob(7)) it is one path, whether there is a file or not.
 * NULL with errno. */
const struct conf_item *conf_input_match(struct conf_input *in,
    const char *pattern, const char *from);

/* conf_input_pack(in, fd): Write a copy of all.  Return 0, or -1 with errno.
 * conf_input_unpack(pack, len): Read it.  NULL with errno (EINVAL: it is not a
 * pack).
 * conf_input_forget(in): Free the texts; the names, which messages point to,
 * stay. */
int conf_input_pack(const struct conf_input *in, int fd);
struct conf_input *conf_input_unpack(const char *pack, size_t len);
void conf_input_forget(struct conf_input *in);

#endif
