#include <sys/random.h>
#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/keyd/keyd_int.h"
#include "cmd/settings/settings_tls.h"
#include "core/process/stats.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"
#include "test/unit/tls/keys_fixture.h"

/* Two listeners, each with a key of its own; the first has the second one's
 * too, for some clients; the third has none. */
#define CONFIG								\
	"key_rate = 1000\n"						\
	"ESMTP_Listener {\n"						\
	"  Listen \"127.0.0.1:25\" {\n"					\
	"    TLS_Certificate = \"/a.crt\"\n    TLS_Key = \"/a.key\"\n"	\
	"    Peer \"10.0.0.0/8\" {\n"					\
	"      TLS_Certificate = \"/b.crt\"\n      TLS_Key = \"/b.key\"\n" \
	"    }\n  }\n"							\
	"  Listen \"127.0.0.1:587\" {\n"				\
	"    TLS_Certificate = \"/b.crt\"\n    TLS_Key = \"/b.key\"\n"	\
	"  }\n"								\
	"  Listen \"127.0.0.1:2525\" { }\n"				\
	"}\n"

#define VERSION	3

static struct scheduler *sched;
static struct settings *settings;
static struct keyd kd;
static bool is_done;

/* What a worker sees. */
struct worker {
	struct chanev	*ce;
	bool		 is_gone;
	unsigned int	 nanswers, nsigned;
	struct msg_signed last;
	size_t		 len;
};
static struct worker workers[2];

static void
on_signed(void *closure, struct channel_msg *msg)
{
	struct worker *w = closure;

	memcpy(&w->last, msg->base, sizeof(w->last));
	w->len = msg->nentries;
	cr_assert_eq(w->last.status == 0, w->len > 0);
	w->nanswers++;
	w->nsigned += w->last.status == 0;
}

static void
on_gone(void *closure)
{
	struct worker *w = closure;

	w->ce = NULL;
	w->is_gone = true;
}

static const struct chanev_ops ops = {
	.on = { [K_SIGNED] = on_signed },
	.gone = on_gone
};

static void
done(void *closure)
{
	cr_assert_eq(closure, &kd);
	is_done = true;
}

static void
load_keys(void)
{
	EVP_PKEY *key;
	char err[KEEPER_ERROR_MAX], *pem;
	uint32_t pair;
	X509 *x;
	int fd;

	for (pair = 0; pair < settings->tls->npairs; pair++) {
		key = keys_make(KEYS_P256);
		x = keys_certificate(key);
		pem = keys_cert_pem(x);
		fd = keys_file(key);
		cr_assert_eq(keeper_load(kd.keeper, VERSION, pair, fd, pem,
		    strlen(pem), err, sizeof(err)), 0, "%s", err);
		close(fd);
		free(pem);
		X509_free(x);
		EVP_PKEY_free(key);
	}
}

static void
connect_worker(unsigned int i)
{
	struct msg_peer who = { ROLE_WORKER, i + 1, i + 10 };
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(keyd_worker_open(&kd, &who, fds[0]), 0);
	workers[i].ce = chanev_open(fds[1], ROLE_WORKER, ROLE_KEYD, &ops,
	    &workers[i]);
	cr_assert_not_null(workers[i].ce);
}

static void
setup_with(const char *override)
{
	static const char text[] = CONFIG;
	char err[SETTINGS_ERROR_MAX];
	FILE *fp = tmpfile();

	fputs(text, fp);
	rewind(fp);
	settings = settings_load(fp, "m.conf", &override, override != NULL,
	    err, sizeof(err));
	fclose(fp);
	cr_assert_not_null(settings, "%s", err);
	cr_assert_eq(settings->tls->npairs, 2);
	sched = scheduler_create(NULL);
	TAILQ_INIT(&kd.workers);
	kd.settings = settings;
	kd.keeper = keeper_new();
	kd.done = done;
	kd.closure = &kd;
	load_keys();
	connect_worker(0);
	connect_worker(1);
}

static void
setup(void)
{
	setup_with(NULL);
}

static void
teardown(void)
{
	chanev_free(workers[0].ce);
	chanev_free(workers[1].ce);
	keyd_workers_close(&kd);
	keeper_free(kd.keeper);
	settings_free(settings);
	scheduler_destroy(sched);
}

TestSuite(keyd, .init = setup, .fini = teardown);

static void
pass(unsigned int n)
{
	while (n-- > 0)
		cr_assert_geq(scheduler_pass(sched, 0), 0);
}

