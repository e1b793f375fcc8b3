/* The argument of BDAT, against another reading of RFC 3030 2. */

#include "test/fuzz/fuzz.h"

#include <string.h>
#include <strings.h>

#include "proto/parse/esmtp_chunk.h"

/* Read decimal digits with 128 bits. */
static enum esmtp_chunk_error
expect(const char *s, size_t len, struct esmtp_chunk *c)
{
	unsigned __int128 n = 0;
	bool is_huge = false;
	size_t i;

	for (i = 0; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
		n = n * 10 + (unsigned)(s[i] - '0');
		is_huge = is_huge || n > UINT64_MAX;
		if (is_huge)
			n = 0;
	}
	if (i == 0)
		return ESMTP_CHUNK_SYNTAX;
	c->octets = (uint64_t)n;
	c->is_last = false;
	if (i < len) {
		if (s[i] != ' ')
			return ESMTP_CHUNK_SYNTAX;
		while (i < len && s[i] == ' ')
			i++;
		if (len - i != 4 || strncasecmp(s + i, "LAST", 4) != 0)
			return ESMTP_CHUNK_SYNTAX;
		c->is_last = true;
	}
	return is_huge ? ESMTP_CHUNK_HUGE : ESMTP_CHUNK_OK;
}

void
fuzz_chunk(const uint8_t *data, size_t len)
{
	struct esmtp_chunk got = { 0 }, want = { 0 };
	enum esmtp_chunk_error error;

	/* as it is called: without spaces at the end */
	while (len > 0 && data[len - 1] == ' ')
		len--;
	error = esmtp_chunk_parse((const char *)data, len, &got);
	FUZZ_HOLDS((error == ESMTP_CHUNK_OK) ==
	    (expect((const char *)data, len, &want) == ESMTP_CHUNK_OK));
	if (error == ESMTP_CHUNK_OK)
		FUZZ_HOLDS(got.octets == want.octets &&
		    got.is_last == want.is_last);
}
