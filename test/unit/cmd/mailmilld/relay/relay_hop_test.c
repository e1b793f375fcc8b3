/* Mail that waits for next hops: how much of it there is, and for which. */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/util/monotonic.h"
#include "test/unit/cmd/settings/load.h"
#include "test/unit/core/queue/queue_fixture.h"

enum { SEGMENT = 1 };

static struct qf f;
static struct qf_segment s;
static struct spool_sources *sources;
static struct settings *settings;
static struct relay_env env;
static struct relay_hops *hops;
static unsigned int nerrors, nresults;
static bool is_tls_report;	/* what waits next */
static struct job_result last_result;

static void
on_error(void *, const struct job_error *)
{
	nerrors++;
}

static void
on_done(void *, const struct job_result *results, unsigned int n)
{
	nresults += n;
	last_result = results[n - 1];
}

static void
on_idle(void *)
{
}

static const struct relay_ops ops = { .error = on_error, .done = on_done,
	.idle = on_idle };

static void
setup(void)
{
	struct spool_header header;

	qf_init(&f);
	qf_segment(&f, &s, 1);
	cr_assert_not_null(sources = spool_sources_new());
	cr_assert_eq(spool_sources_add(sources, SEGMENT,
	    spool_segment_open(f.incoming, QF_SEGMENT(1), &header)), 0);
	settings = load_good_settings(
	    "ESMTP_Listener { Listen \"127.0.0.1:2525\" { } }\n"
	    "Domain \"hop.test\" { Delivery = smtp "
	    "Route = \"192.0.2.1:25\" }\n"
	    "Domain \"two.test\" { Delivery = smtp "
	    "Route = { \"192.0.2.1:25\", \"192.0.2.2:25\" } }\n"
	    "Domain \"few.test\" { Delivery = smtp "
	    "Route = \"192.0.2.3:25\" Max_Connections = 1 }\n"
	    "Domain \"from.test\" { Delivery = smtp Route = \"192.0.2.4:25\" "
	    "Source = \"192.0.2.9\" Source_Max_Connections = 1 }\n"
	    "Domain \"from2.test\" { Delivery = smtp "
	    "Route = \"192.0.2.5:25\" Source = \"192.0.2.9\" }\n"
	    "Domain \"rate.test\" { Delivery = smtp MX_Rate_Limit = 60 }\n"
	    "Domain \"rate2.test\" { Delivery = smtp MX_Rate_Limit = 60 }\n"
	    "Domain \"*\" { Delivery = smtp }\n");
	env = (struct relay_env){ .settings = settings, .max = 10 };
	cr_assert_not_null(hops = relay_hops_new(&env, sources, &ops, NULL));
	nerrors = nresults = 0;
	is_tls_report = false;
}

static void
teardown(void)
{
	relay_hops_free(hops);
	settings_free(settings);
	spool_sources_free(sources);
	spool_segment_close(&s.file);
	qf_free(&f);
}

TestSuite(relay_hop, .init = setup, .fini = teardown);

/* The next hop of ${rcpt}, for which a message with three recipients waits, which
 * has ${flags}. */
static struct relay_hop *
hop_with_mail(const char *rcpt, unsigned int flags)
{
	const struct spool_envelope said = { .flags = flags };
	struct job job = { .source = SEGMENT, .body_source = SEGMENT,
		.offset = qf_append_said(&s, QF_ID(1), &said) };
	struct relay_hop *hop;
	struct route route;

	route_find(settings, rcpt, &route);
	cr_assert_eq(route.verdict, ROUTE_DELIVER);
	cr_assert_not_null(hop = relay_hop_find(hops, &route, is_tls_report));
	for (job.origin.rcpt = 0; job.origin.rcpt < 3; job.origin.rcpt++) {
		job.job = 100 + job.origin.rcpt;
		cr_assert_eq(relay_hop_add(hop, &job, 1), 0);
	}
	return hop;
}

static void
expect_waiting(size_t nmails, size_t njobs)
{
	cr_expect_eq(hops->nmails, nmails, "%zu", hops->nmails);
	cr_expect_eq(hops->njobs, njobs, "%zu", hops->njobs);
}

