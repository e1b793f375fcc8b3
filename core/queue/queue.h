/* The queue: new messages go to the delivery agents, and what comes back is
 * acknowledged or deferred.
 * Owns: the messages that are being worked on, the jobs in flight, the retry
 * schedule.  Where the mail is kept is behind a table of functions
 * (queue_store.h).
 * Knows no channel and no loop: it is told what has been committed and
 * delivered, is given the time, and calls out through struct queue_ops.
 *
 * Bounded: messages are read from the store only as far as they can be worked
 * on.  Bodies are never read here, except from the segments of workers that
 * have died, to check them, and of what is reported, as much as is returned.
 *
 * A message's way in the store on disk, and what makes each step durable:
 *	in a segment		the worker's commit
 *	in flight		nothing: after a crash the job is repeated, and
 *				the agent looks for what was delivered before
 *	delivered		the agent's flush, or the next hop's 250, then
 *				an entry in the acknowledgement log
 *	deferred		file and row in the deferred store, then an
 *				entry in the acknowledgement log
 *	held			the same as deferred, before any attempt
 *	failed, reported	first deferred, with what is to be reported; then,
 *				when the acknowledgement is on disk, one
 *				transaction in which the report gets its row and
 *				the message loses its own: so there is one report,
 *				whatever crashes
 *	an alias		first deferred; then one transaction in which the
 *				messages to those who get its mail get their rows
 *				and it loses its own
 *	a report of TLS		one transaction in which its messages get their
 *				rows and what it tells of goes
 *	stuck in its segment	the deferred store could not be written: tried
 *				again from the segment
 *	segment recycled	all its records are done, and the log is on disk */

#ifndef CORE_QUEUE_QUEUE_H
#define CORE_QUEUE_QUEUE_H

#include <sys/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spool/job.h"

#define QUEUE_AGENTS_MAX	64
#define QUEUE_TRANSPORTS_MAX	12
#define QUEUE_TIMES_MAX		65535
#define QUEUE_FILE_MAX		224	/* octets of queue_transport.file() with NUL */
#define QUEUE_TARGET_MAX	776	/* octets of queue_route.target with NUL */

/* A way in which messages are delivered */
struct queue_transport {
	const char	*name;		/* for the log and the deferred store */
	unsigned int	 max_jobs;	/* in flight at one agent */
	/* file(buf, received, id, origin): Write to ${buf} the name that the
	 * agent gives to a message which it delivers, for the log.  NULL: the
	 * log has what the agent has said of it with queue_error() */
	void		(*file)(char *buf, uint64_t received, const char *id,
			    const struct job_origin *origin);
};

/* What has become of a recipient, and is reported to the sender */
enum queue_outcome {
	QUEUE_WAITS,		/* nothing yet; in a report: it is delayed */
	QUEUE_FAILED,		/* refused for good */
	QUEUE_EXPIRED,		/* tried for as long as it may wait */
	QUEUE_LATE,		/* not delivered by the time that the sender has said, RFC 2852 */
	QUEUE_DELIVERED,
	QUEUE_RELAYED,		/* to a server that does not report deliveries */
	QUEUE_EXPANDED,		/* it is an alias of several */
	QUEUE_OUTCOMES
};

/* What a report is to say.  Texts come from clients and next hops; they have no
 * controls, and are valid during the call. */
struct queue_report_rcpt {
	const char	*rcpt;
	const char	*orcpt;		/* ORCPT; NULL: not said */
	enum queue_outcome outcome;
	unsigned int	 code;		/* of the last attempt, as in struct job_error */
	const char	*enhanced;
	const char	*remote;
	const char	*text;
	int64_t		 last_attempt;	/* unix seconds; 0: not known */
	int64_t		 retry_until;	/* of QUEUE_WAITS: unix seconds */
	bool		 is_late;	/* of QUEUE_WAITS: the time of BY= is over */
};

struct queue_report {
	const char	*id;		/* of the report, as text */
	const char	*of;		/* of the message that it tells of */
	const char	*to;		/* the sender; double_bounce, if that cannot be told */
	const char	*sender;	/* of the message; "": it has none */
	const char	*envid;		/* ENVID; NULL: not said */
	int64_t		 now, arrival;	/* unix seconds */
	unsigned int	 env_flags;	/* SPOOL_ENV_* of the message */
	const char	*text;		/* the message, or the beginning of it */
	size_t		 len;
	bool		 is_whole;	/* it is all there, and to be returned */
	const struct queue_report_rcpt *rcpts;
	size_t		 nrcpts;
};

