/* A transaction with any parameters: those of MAIL and those of RCPT, a line
 * each, behind an address, or in place of it.  Each command has one reply, and
 * the session goes on. */

#include "test/fuzz/fuzz.h"

#include <string.h>

#include "test/fuzz/client.h"

static const char options[] = "SMTP_Extensions=PIPELINING,SIZE,LIMITS,"
    "REQUIRETLS,8BITMIME,SMTPUTF8,CHUNKING,BINARYMIME,ENHANCEDSTATUSCODES,"
    "AUTH,DSN,FUTURERELEASE,DELIVERBY,MT-PRIORITY,NO-SOLICITING";

static void
command(struct fuzz_client *c, const char *verb, struct fuzz_input *in)
{
	char line[LIM_COMMAND_LINE * 2];
	size_t len, n;
	const char *s = fuzz_line(in, &len);

	n = strlcpy(line, verb, sizeof(line));
	if (len > sizeof(line) - n - 3)
		len = sizeof(line) - n - 3;
	if (len > 0)
		memcpy(line + n, s, len);
	memcpy(line + n + len, "\r\n", 2);
	c->nreplies = 0;
	client_send(c, line, n + len + 2);
	client_settle(c);
	FUZZ_HOLDS(c->nreplies == 1 && c->begun == 0);
	FUZZ_HOLDS(c->code / 100 != 3);
}

void
fuzz_params(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	uint8_t flags = fuzz_octet(&in);
	struct fuzz_client c;

	client_init(&c);
	client_option(&c, options, sizeof(options) - 1);
	client_option(&c, "Future_Release_Max=1d", 21);
	client_option(&c, "Max_Errors=0", 12);
	if (flags & 1)
		client_option(&c, "RFC2821_Pedantic_Address_Rules=false", 36);
	if (flags & 2)
		client_option(&c, "Allow_Unbracketed_Addresses=true", 32);
	client_connect(&c);
	client_settle(&c);
	FUZZ_HOLDS(client_ask(&c, "EHLO client.example\r\n") == 250);
	command(&c, flags & 4 ? "MAIL FROM:" : "MAIL FROM:<a@client.example> ",
	    &in);
	command(&c, flags & 8 ? "RCPT TO:" : "RCPT TO:<alice@example.test> ",
	    &in);
	FUZZ_HOLDS(client_is_idle(&c));
	/* the envelope that has come of it can be kept */
	if (client_ask(&c, "DATA\r\n") == 354)
		FUZZ_HOLDS(client_ask(&c, "Subject: x\r\n\r\n.\r\n") == 250);
	client_end(&c);
}
