/* Questions of sessions that are answered later, perhaps by other threads.
 * Each question has a number, its ticket, that is used once in the life of the
 * process, for all hosts.
 * Owns: the table of questions, its lock, the order of the answers.
 * Knows nothing of what is asked: the caller names the kind of a question, and
 * gets the answer as it was given.
 *
 * All functions but answers_give() are for the thread of the loop. */

#ifndef PROTO_ANSWERS_ANSWERS_H
#define PROTO_ANSWERS_ANSWERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct _accept_construct;

/* What was answered. */
struct answer {
	int	 value;
	int	 code;		/* of a reply; 0: there is none */
	bool	 is_auth;	/* value is an enum esmtp_auth_status */
	bool	 is_list;	/* octets are lines of a code and a text, for a recipient each */
	char	*octets;	/* of a reply: its text; or a login, a challenge; or NULL.  A NUL follows */
	size_t	 len;
};

struct answers_slot;

struct answers {
	struct answers		*next;		/* table of the process */
	pthread_mutex_t		 lock;
	struct answers_slot	*slots;
	uint32_t		 nslots;
	uint32_t		 free;		/* first free slot, + 1; 0: none */
	uint32_t		 first, last;	/* answered slots, + 1 */
};

/* answers_init(a), answers_clear(a): With the host, which does not move in
 * between.  Nobody holds the lock in a child that is forked off. */
void answers_init(struct answers *a);
void answers_clear(struct answers *a);

/* answers_reserve(a, n): So many questions can be open without more memory.  Return
 * 0 or -1 (ENOMEM). */
int answers_reserve(struct answers *a, uint32_t n);

/* answers_open(a, ac, &chain, kind, about): ${ac} asks something: it has the
 * questions that begin at *${chain}, 0 at first.  ${about} (may be NULL) is
 * copied.  Return the ticket, or 0 (ENOMEM). */
uint64_t answers_open(struct answers *a, struct _accept_construct *ac,
    uint32_t *chain, int kind, const char *about);

/* answers_give(a, ticket, is_fit, answer): Any thread.  Answer the question
 * ${ticket}, if ${is_fit} says of its kind that it can be answered so; takes
 * answer->octets in any case.  Return 1 when nobody had to be told of answers
 * before, so that somebody is to be told now; 0; or -1 with errno: ENOENT, no
 * such question is open; EINVAL, it cannot. */
int answers_give(struct answers *a, uint64_t ticket,
    bool (*is_fit)(int kind, const struct answer *answer),
    struct answer *answer);

/* answers_next(a): The next session that has got an answer, or NULL. */
struct _accept_construct *answers_next(struct answers *a);

/* answers_state(a, chain, kind, about): Of the first question of that kind (and,
 * unless ${about} is NULL, about that): ANSWERS_NONE, _OPEN, _GIVEN.
 * answers_take(a, &chain, kind, answer_r): Take the answer of the first one of
 * that kind that has one; answer_r->octets is the caller's.  False: none has.
 * answers_value(a, chain, kind, about): The value that was given; it stays.
 * answers_settle(a, chain, kind, value): Those of that kind that are open are
 * answered with ${value}: nobody else is waited for.
 * answers_close(a, &chain, kind): Nobody waits for those of that kind any more:
 * forget those that are open, keep the values of the others, and name the
 * session for none of them.
 * answers_drop(a, &chain, kind): Forget all of that kind, or with -1 of any:
 * answers that come find nobody. */
enum answers_state { ANSWERS_NONE, ANSWERS_OPEN, ANSWERS_GIVEN };
enum answers_state answers_state(struct answers *a, uint32_t chain, int kind,
    const char *about);
bool answers_take(struct answers *a, uint32_t *chain, int kind,
    struct answer *answer_r);
int answers_value(struct answers *a, uint32_t chain, int kind,
    const char *about);
void answers_settle(struct answers *a, uint32_t chain, int kind, int value);
void answers_close(struct answers *a, uint32_t *chain, int kind);
void answers_drop(struct answers *a, uint32_t *chain, int kind);

#endif
