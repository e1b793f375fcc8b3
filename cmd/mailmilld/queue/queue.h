/* The role queue: what its files share. */

#ifndef CMD_MAILMILLD_QUEUE_QUEUE_H
#define CMD_MAILMILLD_QUEUE_QUEUE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "cmd/mailmilld/role/child.h"
#include "cmd/settings/route.h"
#include "core/queue/queue.h"
#include "core/util/bucket.h"

struct queue_copied;
struct queue_copy;
struct queue_ctl;
struct queue_tlsrpt;
struct queue_unread;

/* What is discarded, see queue_discard.c */
struct queue_discard {
	bool			 is_agent;	/* some Domain section says that */
	unsigned int		 agent;		/* its number */
	uint64_t		*jobs;		/* given by the queue, not yet answered */
	size_t			 njobs, room;
};

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
	bool			 is_held_lost;	/* some worker's is */
	struct queue_discard	 discard;
	struct queue_times	*times;	/* owned, as the next; of the sections that have some of their own */
	unsigned int		 ntimes;
	uint16_t		*times_of;	/* of each section: 1 + an index of times, 0: none */
	uint64_t		 copy_octets;	/* of all agents' copies */
	struct queue_tlsrpt	*tlsrpt;	/* NULL: no reports of TLS */
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
	bool			 has_copies;	/* an agent that gets no segment: queue_copy.c */
	LIST_HEAD(, queue_copy)	 copies;	/* of segments */
	struct queue_copied	*copied;	/* the jobs that have records there, owned */
	size_t			 ncopied;
	size_t			 npieces;	/* records in them */
	uint64_t		 copy_octets;	/* that they take in memory */
	uint64_t		 short_ms;	/* since when there is no memory for any job; 0: there is */
	uint64_t		 logged_ms;	/* when that was logged; 0: never */
	STAILQ_HEAD(, queue_unread) unread;	/* jobs that have failed before the agent got them */
	bool			 is_writer;	/* the queue knows its number */
	unsigned int		 number;	/* which is in the numbers of a worker's files */
	bool			 is_held_lost;	/* it has not heard what logins may have held */
	struct bucket		 starts;	/* Q_START that are looked at */
	uint32_t		 nheard;	/* Q_START, modulo 2^32 */
	struct msg_room		 told;		/* the last Q_ROOM; 0, 0: none */
	uint64_t		 refused_ms;	/* when it was logged that some are not; 0: never */
	struct bucket		 told_tls;	/* Q_TLS that are looked at */
	uint64_t		 tls_lost_ms;	/* when it was logged that some are not counted; 0: never */
};

/* cmd/mailmilld/queue/queue_ops.c: what the queue asks of its process.
 * queue_transports(n_r): What the queue calls transports, *${n_r} of them.
 * queue_transport_of(transport, account): The number of ${transport} among them;
 * ${account} is an index of pipe_accounts, for TRANSPORT_PIPE alone.
 * queue_role_ops: their closure is the struct queue_role. */
const struct queue_transport *queue_transports(unsigned int *n_r);
unsigned int queue_transport_of(enum transport transport,
    unsigned int account);
extern const struct queue_ops queue_role_ops;

/* cmd/mailmilld/queue/queue_times.c: how long mail waits, by Domain sections.
 * queue_times_open(r): Find out what they say, unless that is done.  Return 0, or -1
 * (ENOMEM).  queue_times_close(r): Forget it, when the queue is closed.
 * queue_times_find(r, d): Those of ${d}, for struct queue_route. */
int queue_times_open(struct queue_role *r);
void queue_times_close(struct queue_role *r);
unsigned int queue_times_find(const struct queue_role *r,
    const struct settings_domain *d);

/* cmd/mailmilld/queue/queue_peer.c: workers and delivery agents.
 * queue_peer_add(r, who, fd): One connects.  takes ${fd}.
 * queue_peer_open(p): Begin to read from it.  Only when the queue is open: until
 * then messages wait in the channel.
 * queue_peer_free(p): Close its channel, and forget it. */
void queue_peer_add(void *r, const struct msg_peer *who, int fd);
void queue_peer_open(struct queue_peer *p);
void queue_peer_free(void *p);

/* cmd/mailmilld/queue/queue_copy.c: what an agent can read of a segment, in which
 * there is mail of others.
 * queue_copy_open(p, source, fd): A file in memory in the place of the segment
 * ${fd}; the one that it has already, if it is of the same.  Return a descriptor of
 * it, for the agent, or -1 with errno.
 * queue_copy_close(p, source), queue_copy_close_all(p): Jobs name it no more.
 * queue_copy_jobs(p, jobs, n, left_r): Put the records of these jobs into such
 * files.  Jobs whose records cannot be read are taken out of ${jobs}, of which
 * *${left_r} are left.  Return how many of them it has seen to; there is no memory
 * for those behind these.
 * queue_copy_done(p, job): The agent does not need its record any more.
 * queue_copy_is_short(p, errnum): There is no memory for any of its jobs: log it
 * from time to time.  Return whether that has lasted for QUEUE_COPY_WAIT_MS.
 * queue_copy_tell(p, now): Tell the queue of the jobs that were taken out. */
