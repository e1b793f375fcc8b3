/* What workers say that clients want (ETRN): that the queue is started for a
 * domain.
 * Owns: how many of these messages of a worker are looked at, whether its
 * configuration allows the domain to anybody, what the worker knows of the room
 * for more: it has answered its client before the message is read here.
 * Knows nothing of what is deferred: core/queue/queue_start.c does. */

#include "cmd/mailmilld/queue/queue.h"

#include <string.h>

#include "core/lim.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

/* More than an honest worker sends: see host_etrn.c. */
#define RATE	400		/* a second */
#define ROOM	4000		/* at once */
#define SAY_MS	60000		/* between lines in the log about others */

void
queue_etrn_open(struct queue_peer *p)
{
	bucket_init_room(&p->starts, RATE, ROOM, monotonic_ms());
}

static void
say_refused(struct queue_peer *p, const char *why)
{
	uint64_t now = monotonic_ms();

	if (p->refused_ms != 0 && now - p->refused_ms < SAY_MS)
		return;
	p->refused_ms = now;
	log_warnx("etrn-refused", "worker=%u reason=%s effect=%s", p->who.slot,
	    why, "what is deferred for these domains waits for its time");
}

/* A worker of the configuration before this one may name what it allowed. */
void
queue_etrn_on_asked(void *closure, struct channel_msg *msg)
{
	struct queue_peer *p = closure;
	char domain[LIM_DOMAIN + 1];
	struct msg_start ms;

	p->nheard++;
	if (!bucket_take_n(&p->starts, 1, monotonic_ms())) {
		say_refused(p, "this worker asks for too many");
		return;
	}
	memcpy(&ms, msg->base, sizeof(ms));
	memcpy(domain, msg->entries, msg->nentries);
	domain[msg->nentries] = '\0';
	if (strlen(domain) != msg->nentries ||
	    !settings_may_etrn(p->role->child->settings, domain,
	    ms.has_subdomains != 0))
		return;
	if (queue_start(p->role->queue, p->who.slot, domain,
	    ms.has_subdomains != 0) == -1) {
		say_refused(p, "this worker has asked for too many domains");
		return;
	}
	p->role->is_news = true;
}

/* What was said before is superfluous then: when the channel is full, it is said
 * later. */
void
queue_etrn_tell(struct queue_role *r)
{
	struct queue_peer *p;
	struct msg_room mr;

	TAILQ_FOREACH (p, &r->peers, link) {
		if (!p->is_writer || p->ce == NULL)
			continue;
		mr = (struct msg_room){ p->nheard,
		    queue_start_room(r->queue, p->who.slot) };
		if ((mr.nheard != p->told.nheard || mr.room != p->told.room) &&
		    !chanev_is_behind(p->ce) &&
		    chanev_send(p->ce, Q_ROOM, &mr, NULL, 0, -1) == 0)
			p->told = mr;
	}
}
