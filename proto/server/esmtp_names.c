/* Names: what the server calls itself and its client in replies and headers.
 * Owns: the choice between the options and the host.
 * Knows nothing of sessions. */

#include <arpa/inet.h>

#include <string.h>

#include "proto/server/esmtp_int.h"

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

const char *
esmtp_peer_text(const accept_addr *addr, char buf[ESMTP_PEER_TEXT])
{
	const char *s = NULL;

	if (addr->sa.sa_family == AF_INET)
		s = inet_ntop(AF_INET, &addr->in.sin_addr, buf,
		    ESMTP_PEER_TEXT);
	else if (addr->sa.sa_family == AF_INET6)
		s = inet_ntop(AF_INET6, &addr->in6.sin6_addr, buf,
		    ESMTP_PEER_TEXT);
	if (s == NULL)
		return strcpy(buf, "unknown");
	/* RFC 4291 2.5.5.2: an IPv4 client on an IPv6 socket */
	if (strncmp(s, "::ffff:", 7) == 0 && strchr(s, '.') != NULL)
		return s + 7;
	return s;
}
