/* Configuration: from tokens to sections and values.
 * Owns: the grammar, which name may stand where, what is included. */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf/conf_int.h"
#include "core/util/conf_field.h"

struct parser {
	struct conf_lex		 lex;
	struct conf		*c;
	struct conf_input	*in;
	size_t			 nfiles;
};

static int parse_block(struct parser *p, struct conf_section *section,
    const struct conf_at *open);

/* --- names ---------------------------------------------------------------- */

/* Write the names of the sections whose bits are in ${scopes}. */
static void
scope_words(const struct conf_schema *schema, unsigned int scopes, char *buf,
    size_t len)
{
	size_t i, used = 0;

	*buf = '\0';
	for (i = 0; i < schema->nsections && used < len; i++)
		if ((scopes & schema->sections[i].scope) != 0)
			used += (size_t)snprintf(buf + used, len - used, "%s%s",
			    used == 0 ? "" : ", ", i == 0 ?
			    "outside all sections" : schema->sections[i].name);
}

/* Note that the last word is not allowed here: say where it is, or that there is
 * no such name. */
static int
no_such(struct parser *p)
{
	const struct conf_schema *schema = p->c->schema;
	const char *name = p->lex.text;
	unsigned int scopes = 0;
	char words[160];
	size_t i;

	for (i = 0; i < schema->nrows; i++)
		if (strcasecmp(name, schema->rows[i].field->name) == 0)
			scopes = schema->rows[i].scopes;
	for (i = 1; i < schema->nsections; i++)
		if (strcasecmp(name, schema->sections[i].name) == 0)
			scopes = schema->sections[i].parents;
	if (scopes == 0)
		return conf_error(p->c, &p->lex.at, "no such option '%.100s'",
		    name);
	scope_words(schema, scopes, words, sizeof(words));
	return conf_error(p->c, &p->lex.at, "option '%.100s' is not "
	    "allowed here (allowed: %s)", name, words);
}

/* --- settings ------------------------------------------------------------- */

static bool
is_value(const struct parser *p)
{
	return p->lex.token == TOKEN_WORD || p->lex.token == TOKEN_QUOTED;
}

/* What a value is of: a row of the schema; or, where that is NO_ROW, a name in
 * a section that is_free. */
#define NO_ROW	SIZE_MAX
struct target {
	struct conf_section	*section;
	size_t			 row;
	const char		*name;
};

/* Take the last token as a value. */
static int
take_value(struct parser *p, const struct target *t)
{
	return t->row == NO_ROW ? conf_pair_add(p->c, t->section, t->name,
	    p->lex.text, &p->lex.at) : conf_value_add(p->c, t->section, t->row,
	    p->lex.text, &p->lex.at);
}

/* Read the list "{ a, b }"; the last token was its brace. */
static int
parse_list(struct parser *p, const struct target *t)
{
	if (t->row != NO_ROW && conf_value_add(p->c, t->section, t->row, NULL,
	    &p->lex.at) == -1)
		return -1;
	for (;;) {
		if (conf_lex_next(&p->lex) == -1)
			return -1;
		if (p->lex.token == TOKEN_CLOSE)
			return 0;
		if (!is_value(p))
			return conf_lex_expected(&p->lex, "a value or '}'");
		if (take_value(p, t) == -1 || conf_lex_next(&p->lex) == -1)
			return -1;
		if (p->lex.token == TOKEN_CLOSE)
			return 0;
		if (p->lex.token != TOKEN_COMMA)
			return conf_lex_expected(&p->lex, "',' or '}'");
	}
}

/* Read the value of ${t}: "= value", "= { a, b }", or "+=" with either.  Its
 * name, which is at ${at}, has been read; ${before} is where it was set before,
 * or NULL. */
static int
parse_value(struct parser *p, const struct target *t, const struct conf_at *at,
    const struct conf_at *before, bool is_list)
{
	char buf[CONF_AT_MAX];

	if (conf_lex_next(&p->lex) == -1)
		return -1;
	if (p->lex.token == TOKEN_EQUALS) {
		if (before != NULL)
			return conf_error(p->c, at, "option '%.100s' is set "
			    "twice, first in %s", t->name, conf_at_seen(before,
			    at, buf, sizeof(buf)));
	} else if (p->lex.token != TOKEN_APPEND || !is_list) {
		snprintf(buf, sizeof(buf), "'='%s after option '%.100s'",
		    is_list ? " or '+='" : "", t->name);
		return conf_lex_expected(&p->lex, buf);
	}
	if (conf_lex_next(&p->lex) == -1)
		return -1;
	if (before != NULL && t->row != NO_ROW &&
	    conf_value_more(p->c, t->section, t->row, &p->lex.at) == -1)
		return -1;
	if (is_list && p->lex.token == TOKEN_OPEN)
		return parse_list(p, t);
	if (!is_value(p)) {
		snprintf(buf, sizeof(buf), "a value for option '%.100s'",
		    t->name);
		return conf_lex_expected(&p->lex, buf);
	}
	return take_value(p, t);
}

