/* Network addresses with a prefix length (CIDR), IPv4 and IPv6; and clients of
 * Unix sockets, all or those of one account.
 * Pure: no allocation, no system call. */

#ifndef CORE_UTIL_NETMASK_H
#define CORE_UTIL_NETMASK_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>

struct netmask {
	int		 family;	/* AF_INET, AF_INET6 or AF_UNIX */
	unsigned int	 bits;		/* 0 to 32 or 128; RFC 4632 3.1, RFC 4291 2.3;
					 * of AF_UNIX 0 (all) or 32 */
	unsigned char	 addr[16];	/* network order; 4 octets used for AF_INET,
					 * and for AF_UNIX, where it is the uid */
};

/* netmask_parse(s, len, &nm_r): Parse "10.0.0.0/8", "2001:db8::/32", or an
 * address alone (all bits count; brackets round an IPv6 one are allowed) in
 * ${s}, ${len} octets, not NUL terminated; or "unix", or "unix:1000" with a uid in
 * decimal.  Return octets used, which is ${len}, or -1 with errno: EINVAL (not an
 * address), ERANGE (prefix or uid too large), EDOM (bits after the prefix are set:
 * 10.0.0.1/8). */
int netmask_parse(const char *s, size_t len, struct netmask *nm_r);

/* netmask_contains(outer, inner): Is every address of ${inner} in ${outer}? */
bool netmask_contains(const struct netmask *outer,
    const struct netmask *inner);

/* netmask_match(nm, sa): Is ${sa} within ${nm}?  An IPv4 address mapped into
 * IPv6 (RFC 4291 2.5.5.2) counts as IPv4.  "unix" matches each client of a Unix
 * socket, also one whose account is not known.  Other families never match. */
bool netmask_match(const struct netmask *nm, const struct sockaddr *sa);

#endif
