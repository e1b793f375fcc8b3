#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/proto/sasl/auth_mech_fake.h"

/* A back end with a script: what it says at each step. */
struct line {
	enum auth_verdict	 status;
	const char		*text;
};

struct script {
	struct auth_back	 back;
	const struct line	*lines;
	char			 heard[256];
	bool			 is_initial;
	unsigned int		 nfreed;
};

static enum auth_verdict
answer(struct script *s, const char *in, size_t len, struct auth_octets *out)
{
	const struct line *l = s->lines++;

	snprintf(s->heard, sizeof(s->heard), "%.*s", (int)len,
	    in == NULL ? "" : in);
	if (l->text != NULL) {
		out->s = strdup(l->text);
		out->len = strlen(l->text);
	}
	return l->status;
}

static enum auth_verdict
script_start(void *state, const struct auth_client *, const char *mech,
    const char *initial, size_t len, void **relay_r, struct auth_octets *out)
{
	struct script *s = state;

	cr_assert_not_null(mech);
	s->is_initial = initial != NULL;
	*relay_r = s;
	return answer(s, initial, len, out);
}

static enum auth_verdict
script_step(void *relay, const char *response, size_t len,
    struct auth_octets *out)
{
	return answer(relay, response, len, out);
}

static void
script_free(void *relay)
{
	struct script *s = relay;

	if (s != NULL)
		s->nfreed++;
}

static const struct auth_back_ops script_ops = { .relay_start = script_start,
	.relay_step = script_step, .relay_free = script_free };

static struct auth_exchange *
begin(struct script *s, const char *mech, const struct line *lines)
{
	struct auth_start start = { .mech = mech, .back = &s->back };
	struct auth_exchange *x;

	memset(s, 0, sizeof(*s));
	s->back.ops = &script_ops;
	s->back.state = s;
	s->lines = lines;
	cr_assert_not_null(x = auth_exchange_new(&start));
	return x;
}

Test(auth_mech_relay, octets_go_to_and_fro)
{
	static const struct line lines[] = {
		{ AUTH_CHALLENGE, "r=abcdef,s=x,i=1" },
		{ AUTH_CHALLENGE, "v=signature" },
		{ AUTH_YES, "User" } };
	struct auth_exchange *x;
	struct script s;
	struct said said;

	x = begin(&s, "SCRAM-SHA-256", lines);
	cr_assert_eq(say_text(x, "n,,n=user,r=abc", &said),
	    ESMTP_AUTH_CHALLENGE);
	cr_assert_str_eq(s.heard, "n,,n=user,r=abc");
	cr_assert_str_eq(said.text, "r=abcdef,s=x,i=1");
	cr_assert_str_eq(auth_exchange_login(x), "user");
	say_text(x, "c=biws,...", &said);
	cr_assert_str_eq(s.heard, "c=biws,...");
	cr_assert_eq(say_text(x, "", &said), ESMTP_AUTH_OK);
	/* as the back end has it */
	cr_assert_str_eq(auth_exchange_login(x), "User");
	auth_exchange_free(x);
	cr_assert_eq(s.nfreed, 1);
}

Test(auth_mech_relay, no_initial_response_is_no_empty_one)
{
	static const struct line lines[] = { { AUTH_CHALLENGE, NULL },
		{ AUTH_NO, NULL } };
	struct auth_exchange *x;
	struct script s;
	struct said said;

	x = begin(&s, "PLAIN", lines);
	cr_assert_eq(say_text(x, NULL, &said), ESMTP_AUTH_CHALLENGE);
	cr_assert_not(s.is_initial);
	cr_assert_eq(say(x, "\0user\0pen", 9, &said), ESMTP_AUTH_FAILED);
	cr_assert_str_eq(auth_exchange_login(x), "user");
	auth_exchange_free(x);
	cr_assert_eq(s.nfreed, 1);
}

static bool
refuse(const char *login, void *closure)
{
	strcpy(closure, login != NULL ? login : "(none)");
	return false;
}

