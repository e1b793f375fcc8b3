#include "test/unit/cmd/mailmilld/resolver/packet_fixture.h"

#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <string.h>

#include "cmd/mailmilld/resolver/dns_packet.h"

static void
put16(uint8_t *o, unsigned int v)
{
	o[0] = (uint8_t)(v >> 8);
	o[1] = (uint8_t)v;
}

static void
put32(uint8_t *o, unsigned int v)
{
	put16(o, v >> 16);
	put16(o + 2, v & 0xffff);
}

static size_t
name_put(uint8_t *o, const char *name)
{
	size_t at = 0, n;

	for (; *name != '\0'; name += n + (name[n] == '.')) {
		n = strcspn(name, ".");
		o[at++] = (uint8_t)n;
		memcpy(o + at, name, n);
		at += n;
	}
	o[at++] = 0;
	return at;
}

void
packet_begin(struct packet_fixture *p, unsigned int flags, const char *name,
    unsigned int type)
{
	memset(p->o, 0, 12);
	put16(p->o, 0x1234);
	put16(p->o + 2, flags);
	put16(p->o + 4, 1);
	p->len = 12;
	p->len += name_put(p->o + p->len, name);
	put16(p->o + p->len, type);
	put16(p->o + p->len + 2, 1);
	p->len += 4;
}

void
packet_record(struct packet_fixture *p, unsigned int section,
    const char *owner, unsigned int type, unsigned int ttl_s, const void *data,
    size_t len)
{
	uint8_t *count = p->o + 4 + 2 * section;

	cr_assert_lt(p->len + len + 300, sizeof(p->o));
	put16(count, ((unsigned int)count[0] << 8 | count[1]) + 1);
	p->len += name_put(p->o + p->len, owner);
	put16(p->o + p->len, type);
	put16(p->o + p->len + 2, 1);
	put32(p->o + p->len + 4, ttl_s);
	put16(p->o + p->len + 8, (unsigned int)len);
	p->len += 10;
	if (len > 0)
		memcpy(p->o + p->len, data, len);
	p->len += len;
}

void
packet_address(struct packet_fixture *p, const char *owner,
    unsigned int ttl_s, const char *address)
{
	uint8_t data[16];
	bool is_v6 = strchr(address, ':') != NULL;

	cr_assert_eq(inet_pton(is_v6 ? AF_INET6 : AF_INET, address, data), 1);
	packet_record(p, 1, owner, is_v6 ? DNS_AAAA : DNS_A, ttl_s, data,
	    is_v6 ? 16 : 4);
}

void
packet_named(struct packet_fixture *p, unsigned int section,
    const char *owner, unsigned int type, unsigned int ttl_s,
    const char *name)
{
	uint8_t data[300];

	packet_record(p, section, owner, type, ttl_s, data,
	    name_put(data, name));
}

void
packet_mx(struct packet_fixture *p, const char *owner, unsigned int ttl_s,
    unsigned int preference, const char *name)
{
	uint8_t data[300];

	put16(data, preference);
	packet_record(p, 1, owner, DNS_MX, ttl_s, data,
	    2 + name_put(data + 2, name));
}

void
packet_soa(struct packet_fixture *p, const char *owner, unsigned int ttl_s,
    unsigned int minimum_s)
{
	uint8_t data[300] = { 0 };
	size_t at = name_put(data, "ns.example");

	at += name_put(data + at, "hostmaster.example");
	put32(data + at + 16, minimum_s);
	packet_record(p, 2, owner, DNS_SOA, ttl_s, data, at + 20);
}

void
packet_txt(struct packet_fixture *p, const char *owner, unsigned int ttl_s,
    size_t n)
{
	static uint8_t data[65536];
	size_t at = 0, k;

	for (; n > 0; n -= k) {
		k = n < 255 ? n : 255;
		data[at++] = (uint8_t)k;
		memset(data + at, 'x', k);
		at += k;
	}
	packet_record(p, 1, owner, DNS_TXT, ttl_s, data, at);
}
