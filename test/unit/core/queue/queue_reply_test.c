#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue_int.h"

Test(queue_reply, what_an_agent_says_is_kept)
{
	const struct job_error error = { .code = 550, .enhanced = "5.1.1",
		.remote = "mail.example.test", .text = "no user gr\xc3\xbcn",
		.with = "ESMTPS (TLSv1.3 X)" };
	struct queue_reply *r = queue_reply_new(&error);

	cr_assert_eq(r->code, 550);
	cr_assert_str_eq(r->enhanced, "5.1.1");
	cr_assert_str_eq(r->remote, "mail.example.test");
	cr_assert_str_eq(r->text, "no user gr\xc3\xbcn");
	cr_assert_str_eq(r->with, "ESMTPS (TLSv1.3 X)");
	free(r);
	r = queue_reply_text("ours");
	cr_assert_eq(r->code, 0);
	cr_assert_str_eq(r->enhanced, "");
	cr_assert_str_eq(r->remote, "");
	cr_assert_str_eq(r->text, "ours");
	free(r);
}

/* No field ends in a NUL, and none holds what it should. */
Test(queue_reply, a_hostile_agent_is_believed_nothing)
{
	struct job_error error;
	struct queue_reply *r;
	size_t i;

	memset(&error, 0xff, sizeof(error));
	r = queue_reply_new(&error);
	cr_assert_eq(r->code, 0);
	cr_assert_str_eq(r->enhanced, "");
	cr_assert_eq(strlen(r->remote), JOB_REMOTE - 1);
	cr_assert_eq(strlen(r->text), JOB_TEXT - 1);
	cr_assert_eq(strlen(r->with), JOB_WITH - 1);
	for (i = 0; i < JOB_TEXT - 1; i++)
		cr_assert_eq(r->text[i], '?');
	free(r);
	r = queue_reply_text("a\r\nb\tc\x7f\x1b[2J");
	cr_assert_str_eq(r->text, "a  b c  [2J");
	free(r);
}

Test(queue_reply, an_enhanced_code_is_one_of_rfc_3463)
{
	static const char *const bad[] = { "5", "5.1", "3.1.1", "5.1.1.1",
		"5.01.1", "5.1.", "5..1", "5.1234.1", "5.1.1 x", "5.1.x", "" };
	struct job_error error = { .code = 199 };
	struct queue_reply *r;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strlcpy(error.enhanced, bad[i], sizeof(error.enhanced));
		r = queue_reply_new(&error);
		cr_expect_str_eq(r->enhanced, "", "%s", bad[i]);
		cr_expect_eq(r->code, 0);
		free(r);
	}
	strlcpy(error.enhanced, "4.999.0", sizeof(error.enhanced));
	r = queue_reply_new(&error);
	cr_assert_str_eq(r->enhanced, "4.999.0");
	free(r);
}
