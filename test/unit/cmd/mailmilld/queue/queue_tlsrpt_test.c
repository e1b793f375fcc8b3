/* Reports of TLS, from the counts to the queue, over channels to a resolver and to a
 * process sts that the test is, in virtual time. */

#include "cmd/mailmilld/queue/queue.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "cmd/mailmilld/lookup/lookup.h"
#include "cmd/mailmilld/lookup/sts_policy.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_walk.h"
#include "core/process/log.h"
#include "core/queue/queue_tls_report.h"
#include "core/scheduler.h"
#include "core/store/queue_spool.h"
#include "test/unit/cmd/mailmilld/lookup/fake_resolver.h"
#include "test/unit/core/queue/queue_fixture.h"

#define START	1700000000	/* the fixture's clock, in the day ... */
#define DAY	1699920000
#define DAY_S	86400
#define QUESTIONS	16	/* that wait at most */
#define ID	"\"report-id\": \""

static struct scheduler *s;
static struct qf f;
static struct settings settings;
static struct child child;
static struct queue_role r;
static struct channel *resolver, *sts;	/* sts NULL: there is none */
static int64_t now_ms;		/* since START, */
static int64_t base_ms;		/* when the fixture's other clock was this */

/* The questions that wait for an answer */
static struct fake_question asked[64];
static unsigned int nasked, ntotal;

/* The reports that wait until sts says what has become of them */
static struct posted {
	uint64_t ask;
	char	 uri[LIM_TLSRPT_URI + 1];
	char	 id[128];	/* report-id */
} posted[16];
static unsigned int nposted, nposts;

/* --- time ------------------------------------------------------------------ */

static void
clock_now(void *, struct timeval *now_r)
{
	now_r->tv_sec = START + now_ms / 1000;
	now_r->tv_usec = now_ms % 1000 * 1000;
}

static int
clock_wait(void *, struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int rc = poll(fds, n, 0);

	if (rc == 0 && timeout_ms > 0)
		now_ms += timeout_ms;
	return rc;
}

/* Return the value of the report-id in the report ${fd}, which is closed. */
static void
read_id(int fd, char *id_r, size_t len)
{
	gzFile gz = gzdopen(fd, "rb");
	char json[4096];
	const char *at;
	int n;

	cr_assert_not_null(gz);
	/* from its beginning: the descriptor's offset is that of who wrote it */
	cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
	cr_assert_gt(n = gzread(gz, json, sizeof(json) - 1), 0);
	json[n] = '\0';
	cr_assert_eq(gzclose(gz), Z_OK);
	cr_expect_not_null(strstr(json, "session-count\": 3"), "%s", json);
	cr_assert_not_null(at = strstr(json, ID), "%s", json);
	at += strlen(ID);
	snprintf(id_r, len, "%.*s", (int)strcspn(at, "\""), at);
}

static void
hear_sts(void)
{
	struct channel_msg msg;
	struct msg_sts_ask base;
	unsigned int i;
	int rc;

	if (sts == NULL)
		return;
	while ((rc = channel_recv(sts, &msg)) == 1) {
		memcpy(&base, msg.base, sizeof(base));
		if (msg.type == T_CANCEL) {
			for (i = 0; i < nposted; i++)
				if (posted[i].ask == base.ask)
					posted[i] = posted[--nposted];
			continue;
		}
		cr_assert_eq(msg.type, T_POST);
		cr_assert_lt(nposted, sizeof(posted) / sizeof(posted[0]));
		posted[nposted].ask = base.ask;
		snprintf(posted[nposted].uri, sizeof(posted[0].uri), "%.*s",
		    (int)msg.nentries, (const char *)msg.entries);
		read_id(msg.fd, posted[nposted].id, sizeof(posted[0].id));
		nposted++;
		nposts++;
	}
	cr_assert(rc == 0 || errno == EAGAIN);
}

static void
hear(void)
{
	struct fake_question q;

	hear_sts();
	while (fake_resolver_hear(resolver, &q)) {
		cr_assert_eq(q.type, LOOKUP_TXT);
		cr_assert_lt(nasked, sizeof(asked) / sizeof(asked[0]));
		asked[nasked++] = q;
		ntotal++;
	}
}

/* Let some time pass. */
static void
pass_s(int64_t seconds)
{
	int64_t end_ms = now_ms + seconds * 1000;

	while (now_ms < end_ms) {
		(void)scheduler_pass(s, 1000);
		hear();
	}
}

/* --- the resolver ------------------------------------------------------------ */

