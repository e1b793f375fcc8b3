/* What a worker can have of spoold, and no more. */

#include "test/unit/cmd/mailmilld/spoold/spoold_fixture.h"

#include <sys/param.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/process/stats.h"
#include "core/spool/spool_reserve.h"

TestSuite(spoold_bounds, .init = spx_setup, .fini = spx_teardown);

Test(spoold_bounds, sizes_are_within_bounds)
{
	static const uint64_t bad[] = { 0, 1, SPX_SIZE + 1,
		SPOOLD_SEGMENT_MIN - SPOOL_PAGE,
		SPOOL_SEGMENT_OPEN_MAX + SPOOL_PAGE, UINT64_MAX,
		UINT64_MAX - SPOOL_PAGE + 1 };
	struct msg_file file;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(spx_ask(S_SEGMENT, bad[i]), EINVAL, "%zu", i);
	cr_assert_eq(spx_ask(S_ROOM, UINT64_MAX), EINVAL);
	cr_assert_eq(spx_ask(S_ROOM, 0), 0);
	cr_assert_eq(spx_ask_for(spx.ch, S_SEGMENT, SPOOLD_SEGMENT_MIN, &file,
	    &fd), 0);
	close(fd);
	cr_assert_eq(spx_ask_for(spx.ch, S_SEGMENT, SPOOL_SEGMENT_OPEN_MAX,
	    &file, &fd), 0);
	close(fd);
}

/* Is that a value of segment_size? */
static bool
is_setting(unsigned long long octets)
{
	char override[64], err[SETTINGS_ERROR_MAX];
	const char *overrides[] = { override };
	FILE *fp = tmpfile();
	struct settings *s;

	snprintf(override, sizeof(override), "segment_size=%llu", octets);
	fputs("hostname = \"mx.example.test\"\n"
	    "ESMTP_Listener { Listen \"127.0.0.1:2525\" { } }\n", fp);
	rewind(fp);
	s = settings_load(fp, "m.conf", overrides, 1, err, sizeof(err));
	fclose(fp);
	settings_free(s);
	return s != NULL;
}

Test(spoold_bounds, they_are_those_of_the_setting)
{
	cr_assert(is_setting(SPOOLD_SEGMENT_MIN));
	cr_assert_not(is_setting(SPOOLD_SEGMENT_MIN - 1));
	cr_assert(is_setting(SPOOL_SEGMENT_OPEN_MAX));
	cr_assert_not(is_setting(SPOOL_SEGMENT_OPEN_MAX + 1));
}

Test(spoold_bounds, a_worker_holds_no_more_than_its_share_of_segments)
{
	int fds[SPOOLD_SEGMENTS_MAX], i;
	uint64_t id;

	for (i = 0; i < SPOOLD_SEGMENTS_MAX; i++)
		fds[i] = spx_segment(&id);
	cr_assert_eq(spx_ask(S_SEGMENT, SPX_SIZE), EMFILE);
	close(fds[0]);
	fds[0] = spx_segment(&id);
	cr_assert_eq(spx_ask(S_SEGMENT, SPX_SIZE), EMFILE);
	for (i = 0; i < SPOOLD_SEGMENTS_MAX; i++)
		close(fds[i]);
}

Test(spoold_bounds, bodies_that_were_closed_do_not_count)
{
	struct msg_file file;
	unsigned int i;
	int fd;

	for (i = 0; i < 200; i++) {
		cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(1 + i), &file,
		    &fd), 0);
		close(fd);
	}
	cr_assert_leq(TAILQ_FIRST(&spx.sp.workers)->bodies.n, 3);
}

/* Send ${n} requests for bodies in one pass, and hear all answers.  Return the
 * number of those that get a file; the last of these in *last_r. */
static unsigned int
ask_at_once(unsigned int n, uint64_t *last_r, unsigned int *nbusy_r)
{
	struct msg_ask a = { .value = SPX_MINE(spx.asks + 1) };
	struct msg_answer answer;
	struct channel_msg msg;
	struct msg_file file;
	unsigned int nfiles = 0;

	*nbusy_r = 0;
	for (; n > 0; n--, a.value += 4096) {
		a.ask = ++spx.asks;
		cr_assert_eq(channel_send(spx.ch, S_BODY, &a, NULL, 0, -1), 0);
	}
	while (spx_hear(spx.ch, 50, &msg)) {
		if (msg.type == S_FILE) {
			memcpy(&file, msg.base, sizeof(file));
			*last_r = file.ask;
			nfiles++;
			close(msg.fd);
			continue;
		}
		memcpy(&answer, msg.base, sizeof(answer));
		*nbusy_r += answer.errnum == EBUSY;
	}
	return nfiles;
}

