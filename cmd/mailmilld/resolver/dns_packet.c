/* Answers of name servers; see dns_packet.h.
 * Owns: the walk through a packet (RFC 1035 4.1). */

#include "cmd/mailmilld/resolver/dns_packet.h"

#include <ares.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER		12
#define FLAG_QR		0x8000		/* it is an answer */
#define FLAG_OPCODE	0x7800
#define FLAG_TC		0x0200		/* cut: it should have come over TCP */
#define FLAG_AD		0x0020
#define FLAG_RCODE	0x000f
#define RCODE_NXDOMAIN	3
#define CLASS_IN	1
#define POINTER		0xc0		/* RFC 1035 4.1.4 */
#define JUMPS_MAX	50		/* of one name, as c-ares has it: honest ones need a few */
#define RECORDS_MAX	1024		/* of one packet */
#define TTL_SIGN	0x80000000u	/* such a TTL is 0: RFC 2181 8 */

struct record {
	char		*owner;		/* c-ares' */
	char		*target;	/* of a CNAME record; else NULL */
	unsigned int	 type, class, ttl_s;
	size_t		 at, len;	/* its data */
};

struct packet {
	const uint8_t	*o;
	size_t		 len;
	size_t		 at;
	struct record	*records;
	unsigned int	 nrecords;
	unsigned int	 nanswers;	/* the first of them; then come those of
					 * the authority section */
};

/* --- octets --------------------------------------------------------------- */

static unsigned int
u16(const uint8_t *o)
{
	return (unsigned int)o[0] << 8 | o[1];
}

static uint32_t
u32(const uint8_t *o)
{
	return (uint32_t)u16(o) << 16 | u16(o + 2);
}

/* Octets of the name at ${at} up to its end or first pointer; 0: it is none that
 * c-ares should expand.  Pointers go backwards only, and a name has 255 octets at
 * most, so that none takes long. */
static size_t
name_octets(const struct packet *p, size_t at)
{
	size_t start = at, octets = 0, total = 1, to;
	unsigned int jumps = 0;

	while (at < p->len && p->o[at] != 0) {
		if ((p->o[at] & POINTER) == 0) {
			total += 1u + p->o[at];
			at += 1u + p->o[at];
			if (total > LIM_DOMAIN)
				return 0;
			continue;
		}
		if ((p->o[at] & POINTER) != POINTER || at + 1 >= p->len ||
		    ++jumps > JUMPS_MAX)
			return 0;
		if (octets == 0)
			octets = at + 2 - start;
		to = u16(p->o + at) & (unsigned int)~(POINTER << 8);
		if (to >= at)
			return 0;
		at = to;
	}
	if (at >= p->len)
		return 0;
	return octets != 0 ? octets : at + 1 - start;
}

/* The name at ${at}, to be freed with ares_free_string(), and its octets; NULL:
 * there is none, or no memory. */
static char *
name_at(const struct packet *p, size_t at, size_t *octets_r)
{
	char *text;
	long n;

	if ((*octets_r = name_octets(p, at)) == 0 || ares_expand_name(p->o +
	    at, p->o, (int)p->len, &text, &n) != ARES_SUCCESS)
		return NULL;
	return text;
}

/* A name that can be asked for, or that of the root, at ${at}, within ${len}
 * octets. */
static bool
host_at(const struct packet *p, size_t at, size_t len,
    char name_r[LIM_DOMAIN + 1])
{
	size_t octets;
	char *text = name_at(p, at, &octets);
	bool is_good;

	if (text == NULL)
		return false;
	*name_r = '\0';
	is_good = octets <= len && (*text == '\0' ||
	    lookup_name(text, name_r) == 0);
	ares_free_string(text);
	return is_good;
}

/* --- the walk ------------------------------------------------------------- */

static bool
read_record(struct packet *p, struct record *r)
{
	const uint8_t *o;
	size_t octets;

	if ((r->owner = name_at(p, p->at, &octets)) == NULL)
		return false;
	o = p->o + p->at + octets;
	if (p->len - p->at - octets < 10)
		return false;
	r->type = u16(o);
	r->class = u16(o + 2);
	r->ttl_s = (u32(o + 4) & TTL_SIGN) != 0 ? 0 : u32(o + 4);
	r->len = u16(o + 8);
	r->at = p->at + octets + 10;
	if (p->len - r->at < r->len)
		return false;
	p->at = r->at + r->len;
	if (r->type == DNS_CNAME)
		r->target = name_at(p, r->at, &octets);
	return r->type != DNS_CNAME || (r->target != NULL && octets == r->len);
}

