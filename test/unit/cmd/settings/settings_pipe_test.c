#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/cmd/settings/load.h"

#define LISTEN	"ESMTP_Listener { Listen \"127.0.0.1:2525\" { } }\n"
#define PIPE	"Delivery = pipe Pipe_User = \"list\" "
#define CAT	"Command = \"/bin/cat\" "

/* A Domain section, and the end of the message; NULL: it is right. */
static const struct {
	const char *domain, *why;
} cases[] = {
	{ PIPE CAT, NULL },
	{ PIPE "Command = { \"/usr/bin/procmail\", \"-a\", '${extension}' }",
	    NULL },
	{ PIPE CAT "Pipe_Group = \"mail\" Pipe_Folder = \"/var/lib\" "
	    "Pipe_Timeout = 30s Pipe_Memory = 0 Pipe_Output = 4K "
	    "Pipe_Processes = 1 Pipe_Newline = crlf", NULL },
	{ PIPE CAT "Pipe_Headers = { From, return-path, Delivered-To, "
	    "X-Original-To }", NULL },
	{ PIPE CAT "Pipe_Headers = none Pipe_Recipients = 100", NULL },
	{ PIPE, "option 'Command': Domain \"a.test\" has Delivery = \"pipe\", "
	    "but no Command: write the program and its arguments, such as "
	    "Command = { \"/usr/bin/procmail\", \"-a\", '${extension}' }" },
	{ CAT, "m.conf:2:29: option 'Command': only together with Delivery = "
	    "\"pipe\"" },
	{ "Delivery = pipe " CAT, "option 'Pipe_User': Domain \"a.test\" has "
	    "Delivery = \"pipe\", but no Pipe_User: write the account that its "
	    "program is to have" },
	{ "Delivery = pipe Pipe_User = \"root\" " CAT, "m.conf:2:47: option "
	    "'Pipe_User': expected an account other than root, found "
	    "\"root\"" },
	{ PIPE "Command = cat", "expected the absolute path of the program "
	    "first, found \"cat\"" },
	{ PIPE "Command = '/bin/${local}'", "expected the absolute path of the "
	    "program first, found \"/bin/${local}\"" },
	{ PIPE "Command = { /bin/cat, '$HOME' }", "in single quotes, found "
	    "\"$HOME\"" },
	{ PIPE "Command = { /bin/cat, '${user' }", "found \"${user\"" },
	{ PIPE CAT "Pipe_Folder = \"lib\"", "option 'Pipe_Folder': expected an "
	    "absolute path, found \"lib\"" },
	{ PIPE CAT "Pipe_Headers = { none, From }", "expected some of "
	    "Return-Path, Delivered-To, X-Original-To and From, or none alone, "
	    "found \"none\"" },
	{ PIPE CAT "Pipe_Headers = { Subject }", "m.conf:2:90: option "
	    "'Pipe_Headers': expected some of Return-Path, Delivered-To, "
	    "X-Original-To and From, or none alone, found \"Subject\"" },
	{ PIPE CAT "Pipe_Headers = Delivered-To Pipe_Recipients = 2",
	    "since they name one recipient, found \"Delivered-To or "
	    "X-Original-To\"" },
	{ PIPE CAT "Route = \"192.0.2.1\"", "option 'Route': only together with "
	    "Delivery = \"lmtp\" or \"smtp\"" },
};

Test(settings_pipe, is_checked_as_the_table_says)
{
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_domain(LISTEN, cases[i].domain, cases[i].why);
}

Test(settings_pipe, a_command_is_bounded)
{
	char args[2000] = "";
	int i;

	for (i = 0; i < 64; i++)
		strcat(args, ", x");
	cr_expect_null(load_settings(NULL, LISTEN "Domain \"a.test\" { " PIPE
	    "Command = { /bin/cat%s } }\n", args));
	cr_expect_not_null(strstr(load_error, "at most 64 arguments, and 4096 "
	    "octets in all, found \"65 of them\""), "%s", load_error);
	settings_free(load_good_settings(LISTEN "Domain \"a.test\" { " PIPE
	    "Command = { /bin/cat%s } }\n", args + 3));
}

Test(settings_pipe, each_account_is_listed_once)
{
	struct settings *s = load_good_settings(LISTEN
	    "Domain \"b.test\" { " PIPE CAT "}\n"
	    "Domain \"a.test\" { Delivery = pipe Pipe_User = \"mail\" " CAT "}\n"
	    "Domain \"c.test\" { " PIPE CAT "}\n"
	    "Domain \"d.test\" { " PIPE CAT "Pipe_Group = \"mail\" }\n"
	    "Domain \"e.test\" { }\n");

	cr_assert_eq(s->npipe_accounts, 3);
	cr_expect_str_eq(s->pipe_accounts[0].user, "mail");
	cr_expect_str_eq(s->pipe_accounts[1].user, "list");
	cr_expect_str_eq(s->pipe_accounts[1].group, "");
	cr_expect_str_eq(s->pipe_accounts[2].group, "mail");
	cr_expect_eq(s->domains[0].pipe_account, 0);
	cr_expect_eq(s->domains[1].pipe_account, 1);
	cr_expect_eq(s->domains[2].pipe_account, 1);
	cr_expect_eq(s->domains[3].pipe_account, 2);
	cr_expect(settings_is_piped(&s->domains[0]));
	cr_expect(settings_is_maildir(&s->domains[4]));
	cr_expect_not(settings_is_relayed(&s->domains[0]));
	settings_free(s);
}

Test(settings_pipe, there_are_at_most_eight_accounts)
{
	char text[2000] = "";
	int i;

	for (i = 0; i < 9; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "Domain \"d%d.test\" { Delivery = pipe Pipe_User = \"u%d\" "
		    CAT "}\n", i, i);
	cr_expect_null(load_settings(NULL, LISTEN "%s", text));
	cr_expect_not_null(strstr(load_error, "at most 8 different accounts"),
	    "%s", load_error);
}

Test(settings_pipe, agents_are_counted)
{
	static const char domain[] = LISTEN "deliverers = %d\nDomain \"a.test\" "
	    "{ " PIPE CAT "}\n";

	settings_free(load_good_settings(domain, 63));
	cr_expect_null(load_settings(NULL, domain, 64));
}
