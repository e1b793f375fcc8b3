/* The options that choose messages.
 * Owns: their arguments.  What they mean, the queue knows. */

#include "cmd/mailmillctl/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	char		 letter;
	long long	 factor;
};

static const struct unit times[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 },
	{ 'd', 86400 }, { 'w', 604800 }, { '\0', 0 } };
static const struct unit sizes[] = { { 'k', 1 << 10 }, { 'K', 1 << 10 },
	{ 'M', 1 << 20 }, { 'G', 1 << 30 }, { '\0', 0 } };

#define NUMBER_MAX	1000000000000LL

/* A number from 1 on with one of ${units}, or none.  Return -1: it is none. */
static long long
parse_number(const char *arg, const struct unit *units)
{
	long long n, factor = 1;
	char *end;

	if (*arg < '0' || *arg > '9')
		return -1;
	errno = 0;
	n = strtoll(arg, &end, 10);
	for (; *end != '\0' && units->letter != '\0'; units++)
		if (units->letter == *end && end[1] == '\0') {
			factor = units->factor;
			end++;
		}
	return errno != 0 || *end != '\0' || n < 1 ||
	    n > NUMBER_MAX / factor ? -1 : n * factor;
}

int
filter_add(json_t *filter, const char *name, int kind, const char *arg)
{
	const struct unit *units = kind == FILTER_TIME ? times : sizes;
	long long n;
	json_t *value;

	if (kind == FILTER_TEXT) {
		if ((value = json_string(arg)) != NULL &&
		    json_object_set_new(filter, name, value) == 0)
			return 0;
		fprintf(stderr, "mailmillctl: --%s: the text is not UTF-8\n",
		    name);
		return -1;
	}
	if ((n = parse_number(arg, units)) != -1)
		return json_object_set_new(filter, name, json_integer(n));
	fprintf(stderr, "mailmillctl: --%s %s: expected %s\n", name, arg,
	    kind == FILTER_TIME ? "a time from 1s on, as 90, 90s, 15m, 2h, 3d "
	    "or 1w" : "a size from 1 on, as 5000, 100k, 2M or 1G");
	return -1;
}

json_int_t
limit_parse(const char *arg)
{
	static const struct unit none[] = { { '\0', 0 } };
	long long n = parse_number(arg, none);

	if (n == -1)
		fprintf(stderr, "mailmillctl: --limit %s: expected a number "
		    "from 1 on\n", arg);
	return n;
}
