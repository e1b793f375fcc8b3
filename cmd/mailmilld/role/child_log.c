/* See child_log.h. */

#include "cmd/mailmilld/role/child_log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/lim.h"
#include "core/loop/after.h"
#include "core/process/log_record.h"
#include "core/util/monotonic.h"

#define GATHER_OCTETS	(LOG_RECORD_MAX / 4 * 3)	/* some fifty lines */
#define GATHER_MS	20	/* a line waits no longer, but for a pass */
#define RETRY_MS	1000	/* when the log takes nothing */
#define RELOG_MS	2000	/* between wishes for another one: each line that the
				 * log does not take is a reason to ask */

/* Called from within the log: only take note. */
static void
log_failed(void *closure)
{
	struct child *c = closure;

	c->is_relog_wanted = true;
}

void
child_log_on_log(void *closure, struct channel_msg *msg)
{
	struct child *c = closure;
	struct msg_log log;
	char ident[LIM_NAME];

	memcpy(&log, msg->base, sizeof(log));
	if (msg->fd == -1 || log.kind > LOG_TO_LOGGER)
		return;
	snprintf(ident, sizeof(ident), "mailmilld/%s-%u",
	    role_name(c->role->id), c->init.slot);
	/* what has failed was the descriptor before this one */
	c->is_relog_wanted = false;
	/* only the logger, which has the log itself, asks for another
	 * descriptor: a socket to the logger stays good */
	log_on_failure(log.kind == LOG_TO_LOGGER ? NULL : log_failed, c);
	log_init(ident, log.kind, msg->fd, c->settings != NULL ?
	    c->settings->level : LOG_LEVEL_NOTICE);
	if (c->log_fd != -1)
		close(c->log_fd);
	c->log_fd = msg->fd;
	msg->fd = -1;
}

static void on_log_timer(void *closure);

static void
wait_for_log(struct child *c, unsigned int ms)
{
	if (c->log_timer == NULL)
		c->log_timer = after_ms(ms, on_log_timer, c);
}

static void
write_log(struct child *c)
{
	size_t before = log_pending(), left;

	log_flush();
	/* its disk is full, or its reader is slow: no event says when it takes
	 * more */
	if ((left = log_pending()) > 0)
		wait_for_log(c, left < before ? GATHER_MS : RETRY_MS);
}

static void
on_log_timer(void *closure)
{
	struct child *c = closure;

	c->log_timer = NULL;
	write_log(c);
}

/* Each record wakes the logger: some lines at once cost little more than
 * one. */
static void
gather_log(struct child *c)
{
	size_t n = log_pending();

	if (n > 0 && n < GATHER_OCTETS)
		wait_for_log(c, GATHER_MS);
	if (n >= GATHER_OCTETS || (n > 0 && c->log_timer == NULL))
		write_log(c);
}

static int
end_of_pass(void *closure, struct timeval *)
{
	struct child *c = closure;
	struct msg_empty empty = { 0 };
	uint64_t now_ms;

	if (c->is_relog_wanted && (now_ms = monotonic_ms()) >= c->relog_ms) {
		c->is_relog_wanted = false;
		c->relog_ms = now_ms + RELOG_MS;
		(void)chanev_send(c->master, M_RELOG, &empty, NULL, 0, -1);
	}
	gather_log(c);
	return 0;
}

int
child_log_gather(struct child *c)
{
	return scheduler_recurrent_func_add(end_of_pass, c);
}
