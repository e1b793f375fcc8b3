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
