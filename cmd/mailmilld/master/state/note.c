/* Noting what has happened, or what somebody asks for, for master_step(); and
 * its deadlines. */

#include "cmd/mailmilld/master/state/note.h"

#include <stdio.h>

void
master_has_news(void *m)
{
	((struct master *)m)->has_news = true;
}

void
master_wants_stop(struct master *m, enum stop_mode mode)
{
	if (m->wish.stop < mode)
		m->wish.stop = mode;
	m->has_news = true;
}

void
master_wants_relog(struct master *m, enum relog how)
{
	if (m->wish.relog < how)
		m->wish.relog = how;
	m->has_news = true;
}

unsigned int
master_wants_reload(struct master *m)
{
	m->has_news = true;
	return ++m->wish.reloads;
}

void
master_fail(struct master *m, int status, const char *why)
{
	m->status = status;
	log_errx("start-failed", "reason=%s", why);
	if (m->log_fd != -1 && m->log_kind != LOG_TO_STDERR)
		fprintf(stderr, "mailmilld: %s\n", why);
	master_wants_stop(m, STOP_FAILED);
}

void
proc_offends(struct proc *p, const char *message)
{
	if (p->offence != NULL)
		return;
	p->offence = message;
	p->master->has_news = true;
}

bool
proc_is_debugged(const struct proc *p)
{
	return !p->has_sandbox && p->master->ops->is_traced(p->pid);
}

uint64_t
master_after(const struct master *m, uint64_t ms)
{
	return m->ops->now_ms() + ms;
}

bool
master_is_due(const struct master *m, uint64_t *at_ms)
{
	if (*at_ms == 0 || m->ops->now_ms() < *at_ms)
		return false;
	*at_ms = 0;
	return true;
}
