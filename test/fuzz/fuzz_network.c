/* Texts of addresses, networks, next hops, base64. */

#include "test/fuzz/fuzz.h"

#include <sys/types.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/settings/route_addr.h"
#include "core/util/addr.h"
#include "core/util/base64.h"
#include "core/util/netmask.h"

#define TEXT_MAX	1024

static void
address(const char *text)
{
	char shown[ADDR_PORT_TEXT];
	union addr a, b;

	if (addr_parse(text, &a) == -1)
		return;
	FUZZ_HOLDS(addr_parse(addr_port_text(&a.sa, shown), &b) == 0);
	FUZZ_HOLDS(addr_is_same(&a.sa, &b.sa));
	FUZZ_HOLDS(addr_port(&a.sa) == addr_port(&b.sa));
}

/* One account has one spelling, but for the case of "unix". */
static void
account(const struct netmask *nm, const char *s, size_t len)
{
	char shown[ADDR_TEXT];
	uint32_t uid;
	union addr a;

	memcpy(&uid, nm->addr, sizeof(uid));
	addr_local(&a, ntohl(uid));
	FUZZ_HOLDS(netmask_match(nm, &a.sa));
	if (nm->bits == 0)
		return;
	addr_text(&a.sa, shown);
	FUZZ_HOLDS(strlen(shown) == len && strncasecmp(shown, s, len) == 0);
}

static void
network(const char *s, size_t len)
{
	struct netmask nm;

	if (netmask_parse(s, len, &nm) == -1)
		return;
	FUZZ_HOLDS(nm.family == AF_INET || nm.family == AF_INET6 ||
	    nm.family == AF_UNIX);
	FUZZ_HOLDS(nm.bits <= (nm.family == AF_INET6 ? 128 : 32));
	FUZZ_HOLDS(netmask_contains(&nm, &nm));
	if (nm.family == AF_UNIX)
		account(&nm, s, len);
}

/* A next hop, as the log would write it, is the same one. */
static void
route(const char *text)
{
	char shown[LIM_DOMAIN + sizeof(":65535")];
	char ip[ADDR_PORT_TEXT];
	struct route_addr a, b;

	if (route_addr_parse(text, &a) == -1)
		return;
	if (a.kind == ROUTE_UNIX) {
		FUZZ_HOLDS(strcmp(text + strlen("unix:"), a.un.sun_path) == 0);
		return;
	}
	route_addr_default(&a, 25);
	FUZZ_HOLDS(a.port != 0);
	/* with a port it would begin as a socket does */
	if (a.kind == ROUTE_NAME && strcmp(a.name, "unix") == 0)
		return;
	if (a.kind == ROUTE_IP)
		snprintf(shown, sizeof(shown), "%s",
		    addr_port_text(&a.ip.sa, ip));
	else
		snprintf(shown, sizeof(shown), "%s:%u", a.name,
		    (unsigned int)ntohs(a.port));
	FUZZ_HOLDS(route_addr_parse(shown, &b) == 0);
	FUZZ_HOLDS(b.kind == a.kind && b.port == a.port);
	if (a.kind == ROUTE_IP)
		FUZZ_HOLDS(addr_is_same(&a.ip.sa, &b.ip.sa));
	else
		FUZZ_HOLDS(strcmp(a.name, b.name) == 0);
}

static void
base64(const char *s, size_t len)
{
	char out[TEXT_MAX], again[TEXT_MAX];
	ssize_t n;

	n = base64_decode(s, len, out, sizeof(out));
	if (n != -1) {
		FUZZ_HOLDS(base64_encode(out, (size_t)n, again,
		    sizeof(again)) == (ssize_t)len);
		FUZZ_HOLDS(memcmp(again, s, len) == 0);
	}
	n = base64_encode(s, len, again, sizeof(again));
	FUZZ_HOLDS(n == (ssize_t)base64_octets(len));
	FUZZ_HOLDS(base64_decode(again, (size_t)n, out, sizeof(out)) ==
	    (ssize_t)len);
	FUZZ_HOLDS(len == 0 || memcmp(out, s, len) == 0);
}

void
fuzz_network(const uint8_t *data, size_t len)
{
	char text[256];

	if (len <= TEXT_MAX / 2)
		base64((const char *)data, len);
	network((const char *)data, len);
	if (len >= sizeof(text))
		return;
	if (len > 0)
		memcpy(text, data, len);
	text[len] = '\0';
	address(text);
	route(text);
}
