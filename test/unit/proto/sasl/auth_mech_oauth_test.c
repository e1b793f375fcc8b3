#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "test/unit/proto/sasl/auth_mech_fake.h"

#define ROW(text)	text, sizeof(text) - 1

struct row {
	const char		*text;
	size_t			 len;
	enum esmtp_auth_status	 status;
};

static void
try_rows(const char *mech, const struct row *rows, size_t n)
{
	struct auth_exchange *x;
	struct said said;
	struct fake f;
	size_t i;

	fake_init(&f);
	f.token = "vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==";
	f.login = "user@example.com";
	for (i = 0; i < n; i++) {
		x = fake_exchange(&f, mech);
		cr_assert_eq(say(x, rows[i].text, rows[i].len, &said),
		    rows[i].status, "row %zu: %d", i, said.status);
		auth_exchange_free(x);
	}
}

#define TOKEN	"vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg=="
#define WRONG	ESMTP_AUTH_CHALLENGE	/* the JSON of a refusal */

/* RFC 7628 3.1, 4.1 */
Test(auth_mech_oauth, oauthbearer_messages)
{
	static const struct row rows[] = {
		{ ROW("n,a=user@example.com,\1host=server.example.com\1"
		    "port=143\1auth=Bearer " TOKEN "\1\1"), ESMTP_AUTH_OK },
		{ ROW("y,a=user@example.com,\1auth=bearer " TOKEN "\1\1"),
		    ESMTP_AUTH_OK },
		{ ROW("n,a=user@example.com,\1x=\1auth=Bearer " TOKEN "\1\1"),
		    ESMTP_AUTH_OK },
		{ ROW("n,a=user@example.com,\1auth=Bearer x" TOKEN "\1\1"),
		    WRONG },
		{ ROW("n,a=user,\1auth=Bearer " TOKEN "\1\1"), WRONG },
		{ ROW("n,,\1auth=Bearer " TOKEN "\1\1"), WRONG },
		{ ROW("n,a=user@example.com,\1auth=\1\1"), WRONG },
		{ ROW("n,a=user@example.com,\1auth=Bearer \1\1"), WRONG },
		{ ROW("n,a=user@example.com,\1auth=Bearer a b\1\1"), WRONG },
		{ ROW("n,a=user@example.com,\1auth=Basic " TOKEN "\1\1"),
		    WRONG },
		{ ROW("n,a=user@example.com,\1\1"), WRONG },
		{ ROW("n,a=us=3Der,\1auth=Bearer " TOKEN "\1\1"), WRONG },
		{ ROW("n,a=us\xff" "er,\1auth=Bearer " TOKEN "\1\1"), WRONG },
		{ ROW(""), ESMTP_AUTH_MALFORMED },
		{ ROW("\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("n"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,,"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,,\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("p=tls-exporter,a=u,\1auth=Bearer x\1\1"),
		    ESMTP_AUTH_MALFORMED },
		{ ROW("x,a=u,\1auth=Bearer x\1\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,u,\1auth=Bearer x\1\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,a=,\1auth=Bearer x\1\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,a=u=2,\1auth=Bearer x\1\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,a=u,auth=Bearer x\1\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,a=u,\1auth=Bearer x\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,a=u,\1auth=Bearer x"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,a=u,\1auth=Bearer x\1\1x"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,a=u,\1auth\1\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,a=u,\1=x\1\1"), ESMTP_AUTH_MALFORMED },
		{ ROW("n,a=u,\1auth=Bearer x\0y\1\1"), ESMTP_AUTH_MALFORMED },
	};

	try_rows("OAUTHBEARER", rows, sizeof(rows) / sizeof(rows[0]));
}

/* Google, OAuth 2.0 Mechanism: Initial Client Response */
Test(auth_mech_oauth, xoauth2_messages)
{
	static const struct row rows[] = {
		{ ROW("user=user@example.com\1auth=Bearer " TOKEN "\1\1"),
		    ESMTP_AUTH_OK },
		{ ROW("user=user@example.com\1auth=Bearer " TOKEN "x\1\1"),
		    WRONG },
		{ ROW("user=user\1auth=Bearer " TOKEN "\1\1"), WRONG },
		{ ROW("auth=Bearer " TOKEN "\1\1"), WRONG },
		{ ROW("user=user@example.com\1\1"), WRONG },
		{ ROW(""), ESMTP_AUTH_MALFORMED },
		{ ROW("user=user@example.com"), ESMTP_AUTH_MALFORMED },
		{ ROW("user=user@example.com\1auth=Bearer x\1"),
		    ESMTP_AUTH_MALFORMED },
		{ ROW("user=user@example.com\1auth=Bearer x\1\1\1"),
		    ESMTP_AUTH_MALFORMED },
	};

	try_rows("XOAUTH2", rows, sizeof(rows) / sizeof(rows[0]));
}

/* RFC 7628 3.2.2, 3.2.3; Google: Error Response */
Test(auth_mech_oauth, a_refusal_is_json_and_the_client_answers_it)
{
	static const struct {
		const char	*mech, *text, *status, *answer;
	} rows[] = {
		{ "OAUTHBEARER", "n,a=user,\1auth=Bearer wrong\1\1",
		    "invalid_token", "\1" },
		{ "XOAUTH2", "user=user\1auth=Bearer wrong\1\1", "401", "" },
		{ "OAUTHBEARER", "n,a=user,\1auth=Bearer wrong\1\1",
		    "invalid_token", "n,a=user,\1auth=Bearer abc\1\1" },
	};
	struct auth_exchange *x;
	struct said said;
	struct fake f;
	json_t *json;
	size_t i;

	fake_init(&f);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		x = fake_exchange(&f, rows[i].mech);
		cr_assert_eq(say_text(x, rows[i].text, &said),
		    ESMTP_AUTH_CHALLENGE);
		json = json_loadb(said.text, said.len, 0, NULL);
		cr_assert_not_null(json);
		cr_assert_str_eq(json_string_value(json_object_get(json,
		    "status")), rows[i].status);
		json_decref(json);
		cr_assert_str_eq(auth_exchange_login(x), "user");
		cr_assert(auth_exchange_is_refused(x));
		cr_assert_eq(say_text(x, rows[i].answer, &said),
		    ESMTP_AUTH_FAILED);
		auth_exchange_free(x);
	}
	cr_assert_eq(f.nasked, 3);
}

