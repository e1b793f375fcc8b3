/* Torn writes: segments that are cut or corrupted.  Whatever was done to a
 * segment, the reader reads every record that is still whole, in order.  It
 * reports every other record with its offset, and reads nothing else. */

#include <sys/mman.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/core/spool/spool_fixture.h"

#define NRECORDS	24
#define NDAMAGES	512

struct torn {
	struct spool_fixture	 f;
	struct spool_readbuf	*buf;
	uint64_t		 segment;
	char			*file;		/* as the writer left it */
	char			*bad;		/* the same, damaged */
	size_t			 octets;
	struct spool_record	 records[NRECORDS];
	uint64_t		 last_end;
	struct spool_damage	 damages[NDAMAGES];
	unsigned int		 ndamages;
	bool			 is_read[NRECORDS];
};

static const size_t sizes[] = { 0, 1, 50, 64, 500, 4096, 9000, 20000, 3000,
	129 };

static void
read_originals(struct torn *t)
{
	struct spool_reader *r;
	struct spool_view v;
	struct spool_damage d;
	int fd = fixture_memfile(t->file, t->octets);
	unsigned int n = 0;

	r = spool_reader_new(fd, t->buf, 0);
	cr_assert_not_null(r);
	while (spool_reader_next(r, SPOOL_TO_END, &v, &d) == 1) {
		cr_assert_lt(n, NRECORDS);
		t->records[n++] = v.record;
	}
	cr_assert_eq(n, NRECORDS);
	t->last_end = t->records[n - 1].end;
	cr_assert_eq(spool_reader_next(r, SPOOL_TO_END, &v, &d), 0);
	spool_reader_free(r);
	(void)close(fd);
}

static void
torn_init(struct torn *t)
{
	uint64_t i;

	memset(t, 0, sizeof(*t));
	fixture_init(&t->f);
	fixture_open(&t->f);
	for (i = 0; i < NRECORDS; i++) {
		cr_assert_eq(fixture_send(&t->f, i,
		    sizes[i % (sizeof(sizes) / sizeof(sizes[0]))]), 0);
		fixture_wait(&t->f, i);
		cr_assert_eq(t->f.error[i], 0);
	}
	fixture_close(&t->f);
	cr_assert_eq(fixture_count(&t->f, SPOOL_ENTRY_SEGMENT, &t->segment), 1);
	t->file = fixture_load(&t->f, t->segment, &t->octets);
	t->bad = malloc(t->octets);
	t->buf = spool_readbuf_new();
	read_originals(t);
	memcpy(t->bad, t->file, t->octets);
}

static void
torn_free(struct torn *t)
{
	spool_readbuf_free(t->buf);
	free(t->file);
	free(t->bad);
	fixture_free(&t->f);
}

/* Check that ${v} is one of the records written, octet for octet. */
static void
check_view(struct torn *t, const struct spool_view *v, unsigned int *next)
{
	char *body;
	unsigned int i;

	for (i = *next; i < NRECORDS; i++)
		if (t->records[i].id == v->record.id)
			break;
	cr_assert_lt(i, NRECORDS, "invented, or out of order");
	cr_assert_eq(v->record.offset, t->records[i].offset);
	cr_assert_eq(v->record.body_octets, t->records[i].body_octets);
	body = malloc(v->record.body_octets + 1);
	fixture_body(body, i, v->record.body_octets);
	cr_assert_not_null(v->body);
	cr_assert_eq(memcmp(v->body, body, v->record.body_octets), 0);
	free(body);
	cr_assert_str_eq(v->envelope.sender, "sender@example.net");
	cr_assert_eq(v->envelope.nrcpts, 1 + i % 2);
	t->is_read[i] = true;
	*next = i + 1;
}

