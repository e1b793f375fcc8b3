/* Paths that are used when no option or flag gives another. */

#ifndef CMD_SETTINGS_PATHS_H
#define CMD_SETTINGS_PATHS_H

#ifndef MAILMILL_CONF
#define MAILMILL_CONF	"/etc/mailmill/mailmill.conf"
#endif

/* What mailmill-sendmail needs: the socket of the server, the folder in which messages
 * wait while there is none, the program that puts them there, and mailmillctl */
#ifndef SEND_SOCKET
#define SEND_SOCKET		"/run/mailmill/sendmail"
#endif
#ifndef SEND_MAILDROP
#define SEND_MAILDROP		"/var/spool/mailmill-maildrop"
#endif
#ifndef SEND_DROP_PROGRAM
#define SEND_DROP_PROGRAM	"/usr/lib/mailmill/mailmill-maildrop"
#endif
#ifndef SEND_CONTROL_PROGRAM
#define SEND_CONTROL_PROGRAM	"/usr/sbin/mailmillctl"
#endif

#endif
