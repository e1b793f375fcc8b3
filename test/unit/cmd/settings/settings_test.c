#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd/settings/settings.h"
#include "test/unit/cmd/settings/load.h"

#define LISTEN	"ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"

static char *const err = load_error;

static struct settings *
load(const char *text, const char *override)
{
	return load_settings(override, "%s", text);
}

static struct settings *
load_good(const char *text, const char *override)
{
	struct settings *s = load(text, override);

	cr_assert_not_null(s, "%s", err);
	return s;
}

static const struct esmtp_options *
options_at(const struct settings *s, size_t listen, const char *peer)
{
	union addr addr;

	memset(&addr, 0, sizeof(addr));
	if (strchr(peer, ':') != NULL) {
		addr.in6.sin6_family = AF_INET6;
		inet_pton(AF_INET6, peer, &addr.in6.sin6_addr);
	} else {
		addr.in.sin_family = AF_INET;
		inet_pton(AF_INET, peer, &addr.in.sin_addr);
	}
	return settings_options_for(s, listen, &addr.sa);
}

Test(settings, defaults_are_the_tables)
{
	struct settings *s = load_good(LISTEN, NULL);
	const struct settings_listen *l = &s->listens[0];

	cr_expect_str_eq(s->spool, "/var/spool/mailmill");
	cr_expect_str_eq(s->user, "_mailmill");
	cr_expect_eq(s->drain_time, 30);
	cr_expect_geq(s->workers, 1);
	cr_expect_eq(s->segment_size, 16 << 20);
	cr_expect_eq(s->spool_sync, SPOOL_SYNC_COMMIT);
	cr_expect_eq(s->level, LOG_LEVEL_INFO);
	cr_expect_neq(*s->hostname, '\0');
	cr_expect_eq(s->nlistens, 1);
	cr_expect_eq(s->nservices, 1);
	cr_expect_eq(s->ndomains, 0);
	cr_expect_null(s->default_domain);
	cr_expect_str_eq(l->name, "127.0.0.1:25");
	cr_expect(l->enable);
	cr_expect_eq(l->listen_backlog, 500);
	cr_expect_eq(l->options->command_timeout, 300);
	cr_expect_eq(l->options->max_message_size, 104857600);
	cr_expect(l->options->require_ehlo);
	cr_expect_str_eq(l->options->hostname, s->hostname);
	settings_free(s);
}

Test(settings, a_level_is_the_logs)
{
	static const struct { const char *text; enum log_level level; } c[] = {
		{ "error", LOG_LEVEL_ERROR }, { "warning", LOG_LEVEL_WARNING },
		{ "notice", LOG_LEVEL_NOTICE }, { "INFO", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG },
	};
	struct settings *s;
	char text[200];
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		snprintf(text, sizeof(text), "log_level = %s\n" LISTEN,
		    c[i].text);
		s = load_good(text, NULL);
		cr_expect_eq(s->level, c[i].level, "%s", c[i].text);
		settings_free(s);
	}
}

Test(settings, addresses_to_listen_on)
{
	struct settings *s = load_good("ESMTP_Listener {\n"
	    "Listen \":25\" { }\nListen \"*:26\" { }\n"
	    "Listen \"192.0.2.1:2525\" { }\nListen \"[2001:db8::1]:587\" { }\n"
	    "Listen \"127.0.0.1:0\" { }\n}\n", NULL);
	const struct settings_listen *l = s->listens;
	char text[INET6_ADDRSTRLEN];

	cr_assert_eq(s->nlistens, 5);
	cr_expect(l[0].is_any && l[0].addr.sa.sa_family == AF_INET6);
	cr_expect_eq(ntohs(l[0].addr.in6.sin6_port), 25);
	cr_expect(IN6_IS_ADDR_UNSPECIFIED(&l[0].addr.in6.sin6_addr));
	cr_expect(l[1].is_any);
	cr_expect_eq(ntohs(l[1].addr.in6.sin6_port), 26);
	cr_expect_not(l[2].is_any);
	cr_expect_eq(l[2].addr.sa.sa_family, AF_INET);
	cr_expect_eq(l[2].addr_len, sizeof(struct sockaddr_in));
	cr_expect_eq(ntohs(l[2].addr.in.sin_port), 2525);
	inet_ntop(AF_INET, &l[2].addr.in.sin_addr, text, sizeof(text));
	cr_expect_str_eq(text, "192.0.2.1");
	cr_expect_not(l[3].is_any);
	inet_ntop(AF_INET6, &l[3].addr.in6.sin6_addr, text, sizeof(text));
	cr_expect_str_eq(text, "2001:db8::1");
	cr_expect_eq(l[4].addr.in.sin_port, 0);
	settings_free(s);
}

