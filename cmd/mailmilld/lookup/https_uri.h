/* URIs of HTTPS that others name, to which this server is to connect.
 * Owns: which of them it can, and what of them it says there.
 * Knows nothing of addresses: the host is a name, which has to be looked up.
 * Pure: no allocation, no system call.  All octets are hostile. */

#ifndef CMD_MAILMILLD_LOOKUP_HTTPS_URI_H
#define CMD_MAILMILLD_LOOKUP_HTTPS_URI_H

#include "core/lim.h"

struct https_uri {
	char	 host[LIM_DOMAIN + 1];		/* as lookup_name() writes it */
	char	 path[LIM_TLSRPT_URI + 1];	/* with the query: what a request names */
};

/* https_uri_parse(text, uri_r): Parse an absolute URI (RFC 3986 3) of the scheme
 * "https", without a user, without a port but 443, and without octets that a URI
 * cannot have; its fragment is left out.  Return NULL, or what is wrong with it. */
const char *https_uri_parse(const char *text, struct https_uri *uri_r);

#endif
