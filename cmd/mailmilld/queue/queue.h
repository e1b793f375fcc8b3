/* The role queue: what its files share. */

#ifndef CMD_MAILMILLD_QUEUE_QUEUE_H
#define CMD_MAILMILLD_QUEUE_QUEUE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "cmd/mailmilld/role/child.h"
#include "core/queue/queue.h"

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

/* A worker or a delivery agent */
struct queue_peer {
	TAILQ_ENTRY(queue_peer)	 link;
	struct queue_role	*role;
	struct msg_peer		 who;
	int			 fd;	/* until the queue is open; then -1 */
	struct chanev		*ce;
	unsigned int		 agent;
	bool			 is_agent;
	bool			 is_writer;	/* the queue knows its number */
};

/* cmd/mailmilld/queue/queue_held.c: what workers are told of logins that have
 * more held than they may.
 * queue_held_tell(r, login, is_full): Tell all workers; full() of queue_ops.
 * queue_held_tell_all(p): Tell a worker that connects of all such logins: it has
 * heard of none, or of those of another queue process. */
void queue_held_tell(void *r, const char *login, bool is_full);
void queue_held_tell_all(const struct queue_peer *p);

/* cmd/mailmilld/queue/queue_ctl.c: connections of mailmillctl.
 * queue_ctl_begin(r, fd, request, len): Answer a request.  takes ${fd}.
 * queue_ctl_end_all(r): Close those that are not through. */
void queue_ctl_begin(struct queue_role *r, int fd, const char *request,
    unsigned int len);
void queue_ctl_end_all(struct queue_role *r);

#endif
