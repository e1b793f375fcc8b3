#include "core/spool/spool_envelope.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const three[] = { "a@b", "postmaster",
	"\xc3\xa4@example.test" };

Test(spool_envelope, an_envelope_comes_back_as_it_was)
{
	struct spool_envelope env = { .sender = "", .rcpts = three,
		.nrcpts = 3, .session = "S", .client = NULL, .helo = "h",
		.flags = SPOOL_ENV_8BITMIME };
	struct spool_envelope_view v;
	const char *cursor = NULL, *rcpt;
	size_t n, i;
	char *buf;

	cr_assert_neq(n = spool_envelope_octets(&env), 0);
	buf = malloc(n);
	spool_envelope_encode(&env, buf);
	cr_assert_eq(spool_envelope_decode(buf, n, &v), 0);
	cr_assert_str_eq(v.sender, "");
	cr_assert_str_eq(v.session, "S");
	cr_assert_str_eq(v.client, "");
	cr_assert_str_eq(v.helo, "h");
	cr_assert_eq(v.flags, SPOOL_ENV_8BITMIME);
	cr_assert_eq(v.nrcpts, 3);
	for (i = 0; (rcpt = spool_envelope_rcpt_next(&v, &cursor)) != NULL;
	    i++) {
		cr_assert_str_eq(rcpt, three[i]);
		cr_assert_str_eq(spool_envelope_rcpt(&v, (uint32_t)i),
		    three[i]);
	}
	cr_assert_eq(i, 3);
	cr_assert_null(spool_envelope_rcpt(&v, 3));
	free(buf);
}

Test(spool_envelope, a_hostile_envelope_is_refused_and_never_read_beyond)
{
	struct spool_envelope env = { .sender = "s@x", .rcpts = three,
		.nrcpts = 3, .session = "S", .client = "c", .helo = "h" };
	struct spool_envelope_view v;
	const char *cursor, *rcpt;
	size_t n, cut, i;
	char *buf, *copy;
	int bit;

	n = spool_envelope_octets(&env);
	buf = malloc(n);
	spool_envelope_encode(&env, buf);
	for (cut = 0; cut < n; cut++) {
		copy = malloc(cut + 1);	/* so that a checker sees the end */
		memcpy(copy, buf, cut);
		cr_assert_eq(spool_envelope_decode(copy, cut, &v), -1);
		free(copy);
	}
	for (i = 0; i < n; i++) {
		for (bit = 0; bit < 8; bit++) {
			buf[i] ^= (char)(1 << bit);
			cursor = NULL;
			if (spool_envelope_decode(buf, n, &v) == 0)
				while ((rcpt = spool_envelope_rcpt_next(&v,
				    &cursor)) != NULL)
					cr_assert_lt(strlen(rcpt), n);
			buf[i] ^= (char)(1 << bit);
		}
	}
	free(buf);
}

Test(spool_envelope, an_envelope_without_recipients_or_too_big_is_refused)
{
	static const char *many[50000];
	struct spool_envelope env = { .sender = "s@x", .rcpts = many,
		.session = "S", .client = "c", .helo = "h" };
	size_t i;

	cr_assert_eq(spool_envelope_octets(&env), 0);
	cr_assert_eq(errno, EINVAL);
	for (i = 0; i < 50000; i++)
		many[i] = "somebody.with.a.name@example.test";
	env.nrcpts = 50000;
	cr_assert_eq(spool_envelope_octets(&env), 0);
	cr_assert_eq(errno, E2BIG);
	env.nrcpts = 20000;
	cr_assert_neq(spool_envelope_octets(&env), 0);
}
