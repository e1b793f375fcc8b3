#include "cmd/settings/route.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/worker/worker_int.h"
#include "test/unit/cmd/settings/load.h"
#include "test/unit/core/util/utf8_fail.h"

/* What the worker answers at RCPT, in the order of enum route_verdict */
static const enum esmtp_rcpt_status answers[] = { ESMTP_RCPT_OK,
	ESMTP_RCPT_UNKNOWN, ESMTP_RCPT_FOREIGN, ESMTP_RCPT_LATER };

static char file[] = "/tmp/route-test.XXXXXX";

/* ${domains} ends with an option Recipients, whose value follows.
 * ${is_worker}: read that file, as the worker alone does. */
static struct settings *
load(const char *domains, bool is_worker)
{
	char err[SETTINGS_ERROR_MAX] = "";
	struct settings *s = load_good_settings(
	    "ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"
	    "%s \"file:%s\" }\n", domains, file);

	if (is_worker)
		cr_assert_eq(settings_load_recipients(s, err, sizeof(err)), 0,
		    "%s", err);
	return s;
}

static enum esmtp_rcpt_status
ask_worker(const struct settings *s, const char *path)
{
	static struct worker w;
	static struct child c;
	struct mailaddr addr;

	c.settings = s;
	w.child = &c;
	cr_assert_neq(mailaddr_parse(path, strlen(path),
	    MAILADDR_ALLOW_POSTMASTER | MAILADDR_ALLOW_LITERAL, &addr), -1, "%s", path);
	return host_rcpt_lookup(&w, NULL, &addr);
}

/* Make ${listed} the file of recipients. */
static void
put(const char *listed)
{
	FILE *fp = fopen(file, "w");

	cr_assert_not_null(fp);
	fputs(listed, fp);
	cr_assert_eq(fclose(fp), 0);
}

static void
setup(void)
{
	int fd = mkstemp(file);

	cr_assert_neq(fd, -1);
	close(fd);
	put("ann\nbob@listed.test\n");
}

static void
teardown(void)
{
	unlink(file);
}

TestSuite(route, .init = setup, .fini = teardown);

static const char config[] =
    "Domain \"a.test\" { Maildir = \"/v/%d/%u\" Maildir_Newline = lf }\n"
    "Domain \"*.b.test\" { Maildir = \"/w/%d/%u\" }\n"
    "Domain \"listed.test\" { Maildir = \"/l/%u\" Recipients =";

static const struct row {
	const char *path;	/* as in RCPT */
	const char *rcpt;	/* as in the spool's envelope */
	enum route_verdict verdict;
	const char *target;
	bool is_lf;
	bool is_by_list;	/* known to the worker alone */
} rows[] = {
	{ "<joe@a.test>", "joe@a.test", ROUTE_DELIVER, "/v/a.test/joe", true,
	    false },
	{ "<Joe@A.Test>", "Joe@a.test", ROUTE_DELIVER, "/v/a.test/joe", true,
	    false },
	{ "<\"a@b\"@a.test>", "a@b@a.test", ROUTE_DELIVER, "/v/a.test/a@b",
	    true, false },
	{ "<joe@x.b.test>", "joe@x.b.test", ROUTE_DELIVER, "/w/x.b.test/joe", false,
	    false },
	{ "<joe@b.test>", "joe@b.test", ROUTE_NO_DOMAIN, NULL, false, false },
	{ "<joe@[127.0.0.1]>", "joe@[127.0.0.1]", ROUTE_NO_DOMAIN, NULL, false,
	    false },
	{ "<postmaster>", "postmaster", ROUTE_DELIVER, "/v/a.test/postmaster",
	    true, false },
	{ "<\"../x\"@a.test>", "../x@a.test", ROUTE_UNKNOWN_USER, NULL, true,
	    false },
	{ "<ann@listed.test>", "ann@listed.test", ROUTE_DELIVER, "/l/ann",
	    false, false },
	{ "<BOB@listed.test>", "BOB@listed.test", ROUTE_DELIVER, "/l/bob",
	    false, false },
	{ "<Postmaster@listed.test>", "Postmaster@listed.test", ROUTE_DELIVER,
	    "/l/postmaster", false, false },
	{ "<eve@listed.test>", "eve@listed.test", ROUTE_UNKNOWN_USER, "/l/eve",
	    false, true },
};

