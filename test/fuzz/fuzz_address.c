/* Addresses: flags, then a path. */

#include "test/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/addr.h"
#include "proto/mailaddr.h"

#define TEXT_MAX	2048

/* What mailaddr_format() has written is an address in its one form. */
static void
check_again(const char *text, size_t len, unsigned int flags)
{
	char path[TEXT_MAX + 2], again[TEXT_MAX];
	struct mailaddr a, split;
	int n;

	if (len == 0)
		return;
	n = snprintf(path, sizeof(path), "<%s>", text);
	if (mailaddr_parse(path, (size_t)n, flags, &a) == -1) {
		/* dots that were allowed stand in quotes now */
		FUZZ_HOLDS(errno == ENAMETOOLONG);
		return;
	}
	n = mailaddr_format(&a, again, sizeof(again));
	FUZZ_HOLDS(n == (int)len && memcmp(text, again, len) == 0);
	mailaddr_split(text, &split);
	FUZZ_HOLDS(split.local_len == a.local_len &&
	    split.domain_len == a.domain_len);
}

static void
check_inside(const uint8_t *data, size_t len, const struct mailaddr *a)
{
	const char *s = (const char *)data;

	if (a->local_len > 0)
		FUZZ_HOLDS(a->local >= s && a->local + a->local_len <= s + len);
	if (a->domain_len > 0)
		FUZZ_HOLDS(a->domain >= s &&
		    a->domain + a->domain_len <= s + len);
}

void
fuzz_address(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	unsigned int flags = fuzz_octet(&in);
	char text[TEXT_MAX], less[TEXT_MAX];
	struct mailaddr a;
	union addr literal;
	int used, n;

	used = mailaddr_parse((const char *)in.p, in.left, flags, &a);
	(void)mailaddr_domain_valid((const char *)in.p, in.left, flags & 1);
	if (used == -1) {
		FUZZ_HOLDS(errno == EINVAL || errno == ENAMETOOLONG ||
		    errno == EILSEQ);
		return;
	}
	FUZZ_HOLDS(used >= 0 && (size_t)used <= in.left);
	check_inside(in.p, (size_t)used, &a);
	(void)mailaddr_is_postmaster(&a);
	(void)mailaddr_literal(&a, &literal.sa);
	n = mailaddr_format(&a, text, sizeof(text));
	FUZZ_HOLDS(n >= 0 && (size_t)n == strlen(text));
	FUZZ_HOLDS(n == 0 || mailaddr_format(&a, less, (size_t)n) == -1);
	FUZZ_HOLDS(mailaddr_format(&a, less, (size_t)n + 1) == n);
	check_again(text, (size_t)n, flags | MAILADDR_ALLOW_LITERAL);
}