static int
count_body(void *closure, enum spool_entry kind, uint64_t, const char *)
{
	*(unsigned int *)closure += kind == SPOOL_ENTRY_BODY;
	return 0;
}

static unsigned int
count_bodies(void)
{
	unsigned int n = 0;

	cr_assert_eq(spool_scan(spx.dirfd, count_body, &n), 0);
	return n;
}

Test(spoold_bounds, an_ask_replaces_the_one_before_that_was_not_answered)
{
	uint64_t before = stats_sum(STATS_SPOOL_REFUSED), last = 0;
	unsigned int nbusy, ngot;

	cr_assert_geq(ngot = ask_at_once(10, &last, &nbusy), 1);
	cr_assert_eq(last, spx.asks, "the newest one has its answer");
	cr_assert_eq(nbusy, 0);
	cr_assert_eq(stats_sum(STATS_SPOOL_REFUSED), before);
	/* no file is left open here, nor on the disk */
	cr_assert_eq(spx_ask(S_FLUSH, 0), 0);
	cr_assert_leq(count_bodies(), ngot);
	cr_assert_eq(TAILQ_FIRST(&spx.sp.workers)->fd, -1);
}

Test(spoold_bounds, asks_that_no_honest_worker_has_are_refused)
{
	uint64_t before = stats_sum(STATS_SPOOL_REFUSED), last = 0;
	unsigned int nbusy;

	cr_assert_geq(ask_at_once(SPOOLD_REPLACED_MAX + 10, &last, &nbusy), 1);
	cr_assert_eq(stats_sum(STATS_SPOOL_REFUSED), before + nbusy);
	cr_assert_eq(spx_ask(S_FLUSH, 0), 0, "it goes on");
}

