/* The maildrop is emptied: its messages go to the server, each under the account
 * that has put it there.
 * Owns: a process for each account, and how long it may take; what becomes of a file
 * of the maildrop. */

#ifndef CMD_SENDMAIL_SEND_PICKUP_H
#define CMD_SENDMAIL_SEND_PICKUP_H

struct send_pickup {
	const char	*socket;	/* of the server */
	const char	*maildrop;	/* the folder */
	const char	*domain;	/* the name of this host */
	unsigned int	 seconds;	/* an account's next message is left for the next time after so many */
};

/* send_pickup(p): Offer each message once: all, as root; else those of the account.
 * Return 0; or EX_TEMPFAIL, some wait still, or another status of sysexits.h.  What
 * has failed is logged, and said on stderr.
 * send_pickup_every(p, seconds): In the background, the same every ${seconds}, until
 * no server listens on the socket; if another process does so, nothing.  Return 0 in
 * the foreground, at once, or a status after a message. */
int send_pickup(const struct send_pickup *p);
int send_pickup_every(const struct send_pickup *p, unsigned int seconds);

#endif
