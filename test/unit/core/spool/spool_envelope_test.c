#include "core/spool/spool_envelope.h"

#include <sys/endian.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const three[] = { "a@b", "postmaster",
	"\xc3\xa4@example.test" };

Test(spool_envelope, an_envelope_comes_back_as_it_was)
{
	struct spool_envelope env = { .sender = "", .rcpts = three,
		.nrcpts = 3, .session = "S", .client = NULL, .helo = "h",
		.flags = SPOOL_ENV_8BITMIME };
	struct spool_envelope_view v;
	const char *cursor = NULL, *rcpt;
	size_t n, i;
	char *buf;

	cr_assert_neq(n = spool_envelope_octets(&env), 0);
	buf = malloc(n);
	spool_envelope_encode(&env, buf);
	cr_assert_eq(spool_envelope_decode(buf, n, &v), 0);
	cr_assert_str_eq(v.sender, "");
	cr_assert_str_eq(v.session, "S");
	cr_assert_str_eq(v.client, "");
	cr_assert_str_eq(v.helo, "h");
	cr_assert_eq(v.flags, SPOOL_ENV_8BITMIME);
	cr_assert_eq(v.nrcpts, 3);
	for (i = 0; (rcpt = spool_envelope_rcpt_next(&v, &cursor)) != NULL;
	    i++) {
		cr_assert_str_eq(rcpt, three[i]);
		cr_assert_str_eq(spool_envelope_rcpt(&v, (uint32_t)i),
		    three[i]);
	}
	cr_assert_eq(i, 3);
	cr_assert_null(spool_envelope_rcpt(&v, 3));
	free(buf);
}

static const uint8_t notify_three[] = { SPOOL_NOTIFY_NEVER, 0,
	SPOOL_NOTIFY_SUCCESS | SPOOL_NOTIFY_DELAY };
static const char *const orcpts_three[] = { "rfc822;a@b", NULL,
	"utf-8;\xc3\xa4@example.test" };
static const struct spool_envelope said = { .sender = "s@x", .rcpts = three,
	.nrcpts = 3, .session = "S", .client = "c", .helo = "h",
	.envid = "an id", .solicit = "net.example:ADV",
	.hold_until = 1800000000, .deliver_by = 1900000000, .priority = -4,
	.notify = notify_three, .orcpts = orcpts_three,
	.flags = SPOOL_ENV_RET_HDRS | SPOOL_ENV_REQUIRETLS };

/* The octets of ${env}, the caller's */
static char *
encoded(const struct spool_envelope *env, size_t *len_r)
{
	char *buf;

	cr_assert_neq(*len_r = spool_envelope_octets(env), 0);
	cr_assert_not_null(buf = malloc(*len_r));
	spool_envelope_encode(env, buf);
	return buf;
}

Test(spool_envelope, what_is_said_of_message_and_recipients_comes_back)
{
	struct spool_envelope_rcpt r;
	struct spool_envelope_view v;
	const char *cursor = NULL;
	size_t n;
	char *buf = encoded(&said, &n);
	uint32_t i;

	cr_assert_eq(spool_envelope_decode(buf, n, &v), 0);
	cr_assert_str_eq(v.envid, "an id");
	cr_assert_str_eq(v.solicit, "net.example:ADV");
	cr_assert_eq(v.hold_until, 1800000000);
	cr_assert_eq(v.deliver_by, 1900000000);
	cr_assert_eq(v.priority, -4);
	cr_assert_eq(v.flags, SPOOL_ENV_RET_HDRS | SPOOL_ENV_REQUIRETLS);
	cr_assert_str_eq(spool_envelope_rcpt(&v, 2), three[2]);
	cr_assert_null(spool_envelope_rcpt(&v, 3));
	for (i = 0; i < 3; i++) {
		spool_envelope_said(&v, i, &cursor, &r);
		cr_assert_eq(r.notify, notify_three[i], "of %u", i);
		if (orcpts_three[i] == NULL)
			cr_assert_null(r.orcpt);
		else
			cr_assert_str_eq(r.orcpt, orcpts_three[i]);
	}
	/* one that was not asked about is passed over */
	cursor = NULL;
	spool_envelope_said(&v, 2, &cursor, &r);
	cr_assert_str_eq(r.orcpt, orcpts_three[2]);
	free(buf);
}

