/* Configuration: a look at the text before libConfuse gets it.
 * Owns: what libConfuse 3.3 gets wrong without a word: it miscounts lines in
 * comments, takes the end of the file for the end of a section, replaces
 * ${NAME} by the environment of whoever reads the file, and stops at a NUL.
 * Knows only what a comment, a string and a brace are. */

#include "core/conf/conf_int.h"

#include <string.h>

enum scan_state { PLAIN, WORD, LINE_COMMENT, BLOCK_COMMENT, SINGLE, DOUBLE };

static enum scan_state
plain_step(enum scan_state state, char c, char next, size_t *skip_r)
{
	switch (c) {
	case '#':
		return LINE_COMMENT;
	case '\'':
		return SINGLE;
	case '"':
		return DOUBLE;
	case '/':
		/* within a word it is a path or a URL */
		if (state == WORD || (next != '/' && next != '*'))
			return WORD;
		*skip_r = 1;
		return next == '/' ? LINE_COMMENT : BLOCK_COMMENT;
	default:
		return strchr(" \t\r\n*{}()+=,", c) != NULL ? PLAIN : WORD;
	}
}

/* The state after ${c}; *skip_r octets more belong to it. */
static enum scan_state
scan_step(enum scan_state state, char c, char next, size_t *skip_r)
{
	*skip_r = 0;
	switch (state) {
	case PLAIN:
	case WORD:
		return plain_step(state, c, next, skip_r);
	case LINE_COMMENT:
		return c == '\n' ? PLAIN : LINE_COMMENT;
	case BLOCK_COMMENT:
		*skip_r = c == '*' && next == '/';
		return *skip_r == 1 ? PLAIN : BLOCK_COMMENT;
	case SINGLE:
	case DOUBLE:
		*skip_r = c == '\\' && next != '\0' && next != '\n';
		return c == (state == SINGLE ? '\'' : '"') ? PLAIN : state;
	}
	return state;
}

static void
blank(char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != '\n')
			p[i] = ' ';
}

struct braces {
	size_t	depth;
	int	line;		/* of the outermost that is open */
};

static void
count_brace(struct braces *b, char c, int line)
{
	if (c == '{' && b->depth++ == 0)
		b->line = line;
	else if (c == '}' && b->depth > 0)
		b->depth--;
}

static int
end_of_text(struct conf *c, enum scan_state state, int line, int state_line,
    const struct braces *braces)
{
	if (state == SINGLE || state == DOUBLE)
		return conf_error(c, state_line, "the quote has no end");
	if (state == BLOCK_COMMENT)
		return conf_error(c, state_line, "the comment has no end");
	if (braces->depth > 0)
		return conf_error(c, line, "premature end of file: the '{' of "
		    "line %d has no '}'", braces->line);
	return 0;
}

int
conf_scan(struct conf *c, char *text, size_t len)
{
	enum scan_state before, state = PLAIN;
	struct braces braces = { 0, 0 };
	char *p, next, *end = text + len;
	size_t skip;
	int line = 1, state_line = 1;

	for (p = text; p < end; p += 1 + skip) {
		next = p + 1 < end ? p[1] : '\0';
		if (*p == '\0')
			return conf_error(c, line, "a NUL octet in the file");
		if (*p == '$' && next == '{' &&
		    (state == PLAIN || state == WORD || state == DOUBLE))
			return conf_error(c, line, "${...}: the environment is "
			    "not used; write \\${ in double quotes for these "
			    "two characters");
		if (state == PLAIN || state == WORD)
			count_brace(&braces, *p, line);
		before = state;
		state = scan_step(state, *p, next, &skip);
		if (state != before)
			state_line = line;
		if (before == LINE_COMMENT || before == BLOCK_COMMENT ||
		    state == LINE_COMMENT || state == BLOCK_COMMENT)
			blank(p, 1 + skip);
		if (*p == '\n')
			line++;
	}
	return end_of_text(c, state, line, state_line, &braces);
}
