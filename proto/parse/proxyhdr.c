/* The header of the PROXY protocol; see proxyhdr.h.  Sections are those of
 * HAProxy's doc/proxy-protocol.txt. */

#include "proto/parse/proxyhdr.h"

#include <arpa/inet.h>

#include <string.h>

#include "core/lim.h"
#include "core/util/addr.h"

#define V1_SHORTEST	15	/* "PROXY UNKNOWN", CRLF */
#define V1_SPACES	5	/* "PROXY TCP4 source destination port port" */
#define V2_FIXED	16	/* signature, command, family, length */

static const char v1_word[] = "PROXY ";
static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static int
bad(const char **why_r, const char *why)
{
	*why_r = why;
	return -1;
}

/* Does what there is of ${buf} begin like ${s}? */
static bool
begins(const char *buf, size_t len, const char *s, size_t n)
{
	return memcmp(buf, s, len < n ? len : n) == 0;
}

static size_t
v2_length(const char *buf)
{
	return V2_FIXED + ((size_t)(unsigned char)buf[14] << 8 |
	    (unsigned char)buf[15]);
}

static int
v2_missing(const char *buf, size_t len, const char **why_r)
{
	/* 2.2: the receiver must only accept version 2 */
	if (len > 12 && (unsigned char)buf[12] >> 4 != 2)
		return bad(why_r, "unknown version of the PROXY protocol");
	if (len < V2_FIXED)
		return (int)(V2_FIXED - len);
	if (v2_length(buf) > LIM_PROXY_HEADER)
		return bad(why_r, "PROXY header too long");
	if (len > v2_length(buf))
		return bad(why_r, "octets behind the PROXY header");
	return (int)(v2_length(buf) - len);
}

/* 2.1: each field that is still missing takes at least a space and one octet;
 * CRLF follows the last. */
static int
v1_missing(const char *buf, size_t len, const char **why_r)
{
	size_t i, spaces = 0, n;
	const char *lf = memchr(buf, '\n', len);

	if (lf != NULL) {
		if (lf != buf + len - 1 || lf[-1] != '\r')
			return bad(why_r, "PROXY line cut or without CRLF");
		return 0;
	}
	if (len >= PROXYHDR_V1_MAX)
		return bad(why_r, "PROXY line too long");
	if (len < V1_SHORTEST)
		return (int)(V1_SHORTEST - len);
	if (buf[len - 1] == '\r')
		return 1;
	n = 2;
	if (begins(buf + 6, 3, "TCP", 3)) {
		for (i = 0; i < len; i++)
			spaces += buf[i] == ' ';
		if (spaces < V1_SPACES)
			n += 2 * (V1_SPACES - spaces);
		n += buf[len - 1] == ' ';
	}
	return (int)(len + n > PROXYHDR_V1_MAX ? PROXYHDR_V1_MAX - len : n);
}

int
proxyhdr_missing(const char *buf, size_t len, const char **why_r)
{
	if (len == 0)
		return V1_SHORTEST;
	if (begins(buf, len, v2_signature, sizeof(v2_signature)))
		return v2_missing(buf, len, why_r);
	if (begins(buf, len, v1_word, sizeof(v1_word) - 1))
		return v1_missing(buf, len, why_r);
	return bad(why_r, "no PROXY header");
}

/* --- version 1 ------------------------------------------------------------ */

/* The next field of a line up to ${*s}: its text, up to a single space or the
 * end.  NULL: there is none, or it is too long. */
static const char *
field(const char **s, const char *end, char buf[INET6_ADDRSTRLEN])
{
	const char *p = *s;
	size_t n;

	while (p < end && *p != ' ')
		p++;
	n = (size_t)(p - *s);
	if (n == 0 || n >= INET6_ADDRSTRLEN ||
	    memchr(*s, '\0', n) != NULL)
		return NULL;
	memcpy(buf, *s, n);
	buf[n] = '\0';
	*s = p < end ? p + 1 : p;
	return buf;
}

/* 2.1: decimal, 0 to 65535, no leading zeros. */
static bool
port(const char *s, in_port_t *port_r)
{
	return s != NULL && (s[0] != '0' || s[1] == '\0') &&
	    addr_port_parse(s, port_r) == 0;
}

