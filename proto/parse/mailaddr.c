/* Addresses of RFC 5321 and RFC 6531: parsed without allocation, pointing into
 * the input.
 * Owns: the grammar of Reverse-path, Forward-path, Domain, address-literal; the
 * one form that all spellings of an address have.
 * Knows nothing of commands, replies or who may receive mail. */

#include "proto/mailaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/lim.h"
#include "core/util/addr.h"
#include "core/util/idna.h"
#include "core/util/utf8.h"

#define LIM_LABEL	63	/* octets; RFC 1035 2.3.4 */

/* Octets of atext, and of a sub-domain; RFC 5322 3.2.3, RFC 5321 4.1.2.  RFC
 * 6531 3.3: those of UTF-8 are of both; what they spell is checked as a whole. */
#define CH_ATEXT	0x01
#define CH_LABEL	0x02
#define CH_LETDIG	0x04
#define CH_UTF8		0x08
#define CH_ANY		(CH_ATEXT | CH_LABEL | CH_LETDIG | CH_UTF8)

static const char atext_marks[] = "!#$%&'*+-/=?^_`{|}~";

/* ${utf8} is CH_UTF8 where the address may be UTF-8, else 0. */
static unsigned int
ch_class(char ch, unsigned int utf8)
{
	unsigned char c = (unsigned char)ch;

	if (c >= 128)
		return utf8 != 0 ? CH_ANY : 0;
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9'))
		return CH_ATEXT | CH_LABEL | CH_LETDIG;
	if (c == '-')
		return CH_ATEXT | CH_LABEL;
	if (c == '_')
		return CH_ATEXT | CH_LABEL | CH_LETDIG;
	if (c != '\0' && strchr(atext_marks, c) != NULL)
		return CH_ATEXT;
	return 0;
}

/* The parsers below return the octets used at ${s}, 0 if there is none. */

/* RFC 5321 4.1.2: Dot-string = Atom *("."  Atom) */
static size_t
dot_string(const char *s, size_t len, unsigned int utf8)
{
	size_t i = 0, atom = 0;

	for (;;) {
		while (i < len && ch_class(s[i], utf8) & CH_ATEXT)
			i++;
		if (i == atom)
			return 0;
		if (i == len || s[i] != '.')
			return i;
		atom = ++i;
	}
}

/* RFC 5321 4.1.2: Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static size_t
quoted_string(const char *s, size_t len, unsigned int utf8)
{
	size_t i;

	if (len == 0 || s[0] != '"')
		return 0;
	for (i = 1; i < len && s[i] != '"'; i++) {
		/* RFC 6531 3.3: a backslash is before ASCII alone */
		if (s[i] == '\\' ? ++i == len || s[i] < 32 || s[i] > 126 :
		    (s[i] < 32 || s[i] > 126) &&
		    !(ch_class(s[i], utf8) & CH_UTF8))
			return 0;
	}
	return i < len ? i + 1 : 0;
}

/* RFC 5321 4.1.2: Domain = sub-domain *("." sub-domain).  The underscore counts
 * as a letter, but a label of nothing else names no host.  The length of a label
 * that is not ASCII is that of its A-label. */
static size_t
domain(const char *s, size_t len, unsigned int utf8)
{
	size_t i = 0, label = 0;
	unsigned int class, all;
	bool has_name;

	for (;;) {
		has_name = false;
		for (all = 0; i < len &&
		    (class = ch_class(s[i], utf8)) & CH_LABEL; i++) {
			has_name |= s[i] != '_' && s[i] != '-';
			all |= class;
		}
		if (!has_name ||
		    (i - label > LIM_LABEL && !(all & CH_UTF8)) ||
		    !(ch_class(s[label], utf8) & CH_LETDIG) ||
		    !(ch_class(s[i - 1], utf8) & CH_LETDIG))
			return 0;
		if (i == len || s[i] != '.')
			return i;
		label = ++i;
	}
}

/* RFC 5321 4.1.3: address-literal; of the general form no tag but IPv6 has
 * been registered, so none is understood. */
