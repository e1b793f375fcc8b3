#include "core/ec_string.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

Test(ec_string, it_grows)
{
	static const int types[] = { STRING_TYPE_MALLOC, STRING_TYPE_ECSTRING,
		STRING_TYPE_MESSAGE_BODY, STRING_TYPE_SIEVE };
	string s;
	size_t i;
	int n;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		cr_assert_eq(string_init_type(&s, 1, types[i]), 1);
		cr_expect_str_eq(s.buffer, "");
		for (n = 0; n < 1000; n++) {
			cr_assert_eq(stringwrite2(&s, "ab\0", 3), 3);
			cr_assert_eq(stringprintf(&s, "%d,", n), &s);
			cr_assert_eq(s.buffer[s.len], '\0');
			cr_assert_lt(s.len, s.allocd);
		}
		cr_expect_eq(s.len, 3000 + 3890);
		cr_expect_arr_eq(s.buffer, "ab\0" "0,ab\0" "1,", 10);
		cr_expect_eq(s.type, types[i]);
		/* it is written over */
		s.len = 0;
		cr_expect_eq(stringprintf(&s, "again"), &s);
		cr_expect_str_eq(s.buffer, "again");
		cr_expect_eq(string_destroy(&s), 1);
		cr_expect_null(s.buffer);
		cr_expect_eq(s.len, 0);
		cr_expect_eq(string_destroy(&s), 1, "once more");
	}
	cr_expect_eq(string_destroy(NULL), 1);
}

Test(ec_string, one_of_zeros_is_empty)
{
	string s = { 0 };

	cr_expect_eq(stringwrite2(&s, NULL, 0), 0);
	cr_expect_str_eq(s.buffer, "");
	cr_expect_eq(stringprintf(&s, "%s", "x"), &s);
	cr_expect_str_eq(s.buffer, "x");
	string_destroy(&s);
}

Test(ec_string, sizes_and_types_that_are_none)
{
	string s;

	cr_expect_eq(string_init_type(&s, 0, STRING_TYPE_MALLOC), 0);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(string_init_type(&s, (size_t)INT_MAX + 1,
	    STRING_TYPE_MALLOC), 0);
	cr_expect_eq(errno, EINVAL);
	errno = 0;
	cr_expect_eq(string_init_type(&s, 10, STRING_TYPE_DISK_BACKED), 0);
	cr_expect_eq(errno, EINVAL);
	errno = 0;
	cr_expect_eq(string_init_type(&s, 10, STRING_TYPE_STATIC), 0);
	cr_expect_eq(errno, EINVAL);
}

Test(ec_string, memory_of_the_caller_stays_his)
{
	char room[8];
	string s = { .allocd = sizeof(room), .buffer = room,
		.type = STRING_TYPE_STATIC };

	cr_expect_eq(stringwrite2(&s, "1234567", 7), 7);
	cr_expect_eq(stringwrite2(&s, "8", 1), -1);
	cr_expect_eq(errno, ENOSPC);
	cr_expect_null(stringprintf(&s, "8"));
	cr_expect_str_eq(room, "1234567");
	cr_expect_eq(s.len, 7);
	s.type = STRING_TYPE_GROWABLE_STATIC;
	cr_expect_eq(stringprintf(&s, "89"), &s);
	cr_expect_str_eq(room, "1234567");
	cr_expect_str_eq(s.buffer, "123456789");
	cr_expect_eq(s.type, STRING_TYPE_ECSTRING);
	string_destroy(&s);
	s = (string){ .allocd = sizeof(room), .buffer = room,
		.type = STRING_TYPE_STATIC };
	string_destroy(&s);
	cr_expect_str_eq(room, "1234567");
}

/* Whether it moves or not; AddressSanitizer sees what is read too late. */
Test(ec_string, a_part_of_itself_is_appended)
{
	string s;
	size_t n;

	for (n = 1; n < 200; n++) {
		cr_assert_eq(string_init_type(&s, 1, STRING_TYPE_MALLOC), 1);
		while ((size_t)s.len < n)
			cr_assert_eq(stringprintf(&s, "%c",
			    'a' + s.len % 26), &s);
		cr_assert_eq(stringwrite2(&s, s.buffer + n / 2, n - n / 2),
		    (ssize_t)(n - n / 2));
		cr_assert_eq((size_t)s.len, n + n - n / 2);
		cr_assert_arr_eq(s.buffer + n, s.buffer + n / 2, n - n / 2);
		string_destroy(&s);
	}
}

Test(ec_string, a_text_that_no_int_counts_is_too_long)
{
	string s = { 0 };

	/* one more than INT_MAX: libc knows without counting so far */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-overflow"
	cr_expect_null(stringprintf(&s, "%2147483648s", ""));
#pragma GCC diagnostic pop
	cr_expect_eq(errno, EFBIG);
	cr_expect_eq(s.len, 0);
	string_destroy(&s);
}

Test(ec_string, its_length_is_an_int)
{
	string s = { .len = INT_MAX - 10, .allocd = INT_MAX, .buffer = NULL };

	cr_expect_eq(stringwrite2(&s, "0123456789", 10), -1);
	cr_expect_eq(errno, EFBIG);
	cr_expect_eq(stringwrite2(&s, "", SIZE_MAX), -1);
	cr_expect_eq(errno, EFBIG);
	cr_expect_eq(s.len, INT_MAX - 10);
}

Test(ec_string, memory_by_the_documented_names)
{
	char *s = ec_mt_strdup(MEMTYPE_STRING, "abc");
	char *zeros = ec_malloc(MEMTYPE_EVENT);

	cr_expect_str_eq(s, "abc");
	ec_free(MEMTYPE_STRING, s);
	cr_assert_not_null(zeros);
	cr_expect_eq(*zeros, 0);
	ec_free(MEMTYPE_EVENT, zeros);
	ec_free(MEMTYPE_EVENT, NULL);
	cr_expect_null(ec_malloc(MEMTYPE_STRING));
	cr_expect_eq(errno, EINVAL);
	cr_expect_null(ec_mt_strdup(MEMTYPE_STRING, NULL));
	s = ec_malloc_size(MEMTYPE_MESSAGE_BODY, 0);
	cr_expect_not_null(s, "NULL would be a lack of memory");
	ec_free(MEMTYPE_MESSAGE_BODY, s);
}
