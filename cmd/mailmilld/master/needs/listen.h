/* The listening sockets. */

#ifndef CMD_MAILMILLD_MASTER_NEEDS_LISTEN_H
#define CMD_MAILMILLD_MASTER_NEEDS_LISTEN_H

#include "cmd/mailmilld/master/state/state.h"

/* listeners_bind(m, s): Bind what ${s} has and m->listeners has not; mark what
 * both have.  Nothing else changes.  Return 0, or -1 with errno, having logged
 * why, and then as after listeners_unbind(). */
int listeners_bind(struct master *m, const struct settings *s);
/* listeners_check(s, server): Could what ${s} has be bound?  An address that
 * the process ${server} has is free when that one has ended; 0: none runs.
 * Return 0, or -1 having logged why not. */
int listeners_check(const struct settings *s, pid_t server);
/* listeners_unbind(m): Close what listeners_bind() has bound, forget marks. */
void listeners_unbind(struct master *m);
/* listeners_switch(m): From now on those which listeners_bind() bound or
 * marked; the others are closed. */
void listeners_switch(struct master *m);
/* listeners_watch(m, accept_func): Have ${accept_func} called when a client
 * comes to one of them; it returns 0 when it does not want to be called any
 * more. */
void listeners_watch(struct master *m, EventFunc accept_func);
void listeners_close(struct master *m);

#endif
