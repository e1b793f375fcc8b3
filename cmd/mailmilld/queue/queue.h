/* The role queue: what its files share. */

#ifndef CMD_MAILMILLD_QUEUE_QUEUE_H
#define CMD_MAILMILLD_QUEUE_QUEUE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "cmd/mailmilld/role/child.h"
#include "core/queue/queue.h"

struct queue_peer;
struct queue_ctl;

struct queue_role {
	struct child		*child;
	struct queue		*queue;	/* NULL: not ours yet */
	TAILQ_HEAD(, queue_peer) peers;
	unsigned int		 npeers;
	TAILQ_HEAD(, queue_ctl)	 ctls;
	unsigned int		 nctls;
	char			 folder[512];
	int			 incoming_fd, folder_fd, lock_fd;
	bool			 has_failed;	/* to open the spool */
	unsigned int		 waited_ms;
	bool			 is_news;	/* something has changed: have a pass soon */
	uint64_t		 passed_ms;	/* end of the last one */
	uint64_t		 due_ms;	/* when the timer is set; 0: it is not */
	Event			*timer;
	uint64_t		 drain_ms;	/* not to wait longer than that */
};

/* cmd/mailmilld/queue/queue_ctl.c: connections of mailmillctl.
 * queue_ctl_begin(r, fd, request, len): Answer a request.  takes ${fd}.
 * queue_ctl_end_all(r): Close those that are not through. */
void queue_ctl_begin(struct queue_role *r, int fd, const char *request,
    unsigned int len);
void queue_ctl_end_all(struct queue_role *r);

#endif
