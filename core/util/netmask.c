/* CIDR notation: parse and match; "unix" and "unix:1000". */

#include "core/util/netmask.h"

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "core/util/addr.h"

#define PREFIX_DIGITS	3
#define UNIX		"unix"
#define UNIX_LEN	(sizeof(UNIX) - 1)

static int
parse_prefix(const char *s, size_t len, unsigned int max,
    unsigned int *bits_r)
{
	unsigned int n = 0;
	size_t i;

	if (len == 0 || len > PREFIX_DIGITS || (len > 1 && s[0] == '0'))
		goto err;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			goto err;
		n = n * 10 + (unsigned int)(s[i] - '0');
	}
	if (n > max) {
		errno = ERANGE;
		return -1;
	}
	*bits_r = n;
	return 0;
err:
	errno = EINVAL;
	return -1;
}

static int
parse_address(const char *s, size_t len, struct netmask *nm)
{
	char text[INET6_ADDRSTRLEN];

	if (len >= 2 && s[0] == '[' && s[len - 1] == ']') {
		s++;
		len -= 2;
		if (memchr(s, ':', len) == NULL)
			goto err;
	}
	if (len == 0 || len >= sizeof(text) || memchr(s, '\0', len) != NULL)
		goto err;
	memcpy(text, s, len);
	text[len] = '\0';
	nm->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(nm->family, text, nm->addr) == 1)
		return 0;
err:
	errno = EINVAL;
	return -1;
}

/* Whether a bit after the prefix is set. */
static bool
has_host_bits(const struct netmask *nm, unsigned int max)
{
	unsigned int i;

	for (i = nm->bits; i < max; i++)
		if ((nm->addr[i / 8] & (0x80 >> (i % 8))) != 0)
			return true;
	return false;
}

/* Turn ::ffff:10.0.0.0/104 into 10.0.0.0/8, the form that netmask_match()
 * compares. */
static void
unmap(struct netmask *nm)
{
	static const unsigned char mapped[12] = {
		[10] = 0xff, [11] = 0xff };

	if (nm->family != AF_INET6 || nm->bits < 96 ||
	    memcmp(nm->addr, mapped, sizeof(mapped)) != 0)
		return;
	nm->family = AF_INET;
	nm->bits -= 96;
	memmove(nm->addr, nm->addr + 12, 4);
	memset(nm->addr + 4, 0, 12);
}

/* What follows "unix": nothing, or a colon and a uid.  Return 0, or -1 with
 * errno. */
static int
parse_account(const char *s, size_t len, struct netmask *nm)
{
	uint64_t uid = 0;
	uint32_t octets;
	size_t i;

	nm->family = AF_UNIX;
	if (len == 0)
		return 0;
	if (s[0] != ':' || len < 2 || (s[1] == '0' && len > 2))
		goto err;
	for (i = 1; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			goto err;
		uid = uid * 10 + (uint64_t)(s[i] - '0');
		if (uid >= UINT32_MAX) {	/* (uid_t)-1 is nobody's */
			errno = ERANGE;
			return -1;
		}
	}
	octets = htonl((uint32_t)uid);
	memcpy(nm->addr, &octets, sizeof(octets));
	nm->bits = 32;
	return 0;
err:
	errno = EINVAL;
	return -1;
}

int
netmask_parse(const char *s, size_t len, struct netmask *nm_r)
{
	const char *slash = memchr(s, '/', len);
	size_t addr_len = slash == NULL ? len : (size_t)(slash - s);
	unsigned int max;

	memset(nm_r, 0, sizeof(*nm_r));
	if (len >= UNIX_LEN && strncasecmp(s, UNIX, UNIX_LEN) == 0)
		return parse_account(s + UNIX_LEN, len - UNIX_LEN, nm_r) == -1 ?
		    -1 : (int)len;
	if (parse_address(s, addr_len, nm_r) == -1)
		return -1;
	nm_r->bits = max = nm_r->family == AF_INET6 ? 128 : 32;
	if (slash != NULL && parse_prefix(slash + 1, len - addr_len - 1, max,
	    &nm_r->bits) == -1)
		return -1;
	if (has_host_bits(nm_r, max)) {
		errno = EDOM;
		return -1;
	}
	unmap(nm_r);
	return (int)len;
}

/* Whether the first ${bits} bits are the same. */
static bool
same_bits(const unsigned char *a, const unsigned char *b, unsigned int bits)
{
	unsigned int whole = bits / 8, rest = bits % 8;
	unsigned int mask = 0xff00u >> rest & 0xff;

	return memcmp(a, b, whole) == 0 &&
	    (rest == 0 || (a[whole] & mask) == (b[whole] & mask));
}

bool
netmask_contains(const struct netmask *outer, const struct netmask *inner)
{
	return outer->family == inner->family && outer->bits <= inner->bits &&
	    same_bits(outer->addr, inner->addr, outer->bits);
}

static bool
match_account(const struct netmask *nm, const struct sockaddr *sa)
{
	uint32_t uid;

	if (sa == NULL || sa->sa_family != AF_UNIX || nm->bits == 0)
		return sa != NULL && sa->sa_family == AF_UNIX;
	if (!addr_uid(sa, &uid))
		return false;
	uid = htonl(uid);
	return memcmp(&uid, nm->addr, sizeof(uid)) == 0;
}

bool
netmask_match(const struct netmask *nm, const struct sockaddr *sa)
{
	const unsigned char *addr;
	int family;

	if (nm->family == AF_UNIX)
		return match_account(nm, sa);
	return (addr = addr_octets(sa, &family)) != NULL &&
	    family == nm->family && same_bits(addr, nm->addr, nm->bits);
}
