/* What the queue asks of the store that keeps the mail: one table of functions.
 * core/store/queue_spool.h is the store on this machine's disk; a replicated
 * one, or one in memory for tests, fills in the same table.
 *
 * A message is in one of two places.  A new one is a record among others in a
 * file that a worker has written; it is done when each of its recipients has
 * been acknowledged.  A deferred one has a file of its own, and a row for each
 * recipient that still waits.
 *
 * All calls are made on one thread.  Functions that return int return 0, or -1
 * with errno, unless they say otherwise. */

#ifndef CORE_QUEUE_QUEUE_STORE_H
#define CORE_QUEUE_QUEUE_STORE_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/deferred/deferred.h"
#include "core/deferred/deferred_tls.h"
#include "core/queue/queue.h"
#include "core/spool/spool_envelope.h"

/* A file that agents read messages from.  The store makes it zeroed; what is
 * in it is the queue's. */
struct queue_file {
	TAILQ_ENTRY(queue_file) link;	/* while some agent knows it */
	uint64_t	 source;	/* its name in jobs; 0: none yet */
	uint64_t	 told;		/* agents that know it, a bit each */
};

/* Where a message is */
struct queue_place {
	uint64_t	 id;		/* of the message */
	uint64_t	 kept_id;	/* a new message's id in the deferred store; 0: not known */
	struct queue_file *file;	/* of new messages; NULL: it is deferred */
	uint64_t	 offset;	/* of its record in the file */
	struct spool_origin origin;	/* where it was accepted; for a deferred message, what its row says */
	bool		 has_body;	/* the body has a file of its own */
	bool		 is_own;	/* the queue has written it: own_place() */
	bool		 is_spare;	/* likewise, and mail comes first: no room is given up for it, and it has none of the reserve */
};

/* A new message, or a deferred one as read_deferred() finds it.  Valid during
 * the call that passes it. */
struct queue_record {
	struct queue_place place;
	uint64_t	 received_us;
	uint64_t	 octets;	/* of the body */
	uint64_t	 body_at;	/* where it begins in its file */
	const struct spool_envelope_view *envelope;
	uint32_t	 attempts;	/* times it has been put back */
	bool		 is_repeated;	/* an agent may have had it before */
	bool		 may_have_rows;	/* find() may know of some */
	bool		 has_rows;	/* some of its recipients are deferred */
	int64_t		 again_ms;	/* it was put back until then, in the time of begin(); 0: not */
	const char	*last_error;	/* with which it was put back, or NULL */
	/* read_message() alone: the message as far as it was asked for */
	const char	*text;
	size_t		 text_len;
	bool		 is_whole;	/* that is all of it, and not damaged */
	int		 fd;		/* of its file; for own_copy() */
	uint64_t	 body_sum;
};
typedef int (*queue_record_func)(void *closure,
    const struct queue_record *record);

/* What the store asks of the queue */
struct queue_store_user {
	/* has_room(q): Whether another message may be handed over.
	 * take(q, record): Here it is.  The store holds it until release(). */
	bool	(*has_room)(struct queue *q);
	int	(*take)(struct queue *q, const struct queue_record *record);
	/* forget(q, file): It is about to be closed: no job names it now. */
	void	(*forget)(struct queue *q, struct queue_file *file);
	/* holds(q, id): How many new messages with that id the queue has in
	 * memory. */
	unsigned int (*holds)(struct queue *q, uint64_t id);
};

/* A change of the deferred rows */
struct queue_change {
	enum {
		CHANGE_PUT, CHANGE_TOUCH, CHANGE_DROP,
		CHANGE_HURRY, CHANGE_HOLD, CHANGE_RELEASE, CHANGE_GIVE_UP,
		CHANGE_ROUTE, CHANGE_TLS_DROP, CHANGE_TLS_TAKE
	} kind;
	/* DROP and those after it: only id, and rcpt_index or QUEUE_RCPT_ALL;
	 * HURRY, RELEASE and ROUTE: and next_attempt, which is now; ROUTE: and
	 * route; RELEASE: and hold_until, after which it is not held; GIVE_UP:
	 * of one recipient, see deferred_give_up().  The store knows the
	 * origin */
	struct deferred_row row;
	const struct queue_place *place;	/* of PUT */
	/* of TLS_DROP and TLS_TAKE, which have no row: see deferred_tls_drop()
	 * and deferred_tls_take(); one is the last of the changes, and for none
	 * of them is room given up: ENOSPC */
	int64_t		 tls_day;
	const char	*tls_domain;
	uint64_t	 tls_uri;	/* of TLS_TAKE */
};

