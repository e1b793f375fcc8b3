#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test/unit/proto/sasl/auth_mech_fake.h"

static enum esmtp_auth_status
once(struct fake *f, const char *mech, const char *text, size_t len)
{
	struct auth_exchange *x = fake_exchange(f, mech);
	enum esmtp_auth_status status;
	struct said said;

	status = say(x, text, len, &said);
	auth_exchange_free(x);
	return status;
}

static struct fake f;

static void
setup(void)
{
	fake_init(&f);
}

TestSuite(auth_mech_simple, .init = setup);

Test(auth_mech_simple, plain_and_login_and_cram_with_a_client_of_gsasl)
{
	static const char *const mechs[] = { "PLAIN", "LOGIN", "CRAM-MD5" };
	static const struct {
		const char		*login, *password;
		enum esmtp_auth_status	 status;
	} rows[] = {
		{ "user", "pencil", ESMTP_AUTH_OK },
		{ "user", "pen", ESMTP_AUTH_FAILED },
		{ "nobody", "pencil", ESMTP_AUTH_FAILED },
	};
	struct auth_exchange *x;
	struct client c;
	size_t i, j;

	for (i = 0; i < 3; i++) {
		for (j = 0; j < 3; j++) {
			x = fake_exchange(&f, mechs[i]);
			client_init(&c, mechs[i], rows[j].login,
			    rows[j].password);
			cr_assert_eq(play(x, &c), rows[j].status, "%s %s",
			    mechs[i], rows[j].login);
			cr_assert_str_eq(auth_exchange_login(x),
			    rows[j].login);
			client_free(&c);
			auth_exchange_free(x);
		}
	}
	cr_assert_eq(f.nasked, 9);
}

/* RFC 4616 2: authorization identity, NUL, login, NUL, password */
Test(auth_mech_simple, plain_messages)
{
#define ROW(text)	text, sizeof(text) - 1
	static const struct {
		const char		*text;
		size_t			 len;
		enum esmtp_auth_status	 status;
	} rows[] = {
		{ ROW("\0user\0pencil"), ESMTP_AUTH_OK },
		{ ROW("user\0user\0pencil"), ESMTP_AUTH_OK },
		{ ROW("boss\0user\0pencil"), ESMTP_AUTH_FAILED },
		{ ROW("\0user\0pen"), ESMTP_AUTH_FAILED },
		{ ROW("\0user\0"), ESMTP_AUTH_FAILED },
		{ ROW("\0\0pencil"), ESMTP_AUTH_FAILED },
		{ ROW("\0us\ter\0pencil"), ESMTP_AUTH_FAILED },
		{ ROW("\0us\xff" "er\0pencil"), ESMTP_AUTH_FAILED },
		{ ROW("\0user\0pencil\xff"), ESMTP_AUTH_FAILED },
		{ ROW("us\xc2\xad" "er\0user\0pencil"), ESMTP_AUTH_OK },
		{ ROW(""), ESMTP_AUTH_MALFORMED },
		{ ROW("user"), ESMTP_AUTH_MALFORMED },
		{ ROW("\0user"), ESMTP_AUTH_MALFORMED },
		{ ROW("\0user\0pencil\0"), ESMTP_AUTH_MALFORMED },
		{ ROW("\0user\0pen\0cil"), ESMTP_AUTH_MALFORMED },
		{ ROW("\0\0\0\0"), ESMTP_AUTH_MALFORMED },
	};
#undef ROW
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(once(&f, "PLAIN", rows[i].text, rows[i].len),
		    rows[i].status, "row %zu", i);
}

