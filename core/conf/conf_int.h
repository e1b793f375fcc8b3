/* Shared by the files of the configuration engine alone. */

#ifndef CORE_CONF_CONF_INT_H
#define CORE_CONF_CONF_INT_H

#include "core/conf/conf.h"

/* conf_value_add(c, section, row, text, at): Append ${text} (NULL: make it an
 * empty list) to the values of ${row} in ${section} (NULL: the overrides),
 * after the check.  Return 0, or -1 (noted). */
int conf_value_add(struct conf *c, struct conf_section *section, size_t row,
    const char *text, const struct conf_at *at);

/* conf_value_more(c, section, row, at): Note that ${at} appends to that value.
 * Return 0, or -1 (noted). */
int conf_value_more(struct conf *c, struct conf_section *section, size_t row,
    const struct conf_at *at);

/* conf_value_find(c, section, row): What it has there, or NULL. */
struct conf_value *conf_value_find(const struct conf *c,
    const struct conf_section *section, size_t row);

/* conf_pair_add(c, section, name, value, at): Append a setting to ${section},
 * which is_free.  Return 0, or -1 (noted).
 * conf_pair_find(section, name): The first one of that name, in any case of its
 * letters; or NULL. */
int conf_pair_add(struct conf *c, struct conf_section *section,
    const char *name, const char *value, const struct conf_at *at);
const struct conf_pair *conf_pair_find(const struct conf_section *section,
    const char *name);

/* conf_override(c, text): One "name=value". */
int conf_override(struct conf *c, const char *text);

/* --- tokens --------------------------------------------------------------- */

/* A file that is being read. */
struct conf_source {
	const struct conf_item	*item;
	const char		*p, *end, *line_start;
	int			 line;
	struct conf_source	*outer;		/* the file that includes it */
};

enum conf_token { TOKEN_END, TOKEN_WORD, TOKEN_QUOTED, TOKEN_OPEN = '{',
	TOKEN_CLOSE = '}', TOKEN_EQUALS = '=', TOKEN_APPEND = '+',
	TOKEN_COMMA = ',' };

struct conf_lex {
	struct conf		*c;
	struct conf_source	*source;
	enum conf_token		 token;		/* the last one */
	struct conf_at		 at;		/* where it begins */
	char			*text;		/* of a word or a quoted one */
	size_t			 size;
};

/* conf_lex_open(x, s, item): Read ${item} from now on.
 * conf_lex_close(x): Back to the file outside. */
int conf_lex_open(struct conf_lex *x, struct conf_source *s,
    const struct conf_item *item);
void conf_lex_close(struct conf_lex *x);

/* conf_lex_next(x): The next token, TOKEN_END at the end of the file.  Return
 * 0, or -1 (noted). */
int conf_lex_next(struct conf_lex *x);

/* conf_lex_expected(x, what): Note that the last token is not ${what}.  Return
 * -1. */
int conf_lex_expected(struct conf_lex *x, const char *what);

#endif
