/* Tickets: each names one question of the process. */

#include "proto/answers/answers.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define MANY	1000

static int it;
static struct _accept_construct *const session = (void *)&it;

static bool
any(int, const struct answer *)
{
	return true;
}

static int
give(struct answers *a, uint64_t ticket, int value)
{
	struct answer answer = { .value = value };

	errno = 0;
	return answers_give(a, ticket, any, &answer);
}

Test(answers, a_ticket_is_of_one_host)
{
	struct answers a, b;
	uint64_t of_a[MANY], of_b[MANY];
	uint32_t in_a = 0, in_b = 0, i;

	answers_init(&a);
	answers_init(&b);
	for (i = 0; i < MANY; i++) {
		of_a[i] = answers_open(&a, session, &in_a, 1, NULL);
		of_b[i] = answers_open(&b, session, &in_b, 1, NULL);
		cr_assert_neq(of_a[i], 0);
		cr_assert_neq(of_b[i], 0);
	}
	for (i = 0; i < MANY; i++) {
		cr_expect_eq(give(&b, of_a[i], 0), -1);
		cr_expect_eq(errno, ENOENT);
		cr_expect_neq(give(&a, of_a[i], 0), -1);
		cr_expect_eq(give(&a, of_a[i], 0), -1);
		cr_expect_eq(errno, ENOENT);
	}
	answers_clear(&a);
	answers_clear(&b);
}

/* Many uses of few slots, which are answered, dropped or neither. */
Test(answers, a_ticket_is_given_once)
{
	struct answers a;
	struct answer answer;
	uint64_t ticket, before = 0, open = 0;
	uint32_t kept = 0, chain = 0, i;

	answers_init(&a);
	for (i = 0; i < 100 * MANY; i++) {
		ticket = answers_open(&a, session, &chain, 2, NULL);
		cr_assert_gt(ticket, before);
		before = ticket;
		if (i % 3 == 0) {
			cr_assert_neq(give(&a, ticket, (int)i), -1);
			cr_assert(answers_take(&a, &chain, 2, &answer));
			cr_expect_eq(answer.value, (int)i);
		} else
			answers_drop(&a, &chain, 2);
		cr_assert_eq(give(&a, ticket, 0), -1);
		cr_assert_eq(errno, ENOENT);
		/* and some stay open, while the table grows */
		if (i % (100 * MANY / 200) == 0)
			open = answers_open(&a, session, &kept, 3, NULL);
	}
	cr_expect_neq(give(&a, open, 0), -1);
	cr_expect_eq(answers_state(&a, kept, 3, NULL), ANSWERS_GIVEN);
	answers_drop(&a, &kept, -1);
	cr_expect_eq(kept, 0);
	answers_clear(&a);
}

Test(answers, what_is_no_ticket_finds_nobody)
{
	static const uint64_t numbers[] = { 0, 1, 17, UINT32_MAX, UINT64_MAX };
	struct answers a;
	uint32_t chain = 0;
	size_t i;
	int is_empty;

	answers_init(&a);
	for (is_empty = 1; is_empty >= 0; is_empty--) {
		for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
			cr_expect_eq(give(&a, numbers[i], 0), -1);
			cr_expect_eq(errno, ENOENT);
		}
		(void)answers_open(&a, session, &chain, 1, NULL);
	}
	answers_clear(&a);
}
