/* The acknowledgement log: append, flush, replay, compaction.
 * Owns: the files ack.<n>.  A file is ENTRY_OCTETS long entries and nothing
 * else; each has a checksum that covers the file's number, so that what was in
 * these blocks before is not taken for an entry.
 * Knows nothing of segments, jobs or recipients' names. */

#include "core/deferred/acklog.h"

#include <sys/endian.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_format.h"
#include "core/util/array.h"
#include "core/util/fileio.h"

#define ENTRY_OCTETS	40
#define READ_ENTRIES	1024	/* at once, in replay */
#define COMPACT_OCTETS	(8 << 20) /* a file of that size is read in some 10 ms */
#define NAME_MAX_OCTETS	40
#define FILES_MAX	64	/* two at most, unless somebody has put more there */

struct acklog {
	int		 dirfd;
	int		 fd;
	uint64_t	 number;
	uint64_t	 octets;	/* sound ones */
	uint64_t	 compact_at;
	unsigned char	*pending;
	size_t		 npending, room;
	bool		 is_dirty;	/* written, not flushed */
	bool		 is_ragged;	/* octets behind the sound ones */
	bool		 is_suspect;	/* a flush failed: nobody knows what is there */
	bool		 has_others;	/* there are older files with entries that this one lacks */
};

static void
file_name(char *buf, uint64_t number)
{
	snprintf(buf, NAME_MAX_OCTETS, "ack.%llu", (unsigned long long)number);
}

/* The checksum of an entry in file ${number} */
static uint64_t
entry_sum(const unsigned char *buf, uint64_t number)
{
	unsigned char sealed[ENTRY_OCTETS];

	memcpy(sealed, buf, ENTRY_OCTETS - 8);
	le64enc(sealed + ENTRY_OCTETS - 8, number);
	return spool_sum(sealed, sizeof(sealed));
}

static void
encode(const struct acklog_entry *e, uint64_t number, unsigned char *buf)
{
	le64enc(buf, e->segment);
	le64enc(buf + 8, e->generation);
	le32enc(buf + 16, e->seq);
	le32enc(buf + 20, e->last);
	le32enc(buf + 24, e->rcpt);
	le32enc(buf + 28, 0);
	le64enc(buf + 32, entry_sum(buf, number));
}

static int
decode(const unsigned char *buf, uint64_t number, struct acklog_entry *e_r)
{
	if (le64dec(buf + 32) != entry_sum(buf, number))
		return -1;
	e_r->segment = le64dec(buf);
	e_r->generation = le64dec(buf + 8);
	e_r->seq = le32dec(buf + 16);
	e_r->last = le32dec(buf + 20);
	e_r->rcpt = le32dec(buf + 24);
	return e_r->last >= e_r->seq ? 0 : -1;
}

/* Replay one file.  Return 0 with the octets of its sound part and of all. */
static int
replay_file(int fd, uint64_t number, acklog_replay replay, void *closure,
    uint64_t *sound_r, uint64_t *octets_r)
{
	unsigned char *buf;
	struct acklog_entry e;
	struct stat st;
	uint64_t at = 0;
	ssize_t n, i;

	if (fstat(fd, &st) == -1 ||
	    (buf = malloc(READ_ENTRIES * ENTRY_OCTETS)) == NULL)
		return -1;
	*octets_r = (uint64_t)st.st_size;
	do {
		n = fileio_pread(fd, buf, READ_ENTRIES * ENTRY_OCTETS, at);
		for (i = 0; n - i >= ENTRY_OCTETS; i += ENTRY_OCTETS) {
			if (decode(buf + i, number, &e) == -1)
				goto out;
			replay(closure, &e);
			at += ENTRY_OCTETS;
		}
	} while (n == READ_ENTRIES * ENTRY_OCTETS);
out:
	free(buf);
	*sound_r = at;
	return n == -1 ? -1 : 0;
}

