#include <criterion/criterion.h>
#include <sched.h>

#include "cmd/mailmilld/worker/affinity.h"

static cpu_set_t
set_of(int a, int b, int c)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(a, &set);
	CPU_SET(b, &set);
	CPU_SET(c, &set);
	return set;
}

Test(affinity, each_processor_gets_equally_many_workers)
{
	cpu_set_t set = set_of(1, 4, 900);
	static const int expected[] = { 1, 4, 900, 1, 4, 900 };
	unsigned int i;

	for (i = 0; i < 6; i++)
		cr_expect_eq(affinity_pick(&set, 6, i + 1), expected[i]);
	for (i = 0; i < 3; i++)
		cr_expect_eq(affinity_pick(&set, 3, i + 1), expected[i]);
}

Test(affinity, otherwise_nobody_is_bound)
{
	cpu_set_t set = set_of(0, 1, 2), one = set_of(5, 5, 5);
	unsigned int n;

	for (n = 1; n < 9; n++)
		if (n % 3 != 0)
			cr_expect_eq(affinity_pick(&set, n, 1), -1);
	cr_expect_eq(affinity_pick(&one, 1, 1), -1);
}
