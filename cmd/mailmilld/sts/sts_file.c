/* The file of policies; see sts_file.h.
 *
 * A file is text, in lines:
 *	mailmill-sts 1 NUMBER			that with the greater one counts
 *	DOMAIN ID FETCHED EXPIRES MODE MAX_AGE MX...
 *	end CHECKSUM				XXH3 of all before, in hexadecimal
 * Times are seconds since 1970. */

#include "cmd/mailmilld/sts/sts_file.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/util/fileio.h"

#define MAGIC		"mailmill-sts 1"
#define NFILES		2
#define FIELDS		6		/* before the patterns */

struct sts_file {
	int		 fds[NFILES];
	uint64_t	 numbers[NFILES];
	bool		 is_locked;
};

/* --- reading -------------------------------------------------------------- */

/* The octets of a file, with a NUL behind them, to be freed.  NULL with errno. */
static char *
read_all(int fd, size_t *len_r)
{
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (st.st_size < 0 || (uint64_t)st.st_size > STS_FILE_MAX) {
		errno = EFBIG;
		return NULL;
	}
	if ((text = malloc((size_t)st.st_size + 1)) == NULL)
		return NULL;
	if ((n = fileio_pread(fd, text, (size_t)st.st_size, 0)) == -1) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	*len_r = (size_t)n;
	return text;
}

/* Is the text whole?  Then ${number_r} is its number, and its last line is cut. */
static bool
check(char *text, size_t len, uint64_t *number_r)
{
	static const char last[] = "\nend ";
	char *end, *sum = NULL, *at;
	size_t left;

	if (strlen(text) != len || sscanf(text, MAGIC " %" SCNu64 "\n",
	    number_r) != 1)
		return false;
	for (at = text; (at = strstr(at, last)) != NULL; at++)
		sum = at;
	if (sum == NULL)
		return false;
	left = (size_t)(sum + 1 - text);
	if (strtoull(sum + strlen(last), &end, 16) !=
	    XXH3_64bits(text, left) || strcmp(end, "\n") != 0)
		return false;
	text[left] = '\0';
	return true;
}

static bool
mode_of(const char *name, enum sts_mode *mode_r)
{
	unsigned int i;

	for (i = 0; i < STS_NMODES; i++)
		if (strcmp(name, sts_mode_name(i)) == 0) {
			*mode_r = i;
			return true;
		}
	return false;
}

static bool
take_patterns(char *rest, struct sts_policy *p)
{
	char *mx;
	size_t len;

	p->len = 0;
	while ((mx = strsep(&rest, " ")) != NULL) {
		len = strlen(mx) + 1;
		if (len > sizeof(p->mx) - p->len)
			return false;
		memcpy(p->mx + p->len, mx, len);
		p->len += len;
	}
	return true;
}

static uint64_t
ms_between(int64_t from_s, int64_t to_s)
{
	return to_s <= from_s ? 0 : (uint64_t)(to_s - from_s) * 1000;
}

/* One line.  A clock that was wrong does not make a policy last for longer than it
 * says.  Return whether it has one that has not expired. */
static bool
take_line(char *line, int64_t wall_s, struct sts_cache *cache)
{
	static struct sts_policy p;
	char name[LIM_DOMAIN + 1], *fields[FIELDS];
	struct sts_kept kept = { .policy = &p };
	uint64_t age_ms;
	unsigned int i;

	for (i = 0; i < FIELDS; i++)
		if ((fields[i] = strsep(&line, " ")) == NULL)
			return false;
	if (!mode_of(fields[4], &p.mode) || !take_patterns(line, &p))
		return false;
	p.max_age_s = (uint32_t)strtoul(fields[5], NULL, 10);
	if (!sts_policy_check(&p) || !sts_id_check(fields[1]) ||
	    lookup_name(fields[0], name) == -1 || strcmp(name, fields[0]) != 0)
		return false;
	kept.domain = name;
	kept.id = fields[1];
	kept.age_ms = ms_between(strtoll(fields[2], NULL, 10), wall_s);
	kept.left_ms = ms_between(wall_s, strtoll(fields[3], NULL, 10));
	age_ms = p.max_age_s * 1000ULL;
	if (age_ms < STS_LEAST_MS)
		age_ms = STS_LEAST_MS;
	if (kept.left_ms > age_ms)
		kept.left_ms = age_ms;
	if (kept.left_ms == 0)
		return false;
	sts_cache_keep(cache, &kept);
	return true;
}