struct files {
	uint64_t	number[FILES_MAX];
	size_t		n;
};

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The numbers of the files that are there; unfinished ones are removed. */
static int
find_files(int dirfd, struct files *files)
{
	char name[NAME_MAX_OCTETS], *end;
	unsigned long long number;
	struct dirent *de;
	DIR *dir;
	int saved;

	files->n = 0;
	if ((dir = fileio_opendir(dirfd, ".")) == NULL)
		return -1;
	for (;;) {
		errno = 0;
		if ((de = readdir(dir)) == NULL)
			break;
		if (strncmp(de->d_name, "ack.", 4) != 0)
			continue;
		errno = 0;
		number = strtoull(de->d_name + 4, &end, 10);
		file_name(name, number);
		if (errno != 0 || strcmp(name, de->d_name) != 0) {
			if (strcmp(end, ".tmp") == 0)
				unlinkat(dirfd, de->d_name, 0);
			continue;
		}
		if (files->n < FILES_MAX)
			files->number[files->n++] = number;
	}
	saved = errno;
	closedir(dir);
	/* if a file of the log was missed, its messages would be delivered
	 * again, or the file be overwritten */
	if ((errno = saved) != 0)
		return -1;
	qsort(files->number, files->n, sizeof(files->number[0]), compare);
	return 0;
}

/* Cut off what is not sound.  If that fails, compaction must come first. */
static void
trim(struct acklog *log)
{
	log->is_ragged = ftruncate(log->fd, (off_t)log->octets) == -1;
}