/* RFC 8446 4.4.3: what a server signs in TLS 1.3 */
static size_t
handshake(uint8_t *tbs)
{
	memset(tbs, ' ', 64);
	memcpy(tbs + 64, "TLS 1.3, server CertificateVerify", 34);
	memset(tbs + 98, 0x77, 32);
	return 130;
}

static void
send_ask(struct worker *w, const struct msg_sign *ask, const uint8_t *tbs,
    size_t len)
{
	cr_assert_eq(chanev_send(w->ce, K_SIGN, ask, tbs, (unsigned int)len,
	    -1), 0);
}

/* Return the status of the answer. */
static uint32_t
ask_key(uint32_t listener, uint32_t version, uint32_t pair, uint32_t scheme,
    const uint8_t *tbs, size_t len)
{
	static uint64_t id;
	struct msg_sign ask = { ++id, listener, version, pair, scheme };
	unsigned int before = workers[0].nanswers;

	send_ask(&workers[0], &ask, tbs, len);
	pass(3);
	cr_assert_eq(workers[0].nanswers, before + 1);
	cr_assert_eq(workers[0].last.id, id);
	return workers[0].last.status;
}

Test(keyd, a_listener_s_sessions_use_its_keys_and_no_others)
{
	/* the numbers of a and b are the settings' */
	static const bool may[3][2] = { { true, true }, { false, true },
		{ false, false } };
	uint8_t tbs[TLS_TBS_MAX];
	size_t len = handshake(tbs);
	uint32_t listener, pair;
	bool is_b;

	for (listener = 0; listener < 3; listener++)
		for (pair = 0; pair < 2; pair++) {
			is_b = strcmp(settings->tls->pairs[pair].cert,
			    "/b.crt") == 0;
			cr_assert_eq(ask_key(listener, VERSION, pair,
			    TLS_ECDSA_SHA256, tbs, len),
			    may[listener][is_b] ? 0 : EACCES, "%u %u",
			    listener, pair);
		}
	cr_assert_eq(stats_sum(STATS_KEY_SIGNATURES), 3);
	cr_assert_eq(stats_sum(STATS_KEY_REFUSED), 3);
}

Test(keyd, numbers_out_of_range_are_refused)
{
	static const uint32_t odd[] = { 2, 3, 4, 1000, INT32_MAX,
		(uint32_t)INT32_MAX + 1, UINT32_MAX };
	uint8_t tbs[TLS_TBS_MAX];
	size_t i, len = handshake(tbs);

	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		cr_assert_eq(ask_key(0, VERSION, odd[i], TLS_ECDSA_SHA256,
		    tbs, len), EACCES);
		cr_assert_eq(ask_key(odd[i], VERSION, 0, TLS_ECDSA_SHA256,
		    tbs, len), EACCES);
		cr_assert_eq(ask_key(0, odd[i] + VERSION, 0, TLS_ECDSA_SHA256,
		    tbs, len), ENOKEY);
		cr_assert_eq(ask_key(0, VERSION, 0, odd[i], tbs, len), EINVAL);
	}
	cr_assert_eq(ask_key(0, VERSION, 0, TLS_RSA_PSS_SHA256, tbs, len),
	    EINVAL);
	cr_assert_eq(ask_key(0, VERSION, 0, TLS_ECDSA_SHA256, tbs, len), 0);
}

Test(keyd, a_worker_cannot_have_documents_signed)
{
	uint8_t tbs[TLS_TBS_MAX];
	size_t len;

	for (len = 0; len <= sizeof(tbs); len += 16) {
		cr_assert_eq(getrandom(tbs, sizeof(tbs), 0), sizeof(tbs));
		tbs[0] = 'x';
		tbs[64] = 'y';
		cr_assert_eq(ask_key(0, VERSION, 0, TLS_ECDSA_SHA256, tbs,
		    len), EPERM);
	}
	/* nor be a client with its name */
	len = handshake(tbs);
	memcpy(tbs + 64, "TLS 1.3, client", 15);
	cr_assert_eq(ask_key(0, VERSION, 0, TLS_ECDSA_SHA256, tbs, len),
	    EPERM);
}