Test(auth_mech_oauth, names_are_unescaped_and_bounded)
{
	char text[AUTH_LOGIN_MAX * 3 + 64], *p;
	struct auth_exchange *x;
	struct said said;
	struct fake f;
	int i;

	fake_init(&f);
	f.login = "a,b=c";
	x = fake_exchange(&f, "OAUTHBEARER");
	cr_assert_eq(say_text(x, "n,a=a=2Cb=3Dc,\1auth=Bearer abc\1\1",
	    &said), ESMTP_AUTH_OK);
	auth_exchange_free(x);
	for (i = 0; i < 2; i++) {
		p = stpcpy(text, "n,a=");
		memset(p, 'u', (size_t)AUTH_LOGIN_MAX + 1 - (size_t)i);
		strcpy(p + AUTH_LOGIN_MAX + 1 - i, ",\1auth=Bearer abc\1\1");
		x = fake_exchange(&f, "OAUTHBEARER");
		cr_assert_eq(say_text(x, text, &said), WRONG);
		cr_assert_eq(auth_exchange_login(x) != NULL, i == 1);
		auth_exchange_free(x);
	}
}

Test(auth_mech_oauth, a_back_end_that_does_not_answer_is_later)
{
	struct auth_exchange *x;
	struct said said;
	struct fake f;

	fake_init(&f);
	f.is_down = true;
	x = fake_exchange(&f, "XOAUTH2");
	cr_assert_eq(say_text(x, "user=user\1auth=Bearer abc\1\1", &said),
	    ESMTP_AUTH_LATER);
	auth_exchange_free(x);
}
