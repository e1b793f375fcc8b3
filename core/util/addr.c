/* Socket addresses; see addr.h. */

#include "core/util/addr.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const unsigned char *
addr_octets(const struct sockaddr *sa, int *family_r)
{
	static const unsigned char mapped[12] = {
		[10] = 0xff, [11] = 0xff };
	const unsigned char *p = (const unsigned char *)sa;

	if (sa == NULL)
		return NULL;
	*family_r = sa->sa_family;
	switch (sa->sa_family) {
	case AF_INET:
		return p + offsetof(struct sockaddr_in, sin_addr);
	case AF_INET6:
		p += offsetof(struct sockaddr_in6, sin6_addr);
		if (memcmp(p, mapped, sizeof(mapped)) != 0)
			return p;
		*family_r = AF_INET;
		return p + sizeof(mapped);
	default:
		return NULL;
	}
}

void
addr_local(union addr *addr_r, uint32_t uid)
{
	memset(addr_r, 0, sizeof(*addr_r));
	addr_r->local.family = AF_UNIX;
	addr_r->local.has_uid = 1;
	addr_r->local.uid = uid;
}

bool
addr_uid(const struct sockaddr *sa, uint32_t *uid_r)
{
	struct addr_local local;

	if (sa == NULL || sa->sa_family != AF_UNIX)
		return false;
	memcpy(&local, sa, sizeof(local));
	*uid_r = local.uid;
	return local.zero == 0 && local.has_uid == 1;
}

bool
addr_is_known(const struct sockaddr *sa)
{
	uint32_t uid;
	int family;

	return addr_octets(sa, &family) != NULL || addr_uid(sa, &uid);
}

bool
addr_is_same(const struct sockaddr *a, const struct sockaddr *b)
{
	int family = AF_UNSPEC, other = AF_UNSPEC;
	const unsigned char *octets = addr_octets(a, &family);
	const unsigned char *others = addr_octets(b, &other);

	return octets != NULL && others != NULL && family == other &&
	    memcmp(octets, others, family == AF_INET6 ? 16 : 4) == 0;
}

bool
addr_is_no_host(const struct sockaddr *sa)
{
	const unsigned char *octets;
	struct in6_addr v6;
	uint32_t v4;
	int family;

	if ((octets = addr_octets(sa, &family)) == NULL)
		return true;
	if (family == AF_INET6) {
		memcpy(&v6, octets, sizeof(v6));
		return IN6_IS_ADDR_UNSPECIFIED(&v6) ||
		    IN6_IS_ADDR_MULTICAST(&v6);
	}
	memcpy(&v4, octets, sizeof(v4));
	v4 = ntohl(v4);
	return v4 >> 24 == 0 || IN_MULTICAST(v4) || v4 == INADDR_BROADCAST;
}

socklen_t
addr_len(const struct sockaddr *sa)
{
	return sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
	    sizeof(struct sockaddr_in);
}

void
addr_copy(struct sockaddr *to, const struct sockaddr *sa)
{
	union addr a = { .in6.sin6_family = AF_UNSPEC };
	const unsigned char *octets;
	uint32_t uid;
	int family;

	octets = addr_octets(sa, &family);
	if (addr_uid(sa, &uid)) {
		addr_local(&a, uid);
	} else if (octets != NULL && family == AF_INET6) {
		memcpy(&a.in6, sa, sizeof(a.in6));
	} else if (octets != NULL) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons((in_port_t)addr_port(sa));
		memcpy(&a.in.sin_addr, octets, sizeof(a.in.sin_addr));
	}
	memcpy(to, &a, sizeof(a));
}

int
addr_port_parse(const char *text, in_port_t *port_r)
{
	size_t len = strspn(text, "0123456789");
	unsigned long port;

	if (len < 1 || len > 5 || text[len] != '\0' ||
	    (port = strtoul(text, NULL, 10)) > 65535)
		return -1;
	*port_r = htons((in_port_t)port);
	return 0;
}

