/* Connections to next hops, from the first octet to the last, in virtual time: the
 * server is the test's, and so is what the DNS says. */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "test/unit/cmd/settings/load.h"
#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/tls/tls_client_fixture.h"

enum { SEGMENT = 1 };
#define CA "TLS_CA_File = \"/nonexistent/ca.pem\" "	/* what is not there is read soon */

static struct scheduler *sched;
static int64_t now_ms;
static struct qf f;
static struct qf_segment s;
static struct spool_sources *sources;
static struct settings *settings;
static struct relay_env env;
static struct relay_tls *tls;
static struct relay_hops *hops;

/* The server: what it answers, NULL: nothing */
static int listener = -1, session = -1;
static in_port_t port;
static const char *banner, *ehlo, *starttls;
static const char *ehlo_inside;	/* TLS; NULL: the handshake stalls */
static SSL *ssl;		/* NULL: there is no TLS */
static char line[512];
static size_t line_len;
static bool is_data;
static unsigned int ntaken;	/* messages */

/* What was told of recipients, and for reports of TLS */
static unsigned int ndone;
static struct job_result result;	/* the last */
static struct job_error error;		/* likewise */
static struct tlsrpt_said said;
static unsigned int nsaid;

static mx_fn *searched;		/* the search that waits for an answer */
static void *searched_closure;
static bool has_more;
static char token;

/* --- time ------------------------------------------------------------------ */

static void
clock_now(void *, struct timeval *now_r)
{
	now_r->tv_sec = 1700000000 + now_ms / 1000;
	now_r->tv_usec = now_ms % 1000 * 1000;
}

/* What is on its way between two sockets may need some real time. */
static int
clock_wait(void *, struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int rc = poll(fds, n, timeout_ms > 0);

	if (rc == 0 && timeout_ms > 0)
		now_ms += timeout_ms;
	return rc;
}

/* --- what the DNS says --------------------------------------------------------- */

static struct mx *
search_open(struct lookup *, const struct mx_want *, mx_fn *fn, void *closure)
{
	cr_assert_null(searched);
	searched = fn;
	searched_closure = closure;
	has_more = false;
	return (struct mx *)(void *)&token;
}

static void
search_more(struct mx *)
{
	has_more = true;
}

static void
search_close(struct mx **x)
{
	searched = NULL;
	*x = NULL;
}

/* Its one host is the server. */
static void
answer_search(void)
{
	struct mx_hop hop = { .host = "mx.test", .preference = 10 };
	struct mx_result r = { .hops = &hop, .n = has_more ? 0 : 1,
		.ttl_s = 3600, .alias = "", .end = MX_END_TRIED };

	if (searched == NULL)
		return;
	hop.is_mx_authentic = true;
	hop.addr.in = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port) };
	searched(searched_closure, &r);
}

/* --- the server ---------------------------------------------------------------- */

static void
say(const char *text)
{
	if (text != NULL && ssl != NULL)
		cr_assert_eq(SSL_write(ssl, text, (int)strlen(text)),
		    (int)strlen(text));
	else if (text != NULL)
		cr_assert_eq(send(session, text, strlen(text), MSG_NOSIGNAL),
		    (ssize_t)strlen(text));
}

static void
begin_tls(void)
{
	say(starttls);
	if (ehlo_inside == NULL)
		return;
	cr_assert_not_null(ssl = SSL_new(shop_server));
	cr_assert_eq(SSL_set_fd(ssl, session), 1);
	SSL_set_accept_state(ssl);
}

static void
end_session(void)
{
	SSL_free(ssl);
	ssl = NULL;
	close(session);
	session = -1;
}

