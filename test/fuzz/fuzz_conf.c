/* A configuration.  Either there is a message that names a line, or what is shown
 * of it is a configuration that shows the same. */

#include "test/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cmd/settings/settings.h"
#include "cmd/settings/settings_show.h"

#define NAME	"mailmill.conf"

/* Other files are no part of the input. */
static bool
has_include(const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i + 7 <= len; i++)
		if (strncasecmp((const char *)data + i, "include", 7) == 0)
			return true;
	return false;
}

/* Octets that cannot be written in a listing (conf_print.h). */
static bool
has_unprintable(const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((data[i] < ' ' && data[i] != '\t' && data[i] != '\n' &&
		    data[i] != '\r') || data[i] > '~')
			return true;
	return false;
}

static struct settings *
load(const char *text, size_t len, char error[SETTINGS_ERROR_MAX])
{
	struct settings *s;
	FILE *fp;

	if ((fp = fmemopen((void *)(uintptr_t)text, len, "r")) == NULL)
		abort();
	error[0] = '\0';
	s = settings_load(fp, NAME, NULL, 0, error, SETTINGS_ERROR_MAX);
	fclose(fp);
	return s;
}

/* takes ${s}.  What is shown is the caller's to free. */
static char *
show(struct settings *s, size_t *len_r)
{
	char error[SETTINGS_ERROR_MAX] = "", *text = NULL;
	struct settings *copy;
	FILE *fp;
	int fd;

	FUZZ_HOLDS((fd = settings_pack(s)) != -1);
	settings_free(s);
	copy = settings_unpack(fd, error, sizeof(error));
	FUZZ_HOLDS(copy != NULL);
	settings_free(copy);
	if ((fp = open_memstream(&text, len_r)) == NULL)
		abort();
	FUZZ_HOLDS(settings_show(fd, NULL, fp, error, sizeof(error)) == 0);
	fclose(fp);
	close(fd);
	return text;
}

void
fuzz_conf(const uint8_t *data, size_t len)
{
	char error[SETTINGS_ERROR_MAX], *text;
	union addr peer = { .in = { .sin_family = AF_INET } };
	struct settings *s;
	size_t n, i;

	if (len == 0 || has_include(data, len))
		return;
	s = load((const char *)data, len, error);
	if (s == NULL) {
		FUZZ_HOLDS(strncmp(error, NAME, sizeof(NAME) - 1) == 0);
		return;
	}
	for (i = 0; i < s->nlistens; i++)
		FUZZ_HOLDS(settings_options_for(s, i, &peer.sa) != NULL);
	(void)settings_domain_find(s, "example.test", 12);
	text = show(s, &n);
	if (has_unprintable(data, len)) {
		free(text);
		return;
	}
	s = load(text, n, error);
	if (s == NULL)
		fprintf(stderr, "%.*s\n%s\n", (int)n, text, error);
	FUZZ_HOLDS(s != NULL);
	settings_free(s);
	free(text);
}
