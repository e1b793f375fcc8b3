/* Settings: the next hops of a Domain section.
 * Owns: the checks of Route beside the other settings, what names them. */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cmd/settings/route_addr.h"
#include "cmd/settings/settings_int.h"

bool
settings_is_relayed(const struct settings_domain *d)
{
	return d->delivery == DELIVERY_LMTP || d->delivery == DELIVERY_SMTP;
}

bool
settings_is_maildir(const struct settings_domain *d)
{
	return d->delivery == DELIVERY_MAILDIR;
}

bool
settings_is_piped(const struct settings_domain *d)
{
	return d->delivery == DELIVERY_PIPE;
}

bool
settings_is_discarded(const struct settings_domain *d)
{
	return d->delivery == DELIVERY_DISCARD;
}

unsigned int
settings_discarders(const struct settings *s)
{
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		if (settings_is_discarded(&s->domains[i]))
			return 1;
	return 0;
}

unsigned int
settings_relayers(const struct settings *s)
{
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		if (settings_is_relayed(&s->domains[i]))
			return (unsigned int)s->relayers;
	return 0;
}

bool
settings_is_mx(const struct settings_domain *d)
{
	return settings_is_relayed(d) && d->route.n == 0;
}

bool
settings_has_logins(const struct settings *s)
{
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		if (*s->domains[i].login != '\0')
			return true;
	return false;
}

bool
settings_wants_sts(const struct settings *s)
{
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		if (s->domains[i].mta_sts)
			return true;
	return false;
}

bool
settings_has_sts(const struct settings *s)
{
	return s->tls_reports || settings_wants_sts(s);
}

/* Is it a name without a port, which a domain may have, too? */
static bool
is_bare(const char *route)
{
	struct route_addr addr;

	return route_addr_parse(route, &addr) == 0 &&
	    addr.kind == ROUTE_NAME && addr.port == 0;
}

void
settings_target(const struct settings_domain *d, const char *domain,
    size_t len, char target_r[SETTINGS_TARGET_MAX])
{
	size_t i, n = 0;

	if (settings_is_mx(d)) {
		for (; n < len && n < SETTINGS_TARGET_MAX - 1; n++)
			target_r[n] = (char)tolower((unsigned char)domain[n]);
		target_r[n] = '\0';
		return;
	}
	*target_r = '\0';
	for (i = 0; i < d->route.n && n < SETTINGS_TARGET_MAX; i++)
		n += (size_t)snprintf(target_r + n, SETTINGS_TARGET_MAX - n,
		    "%s%s", i == 0 ? "" : ", ", d->route.v[i]);
	/* the hosts in the MX records of that domain are others */
	if (d->route.n == 1 && is_bare(d->route.v[0]))
		(void)strlcat(target_r, ":25", SETTINGS_TARGET_MAX);
}

int
settings_source(const struct settings_domain *d, int family,
    union addr *addr_r)
{
	size_t i;

	for (i = 0; i < d->source.n; i++)
		if (settings_ip(d->source.v[i], addr_r) == 0 &&
		    addr_r->sa.sa_family == family)
			return 0;
	*addr_r = (union addr){ .sa.sa_family = AF_UNSPEC };
	return d->source.n == 0 ? 0 : -1;
}

/* One address of each family. */
static int
check_source(struct conf *c, const struct settings_domain *d)
{
	union addr first, second;

	if (settings_stream_check(c, d) == -1)
		return -1;
	if (d->source.n == 0)
		return 0;
	if (!settings_is_relayed(d))
		return conf_error(c, &d->source_at, "option 'Source': only "
		    "together with Delivery = \"lmtp\" or \"smtp\"");
	(void)settings_ip(d->source.v[0], &first);
	if (d->source.n == 1)
		return 0;
	(void)settings_ip(d->source.v[1], &second);
	return d->source.n == 2 && first.sa.sa_family != second.sa.sa_family ?
	    0 : conf_error_value(c, &d->source_at, "Source", d->source.v[1],
	    "at most one address of IPv4 and one of IPv6");
}

