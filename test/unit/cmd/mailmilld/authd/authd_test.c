/* authd as a worker sees it, with a back end that waits when told to. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/authd/authd_int.h"
#include "core/process/channel.h"
#include "core/process/log.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"
#include "test/unit/cmd/mailmilld/authd/fake_back.h"
#include "test/unit/cmd/settings/load.h"

#define SPEC		"passwd:/nowhere"
#define WAIT_MS		20000
#define TIMEOUT_S	1	/* auth_timeout */
#define SESSIONS	8192
#define LINES_MAX	25	/* about failures, of one worker in 10 seconds */

static const char config[] =
    "hostname = \"mx.example.test\"\n"
    "auth_timeout = 1\n"
    "auth_threads = 2\n"
    "auth_client_failures = 4\n"
    "auth_login_failures = 3\n"
    "auth_proxy_failures = 6\n"
    "workers = 2\n"
    "log_rate = 10\n"
    "Auth_Backend = \"" SPEC "\"\n"
    "ESMTP_Listener {\n"
    "  Listen \"127.0.0.1:2501\" {\n"
    "    Auth_Without_TLS = true\n"
    "    Peer \"10.0.0.0/8\" { Auth_Mechanisms = { \"LOGIN\" } }\n"
    "  }\n"
    "  Listen \"127.0.0.1:2502\" { }\n"
    "  Listen \"127.0.0.1:2503\" { Auth_Backend = \"\" }\n"
    "}\n";

/* --- authd and a worker --------------------------------------------------- */

struct world {
	struct settings	*settings;
	struct child	 child;
	struct authd	 authd;
	struct channel	*worker;
};

static struct vouch *sessions;	/* the master's, for all workers */

struct answer {
	uint64_t	 id;
	unsigned int	 status;
	char		 text[256];
};

/* ${vouch}: its sessions; NULL: it is not told which those are. */
static struct channel *
worker_with(struct world *w, unsigned int instance, struct vouch *vouch)
{
	struct msg_peer who = { .role = ROLE_WORKER, .slot = instance,
		.instance = instance };
	struct channel *ch;
	int fds[2], fd;

	if (vouch != NULL) {
		fd = vouch_fd(vouch);
		authd_vouch(&w->authd, &who, fd);
		close(fd);
	}
	cr_assert_eq(channel_pair(fds), 0);
	authd_peer(&w->authd, &who, fds[0]);
	ch = channel_open(fds[1], msg_rows, NMSGS, ROLE_WORKER, ROLE_AUTHD);
	cr_assert_not_null(ch);
	return ch;
}

static struct channel *
worker_add(struct world *w, unsigned int instance)
{
	return worker_with(w, instance, sessions);
}

static void
world_init(struct world *w)
{
	struct auth_back *back = calloc(1, sizeof(*back));

	memset(w, 0, sizeof(*w));
	w->settings = load_good_settings("%s", config);
	log_set_level(LOG_LEVEL_ERROR);
	w->child.role = &role_authd;
	w->child.settings = w->settings;
	cr_assert_not_null(w->child.sched = scheduler_create(NULL));
	w->authd.child = &w->child;
	back->ops = &fake_back_ops;
	w->authd.backs = calloc(1, sizeof(*w->authd.backs));
	w->authd.backs[0].spec = SPEC;
	w->authd.backs[0].back = back;
	w->authd.nbacks = 1;
	cr_assert_eq(authd_open(&w->authd), 0);
	cr_assert_not_null(sessions = vouch_create(SESSIONS));
	w->worker = worker_add(w, 1);
}

static void
world_end(struct world *w)
{
	fake_back_open_gate();
	channel_free(w->worker);
	authd_close(&w->authd);
	vouch_free(sessions);
	cr_assert_eq(scheduler_event_count(w->child.sched), 0);
	scheduler_destroy(w->child.sched);
	settings_free(w->settings);
}

