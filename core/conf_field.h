/* A field of a struct that is set from a configuration's text: its row in a
 * table has the name, the type, the default, the range and the unit. */

#ifndef CORE_CONF_FIELD_H
#define CORE_CONF_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>

MAILMILL_BEGIN

enum conf_type {
	CONF_BOOL,	/* bool: true, yes, on, 1, false, no, off, 0 */
	CONF_INT,	/* int64_t */
	CONF_SIZE,	/* int64_t, octets: 4096, 10M */
	CONF_TIME,	/* int64_t, seconds: 300, 5m, 1h30m */
	CONF_CHOICE,	/* int: which of the row's a|b|c */
	CONF_STRING,	/* char *, never NULL: any octets but NUL */
	CONF_TEXT,	/* char *, never NULL: printable ASCII */
	CONF_LIST,	/* struct conf_list of CONF_TEXT, none of them empty */
	CONF_NETWORKS	/* struct conf_list of addresses and networks */
};

struct conf_list {
	char	**v;
	size_t	  n;
};

/* the C type of a field, by the type column */
typedef bool			 conf_field_BOOL;
typedef int64_t			 conf_field_INT;
typedef int64_t			 conf_field_SIZE;
typedef int64_t			 conf_field_TIME;
typedef int			 conf_field_CHOICE;
typedef char			*conf_field_STRING;
typedef char			*conf_field_TEXT;
typedef struct conf_list	 conf_field_LIST;
typedef struct conf_list	 conf_field_NETWORKS;

struct conf_field {
	const char	*name;
	enum conf_type	 type;
	size_t		 offset;	/* in the struct */
	const char	*def;		/* as it would be written; CHOICE: a|b|c,
					 * the first is the default; a list:
					 * with commas */
	int64_t		 min, max;	/* of a number, or of a text's length */
	const char	*unit;		/* a number's unit, or a remark; or NULL */
};

/* CONF_FIELD(base, name, member, type, def[, min, max[, unit]]): The
 * initialiser of the row for that member of struct ${base}. */
#define CONF_FIELD(base, field_name, member, field_type, ...) \
	{ .name = field_name, .type = CONF_##field_type, \
	    .offset = offsetof(struct base, member), .def = __VA_ARGS__ }

MAILMILL_END

#endif