/* An octet: 1; 0: the end; -1: not now */
static int
hear(char *c)
{
	int n;

	if (ssl == NULL)
		return (int)recv(session, c, 1, 0);
	ERR_clear_error();	/* of the client */
	if ((n = SSL_read(ssl, c, 1)) == 1)
		return 1;
	n = SSL_get_error(ssl, n);
	return n == SSL_ERROR_WANT_READ || n == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static void
hear_line(void)
{
	static const char *const verbs[] = { "MAIL", "RCPT", "RSET" };
	size_t i;

	if (is_data) {
		if (strcmp(line, ".") != 0)
			return;
		is_data = false;
		ntaken++;
		say("250 Taken\r\n");
	} else if (strncmp(line, "EHLO ", 5) == 0)
		say(ssl != NULL ? ehlo_inside : ehlo);
	else if (strcmp(line, "STARTTLS") == 0)
		begin_tls();
	else if ((is_data = strcmp(line, "DATA") == 0))
		say("354 Go ahead\r\n");
	else if (strcmp(line, "QUIT") == 0) {
		say("221 Bye\r\n");
		end_session();
	}
	for (i = 0; i < 3; i++)
		if (strncmp(line, verbs[i], 4) == 0)
			say("250 OK\r\n");
}

static void
serve(void)
{
	char c;
	int n;

	if (session == -1) {
		session = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		if (session == -1)
			return;
		line_len = 0;
		say(banner);
	}
	while (session != -1 && (n = hear(&c)) != -1) {
		if (n == 0)
			end_session();
		else if (c == '\n') {
			line[line_len] = '\0';
			line_len = 0;
			hear_line();
		} else if (c != '\r' && line_len < sizeof(line) - 1)
			line[line_len++] = c;
	}
}

static void
listen_at_loopback(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	cr_assert_neq(listener, -1);
	cr_assert_eq(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
	cr_assert_eq(listen(listener, 8), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	port = ntohs(in.sin_port);
}

/* --- relay --------------------------------------------------------------------- */

static void
on_error(void *, const struct job_error *je)
{
	error = *je;
}

static void
on_done(void *, const struct job_result *results, unsigned int n)
{
	ndone += n;
	result = results[n - 1];
}

static void
on_idle(void *)
{
}

static bool
take_said(void *, const struct tlsrpt_tally *tally)
{
	static char octets[LIM_TLSRPT_TOLD];
	size_t at = 0;

	memcpy(octets, tally->octets, tally->len);
	while (tlsrpt_said_next(octets, tally->len, &at, &said) == 1)
		nsaid += said.sessions;
	return true;
}

static const struct relay_ops ops = { .error = on_error, .done = on_done,
	.idle = on_idle };

static void
setup(void)
{
	const struct scheduler_backend backend = { .size = sizeof(backend),
		.now = clock_now, .wait = clock_wait };
	struct spool_header header;

	cr_assert_not_null(sched = scheduler_create(&backend));
	listen_at_loopback();
	qf_init(&f);
	qf_segment(&f, &s, 1);
	cr_assert_not_null(sources = spool_sources_new());
	cr_assert_eq(spool_sources_add(sources, SEGMENT,
	    spool_segment_open(f.incoming, QF_SEGMENT(1), &header)), 0);
	settings = load_good_settings(
	    "ESMTP_Listener { Listen \"127.0.0.1:2525\" { } }\n"
	    "Domain \"addr.test\" { Delivery = smtp "
	    "Route = \"127.0.0.1:%u\" " CA "}\n"
	    "Domain \"name.test\" { Delivery = smtp "
	    "Route = \"mx.test:%u\" " CA "}\n"
	    "Domain \"rate.test\" { Delivery = smtp TLS = none MX_Port = %u "
	    "MX_Rate_Limit = 60 }\n"
	    "Domain \"*\" { Delivery = smtp TLS = may MX_Port = %u " CA
	    "}\n", port, port, port, port);
	cr_assert_not_null(tls = relay_tls_load(settings));
	env = (struct relay_env){ .settings = settings, .tls = tls,
		.tell = relay_tell_new(take_said, NULL), .max = 10 };
	cr_assert_not_null(env.tell);
	cr_assert_not_null(hops = relay_hops_new(&env, sources, &ops, NULL));
	hops->ways.open = search_open;
	hops->ways.more = search_more;
	hops->ways.close = search_close;
	banner = "220 mx.test\r\n";
	ehlo = "250-mx.test\r\n250 STARTTLS\r\n";
	starttls = ehlo_inside = NULL;
	shop_setup();
}

static void
teardown(void)
{
	relay_hops_free(hops);
	relay_tell_free(env.tell);
	relay_tls_free(tls);
	settings_free(settings);
	spool_sources_free(sources);
	spool_segment_close(&s.file);
	qf_free(&f);
	scheduler_destroy(sched);
	close(listener);
	if (session != -1)
		end_session();
	shop_teardown();
}

TestSuite(relay_open, .init = setup, .fini = teardown);

/* A message with these flags is to go to ${rcpt}.  Return the next hop. */
static struct relay_hop *
send_mail(const char *rcpt, unsigned int flags)
{
	const struct spool_envelope env_said = { .flags = flags };
	struct job job = { .job = 100, .source = SEGMENT,
		.body_source = SEGMENT,
		.is_tls_report = (flags & SPOOL_ENV_TLS_REPORT) != 0,
		.offset = qf_append_said(&s, QF_ID(1), &env_said) };
	struct relay_hop *hop;
	struct route route;

	route_find(settings, rcpt, &route);
	cr_assert_eq(route.verdict, ROUTE_DELIVER);
	cr_assert_not_null(hop = relay_hop_find(hops, &route,
	    job.is_tls_report != 0));
	cr_assert_eq(relay_hop_add(hop, &job, 1), 0);
	relay_hops_go(hops);
	return hop;
}

static void
pass(void)
{
	answer_search();
	serve();
	(void)scheduler_pass(sched, 20);
}

static void
pass_until_done(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < 20000 && ndone < n; i++)
		pass();
	cr_assert_eq(ndone, n, "%s", error.text);
}

/* Pass until the server has heard ${verb}. */
static void
pass_until_heard(const char *verb)
{
	unsigned int i;

	line[0] = '\0';
	for (i = 0; i < 20000 && strncmp(line, verb, strlen(verb)) != 0; i++)
		pass();
	cr_assert_lt(i, 20000, "%s", line);
	for (i = 0; i < 10; i++)
		pass();
}

static struct relay_conn *
conn_of(struct relay_hop *hop)
{
	unsigned int i;

	for (i = 0; i < 1000 && hop->nconns == 0; i++)
		pass();
	cr_assert_eq(hop->nconns, 1);
	return TAILQ_FIRST(&hop->conns);
}

/* Half a minute passes, and more mail waits than for which that is borne. */
static void
wait_with_much_mail(struct relay_hop *hop)
{
	unsigned int i;

	conn_of(hop)->since_ms -= 31000;
	hops->njobs += 100000;
	for (i = 0; i < 5000 && ndone == 0; i++)
		pass();
	hops->njobs -= 100000;
	cr_assert_eq(ndone, 1);
	cr_expect_eq(result.flags, JOB_TARGET);
	cr_expect_not_null(strstr(error.text, "not ready for mail"));
	relay_tell_now(env.tell);
}

/* RFC 8460 4.3.1 */
Test(relay_open, a_starttls_that_stalls_is_told_of_where_much_mail_waits)
{
	struct relay_hop *hop = send_mail("a@b.test", 0);

	pass_until_heard("STARTTLS");
	wait_with_much_mail(hop);
	cr_assert_eq(nsaid, 1);
	cr_expect_eq(said.result, TLSRPT_RESULT_VALIDATION);
	cr_expect_str_eq(said.mx_host, "mx.test");
	cr_expect_not_null(strstr(said.reason, "not ready for mail"));
}

Test(relay_open, a_handshake_that_stalls_is_told_of_too)
{
	struct relay_hop *hop = send_mail("a@b.test", 0);

	starttls = "220 Go ahead\r\n";
	pass_until_heard("STARTTLS");
	wait_with_much_mail(hop);
	cr_assert_eq(nsaid, 1);
	cr_expect_eq(said.result, TLSRPT_RESULT_VALIDATION);
}

Test(relay_open, what_stalls_before_starttls_says_nothing_of_tls)
{
	struct relay_hop *hop = send_mail("a@b.test", 0);

	ehlo = NULL;
	pass_until_heard("EHLO ");
	wait_with_much_mail(hop);
	cr_expect_eq(nsaid, 0);
}

/* RFC 8460 3: only the session of the other message is counted. */
Test(relay_open, the_session_of_a_report_of_tls_is_not_told_of)
{
	ehlo = "250 mx.test\r\n";
	(void)send_mail("a@b.test", SPOOL_ENV_TLS_OPTIONAL |
	    SPOOL_ENV_TLS_REPORT);
	pass_until_done(1);
	cr_expect_eq(result.errnum, 0);
	relay_tell_now(env.tell);
	cr_expect_eq(nsaid, 0);
	(void)send_mail("a@b.test", SPOOL_ENV_TLS_OPTIONAL);
	pass_until_done(2);
	cr_expect_eq(ntaken, 2);
	relay_tell_now(env.tell);
	cr_assert_eq(nsaid, 1);
	cr_expect_eq(said.result, TLSRPT_RESULT_NO_STARTTLS);
}

/* RFC 8689 4.2.1: such a server may have what the message needs another time. */
Test(relay_open, a_message_waits_for_a_server_that_does_not_begin_tls_now)
{
	starttls = "454 4.7.0 Not now\r\n";
	(void)send_mail("a@b.test", SPOOL_ENV_REQUIRETLS);
	pass_until_done(1);
	cr_expect_neq(result.errnum, 0);
	cr_expect_eq(result.flags & JOB_REFUSED, 0, "%s", error.text);
	cr_expect_str_eq(error.enhanced, "4.7.30");
	cr_expect_eq(ntaken, 0);
}

Test(relay_open, a_message_that_needs_tls_is_refused_where_there_is_none)
{
	ehlo = "250-mx.test\r\n250 REQUIRETLS\r\n";
	(void)send_mail("a@b.test", SPOOL_ENV_REQUIRETLS);
	pass_until_done(1);
	cr_expect_eq(result.flags, JOB_REFUSED);
	cr_expect_str_eq(error.enhanced, "5.7.30");
}

/* The DNS may tell of TLSA records, or of another address, by then. */
Test(relay_open, a_connection_to_a_name_takes_mail_for_some_minutes_alone)
{
	struct relay_conn *conn;

	ehlo = "250 mx.test\r\n";
	conn = conn_of(send_mail("a@name.test", 0));
	cr_expect_eq(conn->end_ms, conn->since_ms + RELAY_CONN_MS);
	pass_until_done(1);
	conn = conn_of(send_mail("a@addr.test", 0));
	cr_expect_eq(conn->end_ms, UINT64_MAX);
	pass_until_done(2);
}

/* Without authorities this server cannot say which server that is. */
Test(relay_open, a_message_that_needs_tls_waits_where_nobody_can_be_verified)
{
	starttls = "220 Go ahead\r\n";
	ehlo_inside = "250-mx.test\r\n250 REQUIRETLS\r\n";
	(void)send_mail("a@b.test", SPOOL_ENV_REQUIRETLS);
	pass_until_done(1);
	cr_expect_neq(result.errnum, 0);
	cr_expect_eq(result.flags & JOB_REFUSED, 0);
	cr_expect_str_eq(error.enhanced, "4.7.5");
	cr_expect_not_null(strstr(error.text, "cannot be checked"));
}

Test(relay_open, but_not_for_a_server_that_does_not_promise_it)
{
	starttls = "220 Go ahead\r\n";
	ehlo_inside = "250 mx.test\r\n";
	(void)send_mail("a@b.test", SPOOL_ENV_REQUIRETLS);
	pass_until_done(1);
	cr_expect_eq(result.flags, JOB_REFUSED);
	cr_expect_str_eq(error.enhanced, "5.7.30");
}

/* The mode of the domain's policy of MTA-STS is "testing". */
Test(relay_open, what_nobody_can_verify_is_not_told_of_the_domain)
{
	const struct sts_policy tested = { .mode = STS_TESTING,
		.max_age_s = 86400, .len = sizeof("mx.test"), .mx = "mx.test" };
	struct relay_hop *hop;
	unsigned int i;

	starttls = "220 Go ahead\r\n";
	ehlo_inside = "250 mx.test\r\n";
	for (i = 0; i < 2; i++) {
		hop = send_mail("a@b.test", 0);
		if (i == 0) {
			cr_assert_not_null(hop->way.sts =
			    malloc(sizeof(tested)));
			*hop->way.sts = tested;
		}
		/* with authorities that are others, it is */
		conn_of(hop)->is_blind = i == 0;
		pass_until_done(i + 1);
		cr_expect_eq(result.errnum, 0);
		relay_tell_now(env.tell);
		cr_assert_eq(nsaid, i);
		while (hop->nconns > 0)
			pass();
	}
	cr_expect_eq(said.type, TLSRPT_STS);
	cr_expect_eq(said.result, TLSRPT_RESULT_NOT_TRUSTED);
}

/* --- a rate ------------------------------------------------------------------------ */

static uint64_t tick_ms;

static uint64_t
tick(void)
{
	return ++tick_ms;
}

static union addr
server_addr(void)
{
	return (union addr){ .in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port) } };
}

