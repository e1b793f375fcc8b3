#include <criterion/criterion.h>
#include <stdint.h>

#include "core/util/array.h"

Test(array, grows_by_half_and_keeps_what_is_there)
{
	size_t size = 0, i;
	int *v = NULL;

	for (i = 0; i < 100; i++) {
		v = array_fit(v, &size, i + 1, sizeof(*v));
		cr_assert_not_null(v);
		cr_assert_gt(size, i);
		cr_expect_eq(v[i], 0);
		v[i] = (int)i + 1;
	}
	for (i = 0; i < 100; i++)
		cr_expect_eq(v[i], (int)i + 1);
	cr_expect_eq(size, 121);	/* 16, 24, 36, 54, 81 */
	v = array_fit(v, &size, 1000, sizeof(*v));
	cr_expect_eq(size, 1000);
	cr_expect_eq(v[999], 0);
	free(v);
}

Test(array, is_as_it_was_without_memory)
{
	/* volatile: the compiler sees that no memory is so large */
	volatile size_t huge = SIZE_MAX / 2;
	size_t size = 0;
	char *volatile v = array_fit(NULL, &size, 1, 1);

	*v = 'x';
	cr_expect_null(array_fit(v, &size, huge, 4));
	cr_expect_eq(size, 16);
	cr_expect_eq(*v, 'x');
	free(v);
}
