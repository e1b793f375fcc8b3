#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cmd/mailmilld/relay/relay_int.h"

#define SAID(o, c, e, w) { .outcome = SMTP_##o, .why = SMTP_WHY_SAID, \
	.code = c, .enhanced = e, .words = w, .command = "RCPT TO" }
#define OURS(o, id, w, err) { .outcome = SMTP_##o, .why = SMTP_WHY_##id, \
	.code = 451, .enhanced = "4.4.2", .words = w, .command = "DATA", \
	.errnum = err }

static const struct {
	struct smtp_result result;
	bool has_dsn;
	int errnum;
	uint32_t flags, code;
	const char *text;
} cases[] = {
	{ SAID(ACCEPTED, 250, "2.0.0", "OK"), true, 0, 0, 250, "OK" },
	{ SAID(ACCEPTED, 250, "2.0.0", "OK"), false, 0, JOB_NO_DSN, 250,
	    "OK" },
	{ SAID(DEFERRED, 451, "4.3.0", "Later"), true, EAGAIN, 0, 451,
	    "Later" },
	{ SAID(REFUSED, 550, "5.1.1", "No"), false, EREMOTEIO, JOB_REFUSED,
	    550, "No" },
	{ OURS(REFUSED, SIZE, "too large", 0), true, EREMOTEIO, JOB_REFUSED, 0,
	    "too large, at DATA" },
	{ OURS(UNSENT, IO, "it failed", ECONNRESET), true, ECONNRESET, 0, 0,
	    "it failed: Connection reset by peer, at DATA" },
	{ OURS(UNSENT, STOPPED, "it is stopped", 0), false, EAGAIN,
	    JOB_UNASKED, 0, "it is stopped, at DATA" },
	{ OURS(UNSENT, SOURCE, "it cannot be read", EBADMSG), true, EBADMSG,
	    JOB_UNASKED, 0, "it cannot be read: Bad message, at DATA" },
	{ OURS(UNSENT, TIMEOUT, "it takes long", 0), true, EAGAIN, JOB_SILENT,
	    0, "it takes long, at DATA" },
	{ OURS(UNCERTAIN, TIMEOUT, "it takes long", 0), true, EAGAIN,
	    JOB_SILENT, 0, "it takes long, at DATA" },
	{ OURS(UNCERTAIN, CLOSED, "it has closed", 0), true, EAGAIN, 0, 0,
	    "it has closed, at DATA" },
};

Test(relay_said, outcomes_are_results)
{
	struct job_result jr;
	struct job_error je;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		jr = relay_said_outcome(&cases[i].result, cases[i].has_dsn,
		    77, "[192.0.2.1]", &je);
		cr_expect_eq(jr.job, 77);
		cr_expect_eq(je.job, 77);
		cr_expect_eq(jr.errnum, cases[i].errnum, "%zu", i);
		cr_expect_eq(jr.flags, cases[i].flags, "%zu", i);
		cr_expect_eq(je.code, cases[i].code, "%zu", i);
		cr_expect_str_eq(je.enhanced, cases[i].result.enhanced);
		cr_expect_str_eq(je.remote, "[192.0.2.1]");
		cr_expect_str_eq(je.text, cases[i].text);
	}
}

/* What does not fit is cut at a character, not within one. */
Test(relay_said, long_words_are_cut)
{
	struct smtp_result result = SAID(REFUSED, 550, "5.1.1", NULL);
	char words[LIM_CLIENT_WORDS + 1];
	struct job_error je;
	size_t i;

	for (i = 0; i < 4; i++) {
		memset(words, 'x', i);
		for (words[i] = '\0'; strlen(words) < JOB_TEXT + 8;)
			strcat(words, "\xe2\x82\xac");	/* EURO SIGN */
		result.words = words;
		(void)relay_said_outcome(&result, true, 1, "", &je);
		cr_expect_eq((strlen(je.text) - i) % 3, 0);
		cr_expect_gt(strlen(je.text), JOB_TEXT - 4);
		cr_expect_eq(strncmp(je.text, words, strlen(je.text)), 0);
	}
}

Test(relay_said, next_hops_have_names)
{
	static const struct { const char *route, *remote; } names[] = {
		{ "192.0.2.1:25", "[192.0.2.1]" },
		{ "[2001:db8::1]:24", "[IPv6:2001:db8::1]" },
		{ "unix:/run/dovecot/lmtp", "unix:/run/dovecot/lmtp" },
	};
	char remote[JOB_REMOTE];
	struct route_addr addr;
	size_t i;

	for (i = 0; i < 3; i++) {
		cr_assert_eq(route_addr_parse(names[i].route, &addr), 0);
		relay_said_remote(&addr, remote);
		cr_expect_str_eq(remote, names[i].remote);
	}
}

Test(relay_said, a_next_hop_that_was_looked_up_has_its_name_and_its_address)
{
	char remote[JOB_REMOTE];
	struct route_addr addr;
	size_t len;

	cr_assert_eq(route_addr_parse("[2001:db8::1]:25", &addr), 0);
	strcpy(addr.name, "mx.example.test");
	relay_said_remote(&addr, remote);
	cr_expect_str_eq(remote, "mx.example.test[IPv6:2001:db8::1]");
	/* as long as fits with the address; one octet more: the name alone */
	len = JOB_REMOTE - 1 - strlen("[IPv6:2001:db8::1]");
	memset(addr.name, 'x', len);
	addr.name[len] = '\0';
	relay_said_remote(&addr, remote);
	cr_expect_eq(strlen(remote), JOB_REMOTE - 1);
	cr_expect_str_eq(remote + len, "[IPv6:2001:db8::1]");
	addr.name[len] = 'x';
	addr.name[len + 1] = '\0';
	relay_said_remote(&addr, remote);
	cr_expect_str_eq(remote, addr.name);
}
