/* What a worker knows of how much logins may have held. */

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/worker/worker_int.h"

#define LEAST	(4096 + 1024)	/* what a message to one recipient counts for, without its octets */
#define SHARE	75000		/* of one worker among others */

static struct settings settings;
static struct child child = { .settings = &settings };
static struct worker w = { .child = &child };

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

/* The queue says it of ${login}; "": it begins anew. */
static void
tell(const char *login, uint64_t left)
{
	struct msg_held mh = { .left = left };
	struct channel_msg msg = { .base = &mh, .entries = login,
		.nentries = (unsigned int)strlen(login), .fd = -1 };

	host_held_on_told(&w, &msg);
}

/* At MAIL */
static int
may(const char *login, uint64_t octets)
{
	return host_held_may(&w, NULL, login, octets, 0);
}

/* When it is complete: then it has been accepted */
static int
accept_one(const char *login, uint64_t octets)
{
	return host_held_may(&w, NULL, login, octets, 1);
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
	tell("alice", 70000);
	cr_assert_eq(accept_one("alice", 60000), 1);
	cr_assert_eq(accept_one("alice", 4000), 0);
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

/* A queue process that somebody else controls */
Test(host_held, more_logins_than_there_is_room_for_are_served)
{
	char name[32];
	unsigned int i;

	for (i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "login%u", i);
		tell(name, 0);
	}
	cr_assert_eq(may("login0", 0), 0);
	cr_assert_eq(may("alice", 0), 1);
	cr_assert_eq(accept_one("alice", 60000), 1);
	tell("", 0);
	cr_assert_eq(may("login0", 0), 1);
}
