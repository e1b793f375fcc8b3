#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/parse/esmtp_chunk.h"

static const struct {
	const char		*arg;
	enum esmtp_chunk_error	 error;
	uint64_t		 octets;
	bool			 is_last;
} cases[] = {
	{ "0", ESMTP_CHUNK_OK, 0, false },
	{ "0 LAST", ESMTP_CHUNK_OK, 0, true },
	{ "1", ESMTP_CHUNK_OK, 1, false },
	{ "100000 last", ESMTP_CHUNK_OK, 100000, true },
	{ "86 LaSt", ESMTP_CHUNK_OK, 86, true },
	{ "86   LAST", ESMTP_CHUNK_OK, 86, true },
	{ "0000000000000000000000000000000000086 LAST", ESMTP_CHUNK_OK, 86,
	    true },
	/* beyond 2^31, 2^32, 2^63, 2^64: not wrapped, not negative */
	{ "2147483648", ESMTP_CHUNK_OK, UINT64_C(2147483648), false },
	{ "4294967295", ESMTP_CHUNK_OK, UINT64_C(4294967295), false },
	{ "4294967296", ESMTP_CHUNK_OK, UINT64_C(4294967296), false },
	{ "4294967301 LAST", ESMTP_CHUNK_OK, UINT64_C(4294967301), true },
	{ "9223372036854775808", ESMTP_CHUNK_OK,
	    UINT64_C(9223372036854775808), false },
	{ "18446744073709551615 LAST", ESMTP_CHUNK_OK, UINT64_MAX, true },
	{ "18446744073709551616", ESMTP_CHUNK_HUGE, 0, false },
	{ "18446744073709551616 LAST", ESMTP_CHUNK_HUGE, 0, false },
	{ "18446744073709551620", ESMTP_CHUNK_HUGE, 0, false },
	{ "18446744073709551621 LAST", ESMTP_CHUNK_HUGE, 0, false },
	{ "28446744073709551615", ESMTP_CHUNK_HUGE, 0, false },
	{ "99999999999999999999", ESMTP_CHUNK_HUGE, 0, false },
	/* 2^128 + 5, 2^192 + 5 */
	{ "340282366920938463463374607431768211461", ESMTP_CHUNK_HUGE, 0,
	    false },
	{ "6277101735386680763835789423207666416102355444464034512901",
	    ESMTP_CHUNK_HUGE, 0, false },
	{ "99999999999999999999 FIRST", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "LAST", ESMTP_CHUNK_SYNTAX, 0, false },
	{ " 5", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "-1", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "-0 LAST", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "+5", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5.0", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "1e3", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "0x10", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5,000", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5 0", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5LAST", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5 LAS", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5 LASTS", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5 LAST LAST", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5 LAST ", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5\tLAST", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "5 \tLAST", ESMTP_CHUNK_SYNTAX, 0, false },
	{ "\xd9\xa5", ESMTP_CHUNK_SYNTAX, 0, false },
};

#define NCASES	(sizeof(cases) / sizeof(cases[0]))

/* In memory of just its length: what is read behind it is seen. */
static enum esmtp_chunk_error
parse(const char *arg, size_t len, struct esmtp_chunk *chunk_r)
{
	char *copy = malloc(len + (len == 0));
	enum esmtp_chunk_error error;

	cr_assert_not_null(copy);
	memcpy(copy, arg, len);
	error = esmtp_chunk_parse(copy, len, chunk_r);
	free(copy);
	return error;
}

Test(esmtp_chunk, a_size_and_perhaps_last)
{
	struct esmtp_chunk chunk;
	enum esmtp_chunk_error error;
	size_t i;

	for (i = 0; i < NCASES; i++) {
		chunk = (struct esmtp_chunk){ .octets = 4711 };
		error = parse(cases[i].arg, strlen(cases[i].arg), &chunk);
		cr_expect_eq(error, cases[i].error, "%s", cases[i].arg);
		cr_expect_eq(chunk.octets, error == ESMTP_CHUNK_OK ?
		    cases[i].octets : 4711, "%s", cases[i].arg);
		cr_expect_eq(chunk.is_last, cases[i].is_last, "%s",
		    cases[i].arg);
	}
}

Test(esmtp_chunk, a_nul_is_no_end)
{
	struct esmtp_chunk chunk;

	cr_expect_eq(parse("5\0", 2, &chunk), ESMTP_CHUNK_SYNTAX);
	cr_expect_eq(parse("5 LAST\0", 7, &chunk), ESMTP_CHUNK_SYNTAX);
	cr_expect_eq(parse("5\0LAST", 6, &chunk), ESMTP_CHUNK_SYNTAX);
}