/* The recipients of a message that are aliases, and who gets it in their place */
struct queue_expansion {
	const char	*sender;
	int64_t		 now;		/* unix seconds */
	const char *const *aliases;
	size_t		 naliases;
	const char *const *others;	/* recipients that are no aliases: nobody gets it twice */
	size_t		 nothers;
	/* set by expand() */
	struct queue_expansion_alias {
		enum {
			QUEUE_ALIAS_ONE,	/* of one other address */
			QUEUE_ALIAS_MANY,
			QUEUE_ALIAS_LIST,	/* it has an owner, who is the sender from here on */
			QUEUE_ALIAS_FAILED
		} what;
		const char *enhanced;	/* of QUEUE_ALIAS_FAILED: RFC 3463 */
		const char *text;	/* the same: why; constant */
	}		*verdicts;	/* of each of ${aliases} */
	struct queue_expansion_sender {
		char	*address;
		bool	 is_list;	/* what the sender has asked for is not asked of these */
		size_t	 rewritten;	/* expand()'s own */
	}		*senders;
	size_t		 nsenders;
	struct queue_expansion_rcpt {
		char	*rcpt;
		size_t	 alias;		/* index of ${aliases} */
		size_t	 sender;	/* index of ${senders} */
	}		*rcpts;
	size_t		 nrcpts;
	size_t		 room[2];	/* expand()'s own */
};

struct queue_store_ops;

/* How long mail waits, in seconds */
struct queue_times {
	int64_t		 retry_s;	/* after the first failure; doubled each time */
	int64_t		 max_retry_s;
	int64_t		 lifetime_s;	/* a message that has waited for so long and fails again comes back to its sender */
	int64_t		 bounce_lifetime_s; /* one without a sender */
	int64_t		 warning_s;	/* after so long the sender is told that it is delayed; 0: never */
};

struct queue_config {
	const struct queue_store_ops *store;	/* core/queue/queue_store.h; kept */
	/* of the store on disk alone */
	const char	*folder;	/* spool/queue, as a path (SQLite wants one) */
	int		 queue_dirfd;	/* the same; kept, not owned */
	int		 incoming_dirfd; /* spool/incoming; kept, not owned */
	bool		 is_synced;	/* false: for measuring only */
	/* of all */
	size_t		 max_messages;	/* new ones in memory; 0: QUEUE_MESSAGES_MAX */
	int64_t		 retry_s;	/* this and the next: as in struct queue_times, of mail whose route says nothing else */
	int64_t		 max_retry_s;
	unsigned int	 jitter_percent; /* by which an interval may be shorter, so that what failed together is not tried together */
	int64_t		 lifetime_s, bounce_lifetime_s, warning_s; /* the same */
	const struct queue_times *times; /* of mail whose route names them; kept */
	unsigned int	 ntimes;	/* at most QUEUE_TIMES_MAX */
	uint64_t	 return_octets;	/* a message that is not larger is returned whole where RET=FULL was said */
	const char	*double_bounce;	/* whom to tell of a report that failed; "" or NULL: nobody; kept */
	bool		 has_priorities; /* a listener offers MT-PRIORITY: else no worker gets its messages in front by what it writes */
	uint64_t	 held_octets;	/* what one login may have held; 0: no bound */
	uint64_t	 held_share;	/* and through one slot of workers; at most held_octets */
	const struct queue_transport *transports;	/* kept */
	unsigned int	 ntransports;	/* at most QUEUE_TRANSPORTS_MAX */
};

/* Where a recipient goes */
struct queue_route {
	unsigned int	 transport;	/* an index of config.transports */
	char		 target[QUEUE_TARGET_MAX]; /* such as a next hop, or a domain: the same for all that would fail with it; "": all of the transport */
	/* of a target that has a text: messages that agents have for it at a time, at
	 * first and at most; 0: as the queue thinks */
	unsigned int	 window_first, window_max;
	unsigned int	 max_rate;	/* messages a minute; 0: no bound */
	/* targets with one number of a stream, such as those that mail is sent to from
	 * one address, have together: messages a minute, and at agents at a time; 0: no
	 * bound.  Each target has one stream at most; 0: none */
	uint32_t	 stream;
	unsigned int	 stream_rate, stream_window;
	uint32_t	 section;	/* what jobs have as such */
	bool		 is_other;	/* the section of the addressee is not there, and this is where the settings of today let him go */
	unsigned int	 times;		/* how long it waits: 1 + an index of config.times; 0: as the config says */
};

