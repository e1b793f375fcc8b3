/* mailmillctl: what connections to MX hosts have come to, for a person to read. */

#include "cmd/mailmillctl/ctl.h"

#include <string.h>
#include <time.h>

static void
put_field(FILE *fp, const json_t *row, const char *name)
{
	const char *s = json_string_value(json_object_get(row, name));

	if (s != NULL)
		put_visible(fp, s, strlen(s));
}

static void
print_day(FILE *fp, const json_t *row)
{
	time_t day = (time_t)json_integer_value(json_object_get(row, "day"));
	char text[32] = "?";
	struct tm tm;

	if (gmtime_r(&day, &tm) != NULL)
		(void)strftime(text, sizeof(text), "%Y-%m-%d", &tm);
	fprintf(fp, "%-10s  ", text);
}

/* What is about one host, and why it has failed */
static void
print_row(FILE *fp, const json_t *row)
{
	static const char *const fields[] = { "mx_host", "reason" };
	const char *s;
	size_t i;

	print_day(fp, row);
	fprintf(fp, "%8lld  ", (long long)json_integer_value(
	    json_object_get(row, "sessions")));
	put_field(fp, row, "domain");
	fputs("  ", fp);
	put_field(fp, row, "policy_type");
	fputs("  ", fp);
	if (json_is_null(json_object_get(row, "result")))
		fputs("good", fp);
	put_field(fp, row, "result");
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		s = json_string_value(json_object_get(row, fields[i]));
		if (s == NULL || *s == '\0')
			continue;
		fputs(i == 0 ? "  " : ": ", fp);
		put_visible(fp, s, strlen(s));
	}
	fputc('\n', fp);
}

void
print_tls(FILE *fp, const json_t *answer)
{
	const json_t *row;
	size_t i;

	fprintf(fp, "%-10s  %8s  DOMAIN  POLICY  RESULT  HOST\n", "DAY",
	    "SESSIONS");
	json_array_foreach(json_object_get(answer, "counts"), i, row)
		print_row(fp, row);
	if (json_is_true(json_object_get(answer, "more")))
		fputs("there are more: use --limit\n", fp);
}
