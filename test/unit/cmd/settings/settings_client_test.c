#include <criterion/criterion.h>
#include <string.h>

#include "cmd/settings/settings_client.h"
#include "test/unit/cmd/settings/load.h"

static const char conf[] = "ESMTP_Listener {\n"
    "Listen \":25\" { }\n"
    "Listen \"127.0.0.1:2525\" { }\n"
    "Listen \"[::1]:2525\" { }\n"
    "Listen \"0.0.0.0:587\" { }\n"
    "Listen \"[::]:465\" { }\n"
    "Listen \"127.0.0.1:2526\" { Peer \"127.0.0.9\" { "
    "Proxy_Protocol = on } }\n"
    "Listen \"127.0.0.1:0\" { }\n"
    "Listen \"127.0.0.1:2527\" { Enable = off }\n}\n"
    "ESMTP_Listener { Listen \"127.0.0.1:0\" { }\n"
    "Listen \"unix:/run/a,b/s\" { } Listen \"/run/S\" { Peer \"unix:7\" { "
    "Proxy_Protocol = on } } }\n";

static char err[SETTINGS_ERROR_MAX];

Test(settings_client, a_listener_has_more_than_one_name)
{
	static const struct {
		const char	*text;
		size_t		 listen;
		const char	*address;
	} c[] = {
		{ ":25,192.0.2.7", 0, "192.0.2.7" },
		{ "*:25,2001:db8::7", 0, "2001:db8::7" },
		{ "192.0.2.1:25,192.0.2.7", 0, "192.0.2.7" },
		{ "[2001:db8::1]:25,2001:db8::7", 0, "2001:db8::7" },
		{ "127.0.0.1:2525,127.0.0.1", 1, "127.0.0.1" },
		{ "127.0.0.1:2525,::ffff:127.0.0.1", 1, "127.0.0.1" },
		{ "[::1]:2525,::1", 2, "::1" },
		{ "[0::0001]:2525,[::1]", 2, "::1" },
		{ "0.0.0.0:587,192.0.2.7", 3, "192.0.2.7" },
		{ "192.0.2.1:587,192.0.2.7", 3, "192.0.2.7" },
		{ "[::1]:465,::1", 4, "::1" },
		/* a proxy may have clients of the other family */
		{ "127.0.0.1:2526,::1", 5, "::1" },
		{ "unix:/run/a,b/s,unix:1000", 8, "unix:1000" },
		{ "/run/a,b/s,UNIX:0", 8, "unix:0" },
		{ "Unix:/run/S,unix:7", 9, "unix:7" },
		{ "/run/S,192.0.2.7", 9, "192.0.2.7" },
	};
	struct settings *s = load_good_settings("%s", conf);
	struct settings_client client;
	char text[ADDR_TEXT];
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		cr_assert_eq(settings_client_parse(s, c[i].text, &client, err,
		    sizeof(err)), 0, "%s: %s", c[i].text, err);
		cr_expect_eq(client.listen, c[i].listen, "%s", c[i].text);
		cr_expect_str_eq(addr_text(&client.addr.sa, text),
		    c[i].address);
	}
	settings_free(s);
}

Test(settings_client, what_names_none_is_said)
{
	static const struct { const char *text, *want; } c[] = {
		{ "", "expected a listener, a comma and the address of a "
		    "client, such as \":25,192.0.2.1\", found \"\"" },
		{ ":25", "such as \":25,192.0.2.1\", found \":25\"" },
		{ ",192.0.2.1", "found \",192.0.2.1\"" },
		{ ":26,192.0.2.1", "there is no enabled listener \":26\", only "
		    "\":25\", \"127.0.0.1:2525\", \"[::1]:2525\"," },
		{ "127.0.0.1:2527,127.0.0.1", "no enabled listener "
		    "\"127.0.0.1:2527\"" },
		{ "127.0.0.2:2525,192.0.2.1", "no enabled listener" },
		{ "[::]:587,::1", "no enabled listener" },
		{ "[::ffff:127.0.0.1]:465,::1", "no enabled listener" },
		{ "192.0.2.1:465,192.0.2.7", "no enabled listener" },
		{ "*:587,192.0.2.1", "no enabled listener" },
		{ "x\033[2J,1.2.3.4", "no enabled listener \"x?[2J\"" },
		{ "127.0.0.1:0,127.0.0.1", "more than one Listen section: "
		    "m.conf:8:1 m.conf:11:18" },
		{ "127.0.0.9:0,127.0.0.1", "no enabled listener" },
		{ ":25,", "address of a client after the comma, or \"unix:\" "
		    "and its uid, found \"\"" },
		{ ":25,mx.example.test", "found \"mx.example.test\"" },
		{ ":25,192.0.2.0/24", "found \"192.0.2.0/24\"" },
		{ ":25,192.0.2.1\n", "found \"192.0.2.1?\"" },
		{ ":25,[::1", "found \"[::1\"" },
		{ ":25,[]", "found \"[]\"" },
		{ ":25,fe80::1%eth0", "found \"fe80::1%eth0\"" },
		{ "127.0.0.1:2525,::1", "the client ::1 (IPv6) cannot connect "
		    "to the listener \"127.0.0.1:2525\" (IPv4)" },
		{ "[::]:465,192.0.2.1", "the client 192.0.2.1 (IPv4) cannot "
		    "connect to the listener \"[::]:465\" (IPv6)" },
		{ "unix:/run/a,b/s,192.0.2.1", "the client 192.0.2.1 (IPv4) "
		    "cannot connect to the listener \"unix:/run/a,b/s\" (an "
		    "account, of a Unix socket)" },
		{ ":25,unix:1000", "the client unix:1000 (an account, of a Unix "
		    "socket) cannot connect to the listener \":25\" (IPv4 and "
		    "IPv6)" },
		{ "127.0.0.1:2526,unix:1000", "cannot connect" },
		{ "/run/s,unix:1000", "no enabled listener \"/run/s\"" },
		{ "/run/S,unix", "or \"unix:\" and its uid, found \"unix\"" },
		{ "/run/S,unix:root", "found \"unix:root\"" },
	};
	struct settings *s = load_good_settings("%s", conf);
	struct settings_client client;
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		cr_expect_eq(settings_client_parse(s, c[i].text, &client, err,
		    sizeof(err)), -1, "%s", c[i].text);
		cr_expect(strncmp(err, "-T: ", 4) == 0 &&
		    strstr(err, c[i].want) != NULL, "%s: %s", c[i].text, err);
	}
	settings_free(s);
}

Test(settings_client, a_long_argument_is_cut_in_the_message_alone)
{
	struct settings *s = load_good_settings("%s", conf);
	struct settings_client client;
	char text[5000];

	memset(text, 'x', sizeof(text));
	strcpy(text + sizeof(text) - 5, ",::1");
	cr_expect_eq(settings_client_parse(s, text, &client, err,
	    sizeof(err)), -1);
	cr_expect(strstr(err, "only \":25\"") != NULL, "%s", err);
	/* a title is no shorter one with something behind it */
	memset(text, ' ', sizeof(text));
	memcpy(text, ":25", 3);
	strcpy(text + sizeof(text) - 5, ",::1");
	cr_expect_eq(settings_client_parse(s, text, &client, err,
	    sizeof(err)), -1);
	settings_free(s);
}
