/* Settings: a client of a listener, see settings_client.h. */

#include "cmd/settings/settings_client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/settings/settings_int.h"

static int
no_pair(const struct settings *s, const char *text, char *err_r, size_t errlen)
{
	char shown[CONF_SHOWN + 4];

	snprintf(err_r, errlen, "-T: expected a listener, a comma and the "
	    "address of a client, such as \"%s,192.0.2.1\", found \"%s\"",
	    s->listens[0].name, conf_shown(text, shown));
	return -1;
}

static int
no_listener(const struct settings *s, const char *title, char *err_r,
    size_t errlen)
{
	char shown[CONF_SHOWN + 4];
	size_t i, used;

	used = (size_t)snprintf(err_r, errlen, "-T: there is no enabled "
	    "listener \"%s\", only", conf_shown(title, shown));
	for (i = 0; i < s->nlistens && used < errlen; i++)
		used += (size_t)snprintf(err_r + used, errlen - used,
		    "%s \"%s\"", i == 0 ? "" : ",", s->listens[i].name);
	return -1;
}

static int
not_one(const struct settings *s, const char *title, char *err_r,
    size_t errlen)
{
	char at[CONF_AT_MAX];
	size_t i, used;

	used = (size_t)snprintf(err_r, errlen, "-T: \"%s\" is the title of "
	    "more than one Listen section:", title);
	for (i = 0; i < s->nlistens && used < errlen; i++)
		if (strcasecmp(s->listens[i].name, title) == 0)
			used += (size_t)snprintf(err_r + used, errlen - used,
			    " %s", conf_at_text(&s->listens[i].at, at,
			    sizeof(at)));
	return -1;
}

/* Is ${addr}, which is no wildcard, one of those of ${l}? */
static bool
holds(const struct settings_listen *l, const union addr *addr)
{
	if (l->addr.in.sin_port != addr->in.sin_port ||
	    addr->in.sin_port == 0)
		return false;
	if (l->is_any)
		return true;
	if (l->addr.sa.sa_family != addr->sa.sa_family)
		return false;
	return addr->sa.sa_family == AF_INET ?
	    l->addr.in.sin_addr.s_addr == INADDR_ANY :
	    IN6_IS_ADDR_UNSPECIFIED(&l->addr.in6.sin6_addr) &&
	    !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr);
}

/* Sections of that title, or with that address; *listen_r is the first. */
static size_t
find(const struct settings *s, const char *title, size_t *listen_r)
{
	const char *path = settings_listen_path(title);
	const struct settings_listen *l;
	union addr addr;
	socklen_t len = 0;
	bool is_any, is_addr;
	size_t i, n = 0;

	for (i = s->nlistens; i-- > 0;) {
		l = &s->listens[i];
		if (path == NULL ? strcasecmp(l->name, title) == 0 :
		    l->path != NULL && strcmp(l->path, path) == 0) {
			*listen_r = i;
			n++;
		}
	}
	if (n > 0 || path != NULL)
		return n;
	is_addr = settings_listen_parse(title, &addr, &len, &is_any) == 0 &&
	    addr.in.sin_port != 0;
	/* no two sections have an address in common */
	for (i = 0; is_addr && i < s->nlistens; i++) {
		l = &s->listens[i];
		if ((l->is_any == is_any && l->addr_len == len &&
		    memcmp(&l->addr, &addr, len) == 0) ||
		    (!is_any && holds(l, &addr))) {
			*listen_r = i;
			return 1;
		}
	}
	return 0;
}

/* "unix:1000".  Return 0, or -1: it is no account. */
static int
parse_account(const char *text, union addr *addr_r)
{
	struct netmask nm;
	uint32_t uid;

	if (netmask_parse(text, strlen(text), &nm) == -1 ||
	    nm.family != AF_UNIX || nm.bits == 0)
		return -1;
	memcpy(&uid, nm.addr, sizeof(uid));
	addr_local(addr_r, ntohl(uid));
	return 0;
}

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]" or "unix:1000". */
static int
parse_address(const char *text, union addr *addr_r)
{
	size_t len = strlen(text);
	char host[INET6_ADDRSTRLEN];

	if (parse_account(text, addr_r) == 0)
		return 0;
	memset(addr_r, 0, sizeof(*addr_r));
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof(host))
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	addr_r->sa.sa_family = AF_INET6;
	if (inet_pton(AF_INET6, host, &addr_r->in6.sin6_addr) == 1) {
		addr_copy(&addr_r->sa, &addr_r->sa);
		return 0;
	}
	addr_r->sa.sa_family = AF_INET;
	return inet_pton(AF_INET, host, &addr_r->in.sin_addr) == 1 ? 0 : -1;
}

/* A proxy of one family may have clients of the other. */
static bool
has_proxies(const struct settings *s, size_t listen)
{
	const struct esmtp_options *o;
	size_t i;

	for (i = 0; (o = settings_options_at(s, listen, i)) != NULL; i++)
		if (o->proxy_protocol)
			return true;
	return false;
}

static const char *
family_name(int family)
{
	return family == AF_UNIX ? "an account, of a Unix socket" :
	    family == AF_INET ? "IPv4" : "IPv6";
}

static int
check_family(const struct settings *s, const struct settings_client *client,
    char *err_r, size_t errlen)
{
	const struct settings_listen *l = &s->listens[client->listen];
	int family = client->addr.sa.sa_family;
	char text[ADDR_TEXT];

	if ((l->is_any && family != AF_UNIX) ||
	    l->addr.sa.sa_family == family ||
	    (has_proxies(s, client->listen) && family != AF_UNIX))
		return 0;
	snprintf(err_r, errlen, "-T: the client %s (%s) cannot connect to the "
	    "listener \"%s\" (%s)", addr_text(&client->addr.sa, text),
	    family_name(family), l->name, l->is_any ? "IPv4 and IPv6" :
	    family_name(l->addr.sa.sa_family));
	return -1;
}

/* The listener of ${title}.  Return 0 or -1. */
static int
parse_listener(const struct settings *s, const char *title, size_t *listen_r,
    char *err_r, size_t errlen)
{
	size_t n = find(s, title, listen_r);

	if (n == 0)
		return no_listener(s, title, err_r, errlen);
	return n == 1 ? 0 : not_one(s, title, err_r, errlen);
}

int
settings_client_parse(const struct settings *s, const char *text,
    struct settings_client *client_r, char *err_r, size_t errlen)
{
	const char *comma = strrchr(text, ',');
	char *title, shown[CONF_SHOWN + 4];
	int rc;

	if (comma == NULL || comma == text)
		return no_pair(s, text, err_r, errlen);
	if ((title = strndup(text, (size_t)(comma - text))) == NULL) {
		snprintf(err_r, errlen, "out of memory");
		return -1;
	}
	rc = parse_listener(s, title, &client_r->listen, err_r, errlen);
	free(title);
	if (rc == -1)
		return -1;
	if (parse_address(comma + 1, &client_r->addr) == -1) {
		snprintf(err_r, errlen, "-T: expected the IPv4 or IPv6 address "
		    "of a client after the comma, or \"unix:\" and its uid, "
		    "found \"%s\"",
		    conf_shown(comma + 1, shown));
		return -1;
	}
	return check_family(s, client_r, err_r, errlen);
}
