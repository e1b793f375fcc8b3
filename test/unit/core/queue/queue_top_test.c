#include "core/queue/queue_top.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
add(struct queue_top *t, const char *sender, const char *rcpt,
    const char *error, int64_t age_s)
{
	const struct queue_top_what what = { .sender = sender, .rcpt = rcpt,
		.error = error, .target = "", .age_s = age_s };

	cr_assert_eq(queue_top_add(t, &what), 0);
}

/* "name=total " of each row, then "others=total" and all columns of the total */
static const char *
counted(struct queue_top *t, uint64_t limit)
{
	static char text[2048];
	json_t *json = queue_top_json(t, limit), *row;
	size_t i, len = 0;

	json_array_foreach(json_object_get(json, "top"), i, row)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%s=%d ", json_string_value(json_object_get(row, "name")),
		    (int)json_integer_value(json_object_get(row,
		    "recipients")));
	row = json_object_get(json, "others");
	len += (size_t)snprintf(text + len, sizeof(text) - len, "others=%d",
	    (int)json_integer_value(json_object_get(row, "recipients")));
	row = json_object_get(json_object_get(json, "total"), "ages");
	for (i = 0; i < json_array_size(row); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %d",
		    (int)json_integer_value(json_array_get(row, i)));
	json_decref(json);
	queue_top_free(t);
	return text;
}

Test(queue_top, recipients_are_counted_by_domain_and_age)
{
	struct queue_top t = { .by = QUEUE_TOP_DOMAIN };

	add(&t, "s@s", "a@x.test", NULL, -5);
	add(&t, "s@s", "a@X.Test", NULL, 300);
	add(&t, "s@s", "a@y.test", NULL, 301);
	add(&t, "s@s", "\"@x.test\"@y.test", NULL, 600);
	add(&t, "s@s", "b@y.test", NULL, 1280 * 60);
	add(&t, "s@s", "postmaster", NULL, 1280 * 60 + 1);
	cr_expect_str_eq(counted(&t, 2), "y.test=3 x.test=2 others=1 "
	    "2 2 0 0 0 0 0 0 1 1");
}

Test(queue_top, or_by_the_domain_of_the_sender)
{
	struct queue_top t = { .by = QUEUE_TOP_SENDER };

	add(&t, "a@S.test", "a@x.test", NULL, 0);
	add(&t, "b@s.test", "a@x.test", NULL, 0);
	add(&t, "", "a@x.test", NULL, 0);
	cr_expect_str_eq(counted(&t, 9), "s.test=2 <>=1 others=0 "
	    "3 0 0 0 0 0 0 0 0 0");
}

Test(queue_top, or_by_the_reason_without_what_is_of_one_message)
{
	static const char *const reasons[][2] = {
		{ "451 4.7.1 <joe@x.test>: try in 300 seconds",
		    "451 4.7.1 <*>: try in 300 seconds" },
		{ "id=8a7b6c5d4e (12345)", "* (*)" },
		{ "connection refused", "connection refused" },
		{ "", "" }, { "@", "*" }, { "a@b@c d", "* d" },
	};
	struct queue_top t = { .by = QUEUE_TOP_ERROR };
	char buf[QUEUE_TOP_NAME], longest[1000];
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		queue_top_reason(reasons[i][0], buf, sizeof(buf));
		cr_expect_str_eq(buf, reasons[i][1]);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	queue_top_reason(longest, buf, sizeof(buf));
	cr_expect_eq(strlen(buf), sizeof(buf) - 1);
	add(&t, "", "a@x", "550 <a@x> no", 0);
	add(&t, "", "b@x", "550 <b@x> no", 0);
	add(&t, "", "b@x", NULL, 0);
	cr_expect_str_eq(counted(&t, 9), "550 <*> no=2 (none)=1 others=0 "
	    "3 0 0 0 0 0 0 0 0 0");
}

/* Somebody has sent mail to ever new domains. */
Test(queue_top, many_small_names_do_not_hide_the_large_ones)
{
	struct queue_top t = { .by = QUEUE_TOP_DOMAIN };
	char rcpt[64], want[128];
	unsigned int i;

	for (i = 0; i < 100000; i++) {
		snprintf(rcpt, sizeof(rcpt), "u@n%u.test", i);
		add(&t, "", rcpt, NULL, 0);
		if (i % 3 == 0)
			add(&t, "", "u@large.test", NULL, 0);
		if (i % 100 == 0)
			add(&t, "", "u@middle.test", NULL, 0);
		cr_assert_leq(t.nrows, (size_t)QUEUE_TOP_NAMES);
	}
	snprintf(want, sizeof(want), "large.test=33334 middle.test=1000 "
	    "others=100000 134334 0 0 0 0 0 0 0 0 0");
	cr_expect_str_eq(counted(&t, 2), want);
}
