/* Requests of mailmillctl: export and import. */

#include "core/queue/queue.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "core/store/queue_spool.h"
#include "test/unit/core/queue/queue_fixture.h"

QF_SUITE(queue_import);

/* The whole answer to ${request}; it may have NULs, and has one behind it */
static char *
stream(const char *request, size_t *len_r)
{
	struct queue_answer *a = queue_control(f.q, request, strlen(request));
	char *all = calloc(1, 1);
	const char *piece;
	size_t len;

	cr_assert_not_null(a);
	*len_r = 0;
	while (queue_answer_next(a, &f.now, &piece, &len) == 1) {
		all = realloc(all, *len_r + len + 1);
		cr_assert_not_null(all);
		if (len > 0)
			memcpy(all + *len_r, piece, len);
		*len_r += len;
		all[*len_r] = '\0';
	}
	queue_answer_free(a);
	return all;
}

static unsigned int nstored;	/* messages of an import */

/* The answer to an import of ${len} octets, which come ${step} at a time */
static const char *
imported(const char *octets, size_t len, size_t step)
{
	static char text[1024];
	const char *request = "{\"command\":\"queue\",\"action\":\"import\"}";
	struct queue_answer *a = queue_control(f.q, request, strlen(request));
	const char *piece;
	size_t n, used = 0;

	cr_assert_not_null(a);
	text[0] = '\0';
	for (;;) {
		if (queue_answer_wants(a)) {
			n = len - used < step ? len - used : step;
			queue_answer_feed(a, &f.now, octets + used, n);
			cr_assert_leq(nstored, 1, "each waits for the disk");
			nstored = 0;
			used += n;
			continue;
		}
		if (queue_answer_next(a, &f.now, &piece, &n) != 1)
			break;
		cr_assert_leq(nstored, 1, "each waits for the disk");
		nstored = 0;
		if (n > 0)
			snprintf(text, sizeof(text), "%.*s",
			    (int)strcspn(piece, "\n"), piece);
	}
	queue_answer_free(a);
	return text;
}