/* Answer the question that waits longest, with TXT records up to NULL. */
static void
answer(enum lookup_status status, const char *const *records)
{
	uint8_t buf[2048];
	struct lookup_record record = { .type = LOOKUP_R_TXT };
	size_t len = 0;

	cr_assert_gt(nasked, 0);
	for (; records != NULL && *records != NULL; records++) {
		record.data = (const uint8_t *)*records;
		record.len = strlen(*records);
		cr_assert_eq(lookup_record_put(buf, sizeof(buf), &len,
		    &record), 0);
	}
	fake_resolver_say(resolver, asked[0].ask, status, 0, buf, len);
	memmove(asked, asked + 1, --nasked * sizeof(asked[0]));
	/* before anything else */
	while (scheduler_pass(s, 0) > 0)
		continue;
	hear();
}

static void
answer_one(const char *record)
{
	answer(LOOKUP_FOUND, (const char *const[]){ record, NULL });
}

/* --- the process sts --------------------------------------------------------- */

static void
begin_sts(void)
{
	const struct msg_peer who = { .role = ROLE_STS, .instance = 1 };
	int fds[2];

	channel_free(sts);
	cr_assert_eq(channel_pair(fds), 0);
	sts = channel_open(fds[1], msg_rows, NMSGS, ROLE_STS, ROLE_QUEUE);
	cr_assert_not_null(sts);
	nposted = 0;
	queue_tlsrpt_peer(&r, &who, fds[0]);
	hear();
}

/* That is what has become of the report that waits longest. */
static void
say_posted(enum sts_failure failure, const char *why)
{
	const struct msg_sts_posted base = { .ask = posted[0].ask,
		.failure = failure };

	cr_assert_gt(nposted, 0);
	cr_assert_eq(channel_send(sts, T_POSTED, &base, why,
	    (unsigned int)strlen(why), -1), 0);
	memmove(posted, posted + 1, --nposted * sizeof(posted[0]));
	while (scheduler_pass(s, 0) > 0)
		continue;
	hear();
}

/* --- the queue --------------------------------------------------------------- */

