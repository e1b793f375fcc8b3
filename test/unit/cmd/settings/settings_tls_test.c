#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/master/config/tls_options.h"
#include "cmd/settings/settings_tls.h"
#include "test/unit/cmd/settings/load.h"

#define PAIR(name) \
	"TLS_Certificate = \"/" name ".crt\" TLS_Key = \"/" name ".key\" "

static int
context_at(const struct settings *s, size_t listen, const char *peer)
{
	union addr addr;

	memset(&addr, 0, sizeof(addr));
	addr.in.sin_family = AF_INET;
	inet_pton(AF_INET, peer, &addr.in.sin_addr);
	return settings_tls_context(settings_options_for(s, listen, &addr.sa));
}

Test(settings_tls, without_certificates_there_is_nothing)
{
	struct settings *s = load_good_settings("ESMTP_Listener {\n"
	    "Listen \"127.0.0.1:25\" { } }\n");

	cr_expect_eq(s->tls->npairs, 0);
	cr_expect_eq(context_at(s, 0, "192.0.2.1"), -1);
	cr_expect_not(settings_tls_may_use(s, 0, 0));
	settings_free(s);
}

Test(settings_tls, scopes_that_say_the_same_share_a_context)
{
	struct settings *s = load_good_settings("ESMTP_Listener {\n" PAIR("a")
	    "  Listen \"127.0.0.1:25\" { }\n"
	    "  Listen \"127.0.0.1:465\" { Use_SSL = true }\n"
	    "  Listen \"127.0.0.1:587\" { TLS_Ciphers = \"X\" }\n}\n");

	cr_expect_eq(s->tls->npairs, 1);
	cr_expect_eq(s->tls->ncontexts, 2);
	cr_expect_eq(context_at(s, 0, "192.0.2.1"), 0);
	cr_expect_eq(context_at(s, 1, "192.0.2.1"), 0);
	cr_expect_eq(context_at(s, 2, "192.0.2.1"), 1);
	settings_free(s);
}

Test(settings_tls, pairs_are_numbered_as_they_stand)
{
	struct settings *s = load_good_settings("ESMTP_Listener {\n"
	    "  TLS_Certificate = { \"/a.crt\", \"/b.crt\" }\n"
	    "  TLS_Key = { \"/a.key\", \"/b.key\" }\n"
	    "  TLS_OCSP_Response = { \"/a.der\" }\n"
	    "  Listen \"127.0.0.1:25\" { }\n}\n");
	const struct settings_tls_context *x;

	cr_assert_eq(s->tls->npairs, 2);
	x = &s->tls->contexts[0];
	cr_assert_eq(x->npairs, 2);
	cr_expect_eq(x->pairs[0], 0);
	cr_expect_eq(x->pairs[1], 1);
	cr_expect_str_eq(s->tls->pairs[0].ocsp, "/a.der");
	cr_expect_str_eq(s->tls->pairs[1].cert, "/b.crt");
	cr_expect_str_eq(s->tls->pairs[1].key, "/b.key");
	cr_expect_str_eq(s->tls->pairs[1].ocsp, "");
	settings_free(s);
}

Test(settings_tls, a_listener_may_use_its_own_keys_and_those_of_its_peers)
{
	struct settings *s = load_good_settings("ESMTP_Listener {\n"
	    "  Listen \"127.0.0.1:25\" { " PAIR("a") "\n"
	    "    Peer \"10.0.0.0/8\" { " PAIR("b") "}\n  }\n"
	    "  Listen \"127.0.0.1:26\" { " PAIR("c") "}\n"
	    "  Listen \"127.0.0.1:27\" { }\n}\n");
	/* pairs: numbered in the order of Peer scopes, then without */
	static const bool may[4][4] = {
		{ true, true, false, false }, { false, false, true, false },
	};
	size_t i;
	uint32_t k;

	cr_assert_eq(s->tls->npairs, 3);
	for (i = 0; i < 4; i++)
		for (k = 0; k < 4; k++)
			cr_expect_eq(settings_tls_may_use(s, i, k), may[i][k],
			    "%zu %u", i, k);
	cr_expect_neq(context_at(s, 0, "10.1.2.3"),
	    context_at(s, 0, "192.0.2.1"));
	cr_expect_eq(context_at(s, 2, "192.0.2.1"), -1);
	settings_free(s);
}