static int
refuse(struct conf *c, const struct settings_domain *d, const char *value,
    const char *expected)
{
	return conf_error_value(c, &d->route_at, "Route", value, expected);
}

/* Whom a connection to ${addr} reaches: that to an address of IPv4 in IPv6 is one of
 * IPv4; that to no address, 0.0.0.0 or ::, goes to this host, to the loopback's. */
static union addr
reached(const union addr *addr)
{
	union addr a = *addr;

	if (a.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr)) {
		a = (union addr){ .in = { .sin_family = AF_INET,
			.sin_port = addr->in6.sin6_port } };
		memcpy(&a.in.sin_addr, &addr->in6.sin6_addr.s6_addr[12],
		    sizeof(a.in.sin_addr));
	}
	if (a.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr))
		a.in6.sin6_addr = in6addr_loopback;
	else if (a.sa.sa_family == AF_INET &&
	    a.in.sin_addr.s_addr == INADDR_ANY)
		a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* Do mails to ${addr} come back to ${l} at once?  Where ${l} listens on all
 * addresses, those of the loopback are surely among them. */
static bool
is_own_ip(const struct settings_listen *l, const union addr *addr)
{
	static const struct in6_addr any6;
	bool is_loopback = addr->sa.sa_family == AF_INET ?
	    ntohl(addr->in.sin_addr.s_addr) >> 24 == 127 :
	    IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
	bool is_any = l->is_any || (l->addr.sa.sa_family ==
	    addr->sa.sa_family && (addr->sa.sa_family == AF_INET ?
	    l->addr.in.sin_addr.s_addr == INADDR_ANY :
	    memcmp(&l->addr.in6.sin6_addr, &any6, sizeof(any6)) == 0));

	return addr_port(&l->addr.sa) == addr_port(&addr->sa) &&
	    (is_any ? is_loopback : addr_is_same(&l->addr.sa, &addr->sa));
}

static bool
is_own(const struct settings_listen *l, const struct route_addr *addr)
{
	if (addr->kind == ROUTE_UNIX)
		return l->path != NULL &&
		    strcmp(l->path, addr->un.sun_path) == 0;
	return addr->kind == ROUTE_IP && l->path == NULL &&
	    is_own_ip(l, &addr->ip);
}

static int
check_loop(struct conf *c, const struct settings *s,
    const struct settings_domain *d, const char *value,
    const struct route_addr *addr)
{
	char at[CONF_AT_MAX], expected[CONF_EXPECTED_MAX];
	struct route_addr to = *addr;
	size_t i;

	if (to.kind == ROUTE_IP)
		to.ip = reached(&addr->ip);
	for (i = 0; i < s->nlistens; i++)
		if (is_own(&s->listens[i], &to)) {
			snprintf(expected, sizeof(expected), "another server: "
			    "this one listens there (%.100s), and mail would "
			    "go round", conf_at_seen(&s->listens[i].at,
			    &d->route_at, at, sizeof(at)));
			return refuse(c, d, value, expected);
		}
	return 0;
}

