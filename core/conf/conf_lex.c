/* Configuration: the text of a file in tokens.
 * Owns: white space, comments, words, quotes; where each token stands. */

#include "core/conf/conf_int.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static struct conf_at
here(const struct conf_source *s)
{
	return (struct conf_at){ s->item->name, s->line,
		(int)(s->p - s->line_start) + 1 };
}

static int
error_here(struct conf_lex *x, const char *text)
{
	struct conf_at at = here(x->source);

	return conf_error(x->c, &at, "%s", text);
}

static bool
starts(const struct conf_source *s, const char *two)
{
	return s->end - s->p >= 2 && memcmp(s->p, two, 2) == 0;
}

static void
advance(struct conf_source *s)
{
	if (*s->p++ == '\n') {
		s->line++;
		s->line_start = s->p;
	}
}

int
conf_lex_open(struct conf_lex *x, struct conf_source *s,
    const struct conf_item *item)
{
	const char *nul;
	char *grown;

	if (item->len + 1 > x->size) {
		if ((grown = realloc(x->text, item->len + 1)) == NULL)
			return conf_nomem(x->c);
		x->text = grown;
		x->size = item->len + 1;
	}
	s->item = item;
	s->p = s->line_start = item->text;
	s->end = item->text + item->len;
	s->line = 1;
	s->outer = x->source;
	x->source = s;
	if (item->len == 0 || (nul = memchr(s->p, '\0', item->len)) == NULL)
		return 0;
	while (s->p < nul)
		advance(s);
	return error_here(x, "a NUL octet in the file");
}

void
conf_lex_close(struct conf_lex *x)
{
	x->source = x->source->outer;
}

static int
skip_block(struct conf_lex *x)
{
	struct conf_source *s = x->source;
	struct conf_at at = here(s);

	for (s->p += 2; s->p < s->end && !starts(s, "*/"); advance(s))
		;
	if (s->p == s->end)
		return conf_error(x->c, &at, "the comment has no end");
	s->p += 2;
	return 0;
}

/* Skip white space and comments. */
static int
skip_blank(struct conf_lex *x)
{
	struct conf_source *s = x->source;

	while (s->p < s->end) {
		if (starts(s, "/*")) {
			if (skip_block(x) == -1)
				return -1;
		} else if (*s->p == '#' || starts(s, "//")) {
			while (s->p < s->end && *s->p != '\n')
				advance(s);
		} else if (isspace((unsigned char)*s->p))
			advance(s);
		else
			break;
	}
	return 0;
}

/* "${" is refused in words and in double quotes. */
static int
check_dollar(struct conf_lex *x)
{
	if (!starts(x->source, "${"))
		return 0;
	return error_here(x, "${...}: the environment is not used; write \\${ "
	    "in double quotes for these two characters");
}

static int
read_word(struct conf_lex *x)
{
	struct conf_source *s = x->source;
	char *to = x->text;

	while (s->p < s->end && strchr(" \t\r\n\v\f{}=,#\"'", *s->p) ==
	    NULL && !starts(s, "+=")) {
		if (check_dollar(x) == -1)
			return -1;
		*to++ = *s->p++;
	}
	*to = '\0';
	x->token = TOKEN_WORD;
	return 0;
}

static int
read_quoted(struct conf_lex *x)
{
	struct conf_source *s = x->source;
	char quote = *s->p++, *to = x->text;

	for (; s->p < s->end && *s->p != quote; advance(s)) {
		if (quote == '"' && check_dollar(x) == -1)
			return -1;
		if (quote == '"' && *s->p == '\\') {
			if (s->end - s->p < 2 ||
			    strchr("\\\"$", s->p[1]) == NULL)
				return error_here(x, "in double quotes, \\ is "
				    "only allowed before \\, \" or $");
			s->p++;
		}
		*to++ = *s->p;
	}
	*to = '\0';
	if (s->p == s->end)
		return conf_error(x->c, &x->at, "the quote has no end");
	s->p++;
	x->token = TOKEN_QUOTED;
	return 0;
}

int
conf_lex_next(struct conf_lex *x)
{
	struct conf_source *s = x->source;

	if (skip_blank(x) == -1)
		return -1;
	x->at = here(s);
	if (s->p == s->end) {
		x->token = TOKEN_END;
		return 0;
	}
	if (*s->p == '"' || *s->p == '\'')
		return read_quoted(x);
	if (starts(s, "+=")) {
		x->token = TOKEN_APPEND;
		s->p += 2;
		return 0;
	}
	if (strchr("{}=,", *s->p) == NULL)
		return read_word(x);
	x->token = (enum conf_token)*s->p++;
	return 0;
}

int
conf_lex_expected(struct conf_lex *x, const char *what)
{
	char found[3] = { (char)x->token,
		x->token == TOKEN_APPEND ? '=' : '\0' };

	if (x->token == TOKEN_END)
		return conf_error(x->c, &x->at, "expected %s, found the end of "
		    "the file", what);
	if (x->token == TOKEN_WORD || x->token == TOKEN_QUOTED)
		return conf_error(x->c, &x->at, "expected %s, found \"%.80s\"",
		    what, x->text);
	return conf_error(x->c, &x->at, "expected %s, found '%s'", what, found);
}