Test(settings_tls, client_cas_are_counted_once)
{
	struct settings *s = load_good_settings("ESMTP_Listener {\n" PAIR("a")
	    "  Listen \"127.0.0.1:25\" { TLS_Client_CA = \"/ca\"\n"
	    "    TLS_Verify_Mode = \"require\" }\n"
	    "  Listen \"127.0.0.1:26\" { TLS_Client_CA = \"/ca\" }\n"
	    "  Listen \"127.0.0.1:27\" { }\n}\n");

	cr_expect_eq(s->tls->nclient_cas, 1);
	cr_assert_eq(s->tls->ncontexts, 3);
	cr_expect_eq(s->tls->contexts[0].client_ca, 1);
	cr_expect_eq(s->tls->contexts[1].client_ca, 1);
	cr_expect_eq(s->tls->contexts[2].client_ca, 0);
	settings_free(s);
}

Test(settings_tls, what_does_not_go_together_is_named_with_its_line)
{
	static const struct {
		const char	*text, *start;
	} rows[] = {
		{ "TLS_Certificate = \"/a\"",
		    "m.conf:2:19: option 'TLS_Certificate': expected one key" },
		{ "TLS_Key = \"/a\"",
		    "m.conf:2:11: option 'TLS_Key': expected one key" },
		{ PAIR("a") "TLS_OCSP_Response = { \"/a\", \"/b\" }",
		    "m.conf:2:67: option 'TLS_OCSP_Response': expected at most" },
		{ "Use_SSL = true",
		    "m.conf:2:11: option 'Use_SSL': expected TLS_Certificate" },
		{ "Require_TLS = true",
		    "m.conf:2:15: option 'Require_TLS': expected TLS_Cert" },
		{ PAIR("a") "TLS_Verify_Mode = \"require\"",
		    "m.conf:2:65: option 'TLS_Verify_Mode': expected TLS_Client" },
		{ "TLS_Certificate = \"a\" TLS_Key = \"/a\"",
		    "m.conf:2:19: option 'TLS_Certificate': expected an abs" },
	};
	char text[512];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "ESMTP_Listener {\n%s\n"
		    "Listen \"127.0.0.1:25\" { }\n}\n", rows[i].text);
		cr_expect_null(load_settings(NULL, "%s", text), "%s", rows[i].text);
		cr_expect(strncmp(load_error, rows[i].start, strlen(rows[i].start))
		    == 0, "%s: %s", rows[i].text, load_error);
	}
}

Test(settings_tls, what_comes_from_the_command_line_is_said_so)
{
	cr_expect_null(load_settings("Use_SSL=true",
	    "ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"));
	cr_expect(strncmp(load_error, "-D: ", 4) == 0, "%s", load_error);
}

Test(tls_options, what_openssl_does_not_know_is_named_with_its_line)
{
	static const struct {
		const char	*text, *name;
	} rows[] = {
		{ "TLS_Protocols = \"TLSv1.1\"", "TLS_Protocols" },
		{ "TLS_Protocols = \"SSLv9\"", "TLS_Protocols" },
		{ "TLS_Ciphers = \"NO-SUCH-CIPHER\"", "TLS_Ciphers" },
		{ "TLSv13_Ciphersuites = \"NO\"", "TLSv13_Ciphersuites" },
		{ "TLS_Groups = \"P-1\"", "TLS_Groups" },
	};
	char text[512], where[64];
	struct settings *s;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "ESMTP_Listener {\n" PAIR("a")
		    "\nListen \"127.0.0.1:25\" {\n%s } }\n", rows[i].text);
		snprintf(where, sizeof(where), "m.conf:4:%zu: option '%s': ",
		    strlen(rows[i].name) + 4, rows[i].name);
		s = load_good_settings("%s", text);
		cr_expect_eq(tls_options_check(s, load_error, sizeof(load_error)), -1, "%s",
		    rows[i].text);
		cr_expect(strncmp(load_error, where, strlen(where)) == 0, "%s", load_error);
		settings_free(s);
	}
}

Test(tls_options, the_defaults_are_good)
{
	struct settings *s = load_good_settings("ESMTP_Listener {\n" PAIR("a")
	    "Listen \"127.0.0.1:25\" { }\n}\n");

	cr_expect_eq(tls_options_check(s, load_error, sizeof(load_error)), 0, "%s", load_error);
	settings_free(s);
}
