/* Dates of RFC 3339.
 * Owns: their grammar, and the calendar.  Knows no clock. */

#include "proto/parse/datetime.h"

#include <errno.h>
#include <stdbool.h>

#define SECONDS_MAX	253402300799	/* 9999-12-31T23:59:59Z */
#define DAY		86400

/* Days from 1970-01-01 to the first of January of ${year}, at least 1970 */
static int64_t
days_before(int year)
{
	int y = year - 1;

	return (int64_t)(year - 1970) * 365 + (y / 4 - 1969 / 4) -
	    (y / 100 - 1969 / 100) + (y / 400 - 1969 / 400);
}

static int
month_days(int year, int month)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31,
		30, 31, 30, 31 };
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && is_leap);
}

/* The ${n} digits at *${s}, which moves behind them and the octet ${end} (0:
 * none).  -1: there is something else. */
static int
number(const char **s, const char *limit, int n, char end)
{
	int value = 0, i;

	if (limit - *s < n + (end != 0))
		return -1;
	for (i = 0; i < n; i++) {
		if ((*s)[i] < '0' || (*s)[i] > '9')
			return -1;
		value = value * 10 + (*s)[i] - '0';
	}
	if (end != 0 && (*s)[n] != end && (end != 'T' || (*s)[n] != 't'))
		return -1;
	*s += n + (end != 0);
	return value;
}

/* What follows the seconds: a fraction, "Z" or the offset of a time zone.  Return
 * 0 with how many seconds to add, or -1. */
static int
rest(const char *s, const char *end, int *more_r)
{
	int hour, minute, sign;

	*more_r = 0;
	if (s < end && *s == '.') {
		for (s++; s < end && *s >= '0' && *s <= '9'; s++)
			*more_r = 1;
		if (*more_r == 0)
			return -1;
	}
	if (s == end)
		return -1;
	sign = *s == '+' ? -1 : *s == '-' ? 1 : 0;
	if (sign == 0)
		return end - s == 1 && (*s == 'Z' || *s == 'z') ? 0 : -1;
	s++;
	hour = number(&s, end, 2, ':');
	minute = hour == -1 ? -1 : number(&s, end, 2, 0);
	if (minute == -1 || s != end || hour > 23 || minute > 59)
		return -1;
	*more_r += sign * (hour * 3600 + minute * 60);
	return 0;
}

int
datetime_parse(const char *s, size_t len, int64_t *seconds_r)
{
	const char *end = s + len;
	int year, month, day, hour, minute, second, more, i;
	int64_t days;

	errno = EINVAL;
	/* RFC 3339 5.6; it has "T" and "Z" in small letters as well */
	year = number(&s, end, 4, '-');
	month = year == -1 ? -1 : number(&s, end, 2, '-');
	day = month == -1 ? -1 : number(&s, end, 2, 'T');
	hour = day == -1 ? -1 : number(&s, end, 2, ':');
	minute = hour == -1 ? -1 : number(&s, end, 2, ':');
	second = minute == -1 ? -1 : number(&s, end, 2, 0);
	/* RFC 3339 5.7: a leap second is the 60th */
	if (second == -1 || rest(s, end, &more) == -1 || year < 1970 || month < 1 || month > 12 || day < 1 ||
	    day > month_days(year, month) || hour > 23 || minute > 59 ||
	    second > 60)
		return -1;
	days = days_before(year) + day - 1;
	for (i = 1; i < month; i++)
		days += month_days(year, i);
	*seconds_r = days * DAY + hour * 3600 + minute * 60 + second + more;
	return 0;
}

/* ${n} with that many digits, and ${end}.  Return what follows them. */
static char *
put(char *buf, int n, int digits, char end)
{
	int i;

	for (i = digits - 1; i >= 0; i--, n /= 10)
		buf[i] = (char)('0' + n % 10);
	buf[digits] = end;
	return buf + digits + 1;
}

void
datetime_format(int64_t seconds, char buf[DATETIME_MAX])
{
	int64_t days, left;
	int year, month = 1;

	if (seconds < 0)
		seconds = 0;
	if (seconds > SECONDS_MAX)
		seconds = SECONDS_MAX;
	days = seconds / DAY;
	left = seconds % DAY;
	for (year = (int)(1970 + days / 366); days_before(year + 1) <= days;)
		year++;
	days -= days_before(year);
	for (; days >= month_days(year, month); month++)
		days -= month_days(year, month);
	buf = put(buf, year, 4, '-');
	buf = put(buf, month, 2, '-');
	buf = put(buf, (int)days + 1, 2, 'T');
	buf = put(buf, (int)(left / 3600), 2, ':');
	buf = put(buf, (int)(left / 60 % 60), 2, ':');
	buf = put(buf, (int)(left % 60), 2, 'Z');
	*buf = '\0';
}
