/* Parameters of MAIL and RCPT that the envelope keeps.
 * Owns: what a client says with them, and what must be kept of it; both follow
 * from the number of the sender or recipient. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/sim.h"

#define HOLD	20000	/* seconds */
#define BY	30000
#define WHILE	10000	/* no client takes longer from MAIL to its message */

enum way { WAY_NONE, WAY_DSN, WAY_UTF8, WAY_BY, WAY_BY_RETURN, WAY_SOLICIT,
	WAY_HOLD, WAY_HOLD_BY };

/* % is a number that follows from that of the sender, * a time. */
static const struct {
	const char	*said;
	const char	*kept;		/* in the form of test/lib/simsaid.h */
} ways[] = {
	[WAY_NONE] = { "", "" },
	[WAY_DSN] = { " RET=HDRS ENVID=e+2B%", " ret=hdrs envid=e+%" },
	[WAY_UTF8] = { " MT-PRIORITY=-% RET=full SMTPUTF8",
	    " smtputf8 ret=full priority=-%" },
	[WAY_BY] = { " BY=30000;nt", " by=*;NT" },
	[WAY_BY_RETURN] = { " BY=+30000;R RET=HDRS", " ret=hdrs by=*;R" },
	[WAY_SOLICIT] = { " SOLICIT=org.example:ADV,net.example:ADV:ADLT",
	    " solicit=org.example:ADV,net.example:ADV:ADLT" },
	[WAY_HOLD] = { " HOLDFOR=20000", " hold=*" },
	[WAY_HOLD_BY] = { " BY=30000;N HOLDFOR=20000", " hold=* by=*;N" },
};
_Static_assert(sizeof(ways) / sizeof(ways[0]) == SIM_WAYS + 1, "SIM_WAYS");

static void
put(char *buf, size_t size, const char *text, unsigned int arg)
{
	unsigned int n = arg / SIM_SAID == WAY_UTF8 ? arg % 9 + 1 :
	    arg % SIM_SAID;
	size_t len = strcspn(text, "%");

	if (text[len] == '\0')
		snprintf(buf, size, "%s", text);
	else
		snprintf(buf, size, "%.*s%u%s", (int)len, text, n,
		    text + len + 1);
}

bool
said_is_held(unsigned int arg)
{
	return arg / SIM_SAID == WAY_HOLD || arg / SIM_SAID == WAY_HOLD_BY;
}

bool
said_has_deadline(unsigned int arg)
{
	return arg / SIM_SAID == WAY_BY || arg / SIM_SAID == WAY_BY_RETURN ||
	    arg / SIM_SAID == WAY_HOLD_BY;
}

/* RFC 4865 6: who has logged in, or will have to. */
bool
said_may_hold(const struct client *c)
{
	return c->sim->has_said && c->is_esmtp &&
	    (c->has_login || c->sim->host.options.require_auth);
}

unsigned int
said_choose(struct client *c, unsigned int arg, bool is_sender)
{
	unsigned int way;

	if (!c->sim->has_said || !c->is_esmtp || !client_chance(c, 500))
		return arg;
	if (!is_sender)
		return arg + SIM_SAID;
	way = 1 + client_below(c, SIM_WAYS);
	/* mostly by those who may */
	if (way >= WAY_HOLD && !said_may_hold(c) && client_chance(c, 800))
		way = WAY_DSN;
	return arg + way * SIM_SAID;
}

void
said_mail(unsigned int arg, char *buf, size_t size)
{
	put(buf, size, ways[arg / SIM_SAID].said, arg);
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

/* Put '*' in the place of the number behind ${key} in ${said}, the seconds until a
 * time that was ${max} seconds away when MAIL came. */
static void
take_time(struct client *c, char *said, const char *key, long max)
{
	char *p = strstr(said, key), *end;
	long seconds;

	if (p == NULL || (p != said && p[-1] != ' '))
		return;
	p += strlen(key);
	seconds = strtol(p, &end, 10);
	/* the time is of the wall clock */
	if (!c->sim->is_clock_set &&
	    (seconds > max || seconds < max - WHILE))
		sim_violation(c->sim, "%s%ld, of %ld", key, seconds, max);
	if (end == p)
		return;
	*p = '*';
	memmove(p + 1, end, strlen(end) + 1);
}

void
said_check(struct client *c, const char *said)
{
	char want[SIM_RCPTS * 128] = "", one[128] = "", has[SIM_RCPTS * 128];
	const char *rest = has;
	unsigned int i;

	put(one, sizeof(one), ways[c->sender / SIM_SAID].kept, c->sender);
	strlcat(want, one, sizeof(want));
	for (i = 0; i < c->nrcpts; i++)
		if (c->rcpts[i] >= SIM_SAID) {
			kept_of_rcpt(c->rcpts[i], one, sizeof(one));
			strlcat(want, one, sizeof(want));
		}
	strlcpy(has, said, sizeof(has));
	take_time(c, has, "hold=", HOLD);
	take_time(c, has, "by=", BY);
	/* BODY is by chance, and the first if it is there */
	if (strncmp(rest, "8bitmime", strlen("8bitmime")) == 0)
		rest += strlen("8bitmime");
	if (*rest == ' ')
		rest++;
	if (strcmp(rest, *want == ' ' ? want + 1 : want) != 0)
		sim_violation(c->sim, "kept \"%s\", not \"%s\"", rest, want);
}