/* RFC 8689 4.2.2: it waits for the same next hop once more, and is no more mail
 * than before. */
Test(relay_hop, mail_that_does_without_what_others_demand_is_counted_once)
{
	static const char *const rcpts[] = { "a@hop.test", "a@mx.test" };
	struct relay_hop *hop, *other;
	size_t i;

	for (i = 0; i < 2; i++) {
		nresults = 0;
		hop = hop_with_mail(rcpts[i], SPOOL_ENV_TLS_OPTIONAL);
		expect_waiting(1, 3);
		hop->way.has_demand = true;
		cr_expect(relay_hop_fail_waiting(hop));
		cr_expect_eq(nresults, 0);
		expect_waiting(1, 3);
		cr_assert_not_null(other = TAILQ_FIRST(&hops->wanting));
		cr_expect_eq(other->kind, HOP_OPTIONAL);
		/* that is all that it can do without */
		other->way.has_demand = true;
		cr_expect_not(relay_hop_fail_waiting(other));
		cr_expect_eq(nresults, 3);
		expect_waiting(0, 0);
	}
}

static bool
send_told(void *, const struct tlsrpt_tally *)
{
	return true;
}

/* RFC 8460 3: so that a report leads to no other one.  All the same it is sent where
 * what its domain demands cannot be had. */
Test(relay_hop, what_comes_of_a_report_of_tls_is_not_told)
{
	static const char *const rcpts[] = { "a@hop.test", "a@mx.test" };
	struct relay_hop *hop, *report, *other;
	struct relay_tell *tell;
	size_t i;

	cr_assert_not_null(tell = relay_tell_new(send_told, NULL));
	for (i = 0; i < 4; i++) {
		/* without the option, and mail by Route, is never told of */
		env.tell = i < 2 ? NULL : tell;
		is_tls_report = false;
		hop = hop_with_mail(rcpts[i % 2], SPOOL_ENV_TLS_OPTIONAL);
		is_tls_report = true;
		report = hop_with_mail(rcpts[i % 2], SPOOL_ENV_TLS_OPTIONAL);
		cr_expect_not(hop->way.is_untold);
		if (i < 3) {
			cr_expect_eq(report, hop, "%zu", i);
			continue;
		}
		cr_expect_neq(report, hop);
		cr_expect(report->way.is_untold);
		cr_expect_not(report->way.is_optional);
		report->way.has_demand = true;
		cr_expect(relay_hop_fail_waiting(report));
		other = TAILQ_LAST(&hops->wanting, relay_hop_list);
		cr_expect_eq(other->kind, HOP_OPTIONAL);
		cr_expect(other->way.is_untold);
	}
	env.tell = NULL;
	relay_tell_free(tell);
}

/* A connection to ${hop} that has sent something, and takes no more in ${ms}. */
static void
conn_of(struct relay_hop *hop, struct relay_conn *conn, int64_t ms)
{
	*conn = (struct relay_conn){ .closure = hop, .state = CONN_WOKEN,
		.end_ms = monotonic_ms() + (uint64_t)ms };
	TAILQ_INSERT_TAIL(&hop->conns, conn, link);
	hop->count[CONN_WOKEN]++;
	hop->nconns++;
	hops->nconns++;
}

static void
conn_end(struct relay_hop *hop, struct relay_conn *conn)
{
	relay_hop_set_state(hop, conn, CONN_LEAVING);
	TAILQ_REMOVE(&hop->conns, conn, link);
	hop->count[CONN_LEAVING]--;
	hop->nconns--;
	hops->nconns--;
	hops->nleaving--;
}

/* What the server had to show when it was opened may not be what it would have to
 * show now (RFC 7672 2.1.1, RFC 8461 5). */
