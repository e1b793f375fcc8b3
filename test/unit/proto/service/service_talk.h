/* A mailmill_server and clients on its machine, for the unit tests of
 * proto/service/: say something, let the server work, look at the answer.
 * Owns: the connection at hand, and what was heard of it last. */

#ifndef TEST_UNIT_PROTO_SERVICE_SERVICE_TALK_H
#define TEST_UNIT_PROTO_SERVICE_SERVICE_TALK_H

#include <netinet/in.h>
#include <stdbool.h>

#include "proto/mailmill_server.h"

#define HERE	"127.0.0.1:0"
#define TO_RCPT	"MAIL FROM:<a@client.example>\r\n" \
	"RCPT TO:<b@mx.example>\r\n"
#define MAIL	"Subject: x\r\n\r\nHello.\r\n.\r\n"

struct scheduler;

/* The test sets the first two; client is -1 when there is none. */
extern struct mailmill_server *server;
extern struct scheduler *loop;
extern int client;

/* dial_at(last), dial(): A connection to 127.0.0.${last} or .1; dial_from(last):
 * from 127.0.0.${last}.
 * hear(want): Let the server work until the client has heard ${want}, at the
 * beginning of a line; return the whole.  talk(text, want): Send ${text} before.
 * begin(): A connection with EHLO, MAIL and RCPT.
 * is_closed(): Let the server work until it has closed the connection; false: it
 * does not. */
void dial_at(in_addr_t last);
void dial(void);
void dial_from(in_addr_t last);
const char *hear(const char *want);
const char *talk(const char *text, const char *want);
void begin(void);
bool is_closed(void);

#endif