/* The worker is asked at RCPT; the queue and the agent ask route_deliver(). */
Test(route, worker_queue_and_agent_get_the_same_answer)
{
	struct settings *worker = load(config, true);
	struct settings *others = load(config, false);
	struct route route, later;
	char text[JOB_TEXT];
	const struct row *r;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r = &rows[i];
		route_find(worker, r->rcpt, &route);
		cr_assert_eq(route.verdict, r->verdict, "%s", r->rcpt);
		cr_assert_eq(ask_worker(worker, r->path), answers[r->verdict],
		    "%s", r->path);
		*text = '\0';
		rc = route_deliver(others, 0, r->rcpt, &later, text);
		cr_assert_eq(rc == 0, r->verdict == ROUTE_DELIVER ||
		    r->is_by_list, "%s", r->rcpt);
		if (rc == -1) {
			cr_assert_eq(errno, ENXIO);
			cr_assert_not_null(strstr(text, r->rcpt), "%s", text);
			continue;
		}
		cr_assert_eq(later.transport, TRANSPORT_MAILDIR);
		cr_assert_str_eq(later.target, r->target);
		cr_assert_eq(later.is_lf, r->is_lf, "%s", r->rcpt);
		if (route.verdict == ROUTE_DELIVER)
			cr_assert_str_eq(route.target, later.target);
	}
	settings_free(worker);
	settings_free(others);
}

/* A mailbox that cannot be looked for is not called unknown. */
Test(route, without_memory_it_is_later)
{
	static const char *const rcpts[] = { "gr\xc3\xbcn@a.test",
		"gr\xc3\xbcn@listed.test" };
	struct settings *worker = load(config, true);
	char text[JOB_TEXT];
	struct route route;
	size_t i;

	utf8_fail(true);
	for (i = 0; i < 2; i++) {
		route_find(worker, rcpts[i], &route);
		cr_expect_eq(route.verdict, ROUTE_LATER);
		cr_expect_eq(route_deliver(worker, 0, rcpts[i], &route, text), -1);
		cr_expect_eq(errno, ENOMEM);
		cr_expect_not_null(strstr(text, rcpts[i]), "%s", text);
	}
	utf8_fail(false);
	route_find(worker, rcpts[1], &route);
	cr_expect_eq(route.verdict, ROUTE_UNKNOWN_USER);
	settings_free(worker);
}

Test(route, without_a_domain_of_its_own_postmaster_goes_nowhere)
{
	char text[JOB_TEXT];
	struct settings *s;
	struct route route;

	put("ann\n");
	s = load("Domain \"*.b.test\" { Maildir = \"/w/%d/%u\" Recipients =",
	    true);
	route_find(s, "postmaster", &route);
	cr_assert_eq(route.verdict, ROUTE_UNKNOWN_USER);
	cr_assert_eq(ask_worker(s, "<postmaster>"), ESMTP_RCPT_UNKNOWN);
	cr_assert_eq(route_deliver(s, 0, "postmaster", &route, text), -1);
	cr_assert_str_eq(text, "there is no Domain section for "
	    "postmaster: add one, or remove the message from the queue");
	settings_free(s);
}

/* --- transport tables ------------------------------------------------------ */

static const char sections[] =
    "ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"
    "Domain \"ours.test\" { Recipient_Delimiter = \"+\" }\n"
    "Domain \"*\" { Delivery = smtp Route = \"192.0.2.1:25\" }\n"
    "Domain \"B.invalid\" { Delivery = smtp Route = \"192.0.2.2:25\" }\n"
    "Domain \"c.invalid\" { Delivery = lmtp Route = \"unix:/run/c\" }\n"
    "%s = \"file:%s\"\n";

static struct settings *
with_tables(struct settings *s)
{
	char err[SETTINGS_ERROR_MAX] = "";

	cr_assert_eq(settings_load_transports(s, err, sizeof(err)), 0, "%s",
	    err);
	return s;
}

