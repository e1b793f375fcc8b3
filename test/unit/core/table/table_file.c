#include "test/unit/core/table/table_file.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char table_path[] = "/tmp/table-XXXXXX";

void
table_write(const char *text, size_t len, mode_t mode)
{
	int fd;

	strcpy(table_path + strlen(table_path) - 6, "XXXXXX");
	fd = mkstemp(table_path);
	cr_assert_neq(fd, -1);
	cr_assert_eq(write(fd, text, len), (ssize_t)len);
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}
