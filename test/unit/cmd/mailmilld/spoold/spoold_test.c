/* spoold as workers see it, honest ones and one that has been taken over. */

#include "test/unit/cmd/mailmilld/spoold/spoold_fixture.h"

#include <sys/file.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/process/stats.h"

TestSuite(spoold, .init = spx_setup, .fini = spx_teardown);

Test(spoold, a_worker_has_the_number_of_its_instance)
{
	struct msg_number second;
	struct channel *c;

	cr_assert_eq(spx.number.number, 5);
	cr_assert_eq(spx.number.errnum, 0);
	cr_assert_gt(spx.number.lowest_us, 1700000000000000ULL);
	c = spx_connect(4095, &second);
	cr_assert_eq(second.errnum, EINVAL, "that is the queue's");
	channel_free(c);
	c = spx_connect(4096, &second);
	cr_assert_eq(second.errnum, EINVAL);
	channel_free(c);
	spx_turn(0);
	spx_turn(0);
	cr_assert_not(spx.is_done);
	channel_free(spx.ch);
	spx.ch = NULL;
	spx_turn(0);
	cr_assert(spx.is_done);
}

Test(spoold, a_number_that_another_process_has_is_waited_for)
{
	struct spool_id_source held;
	struct msg_number second;
	struct channel_msg msg;
	struct msg_file file;
	struct channel *c;
	int fd;

	cr_assert_eq(spool_id_open(spx.dirfd, 9, 1, &held), 0);
	c = spx_connect(9, &second);
	cr_assert_eq(second.errnum, EADDRINUSE);
	cr_assert_eq(spx_ask_for(c, S_BODY, 1 << 12 | 9, &file, &fd),
	    EADDRINUSE);
	cr_assert_eq(spx_ask_for(c, S_SEGMENT, SPX_SIZE, &file, &fd),
	    EADDRINUSE);
	cr_assert_eq(spx_ask_for(c, S_FLUSH, 0, &file, &fd), EADDRINUSE);
	/* late, but not too late */
	spool_id_close(&held);
	cr_assert_eq(spx_ask_for(c, S_BODY, 1 << 12 | 9, &file, &fd), 0);
	close(fd);
	cr_assert_eq(spx_ask_for(c, S_FLUSH, 0, &file, &fd), 0);
	channel_free(c);
	spx_turn(0);
	c = spx_connect(9, &second);
	cr_assert_eq(second.errnum, 0);
	cr_assert_not(spx_hear(c, 10, &msg));
	channel_free(c);
}

Test(spoold, a_segment_is_made_and_comes_back_to_its_worker_alone)
{
	struct spool_header header;
	struct msg_number second;
	struct msg_file file;
	struct channel *c;
	uint64_t id;
	int fd, queue_fd;

	fd = spx_segment(&id);
	cr_assert_eq(spool_number(id), 5);
	cr_assert(spx_exists("seg", id));
	cr_assert_not(spx_exists("new", id));
	close(fd);
	/* the queue */
	queue_fd = spool_segment_open(spx.dirfd, id, &header);
	cr_assert_eq(spool_segment_recycle(spx.dirfd, queue_fd, &header,
	    false), 0);
	close(queue_fd);
	cr_assert(spx_exists("free", id));
	c = spx_connect(6, &second);
	cr_assert_eq(spx_ask_for(c, S_SEGMENT, SPX_SIZE, &file, &fd), 0);
	cr_assert_eq(file.generation, 0, "a new one");
	cr_assert_eq(spool_number(file.id), 6);
	close(fd);
	channel_free(c);
	cr_assert(spx_exists("free", id));
	cr_assert_eq(spx_ask_for(spx.ch, S_SEGMENT, SPX_SIZE, &file, &fd), 0);
	cr_assert_eq(file.id, id);
	cr_assert_eq(file.generation, 2);
	cr_assert_eq(file.nonce, header.nonce);
	cr_assert_eq(file.octets, SPX_SIZE);
	spx_expect_write_only(fd);
	close(fd);
}

Test(spoold, another_writer_of_that_number_gets_none_of_its_segments)
{
	struct spool_header header;
	uint64_t id;
	int fd;

	fd = spx_segment(&id);
	close(fd);
	fd = spool_segment_open(spx.dirfd, id, &header);
	cr_assert_eq(spool_segment_recycle(spx.dirfd, fd, &header, false),
	    0);
	close(fd);
	channel_free(spx.ch);
	spx_turn(0);
	spx.ch = spx_connect(4096 * 4 + 5, &spx.number);
	cr_assert_not(spx_exists("free", id));
}

