/* Names and records of look-ups; see lookup_answer.h.
 * Owns: the octets of a record.
 *
 * A record is: its type; three octets, which are the preference of an MX record
 * and a zero, or the first three fields of a TLSA record, else zeros; the number
 * of octets that follow, in two; these: an address in network order, a name
 * without NUL, or the record's data. */

#include "cmd/mailmilld/lookup/lookup_answer.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD		6
#define NAME_MAX_TEXT	253	/* without the dot at its end: 255 octets in a packet */
#define ADDR4		4
#define ADDR6		16

_Static_assert(LIM_LOOKUP_OCTETS <= UINT16_MAX, "the length of a record");

static const char *const type_names[LOOKUP_NTYPES] = {
	[LOOKUP_HOST] = "host",
	[LOOKUP_MX] = "mx",
	[LOOKUP_TXT] = "txt",
	[LOOKUP_TLSA] = "tlsa",
	[LOOKUP_PTR] = "ptr",
	[LOOKUP_CNAME] = "cname",
};

/* the records that answer a question of the type */
static const enum lookup_record_type records_of[LOOKUP_NTYPES] = {
	[LOOKUP_HOST] = LOOKUP_R_ADDRESS,
	[LOOKUP_MX] = LOOKUP_R_MX,
	[LOOKUP_TXT] = LOOKUP_R_TXT,
	[LOOKUP_TLSA] = LOOKUP_R_TLSA,
	[LOOKUP_PTR] = LOOKUP_R_PTR,
	[LOOKUP_CNAME] = LOOKUP_R_PTR,
};

const char *
lookup_type_name(enum lookup_type type)
{
	return type_names[type];
}

enum lookup_type
lookup_type_of(const char *name)
{
	enum lookup_type i;

	for (i = 0; i < LOOKUP_NTYPES; i++)
		if (strcmp(type_names[i], name) == 0)
			break;
	return i;
}

const char *
lookup_status_name(enum lookup_status status)
{
	static const char *const names[LOOKUP_NSTATUSES] = {
		[LOOKUP_FOUND] = "found",
		[LOOKUP_NO_NAME] = "no such name",
		[LOOKUP_NO_DATA] = "no such record",
		[LOOKUP_TEMPORARY] = "no answer",
		[LOOKUP_TOO_MUCH] = "too many records",
	};

	return names[status];
}

/* --- names ---------------------------------------------------------------- */

/* Octets of the label at ${s}, or 0: it is none. */
static size_t
label(const char *s)
{
	size_t n;

	for (n = 0; isascii((unsigned char)s[n]) && (isalnum(
	    (unsigned char)s[n]) || s[n] == '-' || s[n] == '_'); n++)
		if (n == LIM_LABEL)
			return 0;
	return n == 0 || s[0] == '-' || s[n - 1] == '-' ? 0 : n;
}

int
lookup_name(const char *name, char name_r[LIM_DOMAIN + 1])
{
	size_t at = 0, n, i;

	for (;;) {
		if ((n = label(name + at)) == 0 || at + n > NAME_MAX_TEXT)
			return -1;
		at += n;
		if (name[at] == '\0' || strcmp(name + at, ".") == 0)
			break;
		if (name[at++] != '.')
			return -1;
	}
	for (i = 0; i < at; i++)
		name_r[i] = (char)tolower((unsigned char)name[i]);
	name_r[at] = '\0';
	return 0;
}

int
lookup_ptr_name(const struct sockaddr *sa, char name_r[LIM_DOMAIN + 1])
{
	int family = AF_UNSPEC, i;
	const unsigned char *o = addr_octets(sa, &family);
	size_t at = 0;

	if (o == NULL)
		return -1;
	for (i = family == AF_INET ? ADDR4 - 1 : ADDR6 - 1; i >= 0; i--)
		at += (size_t)(family == AF_INET ?
		    snprintf(name_r + at, LIM_DOMAIN + 1 - at, "%u.", o[i]) :
		    snprintf(name_r + at, LIM_DOMAIN + 1 - at, "%x.%x.",
		    o[i] & 15u, o[i] >> 4));
	snprintf(name_r + at, LIM_DOMAIN + 1 - at, "%s",
	    family == AF_INET ? "in-addr.arpa" : "ip6.arpa");
	return 0;
}

/* A name in a record, ${len} octets: one that could be asked for, as
 * lookup_name() would write it. */
static bool
take_name(const uint8_t *o, size_t len, bool may_be_root,
    char name_r[LIM_DOMAIN + 1])
{
	char text[LIM_DOMAIN + 1];

	if (len > NAME_MAX_TEXT || memchr(o, '\0', len) != NULL)
		return false;
	memcpy(text, o, len);
	text[len] = '\0';
	if (len == 0) {
		*name_r = '\0';
		return may_be_root;
	}
	return lookup_name(text, name_r) == 0 && strcmp(text, name_r) == 0;
}

/* --- records -------------------------------------------------------------- */

