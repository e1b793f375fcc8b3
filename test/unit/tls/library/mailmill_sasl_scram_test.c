/* SCRAM for embedders, on a real session: keys of users, what there is for
 * unknown ones, the binding to TLS. */

#include "tls/library/mailmill_sasl.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/tls/keys_fixture.h"
#include "test/unit/tls/library/sasl_fixture.h"
#include "tls/library/mailmill_tls.h"

/* alice's with the password "secret", salt "0123456789abcdef" */
#define KEYS	"4096,MDEyMzQ1Njc4OWFiY2RlZg==," \
	"bpSY5Ze9NUH+I35LC3gVq+DpBfK46iXBxvhAKqVu9pE=," \
	"VpYlBuxyzeCI1KnctrefdljpB1mk3Gp7sBI/t11+NkQ="

/* A login with GNU SASL as the client.  Return its last reply. */
static const char *
scram(struct talk *t, const char *user, const char *word)
{
	Gsasl *g;
	Gsasl_session *s;
	char line[4096], *out = NULL;
	int rc;

	gsasl_init(&g);
	gsasl_client_start(g, "SCRAM-SHA-256", &s);
	gsasl_property_set(s, GSASL_AUTHID, user);
	gsasl_property_set(s, GSASL_PASSWORD, word);
	strcpy(line, "AUTH SCRAM-SHA-256\r\n");
	for (;;) {
		talk_say(t, line);
		if (*t->heard == '\0' && sf_program.verdict == MAILMILL_SASL_LATER)
		{
			cr_expect_eq(mailmill_sasl_answer(sf_program.sasl,
			    sf_program.question, sf_program.keys != NULL ?
			    MAILMILL_SASL_YES : MAILMILL_SASL_NO,
			    sf_program.keys), 0);
			talk_step(t, E_ASYNC);
		}
		if (strncmp(t->heard, "334 ", 4) != 0)
			break;
		t->heard[strcspn(t->heard, "\r")] = '\0';
		rc = gsasl_step64(s, t->heard + 4, &out);
		cr_assert(rc == GSASL_OK || rc == GSASL_NEEDS_MORE, "%s",
		    gsasl_strerror(rc));
		snprintf(line, sizeof(line), "%s\r\n", out);
		gsasl_free(out);
	}
	gsasl_finish(s);
	gsasl_done(g);
	return t->heard;
}

Test(mailmill_sasl_scram, scram_with_keys_now_and_later)
{
	static const struct {
		enum mailmill_sasl_verdict verdict;
		const char		*keys, *word, *reply;
	} rows[] = {
		{ MAILMILL_SASL_YES, KEYS, "secret", "235 " },
		{ MAILMILL_SASL_YES, KEYS, "Secret", "535 " },
		{ MAILMILL_SASL_LATER, KEYS, "secret", "235 " },
		{ MAILMILL_SASL_LATER, KEYS, "Secret", "535 " },
		{ MAILMILL_SASL_LATER, NULL, "secret", "535 " },
		{ MAILMILL_SASL_NO, NULL, "secret", "535 " },
		{ MAILMILL_SASL_YES, "1,2,3", "secret", "454 " },
		{ MAILMILL_SASL_UNSURE, NULL, "secret", "454 " },
	};
	struct talk *t;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t = sf_start(NULL, sf_keys, true);
		sf_program.verdict = rows[i].verdict;
		sf_program.keys = rows[i].keys;
		cr_expect_eq(strncmp(scram(t, "alice", rows[i].word),
		    rows[i].reply, 4), 0, "row %zu: %s", i, t->heard);
		cr_expect_eq(sf_program.nasked, 1);
		sf_stop(t);
	}
}

/* Which users there are is not told: a salt that stays, and of the usual
 * form. */
