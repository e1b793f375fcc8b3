/* What waits: in the maildrop, and in the queue of the server, which mailmillctl
 * knows. */

#ifndef CMD_SENDMAIL_SEND_QUEUE_H
#define CMD_SENDMAIL_SEND_QUEUE_H

#include "cmd/sendmail/send_args.h"

/* send_queue_list(args): Print it: all, as root; else what the user has in the
 * maildrop.
 * send_queue_run(args, domain): Offer the server what is in the maildrop (all, as
 * root; else what the user has there), and, as root, have what is deferred in the
 * queue tried now.
 * Both return a status of sysexits.h. */
int send_queue_list(const struct send_args *args);
int send_queue_run(const struct send_args *args, const char *domain);

#endif
