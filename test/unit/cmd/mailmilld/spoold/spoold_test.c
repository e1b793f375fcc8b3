/* spoold as workers see it, honest ones and one that has been taken over. */

#include <sys/file.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/spoold/spoold_int.h"
#include "cmd/mailmilld/worker/host_files.h"
#include "core/process/channel.h"
#include "core/process/stats.h"
#include "core/spool/spool_reserve.h"
#include "core/spool/spool_writer.h"
#include "core/util/monotonic.h"

#define SIZE		(128 * 1024)
#define WAIT_MS		20000	/* far more than any of it takes */
#define MINE(n)		((uint64_t)(n) << 12 | 5)
#define OTHERS(n)	((uint64_t)(n) << 12 | 6)

static char path[64];
static int dirfd_incoming;
static struct scheduler *sched;
static struct settings *settings;
static struct spoold sp;
static bool is_done;
/* of one worker, which has the number 5 */
static struct channel *ch;
static struct msg_number number;
static uint64_t asks;

static void
done(void *)
{
	is_done = true;
}

static void
start_spoold(void)
{
	TAILQ_INIT(&sp.workers);
	sp.settings = settings;
	sp.dirfd = dirfd_incoming;
	sp.done = done;
}

static void
turn(int ms)
{
	cr_assert_neq(scheduler_pass(sched, ms), -1);
	spoold_pass(&sp);
}

/* The next message on ${c}; false: none within ${ms}, or the channel is
 * closed. */
static bool
hear(struct channel *c, unsigned int ms, struct channel_msg *msg)
{
	uint64_t end = monotonic_ms() + ms;
	int rc;

	while ((rc = channel_recv(c, msg)) != 1) {
		if (rc == 0 || monotonic_ms() > end)
			return false;
		turn(5);
	}
	return true;
}

static struct channel *
connect_to(unsigned int instance, struct msg_number *number_r)
{
	const struct msg_peer who = { ROLE_WORKER, 1, instance };
	struct channel_msg msg;
	struct channel *c;
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(spoold_worker_open(&sp, &who, fds[0]), 0);
	c = channel_open(fds[1], msg_rows, NMSGS, ROLE_WORKER, ROLE_SPOOLD);
	cr_assert_not_null(c);
	cr_assert(hear(c, WAIT_MS, &msg));
	cr_assert_eq(msg.type, S_NUMBER);
	memcpy(number_r, msg.base, sizeof(*number_r));
	return c;
}

static void
setup_with(const char *override)
{
	static const char text[] = "hostname = \"mx.example.test\"\n"
	    "ESMTP_Listener { Listen \"127.0.0.1:2525\" { } }\n";
	char err[SETTINGS_ERROR_MAX];
	FILE *fp = tmpfile();

	fputs(text, fp);
	rewind(fp);
	settings = settings_load(fp, "m.conf", &override, override != NULL,
	    err, sizeof(err));
	fclose(fp);
	cr_assert_not_null(settings, "%s", err);
	strlcpy(path, "/tmp/mailmill-spoold.XXXXXX", sizeof(path));
	cr_assert_not_null(mkdtemp(path));
	dirfd_incoming = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sched = scheduler_create(NULL);
	start_spoold();
	ch = connect_to(4096 * 3 + 5, &number);
}

static void
setup(void)
{
	setup_with(NULL);
}

static void
teardown(void)
{
	char cmd[128];

	channel_free(ch);
	spoold_workers_close(&sp);
	cr_assert_eq(scheduler_event_count(sched), 0);
	scheduler_destroy(sched);
	settings_free(settings);
	close(dirfd_incoming);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(spoold, .init = setup, .fini = teardown);

/* Ask, and return the errno of the answer; a file in *fd_r and *file_r. */
static int
ask_for(struct channel *c, unsigned int type, uint64_t value,
    struct msg_file *file_r, int *fd_r)
{
	const struct msg_ask ask = { .ask = ++asks, .value = value };
	struct msg_answer answer;
	struct channel_msg msg;

	*fd_r = -1;
	cr_assert_eq(channel_send(c, type, &ask, NULL, 0, -1), 0);
	cr_assert(hear(c, WAIT_MS, &msg), "no answer");
	if (msg.type == S_FILE) {
		memcpy(file_r, msg.base, sizeof(*file_r));
		cr_assert_eq(file_r->ask, ask.ask);
		*fd_r = msg.fd;
		return 0;
	}
	cr_assert_eq(msg.type, S_DONE);
	memcpy(&answer, msg.base, sizeof(answer));
	cr_assert_eq(answer.ask, ask.ask);
	return answer.errnum;
}

static int
ask(unsigned int type, uint64_t value)
{
	struct msg_file file;
	int fd, rc = ask_for(ch, type, value, &file, &fd);

	cr_assert_eq(fd, -1);
	return rc;
}

static bool
exists(const char *prefix, uint64_t id)
{
	char name[SPOOL_NAME];

	if (strcmp(prefix, "body") == 0)
		spool_body_name(id, name);
	else
		spool_segment_name(prefix, id, name);
	return faccessat(dirfd_incoming, name, F_OK, 0) == 0;
}

/* A descriptor that a worker has been given */
static void
expect_write_only(int fd)
{
	char octet, proc[64];
	struct stat st;

	cr_assert_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
	cr_assert_eq(pread(fd, &octet, 1, 0), -1);
	cr_assert_eq(errno, EBADF);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	/* it is locked, by this descriptor */
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	fd = open(proc, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), -1);
	close(fd);
}

