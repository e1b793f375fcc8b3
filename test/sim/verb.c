/* A verb of a program that reads: XTAKE n, and n octets behind it.
 * Owns: what it remembers of one command, until it is told of its end. */

#include <stdio.h>
#include <stdlib.h>

#include "test/sim/sim.h"

struct take {
	unsigned int left;
};

static int
take_octets(message_construct *mc, const char *octets, size_t len, void *arg)
{
	accept_construct *ac = esmtp_session_of(mc);
	struct take *t = arg;
	bool is_odd = len % 2 != 0;

	t->left -= (unsigned int)len;
	if (octets != NULL && t->left > 0)
		return ESMTP_VERB_MORE;
	free(t);
	/* an answer that there is no memory for never comes */
	if (octets != NULL && is_odd && esmtp_answer_reply(ac->host,
	    esmtp_ticket_new(ac), 250, "2.6.0", "Taken") == 0)
		return ESMTP_VERB_LATER;
	(void)esmtp_extension_reply(mc, 250, "2.6.0", "Taken");
	return ESMTP_VERB_DONE;
}

/* What follows a command that is refused would be run: without memory, the
 * session ends. */
static int
take(char *arg, Event *, message_construct *mc, void *)
{
	struct take *t = malloc(sizeof(*t));

	if (t != NULL) {
		t->left = (unsigned int)strtoul(arg, NULL, 10);
		if (esmtp_verb_read_octets(mc, t->left, take_octets, t) == 0)
			return ESMTP_VERB_MORE;
		free(t);
	}
	(void)esmtp_session_close(esmtp_session_of(mc), 421,
	    "4.3.0 Out of memory");
	return ESMTP_VERB_DONE;
}

static int
not_advertised(char *, message_construct *, void *)
{
	return 0;
}

int
sim_verb_register(void)
{
	return esmtp_extensions_register("XTAKE", not_advertised, take, NULL)
	    == 1 ? 0 : -1;
}

size_t
sim_verb_format(unsigned int nlines, char *buf, size_t size)
{
	static const char line[] = "QUIT\r\nNOOP\r\n.\r\nMAIL FROM:<>\r\n";
	size_t n, i, octets = nlines * (sizeof(line) - 1) + 1;

	n = (size_t)snprintf(buf, size, "XTAKE %zu\r\n", octets);
	for (i = 0; i < octets; i++)
		buf[n++] = line[i % (sizeof(line) - 1)];
	return n;
}
