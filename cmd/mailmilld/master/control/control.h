/* What mailmillctl may ask, and the socket on which it does. */

#ifndef CMD_MAILMILLD_MASTER_CONTROL_CONTROL_H
#define CMD_MAILMILLD_MASTER_CONTROL_CONTROL_H

#include <jansson.h>

#include "cmd/mailmilld/master/state/state.h"

int control_open(struct master *m);	/* 0, or -1 having logged why */
void control_close(struct master *m);
/* control_step(m): see master_step() */
void control_step(struct master *m);

/* the parts that need no socket */

enum control_command {
	CONTROL_STATUS, CONTROL_STATS, CONTROL_RELOAD, CONTROL_STOP,
	CONTROL_QUEUE, CONTROL_LOOKUP, CONTROL_STS,
	CONTROL_BAD		/* no JSON object, or no such command */
};

/* control_parse(line, len): Which command the request ${line}, ${len} octets
 * without the newline, is: {"command":"status"} and so on. */
enum control_command control_parse(const char *line, size_t len);

/* status_json(m), stats_json(): The answers to the commands of that name; a
 * new reference, NULL: ENOMEM. */
json_t *status_json(struct master *m);
json_t *stats_json(const struct master *m);

#endif
