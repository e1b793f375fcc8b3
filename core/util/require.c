/* Misuse of a documented function; see require.h. */

#include "core/util/require.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
require_failed(const char *function, const char *rule)
{
	char line[512];
	ssize_t n;

	snprintf(line, sizeof(line), "mailmill: %s(): %s\n", function, rule);
	/* not through stdio, whose lock another thread may hold */
	n = write(STDERR_FILENO, line, strlen(line));
	(void)n;
	abort();
}