Test(settings, options_are_looked_up_from_the_inside_out)
{
	struct settings *s = load_good(
	    "Max_Errors = 1\n"
	    "Idle_Time = 10\n"
	    "ESMTP_Listener {\n"
	    "  Max_Errors = 2\n"
	    "  Peer \"10.0.0.0/8\" { Max_Errors = 3\n Command_Timeout = 33 }\n"
	    "  Listen \"127.0.0.1:25\" { }\n"
	    "  Listen \"127.0.0.1:26\" {\n"
	    "    Max_Errors = 4\n"
	    "    Peer \"10.1.0.0/16\" { Max_Errors = 5 }\n"
	    "  }\n"
	    "}\n"
	    "ESMTP_Listener { Listen \"127.0.0.1:27\" { } }\n", NULL);

	cr_expect_eq(options_at(s, 0, "192.0.2.1")->max_errors, 2);
	cr_expect_eq(options_at(s, 0, "10.2.0.1")->max_errors, 3);
	cr_expect_eq(options_at(s, 1, "192.0.2.1")->max_errors, 4);
	/* Listen is further in than a Peer of ESMTP_Listener */
	cr_expect_eq(options_at(s, 1, "10.2.0.1")->max_errors, 4);
	cr_expect_eq(options_at(s, 1, "10.2.0.1")->command_timeout, 33);
	cr_expect_eq(options_at(s, 1, "10.1.0.1")->max_errors, 5);
	cr_expect_eq(options_at(s, 1, "10.1.0.1")->command_timeout, 33);
	cr_expect_eq(options_at(s, 1, "::ffff:10.1.0.1")->max_errors, 5);
	cr_expect_eq(options_at(s, 1, "10.1.0.1")->idle_time, 10);
	cr_expect_eq(options_at(s, 2, "10.1.0.1")->max_errors, 1);
	cr_expect_eq(s->listens[0].service, 0);
	cr_expect_eq(s->listens[1].service, 0);
	cr_expect_eq(s->listens[2].service, 1);
	cr_expect_eq(s->nservices, 2);
	cr_expect_eq(s->listens[1].options->max_errors, 4);
	settings_free(s);
}

Test(settings, the_longest_prefix_counts)
{
	struct settings *s = load_good("ESMTP_Listener {\n"
	    "Peer \"10.0.0.0/8\" { Max_Errors = 8\n Idle_Time = 8 }\n"
	    "Peer \"10.1.2.3\" { Max_Errors = 32 }\n"
	    "Peer \"10.1.0.0/16\" { Max_Errors = 16 }\n"
	    "Peer \"0.0.0.0/0\" { Max_Errors = 0 }\n"
	    "Listen \":25\" {\n"
	    " Peer \"2001:db8::/32\" { Max_Errors = 6 }\n"
	    " Peer \"10.1.0.0/20\" { Data_Timeout = 20 }\n"
	    "} }\n", NULL);

	cr_expect_eq(options_at(s, 0, "10.1.2.3")->max_errors, 32);
	/* one section counts in each scope: nothing comes from the /8 */
	cr_expect_eq(options_at(s, 0, "10.1.2.3")->idle_time, 300);
	cr_expect_eq(options_at(s, 0, "10.1.2.3")->data_timeout, 20);
	cr_expect_eq(options_at(s, 0, "10.1.2.4")->max_errors, 16);
	cr_expect_eq(options_at(s, 0, "10.1.255.4")->data_timeout, 3600);
	cr_expect_eq(options_at(s, 0, "10.2.2.4")->max_errors, 8);
	cr_expect_eq(options_at(s, 0, "10.2.2.4")->idle_time, 8);
	cr_expect_eq(options_at(s, 0, "192.0.2.1")->max_errors, 0);
	cr_expect_eq(options_at(s, 0, "2001:db8::1")->max_errors, 6);
	cr_expect_eq(options_at(s, 0, "2001:db9::1")->max_errors, 20);
	settings_free(s);
}

