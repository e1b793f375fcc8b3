/* The recipients of a transaction: their order, their memory, the bound on it. */

#include <sys/socket.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/spool/spool_envelope.h"
#include "proto/server/esmtp_state.h"
#include "proto/server/esmtp_txn.h"
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

/* UTF-8 and ASCII in one list: the order is that of the keys. */
Test(esmtp_rcpts, are_found_in_any_case_of_utf8)
{
	static const char *const names[] = { "\xc3\x9c@b.test", "Z@b.test",
		"a\xc3\xa4@b.test", "B\xc3\x96@b.test", "b@b.test",
		"\xce\xa3@b.test", "B\xc3\xb6z@b.test" };
	static const char *const same[] = { "\xc3\xbc@b.test", "z@b.test",
		"A\xc3\x84@b.test", "b\xc3\xb6@b.test", "B@b.test",
		"\xcf\x83@b.test", "b\xc3\x96Z@b.test" };
	const size_t n = sizeof(names) / sizeof(names[0]);
	size_t held = 0, i;
	struct esmtp_rcpts r = { .held = &held };

	for (i = 0; i < n; i++)
		cr_expect_eq(esmtp_rcpts_add(&r, names[i], true), 1, "%zu", i);
	for (i = 0; i < n; i++)
		cr_expect_eq(esmtp_rcpts_add(&r, same[i], true), 0, "%zu", i);
	cr_expect_eq(esmtp_rcpts_add(&r, "u@b.test", true), 1);
	for (i = 0; i < n; i++)
		cr_expect_eq(esmtp_rcpts_remove(&r, same[i]), 0, "%zu", i);
	esmtp_rcpts_clear(&r);
	cr_expect_eq(held, 0);
}

/* However many are equal, and however they are written. */
Test(esmtp_rcpts, equal_ones_are_found_in_their_order)
{
	static const char *const names[] = { "\xc3\xbc@b.test", "a@b.test",
		"\xc3\x9c@b.test", "A@b.test", "z@b.test",
		"u\xcc\x88@b.test", "\xc3\xbc@B.test" };
	static const size_t want[] = { 0, 2, 5, 6 };
	size_t held = 0, first, end, i;
	struct esmtp_rcpts r = { .held = &held };

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_assert_eq(esmtp_rcpts_add(&r, names[i], false), 1);
	cr_assert_eq(esmtp_rcpts_find(&r, "\xc3\x9c@B.TEST", &first, &end), 1);
	cr_assert_eq(end - first, 4);
	for (i = first; i < end; i++)
		cr_expect_eq(esmtp_rcpts_number(&r, i), want[i - first]);
	cr_assert_eq(esmtp_rcpts_find(&r, "A@B.test", &first, &end), 1);
	cr_assert_eq(end - first, 2);
	cr_expect_eq(esmtp_rcpts_number(&r, first + 1), 3);
	cr_expect_eq(esmtp_rcpts_find(&r, "o@b.test", &first, &end), 0);
	for (i = 0; i < 4; i++)
		cr_expect_eq(esmtp_rcpts_remove(&r, "\xc3\x9c@b.test"),
		    (int)(want[i] - i));
	cr_expect_eq(r.n, 3);
	esmtp_rcpts_clear(&r);
	cr_expect_eq(held, 0);
}

/* Their domains, as they come and go: against a count of all of them. */
Test(esmtp_rcpts, each_domain_is_counted_once)
{
	static const char *const names[] = { "z@b.test", "a@a.test", "Postmaster",
		"a@B.test", "\"a@a.test\"@c.test", "\xc3\xbc@b.test", "c@c.test",
		"\xc3\x9c@a.test", "a@aa.test", "a@[192.0.2.1]", "b@[192.0.2.1]",
		"b@[IPv6:2001:db8::1]" };
	const size_t n = sizeof(names) / sizeof(names[0]);
	size_t held = 0, i, k, m, want, turn;
	struct esmtp_rcpts r = { .held = &held };
	bool is_in[sizeof(names) / sizeof(names[0])] = { false };
	const char *a, *b;

	for (turn = 0; turn < 400; turn++) {
		i = turn * 7 % (n + 5) % n;
		if (is_in[i])
			cr_assert_neq(esmtp_rcpts_remove(&r, names[i]), -1);
		else
			cr_assert_eq(esmtp_rcpts_add(&r, names[i], true), 1);
		is_in[i] = !is_in[i];
		for (want = k = 0; k < n; k++) {
			a = strrchr(names[k], '@');
			for (m = 0; m < k; m++) {
				b = strrchr(names[m], '@');
				if (is_in[m] && (a == NULL ? b == NULL :
				    b != NULL && strcasecmp(a, b) == 0))
					break;
			}
			want += is_in[k] && m == k;
		}
		cr_assert_eq(r.ndomains, want, "turn %zu: %zu, not %zu", turn,
		    r.ndomains, want);
	}
	esmtp_rcpts_clear(&r);
	cr_expect_eq(r.ndomains, 0);
}

