/* What the files of queue_control share. */

#ifndef CORE_QUEUE_QUEUE_ANSWER_H
#define CORE_QUEUE_QUEUE_ANSWER_H

#include <jansson.h>

#include "core/queue/queue_filter.h"
#include "core/queue/queue_import.h"
#include "core/queue/queue_int.h"
#include "core/queue/queue_top.h"

#define PIECE_OCTETS	32768	/* sent at once, about */
#define PIECE_ROWS	256	/* rows looked at for one piece */
#define PIECE_RCPTS	4096	/* recipients of new messages looked at for one, about */
#define PIECE_HOLD	(8 << 20) /* octets of new messages copied for one, about */

enum stage { STAGE_BEGIN, STAGE_NEW, STAGE_DEFERRED, STAGE_RAW,
	STAGE_INPUT, STAGE_END, STAGE_OVER };

enum action { ACTION_LIST, ACTION_SHOW, ACTION_RETRY, ACTION_HOLD,
	ACTION_RELEASE, ACTION_REMOVE, ACTION_BOUNCE, ACTION_ROUTE, ACTION_TOP,
	ACTION_EXPORT, ACTION_IMPORT, ACTION_TLS, ACTION_NONE };

/* A change that this piece makes, in one transaction */
struct queue_answer_changes {
	struct queue_change *v;
	size_t		 n, room;
	char		*texts;		/* of each: struct queue_addressee, with their NULs */
	size_t		 texts_len, texts_room;
};

struct queue_answer {
	struct queue	*q;
	enum action	 action;
	bool		 is_all;
	bool		 is_dry;	/* say what would be changed, change nothing */
	struct queue_reply *reason;	/* of a bounce: why, owned */
	char		*route;		/* of ACTION_ROUTE: by which section; "": as configured; owned */
	uint64_t	 id;		/* 0: by the filter */
	struct queue_filter filter;
	char		 domain[LIM_DOMAIN + 1];
	bool		 has_domain;	/* all that is meant is at ${domain} */
	uint64_t	 limit, nmessages;
	bool		 is_more;	/* the limit was reached */
	enum stage	 stage;
	const char	*error;		/* of the request */
	unsigned int	 nquiet;	/* pieces of no octets before this one */
	bool		 is_raw;	/* show the message itself */
	struct queue_body body;		/* of it */
	uint64_t	 body_done;	/* octets that were sent */
	bool		 is_cut;	/* the rest of them cannot be read */
	enum stage	 after_raw;	/* of export */
	uint64_t	 ncut;		/* messages that were not exported whole */
	struct queue_import *import;
	struct queue_cursor cursor;	/* of the search of new messages */
	size_t		 nlooked;	/* recipients of new ones, for this piece */
	bool		*is_done;	/* of the recipients of the new one that is looked at */
	size_t		 done_room;
	/* where the search of the deferred is */
	uint64_t	 deferred_id;
	uint32_t	 deferred_rcpt;
	bool		 is_full;	/* the piece, before all rows were seen */
	json_t		*message;	/* being put together from rows */
	uint64_t	 message_id;	/* of the last row that was meant */
	size_t		 nrcpts;	/* of it */
	bool		 is_found;
	/* where the counts of TLS are */
	int64_t		 tls_day;
	char		 tls_domain[LIM_DOMAIN + 1];
	/* what was changed */
	uint64_t	 nchanged, nbusy;	/* recipients */
	uint64_t	 began_us;	/* by the wall clock */
	struct queue_top top;
	bool		 is_settling;	/* messages in memory have recipients to be stored */
	struct queue_answer_changes changes;
	struct queue_hold *holds;	/* of queue_hold_add() */
	size_t		 nholds, holds_room;
	uint64_t	 hold_octets;	/* of their messages */
	/* the piece */
	char		*buf;
	size_t		 len, room;
	int64_t		 now_s;
};

/* core/queue/queue_answer.c: the JSON, appended to the piece
 * queue_answer_room(a, len): Room for ${len} octets more in the piece, to be written
 * by the caller; NULL: no memory, and the answer ends here. */
char *queue_answer_room(struct queue_answer *a, size_t len);
void queue_answer_put(struct queue_answer *a, const char *s);
/* queue_answer_put_json(a, json): takes ${json}; NULL: no memory, and the answer ends
 * here. */
void queue_answer_put_json(struct queue_answer *a, json_t *json);

