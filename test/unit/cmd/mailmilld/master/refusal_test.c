#include <criterion/criterion.h>
#include <string.h>

#include "cmd/mailmilld/master/refusal.h"

static const char *
line(enum refusal id)
{
	static char buf[600];
	size_t len = refusal_line(id, buf, sizeof(buf) - 1);

	buf[len] = '\0';
	cr_assert(len > 2 && strcmp(buf + len - 2, "\r\n") == 0);
	return buf;
}

Test(refusal, each_limit_has_its_documented_reply)
{
	cr_assert(strncmp(line(REFUSAL_SESSIONS), "421 4.4.5 ", 10) == 0);
	cr_assert(strncmp(line(REFUSAL_CLIENT), "421 4.7.0 ", 10) == 0);
	cr_assert(strncmp(line(REFUSAL_LATER), "421 4.3.2 ", 10) == 0);
}
