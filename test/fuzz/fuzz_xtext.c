/* Values of parameters: which reader, how much room, then the text. */

#include "test/fuzz/fuzz.h"

#include <sys/types.h>

#include <errno.h>
#include <string.h>

#include "core/util/saslprep.h"
#include "proto/parse/datetime.h"
#include "proto/parse/xattr.h"
#include "proto/parse/xtext.h"

static bool
has_control(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return true;
	return false;
}

static void
attributes(const char *s, size_t len)
{
	static const struct xattr_row rows[] = {
		{ "NAME", XATTR_HOST, NULL, 0 },
		{ "ADDR", XATTR_ADDR, NULL, 0 },
		{ "DESTADDR", XATTR_PLACE, NULL, 0 },
		{ "PORT", XATTR_PORT, NULL, 0 },
		{ "PROTO", XATTR_WORD, "SMTP|ESMTP", 0 },
		{ "IDENT", XATTR_TEXT, NULL, 20 },
		{ "LOGIN", XATTR_LOGIN, NULL, 0 },
	};
	const size_t n = sizeof(rows) / sizeof(rows[0]);
	struct xattr v[sizeof(rows) / sizeof(rows[0])] = { 0 };
	struct xattr_bad bad = { 0 };
	union addr a;
	size_t i;

	if (xattr_parse(s, len, rows, n, v, &bad) == -1) {
		FUZZ_HOLDS(bad.len == 0 ||
		    (bad.name >= s && bad.name + bad.len <= s + len));
		return;
	}
	for (i = 0; i < n; i++)
		if (v[i].is_given && v[i].is_known) {
			FUZZ_HOLDS(xtext_is_printable(v[i].text,
			    strlen(v[i].text)));
			FUZZ_HOLDS(rows[i].form != XATTR_ADDR ||
			    xattr_address(v[i].text, &a) == 0);
		}
}

static void
date(const char *s, size_t len)
{
	char buf[DATETIME_MAX];
	int64_t at, again;

	if (datetime_parse(s, len, &at) == -1)
		return;
	datetime_format(at, buf);
	/* a fraction that leads out of the years stays in them */
	if (datetime_parse(buf, strlen(buf), &again) == 0)
		FUZZ_HOLDS(again == at || again == at - 1);
	else
		FUZZ_HOLDS(false);
}

void
fuzz_xtext(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	uint8_t which = fuzz_octet(&in);
	size_t room = fuzz_octet(&in);
	char out[1024];
	ssize_t n;

	switch (which % 4) {
	case 0:
		n = xtext_decode((const char *)in.p, in.left, out, room);
		FUZZ_HOLDS(n <= (ssize_t)room);
		break;
	case 1:
		n = xtext_decode_utf8((const char *)in.p, in.left, out,
		    room * 4);
		FUZZ_HOLDS(n <= (ssize_t)room * 4);
		FUZZ_HOLDS(n == -1 || (saslprep_is_utf8(out, (size_t)n) &&
		    !has_control(out, (size_t)n)));
		break;
	case 2:
		attributes((const char *)in.p, in.left);
		break;
	default:
		date((const char *)in.p, in.left);
	}
}
