/* A message as a program gives it to sendmail: flags, a seed for the fragments, the
 * text.  In any fragments it becomes the same; its header is one that stays as it is
 * when it is made again, without Bcc.  And the same text as a file of the maildrop, and as
 * the script of a session. */

#include "test/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/sendmail/send_envelope.h"
#include "cmd/sendmail/send_header.h"
#include "cmd/sendmail/send_text.h"
#include "cmd/sendmail/send_turn.h"
#include "test/lib/simrand.h"

#define TEXT_MAX	8192
#define PIECE_MAX	11

static size_t
piece_of(size_t left, struct simrand *r)
{
	if (r == NULL)
		return left;
	return 1 + simrand_below(r, (uint32_t)(left < PIECE_MAX ? left :
	    PIECE_MAX));
}

/* The lines of the input, in pieces of random lengths; ${r} NULL: at once */
static size_t
lines(const struct fuzz_input *in, bool is_dot_plain, struct simrand *r,
    char out[TEXT_MAX])
{
	struct send_text t = { .is_dot_plain = is_dot_plain };
	size_t at, n, len = 0, k, i;

	for (at = 0; at < in->left; at += k) {
		k = piece_of(in->left - at, r);
		FUZZ_HOLDS(len + 2 * k + SEND_TEXT_MORE <= TEXT_MAX);
		send_text_next(&t, (const char *)in->p + at, k, out + len, &n);
		FUZZ_HOLDS(n <= 2 * k + SEND_TEXT_MORE);
		len += n;
	}
	send_text_end(&t, out + len, &n);
	len += n;
	FUZZ_HOLDS(len == 0 || out[len - 1] == '\n');
	/* CR and LF are there as CRLF alone */
	for (i = 0; i < len; i++)
		FUZZ_HOLDS(out[i] == '\r' ? out[i + 1] == '\n' :
		    out[i] != '\n' || (i > 0 && out[i - 1] == '\r'));
	FUZZ_HOLDS(!t.is_end || !is_dot_plain);
	return len;
}

/* What a server that says anything gets of the input, as of -bs */
static size_t
session(const struct fuzz_input *in, uint8_t seed, struct simrand *r,
    char out[TEXT_MAX])
{
	static const char *const replies[] = { "250 x\r\n", "250\n",
		"250-x\r\n250 y\r\n", "354 x\r\n", "220 x\r\n" };
	struct send_turn t = { .state = 0 };
	const char *reply = "";
	size_t at = 0, n, len = 0, k, used;
	struct simrand says;

	simrand_seed(&says, seed);
	while (at < in->left) {
		k = piece_of(in->left - at, r);
		FUZZ_HOLDS(len + 2 * k <= TEXT_MAX);
		used = send_turn_input(&t, (const char *)in->p + at, k,
		    out + len, &n);
		FUZZ_HOLDS(used <= k && n >= used && n <= 2 * used);
		FUZZ_HOLDS(*reply == '\0' || used > 0);
		at += used;
		len += n;
		reply = used == k ? "" : replies[simrand_below(&says, 5)];
		send_turn_reply(&t, reply, strlen(reply));
	}
	return len;
}

/* Where the header ends, found in pieces */
static size_t
header(const char *s, size_t len, struct simrand *r, size_t *body_r)
{
	size_t at = 0, found = 0;
	bool is_found;

	do {
		if (found < len)
			found += piece_of(len - found, r);
		is_found = send_header_find(s, found, &at, found == len,
		    body_r);
		FUZZ_HOLDS(is_found || found < len);
	} while (!is_found);
	FUZZ_HOLDS(at <= *body_r && *body_r <= found);
	return at;
}

/* Lines that begin with such a name, of which none goes on */
static bool
has_field(const char *s, size_t len, const char *name)
{
	size_t n = strlen(name), i;
	const char *lf;

	for (; len > 0; len -= (size_t)(lf + 1 - s), s = lf + 1) {
		lf = memchr(s, '\n', len);
		FUZZ_HOLDS(lf != NULL);
		if (len < n || strncasecmp(s, name, n) != 0)
			continue;
		for (i = n; s[i] == ' ' || s[i] == '\t'; i++)
			;
		if (s[i] == ':')
			return true;
	}
	return false;
}

