#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/table/subid.h"

static char path[] = "/tmp/subid-test.XXXXXX";

static void
write_file(const char *text)
{
	FILE *fp;

	if (access(path, F_OK) == -1)
		close(mkstemp(path));
	fp = fopen(path, "w");
	cr_assert_not_null(fp);
	fputs(text, fp);
	fclose(fp);
}

static void
teardown(void)
{
	(void)unlink(path);
}

TestSuite(subid, .fini = teardown);

Test(subid, the_largest_range_of_an_account)
{
	static const struct {
		const char	*text;
		uint32_t	 first, count;	/* 0: none */
	} rows[] = {
		{ "mill:100000:65536\n", 100000, 65536 },
		{ "mill:100000:65536", 100000, 65536 },
		{ "a:1:2\nmill:5:6\nb:7:8\n", 5, 6 },
		{ "mill:5:6\nmill:100:9\nmill:300:3\n", 100, 9 },
		/* by its number, which is 77 */
		{ "77:5:6\n", 5, 6 },
		{ "# a comment\n\n:::\nmill\nmill:\nmill:3\nmill:9:1\n", 9, 1 },
		{ "mill:4294967294:1\n", 4294967294, 1 },
		{ "", 0, 0 },
		{ "miller:5:6\nmil:5:6\n770:5:6\n", 0, 0 },
		/* root, or no id */
		{ "mill:0:9\n", 0, 0 },
		{ "mill:5:0\n", 0, 0 },
		{ "mill:-5:9\n", 0, 0 },
		{ "mill:5:-9\n", 0, 0 },
		{ "mill:4294967295:1\n", 0, 0 },
		{ "mill:4294967294:2\n", 0, 0 },
		{ "mill:1:4294967295\n", 0, 0 },
		{ "mill:4294967296:1\n", 0, 0 },
		{ "mill:5:6:7\n", 0, 0 },
		{ "mill:5x:6\n", 0, 0 },
		{ "mill:0x5:6\n", 0, 0 },
	};
	struct subid_range range;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file(rows[i].text);
		errno = 0;
		cr_expect_eq(subid_find(path, "mill", 77, &range),
		    rows[i].count == 0 ? -1 : 0, "%s", rows[i].text);
		if (rows[i].count == 0)
			cr_expect_eq(errno, ENOENT);
		cr_expect(range.first == rows[i].first &&
		    range.count == rows[i].count, "%s: %u %u", rows[i].text,
		    range.first, range.count);
	}
}

Test(subid, a_file_that_is_not_there_or_is_none)
{
	struct subid_range range;

	cr_expect_eq(subid_find("/nonexistent/subuid", "mill", 77, &range), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_eq(subid_find("/tmp", "mill", 77, &range), -1);
	cr_expect_eq(range.count, 0);
}
