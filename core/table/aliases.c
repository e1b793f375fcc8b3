/* Files of aliases; see aliases.h. */

#include "core/table/aliases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/lim.h"
#include "core/util/array.h"
#include "core/util/fileio.h"
#include "core/util/utf8.h"

#define OCTETS_MAX	(1u << 30)	/* of a file */
#define KEY_MAX		(3 * TEXTFILE_ADDRESS_MAX)	/* octets: one in lower case */
#define WHY_MAX		200		/* octets of what is wrong with a line */

struct aliases {
	char		*text;		/* of each entry: the address, then those that
					 * get its mail, each with a NUL, and a NUL */
	size_t		 len, room;
	struct alias {
		uint32_t at;		/* in the text */
		uint32_t targets;	/* the same */
		uint32_t next;		/* number of the next one in the same bucket,
					 * from 1; 0: none */
		uint32_t line;		/* in the file */
	}		*v;
	size_t		 n, v_room;
	uint32_t	*buckets;	/* numbers of entries, from 1; 0: none */
	size_t		 nbuckets;	/* a power of two */
};

/* What is needed to take lines */
struct taking {
	struct aliases	*a;
	textfile_address *address, *target;
	const void	*closure;
	size_t		 ntargets;	/* of the entry begun last */
	char		 why[WHY_MAX];	/* what is wrong, where it is not constant */
	uint32_t	 line;		/* the one that is wrong */
};

/* --- text ------------------------------------------------------------------- */

static const char *
skip_blank(const char *s, const char *end)
{
	while (s < end && textfile_is_blank(*s))
		s++;
	return s;
}

/* Add the ${len} octets ${s} and a NUL.  Return 0, or -1: there is no memory. */
static int
add_text(struct aliases *a, const char *s, size_t len)
{
	char *grown;

	if (a->len + len + 1 > UINT32_MAX || (grown = array_fit(a->text,
	    &a->room, a->len + len + 1, 1)) == NULL)
		return -1;
	a->text = grown;
	memcpy(grown + a->len, s, len);
	grown[a->len + len] = '\0';
	a->len += len + 1;
	return 0;
}

/* --- index ------------------------------------------------------------------ */

static uint32_t *
bucket_of(const struct aliases *a, const char *key, size_t len)
{
	return &a->buckets[XXH3_64bits(key, len) & (a->nbuckets - 1)];
}

static const struct alias *
find_key(const struct aliases *a, const char *key, size_t len)
{
	const struct alias *e;
	uint32_t i;

	for (i = *bucket_of(a, key, len); i != 0; i = e->next) {
		e = &a->v[i - 1];
		if (strncmp(a->text + e->at, key, len) == 0 &&
		    a->text[e->at + len] == '\0')
			return e;
	}
	return NULL;
}

/* Return 0; -1: there is no memory; or the line of one that is there twice, of
 * which *${first_r} is the line before. */
static int64_t
index_all(struct aliases *a, uint32_t *first_r)
{
	const struct alias *other;
	uint32_t *bucket;
	const char *key;
	size_t i;

	for (a->nbuckets = 16; a->nbuckets < a->n; a->nbuckets *= 2)
		;
	if ((a->buckets = calloc(a->nbuckets, sizeof(*a->buckets))) == NULL)
		return -1;
	for (i = 0; i < a->n; i++) {
		key = a->text + a->v[i].at;
		if ((other = find_key(a, key, strlen(key))) != NULL) {
			*first_r = other->line;
			return a->v[i].line;
		}
		bucket = bucket_of(a, key, strlen(key));
		a->v[i].next = *bucket;
		*bucket = (uint32_t)i + 1;
	}
	return 0;
}

/* --- lines ------------------------------------------------------------------ */

/* Octets of the address at ${s}: up to one of ${seps}, or to white space, but for
 * what is in quotes or in brackets. */
static size_t
address_octets(const char *s, const char *end, const char *seps)
{
	const char *p = s + textfile_quoted(s, end);
	bool is_literal = false;

	for (; p < end && !textfile_is_blank(*p); p++) {
		if (*p == '[' || *p == ']')
			is_literal = *p == '[';
		if (!is_literal && strchr(seps, *p) != NULL)
			break;
	}
	return (size_t)(p - s);
}

