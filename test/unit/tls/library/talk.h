/* A session of an embedder, with TLS and logins from libmailmill-tls, and a
 * client at the other end of a socketpair, in the same thread. */

#ifndef TEST_UNIT_TLS_LIBRARY_TALK_H
#define TEST_UNIT_TLS_LIBRARY_TALK_H

#include <openssl/ssl.h>

#include <stdbool.h>

#include "proto/esmtp_factory.h"

struct talk {
	struct esmtp_host_ops	 ops;		/* to be filled in */
	struct esmtp_options	*options;	/* "mx.example.test" */
	struct esmtp_host	*host;
	accept_construct	*ac;		/* NULL: over */
	SSL_CTX			*ctx;
	SSL			*ssl;		/* the client's; NULL: in the clear */
	int			 fd;		/* the client's */
	char			 heard[65536];
	size_t			 nheard;
};

/* talk_new(): Options and an empty table.  talk_option(t, name, value).
 * talk_connect(t): The session begins.  talk_end(t): It ends. */
struct talk *talk_new(void);
void talk_option(struct talk *t, const char *name, const char *value);
void talk_connect(struct talk *t);
void talk_end(struct talk *t);

/* talk_say(t, text): Send it, and return what the session says to it.
 * talk_step(t, eventtype): One step of the session, and what it says. */
const char *talk_say(struct talk *t, const char *text);
const char *talk_step(struct talk *t, int eventtype);

/* talk_tls(t): The client's handshake.  Return whether it has succeeded. */
bool talk_tls(struct talk *t);

#endif
