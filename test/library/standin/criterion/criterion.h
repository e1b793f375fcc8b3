/* What the unit tests use of Criterion, for programs that Criterion cannot run:
 * it does not start under ThreadSanitizer.
 * Owns: the list of tests, how each is run (standin.c).
 *
 * Each test runs in a child of its own, as with Criterion; one after the other.
 * What a test cannot say here does not compile. */

#ifndef TEST_LIBRARY_STANDIN_CRITERION_H
#define TEST_LIBRARY_STANDIN_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* What stands behind the name of a test or a suite. */
struct standin_more {
	void	(*init)(void);
	void	(*fini)(void);
	double	 timeout;	/* seconds; 0: those of the suite */
};

struct standin_test {
	struct standin_test	*next;
	const char		*suite;
	const char		*name;		/* NULL: it is the suite itself */
	void			(*run)(void);
	struct standin_more	 more;
};

void standin_add(struct standin_test *t);

#define STANDIN_ADD(id, ...) \
	static struct standin_test id = { __VA_ARGS__ }; \
	__attribute__((constructor)) static void id##_add(void) \
	{ \
		standin_add(&id); \
	} \
	_Static_assert(sizeof(id) > 0, "")

#define TestSuite(s, ...) \
	STANDIN_ADD(s##_suite, .suite = #s, .more = { __VA_ARGS__ })
#define Test(s, n, ...) \
	static void s##_##n##_run(void); \
	STANDIN_ADD(s##_##n##_test, .suite = #s, .name = #n, \
	    .run = s##_##n##_run, .more = { __VA_ARGS__ }); \
	static void s##_##n##_run(void)

/* standin_check(holds, is_fatal, file, line, what, more, ...): ${more} is the
 * format of a text, " " if there is none.  Any thread. */
void standin_check(bool holds, bool is_fatal, const char *file, int line,
    const char *what, const char *more, ...)
    __attribute__((format(printf, 6, 7)));
#define STANDIN(fatal, holds, what, ...) \
	standin_check((holds), (fatal), __FILE__, __LINE__, (what), \
	    " " __VA_ARGS__)
#define STANDIN_STR_EQ(a, b) __extension__ ({ \
	const char *a_ = (a), *b_ = (b); \
	a_ != NULL && b_ != NULL && strcmp(a_, b_) == 0; })

#define cr_assert(c, ...)	STANDIN(true, c, #c, __VA_ARGS__)
#define cr_expect(c, ...)	STANDIN(false, c, #c, __VA_ARGS__)
#define cr_assert_not(c, ...)	STANDIN(true, !(c), "!" #c, __VA_ARGS__)
#define cr_expect_not(c, ...)	STANDIN(false, !(c), "!" #c, __VA_ARGS__)
#define cr_assert_fail(...)	STANDIN(true, false, "fail", __VA_ARGS__)
#define cr_expect_fail(...)	STANDIN(false, false, "fail", __VA_ARGS__)
#define cr_assert_null(a, ...)	STANDIN(true, (a) == NULL, #a " == NULL", __VA_ARGS__)
#define cr_expect_null(a, ...)	STANDIN(false, (a) == NULL, #a " == NULL", __VA_ARGS__)
#define cr_assert_not_null(a, ...) STANDIN(true, (a) != NULL, #a " != NULL", __VA_ARGS__)
#define cr_expect_not_null(a, ...) STANDIN(false, (a) != NULL, #a " != NULL", __VA_ARGS__)
#define cr_assert_eq(a, b, ...)	STANDIN(true, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_expect_eq(a, b, ...)	STANDIN(false, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) STANDIN(true, (a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) STANDIN(false, (a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)	STANDIN(true, (a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...)	STANDIN(false, (a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) STANDIN(true, (a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) STANDIN(false, (a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)	STANDIN(true, (a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...)	STANDIN(false, (a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) STANDIN(true, (a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) STANDIN(false, (a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) \
	STANDIN(true, STANDIN_STR_EQ(a, b), #a " is " #b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) \
	STANDIN(false, STANDIN_STR_EQ(a, b), #a " is " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) \
	STANDIN(true, memcmp(a, b, n) == 0, #a " has " #b, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) \
	STANDIN(false, memcmp(a, b, n) == 0, #a " has " #b, __VA_ARGS__)

#endif
