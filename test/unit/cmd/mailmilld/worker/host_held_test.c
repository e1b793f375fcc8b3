/* What a worker knows of how much logins may have held. */

#include <criterion/criterion.h>
#include <sys/param.h>

#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/worker/worker_int.h"

#define LEAST	(4096 + 1024)	/* what a message to one recipient counts for, without its octets */
#define SHARE	75000		/* of one worker among others */

static struct settings settings;
static struct child child = { .settings = &settings };
static struct worker w = { .child = &child };
static accept_construct session = { .handle = 1 };

static void
setup(void)
{
	settings.held_quota = 100000;
	settings.workers = 2;
	cr_assert_eq(host_held_open(&w), 0);
}

static void
teardown(void)
{
	host_held_free(&w);
}

TestSuite(host_held, .init = setup, .fini = teardown);

/* The queue says it of ${login}: what is left, what has come through this worker,
 * what of that is held; "": it begins anew. */
static void
tell_held(const char *login, uint64_t left, uint64_t came, uint64_t held)
{
	struct msg_held mh = { .left = left, .came = came, .held = held };
	struct channel_msg msg = { .base = &mh, .entries = login,
		.nentries = (unsigned int)strlen(login), .fd = -1 };

	host_held_on_told(&w, &msg);
}

static void
tell_came(const char *login, uint64_t left, uint64_t came)
{
	tell_held(login, left, came, MIN(came, SHARE - MIN(left, SHARE)));
}

/* Nothing has come through this worker. */
static void
tell(const char *login, uint64_t left)
{
	tell_came(login, left, 0);
}

/* At MAIL */
static int
may(const char *login, uint64_t octets)
{
	return host_held_may(&w, NULL, login, octets, 0);
}

/* When it is complete: then its commit begins */
static int
begin_one(const char *login, uint64_t octets)
{
	return host_held_may(&w, &session, login, octets, 1);
}

/* And succeeds */
static int
accept_one(const char *login, uint64_t octets)
{
	int may = begin_one(login, octets);

	host_held_end(&w, session.handle, true);
	return may;
}

Test(host_held, of_whom_the_queue_says_nothing_may_have_the_share)
{
	cr_assert_eq(may("alice", 0), 1);
	cr_assert_eq(may("alice", SHARE - LEAST), 1);
	cr_assert_eq(may("alice", SHARE - LEAST + 1), 0);
	cr_assert_eq(may("alice", UINT64_MAX), 0);
	/* each recipient counts */
	cr_assert_eq(host_held_may(&w, NULL, "alice", SHARE - LEAST, 2), 0);
	cr_assert_eq(host_held_may(&w, NULL, "alice", 0, SIZE_MAX / 2048), 0);
}

Test(host_held, what_the_queue_says_counts)
{
	tell("alice", LEAST + 10);
	cr_assert_eq(may("alice", 10), 1);
	cr_assert_eq(may("alice", 11), 0);
	tell("alice", LEAST - 1);
	cr_assert_eq(may("alice", 0), 0);
	cr_assert_eq(may("alic", 0), 1);
	cr_assert_eq(may("alice2", 0), 1);
	tell("alice", SHARE);
	cr_assert_eq(may("alice", SHARE - LEAST), 1);
}

/* Or it is lost: then the queue has begun anew. */
Test(host_held, what_it_has_said_before_it_begins_anew_does_not_count)
{
	tell("alice", 0);
	tell("bob", 0);
	tell("", 0);
	cr_assert_eq(may("alice", 0), 1);
	tell("bob", 0);
	cr_assert_eq(may("bob", 0), 0);
}

/* The queue may be behind, or there is none: no more is accepted than there was. */
Test(host_held, what_was_accepted_counts_before_the_queue_says_so)
{
	cr_assert_eq(accept_one("alice", 60000), 1);
	cr_assert_eq(may("alice", SHARE - 60000 - 2 * LEAST), 1);
	cr_assert_eq(may("alice", SHARE - 60000 - 2 * LEAST + 1), 0);
	cr_assert_eq(accept_one("alice", 60000), 0);
	cr_assert_eq(may("alice", 0), 1, "what was refused does not count");
	cr_assert_eq(may("bob", 60000), 1);
	/* it connects, and does not know of it yet */
	tell("", 0);
	cr_assert_eq(may("alice", 60000), 0);
	/* now it does */
	tell_came("alice", 70000, 60000 + LEAST);
	cr_assert_eq(accept_one("alice", 60000), 1);
	cr_assert_eq(accept_one("alice", 4000), 0);
}

