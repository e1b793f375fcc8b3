/* Reports of TLS.  The first octet says which:
 *	record	a TXT record of "_smtp._tls.DOMAIN"
 *	said	what another process tells of connections
 *	uri	a URI to which a report is to be posted */

#include "test/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/lookup/https_uri.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_record.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_said.h"
#include "proto/mailaddr.h"

enum { RECORD, SAID, URI, NKINDS };

/* What of it is said to a server is one line, and it means the same when it is read
 * again. */
static void
read_uri(const char *text)
{
	struct https_uri uri, again;
	char whole[LIM_DOMAIN + LIM_TLSRPT_URI + 16], name[LIM_DOMAIN + 1];
	const char *s;

	if (https_uri_parse(text, &uri) != NULL)
		return;
	FUZZ_HOLDS(lookup_name(uri.host, name) == 0 &&
	    strcmp(uri.host, name) == 0);
	FUZZ_HOLDS(*uri.path == '/');
	for (s = uri.path; *s != '\0'; s++)
		FUZZ_HOLDS(*s > ' ' && *s <= '~' && *s != '#');
	snprintf(whole, sizeof(whole), "https://%s%s", uri.host, uri.path);
	/* the "/" that it may have got makes it longer */
	if (strlen(whole) > LIM_TLSRPT_URI)
		return;
	FUZZ_HOLDS(https_uri_parse(whole, &again) == NULL);
	FUZZ_HOLDS(strcmp(uri.host, again.host) == 0 &&
	    strcmp(uri.path, again.path) == 0);
}

/* What is to be in an envelope, a header field or a request is one word there. */
static void
check(const struct tlsrpt_rua *rua)
{
	struct mailaddr addr;
	const char *s;

	FUZZ_HOLDS(memchr(rua->to, '\0', sizeof(rua->to)) != NULL);
	FUZZ_HOLDS(*rua->to != '\0');
	for (s = rua->to; *s != '\0'; s++)
		FUZZ_HOLDS(*s > ' ' && *s <= '~');
	if (rua->scheme == TLSRPT_MAILTO)
		FUZZ_HOLDS(mailaddr_parse(rua->to, strlen(rua->to),
		    MAILADDR_ALLOW_BARE, &addr) == (int)strlen(rua->to));
	else
		FUZZ_HOLDS(rua->scheme == TLSRPT_HTTPS &&
		    strncmp(rua->to, "https://", strlen("https://")) == 0 &&
		    strpbrk(rua->to, ",;!") == NULL);
}

static void
read_record(const uint8_t *text, size_t len)
{
	static struct tlsrpt_record r;
	size_t i;

	if (tlsrpt_record_parse(text, len, &r) != 1)
		return;
	FUZZ_HOLDS(r.n <= LIM_TLSRPT_URIS);
	for (i = 0; i < r.n; i++) {
		check(&r.rua[i]);
		read_uri(r.rua[i].to);
	}
}

/* What is read can be written, and is then the same. */
static void
read_said(const char *octets, size_t len)
{
	static char again[TLSRPT_SAID_MAX];
	struct tlsrpt_said said;
	size_t at = 0, from = 0, to;

	while (tlsrpt_said_next(octets, len, &at, &said) == 1) {
		FUZZ_HOLDS(at > from && at <= len);
		to = 0;
		FUZZ_HOLDS(tlsrpt_said_put(again, sizeof(again), &to,
		    &said) == 0);
		FUZZ_HOLDS(to == at - from &&
		    memcmp(again, octets + from, to) == 0);
		from = at;
	}
}

void
fuzz_tlsrpt(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	char text[2 * LIM_TLSRPT_URI];

	switch (fuzz_octet(&in) % NKINDS) {
	case RECORD:
		read_record(in.p, in.left);
		break;
	case SAID:
		read_said((const char *)in.p, in.left);
		break;
	default:
		snprintf(text, sizeof(text), "%.*s", (int)in.left,
		    (const char *)in.p);
		read_uri(text);
	}
}
