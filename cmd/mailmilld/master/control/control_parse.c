/* Requests of mailmillctl: one JSON object in one line.
 * Owns: the names of the commands. */

#include "cmd/mailmilld/master/control/control.h"

#include <string.h>

static const char *const names[] = {
	[CONTROL_STATUS] = "status",
	[CONTROL_STATS] = "stats",
	[CONTROL_RELOAD] = "reload",
	[CONTROL_STOP] = "stop",
	[CONTROL_QUEUE] = "queue",
	[CONTROL_LOOKUP] = "lookup",
	[CONTROL_STS] = "sts",
};

enum control_command
control_parse(const char *line, size_t len)
{
	enum control_command found = CONTROL_BAD;
	const char *command;
	json_t *root;
	size_t i;

	root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	command = json_string_value(json_object_get(root, "command"));
	for (i = 0; command != NULL && i < CONTROL_BAD; i++)
		if (strcmp(names[i], command) == 0)
			found = i;
	json_decref(root);
	return found;
}