Test(spool_envelope, a_message_of_which_nothing_is_said_has_no_items)
{
	static const uint8_t none[3];
	static const char *const no_orcpts[3];
	struct spool_envelope env = { .sender = "s@x", .rcpts = three,
		.nrcpts = 3, .session = "S", .client = "c", .helo = "h" };
	size_t plain = spool_envelope_octets(&env), n;
	struct spool_envelope_view v;
	struct spool_item item;
	const char *cursor = NULL;
	char *buf;

	env.notify = none;
	env.orcpts = no_orcpts;
	buf = encoded(&env, &n);
	cr_assert_eq(n, plain);
	/* 16 octets, four strings and three recipients */
	cr_assert_eq(n, 16 + 4 + 2 + 2 + 2 + (3 + 3) + (3 + 10) + (3 + 15));
	cr_assert_eq(spool_envelope_decode(buf, n, &v), 0);
	cr_assert_eq(spool_envelope_item_next(&v, &cursor, &item), 0);
	cr_assert_null(v.envid);
	free(buf);
}

/* An item as it is on disk */
struct raw {
	uint32_t	 owner;
	uint16_t	 tag, len;
	const char	*value;
	bool		 is_unended;	/* there is no NUL behind it */
};

/* Does an envelope of three recipients with ${items} decode? */
static bool
is_sound(const struct raw *items, size_t nitems)
{
	struct spool_envelope env = { .sender = "s@x", .rcpts = three,
		.nrcpts = 3, .session = "S", .client = "c", .helo = "h" };
	struct spool_envelope_view v;
	size_t n, i;
	char *buf = encoded(&env, &n);
	bool is;

	for (i = 0; i < nitems; i++) {
		buf = realloc(buf, n + 8 + items[i].len + 1);
		le32enc(buf + n, items[i].owner);
		le16enc(buf + n + 4, items[i].tag);
		le16enc(buf + n + 6, items[i].len);
		memcpy(buf + n + 8, items[i].value, items[i].len);
		buf[n + 8 + items[i].len] = items[i].is_unended;
		n += 8 + items[i].len + 1;
	}
	is = spool_envelope_decode(buf, n, &v) == 0;
	free(buf);
	return is;
}

