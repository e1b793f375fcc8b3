/* Configuration: libConfuse reads, we keep.
 * Owns: the translation of our tables into libConfuse's, and of its calls back
 * into sections and values that know their lines.
 *
 * Every setting is a string to libConfuse, so that one function judges all
 * types and knows the line.  libConfuse says when a section ends (the validate
 * function), but not when it begins; a hidden list with a default, which it
 * "parses" for each new section, says so. */

#include "core/conf/conf.h"

#include <confuse.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf/conf_int.h"

/* no bare word reads like this */
#define BEGIN_NAME	"\001begin"

/* libConfuse's callbacks have no argument for it */
static struct conf *parsing;

static void
append_words(char *buf, size_t len, const char *word)
{
	size_t used = strlen(buf);

	snprintf(buf + used, len - used, "%s%s", used == 0 ? "" : ", ", word);
}

/* Where may something with ${scopes} stand?  In words. */
static void
scope_words(unsigned int scopes, char *buf, size_t len)
{
	const struct conf_schema *schema = parsing->schema;
	size_t i;

	*buf = '\0';
	for (i = 0; i < schema->nsections; i++)
		if ((scopes & schema->sections[i].scope) != 0)
			append_words(buf, len, i == 0 ? "outside all sections" :
			    schema->sections[i].name);
}

/* The unknown name ${name}: is it only in the wrong place? */
static void
no_such(const char *name, int line)
{
	const struct conf_schema *schema = parsing->schema;
	unsigned int scopes = 0;
	char words[160];
	size_t i;

	for (i = 0; i < schema->nrows; i++)
		if (strcasecmp(name, schema->rows[i].field->name) == 0)
			scopes = schema->rows[i].scopes;
	for (i = 1; i < schema->nsections; i++)
		if (strcasecmp(name, schema->sections[i].name) == 0)
			scopes = schema->sections[i].parents;
	if (scopes == 0) {
		conf_error(parsing, line, "no such option '%.100s'", name);
		return;
	}
	scope_words(scopes, words, sizeof(words));
	conf_error(parsing, line, "option '%.100s' may not stand here; its "
	    "place is: %s", name, words);
}

static void __attribute__((format(printf, 2, 0)))
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[256];

	if (strncmp(fmt, "no such option '%s'", 19) == 0) {
		no_such(va_arg(ap, const char *), cfg->line);
		return;
	}
	if (strncmp(fmt, "found duplicate title '%s'", 26) == 0) {
		conf_error(parsing, cfg->line, "section \"%.100s\": expected "
		    "once, found again", va_arg(ap, const char *));
		return;
	}
	vsnprintf(text, sizeof(text), fmt, ap);
	conf_error(parsing, cfg->line, "%s", text);
}

static ssize_t
section_row(const char *name)
{
	size_t i;

	for (i = 1; i < parsing->schema->nsections; i++)
		if (strcmp(name, parsing->schema->sections[i].name) == 0)
			return (ssize_t)i;
	return -1;
}

static struct conf_section *
section_new(struct conf *c, struct conf_section *parent, size_t row,
    const char *title, int line)
{
	struct conf_section *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	if (title != NULL && (s->title = strdup(title)) == NULL) {
		free(s);
		return NULL;
	}
	s->row = row;
	s->line = line;
	s->parent = parent;
	STAILQ_INIT(&s->children);
	STAILQ_INIT(&s->values);
	if (parent != NULL)
		STAILQ_INSERT_TAIL(&parent->children, s, link);
	c->open = s;
	return s;
}

static int
check_title(struct conf *c, const struct conf_section_row *row,
    const char *title, int line)
{
	char expected[CONF_EXPECTED_MAX];

	if (row->check_title == NULL || title == NULL || row->check_title(
	    title, expected, sizeof(expected)) == 0)
		return 0;
	return conf_error_value(c, line, row->name, title, expected);
}

/* The hidden option's default is being read: the section ${cfg} begins.  What
 * fails is noted; the section's end stops the parser. */