static void
end_conns(struct relay_hop *hop)
{
	while (hop->nconns > 0)
		relay_conn_kill(TAILQ_FIRST(&hop->conns));
	while (session != -1)
		pass();
}

/* It is seen more than once what time it is. */
Test(relay_open, mail_whose_turn_comes_in_the_meantime_is_sent)
{
	const union addr addr = server_addr();
	unsigned int i, nsent = 0;
	struct relay_bound *b;
	struct relay_hop *hop;

	ehlo = "250 mx.test\r\n";
	hop = send_mail("a@rate.test", 0);
	pass_until_done(1);
	end_conns(hop);
	tick_ms = hops->ways.now_ms();
	hops->ways.now_ms = tick;
	for (i = 0; i < 20; i++) {
		b = relay_bound_get(&hops->bounds, BOUND_HOST, &addr);
		cr_assert_not_null(b);
		b->rate.next_us = (tick_ms + i) * 1000;
		hop->turn.n = 0;
		(void)send_mail("a@rate.test", 0);
		pass_until_done(i + 2);
		if (result.errnum == 0)
			nsent++;
		else
			cr_expect_eq(result.flags & JOB_FLAGS, JOB_LATER);
		end_conns(hop);
		relay_bound_put(&hops->bounds, relay_bound_find(&hops->bounds,
		    BOUND_HOST, &addr));
	}
	cr_expect_gt(nsent, 0);
	cr_expect_lt(nsent, 20);
	cr_expect_eq(ntaken, nsent + 1);
}
