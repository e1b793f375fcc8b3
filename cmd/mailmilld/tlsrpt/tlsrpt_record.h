/* TXT records of SMTP TLS Reporting (RFC 8460 3): where a domain wants reports
 * of how TLS with its MX hosts has gone.
 * Owns: their form, and which of their URIs can be reported to.
 * Knows nothing of how records are looked up, and of reports.
 * Pure: no system call.  All octets are hostile. */

#ifndef CMD_MAILMILLD_TLSRPT_TLSRPT_RECORD_H
#define CMD_MAILMILLD_TLSRPT_TLSRPT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/lookup/lookup_answer.h"
#include "core/lim.h"

enum tlsrpt_scheme {
	TLSRPT_MAILTO,
	TLSRPT_HTTPS
};

struct tlsrpt_rua {
	enum tlsrpt_scheme scheme;
	/* TLSRPT_MAILTO: the address, as mailaddr_format() writes it;
	 * TLSRPT_HTTPS: the URI, whose host is a name */
	char		 to[LIM_TLSRPT_URI + 1];
};

struct tlsrpt_record {
	size_t		 n;		/* 0: there is none that can be reported to */
	struct tlsrpt_rua rua[LIM_TLSRPT_URIS];
};

/* tlsrpt_record_parse(text, len, record_r): One TXT record of "_smtp._tls.DOMAIN"
 * (RFC 8460 3).  Fields with unknown names are passed over, and so are URIs that
 * are malformed, too long, of another scheme, or more than LIM_TLSRPT_URIS; of
 * a mailto URI the header fields (RFC 6068 2) are.  Return 1 with *record_r; 0: it
 * is none of TLS reporting; -1: it is, and is malformed. */
int tlsrpt_record_parse(const uint8_t *text, size_t len,
    struct tlsrpt_record *record_r);

/* tlsrpt_record_find(a, record_r): The one record of TLS reporting among those of
 * the answer to LOOKUP_TXT.  Return 1 with it, or 0: there is none, more than
 * one, or it is malformed: the domain wants no reports (RFC 8460 3). */
int tlsrpt_record_find(const struct lookup_answer *a,
    struct tlsrpt_record *record_r);

#endif