#define QUEUE_COPY_MAX	((uint64_t)128 << 20) /* octets of all copies in memory: half of it for an agent that is alone */
#define QUEUE_COPY_WAIT_MS 60000
int queue_copy_open(struct queue_peer *p, uint64_t source, int fd);
void queue_copy_close(struct queue_peer *p, uint64_t source);
void queue_copy_close_all(struct queue_peer *p);
unsigned int queue_copy_jobs(struct queue_peer *p, struct job *jobs,
    unsigned int n, unsigned int *left_r);
void queue_copy_done(struct queue_peer *p, uint64_t job);
bool queue_copy_is_short(struct queue_peer *p, int errnum);
void queue_copy_tell(struct queue_peer *p, const struct timeval *now);

/* cmd/mailmilld/queue/queue_discard.c: an agent in this process, which delivers to
 * nowhere.
 * queue_discard_open(r): The queue is open: become its agent, if the settings want
 * one.  Return 0, or -1 with errno.
 * queue_discard_is(r, agent): Is it ${agent}?
 * queue_discard_jobs(r, jobs, n): Take them.  Return how many: all, or none now.
 * queue_discard_tell(r, now): In the next pass: tell the queue that they are done.
 * queue_discard_close(r): Free what it has. */
int queue_discard_open(struct queue_role *r);
bool queue_discard_is(const struct queue_role *r, unsigned int agent);
unsigned int queue_discard_jobs(struct queue_role *r, const struct job *jobs,
    unsigned int n);
void queue_discard_tell(struct queue_role *r, const struct timeval *now);
void queue_discard_close(struct queue_role *r);

/* cmd/mailmilld/queue/queue_lock.c
 * queue_lock_open(r): Open the folders of the spool, and the file of its lock.
 * Return 0, or -1 having logged why.
 * queue_lock_take(r): Lock it.  Return 0; 1: another process has it, try again in
 * QUEUE_LOCK_MS; -1 having logged why: it would be in vain. */
#define QUEUE_LOCK_MS	100
int queue_lock_open(struct queue_role *r);
int queue_lock_take(struct queue_role *r);

/* cmd/mailmilld/queue/queue_held.c: what workers are told of how much logins may
 * still have held.
 * queue_held_tell(r, login): Tell all workers; held() of queue_ops.
 * queue_held_tell_all(p): Tell a worker that connects of all logins that have
 * something held: it has heard of none, or of those of another queue process.
 * queue_held_tell_again(r): At the end of each pass of the loop: tell those
 * whose channel was full, and is not any more. */
void queue_held_tell(void *r, const char *login);
void queue_held_tell_all(struct queue_peer *p);
void queue_held_tell_again(struct queue_role *r);

/* cmd/mailmilld/queue/queue_dsn.c: report() of queue_ops. */
int queue_dsn(void *closure, const struct queue_report *report, char **text_r,
    size_t *len_r, unsigned int *flags_r);

/* cmd/mailmilld/queue/queue_etrn.c: the starts of the queue that workers ask for.
 * queue_etrn_open(p): Of a worker that connects.
 * queue_etrn_on_asked(p, msg): Q_START.
 * queue_etrn_tell(r): At the end of each pass of the loop: tell workers how many
 * more they may ask for, where that has changed. */
void queue_etrn_open(struct queue_peer *p);
void queue_etrn_on_asked(void *p, struct channel_msg *msg);
void queue_etrn_tell(struct queue_role *r);

/* cmd/mailmilld/queue/queue_tls.c: what relays tell of connections to MX hosts.
 * queue_tls_open(p): Of a relay that connects.
 * queue_tls_on_told(p, msg): Q_TLS. */
void queue_tls_open(struct queue_peer *p);
void queue_tls_on_told(void *p, struct channel_msg *msg);

/* cmd/mailmilld/queue/queue_tlsrpt.c: reports of TLS to the domains of next hops; all
 * of it does nothing unless TLS_Reports is set.
 * queue_tlsrpt_new(r): Before the resolver may connect.  Return 0, or -1 with errno.
 * queue_tlsrpt_open(r): The queue is open: begin.
 * queue_tlsrpt_peer(r, who, fd): The resolver, or the process sts, connects.  takes
 * ${fd}.
 * queue_tlsrpt_free(r): End; what was under way is begun again by the next
 * process. */
int queue_tlsrpt_new(struct queue_role *r);
void queue_tlsrpt_open(struct queue_role *r);
void queue_tlsrpt_peer(struct queue_role *r, const struct msg_peer *who,
    int fd);
void queue_tlsrpt_free(struct queue_role *r);

/* cmd/mailmilld/queue/queue_ctl.c: connections of mailmillctl.
 * queue_ctl_begin(r, fd, request, len): Answer a request.  takes ${fd}.
 * queue_ctl_end_all(r): Close those that are not through. */
void queue_ctl_begin(struct queue_role *r, int fd, const char *request,
    unsigned int len);
void queue_ctl_end_all(struct queue_role *r);

#endif