/* Replay file ${number}; the last one stays open for appending. */
static int
take_file(struct acklog *log, uint64_t number, bool is_last,
    acklog_replay replay, void *closure)
{
	char name[NAME_MAX_OCTETS];
	uint64_t sound, octets;
	int fd;

	file_name(name, number);
	fd = openat(log->dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (replay_file(fd, number, replay, closure, &sound, &octets) == -1) {
		fileio_close(fd);
		return -1;
	}
	if (sound != octets)
		log_event(LOG_LEVEL_NOTICE, "acklog-torn",
		    "file=%s offset=%llu octets=%llu", name,
		    (unsigned long long)sound,
		    (unsigned long long)(octets - sound));
	if (!is_last) {
		close(fd);
		return 0;
	}
	log->fd = fd;
	log->number = number;
	log->octets = sound;
	if (sound != octets)
		trim(log);
	return 0;
}

struct acklog *
acklog_open(int dirfd, acklog_replay replay, void *closure)
{
	struct acklog *log;
	struct files files;
	size_t i;

	if ((log = calloc(1, sizeof(*log))) == NULL)
		return NULL;
	log->dirfd = dirfd;
	log->fd = -1;
	log->compact_at = COMPACT_OCTETS;
	if (find_files(dirfd, &files) == -1)
		goto err1;
	if (files.n == 0)
		files.number[files.n++] = 1;
	/* A crash between the two halves of a compaction leaves more than one
	 * file.  An entry that is replayed twice does no harm.  The older files
	 * may have entries that the last one lacks, and stay until one file has
	 * them all. */
	for (i = 0; i < files.n; i++)
		if (take_file(log, files.number[i], i + 1 == files.n, replay,
		    closure) == -1)
			goto err1;
	log->has_others = files.n > 1;
	/* the first one's name, too, must survive what acklog_sync() promises */
	if (fsync(dirfd) == -1)
		goto err1;
	return log;
err1:
	acklog_free(log);
	return NULL;
}

void
acklog_free(struct acklog *log)
{
	if (log == NULL)
		return;
	fileio_close(log->fd);
	free(log->pending);
	free(log);
}

int
acklog_append(struct acklog *log, const struct acklog_entry *entry)
{
	unsigned char *p;

	if (log->npending >= ACKLOG_PENDING_MAX && acklog_write(log) == -1)
		return -1;
	p = array_fit(log->pending, &log->room, log->npending + 1,
	    ENTRY_OCTETS);
	if (p == NULL)
		return -1;
	log->pending = p;
	encode(entry, log->number,
	    log->pending + log->npending++ * ENTRY_OCTETS);
	return 0;
}

size_t
acklog_pending(const struct acklog *log)
{
	return log->npending;
}

/* All of it at the end of the sound octets, or nothing */
int
acklog_write(struct acklog *log)
{
	size_t len = log->npending * ENTRY_OCTETS;
	int saved;

	if (len == 0)
		return 0;
	if (log->is_ragged)
		trim(log);
	if (log->is_ragged)
		return -1;
	if (fileio_pwrite(log->fd, log->pending, len,
	    (off_t)log->octets) == -1) {
		saved = errno;
		trim(log);
		errno = saved;
		return -1;
	}
	log->octets += len;
	log->is_dirty = true;
	log->npending = 0;
	return 0;
}

int
acklog_sync(struct acklog *log)
{
	if (acklog_write(log) == -1)
		return -1;
	if (log->is_suspect) {
		errno = EIO;
		return -1;
	}
	if (!log->is_dirty)
		return 0;
	/* A second try on the same file would succeed whatever became of the
	 * first one's pages. */
	if (fdatasync(log->fd) == -1) {
		log->is_suspect = true;
		return -1;
	}
	log->is_dirty = false;
	return 0;
}

bool
acklog_wants_compaction(const struct acklog *log)
{
	return log->is_suspect || log->has_others ||
	    log->octets > log->compact_at;
}

bool
acklog_is_synced(const struct acklog *log)
{
	return log->npending == 0 && !log->is_dirty;
}

/* A snapshot that is large itself must not be made again at once. */
static uint64_t
compact_limit(uint64_t octets)
{
	return octets * 2 > COMPACT_OCTETS ? octets * 2 : COMPACT_OCTETS;
}

/* Write a whole new file under a name that replay does not look at. */
static int
fill(struct acklog *fresh, const char *tmp, acklog_snapshot snapshot,
    void *closure)
{
	fresh->fd = openat(fresh->dirfd, tmp,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fresh->fd == -1)
		return -1;
	if (snapshot(closure, fresh) == -1 || acklog_write(fresh) == -1 ||
	    fsync(fresh->fd) == -1)
		return -1;
	fresh->is_dirty = false;
	return 0;
}

static void
remove_older(const struct acklog *log)
{
	char name[NAME_MAX_OCTETS];
	struct files files;
	size_t i;

	if (find_files(log->dirfd, &files) == -1)
		return;		/* they stay, and are replayed again: no harm */
	for (i = 0; i < files.n && files.number[i] < log->number; i++) {
		file_name(name, files.number[i]);
		unlinkat(log->dirfd, name, 0);
	}
}

int
acklog_compact(struct acklog *log, acklog_snapshot snapshot, void *closure)
{
	char name[NAME_MAX_OCTETS], tmp[NAME_MAX_OCTETS + 4];
	struct acklog fresh = { .dirfd = log->dirfd, .fd = -1,
		.number = log->number + 1 };

	file_name(name, fresh.number);
	snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	if (fill(&fresh, tmp, snapshot, closure) == -1 ||
	    renameat(log->dirfd, tmp, log->dirfd, name) == -1)
		goto err1;
	/* If the name of the new file is not on disk, what is written to it may
	 * be lost, so the old file stays in use.  Should the new name be there
	 * after a crash, both files are replayed, and both are true. */
	if (fsync(log->dirfd) == -1) {
		fileio_unlink(log->dirfd, name);
		goto err1;
	}
	fresh.compact_at = compact_limit(fresh.octets);
	close(log->fd);
	free(log->pending);
	*log = fresh;
	remove_older(log);
	return 0;
err1:
	fileio_close(fresh.fd);
	free(fresh.pending);
	fileio_unlink(log->dirfd, tmp);
	return -1;
}