static void
turn(struct world *w, int ms)
{
	cr_assert_neq(scheduler_pass(w->child.sched, ms), -1);
}

/* The next answer on ${ch}; false: none within ${ms}. */
static bool
hear(struct world *w, struct channel *ch, unsigned int ms, struct answer *a)
{
	uint64_t end = monotonic_ms() + ms;
	struct channel_msg msg;
	struct msg_auth ma;
	int rc;

	while ((rc = channel_recv(ch, &msg)) != 1) {
		cr_assert_neq(rc, 0);
		if (monotonic_ms() > end)
			return false;
		turn(w, 5);
	}
	cr_assert_eq(msg.type, A_REPLY);
	memcpy(&ma, msg.base, sizeof(ma));
	a->id = ma.id;
	a->status = ma.status;
	cr_assert_lt(msg.nentries, sizeof(a->text));
	memset(a->text, 0, sizeof(a->text));
	if (msg.nentries > 0)
		memcpy(a->text, msg.entries, msg.nentries);
	return true;
}

static union addr
address(const char *text)
{
	union addr a = { .in.sin_family = AF_INET, .in.sin_port = htons(4711) };

	cr_assert_eq(inet_pton(AF_INET, text, &a.in.sin_addr), 1);
	return a;
}

/* That of the exchange ${id}. */
static uint64_t
handle_of(uint64_t id)
{
	return (id + 1) << 32 | id % SESSIONS;
}

/* What the worker says, of whatever session. */
static void
send_request(struct channel *ch, uint64_t id, uint64_t session,
    const char *mech, const char *in, size_t len)
{
	struct auth_request r = { .id = id, .session = session,
		.log_id = "s", .initial = in, .initial_len = len };
	struct msg_auth_start mas;
	uint8_t texts[512];
	int n;

	strcpy(r.mech, mech);
	n = auth_request_put(&r, &mas, texts, sizeof(texts));
	cr_assert_gt(n, 0);
	cr_assert_eq(channel_send(ch, A_START, &mas, texts, (unsigned int)n,
	    -1), 0);
}

/* ... and what the master does before. */
static void
send_start(struct channel *ch, uint64_t id, uint32_t listener,
    const char *client, const char *mech, const char *in, size_t len)
{
	const struct vouched who = { .listener = listener,
		.peer = address(client) };

	vouch_put(sessions, handle_of(id), &who);
	send_request(ch, id, handle_of(id), mech, in, len);
}

static void
send_plain(struct channel *ch, uint64_t id, const char *client,
    const char *login, const char *password)
{
	char in[128];
	int n;

	n = snprintf(in, sizeof(in), "%c%s%c%s", '\0', login, '\0', password);
	send_start(ch, id, 0, client, "PLAIN", in, (size_t)n);
}

static void
send_step(struct channel *ch, uint64_t id, const char *text)
{
	struct msg_auth ma = { .id = id };

	cr_assert_eq(channel_send(ch, A_STEP, &ma, *text != '\0' ? text :
	    NULL, (unsigned int)strlen(text), -1), 0);
}

static void
send_cancel(struct channel *ch, uint64_t id)
{
	struct msg_auth ma = { .id = id };

	cr_assert_eq(channel_send(ch, A_CANCEL, &ma, NULL, 0, -1), 0);
}

static struct answer
hear_one(struct world *w, uint64_t id)
{
	struct answer a;

	cr_assert(hear(w, w->worker, WAIT_MS, &a), "no answer to %d", (int)id);
	cr_assert_eq(a.id, id);
	return a;
}

static struct answer
plain(struct world *w, uint64_t id, const char *client, const char *login,
    const char *password)
{
	send_plain(w->worker, id, client, login, password);
	return hear_one(w, id);
}

/* -------------------------------------------------------------------------- */

static struct world w;

static void
setup(void)
{
	world_init(&w);
}

static void
teardown(void)
{
	world_end(&w);
}

TestSuite(authd, .init = setup, .fini = teardown);

