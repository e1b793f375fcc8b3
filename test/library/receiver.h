/* What the programs of this folder share: one session with a client that sends
 * one message, and a spool in memory.  The loop is the program's. */

#ifndef TEST_LIBRARY_RECEIVER_H
#define TEST_LIBRARY_RECEIVER_H

#include <mailmill/esmtp_factory.h>

#ifdef __cplusplus
extern "C" {
#endif

/* receiver_start(): Fork the client, and return the session's event.  Exits on
 * failure, as all of these do. */
Event *receiver_start(void);

/* receiver_step(e, eventtype): Dispatch ${e}.  Return what it waits for now, 0
 * when the session is over; then ${e} is freed. */
int receiver_step(Event *e, int eventtype);

/* receiver_must_commit(): Is a message to be made safe?  1 once for each: the
 * loop calls receiver_commit() a little later, and dispatches E_ASYNC. */
int receiver_must_commit(void);
void receiver_commit(void);

/* receiver_timeout_ms(e): How long until ${e}'s deadline; at least 1. */
long receiver_timeout_ms(const Event *e);

/* receiver_check(): Was the message received, the 250 sent after the commit,
 * and the client content?  Says so, and returns the exit status. */
int receiver_check(const char *program);

#ifdef __cplusplus
}
#endif

#endif
