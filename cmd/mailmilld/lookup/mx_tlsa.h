/* Under which names the TLSA records of a host are looked for, and which of them
 * count (RFC 7672 2.2.2, 2.2.3): the rules alone.
 * No I/O, no allocation. */

#ifndef CMD_MAILMILLD_LOOKUP_MX_TLSA_H
#define CMD_MAILMILLD_LOOKUP_MX_TLSA_H

#include "cmd/mailmilld/lookup/mx.h"

/* What is to be asked next. */
enum mx_tlsa_next {
	MX_TLSA_END,
	MX_TLSA_CNAME,		/* is the host's CNAME record proven? */
	MX_TLSA_ALIAS,		/* the records of its alias */
	MX_TLSA_HOST		/* its own */
};

struct mx_tlsa_search {
	const char		*host, *alias;
	enum mx_tlsa_next	 next;
	struct mx_tlsa		 found;
};

/* mx_tlsa_begin(s, host, alias, is_authentic): For a host that has an address;
 * ${alias}: where its CNAME records end, "": it has none; ${is_authentic}: its
 * addresses are.  The texts are kept. */
void mx_tlsa_begin(struct mx_tlsa_search *s, const char *host,
    const char *alias, bool is_authentic);

/* mx_tlsa_question(s, port, name_r, type_r): What to ask; false: nothing (more),
 * s->found is the result.
 * mx_tlsa_take(s, a): The answer.  The octets of its records are kept. */
bool mx_tlsa_question(const struct mx_tlsa_search *s, unsigned int port,
    char name_r[LIM_DOMAIN + 1], enum lookup_type *type_r);
void mx_tlsa_take(struct mx_tlsa_search *s, const struct lookup_answer *a);

#endif
