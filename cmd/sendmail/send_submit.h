/* A message on its way to the server, over its Unix socket.
 * Owns: the connection; what the server said of each recipient. */

#ifndef CMD_SENDMAIL_SEND_SUBMIT_H
#define CMD_SENDMAIL_SEND_SUBMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/sendmail/send_envelope.h"
#include "cmd/sendmail/send_message.h"

/* What has become of a recipient */
enum send_verdict {
	SEND_LATER,	/* the server does not have it, and may take it later */
	SEND_TAKEN,	/* the message is safe on the server's disk */
	SEND_REFUSED,	/* it never will take it */
	SEND_UNKNOWN	/* the connection ended before the answer: it may have it */
};

#define SEND_WORDS_MAX	600	/* octets with the NUL */

struct send_said {
	enum send_verdict	 verdict;
	bool			 is_reply;	/* the server has said so */
	bool			 is_deferred;	/* and that of the message or the recipient: SEND_LATER */
	int			 code;		/* of its reply; else one that would fit; 0: none would */
	char			 enhanced[12];	/* "": none */
	char			 words[SEND_WORDS_MAX];
};

/* send_submit_connect(path, type): A connection to the socket ${path} of the type
 * SOCK_STREAM, or another one.  Return its descriptor, or -1 with errno. */
int send_submit_connect(const char *path, int type);

/* send_submit(path, helo, env, m, is_whole, said, why): Send ${m}, once, and fill in
 * ${said}, an element for each recipient of ${env}.  ${is_whole}: if the server
 * refuses one of them, for good or for now, nobody gets it; recipients beyond those
 * that it takes at once are not refused, but SEND_LATER.  ${helo}: who we are.  What
 * a connection has ended with before the message is in ${why}.  Return 0; or -1 with
 * errno: there is no connection, or ENOMEM. */
int send_submit(const char *path, const char *helo,
    const struct send_envelope *env, const struct send_message *m,
    bool is_whole, struct send_said *said, char why[SEND_WORDS_MAX]);

/* send_submit_keep(list, said, verdicts): Remove the recipients but those whose verdict
 * in ${said} is in the set ${verdicts}, of which 1 << SEND_LATER is one. */
void send_submit_keep(struct send_list *list, const struct send_said *said,
    unsigned int verdicts);

#endif