Test(settings, the_same_scopes_give_the_same_pointer)
{
	struct settings *s = load_good("ESMTP_Listener {\n"
	    "Listen \":25\" { Peer \"10.0.0.0/8\" { } }\n"
	    "Listen \":26\" { } }\n", NULL);

	cr_expect_eq(options_at(s, 0, "10.1.1.1"),
	    options_at(s, 0, "10.2.2.2"));
	cr_expect_eq(options_at(s, 0, "192.0.2.1"), s->listens[0].options);
	cr_expect_neq(options_at(s, 0, "10.1.1.1"), s->listens[0].options);
	cr_expect_neq(options_at(s, 1, "10.1.1.1"), s->listens[0].options);
	settings_free(s);
}

Test(settings, all_options_of_a_listener_can_be_gone_through)
{
	struct settings *s = load_good("ESMTP_Listener {\n"
	    "  Peer \"10.0.0.0/8\" { Max_Errors = 2 }\n"
	    "  Listen \"127.0.0.1:25\" {\n"
	    "    Peer \"10.1.0.0/16\" { Max_Errors = 3 }\n  }\n"
	    "  Listen \"127.0.0.1:26\" { }\n}\n", NULL);
	static const char *const peers[] = { "10.1.0.1", "10.2.0.1",
		"192.0.2.1" };
	const struct esmtp_options *o;
	size_t i, k, found = 0;

	for (i = 0; (o = settings_options_at(s, 0, i)) != NULL; i++)
		for (k = 0; k < 3; k++)
			found += o == options_at(s, 0, peers[k]);
	cr_assert_eq(found, 3);
	cr_assert_null(settings_options_at(s, 0, i + 1));
	settings_free(s);
}

Test(settings, an_override_beats_every_scope)
{
	static const char text[] = "workers = 3\nMax_Errors = 1\n"
	    "ESMTP_Listener { Max_Errors = 2\n Listen \":25\" { Max_Errors = 3\n"
	    "Listen_Backlog = 7\n Peer \"10.0.0.0/8\" { Max_Errors = 4 } } }\n";
	struct settings *s = load_good(text, "max_errors=9");

	cr_expect_eq(options_at(s, 0, "10.1.1.1")->max_errors, 9);
	cr_expect_eq(options_at(s, 0, "192.0.2.1")->max_errors, 9);
	cr_expect_eq(s->workers, 3);
	settings_free(s);
	s = load_good(text, "Workers = 5");
	cr_expect_eq(s->workers, 5);
	settings_free(s);
	s = load_good(text, "Listen_Backlog=99");
	cr_expect_eq(s->listens[0].listen_backlog, 99);
	settings_free(s);
}

Test(settings, lists_reach_the_session)
{
	struct settings *s = load_good("Relay_Domains = { a.test, b.test }\n"
	    "ESMTP_Listener {\n"
	    "Relay_Hosts = { \"10.0.0.0/8\", \"::1\" }\n"
	    "Listen \":25\" { }\n"
	    "Listen \":26\" { Relay_Domains = {}\n Open_Relay = yes } }\n"
	    "Domain \"*\" { }\n", NULL);
	const struct esmtp_options *o = s->listens[0].options;

	cr_assert_eq(o->relay_domains.n, 2);
	cr_expect_str_eq(o->relay_domains.v[1], "b.test");
	cr_assert_eq(o->relay_hosts.n, 2);
	cr_expect_str_eq(o->relay_hosts.v[0], "10.0.0.0/8");
	cr_expect_not(o->open_relay);
	cr_expect_eq(s->listens[1].options->relay_domains.n, 0);
	cr_expect(s->listens[1].options->open_relay);
	settings_free(s);
}