Test(authd, a_right_password_is_answered_with_the_login)
{
	struct answer a;

	a = plain(&w, 1, "192.0.2.1", "user", "pencil");
	cr_assert_eq(a.status, ESMTP_AUTH_OK);
	cr_assert_str_eq(a.text, "user");
}

Test(authd, a_wrong_password_is_answered_later_with_the_name)
{
	struct answer a;
	uint64_t began;

	began = monotonic_ms();
	a = plain(&w, 1, "192.0.2.1", "user", "pen");
	cr_assert_geq(monotonic_ms() - began, AUTH_DELAY_MIN_MS);
	cr_assert_eq(a.status, ESMTP_AUTH_FAILED);
	cr_assert_str_eq(a.text, "user");
	a = plain(&w, 2, "192.0.2.1", "down", "x");
	cr_assert_eq(a.status, ESMTP_AUTH_LATER);
}

Test(authd, an_exchange_goes_on_step_by_step)
{
	struct answer a;

	send_start(w.worker, 7, 0, "192.0.2.1", "LOGIN", NULL, 0);
	a = hear_one(&w, 7);
	cr_assert_eq(a.status, ESMTP_AUTH_CHALLENGE);
	send_step(w.worker, 7, "user");
	a = hear_one(&w, 7);
	cr_assert_eq(a.status, ESMTP_AUTH_CHALLENGE);
	send_step(w.worker, 7, "pencil");
	a = hear_one(&w, 7);
	cr_assert_eq(a.status, ESMTP_AUTH_OK);
	cr_assert_str_eq(a.text, "user");
	/* and is over then */
	send_step(w.worker, 7, "pencil");
	cr_assert_eq(hear_one(&w, 7).status, ESMTP_AUTH_LATER);
}

Test(authd, a_worker_gets_no_more_than_its_listener_offers)
{
	static const char in[] = "\0user\0pencil";

	/* not without TLS there */
	send_start(w.worker, 1, 1, "192.0.2.1", "PLAIN", in, 12);
	cr_assert_eq(hear_one(&w, 1).status, ESMTP_AUTH_LATER);
	/* no back end there */
	send_start(w.worker, 2, 2, "192.0.2.1", "PLAIN", in, 12);
	cr_assert_eq(hear_one(&w, 2).status, ESMTP_AUTH_LATER);
	/* another mechanism for that client */
	send_start(w.worker, 3, 0, "10.1.2.3", "PLAIN", in, 12);
	cr_assert_eq(hear_one(&w, 3).status, ESMTP_AUTH_LATER);
	send_start(w.worker, 4, 0, "10.1.2.3", "LOGIN", NULL, 0);
	cr_assert_eq(hear_one(&w, 4).status, ESMTP_AUTH_CHALLENGE);
	/* one that is off by default */
	send_start(w.worker, 5, 0, "192.0.2.1", "CRAM-MD5", NULL, 0);
	cr_assert_eq(hear_one(&w, 5).status, ESMTP_AUTH_LATER);
}

Test(authd, what_a_worker_should_not_send_changes_nothing)
{
	struct msg_auth_start mas = { .id = 1, .mech = 60000 };
	uint8_t octets[100] = { 'P' };
	struct answer a;

	cr_assert_eq(channel_send(w.worker, A_START, &mas, octets, 100, -1),
	    0);
	send_step(w.worker, 99, "");
	cr_assert_eq(hear_one(&w, 99).status, ESMTP_AUTH_LATER);
	send_cancel(w.worker, 98);
	/* the same number twice, a step out of turn */
	send_plain(w.worker, 5, "192.0.2.1", "slow", "pencil");
	send_plain(w.worker, 5, "192.0.2.1", "user", "pencil");
	send_step(w.worker, 5, "x");
	while (fake_back_at_gate() == 0)
		turn(&w, 5);
	turn(&w, 50);
	fake_back_open_gate();
	cr_assert_eq(hear_one(&w, 5).status, ESMTP_AUTH_OK);
	cr_assert_not(hear(&w, w.worker, 50, &a));
}