/* The body of a message, to be read piece by piece */
struct queue_body {
	struct queue_place place;	/* its file may be gone since, and is not looked at */
	bool		 is_new;	/* it had one */
	uint64_t	 octets;
	uint64_t	 at;		/* as body_at of the record */
};

/* How far a search of the new messages has come; zeroed at its start */
struct queue_cursor {
	uint64_t	 file, generation, offset;
};

#define QUEUE_RCPT_ALL	UINT32_MAX
#define QUEUE_TROUBLE_MS	5000	/* after a failure of the store, before the next try */

struct queue_store_ops {
	/* open(config, user, q, now_ms): Open it, with what was acknowledged
	 * and deferred before.  NULL with errno, and why in the log.  Here and
	 * in begin(), ${now_ms} is of a clock that is never set.
	 * close(store): NULL does nothing.  No message is held any more. */
	void	*(*open)(const struct queue_config *config,
		    const struct queue_store_user *user, struct queue *q,
		    int64_t now_ms);
	void	 (*close)(void *store);

	/* begin(store, now_ms): A pass of the queue begins: do what the time
	 * demands.  end(store): It ends: write what was acknowledged.  Return
	 * when the next pass is to be, in the time of begin(); -1: the store
	 * has to be opened again, and the log has why. */
	void	 (*begin)(void *store, int64_t now_ms);
	int64_t	 (*end)(void *store);

	/* --- read --- */

	/* committed(store, ...): see queue_committed().  writer(store, number,
	 * is_there): see queue_writer_add() and queue_writer_gone(). */
	void	 (*committed)(void *store, unsigned int writer,
		    uint64_t segment, uint64_t generation, uint64_t end,
		    bool is_sealed);
	void	 (*writer)(void *store, unsigned int number, bool is_there);
	/* read(store): Hand new messages to user->take(), while there is room.
	 * Return whether more could be read at once. */
	bool	 (*read)(void *store);
	/* open_file(store, place): The file with the record of ${place}; of a
	 * deferred message its own.  open_body(store, place): The file of its
	 * body.  Return a descriptor for reading alone, the caller's. */
	int	 (*open_file)(void *store, const struct queue_place *place);
	int	 (*open_body)(void *store, const struct queue_place *place);

	/* --- acknowledge; of new messages --- */

	/* acknowledge(store, place, rcpt): One recipient is done, or with
	 * QUEUE_RCPT_ALL the message.  It need not be durable at once: what a
	 * crash takes back is handed over again with is_repeated.
	 * acknowledged(store, place, n_r): The recipients that are done of a
	 * message that is not, ${n_r} of them; valid until the next call.
	 * acknowledge_row(store, row): The same as the first, of a new message
	 * that is known by the origin in ${row}, if it is not done: its row is
	 * about to go, and a crash may have lost what was acknowledged.  Return
	 * whether it needs flush() to be durable.
	 * flush(store): Make durable what has been acknowledged. */
	void	 (*acknowledge)(void *store, const struct queue_place *place,
		    uint32_t rcpt);
	const uint32_t *(*acknowledged)(void *store,
		    const struct queue_place *place, uint32_t *n_r);
	bool	 (*acknowledge_row)(void *store,
		    const struct deferred_row *row);
	int	 (*flush)(void *store);
	/* put_back(store, place, error): The message is not done, and can be
	 * neither delivered nor deferred: hand it over again later.
	 * again(store, place): At once; NULL: all that were put back. */
	void	 (*put_back)(void *store, const struct queue_place *place,
		    const char *error);
	void	 (*again)(void *store, const struct queue_place *place);
	/* release(store, place): The queue works on it no more. */
	void	 (*release)(void *store, const struct queue_place *place);
	/* damaged(store, place, octets): It cannot be read any more: keep its
	 * files for the administrator. */
	void	 (*damaged)(void *store, const struct queue_place *place,
		    uint64_t octets);

	/* --- defer --- */

