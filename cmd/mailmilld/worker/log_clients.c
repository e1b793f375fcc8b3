/* The lines of the log that a client may cause.
 * Owns: a token bucket for each client of which lines were logged lately, and
 * the number of its lines that were left out.
 * The bounds of a session and of a process do not do: a client that connects
 * again and again would use up the bound of the process, and the lines about
 * other clients would be left out.
 *
 * A client is forgotten when its bucket is full again: it makes no difference
 * then.  Where there are too many, the one longest without a line is forgotten;
 * the bound of the process holds for all of them together. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/addr.h"
#include "core/util/bucket.h"
#include "core/util/log_bound.h"
#include "core/util/monotonic.h"

#define SECONDS		10	/* a client may log the lines of so many at once */
#define RATE_PART	4	/* but no more than this part of log_rate */
#define ROOM_PART	2

struct log_client {
	RB_ENTRY(log_client)	 node;
	TAILQ_ENTRY(log_client)	 link;
	unsigned char		 network[ADDR_NETWORK];
	union addr		 peer;		/* the last one, for the line */
	struct bucket		 lines;
	uint64_t		 left_out;	/* lines, not yet told */
};

static int
compare(const struct log_client *a, const struct log_client *b)
{
	return memcmp(a->network, b->network, sizeof(a->network));
}

RB_PROTOTYPE(log_client_tree, log_client, node, compare)
RB_GENERATE(log_client_tree, log_client, node, compare)

void
log_clients_init(struct log_clients *lc, int64_t client_rate, int64_t rate)
{
	RB_INIT(&lc->tree);
	TAILQ_INIT(&lc->list);
	lc->n = 0;
	lc->timer = NULL;
	lc->rate = lc->room = 0;
	if (client_rate == 0)
		return;
	lc->rate = (uint64_t)MAX(MIN(client_rate, rate / RATE_PART), 1);
	lc->room = (uint64_t)MAX(MIN(client_rate * SECONDS, rate / ROOM_PART), 1);
}

static void
tell(struct log_client *c)
{
	char text[ADDR_TEXT];

	if (c->left_out > 0)
		log_warnx("client-throttled", "client=%s left_out=%llu",
		    addr_text(&c->peer.sa, text),
		    (unsigned long long)c->left_out);
	c->left_out = 0;
}

void
log_clients_tell(struct log_clients *lc)
{
	struct log_client *c;

	TAILQ_FOREACH(c, &lc->list, link)
		tell(c);
}

static void
on_timer(void *closure)
{
	struct log_clients *lc = closure;

	lc->timer = NULL;
	log_clients_tell(lc);
}

static void
forget(struct log_clients *lc, struct log_client *c)
{
	tell(c);
	RB_REMOVE(log_client_tree, &lc->tree, c);
	TAILQ_REMOVE(&lc->list, c, link);
	lc->n--;
	free(c);
}

void
log_clients_free(struct log_clients *lc)
{
	struct log_client *c;

	while ((c = TAILQ_FIRST(&lc->list)) != NULL)
		forget(lc, c);
	after_cancel(&lc->timer);
}

/* Forget those whose bucket is full again, and one if there are too many. */
static void
make_room(struct log_clients *lc, uint64_t now_ms)
{
	uint64_t fills_ms = 1000 * lc->room / lc->rate + 1;
	struct log_client *c;

	while ((c = TAILQ_FIRST(&lc->list)) != NULL &&
	    (lc->n >= LIM_LOG_CLIENTS ||
	    now_ms - c->lines.then_ms >= fills_ms))
		forget(lc, c);
}

/* NULL: ENOMEM. */
static struct log_client *
find(struct log_clients *lc, const struct sockaddr *peer, uint64_t now_ms)
{
	struct log_client key, *c;

	addr_network(peer, key.network);
	if ((c = RB_FIND(log_client_tree, &lc->tree, &key)) != NULL) {
		TAILQ_REMOVE(&lc->list, c, link);
		TAILQ_INSERT_TAIL(&lc->list, c, link);
		return c;
	}
	make_room(lc, now_ms);
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	memcpy(c->network, key.network, sizeof(c->network));
	bucket_init_room(&c->lines, lc->rate, lc->room, now_ms);
	RB_INSERT(log_client_tree, &lc->tree, c);
	TAILQ_INSERT_TAIL(&lc->list, c, link);
	lc->n++;
	return c;
}

bool
log_clients_may(struct log_clients *lc, const struct sockaddr *peer,
    uint64_t now_ms)
{
	struct log_client *c;

	/* without memory the bound of the process is left */
	if (lc->rate == 0 || (c = find(lc, peer, now_ms)) == NULL ||
	    bucket_take_n(&c->lines, 1, now_ms))
		return true;
	addr_copy(&c->peer.sa, peer);
	c->left_out++;
	if (lc->timer == NULL)
		lc->timer = after_ms(LOG_BOUND_MS, on_timer, lc);
	return false;
}