/* The records of the answer and authority sections, as far as there are any. */
static bool
read_records(struct packet *p)
{
	unsigned int want, i;

	p->nanswers = u16(p->o + 6);
	want = p->nanswers + u16(p->o + 8);
	if (want > RECORDS_MAX)
		return false;
	if ((p->records = calloc(want + 1, sizeof(*p->records))) == NULL)
		return false;
	for (i = 0; i < want; i++) {
		p->nrecords = i + 1;
		if (!read_record(p, &p->records[i]))
			return false;
	}
	return true;
}

/* Is it an answer to that question, and complete? */
static bool
read_head(struct packet *p, const char *name, enum dns_type type)
{
	unsigned int flags;
	size_t octets;
	char *text;
	bool is_same;

	if (p->len < HEADER || p->len > UINT16_MAX)
		return false;
	flags = u16(p->o + 2);
	if ((flags & FLAG_QR) == 0 || (flags & (FLAG_OPCODE | FLAG_TC)) != 0 ||
	    u16(p->o + 4) != 1)
		return false;
	if ((text = name_at(p, HEADER, &octets)) == NULL)
		return false;
	is_same = strcasecmp(text, name) == 0;
	ares_free_string(text);
	p->at = HEADER + octets;
	if (!is_same || p->len - p->at < 4 || u16(p->o + p->at) != type ||
	    u16(p->o + p->at + 2) != CLASS_IN)
		return false;
	p->at += 4;
	return true;
}

static void
packet_clear(struct packet *p)
{
	unsigned int i;

	for (i = 0; i < p->nrecords; i++) {
		ares_free_string(p->records[i].owner);
		ares_free_string(p->records[i].target);
	}
	free(p->records);
}

/* --- what it says --------------------------------------------------------- */

static void
lower(unsigned int *ttl_s, unsigned int other_s)
{
	if (other_s < *ttl_s)
		*ttl_s = other_s;
}

/* The strings of a TXT record, joined (RFC 7208 3.3 and others).  Return their
 * octets; -1: they are no strings. */
static long
join(const uint8_t *o, size_t len, uint8_t *to)
{
	size_t at = 0, n = 0;

	while (at < len) {
		if (len - at - 1 < o[at])
			return -1;
		memcpy(to + n, o + at + 1, o[at]);
		n += o[at];
		at += 1u + o[at];
	}
	return (long)n;
}

static bool
take_address(const struct packet *p, const struct record *r,
    struct lookup_record *to)
{
	const uint8_t *o = p->o + r->at;

	to->type = LOOKUP_R_ADDRESS;
	if (r->type == DNS_A && r->len == 4) {
		to->addr.in.sin_family = AF_INET;
		memcpy(&to->addr.in.sin_addr, o, r->len);
		return true;
	}
	if (r->type == DNS_AAAA && r->len == 16) {
		to->addr.in6.sin6_family = AF_INET6;
		memcpy(&to->addr.in6.sin6_addr, o, r->len);
		return true;
	}
	return false;
}

/* One record as ours.  ${room} has LIM_LOOKUP_OCTETS octets, and ${r} not
 * more. */
static bool
take(const struct packet *p, const struct record *r, uint8_t *room,
    struct lookup_record *to)
{
	const uint8_t *o = p->o + r->at;
	long n;

	memset(to, 0, sizeof(*to));
	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		return take_address(p, r, to);
	case DNS_MX:
		to->type = LOOKUP_R_MX;
		if (r->len < 3)
			return false;
		to->preference = u16(o);
		return host_at(p, r->at + 2, r->len - 2, to->name);
	case DNS_PTR:
	case DNS_CNAME:
		to->type = LOOKUP_R_PTR;
		return host_at(p, r->at, r->len, to->name) &&
		    *to->name != '\0';
	case DNS_TXT:
		to->type = LOOKUP_R_TXT;
		to->data = room;
		n = join(o, r->len, room);
		to->len = (size_t)n;
		return n != -1;
	case DNS_TLSA:
		to->type = LOOKUP_R_TLSA;
		if (r->len < 3)
			return false;
		to->tlsa.usage = o[0];
		to->tlsa.selector = o[1];
		to->tlsa.matching = o[2];
		to->data = o + 3;
		to->len = r->len - 3;
		return true;
	default:
		return false;
	}
}

/* The next record of that owner and type from number ${i} on, in the answer
 * section; p->nanswers: there is none. */
static unsigned int
next_of(const struct packet *p, unsigned int i, const char *owner,
    unsigned int type)
{
	const struct record *r;

	for (; i < p->nanswers; i++) {
		r = &p->records[i];
		if (r->type == type && r->class == CLASS_IN &&
		    strcasecmp(r->owner, owner) == 0)
			break;
	}
	return i;
}

