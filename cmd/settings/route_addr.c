/* A value of Route; see route_addr.h. */

#include "cmd/settings/route_addr.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/util/idna.h"
#include "proto/mailaddr.h"

#define UNIX	"unix:"

static int
parse_unix(const char *path, struct route_addr *addr_r)
{
	if (*path != '/' || strlen(path) >= sizeof(addr_r->un.sun_path))
		return -1;
	addr_r->kind = ROUTE_UNIX;
	addr_r->un.sun_family = AF_UNIX;
	memcpy(addr_r->un.sun_path, path, strlen(path) + 1);
	return 0;
}

/* An address with its port, or with none. */
static int
parse_ip(const char *text, struct route_addr *addr_r)
{
	char whole[ADDR_PORT_TEXT + 2];

	if (addr_parse(text, &addr_r->ip) == 0) {
		if (addr_port(&addr_r->ip.sa) == 0)
			return -1;
	} else {
		if (strlen(text) >= ADDR_PORT_TEXT)
			return -1;
		snprintf(whole, sizeof(whole), "%s:0", text);
		if (addr_parse(whole, &addr_r->ip) == -1)
			return -1;
	}
	addr_copy(&addr_r->ip.sa, &addr_r->ip.sa);
	addr_r->kind = ROUTE_IP;
	addr_r->port = htons((in_port_t)addr_port(&addr_r->ip.sa));
	return 0;
}

static int
parse_name(const char *text, struct route_addr *addr_r)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon == NULL ? strlen(text) : (size_t)(colon - text);
	ssize_t n;

	if (colon != NULL && (addr_port_parse(colon + 1,
	    &addr_r->port) == -1 || addr_r->port == 0))
		return -1;
	n = idna_ascii(text, len, addr_r->name, sizeof(addr_r->name));
	if (n == -1 || !mailaddr_domain_valid(addr_r->name, (size_t)n, false))
		return -1;
	/* 192.0.2.300 is a mistyped address and no name: the last label of a
	 * name has a letter (RFC 3696 2) */
	if (strspn(addr_r->name, "0123456789.") == (size_t)n)
		return -1;
	addr_r->kind = ROUTE_NAME;
	return 0;
}

int
route_addr_parse(const char *text, struct route_addr *addr_r)
{
	memset(addr_r, 0, sizeof(*addr_r));
	if (strncasecmp(text, UNIX, strlen(UNIX)) == 0)	/* as in Listen */
		return parse_unix(text + strlen(UNIX), addr_r);
	return parse_ip(text, addr_r) == 0 ? 0 : parse_name(text, addr_r);
}

void
route_addr_default(struct route_addr *addr, unsigned int port)
{
	if (addr->kind == ROUTE_UNIX || addr->port != 0)
		return;
	addr->port = htons((in_port_t)port);
	if (addr->kind == ROUTE_NAME)
		return;
	if (addr->ip.sa.sa_family == AF_INET)
		addr->ip.in.sin_port = addr->port;
	else
		addr->ip.in6.sin6_port = addr->port;
}
