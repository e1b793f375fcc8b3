/* Has there been a session in this process?  From then on the lists of modules,
 * verbs and hooks are const, for all threads read them. */

#ifndef PROTO_BASE_ESMTP_BEGUN_H
#define PROTO_BASE_ESMTP_BEGUN_H

#include <stdbool.h>

/* esmtp_has_begun(): Has there been one?  esmtp_begin(): There is one. */
bool esmtp_has_begun(void);
void esmtp_begin(void);

#endif
