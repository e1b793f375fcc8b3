/* Connections of mailmillctl that the master has passed on.
 * Owns: their events, the writing of an answer piece by piece as it is taken.
 * Knows nothing of what an answer says: core/queue/queue_control.c does. */

#include "cmd/mailmilld/queue/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/ctl_answer.h"
#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

#define CTLS_MAX	16
#define PIECES_PER_PASS	16	/* of one answer, before other events have their turn */
#define INPUT_OCTETS	32768	/* read at once */
#define PASS_MS		10	/* the same: no piece is begun after that */

struct queue_ctl {
	TAILQ_ENTRY(queue_ctl)	 link;
	struct queue_role	*role;
	Event			*event;
	struct queue_answer	*answer;
	const char		*piece;
	size_t			 left;
};

static void
ctl_free(struct queue_ctl *ctl)
{
	TAILQ_REMOVE(&ctl->role->ctls, ctl, link);
	ctl->role->nctls--;
	queue_answer_free(ctl->answer);
	ctl->role->is_news = true;
	free(ctl);
}

/* Read what the answer wants.  Return 0, *needmask_r says what to wait for; or -1: the
 * peer is gone. */
static int
read_some(struct queue_ctl *ctl, const struct timeval *now, int *needmask_r)
{
	char buf[INPUT_OCTETS];
	int n = event_read(ctl->event, buf, sizeof(buf), needmask_r);

	if (n == -1)
		return errno == EAGAIN ? 0 : -1;
	queue_answer_feed(ctl->answer, now, buf, (size_t)n);
	*needmask_r = queue_answer_wants(ctl->answer) ? E_READ : E_WRITE;
	return 0;
}

/* Return 1: all is written; 0: wait for *needmask_r; -1: the peer is gone. */
static int
write_some(struct queue_ctl *ctl, const struct timeval *now, int *needmask_r)
{
	uint64_t end_ms = monotonic_ms() + PASS_MS;
	unsigned int i;
	int n;

	for (i = 0; i < PIECES_PER_PASS && monotonic_ms() <= end_ms; i++) {
		if (ctl->left == 0 && queue_answer_wants(ctl->answer)) {
			*needmask_r = E_READ;
			return 0;
		}
		if (ctl->left == 0 && queue_answer_next(ctl->answer, now,
		    &ctl->piece, &ctl->left) == 0)
			return 1;
		if (ctl->left == 0)
			continue;
		n = event_write(ctl->event, ctl->piece, (int)ctl->left,
		    needmask_r);
		if (n == -1)
			return errno == EAGAIN ? 0 : -1;
		ctl->piece += n;
		ctl->left -= (size_t)n;
	}
	*needmask_r = E_WRITE;
	return 0;
}

static int
on_event(Event *e, int eventtype, void *closure, struct timeval *now)
{
	struct queue_ctl *ctl = closure;
	int needmask = E_WRITE;

	/* the time-out is set again after each write: mailmillctl has stalled */
	if ((eventtype & (E_READ | E_WRITE | E_EXCEPTION)) == 0 ||
	    (ctl->left == 0 && queue_answer_wants(ctl->answer) ?
	    read_some(ctl, now, &needmask) :
	    write_some(ctl, now, &needmask)) != 0) {
		event_close(e);
		ctl_free(ctl);
		return 0;
	}
	e->trigger = *now;
	e->trigger.tv_sec += needmask & E_READ ? QUEUE_ANSWER_INPUT_S :
	    QUEUE_ANSWER_STALL_S;
	return needmask | E_TIMEOUT;
}

void
queue_ctl_begin(struct queue_role *r, int fd, const char *request,
    unsigned int len)
{
	struct queue_ctl *ctl;

	if (fd == -1) {		/* it was lost on its way to us */
		log_errx("queue-control", "reason=%s", "out of descriptors");
		return;
	}
	if (r->queue == NULL || r->nctls == CTLS_MAX) {
		ctl_answer_refuse(fd, r->queue == NULL ?
		    "{\"again\":true,\"error\":\"the queue is not open yet: "
		    "try again in a moment; if it stays so, see the log\"}\n" :
		    "{\"again\":true,\"error\":\"too many requests at once: "
		    "try again in a moment\"}\n");
		return;
	}
	if ((ctl = calloc(1, sizeof(*ctl))) == NULL)
		goto err1;
	ctl->role = r;
	if ((ctl->answer = queue_control(r->queue, request, len)) == NULL)
		goto err2;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	ctl->event = watch_fd(fd, E_WRITE, on_event, ctl);
	if (ctl->event != NULL) {
		TAILQ_INSERT_TAIL(&r->ctls, ctl, link);
		r->nctls++;
		return;
	}
	queue_answer_free(ctl->answer);
err2:
	free(ctl);
err1:
	ctl_answer_refuse(fd, CTL_ANSWER_NO_MEMORY);
}

void
queue_ctl_end_all(struct queue_role *r)
{
	struct queue_ctl *ctl;

	while ((ctl = TAILQ_FIRST(&r->ctls)) != NULL) {
		watch_close(&ctl->event);
		ctl_free(ctl);
	}
}
