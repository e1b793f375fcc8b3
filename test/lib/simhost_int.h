/* What the files of the simulated process share.  No other file includes it. */

#ifndef TEST_LIB_SIMHOST_INT_H
#define TEST_LIB_SIMHOST_INT_H

#include "test/lib/simhost.h"

/* simhost_report(), simhost_session_end(): of the host's functions, those that are
 * about the life of a session. */
void simhost_report(void *closure, accept_construct *ac,
    const struct esmtp_report *report);
void simhost_session_end(void *closure, accept_construct *ac);

/* simhost_session_kill(s): End ${s} from outside, as esmtp_factory.h prescribes. */
void simhost_session_kill(struct simhost_session *s);

#endif
