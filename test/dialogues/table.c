/* A table of what each command does in each state, checked cell by cell: every
 * cell is a dialogue, made of the lines of its world, its state and its command.
 * Owns: the form of such a table (FORMAT.md); that no verb, no state of a session
 * and no cell is left out. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/server/esmtp_verb.h"
#include "test/dialogues/dialogue.h"

#define NAMED_MAX	64	/* commands, and states of one world */
#define TEXT_MAX	2048	/* of the lines of a world, a state or a command */
#define COLUMNS_MAX	8	/* of one block */
#define CELL_MAX	160

/* Something with a name, and what it puts into a dialogue. */
struct named {
	char	 name[48];
	char	 text[TEXT_MAX];
	bool	 is_shown;	/* a block has it */
};

struct table {
	const char	*path;
	int		 lineno;
	bool		 is_printed, is_traced;
	struct named	 commands[NAMED_MAX];
	size_t		 ncommands;
	struct named	 world;
	struct named	 states[NAMED_MAX];
	size_t		 nstates;
	struct named	*column[COLUMNS_MAX];	/* of the block */
	size_t		 ncolumns;
	bool		 is_in_block;
	/* with is_printed: the block, its first line first */
	char		 seen[NAMED_MAX + 1][COLUMNS_MAX + 1][CELL_MAX];
	size_t		 nseen;
	char		*open;		/* the text that lines go to; NULL: none */
	bool		 is_met[ES_NSTATES], is_passing[ES_NSTATES];
	/* without attributes: what commands led to, and the states there are */
	char		 reached[NAMED_MAX][64];
	size_t		 nreached;
	char		 all[NAMED_MAX][64];
	size_t		 nall;
	unsigned long	 ncells, nwrong;
};

static void __attribute__((format(printf, 2, 3)))
wrong(struct table *t, const char *fmt, ...)
{
	va_list ap;

	fprintf(t->is_printed ? stderr : stdout, "FAIL %s:%d: ", t->path,
	    t->lineno);
	va_start(ap, fmt);
	vfprintf(t->is_printed ? stderr : stdout, fmt, ap);
	va_end(ap);
	fputc('\n', t->is_printed ? stderr : stdout);
	t->nwrong++;
}

static struct named *
find(struct named *list, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

/* A state without the note behind its colon. */
static size_t
plain_len(const char *name)
{
	return strcspn(name, ":");
}

/* Add a name to a list of NAMED_MAX, unless it has it. */
static void
note(char (*list)[64], size_t *n, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (strlen(list[i]) == len && memcmp(list[i], name, len) == 0)
			return;
	if (*n < NAMED_MAX)
		snprintf(list[(*n)++], sizeof(*list), "%.*s", (int)len, name);
}

/* --- one cell ------------------------------------------------------------- */

/* Play a state, and a command in it unless it is NULL, in one way. */
static bool
play_once(struct table *t, const struct named *state, const struct named *cmd,
    enum play_mode mode, struct play_result *r)
{
	static char text[3 * TEXT_MAX + 128], name[256];
	struct dialogue *d;

	snprintf(text, sizeof(text), "%s%s%s%s@look\n"
	    "@close\n@policy release\n@auth release\n", t->world.text,
	    state->text, cmd != NULL ? "@pause\n" : "",
	    cmd != NULL ? cmd->text : "");
	snprintf(name, sizeof(name), "%s (%s, %s, %s)", t->path, t->world.name,
	    state->name, cmd != NULL ? cmd->name : "the state");
	if (t->is_traced && mode == PLAY_WHOLE)
		printf("%s\n%s", name, text);
	if ((d = dialogue_parse_text(name, text)) == NULL) {
		t->nwrong++;
		return false;
	}
	play(d, mode, 0, t->is_traced && mode == PLAY_WHOLE, r);
	dialogue_free(d);
	if (r->is_failed)
		wrong(t, "%s", r->text);
	return !r->is_failed;
}

/* What the cell is: the replies, and where the session stands if it has moved. */
static bool
see(struct table *t, const struct named *state, const struct named *cmd,
    char seen[CELL_MAX])
{
	static const enum play_mode modes[] = { PLAY_WHOLE, PLAY_BYTES,
		PLAY_DRIP };
	struct play_result r;
	char again[CELL_MAX];
	size_t i, len = plain_len(state->name);

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!play_once(t, state, cmd, modes[i], &r))
			return false;
		snprintf(again, sizeof(again), "%s%s%s", r.said,
		    strlen(r.state) == len &&
		    memcmp(r.state, state->name, len) == 0 ? "" : ">",
		    strlen(r.state) == len &&
		    memcmp(r.state, state->name, len) == 0 ? "" : r.state);
		if (i == 0)
			strlcpy(seen, again, CELL_MAX);
		else if (strcmp(seen, again) != 0) {
			wrong(t, "state %s, %s: %s, but %s where octets come "
			    "one by one", state->name, cmd->name, seen, again);
			return false;
		}
	}
	note(t->reached, &t->nreached, r.state, strcspn(r.state, "+"));
	return true;
}