static void
read_bad(struct torn *t, size_t octets, uint64_t limit)
{
	struct spool_reader *r;
	struct spool_view v;
	unsigned int next = 0;
	int fd, rv;

	memset(t->is_read, 0, sizeof(t->is_read));
	t->ndamages = 0;
	fd = fixture_memfile(t->bad, octets);
	r = spool_reader_new(fd, t->buf, 0);
	cr_assert_not_null(r);
	while ((rv = spool_reader_next(r, limit, &v,
	    &t->damages[t->ndamages])) != 0) {
		if (rv == 1) {
			check_view(t, &v, &next);
			continue;
		}
		cr_assert_eq(errno, EBADMSG);
		cr_assert_not_null(t->damages[t->ndamages].what);
		cr_assert_lt(++t->ndamages, NDAMAGES);
	}
	cr_assert_eq(spool_reader_next(r, limit, &v, &t->damages[0]), 0);
	spool_reader_free(r);
	(void)close(fd);
}

static uint64_t
data_end(const struct spool_record *r)
{
	return (r->offset + SPOOL_RECORD_HEADER + r->envelope_octets +
	    r->body_octets);
}

static bool
is_reported(const struct torn *t, uint64_t offset)
{
	unsigned int i;

	for (i = 0; i < t->ndamages; i++)
		if (offset >= t->damages[i].offset &&
		    offset < t->damages[i].offset + t->damages[i].octets)
			return (true);
	return (false);
}

/* Compare what was read with what is whole in t->bad. */
static void
check_result(struct torn *t, size_t octets, const char *what, uint64_t at)
{
	const struct spool_record *r;
	unsigned int i;
	bool is_whole;

	for (i = 0; i < NRECORDS; i++) {
		r = &t->records[i];
		is_whole = data_end(r) <= octets && memcmp(t->bad + r->offset,
		    t->file + r->offset, data_end(r) - r->offset) == 0;
		cr_assert_eq(t->is_read[i], is_whole,
		    "%s at %llu: record %u %s", what, (unsigned long long)at,
		    i, is_whole ? "is whole and was not read" : "was read");
		if (!is_whole)
			cr_assert(is_reported(t, r->offset),
			    "%s at %llu: record %u lost without a word", what,
			    (unsigned long long)at, i);
	}
}

static void
mutate_and_check(struct torn *t, const char *what, uint64_t at)
{
	read_bad(t, t->octets, SPOOL_TO_END);
	check_result(t, t->octets, what, at);
	read_bad(t, t->octets, t->last_end);
	check_result(t, t->octets, what, at);
	memcpy(t->bad, t->file, t->octets);
}

Test(spool_torn, a_sound_segment_is_read_whole_and_without_complaint)
{
	struct torn t;

	torn_init(&t);
	read_bad(&t, t.octets, SPOOL_TO_END);
	check_result(&t, t.octets, "nothing", 0);
	cr_assert_eq(t.ndamages, 0);
	read_bad(&t, t.octets, t.last_end);
	check_result(&t, t.octets, "nothing", 0);
	cr_assert_eq(t.ndamages, 0);
	torn_free(&t);
}

static void
cut_at(struct torn *t, size_t at)
{
	read_bad(t, at, SPOOL_TO_END);
	check_result(t, at, "cut", at);
	cr_assert_gt(t->ndamages, 0, "cut at %zu not reported", at);
	read_bad(t, at, t->last_end);
	check_result(t, at, "cut", at);
}

Test(spool_torn, cut_at_every_record_boundary_and_around_it)
{
	struct torn t;
	unsigned int i;
	int d;

	torn_init(&t);
	for (i = 0; i < NRECORDS; i++) {
		for (d = -65; d <= 65; d++)
			if (t.records[i].offset + (uint64_t)d >= SPOOL_PAGE)
				cut_at(&t, t.records[i].offset + (uint64_t)d);
		cut_at(&t, data_end(&t.records[i]));
	}
	cut_at(&t, t.last_end + SPOOL_RECORD_HEADER);
	torn_free(&t);
}

Test(spool_torn, the_tail_zeroed_or_overwritten_from_every_record_boundary)
{
	struct torn t;
	unsigned int i;
	uint64_t at;

	torn_init(&t);
	for (i = 0; i < NRECORDS; i++) {
		at = t.records[i].offset;
		memset(t.bad + at, 0, t.octets - at);
		mutate_and_check(&t, "zeros from", at);
		fixture_body(t.bad + at, at, t.octets - at);
		mutate_and_check(&t, "garbage from", at);
	}
	torn_free(&t);
}

