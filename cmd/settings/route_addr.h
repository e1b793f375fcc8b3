/* A value of the Domain option Route: where a next hop listens.
 * Owns: its syntax. */

#ifndef CMD_SETTINGS_ROUTE_ADDR_H
#define CMD_SETTINGS_ROUTE_ADDR_H

#include <sys/socket.h>
#include <sys/un.h>

#include "core/lim.h"
#include "core/util/addr.h"

enum route_kind { ROUTE_IP, ROUTE_UNIX, ROUTE_NAME };

struct route_addr {
	enum route_kind	 kind;
	union {
		union addr		ip;	/* with its port */
		struct sockaddr_un	un;
	};
	char		 name[LIM_DOMAIN + 1];	/* of a ROUTE_NAME, with A-labels */
	in_port_t	 port;		/* of both; network order; 0: not written */
};

/* route_addr_parse(text, addr_r): "192.0.2.1:25", "[2001:db8::1]:25",
 * "mail.example.test:25", each also without a port; "unix:/path".  Return 0, or
 * -1: it is none of these.
 * route_addr_default(addr, port): The port of one that is written without. */
int route_addr_parse(const char *text, struct route_addr *addr_r);
void route_addr_default(struct route_addr *addr, unsigned int port);

#endif