/* The lines of a state must lead to it. */
static void
check_state(struct table *t, const struct named *state)
{
	struct play_result r;
	size_t len = plain_len(state->name);

	if (!play_once(t, state, NULL, PLAY_WHOLE, &r))
		return;
	if (strlen(r.state) != len || memcmp(r.state, state->name, len) != 0)
		wrong(t, "the lines of state %s lead to %s", state->name,
		    r.state);
	if (r.number >= 0)
		t->is_met[r.number] = true;
	note(t->all, &t->nall, state->name, strcspn(state->name, "+:"));
}

/* --- a client that does next to nothing ----------------------------------- */

#define DATA_SECONDS	3601	/* Data_Timeout, and a moment */
#define OTHER_SECONDS	(LIM_AUTH_SECONDS + 301)	/* the longest of the other limits, then Command_Timeout */

/* What it may do for ever.  The number of seconds comes behind the text. */
static const struct idler {
	const char	*name, *text;
	bool		 can_hear;	/* it is told why the session ends */
} idlers[] = {
	{ "silence", "@advance", true },
	{ "an octet a second", "@trickle", true },
	{ "its side shut", "@half-close\n@advance", false },
	{ "nothing read", "@look\n@window 0\n@advance", false },
};

/* Do octets of a message come next, or the lines of a verb? */
static bool
is_data(const char *state)
{
	static const char *const names[] = { "data", "chunk", "chunks",
		"lines" };
	size_t i, len = strcspn(state, "+:");

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len &&
		    memcmp(state, names[i], len) == 0)
			return true;
	return false;
}

/* Would the client not hear or not understand a reply: since it takes none, before
 * the header of a proxy, in a handshake, while a message may yet be committed? */
static bool
is_mute(const struct table *t, const struct named *state)
{
	return strstr(state->text, "@window 0\n") != NULL ||
	    strncmp(state->name, "handshake", strlen("handshake")) == 0 ||
	    strncmp(state->name, "commit", strlen("commit")) == 0 ||
	    strcmp(t->world.name, "proxy") == 0;
}

/* No state may be without an end, but that of a session which the loop has not
 * called yet, since nothing can be written to its client. */
static void
check_patience(struct table *t, const struct named *state)
{
	static struct named cmd;
	struct play_result r;
	size_t i;

	if (strcmp(state->name, "just-connected") == 0)
		return;
	for (i = 0; i < sizeof(idlers) / sizeof(idlers[0]); i++) {
		const struct idler *idler = &idlers[i];

		strlcpy(cmd.name, idler->name, sizeof(cmd.name));
		snprintf(cmd.text, sizeof(cmd.text), "%s %d\n", idler->text,
		    is_data(state->name) ? DATA_SECONDS : OTHER_SECONDS);
		t->ncells++;
		if (!play_once(t, state, &cmd, PLAY_WHOLE, &r))
			continue;
		if (strcmp(r.state, "closed") != 0)
			wrong(t, "state %s, %s: the session goes on, in %s",
			    state->name, cmd.name, r.state);
		else if (idler->can_hear && !is_mute(t, state) &&
		    strstr(r.said, "421") == NULL)
			wrong(t, "state %s, %s: it ends with %s, not with 421",
			    state->name, cmd.name, r.said);
	}
}

/* --- a block -------------------------------------------------------------- */

/* The row of a command; ${line}: its cells. */
static void
check_row(struct table *t, struct named *cmd, char *line)
{
	char (*seen)[CELL_MAX] = t->seen[t->nseen++];
	char *cell, *save = NULL;
	size_t i;

	cmd->is_shown = true;
	strlcpy(seen[0], cmd->name, CELL_MAX);
	for (i = 0; i < t->ncolumns; i++) {
		cell = line != NULL ? strtok_r(i == 0 ? line : NULL, " \t",
		    &save) : NULL;
		if (!see(t, t->column[i], cmd, seen[i + 1]))
			continue;
		t->ncells++;
		if (!t->is_printed && (cell == NULL ||
		    strcmp(cell, seen[i + 1]) != 0))
			wrong(t, "state %s, %s: expected %s, got %s",
			    t->column[i]->name, cmd->name,
			    cell != NULL ? cell : "(no cell)", seen[i + 1]);
	}
	if (line != NULL && !t->is_printed &&
	    strtok_r(NULL, " \t", &save) != NULL)
		wrong(t, "%s has more cells than there are states", cmd->name);
}