static bool
take_address(const uint8_t *o, size_t len, union addr *addr_r)
{
	memset(addr_r, 0, sizeof(*addr_r));
	if (len == ADDR4) {
		addr_r->in.sin_family = AF_INET;
		memcpy(&addr_r->in.sin_addr, o, len);
	} else if (len == ADDR6) {
		addr_r->in6.sin6_family = AF_INET6;
		memcpy(&addr_r->in6.sin6_addr, o, len);
	} else
		return false;
	return true;
}

/* The record whose head is ${head} and whose octets are ${o}; all members of
 * ${r} are zero. */
static bool
take(const uint8_t head[HEAD], const uint8_t *o, size_t len,
    struct lookup_record *r)
{
	r->type = head[0];
	if (r->type != LOOKUP_R_TLSA && (head[3] != 0 ||
	    (r->type != LOOKUP_R_MX && (head[1] | head[2]) != 0)))
		return false;
	switch (r->type) {
	case LOOKUP_R_ADDRESS:
		return take_address(o, len, &r->addr);
	case LOOKUP_R_MX:
		r->preference = (unsigned int)head[1] << 8 | head[2];
		return take_name(o, len, true, r->name);
	case LOOKUP_R_PTR:
		return take_name(o, len, false, r->name);
	case LOOKUP_R_TLSA:
		r->tlsa.usage = head[1];
		r->tlsa.selector = head[2];
		r->tlsa.matching = head[3];
		/* FALLTHROUGH */
	case LOOKUP_R_TXT:
		r->data = o;
		r->len = len;
		return true;
	case LOOKUP_NRECORDS:
		break;
	}
	return false;
}

int
lookup_record_next(const struct lookup_answer *a, size_t *at,
    struct lookup_record *r_r)
{
	size_t left = a->len - *at, len;
	const uint8_t *head;

	if (left == 0)
		return 0;
	if (left < HEAD)
		return -1;
	head = a->records + *at;
	len = (size_t)head[4] << 8 | head[5];
	memset(r_r, 0, sizeof(*r_r));
	if (left - HEAD < len || head[0] >= LOOKUP_NRECORDS ||
	    !take(head, head + HEAD, len, r_r))
		return -1;
	*at += HEAD + len;
	return 1;
}

/* What follows the head of ${r}: its octets. */
static const void *
octets_of(const struct lookup_record *r, size_t *len_r)
{
	int family = AF_UNSPEC;

	switch (r->type) {
	case LOOKUP_R_ADDRESS:
		*len_r = r->addr.sa.sa_family == AF_INET ? ADDR4 : ADDR6;
		/* not addr_octets(), for which an IPv4 address in an IPv6 one
		 * has 4 */
		family = r->addr.sa.sa_family;
		return family == AF_INET ? (const void *)&r->addr.in.sin_addr :
		    (const void *)&r->addr.in6.sin6_addr;
	case LOOKUP_R_MX:
	case LOOKUP_R_PTR:
		*len_r = strlen(r->name);
		return r->name;
	default:
		*len_r = r->len;
		return r->data;
	}
}

int
lookup_record_put(uint8_t *buf, size_t len, size_t *at,
    const struct lookup_record *r)
{
	struct lookup_record check = { 0 };
	uint8_t head[HEAD] = { (uint8_t)r->type };
	const void *o;
	size_t n;

	o = octets_of(r, &n);
	if (r->type == LOOKUP_R_MX) {
		head[1] = (uint8_t)(r->preference >> 8);
		head[2] = (uint8_t)r->preference;
	} else if (r->type == LOOKUP_R_TLSA) {
		head[1] = r->tlsa.usage;
		head[2] = r->tlsa.selector;
		head[3] = r->tlsa.matching;
	}
	if (r->preference > UINT16_MAX || !take(head, o, n, &check)) {
		errno = EINVAL;
		return -1;
	}
	if (len - *at < HEAD || len - *at - HEAD < n) {
		errno = ENOSPC;
		return -1;
	}
	head[4] = (uint8_t)(n >> 8);
	head[5] = (uint8_t)n;
	memcpy(buf + *at, head, HEAD);
	if (n > 0)
		memcpy(buf + *at + HEAD, o, n);
	*at += HEAD + n;
	return 0;
}

bool
lookup_answer_check(const struct lookup_answer *a, enum lookup_type type)
{
	struct lookup_record r;
	char name[LIM_DOMAIN + 1];
	size_t at = 0;
	int rc;

	if (a->status >= LOOKUP_NSTATUSES || a->len > LIM_LOOKUP_OCTETS ||
	    (a->status != LOOKUP_FOUND && a->len > 0) ||
	    memchr(a->alias, '\0', sizeof(a->alias)) == NULL ||
	    (*a->alias != '\0' && (lookup_name(a->alias, name) == -1 ||
	    strcmp(a->alias, name) != 0)))
		return false;
	while ((rc = lookup_record_next(a, &at, &r)) == 1)
		if (r.type != records_of[type])
			return false;
	return rc == 0;
}
