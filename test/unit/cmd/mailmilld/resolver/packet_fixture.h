/* Answers of name servers for tests, octet by octet. */

#ifndef TEST_UNIT_CMD_MAILMILLD_RESOLVER_PACKET_FIXTURE_H
#define TEST_UNIT_CMD_MAILMILLD_RESOLVER_PACKET_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#define PACKET_ANSWER	0x8180		/* QR, RD, RA, no error */
#define PACKET_AD	0x0020
#define PACKET_NXDOMAIN	3
#define PACKET_SERVFAIL	2

struct packet_fixture {
	size_t	 len;
	uint8_t	 o[65536];
};

/* packet_begin(p, flags, name, type): The head and the question.
 * packet_name(p, name): A name without compression; "" is the root.
 * packet_record(p, section, owner, type, ttl_s, data, len): One more record in
 * the section 1 (answer) or 2 (authority), in this order. */
void packet_begin(struct packet_fixture *p, unsigned int flags,
    const char *name, unsigned int type);
void packet_record(struct packet_fixture *p, unsigned int section,
    const char *owner, unsigned int type, unsigned int ttl_s, const void *data,
    size_t len);

/* The data is an address as text; a name; a preference and a name; a SOA record
 * with that last field; ${n} octets in strings. */
void packet_address(struct packet_fixture *p, const char *owner,
    unsigned int ttl_s, const char *address);
void packet_named(struct packet_fixture *p, unsigned int section,
    const char *owner, unsigned int type, unsigned int ttl_s,
    const char *name);
void packet_mx(struct packet_fixture *p, const char *owner,
    unsigned int ttl_s, unsigned int preference, const char *name);
void packet_soa(struct packet_fixture *p, const char *owner,
    unsigned int ttl_s, unsigned int minimum_s);
void packet_txt(struct packet_fixture *p, const char *owner,
    unsigned int ttl_s, size_t n);

#endif