/* Whose route is asked for */
struct queue_addressee {
	const char	*rcpt;
	const char	*sender;	/* of the message */
	const char	*section;	/* by which settings an administrator lets the recipient go, by name; NULL or "": he has not said */
};

struct queue_ops {
	/* route(closure, to, route_r, text_r): Where ${to} goes; before,
	 * ${route_r} has no target, no limits, no section and no times, and is no other.  Asked when a message is read
	 * from its segment or the deferred store.  Return 0, or -1 with errno
	 * when there is no way, and in ${text_r}, JOB_TEXT octets, what to do. */
	int	(*route)(void *closure, const struct queue_addressee *to,
		    struct queue_route *route_r, char *text_r);
	/* section(closure, name, why_r): What rows have as struct
	 * queue_addressee.section for the settings with that name.  Valid until
	 * the next call; NULL: there are none, and *why_r says what is wrong.
	 * NULL in place of the function: nobody may say such a name. */
	const char *(*section)(void *closure, const char *name,
		    const char **why_r);
	/* source(closure, agent, source, fd, is_shared): Tell ${agent} that jobs
	 * will name ${source}; ${fd} stays the queue's.  ${is_shared}: the file
	 * has other mail, too, or will have.  forget(): they will no more.
	 * Return 0, or -1 with errno: EAGAIN, not now; ENOMEM, messages in it
	 * are to be deferred. */
	int	(*source)(void *closure, unsigned int agent, uint64_t source,
		    int fd, bool is_shared);
	void	(*forget)(void *closure, unsigned int agent, uint64_t source);
	/* jobs(closure, agent, jobs, n): Return how many of them, from the first
	 * on, the agent has got; the others not now. */
	unsigned int (*jobs)(void *closure, unsigned int agent,
		    const struct job *jobs, unsigned int n);
	/* is_alias(closure, rcpt): Is ${rcpt} one that expand() is to be asked
	 * about?  1 or 0; -1: there is no memory to find out.  NULL: there are none.
	 * expand(closure, x): Find who gets the mail of x->aliases.  Return 0, or
	 * -1 with errno: not now.  expand_free(x): Free what it has set. */
	int	(*is_alias)(void *closure, const char *rcpt);
	int	(*expand)(void *closure, struct queue_expansion *x);
	void	(*expand_free)(struct queue_expansion *x);
	/* held(closure, login): What ${login} has held has changed:
	 * queue_held_left() says what it may still have held.  NULL: nobody
	 * wants to know */
	void	(*held)(void *closure, const char *login);
	/* report(closure, report, text_r, len_r, flags_r): Compose the report as a
	 * message: *text_r, to be freed, ${len_r} octets, and in *flags_r what its
	 * envelope says (SPOOL_ENV_*).  Return 0, or -1 with errno.  NULL: there
	 * are none, and what has failed is in the log alone */
	int	(*report)(void *closure, const struct queue_report *report,
		    char **text_r, size_t *len_r, unsigned int *flags_r);
};

struct queue;

/* queue_open(config, ops, closure, now, ms): Open the store.  The caller holds
 * the lock of its folder.  NULL with errno, and why in the log.
 * Here and below, ${now} is the wall clock, which may be set; ${ms} is
 * milliseconds of a clock that never is, and all waits are measured by it. */
struct queue *queue_open(const struct queue_config *config,
    const struct queue_ops *ops, void *closure, const struct timeval *now,
    int64_t ms);

/* queue_close(q): Write what is pending, close. */
void queue_close(struct queue *q);

/* queue_committed(q, writer, segment, generation, end, is_sealed): The worker
 * with the number ${writer} says that records up to ${end} are durable, and
 * with ${is_sealed} that it is done with the segment.  A hostile worker can
 * only make the queue read a segment of its own sooner: what is in the segment,
 * and where it ends, the queue learns from the file. */
void queue_committed(struct queue *q, unsigned int writer, uint64_t segment,
    uint64_t generation, uint64_t end, bool is_sealed);

/* queue_writer_add(q, number): There is a channel to a worker whose files have
 * that number (spool_number()): its segments are recycled for it.  Called once
 * for each channel.
 * queue_writer_gone(q, number): The channel has been closed: look at its
 * segments in the next pass. */
