/* A client of one session at a time of the real factory, on the simulated wire
 * under the virtual clock, for targets.
 * Owns: the host, options from a text, the client's side of TLS, the replies:
 * that each is one of RFC 5321 4.2, how many there were.
 * Every violation that simhost.h reports ends the program.
 *
 * OpenSSL gets its random octets here from a generator that begins again with
 * each client_init(), and the keys of all certificates are made from it: the
 * same input gives the same octets on the wire, but for the dates in the
 * certificates. */

#ifndef TEST_FUZZ_CLIENT_H
#define TEST_FUZZ_CLIENT_H

#include "test/lib/simhost.h"
#include "test/lib/simtls.h"

struct fuzz_client {
	struct simhost		*h;
	struct simhost_session	*s;
	struct simtls_client	*tls;		/* NULL: in the clear */
	bool			 is_shaking;	/* its handshake is not done */
	bool			 is_raw;	/* what is sent goes past tls */
	uint8_t			 damage_at, damage;	/* one octet of the next that tls sends is changed: which, and the bits; 0: none */
	size_t			 fragment;	/* octets sent at once; 0: all */
	size_t			 record;	/* octets of a record of TLS that arrive at once; 0: all */
	unsigned int		 nreplies;	/* since the caller has set it to 0 */
	unsigned int		 naccepted;	/* of them, below 400; the same */
	int			 code;		/* of the last one */
	int			 begun;		/* code of one of which a line has come and not the last; 0: none */
	size_t			 ntext;		/* octets in text: what tls has read, not a whole line yet */
	char			 text[16384 + LIM_AUTH_LINE];
};

/* client_init(c): A host with the default options, and no session.
 * client_option(c, line, len): Set "NAME=VALUE[,VALUE...]"; what is no option is
 * skipped, and so is a value of TLS_Protocols that the settings would refuse.
 * client_connect(c): A session begins.
 * client_leave(c): The client goes; after all timeouts its session has ended.
 * client_end(c): The same, and nothing is left. */
void client_init(struct fuzz_client *c);
void client_option(struct fuzz_client *c, const char *line, size_t len);
void client_connect(struct fuzz_client *c);
void client_leave(struct fuzz_client *c);
void client_end(struct fuzz_client *c);

/* client_secure(c, flags): Begin a TLS handshake, whatever the server thinks of
 * that; ${flags} are those of simtls_client_new().
 * client_rekey(c), client_finish(c): Let TLS ask for new keys; say close_notify. */
void client_secure(struct fuzz_client *c, unsigned int flags);
void client_rekey(struct fuzz_client *c);
void client_finish(struct fuzz_client *c);

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
