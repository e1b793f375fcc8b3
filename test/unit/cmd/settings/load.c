#include "test/unit/cmd/settings/load.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char load_error[SETTINGS_ERROR_MAX];

static struct settings *
load(const char *override, const char *fmt, va_list ap)
{
	FILE *fp = tmpfile();
	struct settings *s;

	cr_assert_not_null(fp);
	vfprintf(fp, fmt, ap);
	rewind(fp);
	*load_error = '\0';
	s = settings_load(fp, "m.conf", &override, override != NULL,
	    load_error, sizeof(load_error));
	fclose(fp);
	return s;
}

struct settings *
load_settings(const char *override, const char *fmt, ...)
{
	struct settings *s;
	va_list ap;

	va_start(ap, fmt);
	s = load(override, fmt, ap);
	va_end(ap);
	return s;
}

struct settings *
load_good_settings(const char *fmt, ...)
{
	struct settings *s;
	va_list ap;

	va_start(ap, fmt);
	s = load(NULL, fmt, ap);
	va_end(ap);
	cr_assert_not_null(s, "%s", load_error);
	return s;
}

void
check_domain(const char *before, const char *domain, const char *why)
{
	struct settings *s = load_settings(NULL, "%sDomain \"a.test\" { %s }\n",
	    before, domain);
	size_t have = strlen(load_error), len;

	if (why == NULL) {
		cr_expect_not_null(s, "%s: %s", domain, load_error);
		settings_free(s);
		return;
	}
	cr_assert_null(s, "%s", domain);
	len = strlen(why);
	cr_expect(have >= len && strcmp(load_error + have - len, why) == 0,
	    "%s: %s", domain, load_error);
}
