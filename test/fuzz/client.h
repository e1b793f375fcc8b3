/* A client of one session of the real factory, on the simulated wire under the
 * virtual clock, for targets.
 * Owns: the host, options from a text, the replies: that each is one of RFC 5321
 * 4.2, how many there were.
 * Every violation that simhost.h reports ends the program. */

#ifndef TEST_FUZZ_CLIENT_H
#define TEST_FUZZ_CLIENT_H

#include "test/lib/simhost.h"

struct fuzz_client {
	struct simhost		*h;
	struct simhost_session	*s;
	size_t			 fragment;	/* octets sent at once; 0: all */
	unsigned int		 nreplies;	/* since the caller has set it to 0 */
	unsigned int		 naccepted;	/* of them, below 400; the same */
	int			 code;		/* of the last one */
	int			 begun;		/* code of one of which a line has come and not the last; 0: none */
};

/* client_init(c): A host with the default options, and no session.
 * client_option(c, line, len): Set "NAME=VALUE[,VALUE...]"; what is no option is
 * skipped, and so are those of TLS, which this host has not.
 * client_connect(c): A session begins.
 * client_end(c): The client goes; after all timeouts nothing may be left. */
void client_init(struct fuzz_client *c);
void client_option(struct fuzz_client *c, const char *line, size_t len);
void client_connect(struct fuzz_client *c);
void client_end(struct fuzz_client *c);

/* client_send(c, octets, len): Send, in fragments; what a fragment leads to
 * happens before the next.
 * client_say(c, line): The same of a text.
 * client_settle(c): Let happen what happens now, and read the replies.
 * client_is_open(c): Has the server not closed? */
void client_send(struct fuzz_client *c, const void *octets, size_t len);
void client_say(struct fuzz_client *c, const char *line);
void client_settle(struct fuzz_client *c);
bool client_is_open(const struct fuzz_client *c);

/* client_ask(c, line): Send a command.  Return the code, if exactly one reply
 * came; else 0.
 * client_is_idle(c): Is a command what the server waits for?  A NOOP is answered
 * then. */
int client_ask(struct fuzz_client *c, const char *line);
bool client_is_idle(struct fuzz_client *c);

#endif
