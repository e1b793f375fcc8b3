/* Segments as files.
 * Owns: names, creation, taking, recycling, locks, the scan of the folder.
 * Knows nothing of records; core/spool/spool_sweep.c looks for orphans in them. */

#include "core/spool/spool_segment.h"

#include <sys/file.h>
#include <sys/param.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "core/util/fileio.h"

#define FILL_OCTETS	(256 * 1024)	/* zeros written at once */
#define CREATE_TRIES	8

void
spool_segment_name(const char *prefix, uint64_t id, char buf[SPOOL_NAME])
{
	(void)snprintf(buf, SPOOL_NAME, "%s.%016" PRIx64, prefix, id);
}

void
spool_body_name(uint64_t id, char buf[SPOOL_NAME])
{
	memcpy(buf, "body.", 5);
	spool_id_text(id, buf + 5);
}

uint64_t
spool_nonce(void)
{
	uint64_t nonce;

	do {
		arc4random_buf(&nonce, sizeof(nonce));
	} while (nonce == 0);
	return (nonce);
}

/* Header page and, where there is room, the end mark: there is no record. */
static int
start_write(int fd, const struct spool_header *header)
{
	unsigned char page[SPOOL_PAGE + SPOOL_RECORD_HEADER];
	size_t len = SPOOL_PAGE;

	spool_header_encode(header, page);
	if (header->size_octets >= sizeof(page)) {
		spool_end_encode(SPOOL_PAGE, 1, header->nonce,
		    page + SPOOL_PAGE);
		len = sizeof(page);
	}
	return (fileio_pwrite(fd, page, len, 0));
}

static int
write_zeros(int fd, uint64_t size_octets)
{
	uint64_t offset = 0;
	size_t n;
	char *zeros;

	if ((zeros = calloc(1, FILL_OCTETS)) == NULL)
		return (-1);
	while (offset < size_octets) {
		n = size_octets - offset < FILL_OCTETS ?
		    (size_t)(size_octets - offset) : FILL_OCTETS;
		if (fileio_pwrite(fd, zeros, n, (off_t)offset) == -1)
			break;
		offset += n;
	}
	free(zeros);
	return (offset < size_octets ? -1 : 0);
}

int
spool_fill(int fd, uint64_t size_octets)
{
	/* fallocate(2), since posix_fallocate(3) reads where that is missing */
	while (fallocate(fd, 0, 0, (off_t)size_octets) == -1) {
		if (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS)
			break;
		if (errno != EINTR)
			return (-1);
	}
	return (write_zeros(fd, size_octets));
}

/* Give segment ${id} another prefix.  A segment in use is never replaced. */
static int
change_prefix(int dirfd, uint64_t id, const char *from, const char *to)
{
	char old[SPOOL_NAME], new[SPOOL_NAME];

	spool_segment_name(from, id, old);
	spool_segment_name(to, id, new);
	if (strcmp(to, "seg") == 0) {
		if (renameat2(dirfd, old, dirfd, new, RENAME_NOREPLACE) == 0)
			return (0);
		if (errno != EINVAL)
			return (-1);
	}
	/* The file system lacks RENAME_NOREPLACE; ids do not collide, for they
	 * are made of the time and of a number that one writer has. */
	return (renameat(dirfd, old, dirfd, new));
}

/* Before the file is locked, the sweep may take it for a dead worker's and
 * remove it: then it has no name left, and is made again. */
int
spool_create_locked(int dirfd, const char *name)
{
	struct stat st;
	int fd, i;

	for (i = 0; i < CREATE_TRIES; i++) {
		if ((fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL |
		    O_CLOEXEC | O_NOFOLLOW, 0600)) == -1)
			return (-1);
		if (flock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0 &&
		    st.st_nlink > 0)
			return (fd);
		(void)close(fd);
	}
	errno = EAGAIN;
	return (-1);
}

