/* The attributes of XCLIENT and XFORWARD: NAME=value, values in xtext. */

#include "proto/parse/xattr.h"

#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/util/addr.h"
#include "proto/mailaddr.h"
#include "proto/parse/xtext.h"

#define IPV6		"IPV6:"
#define UNAVAILABLE	"[UNAVAILABLE]"
#define TEMPUNAVAIL	"[TEMPUNAVAIL]"
#define SPECIAL		" <>()\\\";@"	/* in a header; as Postfix has them */

static int
invalid(void)
{
	errno = EINVAL;
	return -1;
}

int
xattr_address(const char *s, union addr *a_r)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memset(a_r, 0, sizeof(*a_r));
	if (inet_pton(AF_INET, s, &a_r->in.sin_addr) == 1) {
		a_r->in.sin_family = AF_INET;
		return 0;
	}
	if (strncasecmp(s, IPV6, strlen(IPV6)) == 0)
		s += strlen(IPV6);
	if (inet_pton(AF_INET6, s, &in6.sin6_addr) != 1)
		return invalid();
	addr_copy(&a_r->sa, (const struct sockaddr *)&in6);
	return 0;
}

/* --- the forms of values: each makes of the text what is kept ------------- */

static bool
take_address(char *text)
{
	union addr a;

	/* XCLIENT_README: an IPv6 address has the prefix */
	if (strchr(text, ':') != NULL &&
	    strncasecmp(text, IPV6, strlen(IPV6)) != 0)
		return false;
	if (xattr_address(text, &a) == -1)
		return false;
	addr_text(&a.sa, text);
	return true;
}

static bool
take_word(char *text, const char *words)
{
	size_t len = strlen(text), n;

	for (; *words != '\0'; words += n + (words[n] == '|')) {
		n = strcspn(words, "|");
		if (n == len && strncasecmp(words, text, n) == 0) {
			memcpy(text, words, n);
			return true;
		}
	}
	return false;
}

static bool
take_text(char *text)
{
	size_t n;

	while (text[n = strcspn(text, SPECIAL)] != '\0')
		text[n] = '?';
	return true;
}

/* XFORWARD_README: "The address may be a non-IP address." */
static bool
take_place(char *text)
{
	union addr a;

	if (xattr_address(text, &a) == -1)
		return take_text(text);
	addr_text(&a.sa, text);
	return true;
}

static bool
take(char *text, const struct xattr_row *row)
{
	in_port_t port;

	switch (row->form) {
	case XATTR_HOST:
		return mailaddr_domain_valid(text, strlen(text), false);
	case XATTR_ADDR:
		return take_address(text);
	case XATTR_PLACE:
		return take_place(text);
	case XATTR_PORT:
		return addr_port_parse(text, &port) == 0;
	case XATTR_WORD:
		return take_word(text, row->words);
	case XATTR_TEXT:
		return take_text(text);
	default:
		return true;
	}
}

static bool
is_known(const char *text, const struct xattr_row *row)
{
	return strcasecmp(text, UNAVAILABLE) != 0 &&
	    (row->form != XATTR_HOST || strcasecmp(text, TEMPUNAVAIL) != 0);
}

/* The octets that xtext stands for are as hostile as any: a NUL, CR or LF among
 * them would end a line of a header, or of the log. */
static int
set(struct xattr *v, const struct xattr_row *row, const char *s, size_t len)
{
	size_t max = row->max != 0 ? row->max : XATTR_MAX;
	ssize_t n = xtext_decode(s, len, v->text, max);

	if (n <= 0 || !xtext_is_printable(v->text, (size_t)n))
		return -1;
	v->text[n] = '\0';
	v->is_known = is_known(v->text, row);
	if (!v->is_known)
		v->text[0] = '\0';
	else if (!take(v->text, row))
		return -1;
	return 0;
}

/* --- a command ------------------------------------------------------------ */

static size_t
find(const struct xattr_row *rows, size_t n, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strlen(rows[i].name) == len &&
		    strncasecmp(rows[i].name, s, len) == 0)
			break;
	return i;
}

int
xattr_parse(const char *s, size_t len, const struct xattr_row *rows, size_t n,
    struct xattr *v_r, struct xattr_bad *bad_r)
{
	const char *end = s + len, *stop, *value;
	bool is_any = false;
	size_t i;

	for (i = 0; i < n; i++)
		v_r[i].is_given = v_r[i].is_known = false;
	*bad_r = (struct xattr_bad){ .name = s };
	for (; s < end; s = stop) {
		if ((stop = memchr(s, ' ', (size_t)(end - s))) == s) {
			stop++;
			continue;
		}
		if (stop == NULL)
			stop = end;
		value = memchr(s, '=', (size_t)(stop - s));
		bad_r->name = s;
		bad_r->len = (size_t)((value != NULL ? value : stop) - s);
		i = find(rows, n, s, bad_r->len);
		if (value == NULL || i == n || v_r[i].is_given)
			return invalid();
		value++;
		if (set(&v_r[i], &rows[i], value, (size_t)(stop - value)) == -1)
			return invalid();
		v_r[i].is_given = is_any = true;
	}
	return is_any ? 0 : invalid();
}

void
xattr_names(const struct xattr_row *rows, size_t n, char *buf, size_t len)
{
	size_t i, at = 0;

	for (i = 0; i < n && at < len; i++)
		at += (size_t)snprintf(buf + at, len - at, "%s%s",
		    i > 0 ? " " : "", rows[i].name);
}
