/* What a look-up asks and what its answer holds: the names that can be asked
 * for, and the records, as octets of an N_ANSWER and as structs.
 * Owns: the form of both, in both directions.
 * Knows nothing of channels, of DNS packets, or of what is asked for.
 * Pure: no allocation, no system call. */

#ifndef CMD_MAILMILLD_LOOKUP_LOOKUP_ANSWER_H
#define CMD_MAILMILLD_LOOKUP_LOOKUP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"
#include "core/util/addr.h"

enum lookup_type {
	LOOKUP_HOST,		/* A and AAAA */
	LOOKUP_MX,
	LOOKUP_TXT,
	LOOKUP_TLSA,
	LOOKUP_PTR,		/* the name is lookup_ptr_name()'s */
	LOOKUP_CNAME,		/* the first of a chain alone */
	LOOKUP_NTYPES
};

enum lookup_status {
	LOOKUP_FOUND,
	LOOKUP_NO_NAME,		/* the name does not exist: NXDOMAIN */
	LOOKUP_NO_DATA,		/* it exists, but has no record of the type */
	LOOKUP_TEMPORARY,	/* no name server has answered, or it could not:
				 * ask again later */
	LOOKUP_TOO_MUCH,	/* there are records, more than an answer holds */
	LOOKUP_NSTATUSES
};

/* One record of an answer.  What points somewhere points into the answer. */
enum lookup_record_type {
	LOOKUP_R_ADDRESS,	/* addr; its port is 0 */
	LOOKUP_R_MX,		/* preference, name */
	LOOKUP_R_TXT,		/* data: the strings of the record, joined */
	LOOKUP_R_TLSA,		/* tlsa, data */
	LOOKUP_R_PTR,		/* name; of a CNAME record, too */
	LOOKUP_NRECORDS
};

struct lookup_record {
	enum lookup_record_type	 type;
	union addr		 addr;
	unsigned int		 preference;
	/* lower case, without a dot at its end; "" is the root, which an MX
	 * record alone may name (RFC 7505) */
	char			 name[LIM_DOMAIN + 1];
	struct {
		uint8_t usage, selector, matching;	/* RFC 6698 2.1 */
	}			 tlsa;
	const uint8_t		*data;
	size_t			 len;
};

struct lookup_answer {
	enum lookup_status	 status;
	unsigned int		 ttl_s;		/* it is good for so long */
	/* the name servers say that DNSSEC proves the answer, and the
	 * administrator trusts them (Resolver_Trust_AD) */
	bool			 is_authentic;
	/* with LOOKUP_TEMPORARY: it says nothing of the name or of its servers:
	 * no name server was asked, or no resolver has told its answer */
	bool			 is_unasked;
	/* the name at the end of the CNAME records of the name that was asked
	 * for; "": there were none */
	char			 alias[LIM_DOMAIN + 1];
	const uint8_t		*records;	/* see lookup_record_next() */
	size_t			 len;
};

/* lookup_name(name, name_r): Can ${name}, in ASCII (its asker has done IDNA), be
 * asked for?  Labels are letters, digits, hyphens in between (RFC 1123 2.1), and
 * underscores, which the names of TXT and TLSA records have (RFC 8552) and those
 * of some hosts; they have 63 octets at most, the name 253 (RFC 1035 2.3.4).  A
 * dot at the end is taken away, capitals become small.  Return 0 with name_r, or
 * -1: it cannot. */
int lookup_name(const char *name, char name_r[LIM_DOMAIN + 1]);

/* lookup_ptr_name(sa, name_r): The name of the PTR records of an address (RFC
 * 1035 3.5, RFC 3596 2.5).  Return 0, or -1: another family. */
int lookup_ptr_name(const struct sockaddr *sa, char name_r[LIM_DOMAIN + 1]);

/* lookup_record_next(a, &at, r_r): The record at the offset ${at} of the
 * records of ${a}, which begins with 0 and is moved on.  Return 1; 0: there are
 * no more; -1: the octets are no record. */
int lookup_record_next(const struct lookup_answer *a, size_t *at,
    struct lookup_record *r_r);

/* lookup_record_put(buf, len, at, r): Write ${r} at the offset *${at} of ${buf},
 * which has ${len} octets, and move it on.  Return 0, or -1 with errno ENOSPC, or
 * EINVAL: the record is not one that lookup_record_next() would take. */
int lookup_record_put(uint8_t *buf, size_t len, size_t *at,
    const struct lookup_record *r);

/* lookup_answer_check(a, type): Are all fields and records of ${a} as they must
 * be in the answer to a question of that type?  What has come from another
 * process is used after that alone.  LOOKUP_FOUND may come without records: the
 * name has some, and what they say can be no host's name. */
bool lookup_answer_check(const struct lookup_answer *a, enum lookup_type type);

/* lookup_type_name(type), lookup_type_of(name): "host", "mx", "txt", ...;
 * LOOKUP_NTYPES for a name that is none. */
const char *lookup_type_name(enum lookup_type type);
enum lookup_type lookup_type_of(const char *name);

/* lookup_status_name(status): As the log and mailmillctl have it. */
const char *lookup_status_name(enum lookup_status status);

#endif