/* What a worker says of a client, the queue can check that far. */
Test(settings, what_any_client_may_ask_of_the_queue_is_known)
{
	struct settings *s = load_good("ESMTP_Listener {\n"
	    "Listen \":25\" { }\n"
	    "Listen \":26\" { ETRN_Domains = { a.test }\n"
	    "Peer \"192.0.2.0/24\" { ETRN_Domains = { \"*.b.test\", b.test } }\n"
	    "} }\n"
	    "Domain \"*\" { }\n", NULL);

	cr_expect(settings_may_etrn(s, "a.test", false));
	cr_expect_not(settings_may_etrn(s, "a.test", true));
	cr_expect(settings_may_etrn(s, "b.test", true));
	cr_expect(settings_may_etrn(s, "x.b.test", false));
	cr_expect_not(settings_may_etrn(s, "c.test", false));
	cr_expect_not(settings_may_etrn(s, "", false));
	cr_expect_not(settings_may_etrn(s, "test", true));
	settings_free(s);
}

Test(settings, listeners_that_are_not_enabled_are_left_out)
{
	struct settings *s = load_good(
	    "ESMTP_Listener { Enable = no\n Listen \":25\" { }\n"
	    " Listen \":26\" { Enable = true } }\n"
	    "ESMTP_Listener { Listen \":27\" { Enable = false }\n"
	    " Listen \":28\" { } }\n", NULL);

	cr_assert_eq(s->nlistens, 2);
	cr_expect_str_eq(s->listens[0].name, ":26");
	cr_expect_str_eq(s->listens[1].name, ":28");
	cr_expect_eq(s->listens[1].service, 1);
	settings_free(s);
}

static const char *
found(const struct settings *s, const char *domain)
{
	const struct settings_domain *d;

	d = settings_domain_find(s, domain, strlen(domain));
	return d == NULL ? "-" : d->name;
}

Test(settings, domains_are_found_exactly_then_by_suffix)
{
	struct settings *s = load_good(LISTEN
	    "Domain \"*.test\" { }\n"
	    "Domain \"Example.TEST\" { Maildir = \"/m/%u\"\n"
	    " Maildir_Newline = lf }\n"
	    "Domain \"*.example.test\" { }\n"
	    "Domain \"a.test\" { }\n", NULL);
	struct settings *any = load_good(LISTEN "Domain \"*\" { }", NULL);

	cr_expect_str_eq(found(s, "example.test"), "example.test");
	cr_expect_str_eq(found(s, "EXAMPLE.test"), "example.test");
	cr_expect_str_eq(found(s, "a.example.test"), "*.example.test");
	cr_expect_str_eq(found(s, "a.b.Example.test"), "*.example.test");
	cr_expect_str_eq(found(s, "other.test"), "*.test");
	cr_expect_str_eq(found(s, "a.test"), "a.test");
	cr_expect_str_eq(found(s, "test"), "-");
	cr_expect_str_eq(found(s, "example.org"), "-");
	cr_expect_str_eq(found(s, ""), "-");
	cr_expect_str_eq(found(s, "."), "-");
	cr_expect_str_eq(found(s, "[192.0.2.1]"), "-");
	cr_expect_str_eq(s->default_domain->name, "example.test");
	cr_expect_eq(s->default_domain->maildir_newline, MAILDIR_NEWLINE_LF);
	cr_expect_str_eq(s->default_domain->maildir, "/m/%u");
	cr_expect_str_eq(found(any, "x"), "*");
	settings_free(s);
	settings_free(any);
}

static void
expect_error(const char *text, const char *override, const char *message)
{
	struct settings *s = load(text, override);

	cr_expect_null(s, "%s", text);
	cr_expect_str_eq(err, message, "%s\n\tsaid: %s\n\tnot:  %s", text, err,
	    message);
	settings_free(s);
}

