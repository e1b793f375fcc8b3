/* The recipients of a transaction: their order, their memory, the bound on it. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/server/esmtp_int.h"
#include "test/unit/proto/server/fake.h"

Test(esmtp_rcpts, keep_their_order_and_are_found_in_any_case)
{
	static const char *const names[] = { "m@b.test", "Z@b.test", "a@b.test",
		"c@b.test" };
	size_t held = 0, i;
	struct esmtp_rcpts r = { .held = &held };

	for (i = 0; i < 4; i++)
		cr_expect_eq(esmtp_rcpts_add(&r, names[i], true), 1);
	cr_expect_eq(esmtp_rcpts_add(&r, "z@B.TEST", true), 0);
	cr_expect_eq(esmtp_rcpts_add(&r, "A@b.test", false), 1);
	cr_expect_eq(r.n, 5);
	for (i = 0; i < 4; i++)
		cr_expect_str_eq(esmtp_rcpts_get(&r, i), names[i]);
	cr_expect_eq(esmtp_rcpts_remove(&r, "Z@b.test"), 1);
	cr_expect_eq(esmtp_rcpts_remove(&r, "z@b.test"), -1);
	cr_expect_str_eq(esmtp_rcpts_get(&r, 1), "a@b.test");
	cr_expect_str_eq(esmtp_rcpts_get(&r, 3), "A@b.test");
	/* of two that are the same, the first */
	cr_expect_eq(esmtp_rcpts_remove(&r, "A@b.test"), 1);
	cr_expect_eq(esmtp_rcpts_remove(&r, "a@b.test"), 2);
	cr_expect_eq(esmtp_rcpts_remove(&r, "a@b.test"), -1);
	cr_expect_eq(r.n, 2);
	cr_expect_str_eq(esmtp_rcpts_get(&r, 1), "c@b.test");
	cr_expect_eq(held, esmtp_rcpts_octets(&r));
	esmtp_rcpts_clear(&r);
	cr_expect_eq(held, 0);
}

/* One that a module refuses is added and removed: a client can have any number of
 * them in a transaction. */
Test(esmtp_rcpts, those_that_are_removed_take_no_memory)
{
	static const char *const first[] = { "m@b.test", "a@b.test",
		"z@b.test" };
	size_t held = 0, before, i, k;
	struct esmtp_rcpts r = { .held = &held };
	char addr[64];

	for (i = 0; i < 3; i++)
		cr_assert_eq(esmtp_rcpts_add(&r, first[i], true), 1);
	before = held;
	for (i = 0; i < 10000; i++) {
		snprintf(addr, sizeof(addr), "%zu@x", i);
		cr_assert_eq(esmtp_rcpts_add(&r, addr, true), 1);
		cr_assert_eq(esmtp_rcpts_remove(&r, addr), 3);
	}
	cr_expect_eq(held, before);
	/* from the middle, too, and the others are found */
	for (i = 0; i < 10000; i++) {
		snprintf(addr, sizeof(addr), "%s", esmtp_rcpts_get(&r, i % 3));
		cr_assert_eq(esmtp_rcpts_remove(&r, addr), (int)(i % 3));
		for (k = 0; k < 3; k++)
			cr_assert_eq(esmtp_rcpts_add(&r, first[k], true),
			    strcmp(first[k], addr) == 0);
		cr_assert_eq(r.n, 3);
	}
	cr_expect_eq(held, before);
	esmtp_rcpts_clear(&r);
	cr_expect_eq(held, 0);
}

Test(esmtp_rcpts, a_thousand_take_little_more_than_their_text)
{
	size_t held = 0, i, text = 0;
	struct esmtp_rcpts r = { .held = &held };
	char addr[64];

	for (i = 0; i < 1000; i++) {
		snprintf(addr, sizeof(addr), "user%zu@department.example.test",
		    i * 7919 % 1000);
		text += strlen(addr) + 1;
		cr_assert_eq(esmtp_rcpts_add(&r, addr, true), 1);
	}
	for (i = 0; i < 1000; i++) {
		snprintf(addr, sizeof(addr), "USER%zu@department.example.test",
		    i);
		cr_assert_eq(esmtp_rcpts_add(&r, addr, true), 0);
	}
	cr_expect_leq(held, (text + 8 * 1000) * 3 / 2 + 16);
	esmtp_rcpts_clear(&r);
}

/* Recipients of the greatest length, until one is refused; return how many were
 * accepted. */
static unsigned int
add_rcpts(struct fake *f, unsigned int max)
{
	char line[400];
	unsigned int i;

	for (i = 0; i < max; i++) {
		snprintf(line, sizeof(line), "RCPT TO:<user%060u@%061d.%061d."
		    "%058d.other>\r\n", i, 1, 2, 3);
		if (strncmp(fake_say(f, line), "250 ", 4) != 0)
			break;
	}
	return i;
}

static enum esmtp_rcpt_status
everybody(void *, accept_construct *, const struct mailaddr *)
{
	return ESMTP_RCPT_OK;
}

Test(esmtp_rcpts, of_a_greedy_session_leave_room_for_the_others)
{
	struct fake *f = fake_new();
	struct simhost_session *greedy;
	unsigned int n;

	f->h.ops.lookup_rcpt = everybody;
	f->h.host.held_max = 200000;
	fake_connect(f);
	fake_say(f, "EHLO a.example\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	n = add_rcpts(f, 1000);
	cr_expect_lt(n, 1000);
	cr_expect_gt(n, 400);
	cr_expect_str_eq(f->reply, "452 4.3.1 No room for more recipients now, "
	    "send the others in another message\r\n");
	greedy = f->s;
	/* RFC 5321 4.5.3.1.8: a server takes at least 100 recipients */
	fake_connect(f);
	fake_say(f, "EHLO b.example\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_eq(add_rcpts(f, 100), 100, "%s", f->reply);
	fake_say(f, "DATA\r\n");
	fake_say(f, "x\r\n.\r\n");
	cr_expect_eq(strncmp(f->reply, "250 2.0.0 OK", 12), 0, "%s", f->reply);
	/* the greedy one may go on with those it has, and then as before */
	f->s = greedy;
	fake_say(f, "DATA\r\n");
	fake_say(f, "x\r\n.\r\n");
	cr_expect_eq(strncmp(f->reply, "250 2.0.0 OK", 12), 0, "%s", f->reply);
	cr_expect_eq(f->h.host.held_octets, 0);
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_eq(add_rcpts(f, 200), 200);
	fake_end(f);
}
