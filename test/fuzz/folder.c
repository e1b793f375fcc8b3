/* Files for targets: see folder.h. */

#include "test/fuzz/folder.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "core/deferred/deferred.h"

#define RECORDS_MAX	16
#define PART_MAX	4096	/* octets of an envelope, or of a body */

static char folder[64];
static pid_t owner;

static int
remove_one(const char *path, const struct stat *, int, struct FTW *ftw)
{
	if (ftw->level > 0)
		(void)remove(path);
	return 0;
}

static void
clear(void)
{
	(void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* libFuzzer ends with exit(3) or a signal; its children are not the owner. */
static void
forget(void)
{
	if (getpid() != owner)
		return;
	clear();
	(void)rmdir(folder);
}

const char *
folder_open(void)
{
	const char *tmp = getenv("TMPDIR");

	if (folder[0] != '\0') {
		clear();
		return folder;
	}
	snprintf(folder, sizeof(folder), "%s/mailmill-fuzz.XXXXXX",
	    tmp != NULL && strlen(tmp) < sizeof(folder) - 22 ? tmp :
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(folder) == NULL)
		abort();
	owner = getpid();
	(void)atexit(forget);
	return folder;
}

static void
make_above(char *path)
{
	char *slash;

	for (slash = path + strlen(folder) + 1;
	    (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
}

void
folder_make(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/", folder, name);
	make_above(path);
}

void
folder_file(const char *name, const void *octets, size_t len)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	make_above(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		return;		/* it is the name of a folder by now */
	FUZZ_HOLDS(write(fd, octets, len) == (ssize_t)len);
	close(fd);
}

/* --- segments ------------------------------------------------------------- */

struct made {
	unsigned char	*octets;
	size_t		 len, size;
};

static unsigned char *
more(struct made *m, size_t len)
{
	unsigned char *p;

	FUZZ_HOLDS(len <= m->size - m->len);
	p = m->octets + m->len;
	m->len += len;
	return p;
}

/* A part of a record: two octets for its length, then as many. */
static size_t
part(struct fuzz_input *in, struct made *m, uint64_t *sum_r)
{
	size_t len = fuzz_octet(in);
	unsigned char *p;

	len |= (size_t)fuzz_octet(in) << 8;
	len = len < in->left ? len : in->left;
	len = len < PART_MAX ? len : PART_MAX;
	p = more(m, len);
	if (len > 0)
		memcpy(p, in->p, len);
	in->p += len;
	in->left -= len;
	*sum_r = spool_sum(p, len);
	return len;
}

static void
record(struct fuzz_input *in, struct made *m, uint64_t nonce, uint32_t seq)
{
	struct spool_record r = { .offset = m->len, .seq = seq };
	unsigned char *header = more(m, SPOOL_RECORD_HEADER);
	uint64_t sum;

	r.id = (uint64_t)fuzz_octet(in) << 12 | 1;
	r.flags = fuzz_octet(in) & SPOOL_RECORD_FLAGS;
	r.received_us = UINT64_C(1790000000000000) + fuzz_octet(in);
	r.envelope_octets = (uint32_t)part(in, m, &sum);
	r.envelope_sum = sum;
	r.body_octets = part(in, m, &sum);
	r.body_sum = sum;
	(void)more(m, (SPOOL_ALIGN - m->len % SPOOL_ALIGN) % SPOOL_ALIGN);
	spool_record_encode(&r, nonce, header);
}

unsigned char *
folder_segment(struct fuzz_input *in, size_t *octets_r)
{
	struct made m = { .size = SPOOL_PAGE + RECORDS_MAX *
		(2 * PART_MAX + 2 * SPOOL_RECORD_HEADER) +
		2 * SPOOL_RECORD_HEADER };
	struct spool_header h = { .nonce = 4711,
		.created_us = UINT64_C(1790000000000000) };
	uint32_t seq = 1;

	if ((m.octets = calloc(1, m.size)) == NULL)
		abort();
	h.segment = (uint64_t)fuzz_octet(in) << 12 | 1;
	h.generation = fuzz_octet(in);
	(void)more(&m, SPOOL_PAGE);
	while (seq <= RECORDS_MAX && (fuzz_octet(in) & 1) != 0)
		record(in, &m, h.nonce, seq++);
	spool_end_encode(m.len, seq, h.nonce, m.octets + m.len);
	m.len += SPOOL_RECORD_HEADER;
	h.size_octets = m.len;
	spool_header_encode(&h, m.octets);
	*octets_r = m.len;
	return m.octets;
}

/* --- the deferred store ---------------------------------------------------- */

static void
put_row(const char *queue, struct fuzz_input *in)
{
	struct deferred_row row = { .id = (uint64_t)fuzz_octet(in) << 12 | 1,
		.rcpt_index = fuzz_octet(in) % 4, .sender = "a@c.example",
		.rcpt = "alice@example.test", .transport = "maildir",
		.received_us = UINT64_C(1790000000000000), .octets = 100,
		.attempts = fuzz_octet(in) % 4, .next_attempt = 1790000000,
		.origin = { .segment = 0x1001, .generation = 1 } };
	uint8_t terms = fuzz_octet(in);
	int dirfd = open(queue, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct deferred *d;

	row.origin.seq = (uint32_t)row.id;
	row.hold_until = terms & 1 ? INT64_C(4000000000) : 0;
	row.deliver_by = terms & 2 ? 1790000001 : 0;
	row.holder = terms & 4 ? "alice" : NULL;
	row.flags = terms & 8 ? terms : 0;
	if (dirfd != -1 && (d = deferred_open(queue, dirfd)) != NULL) {
		if (deferred_begin(d) == 0 && deferred_put(d, &row) == 0)
			(void)deferred_commit(d);
		deferred_free(d);
	}
	if (dirfd != -1)
		close(dirfd);
}

static void
bind(sqlite3_stmt *st, unsigned int type, const char *s, size_t len)
{
	int64_t n = 0;

	memcpy(&n, s, len < sizeof(n) ? len : sizeof(n));
	switch (type % 4) {
	case 0:
		sqlite3_bind_text(st, 1, s, (int)len, SQLITE_TRANSIENT);
		break;
	case 1:
		sqlite3_bind_int64(st, 1, n);
		break;
	case 2:
		sqlite3_bind_blob(st, 1, s, (int)len, SQLITE_TRANSIENT);
		break;
	default:
		sqlite3_bind_double(st, 1, (double)n);
	}
}

void
folder_row(const char *queue, struct fuzz_input *in)
{
	static const char *const columns[] = { "id", "rcpt_index", "sender",
		"rcpt", "transport", "received_us", "octets", "attempts",
		"next_attempt", "last_error", "segment", "generation", "seq",
		"hold_until", "deliver_by", "priority", "flags", "holder" };
	char path[PATH_MAX], sql[80];
	unsigned int column, type;
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	const char *s;
	size_t len;

	put_row(queue, in);
	column = fuzz_octet(in) % (sizeof(columns) / sizeof(columns[0]));
	type = fuzz_octet(in);
	s = fuzz_line(in, &len);
	if (len == 0)
		return;
	snprintf(path, sizeof(path), "%s/deferred.db", queue);
	snprintf(sql, sizeof(sql), "UPDATE deferred SET %s = ?1",
	    columns[column]);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) ==
	    SQLITE_OK && sqlite3_prepare_v2(db, sql, -1, &st, NULL) ==
	    SQLITE_OK) {
		bind(st, type, s, len);
		(void)sqlite3_step(st);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
}