static char *
make(const char *s, size_t len, size_t *len_r, struct send_list *rcpts)
{
	const struct send_header_want want = { rcpts != NULL, "h.test",
		"a@h.test", "Thu, 1 Jan 1970 00:00:00 +0000", "<1@h.test>" };
	struct send_list none = { .v = NULL };
	char bad[SEND_ADDRESS_MAX], *text = NULL;
	FILE *out = open_memstream(&text, len_r);
	int rc;

	FUZZ_HOLDS(out != NULL);
	rc = send_header_make(s, len, &want, out, rcpts != NULL ? rcpts : &none,
	    bad);
	FUZZ_HOLDS(fclose(out) == 0 && none.n == 0);
	FUZZ_HOLDS(rc == 0 || (rcpts != NULL && strlen(bad) <
	    SEND_ADDRESS_MAX));
	return text;
}

static void
check_header(const char *s, size_t len)
{
	struct send_list rcpts = { .v = NULL };
	char *text, *again, out[SEND_ADDRESS_MAX];
	size_t n, n_again, i;

	free(make(s, len, &n, &rcpts));
	for (i = 0; i < rcpts.n; i++) {
		FUZZ_HOLDS(send_address(rcpts.v[i], strlen(rcpts.v[i]), NULL,
		    out) == 0);
		FUZZ_HOLDS(strcmp(out, rcpts.v[i]) == 0);
	}
	send_list_free(&rcpts);
	text = make(s, len, &n, NULL);
	FUZZ_HOLDS(n >= 2 && memcmp(text + n - 2, "\r\n", 2) == 0);
	FUZZ_HOLDS(has_field(text, n, "from") && has_field(text, n, "date") &&
	    has_field(text, n, "message-id"));
	FUZZ_HOLDS(!has_field(text, n, "bcc") &&
	    !has_field(text, n, "resent-bcc"));
	again = make(text, n - 2, &n_again, NULL);
	FUZZ_HOLDS(n_again == n && memcmp(text, again, n) == 0);
	free(text);
	free(again);
}

static void
check_envelope(const struct fuzz_input *in)
{
	struct send_envelope env = { .flags = 0 }, env2 = { .flags = 0 };
	char *text, *again;
	size_t n, n_again;
	FILE *out;

	if (send_envelope_read((const char *)in->p, in->left, &env) == -1)
		return;
	out = open_memstream(&text, &n);
	send_envelope_write(&env, out);
	FUZZ_HOLDS(fclose(out) == 0);
	FUZZ_HOLDS(send_envelope_read(text, n, &env2) == (ssize_t)n);
	out = open_memstream(&again, &n_again);
	send_envelope_write(&env2, out);
	FUZZ_HOLDS(fclose(out) == 0);
	FUZZ_HOLDS(n == n_again && memcmp(text, again, n) == 0);
	free(text);
	free(again);
	send_envelope_free(&env);
	send_envelope_free(&env2);
}

void
fuzz_sendmail(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	uint8_t flags = fuzz_octet(&in);
	struct simrand r;
	static char whole[TEXT_MAX], pieces[TEXT_MAX];
	size_t n, at, body, body_again;

	simrand_seed(&r, fuzz_octet(&in));
	check_envelope(&in);
	if (in.left > TEXT_MAX / 4)
		in.left = TEXT_MAX / 4;
	n = session(&in, flags, NULL, whole);
	FUZZ_HOLDS(session(&in, flags, &r, pieces) == n);
	FUZZ_HOLDS(memcmp(whole, pieces, n) == 0);
	n = lines(&in, flags & 1, NULL, whole);
	FUZZ_HOLDS(lines(&in, flags & 1, &r, pieces) == n);
	FUZZ_HOLDS(memcmp(whole, pieces, n) == 0);
	at = header(whole, n, NULL, &body);
	FUZZ_HOLDS(header(whole, n, &r, &body_again) == at &&
	    body == body_again);
	check_header(whole, at);
}