/* An address whose key cannot be made, here since it is too long for an address,
 * is not taken for another, nor for one that is not there. */
Test(esmtp_rcpts, an_address_that_cannot_be_compared_is_an_error)
{
	char longest[4 * LIM_PATH + 3];
	size_t held = 0, first, end, i;
	struct esmtp_rcpts r = { .held = &held };

	for (i = 0; i + 1 < sizeof(longest); i += 2)
		memcpy(longest + i, "\xc3\xbc", 2);
	longest[i] = '\0';
	cr_expect_eq(esmtp_rcpts_add(&r, longest, true), -1);
	cr_assert_eq(esmtp_rcpts_add(&r, "\xc3\xbc@b.test", true), 1);
	cr_expect_eq(esmtp_rcpts_add(&r, longest, true), -1);
	cr_expect_eq(esmtp_rcpts_find(&r, longest, &first, &end), -1);
	cr_expect_eq(esmtp_rcpts_remove(&r, longest), -1);
	cr_expect_eq(errno, ENOMEM);
	cr_expect_eq(esmtp_rcpts_remove(&r, "z@b.test"), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_eq(r.n, 1);
	/* the same if it is one in the list */
	free(r.text);
	r.text = strdup(longest);
	r.text_size = strlen(longest) + 1;
	cr_expect_eq(esmtp_rcpts_add(&r, "\xc3\xbc@b.test", true), -1);
	cr_expect_eq(esmtp_rcpts_remove(&r, "\xc3\xbc@b.test"), -1);
	cr_expect_eq(errno, ENOMEM);
	/* but what was just added can be removed */
	r.len = r.text_size;
	cr_expect_eq(esmtp_rcpts_remove(&r, longest), 0);
	cr_expect_eq(r.n, 0);
	free(r.text);
	free(r.at);
	free(r.sorted);
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

Test(esmtp_rcpts, what_was_said_of_one_stays_with_it)
{
	static const char *const names[] = { "a@b.test", "c@b.test",
		"d@b.test", "e@b.test" };
	static const char *const orcpts[] = { "", "rfc822;x", "", "x;y" };
	static const unsigned int notify[] = { 0, 0, SPOOL_NOTIFY_DELAY,
		SPOOL_NOTIFY_NEVER };
	size_t held = 0, i;
	struct esmtp_rcpts r = { .held = &held };
	const char *orcpt;

	for (i = 0; i < 4; i++) {
		cr_assert_eq(esmtp_rcpts_add(&r, names[i], true), 1);
		if (i > 0)
			cr_assert_eq(esmtp_rcpts_say(&r, notify[i],
			    orcpts[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		cr_expect_eq(esmtp_rcpts_said(&r, i, &orcpt), notify[i]);
		if (*orcpts[i] == '\0')
			cr_expect_null(orcpt);
		else
			cr_expect_str_eq(orcpt, orcpts[i]);
	}
	cr_expect_eq(held, esmtp_rcpts_octets(&r));
	cr_expect_eq(esmtp_rcpts_remove(&r, "c@b.test"), 1);
	cr_expect_eq(esmtp_rcpts_said(&r, 1, &orcpt), SPOOL_NOTIFY_DELAY);
	cr_expect_null(orcpt);
	cr_expect_eq(esmtp_rcpts_said(&r, 2, &orcpt), SPOOL_NOTIFY_NEVER);
	cr_expect_str_eq(orcpt, "x;y");
	/* a new one in the place of an old one has nothing of it */
	cr_expect_eq(esmtp_rcpts_remove(&r, "e@b.test"), 2);
	cr_expect_eq(esmtp_rcpts_add(&r, "f@b.test", true), 1);
	cr_expect_eq(esmtp_rcpts_said(&r, 2, &orcpt), 0);
	cr_expect_null(orcpt);
	/* many, so that all of it moves */
	for (i = 0; i < 100; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "u%zu@b.test", i);
		cr_assert_eq(esmtp_rcpts_add(&r, addr, true), 1);
		if (i % 3 == 0)
			cr_assert_eq(esmtp_rcpts_say(&r, 0, addr), 0);
	}
	for (i = 0; i < 100; i++) {
		(void)esmtp_rcpts_said(&r, 3 + i, &orcpt);
		if (i % 3 == 0)
			cr_expect_str_eq(orcpt, esmtp_rcpts_get(&r, 3 + i));
		else
			cr_expect_null(orcpt);
	}
	cr_expect_eq(held, esmtp_rcpts_octets(&r));
	esmtp_rcpts_clear(&r);
	cr_expect_eq(held, 0);
}

/* Recipients of the greatest length with ${params}, until one is refused;
 * return how many were accepted. */
static unsigned int
add_rcpts_with(struct fake *f, unsigned int max, const char *params)
{
	char line[1200];
	unsigned int i;

	for (i = 0; i < max; i++) {
		snprintf(line, sizeof(line), "RCPT TO:<user%060u@%061d.%061d."
		    "%058d.other>%s\r\n", i, 1, 2, 3, params);
		if (strncmp(fake_say(f, line), "250 ", 4) != 0)
			break;
	}
	return i;
}

static unsigned int
add_rcpts(struct fake *f, unsigned int max)
{
	return add_rcpts_with(f, max, "");
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

static struct simhost_session *
connect_from(struct fake *f, const char *address)
{
	struct sockaddr_in6 *in6;

	fake_connect(f);
	in6 = &f->s->ac->remote_addr.sin6;
	*in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
	cr_assert_eq(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
	fake_say(f, "EHLO a.example\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	return f->s;
}

/* Any number of sessions of a client is no more than one; and each of them may
 * go on to have 100 recipients. */
Test(esmtp_rcpts, of_a_greedy_client_leave_room_for_the_others)
{
	struct fake *f = fake_new();
	struct simhost_session *first;
	unsigned int n;

	f->h.ops.lookup_rcpt = everybody;
	f->h.host.held_max = 4000000;
	f->h.host.client_max = 400000;
	fake_option(f, "Max_Recipients_Per_Message", "5000", NULL);
	first = connect_from(f, "2001:db8:1:1::1");
	n = add_rcpts(f, 5000);
	cr_expect_gt(n, 800, "%u", n);
	cr_expect_lt(n, 1600, "%u", n);
	cr_expect_eq(strncmp(f->reply, "452 4.3.1 ", 10), 0, "%s", f->reply);
	/* its whole network is one client */
	connect_from(f, "2001:db8:1:1:ffff::2");
	cr_expect_lt(add_rcpts(f, 5000), 500);
	cr_expect_eq(strncmp(f->reply, "452 4.3.1 ", 10), 0, "%s", f->reply);
	connect_from(f, "2001:db8:1:1::3");
	cr_expect_eq(add_rcpts(f, 100), 100, "%s", f->reply);
	/* others are not */
	connect_from(f, "2001:db8:1:2::1");
	cr_expect_eq(add_rcpts(f, n), n, "%s", f->reply);
	connect_from(f, "::ffff:192.0.2.1");
	cr_expect_eq(add_rcpts(f, n), n, "%s", f->reply);
	/* what was given back may be taken again */
	f->s = first;
	fake_say(f, "RSET\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_gt(add_rcpts(f, 5000), 500);
	cr_expect_eq(strncmp(f->reply, "452 4.3.1 ", 10), 0, "%s", f->reply);
	fake_end(f);
}

Test(esmtp_rcpts, a_client_is_forgotten_with_its_last_transaction)
{
	struct fake *f = fake_new();

	f->h.ops.lookup_rcpt = everybody;
	f->h.host.client_max = 400000;
	fake_option(f, "Max_Recipients_Per_Message", "5000", NULL);
	connect_from(f, "2001:db8:1:1::1");
	cr_expect_eq(add_rcpts(f, 100), 100, "%s", f->reply);
	cr_expect(RB_EMPTY(&f->h.host.clients), "a usual message");
	(void)add_rcpts(f, 5000);
	cr_expect_not(RB_EMPTY(&f->h.host.clients));
	cr_expect_eq(RB_ROOT(&f->h.host.clients)->octets,
	    f->h.host.held_octets);
	fake_say(f, "DATA\r\n");
	fake_say(f, "x\r\n.\r\n");
	cr_expect_eq(strncmp(f->reply, "250 2.0.0 OK", 12), 0, "%s", f->reply);
	cr_expect(RB_EMPTY(&f->h.host.clients));
	cr_expect_eq(f->h.host.held_octets, 0);
	fake_end(f);
}

/* Of these nobody knows whether they are one. */
Test(esmtp_rcpts, clients_without_an_address_are_not_one)
{
	struct fake *f = fake_new();

	f->h.ops.lookup_rcpt = everybody;
	f->h.host.client_max = 200000;
	connect_from(f, "2001:db8:1:1::1");
	f->s->ac->remote_addr.sa.sa_family = AF_UNSPEC;
	cr_expect_eq(add_rcpts(f, 1000), 1000, "%s", f->reply);
	fake_end(f);
}

/* The octets that the recipients of a session need in the spool */
static size_t
envelope_octets(const struct fake *f)
{
	const struct esmtp_rcpts *r = &fake_mc(f)->txn->rcpts;
	const char **rcpts = calloc(r->n, sizeof(*rcpts));
	const char **orcpts = calloc(r->n, sizeof(*orcpts));
	uint8_t *notify = calloc(r->n, sizeof(*notify));
	struct spool_envelope env = { .sender = "", .rcpts = rcpts,
		.nrcpts = r->n, .orcpts = orcpts, .notify = notify };
	size_t i, octets;

	for (i = 0; i < r->n; i++) {
		rcpts[i] = esmtp_rcpts_get(r, i);
		notify[i] = (uint8_t)esmtp_rcpts_said(r, i, &orcpts[i]);
	}
	octets = spool_envelope_octets(&env);
	free(rcpts);
	free(orcpts);
	free(notify);
	return octets;
}

/* The spool has a bound on the octets of an envelope.  A client hears of it at
 * RCPT, when it can still send the others in another message. */
Test(esmtp_rcpts, the_envelope_is_full_before_the_spool_refuses_it)
{
	static const size_t lengths[] = { 0, 1, 400 };
	struct fake *f;
	char params[600];
	unsigned int n, i;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		f = fake_new();
		f->h.ops.lookup_rcpt = everybody;
		fake_option(f, "Max_Recipients_Per_Message", "100000", NULL);
		fake_option(f, "SMTP_Extensions", "DSN", NULL);
		fake_connect(f);
		fake_say(f, "EHLO a.example\r\n");
		fake_say(f, "MAIL FROM:<>\r\n");
		params[0] = '\0';
		if (lengths[i] > 0)
			snprintf(params, sizeof(params), " NOTIFY=DELAY "
			    "ORCPT=rfc822;%0*d", (int)lengths[i], 0);
		n = add_rcpts_with(f, 5000, params);
		cr_expect_lt(n, 5000);
		cr_expect_eq(strncmp(f->reply, "452 No room", 11), 0, "%s",
		    f->reply);
		cr_expect_gt(envelope_octets(f), LIM_ENVELOPE * 9 / 10);
		fake_say(f, "DATA\r\n");
		fake_say(f, "x\r\n.\r\n");
		cr_expect_eq(strncmp(f->reply, "250 OK", 6), 0, "%s",
		    f->reply);
		fake_end(f);
	}
}

/* For the others there is another transaction, so it is no error, and not told as
 * a limit of the session, which RFC 9422 4.3 has a name for. */
Test(esmtp_rcpts, of_more_domains_than_a_message_may_have_are_put_off)
{
	struct fake *f = fake_new();

	f->h.ops.lookup_rcpt = NULL;
	fake_option(f, "Open_Relay", "true", NULL);
	fake_option(f, "Max_Errors", "1", NULL);
	fake_option(f, "Max_Recipient_Domains_Per_Message", "2", NULL);
	fake_connect(f);
	cr_expect_not_null(strstr(fake_say(f, "EHLO client.example\r\n"),
	    "LIMITS RCPTMAX=1000\r\n"), "%s", f->reply);
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_str_eq(fake_say(f, "RCPT TO:<a@a.test>\r\n"
	    "RCPT TO:<a@b.test>\r\nRCPT TO:<a@c.test>\r\n"
	    "RCPT TO:<b@B.test>\r\nRCPT TO:<a@xn--grn-ioa.test>\r\n"
	    "RCPT TO:<b@a.test>\r\n"),
	    "250 2.1.5 Recipient OK\r\n250 2.1.5 Recipient OK\r\n"
	    "452 4.5.3 Too many domains of recipients, send the others in "
	    "another message\r\n250 2.1.5 Recipient OK\r\n"
	    "452 4.5.3 Too many domains of recipients, send the others in "
	    "another message\r\n250 2.1.5 Recipient OK\r\n");
	cr_expect_eq(fake_mc(f)->txn->rcpts.n, 4);
	cr_expect_eq(fake_mc(f)->nrcpts, 4);
	fake_say(f, "RSET\r\nMAIL FROM:<>\r\n");
	cr_expect_str_eq(fake_say(f, "RCPT TO:<a@c.test>\r\n"),
	    "250 2.1.5 Recipient OK\r\n");
	fake_end(f);
}