Test(auth_mech_simple, over_long_names_and_passwords_fail_and_nobody_is_asked)
{
	char text[2048];

	memset(text, 'a', sizeof(text));
	text[0] = text[AUTH_LOGIN_MAX + 2] = '\0';
	cr_assert_eq(once(&f, "PLAIN", text, AUTH_LOGIN_MAX + 9),
	    ESMTP_AUTH_FAILED);
	memcpy(text, "\0user\0a", 7);
	text[AUTH_LOGIN_MAX + 2] = 'a';
	cr_assert_eq(once(&f, "PLAIN", text, 6 + AUTH_PASSWORD_MAX + 1),
	    ESMTP_AUTH_FAILED);
	memset(text, 'a', sizeof(text));
	cr_assert_eq(once(&f, "LOGIN", text, AUTH_LOGIN_MAX + 1),
	    ESMTP_AUTH_FAILED);
	f.start.client.peer_name = text;
	text[1000] = '\0';
	cr_assert_eq(once(&f, "EXTERNAL", "", 0), ESMTP_AUTH_FAILED);
	cr_assert_eq(f.nasked, 0);
}

/* RFC 4013: SASLprep */
Test(auth_mech_simple, names_and_passwords_are_prepared)
{
	static const char *const mechs[] = { "PLAIN", "LOGIN" };
	struct auth_exchange *x;
	struct client c;
	size_t i;

	f.login = "a";
	f.password = "IX";
	for (i = 0; i < 2; i++) {
		x = fake_exchange(&f, mechs[i]);
		client_init(&c, mechs[i], "\xc2\xaa", "\xe2\x85\xa8");
		cr_assert_eq(play(x, &c), ESMTP_AUTH_OK, "%s", mechs[i]);
		cr_assert_str_eq(auth_exchange_login(x), "a");
		client_free(&c);
		auth_exchange_free(x);
	}
}

/* Hebrew letters and a digit at the end: RFC 3454 6 forbids it, people have
 * it. */
Test(auth_mech_simple, a_password_that_cannot_be_prepared_stays_as_it_is)
{
	struct auth_exchange *x;
	struct said said;

	f.password = "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d" "1";
	cr_assert_eq(once(&f, "PLAIN",
	    "\0user\0\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d" "1", 15),
	    ESMTP_AUTH_OK);
	x = fake_exchange(&f, "LOGIN");
	say_text(x, "user", &said);
	cr_assert_eq(say_text(x, f.password, &said), ESMTP_AUTH_OK);
	auth_exchange_free(x);
}

Test(auth_mech_simple, a_back_end_that_does_not_answer_is_later)
{
	struct auth_exchange *x;
	struct client c;

	f.is_down = true;
	f.start.client.peer_name = "user";
	cr_assert_eq(once(&f, "PLAIN", "\0user\0pencil", 12),
	    ESMTP_AUTH_LATER);
	cr_assert_eq(once(&f, "EXTERNAL", "", 0), ESMTP_AUTH_LATER);
	x = fake_exchange(&f, "CRAM-MD5");
	client_init(&c, "CRAM-MD5", "user", "pencil");
	cr_assert_eq(play(x, &c), ESMTP_AUTH_LATER);
	client_free(&c);
	auth_exchange_free(x);
}

Test(auth_mech_simple, login_asks_as_clients_expect)
{
	struct auth_exchange *x;
	struct said said;

	x = fake_exchange(&f, "LOGIN");
	say_text(x, NULL, &said);
	cr_assert_str_eq(said.text, "Username:");
	say_text(x, "user", &said);
	cr_assert_str_eq(said.text, "Password:");
	cr_assert_eq(say_text(x, "pencil", &said), ESMTP_AUTH_OK);
	auth_exchange_free(x);
}

Test(auth_mech_simple, login_takes_a_name_behind_the_command)
{
	struct auth_exchange *x;
	struct said said;

	x = fake_exchange(&f, "LOGIN");
	say_text(x, "user", &said);
	cr_assert_str_eq(said.text, "Password:");
	cr_assert_eq(say_text(x, "pencil", &said), ESMTP_AUTH_OK);
	auth_exchange_free(x);
}

Test(auth_mech_simple, login_without_a_name_or_a_password_fails)
{
	struct auth_exchange *x;
	struct said said;

	x = fake_exchange(&f, "LOGIN");
	say_text(x, NULL, &said);
	cr_assert_eq(say_text(x, "", &said), ESMTP_AUTH_FAILED);
	auth_exchange_free(x);
	x = fake_exchange(&f, "LOGIN");
	say_text(x, "user", &said);
	cr_assert_eq(say_text(x, "", &said), ESMTP_AUTH_FAILED);
	auth_exchange_free(x);
	x = fake_exchange(&f, "LOGIN");
	cr_assert_eq(say(x, "us\0er", 5, &said), ESMTP_AUTH_MALFORMED);
	auth_exchange_free(x);
	x = fake_exchange(&f, "LOGIN");
	say_text(x, "user", &said);
	cr_assert_eq(say(x, "pencil\0x", 8, &said), ESMTP_AUTH_MALFORMED);
	auth_exchange_free(x);
	cr_assert_eq(f.nasked, 0);
}

