/* Addresses that an administrator writes: those of mail in a file, in the form in
 * which a session has them, and that of a name server.
 * Owns: what is wrong with one that no address of a client can be equal to. */

#include "cmd/settings/settings_int.h"

#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "proto/mailaddr.h"

#define DNS_PORT	53
#define TEXT_MAX	(LIM_PATH + LIM_DOMAIN + 8)

/* What is wrong with ${s}, which is not an address: mailaddr_parse() has said
 * ${errnum}. */
static const char *
fault(const char *s, size_t len, int errnum)
{
	if (errnum == EILSEQ)
		return "no client can use this address: it is not UTF-8, or "
		    "has invisible or unassigned characters (a no-break "
		    "space?), or no domain of IDNA2008";
	if (errnum == ENAMETOOLONG)
		return "longer than an address can be";
	if (errnum == ENOMEM)
		return "out of memory";
	if (s[0] == '<' || s[len - 1] == '>')
		return "an address is listed without < and >";
	if (s[len - 1] == '.')
		return "an address is listed without a dot at its end";
	return "not an address (RFC 5321 4.1.2)";
}

const char *
settings_address(const void *, const char *s, size_t *len,
    char text_r[TEXTFILE_ADDRESS_MAX])
{
	char path[TEXT_MAX], text[TEXT_MAX];
	bool is_domain = s[0] == '@', is_local;
	struct mailaddr a;
	const char *at = memrchr(s, '@', *len);
	int n;

	if (*len == 1 && *s == '*') {
		*text_r = '*';
		return NULL;
	}
	/* a quoted local part may hold an @ */
	is_local = at == NULL || s[*len - 1] == '"';
	n = snprintf(path, sizeof(path), "<%s%.*s%s>", is_domain ? "a" : "",
	    (int)*len, s, is_local ? "@a" : "");
	if (n < 0 || (size_t)n >= sizeof(path))
		return fault(s, *len, ENAMETOOLONG);
	errno = EINVAL;
	if (mailaddr_parse(path, (size_t)n, MAILADDR_ALLOW_LITERAL |
	    MAILADDR_ALLOW_LONG | MAILADDR_ALLOW_UTF8, &a) != n ||
	    (n = mailaddr_format(&a, text, sizeof(text))) == -1)
		return fault(s, *len, errno);
	*len = (size_t)n - is_domain - (is_local ? 2 : 0);
	memcpy(text_r, text + is_domain, *len);
	return NULL;
}

const char *
settings_address_domain(const char *text, size_t len)
{
	const char *at = memrchr(text, '@', len);

	/* a quoted local part may hold an @ */
	return at == NULL || text[len - 1] == '"' ? NULL : at + 1;
}

int
settings_ip(const char *value, union addr *addr_r)
{
	memset(addr_r, 0, sizeof(*addr_r));
	if (inet_pton(AF_INET, value, &addr_r->in.sin_addr) == 1) {
		addr_r->sa.sa_family = AF_INET;
		return addr_r->in.sin_addr.s_addr == INADDR_ANY ||
		    IN_MULTICAST(ntohl(addr_r->in.sin_addr.s_addr)) ||
		    addr_r->in.sin_addr.s_addr == INADDR_BROADCAST ? -1 : 0;
	}
	addr_r->sa.sa_family = AF_INET6;
	return inet_pton(AF_INET6, value, &addr_r->in6.sin6_addr) != 1 ||
	    IN6_IS_ADDR_UNSPECIFIED(&addr_r->in6.sin6_addr) ||
	    IN6_IS_ADDR_MULTICAST(&addr_r->in6.sin6_addr) ||
	    IN6_IS_ADDR_V4MAPPED(&addr_r->in6.sin6_addr) ? -1 : 0;
}

int
settings_name_server(const char *value, union addr *addr_r)
{
	memset(addr_r, 0, sizeof(*addr_r));
	if (inet_pton(AF_INET, value, &addr_r->in.sin_addr) == 1)
		addr_r->sa.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, value, &addr_r->in6.sin6_addr) == 1)
		addr_r->sa.sa_family = AF_INET6;
	else
		return addr_parse(value, addr_r) == -1 ||
		    addr_port(&addr_r->sa) == 0 ? -1 : 0;
	addr_r->in.sin_port = htons(DNS_PORT);
	return 0;
}
