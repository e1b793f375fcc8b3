/* Reports of TLS for the tests: the queue's part of them, in virtual time. */

#include "test/unit/cmd/mailmilld/queue/queue_tlsrpt_fixture.h"

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

#include "core/process/log.h"
#include "core/queue/queue_tls_report.h"
#include "core/scheduler.h"

#define START	1700000000	/* the fixture's clock, in the day QR_DAY */
#define ID	"\"report-id\": \""

struct qr qr = { .day_of_counts = QR_DAY - 2 * QR_DAY_S };

static struct scheduler *s;
static struct child child;
static int64_t base_ms;		/* when the other fixture's clock was qr.now_ms */
static int log_fd = -1;

/* --- time ------------------------------------------------------------------ */

static void
clock_now(void *, struct timeval *now_r)
{
	now_r->tv_sec = START + qr.now_ms / 1000;
	now_r->tv_usec = qr.now_ms % 1000 * 1000;
}

static int
clock_wait(void *, struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int rc = poll(fds, n, 0);

	if (rc == 0 && timeout_ms > 0)
		qr.now_ms += timeout_ms;
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

	if (qr.sts == NULL)
		return;
	while ((rc = channel_recv(qr.sts, &msg)) == 1) {
		memcpy(&base, msg.base, sizeof(base));
		if (msg.type == T_CANCEL) {
			for (i = 0; i < qr.nposted; i++)
				if (qr.posted[i].ask == base.ask)
					qr.posted[i] = qr.posted[--qr.nposted];
			continue;
		}
		cr_assert_eq(msg.type, T_POST);
		cr_assert_lt(qr.nposted, sizeof(qr.posted) / sizeof(qr.posted[0]));
		qr.posted[qr.nposted].ask = base.ask;
		snprintf(qr.posted[qr.nposted].uri, sizeof(qr.posted[0].uri), "%.*s",
		    (int)msg.nentries, (const char *)msg.entries);
		read_id(msg.fd, qr.posted[qr.nposted].id, sizeof(qr.posted[0].id));
		qr.nposted++;
		qr.nposts++;
	}
	cr_assert(rc == 0 || errno == EAGAIN);
}

static void
hear(void)
{
	struct fake_question q;

	hear_sts();
	while (fake_resolver_hear(qr.resolver, &q)) {
		cr_assert_eq(q.type, LOOKUP_TXT);
		cr_assert_lt(qr.nasked, sizeof(qr.asked) / sizeof(qr.asked[0]));
		qr.asked[qr.nasked++] = q;
		qr.ntotal++;
	}
}

void
qr_pass_s(int64_t seconds)
{
	int64_t end_ms = qr.now_ms + seconds * 1000;

	while (qr.now_ms < end_ms) {
		(void)scheduler_pass(s, 1000);
		hear();
	}
}

/* --- the resolver ------------------------------------------------------------ */

void
qr_answer(enum lookup_status status, const char *const *records)
{
	uint8_t buf[2048];
	struct lookup_record record = { .type = LOOKUP_R_TXT };
	size_t len = 0;

	cr_assert_gt(qr.nasked, 0);
	for (; records != NULL && *records != NULL; records++) {
		record.data = (const uint8_t *)*records;
		record.len = strlen(*records);
		cr_assert_eq(lookup_record_put(buf, sizeof(buf), &len,
		    &record), 0);
	}
	fake_resolver_say(qr.resolver, qr.asked[0].ask, status, 0, buf, len);
	memmove(qr.asked, qr.asked + 1, --qr.nasked * sizeof(qr.asked[0]));
	/* before anything else */
	while (scheduler_pass(s, 0) > 0)
		continue;
	hear();
}

void
qr_answer_one(const char *record)
{
	qr_answer(LOOKUP_FOUND, (const char *const[]){ record, NULL });
}

/* --- the process sts --------------------------------------------------------- */

void
qr_begin_sts(void)
{
	const struct msg_peer who = { .role = ROLE_STS, .instance = 1 };
	int fds[2];

	channel_free(qr.sts);
	cr_assert_eq(channel_pair(fds), 0);
	qr.sts = channel_open(fds[1], msg_rows, NMSGS, ROLE_STS, ROLE_QUEUE);
	cr_assert_not_null(qr.sts);
	qr.nposted = 0;
	queue_tlsrpt_peer(&qr.r, &who, fds[0]);
	hear();
}

void
qr_say_posted(enum sts_failure failure, const char *why)
{
	const struct msg_sts_posted base = { .ask = qr.posted[0].ask,
		.failure = failure };

	cr_assert_gt(qr.nposted, 0);
	cr_assert_eq(channel_send(qr.sts, T_POSTED, &base, why,
	    (unsigned int)strlen(why), -1), 0);
	memmove(qr.posted, qr.posted + 1, --qr.nposted * sizeof(qr.posted[0]));
	while (scheduler_pass(s, 0) > 0)
		continue;
	hear();
}

