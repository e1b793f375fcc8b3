/* A field of a struct that is set from a configuration's text: its row in a
 * table has the name, the type, the default, the range and the unit.
 * Owns: the syntax of values, the text of errors.
 * Knows nothing of files or sections. */

#ifndef CORE_UTIL_CONF_FIELD_H
#define CORE_UTIL_CONF_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
	CONF_BOOL,	/* bool: true, yes, on, 1, false, no, off, 0 */
	CONF_INT,	/* int64_t */
	CONF_SIZE,	/* int64_t, octets: 4096, 10M */
	CONF_TIME,	/* int64_t, seconds: 300, 5m, 1h30m */
	CONF_MODE,	/* int64_t: the rights of a file in octal, 0660 */
	CONF_CHOICE,	/* int: which of the row's a|b|c */
	CONF_STRING,	/* char *, never NULL: any octets but NUL */
	CONF_TEXT,	/* char *, never NULL: printable ASCII */
	CONF_DOMAIN,	/* char *, never NULL: CONF_TEXT, or a domain in UTF-8,
			 * which becomes one of A-labels (idna.h) */
	CONF_LIST,	/* struct conf_list of CONF_TEXT, none of them empty */
	CONF_DOMAINS,	/* struct conf_list of CONF_DOMAIN, none of them empty */
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
typedef int64_t			 conf_field_MODE;
typedef int			 conf_field_CHOICE;
typedef char			*conf_field_STRING;
typedef char			*conf_field_TEXT;
typedef char			*conf_field_DOMAIN;
typedef struct conf_list	 conf_field_LIST;
typedef struct conf_list	 conf_field_DOMAINS;
typedef struct conf_list	 conf_field_NETWORKS;

struct conf_field {
	const char	*name;
	enum conf_type	 type;
	size_t		 offset;	/* in the struct */
	const char	*def;		/* as it would be written; CHOICE: a|b=other|c,
					 * where b has a second name, and the
					 * first is the default; a list: with
					 * commas */
	int64_t		 min, max;	/* of a number, or of a text's length */
	const char	*unit;		/* a number's unit, or a remark; or NULL */
};

/* CONF_FIELD(base, name, member, type, def[, min, max[, unit]]): The
 * initialiser of the row for that member of struct ${base}. */
#define CONF_FIELD(base, field_name, member, field_type, ...) \
	{ .name = field_name, .type = CONF_##field_type, \
	    .offset = offsetof(struct base, member), .def = __VA_ARGS__ }

/* conf_field_is_list(f): Whether it takes any number of values.
 * conf_field_is_text(f): Whether its value is one text, and no number. */
bool conf_field_is_list(const struct conf_field *f);
bool conf_field_is_text(const struct conf_field *f);

/* conf_field_set(base, f, values, n, expected_r, len): Set the field of the
 * struct at ${base}, which was zeroed at first, from one value, or a list from
 * any number; the old value is freed.  Return 0; or -1 with errno EINVAL,
 * ERANGE or ENOMEM, the field unchanged, and in ${expected_r} what was
 * expected: "a number from 1 to 9 (processes)". */
int conf_field_set(void *base, const struct conf_field *f,
    const char *const *values, size_t n, char *expected_r, size_t len);

/* conf_field_default(base, f): The same from its default.  Return 0 or -1
 * (ENOMEM). */
int conf_field_default(void *base, const struct conf_field *f);

/* conf_field_check(f, value, expected_r, len): Check a value of the field, or
 * one of its list.  Return as conf_field_set() does. */
int conf_field_check(const struct conf_field *f, const char *value,
    char *expected_r, size_t len);

/* conf_field_text(base, f, buf): The value of a field that is neither text nor
 * list, as it may be written: "true", "7", "10M", "90m", "auto".  Return
 * ${buf}; or NULL, it is a text or a list. */
#define CONF_FIELD_TEXT	64
const char *conf_field_text(const void *base, const struct conf_field *f,
    char buf[CONF_FIELD_TEXT]);

/* conf_field_free(base, f): Free what the field holds and zero it. */
void conf_field_free(void *base, const struct conf_field *f);

#endif
