#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/proto/sasl/auth_mech_fake.h"

static struct fake f;

static void
setup(void)
{
	fake_init(&f);
}

TestSuite(auth_mech, .init = setup);

Test(auth_mech, a_mechanism_that_is_not_known_is_einval)
{
	f.start.mech = "NTLM";
	cr_assert_null(auth_exchange_new(&f.start));
	cr_assert_eq(errno, EINVAL);
}

Test(auth_mech, a_binding_of_more_than_64_octets_is_einval)
{
	static const uint8_t octets[65];

	f.start.mech = "SCRAM-SHA-256-PLUS";
	f.start.endpoint = octets;
	f.start.endpoint_len = 65;
	cr_assert_null(auth_exchange_new(&f.start));
	cr_assert_eq(errno, EINVAL);
	f.start.endpoint_len = 64;
	auth_exchange_free(fake_exchange(&f, "SCRAM-SHA-256-PLUS"));
}

Test(auth_mech, frees_nothing_when_there_is_nothing)
{
	auth_exchange_free(NULL);
}

Test(auth_mech, an_over_long_response_is_malformed_in_every_mechanism)
{
	static char text[AUTH_RESPONSE_MAX + 1];
	const struct esmtp_auth_mech *m;
	struct auth_exchange *x;
	struct said said;
	size_t i;

	memset(text, 'a', sizeof(text));
	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++) {
		x = fake_exchange(&f, m->name);
		cr_assert_eq(say(x, text, sizeof(text), &said),
		    ESMTP_AUTH_MALFORMED, "%s", m->name);
		cr_assert_eq(say(x, "x", 1, &said), ESMTP_AUTH_FAILED);
		auth_exchange_free(x);
	}
	cr_assert_eq(f.nasked, 0);
}

/* RFC 4954 4: without an initial response the server sends an empty
 * challenge. */
Test(auth_mech, asks_for_what_a_client_should_have_begun_with)
{
	static const char *const rows[] = { "PLAIN", "EXTERNAL", "OAUTHBEARER",
		"XOAUTH2", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS" };
	struct auth_exchange *x;
	struct said said;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		x = fake_exchange(&f, rows[i]);
		cr_assert_eq(say(x, NULL, 0, &said), ESMTP_AUTH_CHALLENGE,
		    "%s", rows[i]);
		cr_assert_eq(said.len, 0);
		cr_assert_null(auth_exchange_login(x));
		/* and not for ever: nothing is an empty response now */
		cr_assert_neq(say(x, NULL, 0, &said), ESMTP_AUTH_CHALLENGE,
		    "%s", rows[i]);
		auth_exchange_free(x);
	}
}

static bool
refuse(const char *login, void *closure)
{
	strcpy(closure, login);
	return false;
}

Test(auth_mech, a_login_over_its_limit_fails_and_nobody_is_asked)
{
	static const struct {
		const char	*mech, *text;
		size_t		 len;
	} rows[] = {
		{ "PLAIN", "\0user\0pencil", 12 },
		{ "LOGIN", "user", 4 },
		{ "SCRAM-SHA-256", "n,,n=user,r=abc", 15 },
		{ "OAUTHBEARER", "n,a=user,\1auth=Bearer abc\1\1", 27 },
		{ "XOAUTH2", "user=user\1auth=Bearer abc\1\1", 27 },
		{ "EXTERNAL", "", 0 },
	};
	struct auth_exchange *x;
	struct said said;
	char name[256];
	size_t i;

	f.start.client.peer_name = "user";
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		x = fake_exchange(&f, rows[i].mech);
		auth_exchange_on_login(x, refuse, name);
		say(x, rows[i].text, rows[i].len, &said);
		/* bearer tokens are refused by a challenge */
		if (said.status == ESMTP_AUTH_CHALLENGE)
			say(x, "\1", 1, &said);
		cr_assert_eq(said.status, ESMTP_AUTH_FAILED, "%s",
		    rows[i].mech);
		cr_assert_str_eq(name, "user");
		cr_assert_str_eq(auth_exchange_login(x), "user");
		auth_exchange_free(x);
	}
	cr_assert_eq(f.nasked, 0);
}

Test(auth_mech, keeps_copies_of_what_it_was_given)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	char session[] = "s1", peer_name[] = "user";
	struct auth_exchange *x;
	struct said said;

	inet_pton(AF_INET6, "2001:db8::1", &sin6.sin6_addr);
	f.start.client = (struct auth_client){ .is_tls = true,
		.peer = (struct sockaddr *)&sin6, .session = session,
		.peer_name = peer_name };
	x = fake_exchange(&f, "EXTERNAL");
	memset(&sin6, 0, sizeof(sin6));
	memset(session, 'x', 2);
	memset(peer_name, 'x', 4);
	cr_assert_eq(x->client.peer->sa_family, AF_INET6);
	cr_assert_str_eq(x->client.session, "s1");
	cr_assert(x->client.is_tls);
	cr_assert_eq(say(x, "", 0, &said), ESMTP_AUTH_OK);
	auth_exchange_free(x);
}

/* Not with cr_assert(): the framework's belongs to its own thread. */
static void *
many(void *closure)
{
	const char *mech = closure;
	struct auth_exchange *x;
	uintptr_t wrong = 0;
	struct client c;
	struct fake own;
	int i;

	fake_init(&own);
	own.start.exporter = (const uint8_t *)"0123456789abcdef0123456789abcdef";
	own.start.exporter_len = 32;
	for (i = 0; i < 20; i++) {
		x = fake_exchange(&own, mech);
		client_init(&c, mech, "user", i % 2 ? "pencil" : "pen");
		if (strstr(mech, "-PLUS") != NULL)
			gsasl_property_set(c.session, GSASL_CB_TLS_EXPORTER,
			    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
		wrong += play(x, &c) != (i % 2 ? ESMTP_AUTH_OK :
		    ESMTP_AUTH_FAILED);
		client_free(&c);
		auth_exchange_free(x);
	}
	return (void *)wrong;
}

Test(auth_mech, several_exchanges_at_once)
{
	static const char *const mechs[] = { "PLAIN", "SCRAM-SHA-256",
		"CRAM-MD5", "SCRAM-SHA-1-PLUS", "LOGIN", "SCRAM-SHA-256-PLUS" };
	pthread_t threads[6];
	void *wrong;
	size_t i;

	for (i = 0; i < 6; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, many,
		    (void *)(uintptr_t)mechs[i]), 0);
	for (i = 0; i < 6; i++) {
		pthread_join(threads[i], &wrong);
		cr_assert_null(wrong, "%s", mechs[i]);
	}
}