	/* keep(store, place): Copy a new message to where the deferred ones
	 * are, under place->kept_id, which it sets.  EBADMSG: it is damaged,
	 * or has the origin of another, which is deferred.
	 * change(store, changes, n): All of the rows or none, on disk, with the
	 * files that were kept before; then forget the files of messages
	 * without a row.
	 * has(store, id, rcpt): 1 when there is such a row, or with
	 * QUEUE_RCPT_ALL any of that message; 0; -1 with errno. */
	int	 (*keep)(void *store, struct queue_place *place);
	/* own_place(store, place_r): A place for a message of the queue's own,
	 * with an id and an origin that no other has.
	 * own_write(store, place, env, received_us, text, len): Write it there.
	 * It is in the queue when change() has put a row with this place.
	 * own_copy(store, place, env, of): Write there a message with the envelope
	 * ${env} and the body of ${of}, which read_message() has passed.
	 * own_drop(store, place): Forget it, if it has no row. */
	int	 (*own_place)(void *store, struct queue_place *place_r);
	int	 (*own_write)(void *store, const struct queue_place *place,
		    const struct spool_envelope *env, uint64_t received_us,
		    const char *text, size_t len);
	int	 (*own_copy)(void *store, const struct queue_place *place,
		    const struct spool_envelope *env,
		    const struct queue_record *of);
	void	 (*own_drop)(void *store, const struct queue_place *place);
	int	 (*change)(void *store, const struct queue_change *changes,
		    size_t n);
	int	 (*has)(void *store, uint64_t id, uint32_t rcpt);
	/* find(store, place): Has the new message at ${place} rows?  1, and
	 * place->kept_id is their id; 0; -1 with errno. */
	int	 (*find)(void *store, struct queue_place *place);

	/* import_file(store, octets): A file without a name for the ${octets} of
	 * a message that comes from elsewhere.  Return its descriptor, the
	 * caller's.
	 * import(store, view, fd, rows, n, id_r): Store such a message under a
	 * new id, with these rows, on disk.  ${view} has its envelope, and of
	 * its record what is not of a file; ${fd} has its body. */
	int	 (*import_file)(void *store, uint64_t octets);
	int	 (*import)(void *store, const struct spool_view *view, int fd,
		    const struct deferred_row *rows, size_t n,
		    uint64_t *id_r);

	/* --- due: as the functions of deferred.h of the same names --- */

	int	 (*rows)(void *store, const struct deferred_query *query,
		    deferred_func each, void *closure);
	int	 (*waited_for)(void *store, const char *behind, char *name_r,
		    size_t len);
	int	 (*next)(void *store, int64_t *next_r);
	int	 (*hurry_domain)(void *store, const char *domain,
		    bool has_subdomains, struct deferred_domain *at,
		    unsigned int limit, int64_t now);
	int	 (*holders)(void *store, unsigned int limit,
		    deferred_holder_func each, void *closure);
	int	 (*shift)(void *store, struct deferred_shift *at,
		    unsigned int limit);

	/* --- counts of TLS: as the functions of deferred_tls.h of the same
	 * names --- */

	int	 (*tls_next)(void *store, int64_t *day,
		    char domain[LIM_DOMAIN + 1], int64_t before);
	int	 (*tls_rows)(void *store, int64_t day, const char *domain,
		    deferred_tls_func each, void *closure);
	/* tls_add(store, rows, n, nlost_r): Count them (deferred_tls.h), all or
	 * none, on disk; *${nlost_r} are the connections that are not, since
	 * others have the domains that there may be.  ENOSPC: the disk is full,
	 * and what is left is for mail. */
	int	 (*tls_add)(void *store, const struct deferred_tls *rows,
		    size_t n, uint64_t *nlost_r);
	int	 (*tls_tried)(void *store, int64_t day, const char *domain,
		    int64_t now, int64_t *since_r);
	int	 (*tls_taken)(void *store, int64_t day, const char *domain,
		    uint64_t uris_r[LIM_TLSRPT_URIS]);

	/* --- look --- */

	/* search(store, cursor, each, closure): Go on through the new messages
	 * that are not done; ${each} returns 0 to go on.  Return 1 when all
	 * have been seen, 0: call again.
	 * read_deferred(store, id, each, closure): Pass one deferred message.
	 * read_message(store, id, max, each, closure): The same with its text, of
	 * which ${max} octets at most. */
	int	 (*search)(void *store, struct queue_cursor *cursor,
		    queue_record_func each, void *closure);
	int	 (*read_deferred)(void *store, uint64_t id,
		    queue_record_func each, void *closure);
	int	 (*read_message)(void *store, uint64_t id, size_t max,
		    queue_record_func each, void *closure);
	/* read_body(store, body, offset, buf, len): Read octets from ${offset}
	 * on.  Return how many, at most ${len}, and 0 at the end; -1 with
	 * errno: ESTALE or ENOENT, the message is not there any more. */
	ssize_t	 (*read_body)(void *store, const struct queue_body *body,
		    uint64_t offset, char *buf, size_t len);
};

/* queue_retry_ms(first_s, max_s, attempts): How long to wait after ${attempts}
 * failures: the first interval, doubled each time. */
static inline int64_t
queue_retry_ms(int64_t first_s, int64_t max_s, uint32_t attempts)
{
	int64_t s = first_s;
	uint32_t i;

	for (i = 1; i < attempts && s < max_s; i++)
		s *= 2;
	return (s > max_s ? max_s : s) * 1000;
}

#endif
