/* A Sender_Login file in memory.
 * Owns: the file's text, where each line became "sender NUL login NUL login
 * NUL NUL", and an array of where these begin, sorted by sender.  Senders are
 * kept in lower case. */

#include "core/table/sender_logins.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/table/textfile.h"

/* octets: no address is longer */
#define SENDER_MAX	(LIM_PATH + LIM_DOMAIN)

struct sender_logins {
	char		 *text;
	const char	**entries;	/* each at its sender; sorted */
	size_t		  n;
};

/* The next word of the line [*s, end); its length, 0: there is none. */
static size_t
word(const char **s, const char *end)
{
	const char *p = *s;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	*s = p;
	while (p < end && *p != ' ' && *p != '\t')
		p++;
	return (size_t)(p - *s);
}

static bool
has_control(const char *s, const char *end)
{
	for (; s < end; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
			return true;
	return false;
}

/* What is wrong with the sender ${s}, or NULL. */
static const char *
sender_fault(const char *s, size_t len)
{
	const char *at = memrchr(s, '@', len);

	if (len > SENDER_MAX)
		return "longer than an address can be";
	if ((len != 1 || *s != '*') && (at == NULL || at == s + len - 1))
		return "expected an address, @domain or * first";
	return NULL;
}

/* What is wrong with the line [s, end), which is not empty; or NULL. */
static const char *
line_fault(const char *s, const char *end)
{
	const char *fault;
	size_t n;

	if (has_control(s, end))
		return "a control character";
	n = word(&s, end);
	if ((fault = sender_fault(s, n)) != NULL)
		return fault;
	s += n;
	if (word(&s, end) == 0)
		return "expected a login behind the sender";
	for (; (n = word(&s, end)) > 0; s += n)
		if (n > LIM_LOGIN)
			return "longer than a login can be";
	return NULL;
}

/* Lines, at most: each ends with a newline. */
static size_t
count_lines(const char *s, size_t len)
{
	const char *end = s + len;
	size_t n = 0;

	for (; (s = memchr(s, '\n', (size_t)(end - s))) != NULL; s++)
		n++;
	return n;
}

struct parse {
	struct sender_logins	*t;
	char			*out;	/* behind the last entry */
};

/* Append the line as an entry. */
static const char *
parse(void *closure, const char *s, const char *end)
{
	struct parse *p = closure;
	const char *fault = line_fault(s, end);
	bool is_sender = true;
	size_t n, i;

	if (fault != NULL)
		return fault;
	p->t->entries[p->t->n++] = p->out;
	for (; (n = word(&s, end)) > 0; s += n) {
		for (i = 0; i < n; i++)
			*p->out++ = is_sender ? textfile_lower(s[i]) : s[i];
		*p->out++ = '\0';
		is_sender = false;
	}
	*p->out++ = '\0';
	return NULL;
}

static int
entry_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct sender_logins *
sender_logins_load(const char *path, char *err_r, size_t errlen)
{
	struct sender_logins *t;
	struct parse p;
	char *from = NULL;
	size_t len, nlines;

	if ((t = calloc(1, sizeof(*t))) == NULL ||
	    (from = textfile_read(path, &len)) == NULL)
		goto err1;
	nlines = count_lines(from, len);
	/* an entry is one octet longer than its line and the newline */
	t->text = malloc(len + nlines);
	t->entries = reallocarray(NULL, nlines, sizeof(*t->entries));
	if (t->text == NULL || t->entries == NULL)
		goto err1;
	p = (struct parse){ .t = t, .out = t->text };
	if (textfile_lines(from, len, path, parse, &p, err_r, errlen) == -1)
		goto err0;
	qsort(t->entries, t->n, sizeof(*t->entries), entry_cmp);
	free(from);
	return t;
err1:
	snprintf(err_r, errlen, "%s: cannot be read: %s", path,
	    strerror(errno));
err0:
	free(from);
	sender_logins_free(t);
	return NULL;
}

void
sender_logins_free(struct sender_logins *t)
{
	if (t == NULL)
		return;
	free(t->entries);
	free(t->text);
	free(t);
}

/* Does the entry name ${login}, or anybody? */
static bool
is_named(const char *entry, const char *login)
{
	const char *s;

	for (s = entry + strlen(entry) + 1; *s != '\0'; s += strlen(s) + 1)
		if (strcmp(s, "*") == 0 || strcmp(s, login) == 0)
			return true;
	return false;
}

/* 1 or 0; -1: there is no entry for ${sender}. */
static int
look_up(const struct sender_logins *t, const char *sender, const char *login)
{
	size_t low = 0, high = t->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (strcmp(t->entries[mid], sender) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == t->n || strcmp(t->entries[low], sender) != 0)
		return -1;
	for (; low < t->n && strcmp(t->entries[low], sender) == 0; low++)
		if (is_named(t->entries[low], login))
			return 1;
	return 0;
}

bool
sender_logins_may(const struct sender_logins *t, const char *login,
    const char *address)
{
	char key[SENDER_MAX + 1];
	const char *at;
	size_t i;
	int answer;

	for (i = 0; i < SENDER_MAX && address[i] != '\0'; i++)
		key[i] = textfile_lower(address[i]);
	if (address[i] != '\0')
		return false;
	key[i] = '\0';
	answer = look_up(t, key, login);
	if (answer == -1 && (at = strrchr(key, '@')) != NULL && at != key)
		answer = look_up(t, at, login);
	if (answer == -1)
		answer = look_up(t, "*", login);
	return answer == 1;
}
