/* Bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's "OAuth 2.0
 * Mechanism", from before it).
 * The back end checks the token.  A client is told of a bad one in a challenge,
 * and gets its 535 after it has answered that. */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/util/wipe.h"
#include "proto/sasl/auth_mech_int.h"

#define KVSEP	'\1'

struct oauth {
	char		 login[AUTH_LOGIN_MAX + 1]; /* "": none, or too long */
	const char	*token;		/* into the message */
	size_t		 token_len;
};

/* The part of a message that is not parsed yet. */
struct rest {
	const char	*s;
	size_t		 len;
};

/* Take the part up to ${end}, and skip ${end}.  -1: it is not there. */
static int
until(struct rest *r, char end, struct rest *part_r)
{
	const char *p = memchr(r->s, end, r->len);

	if (p == NULL)
		return -1;
	*part_r = (struct rest){ r->s, p - r->s };
	r->len -= p + 1 - r->s;
	r->s = p + 1;
	return 0;
}

static int
begins(struct rest *r, const char *text)
{
	size_t n = strlen(text);

	if (r->len < n || strncasecmp(r->s, text, n) != 0)
		return 0;
	r->s += n;
	r->len -= n;
	return 1;
}

/* RFC 6750 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" /
 * "/" ) *"=" */
static int
is_token(struct rest t)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-._~+/";
	size_t i;

	while (t.len > 0 && t.s[t.len - 1] == '=')
		t.len--;
	for (i = 0; i < t.len; i++) {
		if (t.s[i] == '\0' || strchr(set, t.s[i]) == NULL)
			return 0;
	}
	return t.len > 0;
}

/* "auth=Bearer TOKEN".  Another scheme is well formed, but has no token for
 * us. */
static void
bearer(struct rest value, struct oauth *o_r)
{
	if (!begins(&value, "Bearer "))
		return;
	while (value.len > 0 && *value.s == ' ') {
		value.s++;
		value.len--;
	}
	if (!is_token(value))
		return;
	o_r->token = value.s;
	o_r->token_len = value.len;
}

/* *( key "=" value kvsep ) kvsep, to the end.  RFC 7628 3.1: unknown keys are
 * ignored. */
static int
pairs(struct rest r, void (*take)(struct rest pair, struct oauth *o_r),
    struct oauth *o_r)
{
	struct rest pair;

	for (;;) {
		if (until(&r, KVSEP, &pair) == -1)
			return -1;
		if (pair.len == 0)
			return r.len == 0 ? 0 : -1;
		if (memchr(pair.s, '=', pair.len) == NULL ||
		    memchr(pair.s, '\0', pair.len) != NULL || *pair.s == '=')
			return -1;
		take(pair, o_r);
	}
}

static void
oauthbearer_pair(struct rest pair, struct oauth *o_r)
{
	if (begins(&pair, "auth="))
		bearer(pair, o_r);
}

static void
xoauth2_pair(struct rest pair, struct oauth *o_r)
{
	if (begins(&pair, "user="))
		auth_name_copy(pair.s, pair.len, o_r->login);
	else
		oauthbearer_pair(pair, o_r);
}

/* saslname (RFC 5801 4): "=2C" and "=3D". */
static int
unescape(struct rest name, char *name_r)
{
	char text[AUTH_LOGIN_MAX * 3 + 1];
	size_t n = 0;

	while (name.len > 0 && n < AUTH_LOGIN_MAX * 3) {
		if (begins(&name, "=2C"))
			text[n++] = ',';
		else if (begins(&name, "=3D"))
			text[n++] = '=';
		else if (*name.s == '=')
			return -1;
		else {
			text[n++] = *name.s++;
			name.len--;
		}
	}
	if (name.len == 0)
		auth_name_copy(text, n, name_r);
	return 0;
}

/* RFC 7628 3.1: client-resp = (gs2-header kvsep *kvpair kvsep) / kvsep, and the
 * user is the header's authzid. */
static int
oauthbearer_parse(const char *in, size_t len, struct oauth *o_r)
{
	struct rest r = { in, len }, flag, name;

	memset(o_r, 0, sizeof(*o_r));
	if (until(&r, ',', &flag) == -1 || until(&r, ',', &name) == -1 ||
	    r.len == 0 || *r.s != KVSEP)
		return -1;
	/* RFC 7628 3.1: no channel binding, so never "p" */
	if (flag.len != 1 || (*flag.s != 'n' && *flag.s != 'y'))
		return -1;
	if (name.len > 0 && (!begins(&name, "a=") || name.len == 0 ||
	    unescape(name, o_r->login) == -1))
		return -1;
	r.s++;
	r.len--;
	return pairs(r, oauthbearer_pair, o_r);
}

static int
xoauth2_parse(const char *in, size_t len, struct oauth *o_r)
{
	struct rest r = { in, len };

	memset(o_r, 0, sizeof(*o_r));
	return pairs(r, xoauth2_pair, o_r);
}

/* What differs between the two. */
struct oauth_kind {
	int		(*parse)(const char *in, size_t len, struct oauth *o_r);
	const char	 *refusal;	/* what the client is told */
};
/* RFC 7628 3.2.2: the status is one of RFC 6750 3.1 */
static const struct oauth_kind oauthbearer = { oauthbearer_parse,
	"{\"status\":\"invalid_token\",\"schemes\":\"bearer\"}" };
static const struct oauth_kind xoauth2 = { xoauth2_parse,
	"{\"status\":\"401\",\"schemes\":\"bearer\"}" };

static int
peek(const struct auth_exchange *x, const char *in, size_t len, char *name_r)
{
	const struct oauth_kind *kind = x->own->variant;
	struct oauth o;

	if (x->nresponses > 0 || kind->parse(in, len, &o) == -1 ||
	    o.login[0] == '\0')
		return 0;
	memcpy(name_r, o.login, sizeof(o.login));
	return 1;
}

static enum esmtp_auth_status
check(struct auth_exchange *x, const struct oauth *o)
{
	enum esmtp_auth_status status;
	char *token;

	if ((token = strndup(o->token, o->token_len)) == NULL)
		return ESMTP_AUTH_LATER;
	status = auth_verdict_status(auth_back_token(x->back, &x->client,
	    x->login, token));
	wipe_free(token, o->token_len);
	return status;
}

static enum esmtp_auth_status
step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	const struct oauth_kind *kind = x->own->variant;
	enum esmtp_auth_status status;
	struct oauth o;

	/* RFC 7628 3.2.3: the client acknowledges the refusal with %x01, with
	 * XOAUTH2 by an empty response; anything else is a failure as well */
	if (x->nresponses > 0)
		return ESMTP_AUTH_FAILED;
	if (kind->parse(in, len, &o) == -1)
		return ESMTP_AUTH_MALFORMED;
	/* without a name it fails: RFC 7628 3.1 lets a server take the name
	 * from the token, but tokens are opaque here */
	status = auth_exchange_claim(x, o.login);
	if (status == ESMTP_AUTH_CHALLENGE)
		status = o.token == NULL ? ESMTP_AUTH_FAILED : check(x, &o);
	x->is_refused = status == ESMTP_AUTH_FAILED;
	if (!x->is_refused)
		return status;
	if (x->why == ESMTP_WHY_NONE)
		x->why = ESMTP_WHY_TOKEN;
	return auth_octets_set(out, kind->refusal, strlen(kind->refusal));
}

const struct auth_mech_ops auth_mech_oauthbearer = { .variant = &oauthbearer,
	.step = step, .peek = peek };
const struct auth_mech_ops auth_mech_xoauth2 = { .variant = &xoauth2,
	.step = step, .peek = peek };
