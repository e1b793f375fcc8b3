#include "test/unit/core/process/logged.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/process/log.h"

char logged_text[LOGGED_MAX];
static FILE *fp;

void
logged_open(const char *ident)
{
	fp = tmpfile();
	cr_assert_not_null(fp);
	fcntl(fileno(fp), F_SETFL, O_APPEND);
	log_init(ident, LOG_TO_FILE, fileno(fp), LOG_LEVEL_INFO);
}

char *
logged(void)
{
	ssize_t n;

	log_flush();
	n = pread(fileno(fp), logged_text, sizeof(logged_text) - 1, 0);
	cr_assert_geq(n, 0);
	logged_text[n] = '\0';
	cr_assert_eq(ftruncate(fileno(fp), 0), 0);
	return logged_text;
}

void
logged_close(void)
{
	fclose(fp);
}
