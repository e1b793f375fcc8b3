/* Headers of the PROXY protocol, with something behind them: read as a session
 * reads them, and no octet of what is behind. */

#include "test/fuzz/fuzz.h"

#include <string.h>

#include "core/lim.h"
#include "proto/parse/proxyhdr.h"

static bool
is_address(const union addr *a)
{
	return a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6;
}

void
fuzz_proxy(const uint8_t *data, size_t len)
{
	const char *s = (const char *)data, *why = NULL;
	struct proxyhdr h;
	size_t have = 0;
	bool is_certain = true;
	int n, more;

	while ((n = proxyhdr_missing(s, have, &why)) > 0) {
		if ((size_t)n > len - have)
			return;
		/* octet by octet it asks for no less */
		more = proxyhdr_missing(s, have + 1, &why);
		is_certain = is_certain && (more == -1 || more >= n - 1);
		have += (size_t)n;
		if (have > LIM_PROXY_HEADER)
			return;
	}
	if (n == -1) {
		FUZZ_HOLDS(why != NULL && *why != '\0');
		return;
	}
	why = NULL;
	if (proxyhdr_parse(s, have, &h, &why) == -1)
		FUZZ_HOLDS(why != NULL && *why != '\0');
	else {
		FUZZ_HOLDS(is_certain);
		FUZZ_HOLDS(!h.is_known ||
		    (is_address(&h.source) && is_address(&h.dest)));
	}
}
