#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/settings/route.h"
#include "core/table/sender_logins.h"
#include "test/unit/cmd/settings/load.h"

/* A domain is the same in UTF-8, in each normal form and case, and with
 * A-labels. */
#define GREEN	"gr\xc3\xbcn.example"
#define GREEN_D	"GRU\xcc\x88N.Example"
#define GREEN_A	"xn--grn-ioa.example"

#define LISTEN	"ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"

static char file[] = "/tmp/settings-utf8.XXXXXX";

static void
put(const char *text)
{
	FILE *fp;
	int fd;

	strcpy(file + strlen(file) - 6, "XXXXXX");
	cr_assert_neq(fd = mkstemp(file), -1);
	cr_assert_not_null(fp = fdopen(fd, "w"));
	fputs(text, fp);
	cr_assert_eq(fclose(fp), 0);
}

static bool
is_delivered(const struct settings *s, const char *rcpt, const char *target)
{
	struct route r;

	route_find(s, rcpt, &r);
	return r.verdict == ROUTE_DELIVER && strcmp(r.target, target) == 0;
}

Test(settings_utf8, a_domain_is_found_however_it_is_written)
{
	static const char *const titles[] = { GREEN, GREEN_D, GREEN_A,
		"XN--GRN-IOA.example" };
	struct settings *s;
	size_t i;

	for (i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
		s = load_good_settings(LISTEN
		    "Domain \"%s\" { Maildir = \"/v/%%d/%%u\" }\n"
		    "Domain \"*.%s\" { Maildir = \"/w/%%d/%%u\" }\n", titles[i],
		    titles[i]);
		cr_expect(is_delivered(s, "A@" GREEN_A, "/v/" GREEN_A "/a"));
		cr_expect(is_delivered(s, "a@mx." GREEN_A,
		    "/w/mx." GREEN_A "/a"));
		/* the folder of a mailbox is in lower case, NFC */
		cr_expect(is_delivered(s, "J\xc3\x9cRGEN@" GREEN_A,
		    "/v/" GREEN_A "/j\xc3\xbcrgen"));
		cr_expect_str_eq(s->default_domain->name, GREEN_A);
		settings_free(s);
	}
}

Test(settings_utf8, two_sections_of_one_domain_are_refused)
{
	cr_expect_null(load_settings(NULL, LISTEN
	    "Domain \"" GREEN_A "\" { }\n"
	    "Domain \"other.example\" { }\n"
	    "Domain \"" GREEN_D "\" { }\n"));
	cr_expect_not_null(strstr(load_error, "m.conf:4:"), "%s", load_error);
	cr_expect_not_null(strstr(load_error, "another section in line 2"),
	    "%s", load_error);
}

Test(settings_utf8, recipients_are_found_however_they_are_written)
{
	char err[SETTINGS_ERROR_MAX] = "";
	struct settings *s;

	/* these become longer: U-labels, and a letter in three parts */
	put("Ju\xcc\x88rgen\n"
	    "a@" GREEN_D "  # one\n"
	    "b@" GREEN_A "\n"
	    "\xc7\x96@" GREEN "\n"
	    "\"odd \xc3\x9c\"@" GREEN "\n");
	s = load_good_settings(LISTEN
	    "Domain \"" GREEN "\" { Maildir = \"/v/%%u\"\n"
	    "Recipients = \"file:%s\" }\n", file);
	cr_assert_eq(settings_load_recipients(s, err, sizeof(err)), 0, "%s",
	    err);
	cr_expect(is_delivered(s, "j\xc3\xbcrgen@" GREEN_A, "/v/j\xc3\xbcrgen"));
	cr_expect(is_delivered(s, "J\xc3\x9cRGEN@" GREEN_A, "/v/j\xc3\xbcrgen"));
	cr_expect(is_delivered(s, "a@" GREEN_A, "/v/a"));
	cr_expect(is_delivered(s, "B@" GREEN_A, "/v/b"));
	cr_expect(is_delivered(s, "\xc7\x95@" GREEN_A, "/v/\xc7\x96"));
	cr_expect(is_delivered(s, "\"odd \xc3\xbc\"@" GREEN_A,
	    "/v/\"odd \xc3\xbc\""));
	cr_expect_not(is_delivered(s, "jurgen@" GREEN_A, "/v/jurgen"));
	settings_free(s);
	unlink(file);
}

