/* Packets to name servers and back: c-ares on our loop.
 * Owns: the sockets, their events, the repetitions, the way over TCP.
 * Knows nothing of what an answer says.
 *
 * c-ares keeps the port of a socket as long as it has a question under way.  So
 * that nobody can guess port and number of many questions, they are spread over
 * several channels of c-ares, and one that has had WIRE_USES of them rests until
 * it has closed its sockets (RFC 5452 4.5). */

#ifndef CMD_MAILMILLD_RESOLVER_DNS_WIRE_H
#define CMD_MAILMILLD_RESOLVER_DNS_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/resolver/dns_packet.h"

struct dns_wire;

struct dns_wire_config {
	/* NULL: those of /etc/resolv.conf */
	const union addr	*servers;
	size_t			 nservers;
	unsigned int		 timeout_ms;	/* of the first attempt; then it grows */
	unsigned int		 attempts;	/* with each server */
};

/* dns_wire_open(config): May read /etc/resolv.conf and other files: nothing
 * later does.  NULL with a text in ${err_r}. */
struct dns_wire *dns_wire_open(const struct dns_wire_config *config,
    char *err_r, size_t errlen);

/* dns_wire_servers(w, buf, len): The name servers, with commas between them.
 * Return ${buf}. */
const char *dns_wire_servers(const struct dns_wire *w, char *buf, size_t len);

/* dns_wire_fn(closure, packet, len, why): The answer; NULL: there is none, and
 * ${why} says why.  It may ask again. */
typedef void dns_wire_fn(void *closure, const uint8_t *packet, size_t len,
    const char *why);

/* dns_wire_ask(w, name, type, fn, closure): Ask for the records of ${name}, which
 * is lookup_name()'s.  ${fn} is called once, perhaps from within this call; not
 * after dns_wire_free(). */
void dns_wire_ask(struct dns_wire *w, const char *name, enum dns_type type,
    dns_wire_fn *fn, void *closure);

void dns_wire_free(struct dns_wire *w);		/* NULL does nothing */

#endif
