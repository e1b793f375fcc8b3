/* Addresses that a user or a header names, as the envelope has them.
 * Owns: which domain one without a domain has; lists of recipients. */

#ifndef CMD_SENDMAIL_SEND_ADDRESS_H
#define CMD_SENDMAIL_SEND_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define SEND_ADDRESS_MAX	1024	/* octets of one, with the NUL */

/* send_address(s, len, domain, out): Write the mailbox ${s}, ${len} octets, with or
 * without angle brackets, in the one form that mailaddr_format() gives it, and
 * with @${domain} if it has no domain; ${domain} NULL: it must have one.  Return
 * 0, or -1: it is none. */
int send_address(const char *s, size_t len, const char *domain,
    char out[SEND_ADDRESS_MAX]);

/* Recipients; starts zeroed. */
struct send_list {
	char	**v;
	size_t	  n, room;
};

/* send_list_add(list, address): Append a copy.  Return 0, or -1 (ENOMEM).
 * send_list_take(list, s, domain, bad): Append the addresses in the text ${s}, as
 * an argument has them: one or several, with or without names and comments (RFC
 * 5322 3.4).  Return how many; or -1: *${bad} is the one that is none, cut (EINVAL;
 * also if ${s} holds a control character), or ENOMEM.
 * send_list_unique(list): Sort, and remove what is there twice.
 * send_list_free(list): What it holds. */
int send_list_add(struct send_list *list, const char *address);
int send_list_take(struct send_list *list, const char *s, const char *domain,
    char bad[SEND_ADDRESS_MAX]);
void send_list_unique(struct send_list *list);
void send_list_free(struct send_list *list);

#endif
