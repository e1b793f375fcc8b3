/* A verb of a program that reads: XTAKE n, and n octets behind it.  It says
 * 554 if they are others than the client has sent.
 * Owns: what it remembers of one command, until it is told of its end. */

#include <stdio.h>
#include <stdlib.h>

#include "core/scheduler.h"
#include "test/sim/sim.h"

#define DELAY_US	3000000	/* of an answer, at most */

/* Where XTAKE is refused the session ends at the first of these, which is no
 * command; where it is not, none of them is run. */
static const char lines[] = ".\r\nQUIT\r\nNOOP\r\n.\r\nMAIL FROM:<>\r\n";

struct take {
	unsigned int at, end;
	bool is_wrong;
};

static char
octet(unsigned int i)
{
	return lines[i % (sizeof(lines) - 1)];
}

/* ${ticket} may be that of a session that has ended. */
static void
answer_happens(void *arg, uint64_t ticket)
{
	struct simhost *h = arg;
	accept_construct *ac;

	(void)esmtp_answer(&h->host, ticket, ESMTP_VERB_DONE);
	while ((ac = esmtp_answered(&h->host)) != NULL)
		schedule_event_and_dispatch(esmtp_session_event(ac), E_ASYNC);
}

/* At once, inside the call by a ticket, or later; an answer that there is no
 * memory for never comes. */
static int
answer(message_construct *mc, unsigned int how)
{
	accept_construct *ac = esmtp_session_of(mc);
	struct simhost *h = ac->host->closure;
	esmtp_ticket ticket;

	if (how % 3 == 1 && esmtp_answer_reply(ac->host, esmtp_ticket_new(ac),
	    250, "2.6.0", "Taken") == 0)
		return ESMTP_VERB_LATER;
	if (how % 3 == 2 && (ticket = esmtp_ticket_new(ac)) != 0) {
		simclock_at(&h->clock, simrand_below(h->net.rand, DELAY_US),
		    answer_happens, h, ticket);
		return ESMTP_VERB_LATER;
	}
	(void)esmtp_extension_reply(mc, 250, "2.6.0", "Taken");
	return ESMTP_VERB_DONE;
}

static int
take_octets(message_construct *mc, const char *octets, size_t len, void *arg)
{
	struct take *t = arg;
	bool is_wrong;
	size_t i;

	for (i = 0; octets != NULL && i < len; i++)
		t->is_wrong |= t->at == t->end || octets[i] != octet(t->at++);
	if (octets != NULL && t->at < t->end)
		return ESMTP_VERB_MORE;
	is_wrong = t->is_wrong;
	free(t);
	if (octets == NULL)
		return ESMTP_VERB_DONE;
	if (!is_wrong)
		return answer(mc, (unsigned int)len);
	(void)esmtp_extension_reply(mc, 554, "5.6.0", "Other octets");
	return ESMTP_VERB_DONE;
}

static int
take(char *arg, Event *, message_construct *mc, void *)
{
	struct take *t = malloc(sizeof(*t));

	if (t != NULL) {
		*t = (struct take){ .end = (unsigned int)strtoul(arg, NULL,
		    10) };
		if (esmtp_verb_read_octets(mc, t->end, take_octets, t) == 0)
			return ESMTP_VERB_MORE;
		free(t);
	}
	(void)esmtp_extension_reply(mc, 451, "4.3.0", "Out of memory");
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
	    == 1 && esmtp_verb_has_input("XTAKE") == 1 ? 0 : -1;
}

size_t
sim_verb_format(unsigned int nlines, char *buf, size_t size)
{
	unsigned int i, octets = nlines * (sizeof(lines) - 1) + 1;
	size_t n;

	n = (size_t)snprintf(buf, size, "XTAKE %u\r\n", octets);
	for (i = 0; i < octets; i++)
		buf[n++] = octet(i);
	return n;
}