Test(relay_hop, a_connection_of_old_takes_no_more_mail)
{
	struct relay_hop *hop = hop_with_mail("a@mx.test", 0);
	struct relay_conn conn;
	struct relay_mail *m;

	env.max = 1;		/* no other one is opened */
	conn_of(hop, &conn, -1);
	cr_expect_null(hops->conn_ops->next(hop, &conn));
	cr_expect_eq(conn.state, CONN_LEAVING);
	expect_waiting(1, 3);
	conn_end(hop, &conn);
	conn_of(hop, &conn, 3600000);
	cr_assert_not_null(m = hops->conn_ops->next(hop, &conn));
	cr_expect_eq(conn.state, CONN_BUSY);
	relay_hop_mail_end(hops, m);
	conn_end(hop, &conn);
}

Test(relay_hop, other_mail_fails_where_others_demand_what_cannot_be_had)
{
	struct relay_hop *hop = hop_with_mail("a@mx.test", 0);

	hop->way.has_demand = true;
	cr_expect_not(relay_hop_fail_waiting(hop));
	cr_expect_eq(nresults, 3);
	cr_expect_eq(nerrors, 3);
	expect_waiting(0, 0);
}

/* The last two octets of the address that is tried first */
static unsigned int
first_address(struct relay_hop *hop, uint64_t *number_r)
{
	const struct relay_place *place;

	cr_assert_eq(relay_way_find(&hop->way, &place), RELAY_WAY_PLACE);
	*number_r = place->number;
	return ntohl(place->addr.ip.in.sin_addr.s_addr) & 0xffff;
}

/* A connection to the first address has the mail of ${hop}, and this outcome of its
 * first recipient. */
static struct relay_mail *
outcome(struct relay_hop *hop, enum smtp_outcome is, enum smtp_why why)
{
	const struct smtp_result result = { .outcome = is, .why = why,
		.enhanced = "", .words = "", .command = "MAIL FROM" };
	struct relay_conn conn = { .closure = hop };

	(void)first_address(hop, &conn.place);
	cr_assert_not_null(conn.mail = relay_hop_take(hop, true));
	cr_assert_eq(relay_mail_load(conn.mail, sources, NULL), 0);
	hops->conn_ops->rcpt(hop, &conn, 0, &result);
	return conn.mail;
}

Test(relay_hop, a_server_that_does_not_answer_in_time_is_not_the_next_to_be_tried)
{
	struct relay_hop *hop = hop_with_mail("a@two.test", 0);
	struct relay_mail *m;
	uint64_t number;

	cr_expect_eq(first_address(hop, &number), 0x0201);
	m = outcome(hop, SMTP_UNSENT, SMTP_WHY_TIMEOUT);
	cr_expect(m->is_again[0]);
	cr_expect_eq(first_address(hop, &number), 0x0202);
	/* one that has said something is */
	relay_hop_mail_end(hops, m);
	relay_way_late(&hop->way, number);
	hop = hop_with_mail("b@two.test", 0);
	relay_way_good(&hop->way, hop->way.v[0].number, 0);
	m = outcome(hop, SMTP_UNSENT, SMTP_WHY_CLOSED);
	cr_expect(m->is_again[0]);
	cr_expect_eq(first_address(hop, &number), 0x0201);
	relay_hop_mail_end(hops, m);
}

/* RFC 8689 4.2.1: it waits for the hosts that have what it needs. */
Test(relay_hop, a_server_that_does_not_keep_tls_is_not_the_last_to_be_tried)
{
	static const char *const rcpts[] = { "a@two.test", "a@mx.test" };
	struct relay_hop *hop, *other;
	struct relay_mail *m;
	size_t i;

	hop = hop_with_mail(rcpts[0], SPOOL_ENV_REQUIRETLS);
	m = outcome(hop, SMTP_REFUSED, SMTP_WHY_REQUIRETLS);
	cr_expect(m->is_again[0]);
	cr_expect(m->needs_keeping);
	cr_expect_eq(m->nresults, 0);
	relay_hop_mail_end(hops, m);
	for (i = 0; i < 2; i++) {
		hop = hop_with_mail(rcpts[i], SPOOL_ENV_REQUIRETLS);
		cr_assert_not_null(other = relay_hop_of_kind(hop,
		    HOP_KEEPS_TLS));
		cr_expect_neq(other, hop);
		cr_expect_eq(other->kind, HOP_KEEPS_TLS);
		cr_expect_str_eq(other->target, hop->target);
		cr_expect_eq(relay_hop_of_kind(hop, HOP_KEEPS_TLS), other);
		cr_expect_neq(relay_hop_of_kind(hop, HOP_OPTIONAL), other);
	}
}