int
addr_parse(const char *text, union addr *addr_r)
{
	const char *colon = strrchr(text, ':');
	char host[ADDR_TEXT + 2];
	in_port_t port;
	size_t len;

	memset(addr_r, 0, sizeof(*addr_r));
	if (colon == NULL || (len = (size_t)(colon - text)) >= sizeof(host) ||
	    addr_port_parse(colon + 1, &port) == -1)
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		addr_r->in6.sin6_family = AF_INET6;
		addr_r->in6.sin6_port = port;
		return inet_pton(AF_INET6, host + 1,
		    &addr_r->in6.sin6_addr) == 1 ? 0 : -1;
	}
	addr_r->in.sin_family = AF_INET;
	addr_r->in.sin_port = port;
	return inet_pton(AF_INET, host, &addr_r->in.sin_addr) == 1 ? 0 : -1;
}

unsigned int
addr_port(const struct sockaddr *sa)
{
	in_port_t port;
	int family;

	if (addr_octets(sa, &family) == NULL)
		return 0;
	/* sin_port and sin6_port have the same offset */
	_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
	    offsetof(struct sockaddr_in6, sin6_port), "port");
	memcpy(&port, (const unsigned char *)sa +
	    offsetof(struct sockaddr_in, sin_port), sizeof(port));
	return ntohs(port);
}

/* The log, the spool and Received have the client's address for each message:
 * glibc's inet_ntop(3) calls sprintf(3), which took 5 % of the time that a worker
 * spent in user space. */
static void
ipv4_text(const unsigned char *octets, char *buf)
{
	unsigned int i, n;

	for (i = 0; i < 4; i++) {
		n = octets[i];
		if (n >= 100)
			*buf++ = (char)('0' + n / 100);
		if (n >= 10)
			*buf++ = (char)('0' + n / 10 % 10);
		*buf++ = (char)('0' + n % 10);
		*buf++ = i < 3 ? '.' : '\0';
	}
}

const char *
addr_text(const struct sockaddr *sa, char buf[ADDR_TEXT])
{
	const unsigned char *octets;
	uint32_t uid;
	int family;

	if (addr_uid(sa, &uid))
		snprintf(buf, ADDR_TEXT, "unix:%" PRIu32, uid);
	else if ((octets = addr_octets(sa, &family)) == NULL)
		strcpy(buf, "unknown");
	else if (family == AF_INET)
		ipv4_text(octets, buf);
	else if (inet_ntop(family, octets, buf, ADDR_TEXT) == NULL)
		strcpy(buf, "unknown");
	return buf;
}

const char *
addr_port_text(const struct sockaddr *sa, char buf[ADDR_PORT_TEXT])
{
	char host[ADDR_TEXT];
	int family;

	if (addr_octets(sa, &family) == NULL)
		return addr_text(sa, buf);
	snprintf(buf, ADDR_PORT_TEXT, family == AF_INET6 ? "[%s]:%u" : "%s:%u",
	    addr_text(sa, host), addr_port(sa));
	return buf;
}

void
addr_network(const struct sockaddr *sa, unsigned char network_r[ADDR_NETWORK])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const unsigned char translated[12] = { 0, 0x64, 0xff, 0x9b };
	const unsigned char *octets;
	uint32_t uid;
	int family;

	octets = addr_octets(sa, &family);
	/* half of an IPv6 address is 0s here: these are nobody's */
	memset(network_r, octets == NULL ? 0xff : 0, ADDR_NETWORK);
	if (addr_uid(sa, &uid)) {
		uid = htonl(uid);
		memset(network_r + 8, 1, 4);
		memcpy(network_r + 12, &uid, 4);
	}
	if (octets == NULL)
		return;
	if (family == AF_INET6 && memcmp(octets, translated, 12) == 0) {
		octets += 12;
		family = AF_INET;
	}
	if (family == AF_INET6)
		memcpy(network_r, octets, 8);
	else {
		memcpy(network_r, mapped, 12);
		memcpy(network_r + 12, octets, 4);
	}
}
