#include "proto/parse/datetime.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int
parse(const char *text, int64_t *seconds_r)
{
	size_t len = strlen(text);
	char *copy = malloc(len + 1);	/* so that a checker sees the end */
	int rc;

	memcpy(copy, text, len);
	rc = datetime_parse(copy, len, seconds_r);
	free(copy);
	return rc;
}

Test(datetime, dates_are_parsed_as_rfc_3339_has_them)
{
	static const struct { const char *text; int64_t seconds; } cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-12-31t23:59:59z", 31535999 },
		{ "1972-02-29T12:00:00Z", 68212800 },
		{ "2000-02-29T00:00:00Z", 951782400 },
		{ "2026-11-26T13:45:07Z", 1795700707 },
		{ "2026-11-26T13:45:07.25Z", 1795700708 },
		{ "2016-12-31T23:59:60Z", 1483228800 },
		{ "9999-12-31T23:59:59Z", 253402300799 },
		{ "2026-11-26T13:45:07+00:00", 1795700707 },
		{ "2026-11-26T15:45:07+02:00", 1795700707 },
		{ "2026-11-26T10:15:07.5-03:30", 1795700708 },
		/* no days, no times */
		{ "1969-12-31T23:59:59Z", -1 }, { "0000-01-01T00:00:00Z", -1 },
		{ "2100-02-29T00:00:00Z", -1 }, { "2023-02-29T00:00:00Z", -1 },
		{ "2024-00-01T00:00:00Z", -1 }, { "2024-13-01T00:00:00Z", -1 },
		{ "2024-01-00T00:00:00Z", -1 }, { "2024-04-31T00:00:00Z", -1 },
		{ "2024-01-01T24:00:00Z", -1 }, { "2024-01-01T00:60:00Z", -1 },
		{ "2024-01-01T00:00:61Z", -1 },
		/* another form */
		{ "", -1 }, { "2024", -1 }, { "2024-01-01", -1 },
		{ "2024-01-01T00:00:00", -1 }, { "2024-01-01T00:00Z", -1 },
		{ "2024-01-01 00:00:00Z", -1 }, { "2024-1-1T00:00:00Z", -1 },
		{ "2024-01-01T00:00:00+0000", -1 },
		{ "2024-01-01T00:00:00+24:00", -1 },
		{ "2024-01-01T00:00:00+00:60", -1 },
		{ "2024-01-01T00:00:00+00:00Z", -1 },
		{ "2024-01-01T00:00:00+", -1 },
		{ "2024\r01\r01T00:00:00Z", -1 },
		{ "2024-01-01T00\x1a" "00:00Z", -1 },
		{ "2024-01-01T00:00:00ZZ", -1 }, { "2024-01-01T00:00:00.Z", -1 },
		{ "2024-01-01T00:00:00.5", -1 }, { "-024-01-01T00:00:00Z", -1 },
		{ "+024-01-01T00:00:00Z", -1 }, { "12024-01-01T00:00:00Z", -1 },
		{ "20240101T000000Z", -1 },
	};
	int64_t seconds;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		seconds = -1;
		cr_expect_eq(parse(cases[i].text, &seconds),
		    cases[i].seconds == -1 ? -1 : 0, "%s", cases[i].text);
		cr_expect_eq(seconds, cases[i].seconds, "%s", cases[i].text);
	}
}

Test(datetime, every_day_is_written_as_the_c_library_writes_it)
{
	char buf[DATETIME_MAX], want[64];
	int64_t seconds, again;
	struct tm tm;
	time_t t;

	for (seconds = 0; seconds < 253402300800; seconds += 86400 * 7 + 3661) {
		t = (time_t)seconds;
		cr_assert_not_null(gmtime_r(&t, &tm));
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
		datetime_format(seconds, buf);
		cr_assert_str_eq(buf, want);
		cr_assert_eq(parse(buf, &again), 0, "%s", buf);
		cr_assert_eq(again, seconds, "%s", buf);
	}
	datetime_format(-1, buf);
	cr_assert_str_eq(buf, "1970-01-01T00:00:00Z");
	datetime_format(INT64_MAX, buf);
	cr_assert_str_eq(buf, "9999-12-31T23:59:59Z");
}