static void
change_rows(const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/deferred.db", f.path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int day_of_counts = DAY - 2 * DAY_S;

/* Connections to ${domain} were counted that day. */
static void
count(const char *domain)
{
	char *sql;

	cr_assert_neq(asprintf(&sql, "INSERT INTO tls_domain VALUES (%d, '%s',"
	    " 1); INSERT INTO tls_count VALUES (%d, '%s', 'tlsa', '', '', '',"
	    " 'mx.%s', '', '', '', 3)", day_of_counts, domain, day_of_counts,
	    domain, domain), -1);
	change_rows(sql);
	free(sql);
}

static unsigned int
ncounted(void)
{
	char domain[LIM_DOMAIN + 1] = "";
	int64_t day = 0;
	unsigned int n = 0;

	while (queue_tls_report_next(f.q, &day, domain, INT64_MAX) == 1)
		n++;
	return n;
}

/* How many messages there are in the queue */
static size_t
nmessages(void)
{
	f.njobs = 0;
	f.now.tv_sec = START + now_ms / 1000;
	f.ms = base_ms + now_ms;
	qf_pass(&f, 1000);
	return f.njobs;
}

static void
expect_message(size_t i, const char *to)
{
	char buf[4096], line[128];

	qf_rcpt(&f, i, buf, sizeof(buf));
	cr_expect_str_eq(buf, to);
	qf_said(&f, i, buf, sizeof(buf));
	cr_expect_str_eq(buf, "tls@mx.test 1 - - a00");
	qf_text(&f, i, buf, sizeof(buf));
	snprintf(line, sizeof(line), "\r\nTo: <%s>\r\n", to);
	cr_expect_not_null(strstr(buf, line));
	cr_expect_not_null(strstr(buf, "\r\nTLS-Report-Domain: z.test\r\n"));
	cr_expect_not_null(strstr(buf, "\r\nTLS-Required: No\r\n"));
}

static void
begin(void)
{
	int fd;

	cr_assert_eq(queue_tlsrpt_new(&r), 0);
	resolver = fake_resolver_open(ROLE_QUEUE, &fd);
	queue_tlsrpt_peer(&r, &fake_resolver_who, fd);
	queue_tlsrpt_open(&r);
}

static void
setup(void)
{
	static char hostname[] = "mx.test", empty[] = "", sender[] =
	    "tls@mx.test";
	const struct scheduler_backend backend = { .size = sizeof(backend),
		.now = clock_now, .wait = clock_wait };

	s = scheduler_create(&backend);
	cr_assert_not_null(s);
	qf_init(&f);
	base_ms = f.ms;
	qf_open(&f);
	settings.hostname = hostname;
	settings.tls_reports = true;
	settings.tls_report_organization = empty;
	settings.tls_report_contact = empty;
	settings.tls_report_sender = sender;
	child.settings = &settings;
	r.child = &child;
	r.queue = f.q;
	TAILQ_INIT(&r.peers);
}

static void
teardown(void)
{
	queue_tlsrpt_free(&r);
	channel_free(resolver);
	channel_free(sts);
	qf_free(&f);
	scheduler_destroy(s);
}

TestSuite(queue_tlsrpt, .init = setup, .fini = teardown);

Test(queue_tlsrpt, each_address_of_the_record_gets_a_message)
{
	count("z.test");
	begin();
	pass_s(2);
	cr_assert_eq(nasked, 1);
	cr_expect_str_eq(asked[0].name, "_smtp._tls.z.test");
	/* the fixture has no way to that one */
	answer(LOOKUP_FOUND, (const char *const[]){ "v=spf1 -all",
	    "v=TLSRPTv1; rua=mailto:a@x.test,ftp://z.test/tls,"
	    "mailto:no@nowhere.test,mailto:b@x.test", NULL });
	cr_expect_eq(ncounted(), 0);
	cr_assert_eq(nmessages(), 2);
	expect_message(0, "a@x.test");
	expect_message(1, "b@x.test");
	pass_s(2 * DAY_S);
	cr_expect_eq(ntotal, 1);
	cr_expect_eq(nmessages(), 0);
}

/* RFC 3986 6.2.2, RFC 5321 2.4: whatever the case of the domain, or which octets are
 * encoded; but local parts that differ in case are two. */
Test(queue_tlsrpt, an_address_that_the_record_has_in_several_forms_gets_one)
{
	count("z.test");
	begin();
	pass_s(2);
	answer_one("v=TLSRPTv1; rua=mailto:a@x.test,mailto:a@X.Test,"
	    "mailto:%61%40x.test?subject=x,MAILTO:A@x.test");
	cr_assert_eq(nmessages(), 2);
	expect_message(0, "a@x.test");
	expect_message(1, "A@x.test");
}

Test(queue_tlsrpt, who_does_not_ask_gets_none_and_the_counts_are_dropped)
{
	count("a.test");
	count("b.test");
	count("c.test");
	count("d.test");
	count("e.test");
	begin();
	pass_s(2);
	cr_assert_eq(nasked, 5);
	answer(LOOKUP_NO_NAME, NULL);
	answer(LOOKUP_NO_DATA, NULL);
	answer(LOOKUP_TOO_MUCH, NULL);
	/* RFC 8460 3: more than one is none */
	answer(LOOKUP_FOUND, (const char *const[]){
	    "v=TLSRPTv1; rua=mailto:a@x.test",
	    "v=TLSRPTv1; rua=mailto:b@x.test", NULL });
	cr_expect_eq(ncounted(), 1);
	answer_one("v=TLSRPTv1; rua=ftp://e.test/tls");
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(nmessages(), 0);
}

Test(queue_tlsrpt, a_name_that_no_record_can_have_is_dropped_unasked)
{
	char domain[LIM_DOMAIN + 1] = "";
	size_t i;

	/* 249 octets: with "_smtp._tls." in front it is too long */
	for (i = 0; i < 5; i++)
		strlcat(domain, "a234567890123456789012345678901234567890123456789.",
		    sizeof(domain));
	domain[strlen(domain) - 1] = '\0';
	count(domain);
	begin();
	pass_s(2);
	cr_expect_eq(ntotal, 0);
	cr_expect_eq(ncounted(), 0);
}

Test(queue_tlsrpt, without_an_answer_it_is_asked_for_a_day)
{
	int i;

	count("z.test");
	begin();
	pass_s(2);
	/* it was due a day ago */
	for (i = 0; i < 6; i++) {
		cr_assert_eq(nasked, 1, "%d", i);
		answer(LOOKUP_TEMPORARY, NULL);
		cr_assert_eq(ncounted(), 1);
		pass_s(TLSRPT_RETRY_MOST_S);
	}
	cr_assert_eq(nasked, 1);
	/* at the end of the day, or after it */
	answer(LOOKUP_TEMPORARY, NULL);
	pass_s(TLSRPT_RETRY_MOST_S);
	if (nasked == 1)
		answer(LOOKUP_TEMPORARY, NULL);
	cr_expect_eq(ncounted(), 0);
	pass_s(DAY_S);
	cr_expect_leq(ntotal, 8);
	cr_expect_eq(nmessages(), 0);
}

/* A queue process that is started again, such as by a reload, does not begin the day
 * anew. */
Test(queue_tlsrpt, a_day_without_an_answer_is_one_also_with_restarts)
{
	int hour;

	count("z.test");
	begin();
	for (hour = 0; hour < 30 && ncounted() == 1; hour++) {
		pass_s(3600);
		if (nasked == 1)
			answer(LOOKUP_TEMPORARY, NULL);
		if (hour % 7 != 6)
			continue;
		queue_tlsrpt_free(&r);
		channel_free(resolver);
		begin();
	}
	cr_expect_eq(ncounted(), 0);
	/* the last try is the first one after TLSRPT_TRY_S */
	cr_expect_geq(hour, 24);
	cr_expect_leq(hour, 24 + TLSRPT_RETRY_MOST_S / 3600);
}

Test(queue_tlsrpt, the_answer_may_come_later)
{
	count("z.test");
	begin();
	pass_s(2);
	answer(LOOKUP_TEMPORARY, NULL);
	pass_s(TLSRPT_RETRY_MOST_S + 100);
	cr_assert_eq(nasked, 1);
	answer_one("v=TLSRPTv1; rua=mailto:a@x.test");
	cr_assert_eq(nmessages(), 1);
	expect_message(0, "a@x.test");
}

Test(queue_tlsrpt, few_questions_wait_at_a_time)
{
	char domain[32];
	unsigned int i;

	for (i = 0; i < 60; i++) {
		snprintf(domain, sizeof(domain), "d%02u.test", i);
		count(domain);
	}
	begin();
	pass_s(30);
	cr_assert_eq(nasked, QUESTIONS);
	for (i = 0; i < 60; i++) {
		cr_assert_leq(nasked, QUESTIONS);
		answer(LOOKUP_NO_NAME, NULL);
		pass_s(1);
	}
	cr_expect_eq(ntotal, 60);
	cr_expect_eq(ncounted(), 0);
}

/* --- by HTTPS ---------------------------------------------------------------- */

#define HTTPS	"v=TLSRPTv1; rua=https://z.test/tls"

/* The counts of z.test are due, and its record is ${record}. */
static void
ask_for(const char *record)
{
	count("z.test");
	begin();
	begin_sts();
	pass_s(2);
	cr_assert_eq(nasked, 1);
	answer_one(record);
}

/* The process ends, and another one begins. */
static void
restart(void)
{
	queue_tlsrpt_free(&r);
	channel_free(resolver);
	nasked = nposted = 0;
	begin();
	begin_sts();
	pass_s(2);
}

/* RFC 8460 3 */
Test(queue_tlsrpt, a_report_is_posted_and_then_the_counts_are_dropped)
{
	ask_for(HTTPS);
	cr_assert_eq(nposted, 1);
	cr_expect_str_eq(posted[0].uri, "https://z.test/tls");
	cr_expect_eq(ncounted(), 1, "nobody has it yet");
	say_posted(STS_FETCHED, "");
	cr_expect_eq(ncounted(), 0);
	pass_s(DAY_S);
	cr_expect_eq(nposts, 1);
	cr_expect_eq(nmessages(), 0);
}

Test(queue_tlsrpt, each_uri_of_the_record_gets_it)
{
	ask_for(HTTPS ",mailto:a@x.test,https://y.test/?b,https://z.test/tls");
	cr_assert_eq(nposted, 2);
	cr_expect_str_eq(posted[0].uri, "https://z.test/tls");
	cr_expect_str_eq(posted[1].uri, "https://y.test/?b");
	cr_expect_str_eq(posted[0].id, posted[1].id);
	say_posted(STS_FETCHED, "");
	cr_expect_eq(ncounted(), 1);
	cr_expect_eq(nmessages(), 0);
	say_posted(STS_FETCHED, "");
	cr_expect_eq(ncounted(), 0);
	cr_assert_eq(nmessages(), 1);
	expect_message(0, "a@x.test");
	pass_s(DAY_S);
	cr_expect_eq(nposts, 2);
}

/* Until a report is posted again, to the URI ${record} asks for. */
static void
ask_again(const char *record)
{
	int i;

	for (i = 0; i < 2 * DAY_S / 600 && nposted == 0 &&
	    ncounted() > 0; i++) {
		if (nasked > 0)
			answer_one(record);
		else
			pass_s(600);
	}
}

/* One of them that cannot be had is no reason to tell the others again, nor to forget
 * that one.  RFC 8460 3, 5.5 */
Test(queue_tlsrpt, what_one_uri_has_not_taken_it_gets_later_and_no_other_one)
{
	static const char all[] = HTTPS ",mailto:a@x.test,https://y.test/?b";
	char id[128];

	ask_for(all);
	cr_assert_eq(nposted, 2);
	strlcpy(id, posted[0].id, sizeof(id));
	say_posted(STS_FETCHED, "");
	say_posted(STS_FETCH_ERROR, "its status is 404");
	cr_expect_eq(ncounted(), 1);
	cr_assert_eq(nmessages(), 1);
	expect_message(0, "a@x.test");
	ask_again(all);
	cr_assert_eq(nposted, 1);
	cr_expect_str_eq(posted[0].uri, "https://y.test/?b");
	cr_expect_str_eq(posted[0].id, id);
	say_posted(STS_UNKNOWN, "out of memory");
	/* nor does a process that follows this one know less */
	restart();
	ask_again(all);
	cr_assert_eq(nposted, 1);
	cr_expect_str_eq(posted[0].uri, "https://y.test/?b");
	say_posted(STS_FETCHED, "");
	cr_expect_eq(ncounted(), 0);
	pass_s(DAY_S);
	cr_expect_eq(nposts, 4);
	cr_expect_eq(nmessages(), 0);
}

Test(queue_tlsrpt, a_uri_that_never_takes_it_is_given_up_after_a_day)
{
	static const char all[] = HTTPS ",mailto:a@x.test,https://y.test/?b";

	ask_for(all);
	say_posted(STS_FETCHED, "");
	say_posted(STS_FETCH_ERROR, "");
	cr_assert_eq(nmessages(), 1);
	while (ask_again(all), nposted > 0) {
		cr_expect_str_eq(posted[0].uri, "https://y.test/?b");
		say_posted(nposts % 2 == 0 ? STS_UNKNOWN : STS_FETCH_ERROR, "");
	}
	cr_expect_eq(ncounted(), 0);
	cr_expect_geq(nposts, 7);
	cr_expect_leq(nposts, 10);
	cr_expect_leq(now_ms / 1000, DAY_S + 2 * TLSRPT_RETRY_MOST_S);
	cr_expect_eq(nmessages(), 0);
}

/* What the domain asks for may have changed. */
Test(queue_tlsrpt, a_uri_that_is_not_wanted_any_more_is_not_waited_for)
{
	ask_for(HTTPS ",https://y.test/?b");
	say_posted(STS_FETCHED, "");
	say_posted(STS_FETCH_ERROR, "");
	cr_expect_eq(ncounted(), 1);
	ask_again(HTTPS);
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(nposts, 2);
	cr_expect_eq(nmessages(), 0);
}

/* Or it could have us send mail to many who have not asked for it. */
Test(queue_tlsrpt, a_domain_that_names_others_at_each_try_has_no_more_reports)
{
	char all[128], one;
	unsigned int i, n;

	ask_for(HTTPS ",mailto:a@x.test,mailto:b@x.test");
	say_posted(STS_FETCH_ERROR, "");
	n = nmessages();
	cr_expect_eq(n, 2);
	for (i = 0, one = 'c'; i < 5; i++, one += 3) {
		snprintf(all, sizeof(all), i < 3 ? HTTPS ",mailto:%c@x.test,"
		    "mailto:%c@x.test,mailto:%c@x.test" :
		    "v=TLSRPTv1; rua=mailto:%c@x.test,mailto:%c@x.test,"
		    "mailto:%c@x.test", one, one + 1, one + 2);
		ask_again(all);
		if (nposted > 0)
			say_posted(STS_FETCH_ERROR, "");
		n += nmessages();
	}
	cr_expect_eq(n, LIM_TLSRPT_URIS, "%u", n);
	cr_expect_eq(ncounted(), 0);
}

Test(queue_tlsrpt, mail_is_sent_once_though_nobody_takes_it_by_https)
{
	static const char all[] = HTTPS ",mailto:a@x.test";

	ask_for(all);
	say_posted(STS_WEBPKI_INVALID, "");
	cr_expect_eq(nmessages(), 1);
	while (ask_again(all), nposted > 0)
		say_posted(STS_WEBPKI_INVALID, "");
	cr_expect_eq(ncounted(), 0);
	cr_expect_geq(nposts, 6);
	cr_expect_eq(nmessages(), 0);
}

/* RFC 8460 5.5 */
Test(queue_tlsrpt, what_is_not_taken_is_posted_again_for_a_day)
{
	char id[128];
	int i;

	ask_for(HTTPS);
	strlcpy(id, posted[0].id, sizeof(id));
	for (i = 0; i < 20 && ncounted() > 0; i++) {
		if (nasked > 0)
			answer_one(HTTPS);
		if (nposted > 0) {
			cr_expect_str_eq(posted[0].id, id);
			say_posted(STS_FETCH_ERROR, "its status is 500");
		} else
			pass_s(TLSRPT_RETRY_MOST_S);
	}
	cr_expect_eq(ncounted(), 0);
	cr_expect_geq(nposts, 6);
	cr_expect_leq(nposts, 8);
	cr_expect_eq(nmessages(), 0);
}

/* That is no fault of the domain's. */
Test(queue_tlsrpt, what_this_server_could_not_post_is_kept_for_a_week)
{
	int i;

	ask_for(HTTPS);
	for (i = 0; i < 60 && ncounted() > 0; i++) {
		if (nasked > 0)
			answer_one(HTTPS);
		if (nposted > 0)
			say_posted(STS_UNKNOWN, "out of memory");
		pass_s(TLSRPT_RETRY_MOST_S);
	}
	cr_expect_eq(ncounted(), 0);
	cr_expect_gt(now_ms, 5LL * DAY_S * 1000);
}

Test(queue_tlsrpt, without_a_process_sts_a_report_waits_for_one)
{
	count("z.test");
	begin();
	pass_s(2);
	answer_one(HTTPS);
	pass_s(10);
	cr_expect_eq(ncounted(), 1);
	begin_sts();
	cr_assert_eq(nposted, 1);
	/* which is killed, and is followed by another */
	begin_sts();
	cr_assert_eq(nposted, 1);
	say_posted(STS_FETCHED, "");
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(nposts, 2);
}

/* Until the counts are gone, the report is posted again, as the same one. */
Test(queue_tlsrpt, a_queue_that_is_killed_loses_no_report)
{
	char id[128];

	ask_for(HTTPS ",mailto:a@x.test");
	strlcpy(id, posted[0].id, sizeof(id));
	restart();
	cr_expect_eq(ncounted(), 1);
	cr_assert_eq(nasked, 1);
	answer_one(HTTPS ",mailto:a@x.test");
	cr_assert_eq(nposted, 1);
	cr_expect_str_eq(posted[0].id, id);
	say_posted(STS_FETCHED, "");
	cr_expect_eq(ncounted(), 0);
	restart();
	cr_expect_eq(nasked, 0);
	cr_expect_eq(nposts, 2);
	cr_expect_eq(nmessages(), 1);
}

Test(queue_tlsrpt, a_store_that_fails_does_not_have_it_posted_again)
{
	ask_for(HTTPS ",mailto:a@x.test");
	change_rows("ALTER TABLE tls_count RENAME TO broken");
	say_posted(STS_FETCHED, "");
	change_rows("ALTER TABLE broken RENAME TO tls_count");
	cr_expect_eq(ncounted(), 1);
	cr_expect_eq(nmessages(), 0);
	pass_s(2 * TLSRPT_RETRY_MOST_S);
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(nmessages(), 1);
	cr_expect_eq(nposts, 1);
	cr_expect_eq(ntotal, 1);
}

/* The next process begins anew; nothing is sent twice. */
Test(queue_tlsrpt, what_was_asked_at_the_end_is_asked_again)
{
	count("y.test");
	count("z.test");
	begin();
	pass_s(2);
	cr_assert_eq(nasked, 2);
	answer_one("v=TLSRPTv1; rua=mailto:a@x.test");
	queue_tlsrpt_free(&r);
	channel_free(resolver);
	nasked = 0;
	begin();
	pass_s(2);
	cr_assert_eq(nasked, 1);
	cr_expect_str_eq(asked[0].name, "_smtp._tls.z.test");
	answer_one("v=TLSRPTv1; rua=mailto:a@x.test");
	cr_expect_eq(nmessages(), 2);
}

/* --- a store that fails ------------------------------------------------------- */

static int change_errnum;	/* 0: it works */
static unsigned int nchanges;	/* of the counts of TLS */
static int log_fd = -1;

static int
change(void *store, const struct queue_change *changes, size_t n)
{
	if (changes[n - 1].kind != CHANGE_TLS_DROP &&
	    changes[n - 1].kind != CHANGE_TLS_TAKE)
		return queue_spool_ops.change(store, changes, n);
	nchanges++;
	errno = change_errnum;
	return change_errnum == 0 ? queue_spool_ops.change(store, changes,
	    n) : -1;
}

static void
catch_log(void)
{
	log_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	cr_assert_neq(log_fd, -1);
	log_init("test", LOG_TO_FILE, log_fd, LOG_LEVEL_INFO);
}

static void
spy_on_store(void)
{
	static struct queue_store_ops spy;

	spy = queue_spool_ops;
	spy.change = change;
	qf_close(&f);
	f.config.store = &spy;
	qf_open(&f);
	r.queue = f.q;
	catch_log();
}

/* All questions are of reports that were posted, and a domain has none yet. */
Test(queue_tlsrpt, reports_that_were_posted_while_the_store_failed_leave_room_for_others)
{
	char domain[32];
	unsigned int i;

	for (i = 0; i <= QUESTIONS; i++) {
		snprintf(domain, sizeof(domain), "d%02u.test", i);
		count(domain);
	}
	spy_on_store();
	begin();
	begin_sts();
	pass_s(10);
	cr_assert_eq(nasked, QUESTIONS);
	for (i = 0; i < QUESTIONS; i++)
		answer_one(HTTPS);
	cr_assert_eq(nposted, QUESTIONS);
	change_errnum = ENOSPC;
	while (nposted > 0)
		say_posted(STS_FETCHED, "");
	cr_expect_eq(ncounted(), QUESTIONS + 1);
	change_errnum = 0;
	for (i = 0; i < 10 && nasked == 0; i++) {
		pass_s(60);
		(void)nmessages();
	}
	cr_assert_eq(nasked, 1, "the store works again");
	answer(LOOKUP_NO_NAME, NULL);
	for (i = 0; i < 10 && ncounted() > 0; i++)
		pass_s(60);
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(nposts, QUESTIONS);
	cr_expect_eq(ntotal, QUESTIONS + 1);
}

/* The store fails when some URIs, not all, have taken it. */
Test(queue_tlsrpt, who_has_taken_it_is_remembered_when_the_store_works_again)
{
	static const char all[] = HTTPS ",https://y.test/?b";
	unsigned int i;

	count("z.test");
	spy_on_store();
	begin();
	begin_sts();
	pass_s(2);
	answer_one(all);
	cr_assert_eq(nposted, 2);
	change_errnum = ENOSPC;
	say_posted(STS_FETCHED, "");
	say_posted(STS_FETCH_ERROR, "");
	cr_expect_eq(nchanges, 1);
	change_errnum = 0;
	for (i = 0; i < 10 && nchanges == 1; i++) {
		pass_s(60);
		(void)nmessages();
	}
	cr_expect_eq(nchanges, 2);
	ask_again(all);
	cr_assert_eq(nposted, 1);
	cr_expect_str_eq(posted[0].uri, "https://y.test/?b");
}

/* How many lines of the log have that */
static unsigned int
logged(const char *words)
{
	static char text[1 << 18];
	const char *p = text;
	unsigned int n = 0;
	ssize_t len;

	log_flush();
	cr_assert_geq(len = pread(log_fd, text, sizeof(text) - 1, 0), 0);
	text[len] = '\0';
	for (; (p = strstr(p, words)) != NULL; p++)
		n++;
	return n;
}

Test(queue_tlsrpt, what_cannot_be_dropped_yet_is_not_said_to_be_dropped)
{
	unsigned int i;

	count("z.test");
	spy_on_store();
	begin();
	pass_s(2);
	change_errnum = EIO;
	answer_one("v=TLSRPTv1; rua=ftp://z.test/tls");
	cr_expect_eq(nchanges, 1);
	cr_expect_eq(ncounted(), 1);
	cr_expect_eq(logged("event=tls-report-later"), 1);
	cr_expect_eq(logged("event=tls-report-dropped"), 0);
	change_errnum = 0;
	for (i = 0; nasked == 0; i++) {
		cr_assert_lt(i, 24 * 60);
		pass_s(60);
		(void)nmessages();
	}
	answer_one("v=TLSRPTv1; rua=ftp://z.test/tls");
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(logged("event=tls-report-later"), 1);
	cr_expect_eq(logged("event=tls-report-dropped"), 1);
}

/* The queue has its passes, too, and no domain wants a report. */
static void
work_s(int64_t seconds)
{
	for (; seconds > 0; seconds--) {
		pass_s(1);
		while (nasked > 0)
			answer(LOOKUP_NO_NAME, NULL);
		(void)nmessages();
	}
}

/* Each turn of each domain would be in vain, and a line in the log. */
Test(queue_tlsrpt, while_the_disk_is_full_one_is_tried_a_minute_and_all_when_it_is_not)
{
	char domain[32];
	unsigned int i, is_old;

	for (is_old = 0; is_old < 2; is_old++) {
		day_of_counts = DAY - (is_old ? 9 : 2) * DAY_S;
		for (i = 0; i < 60; i++) {
			snprintf(domain, sizeof(domain), "d%02u.test", i);
			count(domain);
		}
		change_errnum = ENOSPC;
		nchanges = 0;
		if (is_old == 0) {
			spy_on_store();
			begin();
		}
		work_s(600);
		cr_expect_geq(nchanges, is_old ? 5 : 2);
		cr_expect_leq(nchanges, 11);
		cr_expect_leq(logged("event=tls-report-later"),
		    (is_old + 1) * 11 * QUESTIONS);
		cr_expect_eq(ncounted(), 60);
		change_errnum = 0;
		/* those that were tried have their next turn in some hours */
		work_s(TLSRPT_RETRY_MOST_S + 100);
		cr_expect_eq(ncounted(), 0, "%u", is_old);
	}
	cr_expect_eq(logged("event=tls-report-dropped"), 60);
}

/* --- what is dropped ------------------------------------------------------------ */

/* What is posted is not taken, and the DNS says ${record}; NULL: nothing. */
static void
try_in_vain(const char *record)
{
	int i;

	for (i = 0; i < 8 * DAY_S / 600 && ncounted() > 0; i++) {
		if (nposted > 0)
			say_posted(STS_FETCH_ERROR, "its status is 404");
		else if (nasked == 0)
			pass_s(600);
		else if (record != NULL)
			answer_one(record);
		else
			answer(LOOKUP_TEMPORARY, NULL);
		/* not before it is so */
		cr_expect_eq(logged("event=tls-report-dropped"),
		    ncounted() == 0);
	}
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(nmessages(), 0);
}

#define NO_WAY	"mailto:a@nowhere.test,mailto:b@nowhere.test"

static const struct {
	const char	*record;	/* NULL: the DNS has no answer */
	const char	*reason;
	int		 age;		/* in days */
} drops[] = {
	{ "v=TLSRPTv1; rua=ftp://z.test/tls",
	    "no URI of its TXT record can be reported to", 2 },
	{ NULL, "its TXT record could not be looked up for a day", 2 },
	{ NULL, "it is too old", 9 },
	{ HTTPS, "its status is 404", 2 },
	{ "v=TLSRPTv1; rua=" NO_WAY, "no message to the addresses of its TXT "
	    "record can be made", 2 },
	{ HTTPS "," NO_WAY, "no URI of its TXT record has taken it, and no "
	    "message to its addresses can be made", 2 },
};

Test(queue_tlsrpt, each_report_that_is_dropped_is_in_the_log_once)
{
	char line[256];
	size_t i;

	for (i = 0; i < sizeof(drops) / sizeof(drops[0]); i++) {
		if (i > 0) {
			teardown();
			sts = NULL;
			nasked = nposted = 0;
			now_ms = 0;
			setup();
		}
		day_of_counts = DAY - drops[i].age * DAY_S;
		count("z.test");
		catch_log();
		begin();
		begin_sts();
		try_in_vain(drops[i].record);
		snprintf(line, sizeof(line), " event=tls-report-dropped "
		    "domain=z.test day=%d reason=\"%s\"\n", day_of_counts,
		    drops[i].reason);
		cr_expect_eq(logged(line), 1, "%zu", i);
	}
}

/* Such as when the sender is no address that can be in a header */
Test(queue_tlsrpt, one_of_which_no_message_can_be_made_is_in_the_log)
{
	static char sender[] = "tls reports";

	settings.tls_report_sender = sender;
	catch_log();
	ask_for("v=TLSRPTv1; rua=mailto:a@x.test");
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(nmessages(), 0);
	cr_expect_eq(logged("event=tls-report-none"), 1);
	cr_expect_eq(logged("event=tls-report-dropped domain=z.test"), 1);
}

Test(queue_tlsrpt, one_whose_counts_cannot_be_read_is_in_the_log)
{
	static const char *const records[] = { HTTPS,
		"v=TLSRPTv1; rua=mailto:a@x.test" };
	size_t i;

	catch_log();
	for (i = 0; i < 2; i++) {
		count("z.test");
		change_rows("UPDATE tls_count SET policy_type = 'odd'");
		if (i == 0) {
			begin();
			begin_sts();
		}
		while (nasked == 0)
			pass_s(60);
		answer_one(records[i]);
		cr_expect_eq(ncounted(), 0);
		cr_expect_eq(logged("event=tls-report-dropped domain=z.test"),
		    i + 1);
	}
	cr_expect_eq(nposts, 0);
}

/* RFC 8460 3: that one has had it is enough. */
Test(queue_tlsrpt, one_that_somebody_has_had_is_not_said_to_be_dropped)
{
	static const char both[] = HTTPS "," NO_WAY;

	catch_log();
	ask_for(both);
	say_posted(STS_FETCHED, "");
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(nmessages(), 0);
	count("z.test");
	while (nasked == 0)
		pass_s(60);
	answer_one(HTTPS ",https://y.test/?b");
	say_posted(STS_FETCHED, "");
	say_posted(STS_FETCH_ERROR, "");
	cr_expect_eq(ncounted(), 1);
	/* and now the others cannot be reached */
	while (nasked == 0)
		pass_s(60);
	answer_one(both);
	cr_expect_eq(ncounted(), 0);
	cr_expect_eq(logged("event=tls-report-dropped"), 0);
}

Test(queue_tlsrpt, without_the_option_nothing_is_asked_and_nothing_dropped)
{
	settings.tls_reports = false;
	count("z.test");
	begin();
	pass_s(7200);
	cr_expect_null(r.tlsrpt);
	cr_expect_eq(ncounted(), 1);
}
