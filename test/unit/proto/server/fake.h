/* One session on simulated parts, for the unit tests of proto/: say something,
 * look at the answer.
 * Owns: a simhost and its first session.  Any violation fails the test. */

#ifndef TEST_UNIT_PROTO_SERVER_FAKE_H
#define TEST_UNIT_PROTO_SERVER_FAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "test/lib/simhost.h"

#define FAKE_START	1700000000	/* Tue, 14 Nov 2023 22:13:20 +0000 */

struct fake {
	struct simhost		 h;
	struct simhost_session	*s;
	char			 reply[65536];
};

/* fake_new(): A host without a session.  fake_connect(f): the session; the
 * banner is in f->reply.  fake_start() does both. */
struct fake *fake_new(void);
void fake_connect(struct fake *f);
struct fake *fake_start(void);
void fake_end(struct fake *f);

/* fake_option(f, name, ...): Set an option; values end with NULL. */
void fake_option(struct fake *f, const char *name, ...)
    __attribute__((sentinel));

/* fake_say(f, text): Send, let the session work, return what it answered.
 * fake_say_n takes any octets, fake_say_bytewise sends them one by one. */
const char *fake_say(struct fake *f, const char *text);
const char *fake_say_n(struct fake *f, const char *buf, size_t len);
const char *fake_say_bytewise(struct fake *f, const char *text);
const char *fake_wait(struct fake *f, unsigned int seconds);

/* fake_message(f, i): Message number ${i}, oldest first, that the spool has
 * committed; NULL if there are not so many. */
const struct spool_msg *fake_message(struct fake *f, unsigned int i);
bool fake_is_ended(const struct fake *f);
message_construct *fake_mc(const struct fake *f);

/* Up to the body: EHLO, MAIL, RCPT, DATA. */
void fake_to_data(struct fake *f);

#endif
