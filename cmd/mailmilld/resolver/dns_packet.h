/* Answers of name servers: octets of a packet in, records out.
 * Owns: which records of a packet answer a question, for how long, and what is
 * said if none does.
 * c-ares expands the names; it has no reader for TLSA records, and those that it
 * has for others lose their TTL (c-ares 1.18), so that the records are walked
 * here.
 * A packet is hostile: the time that it takes is bounded by its length. */

#ifndef CMD_MAILMILLD_RESOLVER_DNS_PACKET_H
#define CMD_MAILMILLD_RESOLVER_DNS_PACKET_H

#include "cmd/mailmilld/lookup/lookup_answer.h"

/* RFC 1035 3.2.2, RFC 3596 2.1, RFC 6698 7.1 */
enum dns_type {
	DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12,
	DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52
};

#define DNS_CHAIN_MAX	8	/* CNAME records, one behind the other */

struct dns_result {
	enum lookup_status	 status;
	/* the packet ends with a CNAME record: ask for alias next */
	bool			 is_alias_alone;
	bool			 is_authentic;	/* AD is set: RFC 4035 3.2.3 */
	unsigned int		 ttl_s;		/* 0: not to be kept */
	unsigned int		 nchain;	/* CNAME records that were followed */
	char			 alias[LIM_DOMAIN + 1];	/* the last of them; "": none */
	size_t			 len;
	uint8_t			 records[LIM_LOOKUP_OCTETS]; /* lookup_answer.h */
};

/* dns_packet_parse(packet, len, name, type, r_r): What the packet answers to a
 * question for ${name}, which is lookup_name()'s, and ${type}.  What is no answer
 * to that question is LOOKUP_TEMPORARY. */
void dns_packet_parse(const uint8_t *packet, size_t len, const char *name,
    enum dns_type type, struct dns_result *r_r);

#endif
