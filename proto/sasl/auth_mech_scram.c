/* SCRAM-SHA-1, SCRAM-SHA-256 and their -PLUS (RFC 5802, 7677): the order of
 * messages, and which channel binding counts.  auth_scram.c has the messages
 * and the proof.
 * The exchange of an unknown user goes on with fake keys and fails at the same
 * point, with the same answer, as that of a wrong password. */

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "proto/sasl/auth_mech_int.h"
#include "proto/sasl/auth_scram_int.h"

#define NONCE_OCTETS	18	/* 24 characters, none of which is padding */

struct scram {
	struct scram_server	 server;
	char			*first;		/* the client's message, while the
						 * keys are not known */
	size_t			 first_len;
	bool			 is_unknown;	/* the user */
};

/* The channel bindings, and where they are in an exchange. */
static const struct {
	const char	*name;
	size_t		 offset;
} bindings[] = {
	{ "tls-exporter", offsetof(struct auth_exchange, exporter) },
	{ "tls-server-end-point", offsetof(struct auth_exchange, endpoint) },
};
static const struct auth_binding no_binding;

/* What differs between the mechanisms. */
static const enum passwdfile_scram_hash sha1 = PASSWDFILE_SHA1;
static const enum passwdfile_scram_hash sha256 = PASSWDFILE_SHA256;

/* The channel binding that a first message chooses.  NULL: it is refused, and
 * x->why says why. */
static const struct auth_binding *
binding_of(struct auth_exchange *x, const struct scram_first *f)
{
	const char *mech = x->mech->name;
	const struct auth_binding *b;
	size_t i;

	/* RFC 5802 6: "p" with -PLUS and only with it; a client that says "y"
	 * was not offered -PLUS: if we did offer it, somebody in the middle has
	 * removed it from the list */
	x->why = ESMTP_WHY_UNBOUND;
	if (esmtp_auth_mech_is_plus(mech, strlen(mech)) != (f->flag == 'p'))
		return NULL;
	x->why = ESMTP_WHY_DOWNGRADE;
	if (f->flag == 'y' && x->is_plus_offered)
		return NULL;
	x->why = ESMTP_WHY_NONE;
	if (f->flag != 'p')
		return &no_binding;
	for (i = 0; i < sizeof(bindings) / sizeof(bindings[0]); i++) {
		if (strlen(bindings[i].name) != f->binding_len ||
		    memcmp(bindings[i].name, f->binding, f->binding_len) != 0)
			continue;
		b = (const void *)((const char *)x + bindings[i].offset);
		if (b->len > 0)
			return b;
	}
	x->why = ESMTP_WHY_BINDING;
	return NULL;
}

static int
begin(struct auth_exchange *x)
{
	x->state = calloc(1, sizeof(struct scram));
	return x->state == NULL ? -1 : 0;
}

static void
end(struct auth_exchange *x)
{
	struct scram *s = x->state;

	scram_server_wipe(&s->server);
	free(s->first);
	free(s);
}

static int
peek(const struct auth_exchange *x, const char *in, size_t len, char *name_r)
{
	struct scram_first f;

	if (x->nresponses > 0 || scram_first_parse(in, len, &f) == -1)
		return 0;
	memcpy(name_r, f.name, sizeof(f.name));
	return 1;
}

/* Choose our nonce and make server-first-message. */
static enum esmtp_auth_status
first_answer(struct scram_server *s, const char *in, size_t len,
    const struct scram_first *f, struct auth_octets *out)
{
	uint8_t octets[NONCE_OCTETS];
	char nonce[NONCE_OCTETS / 3 * 4 + 1];

	if (RAND_bytes(octets, sizeof(octets)) != 1 ||
	    base64_encode(octets, sizeof(octets), nonce, sizeof(nonce)) == -1 ||
	    scram_server_begin(s, in, len, f, nonce) == -1)
		return ESMTP_AUTH_LATER;
	return auth_octets_set(out, s->first, strlen(s->first));
}

