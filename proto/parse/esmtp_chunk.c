/* The argument of BDAT; see esmtp_chunk.h. */

#include "proto/parse/esmtp_chunk.h"

#include <strings.h>

/* chunk-size ::= 1*DIGIT: add a digit to *n.  Return false if *n would wrap. */
static bool
add_digit(uint64_t *n, unsigned int digit)
{
	if (*n > (UINT64_MAX - digit) / 10)
		return false;
	*n = *n * 10 + digit;
	return true;
}

enum esmtp_chunk_error
esmtp_chunk_parse(const char *s, size_t len, struct esmtp_chunk *chunk_r)
{
	struct esmtp_chunk chunk = { .octets = 0 };
	bool is_huge = false;
	size_t i, digits;

	for (i = 0; i < len && s[i] >= '0' && s[i] <= '9'; i++)
		if (!is_huge && !add_digit(&chunk.octets,
		    (unsigned int)(s[i] - '0')))
			is_huge = true;
	digits = i;
	while (i < len && s[i] == ' ')
		i++;
	/* end-marker ::= "LAST" */
	if (i > digits && len - i == 4 && strncasecmp(s + i, "LAST", 4) == 0) {
		chunk.is_last = true;
		i = len;
	}
	if (digits == 0 || i != len)
		return ESMTP_CHUNK_SYNTAX;
	if (is_huge)
		return ESMTP_CHUNK_HUGE;
	*chunk_r = chunk;
	return ESMTP_CHUNK_OK;
}
