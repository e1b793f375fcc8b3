/* Shared by send_pickup*.c. */

#ifndef CMD_SENDMAIL_SEND_PICKUP_INT_H
#define CMD_SENDMAIL_SEND_PICKUP_INT_H

#include <stdbool.h>

#include "cmd/sendmail/send_pickup.h"

/* send_pickup_account(p, dirfd): The messages of the folder ${dirfd}, under the
 * account of this process, which it belongs to, one after the other as long as
 * ${p->seconds} are not over.  Return whether none waits any more. */
bool send_pickup_account(const struct send_pickup *p, int dirfd);

#endif
