#include <criterion/criterion.h>
#include <string.h>

#include "proto/server/esmtp_verb.h"

Test(esmtp_verb, the_columns_of_a_row_agree)
{
	size_t i;

	cr_assert_lt(esmtp_nverbs, UINT8_MAX);
	for (i = 0; i < esmtp_nverbs; i++) {
		const struct esmtp_verb *v = &esmtp_verbs[i];
		unsigned int both = VF_ARG | VF_NOARG;
		unsigned int neither = VF_SMTP | VF_LMTP;

		cr_expect_eq(v->name_len, strlen(v->name));
		cr_expect_not_null(v->handler, "%s", v->name);
		cr_expect_neq(v->states & ST_ANY, 0, "%s", v->name);
		cr_expect_neq(v->flags & both, both, "%s", v->name);
		cr_expect_neq(v->flags & neither, neither, "%s", v->name);
		cr_expect(!(v->flags & VF_BODY) || v->flags & VF_LAST,
		    "%s", v->name);
		cr_expect_leq(v->extension, ESMTP_EXT_NONE, "%s", v->name);
	}
}

Test(esmtp_verb, is_found_in_any_case_and_as_a_whole)
{
	const struct esmtp_verb *v = esmtp_verb_find("mAiL", 4);

	cr_assert_not_null(v);
	cr_expect_str_eq(v->name, "MAIL");
	cr_expect_null(esmtp_verb_find("MAI", 3));
	cr_expect_null(esmtp_verb_find("MAILS", 5));
	cr_expect_null(esmtp_verb_find("", 0));
}

Test(esmtp_verb, one_with_a_password_is_known_from_the_start_of_its_line)
{
	cr_assert_not_null(esmtp_verb_secret("auth", 4));
	cr_expect_eq(esmtp_verb_secret("auth", 4), esmtp_verb_find("AUTH", 4));
	/* a client that forgets the space has sent its password all the same */
	cr_expect_not_null(esmtp_verb_secret("AUTHPLAIN x", 11));
	cr_expect_null(esmtp_verb_secret("AUT", 3));
	cr_expect_null(esmtp_verb_secret("NOOP AUTH", 9));
}