Test(authd, who_fails_too_often_is_blocked_even_with_the_right_password)
{
	struct answer a;
	unsigned int i;

	send_plain(w.worker, 1, "192.0.2.1", "a", "x");
	send_plain(w.worker, 2, "192.0.2.1", "b", "x");
	send_plain(w.worker, 3, "192.0.2.1", "c", "x");
	send_plain(w.worker, 4, "192.0.2.1", "d", "x");
	for (i = 0; i < 4; i++) {
		cr_assert(hear(&w, w.worker, WAIT_MS, &a));
		cr_assert_eq(a.status, ESMTP_AUTH_FAILED);
	}
	a = plain(&w, 5, "192.0.2.1", "user", "pencil");
	cr_assert_eq(a.status, ESMTP_AUTH_BLOCKED);
	cr_assert_str_eq(a.text, "user");
	a = plain(&w, 6, "192.0.2.2", "user", "pencil");
	cr_assert_eq(a.status, ESMTP_AUTH_OK);
}

/* With a back end that does the mechanisms: many users may share an address. */
Test(authd, a_login_known_there_is_not_blocked_by_its_neighbours)
{
	static const char *const others[] = { "a", "b", "c", "d" };
	unsigned int i;

	w.authd.backs[0].back->ops = &fake_back_relay_ops;
	cr_assert_eq(plain(&w, 1, "192.0.2.1", "user", "pencil").status,
	    ESMTP_AUTH_OK);
	for (i = 0; i < 4; i++)
		cr_assert_eq(plain(&w, 2 + i, "192.0.2.1", others[i],
		    "x").status, ESMTP_AUTH_FAILED);
	cr_assert_eq(plain(&w, 6, "192.0.2.1", "e", "pencil").status,
	    ESMTP_AUTH_BLOCKED);
	cr_assert_eq(plain(&w, 7, "192.0.2.1", "user", "pencil").status,
	    ESMTP_AUTH_OK);
}

Test(authd, workers_share_the_limits)
{
	struct channel *other;
	struct answer a;
	unsigned int i;

	other = worker_add(&w, 2);
	for (i = 0; i < 4; i++) {
		send_plain(i % 2 ? other : w.worker, i, "192.0.2.1", "user",
		    "x");
		cr_assert(hear(&w, i % 2 ? other : w.worker, WAIT_MS, &a));
		cr_assert_eq(a.status, i < 3 ? ESMTP_AUTH_FAILED :
		    ESMTP_AUTH_BLOCKED);
	}
	channel_free(other);
}

Test(authd, guesses_at_once_are_bound_too)
{
	unsigned int i, failed = 0, blocked = 0;
	struct answer a;

	for (i = 0; i < 20; i++)
		send_plain(w.worker, i, "192.0.2.1", "user", "x");
	for (i = 0; i < 20; i++) {
		cr_assert(hear(&w, w.worker, WAIT_MS, &a));
		failed += a.status == ESMTP_AUTH_FAILED;
		blocked += a.status == ESMTP_AUTH_BLOCKED;
	}
	cr_assert_eq(failed, 3);
	cr_assert_eq(blocked, 17);
}

Test(authd, an_exchange_that_is_cancelled_before_the_password_costs_nothing)
{
	unsigned int i;

	for (i = 0; i < 10; i++) {
		send_start(w.worker, i, 0, "192.0.2.1", "LOGIN", "user", 4);
		cr_assert_eq(hear_one(&w, i).status, ESMTP_AUTH_CHALLENGE);
		send_cancel(w.worker, i);
	}
	cr_assert_eq(plain(&w, 50, "192.0.2.1", "user", "pencil").status,
	    ESMTP_AUTH_OK);
}