/* A setting of a section that is_free. */
static int
parse_pair(struct parser *p, struct conf_section *section)
{
	const struct conf_pair *before = conf_pair_find(section, p->lex.text);
	/* the next token overwrites the name */
	char *name = strdup(p->lex.text);
	const struct target t = { section, NO_ROW, name };
	struct conf_at at = p->lex.at;
	int rc;

	if (name == NULL)
		return conf_nomem(p->c);
	rc = parse_value(p, &t, &at, before != NULL ? &before->at : NULL,
	    true);
	free(name);
	return rc;
}

static int
parse_setting(struct parser *p, struct conf_section *section, size_t row)
{
	const struct conf_field *f = p->c->schema->rows[row].field;
	const struct conf_value *before = conf_value_find(p->c, section, row);
	const struct target t = { section, row, f->name };
	struct conf_at at = p->lex.at;

	return parse_value(p, &t, &at, before != NULL ? &before->at : NULL,
	    conf_field_is_list(f));
}

/* --- sections ------------------------------------------------------------- */

static struct conf_section *
section_new(struct conf *c, struct conf_section *parent, size_t row,
    const struct conf_at *at)
{
	struct conf_section *s;

	if ((s = calloc(1, sizeof(*s))) == NULL) {
		conf_nomem(c);
		return NULL;
	}
	s->row = row;
	s->at = *at;
	s->parent = parent;
	STAILQ_INIT(&s->children);
	STAILQ_INIT(&s->values);
	STAILQ_INIT(&s->pairs);
	if (parent != NULL)
		STAILQ_INSERT_TAIL(&parent->children, s, link);
	return s;
}

/* Take the last token as the title of ${section}. */
static int
parse_title(struct parser *p, struct conf_section *section)
{
	const struct conf_section_row *row =
	    &p->c->schema->sections[section->row];
	char expected[CONF_EXPECTED_MAX], buf[CONF_AT_MAX];
	const struct conf_section *other;
	const char *title = p->lex.text;

	if (!is_value(p)) {
		snprintf(buf, sizeof(buf), "a title for section '%s'",
		    row->name);
		return conf_lex_expected(&p->lex, buf);
	}
	STAILQ_FOREACH(other, &section->parent->children, link)
		if (other->row == section->row && other->title != NULL &&
		    strcasecmp(other->title, title) == 0)
			return conf_error(p->c, &p->lex.at, "section '%s "
			    "\"%.100s\"' is there already, in %s", row->name,
			    title, conf_at_seen(&other->at, &p->lex.at, buf,
			    sizeof(buf)));
	if (row->check_title(title, expected, sizeof(expected)) == -1)
		return conf_error_value(p->c, &p->lex.at, row->name, title,
		    expected);
	if ((section->title = strdup(title)) == NULL)
		return conf_nomem(p->c);
	return conf_lex_next(&p->lex);
}

static int
parse_section(struct parser *p, struct conf_section *parent, size_t row)
{
	struct conf_section *s;
	struct conf_at open;

	s = section_new(p->c, parent, row, &p->lex.at);
	if (s == NULL || conf_lex_next(&p->lex) == -1 ||
	    (p->c->schema->sections[row].has_title && parse_title(p, s) == -1))
		return -1;
	if (p->lex.token != TOKEN_OPEN)
		return conf_lex_expected(&p->lex, "'{'");
	open = p->lex.at;
	return parse_block(p, s, &open);
}

/* --- include -------------------------------------------------------------- */

