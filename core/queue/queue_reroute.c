/* Recipients that an administrator leads elsewhere than the configuration says.
 * Owns: by which section they are to go, and what their rows have of that. */

#include "core/queue/queue_answer.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

const char *
queue_reroute_to(struct queue_answer *a, const json_t *value)
{
	const char *text = json_string_value(value), *name = "", *why;

	if (!json_is_null(value)) {
		if (text == NULL || a->q->ops->section == NULL)
			return "\"to\" is the title of a Domain section, or "
			    "null";
		name = a->q->ops->section(a->q->closure, text, &why);
		if (name == NULL)
			return why;
	}
	free(a->route);
	a->route = strdup(name);
	return a->route == NULL ? queue_answer_no_memory : NULL;
}

void
queue_reroute_row(const struct queue_answer *a, struct deferred_row *row)
{
	row->route = a->route;
	row->next_attempt = MAX(row->hold_until, a->now_s);
}