/* A segment, as an honest worker makes one */
static int
get_segment(uint64_t *id_r)
{
	struct spool_header header;
	struct msg_file file;
	int fd;

	cr_assert_eq(ask_for(ch, S_SEGMENT, SIZE, &file, &fd), 0);
	cr_assert_neq(fd, -1);
	*id_r = file.id;
	expect_write_only(fd);
	if (file.generation != 0)
		return fd;
	cr_assert(exists("new", file.id));
	cr_assert_eq(spool_segment_format(fd, file.id, SIZE, false, &header),
	    0);
	cr_assert_eq(ask(S_MADE, file.id), 0);
	return fd;
}

Test(spoold, a_worker_has_the_number_of_its_instance)
{
	struct msg_number second;
	struct channel *c;

	cr_assert_eq(number.number, 5);
	cr_assert_eq(number.errnum, 0);
	cr_assert_gt(number.lowest_us, 1700000000000000ULL);
	c = connect_to(4095, &second);
	cr_assert_eq(second.errnum, EINVAL, "that is the queue's");
	channel_free(c);
	c = connect_to(4096, &second);
	cr_assert_eq(second.errnum, EINVAL);
	channel_free(c);
	turn(0);
	turn(0);
	cr_assert_not(is_done);
	channel_free(ch);
	ch = NULL;
	turn(0);
	cr_assert(is_done);
}

Test(spoold, a_number_that_another_process_has_is_waited_for)
{
	struct spool_id_source held;
	struct msg_number second;
	struct channel_msg msg;
	struct msg_file file;
	struct channel *c;
	int fd;

	cr_assert_eq(spool_id_open(dirfd_incoming, 9, 1, &held), 0);
	c = connect_to(9, &second);
	cr_assert_eq(second.errnum, EADDRINUSE);
	cr_assert_eq(ask_for(c, S_BODY, 1 << 12 | 9, &file, &fd), EACCES);
	cr_assert_eq(ask_for(c, S_SEGMENT, SIZE, &file, &fd), EACCES);
	cr_assert_eq(ask_for(c, S_FLUSH, 0, &file, &fd), EACCES);
	channel_free(c);
	spool_id_close(&held);
	c = connect_to(9, &second);
	cr_assert_eq(second.errnum, 0);
	cr_assert_not(hear(c, 10, &msg));
	channel_free(c);
}

Test(spoold, a_segment_is_made_and_comes_back_to_its_worker_alone)
{
	struct spool_header header;
	struct msg_number second;
	struct msg_file file;
	struct channel *c;
	uint64_t id;
	int fd, queue_fd;

	fd = get_segment(&id);
	cr_assert_eq(spool_number(id), 5);
	cr_assert(exists("seg", id));
	cr_assert_not(exists("new", id));
	close(fd);
	/* the queue */
	queue_fd = spool_segment_open(dirfd_incoming, id, &header);
	cr_assert_eq(spool_segment_recycle(dirfd_incoming, queue_fd, &header,
	    false), 0);
	close(queue_fd);
	cr_assert(exists("free", id));
	c = connect_to(6, &second);
	cr_assert_eq(ask_for(c, S_SEGMENT, SIZE, &file, &fd), 0);
	cr_assert_eq(file.generation, 0, "a new one");
	cr_assert_eq(spool_number(file.id), 6);
	close(fd);
	channel_free(c);
	cr_assert(exists("free", id));
	cr_assert_eq(ask_for(ch, S_SEGMENT, SIZE, &file, &fd), 0);
	cr_assert_eq(file.id, id);
	cr_assert_eq(file.generation, 2);
	cr_assert_eq(file.nonce, header.nonce);
	cr_assert_eq(file.octets, SIZE);
	expect_write_only(fd);
	close(fd);
}

