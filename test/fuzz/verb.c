/* Verbs of a program: see verb.h. */

#include "test/fuzz/verb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"
#include "test/fuzz/fuzz.h"

#define LINE_MAX	40
#define LINES_MAX	400	/* octets of all lines with their ends */
#define OCTETS_MAX	4096

static struct {
	bool		 is_later;
	esmtp_ticket	 ticket;	/* with is_later */
	size_t		 left;		/* octets that may still come; of lines, too */
	bool		 is_reading;
} verb;

static int
later(message_construct *mc)
{
	verb.ticket = esmtp_ticket_new(esmtp_session_of(mc));
	verb.is_later = true;
	return ESMTP_VERB_LATER;
}

static int
take_line(message_construct *mc, const char *line, size_t len, void *)
{
	FUZZ_HOLDS(verb.is_reading);
	if (line == NULL) {
		verb.is_reading = false;
		return ESMTP_VERB_MORE;
	}
	FUZZ_HOLDS(len <= LINE_MAX && len + 2 <= verb.left);
	FUZZ_HOLDS(memchr(line, '\n', len) == NULL);
	verb.left -= len + 2;
	if (len != 1 || (*line != '.' && *line != 'w'))
		return ESMTP_VERB_MORE;
	verb.is_reading = false;
	return *line == 'w' ? later(mc) : ESMTP_VERB_DONE;
}

static int
take_octets(message_construct *, const char *octets, size_t len, void *)
{
	FUZZ_HOLDS(verb.is_reading);
	if (octets == NULL)
		verb.is_reading = false;
	else {
		FUZZ_HOLDS(len <= verb.left);
		verb.left -= len;
		verb.is_reading = verb.left > 0;
	}
	return ESMTP_VERB_MORE;
}

static int
read_lines(message_construct *mc)
{
	FUZZ_HOLDS(!verb.is_reading);
	if (esmtp_verb_read_lines(mc, LINE_MAX, LINES_MAX, take_line, NULL) ==
	    -1)
		return ESMTP_VERB_DONE;
	verb.left = LINES_MAX;
	verb.is_reading = true;
	return ESMTP_VERB_MORE;
}

static int
read_octets(message_construct *mc, const char *arg)
{
	unsigned long n = strtoul(arg, NULL, 10);

	FUZZ_HOLDS(!verb.is_reading);
	if (n > OCTETS_MAX ||
	    esmtp_verb_read_octets(mc, n, take_octets, NULL) == -1)
		return ESMTP_VERB_SYNTAX;
	verb.left = n;
	verb.is_reading = true;
	return ESMTP_VERB_MORE;
}

static int
test(char *arg, Event *, message_construct *mc, void *)
{
	switch (*arg) {
	case 'l':
		return read_lines(mc);
	case '?':
		(void)esmtp_extension_reply(mc, 354, "0.0.0", "Go on");
		return read_lines(mc);
	case 'o':
		return read_octets(mc, arg + 1);
	case 'w':
		return later(mc);
	case 'r':
		(void)esmtp_verb_reset(mc);
		break;
	case 's':
		return ESMTP_VERB_SYNTAX;
	case 'b':
		return ESMTP_VERB_BUILTIN;
	case 'q':
		esmtp_destroy_message_construct(mc);
		break;
	default:
		(void)esmtp_extension_reply(mc, 252, "2.5.2", arg);
	}
	return ESMTP_VERB_DONE;
}

static int
refuse(char *, Event *, message_construct *mc, void *)
{
	(void)esmtp_extension_reply(mc, 550, "5.7.1", "No");
	return ESMTP_VERB_DONE;
}

void
verb_register(void)
{
	FUZZ_HOLDS(esmtp_extensions_register("XTEST", NULL, test, NULL) == 1);
	FUZZ_HOLDS(esmtp_extensions_register("XREAD", NULL, refuse, NULL) == 1);
	FUZZ_HOLDS(esmtp_verb_has_input("XREAD") == 1);
}

void
verb_begin(void)
{
	verb.is_later = verb.is_reading = false;
}

void
verb_answer(struct esmtp_host *host, int code)
{
	accept_construct *ac;
	int rc;

	if (!verb.is_later)
		return;
	rc = code == 0 ? esmtp_answer(host, verb.ticket, ESMTP_VERB_DONE) :
	    esmtp_answer_reply(host, verb.ticket, code, NULL, "Later");
	/* else it is no code of an answer, and there may be another */
	verb.is_later = rc == -1 && errno == EINVAL;
	while ((ac = esmtp_answered(host)) != NULL)
		schedule_event_and_dispatch(esmtp_session_event(ac), E_ASYNC);
}