Test(spool_torn, any_record_or_its_header_zeroed_or_overwritten)
{
	struct torn t;
	unsigned int i, j;
	const struct spool_record *r;

	torn_init(&t);
	for (i = 0; i < NRECORDS; i++) {
		r = &t.records[i];
		memset(t.bad + r->offset, 0, r->end - r->offset);
		mutate_and_check(&t, "record zeroed", r->offset);
		fixture_body(t.bad + r->offset, i, SPOOL_RECORD_HEADER);
		mutate_and_check(&t, "header overwritten", r->offset);
		for (j = 0; j < SPOOL_RECORD_HEADER; j++) {
			t.bad[r->offset + j] ^= 0x40;
			mutate_and_check(&t, "header octet", r->offset + j);
		}
		fixture_body(t.bad + r->offset + SPOOL_RECORD_HEADER, i,
		    r->envelope_octets);
		mutate_and_check(&t, "envelope overwritten", r->offset);
	}
	torn_free(&t);
}

Test(spool_torn, records_lost_in_pages_as_a_power_cut_leaves_them)
{
	struct torn t;
	uint64_t seed = 3, page;
	int round;

	torn_init(&t);
	for (round = 0; round < 300; round++) {
		for (page = SPOOL_PAGE; page < t.octets; page += 4096)
			if (fixture_random(&seed) % 4 == 0)
				memset(t.bad + page, 0, 4096);
		mutate_and_check(&t, "pages lost, round", (uint64_t)round);
	}
	torn_free(&t);
}

Test(spool_torn, random_octets_changed)
{
	struct torn t;
	uint64_t seed = 1, at = 0, n;
	int round;

	torn_init(&t);
	for (round = 0; round < 1000; round++) {
		n = 1 + fixture_random(&seed) % 8;
		while (n-- > 0) {
			at = SPOOL_PAGE + fixture_random(&seed) %
			    (t.last_end - SPOOL_PAGE);
			t.bad[at] ^= (char)(1 + fixture_random(&seed) % 255);
		}
		mutate_and_check(&t, "random octets, last", at);
	}
	torn_free(&t);
}

Test(spool_torn, random_stretches_overwritten_and_the_file_cut)
{
	struct torn t;
	uint64_t seed = 2, at, n;
	size_t cut;
	int round;

	torn_init(&t);
	for (round = 0; round < 500; round++) {
		at = SPOOL_PAGE + fixture_random(&seed) % (t.octets - 20000);
		n = fixture_random(&seed) % 16000;
		fixture_body(t.bad + at, seed, n);
		cut = SPOOL_PAGE + fixture_random(&seed) %
		    (t.octets - SPOOL_PAGE);
		read_bad(&t, cut, SPOOL_TO_END);
		check_result(&t, cut, "stretch and cut", at);
		memcpy(t.bad, t.file, t.octets);
	}
	torn_free(&t);
}

Test(spool_torn, either_header_copy_lost_is_reported_and_loses_nothing)
{
	struct torn t;

	torn_init(&t);
	memset(t.bad, 0, 64);
	read_bad(&t, t.octets, SPOOL_TO_END);
	check_result(&t, t.octets, "first header", 0);
	cr_assert_eq(t.ndamages, 1);
	cr_assert_eq(t.damages[0].offset, 0);
	memcpy(t.bad, t.file, t.octets);
	t.bad[SPOOL_COPY_OFFSET + 20] ^= 1;
	read_bad(&t, t.octets, SPOOL_TO_END);
	check_result(&t, t.octets, "second header", 0);
	cr_assert_eq(t.ndamages, 1);
	cr_assert_eq(t.damages[0].offset, SPOOL_COPY_OFFSET);
	torn_free(&t);
}

Test(spool_torn, no_prefix_of_a_segment_without_its_header_is_read)
{
	struct torn t;
	size_t n;
	int fd;

	torn_init(&t);
	for (n = 0; n < SPOOL_PAGE; n += 100) {
		fd = fixture_memfile(t.file, n);
		cr_assert_null(spool_reader_new(fd, t.buf, 0));
		cr_assert_eq(errno, EBADMSG);
		(void)close(fd);
	}
	torn_free(&t);
}

