/* What the files of queue_control share. */

#ifndef CORE_QUEUE_QUEUE_ANSWER_H
#define CORE_QUEUE_QUEUE_ANSWER_H

#include <jansson.h>

#include "core/queue/queue_int.h"

#define PIECE_OCTETS	32768	/* sent at once, about */

enum stage { STAGE_BEGIN, STAGE_NEW, STAGE_DEFERRED, STAGE_END,
	STAGE_OVER };

enum action { ACTION_LIST, ACTION_SHOW, ACTION_RETRY, ACTION_REMOVE,
	ACTION_NONE };

struct queue_answer {
	struct queue	*q;
	enum action	 action;
	bool		 is_all;
	uint64_t	 id;
	uint64_t	 limit, nmessages;
	bool		 is_more;	/* the limit was reached */
	enum stage	 stage;
	const char	*error;		/* of the request */
	struct queue_cursor cursor;	/* of the search of new messages */
	/* where the list of the deferred is */
	uint64_t	 deferred_id;
	uint32_t	 deferred_rcpt;
	json_t		*message;	/* being put together from rows */
	uint64_t	 message_id;
	size_t		 nrcpts;	/* of it */
	bool		 is_found;
	/* the piece */
	char		*buf;
	size_t		 len, room;
	int64_t		 now_s;
};

/* core/queue/queue_answer.c: the JSON, appended to the piece */
void queue_answer_put(struct queue_answer *a, const char *s);

/* queue_answer_error(a, what), queue_answer_count(a, what, n): The whole
 * answer; nothing follows. */
void queue_answer_error(struct queue_answer *a, const char *what);
void queue_answer_count(struct queue_answer *a, const char *what, uint64_t n);

json_t *queue_answer_message(const struct queue_answer *a, uint64_t id,
    const char *state, const char *sender, uint64_t received_us,
    uint64_t octets);
/* queue_answer_rcpt(a, message, n, index, ...): Its recipient ${index}, which is
 * the ${n}-th in ${message}. */
void queue_answer_rcpt(const struct queue_answer *a, json_t *message, size_t n,
    uint32_t index, const char *rcpt, const char *state, uint32_t attempts,
    json_int_t next_attempt, const char *error);
void queue_answer_put_message(struct queue_answer *a, json_t *message);

/* queue_answer_rcpt_is_open(a, m, place, index, rcpt_r): Whether a recipient of
 * a new message is open, as far as is known; ${m} is the message in memory or
 * NULL. */
bool queue_answer_rcpt_is_open(const struct queue_answer *a,
    const struct queue_message *m, const struct queue_place *place,
    uint32_t index, const struct queue_rcpt **rcpt_r);
void queue_answer_record(struct queue_answer *a,
    const struct queue_record *record);
/* queue_answer_session(message, record): What only the message's file knows. */
void queue_answer_session(json_t *message, const struct queue_record *record);

/* core/queue/queue_answer_said.c: what the client has said of the message
 * queue_answer_text(s): ${s} as JSON; null for NULL.
 * queue_answer_terms(message, terms): What the queue goes by.
 * queue_answer_said(message, env): The rest of it, and what was said of those of
 * its recipients that are in ${message}. */
json_t *queue_answer_text(const char *s);
void queue_answer_terms(json_t *message, const struct queue_terms *terms);
void queue_answer_said(json_t *message,
    const struct spool_envelope_view *env);

/* core/queue/queue_remove.c: what changes the queue */
extern const char queue_answer_no_disk[];
void queue_answer_remove_record(struct queue_answer *a,
    const struct queue_record *record);
void queue_answer_remove_deferred(struct queue_answer *a);
void queue_answer_retry_deferred(struct queue_answer *a);

#endif