/* The settings of ${sections} with ${table} as the file of ${option} */
static struct settings *
load_table(const char *option, const char *table)
{
	put(table);
	return with_tables(load_good_settings(sections, option, file));
}

/* The target of mail for ${rcpt} from ${sender}, as queue and agent find it */
static const char *
target(const struct settings *s, const char *rcpt, const char *sender)
{
	static struct route route;
	const struct settings_domain *d;
	char text[JOB_TEXT];

	cr_assert_eq(settings_transport(s, rcpt, sender, &d), 0);
	cr_assert_eq(route_deliver(s, d == NULL ? 0 : d->number, rcpt, &route,
	    text), 0, "%s", text);
	return route.target;
}

Test(route, the_most_exact_line_of_a_table_says_how_mail_goes)
{
	struct settings *s = load_table("Transport_Table",
	    "# comment\n"
	    "joe@far.test   b.INVALID\n"
	    "@far.test\tc.invalid\n"
	    "\"a b\"@far.test *\n"
	    "ann@ours.test c.invalid\n"
	    "ann+x@ours.test b.invalid\n"
	    "@x.test c.invalid\n"
	    "@x.test b.invalid   # the last one\n");
	static const char *const lines[][2] = {
		{ "Joe@FAR.test", "192.0.2.2:25" },
		{ "eve@far.test", "unix:/run/c" },
		{ "\"a b\"@far.test", "192.0.2.1:25" },
		{ "eve@sub.far.test", "192.0.2.1:25" },
		{ "ann@ours.test", "unix:/run/c" },
		{ "ann+list@ours.test", "unix:/run/c" },
		{ "ann+x@ours.test", "192.0.2.2:25" },
		{ "bob@ours.test", "/var/vmail/ours.test/bob" },
		{ "eve@x.test", "192.0.2.2:25" },
		{ "postmaster", "/var/vmail/ours.test/postmaster" },
	};
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		cr_expect_str_eq(target(s, lines[i][0], "a@far.test"),
		    lines[i][1], "%s: %s", lines[i][0], target(s, lines[i][0],
		    "a@far.test"));
	settings_free(s);
	s = load_table("Transport_Table", "* c.invalid\n@ours.test ours.test\n");
	cr_expect_str_eq(target(s, "eve@any.test", ""), "unix:/run/c");
	cr_expect_str_eq(target(s, "bob@ours.test", ""),
	    "/var/vmail/ours.test/bob");
	cr_expect_str_eq(target(s, "postmaster", ""),
	    "/var/vmail/ours.test/postmaster");
	settings_free(s);
}

/* What is ours goes where its own section says, whoever sends it. */
Test(route, a_sender_says_how_mail_for_others_goes)
{
	struct settings *s = load_table("Sender_Transport_Table",
	    "joe@ours.test b.invalid\n"
	    "* c.invalid\n");

	cr_expect_str_eq(target(s, "eve@far.test", "JOE@ours.test"),
	    "192.0.2.2:25");
	cr_expect_str_eq(target(s, "eve@far.test", "x@y.test"), "unix:/run/c");
	cr_expect_str_eq(target(s, "eve@far.test", ""), "192.0.2.1:25",
	    "a report has no sender");
	cr_expect_str_eq(target(s, "bob@ours.test", "joe@ours.test"),
	    "/var/vmail/ours.test/bob");
	settings_free(s);
}

Test(route, a_recipient_counts_more_than_a_sender)
{
	char err[SETTINGS_ERROR_MAX], options[128];
	struct settings *s;

	put("@far.test b.invalid\n@s.test c.invalid\n");
	snprintf(options, sizeof(options), "Sender_Transport_Table = "
	    "\"file:%s\" Transport_Table", file);
	s = load_good_settings(sections, options, file);
	cr_assert_eq(settings_load_transports(s, err, sizeof(err)), 0);
	cr_expect_str_eq(target(s, "eve@far.test", "x@s.test"), "192.0.2.2:25");
	cr_expect_str_eq(target(s, "eve@other.test", "x@s.test"),
	    "unix:/run/c");
	settings_free(s);
}