Test(spool_envelope, items_have_an_order_and_the_values_of_their_tags)
{
	static const struct {
		struct raw	 items[2];
		size_t		 n;
		bool		 is_sound;
		const char	*what;
	} cases[] = {
		{ { { 0, 1, 2, "id", 0 }, { 0, 2, 1, "x", 0 } }, 2, true,
		    "two of the message" },
		{ { { 0, 2, 1, "x", 0 }, { 0, 1, 2, "id", 0 } }, 2, false,
		    "tags fall" },
		{ { { 0, 1, 2, "id", 0 }, { 0, 1, 2, "id", 0 } }, 2, false,
		    "the same twice" },
		{ { { 2, 257, 3, "a;b", 0 }, { 0, 1, 2, "id", 0 } }, 2, false,
		    "the message behind a recipient" },
		{ { { 1, 257, 3, "a;b", 0 }, { 3, 256, 1, "\1", 0 } }, 2, true,
		    "of two recipients" },
		{ { { 4, 257, 3, "a;b", 0 } }, 1, false, "no such recipient" },
		{ { { UINT32_MAX, 9999, 1, "x", 0 } }, 1, false,
		    "no such recipient, and a tag that is not known" },
		{ { { 0, 0, 0, "", 0 } }, 1, false, "no tag" },
		{ { { 0, 1, 2, "id", 1 } }, 1, false, "no NUL" },
		{ { { 0, 1, 2, "i\n", 0 } }, 1, false, "a control" },
		{ { { 0, 1, 2, "i\0", 0 } }, 1, false, "a NUL in it" },
		{ { { 2, 257, 2, "i\x7f", 0 } }, 1, false, "a DEL" },
		{ { { 0, 3, 7, "1234567", 0 } }, 1, false, "7 of 8 octets" },
		{ { { 0, 3, 8, "\1\0\0\0\0\0\0", 0 } }, 1, true, "1" },
		{ { { 0, 4, 8, "\0\0\0\0\0\0\0\x80", 0 } }, 1, false,
		    "2^63 seconds" },
		{ { { 0, 5, 1, "\x09", 0 } }, 1, true, "the most urgent" },
		{ { { 0, 5, 1, "\xf7", 0 } }, 1, true, "the least urgent" },
		{ { { 0, 5, 1, "\x0a", 0 } }, 1, false, "priority 10" },
		{ { { 0, 5, 1, "\xf6", 0 } }, 1, false, "priority -10" },
		{ { { 0, 5, 0, "", 0 } }, 1, false, "no priority" },
		{ { { 1, 256, 2, "\1\1", 0 } }, 1, false, "two octets" },
		{ { { 1, 256, 1, "\0", 0 } }, 1, false, "nothing to notify" },
		{ { { 1, 256, 1, "\3", 0 } }, 1, false, "never, and success" },
		{ { { 1, 256, 1, "\x12", 0 } }, 1, false, "a bit too many" },
		{ { { 1, 256, 1, "\x0e", 0 } }, 1, true, "all three" },
		{ { { 0, 77, 3, "\0\n\xff", 0 } }, 1, true,
		    "any value of a tag that is not known" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(is_sound(cases[i].items, cases[i].n),
		    cases[i].is_sound, "%s", cases[i].what);
}

Test(spool_envelope, an_item_that_is_not_known_is_passed_on)
{
	static const struct raw raw = { 3, 999, 4, "new!", 0 };
	struct spool_envelope_view v;
	struct spool_item item;
	const char *cursor = NULL;
	size_t n, count = 0;
	char *buf = encoded(&said, &n);

	buf = realloc(buf, n + 13);
	le32enc(buf + n, raw.owner);
	le16enc(buf + n + 4, raw.tag);
	le16enc(buf + n + 6, raw.len);
	memcpy(buf + n + 8, raw.value, 5);
	cr_assert_eq(spool_envelope_decode(buf, n + 13, &v), 0);
	while (spool_envelope_item_next(&v, &cursor, &item))
		count++;
	cr_assert_eq(count, 5 + 4 + 1);
	cr_assert_eq(item.owner, 3);
	cr_assert_eq(item.tag, 999);
	cr_assert_eq(item.len, 4);
	cr_assert_str_eq(item.value, "new!");
	cr_assert_str_eq(v.envid, "an id");
	free(buf);
}

/* What octets() accepts, decode() accepts: else a message would be answered and
 * then be damage. */
Test(spool_envelope, numbers_out_of_their_range_are_not_written)
{
	static const uint8_t bad_notify[] = { 0, 0, 0x10 };
	struct spool_envelope cases[] = { said, said, said, said, said, said };
	struct spool_envelope_view v;
	size_t i, n;
	char *buf;

	cases[0].hold_until = -1;
	cases[1].deliver_by = INT64_MIN;
	cases[2].priority = 10;
	cases[3].priority = -10;
	cases[4].notify = bad_notify;
	for (i = 0; i < 5; i++) {
		cr_expect_eq(spool_envelope_octets(&cases[i]), 0, "%zu", i);
		cr_expect_eq(errno, EINVAL);
	}
	cases[5].hold_until = cases[5].deliver_by = INT64_MAX;
	cases[5].priority = 9;
	buf = encoded(&cases[5], &n);
	cr_assert_eq(spool_envelope_decode(buf, n, &v), 0);
	cr_assert_eq(v.hold_until, INT64_MAX);
	cr_assert_eq(v.priority, 9);
	free(buf);
}

Test(spool_envelope, what_is_said_at_too_great_length_is_refused)
{
	static char text[70000];
	struct spool_envelope env = said;

	memset(text, 'x', sizeof(text) - 1);
	env.envid = text;
	cr_assert_eq(spool_envelope_octets(&env), 0);
	cr_assert_eq(errno, EINVAL);
	text[4096] = '\0';
	cr_assert_neq(spool_envelope_octets(&env), 0);
	text[4096] = 'x';
	text[4097] = '\0';
	cr_assert_eq(spool_envelope_octets(&env), 0);
	cr_assert_eq(errno, EINVAL);
}

/* Where an envelope may be cut and still be one: behind its last recipient and
 * behind each item. */
static bool
is_end(const struct spool_envelope_view *v, const char *buf, size_t at)
{
	const char *cursor = NULL;
	struct spool_item item;

	if (buf + at == v->rcpts_end)
		return true;
	while (spool_envelope_item_next(v, &cursor, &item))
		if (buf + at == cursor)
			return true;
	return false;
}

/* Read all of ${v}, so that a checker sees what is read beyond. */
static void
read_all(const struct spool_envelope_view *v, size_t n)
{
	const char *cursor = NULL, *items = NULL, *rcpt;
	struct spool_envelope_rcpt r;
	uint32_t i;

	for (i = 0; (rcpt = spool_envelope_rcpt_next(v, &cursor)) != NULL;
	    i++) {
		cr_assert_lt(strlen(rcpt), n);
		spool_envelope_said(v, i, &items, &r);
		if (r.orcpt != NULL)
			cr_assert_lt(strlen(r.orcpt), n);
	}
}

Test(spool_envelope, a_hostile_envelope_is_refused_and_never_read_beyond)
{
	struct spool_envelope_view v, whole;
	size_t n, cut, i;
	char *buf = encoded(&said, &n), *copy;
	int bit;

	cr_assert_eq(spool_envelope_decode(buf, n, &whole), 0);
	for (cut = 0; cut < n; cut++) {
		copy = malloc(cut + 1);	/* so that a checker sees the end */
		memcpy(copy, buf, cut);
		cr_assert_eq(spool_envelope_decode(copy, cut, &v),
		    is_end(&whole, buf, cut) ? 0 : -1, "cut at %zu", cut);
		free(copy);
	}
	for (i = 0; i < n; i++) {
		for (bit = 0; bit < 8; bit++) {
			buf[i] ^= (char)(1 << bit);
			if (spool_envelope_decode(buf, n, &v) == 0)
				read_all(&v, n);
			buf[i] ^= (char)(1 << bit);
		}
	}
	free(buf);
}

Test(spool_envelope, an_envelope_without_recipients_or_too_big_is_refused)
{
	static const char *many[50000];
	struct spool_envelope env = { .sender = "s@x", .rcpts = many,
		.session = "S", .client = "c", .helo = "h" };
	size_t i;

	cr_assert_eq(spool_envelope_octets(&env), 0);
	cr_assert_eq(errno, EINVAL);
	for (i = 0; i < 50000; i++)
		many[i] = "somebody.with.a.name@example.test";
	env.nrcpts = 50000;
	cr_assert_eq(spool_envelope_octets(&env), 0);
	cr_assert_eq(errno, E2BIG);
	env.nrcpts = 20000;
	cr_assert_neq(spool_envelope_octets(&env), 0);
}

/* The bound on what one login may have held needs to know who it is. */
Test(spool_envelope, who_has_a_message_held_is_kept)
{
	static char longer[LIM_LOGIN + 2];
	const struct {
		const char	*login, *holder;
		int64_t		 hold_until;
	} rows[] = {
		{ "alice", "alice", 1 },
		{ "alice", NULL, 0 },
		{ NULL, NULL, 1 },
		{ "a\nb", "?", 1 },
		{ longer, "?", 1 },
		{ longer + 1, longer + 1, 1 },
	};
	struct spool_envelope_view v;
	size_t i, len;
	char *buf;

	memset(longer, 'x', LIM_LOGIN + 1);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct spool_envelope env = said;

		env.login = rows[i].login;
		env.hold_until = rows[i].hold_until;
		buf = encoded(&env, &len);
		cr_assert_eq(spool_envelope_decode(buf, len, &v), 0, "%zu", i);
		if (rows[i].holder == NULL)
			cr_expect_null(v.holder, "%zu", i);
		else
			cr_expect_str_eq(v.holder, rows[i].holder, "%zu", i);
		free(buf);
	}
}