/* Read ${path} as if its text stood at ${at}. */
static int
include_file(struct parser *p, struct conf_section *section,
    const struct conf_at *at, const char *path)
{
	const struct conf_item *item;
	const struct conf_source *outer;
	struct conf_source source;
	size_t depth = 1;

	for (outer = p->lex.source; outer != NULL; outer = outer->outer) {
		if (strcmp(outer->item->name, path) == 0)
			return conf_error(p->c, at, "include: \"%.500s\" would "
			    "include itself", path);
		depth++;
	}
	if (depth > CONF_INCLUDE_DEPTH || ++p->nfiles > CONF_INCLUDE_MAX)
		return conf_error(p->c, at, "include: more than %d files %s",
		    depth > CONF_INCLUDE_DEPTH ? CONF_INCLUDE_DEPTH :
		    CONF_INCLUDE_MAX, depth > CONF_INCLUDE_DEPTH ? "deep" :
		    "in all");
	if ((item = conf_input_file(p->in, path)) == NULL)
		return conf_error(p->c, at, "include: \"%.500s\": %s", path,
		    errno == EINVAL ? "not a regular file" : strerror(errno));
	if (conf_lex_open(&p->lex, &source, item) == -1 ||
	    parse_block(p, section, NULL) == -1)
		return -1;
	conf_lex_close(&p->lex);
	return 0;
}

static int
parse_include(struct parser *p, struct conf_section *section)
{
	const struct conf_item *match;
	struct conf_at at;
	const char *path;
	size_t i;

	if (conf_lex_next(&p->lex) == -1)
		return -1;
	if (!is_value(p) || *p->lex.text == '\0')
		return conf_lex_expected(&p->lex, "the name of a file");
	at = p->lex.at;
	match = conf_input_match(p->in, p->lex.text, at.file);
	if (match == NULL)
		return conf_error(p->c, &at, "include: \"%.500s\": %s",
		    p->lex.text, strerror(errno));
	for (i = 0; i < match->len; i += strlen(path) + 1) {
		path = match->text + i;
		if (include_file(p, section, &at, path) == -1)
			return -1;
	}
	return 0;
}

/* --- the whole ------------------------------------------------------------ */

/* Read the setting, section or include whose name is the last word. */
static int
parse_statement(struct parser *p, struct conf_section *section)
{
	const struct conf_schema *schema = p->c->schema;
	unsigned int scope = schema->sections[section->row].scope;
	size_t i;

	if (strcasecmp(p->lex.text, "include") == 0)
		return parse_include(p, section);
	if (schema->sections[section->row].is_free)
		return parse_pair(p, section);
	for (i = 0; i < schema->nrows; i++)
		if ((schema->rows[i].scopes & scope) != 0 &&
		    strcasecmp(p->lex.text, schema->rows[i].field->name) == 0)
			return parse_setting(p, section, i);
	for (i = 1; i < schema->nsections; i++)
		if ((schema->sections[i].parents & scope) != 0 &&
		    strcasecmp(p->lex.text, schema->sections[i].name) == 0)
			return parse_section(p, section, i);
	return no_such(p);
}

/* Read the statements of ${section} up to the end of the file or, if it began
 * with a brace at ${open}, up to the brace that closes it. */
static int
parse_block(struct parser *p, struct conf_section *section,
    const struct conf_at *open)
{
	for (;;) {
		if (conf_lex_next(&p->lex) == -1)
			return -1;
		if (p->lex.token == (open != NULL ? TOKEN_CLOSE : TOKEN_END))
			return 0;
		if (p->lex.token == TOKEN_END)
			return conf_error(p->c, &p->lex.at, "premature end of "
			    "file: the '{' of line %d has no '}'", open->line);
		if (p->lex.token != TOKEN_WORD)
			return conf_lex_expected(&p->lex, "a name");
		if (parse_statement(p, section) == -1)
			return -1;
	}
}

struct conf *
conf_parse(struct conf_input *in, const struct conf_schema *schema,
    char *err_r, size_t errlen)
{
	struct parser p = { .in = in };
	const struct conf_item *item = conf_input_main(in);
	struct conf_at top = { item->name, 1, 1 };
	struct conf_source source;
	struct conf *c;
	int rc = -1;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		snprintf(err_r, errlen, "out of memory");
		return NULL;
	}
	c->schema = schema;
	c->err = err_r;
	c->errlen = errlen;
	STAILQ_INIT(&c->overrides);
	p.c = p.lex.c = c;
	if ((c->root = section_new(c, NULL, 0, &top)) == NULL ||
	    conf_lex_open(&p.lex, &source, item) == -1)
		goto out;
	STAILQ_FOREACH(item, &in->items, link)
		if (item->kind == CONF_OVERRIDE &&
		    conf_override(c, item->name) == -1)
			goto out;
	rc = parse_block(&p, c->root, NULL);
out:
	free(p.lex.text);
	if (rc == 0)
		return c;
	conf_free(c);
	return NULL;
}