Test(spoold, another_writer_of_that_number_gets_none_of_its_segments)
{
	struct spool_header header;
	uint64_t id;
	int fd;

	fd = get_segment(&id);
	close(fd);
	fd = spool_segment_open(dirfd_incoming, id, &header);
	cr_assert_eq(spool_segment_recycle(dirfd_incoming, fd, &header, false),
	    0);
	close(fd);
	channel_free(ch);
	turn(0);
	ch = connect_to(4096 * 4 + 5, &number);
	cr_assert_not(exists("free", id));
}

Test(spoold, a_body_is_made_once_and_for_its_worker)
{
	uint64_t before = stats_sum(STATS_SPOOL_REFUSED);
	struct msg_file file;
	int fd, second;

	cr_assert_eq(ask_for(ch, S_BODY, MINE(7), &file, &fd), 0);
	expect_write_only(fd);
	cr_assert(exists("body", MINE(7)));
	cr_assert_eq(ask(S_BODY, MINE(7)), EEXIST, "it is held");
	cr_assert_eq(write(fd, "x", 1), 1);
	close(fd);
	cr_assert_eq(ask(S_BODY, MINE(7)), EEXIST, "it has been written to");
	cr_assert_eq(ask(S_BODY, OTHERS(8)), EPERM);
	cr_assert_not(exists("body", OTHERS(8)));
	cr_assert_eq(ask(S_BODY, 4095), EPERM);
	cr_assert_eq(ask(S_BODY, UINT64_MAX), EPERM);
	cr_assert_eq(stats_sum(STATS_SPOOL_REFUSED), before + 3);
	/* the answer was lost: the same again */
	cr_assert_eq(ask_for(ch, S_BODY, MINE(9), &file, &fd), 0);
	close(fd);
	cr_assert_eq(ask_for(ch, S_BODY, MINE(9), &file, &second), 0);
	expect_write_only(second);
	close(second);
	cr_assert_eq(ask(S_FLUSH, UINT64_MAX), 0);
}

/* S_DROP of ${id} with ${fd}, and time for it */
static void
drop(uint64_t id, bool is_segment, int fd)
{
	const struct msg_drop msg = { .id = id, .is_segment = is_segment };

	cr_assert_eq(channel_send(ch, S_DROP, &msg, NULL, 0,
	    fcntl(fd, F_DUPFD_CLOEXEC, 0)), 0);
	cr_assert_eq(ask(S_FLUSH, 0), 0);
}

Test(spoold, only_who_holds_a_body_can_drop_it)
{
	struct msg_file file;
	int fd, other, null;

	cr_assert_eq(ask_for(ch, S_BODY, MINE(7), &file, &fd), 0);
	cr_assert_eq(ask_for(ch, S_BODY, MINE(8), &file, &other), 0);
	null = open("/dev/null", O_RDONLY);
	drop(MINE(7), false, null);
	drop(MINE(7), false, other);
	drop(MINE(7), true, fd);
	drop(OTHERS(7), false, fd);
	cr_assert(exists("body", MINE(7)));
	drop(MINE(7), false, fd);
	cr_assert_not(exists("body", MINE(7)));
	cr_assert(exists("body", MINE(8)));
	close(null);
	close(fd);
	close(other);
}

Test(spoold, a_segment_in_use_cannot_be_dropped)
{
	uint64_t id;
	int fd = get_segment(&id);
	struct msg_file file;

	drop(id, true, fd);
	drop(id, false, fd);
	cr_assert(exists("seg", id));
	close(fd);
	cr_assert_eq(ask_for(ch, S_SEGMENT, SIZE, &file, &fd), 0);
	drop(file.id, true, fd);
	cr_assert_not(exists("new", file.id));
	close(fd);
}

