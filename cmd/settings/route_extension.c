/* Extensions of local parts; see route_extension.h. */

#include "cmd/settings/route_extension.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/mailaddr.h"

#define OWNER		"owner-"
#define REQUEST		"-request"

/* Is the local part one whose delimiters are a part of its name?  The same ones as
 * Postfix's: what mail servers use, and beside lists. */
static bool
is_whole(const char *delimiters, const char *local, size_t len)
{
	static const char *const names[] = { "postmaster", "mailer-daemon" };
	size_t i, tail = strlen(REQUEST);

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (len == strlen(names[i]) &&
		    strncasecmp(local, names[i], len) == 0)
			return true;
	return strchr(delimiters, '-') != NULL &&
	    (strncasecmp(local, OWNER, strlen(OWNER)) == 0 || (len > tail &&
	    strncasecmp(local + len - tail, REQUEST, tail) == 0));
}

size_t
route_extension(const struct settings_domain *d, const char *address)
{
	const char *set = d->recipient_delimiter;
	struct mailaddr a;
	size_t i, quote;

	if (*set == '\0')
		return 0;
	mailaddr_split(address, &a);
	quote = a.is_quoted ? 1 : 0;
	if (a.local_len <= 2 * quote || is_whole(set, a.local + quote,
	    a.local_len - 2 * quote))
		return 0;
	/* a local part that begins with one has no name without it */
	for (i = quote; i < a.local_len - quote; i++) {
		if (a.is_quoted && a.local[i] == '\\')
			i++;
		else if (i > quote && strchr(set, a.local[i]) != NULL)
			return i;
	}
	return 0;
}

int
route_extension_strip(const char *address, size_t at, char *buf)
{
	char raw[ROUTE_ADDRESS_MAX];
	struct mailaddr a;
	int n;

	mailaddr_split(address, &a);
	n = snprintf(raw, sizeof(raw), "%.*s%s%s%.*s", (int)at, address,
	    a.is_quoted ? "\"" : "", a.domain_len == 0 ? "" : "@",
	    (int)a.domain_len, a.domain);
	if (n < 0 || (size_t)n >= sizeof(raw)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	/* it may need no quotes now, or need some: "a.+b" */
	mailaddr_split(raw, &a);
	return mailaddr_format(&a, buf, ROUTE_ADDRESS_MAX) == -1 ? -1 : 0;
}

void
route_extension_text(const char *address, size_t at, char *buf)
{
	struct mailaddr a;
	size_t i, n = 0, end;

	mailaddr_split(address, &a);
	end = a.local_len - (a.is_quoted ? 1 : 0);
	for (i = at + 1; i < end && n < ROUTE_ADDRESS_MAX - 1; i++) {
		if (a.is_quoted && address[i] == '\\' && i + 1 < end)
			i++;
		buf[n++] = address[i];
	}
	buf[n] = '\0';
}

void
route_extension_add(const struct settings *s, const char *of, size_t at,
    char *buf)
{
	const struct settings_domain *d;
	char whole[ROUTE_ADDRESS_MAX];
	struct mailaddr from, to;
	int n;

	mailaddr_split(of, &from);
	mailaddr_split(buf, &to);
	if (from.is_quoted || to.is_quoted || to.domain_len == 0 ||
	    (d = settings_domain_find(s, to.domain, to.domain_len)) == NULL ||
	    strchr(d->recipient_delimiter, of[at]) == NULL ||
	    is_whole(d->recipient_delimiter, to.local, to.local_len) ||
	    route_extension(d, buf) != 0)
		return;
	n = snprintf(whole, sizeof(whole), "%.*s%.*s@%s", (int)to.local_len,
	    to.local, (int)(from.local_len - at), of + at, to.domain);
	if (n > 0 && (size_t)n < sizeof(whole))
		memcpy(buf, whole, (size_t)n + 1);
}
