#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/table/idmap.h"

static char path[] = "/tmp/idmap-test.XXXXXX";
static struct idmap map;

static void
read_text(const char *text)
{
	FILE *fp;

	if (access(path, F_OK) == -1)
		close(mkstemp(path));
	fp = fopen(path, "w");
	cr_assert_not_null(fp);
	fputs(text, fp);
	fclose(fp);
	idmap_read(path, &map);
}

static void
teardown(void)
{
	(void)unlink(path);
}

TestSuite(idmap, .fini = teardown);

Test(idmap, the_largest_part_that_is_there)
{
	static const struct {
		const char		*text;
		struct subid_range	 range;
		uint32_t		 first, count;
	} rows[] = {
		/* as the kernel writes them */
		{ "         0          0 4294967295\n", { 100000, 65536 },
		    100000, 65536 },
		{ "         0          0 4294967295\n", { 4294967294, 1 },
		    4294967294, 1 },
		{ "0 100000 65536\n", { 64600, 900 }, 64600, 900 },
		{ "0 100000 65000\n", { 64600, 900 }, 64600, 400 },
		{ "0 100000 65000\n", { 65000, 900 }, 0, 0 },
		{ "0 100000 1000\n2000 105000 10\n", { 990, 1015 }, 990, 10 },
		{ "0 100000 1000\n2000 105000 10\n", { 995, 1010 }, 995, 5 },
		{ "0 100000 1000\n2000 105000 10\n", { 998, 9999 }, 2000, 10 },
		/* adjoining, in any order */
		{ "10 7 10\n0 100 10\n20 900 5\n", { 5, 100 }, 5, 20 },
		{ "5 5 0\n", { 5, 1 }, 0, 0 },
		{ "", { 5, 1 }, 0, 0 },
		{ "nonsense\n", { 5, 1 }, 0, 0 },
	};
	struct subid_range part;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		read_text(rows[i].text);
		part = idmap_part(&map, &rows[i].range);
		cr_expect_eq(part.first, rows[i].first, "row %zu: %u", i,
		    part.first);
		cr_expect_eq(part.count, rows[i].count, "row %zu: %u", i,
		    part.count);
	}
}

Test(idmap, single_ids)
{
	read_text("0 100000 1000\n65534 65534 1\n");
	cr_expect(idmap_has(&map, 0));
	cr_expect(idmap_has(&map, 999));
	cr_expect_not(idmap_has(&map, 1000));
	cr_expect(idmap_has(&map, 65534));
	cr_expect_not(idmap_has(&map, UINT32_MAX));
}

Test(idmap, more_lines_than_there_can_be)
{
	char text[(IDMAP_MAX + 10) * 16] = "";
	size_t i, len = 0;

	for (i = 0; i < IDMAP_MAX + 10; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%zu %zu 1\n", 2 * i, 2 * i);
	read_text(text);
	cr_assert_eq(map.n, IDMAP_MAX);
}

Test(idmap, without_namespaces_all_are_there)
{
	idmap_read("/nonexistent/uid_map", &map);
	cr_expect(idmap_has(&map, 0));
	cr_expect(idmap_has(&map, 4294967294));
}
