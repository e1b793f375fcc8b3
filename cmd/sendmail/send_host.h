/* What this host and its accounts are called. */

#ifndef CMD_SENDMAIL_SEND_HOST_H
#define CMD_SENDMAIL_SEND_HOST_H

#include <pwd.h>

#define SEND_HOST_MAX	256
#define SEND_NAME_MAX	256

/* send_host_domain(out): The domain of addresses that have none: the first word of
 * /etc/mailname, which Debian has for it; else the name of the host.
 * send_host_name_of(pw, out): The full name of an account (passwd(5)), "": none. */
void send_host_domain(char out[SEND_HOST_MAX]);
void send_host_name_of(const struct passwd *pw, char out[SEND_NAME_MAX]);

#endif
