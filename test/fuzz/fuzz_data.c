/* The octets after 354, or of chunks: policy, a seed for the fragments, then the
 * octets.  In any fragments it is the same message, which ends where a second
 * reading of RFC 5321 4.5.2 says. */

#include "test/fuzz/fuzz.h"

#include <string.h>

#include "proto/esmtp_options.h"
#include "proto/parse/esmtp_data.h"
#include "test/lib/simrand.h"

#define TEXT_MAX	4200	/* twice the longest input, and what is held back */

struct message {
	char	text[TEXT_MAX];
	size_t	len, used;
	bool	is_end, has_lone;
};

static void
put(struct message *m, const char *s, size_t len)
{
	FUZZ_HOLDS(len <= sizeof(m->text) - m->len);
	if (len > 0)
		memcpy(m->text + m->len, s, len);
	m->len += len;
}

static void
read_all(struct message *m, const struct fuzz_input *in, int policy,
    bool is_counted, struct simrand *r)
{
	const char *s = (const char *)in->p, *slice;
	struct esmtp_data d;
	size_t piece, n, len;

	if (is_counted)
		esmtp_data_init_counted(&d, policy);
	else
		esmtp_data_init(&d, policy);
	m->len = m->used = 0;
	while (m->used < in->left && !d.is_end) {
		piece = in->left - m->used;
		if (r != NULL)
			piece = 1 + simrand_below(r, (uint32_t)(piece < 9 ?
			    piece : 9));
		while (piece > 0 && !d.is_end) {
			n = esmtp_data_next(&d, s + m->used, piece, &slice,
			    &len);
			FUZZ_HOLDS(n <= piece && (n > 0 || len > 0));
			put(m, slice, len);
			m->used += n;
			piece -= n;
		}
	}
	m->is_end = d.is_end;
	if (is_counted) {
		len = esmtp_data_end(&d, &slice);
		put(m, slice, len);
	}
	m->has_lone = d.has_lone;
}

/* Of a policy that changes nothing: what is stored, and where it ends. */
static void
expect(struct message *m, const struct fuzz_input *in)
{
	const char *s = (const char *)in->p;
	bool is_start = true;
	size_t i;

	m->len = 0;
	m->is_end = false;
	for (i = 0; i < in->left; i++) {
		if (is_start && in->left - i >= 3 &&
		    memcmp(s + i, ".\r\n", 3) == 0) {
			m->is_end = true;
			m->used = i + 3;
			return;
		}
		if (!is_start || s[i] != '.')
			put(m, s + i, 1);
		is_start = s[i] == '\n' && i > 0 && s[i - 1] == '\r';
	}
	m->used = in->left;
}

void
fuzz_data(const uint8_t *data, size_t len)
{
	static struct message whole, cut, want;
	struct fuzz_input in = { data, len };
	uint8_t flags = fuzz_octet(&in);
	int policy = flags % 4;
	bool is_counted = (flags & 4) != 0;
	struct simrand r;

	simrand_seed(&r, fuzz_octet(&in));
	read_all(&whole, &in, policy, is_counted, NULL);
	read_all(&cut, &in, policy, is_counted, &r);
	FUZZ_HOLDS(whole.len == cut.len && whole.used == cut.used);
	FUZZ_HOLDS(memcmp(whole.text, cut.text, whole.len) == 0);
	FUZZ_HOLDS(whole.is_end == cut.is_end);
	FUZZ_HOLDS(whole.has_lone == cut.has_lone);
	FUZZ_HOLDS(!is_counted || !whole.is_end);
	if (policy == ESMTP_LF_FIX || policy == ESMTP_LF_NOTE || is_counted)
		return;
	expect(&want, &in);
	FUZZ_HOLDS(whole.is_end == want.is_end);
	if (want.is_end)
		FUZZ_HOLDS(whole.used == want.used && whole.len == want.len &&
		    memcmp(whole.text, want.text, want.len) == 0);
}
