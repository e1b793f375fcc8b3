#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/cmd/settings/load.h"

/* Of a file whose listener has ${text} in line 2. */
static bool
is_good(const char *text)
{
	struct settings *s = load_settings(NULL, "ESMTP_Listener {\n%s\n"
	    "Listen \"127.0.0.1:25\" { }\n}\n", text);

	settings_free(s);
	return s != NULL;
}

Test(settings_auth, back_ends_and_what_they_can)
{
	static const char *const rows[] = {
		"",
		"Auth_Backend = \"\"",
		"Auth_Backend = \"passwd:/etc/mailmill/passwd\"",
		"Auth_Backend = \"pam:mailmill\"",
		"Auth_Backend = \"dovecot:/run/dovecot/auth-client\"",
		"Auth_Backend = \"passwd:/a\" "
		    "Auth_Mechanisms = { \"SCRAM-SHA-256\", \"plain\" }",
		"Auth_Backend = \"pam:m\" Auth_Mechanisms = { \"LOGIN\" }",
		"Auth_Backend = \"pam:m\" Auth_Without_TLS = true "
		    "Require_Auth = true",
		/* nobody can log in: nothing is offered */
		"Auth_Mechanisms = { \"CRAM-MD5\" }",
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect(is_good(rows[i]), "%s: %s", rows[i], load_error);
}

Test(settings_auth, what_is_none_is_named_with_its_line)
{
	static const struct {
		const char	*text, *line, *about;
	} rows[] = {
		{ "Auth_Backend = \"ldap:x\"", "m.conf:2:16: ", "passwd:/" },
		{ "Auth_Backend = \"passwd\"", "m.conf:2:16: ", "passwd:/" },
		{ "Auth_Backend = \"passwd:users\"", "m.conf:2:16: ", "users" },
		{ "Auth_Backend = \"pam:../x\"", "m.conf:2:16: ", "pam.d" },
		{ "Auth_Mechanisms = { \"PLAIN\", \"NTLM\" }", "m.conf:2:30: ",
		    "found \"NTLM\"" },
		{ "Auth_Backend = \"pam:m\" Auth_Mechanisms = "
		    "{ \"PLAIN\", \"SCRAM-SHA-256\" }", "m.conf:3:1: ",
		    "cannot do SCRAM-SHA-256" },
		{ "Auth_Mechanisms = { \"SCRAM-SHA-256\" } Peer \"10.0.0.0/8\""
		    " { Auth_Backend = \"pam:m\" }", "m.conf:3:1: ",
		    "cannot do SCRAM-SHA-256" },
		{ "Require_Auth = true", "m.conf:3:1: ",
		    "without Auth_Backend" },
		{ "Require_Auth = true Auth_Backend = \"pam:m\"",
		    "m.conf:3:1: ", "inside TLS only" },
		{ "Require_Auth = true Auth_Backend = \"passwd:/x\" "
		    "Auth_Without_TLS = true "
		    "Auth_Mechanisms = { \"SCRAM-SHA-1-PLUS\" }",
		    "m.conf:3:1: ", "inside TLS only" },
		{ "Require_Auth = true Auth_Backend = \"passwd:/x\" "
		    "TLS_Certificate = \"/c\" TLS_Key = \"/k\" "
		    "Auth_Mechanisms = { \"EXTERNAL\" }",
		    "m.conf:3:1: ", "set TLS_Client_CA" },
		{ "Auth_Backend = \"pam:m\" Auth_Without_TLS = true "
		    "Peer \"10.0.0.0/8\" { Require_Auth = true "
		    "Auth_Backend = \"\" }", "m.conf:3:1: ",
		    "without Auth_Backend" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_not(is_good(rows[i].text), "%s", rows[i].text);
		cr_expect_eq(strncmp(load_error, rows[i].line, strlen(rows[i].line)),
		    0, "%s", load_error);
		cr_expect_not_null(strstr(load_error, rows[i].about), "%s", load_error);
	}
}
