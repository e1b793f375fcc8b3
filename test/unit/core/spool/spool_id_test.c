#include "core/spool/spool_id.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/core/spool/spool_fixture.h"

Test(spool_id, text_is_13_digits_that_sort_as_the_numbers_do)
{
	static const uint64_t ids[] = { 0, 1, 31, 32, 0xffffffff, 1ULL << 40,
		1700000000000000ULL << 12, UINT64_MAX - 1, UINT64_MAX };
	char text[SPOOL_ID_TEXT + 1], last[SPOOL_ID_TEXT + 1] = "";
	uint64_t id;
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		spool_id_text(ids[i], text);
		cr_assert_eq(strlen(text), SPOOL_ID_TEXT);
		cr_assert_eq(strspn(text, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
		    SPOOL_ID_TEXT);
		cr_assert_gt(strcmp(text, last), 0);
		cr_assert_eq(spool_id_parse(text, strlen(text), &id), 0);
		cr_assert_eq(id, ids[i]);
		memcpy(last, text, sizeof(last));
	}
}

Test(spool_id, what_is_no_id_is_refused)
{
	static const char *const bad[] = { "", "0", "000000000000",
		"00000000000000", "000000000000U", "G000000000000",
		"00000000000-0", "000000000000a" };
	uint64_t id;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(spool_id_parse(bad[i], strlen(bad[i]), &id), -1,
		    "%s", bad[i]);
	cr_assert_eq(spool_id_parse("000000000000\0", 13, &id), -1);
}

Test(spool_id, ids_grow_even_when_the_clock_stands_or_is_set_back)
{
	struct spool_fixture f;
	struct spool_id_source s;
	uint64_t last, id;
	int i;

	fixture_init(&f);
	cr_assert_eq(spool_id_open(f.dirfd, 5, 1000000, &s), 0);
	last = spool_id_next(&s, 2000000);
	cr_assert_eq(last >> 12, 2000000);	/* the time in its upper bits */
	for (i = 0; i < 1000; i++) {
		id = spool_id_next(&s, 2000000 - (uint64_t)i);
		cr_assert_gt(id, last);
		last = id;
	}
	spool_id_close(&s);
	fixture_free(&f);
}

Test(spool_id, a_number_is_held_by_one_source)
{
	struct spool_fixture f;
	struct spool_id_source a, b;

	fixture_init(&f);
	cr_assert_eq(spool_id_open(f.dirfd, SPOOL_NUMBER_QUEUE, 1, &a), 0);
	cr_assert_eq(spool_id_open(f.dirfd, SPOOL_NUMBER_QUEUE, 1, &b), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(spool_id_open(f.dirfd, 1, 1, &b), 0);
	cr_assert_neq(spool_id_next(&a, 1), spool_id_next(&b, 1));
	cr_assert_eq(spool_number(spool_id_next(&a, 1)), SPOOL_NUMBER_QUEUE);
	spool_id_close(&a);
	cr_assert_eq(spool_id_open(f.dirfd, SPOOL_NUMBER_QUEUE, 1, &a), 0);
	spool_id_close(&a);
	spool_id_close(&b);
	cr_assert_eq(spool_id_open(f.dirfd, 0, 1, &a), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(spool_id_open(f.dirfd, 4096, 1, &a), -1);
	cr_assert_eq(errno, EINVAL);
	fixture_free(&f);
}

Test(spool_id, ids_go_on_behind_the_time_that_another_process_says)
{
	struct spool_id_source s;

	spool_id_start(9, 5000, &s);
	cr_assert_eq(spool_id_next(&s, 3), 5001ULL << 12 | 9);
	cr_assert_eq(spool_id_next(&s, 9000000), 9000000ULL << 12 | 9);
	cr_assert(spool_id_is_due(&s));
	cr_assert_eq(spool_id_extend(&s), 9000000);
	cr_assert(!spool_id_is_due(&s));
	spool_id_reach(&s, 9000009);
	cr_assert_eq(spool_id_next(&s, 3), 9000010ULL << 12 | 9);
}

Test(spool_id, a_successor_does_not_repeat_ids_when_the_clock_was_set_back)
{
	struct spool_fixture f;
	struct spool_id_source s;
	uint64_t last;

	fixture_init(&f);
	cr_assert_eq(spool_id_open(f.dirfd, 5, 9000000, &s), 0);
	last = spool_id_next(&s, 60000000);
	cr_assert(spool_id_is_due(&s));
	spool_id_extend(&s);
	cr_assert(!spool_id_is_due(&s));
	last = spool_id_next(&s, 60900000);
	(void)close(s.fd);	/* as a crash does */
	cr_assert_eq(spool_id_open(f.dirfd, 5, 9000000, &s), 0);
	cr_assert_gt(spool_id_next(&s, 9000000), last);
	spool_id_close(&s);
	fixture_free(&f);
}