Test(authd, a_back_end_that_does_not_answer_is_454_and_others_go_on)
{
	uint64_t began;

	began = monotonic_ms();
	send_plain(w.worker, 1, "192.0.2.1", "slow", "pencil");
	while (fake_back_at_gate() == 0)
		turn(&w, 5);
	cr_assert_eq(plain(&w, 2, "192.0.2.1", "user", "pencil").status,
	    ESMTP_AUTH_OK);
	cr_assert_eq(hear_one(&w, 1).status, ESMTP_AUTH_LATER);
	cr_assert_geq(monotonic_ms() - began, TIMEOUT_S * 1000);
}

Test(authd, what_waits_for_a_thread_too_long_is_454_too)
{
	struct answer a;
	unsigned int i;

	for (i = 0; i < 10; i++)
		send_plain(w.worker, i, "192.0.2.1", "slow", "pencil");
	for (i = 0; i < 10; i++) {
		cr_assert(hear(&w, w.worker, WAIT_MS, &a));
		/* two run; the name is bound to three at once */
		cr_assert_eq(a.status, ESMTP_AUTH_LATER);
	}
	cr_assert_not(w.authd.is_stuck);
	fake_back_open_gate();
	cr_assert_eq(plain(&w, 50, "192.0.2.1", "user", "pencil").status,
	    ESMTP_AUTH_OK);
}

Test(authd, what_is_cancelled_or_left_while_a_thread_works_is_forgotten_later)
{
	struct channel *other;
	struct answer a;

	other = worker_add(&w, 2);
	send_plain(other, 1, "192.0.2.1", "slow", "pencil");
	send_plain(w.worker, 1, "192.0.2.2", "slow", "pencil");
	while (fake_back_at_gate() < 2)
		turn(&w, 5);
	send_cancel(w.worker, 1);
	channel_free(other);
	while (TAILQ_NEXT(TAILQ_FIRST(&w.authd.workers), link) != NULL)
		turn(&w, 5);
	turn(&w, 20);
	fake_back_open_gate();
	while (!LIST_EMPTY(&w.authd.orphans))
		turn(&w, 5);
	cr_assert_not(hear(&w, w.worker, 20, &a));
}

Test(authd, it_ends_when_no_thread_comes_back_for_far_too_long)
{
	uint64_t id = 10;

	w.authd.stuck_ms = 1;
	send_plain(w.worker, 1, "192.0.2.1", "slow", "pencil");
	send_plain(w.worker, 2, "192.0.2.2", "slow", "pencil");
	cr_assert_eq(hear_one(&w, 1).status, ESMTP_AUTH_LATER);
	cr_assert_eq(hear_one(&w, 2).status, ESMTP_AUTH_LATER);
	cr_assert_not(w.authd.is_stuck);
	/* each finds out after auth_timeout that it was not looked at */
	while (!w.authd.is_stuck && id < 13)
		cr_assert_eq(plain(&w, id++, "192.0.2.3", "user",
		    "pencil").status, ESMTP_AUTH_LATER);
	cr_assert(w.authd.is_stuck);
}

static void
rest(uint64_t id, const char *client)
{
	send_start(w.worker, id, 0, client, "LOGIN", NULL, 0);
	cr_assert_eq(hear_one(&w, id).status, ESMTP_AUTH_CHALLENGE);
}

static unsigned int
step_status(uint64_t id)
{
	send_step(w.worker, id, "user");
	return hear_one(&w, id).status;
}

Test(authd, a_client_that_has_its_share_gives_up_its_oldest_exchange)
{
	uint64_t id;

	for (id = 0; id < AUTHD_CLIENT_MAX + 2; id++)
		rest(id, "192.0.2.1");
	rest(id, "192.0.2.2");
	cr_assert_eq(w.authd.workers.tqh_first->nexchanges,
	    AUTHD_CLIENT_MAX + 1);
	cr_expect_eq(step_status(0), ESMTP_AUTH_LATER);
	cr_expect_eq(step_status(1), ESMTP_AUTH_LATER);
	cr_expect_eq(step_status(2), ESMTP_AUTH_CHALLENGE);
	cr_expect_eq(step_status(id), ESMTP_AUTH_CHALLENGE);
}