/* It tells of a change, whoever has made it. */
Test(host_held, what_the_queue_says_does_not_undo_what_it_has_not_read)
{
	cr_assert_eq(accept_one("alice", 60000), 1);
	tell("alice", SHARE);		/* another worker's is released */
	cr_assert_eq(may("alice", SHARE - 60000 - 2 * LEAST + 1), 0);
	tell("alice", 70000);
	cr_assert_eq(may("alice", 0), 0);
	/* it reads a part */
	tell_came("alice", SHARE, 30000);
	cr_assert_eq(may("alice", SHARE - 30000 - 2 * LEAST), 1);
	cr_assert_eq(may("alice", SHARE - 30000 - 2 * LEAST + 1), 0);
	tell_came("alice", SHARE, 30000);
	cr_assert_eq(may("alice", SHARE - 30000 - 2 * LEAST + 1), 0, "once");
	/* the rest, and releases all */
	tell_came("alice", SHARE, 60000 + LEAST);
	cr_assert_eq(may("alice", SHARE - LEAST), 1);
	tell_came("alice", SHARE, 0);
	cr_assert_eq(accept_one("alice", 1000), 1);
	tell_came("alice", SHARE - 1000 - LEAST, 1000 + LEAST);
	cr_assert_eq(may("alice", SHARE - 1000 - 2 * LEAST), 1);
	tell_came("alice", SHARE - 1000 - LEAST, 20000);
	/* another queue process, which begins with what is held */
	cr_assert_eq(accept_one("alice", 500), 1);
	tell("", 0);
	tell_came("alice", SHARE - 1000 - LEAST, 1000 + LEAST);
	cr_assert_eq(may("alice", SHARE - 1500 - 3 * LEAST), 1);
	cr_assert_eq(may("alice", SHARE - 1500 - 3 * LEAST + 1), 0);
	tell_came("alice", SHARE - 1500 - 2 * LEAST, 1500 + 2 * LEAST);
	cr_assert_eq(may("alice", SHARE - 1500 - 3 * LEAST), 1);
	/* one that has read it, and has said so to nobody */
	cr_assert_eq(accept_one("alice", 200), 1);
	tell("", 0);
	tell_came("alice", SHARE - 1700 - 3 * LEAST, 1700 + 3 * LEAST);
	cr_assert_eq(may("alice", SHARE - 1700 - 4 * LEAST), 1);
}

/* As often as its messages: what comes is released as soon. */
Test(host_held, a_login_that_has_as_much_released_is_never_full)
{
	uint64_t came = 0;
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		cr_assert_eq(accept_one("alice", 10000), 1, "message %u", i);
		came += 10000 + LEAST;
		tell_came("alice", SHARE - 10000 - LEAST, came);
	}
}

Test(host_held, what_could_not_be_committed_does_not_count)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		cr_assert_eq(begin_one("alice", 60000), 1, "message %u", i);
		cr_assert_eq(may("alice", 60000), 0, "it counts meanwhile");
		host_held_end(&w, 2, false);	/* another session's */
		cr_assert_eq(may("alice", 60000), 0);
		host_held_end(&w, session.handle, false);
		cr_assert_eq(may("alice", 60000), 1);
		host_held_end(&w, session.handle, false);	/* it was no such */
	}
	cr_assert_eq(accept_one("alice", 60000), 1);
	host_held_end(&w, session.handle, false);
	cr_assert_eq(may("alice", 60000), 0, "that one was held");
}

Test(host_held, alone_it_has_all_of_the_quota)
{
	host_held_free(&w);
	settings.workers = 1;
	cr_assert_eq(host_held_open(&w), 0);
	cr_assert_eq(may("alice", 100000 - LEAST), 1);
	cr_assert_eq(may("alice", 100000 - LEAST + 1), 0);
}

Test(host_held, without_a_quota_there_is_no_bound)
{
	host_held_free(&w);
	settings.held_quota = 0;
	cr_assert_eq(host_held_open(&w), 0);
	cr_assert_eq(accept_one("alice", UINT64_MAX), 1);
	cr_assert_eq(accept_one("alice", UINT64_MAX), 1);
}

static const char *
name_of(unsigned int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "login%u", i);
	return name;
}

/* More than there is room for, one after the other */
Test(host_held, a_login_of_which_nothing_is_held_any_more_makes_room)
{
	unsigned int i;

	for (i = 0; i < 5000; i++) {
		cr_assert_eq(accept_one(name_of(i), 1000), 1, "login %u", i);
		tell_came(name_of(i), SHARE - 1000 - LEAST, 1000 + LEAST);
		tell_came(name_of(i), SHARE, i % 8 == 0 ? 0 : 1000 + LEAST);
	}
	tell("alice", 0);
	cr_assert_eq(may("alice", 0), 0);
	cr_assert_eq(accept_one("bob", 60000), 1);
	cr_assert_eq(accept_one("bob", 60000), 0);
}

/* What they have held was accepted by other workers. */
Test(host_held, who_may_have_the_most_makes_room)
{
	unsigned int i;

	for (i = 0; i < 4096; i++)
		tell(name_of(i), SHARE - 1 - i);
	tell("alice", 0);
	cr_assert_eq(may("alice", 0), 0);
	cr_assert_eq(may(name_of(4095), SHARE - 4095 - LEAST), 0);
	cr_assert_eq(may(name_of(1), SHARE - 1 - LEAST), 0);
	cr_assert_eq(may(name_of(0), SHARE - LEAST), 1, "it is forgotten");
	cr_assert_eq(accept_one("bob", 60000), 1);
	cr_assert_eq(accept_one("bob", 60000), 0);
	cr_assert_eq(may(name_of(1), SHARE - LEAST), 1);
}

/* A queue process that somebody else controls, or all of them have accepted
 * messages */
Test(host_held, a_login_for_which_there_is_no_place_has_nothing_held)
{
	unsigned int i;

	for (i = 0; i < 10000; i++)
		tell(name_of(i), 0);
	cr_assert_eq(may("login0", 0), 0);
	cr_assert_eq(accept_one("login9999", 0), 0);
	cr_assert_eq(accept_one("alice", 60000), 0);
	tell("", 0);
	cr_assert_eq(may("login0", 0), 1);
	cr_assert_eq(accept_one("alice", 60000), 1);
	for (i = 0; i < 4095; i++)
		cr_assert_eq(accept_one(name_of(i), 60000), 1, "login %u", i);
	cr_assert_eq(accept_one("bob", 0), 0);
	/* the queue reads one of them */
	tell_came("alice", SHARE - 60000 - LEAST, 60000 + LEAST);
	cr_assert_eq(accept_one("bob", 60000), 1);
	cr_assert_eq(accept_one("login7", 60000), 0);
}