Test(spoold, a_segment_that_is_not_whole_gets_no_name)
{
	struct spool_header header;
	unsigned char page[SPOOL_PAGE];
	struct msg_file file;
	uint64_t id;
	int fd, held = get_segment(&id);

	cr_assert_eq(ask(S_MADE, id), 0, "asked again");
	cr_assert_eq(ask(S_MADE, MINE(99)), ENOENT);
	cr_assert_eq(ask(S_MADE, OTHERS(1)), EPERM);
	cr_assert_eq(ask_for(ch, S_SEGMENT, SIZE, &file, &fd), 0);
	cr_assert_eq(ask(S_MADE, file.id), EBADMSG, "it is empty");
	cr_assert_eq(spool_segment_format(fd, file.id, SIZE, false, &header),
	    0);
	header.segment = MINE(3);
	spool_header_encode(&header, page);
	cr_assert_eq(pwrite(fd, page, sizeof(page), 0), SPOOL_PAGE);
	cr_assert_eq(ask(S_MADE, file.id), EBADMSG, "another's header");
	header.segment = file.id;
	header.size_octets = 2 * SIZE;
	spool_header_encode(&header, page);
	cr_assert_eq(pwrite(fd, page, sizeof(page), 0), SPOOL_PAGE);
	cr_assert_eq(ask(S_MADE, file.id), EBADMSG, "another size");
	header.size_octets = SIZE;
	spool_header_encode(&header, page);
	cr_assert_eq(pwrite(fd, page, sizeof(page), 0), SPOOL_PAGE);
	cr_assert_eq(flock(fd, LOCK_UN), 0);
	cr_assert_eq(ask(S_MADE, file.id), EBADMSG, "nobody writes it");
	cr_assert_not(exists("seg", file.id));
	close(fd);
	close(held);
}

Test(spoold, sizes_are_within_bounds)
{
	static const uint64_t bad[] = { 0, 1, SIZE + 1, SPOOL_SEGMENT_MIN / 2,
		2 * SPOOL_SEGMENT_OPEN_MAX, UINT64_MAX,
		UINT64_MAX - SPOOL_PAGE + 1 };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(ask(S_SEGMENT, bad[i]), EINVAL, "%zu", i);
	cr_assert_eq(ask(S_ROOM, UINT64_MAX), EINVAL);
	cr_assert_eq(ask(S_ROOM, 0), 0);
}

Test(spoold, a_worker_holds_no_more_than_its_share_of_segments)
{
	int fds[SPOOLD_SEGMENTS_MAX], i;
	uint64_t id;

	for (i = 0; i < SPOOLD_SEGMENTS_MAX; i++)
		fds[i] = get_segment(&id);
	cr_assert_eq(ask(S_SEGMENT, SIZE), EMFILE);
	close(fds[0]);
	fds[0] = get_segment(&id);
	cr_assert_eq(ask(S_SEGMENT, SIZE), EMFILE);
	for (i = 0; i < SPOOLD_SEGMENTS_MAX; i++)
		close(fds[i]);
}

Test(spoold, bodies_that_were_closed_do_not_count)
{
	struct msg_file file;
	unsigned int i;
	int fd;

	for (i = 0; i < 200; i++) {
		cr_assert_eq(ask_for(ch, S_BODY, MINE(1 + i), &file, &fd), 0);
		close(fd);
	}
	cr_assert_leq(TAILQ_FIRST(&sp.workers)->bodies.n, 3);
}

/* Send ${n} requests for bodies in one pass, and hear all answers.  Return the
 * number of those that get a file; the last of these in *last_r. */
