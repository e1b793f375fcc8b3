/* Configuration: what was read, and how it is asked for.
 * Owns: struct conf and its values; libConfuse is in conf_parse.c. */

#include "core/conf/conf.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf/conf_int.h"

#define FOUND_MAX	80	/* octets of a wrong value shown */

int
conf_error(struct conf *c, int line, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (c->has_failed)
		return -1;
	c->has_failed = true;
	if (line == 0)
		n = snprintf(c->err, c->errlen, "-D: ");
	else
		n = snprintf(c->err, c->errlen, "%s:%d: ", c->filename, line);
	if (n < 0 || (size_t)n >= c->errlen)
		return -1;
	va_start(ap, fmt);
	vsnprintf(c->err + n, c->errlen - (size_t)n, fmt, ap);
	va_end(ap);
	return -1;
}

int
conf_error_value(struct conf *c, int line, const char *name,
    const char *value, const char *expected)
{
	char found[FOUND_MAX + 4];
	size_t i;

	for (i = 0; value[i] != '\0' && i < FOUND_MAX; i++)
		found[i] = iscntrl((unsigned char)value[i]) ? '?' : value[i];
	memcpy(found + i, "...", 4);
	if (value[i] == '\0')
		found[i] = '\0';
	return conf_error(c, line, "option '%s': expected %s, found \"%s\"",
	    name, expected, found);
}

int
conf_nomem(struct conf *c)
{
	return conf_error(c, 1, "out of memory");
}

static void
value_free(struct conf_value *value)
{
	size_t i;

	for (i = 0; i < value->n; i++)
		free(value->v[i]);
	free(value->v);
	free(value);
}

static void
section_free(struct conf_section *s)
{
	struct conf_section *child;
	struct conf_value *value;

	while ((child = STAILQ_FIRST(&s->children)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->children, link);
		section_free(child);
	}
	while ((value = STAILQ_FIRST(&s->values)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->values, link);
		value_free(value);
	}
	free(s->title);
	free(s);
}

void
conf_free(struct conf *c)
{
	struct conf_value *value;

	if (c == NULL)
		return;
	while ((value = STAILQ_FIRST(&c->overrides)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->overrides, link);
		value_free(value);
	}
	if (c->root != NULL)
		section_free(c->root);
	free(c->filename);
	free(c);
}

static struct conf_value *
section_value(const struct conf_section *s, size_t row)
{
	struct conf_value *value;

	STAILQ_FOREACH(value, &s->values, link)
		if (value->row == row)
			return value;
	return NULL;
}

static struct conf_value *
override_value(const struct conf *c, size_t row)
{
	struct conf_value *value;

	STAILQ_FOREACH(value, &c->overrides, link)
		if (value->row == row)
			return value;
	return NULL;
}

const struct conf_value *
conf_get(const struct conf *c, const struct conf_section *section, size_t row)
{
	const struct conf_value *value = override_value(c, row);

	return value != NULL ? value : section_value(section, row);
}

int
conf_value_check(struct conf *c, size_t row, const char *value, int line)
{
	const struct conf_field *f = c->schema->rows[row].field;
	char expected[CONF_EXPECTED_MAX];

	if (conf_field_check(f, value, expected, sizeof(expected)) == 0 &&
	    c->schema->check(row, value, expected, sizeof(expected)) == 0)
		return 0;
	return conf_error_value(c, line, f->name, value, expected);
}

int
conf_value_add(struct conf *c, struct conf_section *section, size_t row,
    const char *text, int line)
{
	struct conf_value *value;
	char **grown;

	value = section == NULL ? override_value(c, row) :
	    section_value(section, row);
	if (value == NULL) {
		if ((value = calloc(1, sizeof(*value))) == NULL)
			return conf_nomem(c);
		value->row = row;
		value->line = line;
		if (section == NULL)
			STAILQ_INSERT_TAIL(&c->overrides, value, link);
		else
			STAILQ_INSERT_TAIL(&section->values, value, link);
	}
	if (text == NULL)
		return 0;
	grown = reallocarray(value->v, value->n + 1, sizeof(*grown));
	if (grown == NULL)
		return conf_nomem(c);
	value->v = grown;
	if ((value->v[value->n] = strdup(text)) == NULL)
		return conf_nomem(c);
	value->n++;
	return 0;
}

/* Cut white space off both ends of ${s}, in place. */
static char *
trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	for (end = s + strlen(s); end > s &&
	    isspace((unsigned char)end[-1]); end--)
		;
	*end = '\0';
	return s;
}

static int
override_set(struct conf *c, size_t row, char *value)
{
	const struct conf_field *f = c->schema->rows[row].field;
	char *part;

	if (override_value(c, row) != NULL)
		return conf_error(c, 0, "option '%s' is given twice", f->name);
	if (!conf_field_is_list(f)) {
		value = trim(value);
		return conf_value_check(c, row, value, 0) == -1 ? -1 :
		    conf_value_add(c, NULL, row, value, 0);
	}
	if (conf_value_add(c, NULL, row, NULL, 0) == -1)
		return -1;
	while ((part = strsep(&value, ",")) != NULL) {
		part = trim(part);
		if (*part == '\0')
			continue;
		if (conf_value_check(c, row, part, 0) == -1 ||
		    conf_value_add(c, NULL, row, part, 0) == -1)
			return -1;
	}
	return 0;
}

int
conf_override(struct conf *c, const char *text)
{
	const char *equals = strchr(text, '=');
	char *copy, *name;
	size_t i;
	int rv = -1;

	if (equals == NULL)
		return conf_error(c, 0, "expected name=value, found \"%s\"",
		    text);
	if ((copy = strdup(text)) == NULL)
		return conf_nomem(c);
	copy[equals - text] = '\0';
	name = trim(copy);
	for (i = 0; i < c->schema->nrows; i++)
		if (strcasecmp(name, c->schema->rows[i].field->name) == 0)
			break;
	if (i == c->schema->nrows)
		conf_error(c, 0, "no such option '%s'", name);
	else
		rv = override_set(c, i, copy + (equals - text) + 1);
	free(copy);
	return rv;
}