Test(route, a_line_of_a_table_that_cannot_be_is_an_error)
{
	static const char *const lines[][2] = {
		{ "@far.test d.invalid\n", "there is no Domain section of that "
		    "name" },
		{ "@far.test\n", "expected the name of a Domain section" },
		{ "@far.test b.invalid c.invalid\n", "more than one word" },
		{ "far.test b.invalid\n", "expected an address, @domain or *" },
		{ "@ b.invalid\n", "expected an address, @domain or *" },
		{ "<a@far.test> b.invalid\n", "without < and >" },
	};
	char err[SETTINGS_ERROR_MAX], text[128], want[64];
	struct settings *s;
	size_t i, k;

	for (k = 0; k < 2; k++)
		for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
			snprintf(text, sizeof(text), "# one\n%s", lines[i][0]);
			put(text);
			s = load_good_settings(sections, k == 0 ?
			    "Transport_Table" : "Sender_Transport_Table", file);
			cr_expect_eq(settings_load_transports(s, err,
			    sizeof(err)), -1, "%s", lines[i][0]);
			snprintf(want, sizeof(want), "%s:2: ", file);
			cr_expect_not_null(strstr(err, want), "%s", err);
			cr_expect_not_null(strstr(err, lines[i][1]), "%s", err);
			cr_expect_eq(strncmp(err, "m.conf:6:", 9), 0, "%s", err);
			cr_expect_not_null(strstr(err, k == 0 ?
			    "option 'Transport_Table'" :
			    "option 'Sender_Transport_Table'"),
			    "%s", err);
			settings_free(s);
		}
}

/* A server that only relays may have no section for the domain of its own. */
Test(route, who_is_told_in_place_of_a_sender_may_be_in_a_table)
{
	static const struct {
		const char *table, *address;
		int rc;
	} cases[] = {
		{ "@far.test c.invalid\n", "Admin@Far.Test", 0 },
		{ "* c.invalid\n", "admin@far.test", 0 },
		{ "eve@far.test c.invalid\n", "admin@far.test", -1 },
		{ "", "admin@c.invalid", 0 },
		{ "", "admin@far.test", -1 },
	};
	char err[SETTINGS_ERROR_MAX] = "";
	struct settings *s;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(cases[i].table);
		s = load_good_settings("ESMTP_Listener { Listen "
		    "\"127.0.0.1:25\" { } }\nTransport_Table = \"file:%s\"\n"
		    "double_bounce_recipient = \"%s\"\nDomain \"c.invalid\" "
		    "{ Delivery = smtp Route = \"192.0.2.2:25\" }\n", file,
		    cases[i].address);
		cr_assert_eq(settings_load_transports(s, err, sizeof(err)), 0);
		cr_expect_eq(settings_check_transports(s, err, sizeof(err)),
		    cases[i].rc, "%s", cases[i].address);
		settings_free(s);
	}
	cr_expect_str_eq(err, "m.conf:3:27: option 'double_bounce_recipient': "
	    "expected an address in a domain that has a Domain section, or a "
	    "line in Transport_Table, found \"admin@far.test\"");
}

/* A section that another configuration has not: nothing is guessed. */
Test(route, mail_does_not_go_by_a_section_that_is_gone)
{
	struct settings *s = load_table("Transport_Table", "");
	char text[JOB_TEXT];
	struct route route;

	cr_expect_eq(route_deliver(s, settings_section(s, "b.invalid")->number +
	    1, "eve@far.test", &route, text), -1);
	cr_expect_eq(errno, EAGAIN);
	cr_expect_str_eq(text, "the settings have changed");
	settings_free(s);
}