Test(authd, when_a_worker_has_too_many_the_greediest_client_gives_one_up)
{
	char client[32];
	uint64_t id;

	/* one has few, the others what they can, until all are taken */
	rest(0, "10.0.0.1");
	for (id = 1; id < AUTHD_EXCHANGES_MAX; id++) {
		snprintf(client, sizeof(client), "192.0.2.%u",
		    (unsigned int)((id - 1) / AUTHD_CLIENT_MAX));
		rest(id, client);
	}
	cr_assert_eq(plain(&w, id, "192.0.2.99", "user", "pencil").status,
	    ESMTP_AUTH_OK);
	rest(id + 1, "192.0.2.98");
	rest(id + 2, "192.0.2.97");
	cr_assert_eq(w.authd.workers.tqh_first->nexchanges,
	    AUTHD_EXCHANGES_MAX);
	/* all but the last have the same number: the oldest */
	cr_expect_eq(step_status(1), ESMTP_AUTH_LATER);
	cr_expect_eq(step_status(1 + AUTHD_CLIENT_MAX), ESMTP_AUTH_LATER);
	cr_expect_eq(step_status(2), ESMTP_AUTH_CHALLENGE);
	cr_expect_eq(step_status(id + 1), ESMTP_AUTH_CHALLENGE);
}

Test(authd, what_is_at_work_makes_no_room)
{
	unsigned int i, later = 0;
	struct answer a;

	for (i = 0; i <= AUTHD_CLIENT_MAX; i++)
		send_plain(w.worker, i, "192.0.2.1", "slow", "pencil");
	cr_assert(hear(&w, w.worker, WAIT_MS, &a));
	cr_expect_eq(a.id, AUTHD_CLIENT_MAX);
	cr_expect_eq(a.status, ESMTP_AUTH_LATER);
	fake_back_open_gate();
	for (i = 0; i < AUTHD_CLIENT_MAX; i++)
		later += hear(&w, w.worker, WAIT_MS, &a);
	cr_expect_eq(later, AUTHD_CLIENT_MAX);
	cr_expect(RB_EMPTY(&w.authd.workers.tqh_first->clients));
}

/* --- whose session it is -------------------------------------------------- */

static FILE *
log_to_file(void)
{
	FILE *fp = tmpfile();

	cr_assert_not_null(fp);
	log_init("mailmilld/authd-1", LOG_TO_FILE, fileno(fp), LOG_LEVEL_INFO);
	return fp;
}

/* How many lines have ${text} in them. */
static unsigned int
lines_with(FILE *fp, const char *text)
{
	char line[LOG_LINE_MAX + 1];
	unsigned int n = 0;

	log_flush();
	rewind(fp);
	while (fgets(line, sizeof(line), fp) != NULL)
		n += strstr(line, text) != NULL;
	return n;
}

#define IN	"\0user\0pencil"
#define BAD	"\0user\0pen"

Test(authd, a_session_that_the_worker_does_not_have_is_refused)
{
	struct vouch *others = vouch_create(10);
	struct channel *other = worker_with(&w, 2, others);
	const struct vouched who = { .peer = address("192.0.2.7") };
	FILE *log = log_to_file();
	struct answer a;

	vouch_put(sessions, handle_of(1), &who);
	/* one that was never there, and one of another worker */
	send_request(w.worker, 2, handle_of(2), "PLAIN", BAD, 9);
	a = hear_one(&w, 2);
	cr_expect_eq(a.status, ESMTP_AUTH_LATER);
	send_request(other, 3, handle_of(1), "PLAIN", IN, 12);
	cr_assert(hear(&w, other, WAIT_MS, &a));
	cr_expect_eq(a.status, ESMTP_AUTH_LATER);
	cr_expect_eq(lines_with(log, "event=authd-worker slot=1 instance=1 "
	    "reason=\"a session that it does not have\""), 1);
	cr_expect_eq(lines_with(log, "event=authd-worker slot=2"), 1);
	cr_expect_eq(lines_with(log, "event=auth-failed"), 0);
	/* its own is served */
	send_request(w.worker, 4, handle_of(1), "PLAIN", IN, 12);
	cr_expect_eq(hear_one(&w, 4).status, ESMTP_AUTH_OK);
	channel_free(other);
	vouch_free(others);
	fclose(log);
}

