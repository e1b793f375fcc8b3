#include "core/spool/spool_segment.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "test/lib/segment.h"
#include "test/unit/core/spool/spool_fixture.h"

#define SIZE	(128 * 1024)

static void
make(struct spool_fixture *f, uint64_t id, struct spool_segment *s)
{
	fixture_init(f);
	cr_assert_eq(segment_create(f->dirfd, id, SIZE, true, s), 0);
}

Test(spool_segment, a_new_one_is_whole_locked_and_empty)
{
	struct spool_fixture f;
	struct spool_segment s;
	struct spool_header h;
	struct stat st;
	int fd;

	make(&f, 77, &s);
	cr_assert_eq(fstat(s.fd, &st), 0);
	cr_assert_eq(st.st_size, SIZE);
	cr_assert_geq(st.st_blocks * 512, SIZE);
	cr_assert_eq(st.st_mode & 0777, 0600);
	fd = spool_segment_open(f.dirfd, 77, &h);
	cr_assert_neq(fd, -1);
	cr_assert_eq(h.generation, 1);
	cr_assert_eq(h.nonce, s.header.nonce);
	cr_assert_eq(spool_segment_lock(fd), -1);
	cr_assert_eq(errno, EWOULDBLOCK);
	spool_segment_close(&s);
	cr_assert_eq(spool_segment_lock(fd), 0);
	(void)close(fd);
	fixture_free(&f);
}

Test(spool_segment, one_that_is_in_use_is_not_recycled)
{
	struct spool_fixture f;
	struct spool_segment s;
	struct spool_header h;
	int fd;

	make(&f, 77, &s);
	fd = spool_segment_open(f.dirfd, 77, &h);
	cr_assert_eq(spool_segment_recycle(f.dirfd, fd, &h, true), -1);
	cr_assert_eq(errno, EWOULDBLOCK);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 0);
	(void)close(fd);
	spool_segment_close(&s);
	fixture_free(&f);
}

Test(spool_segment, recycling_gives_a_new_generation_that_can_be_taken)
{
	struct spool_fixture f;
	struct spool_segment s;
	struct spool_header h;
	uint64_t nonce;
	int fd;

	make(&f, 77, &s);
	nonce = s.header.nonce;
	cr_assert_eq(spool_segment_take(f.dirfd, 77, SIZE, &s), -1);
	cr_assert_eq(errno, ENOENT);
	spool_segment_close(&s);
	fd = spool_segment_open(f.dirfd, 77, &h);
	cr_assert_eq(spool_segment_recycle(f.dirfd, fd, &h, true), 0);
	cr_assert_eq(h.generation, 2);
	cr_assert_neq(h.nonce, nonce);
	/* ${fd} still has the lock of the segment. */
	cr_assert_eq(spool_segment_take(f.dirfd, 77, SIZE, &s), -1);
	(void)close(fd);
	cr_assert_eq(spool_segment_take(f.dirfd, 77, SIZE, &s), 0);
	cr_assert_eq(s.header.generation, 2);
	cr_assert_eq(s.header.nonce, h.nonce);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_SEGMENT, NULL), 1);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 0);
	spool_segment_untake(f.dirfd, &s);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 1);
	fixture_free(&f);
}

Test(spool_segment, a_writer_takes_no_segment_of_another_and_reads_none)
{
	struct spool_fixture f;
	struct spool_segment s;
	char octet;

	make(&f, 1UL << 12 | 77, &s);
	cr_assert_eq(pread(s.fd, &octet, 1, 0), -1);
	cr_assert_eq(errno, EBADF);
	spool_segment_untake(f.dirfd, &s);
	cr_assert_eq(spool_segment_take(f.dirfd, 78, SIZE, &s), -1);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 1);
	cr_assert_eq(spool_segment_take(f.dirfd, 77, SIZE, &s), 0);
	cr_assert_eq(pread(s.fd, &octet, 1, 0), -1);
	cr_assert_eq(errno, EBADF);
	spool_segment_untake(f.dirfd, &s);
	spool_free_remove_of(f.dirfd, 78);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 1);
	spool_free_remove_of(f.dirfd, 77);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 0);
	fixture_free(&f);
}

Test(spool_segment, free_ones_of_another_size_or_damaged_are_removed)
{
	struct spool_fixture f;
	struct spool_segment s;
	char name[SPOOL_NAME];
	int fd;

	make(&f, 77, &s);
	spool_segment_untake(f.dirfd, &s);
	cr_assert_eq(spool_segment_take(f.dirfd, 77, 2 * SIZE, &s), -1);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 0);
	spool_segment_name("free", 77 + 4096, name);
	fd = openat(f.dirfd, name, O_WRONLY | O_CREAT, 0600);
	cr_assert_eq(write(fd, "rubbish", 7), 7);
	(void)close(fd);
	cr_assert_eq(spool_segment_take(f.dirfd, 77, SIZE, &s), -1);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 0);
	fixture_free(&f);
}

