/* Messages by BDAT, RFC 3030.
 * Owns: where a message is cut into chunks. */

#include <stdio.h>

#include "test/sim/sim.h"

bool
client_owes_chunk(const struct client *c)
{
	enum cmd_kind kind;
	unsigned int i;

	for (i = 0; i < c->npending; i++) {
		kind = c->pending[(c->first + i) % SIM_PENDING].kind;
		if (kind >= CMD_BDAT && kind <= CMD_BDAT_BAD)
			return true;
	}
	return false;
}

static bool
owes_body(const struct client *c)
{
	unsigned int i;

	for (i = 0; i < c->npending; i++)
		if (c->pending[(c->first + i) % SIM_PENDING].kind == CMD_BODY)
			return true;
	return client_owes_chunk(c);
}

/* A size that nobody can read, with a command behind it that must not be run. */
static bool
put_bad(struct client *c)
{
	static const char *const bad[] = { "-1", "5 FIRST",
		"18446744073709551617 LAST", "x" };
	char buf[80];
	int n;

	if (!client_expect(c, CMD_BDAT_BAD, 0))
		return false;
	n = snprintf(buf, sizeof(buf), "BDAT %s\r\nQUIT\r\n",
	    bad[client_below(c, 4)]);
	client_send(c, buf, (size_t)n);
	c->is_chunking = false;
	return true;
}

/* The next chunk.  False: too many replies are owed. */
static bool
put_chunk(struct client *c)
{
	size_t left = c->body.raw_len - c->chunked;
	size_t n = client_below(c, (uint32_t)left + 1);
	bool is_last;
	char line[40];
	int len;

	if (client_chance(c, 5))
		return put_bad(c);
	if (client_chance(c, 300))
		n = left;
	is_last = n == left && client_chance(c, 700);
	if (!client_expect(c, is_last ? CMD_BDAT_LAST : CMD_BDAT,
	    (unsigned int)(c->chunked + n)))
		return false;
	len = snprintf(line, sizeof(line), "BDAT %zu%s\r\n", n,
	    is_last ? " LAST" : "");
	client_send(c, line, (size_t)len);
	if (n > 0)
		client_send(c, c->body.raw + c->chunked, n);
	c->chunked += n;
	if (is_last)
		c->is_chunking = false;
	return true;
}

void
client_send_chunks(struct client *c)
{
	while (put_chunk(c) && c->is_chunking && c->is_pipelining &&
	    client_chance(c, 700))
		continue;
}

bool
client_begin_chunks(struct client *c)
{
	struct sim *sim = c->sim;

	/* the model compares what is stored with the last body */
	if (c->is_chunked || owes_body(c))
		return false;
	body_make(&c->body, &sim->rand, client_chance(c, 50) ? sim->body_max
	    : sim->body_max < 300 ? sim->body_max : 300, sim->may_be_lone,
	    sim->host.options.lone_lf_in_body == ESMTP_LF_FIX,
	    client_chance(c, 500));
	c->chunked = 0;
	c->is_chunking = true;
	client_send_chunks(c);
	return true;
}
