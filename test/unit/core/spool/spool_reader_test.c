#include "core/spool/spool_reader.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/core/spool/spool_fixture.h"

static struct spool_reader *
open_reader(struct spool_fixture *f, struct spool_readbuf *buf, int *fd_r)
{
	struct spool_header h;
	struct spool_reader *r;
	uint64_t id;

	(void)fixture_count(f, SPOOL_ENTRY_SEGMENT, &id);
	cr_assert_gt(f->npositions, 0);
	*fd_r = spool_segment_open(f->dirfd, f->positions[0].segment, &h);
	cr_assert_neq(*fd_r, -1);
	r = spool_reader_new(*fd_r, buf, 0);
	cr_assert_not_null(r);
	return (r);
}

static void
send_all(struct spool_fixture *f, uint64_t from, uint64_t to, size_t octets)
{
	uint64_t i;

	for (i = from; i < to; i++)
		cr_assert_eq(fixture_send(f, i, octets), 0);
	for (i = from; i < to; i++)
		fixture_wait(f, i);
}

Test(spool_reader, follows_a_writer_up_to_what_is_durable)
{
	struct spool_readbuf *buf = spool_readbuf_new();
	struct spool_reader *r;
	struct spool_fixture f;
	struct spool_damage d;
	struct spool_view v;
	uint64_t end, i;
	int fd;

	fixture_init(&f);
	fixture_open(&f);
	send_all(&f, 0, 1, 100);
	r = open_reader(&f, buf, &fd);
	for (i = 0; i < 20; i++) {
		end = f.positions[f.npositions - 1].end;
		cr_assert_eq(spool_reader_next(r, end, &v, &d), 1);
		cr_assert_eq(v.record.seq, i + 1);
		cr_assert_eq(spool_reader_tell(r), end);
		cr_assert_eq(spool_reader_next(r, end, &v, &d), 0);
		send_all(&f, i + 1, i + 2, 1000 * i);
	}
	spool_reader_free(r);
	spool_readbuf_free(buf);
	(void)close(fd);
	fixture_free(&f);
}

Test(spool_reader, two_readers_share_a_buffer)
{
	struct spool_readbuf *buf = spool_readbuf_new();
	struct spool_reader *a, *b;
	struct spool_fixture f;
	struct spool_damage d;
	struct spool_view v;
	uint64_t end;
	int fd, fd2, i;

	fixture_init(&f);
	fixture_open(&f);
	send_all(&f, 0, 10, 3000);
	end = f.positions[f.npositions - 1].end;
	a = open_reader(&f, buf, &fd);
	b = open_reader(&f, buf, &fd2);
	for (i = 0; i < 10; i++) {
		cr_assert_eq(spool_reader_next(a, end, &v, &d), 1);
		cr_assert_eq(v.record.seq, i + 1);
		cr_assert_eq(spool_reader_at(b, v.record.offset, &v, &d), 1);
		cr_assert_eq(v.record.seq, i + 1);
	}
	spool_reader_free(a);
	spool_reader_free(b);
	spool_readbuf_free(buf);
	(void)close(fd);
	(void)close(fd2);
	fixture_free(&f);
}

Test(spool_reader, a_wrong_offset_is_damage)
{
	static const uint64_t wrong[] = { 0, 1, SPOOL_PAGE + 1, SPOOL_PAGE +
		SPOOL_ALIGN, 1 << 20, UINT64_MAX, UINT64_MAX - 63 };
	struct spool_readbuf *buf = spool_readbuf_new();
	struct spool_reader *r;
	struct spool_fixture f;
	struct spool_damage d;
	struct spool_view v;
	size_t i;
	int fd;

	fixture_init(&f);
	fixture_open(&f);
	send_all(&f, 0, 1, 5000);
	r = open_reader(&f, buf, &fd);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		cr_assert_eq(spool_reader_at(r, wrong[i], &v, &d), -1);
		cr_assert_eq(errno, EBADMSG);
		cr_assert_eq(d.offset, wrong[i]);
	}
	cr_assert_eq(spool_reader_at(r, SPOOL_PAGE, &v, &d), 1);
	spool_reader_free(r);
	spool_readbuf_free(buf);
	(void)close(fd);
	fixture_free(&f);
}

