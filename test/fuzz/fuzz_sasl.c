/* An exchange of one mechanism: which one, flags, then the client's messages, a
 * line each.  In a message "\1" stands for an empty one that is not missing, "\2"
 * for the last challenge's "r=" of SCRAM, "\3" for NUL, since a line of text is
 * easier to change than base64. */

#include "test/fuzz/fuzz.h"

#include <sys/types.h>

#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/util/addr.h"
#include "proto/sasl/auth_mech.h"

#define STEPS		8
#define MESSAGE_MAX	4096

/* Who is asked knows one user, alice, whose password is "secret". */
static enum auth_verdict
yes_if(bool is_right)
{
	return is_right ? AUTH_YES : AUTH_NO;
}

static enum auth_verdict
password(void *pending, const struct auth_client *, const char *login,
    const char *word)
{
	if (pending != NULL)
		return AUTH_PENDING;
	return yes_if(strcmp(login, "alice") == 0 &&
	    strcmp(word, "secret") == 0);
}

static enum auth_verdict
token(void *, const struct auth_client *, const char *login, const char *word)
{
	return yes_if(strcmp(login, "alice") == 0 &&
	    strcmp(word, "secret") == 0);
}

static enum auth_verdict
exists(void *, const struct auth_client *, const char *login)
{
	return yes_if(strcmp(login, "alice") == 0);
}

static enum auth_verdict
scram(void *pending, const struct auth_client *, const char *login,
    enum passwdfile_scram_hash hash, struct passwdfile_scram *s)
{
	memset(s, 0, sizeof(*s));
	s->iterations = 4096;
	s->salt_len = 16;
	s->key_len = hash == PASSWDFILE_SHA1 ? 20 : 32;
	if (pending != NULL)
		return AUTH_PENDING;
	return yes_if(strcmp(login, "alice") == 0);
}

static enum auth_verdict
cleartext(void *, const struct auth_client *, const char *login, char *buf,
    size_t len)
{
	FUZZ_HOLDS(len > 7);
	memcpy(buf, "secret", 7);
	return yes_if(strcmp(login, "alice") == 0);
}

static const struct auth_back_ops ops = { .password = password,
	.token = token, .exists = exists, .scram = scram,
	.cleartext = cleartext };

/* Octets of "r=..." in the challenge. */
static size_t
nonce_of(const char *challenge, size_t len, const char **r)
{
	const char *comma;

	*r = challenge;
	if (len < 2 || memcmp(challenge, "r=", 2) != 0)
		return 0;
	comma = memchr(challenge, ',', len);
	return comma == NULL ? len : (size_t)(comma - challenge);
}

static size_t
message(struct fuzz_input *in, const char *challenge, size_t challenge_len,
    char out[MESSAGE_MAX])
{
	size_t len, i, n = 0, nonce;
	const char *line = fuzz_line(in, &len), *r;

	nonce = nonce_of(challenge, challenge_len, &r);
	for (i = 0; i < len && n + nonce + 1 < MESSAGE_MAX; i++) {
		if (line[i] == '\2' && nonce > 0) {
			memcpy(out + n, r, nonce);
			n += nonce;
		} else if (line[i] == '\3')
			out[n++] = '\0';
		else if (line[i] != '\1')
			out[n++] = line[i];
	}
	out[n] = '\0';
	return n;
}

static struct auth_exchange *
begin(struct fuzz_input *in, struct auth_back *back, const union addr *peer)
{
	static const uint8_t binding[32] = { 1, 2, 3 };
	struct auth_start start = { .hostname = "mx.example.test",
		.now = 1790000000, .back = back };
	uint8_t flags;

	start.mech = fuzz_mech(in);
	flags = fuzz_octet(in);
	start.is_plus_offered = flags & 1;
	start.client = (struct auth_client){ .peer = &peer->sa,
		.is_tls = flags & 2, .session = "S1",
		.peer_name = flags & 4 ? "alice" : NULL,
		.deadline_ms = UINT64_MAX };
	if (flags & 8) {
		start.exporter = start.endpoint = binding;
		start.exporter_len = start.endpoint_len = sizeof(binding);
	}
	back->state = flags & 16 ? back : NULL;
	return auth_exchange_new(&start);
}

void
fuzz_sasl(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	struct auth_back back = { .ops = &ops };
	union addr peer = { .in = { .sin_family = AF_INET } };
	struct auth_exchange *x = begin(&in, &back, &peer);
	enum esmtp_auth_status status = ESMTP_AUTH_CHALLENGE;
	char text[MESSAGE_MAX], *out = NULL, *challenge = NULL;
	size_t n, out_len = 0, challenge_len = 0;
	bool is_missing;
	int i;

	FUZZ_HOLDS(x != NULL);
	for (i = 0; status == ESMTP_AUTH_CHALLENGE && i < STEPS; i++) {
		is_missing = i == 0 && (in.left == 0 || *in.p == '\n');
		n = message(&in, challenge, challenge_len, text);
		free(challenge);
		challenge = NULL;
		status = auth_exchange_step(x, is_missing ? NULL : text, n,
		    UINT64_MAX, &out, &out_len);
		while (status == AUTH_STEP_PENDING)
			status = auth_exchange_resume(x, AUTH_NO, &out,
			    &out_len);
		FUZZ_HOLDS(status == ESMTP_AUTH_CHALLENGE || out == NULL);
		FUZZ_HOLDS(status != ESMTP_AUTH_CHALLENGE || out_len <= 4096);
		FUZZ_HOLDS(status != ESMTP_AUTH_OK ||
		    strcmp(auth_exchange_login(x), "alice") == 0);
		challenge = out;
		challenge_len = out == NULL ? 0 : out_len;
	}
	free(challenge);
	auth_exchange_free(x);
}
