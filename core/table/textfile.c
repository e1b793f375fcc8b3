/* Files that list addresses: the text in memory, a hash table of its lines.
 * Few allocations, so that a million lines cost little more than their text. */

#include "core/table/textfile.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/lim.h"
#include "core/util/array.h"
#include "core/util/fileio.h"
#include "core/util/utf8.h"
#include "core/util/wipe.h"

#define OCTETS_MAX	(1u << 30)		/* so that 32 bits hold an offset */
#define KEY_MAX		(3 * TEXTFILE_ADDRESS_MAX)	/* octets: one in lower case */

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

bool
textfile_is_blank(char c)
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

size_t
textfile_quoted(const char *s, const char *end)
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
	size_t n = textfile_quoted(s, s + strlen(s));

	return n + textfile_word(s + n);
}

/* Cut the comment and the white space off the line [*s_r, end] and put a NUL
 * there; what is wrong with it, or NULL. */
static const char *
trim(char **s_r, char *end)
{
	char *s = *s_r, *p;

	while (s < end && textfile_is_blank(*s))
		s++;
	p = s + textfile_quoted(s, end);
	if ((p = memchr(p, '#', (size_t)(end - p))) != NULL)
		end = p;
	while (end > s && textfile_is_blank(end[-1]))
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

/* Add a line of ${key}, ${n} octets, and of the ${len} octets of words at
 * ${words}.  0, or -1: there is no memory. */
static int
add_more(struct textfile *t, const char *key, size_t n, const char *words,
    size_t len, uint32_t *at_r)
{
	size_t need = t->more_len + n + len + 1;
	char *grown;

	if (t->len + need > UINT32_MAX || (grown = array_fit(t->more,
	    &t->more_room, need, 1)) == NULL)
		return -1;
	t->more = grown;
	*at_r = (uint32_t)(t->len + t->more_len);
	memcpy(grown + t->more_len, key, n);
	memcpy(grown + t->more_len + n, words, len);
	grown[need - 1] = '\0';
	t->more_len = need;
	return 0;
}

static const char *
line_text(const struct textfile *t, size_t line)
{
	size_t at = t->lines[line].at;

	return at < t->len ? t->text + at : t->more + (at - t->len);
}

/* Note the line at ${s}, whose address of ${len} octets has become ${key}, ${n}
 * octets: that moves to the words if it is not longer.  0, or -1: there is no
 * memory. */
static int
note_line(struct textfile *t, char *s, size_t len, const char *key, size_t n)
{
	struct textfile_line *grown;

	grown = array_fit(t->lines, &t->room, t->nlines + 1, sizeof(*grown));
	if (grown == NULL)
		return -1;
	t->lines = grown;
	if (n > len) {
		if (add_more(t, key, n, s + len, strlen(s + len),
		    &grown[t->nlines].at) == -1)
			return -1;
	} else {
		s += len - n;
		memcpy(s, key, n);
		grown[t->nlines].at = (uint32_t)(s - t->text);
	}
	t->nlines++;
	return 0;
}

/* Take the line [s, end], at whose end a NUL may be written; what is wrong with
 * it, or NULL. */
static const char *
take_line(struct textfile *t, char *s, char *end, textfile_address *address,
    const void *closure,
    const char *(*fault)(const void *closure, const char *address, size_t len,
	const char *words))
{
	char text[TEXTFILE_ADDRESS_MAX], key[KEY_MAX];
	const char *why;
	size_t len, n;
	ssize_t octets;

	if ((why = trim(&s, end)) != NULL || *s == '\0')
		return why;
	n = len = address_octets(s);
	if (len > TEXTFILE_ADDRESS_MAX)
		return "longer than an address can be";
	if ((why = fault(closure, s, len, s + len +
	    textfile_blank(s + len))) != NULL ||
	    (why = address(closure, s, &n, text)) != NULL)
		return why;
	if ((octets = utf8_lower(text, n, key, sizeof(key))) == -1 ||
	    note_line(t, s, len, key, (size_t)octets) == -1)
		return "out of memory";
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
		s = line_text(t, i);
		bucket = bucket_of(t, s, address_octets(s));
		t->lines[i].next = *bucket;
		*bucket = (uint32_t)i + 1;
	}
	return 0;
}

struct textfile *
textfile_load(const char *path, textfile_address *address,
    const void *closure,
    const char *(*fault)(const void *closure, const char *address, size_t len,
	const char *words),
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
	t->len = len + 1;
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
	free(t->more);
	free(t->lines);
	free(t->buckets);
	free(t);
}

const char *
textfile_find(const struct textfile *t, const char *address, size_t len,
    size_t *pos)
{
	char key[KEY_MAX];
	const char *s;
	ssize_t n;
	size_t i;

	errno = ENOENT;
	if (len > TEXTFILE_ADDRESS_MAX)
		return NULL;
	if ((n = utf8_lower(address, len, key, sizeof(key))) == -1) {
		errno = ENOMEM;
		return NULL;
	}
	len = (size_t)n;
	for (i = *pos != TEXTFILE_FIRST ? *pos : *bucket_of(t, key, len);
	    i != 0; i = t->lines[i - 1].next) {
		s = line_text(t, i - 1);
		if (address_octets(s) != len || memcmp(s, key, len) != 0)
			continue;
		*pos = t->lines[i - 1].next;
		return s + len + textfile_blank(s + len);
	}
	errno = ENOENT;
	return NULL;
}
