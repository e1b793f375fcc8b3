/* spoold with one worker, which has the number 5 and is played by the test. */

#ifndef TEST_UNIT_CMD_MAILMILLD_SPOOLD_SPOOLD_FIXTURE_H
#define TEST_UNIT_CMD_MAILMILLD_SPOOLD_SPOOLD_FIXTURE_H

#include "cmd/mailmilld/spoold/spoold_int.h"
#include "core/process/channel.h"

#define SPX_SIZE	(1024 * 1024)
#define SPX_WAIT_MS	20000	/* far more than any of it takes */
#define SPX_MINE(n)	((uint64_t)(n) << 12 | 5)
#define SPX_OTHERS(n)	((uint64_t)(n) << 12 | 6)

struct spx {
	char		 path[64];
	int		 dirfd;		/* of it */
	struct scheduler *sched;
	struct settings	*settings;
	struct spoold	 sp;
	bool		 is_done;
	unsigned int	 nbeyond;	/* times that a worker was found to write too much */
	/* of the worker */
	struct channel	*ch;
	struct msg_number number;
	uint64_t	 asks;
};

extern struct spx spx;

/* Of a TestSuite.  spx_setup_with(override): With a setting, as of -D. */
void spx_setup(void);
void spx_setup_with(const char *override);
void spx_teardown(void);

/* spx_turn(ms): A pass of spoold's loop, which waits that long. */
void spx_turn(int ms);

/* spx_connect(instance, number_r): Another worker; its channel, and what it was
 * told first. */
struct channel *spx_connect(unsigned int instance,
    struct msg_number *number_r);

/* spx_hear(c, ms, msg): The next message on ${c}; false: none within ${ms}, or
 * the channel is closed. */
bool spx_hear(struct channel *c, unsigned int ms, struct channel_msg *msg);

/* spx_ask_for(c, type, value, file_r, fd_r): Ask, and return the errno of the
 * answer; a file in *fd_r and *file_r.
 * spx_ask(type, value): On the worker's channel, for what gives no file. */
int spx_ask_for(struct channel *c, unsigned int type, uint64_t value,
    struct msg_file *file_r, int *fd_r);
int spx_ask(unsigned int type, uint64_t value);

/* spx_segment(id_r): A segment, as an honest worker makes one; its
 * descriptor. */
int spx_segment(uint64_t *id_r);

/* spx_exists(prefix, id): Is there that file?
 * spx_expect_write_only(fd): A descriptor that a worker has been given. */
bool spx_exists(const char *prefix, uint64_t id);
void spx_expect_write_only(int fd);

#endif
