/* Configuration: text to values. */

#include "core/conf/conf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int
conf_bool(const char *value, bool *r, char *expected_r, size_t len)
{
	static const struct {
		const char	*word;
		bool		 is_true;
	} words[] = {
		{ "true", true }, { "yes", true }, { "on", true },
		{ "1", true },
		{ "false", false }, { "no", false }, { "off", false },
		{ "0", false },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(value, words[i].word) == 0) {
			*r = words[i].is_true;
			return 0;
		}
	}
	snprintf(expected_r, len, "true or false");
	return -1;
}

int
conf_int(const char *value, int64_t min, int64_t max, const char *unit,
    int64_t *r, char *expected_r, size_t len)
{
	const char *digits = value + (*value == '-');
	char *end;
	long long n;

	errno = 0;
	n = strtoll(value, &end, 10);
	if (*digits >= '0' && *digits <= '9' && *end == '\0' && errno == 0 &&
	    n >= min && n <= max) {
		*r = n;
		return 0;
	}
	snprintf(expected_r, len, "a number from %" PRId64 " to %" PRId64
	    "%s%s%s", min, max, *unit == '\0' ? "" : " (", unit,
	    *unit == '\0' ? "" : ")");
	return -1;
}

int
conf_choice(const char *value, const char *choices, int *r,
    char *expected_r, size_t len)
{
	const char *p = choices, *bar;
	size_t n, used = 0, value_len = strlen(value);
	int i;

	for (i = 0;; i++, p = bar + 1) {
		bar = strchrnul(p, '|');
		n = (size_t)(bar - p);
		if (n == value_len && strncasecmp(p, value, n) == 0) {
			*r = i;
			return 0;
		}
		if (used < len)
			used += (size_t)snprintf(expected_r + used, len - used,
			    "%s%.*s", i == 0 ? "" :
			    *bar == '\0' ? " or " : ", ", (int)n, p);
		if (*bar == '\0')
			return -1;
	}
}

int
conf_length(const char *value, int64_t min, int64_t max, char *expected_r,
    size_t len)
{
	int64_t n = (int64_t)strlen(value);

	if (n >= min && n <= max)
		return 0;
	if (n < min)
		snprintf(expected_r, len, "a text");
	else
		snprintf(expected_r, len, "a text of at most %" PRId64
		    " octets", max);
	return -1;
}
