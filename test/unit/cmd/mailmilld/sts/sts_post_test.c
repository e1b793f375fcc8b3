/* Reports that the queue has posted: the queue, the resolver and libcurl are the
 * test's. */

#include <sys/mman.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/lookup/sts_ask.h"
#include "cmd/mailmilld/sts/sts_int.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"
#include "test/unit/cmd/mailmilld/lookup/fake_resolver.h"
#include "test/unit/cmd/mailmilld/sts/fake_curl.h"

#define URL	"https://z.example:8443/tls?a"

static struct scheduler *sched;
static struct lookup *lookup;
static struct channel *resolver, *queue;
static struct sts_fetches *posts;
static struct sts_askers askers;

static void
done(void *)
{
}

static void
setup(void)
{
	const struct msg_peer self = { .role = ROLE_QUEUE };
	struct sts_fetches_config config = { .port = 8443,
		.kind = STS_CURL_POSTS, .places = STS_POSTS_MAX,
		.seconds = STS_POST_SECONDS, .now_ms = monotonic_ms };
	char err[256];
	int fds[2];

	fake_curl_set();
	cr_assert_not_null(sched = scheduler_create(NULL));
	cr_assert_not_null(lookup = lookup_new(ROLE_STS));
	resolver = fake_resolver_connect(lookup, ROLE_STS);
	config.lookup = lookup;
	posts = sts_fetches_new(&config, err, sizeof(err));
	cr_assert_not_null(posts, "%s", err);
	askers = (struct sts_askers){ .posts = posts, .done = done,
		.is_open = true };
	TAILQ_INIT(&askers.list);
	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(sts_asker_open(&askers, &self, fds[0]), 0);
	queue = channel_open(fds[1], msg_rows, NMSGS, ROLE_QUEUE, ROLE_STS);
	cr_assert_not_null(queue);
}

static void
teardown(void)
{
	sts_askers_close(&askers);
	cr_expect_eq(fake_curl_count(), 0);
	sts_fetches_free(posts);
	lookup_free(lookup);
	channel_free(resolver);
	channel_free(queue);
	cr_expect_eq(scheduler_event_count(sched), 0);
	scheduler_destroy(sched);
}

TestSuite(sts_post, .init = setup, .fini = teardown);

static void
pass(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++)
		cr_assert_geq(scheduler_pass(sched, 0), 0);
}

static int
make_file(size_t len)
{
	int fd = memfd_create("report", MFD_CLOEXEC);

	cr_assert_neq(fd, -1);
	cr_assert_eq(write(fd, "report", 6), 6);
	cr_assert_eq(ftruncate(fd, (off_t)len), 0);
	return fd;
}

/* The queue has ${fd} posted. */
static void
post(uint64_t ask, const char *uri, int fd)
{
	const struct msg_sts_ask base = { .ask = ask };

	cr_assert_eq(channel_send(queue, T_POST, &base, uri,
	    (unsigned int)strlen(uri), fd), 0);
	pass();
}

/* The resolver is asked for ${host}, and has that address. */
static void
answer_dns(const char *host, const char *text)
{
	struct fake_question q;
	uint8_t octets[64];

	cr_assert(fake_resolver_hear(resolver, &q));
	cr_assert_str_eq(q.name, host);
	fake_resolver_say(resolver, q.ask, LOOKUP_FOUND, 0, octets,
	    fake_resolver_address(octets, sizeof(octets), text));
	pass();
}

/* The queue hears that of the report. */
static void
expect_posted(uint64_t ask, enum sts_failure failure, const char *why)
{
	struct msg_sts_posted base;
	struct channel_msg msg;
	char text[MSG_POSTED_WHY + 1];

	cr_assert_eq(channel_recv(queue, &msg), 1);
	cr_assert_eq(msg.type, T_POSTED);
	memcpy(&base, msg.base, sizeof(base));
	cr_expect_eq(base.ask, ask);
	cr_expect_eq(base.failure, failure, "%u", base.failure);
	snprintf(text, sizeof(text), "%.*s", (int)msg.nentries,
	    msg.nentries == 0 ? "" : (const char *)msg.entries);
	cr_expect_not_null(strstr(text, why), "%s", text);
}