/* Whatever the mechanism, the limit hears of the name before the back end. */
Test(auth_mech_relay, a_login_over_its_limit_is_not_relayed)
{
	static const struct line lines[] = { { AUTH_CHALLENGE, "" },
		{ AUTH_YES, "user" } };
	static const struct {
		const char	*mech, *text;
		size_t		 len;
	} rows[] = {
		{ "PLAIN", "\0user\0pencil", 12 },
		{ "LOGIN", "user", 4 },
		{ "CRAM-MD5", "user b913a602c7eda7a495b4e6e7334d3890", 37 },
		{ "SCRAM-SHA-1", "n,,n=user,r=abc", 15 },
		{ "OAUTHBEARER", "n,a=user,\1auth=Bearer abc\1\1", 27 },
		{ "XOAUTH2", "user=user\1auth=Bearer abc\1\1", 27 },
	};
	struct auth_exchange *x;
	struct script s;
	struct said said;
	char name[256];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		x = begin(&s, rows[i].mech, lines);
		auth_exchange_on_login(x, refuse, name);
		say_text(x, NULL, &said);
		cr_assert_eq(say(x, rows[i].text, rows[i].len, &said),
		    ESMTP_AUTH_FAILED, "%s", rows[i].mech);
		cr_assert_str_eq(name, "user");
		cr_assert_str_eq(s.heard, "", "%s", rows[i].mech);
		auth_exchange_free(x);
		cr_assert_eq(s.nfreed, 1);
	}
}

/* Nor is there a way around the limit by showing no name. */
Test(auth_mech_relay, a_response_without_a_name_counts_for_the_client)
{
	static const struct line lines[] = { { AUTH_YES, "user" } };
	struct auth_exchange *x;
	struct script s;
	struct said said;
	char name[256];

	x = begin(&s, "PLAIN", lines);
	auth_exchange_on_login(x, refuse, name);
	cr_assert_eq(say_text(x, "?", &said), ESMTP_AUTH_FAILED);
	cr_assert_str_eq(name, "(none)");
	cr_assert_str_eq(s.heard, "");
	auth_exchange_free(x);
}

Test(auth_mech_relay, a_success_without_a_name_is_none)
{
	static const struct line lines[] = { { AUTH_CHALLENGE, "" },
		{ AUTH_YES, NULL } };
	struct auth_exchange *x;
	struct script s;
	struct said said;

	x = begin(&s, "CRAM-MD5", lines);
	say_text(x, NULL, &said);
	cr_assert_eq(say_text(x, "?", &said), ESMTP_AUTH_LATER);
	auth_exchange_free(x);
}

Test(auth_mech_relay, a_name_that_is_none_is_no_success)
{
	static char long_name[AUTH_LOGIN_MAX + 2];
	const struct line lines[] = { { AUTH_YES, long_name } };
	struct auth_exchange *x;
	struct script s;
	struct said said;

	memset(long_name, 'u', sizeof(long_name) - 1);
	x = begin(&s, "PLAIN", lines);
	cr_assert_eq(say(x, "\0user\0pen", 9, &said), ESMTP_AUTH_LATER);
	auth_exchange_free(x);
}

Test(auth_mech_relay, no_answer_is_later)
{
	static const struct line lines[] = { { AUTH_UNSURE, NULL } };
	struct auth_exchange *x;
	struct script s;
	struct said said;

	x = begin(&s, "PLAIN", lines);
	cr_assert_eq(say(x, "\0user\0pen", 9, &said), ESMTP_AUTH_LATER);
	cr_assert_eq(say(x, "\0user\0pen", 9, &said), ESMTP_AUTH_FAILED);
	auth_exchange_free(x);
}

/* What the limit counts though the client never answers. */
Test(auth_mech_relay, a_challenge_in_answer_to_a_token_is_a_refusal)
{
	static const struct line lines[] = { { AUTH_CHALLENGE, "" },
		{ AUTH_CHALLENGE, "{\"status\":\"401\"}" } };
	static const char *const mechs[] = { "OAUTHBEARER", "XOAUTH2",
		"PLAIN" };
	struct auth_exchange *x;
	struct script s;
	struct said said;
	int i;

	for (i = 0; i < 3; i++) {
		x = begin(&s, mechs[i], lines);
		say_text(x, NULL, &said);
		cr_assert_not(auth_exchange_is_refused(x));
		cr_assert_eq(say_text(x, "token", &said),
		    ESMTP_AUTH_CHALLENGE);
		cr_assert_eq(auth_exchange_is_refused(x), i < 2);
		auth_exchange_free(x);
	}
}