/* The message of ${handle} through spool_message_write() and back. */
static void
copy_and_compare(struct spool_fixture *f, uint64_t handle, size_t octets)
{
	struct spool_readbuf *buf = spool_readbuf_new();
	struct spool_reader *r;
	struct spool_damage d;
	struct spool_view v;
	const struct spool_origin origin = { .segment = 4097, .generation = 3,
		.seq = 17 };
	struct spool_origin found;
	char *body = malloc(octets + 1), name[SPOOL_NAME];
	int fd, fd2, body_fd = -1;

	r = open_reader(f, buf, &fd);
	cr_assert_eq(spool_reader_next(r, SPOOL_TO_END, &v, &d), 1);
	if (v.record.flags & SPOOL_RECORD_LARGE) {
		spool_body_name(v.record.id, name);
		body_fd = openat(f->dirfd, name, O_RDONLY);
		cr_assert_neq(body_fd, -1);
		cr_assert_eq(spool_body_copy(body_fd, 0, v.record.body_octets,
		    v.record.body_sum, -1), 0);
	}
	cr_assert_eq(spool_message_write(f->dirfd, "copy", &v, 99, &origin, fd,
	    body_fd, true), 0);
	spool_reader_free(r);
	fd2 = openat(f->dirfd, "copy", O_RDONLY);
	cr_assert_neq(fd2, -1);
	r = spool_reader_new(fd2, buf, 0);
	cr_assert_not_null(r);
	cr_assert_eq(spool_reader_at(r, SPOOL_PAGE, &v, &d), 1);
	cr_assert_eq(v.record.flags & SPOOL_RECORD_LARGE, 0);
	cr_assert_eq(v.record.body_octets, octets);
	cr_assert_eq(v.record.id, 99);
	spool_message_origin(spool_reader_header(r), &v.record, &found);
	cr_assert_eq(found.segment, origin.segment);
	cr_assert_eq(found.generation, origin.generation);
	cr_assert_eq(found.seq, origin.seq);
	cr_assert_eq(v.envelope.nrcpts, 1 + handle % 2);
	fixture_body(body, handle, octets);
	if (v.body != NULL)
		cr_assert_eq(memcmp(v.body, body, octets), 0);
	cr_assert_eq(spool_body_copy(fd2, v.record.body_offset, octets,
	    spool_sum(body, octets), -1), 0);
	cr_assert_eq(spool_reader_next(r, SPOOL_TO_END, &v, &d), 1);
	cr_assert_eq(spool_reader_next(r, SPOOL_TO_END, &v, &d), 0);
	spool_reader_free(r);
	spool_readbuf_free(buf);
	free(body);
	(void)close(fd);
	(void)close(fd2);
	if (body_fd != -1)
		(void)close(body_fd);
}

Test(spool_reader, a_message_gets_a_file_of_its_own)
{
	static const size_t octets[] = { 0, 1, 4096, 30000, 32769, 200000,
		3000000 };
	struct spool_fixture f;
	size_t i;

	for (i = 0; i < sizeof(octets) / sizeof(octets[0]); i++) {
		fixture_init(&f);
		fixture_open(&f);
		send_all(&f, i, i + 1, octets[i]);
		cr_assert_eq(f.error[i], 0);
		copy_and_compare(&f, i, octets[i]);
		fixture_free(&f);
	}
}

Test(spool_reader, a_damaged_body_does_not_become_a_file)
{
	struct spool_readbuf *buf = spool_readbuf_new();
	struct spool_reader *r;
	struct spool_fixture f;
	struct spool_damage d;
	const struct spool_origin origin = { .segment = 4097, .generation = 1,
		.seq = 1 };
	struct spool_view v;
	char name[SPOOL_NAME];
	int fd, body_fd;

	fixture_init(&f);
	fixture_open(&f);
	send_all(&f, 0, 1, 500000);
	r = open_reader(&f, buf, &fd);
	cr_assert_eq(spool_reader_next(r, SPOOL_TO_END, &v, &d), 1);
	spool_body_name(v.record.id, name);
	body_fd = openat(f.dirfd, name, O_RDWR);
	cr_assert_eq(pwrite(body_fd, "X", 1, 400000), 1);
	cr_assert_eq(spool_message_write(f.dirfd, "copy", &v, 99, &origin,
	    fd, body_fd, false), -1);
	cr_assert_eq(errno, EBADMSG);
	cr_assert_eq(ftruncate(body_fd, 1000), 0);
	cr_assert_eq(spool_message_write(f.dirfd, "copy", &v, 99, &origin,
	    fd, body_fd, false), -1);
	cr_assert_eq(errno, EBADMSG);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_OTHER, NULL), 0);
	spool_reader_free(r);
	spool_readbuf_free(buf);
	(void)close(fd);
	(void)close(body_fd);
	fixture_free(&f);
}
