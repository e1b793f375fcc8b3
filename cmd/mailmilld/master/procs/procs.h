/* The master's children: what they say and are told, what connects them, and
 * their log. */

#ifndef CMD_MAILMILLD_MASTER_PROCS_PROCS_H
#define CMD_MAILMILLD_MASTER_PROCS_PROCS_H

#include "cmd/mailmilld/master/state/state.h"

/* procs.c */

/* What is heard of a child; closure: its struct proc. */
extern const struct chanev_ops proc_ops;

/* proc_send_fd(p, type, base, fd): Send it a message that has a descriptor.
 * takes ${fd}, also when it fails.  Return 0, or -1 with errno, which is left as
 * it is when ${fd} is -1. */
int proc_send_fd(struct proc *p, enum msg_type type, const void *base, int fd);
/* proc_drain(p, is_reconfig, limit_ms, kill_ms): Tell it to end, and that it may
 * wait for others for ${limit_ms}; kill it after ${kill_ms} (0: never). */
void proc_drain(struct proc *p, bool is_reconfig, uint64_t limit_ms,
    uint64_t kill_ms);
void proc_kill(struct proc *p);
void proc_free(struct proc *p);
/* proc_exited(m, pid, status): Note that a process has been waited for.  The
 * process of a check is not in m->procs, and ignored. */
void proc_exited(struct master *m, pid_t pid, int status);
unsigned int procs_count(const struct master *m, enum role_id role,
    unsigned int generation);
/* procs_are_ready(m, config, &limit_ms, err_r, errlen): Return 1 when all
 * its processes are ready, 0 while they are not, -1 with a message when
 * ${limit_ms} has passed meanwhile. */
int procs_are_ready(const struct master *m, const struct config *config,
    uint64_t *limit_ms, char *err_r, size_t errlen);
struct proc *proc_find(struct master *m, enum role_id role,
    unsigned int generation);

/* proc_failure(p, buf, len): Why ${p}, which has died, has never been ready.
 * Return ${buf}. */
const char *proc_failure(const struct proc *p, char *buf, size_t len);

/* links.c */

/* links_connect(m, p, s): Give ${p}, which is new and runs with ${s}, its
 * channels to the others of its generation. */
void links_connect(struct master *m, struct proc *p,
    const struct settings *s);
/* links_adopt(m): Connect the processes of an older configuration to those of
 * the one in use that take over at once (role->is_replaced): the old workers to
 * the new queue. */
void links_adopt(struct master *m);

/* log_links.c */

/* log_link_open(m, p, s): Make the socket on which ${p}, which is new and runs
 * with ${s}, sends its lines.  Return its end, or -1 with errno.
 * log_links_give(m, logger): Give a new logger all there are; 0 or -1.
 * log_link_ended(logger, instance): It says that all lines of that process are
 * written.  Return 0, or -1: it has said that more often than it was given
 * a socket. */
int log_link_open(struct master *m, const struct proc *p,
    const struct settings *s);
int log_links_give(struct master *m, struct proc *logger);
int log_link_ended(struct proc *logger, uint32_t instance);
void log_links_close(struct master *m);

/* master_log.c */

/* master_log_open(m): For the first time.  Return 0, or -1 having said why on
 * stderr. */
int master_log_open(struct master *m);
/* master_relog(m): Reopen the log, here and in the logger; tried again later when
 * it fails. */
void master_relog(struct master *m);
/* master_log_step(m): see master_step() */
void master_log_step(struct master *m);
/* master_log_failed(m): Called from within the log: only take note. */
void master_log_failed(void *m);

/* outage.c: while no queue process works, and has not for
 * ${max_queue_downtime}, workers refuse MAIL. */

/* outage_step(m): see master_step()
 * outage_reason(m): Why there is none; "": it is not known. */
void outage_step(struct master *m);
const char *outage_reason(const struct master *m);
/* outage_tell(m, p): Tell the worker ${p}, which is new. */
int outage_tell(struct master *m, struct proc *p);

/* drain.c: one line for what a reload did to the sessions of the old workers */

/* drain_begin(m): They are about to be told to drain.
 * drain_told(p, md): The worker ${p} says what it has done.
 * drain_ended(p): It will say no more. */
void drain_begin(struct master *m);
void drain_told(struct proc *p, const struct msg_drained *md);
void drain_ended(struct proc *p);

#endif
