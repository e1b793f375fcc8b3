/* Socket addresses: their octets, their text.  And what a client of a Unix socket
 * has in place of one: the account that has connected.
 * Everywhere an IPv4 address mapped into IPv6 (RFC 4291 2.5.5.2: ::ffff:0:0/96,
 * an IPv4 client of a socket that serves both families) counts as IPv4.
 * Pure: no allocation, no system call. */

#ifndef CORE_UTIL_ADDR_H
#define CORE_UTIL_ADDR_H

#include <sys/socket.h>

#include <netinet/in.h>

#include <stdbool.h>
#include <stdint.h>

/* A client of a Unix socket, told apart from others by its account.  addr_local()
 * alone makes one.  A client chooses the name that its own socket is bound to, and
 * that may have any octets: so no function here may get a sockaddr_un that
 * accept(2) or getpeername(2) has filled in. */
struct addr_local {
	sa_family_t	family;		/* AF_UNIX */
	unsigned char	zero;		/* where sun_path would begin: no path */
	unsigned char	has_uid;	/* 1, or all else is 0 */
	uint32_t	uid;
};

union addr {
	struct sockaddr		sa;
	struct sockaddr_in	in;
	struct sockaddr_in6	in6;
	struct addr_local	local;
};

#define ADDR_TEXT	INET6_ADDRSTRLEN	/* octets with the NUL */
#define ADDR_PORT_TEXT	(ADDR_TEXT + 8)		/* with "[]:65535" */

/* addr_octets(sa, &family_r): The address in ${sa}, in network order: 4 octets
 * and AF_INET, or 16 and AF_INET6.  They lie in ${sa}, which need not be
 * aligned.  NULL: another family, or ${sa} is NULL. */
const unsigned char *addr_octets(const struct sockaddr *sa, int *family_r);

/* addr_local(addr_r, uid): The client of a Unix socket that has the account ${uid}
 * (SO_PEERCRED, unix(7)).
 * addr_uid(sa, &uid_r): Is ${sa}, which need not be aligned, such a client?
 * addr_is_known(sa): Is it one, or an IPv4 or IPv6 address?  Else nobody can tell
 * it from others. */
void addr_local(union addr *addr_r, uint32_t uid);
bool addr_uid(const struct sockaddr *sa, uint32_t *uid_r);
bool addr_is_known(const struct sockaddr *sa);

/* addr_network(sa, network_r): What one client is taken to have: an IPv4
 * address, mapped into IPv6; the network of 64 bits of an IPv6 address, within
 * which a host can have any address (RFC 4291 2.5.1).  An IPv4 address in the
 * prefix of translators (RFC 6052 2.1) counts as IPv4.  A client of a Unix socket:
 * octets that no address has, and no other account.  Another family or NULL:
 * octets that neither has. */
#define ADDR_NETWORK	16
void addr_network(const struct sockaddr *sa,
    unsigned char network_r[ADDR_NETWORK]);

/* addr_copy(to, sa): Fill in ${to}, which has room for a union addr.  IPv4
 * mapped into IPv6 becomes IPv4.  A client of a Unix socket stays what it is.
 * Another family or NULL: AF_UNSPEC.  Both may be the same address. */
void addr_copy(struct sockaddr *to, const struct sockaddr *sa);

/* addr_is_same(a, b): Is it one address, whatever the port and the scope?  Never
 * with one of another family or NULL. */
bool addr_is_same(const struct sockaddr *a, const struct sockaddr *b);

/* addr_is_no_host(sa): Can no host have that address, so that nothing is to be sent
 * to it: 0.0.0.0/8 and "::" (a connection there reaches this machine), multicast,
 * broadcast, another family or NULL? */
bool addr_is_no_host(const struct sockaddr *sa);

/* addr_port_parse(text, port_r): A port as 1 to 5 digits, for a socket address
 * (in network order).  Return 0, or -1: not a port.
 * addr_parse(text, addr_r): "192.0.2.1:25" or "[2001:db8::1]:25".  Return 0, or
 * -1: it is neither. */
int addr_port_parse(const char *text, in_port_t *port_r);
int addr_parse(const char *text, union addr *addr_r);

/* addr_len(sa): Octets of an IPv4 or IPv6 socket address. */
socklen_t addr_len(const struct sockaddr *sa);

/* addr_port(sa): In host order; 0 for another family or NULL. */
unsigned int addr_port(const struct sockaddr *sa);

/* addr_text(sa, buf): "192.0.2.1", "2001:db8::1"; never with a scope.  A client of
 * a Unix socket: "unix:1000", as netmask_parse() reads it.  Another family or NULL:
 * "unknown".  Return ${buf}. */
const char *addr_text(const struct sockaddr *sa, char buf[ADDR_TEXT]);

/* addr_port_text(sa, buf): "192.0.2.1:25", "[2001:db8::1]:25"; else as
 * addr_text().  Return ${buf}. */
const char *addr_port_text(const struct sockaddr *sa,
    char buf[ADDR_PORT_TEXT]);

#endif
