/* What goes wrong when nobody who has sent a message is there to be told. */

#ifndef CMD_SENDMAIL_SEND_NOTE_H
#define CMD_SENDMAIL_SEND_NOTE_H

/* send_note(fmt, ...): A line for the system's log (facility mail), and on stderr. */
void send_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
