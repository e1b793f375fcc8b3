#include <criterion/criterion.h>
#include <grp.h>
#include <pwd.h>

#include "cmd/mailmilld/role/unused_ids.h"

TestSuite(unused_ids, .timeout = 60);

#define ALL	{ .n = 1, .v = { { 0, UINT32_MAX } } }

static void
expect_unused(unsigned int first, unsigned int n)
{
	unsigned int id;

	for (id = first; id < first + n; id++)
		cr_expect(getpwuid(id) == NULL && getgrgid(id) == NULL, "%u",
		    id);
}

Test(unused_ids, a_row_of_the_usual_ones)
{
	static const struct unused_maps maps = { ALL, ALL };
	unsigned int first = unused_row(&maps, 50);

	cr_assert_geq(first, UNUSED_SPARE);
	cr_assert_leq(first + 50, UNUSED_SPARE + UNUSED_SPARES);
	expect_unused(first, 50);
	cr_assert_eq(unused_row(&maps, 50), first);
}

Test(unused_ids, a_container_with_fewer)
{
	static const struct unused_maps maps = {
		{ .n = 2, .v = { { 0, 20000 }, { 30000, 40 } } },
		{ .n = 1, .v = { { 0, UINT32_MAX } } } };
	unsigned int first = unused_row(&maps, 50);

	cr_assert_geq(first, UNUSED_LOWEST);
	cr_assert_leq(first + 50, 20000);
	expect_unused(first, 50);
	first = unused_row(&maps, 40);
	cr_assert_geq(first, 30000 - 40);
}

Test(unused_ids, both_kinds_are_there)
{
	static const struct unused_maps maps = {
		{ .n = 1, .v = { { 0, 10000 } } },
		{ .n = 1, .v = { { 9000, 1000 } } } };
	unsigned int first = unused_row(&maps, 100);

	cr_assert_geq(first, 9000);
	cr_assert_leq(first + 100, 10000);
}

Test(unused_ids, none_of_a_container_with_too_few)
{
	static const struct unused_maps maps = {
		{ .n = 1, .v = { { 0, UNUSED_LOWEST + 30 } } },
		{ .n = 1, .v = { { 0, UNUSED_LOWEST + 30 } } } };

	cr_expect_eq(unused_row(&maps, 50), 0);
	cr_expect_eq(unused_nth(&maps, 50), 0);
}

/* Each gets the same when it asks again, and no process gets that of a role. */
Test(unused_ids, of_roles)
{
	static const struct unused_maps all = { ALL, ALL }, few = {
		{ .n = 1, .v = { { 0, 20000 } } },
		{ .n = 1, .v = { { 0, 20000 } } } };
	unsigned int a = unused_nth(&all, 0), b = unused_nth(&all, 1), row;

	cr_assert_geq(a, UNUSED_TRIAL);
	cr_assert_lt(b, UNUSED_TRIAL + UNUSED_TRIALS);
	cr_assert_gt(b, a);
	cr_assert_eq(unused_nth(&all, 0), a);
	a = unused_nth(&few, 0);
	b = unused_nth(&few, 1);
	cr_assert_lt(a, 20000);
	cr_assert_lt(b, a);
	row = unused_row(&few, 10);
	cr_assert_neq(row, 0);
	cr_assert_leq(row + 10, b);
}
