/* Addresses of RFC 5321: parsed without allocation, pointing into the input.
 * Owns: the grammar of Reverse-path, Forward-path, Domain, address-literal.
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

#define LIM_LABEL	63	/* octets; RFC 1035 2.3.4 */

/* Octets of atext, and of a sub-domain; RFC 5322 3.2.3, RFC 5321 4.1.2. */
#define CH_ATEXT	0x01
#define CH_LABEL	0x02
#define CH_LETDIG	0x04

static const char atext_marks[] = "!#$%&'*+-/=?^_`{|}~";

static unsigned int
ch_class(unsigned char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9'))
		return CH_ATEXT | CH_LABEL | CH_LETDIG;
	if (c == '-')
		return CH_ATEXT | CH_LABEL;
	if (c == '_')
		return CH_ATEXT | CH_LABEL | CH_LETDIG;
	if (c != '\0' && c < 128 && strchr(atext_marks, c) != NULL)
		return CH_ATEXT;
	return 0;
}

/* The parsers below return the octets used at ${s}, 0 if there is none. */

/* RFC 5321 4.1.2: Dot-string = Atom *("."  Atom) */
static size_t
dot_string(const char *s, size_t len)
{
	size_t i = 0, atom = 0;

	for (;;) {
		while (i < len && ch_class((unsigned char)s[i]) & CH_ATEXT)
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
quoted_string(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || s[0] != '"')
		return 0;
	for (i = 1; i < len && s[i] != '"'; i++) {
		if (s[i] == '\\' && ++i == len)
			return 0;
		if (s[i] < 32 || s[i] > 126)
			return 0;
	}
	return i < len ? i + 1 : 0;
}

/* RFC 5321 4.1.2: Domain = sub-domain *("." sub-domain).  The underscore counts
 * as a letter, but a label of nothing else names no host. */
static size_t
domain(const char *s, size_t len)
{
	size_t i = 0, label = 0;
	bool has_name;

	for (;;) {
		has_name = false;
		for (; i < len && ch_class((unsigned char)s[i]) & CH_LABEL; i++)
			has_name |= s[i] != '_' && s[i] != '-';
		if (!has_name || i - label > LIM_LABEL ||
		    !(ch_class((unsigned char)s[label]) & CH_LETDIG) ||
		    !(ch_class((unsigned char)s[i - 1]) & CH_LETDIG))
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
source_route(const char *s, size_t len)
{
	union addr ignored;
	size_t i = 0, n;

	for (;;) {
		if (i == len || s[i] != '@')
			return 0;
		i++;
		n = domain(s + i, len - i);
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
dots_and_atoms(const char *s, size_t len)
{
	bool has_atom = false;
	size_t i;

	for (i = 0; i < len; i++) {
		bool is_atom = ch_class((unsigned char)s[i]) & CH_ATEXT;

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

/* Mailbox, or bare postmaster: octets used, or 0. */
static size_t
mailbox(const char *s, size_t len, unsigned int flags, struct mailaddr *a)
{
	union addr ignored;
	size_t i, n;

	i = flags & MAILADDR_ALLOW_DOTS ? dots_and_atoms(s, len) :
	    dot_string(s, len);
	if (i == 0) {
		i = quoted_string(s, len);
		a->is_quoted = i != 0;
	}
	if (i == 0)
		return 0;
	a->local = s;
	a->local_len = i;
	if (i == len || s[i] != '@') {
		/* RFC 5321 4.1.1.3: <Postmaster> needs no domain */
		if (flags & MAILADDR_ALLOW_POSTMASTER &&
		    mailaddr_is_postmaster(a))
			return i;
		return 0;
	}
	i++;
	n = domain(s + i, len - i);
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
	    dot_string(a->local, a->local_len) != a->local_len;
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
		i += source_route(s + i, len - i);
		n = mailbox(s + i, len - i, flags, &a);
		if (n == 0)
			goto bad;
		i += n;
		if (!is_bare)
			i = skip_space(s, len, i, flags);
	}
	if (is_bare ? i < len && s[i] != ' ' : i == len || s[i] != '>')
		goto bad;
	if (is_too_long(&a, flags)) {
		errno = ENAMETOOLONG;
		return -1;
	}
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
	if (domain(s, len) == len)
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

/* RFC 5321 4.1.2: all quoted forms of a local part MUST be treated as one.
 * Write the one with the fewest octets: without quotes where they are not
 * needed, else with a backslash before '"' and '\\' alone.  Return its octets, 0:
 * ${buf} is too short. */
static size_t
unquote(const struct mailaddr *a, char *buf, size_t buflen)
{
	size_t i, n = 0, quoted = 0;

	if (a->local_len > buflen)
		return 0;
	for (i = 1; i + 1 < a->local_len; i++) {
		if (a->local[i] == '\\')
			i++;
		buf[n++] = a->local[i];
	}
	if (dot_string(buf, n) == n && n > 0)
		return n;
	buf[quoted++] = '"';
	for (i = 1; i + 1 < a->local_len; i++) {
		if (a->local[i] == '\\')
			i++;
		if (a->local[i] == '"' || a->local[i] == '\\')
			buf[quoted++] = '\\';
		buf[quoted++] = a->local[i];
	}
	buf[quoted++] = '"';
	return quoted;
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

int
mailaddr_format(const struct mailaddr *addr, char *buf, size_t buflen)
{
	size_t i, n = addr->local_len, domain_len, quotes;
	const char *name = addr->domain;
	char literal[LITERAL_MAX];

	if (addr->is_quoted && (n = unquote(addr, buf, buflen)) == 0)
		goto full;
	quotes = needs_quotes(addr) ? 1 : 0;
	n += 2 * quotes;
	if ((domain_len = ipv6_literal(addr, literal)) != 0)
		name = literal;
	else
		domain_len = addr->domain_len;
	if (n + domain_len + 2 > buflen)
		goto full;
	if (!addr->is_quoted)
		memcpy(buf + quotes, addr->local, addr->local_len);
	if (quotes)
		buf[0] = buf[n - 1] = '"';
	if (domain_len > 0)
		buf[n++] = '@';
	for (i = 0; i < domain_len; i++) {
		char c = name[i];

		buf[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	buf[n] = '\0';
	return (int)n;
full:
	errno = ENOSPC;
	return -1;
}

void
mailaddr_split(const char *text, struct mailaddr *addr_r)
{
	/* no domain holds an @, but a quoted local part may */
	const char *at = strrchr(text, '@');
	size_t len = at != NULL ? (size_t)(at - text) : strlen(text);

	*addr_r = (struct mailaddr){ .local = text, .local_len = len,
	    .domain = at != NULL ? at + 1 : text + len };
	addr_r->domain_len = strlen(addr_r->domain);
	addr_r->is_quoted = *text == '"';
	addr_r->is_literal = *addr_r->domain == '[';
}
