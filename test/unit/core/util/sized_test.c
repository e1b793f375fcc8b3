#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/util/sized.h"

/* As a program was compiled, and as it has become since. */
struct old {
	size_t	size;
	int	a;
};

struct grown {
	size_t	 size;
	int	 a;
	void	*c;
};

Test(sized, what_an_old_program_does_not_have_is_zero)
{
	struct old from = { sizeof(from), 7 };
	struct grown to;

	memset(&to, 0xff, sizeof(to));
	cr_assert_eq(sized_copy(&to, sizeof(to), &from), 0);
	cr_expect_eq(to.a, 7);
	cr_expect_null(to.c);
	cr_expect_eq(to.size, sizeof(from));
}

Test(sized, what_a_new_program_has_more_is_left_out)
{
	struct grown from = { sizeof(from), 7, &from };
	struct {
		struct old	to;
		char		behind;
	} x = { .behind = 'x' };

	cr_assert_eq(sized_copy(&x.to, sizeof(x.to), &from), 0);
	cr_expect_eq(x.to.a, 7);
	cr_expect_eq(x.behind, 'x');
}

Test(sized, without_a_size_there_is_nothing_to_copy)
{
	struct old from = { 0, 7 }, to = { 1, 2 };
	size_t sizes[] = { 0, 1, sizeof(size_t) }, i;

	for (i = 0; i < 3; i++) {
		from.size = sizes[i];
		errno = 0;
		cr_expect_eq(sized_copy(&to, sizeof(to), &from), -1);
		cr_expect_eq(errno, EINVAL);
		cr_expect_eq(to.a, 2);
	}
	cr_expect_eq(sized_copy(&to, sizeof(to), NULL), -1);
}
