#include <criterion/criterion.h>
#include <string.h>

#include "cmd/mailmilld/master/control/control.h"

static enum control_command
parse(const char *text)
{
	return control_parse(text, strlen(text));
}

Test(control_parse, knows_its_commands)
{
	cr_assert(parse("{\"command\":\"status\"}") == CONTROL_STATUS);
	cr_assert(parse(" { \"command\" : \"stats\" } ") == CONTROL_STATS);
	cr_assert(parse("{\"command\":\"reload\"}") == CONTROL_RELOAD);
	cr_assert(parse("{\"command\":\"stop\"}") == CONTROL_STOP);
	cr_assert(parse("{\"command\":\"queue\",\"action\":\"list\"}") ==
	    CONTROL_QUEUE);
}

Test(control_parse, what_is_not_understood_is_refused)
{
	static const char *const bad[] = {
		"", "{", "[]", "\"status\"", "{}", "{\"command\":7}",
		"{\"command\":\"Status\"}", "{\"command\":\"statu\"}",
		"{\"command\":\"status\"} x", "{\"command\":null}",
		"{\"command\":\"status\",\"command\":\"stop\"}",
		"\xff\xfe", "{\"command\":\"\xff\"}",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert(parse(bad[i]) == CONTROL_BAD, "%s", bad[i]);
	cr_assert(control_parse("{\"command\":\"stop\"\0}", 19) ==
	    CONTROL_BAD);
}

Test(control_parse, deep_nesting_is_refused)
{
	static char deep[MSG_CONTROL_OCTETS];

	memset(deep, '[', sizeof(deep));
	cr_assert(control_parse(deep, sizeof(deep)) == CONTROL_BAD);
}