/* Are two rows the same but for the command? */
static bool
is_same(const struct table *t, size_t a, size_t b)
{
	size_t k;

	for (k = 1; k <= t->ncolumns; k++)
		if (strcmp(t->seen[a][k], t->seen[b][k]) != 0)
			return false;
	return true;
}

/* The row that at least two of three commands have, or 0. */
static size_t
usual_row(const struct table *t)
{
	size_t i, k, n;

	for (i = 1; i < t->nseen; i++) {
		for (n = 0, k = 1; k < t->nseen; k++)
			n += is_same(t, i, k);
		if (n * 3 >= t->ncommands * 2)
			return i;
	}
	return 0;
}

static void
print_row(const struct table *t, size_t i, const char *name,
    const size_t *width)
{
	size_t k;

	printf("%-*s  ", (int)width[0], name);
	for (k = 1; k < t->ncolumns; k++)
		printf("%-*s  ", (int)width[k], t->seen[i][k]);
	printf("%s\n", t->seen[i][k]);
}

/* Columns of the block, each as wide as its widest cell; the usual row, if there
 * is one, comes once, behind the others. */
static void
print_block(const struct table *t)
{
	size_t width[COLUMNS_MAX + 1] = { 0 };
	size_t i, k, len, usual = usual_row(t);

	for (i = 0; i < t->nseen; i++)
		for (k = 0; k <= t->ncolumns; k++) {
			len = strlen(t->seen[i][k]);
			width[k] = len > width[k] ? len : width[k];
		}
	for (i = 0; i < t->nseen; i++)
		if (usual == 0 || i == 0 || !is_same(t, i, usual))
			print_row(t, i, t->seen[i][0], width);
	if (usual != 0)
		print_row(t, usual, "else", width);
}

static void
begin_block(struct table *t, char *line)
{
	char *name, *save = NULL;
	size_t i;

	t->is_in_block = true;
	t->open = NULL;
	t->ncolumns = 0;
	memset(t->seen, 0, sizeof(t->seen));
	strlcpy(t->seen[0][0], "table", CELL_MAX);
	t->nseen = 1;
	for (i = 0; i < t->ncommands; i++)
		t->commands[i].is_shown = false;
	for (name = strtok_r(line, " \t", &save);
	    name != NULL && t->ncolumns < COLUMNS_MAX;
	    name = strtok_r(NULL, " \t", &save)) {
		struct named *s = find(t->states, t->nstates, name);

		if (s == NULL) {
			wrong(t, "no state %s in world %s", name,
			    t->world.name);
			continue;
		}
		s->is_shown = true;
		t->column[t->ncolumns++] = s;
		strlcpy(t->seen[0][t->ncolumns], name, CELL_MAX);
		check_state(t, s);
		check_patience(t, s);
	}
}

/* A block ends: has it a row for every command? */
static void
end_block(struct table *t)
{
	size_t i;

	if (!t->is_in_block)
		return;
	t->is_in_block = false;
	for (i = 0; i < t->ncommands; i++)
		if (!t->commands[i].is_shown)
			check_row(t, &t->commands[i], NULL);
	if (t->is_printed)
		print_block(t);
}

static void
end_world(struct table *t)
{
	size_t i;

	end_block(t);
	for (i = 0; i < t->nstates; i++)
		if (!t->states[i].is_shown)
			wrong(t, "world %s: no table has the state %s",
			    t->world.name, t->states[i].name);
	t->nstates = 0;
}

/* --- lines ---------------------------------------------------------------- */

static struct named *
open_named(struct table *t, struct named *list, size_t *n, const char *name)
{
	struct named *x = &list[*n];

	if (find(list, *n, name) != NULL || *n == NAMED_MAX - 1)
		wrong(t, "%s is there twice, or one too many", name);
	else
		(*n)++;
	memset(x, 0, sizeof(*x));
	strlcpy(x->name, name, sizeof(x->name));
	t->open = x->text;
	return x;
}

/* "passing NAME: reason": no client is ever in the state of that documented
 * name between two commands. */
static void
note_passing(struct table *t, const char *rest)
{
	size_t len = strcspn(rest, ":");
	const char *name;
	int i;

	for (i = 0; i < ES_NSTATES; i++) {
		name = esmtp_message_factory_state(i);
		if (strlen(name) == len && memcmp(name, rest, len) == 0)
			break;
	}
	if (i == ES_NSTATES)
		wrong(t, "no state has that name: %s", rest);
	else
		t->is_passing[i] = true;
}

static bool
is_keyword(char *line, const char *word, char **rest_r)
{
	size_t len = strlen(word);

	if (strncmp(line, word, len) != 0 || line[len] != ' ')
		return false;
	*rest_r = line + len + strspn(line + len, " \t");
	return true;
}

