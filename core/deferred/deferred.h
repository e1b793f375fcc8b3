/* The deferred store: what could not be delivered at once.
 * Owns: the SQLite database deferred.db with one row per message and recipient,
 * and the folder deferred/ with one file per message (a segment with one
 * record, core/spool/spool_reader.h).
 * Knows nothing of jobs and agents.
 *
 * The rows decide: a file without a row is a leftover of a crash.  Text ids and
 * plain columns, so that sqlite3(1) can search and edit a full queue.
 *
 * A message is known by where it was accepted (struct spool_origin), and not by
 * the id in its record, which the writer of the record has chosen.  It has this
 * id in the deferred store as well, unless another message has the same one:
 * then it gets a new id of the queue's own. */

#ifndef CORE_DEFERRED_DEFERRED_H
#define CORE_DEFERRED_DEFERRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"
#include "core/spool/spool_id.h"
#include "core/spool/spool_reader.h"

struct deferred;

struct deferred_row {
	uint64_t	 id;		/* of the message */
	uint32_t	 rcpt_index;	/* in its envelope */
	const char	*sender;
	const char	*rcpt;
	const char	*transport;	/* of the last attempt; "": not known.  For the reader: the queue asks for the route anew */
	uint64_t	 received_us;
	uint64_t	 octets;	/* of the body */
	uint32_t	 attempts;
	int64_t		 next_attempt;	/* unix seconds */
	struct spool_origin origin;
	const char	*last_error;	/* NULL: none */
	/* Of the envelope, for the queue */
	int64_t		 hold_until;	/* unix seconds: not due before; 0: not said */
	int64_t		 deliver_by;	/* unix seconds; 0: not said */
	int		 priority;
	unsigned int	 flags;		/* SPOOL_ENV_* */
	const char	*holder;	/* the login that has it held; NULL or "": nobody */
	bool		 is_on_hold;	/* by an administrator: never due */
	/* What is told to the sender; the texts may be NULL, which is "" */
	int64_t		 since;		/* unix seconds, of the clock as it is set now: when it was accepted */
	unsigned int	 notify;	/* SPOOL_NOTIFY_*; 0: not said; DEFERRED_NOTIFY_UNKNOWN */
	unsigned int	 warned;	/* DEFERRED_WARNED_* */
	const char	*outcome;	/* what is to be reported before the row goes, as queue_outcome_name(); "": it waits for an attempt */
	/* of the last attempt, whose words are last_error */
	int64_t		 last_attempt;	/* unix seconds; 0: not known */
	unsigned int	 code;		/* of the next hop's reply; 0: none */
	const char	*enhanced;
	const char	*remote;
	const char	*waits_for;	/* the target, as the queue names it, that this waits for without an attempt; NULL or "": none */
	const char	*route;		/* by which settings an administrator lets it go, as the queue names them; NULL or "": by those that say so themselves */
};

#define DEFERRED_NOTIFY_UNKNOWN	16	/* an earlier version has deferred it: the file says */
#define DEFERRED_WARNED_DELAY	1	/* it was reported that the message is delayed */
#define DEFERRED_WARNED_BY	2	/* and that the time of BY= is over */

/* deferred_open(folder, dirfd): Open the store in ${folder}, which ${dirfd} is
 * a descriptor of (kept, not owned); make it if it is missing.  A database that is missing or damaged is made again from the files; a
 * damaged one is renamed first.  While this is unfinished, the file
 * deferred.rebuild exists, and no file is taken for a leftover.  An
 * administrator may make deferred.rebuild, too, to get the rows that are
 * missing.  NULL with errno, and why in the log: EPROTONOSUPPORT, a later version
 * has made the database, or none. */
struct deferred *deferred_open(const char *folder, int dirfd);
void deferred_free(struct deferred *d);		/* NULL does nothing */

/* deferred_check(d, limit): Go on with what deferred_open() has begun: remove the files
 * that have no row, and count what the others take, of which there may be a million.
 * Look at ${limit} of them at most.  To be called where no file is about to get its
 * row.  Return 1: there are others; 0: that was all; -1 with errno: EBADMSG, the
 * database is damaged, and the next deferred_open() makes it again; another, call
 * again later. */
int deferred_check(struct deferred *d, unsigned int limit);

/* deferred_is_damaged(d): Has any of the other calls found that the database is damaged?
 * Then it is renamed, and the next deferred_open() makes it again from the files; until
 * deferred_free() nothing of it is to be believed. */
bool deferred_is_damaged(struct deferred *d);

/* deferred_begin(d), deferred_commit(d), deferred_rollback(d): One transaction
 * for many rows; commit flushes to the disk.  0, or -1 with errno; a commit
 * that failed has been rolled back. */
int deferred_begin(struct deferred *d);
int deferred_commit(struct deferred *d);
void deferred_rollback(struct deferred *d);

