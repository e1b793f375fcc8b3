/* Where the queue process says that mail goes. */

#include "cmd/mailmilld/queue/queue.h"

#include <criterion/criterion.h>
#include <string.h>

#include "test/unit/cmd/settings/load.h"

static struct settings *s;
static struct child child;
static struct queue_role role = { .child = &child };

static void
setup(void)
{
	s = load_good_settings(
	    "ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"
	    "Domain \"ours.test\" { }\n"
	    "Domain \"b.invalid\" { Delivery = smtp Route = \"192.0.2.2\" }\n"
	    "Domain \"c.test\" { Delivery = smtp Source = \"192.0.2.9\" "
	    "Source_Max_Rate = 30 }\n"
	    "Domain \"d.test\" { Delivery = smtp Source = \"192.0.2.9\" "
	    "Source_Max_Connections = 4 }\n"
	    "Domain \"e.test\" { Delivery = smtp Source = \"192.0.2.8\" }\n"
	    "Domain \"*\" { Delivery = smtp Route = \"192.0.2.1\" }\n");
	child.settings = s;
}

static void
teardown(void)
{
	settings_free(s);
}

TestSuite(queue_ops, .init = setup, .fini = teardown);

static struct queue_route
route_of(const char *rcpt, const char *section)
{
	const struct queue_addressee to = { .rcpt = rcpt, .sender = "a@s.test",
		.section = section };
	struct queue_route route = { .target = "" };
	char text[JOB_TEXT];

	cr_assert_eq(queue_role_ops.route(&role, &to, &route, text), 0, "%s",
	    text);
	return route;
}

Test(queue_ops, mail_goes_by_the_section_that_an_administrator_has_chosen)
{
	const uint32_t number = settings_section(s, "b.invalid")->number;
	static const char *const rcpts[] = { "eve@far.test", "joe@ours.test" };
	struct queue_route route;
	size_t i;

	for (i = 0; i < 2; i++) {
		route = route_of(rcpts[i], "B.invalid");
		cr_expect_str_eq(route.target, "192.0.2.2");
		cr_expect_eq(route.section, number);
		cr_expect_eq(route.transport, TRANSPORT_RELAY);
		cr_expect_not(route.is_other);
	}
	route = route_of("eve@far.test", "ours.test");
	cr_expect_eq(route.transport, TRANSPORT_MAILDIR);
}

Test(queue_ops, without_that_section_it_goes_as_configured)
{
	struct queue_route route = route_of("eve@far.test", "c.invalid");

	cr_expect_str_eq(route.target, "192.0.2.1");
	cr_expect_eq(route.section, 0);
	cr_expect(route.is_other);
	cr_expect_not(route_of("eve@far.test", "").is_other);
	cr_expect_not(route_of("eve@far.test", NULL).is_other);
	cr_expect_eq(route_of("joe@ours.test", "c.invalid").transport,
	    TRANSPORT_MAILDIR);
}

Test(queue_ops, a_section_is_known_by_its_title)
{
	const char *why = "";

	cr_expect_str_eq(queue_role_ops.section(&role, "B.Invalid", &why),
	    "b.invalid");
	cr_expect_str_eq(queue_role_ops.section(&role, "*", &why), "*");
	cr_expect_null(queue_role_ops.section(&role, "far.test", &why));
	cr_expect_not_null(strstr(why, "no Domain section"), "%s", why);
	cr_expect_null(queue_role_ops.section(&role, "", &why));
}

Test(queue_ops, sections_with_a_limit_for_their_source_have_a_stream)
{
	static const char *const rcpts[] = { "a@c.test", "a@d.test" };
	const uint32_t number = route_of(rcpts[0], NULL).stream;
	struct queue_route route;
	size_t i;

	cr_expect_neq(number, 0);
	for (i = 0; i < 2; i++) {
		route = route_of(rcpts[i], NULL);
		cr_expect_eq(route.stream, number);
		cr_expect_eq(route.stream_rate, 30);
		/* as many as a target has for each of its connections */
		cr_expect_eq(route.stream_window, 4 * 5);
	}
	cr_expect_eq(route_of("a@e.test", NULL).stream, 0);
	cr_expect_eq(route_of("a@far.test", NULL).stream, 0);
	cr_expect_eq(route_of("a@ours.test", NULL).stream, 0);
}