int
spool_segment_new(int dirfd, uint64_t id)
{
	char name[SPOOL_NAME];

	spool_segment_name("new", id, name);
	return (spool_create_locked(dirfd, name));
}

int
spool_segment_format(int fd, uint64_t id, uint64_t size_octets,
    bool is_synced, struct spool_header *header_r)
{
	struct spool_header h = { .segment = id, .generation = 1,
		.nonce = spool_nonce(), .size_octets = size_octets,
		.created_us = spool_id_now_us() };

	/* a worker may not call fallocate(2) for it: one that an attacker
	 * controls would take the whole disk with a few calls */
	if (write_zeros(fd, size_octets) == -1 || start_write(fd, &h) == -1 ||
	    (is_synced && fsync(fd) == -1))
		return (-1);
	*header_r = h;
	return (0);
}

int
spool_segment_made(int dirfd, uint64_t id)
{
	return (change_prefix(dirfd, id, "new", "seg"));
}

struct take {
	int			 dirfd;
	unsigned int		 number;
	uint64_t		 size_octets;
	struct spool_segment	*segment;
};

/* Read the header of the file ${name}, which ${fd} has open for writing
 * alone. */
static int
header_of(int dirfd, const char *name, int fd, struct spool_header *header_r)
{
	struct stat st, named;
	int in, rv;

	if ((in = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) ==
	    -1)
		return (-1);
	rv = fstat(fd, &st) == 0 && fstat(in, &named) == 0 &&
	    st.st_ino == named.st_ino ? spool_segment_header(in, header_r) : -1;
	(void)close(in);
	return (rv);
}

/* Get back the room that spool_segment_trim() has given up.  Return 0, or -1:
 * the disk or the quota is full. */
static int
refill(int fd, uint64_t size_octets)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return (-1);
	if ((uint64_t)st.st_blocks * 512 >= size_octets ||
	    fallocate(fd, 0, 0, (off_t)size_octets) == 0)
		return (0);
	return (errno == ENOSPC || errno == EDQUOT ? -1 : 0);
}

/* Lock before rename: the queue process takes a seg.* that is not locked for
 * one whose writer is dead.  When two processes open the same file, one of them
 * gets no lock, or finds the name gone. */