Test(mailmill_sasl_scram, an_unknown_user_has_a_salt_of_its_own)
{
	static const char first[] = "AUTH SCRAM-SHA-256 "
	    "biwsbj1ib2Iscj1mb28=\r\n";		/* n,,n=bob,r=foo */
	char salt[2][512], text[1024];
	struct talk *t = sf_start(NULL, sf_keys, true);
	size_t n;
	char *out;
	int i;

	/* what the others have */
	sf_program.verdict = MAILMILL_SASL_YES;
	sf_program.keys = KEYS;
	sf_expect(t, first, "334 ");
	sf_expect(t, "*\r\n", "501 ");
	sf_program.verdict = MAILMILL_SASL_NO;
	for (i = 0; i < 2; i++) {
		sf_expect(t, first, "334 ");
		t->heard[strcspn(t->heard, "\r")] = '\0';
		cr_assert_eq(gsasl_base64_from(t->heard + 4,
		    strlen(t->heard + 4), &out, &n), GSASL_OK);
		snprintf(text, sizeof(text), "%.*s", (int)n, out);
		gsasl_free(out);
		snprintf(salt[i], sizeof(salt[i]), "%s", strstr(text, ",s="));
		sf_expect(t, "*\r\n", "501 ");
	}
	cr_expect_str_eq(salt[0], salt[1]);
	cr_expect_not_null(strstr(salt[0], ",i=4096"), "%s", salt[0]);
	cr_expect_eq(strlen(salt[0]), strlen(",s=MDEyMzQ1Njc4OWFiY2RlZg==,"
	    "i=4096"), "%s", salt[0]);
	sf_stop(t);
}

/* What the server says first to bob, whom there is not: "s=...,i=..." */
static const char *
offer_to_bob(struct mailmill_sasl *sasl)
{
	static char text[512];
	struct talk *t = talk_new();
	size_t n;
	char *out;

	sf_program.verdict = MAILMILL_SASL_NO;
	cr_assert_eq(mailmill_sasl_host(sasl, &t->ops), 0);
	talk_option(t, "Auth_Without_TLS", "true");
	talk_connect(t);
	talk_say(t, "EHLO x\r\n");
	/* n,,n=bob,r=foo */
	sf_expect(t, "AUTH SCRAM-SHA-256 biwsbj1ib2Iscj1mb28=\r\n", "334 ");
	t->heard[strcspn(t->heard, "\r")] = '\0';
	cr_assert_eq(gsasl_base64_from(t->heard + 4, strlen(t->heard + 4),
	    &out, &n), GSASL_OK);
	snprintf(text, sizeof(text), "%.*s", (int)n, out);
	gsasl_free(out);
	talk_end(t);
	return strstr(text, ",s=");
}

/* Else a restart, or another process, tells which users there are not. */
Test(mailmill_sasl_scram, the_program_may_say_what_unknown_users_get)
{
	static const char secret[] = "0123456789abcdef";
	struct mailmill_sasl *sasl[3];
	char text[3][512];
	int i;

	memset(&sf_program, 0, sizeof(sf_program));
	for (i = 0; i < 3; i++) {
		sasl[i] = mailmill_sasl_new(NULL, sf_keys, &sf_program);
		cr_assert_not_null(sasl[i]);
		if (i < 2)
			cr_assert_eq(mailmill_sasl_set_unknown(sasl[i], secret,
			    16, 7000, 24), 0);
		snprintf(text[i], sizeof(text[i]), "%s", offer_to_bob(sasl[i]));
	}
	cr_expect_str_eq(text[0], text[1]);
	cr_expect_str_neq(text[0], text[2]);
	cr_expect_not_null(strstr(text[0], ",i=7000"), "%s", text[0]);
	/* 24 octets in base64 */
	cr_expect_eq(strlen(text[0]), 3 + 32 + 7, "%s", text[0]);
	/* another secret, another salt */
	cr_assert_eq(mailmill_sasl_set_unknown(sasl[1], "fedcba9876543210", 16,
	    7000, 24), 0);
	cr_expect_str_neq(text[0], offer_to_bob(sasl[1]));
	/* 0: as before the first call, and the same again */
	cr_assert_eq(mailmill_sasl_set_unknown(sasl[2], secret, 16, 7000, 24),
	    0);
	cr_expect_str_eq(text[0], offer_to_bob(sasl[2]));
	cr_assert_eq(mailmill_sasl_set_unknown(sasl[2], NULL, 0, 0, 0), 0);
	cr_expect_str_eq(text[2], offer_to_bob(sasl[2]));
	for (i = 0; i < 3; i++)
		mailmill_sasl_free(sasl[i]);
}