/* And a handshake that fails is no reason to refuse it, nor to go there without. */
Test(relay_hop, mail_that_needs_tls_waits_where_a_handshake_fails)
{
	const struct job_error why = { .text = "the handshake has failed" };
	struct relay_hop *hop = hop_with_mail("a@hop.test",
	    SPOOL_ENV_REQUIRETLS), *other;
	const struct relay_place *place;
	uint64_t number;

	cr_assert_not_null(other = relay_hop_of_kind(hop, HOP_KEEPS_TLS));
	(void)first_address(other, &number);
	cr_expect_not(relay_hop_without_tls(other, number, RELAY_MAY, &why));
	cr_expect_eq(other->clear_ms, 0);
	relay_hop_unopened(other, number, &why, EPROTO);
	cr_expect_eq(relay_way_find(&other->way, &place), RELAY_WAY_END);
	cr_expect_eq(other->way.errnum, EAGAIN);
	cr_expect_eq(other->way.flags, 0, "other mail goes there");
	/* other mail does */
	(void)first_address(hop, &number);
	cr_expect(relay_hop_without_tls(hop, number, RELAY_MAY, &why));
	cr_expect_neq(hop->clear_ms, 0);
}

/* --- connections that count together ------------------------------------------ */

/* The connection ${conn} to ${hop}, which has sent something, counts for the target,
 * and for ${b}, unless it is NULL. */
static void
conn_counted(struct relay_hop *hop, struct relay_conn *conn,
    struct relay_bound *b)
{
	conn_of(hop, conn, 3600000);
	conn->bounds[BOUND_TARGET] = hop->bound;
	if (b != NULL)
		conn->bounds[b->kind] = b;
	relay_bounds_begin(conn->bounds, monotonic_ms());
	relay_bounds_move(conn->bounds, CONN_OPENING, CONN_WOKEN,
	    monotonic_ms());
}

static void
conn_counted_end(struct relay_hop *hop, struct relay_conn *conn)
{
	conn_end(hop, conn);
	relay_bounds_end(&hops->bounds, conn->bounds, CONN_LEAVING);
}

static struct relay_bound *
bound_at(enum relay_bound_kind kind, const char *text)
{
	struct relay_bound *b;
	union addr addr;

	cr_assert_eq(addr_parse(text, &addr), 0);
	cr_assert_not_null(b = relay_bound_get(&hops->bounds, kind, &addr));
	return b;
}

/* ${conn} has more mail, and makes room for the mail of ${hop}, which waits. */
static void
expect_way_given(struct relay_conn *conn, struct relay_hop *hop,
    const struct relay_bound *b)
{
	relay_hops_go(hops);
	cr_expect_eq(hop->nconns, 0);
	cr_expect_eq(hop->wanted, b);
	cr_expect_null(hops->conn_ops->next(conn->closure, conn));
	cr_expect_eq(conn->state, CONN_LEAVING);
	cr_expect_eq(nresults, 0);
}

/* One more mail waits for ${hop}. */
static void
put_mail(struct relay_hop *hop)
{
	const struct job job = { .job = 7, .source = SEGMENT,
		.body_source = SEGMENT,
		.offset = qf_append_said(&s, QF_ID(2),
		    &(struct spool_envelope){ .flags = 0 }) };
	struct relay_mail *m = relay_mail_new(&job, 2);

	cr_assert_not_null(m);
	relay_hop_put(hop, m, false);
}