static int
on_begin(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct conf *c = parsing;
	const char *kept = value;
	ssize_t row;

	(void)opt;
	memcpy(result, &kept, sizeof(kept));
	if (c->open->key == cfg)	/* no default: it is in the file */
		return conf_error(c, cfg->line, "no such option");
	if (c->open->key == NULL) {	/* cfg_init() does it for the root */
		c->open->key = cfg;
		return 0;
	}
	if ((row = section_row(cfg->name)) == -1)
		return 0;
	if (section_new(c, c->open, (size_t)row, cfg->title, cfg->line) ==
	    NULL) {
		conf_nomem(c);
		return 0;
	}
	c->open->key = cfg;
	check_title(c, &c->schema->sections[row], cfg->title, cfg->line);
	return 0;
}

static ssize_t
row_number(const char *name)
{
	size_t i;

	for (i = 0; i < parsing->schema->nrows; i++)
		if (strcmp(name, parsing->schema->rows[i].field->name) == 0)
			return (ssize_t)i;
	return -1;
}

/* libConfuse takes "section|option" for a way into another section. */
static bool
is_own(const cfg_t *cfg, const cfg_opt_t *opt)
{
	const cfg_opt_t *own;

	for (own = cfg->opts; own->name != NULL; own++)
		if (own == opt)
			return true;
	return false;
}

/* One value of a setting. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct conf *c = parsing;
	ssize_t row = row_number(opt->name);
	const struct conf_value *before;

	if (c->has_failed || row == -1 || value == NULL)
		return -1;
	if (!is_own(cfg, opt))
		return conf_error(c, cfg->line, "option '%s' may not stand "
		    "here", opt->name);
	memcpy(result, &value, sizeof(value));
	STAILQ_FOREACH(before, &c->open->values, link) {
		if (before->row != (size_t)row)
			continue;
		/* further values of a list have others before them */
		if (!conf_field_is_list(
		    c->schema->rows[row].field) || opt->nvalues == 1)
			return conf_error(c, cfg->line, "option '%s' is set "
			    "twice, first in line %d", opt->name,
			    before->line);
	}
	if (conf_value_check(c, (size_t)row, value, cfg->line) == -1)
		return -1;
	return conf_value_add(c, c->open, (size_t)row, value, cfg->line);
}

/* An empty list makes no call: find those that were set. */
static int
note_empty_lists(struct conf *c, cfg_t *cfg)
{
	cfg_opt_t *opt;
	ssize_t row;

	for (opt = cfg->opts; opt->name != NULL; opt++) {
		if ((opt->flags & CFGF_LIST) == 0 || opt->nvalues != 0 ||
		    (opt->flags & CFGF_MODIFIED) == 0)
			continue;
		if ((row = row_number(opt->name)) != -1 && conf_value_add(c,
		    c->open, (size_t)row, NULL, cfg->line) == -1)
			return -1;
	}
	return 0;
}

/* A section has ended. */
static int
on_end(cfg_t *cfg, cfg_opt_t *opt)
{
	struct conf *c = parsing;

	(void)cfg;
	if (c->has_failed || c->open->parent == NULL || note_empty_lists(c,
	    cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1)) == -1)
		return -1;
	c->open = c->open->parent;
	return 0;
}

static void
opts_free(cfg_opt_t *opts)
{
	cfg_opt_t *opt;

	if (opts == NULL)
		return;
	for (opt = opts; opt->name != NULL; opt++)
		opts_free(opt->subopts);
	free(opts);
}

/* libConfuse's table for a section of ${row}, and of those within it. */
static cfg_opt_t *
opts_new(const struct conf_schema *schema, size_t row)
{
	static char begin_default[] = "{begin}";
	const cfg_opt_t end = CFG_END();
	unsigned int scope = schema->sections[row].scope;
	cfg_opt_t *opts, *opt;
	size_t i;

	opts = calloc(schema->nrows + schema->nsections + 2, sizeof(*opts));
	if (opts == NULL)
		return NULL;
	opt = opts;
	*opt++ = (cfg_opt_t)CFG_STR_LIST_CB(BEGIN_NAME, begin_default,
	    CFGF_NONE, on_begin);
	*opt = end;
	for (i = 0; i < schema->nrows; i++) {
		if ((schema->rows[i].scopes & scope) == 0)
			continue;
		*opt = (cfg_opt_t)CFG_STR_CB(schema->rows[i].field->name, NULL,
		    CFGF_NODEFAULT, on_value);
		if (conf_field_is_list(schema->rows[i].field))
			opt->flags |= CFGF_LIST;
		*++opt = end;
	}
	for (i = 1; i < schema->nsections; i++) {
		if ((schema->sections[i].parents & scope) == 0)
			continue;
		*opt = (cfg_opt_t)CFG_SEC(schema->sections[i].name, NULL,
		    CFGF_MULTI | CFGF_NO_TITLE_DUPES);
		if (schema->sections[i].has_title)
			opt->flags |= CFGF_TITLE;
		opt->validcb = on_end;
		if ((opt->subopts = opts_new(schema, i)) == NULL)
			goto err1;
		*++opt = end;
	}
	return opts;
err1:
	*opt = end;
	opts_free(opts);
	return NULL;
}

