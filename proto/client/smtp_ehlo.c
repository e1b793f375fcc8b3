/* See smtp_ehlo.h. */

#include "proto/client/smtp_ehlo.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/auth/esmtp_auth_mech.h"

/* What is not read yet of a line. */
struct words {
	const char	*s;
	size_t		 len;
};

struct word {
	const char	*s;
	size_t		 len;
};

/* RFC 5321 4.1.1.1: words are separated by a space; some servers write several.
 * A length of 0 is the end. */
static struct word
next_word(struct words *w)
{
	struct word word;

	while (w->len > 0 && *w->s == ' ') {
		w->s++;
		w->len--;
	}
	word.s = w->s;
	for (word.len = 0; word.len < w->len && w->s[word.len] != ' ';)
		word.len++;
	w->s += word.len;
	w->len -= word.len;
	return word;
}

static bool
is_word(struct word w, const char *text)
{
	return w.len == strlen(text) && strncasecmp(w.s, text, w.len) == 0;
}

/* Read a decimal number of any length.  false: it is none; one that is larger
 * than ${max} is ${max}. */
static bool
number(struct word w, uint64_t max, uint64_t *n_r)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < w.len; i++) {
		if (w.s[i] < '0' || w.s[i] > '9')
			return false;
		n = n > (max - (uint64_t)(w.s[i] - '0')) / 10 ? max :
		    n * 10 + (uint64_t)(w.s[i] - '0');
	}
	*n_r = n;
	return w.len > 0;
}

static void
none(struct smtp_ehlo *, struct words)
{
}

/* RFC 1870 4: 0, and nothing at all, say that there is no fixed limit. */
static void
size(struct smtp_ehlo *e, struct words w)
{
	if (!number(next_word(&w), UINT64_MAX, &e->size_max))
		e->size_max = 0;
}

static void
auth(struct smtp_ehlo *e, struct words w)
{
	const struct esmtp_auth_mech *m;
	struct word word;
	size_t i;

	while ((word = next_word(&w)).len > 0)
		for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
			if (is_word(word, m->name))
				e->mechanisms |= 1u << i;
}

/* RFC 9422 3: NAME=VALUE; a name that is not known, or a value that is none of
 * its name's, says nothing.  A limit of 0 would permit nothing at all. */
static void
limits(struct smtp_ehlo *e, struct words w)
{
	const struct {
		const char	*name;
		uint32_t	*value;
	} names[] = {
		{ "MAILMAX", &e->mail_max },
		{ "RCPTMAX", &e->rcpt_max },
		{ "RCPTDOMAINMAX", &e->domain_max },
	};
	struct word word, value;
	const char *equals;
	uint64_t n;
	size_t i;

	while ((word = next_word(&w)).len > 0) {
		if ((equals = memchr(word.s, '=', word.len)) == NULL)
			continue;
		value.s = equals + 1;
		value.len = (size_t)(word.s + word.len - value.s);
		word.len = (size_t)(equals - word.s);
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (is_word(word, names[i].name) &&
			    number(value, UINT32_MAX, &n) && n > 0)
				*names[i].value = (uint32_t)n;
	}
}

/* RFC 2852 3: the least number of seconds; none: no limit. */
static void
deliverby(struct smtp_ehlo *e, struct words w)
{
	uint64_t n = 0;

	(void)number(next_word(&w), INT32_MAX, &n);
	e->by_min = (int64_t)n;
}

static const struct {
	const char	*keyword;
	void		(*parameters)(struct smtp_ehlo *e, struct words w);
} rows[SMTP_NKEYWORDS] = {
#define SMTP_KEYWORD(id, keyword, parameters) \
	[SMTP_KEYWORD_##id] = { keyword, parameters },
#include "proto/client/smtp_keyword.def"
#undef SMTP_KEYWORD
};

const char *
smtp_keyword_name(enum smtp_keyword id)
{
	return rows[id].keyword;
}

void
smtp_ehlo_line(struct smtp_ehlo *e, const char *s, size_t len)
{
	struct words w = { s, len };
	struct word keyword = next_word(&w);
	size_t i;

	for (i = 0; i < SMTP_NKEYWORDS; i++)
		if (is_word(keyword, rows[i].keyword)) {
			e->has |= 1u << i;
			rows[i].parameters(e, w);
			return;
		}
}

/* --- as text --------------------------------------------------------------- */

struct text {
	char	*buf;
	size_t	 len;
};

/* What does not fit is left out; the table and its numbers do. */
static void __attribute__((format(printf, 2, 3)))
add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, SMTP_EHLO_TEXT - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= SMTP_EHLO_TEXT - t->len)
		t->buf[t->len] = '\0';
	else
		t->len += (size_t)n;
}

static void
add_mechanisms(struct text *t, const struct smtp_ehlo *e)
{
	const struct esmtp_auth_mech *m;
	char before = '=';
	size_t i;

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
		if ((e->mechanisms & 1u << i) != 0) {
			add(t, "%c%s", before, m->name);
			before = ',';
		}
}

static void
add_limits(struct text *t, const struct smtp_ehlo *e)
{
	const struct {
		const char	*name;
		uint32_t	 value;
	} limits[] = {
		{ "MAILMAX", e->mail_max },
		{ "RCPTMAX", e->rcpt_max },
		{ "RCPTDOMAINMAX", e->domain_max },
	};
	char before = '=';
	size_t i;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (limits[i].value > 0) {
			add(t, "%c%s:%" PRIu32, before, limits[i].name,
			    limits[i].value);
			before = ',';
		}
}

static void
add_parameters(struct text *t, const struct smtp_ehlo *e, unsigned int has)
{
	if (has == SMTP_HAS(SIZE) && e->size_max > 0)
		add(t, "=%" PRIu64, e->size_max);
	else if (has == SMTP_HAS(AUTH))
		add_mechanisms(t, e);
	else if (has == SMTP_HAS(LIMITS))
		add_limits(t, e);
	else if (has == SMTP_HAS(DELIVERBY) && e->by_min > 0)
		add(t, "=%" PRId64, e->by_min);
}

const char *
smtp_ehlo_text(const struct smtp_ehlo *e, char buf[SMTP_EHLO_TEXT])
{
	struct text t = { .buf = buf };
	unsigned int i;

	buf[0] = '\0';
	for (i = 0; i < SMTP_NKEYWORDS; i++) {
		if (!smtp_ehlo_has(e, 1u << i))
			continue;
		add(&t, "%s%s", t.len > 0 ? " " : "", rows[i].keyword);
		add_parameters(&t, e, 1u << i);
	}
	return buf;
}
