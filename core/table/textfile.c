/* Files that list addresses: the text in memory, a hash table of its lines.
 * Three allocations, so that a million lines cost little more than their
 * text. */

#include "core/table/textfile.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/lim.h"
#include "core/util/array.h"
#include "core/util/fileio.h"
#include "core/util/wipe.h"

#define OCTETS_MAX	(1u << 30)		/* so that 32 bits hold an offset */
#define ADDRESS_MAX	(LIM_PATH + LIM_DOMAIN)	/* octets: none is longer */

char *
textfile_read(int fd, size_t max, size_t *len_r)
{
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (!S_ISREG(st.st_mode))
		return errno = EINVAL, NULL;
	if (st.st_size > (off_t)max)
		return errno = EFBIG, NULL;
	if ((text = malloc((size_t)st.st_size + 1)) == NULL)
		return NULL;
	if ((n = fileio_pread(fd, text, (size_t)st.st_size, 0)) == -1) {
		wipe_free(text, (size_t)st.st_size);
		return NULL;
	}
	text[n] = '\0';
	*len_r = (size_t)n;
	return text;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

size_t
textfile_word(const char *s)
{
	return strcspn(s, " \t");
}

size_t
textfile_blank(const char *s)
{
	return strspn(s, " \t");
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Octets of the quoted local part at ${s}, with its quotes; 0: there is none. */
static size_t
quoted(const char *s, const char *end)
{
	const char *p = s + 1;

	if (s == end || *s != '"')
		return 0;
	for (; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? (size_t)(p + 1 - s) : 0;
}

/* Octets of the address at ${s}, NUL terminated, which may have white space in
 * quotes. */
static size_t
address_octets(const char *s)
{
	size_t n = quoted(s, s + strlen(s));

	return n + textfile_word(s + n);
}

/* Cut the comment and the white space off the line [*s_r, end] and put a NUL
 * there; what is wrong with it, or NULL. */
static const char *
trim(char **s_r, char *end)
{
	char *s = *s_r, *p;

	while (s < end && is_blank(*s))
		s++;
	p = s + quoted(s, end);
	if ((p = memchr(p, '#', (size_t)(end - p))) != NULL)
		end = p;
	while (end > s && is_blank(end[-1]))
		end--;
	*end = '\0';
	*s_r = s;
	if (strncmp(s, "\xef\xbb\xbf", 3) == 0)
		return "a byte order mark: save the file as UTF-8 without BOM";
	for (p = s; p < end; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return "a control character";
	return NULL;
}

/* Take the line [s, end], at whose end a NUL may be written; what is wrong with
 * it, or NULL. */
static const char *
take_line(struct textfile *t, char *s, char *end, textfile_address *address,
    const void *closure,
    const char *(*fault)(const char *address, size_t len, const char *words))
{
	struct textfile_line *grown;
	const char *why;
	size_t len, n, i;

	if ((why = trim(&s, end)) != NULL || *s == '\0')
		return why;
	n = len = address_octets(s);
	if (len > ADDRESS_MAX)
		return "longer than an address can be";
	if ((why = fault(s, len, s + len + textfile_blank(s + len))) != NULL ||
	    (why = address(closure, s, &n)) != NULL)
		return why;
	grown = array_fit(t->lines, &t->room, t->nlines + 1, sizeof(*grown));
	if (grown == NULL)
		return "out of memory";
	t->lines = grown;
	/* the address may have become shorter: it moves to the words */
	memmove(s + len - n, s, n);
	s += len - n;
	for (i = 0; i < n; i++)
		s[i] = lower(s[i]);
	t->lines[t->nlines++].at = (uint32_t)(s - t->text);
	return NULL;
}

static uint32_t *
bucket_of(const struct textfile *t, const char *address, size_t len)
{
	return &t->buckets[XXH3_64bits(address, len) & (t->nbuckets - 1)];
}

static int
index_lines(struct textfile *t)
{
	const char *s;
	uint32_t *bucket;
	size_t i;

	for (t->nbuckets = 16; t->nbuckets < t->nlines; t->nbuckets *= 2)
		;
	if ((t->buckets = calloc(t->nbuckets, sizeof(*t->buckets))) == NULL)
		return -1;
	for (i = 0; i < t->nlines; i++) {
		s = t->text + t->lines[i].at;
		bucket = bucket_of(t, s, address_octets(s));
		t->lines[i].next = *bucket;
		*bucket = (uint32_t)i + 1;
	}
	return 0;
}

struct textfile *
textfile_load(const char *path, textfile_address *address,
    const void *closure,
    const char *(*fault)(const char *address, size_t len, const char *words),
    char *err_r, size_t errlen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct textfile *t = calloc(1, sizeof(*t));
	const char *why;
	char *line, *nl;
	size_t len, number = 1;

	if (t == NULL || fd == -1 ||
	    (t->text = textfile_read(fd, OCTETS_MAX, &len)) == NULL)
		goto err2;
	for (line = t->text; line <= t->text + len; line = nl + 1, number++) {
		nl = memchr(line, '\n', (size_t)(t->text + len - line));
		if (nl == NULL)
			nl = t->text + len;	/* its NUL */
		if ((why = take_line(t, line, nl, address, closure,
		    fault)) == NULL)
			continue;
		snprintf(err_r, errlen, "%s:%zu: %s", path, number, why);
		goto err1;
	}
	if (index_lines(t) == -1)
		goto err2;
	close(fd);
	return t;
err2:
	snprintf(err_r, errlen, "%s: cannot be read: %s", path,
	    strerror(errno));
err1:
	fileio_close(fd);
	textfile_free(t);
	return NULL;
}

void
textfile_free(struct textfile *t)
{
	if (t == NULL)
		return;
	free(t->text);
	free(t->lines);
	free(t->buckets);
	free(t);
}

const char *
textfile_find(const struct textfile *t, const char *address, size_t len,
    size_t *pos)
{
	char key[ADDRESS_MAX];
	const char *s;
	size_t i;

	if (len > sizeof(key))
		return NULL;
	for (i = 0; i < len; i++)
		key[i] = lower(address[i]);
	for (i = *pos != TEXTFILE_FIRST ? *pos : *bucket_of(t, key, len);
	    i != 0; i = t->lines[i - 1].next) {
		s = t->text + t->lines[i - 1].at;
		if (address_octets(s) != len || memcmp(s, key, len) != 0)
			continue;
		*pos = t->lines[i - 1].next;
		return s + len + textfile_blank(s + len);
	}
	return NULL;
}
