/* Each extension can be taken away, and then nothing is left of it: EHLO does not
 * list it, its parameters are unknown, its verbs are not implemented. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/server/esmtp_ext.h"
#include "proto/server/esmtp_verb.h"
#include "test/lib/simtls.h"
#include "test/unit/proto/server/fake.h"

/* Every parameter with a value that is right. */
static const struct {
	const char *keyword, *text;
} samples[] = {
	{ "AUTH", "AUTH=<>" }, { "BODY", "BODY=7BIT" }, { "BY", "BY=100;N" },
	{ "ENVID", "ENVID=x" }, { "HOLDFOR", "HOLDFOR=1" },
	{ "HOLDUNTIL", "HOLDUNTIL=2023-11-14T22:30:00Z" },
	{ "MT-PRIORITY", "MT-PRIORITY=1" }, { "NOTIFY", "NOTIFY=NEVER" },
	{ "ORCPT", "ORCPT=rfc822;x" }, { "REQUIRETLS", "REQUIRETLS" },
	{ "RET", "RET=FULL" }, { "SIZE", "SIZE=1" },
	{ "SMTPUTF8", "SMTPUTF8" }, { "SOLICIT", "SOLICIT=net.example:x" },
};

static const char *
sample(const char *keyword)
{
	size_t i;

	for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		if (strcmp(samples[i].keyword, keyword) == 0)
			return samples[i].text;
	cr_assert_fail("no sample of the parameter %s", keyword);
	return NULL;
}

/* Set SMTP_Extensions to all but number ${gone}, or to all. */
static void
set_extensions(struct fake *f, size_t gone)
{
	static char names[ESMTP_NEXTS][LIM_NAME];
	static char *list[ESMTP_NEXTS];
	size_t i, n = 0;

	for (i = 0; i < ESMTP_NEXTS; i++) {
		snprintf(names[i], sizeof(names[i]), "%s",
		    esmtp_exts[i]->keyword);
		if (i != gone)
			list[n++] = names[i];
	}
	f->h.options.smtp_extensions.v = list;
	f->h.options.smtp_extensions.n = n;
}

/* With all that extensions need to be there, but for TLS and a login. */
static struct fake *
start(size_t gone)
{
	struct fake *f = fake_new();

	simtls_use(&f->h);
	fake_option(f, "TLS_Certificate", "server.pem", NULL);
	fake_option(f, "TLS_Key", "server.key", NULL);
	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	fake_option(f, "ETRN_Domains", "*", NULL);
	fake_option(f, "Allow_XCLIENT", "true", NULL);
	fake_option(f, "Allow_XFORWARD", "true", NULL);
	fake_option(f, "Allow_XCONTEXT", "true", NULL);
	fake_option(f, "No_Soliciting", "net.example:ADV", NULL);
	fake_option(f, "Future_Release_Max", "1h", NULL);
	fake_option(f, "Max_Errors", "0", NULL);
	set_extensions(f, gone);
	fake_connect(f);
	return f;
}

static void
end(struct fake *f)
{
	f->h.options.smtp_extensions.v = NULL;
	f->h.options.smtp_extensions.n = 0;
	fake_end(f);
}

/* Is the keyword that of a line of the reply to EHLO? */
static bool
is_listed(const char *reply, const char *keyword)
{
	const char *line;
	size_t len = strlen(keyword);

	for (line = reply; *line != '\0'; line = strchr(line, '\n') + 1)
		if (strncmp(line + 4, keyword, len) == 0 &&
		    (line[4 + len] == ' ' || line[4 + len] == '\r'))
			return true;
	return false;
}

/* Another one has a parameter of that name, too. */
static bool
is_shared(const char *keyword)
{
	const struct esmtp_param *p;
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < ESMTP_NEXTS; i++)
		for (p = esmtp_exts[i]->params;
		    p != NULL && p->keyword != NULL; p++)
			n += strcmp(p->keyword, keyword) == 0;
	return n > 1;
}

/* The reply to a parameter, in the state in which it may be said. */
static const char *
say_param(struct fake *f, const struct esmtp_param *p)
{
	char line[200];

	fake_say(f, "RSET\r\n");
	if (p->is_for_rcpt)
		fake_say(f, "MAIL FROM:<a@client.example>\r\n");
	snprintf(line, sizeof(line), "%s:<alice@example.test> %s\r\n",
	    p->is_for_rcpt ? "RCPT TO" : "MAIL FROM", sample(p->keyword));
	return fake_say(f, line);
}

static void
check_params(struct fake *f, size_t i, bool is_gone)
{
	const struct esmtp_param *p;
	const char *reply;

	for (p = esmtp_exts[i]->params; p != NULL && p->keyword != NULL; p++) {
		if (is_gone && is_shared(p->keyword))
			continue;
		reply = say_param(f, p);
		cr_expect_eq(strncmp(reply, is_gone ? "555 " : "250 ", 4), 0,
		    "%s, %s%s: %s", esmtp_exts[i]->keyword, p->keyword,
		    is_gone ? ", which is gone" : "", reply);
	}
	fake_say(f, "RSET\r\n");
}

static void
check_verbs(struct fake *f, size_t i)
{
	const char *reply;
	char line[80];
	size_t v;

	for (v = 0; v < esmtp_nverbs; v++) {
		if (esmtp_verbs[v].extension != i)
			continue;
		/* BDAT is for a transaction */
		if (esmtp_verbs[v].flags & VF_CHUNK)
			fake_say(f, "MAIL FROM:<>\r\n");
		snprintf(line, sizeof(line), "%s%s\r\n", esmtp_verbs[v].name,
		    esmtp_verbs[v].flags & VF_ARG ? " 0" : "");
		reply = fake_say(f, line);
		cr_expect_eq(strncmp(reply, "502 ", 4), 0, "%s: %s",
		    esmtp_verbs[v].name, reply);
		fake_say(f, "RSET\r\n");
	}
}

/* Number ${i} in a session that has it, or from which it was taken. */
static void
check(size_t i, bool is_gone)
{
	struct esmtp_tls tls = { .size = sizeof(tls), .protocol = "TLSv1.3" };
	struct fake *f = start(is_gone ? i : ESMTP_NEXTS);
	const char *keyword = esmtp_exts[i]->keyword;

	fake_say(f, "EHLO client.example\r\n");
	if (is_gone)
		check_verbs(f, i);
	if (i == ESMTP_EXT_REQUIRETLS)
		fake_mc(f)->ac->tls = &tls;
	if (i == ESMTP_EXT_FUTURERELEASE)
		fake_say(f, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n");
	fake_say(f, "EHLO client.example\r\n");
	cr_expect_eq(is_listed(f->reply, keyword), !is_gone, "%s: %s", keyword,
	    f->reply);
	check_params(f, i, is_gone);
	fake_mc(f)->ac->tls = NULL;
	end(f);
}

Test(esmtp_ext, each_is_there_with_its_parameters)
{
	size_t i;

	cr_assert_eq(simtls_setup(), 0);
	for (i = 0; i < ESMTP_NEXTS; i++)
		check(i, false);
}

Test(esmtp_ext, each_can_be_taken_away_whole)
{
	size_t i;

	cr_assert_eq(simtls_setup(), 0);
	for (i = 0; i < ESMTP_NEXTS; i++)
		check(i, true);
}
