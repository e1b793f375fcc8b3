/* For unit tests: a file with the lines of a table. */

#ifndef TEST_UNIT_CORE_TABLE_TABLE_FILE_H
#define TEST_UNIT_CORE_TABLE_TABLE_FILE_H

#include <sys/types.h>

#include <stddef.h>

/* The path of the file that was written last */
extern char table_path[];

/* table_write(text, len, mode): Write a new one, ${len} octets, for the test to
 * remove. */
void table_write(const char *text, size_t len, mode_t mode);

#endif