static void
expect_nothing(void)
{
	struct channel_msg msg;

	cr_expect_neq(channel_recv(queue, &msg), 1);
}

static struct fake_curl *
begin(void)
{
	struct fake_curl *c;

	post(7, "https://z.example/tls?a", make_file(6));
	answer_dns("z.example", "192.0.2.1:1");
	cr_assert_not_null(c = fake_curl_find(URL));
	return c;
}

/* RFC 8460 3, 5.4 */
Test(sts_post, a_report_is_posted_to_a_server_that_is_verified)
{
	struct fake_curl *c = begin();
	char buf[64];

	cr_expect(c->is_post);
	cr_expect(c->is_verified);
	cr_expect_eq(c->follows, 0);
	cr_expect_eq(c->seconds, STS_POST_SECONDS);
	cr_expect_str_eq(c->fields,
	    "Content-Type: application/tlsrpt+gzip\nExpect:\n");
	cr_expect_eq(c->size, 6);
	cr_expect_eq(c->read(buf, 1, 4, c->readdata), 4);
	cr_expect_eq(c->read(buf + 4, 1, sizeof(buf) - 4, c->readdata), 2);
	cr_expect_eq(memcmp(buf, "report", 6), 0);
	cr_expect_eq(c->read(buf, 1, sizeof(buf), c->readdata), 0);
	expect_nothing();
	fake_curl_end(c, CURLE_OK, 200);
	pass();
	expect_posted(7, STS_FETCHED, "");
	cr_expect_eq(fake_curl_count(), 0);
}