void queue_writer_add(struct queue *q, unsigned int number);
void queue_writer_gone(struct queue *q, unsigned int number);

/* queue_agent_add(q, transport, &agent_r): An agent is there for jobs.  Return
 * 0, or -1 with errno (ENOSPC).  queue_agent_gone(q, agent): It is dead; what
 * it had is given to another as a repeated job. */
int queue_agent_add(struct queue *q, unsigned int transport,
    unsigned int *agent_r);
void queue_agent_gone(struct queue *q, unsigned int agent);

/* queue_error(q, agent, error): Why a job was not done, or what the next hop has
 * said of one that was; its result follows.  queue_done(q, agent, result, now):
 * The result.  A job that is not in flight at ${agent} is ignored.  Neither is
 * believed further than it goes: texts are cut and cleaned, flags that are not
 * known count for nothing. */
void queue_error(struct queue *q, unsigned int agent,
    const struct job_error *error);
void queue_done(struct queue *q, unsigned int agent,
    const struct job_result *result, const struct timeval *now);

/* queue_pass(q, now, ms): Do what there is to do: read segments, hand out
 * jobs, store failures, write the log, recycle.  Call it after a batch of the
 * calls above and when it is due.  Return milliseconds until it is due
 * again; -1: the store is damaged, and queue_open() makes it again: close it. */
int queue_pass(struct queue *q, const struct timeval *now, int64_t ms);

/* queue_held_slot(q, writer, slot): The worker with the number ${writer} is the
 * process in the slot ${slot}, 1 to QUEUE_SLOTS: what has come through it counts
 * for the share of that slot.  The numbers of processes that have ended keep
 * theirs.
 * queue_held_left(q, login, writer): How many octets ${login} may still have held
 * through the worker with the number ${writer}; a message counts as
 * deferred_holders() says.  UINT64_MAX: there is no bound.
 * queue_held_came(q, login, writer, held_r): How many octets were held for ${login}
 * through it at queue_open(), or have come since; it is 0 again after nothing was
 * held any more.  ${held_r} gets how many of them are held.
 * queue_held_login(q, behind): Of the logins that are known to have something
 * held, the one behind ${behind}, NULL: the first; NULL: there is none. */
#define QUEUE_SLOTS	256
void queue_held_slot(struct queue *q, unsigned int writer, unsigned int slot);
uint64_t queue_held_left(const struct queue *q, const char *login,
    unsigned int writer);
uint64_t queue_held_came(const struct queue *q, const char *login,
    unsigned int writer, uint64_t *held_r);
const char *queue_held_login(const struct queue *q, const char *behind);

/* queue_start(q, slot, domain, has_subdomains): The worker in the slot ${slot} says
 * that a client wants what waits for ${domain}, in lower case, and with
 * ${has_subdomains} for domains that end with "." and it (ETRN, RFC 1985).  What
 * is deferred becomes due in the next passes, but for what is held: at once,
 * unless the same was asked less than QUEUE_START_MS ago; then after that time.
 * Return 0; or -1 with errno: ENOSPC, this slot has QUEUE_STARTS_MAX of them; ENOMEM;
 * EINVAL, the domain is too long.
 * queue_start_room(q, slot): How many more the slot may have. */
#define QUEUE_START_MS		30000
#define QUEUE_STARTS_MAX	1024
int queue_start(struct queue *q, unsigned int slot, const char *domain,
    bool has_subdomains);
unsigned int queue_start_room(const struct queue *q, unsigned int slot);

/* queue_stop(q): Hand out no more jobs.  queue_in_flight(q): Jobs that agents
 * have. */
void queue_stop(struct queue *q);
size_t queue_in_flight(const struct queue *q);