static size_t
address_literal(const char *s, size_t len, union addr *addr_r)
{
	char text[INET6_ADDRSTRLEN];
	const char *end;
	size_t skip = 1, n;
	void *octets = &addr_r->in.sin_addr;

	if (len == 0 || s[0] != '[' || (end = memchr(s, ']', len)) == NULL)
		return 0;
	*addr_r = (union addr){ .in.sin_family = AF_INET };
	if (end - s > 6 && strncasecmp(s + 1, "IPv6:", 5) == 0) {
		skip = 6;
		addr_r->in6.sin6_family = AF_INET6;
		octets = &addr_r->in6.sin6_addr;
	}
	n = (size_t)(end - s) - skip;
	if (n >= sizeof(text))
		return 0;
	memcpy(text, s + skip, n);
	text[n] = '\0';
	if (strlen(text) != n ||
	    inet_pton(addr_r->sa.sa_family, text, octets) != 1)
		return 0;
	return (size_t)(end - s) + 1;
}

/* RFC 5321 4.1.2 and C: "@a,@b:" is accepted, and ignored. */
static size_t
source_route(const char *s, size_t len, unsigned int utf8)
{
	union addr ignored;
	size_t i = 0, n;

	for (;;) {
		if (i == len || s[i] != '@')
			return 0;
		i++;
		n = domain(s + i, len - i, utf8);
		if (n == 0)
			n = address_literal(s + i, len - i, &ignored);
		if (n == 0 || (i += n) == len)
			return 0;
		if (s[i] == ':')
			return i + 1;
		if (s[i++] != ',')
			return 0;
	}
}

/* Dots and atoms in any order, of what devices send. */
static size_t
dots_and_atoms(const char *s, size_t len, unsigned int utf8)
{
	bool has_atom = false;
	size_t i;

	for (i = 0; i < len; i++) {
		bool is_atom = ch_class(s[i], utf8) & CH_ATEXT;

		if (!is_atom && s[i] != '.')
			break;
		has_atom |= is_atom;
	}
	return has_atom ? i : 0;
}

static size_t
skip_space(const char *s, size_t len, size_t i, unsigned int flags)
{
	while (flags & MAILADDR_ALLOW_SPACE && i < len &&
	    (s[i] == ' ' || s[i] == '\t'))
		i++;
	return i;
}

bool
mailaddr_is_postmaster(const struct mailaddr *addr)
{
	return addr->local_len == 10 &&
	    strncasecmp(addr->local, "postmaster", 10) == 0;
}

static unsigned int
utf8_of(unsigned int flags)
{
	return flags & MAILADDR_ALLOW_UTF8 ? CH_UTF8 : 0;
}

/* Mailbox, or bare postmaster: octets used, or 0. */
static size_t
mailbox(const char *s, size_t len, unsigned int flags, struct mailaddr *a)
{
	unsigned int utf8 = utf8_of(flags);
	union addr ignored;
	size_t i, n;

	i = flags & MAILADDR_ALLOW_DOTS ? dots_and_atoms(s, len, utf8) :
	    dot_string(s, len, utf8);
	if (i == 0) {
		i = quoted_string(s, len, utf8);
		a->is_quoted = i != 0;
	}
	if (i == 0)
		return 0;
	a->local = s;
	a->local_len = i;
	if (i == len || s[i] != '@') {
		/* RFC 5321 4.1.1.3: <Postmaster> needs no domain */
		if (flags & MAILADDR_ALLOW_UNQUALIFIED ||
		    (flags & MAILADDR_ALLOW_POSTMASTER &&
		    mailaddr_is_postmaster(a)))
			return i;
		return 0;
	}
	i++;
	n = domain(s + i, len - i, utf8);
	if (n == 0 && flags & MAILADDR_ALLOW_LITERAL) {
		n = address_literal(s + i, len - i, &ignored);
		a->is_literal = n != 0;
	}
	if (n == 0)
		return 0;
	a->domain = s + i;
	a->domain_len = n;
	return i + n;
}

/* A local part of dots and atoms that is no Dot-string: as a mailbox it is the
 * Quoted-string of the same characters (RFC 5321 4.1.2). */
static bool
needs_quotes(const struct mailaddr *a)
{
	return !a->is_quoted && a->local_len > 0 &&
	    dot_string(a->local, a->local_len, CH_UTF8) != a->local_len;
}

static bool
is_too_long(const struct mailaddr *a, unsigned int flags)
{
	size_t quotes = needs_quotes(a) ? 2 : 0;

	/* RFC 5321 4.5.3.1.1: a local part of 64 octets */
	if (a->local_len > LIM_LOCAL_PART && !(flags & MAILADDR_ALLOW_LONG))
		return true;
	/* RFC 5321 4.5.3.1.2: a domain of 255 octets */
	if (a->domain_len > LIM_DOMAIN)
		return true;
	/* RFC 5321 4.5.3.1.3: with the punctuation <, @ and > */
	return a->local_len + quotes + a->domain_len + 3 > LIM_PATH;
}