/* Mail with other needs waits for the same connections. */
Test(relay_hop, connections_to_a_target_count_once_whatever_its_mail_needs)
{
	struct relay_hop *hop = hop_with_mail("a@few.test", 0), *other;
	struct relay_conn conn;

	cr_assert_not_null(other = relay_hop_of_kind(hop, HOP_KEEPS_TLS));
	cr_expect_eq(other->bound, hop->bound);
	cr_expect_eq(relay_hop_of_kind(hop, HOP_OPTIONAL)->bound, hop->bound);
	cr_expect_eq(hop->bound->max, 1);
	conn_counted(hop, &conn, NULL);
	put_mail(other);
	expect_way_given(&conn, other, hop->bound);
	conn_counted_end(hop, &conn);
}

/* So it is where the hosts are those of MX records; another domain has its own. */
Test(relay_hop, each_domain_has_its_connections_whatever_its_mail_needs)
{
	struct relay_hop *hop = hop_with_mail("a@mx.test", 0), *other;

	cr_assert_not_null(other = relay_hop_of_kind(hop, HOP_KEEPS_TLS));
	cr_expect_eq(other->bound, hop->bound);
	cr_expect_eq(hop->bound->nhops, 2);
	cr_expect_neq(hop_with_mail("a@mx2.test", 0)->bound, hop->bound);
}

/* Whatever next hops they lead to */
Test(relay_hop, connections_from_an_address_count_together)
{
	struct relay_hop *hop = hop_with_mail("a@from.test", 0);
	struct relay_hop *other = hop_with_mail("a@from2.test", 0);
	struct relay_bound *b = bound_at(BOUND_SOURCE, "192.0.2.9:0");
	struct relay_conn conn;

	conn_counted(hop, &conn, b);
	expect_way_given(&conn, other, b);
	/* and the next one is that which has waited */
	relay_hop_gave_way(hop);
	cr_expect_eq(TAILQ_FIRST(&hops->wanting), other);
	relay_hop_want_none(other);
	conn_counted_end(hop, &conn);
}

/* --- a rate for an MX host -------------------------------------------------------- */

static uint64_t clock_ms;

static uint64_t
now_ms(void)
{
	return clock_ms;
}

static void
set_clock(void)
{
	clock_ms = 1000;
	hops->ways.now_ms = now_ms;
}

/* What waits for ${hop} goes back, to come again in ${ms}. */
static void
expect_put_off(struct relay_hop *hop, struct relay_conn *conn, unsigned int ms)
{
	unsigned int had = nresults;

	cr_expect_null(hops->conn_ops->next(hop, conn));
	cr_expect_eq(conn->state, CONN_IDLE);
	cr_expect_eq(hop->nwaiting, 0);
	cr_expect_gt(nresults, had);
	cr_expect_eq(last_result.errnum, EAGAIN);
	cr_expect_eq(last_result.flags & JOB_FLAGS, JOB_LATER);
	cr_expect_eq(JOB_MS(last_result.flags), ms, "%u",
	    JOB_MS(last_result.flags));
}

static void
expect_sent(struct relay_hop *hop, struct relay_conn *conn)
{
	struct relay_mail *m = hops->conn_ops->next(hop, conn);

	cr_assert_not_null(m);
	cr_expect_eq(conn->state, CONN_BUSY);
	relay_hop_mail_end(hops, m);
	relay_hop_set_state(hop, conn, CONN_WOKEN);
}

/* Two domains have one host, and turns there. */
Test(relay_hop, mail_for_a_host_that_has_got_its_rate_goes_back_until_its_turn)
{
	struct relay_hop *hop = hop_with_mail("a@rate.test", 0);
	struct relay_hop *other = hop_with_mail("a@rate2.test", 0);
	struct relay_bound *b = bound_at(BOUND_HOST, "192.0.2.9:25");
	struct relay_conn conn, conn2;

	set_clock();
	put_mail(hop);
	put_mail(hop);
	conn_counted(hop, &conn, b);
	conn_counted(other, &conn2, b);
	expect_sent(hop, &conn);
	expect_put_off(hop, &conn, 1000);
	expect_put_off(other, &conn2, 2000);
	cr_expect_eq(hops->nmails, 0);
	cr_expect_eq(hops->njobs, 0);
	/* too early: its turn is when it was */
	clock_ms += 700;
	put_mail(hop);
	relay_hop_set_state(hop, &conn, CONN_WOKEN);
	expect_put_off(hop, &conn, 300);
	/* it has come, for one; the next is behind that of the other */
	clock_ms += 300;
	put_mail(hop);
	put_mail(hop);
	relay_hop_set_state(hop, &conn, CONN_WOKEN);
	expect_sent(hop, &conn);
	expect_put_off(hop, &conn, 2000);
	clock_ms += 1000;
	put_mail(other);
	relay_hop_set_state(other, &conn2, CONN_WOKEN);
	expect_sent(other, &conn2);
	conn_counted_end(hop, &conn);
	conn_counted_end(other, &conn2);
}

