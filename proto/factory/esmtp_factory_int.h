/* What the files of a step of the session share: its input, its begin and its
 * end. */

#ifndef PROTO_FACTORY_ESMTP_FACTORY_INT_H
#define PROTO_FACTORY_ESMTP_FACTORY_INT_H

#include "proto/server/esmtp_state.h"

/* esmtp_input.c */
enum esmtp_want esmtp_fill(struct esmtp_step *st);
enum esmtp_want esmtp_consume(struct esmtp_step *st);
void esmtp_load_input(struct esmtp_step *st);
int esmtp_save_input(struct esmtp_step *st);
void esmtp_drop_input(message_construct *mc);

/* esmtp_move.c: esmtp_move(st): The service is configured anew, and the session
 * is between two commands: does the host have it go on elsewhere? */
bool esmtp_move(struct esmtp_step *st);
/* esmtp_can_move(st): May it, as far as this session goes? */
bool esmtp_can_move(const struct esmtp_step *st);

/* esmtp_session.c
 * esmtp_session_begin(ac, now): Its first step.  NULL: ENOMEM.
 * esmtp_session_end(st): Close, report the end, free the session.
 * esmtp_session_end_here(st): It goes on elsewhere: that is no end to report.
 * esmtp_session_refuse(st): There is no memory for a session: say so, unless TLS
 * or a PROXY header would come first, and close.
 * These three always return 0, and leave session_end() to the caller. */
message_construct *esmtp_session_begin(accept_construct *ac,
    const struct timeval *now);
int esmtp_session_end(struct esmtp_step *st);
int esmtp_session_end_here(struct esmtp_step *st);
int esmtp_session_refuse(struct esmtp_step *st);

/* esmtp_factory.c
 * esmtp_run_step(st): One step of the session.  Return the mask to wait for, or
 * 0: it is over. */
int esmtp_run_step(struct esmtp_step *st);

#endif