Test(spoold, a_body_is_made_once_and_for_its_worker)
{
	uint64_t before = stats_sum(STATS_SPOOL_REFUSED);
	struct msg_file file;
	int fd, second;

	cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(7), &file, &fd), 0);
	spx_expect_write_only(fd);
	cr_assert(spx_exists("body", SPX_MINE(7)));
	cr_assert_eq(spx_ask(S_BODY, SPX_MINE(7)), EEXIST, "it is held");
	cr_assert_eq(write(fd, "x", 1), 1);
	close(fd);
	cr_assert_eq(spx_ask(S_BODY, SPX_MINE(7)), EEXIST,
	    "it has been written to");
	cr_assert_eq(spx_ask(S_BODY, SPX_OTHERS(8)), EPERM);
	cr_assert_not(spx_exists("body", SPX_OTHERS(8)));
	cr_assert_eq(spx_ask(S_BODY, 4095), EPERM);
	cr_assert_eq(spx_ask(S_BODY, UINT64_MAX), EPERM);
	cr_assert_eq(stats_sum(STATS_SPOOL_REFUSED), before + 3);
	/* the answer was lost: the same again */
	cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(9), &file, &fd), 0);
	close(fd);
	cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(9), &file, &second),
	    0);
	spx_expect_write_only(second);
	close(second);
	cr_assert_eq(spx_ask(S_FLUSH, UINT64_MAX), 0);
}

/* S_DROP of ${id} with ${fd}, and time for it */
static void
drop(uint64_t id, bool is_segment, int fd)
{
	const struct msg_drop msg = { .id = id, .is_segment = is_segment };

	cr_assert_eq(channel_send(spx.ch, S_DROP, &msg, NULL, 0,
	    fcntl(fd, F_DUPFD_CLOEXEC, 0)), 0);
	cr_assert_eq(spx_ask(S_FLUSH, 0), 0);
}

Test(spoold, only_who_holds_a_body_can_drop_it)
{
	struct msg_file file;
	int fd, other, null;

	cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(7), &file, &fd), 0);
	cr_assert_eq(spx_ask_for(spx.ch, S_BODY, SPX_MINE(8), &file, &other),
	    0);
	null = open("/dev/null", O_RDONLY);
	drop(SPX_MINE(7), false, null);
	drop(SPX_MINE(7), false, other);
	drop(SPX_MINE(7), true, fd);
	drop(SPX_OTHERS(7), false, fd);
	cr_assert(spx_exists("body", SPX_MINE(7)));
	drop(SPX_MINE(7), false, fd);
	cr_assert_not(spx_exists("body", SPX_MINE(7)));
	cr_assert(spx_exists("body", SPX_MINE(8)));
	close(null);
	close(fd);
	close(other);
}

Test(spoold, a_segment_in_use_cannot_be_dropped)
{
	uint64_t before = stats_sum(STATS_SPOOL_REFUSED), id;
	int fd = spx_segment(&id);
	struct msg_file file;

	/* it may not know yet that the segment has its name */
	drop(id, true, fd);
	cr_assert_eq(stats_sum(STATS_SPOOL_REFUSED), before);
	drop(id, false, fd);
	cr_assert_eq(stats_sum(STATS_SPOOL_REFUSED), before + 1);
	cr_assert(spx_exists("seg", id));
	close(fd);
	cr_assert_eq(spx_ask_for(spx.ch, S_SEGMENT, SPX_SIZE, &file, &fd), 0);
	drop(file.id, true, fd);
	cr_assert_not(spx_exists("new", file.id));
	close(fd);
}

Test(spoold, a_segment_that_is_not_whole_gets_no_name)
{
	struct spool_header header;
	unsigned char page[SPOOL_PAGE];
	struct msg_file file;
	uint64_t id;
	int fd, held = spx_segment(&id);

	cr_assert_eq(spx_ask(S_MADE, id), 0, "asked again");
	cr_assert_eq(spx_ask(S_MADE, SPX_MINE(99)), ENOENT);
	cr_assert_eq(spx_ask(S_MADE, SPX_OTHERS(1)), EPERM);
	cr_assert_eq(spx_ask_for(spx.ch, S_SEGMENT, SPX_SIZE, &file, &fd), 0);
	cr_assert_eq(spx_ask(S_MADE, file.id), EBADMSG, "it is empty");
	cr_assert_eq(spool_segment_format(fd, file.id, SPX_SIZE, false,
	    &header), 0);
	header.segment = SPX_MINE(3);
	spool_header_encode(&header, page);
	cr_assert_eq(pwrite(fd, page, sizeof(page), 0), SPOOL_PAGE);
	cr_assert_eq(spx_ask(S_MADE, file.id), EBADMSG, "another's header");
	header.segment = file.id;
	header.size_octets = 2 * SPX_SIZE;
	spool_header_encode(&header, page);
	cr_assert_eq(pwrite(fd, page, sizeof(page), 0), SPOOL_PAGE);
	cr_assert_eq(spx_ask(S_MADE, file.id), EBADMSG, "another size");
	header.size_octets = SPX_SIZE;
	spool_header_encode(&header, page);
	cr_assert_eq(pwrite(fd, page, sizeof(page), 0), SPOOL_PAGE);
	cr_assert_eq(flock(fd, LOCK_UN), 0);
	cr_assert_eq(spx_ask(S_MADE, file.id), EBADMSG, "nobody writes it");
	cr_assert_not(spx_exists("seg", file.id));
	close(fd);
	close(held);
}