/* What sendmail and others do, and is not done here; NULL: it may be an address. */
static const char *
foreign_fault(const char *s, size_t len)
{
	const char *p = s + (*s == '"' && len > 1);

	if (*p == '|')
		return "mail is not given to a program here: expected addresses";
	if (*p == '/')
		return "mail is not appended to a file here: expected addresses";
	if (len >= 9 && strncasecmp(p, ":include:", 9) == 0)
		return "no other files are included: list the addresses here";
	if (*p == '\\')
		return "a backslash before an address: without it, an address "
		    "that is listed for itself is that of a mailbox";
	return NULL;
}

/* Take those that get the mail of the entry begun last. */
static const char *
take_targets(struct taking *t, const char *s, const char *end)
{
	char text[TEXTFILE_ADDRESS_MAX];
	const char *why;
	size_t len, n;

	for (;;) {
		while (s < end && (textfile_is_blank(*s) || *s == ','))
			s++;
		if (s == end)
			return NULL;
		n = len = address_octets(s, end, ",");
		if ((why = foreign_fault(s, len)) == NULL &&
		    len > TEXTFILE_ADDRESS_MAX)
			why = "longer than an address can be";
		if (why == NULL)
			why = t->target(t->closure, s, &n, text);
		if (why != NULL) {
			snprintf(t->why, sizeof(t->why), "%.*s: %s",
			    (int)(len < 64 ? len : 64), s, why);
			return t->why;
		}
		if (++t->ntargets > LIM_ALIAS_RCPTS)
			return "more than " LIM_ALIAS_RCPTS_TEXT " addresses for "
			    "one alias: make the list shorter";
		if (add_text(t->a, text, n) == -1)
			return "out of memory";
		s += len;
	}
}

/* End the entry begun last; what is wrong with it, or NULL. */
static const char *
end_entry(struct taking *t)
{
	struct aliases *a = t->a;

	if (a->n == 0)
		return NULL;
	if (a->len == a->v[a->n - 1].targets) {
		t->line = a->v[a->n - 1].line;
		return "nobody gets the mail of this alias: expected addresses "
		    "behind it";
	}
	return add_text(a, "", 0) == -1 ? "out of memory" : NULL;
}

/* Begin an entry with the line [${s}, ${end}]. */
static const char *
take_entry(struct taking *t, const char *s, const char *end, uint32_t line)
{
	char text[TEXTFILE_ADDRESS_MAX], key[KEY_MAX];
	struct aliases *a = t->a;
	size_t len = address_octets(s, end, ":"), n = len;
	struct alias *grown;
	const char *why;
	ssize_t octets;

	if (len == 0)
		return "expected an address first";
	if (len > TEXTFILE_ADDRESS_MAX)
		return "longer than an address can be";
	if ((why = t->address(t->closure, s, &n, text)) != NULL)
		return why;
	if ((octets = utf8_lower(text, n, key, sizeof(key))) == -1 ||
	    (grown = array_fit(a->v, &a->v_room, a->n + 1,
	    sizeof(*grown))) == NULL)
		return "out of memory";
	a->v = grown;
	a->v[a->n] = (struct alias){ .at = (uint32_t)a->len, .line = line };
	if (add_text(a, key, (size_t)octets) == -1)
		return "out of memory";
	a->v[a->n++].targets = (uint32_t)a->len;
	t->ntargets = 0;
	s = skip_blank(s + len, end);
	if (s < end && *s == ':')
		s++;
	return take_targets(t, s, end);
}

static const char *
control_fault(const char *s, const char *end)
{
	for (; s < end; s++)
		if (((unsigned char)*s < ' ' && *s != '\t' && *s != '\r') ||
		    *s == 0x7f)
			return "a control character";
	return NULL;
}