#define CLASS50	"c123456789c123456789c123456789c123456789c123456789"
#define CLASS	CLASS50 CLASS50 CLASS50 CLASS50 CLASS50

Test(settings, what_is_wrong_is_named)
{
	static const struct {
		const char *text, *override, *message;
	} c[] = {
		{ "", NULL, "m.conf:1:1: no Listen section is enabled: write "
		    "ESMTP_Listener { Listen \":25\" { } }" },
		{ "\nESMTP_Listener { Listen \"25\" { } }", NULL,
		    "m.conf:2:25: option 'Listen': expected address:port, such "
		    "as \":25\", \"127.0.0.1:2525\" or \"[::1]:587\", or "
		    "\"unix:\" and an absolute path, found \"25\"" },
		{ "ESMTP_Listener {\nListen \":25\" { }\n}\nESMTP_Listener "
		    "{\nListen \"*:25\" { } }", NULL, "m.conf:5:1: option "
		    "'Listen': the address \"*:25\" has another section in "
		    "line 2" },
		{ "ESMTP_Listener {\nListen \":25\" { }\nPeer \"10.0.0.1/8\" "
		    "{ } }", NULL, "m.conf:3:6: option 'Peer': expected a "
		    "network without bits set behind its prefix, found "
		    "\"10.0.0.1/8\"" },
		{ "ESMTP_Listener {\nListen \":25\" { }\nPeer \"::1\" { }\n"
		    "Peer \"::1/128\" { } }", NULL, "m.conf:4:1: option 'Peer': "
		    "the network of \"::1/128\" has another section in line "
		    "3" },
		{ LISTEN "Relay_Domains = { \"a.test\" }\n", NULL, "m.conf:2:17: "
		    "option 'Relay_Domains': expected domains that have a "
		    "Domain section, found \"a.test\"" },
		{ LISTEN "Domain_For_Unqualified_Recipient_Addresses = "
		    "\"a.test\"\nDomain \"b.test\" { }\n", NULL, "m.conf:2:46: "
		    "option 'Domain_For_Unqualified_Recipient_Addresses': "
		    "expected a domain that has a Domain section, found "
		    "\"a.test\"" },
		{ LISTEN "Domain_For_Unqualified_Sender_Address = \"a b\"\n",
		    NULL, "m.conf:2:41: option "
		    "'Domain_For_Unqualified_Sender_Address': expected a "
		    "domain, found \"a b\"" },
		{ LISTEN "ETRN_Domains = { \"a.test\" }\nDomain \"b.test\" "
		    "{ }\n", NULL, "m.conf:2:16: option 'ETRN_Domains': "
		    "expected domains that have a Domain section, found "
		    "\"a.test\"" },
		{ LISTEN "ETRN_Domains = { \"a..test\" }\n", NULL,
		    "m.conf:2:18: option 'ETRN_Domains': expected a domain, "
		    "\"*.\" and a domain, or \"*\", found \"a..test\"" },
		{ LISTEN "Domain \"*\" {\n\nMaildir = \"/m/%u\" }", NULL,
		    "m.conf:4:11: option 'Maildir': expected a path with %d, "
		    "since the section is for more than one domain, found "
		    "\"/m/%u\"" },
		{ LISTEN "Domain \"a.test\" { Maildir = \"/m/%d\" }", NULL,
		    "m.conf:2:29: option 'Maildir': expected a path with %u, or "
		    "all recipients would share one Maildir, found "
		    "\"/m/%d\"" },
		{ LISTEN "Domain \"a.test\" { Recipients = \"users\" }", NULL,
		    "m.conf:2:32: option 'Recipients': expected \"file:\" and an "
		    "absolute path, found \"users\"" },
		{ LISTEN "Domain \"a.test\" { Delivery = \"mbox\" }", NULL,
		    "m.conf:2:30: option 'Delivery': expected maildir, lmtp, "
		    "smtp, pipe or discard, found \"mbox\"" },
		{ LISTEN "Domain \"a..test\" { }", NULL, "m.conf:2:8: option "
		    "'Domain': expected a domain, \"*.\" and a domain, or "
		    "\"*\", found \"a..test\"" },
		{ LISTEN "spool = \"run\"\n", NULL, "m.conf:2:9: option 'spool': "
		    "expected an absolute path, found \"run\"" },
		{ LISTEN "log = \"here\"\n", NULL, "m.conf:2:7: option 'log': "
		    "expected \"stderr\", \"syslog\" or an absolute path, "
		    "found \"here\"" },
		{ LISTEN "hostname = \"a b\"\n", NULL, "m.conf:2:12: option "
		    "'hostname': expected a host name, found \"a b\"" },
		{ LISTEN "double_bounce_recipient = \"postmaster\"\n", NULL,
		    "m.conf:2:27: option 'double_bounce_recipient': expected "
		    "an address, such as \"postmaster@example.org\", found "
		    "\"postmaster\"" },
		{ LISTEN "double_bounce_recipient = \"a@b.test\"\n"
		    "Domain \"a.test\" { }\n", NULL, "m.conf:2:27: option "
		    "'double_bounce_recipient': expected an address in a "
		    "domain that has a Domain section, found \"a@b.test\"" },
		{ LISTEN "workers = 1000\n", NULL, "m.conf:2:11: option "
		    "'workers': expected a number from 0 to 256 (processes, 0 "
		    "for one per processor), found \"1000\"" },
		{ LISTEN "Domain \"a.test\" { Extension_Folder_Limit = 50001 }\n",
		    NULL, "m.conf:2:44: option 'Extension_Folder_Limit': expected "
		    "a number from 0 to 50000 (folders, 0 for no limit), found "
		    "\"50001\"" },
		{ LISTEN "retry_interval = 100000\n", NULL, "m.conf:2:18: option "
		    "'max_retry_interval': expected no less than "
		    "retry_interval" },
		{ LISTEN "Domain \"a.test\" { }\nDomain \"b.test\" {\n"
		    "retry_interval = 5h }\n", NULL, "m.conf:3:1: option "
		    "'max_retry_interval' of Domain \"b.test\": expected no "
		    "less than retry_interval" },
		{ LISTEN, "spool_large_message=1073741824", "-D: option "
		    "'spool_large_message': expected at most half of "
		    "segment_size" },
		{ LISTEN, "Relay_Domains=b.test", "-D: option "
		    "'Relay_Domains': expected domains that have a Domain "
		    "section, found \"b.test\"" },
		{ LISTEN, "nothing=1", "-D: no such option 'nothing'" },
		{ LISTEN "No_Soliciting = { \"a:ADV\", \"foo bar\" }\n", NULL,
		    "m.conf:2:28: option 'No_Soliciting': expected a class of "
		    "RFC 3865: a letter, then letters, digits and .-_:, found "
		    "\"foo bar\"" },
		{ LISTEN "No_Soliciting = { \"" CLASS "\", \"" CLASS "\" }\n",
		    NULL, "m.conf:2:17: option 'No_Soliciting': expected "
		    "classes of at most 492 octets together, since EHLO tells "
		    "them in one line, found \"2 classes\"" },
		{ LISTEN "Context = { \"a=1\", \"=2\" }\n", NULL, "m.conf:2:20: "
		    "option 'Context': expected \"name=value\", the name of 1 "
		    "to 64 letters, digits and _-., the value of at most 1024 "
		    "characters, found \"=2\"" },
		{ LISTEN "Context = { \"a=1\", \"a = 1\" }\n", NULL,
		    "m.conf:2:11: option 'Context': expected variables with a "
		    "name each: \"a\" is there twice, found \"2 variables\"" },
		{ LISTEN "Max_Errors = many\n", NULL, "m.conf:2:14: option "
		    "'Max_Errors': expected a number from 0 to 1000000 "
		    "(replies), found \"many\"" },
	};
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		expect_error(c[i].text, c[i].override, c[i].message);
}

