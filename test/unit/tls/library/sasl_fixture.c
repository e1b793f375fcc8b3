#include "test/unit/tls/library/sasl_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct sf_program sf_program;

static enum mailmill_sasl_verdict
asked(uint64_t question)
{
	sf_program.nasked++;
	sf_program.question = question;
	if (sf_program.verdict == MAILMILL_SASL_LATER && sf_program.is_inside) {
		cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, question,
		    MAILMILL_SASL_YES, sf_program.keys), 0);
		cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, question,
		    MAILMILL_SASL_NO, NULL), -1);
		cr_expect_eq(errno, ENOENT);
	}
	return sf_program.verdict;
}

enum mailmill_sasl_verdict
sf_password(void *closure, accept_construct *ac, const char *user,
    const char *word, uint64_t question)
{
	cr_expect_eq(closure, &sf_program);
	cr_expect_not_null(ac);
	snprintf(sf_program.user, sizeof(sf_program.user), "%s", user);
	snprintf(sf_program.password, sizeof(sf_program.password), "%s", word);
	return asked(question);
}

enum mailmill_sasl_verdict
sf_keys(void *, accept_construct *, const char *user, char *keys_r, size_t len,
    uint64_t question)
{
	enum mailmill_sasl_verdict v;

	snprintf(sf_program.user, sizeof(sf_program.user), "%s", user);
	v = asked(question);
	if (v == MAILMILL_SASL_YES)
		snprintf(keys_r, len, "%s", sf_program.keys);
	return v;
}

struct talk *
sf_start(mailmill_sasl_password p, mailmill_sasl_keys k, bool is_clear)
{
	struct talk *t = talk_new();

	memset(&sf_program, 0, sizeof(sf_program));
	sf_program.sasl = mailmill_sasl_new(p, k, &sf_program);
	cr_assert_not_null(sf_program.sasl);
	cr_assert_eq(mailmill_sasl_host(sf_program.sasl, &t->ops), 0);
	if (is_clear)
		talk_option(t, "Auth_Without_TLS", "true");
	talk_connect(t);
	talk_say(t, "EHLO x\r\n");
	return t;
}

void
sf_stop(struct talk *t)
{
	talk_end(t);
	mailmill_sasl_free(sf_program.sasl);
}

void
sf_expect(struct talk *t, const char *say, const char *want)
{
	const char *said = talk_say(t, say);

	cr_expect_eq(strncmp(said, want, strlen(want)), 0, "%s: %s", say, said);
}