/* "else", and the cells of all commands that the block has not shown. */
static void
check_others(struct table *t, const char *cells)
{
	char copy[TEXT_MAX];
	size_t i;

	for (i = 0; i < t->ncommands; i++) {
		strlcpy(copy, cells, sizeof(copy));
		if (!t->commands[i].is_shown)
			check_row(t, &t->commands[i], copy);
	}
}

/* A line of a block: a command with its cells. */
static void
block_line(struct table *t, char *line)
{
	size_t len = strcspn(line, " \t");
	bool is_end = line[len] == '\0';
	struct named *cmd;

	line[len] = '\0';
	if (strcmp(line, "else") == 0) {
		check_others(t, line + len + !is_end);
		return;
	}
	cmd = find(t->commands, t->ncommands, line);
	if (cmd == NULL)
		wrong(t, "no command is named %s", line);
	else if (cmd->is_shown)
		wrong(t, "%s is there twice", line);
	else
		check_row(t, cmd, line + len + !is_end);
}

static void
take_line(struct table *t, char *line)
{
	char *rest;

	if (line[0] == '\0' || line[0] == '#')
		end_block(t);
	else if (is_keyword(line, "table", &rest)) {
		end_block(t);
		begin_block(t, rest);
		return;
	} else if (t->is_in_block) {
		block_line(t, line);
		return;
	} else if (is_keyword(line, "command", &rest))
		open_named(t, t->commands, &t->ncommands, rest);
	else if (is_keyword(line, "world", &rest)) {
		size_t none = 0;

		end_world(t);
		open_named(t, &t->world, &none, rest);
	} else if (is_keyword(line, "state", &rest))
		open_named(t, t->states, &t->nstates, rest);
	else if (is_keyword(line, "passing", &rest))
		note_passing(t, rest);
	else if (t->open == NULL)
		wrong(t, "expected command, world, state, table or passing");
	else if (strlcat(t->open, line, TEXT_MAX) >= TEXT_MAX - 1 ||
	    strlcat(t->open, "\n", TEXT_MAX) >= TEXT_MAX)
		wrong(t, "more lines than there is room for");
	if (t->is_printed)
		printf("%s\n", line);
}

/* --- the whole ------------------------------------------------------------ */

/* Is there a command that begins with this verb? */
static bool
has_verb(const struct table *t, const char *verb)
{
	size_t i, len = strlen(verb);
	const char *s;

	for (i = 0; i < t->ncommands; i++) {
		s = t->commands[i].text;
		s += strncmp(s, "C! \"", 4) == 0 ? 4 : 3;
		if (strncmp(s, verb, len) == 0 &&
		    (s[len] == ' ' || s[len] == '\n' || s[len] == '\\'))
			return true;
	}
	return false;
}

static void
check_whole(struct table *t)
{
	const struct esmtp_extension *e;
	size_t i, k;

	for (i = 0; i < esmtp_nverbs; i++)
		if (!has_verb(t, esmtp_verbs[i].name))
			wrong(t, "no command begins with the verb %s of "
			    "proto/server/esmtp_verb.def", esmtp_verbs[i].name);
	for (i = 0; (e = esmtp_extension_get(i)) != NULL; i++)
		if (e->func != NULL && !has_verb(t, e->name))
			wrong(t, "no command begins with the verb %s", e->name);
	for (i = 0; i < ES_NSTATES; i++)
		if (t->is_met[i] == t->is_passing[i])
			wrong(t, t->is_met[i] ?
			    "a client can be in the passing state \"%s\"" :
			    "none of the states leads to the state \"%s\" of "
			    "proto/server/esmtp_state.def",
			    esmtp_message_factory_state((int)i));
	for (i = 0; i < t->nreached; i++) {
		for (k = 0; k < t->nall; k++)
			if (strcmp(t->reached[i], t->all[k]) == 0)
				break;
		if (k == t->nall && strcmp(t->reached[i], "closed") != 0)
			wrong(t, "a command leads to %s, and no world has "
			    "that state", t->reached[i]);
	}
}

unsigned long
table_check(const char *path, bool is_printed, bool is_traced,
    unsigned long *ncells_r)
{
	struct table *t = calloc(1, sizeof(*t));
	char *line = NULL;
	size_t size = 0;
	unsigned long nwrong;
	ssize_t n;
	FILE *f;

	*ncells_r = 0;
	if (t == NULL || (f = fopen(path, "r")) == NULL) {
		perror(path);
		free(t);
		return 1;
	}
	t->path = path;
	t->is_printed = is_printed;
	t->is_traced = is_traced;
	while ((n = getline(&line, &size, f)) > 0) {
		t->lineno++;
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		take_line(t, line);
	}
	end_world(t);
	check_whole(t);
	free(line);
	fclose(f);
	*ncells_r = t->ncells;
	nwrong = t->nwrong;
	free(t);
	return nwrong;
}
