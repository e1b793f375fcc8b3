/* ETRN: what the host is asked, and what its answers become. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "test/unit/proto/server/fake.h"

static struct fake *f;
static enum esmtp_start_status answer;
static unsigned int nasked;
static char asked[LIM_DOMAIN + 2];

static enum esmtp_start_status
start_queue(void *host, accept_construct *ac, const char *domain,
    int has_subdomains)
{
	cr_expect_eq(host, &f->h);
	cr_expect_eq(ac, f->s->ac);
	nasked++;
	snprintf(asked, sizeof(asked), "%s%s", has_subdomains ? "@" : "",
	    domain);
	return answer;
}

static void
begin(const char *kind)
{
	nasked = 0;
	asked[0] = '\0';
	f = fake_new();
	f->h.ops.start_queue = start_queue;
	fake_option(f, "Kind", kind, NULL);
	fake_option(f, "ETRN_Domains", "example.test", "*.example.test",
	    "b.example", NULL);
	fake_connect(f);
}

Test(ext_etrn, each_answer_of_the_host_has_its_reply)
{
	static const struct {
		unsigned int	 answer;
		const char	*reply;
	} rows[] = {
		{ ESMTP_START_OK, "250 2.0.0 OK, queuing started for node "
		    "example.test\r\n" },
		{ ESMTP_START_NONE, "251 2.0.0 OK, no messages waiting for "
		    "node example.test\r\n" },
		{ ESMTP_START_PENDING, "252 2.0.0 OK, pending messages started "
		    "for node example.test\r\n" },
		{ ESMTP_START_LATER, "458 4.3.0 Unable to queue messages now, "
		    "try again later, for node example.test\r\n" },
		{ ESMTP_START_REFUSED, "459 4.7.1 Not allowed to start the "
		    "queue for this node (ETRN_Domains)\r\n" },
		/* of a later version of the host */
		{ 99, "458 4.3.0 Unable to queue messages now, try again "
		    "later, for node example.test\r\n" },
	};
	size_t i;

	begin("smtp");
	fake_say(f, "EHLO x\r\n");
	cr_expect_not_null(strstr(f->reply, "ETRN\r\n"), "%s", f->reply);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		answer = (enum esmtp_start_status)rows[i].answer;
		cr_expect_str_eq(fake_say(f, "ETRN Example.TEST\r\n"),
		    rows[i].reply);
		cr_expect_str_eq(asked, "example.test");
		cr_expect_eq(nasked, i + 1);
	}
	fake_end(f);
}

/* RFC 1985 5.3; what ETRN_Domains does not allow, the host is not asked. */
Test(ext_etrn, the_host_is_asked_what_is_allowed)
{
	static const struct {
		const char	*arg, *asked;
		int		 code;
	} rows[] = {
		{ "example.test", "example.test", 250 },
		{ "@example.test", "@example.test", 250 },
		{ "@A.example.test", "@a.example.test", 250 },
		{ "b.example", "b.example", 250 },
		{ "@b.example", "", 459 },
		{ "@test", "", 459 },
		{ "c.example", "", 459 },
		{ "#example.test", "", 501 },
		{ "#", "", 501 },
		{ "@", "", 501 },
		{ "@@example.test", "", 501 },
		{ "@#example.test", "", 501 },
		{ "example.test b.example", "", 501 },
		{ "example..test", "", 501 },
		{ "[192.0.2.1]", "", 501 },
		{ "<example.test>", "", 501 },
		{ "joe@example.test", "", 501 },
		{ "*.example.test", "", 501 },
		{ "-", "", 501 },
	};
	char line[128], code[8];
	size_t i;

	begin("submission");
	fake_option(f, "Require_Auth", "false", NULL);
	fake_say(f, "EHLO x\r\n");
	answer = ESMTP_START_OK;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		asked[0] = '\0';
		snprintf(line, sizeof(line), "ETRN %s\r\n", rows[i].arg);
		snprintf(code, sizeof(code), "%d ", rows[i].code);
		cr_expect_eq(strncmp(fake_say(f, line), code, 4), 0, "%s: %s",
		    line, f->reply);
		cr_expect_str_eq(asked, rows[i].asked, "%s", line);
	}
	fake_end(f);
}

Test(ext_etrn, the_longest_domain_is_asked_for_whole)
{
	char line[LIM_DOMAIN + 16], *p = line + strlen("ETRN ");
	size_t i;

	begin("smtp");
	fake_option(f, "ETRN_Domains", "*", NULL);
	fake_say(f, "EHLO x\r\n");
	answer = ESMTP_START_OK;
	strcpy(line, "ETRN ");
	for (i = 0; i < LIM_DOMAIN; i++)
		p[i] = i % 64 == 63 ? '.' : 'a';
	strcpy(p + LIM_DOMAIN, "\r\n");
	cr_expect_eq(strncmp(fake_say(f, line), "250 2.0.0 ", 10), 0);
	cr_expect_eq(strlen(asked), LIM_DOMAIN);
	cr_expect_eq(strncmp(f->reply + strlen(f->reply) - LIM_DOMAIN - 2,
	    p, LIM_DOMAIN), 0, "%s", f->reply);
	strcpy(p + LIM_DOMAIN, "a\r\n");
	cr_expect_eq(strncmp(fake_say(f, line), "501 5.5.4 ", 10), 0);
	fake_end(f);
}

Test(ext_etrn, a_host_that_has_no_queue_does_not_offer_it)
{
	begin("smtp");
	f->h.ops.start_queue = NULL;
	fake_say(f, "EHLO x\r\n");
	cr_expect_null(strstr(f->reply, "ETRN"));
	cr_expect_eq(strncmp(fake_say(f, "ETRN example.test\r\n"), "502 ", 4),
	    0);
	cr_expect_null(strstr(fake_say(f, "HELP\r\n"), "ETRN"));
	cr_expect_eq(nasked, 0);
	fake_end(f);
}

Test(ext_etrn, lmtp_does_not_have_it)
{
	begin("lmtp");
	fake_say(f, "LHLO x\r\n");
	cr_expect_null(strstr(f->reply, "ETRN"));
	cr_expect_eq(strncmp(fake_say(f, "ETRN example.test\r\n"), "500 ", 4),
	    0);
	cr_expect_eq(nasked, 0);
	fake_end(f);
}
