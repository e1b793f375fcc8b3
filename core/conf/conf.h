/* Configuration files: sections and settings from tables.
 * Owns: the syntax, which setting may stand where, the message for each thing
 * that can be wrong, overrides from the command line, lookup from the inside
 * out.
 * Knows nothing of what a setting means.  All values are text here, checked by
 * their fields (core/util/conf_field.h). */

#ifndef CORE_CONF_CONF_H
#define CORE_CONF_CONF_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>

#include "core/conf/conf_input.h"
#include "core/util/conf_field.h"

#define CONF_EXPECTED_MAX 256	/* octets a check may write */
#define CONF_AT_MAX	300	/* octets of conf_at_text() */

/* Where something is written. */
struct conf_at {
	const char	*file;		/* NULL: -D.  Part of the conf_input */
	int		 line, column;	/* from 1; columns are octets */
};

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
	bool		 is_free;	/* its settings have any name: conf_pair */
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
	size_t		  row;
	struct conf_at	  at;
	char		**v;
	size_t		  n;		/* 1, or for a list any number */
	struct conf_at	 *more;		/* each += that appends to it */
	size_t		  nmore;
};

/* A setting of a section that is_free: one value; of a list, one of these for
 * each value. */
struct conf_pair {
	STAILQ_ENTRY(conf_pair) link;
	struct conf_at	  at;		/* of the value */
	char		 *name;		/* as it is written */
	char		 *value;
};

struct conf_section {
	STAILQ_ENTRY(conf_section) link;
	size_t			 row;		/* in schema->sections */
	struct conf_at		 at;
	char			*title;		/* NULL: it has none */
	struct conf_section	*parent;
	STAILQ_HEAD(, conf_section) children;	/* as in the files */
	STAILQ_HEAD(, conf_value) values;
	STAILQ_HEAD(, conf_pair) pairs;		/* as in the files */
};

struct conf {
	const struct conf_schema *schema;
	struct conf_section	*root;
	STAILQ_HEAD(, conf_value) overrides;
	char			*err;		/* the caller's; keeps the first message */
	size_t			 errlen;
	bool			 has_failed;
};

/* conf_parse(in, schema, err_r, errlen): NULL with a message in ${err_r}, which
 * is kept for conf_error().  ${in} and ${schema} are kept. */
struct conf *conf_parse(struct conf_input *in,
    const struct conf_schema *schema, char *err_r, size_t errlen);
void conf_free(struct conf *c);		/* NULL does nothing */

/* conf_get(c, section, row): The override of ${row}, or what ${section} itself
 * says; NULL if neither. */
const struct conf_value *conf_get(const struct conf *c,
    const struct conf_section *section, size_t row);

/* conf_at_text(at, buf, len): "FILE:LINE:COLUMN", or "-D".
 * conf_at_seen(at, from, buf, len): The same for a message about ${from}: only
 * "line 3" where both are in one file. */
const char *conf_at_text(const struct conf_at *at, char *buf, size_t len);
const char *conf_at_seen(const struct conf_at *at, const struct conf_at *from,
    char *buf, size_t len);

/* conf_error(c, at, fmt, ...): Write "FILE:LINE:COLUMN: ..." ("-D: ...") to
 * c->err, unless that has a message already.  Return -1. */
int conf_error(struct conf *c, const struct conf_at *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* conf_shown(value, buf): ${value} for a message: cut to CONF_SHOWN octets, and
 * each control character as '?'.  Return ${buf}. */
#define CONF_SHOWN	80
const char *conf_shown(const char *value, char buf[CONF_SHOWN + 4]);

/* conf_error_value(c, at, name, value, expected): Write the message
 * "option 'name': expected ..., found ...".  Return -1. */
int conf_error_value(struct conf *c, const struct conf_at *at,
    const char *name, const char *value, const char *expected);

/* conf_nomem(c): Write that there is no memory.  Return -1. */
int conf_nomem(struct conf *c);

#endif
