/* A writer's files in the spool's folder. */

#include "core/spool/spool_folder.h"

#include <sys/param.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "core/spool/spool_reserve.h"
#include "core/spool/spool_torn.h"
#include "core/util/fileio.h"

int
spool_folder_open(struct spool_folder *f, unsigned int number)
{
	if (spool_id_open(f->dirfd, number, spool_id_now_us(), &f->ids) == 0)
		return (0);
	f->ids.fd = -1;
	return (-1);
}

void
spool_folder_close(struct spool_folder *f)
{
	spool_id_close(&f->ids);
}

/* *left_r is how much of the quota is left after ${more} more octets.  Free
 * segments and torn ones do not count, since give_up() removes them when their
 * room is needed; all else in the spool does.  Return 0, or -1 with errno. */
static int
quota_left(const struct spool_folder *f, uint64_t more, uint64_t *left_r)
{
	uint64_t quota = f->quota_octets, octets, idle;

	*left_r = UINT64_MAX;
	if (quota == 0)
		return (0);
	if (spool_usage(f->dirfd, &octets, &idle) == -1)
		return (-1);
	octets += more + spool_reserve_told(f->dirfd) - idle;
	if (octets > quota) {
		errno = EDQUOT;
		return (-1);
	}
	*left_r = quota - octets;
	return (0);
}

/* Octets that are free on the disk.  If they are fewer than ${more}, those of
 * free and torn segments count as well. */
static uint64_t
disk_left(const struct spool_folder *f, uint64_t more)
{
	uint64_t left, octets, idle;
	struct statvfs fs;

	if (fstatvfs(f->dirfd, &fs) == -1)
		return (UINT64_MAX);
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (left < more && spool_usage(f->dirfd, &octets, &idle) == 0)
		left += idle;
	return (left);
}

int
spool_folder_room(struct spool_folder *f, uint64_t more, uint64_t *left_r)
{
	uint64_t left;

	if (quota_left(f, more, &left) == -1)
		return (-1);
	*left_r = MIN(left, disk_left(f, more));
	return (0);
}

/* Does a segment of ${more} octets need the room of free or torn segments? */
static bool
is_tight(const struct spool_folder *f, uint64_t more, bool *is_quota_r)
{
	uint64_t octets, idle;
	struct statvfs fs;

	*is_quota_r = f->quota_octets != 0 &&
	    spool_usage(f->dirfd, &octets, &idle) == 0 &&
	    octets + more + spool_reserve_told(f->dirfd) > f->quota_octets;
	return (*is_quota_r || (fstatvfs(f->dirfd, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < more));
}

/* Remove free segments, then torn ones, until a segment of ${more} octets has
 * room.  If it is the disk that is full, and not the quota, only torn ones are
 * removed: free ones are used in place of new ones. */
static void
give_up(const struct spool_folder *f, uint64_t more)
{
	bool is_quota;

	while (is_tight(f, more, &is_quota))
		if ((!is_quota || spool_free_remove(f->dirfd) == -1) &&
		    spool_torn_remove(f->dirfd) == -1)
			return;
}

int
spool_folder_take(struct spool_folder *f, uint64_t octets,
    struct spool_segment *segment_r)
{
	uint64_t left;

	give_up(f, 0);
	if (spool_folder_room(f, 0, &left) == -1)
		return (-1);
	return (spool_segment_take(f->dirfd, f->ids.number, octets, segment_r));
}

int
spool_folder_make(struct spool_folder *f, uint64_t octets,
    struct spool_segment *segment_r)
{
	uint64_t left, id;

	if (spool_reserve_is_given_up(f->dirfd)) {
		errno = ENOSPC;
		return (-1);
	}
	give_up(f, octets);
	if (spool_folder_room(f, octets, &left) == -1)
		return (-1);
	id = spool_id_next(&f->ids, spool_id_now_us());
	segment_r->header = (struct spool_header){ .segment = id,
		.size_octets = octets };
	segment_r->fd = spool_segment_new(f->dirfd, id);
	return (segment_r->fd == -1 ? -1 : 0);
}

/* --- struct spool_files_ops ----------------------------------------------- */

static int
folder_number(void *files, bool, unsigned int *number_r,
    uint64_t *lowest_us_r)
{
	struct spool_folder *f = files;

	*number_r = f->ids.number;
	*lowest_us_r = f->ids.last_us;
	return (0);
}

static void
folder_mark(void *files, uint64_t us)
{
	struct spool_folder *f = files;

	spool_id_reach(&f->ids, us);
	(void)spool_id_extend(&f->ids);
}

static int
finish_new(struct spool_folder *f, struct spool_segment *segment)
{
	uint64_t id = segment->header.segment;
	char name[SPOOL_NAME];

	if (spool_segment_format(segment->fd, id, segment->header.size_octets,
	    f->is_synced, &segment->header) == 0 &&
	    spool_segment_made(f->dirfd, id) == 0)
		return (0);
	spool_segment_name("new", id, name);
	fileio_unlink(f->dirfd, name);
	fileio_close(segment->fd);
	segment->fd = -1;
	return (-1);
}

static void
folder_untake(void *files, struct spool_segment *segment)
{
	struct spool_folder *f = files;

	spool_segment_untake(f->dirfd, segment);
}

static int
folder_segment(void *files, uint64_t octets, struct spool_segment *segment_r,
    bool *is_recycled_r)
{
	struct spool_folder *f = files;
	int saved;

	if (spool_folder_take(f, octets, segment_r) == -1 &&
	    (errno != ENOENT ||
	    spool_folder_make(f, octets, segment_r) == -1))
		return (-1);
	*is_recycled_r = segment_r->header.generation != 0;
	if (!*is_recycled_r && finish_new(f, segment_r) == -1) {
		/* torn segments make room for the next attempt */
		saved = errno;
		if ((saved == ENOSPC || saved == EDQUOT) &&
		    spool_torn_remove(f->dirfd) == 0)
			return (folder_segment(f, octets, segment_r,
			    is_recycled_r));
		errno = saved;
		return (-1);
	}
	/* Otherwise a crash could leave records under another name. */
	if (!f->is_synced || fsync(f->dirfd) == 0)
		return (0);
	saved = errno;
	folder_untake(f, segment_r);
	errno = saved;
	return (-1);
}

static int
folder_body(void *files, uint64_t id)
{
	struct spool_folder *f = files;
	char name[SPOOL_NAME];

	spool_body_name(id, name);
	return (spool_create_locked(f->dirfd, name));
}

static void
folder_drop(void *files, uint64_t id, int fd)
{
	struct spool_folder *f = files;

	(void)spool_body_remove(f->dirfd, id);
	(void)close(fd);
}

static int
folder_flush(void *files)
{
	struct spool_folder *f = files;

	return (f->is_synced ? fsync(f->dirfd) : 0);
}

static int
folder_room(void *files, uint64_t more, uint64_t *left_r)
{
	return (spool_folder_room(files, more, left_r));
}

static int
folder_reserve(void *files)
{
	const struct spool_folder *f = files;

	if (!spool_reserve_is_given_up(f->dirfd))
		return (0);
	errno = ENOSPC;
	return (-1);
}

const struct spool_files_ops spool_folder_ops = {
	.number = folder_number,
	.mark = folder_mark,
	.segment = folder_segment,
	.untake = folder_untake,
	.body = folder_body,
	.drop = folder_drop,
	.flush = folder_flush,
	.room = folder_room,
	.reserve = folder_reserve,
};