/* queue_answer_is_list(a): Is it a list, which may end early?
 * queue_answer_error(a, what), queue_answer_changed(a), queue_answer_top(a): The
 * whole answer; nothing follows.
 * queue_answer_unreadable(a): The database cannot be read, and the answer ends. */
bool queue_answer_is_list(const struct queue_answer *a);
void queue_answer_error(struct queue_answer *a, const char *what);
void queue_answer_unreadable(struct queue_answer *a);
void queue_answer_top(struct queue_answer *a);
/* queue_answer_stopped(a, why): An import that ends with what it has taken so far.
 * queue_answer_exported(a): The line behind all messages. */
void queue_answer_stopped(struct queue_answer *a, const char *why);
void queue_answer_exported(struct queue_answer *a);
void queue_answer_changed(struct queue_answer *a);

json_t *queue_answer_message(const struct queue_answer *a, uint64_t id,
    const char *state, const char *sender, uint64_t received_us,
    uint64_t octets);
/* queue_answer_rcpt(a, message, n, of): A recipient, which is the ${n}-th in
 * ${message}. */
struct queue_answer_rcpt {
	uint32_t	 index;		/* in the envelope */
	uint32_t	 attempts;
	const char	*rcpt, *state;
	json_int_t	 next_attempt;	/* 0: not known */
	const char	*error;		/* NULL: none */
	const char	*route;		/* NULL or "": as configured */
};
void queue_answer_rcpt(const struct queue_answer *a, json_t *message, size_t n,
    const struct queue_answer_rcpt *of);
void queue_answer_put_message(struct queue_answer *a, json_t *message);

/* Whether a request is about a message, or a recipient of it.
 * queue_answer_has_record(a, record): A new message, by its id and by what the
 * filter says of messages.
 * queue_answer_find(a, record, &m_r): Find out which of its recipients are open: in
 * memory, where *m_r is the message, or else (NULL) in the store, into a->is_done.
 * Return 0, or -1: that cannot be known, and the answer ends.
 * queue_answer_record_rcpt(a, m, record, i, rcpt, &r_r): Then: is its recipient ${i},
 * with the address ${rcpt}, open and meant?  *r_r is the recipient in ${m} or NULL. */
bool queue_answer_has_record(const struct queue_answer *a,
    const struct queue_record *record);
int queue_answer_find(struct queue_answer *a, const struct queue_record *record,
    struct queue_message **m_r);
bool queue_answer_record_rcpt(const struct queue_answer *a,
    struct queue_message *m, const struct queue_record *record, uint32_t i,
    const char *rcpt, struct queue_rcpt **r_r);

/* queue_answer_record(a, record): A new message of the answer, if any of its
 * recipients is meant. */
void queue_answer_record(struct queue_answer *a,
    const struct queue_record *record);
/* queue_answer_count(a, record): Count the recipients of a new message that are
 * meant.  Return 0, or -1: the answer ends. */
int queue_answer_count(struct queue_answer *a,
    const struct queue_record *record);
/* queue_answer_session(message, record): What only the message's file knows. */
void queue_answer_session(json_t *message, const struct queue_record *record);

/* core/queue/queue_answer_rows.c
 * queue_answer_has_row(a, row, &m_r, &r_r): Is a request about ${row}?  Its message
 * and its recipient, where they are in memory, else NULL.
 * queue_answer_row_state(a, row, r): "deferred", "held", "hold", "delivering", or the
 * outcome that is about to be reported.
 * queue_answer_rows(a, each): Pass the next rows that may be meant to ${each}, which
 * notes the last one it has seen with queue_answer_at().  Return 1: those were all;
 * 0: not yet, or ${each} has had enough; -1 with errno. */
bool queue_answer_has_row(const struct queue_answer *a,
    const struct deferred_row *row, struct queue_message **m_r,
    struct queue_rcpt **r_r);
const char *queue_answer_row_state(const struct queue_answer *a,
    const struct deferred_row *row, const struct queue_rcpt *r);
int queue_answer_rows(struct queue_answer *a, deferred_func each);
void queue_answer_at(struct queue_answer *a, const struct deferred_row *row);

