/* TXT records of SMTP TLS Reporting; see tlsrpt_record.h. */

#include "cmd/mailmilld/tlsrpt/tlsrpt_record.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "cmd/mailmilld/lookup/txt.h"
#include "proto/mailaddr.h"

#define VERSION		"v=TLSRPTv1;"
#define MAILTO		"mailto:"
#define HTTPS		"https://"

/* --- octets --------------------------------------------------------------- */

/* Take ${prefix} away, which ${a} begins with in any case. */
static bool
take_prefix(struct txt_span *a, const char *prefix)
{
	size_t len = strlen(prefix);

	if (a->len < len || strncasecmp(a->s, prefix, len) != 0)
		return false;
	a->s += len;
	a->len -= len;
	return true;
}

/* --- URIs ----------------------------------------------------------------- */

static int
hex(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' +
	    10 : -1;
}

/* The characters of a URI (RFC 3986 2), without those that a record has to encode
 * (RFC 8460 3): , ! ; */
static bool
is_uri(const struct txt_span *a)
{
	size_t i;

	for (i = 0; i < a->len; i++) {
		if (!isalnum((unsigned char)a->s[i]) &&
		    (a->s[i] == '\0' ||
		    strchr("-._~:/?#[]@$&'()*+=%", a->s[i]) == NULL))
			return false;
		if (a->s[i] == '%' && (a->len - i < 3 ||
		    hex(a->s[i + 1]) == -1 || hex(a->s[i + 2]) == -1))
			return false;
	}
	return true;
}

/* RFC 3986 2.1.  Return the octets, or -1: they are too many, or not all of them
 * can be seen. */
static int
decode(const struct txt_span *a, char *buf, size_t len)
{
	size_t i, n = 0;
	int c;

	for (i = 0; i < a->len; i++) {
		c = (unsigned char)a->s[i];
		if (c == '%') {
			c = hex(a->s[i + 1]) * 16 + hex(a->s[i + 2]);
			i += 2;
		}
		if (n == len || c <= ' ' || c > '~')
			return -1;
		buf[n++] = (char)c;
	}
	return (int)n;
}

/* RFC 6068 2.  One address alone: a list has commas. */
static bool
is_mailto(struct txt_span uri, struct tlsrpt_rua *rua)
{
	struct txt_span to = txt_take(&uri, '?');
	char buf[LIM_TLSRPT_URI];
	struct mailaddr addr;
	int n;

	if ((n = decode(&to, buf, sizeof(buf))) <= 0 ||
	    mailaddr_parse(buf, (size_t)n, MAILADDR_ALLOW_BARE, &addr) != n ||
	    mailaddr_format(&addr, rua->to, sizeof(rua->to)) <= 0)
		return false;
	rua->scheme = TLSRPT_MAILTO;
	return true;
}

/* ${rest} is that what comes after "https://". */
static bool
is_https(struct txt_span rest, struct tlsrpt_rua *rua)
{
	struct txt_span host = rest, port;
	size_t i;

	for (host.len = 0; host.len < rest.len &&
	    strchr("/?#", rest.s[host.len]) == NULL; host.len++)
		;
	port = host;
	host = txt_take(&port, ':');
	for (i = 0; i < port.len; i++)
		if (!isdigit((unsigned char)port.s[i]))
			return false;
	if (!mailaddr_domain_valid(host.s, host.len, false) ||
	    strlen(HTTPS) + rest.len >= sizeof(rua->to))
		return false;
	memcpy(rua->to, HTTPS, strlen(HTTPS));
	memcpy(rua->to + strlen(HTTPS), rest.s, rest.len);
	rua->to[strlen(HTTPS) + rest.len] = '\0';
	rua->scheme = TLSRPT_HTTPS;
	return true;
}

static void
add_uri(struct tlsrpt_record *r, struct txt_span uri)
{
	struct tlsrpt_rua *rua = &r->rua[r->n];

	txt_trim(&uri);
	if (r->n == LIM_TLSRPT_URIS || !is_uri(&uri))
		return;
	if (take_prefix(&uri, MAILTO))
		r->n += is_mailto(uri, rua);
	else if (take_prefix(&uri, HTTPS))
		r->n += is_https(uri, rua);
}

/* --- records -------------------------------------------------------------- */

int
tlsrpt_record_parse(const uint8_t *text, size_t len,
    struct tlsrpt_record *record_r)
{
	struct txt_span rest, name, value;
	bool has_rua = false;
	int rc;

	record_r->n = 0;
	if (!txt_begin(text, len, VERSION, &rest))
		return 0;
	while ((rc = txt_next(&rest, &name, &value)) == 1) {
		if (!txt_is(&name, "rua")) {
			if (!txt_is_name(&name) || !txt_is_value(&value))
				return -1;
			continue;
		}
		has_rua = true;
		while (value.len > 0)
			add_uri(record_r, txt_take(&value, ','));
	}
	return rc == 0 && has_rua ? 1 : -1;
}

int
tlsrpt_record_find(const struct lookup_answer *a,
    struct tlsrpt_record *record_r)
{
	struct lookup_record r;
	struct txt_span rest;
	unsigned int n = 0;
	bool is_good = false;
	size_t at = 0;

	record_r->n = 0;
	if (a->status != LOOKUP_FOUND)
		return 0;
	while (n < 2 && lookup_record_next(a, &at, &r) == 1) {
		if (r.type != LOOKUP_R_TXT ||
		    !txt_begin(r.data, r.len, VERSION, &rest))
			continue;
		n++;
		is_good = tlsrpt_record_parse(r.data, r.len, record_r) == 1;
	}
	return n == 1 && is_good;
}
