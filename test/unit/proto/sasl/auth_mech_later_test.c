/* Back ends that answer later. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/proto/sasl/auth_mech_fake.h"

/* What was asked, and where keys are wanted. */
static struct {
	unsigned int		 n;
	char			 login[AUTH_LOGIN_MAX + 1];
	char			 password[AUTH_PASSWORD_MAX + 1];
	struct passwdfile_scram	*keys;
} asked;

static enum auth_verdict
later_password(void *, const struct auth_client *, const char *login,
    const char *password)
{
	asked.n++;
	strcpy(asked.login, login);
	strcpy(asked.password, password);
	return AUTH_PENDING;
}

static enum auth_verdict
later_keys(void *, const struct auth_client *, const char *login,
    enum passwdfile_scram_hash hash, struct passwdfile_scram *keys_r)
{
	asked.n++;
	strcpy(asked.login, login);
	asked.keys = keys_r;
	cr_expect_eq(hash, PASSWDFILE_SHA256);
	return AUTH_PENDING;
}

static const struct auth_back_ops later_ops = { .password = later_password,
	.scram = later_keys };

static struct auth_exchange *
begin(struct fake *f, const char *mech)
{
	memset(&asked, 0, sizeof(asked));
	fake_init(f);
	f->back.ops = &later_ops;
	f->start.mech = mech;
	f->start.back = &f->back;
	return auth_exchange_new(&f->start);
}

static enum esmtp_auth_status
resume(struct auth_exchange *x, enum auth_verdict v)
{
	enum esmtp_auth_status status;
	char *out;
	size_t len;

	status = auth_exchange_resume(x, v, &out, &len);
	free(out);
	return status;
}

static enum esmtp_auth_status
say_plain(struct auth_exchange *x, const char *password)
{
	char text[256] = "\0user";
	struct said said;
	size_t n = 6;

	memcpy(text + n, password, strlen(password));
	return say(x, text, n + strlen(password), &said);
}

Test(auth_mech_later, each_verdict_on_a_password)
{
	static const struct {
		enum auth_verdict	v;
		enum esmtp_auth_status	want;
	} rows[] = {
		{ AUTH_YES, ESMTP_AUTH_OK }, { AUTH_NO, ESMTP_AUTH_FAILED },
		{ AUTH_UNSURE, ESMTP_AUTH_LATER }
	};
	struct auth_exchange *x;
	struct fake f;
	size_t i;

	for (i = 0; i < 3; i++) {
		x = begin(&f, "PLAIN");
		cr_expect_eq(say_plain(x, "pencil"), AUTH_STEP_PENDING);
		cr_expect_str_eq(asked.login, "user");
		cr_expect_str_eq(asked.password, "pencil");
		/* no step meanwhile, which does not end it */
		cr_expect_eq(say_plain(x, "pencil"), ESMTP_AUTH_FAILED);
		cr_expect_eq(resume(x, rows[i].v), rows[i].want);
		/* and no second answer */
		cr_expect_eq(resume(x, AUTH_YES), ESMTP_AUTH_FAILED);
		cr_expect_eq(asked.n, 1);
		auth_exchange_free(x);
	}
}

Test(auth_mech_later, a_password_that_was_not_prepared_is_the_second_question)
{
	struct auth_exchange *x;
	struct fake f;
	int i;

	for (i = 0; i < 3; i++) {
		x = begin(&f, "PLAIN");
		cr_expect_eq(say_plain(x, "\xe2\x85\xa3"), AUTH_STEP_PENDING);
		cr_expect_str_eq(asked.password, "IV");
		if (i == 0)
			cr_expect_eq(resume(x, AUTH_YES), ESMTP_AUTH_OK);
		else {
			cr_expect_eq(resume(x, AUTH_NO), AUTH_STEP_PENDING);
			cr_expect_str_eq(asked.password, "\xe2\x85\xa3");
			cr_expect_eq(asked.n, 2);
		}
		if (i == 1)
			cr_expect_eq(resume(x, AUTH_NO), ESMTP_AUTH_FAILED);
		/* i == 2: freed in the middle, with the password */
		auth_exchange_free(x);
	}
}

Test(auth_mech_later, scram_goes_on_with_the_keys)
{
	static const char first[] = "n,,n=user,r=abc";
	struct auth_exchange *x;
	struct said said;
	struct fake f;
	char *out;
	size_t len;

	x = begin(&f, "SCRAM-SHA-256");
	cr_expect_eq(say_text(x, first, &said), AUTH_STEP_PENDING);
	cr_expect_str_eq(asked.login, "user");
	asked.keys->iterations = 4096;
	memcpy(asked.keys->salt, "salt", 4);
	asked.keys->salt_len = 4;
	asked.keys->key_len = 32;
	cr_expect_eq(auth_exchange_resume(x, AUTH_YES, &out, &len),
	    ESMTP_AUTH_CHALLENGE);
	cr_expect_eq(strncmp(out, "r=abc", 5), 0);
	cr_expect_not_null(strstr(out, ",s=c2FsdA==,i=4096"));
	free(out);
	/* another step: that keys have come does not make a proof right */
	cr_expect_eq(say_text(x, "c=biws,r=abc,p=YQ==", &said),
	    ESMTP_AUTH_FAILED);
	auth_exchange_free(x);
	x = begin(&f, "SCRAM-SHA-256");
	cr_expect_eq(say_text(x, first, &said), AUTH_STEP_PENDING);
	cr_expect_eq(resume(x, AUTH_UNSURE), ESMTP_AUTH_LATER);
	auth_exchange_free(x);
	x = begin(&f, "SCRAM-SHA-256");
	cr_expect_eq(say_text(x, first, &said), AUTH_STEP_PENDING);
	auth_exchange_free(x);
}