static size_t
nfiles(void)
{
	char path[128];
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/deferred", f.path);
	cr_assert_not_null(dir = opendir(path));
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

static char large[100000];

/* 1 is deferred, with two of three recipients; 2 and 3 are new, 3 is large. */
static void
make_three(void)
{
	static const uint8_t notify[] = { 0, SPOOL_NOTIFY_SUCCESS |
		SPOOL_NOTIFY_DELAY, SPOOL_NOTIFY_NEVER };
	static const char *const orcpts[] = { NULL, "rfc822;B@x.test", NULL };
	const struct spool_envelope said = { .envid = "my id",
		.deliver_by = 2000000000, .priority = -3,
		.flags = SPOOL_ENV_8BITMIME | SPOOL_ENV_RET_HDRS |
		SPOOL_ENV_BY_TRACE | SPOOL_ENV_TLS_OPTIONAL |
		SPOOL_ENV_TLS_REPORT, .notify = notify, .orcpts = orcpts };

	memset(large, 'y', sizeof(large) - 1);
	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	qf_done(&f, f.agent, f.jobs[1].job.job, EACCES);
	qf_done(&f, f.agent, f.jobs[2].job.job, EACCES);
	f.njobs = 0;
	qf_pass(&f, 0);
	f.is_deaf = true;
	qf_append(&s, QF_ID(2), "", qf_three, 1, "two\r\n");
	qf_large(&f, &s, QF_ID(3), large, sizeof(large) - 1);
	qf_committed(&f, &s, true);
}

#define EXPORT		"{\"action\":\"export\"}"
#define REMOVE_ALL	"{\"action\":\"remove\",\"id\":\"all\"}"

static void
remove_all(void)
{
	free(qf_ask(&f, REMOVE_ALL));
	cr_assert_eq(qf_listed(&f), 0);
}

/* What is exported, but for the ids */
static void
expect_same(const char *x, const char *y, size_t len)
{
	const char *key = "\"id\":\"";
	size_t i = 0;

	while (i < len) {
		cr_assert_eq(x[i], y[i], "at %zu: %.80s\nand %.80s", i, x + i,
		    y + i);
		i++;
		if (i >= 6 && memcmp(x + i - 6, key, 6) == 0)
			i += SPOOL_ID_TEXT;
	}
}

Test(queue_import, what_was_exported_is_there_again)
{
	static const size_t steps[] = { 1, 7, 32768 };
	size_t i, len, again_len;
	char *first, *again;

	make_three();
	/* from now on all is deferred, as what is imported */
	f.is_deaf = false;
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	free(qf_ask(&f, "{\"action\":\"hold\",\"id\":\"all\"}"));
	first = stream(EXPORT, &len);
	remove_all();
	cr_assert_str_eq(imported(first, len, 4096),
	    "{\"imported\":4,\"messages\":3}");
	free(first);
	first = stream(EXPORT, &len);
	cr_expect_not_null(strstr(first, "{\"messages\":3,\"incomplete\":0}"));
	cr_expect_not_null(strstr(first, "\"orcpt\":\"rfc822;B@x.test\""));
	cr_expect_not_null(strstr(first, "\"notify\":[\"never\"]"));
	cr_expect_not_null(strstr(first, "\"envid\":\"my id\""));
	cr_expect_not_null(strstr(first, "\"body\":\"8bitmime\""));
	cr_expect_not_null(strstr(first, "\"deliver_by_trace\":true"));
	cr_expect_not_null(strstr(first, "\"tls_report\":true"));
	cr_expect_not_null(strstr(first, "\"priority\":-3"));
	cr_expect_not_null(strstr(first, "\"state\":\"hold\""));
	cr_expect_not_null(strstr(first, "\ntwo\r\n"));
	for (i = 0; i < 3; i++) {
		remove_all();
		cr_assert_str_eq(imported(first, len, steps[i]),
		    "{\"imported\":4,\"messages\":3}");
		again = stream(EXPORT, &again_len);
		cr_assert_eq(again_len, len);
		expect_same(first, again, len);
		free(again);
	}
	free(first);
	cr_expect_eq(nfiles(), 3);
}

Test(queue_import, it_is_delivered_also_after_a_restart)
{
	char *first;
	size_t len;

	make_three();
	first = stream(EXPORT, &len);
	remove_all();
	cr_assert_str_eq(imported(first, len, 512),
	    "{\"imported\":4,\"messages\":3}");
	free(first);
	qf_close(&f);
	spool_segment_close(&s.file);
	f.is_deaf = false;
	qf_open(&f);
	qf_pass(&f, 0);
	cr_expect_eq(f.njobs, 4);
	qf_finish(&f, 0);
	qf_pass(&f, 0);
	cr_expect_eq(qf_listed(&f), 0);
	cr_expect_eq(nfiles(), 0);
}

/* The rows are made again from the files. */
Test(queue_import, it_is_there_after_the_database_was_lost)
{
	char *first;
	size_t len;

	make_three();
	first = stream(EXPORT, &len);
	remove_all();
	cr_assert_str_eq(imported(first, len, 4096),
	    "{\"imported\":4,\"messages\":3}");
	free(first);
	qf_close(&f);
	cr_assert_eq(unlinkat(f.folder, "deferred.db", 0), 0);
	f.is_deaf = false;
	qf_open(&f);
	cr_expect_eq(qf_listed(&f), 3);
	qf_pass(&f, 0);
	cr_expect_eq(f.njobs, 4);
	cr_expect_eq(f.jobs[0].job.origin.segment, 0);
}

Test(queue_import, a_filter_chooses_what_is_exported)
{
	char *text;
	size_t len;

	make_three();
	text = stream("{\"action\":\"export\",\"filter\":{\"recipient\":"
	    "\"b@x.test\"}}", &len);
	cr_expect_not_null(strstr(text, "b@x.test"));
	cr_expect_null(strstr(text, "c@x.test"));
	cr_expect_not_null(strstr(text, "{\"messages\":1,\"incomplete\":0}"));
	free(text);
	text = stream("{\"action\":\"export\",\"filter\":{\"sender\":"
	    "\"nobody\"}}", &len);
	cr_expect_str_eq(text, "{\"messages\":0,\"incomplete\":0}\n");
	free(text);
}

/* A message that is delivered while it is being exported */
Test(queue_import, what_was_not_exported_whole_is_not_imported)
{
	struct queue_answer *a;
	char *all = malloc(500000);
	const char *piece;
	size_t len, total = 0;

	cr_assert_not_null(all);
	make_three();
	a = queue_control(f.q, EXPORT, strlen(EXPORT));
	while (total < 40000 && queue_answer_next(a, &f.now, &piece, &len) ==
	    1) {
		if (len > 0)
			memcpy(all + total, piece, len);
		total += len;
	}
	f.is_deaf = false;
	qf_pass(&f, 0);
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	while (queue_answer_next(a, &f.now, &piece, &len) == 1) {
		if (len > 0)
			memcpy(all + total, piece, len);
		total += len;
	}
	queue_answer_free(a);
	all[total] = '\0';
	cr_expect_not_null(strstr(all + total - 100,
	    "{\"messages\":2,\"incomplete\":1}"), "%s", all + total - 100);
	remove_all();
	cr_expect_str_eq(imported(all, total, 999),
	    "{\"imported\":3,\"messages\":2}");
	free(all);
}

/* Whatever comes: an error, nothing left behind, and what was complete is there. */
Test(queue_import, a_stream_that_ends_early_is_said)
{
	char *first;
	size_t len, at;

	make_three();
	first = stream("{\"action\":\"export\",\"filter\":{\"larger\":1}}",
	    &len);
	remove_all();
	for (at = 0; at < len; at += at < 2000 ? 50 : 30011) {
		cr_expect_not_null(strstr(imported(first, at, 5000),
		    "\"error\":"), "%zu", at);
		cr_expect_leq(nfiles(), 3);
		remove_all();
	}
	cr_expect_eq(nfiles(), 0);
	free(first);
}

Test(queue_import, what_is_no_export_is_refused)
{
#define ENVELOPE "{\"octets\":2,\"sender\":\"a@b\",\"recipients\":" \
	"[{\"recipient\":\"c@d\"}]}\n"
#define TAIL	"\n{\"complete\":true}\n{\"messages\":1}\n"
	static const char *const streams[] = { "x\n", "[]\n", "{}\n", "\n",
		"{\"octets\":-1}\n", "{\"octets\":\"9\"}\n",
		ENVELOPE "xyz" TAIL, ENVELOPE "x" TAIL,
		ENVELOPE "xy\n{\"complete\":7}\n",
		"{\"octets\":2}\nxy" TAIL,
		"{\"octets\":2,\"sender\":\"a@b\",\"recipients\":[]}\nxy" TAIL,
		"{\"octets\":2,\"sender\":\"a@b\",\"recipients\":[7]}\nxy" TAIL,
		"{\"octets\":2,\"sender\":\"a@b\",\"recipients\":"
		"[{\"recipient\":\"c@d\\n\"}]}\nxy" TAIL,
		"{\"octets\":2,\"sender\":\"a@b\",\"priority\":99,"
		"\"recipients\":[{\"recipient\":\"c@d\"}]}\nxy" TAIL,
		"{\"octets\":9000000000000000000,\"sender\":\"a@b\"}\n" };
	size_t i;

	for (i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		cr_expect_not_null(strstr(imported(streams[i],
		    strlen(streams[i]), 9), "{\"error\":\"message 1: "),
		    "%s: %s", streams[i], imported(streams[i],
		    strlen(streams[i]), 9));
		cr_expect_eq(qf_listed(&f), 0, "%s", streams[i]);
		cr_expect_eq(nfiles(), 0, "%s", streams[i]);
	}
	/* empty lines do not matter */
	cr_expect_str_eq(imported("\n\n" ENVELOPE "xy" TAIL, 2 +
	    strlen(ENVELOPE "xy" TAIL), 1), "{\"imported\":1,\"messages\":1}");
	qf_pass(&f, 0);
	cr_expect_eq(f.njobs, 1);
}

static struct queue_store_ops counting;

static int
import(void *store, const struct spool_view *view, int fd,
    const struct deferred_row *rows, size_t n, uint64_t *id_r)
{
	nstored++;
	return queue_spool_ops.import(store, view, fd, rows, n, id_r);
}

Test(queue_import, many_small_messages_are_stored_one_in_a_pass)
{
	static char all[100 * 128];
	size_t i, len = 0;

	qf_close(&f);
	counting = queue_spool_ops;
	counting.import = import;
	f.config.store = &counting;
	qf_open(&f);
	for (i = 0; i < 100; i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len,
		    ENVELOPE "xy\n{\"complete\":true}\n");
	len += (size_t)snprintf(all + len, sizeof(all) - len,
	    "{\"messages\":100}\n");
	cr_assert_lt(len, sizeof(all));
	cr_expect_str_eq(imported(all, len, 32768),
	    "{\"imported\":100,\"messages\":100}");
	cr_expect_eq(qf_listed(&f), 100);
}

/* As many of the shortest recipients as an envelope has room for */
Test(queue_import, the_longest_line_that_is_exported_is_imported)
{
	const size_t n = LIM_ENVELOPE_RCPTS / 4;
	char *first, *again, expected[64];
	size_t i, len, again_len;
	FILE *fp = open_memstream(&first, &len);

	cr_assert_not_null(fp);
	fputs("{\"octets\":1,\"sender\":\"\",\"recipients\":[", fp);
	for (i = 0; i < n; i++)
		fprintf(fp, "%s{\"recipient\":\"a\"}", i == 0 ? "" : ",");
	fputs("]}\nx\n{\"complete\":true}\n{\"messages\":1}\n", fp);
	fclose(fp);
	snprintf(expected, sizeof(expected), "{\"imported\":%zu,"
	    "\"messages\":1}", n);
	cr_assert_str_eq(imported(first, len, 32768), expected);
	free(first);
	again = stream(EXPORT, &again_len);
	/* what was tried would make it longer than any bound */
	cr_expect_null(strstr(again, "\"last_error\""));
	cr_expect_str_eq(imported(again, again_len, 32768), expected);
	free(again);
}

/* As a worker can leave it that is not one any more: no zeros come in its place. */
Test(queue_import, a_message_without_all_its_octets_is_left_out)
{
	char name[SPOOL_NAME], *text;
	size_t len;
	int fd;

	make_three();
	spool_body_name(QF_ID(3), name);
	fd = openat(f.incoming, name, O_WRONLY | O_CLOEXEC);
	cr_assert_neq(fd, -1);
	cr_assert_eq(ftruncate(fd, sizeof(large) - 2), 0);
	close(fd);
	text = stream(EXPORT, &len);
	cr_expect_null(strstr(text, "false"), "%s", text);
	cr_expect_not_null(strstr(text, "{\"messages\":2,\"incomplete\":1}"),
	    "%s", text);
	remove_all();
	cr_expect_str_eq(imported(text, len, 4096),
	    "{\"imported\":3,\"messages\":2}");
	free(text);
}

Test(queue_import, a_deferred_message_without_all_its_octets_is_left_out)
{
	char command[128], *text;
	size_t len;

	make_three();
	text = stream("{\"action\":\"export\",\"filter\":{\"larger\":90000}}",
	    &len);
	remove_all();
	cr_assert_str_eq(imported(text, len, 4096),
	    "{\"imported\":1,\"messages\":1}");
	free(text);
	snprintf(command, sizeof(command), "truncate -s -5000 %s/deferred/*",
	    f.path);
	cr_assert_eq(system(command), 0);
	text = stream(EXPORT, &len);
	cr_expect_str_eq(text, "{\"messages\":0,\"incomplete\":1}\n");
	free(text);
}

Test(queue_import, a_line_has_a_bound)
{
	char *line = malloc(LIM_ENVELOPE * 17);

	cr_assert_not_null(line);
	memset(line, ' ', LIM_ENVELOPE * 17);
	cr_expect_not_null(strstr(imported(line, LIM_ENVELOPE * 17, 32768),
	    "its line is too long"));
	free(line);
}
