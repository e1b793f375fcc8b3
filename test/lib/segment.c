#include "test/lib/segment.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/util/fileio.h"

int
segment_create(int dirfd, uint64_t id, uint64_t size_octets,
    bool is_synced, struct spool_segment *segment_r)
{
	const char *prefix = "new";
	char name[SPOOL_NAME];
	int fd;

	if ((fd = spool_segment_new(dirfd, id)) == -1)
		return (-1);
	if (spool_segment_format(fd, id, size_octets, is_synced,
	    &segment_r->header) == -1 || spool_segment_made(dirfd, id) == -1)
		goto err1;
	prefix = "seg";
	if (is_synced && fsync(dirfd) == -1)
		goto err1;
	segment_r->fd = fd;
	return (0);

err1:	spool_segment_name(prefix, id, name);
	fileio_unlink(dirfd, name);
	fileio_close(fd);
	return (-1);
}