/* Whichever way the section and the line have it. */
Test(route, a_section_that_is_not_ascii_is_found_in_both_forms)
{
	static const char form[] =
	    "ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"
	    "Domain \"ours.test\" { }\n"
	    "Domain \"*\" { Delivery = smtp Route = \"192.0.2.1:25\" }\n"
	    "Domain \"gr\xc3\xbcn.invalid\" { Delivery = smtp "
	    "Route = \"192.0.2.3:25\" }\n"
	    "Domain \"*.xn--drer-0ra.invalid\" { Delivery = smtp "
	    "Route = \"192.0.2.4:25\" }\n"
	    "Transport_Table = \"file:%s\"\n";
	static const char *const names[][2] = {
		{ "gr\xc3\xbcn.invalid", "192.0.2.3:25" },
		{ "GR\xc3\x9cN.Invalid", "192.0.2.3:25" },
		{ "gru\xcc\x88n.invalid", "192.0.2.3:25" },
		{ "XN--grn-ioa.invalid", "192.0.2.3:25" },
		{ "*.d\xc3\xbcrer.invalid", "192.0.2.4:25" },
		{ "*.xn--drer-0ra.invalid", "192.0.2.4:25" },
	};
	const struct settings_domain *d;
	char line[64];
	struct settings *s;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(line, sizeof(line), "joe@far.test %s\n", names[i][0]);
		put(line);
		s = with_tables(load_good_settings(form, file));
		cr_expect_str_eq(target(s, "joe@far.test", ""), names[i][1],
		    "%s", names[i][0]);
		settings_free(s);
	}
	put("joe@far.test gr\xc3\xbcn.invalid\n");
	s = with_tables(load_good_settings(form, file));
	cr_expect_null(settings_section(s, "gr\xc3\xbcner.invalid"));
	cr_expect_eq(errno, ENOENT);
	cr_expect_null(settings_section(s, "gr\xc3.invalid"));
	cr_expect_eq(errno, ENOENT);
	utf8_fail(true);
	cr_expect_eq(settings_transport(s, "joe@far.test", "", &d), -1);
	cr_expect_eq(errno, ENOMEM, "it would go another way");
	utf8_fail(false);
	settings_free(s);
}

Test(route, without_memory_for_a_table_it_is_later)
{
	struct settings *s = load_table("Transport_Table",
	    "gr\xc3\xbcn@far.test b.invalid\n* c.invalid\n");
	const struct settings_domain *d;

	utf8_fail(true);
	cr_expect_eq(settings_transport(s, "gr\xc3\xbcn@far.test", "", &d), -1);
	cr_expect_eq(errno, ENOMEM);
	utf8_fail(false);
	cr_expect_str_eq(target(s, "GR\xc3\x9cN@far.test", ""), "192.0.2.2:25");
	settings_free(s);
}

/* The option's values are the names of delivery.def. */
Test(route, every_transport_can_be_chosen_by_delivery)
{
	static const char *const needs[NTRANSPORTS] = {
		[TRANSPORT_RELAY] = "Route = \"192.0.2.1:2525\"",
		[TRANSPORT_PIPE] = "Command = \"/bin/cat\" "
		    "Pipe_User = \"list\""
	};
	static const struct {
		const char *name;
		enum transport transport;
	} ways[] = {
#define DELIVERY(id, name, transport) { name, TRANSPORT_##transport },
#include "cmd/settings/delivery.def"
#undef DELIVERY
	};
	bool is_chosen[NTRANSPORTS] = { false };
	char text[256];
	struct settings *s;
	struct route route;
	size_t i;

	for (i = 0; i < NDELIVERIES; i++) {
		snprintf(text, sizeof(text), "Domain \"a.test\" { Delivery = "
		    "%s %s Recipients =", ways[i].name,
		    needs[ways[i].transport] == NULL ? "" :
		    needs[ways[i].transport]);
		s = load(text, false);
		route_find(s, "joe@a.test", &route);
		cr_assert_eq(route.verdict, ROUTE_DELIVER);
		cr_assert_eq(route.transport, ways[i].transport);
		is_chosen[route.transport] = true;
		settings_free(s);
	}
	for (i = 0; i < NTRANSPORTS; i++)
		cr_expect(is_chosen[i], "%zu", i);
}

static const char relayed[] =
    "Domain \"a.test\" { Delivery = lmtp Route = \"unix:/run/lmtp\" }\n"
    "Domain \"*.a.test\" { Delivery = smtp Route = { \"192.0.2.1\",\n"
    "    \"[2001:db8::1]:2525\" } }\n"
    "Domain \"*\" { Delivery = smtp Route = \"192.0.2.9:25\" }\n"
    "Domain \"listed.test\" { Delivery = lmtp Route = \"unix:/run/lmtp\"\n"
    "    Recipients =";