Test(authd, a_session_that_has_just_ended_is_no_fault_of_its_worker)
{
	const struct vouched who = { .peer = address("192.0.2.7") };
	FILE *log = log_to_file();

	vouch_put(sessions, handle_of(1), &who);
	vouch_end(sessions, handle_of(1));
	send_request(w.worker, 1, handle_of(1), "PLAIN", IN, 12);
	cr_expect_eq(hear_one(&w, 1).status, ESMTP_AUTH_LATER);
	cr_expect_eq(lines_with(log, "event="), 0);
	fclose(log);
}

Test(authd, a_worker_whose_sessions_are_not_known_gets_no_login)
{
	struct channel *other = worker_with(&w, 2, NULL);
	FILE *log = log_to_file();
	struct answer a;

	send_request(other, 1, handle_of(1), "PLAIN", IN, 12);
	cr_assert(hear(&w, other, WAIT_MS, &a));
	cr_expect_eq(a.status, ESMTP_AUTH_LATER);
	cr_expect_eq(lines_with(log, "event=authd-worker slot=2"), 1);
	/* what was meant for one worker is not another's */
	channel_free(other);
	authd_vouch(&w.authd, &(struct msg_peer){ .role = ROLE_WORKER,
	    .slot = 2, .instance = 7 }, -1);
	other = worker_with(&w, 2, NULL);
	send_request(other, 1, handle_of(1), "PLAIN", IN, 12);
	cr_assert(hear(&w, other, WAIT_MS, &a));
	cr_expect_eq(a.status, ESMTP_AUTH_LATER);
	channel_free(other);
	fclose(log);
}

Test(authd, a_failure_is_logged_with_the_client_that_has_connected)
{
	FILE *log = log_to_file();

	cr_assert_eq(plain(&w, 1, "192.0.2.7", "user", "pen").status,
	    ESMTP_AUTH_FAILED);
	cr_expect_eq(lines_with(log, "level=info event=auth-failed session=s "
	    "client=192.0.2.7 port=4711 listener=127.0.0.1:2501 user=user "
	    "mechanism=PLAIN code=535 "
	    "reason=\"wrong password or unknown user\"\n"), 1);
	/* nothing else is a failure */
	cr_assert_eq(plain(&w, 2, "192.0.2.7", "user", "pencil").status,
	    ESMTP_AUTH_OK);
	cr_assert_eq(plain(&w, 3, "192.0.2.7", "down", "x").status,
	    ESMTP_AUTH_LATER);
	send_start(w.worker, 4, 0, "192.0.2.7", "PLAIN", "x", 1);
	cr_assert_eq(hear_one(&w, 4).status, ESMTP_AUTH_MALFORMED);
	cr_expect_eq(lines_with(log, "event=auth-failed"), 1);
	fclose(log);
}

Test(authd, a_failure_is_logged_also_if_its_client_does_not_wait_for_it)
{
	FILE *log = log_to_file();

	send_plain(w.worker, 1, "192.0.2.7", "slow", "pen");
	while (fake_back_at_gate() == 0)
		turn(&w, 5);
	send_cancel(w.worker, 1);
	while (LIST_EMPTY(&w.authd.orphans))
		turn(&w, 5);
	fake_back_open_gate();
	while (!LIST_EMPTY(&w.authd.orphans))
		turn(&w, 5);
	cr_expect_eq(lines_with(log, "event=auth-failed session=s "
	    "client=192.0.2.7 port=4711 "), 1);
	fclose(log);
}