/* RFC 2195 2: HMAC-MD5 of the challenge, keyed with the password */
static const char *
cram_digest(const char *challenge, const char *password)
{
	static char text[33];
	uint8_t octets[16];
	unsigned int n;
	size_t i;

	HMAC(EVP_md5(), password, (int)strlen(password),
	    (const uint8_t *)challenge, strlen(challenge), octets, &n);
	for (i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", octets[i]);
	return text;
}

Test(auth_mech_simple, cram_md5_as_in_the_example_of_rfc_2195)
{
	struct auth_exchange *x;
	struct said said;
	char text[64];

	cr_assert_str_eq(cram_digest(
	    "<1896.697170952@postoffice.reston.mci.net>", "tanstaaftanstaaf"),
	    "b913a602c7eda7a495b4e6e7334d3890");
	f.login = "tim";
	f.password = "tanstaaftanstaaf";
	x = fake_exchange(&f, "CRAM-MD5");
	cr_assert_eq(say_text(x, NULL, &said), ESMTP_AUTH_CHALLENGE);
	snprintf(text, sizeof(text), "tim %s",
	    cram_digest(said.text, "tanstaaftanstaaf"));
	cr_assert_eq(say_text(x, text, &said), ESMTP_AUTH_OK);
	auth_exchange_free(x);
}

/* Roman numeral nine, as it may stand in a file of users: RFC 4013 */
Test(auth_mech_simple, cram_md5_prepares_what_is_stored)
{
	struct auth_exchange *x;
	struct client c;

	f.password = "\xe2\x85\xa8";
	x = fake_exchange(&f, "CRAM-MD5");
	client_init(&c, "CRAM-MD5", "user", "IX");
	cr_assert_eq(play(x, &c), ESMTP_AUTH_OK);
	client_free(&c);
	auth_exchange_free(x);
}

Test(auth_mech_simple, cram_md5_takes_the_stored_password_as_it_is_too)
{
	struct auth_exchange *x;
	struct said said;
	char text[64];

	f.password = "\xe2\x85\xa8";
	x = fake_exchange(&f, "CRAM-MD5");
	say(x, NULL, 0, &said);
	snprintf(text, sizeof(text), "user %s",
	    cram_digest(said.text, "\xe2\x85\xa8"));
	say_text(x, text, &said);
	cr_assert_eq(said.status, ESMTP_AUTH_OK);
	auth_exchange_free(x);
}

/* RFC 2195 2: random digits, a timestamp, the name of the host. */
Test(auth_mech_simple, cram_md5_challenges_with_digits_time_and_host)
{
	unsigned long long stamp;
	struct auth_exchange *x;
	struct said said;
	size_t n;
	char *end;

	x = fake_exchange(&f, "CRAM-MD5");
	say(x, NULL, 0, &said);
	n = strspn(said.text + 1, "0123456789");
	cr_assert_eq(said.text[0], '<');
	cr_assert_geq(n, 20);
	cr_assert_eq(said.text[1 + n], '.');
	stamp = strtoull(said.text + 2 + n, &end, 10);
	cr_assert_leq(stamp, (unsigned long long)time(NULL));
	cr_assert_geq(stamp, (unsigned long long)time(NULL) - 60);
	cr_assert_str_eq(end, "@mx.example.test>");
	auth_exchange_free(x);
}

/* A PAM module or another program has hashed what it was given. */
Test(auth_mech_simple, a_password_is_tried_prepared_and_then_as_it_was_sent)
{
	static const struct { const char *sent; unsigned int n; } rows[] = {
		{ "pen", 1 }, { "\xe2\x85\xa8", 2 }, { "I\xc2\xadX", 2 } };
	struct auth_exchange *x;
	struct said said;
	char text[64];
	size_t i;

	for (i = 0; i < 3; i++) {
		f.nasked = 0;
		x = fake_exchange(&f, "PLAIN");
		snprintf(text, sizeof(text), "%cuser%c%s", 0, 0, rows[i].sent);
		cr_expect_eq(say(x, text, 6 + strlen(rows[i].sent), &said),
		    ESMTP_AUTH_FAILED);
		cr_expect_eq(f.nasked, rows[i].n, "%s", rows[i].sent);
		cr_expect_str_eq(f.secret, rows[i].sent);
		auth_exchange_free(x);
	}
}

/* RFC 2195 2: random digits, a timestamp, and the name of the server */
Test(auth_mech_simple, cram_md5_never_gives_the_same_challenge_again)
{
	char digits[2][64], host[64];
	struct auth_exchange *x;
	struct said said;
	long long now;
	int i, n;

	for (i = 0; i < 2; i++) {
		x = fake_exchange(&f, "CRAM-MD5");
		cr_assert_eq(say_text(x, NULL, &said), ESMTP_AUTH_CHALLENGE);
		n = -1;
		cr_assert_eq(sscanf(said.text, "<%63[0-9].%lld@%63[^>]>%n",
		    digits[i], &now, host, &n), 3, "%s", said.text);
		cr_expect_eq(n, (int)strlen(said.text), "%s", said.text);
		cr_expect_geq(strlen(digits[i]), 20);
		cr_expect_eq(now, (long long)f.start.now, "%s", said.text);
		cr_expect_str_eq(host, "mx.example.test");
		auth_exchange_free(x);
	}
	cr_expect_str_neq(digits[0], digits[1]);
}

Test(auth_mech_simple, cram_md5_messages_that_are_none)
{
	static const char *const rows[] = { "", "x", "user",
		"b913a602c7eda7a495b4e6e7334d3890",
		" b913a602c7eda7a495b4e6e7334d3890",
		"user b913a602c7eda7a495b4e6e7334d389",
		"user b913a602c7eda7a495b4e6e7334d389x",
		"user\tb913a602c7eda7a495b4e6e7334d3890" };
	struct auth_exchange *x;
	struct said said;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		x = fake_exchange(&f, "CRAM-MD5");
		say_text(x, NULL, &said);
		cr_assert_eq(say_text(x, rows[i], &said), ESMTP_AUTH_MALFORMED,
		    "row %zu", i);
		auth_exchange_free(x);
	}
	/* RFC 4954 4: the server begins here */
	cr_assert_eq(once(&f, "CRAM-MD5",
	    "user b913a602c7eda7a495b4e6e7334d3890", 37),
	    ESMTP_AUTH_MALFORMED);
	cr_assert_eq(f.nasked, 0);
}

Test(auth_mech_simple, external_is_who_the_certificate_says)
{
	/* no certificate, nobody */
	cr_assert_eq(once(&f, "EXTERNAL", "", 0), ESMTP_AUTH_FAILED);
	cr_assert_eq(once(&f, "EXTERNAL", "user", 4), ESMTP_AUTH_FAILED);
	cr_assert_eq(f.nasked, 0);
	f.start.client.peer_name = "user";
	cr_assert_eq(once(&f, "EXTERNAL", "", 0), ESMTP_AUTH_OK);
	cr_assert_eq(once(&f, "EXTERNAL", "user", 4), ESMTP_AUTH_OK);
	cr_assert_eq(once(&f, "EXTERNAL", "boss", 4), ESMTP_AUTH_FAILED);
	cr_assert_eq(once(&f, "EXTERNAL", "us\0er", 5), ESMTP_AUTH_MALFORMED);
	/* RFC 4422 A.1: a name of UTF-8 */
	cr_assert_eq(once(&f, "EXTERNAL", "us\xff", 3), ESMTP_AUTH_FAILED);
	f.start.client.peer_name = "stranger";
	cr_assert_eq(once(&f, "EXTERNAL", "", 0), ESMTP_AUTH_FAILED);
}