Test(sts_post, the_status_says_whether_it_was_taken)
{
	static const struct {
		CURLcode	 code;
		long		 status;
		enum sts_failure failure;
		const char	*why;
	} cases[] = {
		{ CURLE_OK, 201, STS_FETCHED, "" },
		{ CURLE_OK, 299, STS_FETCHED, "" },
		/* it has said so, whatever comes after it */
		{ CURLE_OPERATION_TIMEDOUT, 200, STS_FETCHED, "" },
		{ CURLE_WRITE_ERROR, 202, STS_FETCHED, "" },
		{ CURLE_OK, 302, STS_FETCH_ERROR, "its status is 302" },
		{ CURLE_OK, 100, STS_FETCH_ERROR, "" },
		/* headers without an end */
		{ CURLE_OUT_OF_MEMORY, 503, STS_FETCH_ERROR,
		    "its status is 503" },
		{ CURLE_WRITE_ERROR, 500, STS_FETCH_ERROR,
		    "its status is 500" },
		{ CURLE_FILESIZE_EXCEEDED, 404, STS_FETCH_ERROR,
		    "its status is 404" },
		{ CURLE_OPERATION_TIMEDOUT, 0, STS_FETCH_ERROR, "" },
		{ CURLE_GOT_NOTHING, 0, STS_FETCH_ERROR, "" },
		{ CURLE_PEER_FAILED_VERIFICATION, 0, STS_WEBPKI_INVALID, "" },
		{ CURLE_OUT_OF_MEMORY, 0, STS_UNKNOWN, "out of memory" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_curl_end(begin(), cases[i].code, cases[i].status);
		pass();
		expect_posted(7, cases[i].failure, cases[i].why);
	}
}

/* libcurl says the same of a line of 100 KiB. */
Test(sts_post, a_header_line_that_is_too_long_is_no_lack_of_memory)
{
	struct fake_curl *c = begin();

	c->has_begun = true;
	fake_curl_end(c, CURLE_OUT_OF_MEMORY, 0);
	pass();
	expect_posted(7, STS_FETCH_ERROR, "its header has a line");
}

Test(sts_post, an_endless_answer_ends_early)
{
	struct fake_curl *c = begin();
	char buf[4096] = "";
	size_t n = 0;

	while (n <= 2 * LIM_STS_TEXT &&
	    c->write(buf, 1, sizeof(buf), c->writedata) == sizeof(buf))
		n += sizeof(buf);
	cr_expect_leq(n, LIM_STS_TEXT);
}

/* The queue may be in the hands of an attacker. */
Test(sts_post, what_is_no_request_is_refused)
{
	char buf[8];
	struct fake_curl *c;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	post(1, "https://z.example/", fds[0]);
	expect_posted(1, STS_UNKNOWN, "");
	close(fds[1]);
	post(2, "https://z.example/", make_file(LIM_TLSRPT_REPORT + 1));
	expect_posted(2, STS_UNKNOWN, "");
	post(3, "https://z.example:25/", make_file(6));
	expect_posted(3, STS_FETCH_ERROR, "port");
	post(4, "http://z.example/", make_file(6));
	expect_posted(4, STS_FETCH_ERROR, "https");
	post(5, "https://z.example/\r\nX: y", make_file(6));
	expect_posted(5, STS_FETCH_ERROR, "characters");
	cr_expect_eq(fake_curl_count(), 0);
	/* the file is cut while it is sent */
	fds[0] = make_file(6);
	cr_assert_neq(fds[1] = dup(fds[0]), -1);
	post(6, "https://z.example/", fds[0]);
	answer_dns("z.example", "192.0.2.1:1");
	cr_assert_not_null(c = fake_curl_find("https://z.example:8443/"));
	cr_assert_eq(ftruncate(fds[1], 2), 0);
	close(fds[1]);
	cr_expect_eq(c->read(buf, 1, sizeof(buf), c->readdata), 2);
	cr_expect_eq(c->read(buf, 1, sizeof(buf), c->readdata),
	    CURL_READFUNC_ABORT);
}

/* As for policies: nothing is sent to what is no host's address. */
Test(sts_post, an_address_that_no_host_has_is_not_connected_to)
{
	post(1, "https://z.example/", make_file(6));
	answer_dns("z.example", "0.0.0.0:1");
	expect_posted(1, STS_FETCH_ERROR, "no address");
	cr_expect_eq(fake_curl_count(), 0);
}

Test(sts_post, many_wait_for_a_place_and_too_many_are_told)
{
	char uri[64];
	unsigned int i;

	for (i = 0; i < 64; i++) {
		snprintf(uri, sizeof(uri), "https://n%u.example/", i);
		post(i, uri, make_file(6));
		snprintf(uri, sizeof(uri), "n%u.example", i);
		answer_dns(uri, "192.0.2.1:1");
	}
	cr_expect_eq(fake_curl_count(), STS_POSTS_MAX);
	expect_nothing();
	post(64, "https://z.example/", make_file(6));
	expect_posted(64, STS_UNKNOWN, "too many");
	fake_curl_end(fake_curl_find("https://n0.example:8443/"), CURLE_OK,
	    204);
	pass();
	expect_posted(0, STS_FETCHED, "");
	cr_expect_eq(fake_curl_count(), STS_POSTS_MAX);
}

Test(sts_post, it_is_forgotten_when_it_is_cancelled_or_the_queue_ends)
{
	const struct msg_sts_ask base = { .ask = 7 };

	(void)begin();
	cr_assert_eq(channel_send(queue, T_CANCEL, &base, NULL, 0, -1), 0);
	pass();
	cr_expect_eq(fake_curl_count(), 0);
	(void)begin();
	channel_free(queue);
	queue = NULL;
	pass();
	cr_expect_eq(fake_curl_count(), 0);
	cr_expect(TAILQ_EMPTY(&askers.list));
}

/* Without authorities no server could be verified. */
Test(sts_post, without_authorities_nothing_is_posted)
{
	askers.posts = NULL;
	post(1, "https://z.example/", make_file(6));
	expect_posted(1, STS_UNKNOWN, "authorities");
}

/* Not STS_UNKNOWN, with which the queue would keep the report for a week. */
Test(sts_post, without_libcurl_no_server_is_one_that_takes_reports)
{
	askers.posts = NULL;
	askers.no_curl = "there is no library";
	post(1, "https://z.example/", make_file(6));
	expect_posted(1, STS_FETCH_ERROR, "there is no library");
}