/* The user's keys are here, or fake ones; that they are fake counts at the
 * end. */
static enum esmtp_auth_status
keys_answered(struct auth_exchange *x, enum auth_verdict v,
    struct auth_octets *out)
{
	struct scram *s = x->state;
	struct scram_first f;

	if (v == AUTH_PENDING)
		return auth_exchange_wait(x, keys_answered);
	if (v == AUTH_UNSURE ||
	    scram_first_parse(s->first, s->first_len, &f) == -1)
		return ESMTP_AUTH_LATER;
	s->is_unknown = v == AUTH_NO;
	return first_answer(&s->server, s->first, s->first_len, &f, out);
}

/* Ask for the keys, and keep the message for the answer to it. */
static enum esmtp_auth_status
find_keys(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	const enum passwdfile_scram_hash *hash = x->own->variant;
	struct scram *s = x->state;

	if ((s->first = strndup(in, len)) == NULL)
		return ESMTP_AUTH_LATER;
	s->first_len = len;
	s->server.hash = *hash;
	return keys_answered(x, auth_back_scram(x->back, &x->client, x->login,
	    *hash, &s->server.keys), out);
}

static enum esmtp_auth_status
first(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	struct scram_server *s = &((struct scram *)x->state)->server;
	const struct auth_binding *b;
	enum esmtp_auth_status status;
	struct scram_first f;

	if (scram_first_parse(in, len, &f) == -1)
		return errno == EINVAL ? ESMTP_AUTH_MALFORMED :
		    auth_exchange_fail(x, errno == ENOTSUP ?
		    ESMTP_WHY_EXTENSION : ESMTP_WHY_NAME);
	if ((status = auth_exchange_claim(x, f.name)) != ESMTP_AUTH_CHALLENGE)
		return status;
	if ((b = binding_of(x, &f)) == NULL)
		return ESMTP_AUTH_FAILED;
	if (!auth_exchange_may_act_as(x, f.authzid))
		return auth_exchange_fail(x, ESMTP_WHY_AUTHZID);
	memcpy(s->binding, b->octets, b->len);
	s->binding_len = b->len;
	return find_keys(x, in, len, out);
}

/* Check the client's proof.  The 235 reply cannot carry server-final-message,
 * which proves the server to the client: it is sent as a challenge, and the
 * client's empty answer ends the exchange (RFC 4954 4). */
static enum esmtp_auth_status
final(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	const struct scram *s = x->state;
	struct scram_final f;
	char text[96];
	int res;

	if (scram_final_parse(in, len, &f) == -1)
		return ESMTP_AUTH_MALFORMED;
	res = scram_server_check(&s->server, in, &f, text, sizeof(text));
	if (res == -1)
		return errno == EPROTO ?
		    auth_exchange_fail(x, ESMTP_WHY_BINDING) : ESMTP_AUTH_LATER;
	if (res == 0 || s->is_unknown)
		return ESMTP_AUTH_FAILED;
	return auth_octets_set(out, text, strlen(text));
}

static enum esmtp_auth_status
acknowledged(struct auth_exchange *, const char *, size_t len,
    struct auth_octets *)
{
	return len == 0 ? ESMTP_AUTH_OK : ESMTP_AUTH_MALFORMED;
}

static enum esmtp_auth_status
step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	static enum esmtp_auth_status (*const steps[])(struct auth_exchange *,
	    const char *, size_t, struct auth_octets *) = { first, final,
		acknowledged };

	return steps[x->nresponses](x, in, len, out);
}

const struct auth_mech_ops auth_mech_scram_sha1 = { .variant = &sha1,
	.begin = begin, .step = step, .peek = peek, .end = end };
const struct auth_mech_ops auth_mech_scram_sha256 = { .variant = &sha256,
	.begin = begin, .step = step, .peek = peek, .end = end };
