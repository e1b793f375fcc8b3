/* Questions to name servers that several may wait for: one query for all of them,
 * none if the answer is still good.
 * Owns: the questions under way, the CNAME records that lead from one name to the
 * next, the cache.
 * Knows nothing of who asks. */

#ifndef CMD_MAILMILLD_RESOLVER_QUESTION_H
#define CMD_MAILMILLD_RESOLVER_QUESTION_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "cmd/mailmilld/resolver/dns_cache.h"
#include "cmd/mailmilld/resolver/dns_packet.h"
#include "core/util/log_bound.h"

#define QUESTIONS_MAX	16384	/* under way, of all askers: 2 KiB each, with what c-ares has of them */
#define CACHE_OCTETS	(16 << 20)	/* some 50,000 answers of the usual kind */

struct dns_wire;
struct question;
RB_HEAD(questions_tree, question);

struct questions {
	/* ask(closure, name, type, fn, fn_closure): dns_wire_ask(), or what a test
	 * has in its place */
	void			(*ask)(void *closure, const char *name,
				    enum dns_type type, void (*fn)(void *,
				    const uint8_t *packet, size_t len,
				    const char *why), void *fn_closure);
	void			*closure;
	bool			 is_trusted;	/* AD counts */
	struct dns_cache	*cache;
	struct questions_tree	 tree;
	unsigned int		 n;
	struct log_bound	 failures;
};

/* Who waits for an answer; the memory is his. */
struct waiter {
	TAILQ_ENTRY(waiter)	 link;
	struct question		*question;	/* NULL: it does not wait */
	/* on_answer(waiter, answer): ${answer} is valid until it returns */
	void			(*on_answer)(struct waiter *w,
				    const struct lookup_answer *answer);
};

/* questions_open(qs): All other members are set, those from cache on are zero.
 * Return 0, or -1 with errno. */
int questions_open(struct questions *qs);

/* questions_ask(qs, name, type, w): w->on_answer() is called once, perhaps from
 * within this call.  ${name} is lookup_name()'s. */
void questions_ask(struct questions *qs, const char *name, enum dns_type type,
    struct waiter *w);

/* questions_leave(w): It waits no longer.  The question goes on: its answer will
 * be good for the next one who asks. */
void questions_leave(struct waiter *w);

/* questions_close(qs): Nobody may wait, and nothing will be answered any more. */
void questions_close(struct questions *qs);

#endif
