/* Message ids.
 * Owns: the text form, the file "instances". */

#include "core/spool/spool_id.h"

#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/util/fileio.h"

#define NUMBERS		(1u << SPOOL_NUMBER_BITS)
#define MARK_STEP_US	1000000ULL	/* how far ids go before the mark is moved */
#define MARK_MARGIN_US	(3 * MARK_STEP_US) /* how far a predecessor may have gone beyond it */
#define MARK_MAX_US	(1ULL << 52)
#define LOCK_BASE	((off_t)NUMBERS * 8) /* locks lie behind the marks */

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void
spool_id_text(uint64_t id, char buf[SPOOL_ID_TEXT + 1])
{
	int i;

	for (i = SPOOL_ID_TEXT - 1; i >= 0; i--) {
		buf[i] = digits[id & 31];
		id >>= 5;
	}
	buf[SPOOL_ID_TEXT] = '\0';
}

int
spool_id_parse(const char *s, size_t len, uint64_t *id_r)
{
	const char *d;
	uint64_t id = 0;
	size_t i;

	errno = EINVAL;
	if (len != SPOOL_ID_TEXT)
		return (-1);
	for (i = 0; i < len; i++) {
		if (s[i] == '\0' || (d = strchr(digits, s[i])) == NULL)
			return (-1);
		if (i == 0 && d - digits > 15)
			return (-1);	/* 65 bits */
		id = id << 5 | (uint64_t)(d - digits);
	}
	*id_r = id;
	return (0);
}

static int
number_lock(int fd, unsigned int number)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
		.l_start = LOCK_BASE + (off_t)number, .l_len = 1 };

	return (fcntl(fd, F_OFD_SETLK, &lock));
}

static void
mark_read(struct spool_id_source *source)
{
	uint64_t mark;

	if (pread(source->fd, &mark, sizeof(mark),
	    (off_t)source->number * 8) != sizeof(mark))
		return;
	mark = le64toh(mark);
	if (mark > 0 && mark < MARK_MAX_US)
		source->last_us = mark + MARK_MARGIN_US;
}

/* The mark is a precaution against clocks that are set back; if it cannot be
 * written (disk full), ids are still unique as long as the clock is not. */
static void
mark_write(struct spool_id_source *source, uint64_t us)
{
	uint64_t mark = htole64(us);

	if (source->fd != -1 && pwrite(source->fd, &mark, sizeof(mark),
	    (off_t)source->number * 8) == sizeof(mark))
		(void)fdatasync(source->fd);
	__atomic_store_n(&source->mark_us, us, __ATOMIC_RELAXED);
}

uint64_t
spool_id_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ((uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
}

int
spool_id_open(int dirfd, unsigned int number, uint64_t now_us,
    struct spool_id_source *source_r)
{
	int fd;

	if (number == 0 || number >= NUMBERS) {
		errno = EINVAL;
		return (-1);
	}
	if ((fd = openat(dirfd, "instances", O_RDWR | O_CREAT | O_CLOEXEC |
	    O_NOFOLLOW, 0600)) == -1)
		return (-1);
	if (number_lock(fd, number) == -1) {
		fileio_close(fd);
		return (-1);
	}
	*source_r = (struct spool_id_source){ .fd = fd, .number = number };
	mark_read(source_r);
	if (now_us > source_r->last_us)
		source_r->last_us = now_us;
	mark_write(source_r, source_r->last_us);
	return (0);
}

void
spool_id_start(unsigned int number, uint64_t lowest_us,
    struct spool_id_source *source_r)
{
	*source_r = (struct spool_id_source){ .fd = -1, .number = number,
		.last_us = lowest_us, .mark_us = lowest_us };
}

void
spool_id_close(struct spool_id_source *source)
{
	if (source->fd == -1)
		return;
	mark_write(source, source->last_us);
	(void)close(source->fd);
	source->fd = -1;
}

uint64_t
spool_id_next(struct spool_id_source *source, uint64_t now_us)
{
	uint64_t last = source->last_us;

	last = now_us > last ? now_us : last + 1;
	__atomic_store_n(&source->last_us, last, __ATOMIC_RELAXED);
	return (last << SPOOL_NUMBER_BITS | source->number);
}

bool
spool_id_is_due(const struct spool_id_source *source)
{
	return (__atomic_load_n(&source->last_us, __ATOMIC_RELAXED) >
	    __atomic_load_n(&source->mark_us, __ATOMIC_RELAXED) +
	    MARK_STEP_US);
}

uint64_t
spool_id_extend(struct spool_id_source *source)
{
	uint64_t us = __atomic_load_n(&source->last_us, __ATOMIC_RELAXED);

	mark_write(source, us);
	return (us);
}

void
spool_id_reach(struct spool_id_source *source, uint64_t us)
{
	if (us > source->last_us)
		__atomic_store_n(&source->last_us, us, __ATOMIC_RELAXED);
}
