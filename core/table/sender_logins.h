/* A Sender_Login file: which sender addresses a login may use.
 * One line for each sender: the sender, then the logins that may use it,
 * parted by white space; blank lines and what follows a '#' are ignored.  A
 * sender is an address, "@domain" for all other addresses of a domain, or "*"
 * for all others; a login of "*" is anybody who has logged in.  The most exact
 * entry that there is for an address decides alone; lines for the same sender
 * add up.  Senders match in any case of ASCII letters, logins exactly.
 * Owns: the file's text, the table over it. */

#ifndef CORE_TABLE_SENDER_LOGINS_H
#define CORE_TABLE_SENDER_LOGINS_H

#include <stdbool.h>
#include <stddef.h>

struct sender_logins;

/* sender_logins_load(path, err_r, errlen): NULL with a message ("path:line:
 * ...") in ${err_r}. */
struct sender_logins *sender_logins_load(const char *path, char *err_r,
    size_t errlen);
void sender_logins_free(struct sender_logins *t);	/* NULL does nothing */

/* sender_logins_may(t, login, address): May ${login} use ${address}, local part
 * and domain as mailaddr_format() writes them? */
bool sender_logins_may(const struct sender_logins *t, const char *login,
    const char *address);

#endif