/* --- the queue --------------------------------------------------------------- */

void
qr_change_rows(const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/deferred.db", qr.f.path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

void
qr_count(const char *domain)
{
	char *sql;

	cr_assert_neq(asprintf(&sql, "INSERT INTO tls_domain VALUES (%d, '%s',"
	    " 1); INSERT INTO tls_count VALUES (%d, '%s', 'tlsa', '', '', '',"
	    " 'mx.%s', '', '', '', 3)", qr.day_of_counts, domain, qr.day_of_counts,
	    domain, domain), -1);
	qr_change_rows(sql);
	free(sql);
}

unsigned int
qr_ncounted(void)
{
	char domain[LIM_DOMAIN + 1] = "";
	int64_t day = 0;
	unsigned int n = 0;

	while (queue_tls_report_next(qr.f.q, &day, domain, INT64_MAX) == 1)
		n++;
	return n;
}

size_t
qr_nmessages(void)
{
	qr.f.njobs = 0;
	qr.f.now.tv_sec = START + qr.now_ms / 1000;
	qr.f.ms = base_ms + qr.now_ms;
	qf_pass(&qr.f, 1000);
	return qr.f.njobs;
}

void
qr_expect_message(size_t i, const char *to)
{
	char buf[4096], line[128];

	qf_rcpt(&qr.f, i, buf, sizeof(buf));
	cr_expect_str_eq(buf, to);
	qf_said(&qr.f, i, buf, sizeof(buf));
	cr_expect_str_eq(buf, "tls@mx.test 1 - - a00");
	qf_text(&qr.f, i, buf, sizeof(buf));
	snprintf(line, sizeof(line), "\r\nTo: <%s>\r\n", to);
	cr_expect_not_null(strstr(buf, line));
	cr_expect_not_null(strstr(buf, "\r\nTLS-Report-Domain: z.test\r\n"));
	cr_expect_not_null(strstr(buf, "\r\nTLS-Required: No\r\n"));
}

void
qr_begin(void)
{
	int fd;

	cr_assert_eq(queue_tlsrpt_new(&qr.r), 0);
	qr.resolver = fake_resolver_open(ROLE_QUEUE, &fd);
	queue_tlsrpt_peer(&qr.r, &fake_resolver_who, fd);
	queue_tlsrpt_open(&qr.r);
}

void
qr_setup(void)
{
	static char hostname[] = "mx.test", empty[] = "", sender[] =
	    "tls@mx.test";
	const struct scheduler_backend backend = { .size = sizeof(backend),
		.now = clock_now, .wait = clock_wait };

	s = scheduler_create(&backend);
	cr_assert_not_null(s);
	qf_init(&qr.f);
	base_ms = qr.f.ms;
	qf_open(&qr.f);
	qr.settings.hostname = hostname;
	qr.settings.tls_reports = true;
	qr.settings.tls_report_organization = empty;
	qr.settings.tls_report_contact = empty;
	qr.settings.tls_report_sender = sender;
	child.settings = &qr.settings;
	qr.r.child = &child;
	qr.r.queue = qr.f.q;
	TAILQ_INIT(&qr.r.peers);
}

void
qr_teardown(void)
{
	queue_tlsrpt_free(&qr.r);
	channel_free(qr.resolver);
	channel_free(qr.sts);
	qf_free(&qr.f);
	scheduler_destroy(s);
}

void
qr_ask_for(const char *record)
{
	qr_count("z.test");
	qr_begin();
	qr_begin_sts();
	qr_pass_s(2);
	cr_assert_eq(qr.nasked, 1);
	qr_answer_one(record);
}

void
qr_restart(void)
{
	queue_tlsrpt_free(&qr.r);
	channel_free(qr.resolver);
	qr.nasked = qr.nposted = 0;
	qr_begin();
	qr_begin_sts();
	qr_pass_s(2);
}

void
qr_ask_again(const char *record)
{
	int i;

	for (i = 0; i < 2 * QR_DAY_S / 600 && qr.nposted == 0 &&
	    qr_ncounted() > 0; i++) {
		if (qr.nasked > 0)
			qr_answer_one(record);
		else
			qr_pass_s(600);
	}
}

void
qr_catch_log(void)
{
	log_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	cr_assert_neq(log_fd, -1);
	log_init("test", LOG_TO_FILE, log_fd, LOG_LEVEL_INFO);
}

unsigned int
qr_logged(const char *words)
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