static const struct relayed_row {
	const char *path, *target;
	enum esmtp_rcpt_status status;
} relayed_rows[] = {
	{ "<joe@a.test>", "unix:/run/lmtp", ESMTP_RCPT_OK },
	{ "<\"../x\"@a.test>", "unix:/run/lmtp", ESMTP_RCPT_OK },
	{ "<postmaster>", "unix:/run/lmtp", ESMTP_RCPT_OK },
	{ "<joe@x.a.test>", "192.0.2.1, [2001:db8::1]:2525", ESMTP_RCPT_OK },
	{ "<joe@elsewhere.example>", "192.0.2.9:25", ESMTP_RCPT_RELAY },
	{ "<postmaster@elsewhere.example>", "192.0.2.9:25", ESMTP_RCPT_RELAY },
	{ "<joe@[192.0.2.1]>", "192.0.2.9:25", ESMTP_RCPT_RELAY },
	{ "<ann@listed.test>", "unix:/run/lmtp", ESMTP_RCPT_OK },
	{ "<eve@listed.test>", NULL, ESMTP_RCPT_UNKNOWN },
};

static void
find_path(const struct settings *s, const char *path, struct route *route_r)
{
	char rcpt[LIM_PATH + 2];
	struct mailaddr addr;

	cr_assert_neq(mailaddr_parse(path, strlen(path),
	    MAILADDR_ALLOW_POSTMASTER | MAILADDR_ALLOW_LITERAL |
	    MAILADDR_ALLOW_UTF8, &addr), -1);
	cr_assert_neq(mailaddr_format(&addr, rcpt, sizeof(rcpt)), -1);
	route_find(s, rcpt, route_r);
}

/* Of domains that are named any client may send to; what "*" alone leads to is
 * for those who may relay. */
Test(route, next_hops_are_targets)
{
	const struct relayed_row *r;
	struct settings *s;
	struct route route;
	size_t i;

	s = load(relayed, true);
	for (i = 0; i < sizeof(relayed_rows) / sizeof(relayed_rows[0]); i++) {
		r = &relayed_rows[i];
		cr_expect_eq(ask_worker(s, r->path), r->status, "%s", r->path);
		if (r->target == NULL)
			continue;
		find_path(s, r->path, &route);
		cr_assert_eq(route.verdict, ROUTE_DELIVER);
		cr_expect_eq(route.transport, TRANSPORT_RELAY);
		cr_expect_str_eq(route.target, r->target);
		cr_expect_not_null(route.domain);
	}
	settings_free(s);
}

/* Whether the one answers says nothing of the others. */
Test(route, a_host_in_route_is_not_the_domain_of_that_name)
{
	struct settings *s = load("Domain \"a.test\" { Delivery = smtp\n"
	    "    Route = \"b.test\" }\n"
	    "Domain \"*\" { Delivery = smtp }\n"
	    "Domain \"listed.test\" { Delivery = smtp\n"
	    "    Recipients =", true);

	cr_expect_str_eq(target(s, "joe@a.test", ""), "b.test:25");
	cr_expect_str_eq(target(s, "joe@b.test", ""), "b.test");
	settings_free(s);
}

static const char by_mx[] =
    "Domain \"*\" { Delivery = smtp }\n"
    "Domain \"relay.test\" { Delivery = smtp }\n"
    "Domain \"listed.test\" { Delivery = smtp\n"
    "    Recipients =";

static const struct relayed_row mx_rows[] = {
	{ "<joe@Relay.Test>", "relay.test", ESMTP_RCPT_OK },
	{ "<joe@sub.relay.test>", "sub.relay.test", ESMTP_RCPT_RELAY },
	{ "<\"a@b\"@Elsewhere.Example>", "elsewhere.example",
	    ESMTP_RCPT_RELAY },
	{ "<joe@gr\xc3\xbcn.example>", "xn--grn-ioa.example",
	    ESMTP_RCPT_RELAY },
	{ "<joe@[192.0.2.1]>", "[192.0.2.1]", ESMTP_RCPT_RELAY },
	{ "<joe@[IPv6:2001:DB8::1]>", "[ipv6:2001:db8::1]",
	    ESMTP_RCPT_RELAY },
	{ "<ann@listed.test>", "listed.test", ESMTP_RCPT_OK },
	{ "<eve@listed.test>", NULL, ESMTP_RCPT_UNKNOWN },
};

