/* Configuration: what was read, and how it is asked for.
 * Owns: struct conf and its values, messages, overrides. */

#include "core/conf/conf.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf/conf_int.h"
#include "core/util/conf_field.h"

static const struct conf_at on_command_line;

const char *
conf_at_text(const struct conf_at *at, char *buf, size_t len)
{
	if (at->file == NULL)
		return "-D";
	snprintf(buf, len, "%.256s:%d:%d", at->file, at->line, at->column);
	return buf;
}

const char *
conf_at_seen(const struct conf_at *at, const struct conf_at *from, char *buf,
    size_t len)
{
	if (at->file == NULL || at->file != from->file)
		return conf_at_text(at, buf, len);
	snprintf(buf, len, "line %d", at->line);
	return buf;
}

int
conf_error(struct conf *c, const struct conf_at *at, const char *fmt, ...)
{
	char buf[CONF_AT_MAX];
	va_list ap;
	int n;

	if (c->has_failed)
		return -1;
	c->has_failed = true;
	n = snprintf(c->err, c->errlen, "%s: ", conf_at_text(at, buf,
	    sizeof(buf)));
	if (n < 0 || (size_t)n >= c->errlen)
		return -1;
	va_start(ap, fmt);
	vsnprintf(c->err + n, c->errlen - (size_t)n, fmt, ap);
	va_end(ap);
	return -1;
}

const char *
conf_shown(const char *value, char buf[CONF_SHOWN + 4])
{
	size_t i;

	for (i = 0; value[i] != '\0' && i < CONF_SHOWN; i++)
		buf[i] = iscntrl((unsigned char)value[i]) ? '?' : value[i];
	memcpy(buf + i, "...", 4);
	if (value[i] == '\0')
		buf[i] = '\0';
	return buf;
}

int
conf_error_value(struct conf *c, const struct conf_at *at, const char *name,
    const char *value, const char *expected)
{
	char found[CONF_SHOWN + 4];

	return conf_error(c, at, "option '%s': expected %s, found \"%s\"",
	    name, expected, conf_shown(value, found));
}

int
conf_nomem(struct conf *c)
{
	if (!c->has_failed)
		snprintf(c->err, c->errlen, "out of memory");
	c->has_failed = true;
	return -1;
}

static void
value_free(struct conf_value *value)
{
	size_t i;

	for (i = 0; i < value->n; i++)
		free(value->v[i]);
	free(value->v);
	free(value->more);
	free(value);
}

static void
pair_free(struct conf_pair *pair)
{
	if (pair == NULL)
		return;
	free(pair->name);
	free(pair->value);
	free(pair);
}

static void
section_free(struct conf_section *s)
{
	struct conf_section *child;
	struct conf_value *value;
	struct conf_pair *pair;

	while ((child = STAILQ_FIRST(&s->children)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->children, link);
		section_free(child);
	}
	while ((value = STAILQ_FIRST(&s->values)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->values, link);
		value_free(value);
	}
	while ((pair = STAILQ_FIRST(&s->pairs)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->pairs, link);
		pair_free(pair);
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
	free(c);
}

struct conf_value *
conf_value_find(const struct conf *c, const struct conf_section *section,
    size_t row)
{
	struct conf_value *value;

	if (section == NULL) {
		STAILQ_FOREACH(value, &c->overrides, link)
			if (value->row == row)
				return value;
		return NULL;
	}
	STAILQ_FOREACH(value, &section->values, link)
		if (value->row == row)
			return value;
	return NULL;
}

const struct conf_value *
conf_get(const struct conf *c, const struct conf_section *section, size_t row)
{
	const struct conf_value *value = conf_value_find(c, NULL, row);

	return value != NULL ? value : conf_value_find(c, section, row);
}

static int
check(struct conf *c, size_t row, const char *text, const struct conf_at *at)
{
	const struct conf_field *f = c->schema->rows[row].field;
	char expected[CONF_EXPECTED_MAX];

	if (conf_field_check(f, text, expected, sizeof(expected)) == 0 &&
	    c->schema->check(row, text, expected, sizeof(expected)) == 0)
		return 0;
	return conf_error_value(c, at, f->name, text, expected);
}

int
conf_value_add(struct conf *c, struct conf_section *section, size_t row,
    const char *text, const struct conf_at *at)
{
	struct conf_value *value = conf_value_find(c, section, row);
	char **grown;

	if (text != NULL && check(c, row, text, at) == -1)
		return -1;
	if (value == NULL) {
		if ((value = calloc(1, sizeof(*value))) == NULL)
			return conf_nomem(c);
		value->row = row;
		value->at = *at;
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

int
conf_value_more(struct conf *c, struct conf_section *section, size_t row,
    const struct conf_at *at)
{
	struct conf_value *value = conf_value_find(c, section, row);
	struct conf_at *grown;

	grown = reallocarray(value->more, value->nmore + 1, sizeof(*grown));
	if (grown == NULL)
		return conf_nomem(c);
	value->more = grown;
	value->more[value->nmore++] = *at;
	return 0;
}

int
conf_pair_add(struct conf *c, struct conf_section *section, const char *name,
    const char *value, const struct conf_at *at)
{
	struct conf_pair *pair;

	if ((pair = calloc(1, sizeof(*pair))) == NULL ||
	    (pair->name = strdup(name)) == NULL ||
	    (pair->value = strdup(value)) == NULL) {
		pair_free(pair);
		return conf_nomem(c);
	}
	pair->at = *at;
	STAILQ_INSERT_TAIL(&section->pairs, pair, link);
	return 0;
}

const struct conf_pair *
conf_pair_find(const struct conf_section *section, const char *name)
{
	const struct conf_pair *pair;

	STAILQ_FOREACH(pair, &section->pairs, link)
		if (strcasecmp(pair->name, name) == 0)
			return pair;
	return NULL;
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
	const struct conf_at *at = &on_command_line;
	char *part;

	if (conf_value_find(c, NULL, row) != NULL)
		return conf_error(c, at, "option '%s' is given twice", f->name);
	if (!conf_field_is_list(f))
		return conf_value_add(c, NULL, row, trim(value), at);
	if (conf_value_add(c, NULL, row, NULL, at) == -1)
		return -1;
	while ((part = strsep(&value, ",")) != NULL) {
		part = trim(part);
		if (*part != '\0' &&
		    conf_value_add(c, NULL, row, part, at) == -1)
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
		return conf_error(c, &on_command_line, "expected name=value, "
		    "found \"%s\"", text);
	if ((copy = strdup(text)) == NULL)
		return conf_nomem(c);
	copy[equals - text] = '\0';
	name = trim(copy);
	for (i = 0; i < c->schema->nrows; i++)
		if (strcasecmp(name, c->schema->rows[i].field->name) == 0)
			break;
	if (i == c->schema->nrows)
		conf_error(c, &on_command_line, "no such option '%s'",
		    name);
	else
		rv = override_set(c, i, copy + (equals - text) + 1);
	free(copy);
	return rv;
}
