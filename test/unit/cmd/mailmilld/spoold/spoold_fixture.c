#include "test/unit/cmd/mailmilld/spoold/spoold_fixture.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/monotonic.h"

struct spx spx;

static void
done(void *)
{
	spx.is_done = true;
}

static void
beyond(void *, const struct msg_peer *who)
{
	cr_assert_eq(who->role, ROLE_WORKER);
	spx.nbeyond++;
}

static void
start(void)
{
	TAILQ_INIT(&spx.sp.workers);
	TAILQ_INIT(&spx.sp.lefts);
	spx.sp.nofile = 1024;
	spx.sp.settings = spx.settings;
	spx.sp.dirfd = spx.dirfd;
	spx.sp.lag_ms = spoold_lag_ms(spx.dirfd);
	spx.sp.done = done;
	spx.sp.beyond = beyond;
}

void
spx_turn(int ms)
{
	cr_assert_neq(scheduler_pass(spx.sched, ms), -1);
	spoold_pass(&spx.sp);
}

bool
spx_hear(struct channel *c, unsigned int ms, struct channel_msg *msg)
{
	uint64_t end = monotonic_ms() + ms;
	int rc;

	while ((rc = channel_recv(c, msg)) != 1) {
		if (rc == 0 || monotonic_ms() > end)
			return false;
		spx_turn(5);
	}
	return true;
}

struct channel *
spx_connect(unsigned int instance, struct msg_number *number_r)
{
	const struct msg_peer who = { ROLE_WORKER, 1, instance };
	struct channel_msg msg;
	struct channel *c;
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(spoold_worker_open(&spx.sp, &who, fds[0]), 0);
	c = channel_open(fds[1], msg_rows, NMSGS, ROLE_WORKER, ROLE_SPOOLD);
	cr_assert_not_null(c);
	cr_assert(spx_hear(c, SPX_WAIT_MS, &msg));
	cr_assert_eq(msg.type, S_NUMBER);
	memcpy(number_r, msg.base, sizeof(*number_r));
	return c;
}

void
spx_setup_with(const char *override)
{
	static const char text[] = "hostname = \"mx.example.test\"\n"
	    "ESMTP_Listener { Listen \"127.0.0.1:2525\" { } }\n";
	char err[SETTINGS_ERROR_MAX];
	FILE *fp = tmpfile();

	fputs(text, fp);
	rewind(fp);
	spx.settings = settings_load(fp, "m.conf", &override, override != NULL,
	    err, sizeof(err));
	fclose(fp);
	cr_assert_not_null(spx.settings, "%s", err);
	strlcpy(spx.path, "/tmp/mailmill-spoold.XXXXXX", sizeof(spx.path));
	cr_assert_not_null(mkdtemp(spx.path));
	spx.dirfd = open(spx.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	spx.sched = scheduler_create(NULL);
	start();
	spx.ch = spx_connect(4096 * 3 + 5, &spx.number);
}

void
spx_setup(void)
{
	spx_setup_with(NULL);
}

void
spx_teardown(void)
{
	char cmd[128];

	channel_free(spx.ch);
	spoold_workers_close(&spx.sp);
	cr_assert_eq(scheduler_event_count(spx.sched), 0);
	scheduler_destroy(spx.sched);
	settings_free(spx.settings);
	close(spx.dirfd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", spx.path);
	cr_assert_eq(system(cmd), 0);
}

int
spx_ask_for(struct channel *c, unsigned int type, uint64_t value,
    struct msg_file *file_r, int *fd_r)
{
	const struct msg_ask ask = { .ask = ++spx.asks, .value = value };
	struct msg_answer answer;
	struct channel_msg msg;

	*fd_r = -1;
	cr_assert_eq(channel_send(c, type, &ask, NULL, 0, -1), 0);
	cr_assert(spx_hear(c, SPX_WAIT_MS, &msg), "no answer");
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

int
spx_ask(unsigned int type, uint64_t value)
{
	struct msg_file file;
	int fd, rc = spx_ask_for(spx.ch, type, value, &file, &fd);

	cr_assert_eq(fd, -1);
	return rc;
}

bool
spx_exists(const char *prefix, uint64_t id)
{
	char name[SPOOL_NAME];

	if (strcmp(prefix, "body") == 0)
		spool_body_name(id, name);
	else
		spool_segment_name(prefix, id, name);
	return faccessat(spx.dirfd, name, F_OK, 0) == 0;
}

void
spx_expect_write_only(int fd)
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

int
spx_segment(uint64_t *id_r)
{
	struct spool_header header;
	struct msg_file file;
	int fd;

	cr_assert_eq(spx_ask_for(spx.ch, S_SEGMENT, SPX_SIZE, &file, &fd), 0);
	cr_assert_neq(fd, -1);
	*id_r = file.id;
	spx_expect_write_only(fd);
	if (file.generation != 0)
		return fd;
	cr_assert(spx_exists("new", file.id));
	cr_assert_eq(spool_segment_format(fd, file.id, SPX_SIZE, false,
	    &header), 0);
	cr_assert_eq(spx_ask(S_MADE, file.id), 0);
	return fd;
}
