/* The numbers that reports carry, so that a host can put a bound on its log. */

#include <criterion/criterion.h>
#include <stdio.h>

#include "test/unit/proto/server/fake.h"

static struct esmtp_report ended;
static void (*host_report)(void *, accept_construct *,
    const struct esmtp_report *);

static void
report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	if (r->kind == ESMTP_REPORT_END)
		ended = *r;
	host_report(host, ac, r);
}

static void
listen_to(struct fake *f)
{
	host_report = f->h.ops.report;
	f->h.ops.report = report;
}

Test(esmtp_report, refusals_are_numbered_without_end)
{
	struct fake *f = fake_new();
	unsigned int i;

	fake_option(f, "Max_Recipients_Per_Message", "1", NULL);
	fake_connect(f);
	fake_say(f, "EHLO c.example\r\nMAIL FROM:<>\r\n");
	fake_say(f, "EHLO c.example\r\n");
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\n");
	for (i = 0; i < 300; i++)
		fake_say(f, "RCPT TO:<bob@example.test>\r\n");
	listen_to(f);
	fake_say(f, "QUIT\r\n");
	/* and the EHLO that was not the last of its group */
	cr_expect_eq(ended.nrejected, 302, "%u", ended.nrejected);
	cr_expect_eq(ended.nauth_failed, 0);
}

Test(esmtp_report, failed_logins_are_numbered_apart)
{
	struct fake *f = fake_new();
	unsigned int i;

	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	fake_option(f, "Max_Errors", "0", NULL);
	fake_connect(f);
	fake_say(f, "EHLO c.example\r\n");
	for (i = 0; i < 60; i++)
		fake_say(f, "AUTH PLAIN AGFsaWNlAHdyb25n\r\nXYZZY\r\n");
	/* what the host itself has found wrong, and can log, is not among them */
	f->h.auth.why = "a wrong password";
	for (i = 0; i < 70; i++)
		fake_say(f, "AUTH PLAIN AGFsaWNlAHdyb25n\r\n");
	fake_say(f, "AUTH PLAIN =\r\n");
	listen_to(f);
	fake_say(f, "QUIT\r\n");
	cr_expect_eq(ended.nauth_failed, 61, "%u", ended.nauth_failed);
	cr_expect_eq(ended.nrejected, 191, "%u", ended.nrejected);
}