/* Take the line [${s}, ${end}], the ${line}th, from 1. */
static const char *
take_line(struct taking *t, const char *s, const char *end, uint32_t line)
{
	const char *text = skip_blank(s, end), *why;

	if (text == end || *text == '#')
		return NULL;
	if (line == 1 && end - s >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		return "a byte order mark: save the file as UTF-8 without BOM";
	if ((why = control_fault(text, end)) != NULL)
		return why;
	if (text != s && t->a->n == 0)
		return "the first line begins with white space, as one that "
		    "goes on with another";
	if (text != s)
		return take_targets(t, text, end);
	return (why = end_entry(t)) != NULL ? why :
	    take_entry(t, s, end, line);
}

/* Take all lines of ${text}.  Return the one that is wrong, and in *why_r what is;
 * or 0. */
static uint32_t
take_all(struct taking *t, const char *text, size_t len, const char **why_r)
{
	const char *line, *nl, *end = text + len;
	uint32_t number = 1;

	for (line = text; line < end; line = nl + 1, number++) {
		nl = memchr(line, '\n', (size_t)(end - line));
		if (nl == NULL)
			nl = end;
		t->line = number;
		*why_r = take_line(t, line, nl, number);
		if (*why_r != NULL)
			return t->line;
	}
	*why_r = end_entry(t);
	return *why_r != NULL ? t->line : 0;
}

/* Read the lines of ${text}, and index them.  Return 0, or -1 having said what is
 * wrong. */
static int
parse(struct taking *t, const char *path, const char *text, size_t len,
    char *err_r, size_t errlen)
{
	const char *why = NULL;
	uint32_t line, first = 0;
	int64_t again;

	if ((line = take_all(t, text, len, &why)) != 0) {
		snprintf(err_r, errlen, "%s:%u: %s", path, line, why);
		return -1;
	}
	again = index_all(t->a, &first);
	if (again == -1)
		snprintf(err_r, errlen, "%s: out of memory", path);
	else if (again != 0)
		snprintf(err_r, errlen, "%s:%u: this alias is also in line %u: "
		    "list all who get its mail in one place", path,
		    (unsigned int)again, first);
	return again == 0 ? 0 : -1;
}

struct aliases *
aliases_load(const char *path, textfile_address *address,
    textfile_address *target, const void *closure, char *err_r, size_t errlen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct taking t = { .a = calloc(1, sizeof(*t.a)), .address = address,
		.target = target, .closure = closure };
	char *text = NULL;
	size_t len;
	int rc = -1;

	if (t.a == NULL || fd == -1 ||
	    (text = textfile_read(fd, OCTETS_MAX, &len)) == NULL)
		snprintf(err_r, errlen, "%s: cannot be read: %s", path,
		    strerror(errno));
	else
		rc = parse(&t, path, text, len, err_r, errlen);
	free(text);
	fileio_close(fd);
	if (rc == 0)
		return t.a;
	aliases_free(t.a);
	return NULL;
}

void
aliases_free(struct aliases *a)
{
	if (a == NULL)
		return;
	free(a->text);
	free(a->v);
	free(a->buckets);
	free(a);
}

/* --- search ----------------------------------------------------------------- */

static const char *
look_up(const struct aliases *a, const char *s, size_t len)
{
	char key[KEY_MAX];
	const struct alias *e;
	ssize_t n;

	errno = ENOENT;
	if (len == 0 || len > TEXTFILE_ADDRESS_MAX)
		return NULL;
	if ((n = utf8_lower(s, len, key, sizeof(key))) == -1) {
		errno = ENOMEM;
		return NULL;
	}
	if ((e = find_key(a, key, (size_t)n)) != NULL)
		return a->text + e->targets;
	errno = ENOENT;
	return NULL;
}

const char *
aliases_find(const struct aliases *a, const char *address, bool is_exact)
{
	const char *at = strrchr(address, '@'), *found;

	found = look_up(a, address, strlen(address));
	if (found == NULL && errno == ENOENT && at != NULL)
		found = look_up(a, address, (size_t)(at - address));
	if (found == NULL && errno == ENOENT && at != NULL && !is_exact)
		found = look_up(a, at, strlen(at));
	return found;
}

size_t
aliases_count(const struct aliases *a)
{
	return a->n;
}