Test(settings_utf8, an_address_that_no_client_can_use_is_refused)
{
	static const struct { const char *text, *why; } files[] = {
		{ "a\nb\xe2\x80\x8b\n", ":2: no client can use" },
		{ "gr\xfcn\n", ":1: no client can use" },
		{ "a@i\xe2\x9d\xa4.example\n", ":1: no client can use" },
		{ "a@r\xc3\xb6t.example\n", ":1: there is no Domain section" },
	};
	char err[SETTINGS_ERROR_MAX];
	struct settings *s;
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		put(files[i].text);
		s = load_good_settings(LISTEN
		    "Domain \"" GREEN "\" { Recipients = \"file:%s\" }\n",
		    file);
		*err = '\0';
		cr_expect_eq(settings_load_recipients(s, err, sizeof(err)), -1);
		cr_expect_not_null(strstr(err, files[i].why), "%s", err);
		settings_free(s);
		unlink(file);
	}
}

Test(settings_utf8, senders_are_found_however_they_are_written)
{
	char err[SETTINGS_ERROR_MAX] = "", value[64];
	const struct textfile *t;
	struct settings *s;

	put("@" GREEN_D "\tj\xc3\xbcrgen  boss\n"
	    "\xc3\x9c@" GREEN_A " alice\n");
	snprintf(value, sizeof(value), "file:%s", file);
	s = load_good_settings("ESMTP_Listener { Sender_Login = \"%s\"\n"
	    "Listen \"127.0.0.1:25\" { } }\n", value);
	cr_assert_eq(settings_load_sender_logins(s, err, sizeof(err)), 0, "%s",
	    err);
	t = settings_sender_logins(s, value);
	cr_assert_not_null(t);
	cr_expect(sender_logins_may(t, "j\xc3\xbcrgen", "x@" GREEN_A));
	cr_expect(sender_logins_may(t, "boss", "x@" GREEN_A));
	cr_expect_not(sender_logins_may(t, "alice", "x@" GREEN_A));
	cr_expect(sender_logins_may(t, "alice", "\xc3\xbc@" GREEN_A));
	cr_expect_not(sender_logins_may(t, "boss", "\xc3\xbc@" GREEN_A));
	settings_free(s);
	unlink(file);
}

Test(settings_utf8, names_of_the_server_and_domains_become_a_labels)
{
	struct settings *s = load_good_settings(
	    "hostname = \"mx." GREEN_D "\"\n"
	    "ESMTP_Listener {\n"
	    "Banner_Hostname = \"" GREEN "\"\n"
	    "Relay_Domains = { \"" GREEN "\", \"*.fa\xc3\x9f.example\" }\n"
	    "Listen \"127.0.0.1:25\" { } }\n"
	    "Domain \"" GREEN_A "\" { }\n"
	    "Domain \"*.fa\xc3\x9f.example\" { }\n");
	const struct esmtp_options *o = settings_options_at(s, 0, 0);

	cr_expect_str_eq(s->hostname, "mx." GREEN_A);
	cr_expect_str_eq(o->hostname, "mx." GREEN_A);
	cr_expect_str_eq(o->banner_hostname, GREEN_A);
	cr_assert_eq(o->relay_domains.n, 2);
	cr_expect_str_eq(o->relay_domains.v[0], GREEN_A);
	cr_expect_str_eq(o->relay_domains.v[1], "*.xn--fa-hia.example");
	settings_free(s);
}

Test(settings_utf8, what_is_no_domain_is_refused)
{
	static const char *const bad[] = {
		"hostname = \"gr\xfcn.example\"\n" LISTEN,
		"hostname = \"a\xe2\x80\x8b.example\"\n" LISTEN,
		"hostname = \"-\xc3\xbc.example\"\n" LISTEN,
		"ESMTP_Listener { Relay_Domains = { \"i\xe2\x9d\xa4.example\" }\n"
		    "Listen \":25\" { } }\n",
		"ESMTP_Listener { Received_Hostname = \"\xff\"\n"
		    "Listen \":25\" { } }\n",
		"Relay_For_Sending_Domains = { \"\xc3\xbc*.example\" }\n" LISTEN,
		LISTEN "Domain \"a\xe3\x80\x82" "b\" { }\n",
		LISTEN "Domain \"*.\xc3\xbc..b\" { }\n",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_null(load_settings(NULL, "%s", bad[i]), "row %zu", i);
		cr_expect_not_null(strstr(load_error, "expected"), "row %zu: %s",
		    i, load_error);
	}
}