/* The recipient's domain is what MX records are looked up for. */
Test(route, domains_are_targets_where_there_is_no_route)
{
	const struct relayed_row *r;
	struct settings *s;
	struct route route;
	size_t i;

	s = load(by_mx, true);
	for (i = 0; i < sizeof(mx_rows) / sizeof(mx_rows[0]); i++) {
		r = &mx_rows[i];
		find_path(s, r->path, &route);
		if (r->target == NULL) {
			cr_expect_eq(route.verdict, ROUTE_UNKNOWN_USER);
			continue;
		}
		cr_assert_eq(route.verdict, ROUTE_DELIVER);
		cr_expect_eq(route.transport, TRANSPORT_RELAY);
		cr_expect_str_eq(route.target, r->target);
		cr_expect_eq(route.is_rest, r->status == ESMTP_RCPT_RELAY);
		cr_expect(settings_is_mx(route.domain));
	}
	settings_free(s);
}

/* In the file of a.test and *.b.test, which are two names of it.  What is told of
 * the line; NULL: nothing. */
static const struct {
	const char *line, *why;
} listed[] = {
	{ "joe", NULL },
	{ "\"joe@c.test\"", NULL },		/* a local part */
	{ "joe@A.Test", NULL },
	{ "\"a@b\"@a.test", NULL },
	{ "joe@x.b.test", NULL },
	{ "joe@x.y.b.test", NULL },
	{ "joe@b.test", "there is no Domain section" },
	{ "joe@other.test", "there is no Domain section" },
	{ "joe@sub.a.test", "there is no Domain section" },
	{ "joe@[127.0.0.1]", "there is no Domain section" },
	{ "\"joe@a.test\"@[IPv6:::1]", "there is no Domain section" },
	{ "joe@c.test", "does not use this file" },
	{ "joe@own.b.test", "does not use this file" },
	{ "joe@d.test", "does not use this file" },
};

Test(route, an_address_that_no_domain_looks_for_is_refused_with_its_line)
{
	char err[SETTINGS_ERROR_MAX], same[64], other[64], text[200];
	char want[300], *domains;
	FILE *fp;
	struct settings *s;
	size_t i;
	int rc;

	snprintf(same, sizeof(same), "%s.b", file);
	snprintf(other, sizeof(other), "%s.d", file);
	cr_assert_eq(link(file, same), 0);
	cr_assert_not_null(fp = fopen(other, "w"));
	fclose(fp);
	cr_assert_neq(asprintf(&domains, "Domain \"c.test\" { }\n"
	    "Domain \"*.b.test\" { Recipients = \"file:%s\" }\n"
	    "Domain \"own.b.test\" { }\n"
	    "Domain \"d.test\" { Recipients = \"file:%s\" }\n"
	    "Domain \"a.test\" { Recipients =", same, other), -1);
	for (i = 0; i < sizeof(listed) / sizeof(listed[0]); i++) {
		snprintf(text, sizeof(text), "# who\n\n%s\n",
		    listed[i].line);
		put(text);
		s = load(domains, false);
		*err = '\0';
		rc = settings_load_recipients(s, err, sizeof(err));
		cr_expect_eq(rc, listed[i].why == NULL ? 0 : -1, "%s: %s",
		    listed[i].line, err);
		settings_free(s);
		if (listed[i].why == NULL)
			continue;
		snprintf(want, sizeof(want), "%s:3: ", same);
		cr_expect_not_null(strstr(err, want), "%s", err);
		cr_expect_not_null(strstr(err, listed[i].why), "%s: %s",
		    listed[i].line, err);
	}
	unlink(same);
	unlink(other);
	free(domains);
}