static bool
is_ascii(const struct mailaddr *a)
{
	return utf8_is_ascii(a->local, a->local_len) &&
	    utf8_is_ascii(a->domain, a->domain_len);
}

/* Is the address not too long, and does one that is not ASCII have the one form
 * of its spellings?  The length is that of the form: a mailbox must not depend
 * on how its name was written.  Return 0 or -1 with errno. */
static int
check(const struct mailaddr *a, unsigned int flags)
{
	char text[LIM_PATH + 1];
	struct mailaddr form = *a;

	if (!is_ascii(a)) {
		if (mailaddr_format(a, text, sizeof(text)) == -1) {
			if (errno == ENOSPC)
				errno = ENAMETOOLONG;
			return -1;
		}
		mailaddr_split(text, &form);
	}
	if (!is_too_long(&form, flags))
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

int
mailaddr_parse(const char *s, size_t len, unsigned int flags,
    struct mailaddr *addr_r)
{
	struct mailaddr a = { .local = "", .domain = "" };
	bool is_bare;
	size_t i, n;

	i = skip_space(s, len, 0, flags);
	is_bare = i < len && s[i] != '<';
	if (i == len || (is_bare && !(flags & MAILADDR_ALLOW_BARE)))
		goto bad;
	if (!is_bare)
		i = skip_space(s, len, i + 1, flags);
	if (!is_bare && i < len && s[i] == '>') {
		/* RFC 5321 4.5.5: the null reverse-path */
		if (!(flags & MAILADDR_ALLOW_NULL))
			goto bad;
	} else {
		i += source_route(s + i, len - i, utf8_of(flags));
		n = mailbox(s + i, len - i, flags, &a);
		if (n == 0)
			goto bad;
		i += n;
		if (!is_bare)
			i = skip_space(s, len, i, flags);
	}
	if (is_bare ? i < len && s[i] != ' ' : i == len || s[i] != '>')
		goto bad;
	if (check(&a, flags) == -1)
		return -1;
	*addr_r = a;
	return (int)i + !is_bare;
bad:
	errno = EINVAL;
	return -1;
}

bool
mailaddr_domain_valid(const char *s, size_t len, bool allow_literal)
{
	union addr ignored;

	if (len == 0 || len > LIM_DOMAIN)
		return false;
	if (domain(s, len, 0) == len)
		return true;
	return allow_literal && address_literal(s, len, &ignored) == len;
}

bool
mailaddr_literal(const struct mailaddr *addr, struct sockaddr *sa_r)
{
	union addr a;

	if (!addr->is_literal ||
	    address_literal(addr->domain, addr->domain_len, &a) == 0)
		return false;
	addr_copy(sa_r, &a.sa);
	return true;
}

/* Write the octets that a local part in quotes stands for, which are no more
 * than its own.  Return how many. */
static size_t
unquote(const struct mailaddr *a, char *buf)
{
	size_t i, n = 0;

	for (i = 1; i + 1 < a->local_len; i++) {
		if (a->local[i] == '\\')
			i++;
		buf[n++] = a->local[i];
	}
	return n;
}

/* RFC 5321 4.1.2: all quoted forms of a local part MUST be treated as one.
 * Write the local part that stands for ${s} in the fewest octets: without quotes
 * where they are not needed, else with a backslash before '"' and '\\' alone.
 * Return its octets, 0: ${buf} is too short. */
static size_t
requote(const char *s, size_t len, char *buf, size_t buflen)
{
	bool is_special;
	size_t i, n = 0;

	if (len > 0 && dot_string(s, len, CH_UTF8) == len) {
		if (len > buflen)
			return 0;
		memcpy(buf, s, len);
		return len;
	}
	if (buflen < 2)
		return 0;
	buf[n++] = '"';
	for (i = 0; i < len; i++) {
		is_special = s[i] == '"' || s[i] == '\\';
		/* with room for the quote at the end */
		if (n + is_special + 2 > buflen)
			return 0;
		if (is_special)
			buf[n++] = '\\';
		buf[n++] = s[i];
	}
	buf[n++] = '"';
	return n;
}

/* RFC 6532 3.1, RFC 8264 3.3: a text that looks like another is the same text,
 * or none: NFC, without what cannot be seen, and with no mark that would combine
 * with a quote or bracket before it.  *s_r, *n_r octets, becomes one in ${buf}.
 * 0, or -1 with errno. */
static int
normalize(const char **s_r, size_t *n_r, char buf[LIM_PATH])
{
	ssize_t n;

	if (utf8_is_ascii(*s_r, *n_r))
		return 0;
	if (!utf8_is_visible(*s_r, *n_r) || utf8_is_mark(*s_r, *n_r)) {
		errno = EILSEQ;
		return -1;
	}
	if ((n = utf8_nfc(*s_r, *n_r, buf, LIM_PATH)) == -1)
		return -1;
	*s_r = buf;
	*n_r = (size_t)n;
	return 0;
}

/* The local part in the one form of all its spellings.  Return its octets, or -1
 * with errno. */
static ssize_t
format_local(const struct mailaddr *a, char *buf, size_t buflen)
{
	char raw[LIM_PATH], nfc[LIM_PATH];
	const char *s = a->local;
	size_t n = a->local_len;

	if (!a->is_quoted && !needs_quotes(a) && utf8_is_ascii(s, n)) {
		if (n > buflen)
			goto full;
		memcpy(buf, s, n);
		return (ssize_t)n;
	}
	if (n > LIM_PATH)
		goto full;
	if (a->is_quoted) {
		n = unquote(a, raw);
		s = raw;
	}
	if (normalize(&s, &n, nfc) == -1)
		return -1;
	if ((n = requote(s, n, buf, buflen)) > 0)
		return (ssize_t)n;
full:
	errno = ENOSPC;
	return -1;
}

#define LITERAL_MAX	(sizeof("[IPv6:]") + INET6_ADDRSTRLEN)

/* An IPv6 address has many spellings: ${text} becomes the one of inet_ntop(3).
 * Return its octets, 0: ${addr} has no such domain. */
static size_t
ipv6_literal(const struct mailaddr *addr, char text[LITERAL_MAX])
{
	char digits[INET6_ADDRSTRLEN];
	union addr a;

	if (!addr->is_literal ||
	    address_literal(addr->domain, addr->domain_len, &a) == 0 ||
	    a.sa.sa_family != AF_INET6 ||
	    inet_ntop(AF_INET6, &a.in6.sin6_addr, digits, sizeof(digits)) ==
	    NULL)
		return 0;
	return (size_t)snprintf(text, LITERAL_MAX, "[ipv6:%s]", digits);
}

/* The same of the domain, NUL terminated. */
static ssize_t
format_domain(const struct mailaddr *addr, char *buf, size_t buflen)
{
	const char *name = addr->domain;
	size_t i, n = addr->domain_len;
	char literal[LITERAL_MAX];

	if (!utf8_is_ascii(name, n))
		return idna_ascii(name, n, buf, buflen);
	if ((i = ipv6_literal(addr, literal)) != 0) {
		name = literal;
		n = i;
	}
	if (n >= buflen) {
		errno = ENOSPC;
		return -1;
	}
	for (i = 0; i < n; i++)
		buf[i] = name[i] >= 'A' && name[i] <= 'Z' ?
		    (char)(name[i] + 32) : name[i];
	buf[n] = '\0';
	return (ssize_t)n;
}

int
mailaddr_format(const struct mailaddr *addr, char *buf, size_t buflen)
{
	ssize_t n = format_local(addr, buf, buflen), domain_len;

	if (n == -1)
		return -1;
	/* an @, or what ends the text */
	if ((size_t)n == buflen) {
		errno = ENOSPC;
		return -1;
	}
	buf[n] = '\0';
	if (addr->domain_len == 0)
		return (int)n;
	buf[n++] = '@';
	domain_len = format_domain(addr, buf + n, buflen - (size_t)n);
	return domain_len == -1 ? -1 : (int)(n + domain_len);
}

void
mailaddr_split(const char *text, struct mailaddr *addr_r)
{
	/* no domain holds an @ or a quote; a quoted local part may hold an @,
	 * also where it has no domain */
	const char *end = strchr(text, '\0');
	const char *at = end > text && end[-1] == '"' ? NULL :
	    strrchr(text, '@');
	size_t len = at != NULL ? (size_t)(at - text) : (size_t)(end - text);

	*addr_r = (struct mailaddr){ .local = text, .local_len = len,
	    .domain = at != NULL ? at + 1 : text + len };
	addr_r->domain_len = strlen(addr_r->domain);
	addr_r->is_quoted = *text == '"';
	addr_r->is_literal = *addr_r->domain == '[';
}
