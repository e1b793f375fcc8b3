/* For the tests of reports of TLS, from the counts to the queue: the test is the
 * resolver and the process sts. */

#ifndef TEST_UNIT_CMD_MAILMILLD_QUEUE_QUEUE_TLSRPT_FIXTURE_H
#define TEST_UNIT_CMD_MAILMILLD_QUEUE_QUEUE_TLSRPT_FIXTURE_H

#include "cmd/mailmilld/lookup/lookup.h"
#include "cmd/mailmilld/lookup/sts_policy.h"
#include "cmd/mailmilld/queue/queue.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_walk.h"
#include "test/unit/cmd/mailmilld/lookup/fake_resolver.h"
#include "test/unit/core/queue/queue_fixture.h"

#define QR_DAY		1699920000	/* when the day of a test begins */
#define QR_DAY_S	86400
#define QR_QUESTIONS	16	/* that wait at most */
#define QR_HTTPS	"v=TLSRPTv1; rua=https://z.test/tls"

/* A report that waits until sts says what has become of it */
struct qr_posted {
	uint64_t ask;
	char	 uri[LIM_TLSRPT_URI + 1];
	char	 id[128];	/* report-id */
};

extern struct qr {
	struct qf		 f;
	struct settings		 settings;
	struct queue_role	 r;
	struct channel		*resolver, *sts;	/* sts NULL: there is none */
	int64_t			 now_ms;	/* since the test began */
	int			 day_of_counts;
	/* the questions that wait for an answer; all there were */
	struct fake_question	 asked[64];
	unsigned int		 nasked, ntotal;
	struct qr_posted	 posted[16];
	unsigned int		 nposted, nposts;
} qr;

/* qr_setup(), qr_teardown(): of a test.
 * qr_begin(): The queue process begins to report.
 * qr_begin_sts(): There is a process sts; one that there was has gone.
 * qr_restart(): The queue process ends, and another one begins, with its sts; two
 * seconds pass.
 * qr_pass_s(seconds): Let some time pass. */
void qr_setup(void);
void qr_teardown(void);
void qr_begin(void);
void qr_begin_sts(void);
void qr_restart(void);
void qr_pass_s(int64_t seconds);

/* qr_count(domain): Connections to ${domain} were counted on qr.day_of_counts.
 * qr_ncounted(): How many domains have counts.
 * qr_change_rows(sql): Do that to the queue's database. */
void qr_count(const char *domain);
unsigned int qr_ncounted(void);
void qr_change_rows(const char *sql);

/* qr_answer(status, records): Answer the question that waits longest, with TXT
 * records up to NULL.
 * qr_answer_one(record): ... with that one.
 * qr_say_posted(failure, why): What has become of the report that waits longest.
 * qr_ask_for(record): Begin, with an sts, when the counts of z.test are due, and its
 * record is ${record}.
 * qr_ask_again(record): Until a report is posted again, to the URI ${record} asks
 * for; or no domain has counts, or two days have passed. */
void qr_answer(enum lookup_status status, const char *const *records);
void qr_answer_one(const char *record);
void qr_say_posted(enum sts_failure failure, const char *why);
void qr_ask_for(const char *record);
void qr_ask_again(const char *record);

/* qr_nmessages(): How many messages there are in the queue.
 * qr_expect_message(i, to): The ${i}th is a report of z.test to ${to}.
 * qr_catch_log(): From now on, so that
 * qr_logged(words): says how many times the log has that. */
size_t qr_nmessages(void);
void qr_expect_message(size_t i, const char *to);
void qr_catch_log(void);
unsigned int qr_logged(const char *words);

#endif