/* Keys of a user change what is not set, and that alone. */
Test(mailmill_sasl_scram, what_is_set_is_not_taken_from_users)
{
	const char *offer;
	struct talk *t;

	t = sf_start(NULL, sf_keys, true);
	cr_assert_eq(mailmill_sasl_set_unknown(sf_program.sasl, NULL, 0, 0, 20),
	    0);
	sf_program.verdict = MAILMILL_SASL_YES;
	sf_program.keys = KEYS;
	cr_expect_eq(strncmp(scram(t, "alice", "secret"), "235 ", 4), 0);
	offer = offer_to_bob(sf_program.sasl);
	cr_expect_not_null(strstr(offer, ",i=4096"), "%s", offer);
	cr_expect_eq(strlen(offer), 3 + 28 + 7, "%s", offer);
	sf_stop(t);
}

Test(mailmill_sasl_scram, what_cannot_be_set_for_unknown_users)
{
	static const struct {
		const char	*secret;
		size_t		 len;
		unsigned int	 iterations;
		size_t		 salt_len;
	} rows[] = {
		{ "0123456789abcde", 15, 0, 0 },
		{ NULL, 16, 0, 0 },
		{ NULL, 0, 4095, 0 },
		{ NULL, 0, 10000001, 0 },
		{ NULL, 0, 0, 65 },
	};
	struct mailmill_sasl *sasl = mailmill_sasl_new(NULL, sf_keys, &sf_program);
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		errno = 0;
		cr_expect_eq(mailmill_sasl_set_unknown(sasl, rows[i].secret,
		    rows[i].len, rows[i].iterations, rows[i].salt_len), -1);
		cr_expect_eq(errno, EINVAL);
	}
	mailmill_sasl_free(sasl);
}

/* A session on TLS, in which -PLUS is named. */
Test(mailmill_sasl_scram, over_tls_with_channel_binding)
{
	EVP_PKEY *key = keys_make(KEYS_P256);
	X509 *x = keys_certificate(key);
	char *cert = keys_cert_pem(x), *pem = keys_text(key, false, NULL);
	struct talk *t = talk_new();
	struct mailmill_tls *tls = mailmill_tls_new_pem(t->options, cert, pem,
	    NULL, 0);

	memset(&sf_program, 0, sizeof(sf_program));
	sf_program.sasl = mailmill_sasl_new(sf_password, sf_keys, &sf_program);
	sf_program.verdict = MAILMILL_SASL_YES;
	sf_program.keys = KEYS;
	cr_assert_eq(mailmill_sasl_host(sf_program.sasl, &t->ops), 0);
	cr_assert_eq(mailmill_tls_host(tls, &t->ops), 0);
	talk_option(t, "Auth_Mechanisms", "SCRAM-SHA-256-PLUS");
	talk_option(t, "Use_SSL", "true");
	talk_connect(t);
	cr_assert(talk_tls(t));
	cr_expect_not_null(strstr(talk_say(t, "EHLO x\r\n"),
	    "AUTH SCRAM-SHA-256-PLUS\r\n"));
	/* p=tls-exporter,,n=alice,r=foo */
	sf_expect(t, "AUTH SCRAM-SHA-256-PLUS "
	    "cD10bHMtZXhwb3J0ZXIsLG49YWxpY2Uscj1mb28=\r\n", "334 ");
	sf_expect(t, "*\r\n", "501 ");
	/* n,,n=alice,r=foo: without a binding */
	sf_expect(t, "AUTH SCRAM-SHA-256-PLUS biwsbj1hbGljZSxyPWZvbw==\r\n",
	    "535 ");
	sf_stop(t);
	mailmill_tls_free(tls);
	free(cert);
	free(pem);
	X509_free(x);
	EVP_PKEY_free(key);
}