static void
put(const char *path, const char *text)
{
	FILE *fp = fopen(path, "w");

	cr_assert_not_null(fp);
	fputs(text, fp);
	fclose(fp);
}

/* What the master has read is what a child gets, whatever has become of the
 * files. */
Test(settings, a_pack_is_the_same_configuration)
{
	static const char *const overrides[] = { "drain_time=7",
		"Max_Errors=5" };
	char dir[] = "/tmp/settings-XXXXXX", conf[64], part[64];
	struct settings *s;
	FILE *fp;
	int fd, i;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(conf, sizeof(conf), "%s/m.conf", dir);
	snprintf(part, sizeof(part), "%s/part.inc", dir);
	put(conf, "workers = 3\ninclude \"*.inc\"\ninclude \"*.none\"\n"
	    LISTEN);
	put(part, "keyds = 2\nDomain \"a.test\" { Recipients = "
	    "\"file:/nowhere\" }\n");
	fp = fopen(conf, "r");
	s = settings_load(fp, conf, overrides, 2, err, SETTINGS_ERROR_MAX);
	fclose(fp);
	cr_assert_not_null(s, "%s", err);
	fd = settings_pack(s);
	settings_free(s);
	cr_assert_neq(fd, -1);
	put(part, "keyds = 3\n");
	unlink(conf);
	for (i = 0; i < 2; i++) {
		s = settings_unpack(fd, err, SETTINGS_ERROR_MAX);
		cr_assert_not_null(s, "%s", err);
		cr_expect_str_eq(s->filename, conf);
		cr_expect_eq(s->workers, 3);
		cr_expect_eq(s->keyds, 2);
		cr_expect_eq(s->drain_time, 7);
		cr_expect_eq(s->listens[0].options->max_errors, 5);
		settings_load_recipients(s, err, SETTINGS_ERROR_MAX);
		cr_expect_not_null(strstr(err, "/part.inc:2:32: option "
		    "'Recipients': "), "%s", err);
		settings_free(s);
	}
	cr_expect_eq(write(fd, "x", 1), -1);
	close(fd);
	unlink(part);
	rmdir(dir);
}

