#include "cmd/settings/route_extension.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/worker/worker_int.h"
#include "cmd/settings/route.h"
#include "cmd/settings/route_alias.h"
#include "test/unit/cmd/settings/load.h"
#include "test/unit/core/util/utf8_fail.h"

#define LISTEN	"ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"

static char file[] = "/tmp/route-ext-test.XXXXXX";

static void
make(char *path, const char *text)
{
	int fd;

	strcpy(strchr(path, '.'), ".XXXXXX");
	cr_assert_neq(fd = mkstemp(path), -1);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void
end(void)
{
	unlink(file);
}

TestSuite(route_extension, .fini = end);

static const struct row {
	const char *delimiters, *address;
	const char *bare;	/* NULL: there is no extension */
	const char *text;
} rows[] = {
	{ "", "joe+x@a.test", NULL, NULL },
	{ "+", "joe@a.test", NULL, NULL },
	{ "+", "joe+x@a.test", "joe@a.test", "x" },
	{ "+", "joe+x+y@a.test", "joe@a.test", "x+y" },
	{ "+-", "joe-x+y@a.test", "joe@a.test", "x+y" },
	{ "+-", "joe+x-y@a.test", "joe@a.test", "x-y" },
	{ "+", "joe-x@a.test", NULL, NULL },
	{ "+", "joe+@a.test", "joe@a.test", "" },
	{ "+", "+x@a.test", NULL, NULL },
	{ "+", "+x+y@a.test", "+x@a.test", "y" },
	{ "+", "joe@a+b.test", NULL, NULL },
	{ "=", "\xc3\xbc=\xc3\xa4@a.test", "\xc3\xbc@a.test", "\xc3\xa4" },
	/* quotes, where the rest does not need them, and where it does */
	{ "+", "\"joe+a b\"@a.test", "joe@a.test", "a b" },
	{ "+", "\"joe+a\\\"b\"@a.test", "joe@a.test", "a\"b" },
	{ "+", "\"a b+c\"@a.test", "\"a b\"@a.test", "c" },
	{ "+", "\"a@b+c@d\"@a.test", "\"a@b\"@a.test", "c@d" },
	{ "+", "\"+x\"@a.test", NULL, NULL },
	{ "+", "\"\"@a.test", NULL, NULL },
	{ ".", "joe.x@a.test", "joe@a.test", "x" },
	/* what is a name as a whole */
	{ "e", "postmaster@a.test", NULL, NULL },
	{ "-", "MAILER-DAEMON@a.test", NULL, NULL },
	{ "-", "owner-list@a.test", NULL, NULL },
	{ "-", "list-Request@a.test", NULL, NULL },
	{ "-", "-request@a.test", NULL, NULL },
	{ "+", "owner-list+x@a.test", "owner-list@a.test", "x" },
	{ "+", "postmaster+x@a.test", "postmaster@a.test", "x" },
};

Test(route_extension, begins_at_the_first_delimiter)
{
	char delimiters[8], bare[ROUTE_ADDRESS_MAX], text[ROUTE_ADDRESS_MAX];
	struct settings_domain d = { .recipient_delimiter = delimiters };
	size_t i, at;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		strcpy(delimiters, rows[i].delimiters);
		at = route_extension(&d, rows[i].address);
		cr_expect_eq(at != 0, rows[i].bare != NULL, "%s",
		    rows[i].address);
		if (at == 0 || rows[i].bare == NULL)
			continue;
		cr_expect_eq(route_extension_strip(rows[i].address, at, bare),
		    0);
		cr_expect_str_eq(bare, rows[i].bare);
		route_extension_text(rows[i].address, at, text);
		cr_expect_str_eq(text, rows[i].text);
	}
}

Test(route_extension, delimiters_are_no_letters_quotes_or_at)
{
	static const char *const bad[] = { "a", "7", "@", "\\\"", " ", "\\\\",
		"+@", "\xc3\xbc", "12345678901234567" };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_null(load_settings(NULL, LISTEN "Domain \"a.test\" "
		    "{ Recipient_Delimiter = \"%s\" }\n", bad[i]), "%s",
		    bad[i]);
		cr_expect_not_null(strstr(load_error,
		    "option 'Recipient_Delimiter'"), "%s", load_error);
	}
}

static const char domains[] = LISTEN
    "Domain \"a.test\" { Maildir = \"/v/%%u\" Recipient_Delimiter = \"+-\" "
    "Recipients = \"file:%s\" }\n"
    "Domain \"b.test\" { Maildir = \"/w/%%u\" Recipients = \"file:%s\" }\n"
    "Domain \"c.test\" { Maildir = \"/x/%%u\" Recipient_Delimiter = \"+\" }\n"
    "Domain \"d.test\" { Delivery = lmtp Route = \"unix:/l\" "
    "Recipient_Delimiter = \"+\" Recipients = \"file:%s\" }\n";

static const struct place {
	const char *rcpt, *target, *extension;
	bool is_unknown;
} places[] = {
	{ "joe@a.test", "/v/joe", "", false },
	{ "Joe+Lists@a.test", "/v/joe", "Lists", false },
	{ "ann-x@a.test", "/v/ann-x", "", false },
	{ "ann-y@a.test", "/v/ann", "y", true },
	{ "ann-x+y@a.test", "/v/ann", "x+y", true },
	{ "postmaster+x@a.test", "/v/postmaster", "x", false },
	{ "joe+x@b.test", "/w/joe+x", "", true },
	{ "any+one@c.test", "/x/any", "one", false },
	{ "any+a/b@c.test", "/x/any", "a/b", false },
	{ "joe+x@d.test", "unix:/l", "x", false },
	{ "eve+x@d.test", "unix:/l", "x", true },
};