static int
take_one(void *closure, enum spool_entry kind, uint64_t id, const char *name)
{
	struct take *t = closure;
	int fd;

	if (kind != SPOOL_ENTRY_FREE || spool_number(id) != t->number)
		return (0);
	if ((fd = openat(t->dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return (0);
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		goto no;
	if (header_of(t->dirfd, name, fd, &t->segment->header) == -1 ||
	    t->segment->header.segment != id ||
	    t->segment->header.version != SPOOL_FORMAT_VERSION ||
	    t->segment->header.size_octets != t->size_octets) {
		(void)unlinkat(t->dirfd, name, 0);
		goto no;
	}
	if (refill(fd, t->size_octets) == -1 ||
	    change_prefix(t->dirfd, id, "free", "seg") == -1)
		goto no;
	t->segment->fd = fd;
	return (1);

no:	(void)close(fd);
	return (0);
}

int
spool_segment_take(int dirfd, unsigned int number, uint64_t size_octets,
    struct spool_segment *segment_r)
{
	struct take t = { .dirfd = dirfd, .number = number,
		.size_octets = size_octets, .segment = segment_r };

	return (spool_scan_one(dirfd, take_one, &t));
}

void
spool_segment_untake(int dirfd, struct spool_segment *segment)
{
	if (segment->fd == -1)
		return;
	/* On failure it stays an empty seg.*, which the queue recycles. */
	(void)change_prefix(dirfd, segment->header.segment, "seg", "free");
	spool_segment_close(segment);
}

void
spool_segment_trim(const struct spool_segment *segment, uint64_t end)
{
	uint64_t size = segment->header.size_octets;

	/* the first page after the end mark */
	end = (end + SPOOL_RECORD_HEADER + SPOOL_PAGE - 1) / SPOOL_PAGE *
	    SPOOL_PAGE;
	if (end < size)
		(void)fallocate(segment->fd, FALLOC_FL_PUNCH_HOLE |
		    FALLOC_FL_KEEP_SIZE, (off_t)end, (off_t)(size - end));
}

void
spool_segment_close(struct spool_segment *segment)
{
	if (segment->fd != -1)
		(void)close(segment->fd);
	segment->fd = -1;
}

int
spool_segment_header(int fd, struct spool_header *header_r)
{
	unsigned char page[SPOOL_PAGE];
	ssize_t n;

	if ((n = fileio_pread(fd, page, sizeof(page), 0)) == -1)
		return (-1);
	return (spool_header_decode(page, (size_t)n, header_r));
}

int
spool_segment_open(int dirfd, uint64_t id, struct spool_header *header_r)
{
	char name[SPOOL_NAME];
	int fd;

	spool_segment_name("seg", id, name);
	if ((fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return (-1);
	if (spool_segment_header(fd, header_r) == 0) {
		if (header_r->segment == id &&
		    header_r->size_octets <= SPOOL_SEGMENT_OPEN_MAX)
			return (fd);
		errno = EBADMSG;
	}
	fileio_close(fd);
	return (-1);
}

int
spool_segment_lock(int fd)
{
	return (flock(fd, LOCK_EX | LOCK_NB));
}

void
spool_segment_unlock(int fd)
{
	(void)flock(fd, LOCK_UN);
}

int
spool_segment_recycle(int dirfd, int fd, struct spool_header *header,
    bool is_synced)
{
	struct spool_header next = *header;
	struct stat st;

	if (spool_segment_lock(fd) == -1)
		return (-1);
	/* A file that was cut short does not have the space that it should. */
	if (fstat(fd, &st) == -1)
		return (-1);
	if ((uint64_t)st.st_size != header->size_octets)
		return (spool_segment_remove(dirfd, header->segment));
	next.generation++;
	next.nonce = spool_nonce();
	next.created_us = spool_id_now_us();
	next.bad_copies = 0;
	if (start_write(fd, &next) == -1 ||
	    (is_synced && fdatasync(fd) == -1) ||
	    change_prefix(dirfd, next.segment, "seg", "free") == -1)
		return (-1);
	*header = next;
	return (0);
}

int
spool_segment_reader(int dirfd, uint64_t id)
{
	char name[SPOOL_NAME];

	spool_segment_name("seg", id, name);
	return (openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK));
}

int
spool_segment_remove(int dirfd, uint64_t id)
{
	char name[SPOOL_NAME];

	spool_segment_name("seg", id, name);
	return (unlinkat(dirfd, name, 0));
}

int
spool_body_open(int dirfd, uint64_t id)
{
	char name[SPOOL_NAME];
	struct stat st;
	int fd;

	spool_body_name(id, name);
	if ((fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return (-1);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return (fd);
	(void)close(fd);
	errno = EBADMSG;
	return (-1);
}

int
spool_body_remove(int dirfd, uint64_t id)
{
	char name[SPOOL_NAME];

	spool_body_name(id, name);
	return (unlinkat(dirfd, name, 0));
}

/* ${prefix}.${id}.<generation> */
static bool
is_kept(const char *prefix, const char *name, uint64_t id)
{
	char begin[SPOOL_NAME];
	size_t len;

	spool_segment_name(prefix, id, begin);
	len = strlen(begin);
	if (strncmp(name, begin, len) != 0 || name[len] != '.')
		return (false);
	name += len + 1;
	return (*name != '\0' && name[strspn(name, "0123456789")] == '\0');
}

static enum spool_entry
classify(const char *name, uint64_t *id_r)
{
	static const char *const prefixes[] = { [SPOOL_ENTRY_SEGMENT] = "seg",
		[SPOOL_ENTRY_FREE] = "free", [SPOOL_ENTRY_NEW] = "new" };
	char canonical[SPOOL_NAME];
	const char *dot = strchr(name, '.');
	size_t i;

	*id_r = 0;
	if (strncmp(name, "body.", 5) == 0 &&
	    spool_id_parse(name + 5, strlen(name + 5), id_r) == 0)
		return (SPOOL_ENTRY_BODY);
	if (dot != NULL)
		*id_r = strtoull(dot + 1, NULL, 16);
	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		spool_segment_name(prefixes[i], *id_r, canonical);
		if (strcmp(canonical, name) == 0)
			return ((enum spool_entry)i);
	}
	if (is_kept("torn", name, *id_r))
		return (SPOOL_ENTRY_TORN);
	if (is_kept("damaged", name, *id_r))
		return (SPOOL_ENTRY_DAMAGED);
	return (SPOOL_ENTRY_OTHER);
}

int
spool_scan(int dirfd, spool_scan_func each, void *closure)
{
	struct dirent *de;
	uint64_t id;
	enum spool_entry kind;
	DIR *dir;
	int rv = 0, save;

	if ((dir = fileio_opendir(dirfd, ".")) == NULL)
		return (-1);
	for (;;) {
		errno = 0;
		if ((de = readdir(dir)) == NULL) {
			rv = errno == 0 ? 0 : -1;
			break;
		}
		if (de->d_name[0] == '.' ||
		    strcmp(de->d_name, "instances") == 0 ||
		    strncmp(de->d_name, "reserve.", 8) == 0)
			continue;
		kind = classify(de->d_name, &id);
		if ((rv = each(closure, kind, id, de->d_name)) != 0)
			break;
	}
	save = errno;
	(void)closedir(dir);
	errno = save;
	return (rv);
}

int
spool_scan_one(int dirfd, spool_scan_func each, void *closure)
{
	int n = spool_scan(dirfd, each, closure);

	if (n == 0)
		errno = ENOENT;
	return (n == 1 ? 0 : -1);
}

struct usage {
	int		 dirfd;
	uint64_t	 octets, free_octets;
};

static int
usage_one(void *closure, enum spool_entry kind, uint64_t, const char *name)
{
	struct usage *u = closure;
	uint64_t octets;
	struct stat st;

	if (fstatat(u->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return (0);
	/* the rest of a segment may have been given back, and a body may be
	 * nearly all hole: its size is what its worker makes of it */
	octets = MIN((uint64_t)st.st_size, (uint64_t)st.st_blocks * 512);
	u->octets += octets;
	if (kind == SPOOL_ENTRY_FREE || kind == SPOOL_ENTRY_TORN)
		u->free_octets += octets;
	return (0);
}

int
spool_usage(int dirfd, uint64_t *octets_r, uint64_t *free_r)
{
	struct usage u = { .dirfd = dirfd };

	if (spool_scan(dirfd, usage_one, &u) != 0)
		return (-1);
	*octets_r = u.octets;
	*free_r = u.free_octets;
	return (0);
}

static int
free_remove_one(void *closure, enum spool_entry kind, uint64_t,
    const char *name)
{
	return (kind == SPOOL_ENTRY_FREE &&
	    unlinkat(*(int *)closure, name, 0) == 0);
}

int
spool_free_remove(int dirfd)
{
	return (spool_scan_one(dirfd, free_remove_one, &dirfd));
}

struct free_of {
	int		 dirfd;
	unsigned int	 number;
};

static int
free_remove_of_one(void *closure, enum spool_entry kind, uint64_t id,
    const char *name)
{
	const struct free_of *f = closure;

	if (kind == SPOOL_ENTRY_FREE && spool_number(id) == f->number)
		(void)unlinkat(f->dirfd, name, 0);
	return (0);
}

void
spool_free_remove_of(int dirfd, unsigned int number)
{
	struct free_of f = { .dirfd = dirfd, .number = number };

	(void)spool_scan(dirfd, free_remove_of_one, &f);
}