/* core/queue/queue_answer_target.c: the targets of recipients
 * queue_answer_target_name(a, r, to, buf): Of ${to}, whose recipient is ${r} if
 * it is in memory, else NULL: the name of its target, or ${buf} with it; "": there is
 * none.
 * queue_answer_target_of(a, message, r, to): The last recipient in ${message} gets a
 * "target".
 * queue_answer_targets(a, top): Each object in ${top}, whose "name" is one of a target,
 * gets what is known of it. */
const char *queue_answer_target_name(const struct queue_answer *a,
    const struct queue_rcpt *r, const struct queue_addressee *to,
    char buf[QUEUE_TARGET_NAME]);
void queue_answer_target_of(const struct queue_answer *a, json_t *message,
    const struct queue_rcpt *r, const struct queue_addressee *to);
void queue_answer_targets(const struct queue_answer *a, json_t *top);

/* core/queue/queue_answer_tls.c: the next counts for reports of TLS. */
void queue_answer_tls(struct queue_answer *a);

/* core/queue/queue_answer_said.c: what the client has said of the message
 * queue_answer_text(s): ${s} as JSON; null for NULL.
 * queue_answer_terms(message, terms): What the queue goes by.
 * queue_answer_said(message, env): The rest of it, and what was said of those of
 * its recipients that are in ${message}. */
json_t *queue_answer_text(const char *s);
void queue_answer_terms(json_t *message, const struct queue_terms *terms);
void queue_answer_said(json_t *message,
    const struct spool_envelope_view *env);

/* core/queue/queue_raw.c: the message itself
 * queue_raw_begin(a, record): It is that of ${record}: say how long it is.
 * queue_raw_next(a): The next piece.
 * queue_raw_is_whole(a, record): Has it as many octets as ${record} says?  A worker
 * may have written that, and as many zeros would be sent in place of those missing.
 * queue_raw_export(a, record, after): Its octets follow the JSON of the message, which
 * is in the piece; then comes the stage ${after}. */
int queue_raw_begin(void *a, const struct queue_record *record);
bool queue_raw_is_whole(struct queue_answer *a,
    const struct queue_record *record);
void queue_raw_next(struct queue_answer *a);
void queue_raw_export(struct queue_answer *a, const struct queue_record *record,
    enum stage after);

/* core/queue/queue_change.c: what changes the queue
 * queue_change_record(a, record): Change what is meant of a new message.  Return
 * 0, or -1: go on in the next piece.
 * queue_change_new(a): The end of a piece with new messages.
 * queue_change_deferred(a): A piece of the deferred ones. */
extern const char queue_answer_no_disk[], queue_answer_no_memory[];
int queue_change_record(struct queue_answer *a,
    const struct queue_record *record);
void queue_change_new(struct queue_answer *a);
void queue_change_deferred(struct queue_answer *a);
void queue_change_free(struct queue_answer *a);

/* core/queue/queue_bounce.c
 * queue_bounce_reason(a, text): Why recipients are given up; NULL: what is said by
 * default.  NULL, or what is wrong with it.
 * queue_bounce_row(a, row): ${row} is given up for that reason. */
const char *queue_bounce_reason(struct queue_answer *a, const char *text);
void queue_bounce_row(const struct queue_answer *a,
    struct deferred_row *row);

/* core/queue/queue_reroute.c
 * queue_reroute_to(a, value): By which section recipients are to go, a text, or null:
 * as configured.  NULL, or what is wrong with it.
 * queue_reroute_row(a, row): ${row} goes by it. */
const char *queue_reroute_to(struct queue_answer *a, const json_t *value);
void queue_reroute_row(const struct queue_answer *a,
    struct deferred_row *row);

/* core/queue/queue_hold.c: new messages that go to the deferred store, in memory or not
 * queue_hold_add(a, record, rcpt, i, is_whole): Recipient ${i} of ${record}, with
 * the address ${rcpt}, is to be on hold there, is given up or led elsewhere; in memory
 * it waits until then.  ${is_whole}: so are all others of it that are open.  Return 0, or -1: there is no
 * memory, and what was added of ${record} is no longer the whole of it.
 * queue_hold_store(a): Move all that were added to the deferred store.  Return how
 * many recipients, or -1 with errno.
 * queue_hold_free(a): Forget them. */
int queue_hold_add(struct queue_answer *a, const struct queue_record *record,
    const char *rcpt, uint32_t i, bool is_whole);
int queue_hold_store(struct queue_answer *a);
void queue_hold_free(struct queue_answer *a);

#endif