Test(settings, a_pack_that_is_none_is_refused)
{
	int fd = memfd_create("x", 0);

	cr_expect_null(settings_unpack(fd, err, SETTINGS_ERROR_MAX));
	cr_assert_eq(write(fd, "what is this? No configuration.", 31), 31);
	cr_expect_null(settings_unpack(fd, err, SETTINGS_ERROR_MAX));
	cr_expect_str_eq(err, "the configuration from the master cannot be "
	    "read");
	close(fd);
}

Test(settings, an_included_file_is_named_where_it_is_wrong)
{
	char dir[] = "/tmp/settings-XXXXXX", a[64], text[200];

	cr_assert_not_null(mkdtemp(dir));
	snprintf(a, sizeof(a), "%s/a", dir);
	put(a, "\nListen \":25\" {}\n");
	snprintf(text, sizeof(text), "ESMTP_Listener {\n include \"%s\"\n"
	    "Listen \"*:25\" {}\n}", a);
	cr_expect_null(load(text, NULL));
	snprintf(text, sizeof(text), "m.conf:3:1: option 'Listen': the address "
	    "\"*:25\" has another section in %s:2:1", a);
	cr_expect_str_eq(err, text, "%s", err);
	unlink(a);
	rmdir(dir);
}

Test(settings, recipients_files_are_read_when_asked)
{
	char path[] = "/tmp/users-XXXXXX", text[200];
	int fd = mkstemp(path);
	struct settings *s;

	cr_assert_eq(write(fd, "alice\n", 6), 6);
	close(fd);
	snprintf(text, sizeof(text), LISTEN "Domain \"a.test\" { Recipients = "
	    "\"file:%s\" }\nDomain \"b.test\" { }\nDomain \"c.test\" { "
	    "Recipients = \"file:%s\" }\n", path, path);
	s = load_good(text, NULL);
	cr_expect_eq(settings_load_recipients(s, err, SETTINGS_ERROR_MAX), 0, "%s",
	    err);
	cr_expect(recipients_has(settings_domain_find(s, "a.test", 6)->
	    recipients_table, "alice@a.test"));
	cr_expect_null(settings_domain_find(s, "b.test", 6)->
	    recipients_table);
	cr_expect_eq(settings_domain_find(s, "c.test", 6)->recipients_table,
	    settings_domain_find(s, "a.test", 6)->recipients_table);
	settings_free(s);
	unlink(path);
	s = load_good(text, NULL);
	cr_expect_eq(settings_load_recipients(s, err, SETTINGS_ERROR_MAX), -1);
	cr_expect_not_null(strstr(err, "m.conf:2:32: option 'Recipients': "
	    "expected a file with one address a line: /tmp/users-"), "%s",
	    err);
	settings_free(s);
}

