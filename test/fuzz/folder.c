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
	if (folder[0] != '\0') {
		clear();
		return folder;
	}
	snprintf(folder, sizeof(folder), "%s/mailmill-fuzz.XXXXXX",
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
