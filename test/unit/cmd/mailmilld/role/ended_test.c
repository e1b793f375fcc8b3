#include <sys/mman.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/ended.h"

struct both {
	struct ended	*worker;
	struct ended	*master;
	int		 fd;
};

static void
both_init(struct both *b)
{
	b->fd = ended_create();
	cr_assert_neq(b->fd, -1);
	b->worker = ended_attach(b->fd);
	b->master = ended_attach(b->fd);
	cr_assert_not_null(b->worker);
	cr_assert_not_null(b->master);
}

static void
both_free(struct both *b)
{
	ended_free(b->worker);
	ended_free(b->master);
	(void)close(b->fd);
}

Test(ended, handles_come_in_order_across_the_end_of_the_ring)
{
	struct both b;
	uint64_t handle, in = 0, out = 0;
	int i;

	both_init(&b);
	cr_assert(!ended_get(b.master, &handle));
	while (in < 5 * ENDED_MAX) {
		for (i = 0; i < 700; i++)
			cr_assert(ended_put(b.worker, ++in));
		while (ended_get(b.master, &handle))
			cr_assert_eq(handle, ++out);
		cr_assert_eq(out, in);
	}
	both_free(&b);
}

Test(ended, a_full_one_takes_no_more_until_it_is_read)
{
	struct both b;
	uint64_t handle;
	int i;

	both_init(&b);
	for (i = 0; i < ENDED_MAX; i++)
		cr_assert(ended_put(b.worker, 1));
	cr_assert(!ended_put(b.worker, 2));
	cr_assert(ended_get(b.master, &handle));
	cr_assert(ended_put(b.worker, 3));
	cr_assert(!ended_put(b.worker, 4));
	both_free(&b);
}

Test(ended, what_is_taken_is_counted)
{
	struct both b;
	int i;

	both_init(&b);
	cr_assert_eq(ended_taken(b.master), 0);
	for (i = 0; i < 3; i++)
		ended_take(b.worker);
	cr_assert_eq(ended_taken(b.master), 3);
	both_free(&b);
}

/* A worker that has been taken over may write what it likes. */
Test(ended, whatever_is_in_the_memory_the_reader_stays_within_it)
{
	struct both b;
	unsigned char *p;
	uint64_t handle;
	unsigned int i, n, fill;
	off_t size;

	both_init(&b);
	size = lseek(b.fd, 0, SEEK_END);
	p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, b.fd,
	    0);
	cr_assert_neq(p, MAP_FAILED);
	for (fill = 0; fill < 256; fill++) {
		memset(p, (int)fill, (size_t)size);
		for (i = n = 0; i < 2 * ENDED_MAX; i++)
			n += ended_get(b.master, &handle) ? 1 : 0;
		cr_assert_leq(n, ENDED_MAX);
	}
	cr_assert_eq(ftruncate(b.fd, 0), -1);
	cr_assert_eq(errno, EPERM);
	(void)munmap(p, (size_t)size);
	both_free(&b);
}

Test(ended, another_file_is_refused)
{
	int fd = memfd_create("other", MFD_CLOEXEC);

	cr_assert_neq(fd, -1);
	cr_assert_null(ended_attach(fd));
	cr_assert_eq(errno, EINVAL);
	(void)close(fd);
}
