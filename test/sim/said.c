/* Parameters of MAIL and RCPT that the envelope keeps.
 * Owns: what a client says with them, and what must be kept of it; both follow
 * from the number of the sender or recipient. */

#include <stdio.h>
#include <string.h>

#include "test/sim/sim.h"

unsigned int
said_choose(struct client *c, unsigned int arg)
{
	return c->sim->has_said && c->is_esmtp && client_chance(c, 500) ?
	    arg + SIM_SAID : arg;
}

void
said_mail(unsigned int arg, char *buf, size_t size)
{
	if (arg < SIM_SAID)
		*buf = '\0';
	else if (arg % 2 == 0)
		snprintf(buf, size, " RET=HDRS ENVID=e+2B%u", arg);
	else
		snprintf(buf, size, " MT-PRIORITY=-%u RET=full SMTPUTF8",
		    arg % 9 + 1);
}

void
said_rcpt(unsigned int arg, char *buf, size_t size)
{
	if (arg < SIM_SAID)
		*buf = '\0';
	else if (arg % 3 == 0)
		snprintf(buf, size, " NOTIFY=NEVER");
	else if (arg % 3 == 1)
		snprintf(buf, size, " ORCPT=rfc822;%u+40x NOTIFY=delay,FAILURE",
		    arg);
	else
		snprintf(buf, size, " ORCPT=utf-8;\\x{E4}%u", arg);
}

/* In the form of test/lib/simsaid.h */
static void
kept_of_rcpt(unsigned int arg, char *buf, size_t size)
{
	char addr[64];

	model_address(arg, false, addr, sizeof(addr));
	if (arg % 3 == 0)
		snprintf(buf, size, " %s notify=never", addr);
	else if (arg % 3 == 1)
		snprintf(buf, size, " %s notify=failure,delay "
		    "orcpt=rfc822;%u@x", addr, arg);
	else
		snprintf(buf, size, " %s orcpt=utf-8;\xc3\xa4%u", addr, arg);
}

void
said_check(struct client *c, const char *said)
{
	char want[SIM_RCPTS * 128] = "", one[128] = "";
	unsigned int i;

	if (c->sender >= SIM_SAID && c->sender % 2 == 0)
		snprintf(one, sizeof(one), " ret=hdrs envid=e+%u",
		    c->sender);
	else if (c->sender >= SIM_SAID)
		snprintf(one, sizeof(one), " smtputf8 ret=full priority=-%u",
		    c->sender % 9 + 1);
	strlcat(want, one, sizeof(want));
	for (i = 0; i < c->nrcpts; i++)
		if (c->rcpts[i] >= SIM_SAID) {
			kept_of_rcpt(c->rcpts[i], one, sizeof(one));
			strlcat(want, one, sizeof(want));
		}
	/* BODY is by chance, and the first if it is there */
	if (strncmp(said, "8bitmime", strlen("8bitmime")) == 0)
		said += strlen("8bitmime");
	if (*said == ' ')
		said++;
	if (strcmp(said, *want == ' ' ? want + 1 : want) != 0)
		sim_violation(c->sim, "kept \"%s\", not \"%s\"", said, want);
}
