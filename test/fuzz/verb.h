/* XTEST, a verb of a program in the fuzzed session.  Its argument:
 *	l	lines are read, up to "."	o N	N octets are read, at most 4096
 *	w	the answer comes later		r	the transaction is over
 *	s b	it ends as a wrong argument, as no verb
 *	? q	it asks and reads one line; it ends the session
 * Owns: what it has read: no more than it has asked for, lines without their end.
 * Another one, XREAD, is said to have input, and always refuses it. */

#ifndef TEST_FUZZ_VERB_H
#define TEST_FUZZ_VERB_H

#include "proto/esmtp_factory.h"

/* verb_register(): Before the first session.
 * verb_begin(): Of an input, of a session: nothing is to be answered.
 * verb_answer(host, code): The answer that comes later: a reply with ${code}; 0: the
 * answer that the verb has if it says none. */
void verb_register(void);
void verb_begin(void);
void verb_answer(struct esmtp_host *host, int code);

#endif
