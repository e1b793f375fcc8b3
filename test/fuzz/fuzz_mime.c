/* A message that is converted for a next hop: flags, a seed for the fragments, then the
 * message.  In any fragments it becomes the same; that has no octets which the next hop
 * does not take, and is not changed if it is converted again. */

#include "test/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "proto/mime/mime_convert.h"
#include "proto/mime/mime_encode.h"
#include "test/lib/simrand.h"

#define IN_MAX		40000
#define OUT_MAX		(4 * IN_MAX)
#define PIECE_MAX	11

struct message {
	char		text[OUT_MAX];
	size_t		len;
	enum mime_why	why;
};

static void
convert(struct message *o, const struct mime_convert_options *options,
    const char *s, size_t len, struct simrand *r)
{
	struct mime_convert *m = mime_convert_new(options);
	size_t at = 0, used, piece;
	char room[MIME_CONVERT_ROOM];
	ssize_t n;

	FUZZ_HOLDS(m != NULL);
	o->len = 0;
	do {
		piece = len - at;
		if (r != NULL && piece > 0)
			piece = 1 + simrand_below(r, (uint32_t)(piece <
			    PIECE_MAX ? piece : PIECE_MAX));
		n = mime_convert_next(m, s + at, piece, at + piece == len,
		    &used, room, sizeof(room));
		FUZZ_HOLDS(n <= (ssize_t)sizeof(room) && used <= piece);
		if (n == -1)
			break;
		FUZZ_HOLDS((size_t)n <= sizeof(o->text) - o->len);
		memcpy(o->text + o->len, room, (size_t)n);
		o->len += (size_t)n;
		at += used;
	} while (n > 0 || used > 0 || at < len);
	o->why = mime_convert_why(m);
	FUZZ_HOLDS((n == -1) == (o->why != MIME_WHY_NOT));
	mime_convert_free(m);
}

static void
check_octets(const struct message *o, const struct mime_convert_options *options)
{
	size_t i;

	if (options->takes_8bit || options->takes_utf8)
		return;
	for (i = 0; i < o->len; i++)
		FUZZ_HOLDS((unsigned char)o->text[i] < 0x80);
}

static int
digit(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Decode what mime_encode() writes, which is all that is read here. */
static size_t
decode(bool is_base64, const char *s, size_t len, char *out)
{
	size_t i, n = 0, four = 0;
	char text[4];
	ssize_t got;

	for (i = 0; i < len; i++) {
		if (is_base64 && (s[i] == '\r' || s[i] == '\n'))
			continue;
		if (is_base64) {
			text[four++] = s[i];
			if (four < sizeof(text))
				continue;
			got = base64_decode(text, four, out + n, 3);
			FUZZ_HOLDS(got > 0);
			n += (size_t)got;
			four = 0;
		} else if (s[i] == '=' && s[i + 1] == '\r')
			i += 2;
		else if (s[i] == '=') {
			out[n++] = (char)(digit(s[i + 1]) << 4 |
			    digit(s[i + 2]));
			i += 2;
		} else
			out[n++] = s[i];
	}
	FUZZ_HOLDS(four == 0);
	return n;
}

static void
check_encoder(struct message *o, bool is_base64, const char *s, size_t len)
{
	struct mime_encoder e = { .is_base64 = is_base64 };
	static char back[OUT_MAX];
	size_t i;

	o->len = 0;
	for (i = 0; i < len; i++)
		o->len += mime_encode(&e, (unsigned char)s[i],
		    o->text + o->len);
	o->len += mime_encode_end(&e, false, o->text + o->len);
	FUZZ_HOLDS(decode(is_base64, o->text, o->len, back) == len &&
	    (len == 0 || memcmp(back, s, len) == 0));
}

void
fuzz_mime(const uint8_t *data, size_t len)
{
	static struct message whole, cut;
	struct fuzz_input in = { data, len };
	uint8_t flags = fuzz_octet(&in);
	struct mime_convert_options options = { .is_binary = flags & 1,
		.takes_8bit = flags & 2, .takes_utf8 = flags & 4 };
	const char *s;
	struct simrand r;

	simrand_seed(&r, fuzz_octet(&in));
	if (in.left > IN_MAX / 8)
		return;
	s = (const char *)in.p;
	convert(&whole, &options, s, in.left, NULL);
	convert(&cut, &options, s, in.left, &r);
	FUZZ_HOLDS(whole.why == cut.why);
	if (whole.why == MIME_WHY_NOT) {
		FUZZ_HOLDS(whole.len == cut.len &&
		    memcmp(whole.text, cut.text, whole.len) == 0);
		check_octets(&whole, &options);
		convert(&cut, &options, whole.text, whole.len, &r);
		FUZZ_HOLDS(cut.why == MIME_WHY_NOT && whole.len == cut.len &&
		    memcmp(whole.text, cut.text, whole.len) == 0);
	}
	check_encoder(&cut, flags & 8, s, in.left);
}
