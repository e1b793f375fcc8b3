/* What the parameters of MAIL and RCPT have said of a message, as one line, for
 * tests to compare: of the message
 *	8bitmime binarymime smtputf8 requiretls tls-optional ret=full
 *	ret=hdrs envid=X solicit=X hold=SECONDS by=SECONDS;N priority=N
 * and then of each recipient of which something was said
 *	ADDRESS notify=success,failure orcpt=X
 * in this order, one space between them, what was not said left out.  Times are
 * seconds after the message was received. */

#ifndef TEST_LIB_SIMSAID_H
#define TEST_LIB_SIMSAID_H

#include "core/spool.h"

/* simsaid(env): The caller's to free. */
char *simsaid(const struct spool_envelope *env);

#endif
