#include "cmd/settings/route_addr.h"

#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* ${text}, with 25 where no port is written; NULL: it is refused */
static const struct {
	const char *text, *text_r;
} cases[] = {
	{ "unix:/run/dovecot/lmtp", "unix /run/dovecot/lmtp" },
	{ "unix:/", "unix /" },
	{ "UNIX:/run/dovecot/lmtp", "unix /run/dovecot/lmtp" },
	{ "192.0.2.1:24", "ip 192.0.2.1:24" },
	{ "192.0.2.1", "ip 192.0.2.1:25" },
	{ "[2001:db8::1]:65535", "ip [2001:db8::1]:65535" },
	{ "[::1]", "ip [::1]:25" },
	{ "[::ffff:192.0.2.1]:24", "ip 192.0.2.1:24" },
	{ "mail.example.test:24", "name mail.example.test 24" },
	{ "mail.example.test", "name mail.example.test 25" },
	{ "localhost:24", "name localhost 24" },
	{ "gr\xc3\xbcn.example:24", "name xn--grn-ioa.example 24" },
	{ "", NULL },
	{ "unix:", NULL },
	{ "unix:run/lmtp", NULL },
	{ "UNIX:24", NULL },
	{ "/run/lmtp", NULL },
	{ ":24", NULL },
	{ "192.0.2.1:", NULL },
	{ "192.0.2.1:0", NULL },
	{ "192.0.2.1:65536", NULL },
	{ "192.0.2.1:24x", NULL },
	{ "192.0.2.300:24", NULL },
	{ "192.0.2:24", NULL },
	{ "192.0.2.1:24:25", NULL },
	{ "2001:db8::1", NULL },
	{ "[2001:db8::1", NULL },
	{ "[192.0.2.1]:24", NULL },
	{ "[fe80::1%eth0]:24", NULL },
	{ "mail.example.test:", NULL },
	{ "mail.example.test:0", NULL },
	{ "mail.example.test:smtp", NULL },
	{ "mail example:24", NULL },
	{ "-x.example:24", NULL },
	{ "smtp://mail.example.test", NULL },
};

static const char *
shown(const struct route_addr *a, char *buf, size_t len)
{
	char text[ADDR_PORT_TEXT];

	if (a->kind == ROUTE_UNIX)
		snprintf(buf, len, "unix %s", a->un.sun_path);
	else if (a->kind == ROUTE_IP)
		snprintf(buf, len, "ip %s", addr_port_text(&a->ip.sa, text));
	else
		snprintf(buf, len, "name %s %u", a->name, ntohs(a->port));
	return buf;
}

Test(route_addr, is_parsed_as_the_table_says)
{
	struct route_addr a;
	char text[300];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (route_addr_parse(cases[i].text, &a) == -1) {
			cr_expect_null(cases[i].text_r, "%s", cases[i].text);
			continue;
		}
		cr_assert_not_null(cases[i].text_r, "%s", cases[i].text);
		route_addr_default(&a, 25);
		cr_expect_str_eq(shown(&a, text, sizeof(text)),
		    cases[i].text_r);
	}
}

Test(route_addr, a_path_has_to_fit_into_a_socket_address)
{
	struct route_addr a;
	char text[200] = "unix:/";
	size_t fits = strlen("unix:") + sizeof(a.un.sun_path) - 1;

	memset(text + 6, 'x', fits - 6);
	cr_expect_eq(route_addr_parse(text, &a), 0);
	cr_expect_str_eq(a.un.sun_path, text + 5);
	text[fits] = 'x';
	cr_expect_eq(route_addr_parse(text, &a), -1);
}
