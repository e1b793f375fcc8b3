#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/settings/pipe_args.h"

static struct pipe_rcpt rcpt;

static struct pipe_values
values_of(const char *address, const char *sender)
{
	struct pipe_values v = { .v = {
		[PIPE_SENDER] = sender, [PIPE_SIZE] = "1234",
		[PIPE_QUEUE_ID] = "0ABC", [PIPE_CLIENT] = "192.0.2.1",
		[PIPE_HELO] = "client.test" } };

	cr_assert_eq(pipe_args_rcpt(address, &rcpt, &v), 0);
	return v;
}

Test(pipe_args, only_known_names_follow_a_dollar)
{
	static const struct { const char *arg; bool is_good; } cases[] = {
		{ "", true }, { "-a", true }, { "${extension}", true },
		{ "--to=${recipient}", true }, { "${local}${domain}", true },
		{ "x${sender}y${size}z", true }, { "{}", true }, { "a}", true },
		{ "$", false }, { "$HOME", false }, { "${", false },
		{ "${}", false }, { "${recipient", false }, { "${Recipient}", false },
		{ "${recipients}", false }, { "${recip}", false },
		{ "$(id)", false }, { "$${local}", false },
		{ "${local}$", false }, { "${local}${x}", false },
	};
	const char *why;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(pipe_args_check(cases[i].arg, &why),
		    cases[i].is_good ? 0 : -1, "%s", cases[i].arg);
}

Test(pipe_args, an_address_is_taken_apart)
{
	static const struct {
		const char *address, *local, *user, *extension, *domain;
	} cases[] = {
		{ "alice@Example.TEST", "alice", "alice", "", "example.test" },
		{ "a+b@x.test", "a+b", "a", "b", "x.test" },
		{ "a+b+c@x.test", "a+b+c", "a", "b+c", "x.test" },
		{ "a+@x.test", "a+", "a", "", "x.test" },
		{ "+b@x.test", "+b", "+b", "", "x.test" },
		{ "\"a b\"@x.test", "a b", "a b", "", "x.test" },
		{ "\"a\\\"b\\\\\"@x.test", "a\"b\\", "a\"b\\", "", "x.test" },
		{ "\"a@b+c\"@x.test", "a@b+c", "a@b", "c", "x.test" },
		{ "postmaster", "postmaster", "postmaster", "", "" },
	};
	struct pipe_values v;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = values_of(cases[i].address, "");
		cr_expect_str_eq(v.v[PIPE_RECIPIENT], cases[i].address);
		cr_expect_str_eq(v.v[PIPE_LOCAL], cases[i].local, "%s: %s",
		    cases[i].address, v.v[PIPE_LOCAL]);
		cr_expect_str_eq(v.v[PIPE_USER], cases[i].user);
		cr_expect_str_eq(v.v[PIPE_EXTENSION], cases[i].extension);
		cr_expect_str_eq(v.v[PIPE_DOMAIN], cases[i].domain);
	}
}

Test(pipe_args, an_address_that_is_too_long_is_refused)
{
	char address[PIPE_ADDRESS_MAX + 1];
	struct pipe_values v;

	memset(address, 'a', PIPE_ADDRESS_MAX);
	address[PIPE_ADDRESS_MAX] = '\0';
	cr_expect_eq(pipe_args_rcpt(address, &rcpt, &v), -1);
	address[PIPE_ADDRESS_MAX - 1] = '\0';
	cr_expect_eq(pipe_args_rcpt(address, &rcpt, &v), 0);
}

/* Never several, never an option, never expanded twice. */
Test(pipe_args, a_value_stays_within_its_argument)
{
	static const struct {
		const char *arg, *address, *sender, *want; /* NULL: refused */
		enum pipe_macro bad;
	} cases[] = {
		{ "-a", "x@x.test", "", "-a", 0 },
		{ "${extension}", "a+b@x.test", "", "b", 0 },
		{ "${extension}", "a@x.test", "", "", 0 },
		{ "${local}", "\"a b;|$(id)\"@x.test", "", "a b;|$(id)", 0 },
		{ "${local}", "\"${sender}\"@x.test", "s@t", "${sender}", 0 },
		{ "${recipient}", "|id@x.test", "", "|id@x.test", 0 },
		{ "${user}/${domain}/${size}", "a@x.test", "", "a/x.test/1234",
		    0 },
		{ "${queue_id} ${client} ${helo}", "a@x.test", "",
		    "0ABC 192.0.2.1 client.test", 0 },
		{ "${recipient}", "-oX@x.test", "", NULL, PIPE_RECIPIENT },
		{ "${local}", "\"-oX\"@x.test", "", NULL, PIPE_LOCAL },
		{ "${recipient}", "\"-oX y\"@x.test", "",
		    "\"-oX y\"@x.test", 0 },
		{ "${extension}", "a+-oX@x.test", "", NULL, PIPE_EXTENSION },
		{ "${sender}", "a@x.test", "-f@t", NULL, PIPE_SENDER },
		{ "${extension}${user}", "-x@x.test", "", NULL, PIPE_USER },
		{ "--user=${user}", "-x@x.test", "", "--user=-x", 0 },
		{ "-${user}", "-x@x.test", "", "--x", 0 },
		{ "x${user}", "\"a\nb\"@x.test", "", NULL, PIPE_USER },
		{ "x${user}", "\"a\177\"@x.test", "", NULL, PIPE_USER },
	};
	enum pipe_macro bad;
	struct pipe_values v;
	size_t i;
	char *s;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = values_of(cases[i].address, cases[i].sender);
		errno = 0;
		s = pipe_args_expand(cases[i].arg, &v, &bad);
		if (cases[i].want != NULL) {
			cr_assert_not_null(s, "%zu", i);
			cr_expect_str_eq(s, cases[i].want, "%zu: %s", i, s);
		} else {
			cr_expect_null(s, "%zu: %s", i, s);
			cr_expect_eq(errno, EINVAL);
			cr_expect_eq(bad, cases[i].bad, "%zu", i);
		}
		free(s);
	}
}

Test(pipe_args, arguments_of_a_recipient_are_known)
{
	cr_expect(pipe_args_is_of_rcpt("x${local}"));
	cr_expect(pipe_args_is_of_rcpt("${sender}${domain}"));
	cr_expect_not(pipe_args_is_of_rcpt("${sender}"));
	cr_expect_not(pipe_args_is_of_rcpt("local"));
	cr_expect(pipe_args_has_macro("${sender}"));
	cr_expect_not(pipe_args_has_macro("$ {sender}"));
}