/* PROXY, XCLIENT. */
Test(authd, a_client_that_was_named_is_logged_with_the_peer_that_names_it)
{
	union addr client = address("198.51.100.1");
	const struct vouched who = { .peer = address("192.0.2.1") };
	FILE *log = log_to_file();
	struct answer a;
	uint64_t id;

	vouch_put(sessions, handle_of(0), &who);
	/* the worker, or who may use XCLIENT, makes up one after the other */
	for (id = 0; id < 4; id++) {
		client.in.sin_addr.s_addr += htonl(1);
		vouch_name(sessions, handle_of(0), &client.sa);
		send_request(w.worker, id, handle_of(0), "PLAIN", "\0x\0y", 4);
		a = hear_one(&w, id);
		cr_expect_eq(a.status, id < 3 ? ESMTP_AUTH_FAILED :
		    ESMTP_AUTH_BLOCKED, "%d", (int)id);
	}
	cr_expect_eq(lines_with(log, "event=auth-failed"), 3);
	cr_expect_eq(lines_with(log, " client=198.51.100.2 port=4711 "), 1);
	cr_expect_eq(lines_with(log, " via=192.0.2.1\n"), 3);
	cr_expect_eq(lines_with(log, "event=auth-proxy"), 0);
	/* other logins, too, up to auth_proxy_failures */
	for (; id < 9; id++) {
		client.in.sin_addr.s_addr += htonl(1);
		vouch_name(sessions, handle_of(0), &client.sa);
		send_request(w.worker, id, handle_of(0), "PLAIN",
		    (char[]){ '\0', (char)('a' + id), '\0', 'y' }, 4);
		a = hear_one(&w, id);
		cr_expect_eq(a.status, id < 7 ? ESMTP_AUTH_FAILED :
		    ESMTP_AUTH_BLOCKED, "%d", (int)id);
	}
	cr_expect_eq(lines_with(log, "event=auth-proxy via=192.0.2.1 slot=1 "
	    "setting=auth_proxy_failures refused=1 "), 1);
	cr_expect_eq(lines_with(log, "event=auth-proxy"), 1);
	/* the one that has connected has not failed */
	cr_expect_eq(plain(&w, 50, "192.0.2.1", "user", "pencil").status,
	    ESMTP_AUTH_OK);
	fclose(log);
}

Test(authd, a_worker_has_a_share_of_the_lines_about_failures)
{
	struct channel *other;
	char client[32];
	FILE *log = log_to_file();
	struct answer a;
	uint64_t id;

	for (id = 0; id < 2 * LINES_MAX; id++) {
		snprintf(client, sizeof(client), "192.0.2.%u", (unsigned int)id);
		send_start(w.worker, id, 0, client, "PLAIN",
		    (char[]){ '\0', (char)('0' + id), '\0', 'y' }, 4);
	}
	for (id = 0; id < 2 * LINES_MAX; id++) {
		cr_assert(hear(&w, w.worker, WAIT_MS, &a));
		cr_expect_eq(a.status, ESMTP_AUTH_FAILED);
	}
	cr_expect_eq(lines_with(log, "event=auth-failed"), LINES_MAX);
	cr_expect_eq(lines_with(log, "more failed logins than are logged"), 1);
	other = worker_add(&w, 2);
	send_plain(other, id, "198.51.100.1", "user", "pen");
	cr_assert(hear(&w, other, WAIT_MS, &a));
	cr_expect_eq(lines_with(log, " client=198.51.100.1 "), 1);
	channel_free(other);
	fclose(log);
}

Test(authd, it_ends_with_its_last_worker)
{
	w.child.is_draining = true;
	channel_free(w.worker);
	w.worker = NULL;
	cr_assert_eq(scheduler_run(w.child.sched), 0);
	cr_assert(TAILQ_EMPTY(&w.authd.workers));
}
