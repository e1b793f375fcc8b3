/* Texts in UTF-8: the key of a key is the key; a domain has one form. */

#include "test/fuzz/fuzz.h"

#include <sys/types.h>

#include <errno.h>
#include <string.h>

#include "core/util/idna.h"
#include "core/util/saslprep.h"
#include "core/util/utf8.h"

#define TEXT_MAX	4096

static void
normal_forms(const char *s, size_t len)
{
	char one[TEXT_MAX], two[TEXT_MAX];
	ssize_t n, m;

	n = utf8_nfc(s, len, one, sizeof(one));
	if (n != -1) {
		m = utf8_nfc(one, (size_t)n, two, sizeof(two));
		FUZZ_HOLDS(m == n && memcmp(one, two, (size_t)n) == 0);
	}
	n = utf8_lower(s, len, one, sizeof(one));
	if (n != -1) {
		m = utf8_lower(one, (size_t)n, two, sizeof(two));
		FUZZ_HOLDS(m == n && memcmp(one, two, (size_t)n) == 0);
	}
}

static void
domain(const char *s, size_t len)
{
	char ascii[TEXT_MAX], shown[TEXT_MAX], again[TEXT_MAX];
	ssize_t n, m;

	n = idna_ascii(s, len, ascii, sizeof(ascii));
	if (n == -1)
		return;
	FUZZ_HOLDS(n <= IDNA_MAX || utf8_is_ascii(s, len));
	FUZZ_HOLDS(utf8_is_ascii(ascii, (size_t)n));
	m = idna_unicode(ascii, (size_t)n, shown, sizeof(shown));
	FUZZ_HOLDS(m >= 0);
	/* what is shown of it is the same domain */
	m = idna_ascii(shown, (size_t)m, again, sizeof(again));
	FUZZ_HOLDS(m == n && memcmp(ascii, again, (size_t)n) == 0);
}

static void
prepared(const char *s, size_t len)
{
	char text[TEXT_MAX], one[TEXT_MAX], two[TEXT_MAX];

	if (len >= sizeof(text))
		return;
	if (len > 0)
		memcpy(text, s, len);
	text[len] = '\0';
	if (saslprep_text(text, one, sizeof(one)) == -1) {
		FUZZ_HOLDS(one[0] == '\0');
		return;
	}
	FUZZ_HOLDS(saslprep_is_utf8(one, strlen(one)));
	if (saslprep_text(one, two, sizeof(two)) == 0)
		FUZZ_HOLDS(strlen(two) <= 3 * strlen(one) + 1);
}

void
fuzz_utf8(const uint8_t *data, size_t len)
{
	const char *s = (const char *)data;
	size_t i, n;

	for (i = 0; i < len; i += n > 0 ? n : 1) {
		n = utf8_visible(s + i, len - i);
		FUZZ_HOLDS(n <= 4 && n <= len - i);
		(void)utf8_is_mark(s + i, len - i);
	}
	normal_forms(s, len);
	domain(s, len);
	prepared(s, len);
}