static int
take_text(char *text, int64_t wall_s, struct sts_cache *cache)
{
	char *line;
	int n = 0;

	(void)strsep(&text, "\n");		/* the head */
	while ((line = strsep(&text, "\n")) != NULL)
		n += *line != '\0' && take_line(line, wall_s, cache);
	return n;
}

int
sts_file_load(struct sts_file *f, struct sts_cache *cache, int64_t wall_s)
{
	char *text[NFILES] = { NULL, NULL };
	size_t len, best = NFILES, i, nbad = 0;
	int n = 0;

	for (i = 0; i < NFILES; i++) {
		f->numbers[i] = 0;
		if ((text[i] = read_all(f->fds[i], &len)) == NULL)
			n = -1;
		else if (len == 0)
			;
		else if (!check(text[i], len, &f->numbers[i]))
			nbad++;
		else if (best == NFILES || f->numbers[i] > f->numbers[best])
			best = i;
	}
	if (n == 0 && best < NFILES)
		n = take_text(text[best], wall_s, cache);
	else if (n == 0 && nbad > 0) {
		errno = EBADMSG;
		n = -1;
	}
	for (i = 0; i < NFILES; i++)
		free(text[i]);
	return n;
}

/* --- writing -------------------------------------------------------------- */

struct writer {
	FILE	*fp;
	int64_t	 wall_s;
};

static void
write_one(void *closure, const struct sts_kept *k)
{
	struct writer *w = closure;
	const char *mx;

	fprintf(w->fp, "%s %s %" PRId64 " %" PRId64 " %s %" PRIu32, k->domain,
	    k->id, w->wall_s - (int64_t)(k->age_ms / 1000),
	    w->wall_s + (int64_t)(k->left_ms / 1000),
	    sts_mode_name(k->policy->mode), k->policy->max_age_s);
	for (mx = k->policy->mx; mx < k->policy->mx + k->policy->len;
	    mx += strlen(mx) + 1)
		fprintf(w->fp, " %s", mx);
	fputc('\n', w->fp);
}

/* The text, to be freed.  NULL: ENOMEM. */
static char *
write_text(struct sts_cache *cache, int64_t wall_s, uint64_t number,
    size_t *len_r)
{
	struct writer w = { .wall_s = wall_s };
	char *text = NULL;
	bool is_bad;

	if ((w.fp = open_memstream(&text, len_r)) == NULL)
		return NULL;
	fprintf(w.fp, MAGIC " %" PRIu64 "\n", number);
	sts_cache_each(cache, write_one, &w);
	is_bad = fflush(w.fp) == EOF;
	if (!is_bad)
		fprintf(w.fp, "end %016" PRIx64 "\n",
		    XXH3_64bits(text, *len_r));
	is_bad = fclose(w.fp) == EOF || is_bad;
	if (is_bad) {
		free(text);
		text = NULL;
	}
	return text;
}

int
sts_file_save(struct sts_file *f, struct sts_cache *cache, int64_t wall_s)
{
	size_t older = f->numbers[0] > f->numbers[1], len;
	uint64_t number = f->numbers[1 - older] + 1;
	char *text = write_text(cache, wall_s, number, &len);
	int failed;

	if (text == NULL) {
		errno = ENOMEM;
		return -1;
	}
	failed = fileio_pwrite(f->fds[older], text, len, 0) == -1 ||
	    ftruncate(f->fds[older], (off_t)len) == -1 ||
	    fdatasync(f->fds[older]) == -1;
	free(text);
	if (failed)
		return -1;
	f->numbers[older] = number;
	return 0;
}

/* --- the files ------------------------------------------------------------ */

struct sts_file *
sts_file_open(int dirfd)
{
	static const char *const names[NFILES] = { "policies.0",
		"policies.1" };
	struct sts_file *f = calloc(1, sizeof(*f));
	unsigned int i;

	if (f == NULL)
		return NULL;
	for (i = 0; i < NFILES; i++)
		f->fds[i] = -1;
	for (i = 0; i < NFILES; i++) {
		f->fds[i] = openat(dirfd, names[i], O_RDWR | O_CREAT |
		    O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
		if (f->fds[i] == -1) {
			sts_file_close(f);
			return NULL;
		}
	}
	return f;
}

bool
sts_file_lock(struct sts_file *f)
{
	f->is_locked = f->is_locked ||
	    flock(f->fds[0], LOCK_EX | LOCK_NB) == 0;
	return f->is_locked;
}

void
sts_file_close(struct sts_file *f)
{
	unsigned int i;

	if (f == NULL)
		return;
	for (i = 0; i < NFILES; i++)
		fileio_close(f->fds[i]);
	free(f);
}
