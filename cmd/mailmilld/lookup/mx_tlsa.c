/* The search for the TLSA records of a host; see mx_tlsa.h. */

#include "cmd/mailmilld/lookup/mx_tlsa.h"

#include <stdio.h>

/* RFC 7672 2.2.2: a host in a zone that is not signed is not asked about, since
 * the name servers of some answer no such question. */
void
mx_tlsa_begin(struct mx_tlsa_search *s, const char *host, const char *alias,
    bool is_authentic)
{
	*s = (struct mx_tlsa_search){ .host = host, .alias = alias,
		.found.base = host };
	if (*alias == '\0')
		s->next = is_authentic ? MX_TLSA_HOST : MX_TLSA_END;
	else	/* that its addresses are not proven may be the alias's fault */
		s->next = is_authentic ? MX_TLSA_ALIAS : MX_TLSA_CNAME;
}

bool
mx_tlsa_question(const struct mx_tlsa_search *s, unsigned int port,
    char name_r[LIM_DOMAIN + 1], enum lookup_type *type_r)
{
	if (s->next == MX_TLSA_END)
		return false;
	*type_r = s->next == MX_TLSA_CNAME ? LOOKUP_CNAME : LOOKUP_TLSA;
	if (s->next == MX_TLSA_CNAME)
		strlcpy(name_r, s->host, LIM_DOMAIN + 1);
	else	/* RFC 7672 2.2.3; if it is cut it is too long for the DNS, too */
		snprintf(name_r, LIM_DOMAIN + 1, "_%u._tcp.%s", port,
		    s->next == MX_TLSA_ALIAS ? s->alias : s->host);
	return true;
}

/* Nothing was found under this name, or nothing proves it. */
static void
go_on(struct mx_tlsa_search *s)
{
	s->next = s->next == MX_TLSA_ALIAS ? MX_TLSA_HOST : MX_TLSA_END;
}

void
mx_tlsa_take(struct mx_tlsa_search *s, const struct lookup_answer *a)
{
	bool is_found = a->status == LOOKUP_FOUND ||
	    a->status == LOOKUP_TOO_MUCH;

	/* RFC 7672 2.1.2: such a host counts as unreachable; else who can keep
	 * an answer away could have mail sent without TLS */
	if (a->status == LOOKUP_TEMPORARY || (a->is_authentic &&
	    a->status == LOOKUP_TOO_MUCH)) {
		s->found.status = MX_TLSA_FAILED;
		s->found.is_unasked = a->is_unasked;
		s->found.is_too_much = a->status == LOOKUP_TOO_MUCH;
		s->next = MX_TLSA_END;
	} else if (!a->is_authentic || !is_found) {
		go_on(s);
	} else if (s->next == MX_TLSA_CNAME) {
		s->next = MX_TLSA_HOST;
	} else {
		s->found = (struct mx_tlsa){ .status = MX_TLSA_FOUND,
			.base = s->next == MX_TLSA_ALIAS ? s->alias : s->host,
			.records = a->records, .len = a->len };
		s->next = MX_TLSA_END;
	}
}