/* deferred_find(d, id, origin, id_r): Find the id that the store uses for the
 * message that has ${id} in its record and was accepted at ${origin}.  1: there
 * are rows of it; 0: there are none, and *id_r is free for it; -1 with errno:
 * EEXIST, another message has ${id}.
 * deferred_is_free(d, id): Has no message that id?  1, 0, or -1 with errno.
 * deferred_last_of(d, segment, generation_r): The last generation of ${segment}
 * in which a message of the store was accepted.  1; 0: there is none; -1 with
 * errno. */
int deferred_find(struct deferred *d, uint64_t id,
    const struct spool_origin *origin, uint64_t *id_r);
int deferred_is_free(struct deferred *d, uint64_t id);
int deferred_last_of(struct deferred *d, uint64_t segment,
    uint64_t *generation_r);

/* deferred_put(d, row): Insert the row, or replace the one of the same message
 * and recipient; EEXIST: another message has this id.
 * deferred_drop(d, id, rcpt_index): Delete a row; with DEFERRED_ANY all rows of
 * the message.  Both return 0, or -1 with errno. */
int deferred_put(struct deferred *d, const struct deferred_row *row);
int deferred_drop(struct deferred *d, uint64_t id, uint32_t rcpt_index);

/* deferred_touch(d, row): Another attempt is over, or it waits for its target:
 * change of a row what is told of the attempt, what of that is to be reported or
 * was, and what it waits for.  One that waits for its target after an attempt keeps
 * what was told of this.  0, or -1 with errno. */
int deferred_touch(struct deferred *d, const struct deferred_row *row);

/* For one recipient of the message ${id}, or with DEFERRED_ANY for all of them:
 * deferred_hurry(d, id, rcpt_index, now): Let it be due at ${now}, but not if it
 * is held or on hold.
 * deferred_hold(d, id, rcpt_index): Put it on hold: it is not due until it is
 * released, and ETRN does not make it due.
 * deferred_release(d, id, rcpt_index, now, held): It is on hold no more, and is due
 * at ${now}, or at the time until which its sender has it held, but not after
 * ${held}.
 * All return rows changed, or -1 with errno.
 * deferred_give_up(d, row): The same for one recipient: it is not tried again, and
 * the row has what the sender is to be told of that, outcome, last_error and
 * enhanced, from next_attempt on, also if it is held or on hold.  Not one that has
 * an outcome already.
 * deferred_route(d, id, rcpt_index, route, now): Let it go by ${route}, and not wait
 * for a target any more; it is due as by deferred_hurry().  Not one that has an
 * outcome. */
int deferred_hurry(struct deferred *d, uint64_t id, uint32_t rcpt_index,
    int64_t now);
int deferred_hold(struct deferred *d, uint64_t id, uint32_t rcpt_index);
int deferred_release(struct deferred *d, uint64_t id, uint32_t rcpt_index,
    int64_t now, int64_t held);
int deferred_give_up(struct deferred *d, const struct deferred_row *row);
int deferred_route(struct deferred *d, uint64_t id, uint32_t rcpt_index,
    const char *route, int64_t now);

/* How far deferred_hurry_domain() has come; zeroed at its start */
struct deferred_domain {
	char		 name[LIM_DOMAIN + 1];	/* whose rows it is at, or was; "": none yet */
	char		 id[SPOOL_ID_TEXT + 1];	/* of the last row of it; "": none yet */
	int64_t		 rcpt_index;
	bool		 is_in;		/* there may be more of this domain */
	bool		 is_over;
};

/* deferred_hurry_domain(d, domain, has_subdomains, at, limit, now): The same for
 * the recipients at ${domain}, in lower case, and with ${has_subdomains} at those
 * that end with "." and it.  It goes on at *${at}, and looks at ${limit} rows at
 * most; at->is_over: there are no others.  Return rows changed, or -1 with
 * errno, and *${at} as it was. */
int deferred_hurry_domain(struct deferred *d, const char *domain,
    bool has_subdomains, struct deferred_domain *at, unsigned int limit,
    int64_t now);

/* What deferred_shift() is to do, and how far it has come */
struct deferred_shift {
	int64_t		 seconds;	/* by which the clock has been set; 0: it may have been */
	int64_t		 latest;	/* unix seconds */
	int64_t		 held;
	/* the rest is zeroed at its start */
	char		 id[SPOOL_ID_TEXT + 1];	/* of the last row that was looked at */
	int64_t		 rcpt_index;
	bool		 has_begun;
	bool		 is_over;
};

/* deferred_shift(d, at, limit): The clock has been set by at->seconds: let all
 * rows be due so much later than they say, but not after at->latest.  The end of
 * an interval, hold_until with SPOOL_ENV_HOLD_FOR and deliver_by, and since move
 * likewise; rows that wait for a time of day stay.  None is held longer than
 * until at->held.  It goes on at *${at}, and looks at ${limit} rows at most;
 * at->is_over: those were the last.  With 0 seconds and no row that is due too late
 * it is over at once; one that is on hold is not looked for then.  Return rows
 * changed, or -1 with errno, and *${at} as it was. */