static unsigned int
ask_at_once(unsigned int n, uint64_t *last_r, unsigned int *nbusy_r)
{
	struct msg_ask a = { .value = MINE(asks + 1) };
	struct msg_answer answer;
	struct channel_msg msg;
	struct msg_file file;
	unsigned int nfiles = 0;

	*nbusy_r = 0;
	for (; n > 0; n--, a.value += 4096) {
		a.ask = ++asks;
		cr_assert_eq(channel_send(ch, S_BODY, &a, NULL, 0, -1), 0);
	}
	while (hear(ch, 50, &msg)) {
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

Test(spoold, an_ask_replaces_the_one_before_that_was_not_answered)
{
	uint64_t before = stats_sum(STATS_SPOOL_REFUSED), last = 0;
	unsigned int nbusy;

	cr_assert_geq(ask_at_once(10, &last, &nbusy), 1);
	cr_assert_eq(last, asks, "the newest one has its answer");
	cr_assert_eq(nbusy, 0);
	cr_assert_eq(stats_sum(STATS_SPOOL_REFUSED), before);
	/* no file is left open here */
	cr_assert_eq(ask(S_FLUSH, 0), 0);
	cr_assert_eq(TAILQ_FIRST(&sp.workers)->fd, -1);
}

Test(spoold, asks_that_no_honest_worker_has_are_refused)
{
	uint64_t before = stats_sum(STATS_SPOOL_REFUSED), last = 0;
	unsigned int nbusy;

	cr_assert_geq(ask_at_once(SPOOLD_REPLACED_MAX + 10, &last, &nbusy), 1);
	cr_assert_eq(stats_sum(STATS_SPOOL_REFUSED), before + nbusy);
	cr_assert_eq(ask(S_FLUSH, 0), 0, "it goes on");
}

/* It asks and never reads, so that descriptors gather here. */
Test(spoold, one_that_does_not_read_is_let_go, .timeout = 30)
{
	struct msg_ask a = { .ask = 1, .value = MINE(1) };
	int i;

	for (i = 0; i < 100000 && !is_done; i++, a.value += 4096) {
		if (channel_send(ch, S_BODY, &a, NULL, 0, -1) == -1)
			break;
		turn(0);
	}
	cr_assert(is_done);
	cr_assert(TAILQ_EMPTY(&sp.workers));
}

Test(spoold, ids_may_be_ahead_of_the_clock_but_not_for_ever)
{
	uint64_t now = spool_id_now_us();
	struct msg_mark mark = { .us = now + 30000000 };
	struct msg_number again;

	cr_assert_eq(channel_send(ch, S_MARK, &mark, NULL, 0, -1), 0);
	cr_assert_eq(ask(S_FLUSH, 0), 0);
	channel_free(ch);
	turn(0);
	ch = connect_to(5, &again);
	cr_assert_gt(again.lowest_us, mark.us);
	mark.us = UINT64_MAX;
	cr_assert_eq(channel_send(ch, S_MARK, &mark, NULL, 0, -1), 0);
	cr_assert_eq(channel_send(ch, S_MARK, &mark, NULL, 0, -1), 0);
	cr_assert_eq(ask(S_FLUSH, 0), 0);
	channel_free(ch);
	turn(0);
	ch = connect_to(5, &again);
	cr_assert_gt(again.lowest_us, now + 60000000);
	cr_assert_lt(again.lowest_us, now + 200000000);
}

Test(spoold, nothing_that_needs_room_is_made_while_the_queue_uses_its_reserve)
{
	struct msg_ask a = { .ask = 1 };
	struct msg_answer answer;
	struct channel_msg msg;

	cr_assert_eq(spool_reserve_make(dirfd_incoming), 0);
	cr_assert(spool_reserve_give_up(dirfd_incoming));
	cr_assert_eq(ask(S_BODY, MINE(1)), ENOSPC);
	cr_assert_eq(ask(S_SEGMENT, SIZE), ENOSPC);
	cr_assert_eq(channel_send(ch, S_ROOM, &a, NULL, 0, -1), 0);
	cr_assert(hear(ch, WAIT_MS, &msg));
	memcpy(&answer, msg.base, sizeof(answer));
	cr_assert_neq(answer.is_short, 0);
}

/* --- with the worker's side ----------------------------------------------- */

struct writer {
	struct spool_writer	*w;
	struct host_files	*files;
	int			 ndone, nfailed, opened;
};

static void
on_done(void *closure, uint64_t, int error)
{
	struct writer *x = closure;

	x->ndone++;
	x->nfailed += error != 0;
}

static bool
on_room_again(void *, uint64_t)
{
	return true;
}

static void
on_opened(void *closure, int error)
{
	((struct writer *)closure)->opened = error == 0 ? 1 : -1;
}

static void
link_up(struct writer *x, unsigned int instance)
{
	const struct msg_peer who = { ROLE_WORKER, 2, instance };
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(spoold_worker_open(&sp, &who, fds[0]), 0);
	host_files_connect(x->files, fds[1]);
}

static void
writer_open(struct writer *x)
{
	static const struct spool_writer_callbacks callbacks = {
		.done = on_done, .room = on_room_again, .opened = on_opened };
	struct spool_writer_config config = { .files = &host_files_ops,
		.segment_octets = SIZE, .buffer_octets = 1024 * 1024,
		.large_octets = 8192, .is_synced = true };

	memset(x, 0, sizeof(*x));
	x->files = config.files_closure = host_files_new(true);
	x->w = spool_writer_open(&config, &callbacks, x);
	cr_assert_not_null(x->w);
}

static int
send_mail(struct writer *x, size_t octets)
{
	static const char *const rcpts[] = { "a@example.test" };
	struct timeval now = { .tv_sec = 1700000000 };
	struct spool_envelope env = { .sender = "", .rcpts = rcpts,
		.nrcpts = 1, .session = "S1", .client = "192.0.2.1",
		.helo = "client", .received = now };
	struct spool_msg *msg;
	char *body = calloc(1, octets);
	size_t at, n;

	if (spool_writer_ops.begin(x->w, 1, &now, &msg) == -1) {
		free(body);
		return errno;
	}
	for (at = 0; at < octets; at += n) {
		n = octets - at < 1000 ? octets - at : 1000;
		cr_assert_eq(spool_writer_ops.append(msg, body + at, n), 0);
	}
	free(body);
	cr_assert_eq(spool_writer_ops.commit(msg, &env), 0);
	return 0;
}

/* Let both sides work until ${*n} is ${want}. */
static void
work(struct writer *x, const int *n, int want)
{
	uint64_t end = monotonic_ms() + WAIT_MS;

	while (*n != want) {
		cr_assert_lt(monotonic_ms(), end, "%d, not %d", *n, want);
		spool_writer_pass(x->w);
		turn(2);
		spool_writer_dispatch(x->w);
	}
}

/* The writer's last words need no answer. */
static void
writer_close(struct writer *x)
{
	spool_writer_close(x->w);
	host_files_free(x->files);
}

Test(spoold, a_worker_writes_its_mail_through_it)
{
	struct writer x;
	int i;

	writer_open(&x);
	cr_assert_eq(send_mail(&x, 10), EAGAIN);
	cr_assert_not(spool_writer_is_open(x.w));
	link_up(&x, 77);
	work(&x, &x.opened, 1);
	/* some segments, and bodies of their own */
	for (i = 0; i < 60; i++)
		cr_assert_eq(send_mail(&x, i % 10 == 0 ? 100000 : 6000), 0);
	work(&x, &x.ndone, 60);
	cr_assert_eq(x.nfailed, 0);
	writer_close(&x);
}

Test(spoold, a_worker_goes_on_with_the_next_one)
{
	struct writer x;
	int i;

	writer_open(&x);
	link_up(&x, 77);
	work(&x, &x.opened, 1);
	for (i = 1; i <= 6; i++) {
		cr_assert_eq(send_mail(&x, 100000), 0);
		if (i % 2 == 0)		/* this one dies */
			spoold_workers_close(&sp);
		link_up(&x, 77);
		work(&x, &x.ndone, i);
	}
	cr_assert_eq(x.nfailed, 0);
	writer_close(&x);
	channel_free(ch);
	ch = NULL;
}

Test(spoold, a_worker_without_a_number_is_of_no_use)
{
	struct spool_id_source held;
	struct writer x;

	cr_assert_eq(spool_id_open(dirfd_incoming, 77, 1, &held), 0);
	writer_open(&x);
	link_up(&x, 77);
	work(&x, &x.opened, -1);
	cr_assert_eq(send_mail(&x, 10), EADDRINUSE);
	writer_close(&x);
	spool_id_close(&held);
}

static void
make_file(const char *name, off_t octets)
{
	int fd = openat(dirfd_incoming, name, O_WRONLY | O_CREAT, 0600);

	cr_assert_neq(fd, -1);
	cr_assert_eq(ftruncate(fd, octets), 0);
	close(fd);
}

/* Or a worker that has been taken over removes what others have. */
Test(spoold, asking_for_room_removes_nothing)
{
	static const char torn[] = "torn.0000000000001006.1";
	struct msg_file file;
	char name[SPOOL_NAME];
	int fd;

	TAILQ_FIRST(&sp.workers)->folder.quota_octets = 1048576;
	make_file(torn, 500000);
	spool_segment_name("free", OTHERS(2), name);
	make_file(name, 500000);
	cr_assert_eq(ask(S_ROOM, 900000), 0, "there would be");
	cr_assert_eq(ask(S_ROOM, 1048577), EDQUOT);
	cr_assert_eq(ask(S_ROOM, SPOOL_SEGMENT_OPEN_MAX), EDQUOT);
	cr_assert_eq(faccessat(dirfd_incoming, torn, F_OK, 0), 0);
	cr_assert(exists("free", OTHERS(2)));
	/* a segment has the room of the free one, and the torn one stays */
	cr_assert_eq(ask_for(ch, S_SEGMENT, SIZE, &file, &fd), 0);
	close(fd);
	cr_assert_not(exists("free", OTHERS(2)));
	cr_assert_eq(faccessat(dirfd_incoming, torn, F_OK, 0), 0);
}
