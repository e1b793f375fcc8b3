/* What the queue process tells workers of how much logins may have held. */

#include "cmd/mailmilld/queue/queue.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/scheduler.h"
#include "test/unit/core/queue/queue_fixture.h"

#define QUOTA	1000000
#define START	1700000000	/* the fixture's clock */

static struct scheduler *s;
static struct qf f;
static struct queue_role r;
static struct queue_peer p;
static struct channel *worker;
static char heard[256];		/* "login=left+came " of each, "* ": they are named anew */

static void
on_committed(void *, struct channel_msg *)
{
}

static void
on_gone(void *)
{
	p.ce = NULL;
}

static const struct chanev_ops ops = {
	.on = { [Q_COMMITTED] = on_committed, [Q_START] = on_committed },
	.gone = on_gone
};

static void
setup(void)
{
	int fds[2];

	s = scheduler_create(NULL);
	qf_init(&f);
	f.config.held_octets = f.config.held_share = QUOTA;
	qf_open(&f);
	TAILQ_INIT(&r.peers);
	r.queue = f.q;
	cr_assert_eq(channel_pair(fds), 0);
	p.role = &r;
	p.is_writer = true;
	p.number = QF_WRITER;
	p.ce = chanev_open(fds[0], ROLE_QUEUE, ROLE_WORKER, &ops, NULL);
	cr_assert_not_null(p.ce);
	worker = channel_open(fds[1], msg_rows, NMSGS, ROLE_WORKER, ROLE_QUEUE);
	cr_assert_not_null(worker);
	TAILQ_INSERT_TAIL(&r.peers, &p, link);
}

static void
teardown(void)
{
	chanev_free(p.ce);
	channel_free(worker);
	qf_free(&f);
	scheduler_destroy(s);
}

TestSuite(queue_held, .init = setup, .fini = teardown);

/* ${login} has a message held; the queue tells nobody of it by itself. */
static void
hold(uint64_t n, const char *login)
{
	const struct spool_envelope said = { .hold_until = START + 6000,
		.login = login };
	struct qf_segment segment;

	qf_segment(&f, &segment, n);
	qf_append_said(&segment, QF_ID(n), &said);
	qf_committed(&f, &segment, true);
	qf_pass(&f, 2000);
	spool_segment_close(&segment.file);
}

/* The worker reads what there is.  Return the number of messages; the last of
 * them are in ${heard}. */
static unsigned int
hear(void)
{
	struct channel_msg msg;
	struct msg_held mh;
	unsigned int n = 0;
	size_t len;

	heard[0] = '\0';
	for (;; n++) {
		(void)scheduler_pass(s, 0);
		if (channel_recv(worker, &msg) != 1) {
			cr_assert_eq(errno, EAGAIN);
			if (!chanev_is_behind(p.ce))
				return n;
			n--;
			continue;
		}
		cr_assert_eq(msg.type, Q_HELD);
		memcpy(&mh, msg.base, sizeof(mh));
		len = strlen(heard);
		if (len > sizeof(heard) / 2)
			heard[len = 0] = '\0';
		if (msg.nentries == 0)
			strlcat(heard, "* ", sizeof(heard));
		else
			snprintf(heard + len, sizeof(heard) - len, "%.*s=%llu+%llu ",
			    (int)msg.nentries, (const char *)msg.entries,
			    (unsigned long long)mh.left,
			    (unsigned long long)mh.came);
	}
}

/* What one of hold() counts for */
#define OCTETS	(strlen("Subject: x\r\n\r\nhello\r\n") + 4096 + 3 * 1024)

Test(queue_held, a_worker_that_connects_is_told_of_all)
{
	char want[128];

	hold(1, "bob");
	hold(2, "alice");
	hold(3, "bob");
	queue_held_tell_all(&p);
	cr_assert_eq(hear(), 3);
	snprintf(want, sizeof(want), "* alice=%zu+%zu bob=%zu+%zu ",
	    QUOTA - OCTETS, OCTETS, QUOTA - 2 * OCTETS, 2 * OCTETS);
	cr_assert_str_eq(heard, want);
	queue_held_tell(&r, "bob");
	queue_held_tell(&r, "carol");
	cr_assert_eq(hear(), 2);
	snprintf(want, sizeof(want), "bob=%zu+%zu carol=%d+0 ",
	    QUOTA - 2 * OCTETS, 2 * OCTETS, QUOTA);
	cr_assert_str_eq(heard, want);
}

/* It reads nothing for some time, and its channel is full. */
Test(queue_held, what_a_worker_has_missed_it_is_told_again)
{
	char want[128];
	unsigned int i;

	hold(1, "alice");
	for (i = 0; !r.is_held_lost; i++) {
		cr_assert_lt(i, 100000, "the channel has a bound");
		queue_held_tell(&r, "alice");
	}
	/* now there is news that it has no room for */
	hold(2, "alice");
	hold(3, "bob");
	queue_held_tell(&r, "alice");
	queue_held_tell(&r, "bob");
	queue_held_tell_again(&r);
	cr_assert(r.is_held_lost, "not before it reads");
	cr_assert_geq(hear(), CHANNEL_QUEUE_MAX);
	queue_held_tell_again(&r);
	cr_assert_not(r.is_held_lost);
	cr_assert_eq(hear(), 3);
	snprintf(want, sizeof(want), "* alice=%zu+%zu bob=%zu+%zu ",
	    QUOTA - 2 * OCTETS, 2 * OCTETS, QUOTA - OCTETS, OCTETS);
	cr_assert_str_eq(heard, want);
	/* once */
	queue_held_tell_again(&r);
	cr_assert_eq(hear(), 0);
}

Test(queue_held, before_the_queue_is_open_nobody_is_told)
{
	r.queue = NULL;
	queue_held_tell(&r, "alice");
	cr_assert_eq(hear(), 0);
	cr_assert_not(r.is_held_lost);
}
