#include <criterion/criterion.h>
#include <string.h>

#include "proto/parse/esmtp_header.h"

static const struct {
	const char	*in;
	unsigned int	 nreceived;
} cases[] = {
	{ "", 0 },
	{ "Received: x\r\n", 1 },
	{ "RECEIVED:x\r\nreceived:\r\n\r\n", 2 },
	{ "Received: a\r\n\tReceived: folded\r\nReceived: b\r\n", 2 },
	{ "X-Received: a\r\n", 0 },
	{ "Received : a\r\n", 0 },
	{ "Receive\r\nReceived", 0 },
	{ "A: b\r\n\r\nReceived: in the body\r\n", 0 },
	{ "\r\nReceived: in the body\r\n", 0 },
	{ "Received: a\nReceived: b\n\nReceived: c\n", 2 },
	{ "Re\rceived: a\r\n", 0 },
};

Test(esmtp_header, counts_received_fields_for_any_fragmentation)
{
	struct esmtp_header h;
	size_t i, cut, len;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].in);
		for (cut = 0; cut <= len; cut++) {
			memset(&h, 0, sizeof(h));
			esmtp_header_scan(&h, cases[i].in, cut);
			esmtp_header_scan(&h, cases[i].in + cut, len - cut);
			cr_expect_eq(h.nreceived, cases[i].nreceived,
			    "case %zu at %zu: %u", i, cut, h.nreceived);
		}
	}
}
