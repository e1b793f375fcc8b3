/* TXT records of "_smtp._tls.DOMAIN". */

#include "test/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_record.h"
#include "proto/mailaddr.h"

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

void
fuzz_tlsrpt(const uint8_t *data, size_t len)
{
	static struct tlsrpt_record r;
	size_t i;

	if (tlsrpt_record_parse(data, len, &r) != 1)
		return;
	FUZZ_HOLDS(r.n <= LIM_TLSRPT_URIS);
	for (i = 0; i < r.n; i++)
		check(&r.rua[i]);
}
