/* Back ends for the tests of authd.  The password of every user is "pencil".
 * The user "slow" waits at a gate until the test opens it; for "down" there is
 * no verdict. */

#ifndef TEST_UNIT_CMD_MAILMILLD_AUTHD_FAKE_BACK_H
#define TEST_UNIT_CMD_MAILMILLD_AUTHD_FAKE_BACK_H

#include "cmd/mailmilld/authd/back/auth_backs.h"

/* fake_back_ops: checks a password.
 * fake_back_relay_ops: does the mechanisms itself; it accepts an initial
 * response that contains the password, as the login "user".
 * fake_back_at_gate(): How many threads have come to the gate so far.
 * fake_back_open_gate(): Open it for good. */
extern const struct auth_back_ops fake_back_ops;
extern const struct auth_back_ops fake_back_relay_ops;
int fake_back_at_gate(void);
void fake_back_open_gate(void);

#endif