/* Requests of mailmillctl: one JSON object
 *	{"command":"queue", "action":"list"|"show"|"top"|"retry"|"hold"|
 *	 "release"|"remove"|"bounce"|"route"|"tls", and of these what the action
 *	 takes:
 *	 "id":"<message id>", or "all" for an action that changes something,
 *	 "filter":{...} of core/queue/queue_filter.h, "limit":<messages of a list, or
 *	 rows of top>, "raw":true of show, "by":"domain"|"sender"|"error"|"target"
 *	 of top, "dry_run":true of what changes something, "reason":"text" of bounce,
 *	 "to":"<title of a Domain section>" of route, or null: as configured}
 * tls takes a limit, of counts, and a filter of one domain alone.
 * A list and top are of all messages without a filter; what changes something has an
 * id or a filter.  A filter means recipients, and the messages that have such.
 * Answers:
 *	list	{"messages":[M, ...], "more":false}
 *	show	{"message":M}	with "session", "client", "helo", and what the
 *				client has said with MAIL and RCPT
 *	show, raw	{"id", "octets"}, a line feed, and so many octets: the
 *				message itself
 *	top	{"by", "minutes":[...], "top":[R, ...], "total":R, "others":R,
 *		 "complete"}	R is {"name", "recipients", "ages":[...]}, and by
 *				target what is known of T
 *	retry	{"retried":<recipients>, "messages":<messages>}
 *	hold, release, remove, bounce, route	the same with "held", "released",
 *				"removed", "bounced", "routed"; with
 *				"busy" recipients that are being delivered, and
 *				"dry_run":true if nothing was changed
 *	tls	{"counts":[C, ...], "more":false}	what is counted for reports of
 *				TLS: {"day", "domain", "policy_type",
 *				"policy_domain", "policy", "result", "mx_host",
 *				"sending_ip", "receiving_ip", "reason",
 *				"sessions"} of deferred_tls.h; result null:
 *				nothing has failed
 *	any	{"error":"what is wrong and what to do"}
 * M is {"id", "state", "sender", "received", "age", "octets", "recipients"}:
 * state is "active" (in a segment) or "deferred"; received unix seconds, age
 * seconds.  "recipients" is an array, of at most 100 in a list ("recipients_more"
 * then says how many more), of {"recipient", "state", "attempts",
 * "next_attempt", "last_error"}: state is "waiting", "delivering", "deferred",
 * "held" (until the time that its sender has said), "hold" (by an administrator),
 * or what is about to be reported: "failed", "expired", "late", "delivered" or
 * "relayed"; next_attempt is unix seconds or null; last_error text or null;
 * export has none of these three.  One that "route" lets go by a section has this as
 * "route".
 * What the client has said is there only if it has: of M "hold_until",
 * "deliver_by" (unix seconds), "deliver_by_mode" ("return" or "notify"),
 * "priority", "require_tls" and "tls_optional" (true), "expanded" (true: written for
 * those who get the mail of an alias); in show also "envid", "solicit", "ret"
 * ("full" or "hdrs"), and of a recipient its "index" in the envelope, "notify"
 * (an array of "never", "success", "failure", "delay") and "orcpt".
 * In show a recipient has "target":T, if there is a way to it.  T is {"name": the
 * transport, and the next hop or the domain}, and if it is known to the queue "window"
 * (messages that agents may have for it at a time), "sent" (that they have), and
 * while it rests "rest" (seconds until a recipient is tried) and "error".  Why else
 * it may have nothing now: "rate_wait" (seconds until its own rate lets it have a
 * message), "mx_rate_wait" (the seconds left for which an agent has put it off, since
 * its MX hosts have a rate), and of its stream
 * "source_rate_wait" (seconds until the rate of all of them lets one have a message)
 * and "source_full" (true: agents have as many messages as they may have of it, or of
 * this target as one of it). */
struct queue_answer;

/* How long the reader of an answer may take nothing, and the sender of an import,
 * which may wait itself, may send nothing, before the answer is given up */
#define QUEUE_ANSWER_STALL_S	30
#define QUEUE_ANSWER_INPUT_S	600

/* queue_control(q, request, len): Begin to answer.  NULL: ENOMEM. */
struct queue_answer *queue_control(struct queue *q, const char *request,
    size_t len);

/* queue_answer_next(a, now, &buf_r, &len_r): The next piece, valid until the
 * next call; it may be empty.  Return 1; 0: that was all. */
int queue_answer_next(struct queue_answer *a, const struct timeval *now,
    const char **buf_r, size_t *len_r);
/* queue_answer_wants(a): Does it want octets from the peer before the next piece?
 * queue_answer_feed(a, now, buf, len): Here are some; 0: there are no more. */
bool queue_answer_wants(const struct queue_answer *a);
void queue_answer_feed(struct queue_answer *a, const struct timeval *now,
    const char *buf, size_t len);
void queue_answer_free(struct queue_answer *a);	/* NULL does nothing */

#endif
