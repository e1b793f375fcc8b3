/* URIs of HTTPS; see https_uri.h. */

#include "cmd/mailmilld/lookup/https_uri.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/mailmilld/lookup/lookup_answer.h"

#define SCHEME	"https://"
#define PORT	":443"

/* RFC 3986 2: neither white space nor controls, which would end the line of a
 * request, nor what has no meaning there. */
static bool
is_uri(const char *s)
{
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) &&
		    strchr("-._~:/?#[]@!$&'()*+,;=%", *s) == NULL)
			return false;
	return true;
}

const char *
https_uri_parse(const char *text, struct https_uri *uri_r)
{
	char host[LIM_DOMAIN + 1];
	const char *rest, *port;
	size_t len;

	if (strlen(text) > LIM_TLSRPT_URI)
		return "it is too long";
	if (!is_uri(text))
		return "it has characters that a URI cannot have";
	if (strncasecmp(text, SCHEME, strlen(SCHEME)) != 0)
		return "it does not begin with \"https://\"";
	text += strlen(SCHEME);
	len = strcspn(text, "/?#");
	rest = text + len;
	if ((port = memchr(text, ':', len)) != NULL) {
		/* RFC 3986 3.2.3: it may be empty */
		if (rest - port > 1 && (rest - port != strlen(PORT) ||
		    memcmp(port, PORT, strlen(PORT)) != 0))
			return "its port is not 443";
		len = (size_t)(port - text);
	}
	if (len >= sizeof(host))
		return "its host is not a name in the DNS";
	memcpy(host, text, len);
	host[len] = '\0';
	if (lookup_name(host, uri_r->host) == -1)
		return "its host is not a name in the DNS";
	/* a request names at least "/" (RFC 9112 3.2.1) */
	snprintf(uri_r->path, sizeof(uri_r->path), "%s%.*s",
	    *rest == '/' ? "" : "/", (int)strcspn(rest, "#"), rest);
	return NULL;
}
