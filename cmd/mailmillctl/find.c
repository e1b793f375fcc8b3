/* The path of the control socket.
 * Owns: reading "control" from a configuration that may have errors. */

#include "cmd/mailmillctl/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/settings/settings.h"

/* What the search has read and found. */
struct scan {
	struct conf_input	*in;
	unsigned int		 nfiles;
	char			*path;	/* of the socket; NULL: none yet */
};

/* The text T if ${line} is: ${name} ${after} "T".  Allocated, or NULL. */
static char *
quoted(const char *line, const char *name, const char *after)
{
	const char *end;

	line += strspn(line, " \t");
	if (strncasecmp(line, name, strlen(name)) != 0)
		return NULL;
	line += strlen(name);
	line += strspn(line, " \t");
	if (strncmp(line, after, strlen(after)) != 0)
		return NULL;
	line += strlen(after);
	line += strspn(line, " \t");
	if (*line++ != '"' || (end = strchr(line, '"')) == NULL)
		return NULL;
	return strndup(line, (size_t)(end - line));
}

static void scan_file(struct scan *s, const struct conf_item *item,
    unsigned int depth);

static void
scan_line(struct scan *s, const struct conf_item *item, const char *line,
    unsigned int depth)
{
	const struct conf_item *match, *file;
	const char *p;
	char *found;

	if ((found = quoted(line, "control", "=")) != NULL) {
		free(s->path);
		s->path = found;
		return;
	}
	if (depth == CONF_INCLUDE_DEPTH ||
	    (found = quoted(line, "include", "")) == NULL)
		return;
	match = conf_input_match(s->in, found, item->name);
	free(found);
	for (p = match == NULL ? NULL : match->text; p != NULL &&
	    p < match->text + match->len &&
	    s->nfiles < CONF_INCLUDE_MAX; p += strlen(p) + 1) {
		s->nfiles++;
		if ((file = conf_input_file(s->in, p)) != NULL)
			scan_file(s, file, depth + 1);
	}
}

static void
scan_file(struct scan *s, const struct conf_item *item, unsigned int depth)
{
	const char *p = item->text, *end = p + item->len, *newline;
	char *line;

	for (; p < end; p = newline + 1) {
		if ((newline = memchr(p, '\n', (size_t)(end - p))) == NULL)
			newline = end;
		if ((line = strndup(p, (size_t)(newline - p))) != NULL)
			scan_line(s, item, line, depth);
		free(line);
	}
}

/* The configuration has an error: look only for the line that sets "control". */
static char *
scan(FILE *fp, const char *filename)
{
	struct scan s = { .path = NULL };

	rewind(fp);
	if ((s.in = conf_input_new(fp, filename, NULL, 0)) != NULL)
		scan_file(&s, conf_input_main(s.in), 0);
	conf_input_free(s.in);
	return s.path != NULL ? s.path : strdup(settings_default("control"));
}

char *
socket_find(const char *filename)
{
	char err[SETTINGS_ERROR_MAX], *path;
	struct settings *s;
	FILE *fp;

	if ((fp = fopen(filename, "re")) == NULL) {
		fprintf(stderr, "mailmillctl: %s: %s (name the configuration "
		    "with -c, or the socket with -s)\n", filename,
		    strerror(errno));
		return NULL;
	}
	s = settings_load(fp, filename, NULL, 0, err, sizeof(err));
	path = s != NULL ? strdup(s->control) : scan(fp, filename);
	settings_free(s);
	fclose(fp);
	if (path == NULL)
		fprintf(stderr, "mailmillctl: out of memory\n");
	return path;
}