/* Make a body that looks like records: those of the older generation at the
 * offset where they were, the same at other offsets, and records with a guessed
 * nonce. */
static void
forge(struct torn *t, char *body, size_t octets, uint64_t offset)
{
	struct spool_record guess = t->records[3];
	uint64_t at;

	for (at = 0; at + SPOOL_ALIGN <= octets; at += SPOOL_ALIGN) {
		memcpy(body + at, t->file + t->records[5].offset, SPOOL_ALIGN);
		guess.offset = offset + at;
		if (at % 3 == 1)
			spool_record_encode(&guess, at, (unsigned char *)body +
			    at);
	}
	memcpy(body, t->file + offset, octets);
}

static struct spool_header
next_generation(struct torn *t)
{
	struct spool_header h;
	int fd;

	fd = spool_segment_open(t->f.dirfd, t->segment, &h);
	cr_assert_neq(fd, -1);
	cr_assert_eq(spool_segment_recycle(t->f.dirfd, fd, &h, true), 0);
	(void)close(fd);
	return (h);
}

Test(spool_torn, records_of_an_older_generation_in_a_body_are_not_taken)
{
	struct timeval now = { .tv_sec = 1700000000 };
	static const char *const rcpts[] = { "a@example.test" };
	struct spool_envelope env = { .sender = "s@example.net", .rcpts = rcpts,
		.nrcpts = 1, .session = "S", .client = "c", .helo = "h",
		.received = now };
	struct spool_reader *r;
	struct spool_damage d;
	struct spool_view v;
	struct spool_msg *msg;
	struct torn t;
	char body[30000], *file, name[SPOOL_NAME];
	uint64_t offset, seg;
	size_t octets;
	int fd, rv, n = 0;

	torn_init(&t);
	/* The writer shall have only one free segment to take. */
	cr_assert_eq(fixture_count(&t.f, SPOOL_ENTRY_FREE, &seg), 1);
	spool_segment_name("free", seg, name);
	cr_assert_eq(unlinkat(t.f.dirfd, name, 0), 0);
	(void)next_generation(&t);
	fixture_open(&t.f);
	/* The body gets the offset in the segment that it was copied from. */
	offset = SPOOL_PAGE + SPOOL_RECORD_HEADER + spool_envelope_octets(&env);
	forge(&t, body, sizeof(body), offset);
	cr_assert_eq(spool_writer_ops.begin(t.f.w, 0, &now, &msg), 0);
	cr_assert_eq(spool_writer_ops.append(msg, body, sizeof(body)), 0);
	cr_assert_eq(spool_writer_ops.commit(msg, &env), 0);
	fixture_wait(&t.f, 0);
	cr_assert_eq(t.f.positions[t.f.npositions - 1].segment, t.segment);
	cr_assert_eq(t.f.positions[t.f.npositions - 1].generation, 2);
	file = fixture_load(&t.f, t.segment, &octets);
	cr_assert_eq(memcmp(file + offset, body, sizeof(body)), 0);
	fd = fixture_memfile(file, octets);
	r = spool_reader_new(fd, t.buf, 0);
	cr_assert_eq(spool_reader_next(r, SPOOL_TO_END, &v, &d), 1);
	cr_assert_eq(v.record.body_octets, sizeof(body));
	cr_assert_eq(spool_reader_next(r, SPOOL_TO_END, &v, &d), 0);
	spool_reader_free(r);
	(void)close(fd);
	/* When the record's header is damaged, the reader searches the body. */
	file[SPOOL_PAGE + 20] ^= 1;
	fd = fixture_memfile(file, octets);
	r = spool_reader_new(fd, t.buf, 0);
	while ((rv = spool_reader_next(r, SPOOL_TO_END, &v, &d)) != 0) {
		cr_assert_eq(rv, -1, "a forged record was read");
		n++;
	}
	cr_assert_gt(n, 0);
	spool_reader_free(r);
	(void)close(fd);
	free(file);
	torn_free(&t);
}
