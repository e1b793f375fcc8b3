/* Which socket to speak to.
 * Owns: reading "control" from a configuration that may be broken. */

#include "cmd/mailmillctl/ctl.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/settings/settings.h"

/* Is ${line} 'control = "path"'?  Return the path, allocated, or NULL. */
static char *
control_line(const char *line)
{
	static const char name[] = "control";
	const char *end;

	line += strspn(line, " \t");
	if (strncasecmp(line, name, sizeof(name) - 1) != 0)
		return NULL;
	line += sizeof(name) - 1;
	line += strspn(line, " \t");
	if (*line++ != '=')
		return NULL;
	line += strspn(line, " \t");
	if (*line++ != '"' || (end = strchr(line, '"')) == NULL)
		return NULL;
	return strndup(line, (size_t)(end - line));
}

/* The file is no good configuration (any more): look for the one line. */
static char *
scan(FILE *fp)
{
	char *line = NULL, *path = NULL, *found;
	size_t size = 0;

	rewind(fp);
	while (getline(&line, &size, fp) != -1)
		if ((found = control_line(line)) != NULL) {
			free(path);
			path = found;
		}
	free(line);
	return path != NULL ? path : strdup(settings_default("control"));
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
	path = s != NULL ? strdup(s->control) : scan(fp);
	settings_free(s);
	fclose(fp);
	if (path == NULL)
		fprintf(stderr, "mailmillctl: out of memory\n");
	return path;
}