static int
check_hop(struct conf *c, const struct settings *s,
    const struct settings_domain *d, const char *value)
{
	struct route_addr addr;
	union addr source;

	(void)route_addr_parse(value, &addr);	/* which the schema has checked */
	if (addr.kind == ROUTE_IP && settings_source(d,
	    addr.ip.sa.sa_family, &source) == -1)
		return refuse(c, d, value, "an address of IPv4 or IPv6 as "
		    "Source has one");
	if (addr.kind == ROUTE_NAME && s->resolvers == 0)
		return refuse(c, d, value, "an address, such as "
		    "\"192.0.2.1:25\", since resolvers is 0, and nobody could "
		    "look a name up");
	/* RFC 2033 5: not port 25, and no other one is LMTP's */
	if (d->delivery == DELIVERY_LMTP && addr.kind != ROUTE_UNIX &&
	    (addr.port == 0 || addr.port == htons(25)))
		return refuse(c, d, value, "an address with a port other than "
		    "25, such as \"192.0.2.1:24\", since LMTP has none of its "
		    "own");
	if (d->tls_level == SETTINGS_TLS_VERIFY && *d->tls_name == '\0' &&
	    addr.kind == ROUTE_UNIX)
		return refuse(c, d, value, "an address, or together with "
		    "TLS_Name, since TLS is verify, and a socket has no name "
		    "that a certificate could be for");
	if (d->tls_level == SETTINGS_TLS_DANE_ONLY && addr.kind != ROUTE_NAME)
		return refuse(c, d, value, "the name of a host, since TLS is "
		    "dane-only, and nothing else has TLSA records");
	route_addr_default(&addr, 25);
	return check_loop(c, s, d, value, &addr);
}

int
settings_route_check(struct conf *c, const struct settings *s,
    const struct settings_domain *d)
{
	char found[32];
	size_t i, octets = 0;

	if (check_source(c, d) == -1)
		return -1;
	/* names in the DNS do not say who gets a password */
	if (*d->login != '\0' && (!settings_is_relayed(d) || d->route.n == 0))
		return conf_error(c, &d->at, "option 'Login' of Domain \"%s\": "
		    "only together with Route, which says where to log in",
		    d->name);
	if (d->mta_sts && !settings_is_mx(d))
		return conf_error(c, &d->at, "option 'MTA_STS' of Domain "
		    "\"%s\": only together with Delivery = \"smtp\" and without "
		    "Route, since a policy is about the hosts in MX records",
		    d->name);
	/* as in Postfix, where a table of policies wins */
	if (d->mta_sts && d->tls_level != SETTINGS_TLS_MAY &&
	    d->tls_level != SETTINGS_TLS_DANE)
		return conf_error(c, &d->at, "option 'MTA_STS' of Domain "
		    "\"%s\": only together with TLS = dane or may, since "
		    "each other value holds whatever a policy says", d->name);
	if (!settings_is_relayed(d))
		return d->route.n == 0 ? 0 : conf_error(c, &d->route_at,
		    "option 'Route': only together with Delivery = \"lmtp\" or "
		    "\"smtp\"");
	/* RFC 5321 5.1 is about SMTP */
	if (d->route.n == 0 && d->delivery == DELIVERY_LMTP)
		return conf_error(c, &d->at, "option 'Route': Domain \"%s\" "
		    "has Delivery = lmtp, but no Route: write where the next "
		    "server listens, such as Route = \"192.0.2.1:24\"",
		    d->name);
	if (d->route.n == 0 && s->resolvers == 0)
		return conf_error(c, &d->at, "option 'resolvers': expected 1 or "
		    "more, since Domain \"%s\" has Delivery = smtp without "
		    "Route, and somebody has to look up MX records, found 0",
		    d->name);
	if (d->tls_level == SETTINGS_TLS_DANE_ONLY && !s->resolver_trust_ad)
		return conf_error(c, &d->at, "option 'TLS' of Domain \"%s\": "
		    "dane-only needs answers of the DNS that are proven: set "
		    "Resolver_Trust_AD, if the name servers check DNSSEC",
		    d->name);
	for (i = 0; i < d->route.n; i++)
		octets += strlen(d->route.v[i]) + 2;
	if (d->route.n > SETTINGS_ROUTES_MAX || octets > SETTINGS_TARGET_MAX) {
		snprintf(found, sizeof(found), "%zu of them", d->route.n);
		return refuse(c, d, found, "at most 8 next hops, and 500 octets "
		    "in all");
	}
	for (i = 0; i < d->route.n; i++)
		if (check_hop(c, s, d, d->route.v[i]) == -1)
			return -1;
	return 0;
}