int deferred_shift(struct deferred *d, struct deferred_shift *at,
    unsigned int limit);

/* A row to look at; its strings live until the function returns.  Return 0 to
 * go on. */
typedef int (*deferred_func)(void *closure, const struct deferred_row *row);

/* Which rows to look at */
struct deferred_query {
	enum {
		DEFERRED_DUE,		/* at ${now}, longest due first, behind (next_attempt, id, rcpt_index); id 0: from the start */
		DEFERRED_PAGE,		/* behind (id, rcpt_index), in the order of both; id 0: from the start */
		DEFERRED_OF,		/* of the message ${id} */
		DEFERRED_WAITS		/* for the target ${waits_for}, behind (id, rcpt_index), in the order of both; id 0: from the start */
	} what;
	uint64_t	 id;
	uint32_t	 rcpt_index;
	int64_t		 next_attempt;	/* of DUE */
	int64_t		 now;
	unsigned int	 limit;		/* rows; not of OF */
	const char	*domain;	/* of PAGE: only recipients at this one, in lower case; NULL: all */
	const char	*waits_for;	/* of WAITS */
};

/* deferred_rows(d, query, each, closure): Return rows seen, or -1 with
 * errno. */
int deferred_rows(struct deferred *d, const struct deferred_query *query,
    deferred_func each, void *closure);

/* deferred_waited_for(d, behind, name_r, len): The next target behind ${behind},
 * "": the first, that rows wait for; those with names longer than ${len} - 1
 * octets are left out.  ${name_r} may be ${behind}.  1, 0: none; -1 with errno. */
int deferred_waited_for(struct deferred *d, const char *behind, char *name_r,
    size_t len);

/* deferred_holders(d, limit, each, closure): Call ${each} for each login and
 * writer through which it has messages held that were not tried yet: the
 * ${limit} logins that have the most by all writers, the most first, with all of
 * their writers (DEFERRED_HOLDERS_MAX in all).  ${octets} are those of the
 * messages, with LIM_HELD_MESSAGE for each and LIM_HELD_RCPT for each of their
 * rows.  The database keeps these sums, whoever changes rows.  ${came} are the
 * octets that were held at deferred_open() and of the rows that were put since,
 * also if they are not held any more: it grows, until there is nothing held;
 * then it is told once more, with 0 ${octets}, and begins again at 0.  ${each} returns 0 to go on.
 * Return how many there were, or -1 with errno. */
#define DEFERRED_HOLDERS_MAX	32768
typedef int (*deferred_holder_func)(void *closure, const char *holder,
    unsigned int writer, uint64_t octets, uint64_t came);
int deferred_holders(struct deferred *d, unsigned int limit,
    deferred_holder_func each, void *closure);

/* deferred_next(d, next_r): The least next_attempt; 1, 0: no row; -1. */
int deferred_next(struct deferred *d, int64_t *next_r);

/* deferred_has(d, id, rcpt_index): Whether there is such a row; with
 * DEFERRED_ANY any row of the message.  1, 0, or -1 with errno. */
#define DEFERRED_ANY	UINT32_MAX
int deferred_has(struct deferred *d, uint64_t id, uint32_t rcpt_index);

/* The files of the messages.
 * deferred_file_write(): See spool_message_write(); ${id} is what
 * deferred_find() has returned for the message.  The file is not flushed:
 * deferred_files_sync(): Flush all files at once, before deferred_commit().
 * deferred_file_remove(): ENOENT is no failure. */
int deferred_file_write(struct deferred *d, uint64_t id,
    const struct spool_view *view, const struct spool_origin *origin, int fd,
    int body_fd);
/* deferred_file_is(d, id, view): Whether the file has the envelope and the body of
 * ${view}.  1, 0, or -1 with errno: ENOENT, EBADMSG (it is damaged), another. */
int deferred_file_is(struct deferred *d, uint64_t id,
    const struct spool_view *view);
/* deferred_file_temporary(d): A file in the same folder that has no name any more.
 * Return its descriptor, the caller's, or -1 with errno. */
int deferred_file_temporary(struct deferred *d);
int deferred_files_sync(struct deferred *d);
int deferred_file_open(struct deferred *d, uint64_t id);
int deferred_file_remove(struct deferred *d, uint64_t id);

/* deferred_octets(d): What the files of the messages take, and all in the folder
 * of the database.
 * deferred_assume(d, octets): That is so much now; it counts, with what changes, until
 * all has been counted.
 * deferred_shrink(d, is_short): To be called again and again: if much of the
 * database is free, make its file smaller by a part of that.  ${is_short}: the
 * disk is full, so this may take little room itself.  It waits for nobody. */
uint64_t deferred_octets(const struct deferred *d);
void deferred_assume(struct deferred *d, uint64_t octets);
void deferred_shrink(struct deferred *d, bool is_short);

#endif