/* A message that a connection has begun is not put off, but counts. */
Test(relay_hop, what_is_left_of_a_message_is_sent_at_once)
{
	struct relay_hop *hop = hop_with_mail("a@rate.test", 0);
	struct relay_bound *b = bound_at(BOUND_HOST, "192.0.2.9:25");
	struct relay_conn conn;

	set_clock();
	put_mail(hop);
	TAILQ_LAST(&hop->waiting, relay_mails)->ntries = 1;
	conn_counted(hop, &conn, b);
	expect_sent(hop, &conn);
	expect_sent(hop, &conn);
	put_mail(hop);
	expect_put_off(hop, &conn, 2000);
	conn_counted_end(hop, &conn);
}

/* One connection is being opened for the mail whose turn it is. */
Test(relay_hop, what_is_put_off_leaves_the_turn_to_what_is_kept)
{
	struct relay_hop *hop = hop_with_mail("a@rate.test", 0);
	struct relay_bound *b = bound_at(BOUND_HOST, "192.0.2.9:25");
	struct relay_conn conn;

	set_clock();
	conn_counted(hop, &conn, b);
	expect_sent(hop, &conn);
	put_mail(hop);
	expect_put_off(hop, &conn, 1000);
	clock_ms += 1000;
	put_mail(hop);
	put_mail(hop);
	relay_hop_put_off(hop, b, 1);
	cr_expect_eq(hop->nwaiting, 1);
	cr_expect_eq(JOB_MS(last_result.flags), 1000, "%u",
	    JOB_MS(last_result.flags));
	relay_hop_set_state(hop, &conn, CONN_WOKEN);
	expect_sent(hop, &conn);
	conn_counted_end(hop, &conn);
}

/* RFC 8689 4.2.2.  Else it would be put off for ever: its turns would be those of two
 * next hops by turns. */
Test(relay_hop, mail_for_which_another_next_hop_had_its_turn_is_not_put_off)
{
	struct relay_bound *b = bound_at(BOUND_HOST, "192.0.2.9:25");
	struct relay_hop *hop, *other;
	size_t i;

	set_clock();
	b->rate.next_us = (clock_ms + 5000) * 1000;
	for (i = 0; i < 2; i++) {
		hop = hop_with_mail("a@rate.test", SPOOL_ENV_TLS_OPTIONAL);
		hop->way.has_demand = true;
		/* or no connection was made, since its policy says so */
		hop->way.ntried = i;
		cr_expect(relay_hop_fail_waiting(hop));
		other = relay_hop_of_kind(hop, HOP_OPTIONAL);
		cr_assert_not_null(other);
		cr_expect_eq(other->nwaiting, 1);
		cr_expect_eq(relay_hop_may_send(other, b, 0), i == 1);
		relay_hop_mail_end(hops, relay_hop_take(other, true));
	}
	relay_bound_put(&hops->bounds, b);
}

/* Without a limit nothing is counted. */
Test(relay_hop, a_host_without_a_rate_gets_what_there_is)
{
	struct relay_hop *hop = hop_with_mail("a@mx.test", 0);
	struct relay_bound *b = bound_at(BOUND_HOST, "192.0.2.9:25");
	struct relay_conn conn;
	unsigned int i;

	conn_counted(hop, &conn, b);
	for (i = 0; i < 100; i++) {
		expect_sent(hop, &conn);
		put_mail(hop);
	}
	cr_expect_eq(b->rate.next_us, 0);
	conn_counted_end(hop, &conn);
}