/* ${octets} and ${port} are in network order, and need not be aligned. */
static void
fill(union addr *a, int family, const void *octets, const void *port)
{
	a->sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&a->in.sin_addr, octets, 4);
		memcpy(&a->in.sin_port, port, 2);
	} else {
		memcpy(&a->in6.sin6_addr, octets, 16);
		memcpy(&a->in6.sin6_port, port, 2);
	}
	/* an IPv4 address in the form of IPv6 (RFC 4291 2.5.5.2) */
	addr_copy(&a->sa, &a->sa);
}

static bool
v1_addresses(const char *s, const char *end, int family, struct proxyhdr *h)
{
	char buf[INET6_ADDRSTRLEN];
	struct in6_addr addr[2];
	in_port_t ports[2];
	const char *text;
	size_t i;

	for (i = 0; i < 2; i++)
		if ((text = field(&s, end, buf)) == NULL ||
		    inet_pton(family, text, &addr[i]) != 1)
			return false;
	for (i = 0; i < 2; i++)
		if (!port(field(&s, end, buf), &ports[i]))
			return false;
	/* a space at the end would be a fifth field, empty */
	if (s != end || end[-1] == ' ')
		return false;
	h->is_known = true;
	fill(&h->source, family, &addr[0], &ports[0]);
	fill(&h->dest, family, &addr[1], &ports[1]);
	return true;
}

static int
v1_parse(const char *buf, size_t len, struct proxyhdr *h, const char **why_r)
{
	const char *s = buf + sizeof(v1_word) - 1, *end = buf + len - 2;
	size_t n = (size_t)(end - s);

	/* whatever follows it is ignored */
	if (n >= 7 && memcmp(s, "UNKNOWN", 7) == 0 &&
	    (n == 7 || s[7] == ' '))
		return 0;
	if (n < 5 || (memcmp(s, "TCP4 ", 5) != 0 &&
	    memcmp(s, "TCP6 ", 5) != 0))
		return bad(why_r, "PROXY line for neither TCP4, TCP6 nor "
		    "UNKNOWN");
	if (!v1_addresses(s + 5, end, s[3] == '4' ? AF_INET : AF_INET6, h))
		return bad(why_r, "bad addresses or ports in the PROXY line");
	return 0;
}

/* --- version 2 ------------------------------------------------------------ */

static int
v2_parse(const char *buf, size_t len, struct proxyhdr *h, const char **why_r)
{
	unsigned int command = (unsigned char)buf[12] & 0xf;
	unsigned int family = (unsigned char)buf[13] >> 4;
	unsigned int transport = (unsigned char)buf[13] & 0xf;
	const char *p = buf + V2_FIXED;
	size_t n;

	/* 2.2: LOCAL, the proxy itself, a health check: all else is ignored */
	if (command == 0)
		return 0;
	if (command != 1)
		return bad(why_r, "unknown command in the PROXY header");
	if (family > 3 || transport > 2)
		return bad(why_r, "unknown address family in the PROXY "
		    "header");
	if (transport != 1 || (family != 1 && family != 2))
		return 0;	/* as UNSPEC: no such client can be ours */
	if (len < V2_FIXED + (family == 1 ? 12u : 36u))
		return bad(why_r, "PROXY header too short for its addresses");
	h->is_known = true;
	n = family == 1 ? 4 : 16;
	fill(&h->source, family == 1 ? AF_INET : AF_INET6, p, p + 2 * n);
	fill(&h->dest, family == 1 ? AF_INET : AF_INET6, p + n, p + 2 * n + 2);
	return 0;
}

int
proxyhdr_parse(const char *buf, size_t len, struct proxyhdr *h,
    const char **why_r)
{
	int missing = proxyhdr_missing(buf, len, why_r);

	memset(h, 0, sizeof(*h));
	if (missing != 0)
		return missing > 0 ? bad(why_r, "PROXY header cut") : -1;
	return buf[0] == v1_word[0] ? v1_parse(buf, len, h, why_r) :
	    v2_parse(buf, len, h, why_r);
}
