/* Names: what the server calls itself in replies and headers.
 * Owns: the choice between the options and the host.
 * Knows nothing of sessions. */

#include "proto/server/esmtp_output.h"

const char *
esmtp_banner_hostname(const struct esmtp_options *o)
{
	return o->banner_hostname[0] != '\0' ? o->banner_hostname : o->hostname;
}

const char *
esmtp_received_hostname(const struct esmtp_options *o)
{
	return o->received_hostname[0] != '\0' ? o->received_hostname :
	    o->hostname;
}
