#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "proto/validate/validate_context.h"

Test(validate_dict, dictionaries_keep_what_they_are_given_within_bounds)
{
	char key[LIM_VCTX_KEY + 2], value[LIM_VCTX_VALUE + 2];
	validate_context v;
	const char *p;
	int i;

	validate_context_init(&v, NULL);
	cr_expect_eq(validate_context_set(&v, VCTX_CONN, "k", "1"), 0);
	cr_expect_eq(validate_context_set(&v, VCTX_MESS, "k", "2"), 0);
	cr_expect_str_eq(validate_context_get(&v, VCTX_CONN, "k"), "1");
	cr_expect_str_eq(validate_context_get(&v, VCTX_MESS, "k"), "2");
	cr_expect_eq(validate_context_set(&v, VCTX_CONN, "k", "3"), 0);
	cr_expect_eq(validate_context_exists_and_get(&v, VCTX_CONN, "k", &p),
	    1);
	cr_expect_str_eq(p, "3");
	validate_context_delete(&v, VCTX_CONN, "k");
	validate_context_delete(&v, VCTX_CONN, "k");
	cr_expect_eq(validate_context_exists(&v, VCTX_CONN, "k"), 0);
	cr_expect_str_eq(validate_context_get(&v, VCTX_CONN, "k"), "");
	cr_expect_eq(validate_context_exists_and_get(&v, VCTX_CONN, "k", &p),
	    0);
	cr_expect_eq(validate_context_exists(&v, VCTX_MESS, "k"), 1);
	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	cr_expect_eq(validate_context_set(&v, VCTX_CONN, key, ""), -1);
	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	cr_expect_eq(validate_context_set(&v, VCTX_CONN, "k", value), -1);
	for (i = 0; i <= LIM_VCTX_PAIRS; i++) {
		snprintf(key, sizeof(key), "%d", i);
		cr_expect_eq(validate_context_set(&v, VCTX_CONN, key, "x"),
		    i < LIM_VCTX_PAIRS ? 0 : -1);
	}
	validate_context_destroy(&v);
}