Test(keyd, garbage_in_the_channel_is_thrown_away)
{
	uint8_t junk[2048], tbs[TLS_TBS_MAX];
	size_t i, n, len = handshake(tbs);

	for (i = 0; i < 2000; i++) {
		cr_assert_eq(getrandom(junk, sizeof(junk), 0), sizeof(junk));
		n = 1 + junk[0] + 256 * (junk[1] % 4);
		/* every tenth has the type of a request, but not its size */
		if (i % 10 == 0 && n > 8) {
			memset(junk, 0, 8);
			junk[0] = K_SIGN;
			junk[4] = (uint8_t)i;
		}
		(void)send(chanev_fd(workers[0].ce), junk, n, MSG_DONTWAIT);
		if (i % 50 == 0)
			pass(2);
	}
	pass(50);
	workers[0].nanswers = 0;
	cr_assert_eq(ask_key(0, VERSION, 0, TLS_ECDSA_SHA256, tbs, len), 0);
}

Test(keyd, the_last_worker_s_end_is_told)
{
	chanev_free(workers[0].ce);
	workers[0].ce = NULL;
	pass(3);
	cr_assert_not(is_done);
	chanev_free(workers[1].ce);
	workers[1].ce = NULL;
	pass(3);
	cr_assert(is_done);
}

Test(keyd, a_worker_that_asks_too_much_waits_and_nobody_else_does,
    .timeout = 60)
{
	const struct msg_sign ask = { 1, 0, VERSION, 0, TLS_ECDSA_SHA256 };
	uint8_t tbs[TLS_TBS_MAX];
	size_t len = handshake(tbs);
	uint64_t start = monotonic_ms(), took, quick;
	unsigned int i;

	/* a tenth of a second's at once, and then a thousand a second */
	for (i = 0; i < 400; i++)
		send_ask(&workers[0], &ask, tbs, len);
	while (workers[0].nanswers < 100)
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	quick = monotonic_ms() - start;
	send_ask(&workers[1], &ask, tbs, len);
	while (workers[1].nsigned == 0)
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	cr_assert_lt(workers[0].nanswers, 400);
	while (workers[0].nanswers < 400)
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	took = monotonic_ms() - start;
	cr_assert_geq(took, 299, "%llu", (unsigned long long)took);
	cr_assert_lt(quick, took);
	cr_assert_eq(workers[0].nsigned, 400);
}

Test(keyd, refusals_count_against_the_rate_too, .timeout = 60)
{
	const struct msg_sign ask = { 1, 2, VERSION, 0, TLS_ECDSA_SHA256 };
	uint64_t start = monotonic_ms();
	unsigned int i;

	for (i = 0; i < 300; i++)
		send_ask(&workers[0], &ask, NULL, 0);
	while (workers[0].nanswers < 300)
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	cr_assert_geq(monotonic_ms() - start, 199);
	cr_assert_eq(stats_sum(STATS_KEY_REFUSED), 300);
	cr_assert_eq(workers[0].nsigned, 0);
}

Test(keyd, a_worker_that_goes_while_it_waits_is_forgotten)
{
	const struct msg_sign ask = { 1, 0, VERSION, 0, TLS_ECDSA_SHA256 };
	uint8_t tbs[TLS_TBS_MAX];
	size_t len = handshake(tbs);
	unsigned int i;

	for (i = 0; i < 150; i++)
		send_ask(&workers[0], &ask, tbs, len);
	pass(3);
	chanev_free(workers[0].ce);
	workers[0].ce = NULL;
	chanev_free(workers[1].ce);
	workers[1].ce = NULL;
	while (!is_done)
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	cr_assert(TAILQ_EMPTY(&kd.workers));
}

/* Something in the same pass that takes 60 ms, before the requests are read:
 * of ready descriptors the one scheduled last is dispatched first */
static int
dawdle(Event *, int, void *, struct timeval *)
{
	uint64_t until = monotonic_ms() + 60;

	while (monotonic_ms() < until)
		;
	return 0;
}

Test(keyd, a_slow_pass_does_not_shorten_the_wait, .timeout = 60)
{
	const struct msg_sign ask = { 1, 2, VERSION, 0, TLS_ECDSA_SHA256 };
	const struct timeval long_time = { .tv_sec = 60 };
	uint64_t first;
	Event *slow;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	close(fds[1]);
	slow = build_event_from_now(long_time, fds[0], dawdle, NULL);
	slow->mask = E_READ;
	cr_assert_eq(schedule_event(slow), 0);
	/* one in 100 ms */
	bucket_init(&TAILQ_FIRST(&kd.workers)->peer.bucket, 10, monotonic_ms());
	send_ask(&workers[0], &ask, NULL, 0);
	send_ask(&workers[0], &ask, NULL, 0);
	cr_assert_geq(scheduler_pass(sched, 100), 0);
	first = monotonic_ms();
	while (workers[0].nanswers < 2)
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	cr_assert_geq(monotonic_ms() - first, 99);
}
