/* Configuration files: sections and settings from tables, on libConfuse.
 * Owns: the syntax, which setting may stand where, the message for each thing
 * that can be wrong, overrides from the command line, lookup from the inside
 * out.
 * Knows nothing of what a setting means: a row brings its own check.
 * All values are text here, checked by their fields (core/conf_field.h). */

#ifndef CORE_CONF_H
#define CORE_CONF_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/conf_field.h"

#define CONF_FILE_MAX	(16 * 1024 * 1024)	/* octets of a configuration file */
#define CONF_EXPECTED_MAX 256			/* octets a check may write */

/* A setting.  Names match in any case; a list is { a, b }. */
struct conf_row {
	const struct conf_field	*field;
	unsigned int		 scopes; /* bits of the sections it may stand in */
};

/* A kind of section.  Row 0 is the file itself, outside all sections. */
struct conf_section_row {
	const char	*name;
	unsigned int	 scope;		/* its bit */
	unsigned int	 parents;	/* bits of those it may stand in; 0 for row 0 */
	bool		 has_title;	/* required, unique (in any case) among its siblings */
	/* as conf_field_check() */
	int (*check_title)(const char *title, char *expected_r, size_t len);
};

struct conf_schema {
	const struct conf_row		*rows;
	size_t				 nrows;
	const struct conf_section_row	*sections;
	size_t				 nsections;
	/* what the server demands of a value that is right by its field */
	int (*check)(size_t row, const char *value, char *expected_r,
	    size_t len);
};

struct conf_value {
	STAILQ_ENTRY(conf_value) link;
	size_t	  row;
	int	  line;		/* 0: from -D */
	char	**v;
	size_t	  n;		/* 1, or for a list any number */
};

struct conf_section {
	STAILQ_ENTRY(conf_section) link;
	size_t			 row;		/* in schema->sections */
	int			 line;
	char			*title;		/* NULL: it has none */
	struct conf_section	*parent;
	const void		*key;		/* the parser's own */
	STAILQ_HEAD(, conf_section) children;	/* as in the file */
	STAILQ_HEAD(, conf_value) values;
};

struct conf {
	const struct conf_schema *schema;
	char			*filename;	/* for messages */
	struct conf_section	*root;
	STAILQ_HEAD(, conf_value) overrides;
	char			*err;		/* the caller's; first message wins */
	size_t			 errlen;
	bool			 has_failed;
	struct conf_section	*open;		/* innermost while parsing */
};

/* conf_parse(fp, filename, schema, overrides, n, err_r, errlen): Read all of
 * ${fp}.  ${overrides}: "name=value", a list's values parted by commas.  NULL
 * with a message in ${err_r}, which is kept for conf_error().  ${schema} is
 * kept.  Not reentrant: libConfuse's scanner is one per process. */
struct conf *conf_parse(FILE *fp, const char *filename,
    const struct conf_schema *schema, const char *const *overrides, size_t n,
    char *err_r, size_t errlen);
void conf_free(struct conf *c);		/* NULL does nothing */

/* conf_get(c, section, row): The override of ${row}, or what ${section} itself
 * says; NULL if neither. */
const struct conf_value *conf_get(const struct conf *c,
    const struct conf_section *section, size_t row);

/* conf_error(c, line, fmt, ...): Note "file:line: ..." ("-D: ..." for line 0)
 * unless a message was noted before.  Return -1. */
int conf_error(struct conf *c, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* conf_error_value(c, line, name, value, expected): The same as
 * "option 'name': expected ..., found ...". */
int conf_error_value(struct conf *c, int line, const char *name,
    const char *value, const char *expected);

#endif