Test(validate_dict, no_pair_has_null_for_a_key_or_a_value)
{
	validate_context v;
	const char *p = "unchanged";

	validate_context_init(&v, NULL);
	cr_expect_eq(validate_context_set(&v, VCTX_CONN, "k", "1"), 0);
	errno = 0;
	cr_expect_eq(validate_context_set(&v, VCTX_CONN, "k", NULL), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(validate_context_set(&v, VCTX_CONN, NULL, "1"), -1);
	cr_expect_str_eq(validate_context_get(&v, VCTX_CONN, NULL), "");
	cr_expect_eq(validate_context_exists(&v, VCTX_CONN, NULL), 0);
	cr_expect_eq(validate_context_exists_and_get(&v, VCTX_CONN, NULL, &p),
	    0);
	validate_context_delete(&v, VCTX_CONN, NULL);
	cr_expect_str_eq(validate_context_get(&v, VCTX_CONN, "k"), "1");
	cr_expect_str_eq(p, "unchanged");
	validate_context_destroy(&v);
}

/* RFC 3207 4.2: after STARTTLS, what the client has said is discarded. */
Test(validate_dict, only_what_the_connect_phase_has_left_is_lasting)
{
	validate_context v;

	validate_context_init(&v, NULL);
	validate_context_set(&v, VCTX_CONN, "stays", "1");
	validate_context_set(&v, VCTX_CONN, "set anew", "1");
	validate_context_set(&v, VCTX_MESS, "of the message", "1");
	validate_context_keep(&v);
	validate_context_set(&v, VCTX_CONN, "set anew", "2");
	validate_context_set(&v, VCTX_CONN, "of the client", "1");
	validate_context_forget(&v);
	cr_expect_str_eq(validate_context_get(&v, VCTX_CONN, "stays"), "1");
	cr_expect_not(validate_context_exists(&v, VCTX_CONN, "set anew"));
	cr_expect_not(validate_context_exists(&v, VCTX_CONN,
	    "of the client"));
	cr_expect_not(validate_context_exists(&v, VCTX_MESS,
	    "of the message"));
	/* once more: it is as lasting as before */
	validate_context_forget(&v);
	cr_expect_str_eq(validate_context_get(&v, VCTX_CONN, "stays"), "1");
	validate_context_destroy(&v);
}

/* --- data ------------------------------------------------------------------ */

static unsigned int ended;

static void
end(void *data)
{
	ended += *(unsigned int *)data;
}

Test(validate_dict, data_is_ended_with_its_pair)
{
	unsigned int one = 1, ten = 10, hundred = 100;
	validate_context v;
	const char *text = "x";

	validate_context_init(&v, NULL);
	cr_expect_eq(validate_context_set_data(&v, VCTX_CONN, "k", &one, end),
	    0);
	cr_expect_eq(validate_context_data(&v, VCTX_CONN, "k"), &one);
	cr_expect_null(validate_context_data(&v, VCTX_MESS, "k"));
	cr_expect_null(validate_context_data(&v, VCTX_CONN, "other"));
	/* no text */
	cr_expect_str_eq(validate_context_get(&v, VCTX_CONN, "k"), "");
	cr_expect_eq(validate_context_exists(&v, VCTX_CONN, "k"), 0);
	cr_expect_eq(validate_context_exists_and_get(&v, VCTX_CONN, "k",
	    &text), 0);
	cr_expect_str_eq(text, "x");
	cr_expect_eq(ended, 0);

	cr_expect_eq(validate_context_set_data(&v, VCTX_CONN, "k", &ten, end),
	    0);
	cr_expect_eq(ended, 1);
	cr_expect_eq(validate_context_set(&v, VCTX_CONN, "k", "v"), 0);
	cr_expect_eq(ended, 11);
	cr_expect_null(validate_context_data(&v, VCTX_CONN, "k"));
	cr_expect_str_eq(validate_context_get(&v, VCTX_CONN, "k"), "v");
	cr_expect_eq(validate_context_set_data(&v, VCTX_CONN, "k", &hundred,
	    end), 0);
	validate_context_delete(&v, VCTX_CONN, "k");
	cr_expect_eq(ended, 111);

	/* with the message; what was set at connect outlives STARTTLS */
	validate_context_set_data(&v, VCTX_CONN, "k", &one, end);
	validate_context_keep(&v);
	validate_context_set_data(&v, VCTX_MESS, "k", &ten, end);
	validate_context_set_data(&v, VCTX_CONN, "l", &hundred, NULL);
	validate_context_forget(&v);
	cr_expect_eq(ended, 121);
	cr_expect_eq(validate_context_data(&v, VCTX_CONN, "k"), &one);
	cr_expect_null(validate_context_data(&v, VCTX_CONN, "l"));
	validate_context_destroy(&v);
	cr_expect_eq(ended, 122);
}

Test(validate_dict, data_that_is_set_again_is_not_ended)
{
	unsigned int one = 1;
	validate_context v;

	validate_context_init(&v, NULL);
	validate_context_set_data(&v, VCTX_CONN, "k", &one, NULL);
	validate_context_keep(&v);
	cr_expect_eq(validate_context_set_data(&v, VCTX_CONN, "k", &one, end),
	    0);
	cr_expect_eq(validate_context_set_data(&v, VCTX_CONN, "k", &one, end),
	    0);
	cr_expect_eq(ended, 0);
	cr_expect_eq(validate_context_data(&v, VCTX_CONN, "k"), &one);
	/* it is set anew, so it lasts no longer than any other */
	validate_context_forget(&v);
	cr_expect_eq(ended, 1);
	validate_context_destroy(&v);
	cr_expect_eq(ended, 1);
}

Test(validate_dict, data_that_is_not_taken_is_not_ended)
{
	unsigned int one = 1;
	char key[LIM_VCTX_KEY + 2];
	validate_context v;
	unsigned int i;

	validate_context_init(&v, NULL);
	errno = 0;
	cr_expect_eq(validate_context_set_data(&v, VCTX_CONN, NULL, &one,
	    end), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(validate_context_set_data(&v, VCTX_CONN, "k", NULL, end),
	    -1);
	cr_expect_eq(errno, EINVAL);
	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	cr_expect_eq(validate_context_set_data(&v, VCTX_CONN, key, &one, end),
	    -1);
	cr_expect_eq(errno, E2BIG);
	for (i = 0; i < LIM_VCTX_PAIRS; i++) {
		snprintf(key, sizeof(key), "%u", i);
		cr_assert_eq(validate_context_set(&v, VCTX_CONN, key, ""), 0);
	}
	cr_expect_eq(validate_context_set_data(&v, VCTX_CONN, "more", &one,
	    end), -1);
	cr_expect_eq(errno, E2BIG);
	cr_expect_eq(ended, 0);
	validate_context_destroy(&v);
	cr_expect_eq(ended, 0);
}

/* A list of the pairs has texts alone. */
Test(validate_dict, data_is_not_listed)
{
	unsigned int one = 1;
	validate_context v;
	const char *key, *value;

	validate_context_init(&v, NULL);
	validate_context_set_data(&v, VCTX_MESS, "a", &one, NULL);
	validate_context_set(&v, VCTX_MESS, "b", "1");
	validate_context_set_data(&v, VCTX_MESS, "c", &one, NULL);
	validate_context_set(&v, VCTX_MESS, "d", "2");
	validate_context_set_data(&v, VCTX_MESS, "e", &one, NULL);
	cr_assert(validate_context_at(&v, VCTX_MESS, 0, &key, &value));
	cr_expect_str_eq(key, "b");
	cr_assert(validate_context_at(&v, VCTX_MESS, 1, &key, &value));
	cr_expect_str_eq(key, "d");
	cr_expect_str_eq(value, "2");
	cr_expect_not(validate_context_at(&v, VCTX_MESS, 2, &key, &value));
	validate_context_destroy(&v);
}