/* Give the segment ${id} the header that version 1 wrote. */
static void
make_early(struct spool_fixture *f, const char *prefix, uint64_t id)
{
	unsigned char page[SPOOL_PAGE];
	char name[SPOOL_NAME];
	uint64_t sum;
	int fd;

	spool_segment_name(prefix, id, name);
	fd = openat(f->dirfd, name, O_RDWR);
	cr_assert_eq(pread(fd, page, sizeof(page), 0), sizeof(page));
	page[8] = 1;
	sum = htole64(spool_sum(page, 56));
	memcpy(page + 56, &sum, sizeof(sum));
	memcpy(page + SPOOL_COPY_OFFSET, page, 64);
	cr_assert_eq(pwrite(fd, page, sizeof(page), 0), sizeof(page));
	(void)close(fd);
}

/* A version that does not know the records of this one must not find them in a
 * segment that it takes for one of its own. */
Test(spool_segment, one_of_an_earlier_version_is_read_and_not_written)
{
	struct spool_fixture f;
	struct spool_segment s;
	struct spool_header h;
	int fd;

	make(&f, 77, &s);
	spool_segment_close(&s);
	make_early(&f, "seg", 77);
	fd = spool_segment_open(f.dirfd, 77, &h);
	cr_assert_neq(fd, -1);
	cr_assert_eq(h.version, 1);
	/* its messages are done */
	cr_assert_eq(spool_segment_recycle(f.dirfd, fd, &h, true), 0);
	(void)close(fd);
	cr_assert_eq(spool_segment_take(f.dirfd, 77, SIZE, &s), 0);
	cr_assert_eq(s.header.version, SPOOL_FORMAT_VERSION);
	spool_segment_untake(f.dirfd, &s);
	/* one that the earlier version has recycled */
	make_early(&f, "free", 77);
	cr_assert_eq(spool_segment_take(f.dirfd, 77, SIZE, &s), -1);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 0);
	fixture_free(&f);
}

Test(spool_segment, one_that_was_cut_short_is_not_used_again)
{
	struct spool_fixture f;
	struct spool_segment s;
	struct spool_header h;
	int fd;

	make(&f, 77, &s);
	cr_assert_eq(ftruncate(s.fd, SIZE / 2), 0);
	spool_segment_close(&s);
	fd = spool_segment_open(f.dirfd, 77, &h);
	cr_assert_eq(spool_segment_recycle(f.dirfd, fd, &h, true), 0);
	(void)close(fd);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_FREE, NULL), 0);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_SEGMENT, NULL), 0);
	fixture_free(&f);
}

Test(spool_segment, a_header_under_the_name_of_another_is_damage)
{
	struct spool_fixture f;
	struct spool_segment s;
	struct spool_header h;
	char from[SPOOL_NAME], to[SPOOL_NAME];

	make(&f, 77, &s);
	spool_segment_name("seg", 77, from);
	spool_segment_name("seg", 78, to);
	cr_assert_eq(renameat(f.dirfd, from, f.dirfd, to), 0);
	cr_assert_eq(spool_segment_open(f.dirfd, 77, &h), -1);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(spool_segment_open(f.dirfd, 78, &h), -1);
	cr_assert_eq(errno, EBADMSG);
	spool_segment_close(&s);
	fixture_free(&f);
}

Test(spool_segment, names_that_are_not_ours_are_told_as_other)
{
	static const char *const other[] = { "seg.1", "seg.00000000000000zz",
		"seg.0000000000000001x", "body.x", "SEG.0000000000000001",
		"body.000000000000U", "segment" };
	struct spool_fixture f;
	size_t i;

	fixture_init(&f);
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		(void)close(openat(f.dirfd, other[i], O_WRONLY | O_CREAT,
		    0600));
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_OTHER, NULL), i);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_SEGMENT, NULL), 0);
	cr_assert_eq(fixture_count(&f, SPOOL_ENTRY_BODY, NULL), 0);
	fixture_free(&f);
}

Test(spool_segment, usage_counts_all_files_but_the_reserve)
{
	struct spool_fixture f;
	struct spool_segment s, t;
	uint64_t octets, idle;
	char name[SPOOL_NAME];
	int fd;

	make(&f, 77, &s);
	cr_assert_eq(segment_create(f.dirfd, 78, SIZE, false, &t), 0);
	spool_segment_untake(f.dirfd, &t);
	spool_body_name(9, name);
	fd = openat(f.dirfd, name, O_WRONLY | O_CREAT, 0600);
	cr_assert_eq(write(fd, "12345", 5), 5);
	(void)close(fd);
	cr_assert_eq(spool_reserve_make(f.dirfd), 0);
	cr_assert_eq(spool_usage(f.dirfd, &octets, &idle), 0);
	cr_assert_eq(octets, 2 * SIZE + 5);
	cr_assert_eq(idle, SIZE);
	cr_assert_eq(spool_free_remove(f.dirfd), 0);
	cr_assert_eq(spool_free_remove(f.dirfd), -1);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(spool_usage(f.dirfd, &octets, &idle), 0);
	cr_assert_eq(octets, SIZE + 5);
	/* a hole takes nothing */
	spool_body_name(10, name);
	fd = openat(f.dirfd, name, O_WRONLY | O_CREAT, 0600);
	cr_assert_eq(ftruncate(fd, 1 << 30), 0);
	(void)close(fd);
	cr_assert_eq(spool_usage(f.dirfd, &octets, &idle), 0);
	cr_assert_eq(octets, SIZE + 5);
	spool_segment_close(&s);
	fixture_free(&f);
}