Test(settings, files_of_sender_logins_are_read_once_when_asked)
{
	char path[] = "/tmp/senders-XXXXXX", text[400], value[64];
	const struct textfile *t;
	int fd = mkstemp(path);
	struct settings *s;

	cr_assert_eq(write(fd, "@a.test bob\n", 12), 12);
	close(fd);
	snprintf(value, sizeof(value), "file:%s", path);
	snprintf(text, sizeof(text), "Sender_Login = \"%s\"\nESMTP_Listener {"
	    " Listen \":25\" { Sender_Login = \"\" }\n Listen \":587\" { "
	    "Peer \"192.0.2.0/24\" { Sender_Login = \"%s\" } } }\n", value,
	    value);
	s = load_good(text, NULL);
	cr_expect_null(settings_sender_logins(s, value));
	cr_assert_eq(settings_load_sender_logins(s, err, SETTINGS_ERROR_MAX), 0, "%s",
	    err);
	t = settings_sender_logins(s, value);
	cr_assert_not_null(t);
	cr_expect(sender_logins_may(t, "bob", "x@a.test"));
	cr_expect_null(settings_sender_logins(s, "file:/other"));
	cr_expect_str_eq(s->listens[0].options->sender_login, "");
	cr_expect_str_eq(s->listens[1].options->sender_login, value);
	settings_free(s);
	unlink(path);
	s = load_good(text, NULL);
	cr_expect_eq(settings_load_sender_logins(s, err, SETTINGS_ERROR_MAX), -1);
	cr_expect_not_null(strstr(err, "m.conf:3:55: option 'Sender_Login': "
	    "expected a file with a sender and its logins in each line: "
	    "/tmp/senders-"), "%s", err);
	settings_free(s);
}

Test(settings, the_sample_configuration_is_good)
{
	FILE *fp = fopen("cmd/mailmilld/mailmill.conf", "r");
	struct settings *s;

	cr_assert_not_null(fp);
	s = settings_load(fp, "mailmill.conf", NULL, 0, err, SETTINGS_ERROR_MAX);
	fclose(fp);
	cr_assert_not_null(s, "%s", err);
	cr_expect_eq(s->nlistens, 2);
	cr_expect_str_eq(s->listens[0].name, ":25");
	settings_free(s);
}

/* Uncomment the settings of the sample: "#name = ...", "#Domain ...". */
Test(settings, what_the_sample_comments_out_is_good_too)
{
	FILE *fp = fopen("cmd/mailmilld/mailmill.conf", "r");
	FILE *out = tmpfile();
	struct settings *s;
	char line[300], *p;

	cr_assert(fp != NULL && out != NULL);
	while (fgets(line, sizeof(line), fp) != NULL) {
		p = line + strspn(line, "\t");
		if (p[0] == '#' && p[1] != ' ')
			p[0] = ' ';
		fputs(line, out);
	}
	fclose(fp);
	rewind(out);
	s = settings_load(out, "mailmill.conf", NULL, 0, err, SETTINGS_ERROR_MAX);
	fclose(out);
	cr_assert_not_null(s, "%s", err);
	cr_expect_eq(s->nlistens, 5);
	cr_expect_eq(s->ndomains, 3);
	settings_free(s);
}