static unsigned int
count_fds(void)
{
	unsigned int n = 0;
	DIR *dir = opendir("/proc/self/fd");

	cr_assert_not_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* Answers with a file that a socket takes while nobody reads them: the kernel
 * bounds the octets, with what it needs for each message. */
static unsigned int
answers_that_fit(void)
{
	const struct msg_file file = { .ask = 1 };
	struct channel *c;
	unsigned int n = 0;
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	c = channel_open(fds[0], msg_rows, NMSGS, ROLE_SPOOLD, ROLE_WORKER);
	cr_assert_not_null(c);
	for (; !channel_wants_write(c); n++)
		cr_assert_eq(channel_send(c, S_FILE, &file, NULL, 0,
		    dup(spx.dirfd)), 0);
	channel_free(c);
	close(fds[1]);
	/* the last one was kept */
	return n - 1;
}

/* It asks and does not read: descriptors must not gather here. */
Test(spoold_bounds, one_that_does_not_read_waits_for_itself, .timeout = 60)
{
	struct msg_ask a = { .ask = 1, .value = SPX_MINE(1) };
	unsigned int before = count_fds(), fit = answers_that_fit(), i;
	const struct spoold_given *bodies =
	    &TAILQ_FIRST(&spx.sp.workers)->bodies;
	struct msg_number second;
	struct channel_msg msg;
	struct msg_file file;
	struct channel *c;
	int fd;

	for (i = 0; i < 3000; i++, a.value += 4096) {
		if (channel_send(spx.ch, S_BODY, &a, NULL, 0, -1) == -1)
			break;
		spx_turn(0);
	}
	cr_assert(channel_wants_write(spx.ch), "it is not read either");
	/* files are made for the answers on their way and for those that wait
	 * here, and no more; each of them is watched, and each that waits has a
	 * descriptor besides */
	cr_assert_geq(bodies->n, MIN(fit, spx.sp.nofile / 4));
	cr_assert_leq(bodies->n, fit + SPOOLD_UNSENT_MAX);
	cr_assert_leq(count_fds(), before + bodies->n + SPOOLD_UNSENT_MAX);
	cr_assert_not(spx.is_done);
	/* another one is served */
	c = spx_connect(6, &second);
	cr_assert_eq(spx_ask_for(c, S_BODY, SPX_OTHERS(1), &file, &fd), 0);
	close(fd);
	channel_free(c);
	/* and it, when it reads */
	do {
		(void)channel_flush(spx.ch);
		while (spx_hear(spx.ch, 50, &msg))
			if (msg.fd != -1)
				close(msg.fd);
	} while (channel_wants_write(spx.ch));
	cr_assert_eq(spx_ask(S_FLUSH, 0), 0);
}

/* One that ends instead is noticed. */
Test(spoold_bounds, one_that_does_not_read_and_ends_is_gone, .timeout = 60)
{
	struct msg_ask a = { .ask = 1, .value = SPX_MINE(1) };
	unsigned int i;

	for (i = 0; i < 3000; i++, a.value += 4096) {
		if (channel_send(spx.ch, S_BODY, &a, NULL, 0, -1) == -1)
			break;
		spx_turn(0);
	}
	channel_free(spx.ch);
	spx.ch = NULL;
	for (i = 0; i < 1000 && !spx.is_done; i++)
		spx_turn(5);
	cr_assert(spx.is_done);
	cr_assert(TAILQ_EMPTY(&spx.sp.workers));
}

Test(spoold_bounds, ids_may_be_ahead_of_the_clock_but_not_for_ever)
{
	uint64_t now = spool_id_now_us();
	struct msg_mark mark = { .us = now + 30000000 };
	struct msg_number again;

	cr_assert_eq(channel_send(spx.ch, S_MARK, &mark, NULL, 0, -1), 0);
	cr_assert_eq(spx_ask(S_FLUSH, 0), 0);
	channel_free(spx.ch);
	spx_turn(0);
	spx.ch = spx_connect(5, &again);
	cr_assert_gt(again.lowest_us, mark.us);
	mark.us = UINT64_MAX;
	cr_assert_eq(channel_send(spx.ch, S_MARK, &mark, NULL, 0, -1), 0);
	cr_assert_eq(channel_send(spx.ch, S_MARK, &mark, NULL, 0, -1), 0);
	cr_assert_eq(spx_ask(S_FLUSH, 0), 0);
	channel_free(spx.ch);
	spx_turn(0);
	spx.ch = spx_connect(5, &again);
	cr_assert_gt(again.lowest_us, now + 60000000);
	cr_assert_lt(again.lowest_us, now + 200000000);
}

Test(spoold_bounds, nothing_is_made_while_the_queue_uses_its_reserve)
{
	struct msg_ask a = { .ask = 1 };
	struct msg_answer answer;
	struct channel_msg msg;

	cr_assert_eq(spool_reserve_make(spx.dirfd), 0);
	cr_assert(spool_reserve_give_up(spx.dirfd));
	cr_assert_eq(spx_ask(S_BODY, SPX_MINE(1)), ENOSPC);
	cr_assert_eq(spx_ask(S_SEGMENT, SPX_SIZE), ENOSPC);
	cr_assert_eq(channel_send(spx.ch, S_ROOM, &a, NULL, 0, -1), 0);
	cr_assert(spx_hear(spx.ch, SPX_WAIT_MS, &msg));
	memcpy(&answer, msg.base, sizeof(answer));
	cr_assert_neq(answer.is_short, 0);
}

static void
make_file(const char *name, off_t octets)
{
	int fd = openat(spx.dirfd, name, O_WRONLY | O_CREAT, 0600);

	cr_assert_neq(fd, -1);
	cr_assert_eq(posix_fallocate(fd, 0, octets), 0);
	close(fd);
}

/* Or a worker that has been taken over removes what others have. */
Test(spoold_bounds, asking_for_room_removes_nothing)
{
	static const char torn[] = "torn.0000000000001006.1";
	struct msg_file file;
	char name[SPOOL_NAME];
	int fd;

	TAILQ_FIRST(&spx.sp.workers)->folder.quota_octets = 8388608;
	make_file(torn, 4000000);
	spool_segment_name("free", SPX_OTHERS(2), name);
	make_file(name, 4000000);
	cr_assert_eq(spx_ask(S_ROOM, 8000000), 0, "there would be");
	cr_assert_eq(spx_ask(S_ROOM, 8388609), EDQUOT);
	cr_assert_eq(spx_ask(S_ROOM, SPOOL_SEGMENT_OPEN_MAX), EDQUOT);
	cr_assert_eq(faccessat(spx.dirfd, torn, F_OK, 0), 0);
	cr_assert(spx_exists("free", SPX_OTHERS(2)));
	/* a segment has the room of the free one, and the torn one stays */
	cr_assert_eq(spx_ask_for(spx.ch, S_SEGMENT, SPX_SIZE, &file, &fd), 0);
	close(fd);
	cr_assert_not(spx_exists("free", SPX_OTHERS(2)));
	cr_assert_eq(faccessat(spx.dirfd, torn, F_OK, 0), 0);
}