/* Follow the CNAME records of ${name} to the one that has records of ${type}, or
 * to the end of the chain.  Return that name, whoever may ask for it: those of
 * RFC 2317 4 are no host names. */
static const char *
follow(const struct packet *p, const char *name, unsigned int type,
    struct dns_result *r)
{
	const struct record *c;
	unsigned int i;

	while (r->nchain < DNS_CHAIN_MAX &&
	    next_of(p, 0, name, type) == p->nanswers &&
	    (i = next_of(p, 0, name, DNS_CNAME)) < p->nanswers) {
		c = &p->records[i];
		name = c->target;
		r->nchain++;
		lower(&r->ttl_s, c->ttl_s);
		if (lookup_name(name, r->alias) == -1)
			*r->alias = '\0';
	}
	return name;
}

/* The records of ${name}.  One that can be no record of ours is left out, which
 * does not change that the name has some. */
static void
collect(const struct packet *p, const char *name, unsigned int type,
    struct dns_result *r)
{
	unsigned int i = next_of(p, 0, name, type), n = 0;
	uint8_t room[LIM_LOOKUP_OCTETS];
	struct lookup_record to;
	bool is_address = type == DNS_A || type == DNS_AAAA;

	r->status = LOOKUP_FOUND;
	for (; i < p->nanswers && !(is_address && n == LIM_LOOKUP_ADDRESSES);
	    i = next_of(p, i + 1, name, type)) {
		lower(&r->ttl_s, p->records[i].ttl_s);
		if (p->records[i].len <= sizeof(room)) {
			if (!take(p, &p->records[i], room, &to))
				continue;
			n++;
			if (lookup_record_put(r->records, sizeof(r->records),
			    &r->len, &to) == 0)
				continue;
		}
		r->status = LOOKUP_TOO_MUCH;
		r->len = 0;
		return;
	}
}

static const struct record *
authority(const struct packet *p, enum dns_type type)
{
	unsigned int i;

	for (i = p->nanswers; i < p->nrecords; i++)
		if (p->records[i].type == type &&
		    p->records[i].class == CLASS_IN)
			return &p->records[i];
	return NULL;
}

/* RFC 2308 5: a negative answer is good for the lesser of the TTL of the SOA
 * record and its last field; without such a record it is not kept. */
static void
negative(const struct packet *p, enum lookup_status status,
    struct dns_result *r)
{
	const struct record *soa = authority(p, DNS_SOA);

	r->status = status;
	if (soa == NULL || soa->len < 4) {
		r->ttl_s = 0;
		return;
	}
	lower(&r->ttl_s, soa->ttl_s);
	lower(&r->ttl_s, u32(p->o + soa->at + soa->len - 4));
}

static void
answer(const struct packet *p, const char *name, enum dns_type type,
    struct dns_result *r)
{
	unsigned int flags = u16(p->o + 2);
	const char *last = follow(p, name, type, r);

	r->is_authentic = (flags & FLAG_AD) != 0;
	if (next_of(p, 0, last, type) < p->nanswers)
		collect(p, last, type, r);
	else if (next_of(p, 0, last, DNS_CNAME) < p->nanswers)
		r->status = LOOKUP_TEMPORARY;	/* the chain is too long, or a ring */
	else if ((flags & FLAG_RCODE) == RCODE_NXDOMAIN)
		negative(p, LOOKUP_NO_NAME, r);
	else if (authority(p, DNS_SOA) != NULL)
		negative(p, LOOKUP_NO_DATA, r);
	else if (r->nchain > 0) {
		r->is_alias_alone = *r->alias != '\0';
		r->status = r->is_alias_alone ? LOOKUP_FOUND : LOOKUP_NO_DATA;
	} else if (authority(p, DNS_NS) != NULL)
		r->status = LOOKUP_TEMPORARY;	/* a referral: it does not look
						 * up names for others */
	else
		negative(p, LOOKUP_NO_DATA, r);
}

void
dns_packet_parse(const uint8_t *packet, size_t len, const char *name,
    enum dns_type type, struct dns_result *r_r)
{
	struct packet p = { .o = packet, .len = len };
	unsigned int rcode;

	/* not the records, which are many octets */
	memset(r_r, 0, offsetof(struct dns_result, records));
	r_r->status = LOOKUP_TEMPORARY;
	r_r->ttl_s = UINT_MAX;
	if (read_head(&p, name, type) && read_records(&p)) {
		rcode = u16(packet + 2) & FLAG_RCODE;
		if (rcode == 0 || rcode == RCODE_NXDOMAIN)
			answer(&p, name, type, r_r);
	}
	packet_clear(&p);
	if (r_r->status == LOOKUP_TEMPORARY)
		r_r->ttl_s = 0;
}