/* The agent reads the file where it says which mailbox it is. */
Test(route_extension, the_whole_address_may_have_a_mailbox)
{
	char err[SETTINGS_ERROR_MAX], text[JOB_TEXT];
	struct settings *worker, *agent;
	struct route route, later;
	size_t i;

	make(file, "joe\nann-x\n");
	worker = load_good_settings(domains, file, file, file);
	agent = load_good_settings(domains, file, file, file);
	cr_assert_eq(settings_load_recipients(worker, err, sizeof(err)), 0);
	cr_assert_eq(settings_load_mailboxes(agent, err, sizeof(err)), 0);
	cr_expect_null(settings_domain_find(agent, "b.test", 6)->
	    recipients_table);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		route_find(worker, places[i].rcpt, &route);
		cr_expect_eq(route.verdict, places[i].is_unknown ?
		    ROUTE_UNKNOWN_USER : ROUTE_DELIVER, "%s", places[i].rcpt);
		cr_assert_eq(route_deliver(agent, 0, places[i].rcpt, &later,
		    text), 0, "%s: %s", places[i].rcpt, text);
		cr_expect_str_eq(later.target, places[i].target);
		cr_expect_str_eq(later.extension, places[i].extension);
	}
	utf8_fail(true);
	route_find(worker, "J\xc3\xbc+x@a.test", &route);
	utf8_fail(false);
	cr_expect_eq(route.verdict, ROUTE_LATER);
	settings_free(worker);
	settings_free(agent);
}

static const struct alias {
	const char *rcpt, *target;	/* NULL: it is none */
	const char *extension;
} aliases[] = {
	{ "team@a.test", "joe", "" },
	{ "team+x@a.test", "joe", "+x" },
	{ "team+y@a.test", "ann", "" },
	{ "whole+x@a.test", "whole", "+x" },
	{ "nobody+x@a.test", NULL, NULL },
	{ "nobody+x@c.test", "@a.test", "" },
	{ "team+x@b.test", NULL, NULL },
};

Test(route_extension, the_whole_address_is_the_alias_before_the_bare_one)
{
	char err[SETTINGS_ERROR_MAX], owner[ROUTE_ADDRESS_MAX];
	struct route_alias_found found;
	struct settings *s;
	size_t i;

	make(file, "team@a.test: joe\nteam+y@a.test: ann\n"
	    "whole@a.test: whole\n@c.test: @a.test\nteam@b.test: x\n"
	    "owner-team@a.test: ann\n");
	s = load_good_settings(LISTEN
	    "Domain \"a.test\" { Aliases = \"file:%s\" "
	    "Recipient_Delimiter = \"+\" }\n"
	    "Domain \"b.test\" { Aliases = \"file:%s\" }\n"
	    "Domain \"c.test\" { Aliases = \"file:%s\" "
	    "Recipient_Delimiter = \"+\" }\n", file, file, file);
	cr_assert_eq(settings_load_aliases(s, err, sizeof(err)), 0, "%s", err);
	for (i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		cr_expect_eq(route_alias(s, aliases[i].rcpt, 0, &found),
		    aliases[i].target == NULL ? ROUTE_ALIAS_NONE :
		    ROUTE_ALIAS_TABLE, "%s", aliases[i].rcpt);
		if (aliases[i].target == NULL)
			continue;
		cr_expect_str_eq(found.targets, aliases[i].target);
		if (*aliases[i].extension == '\0')
			cr_expect_eq(found.extension, 0);
		else
			cr_expect_eq(strncmp(aliases[i].rcpt + found.extension,
			    aliases[i].extension, 2), 0);
	}
	cr_expect_eq(route_alias_owner(s, "team+x@a.test", owner), 1);
	cr_expect_str_eq(owner, "owner-team@a.test");
	cr_expect_eq(route_alias_owner(s, "joe+x@a.test", owner), 0);
	settings_free(s);
}

Test(route_extension, goes_on_to_where_the_same_delimiter_counts)
{
	static const struct { const char *of, *to, *want; } cases[] = {
		{ "team+x@a.test", "joe@a.test", "joe+x@a.test" },
		{ "team-x@a.test", "joe@a.test", "joe-x@a.test" },
		{ "team+x@a.test", "joe+y@a.test", "joe+y@a.test" },
		{ "team+x@a.test", "joe@b.test", "joe@b.test" },
		{ "team+x@a.test", "joe@c.test", "joe+x@c.test" },
		{ "team-x@a.test", "joe@c.test", "joe@c.test" },
		{ "team+x@a.test", "joe@far.test", "joe@far.test" },
		{ "team+x@a.test", "postmaster@a.test", "postmaster@a.test" },
		{ "team+x@a.test", "\"a b\"@a.test", "\"a b\"@a.test" },
		{ "\"team+x y\"@a.test", "joe@a.test", "joe@a.test" },
	};
	struct settings *s = load_good_settings(domains, file, file, file);
	char buf[ROUTE_ADDRESS_MAX];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(buf, cases[i].to);
		route_extension_add(s, cases[i].of, strcspn(cases[i].of,
		    "+-"), buf);
		cr_expect_str_eq(buf, cases[i].want);
	}
	settings_free(s);
}