static int
parse_stream(struct conf *c, FILE *fp)
{
	cfg_opt_t *opts;
	cfg_t *cfg;
	int rv = -1;

	if ((opts = opts_new(c->schema, 0)) == NULL)
		return conf_nomem(c);
	parsing = c;
	if ((cfg = cfg_init(opts, CFGF_NOCASE)) == NULL ||
	    (cfg->filename = strdup(c->filename)) == NULL) {
		conf_nomem(c);
		goto out;
	}
	cfg_set_error_function(cfg, on_error);
	if (cfg_parse_fp(cfg, fp) == CFG_SUCCESS && !c->has_failed)
		rv = note_empty_lists(c, cfg);
	else if (!c->has_failed)
		conf_error(c, cfg->line, "cannot be read");
out:
	if (cfg != NULL)
		cfg_free(cfg);
	opts_free(opts);
	parsing = NULL;
	return rv;
}

/* All of ${fp} in memory, or NULL (noted). */
static char *
read_all(struct conf *c, FILE *fp, size_t *len_r)
{
	char *text = NULL, *grown;
	size_t size = 0, len = 0, n;

	do {
		if (len == size) {
			size = size == 0 ? 16384 : size * 2;
			if ((grown = realloc(text, size)) == NULL) {
				conf_nomem(c);
				goto err1;
			}
			text = grown;
		}
		n = fread(text + len, 1, size - len, fp);
		len += n;
		if (len > CONF_FILE_MAX) {
			conf_error(c, 1, "longer than %d octets",
			    CONF_FILE_MAX);
			goto err1;
		}
	} while (n > 0);
	if (ferror(fp)) {
		conf_error(c, 1, "cannot be read: %s", strerror(errno));
		goto err1;
	}
	*len_r = len;
	return text;
err1:
	free(text);
	return NULL;
}

static int
parse_text(struct conf *c, FILE *fp)
{
	char *text;
	size_t len;
	FILE *mem;
	int rv = -1;

	if ((text = read_all(c, fp, &len)) == NULL)
		return -1;
	if (conf_scan(c, text, len) == -1)
		goto out;
	if (len == 0) {			/* fmemopen() takes no nothing */
		rv = 0;
		goto out;
	}
	if ((mem = fmemopen(text, len, "r")) == NULL) {
		conf_nomem(c);
		goto out;
	}
	rv = parse_stream(c, mem);
	fclose(mem);
out:
	free(text);
	return rv;
}

struct conf *
conf_parse(FILE *fp, const char *filename, const struct conf_schema *schema,
    const char *const *overrides, size_t n, char *err_r, size_t errlen)
{
	struct conf *c;
	size_t i;

	if ((c = calloc(1, sizeof(*c))) == NULL ||
	    (c->filename = strdup(filename)) == NULL) {
		snprintf(err_r, errlen, "%s: out of memory", filename);
		free(c);
		return NULL;
	}
	c->schema = schema;
	c->err = err_r;
	c->errlen = errlen;
	STAILQ_INIT(&c->overrides);
	if ((c->root = section_new(c, NULL, 0, NULL, 1)) == NULL) {
		conf_nomem(c);
		goto err1;
	}
	for (i = 0; i < n; i++)
		if (conf_override(c, overrides[i]) == -1)
			goto err1;
	if (parse_text(c, fp) == -1)
		goto err1;
	return c;
err1:
	conf_free(c);
	return NULL;
}
