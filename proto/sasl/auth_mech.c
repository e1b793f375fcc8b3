/* An exchange: its beginning, its steps, its end, for all mechanisms. */

#include "proto/sasl/auth_mech.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/wipe.h"
#include "proto/sasl/auth_mech_int.h"

/* In the order of the rows. */
static const struct auth_mech_ops *const ops[] = {
#define ESMTP_AUTH_MECH(name, needs, flags, how) &auth_mech_##how,
#include "proto/auth/esmtp_auth_mech.def"
#undef ESMTP_AUTH_MECH
};

static int
binding_copy(struct auth_binding *b, const uint8_t *octets, size_t len)
{
	if (len > sizeof(b->octets))
		return errno = EINVAL, -1;
	if (len > 0)
		memcpy(b->octets, octets, len);
	b->len = len;
	return 0;
}

static int
text_copy(char **copy_r, const char *s)
{
	if (s == NULL)
		return 0;
	return (*copy_r = strdup(s)) == NULL ? -1 : 0;
}

static int
start_copy(struct auth_exchange *x, const struct auth_start *s)
{
	if (binding_copy(&x->exporter, s->exporter, s->exporter_len) == -1 ||
	    binding_copy(&x->endpoint, s->endpoint, s->endpoint_len) == -1 ||
	    text_copy(&x->session, s->client.session) == -1 ||
	    text_copy(&x->peer_name, s->client.peer_name) == -1)
		return -1;
	addr_copy(&x->peer.sa, s->client.peer);
	x->client = s->client;
	x->client.peer = &x->peer.sa;
	x->client.session = x->session;
	x->client.peer_name = x->peer_name;
	x->back = s->back;
	x->hostname = s->hostname;
	x->now = s->now;
	x->is_plus_offered = s->is_plus_offered;
	return 0;
}

struct auth_exchange *
auth_exchange_new(const struct auth_start *start)
{
	const struct esmtp_auth_mech *mech = esmtp_auth_mech_find(start->mech,
	    strlen(start->mech));
	struct auth_exchange *x;
	int e;

	if (mech == NULL)
		return errno = EINVAL, NULL;
	if ((x = calloc(1, sizeof(*x))) == NULL)
		return NULL;
	x->mech = mech;
	x->own = ops[mech - esmtp_auth_mech_at(0)];
	x->ops = start->back->ops->relay_start != NULL ? &auth_mech_relay :
	    x->own;
	if (start_copy(x, start) == -1 ||
	    (x->ops->begin != NULL && x->ops->begin(x) == -1)) {
		e = errno;
		auth_exchange_free(x);
		return errno = e, NULL;
	}
	return x;
}

static void
state_free(struct auth_exchange *x)
{
	if (x->state != NULL)
		x->ops->end(x);
	x->state = NULL;
}

void
auth_exchange_free(struct auth_exchange *x)
{
	if (x == NULL)
		return;
	state_free(x);
	auth_exchange_forget(x);
	free(x->session);
	free(x->peer_name);
	wipe_free(x, sizeof(*x));
}

const char *
auth_exchange_login(const struct auth_exchange *x)
{
	return x->login[0] == '\0' ? NULL : x->login;
}

enum esmtp_auth_why
auth_exchange_why(const struct auth_exchange *x)
{
	return x->why;
}

bool
auth_exchange_is_refused(const struct auth_exchange *x)
{
	return x->is_refused;
}

void
auth_exchange_on_login(struct auth_exchange *x,
    bool (*may)(const char *login, void *closure), void *closure)
{
	x->may = may;
	x->may_closure = closure;
}

/* RFC 4954 4: where the client begins and gave no initial response, an empty
 * challenge asks for it; where the server begins, an initial response gets 501.
 * A back end that does the mechanism has to see to that itself. */
static enum esmtp_auth_status
take(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	enum esmtp_auth_status status;
	bool is_first = !x->is_begun;

	x->is_begun = true;
	if (x->ops == x->own && is_first) {
		if (in == NULL && x->mech->flags & AM_CLIENT_FIRST)
			return ESMTP_AUTH_CHALLENGE;
		if (in != NULL && x->mech->flags & AM_SERVER_FIRST)
			return ESMTP_AUTH_MALFORMED;
	}
	x->is_initial = is_first;
	status = x->ops->step(x, in, len, out);
	x->nresponses += in != NULL;
	return status;
}

/* Do the step with a copy of the response that is followed by a NUL, where a
 * parser stops. */
static enum esmtp_auth_status
take_copy(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	enum esmtp_auth_status status;
	char *copy;

	if (len > AUTH_RESPONSE_MAX)
		return ESMTP_AUTH_MALFORMED;
	if (in == NULL && !x->is_begun)
		return take(x, NULL, 0, out);
	if ((copy = malloc(len + 1)) == NULL)
		return ESMTP_AUTH_LATER;
	if (len > 0)
		memcpy(copy, in, len);
	copy[len] = '\0';
	status = take(x, copy, len, out);
	wipe_free(copy, len);
	return status;
}

/* What a step has come to, for its caller. */
static enum esmtp_auth_status
finish(struct auth_exchange *x, enum esmtp_auth_status status,
    struct auth_octets out, char **out_r, size_t *len_r)
{
	static const enum esmtp_auth_why usual[] = {
		[ESMTP_AUTH_FAILED] = ESMTP_WHY_PASSWORD,
		[ESMTP_AUTH_LATER] = ESMTP_WHY_BACKEND,
		[ESMTP_AUTH_MALFORMED] = ESMTP_WHY_MALFORMED,
	};

	if (status == AUTH_STEP_PENDING)
		return status;
	if (status == ESMTP_AUTH_CHALLENGE) {
		*out_r = out.s;
		*len_r = out.len;
		return status;
	}
	x->is_over = true;
	if (x->why == ESMTP_WHY_NONE)
		x->why = usual[status];
	state_free(x);
	free(out.s);
	return status;
}

enum esmtp_auth_status
auth_exchange_step(struct auth_exchange *x, const char *in, size_t len,
    uint64_t deadline_ms, char **out_r, size_t *len_r)
{
	struct auth_octets out = { NULL, 0 };
	enum esmtp_auth_status status;

	*out_r = NULL;
	*len_r = 0;
	if (x->is_over || x->resume != NULL)
		return ESMTP_AUTH_FAILED;
	x->client.deadline_ms = deadline_ms;
	status = take_copy(x, in, in == NULL ? 0 : len, &out);
	return finish(x, status, out, out_r, len_r);
}

enum esmtp_auth_status
auth_exchange_resume(struct auth_exchange *x, enum auth_verdict v,
    char **out_r, size_t *len_r)
{
	enum esmtp_auth_status (*resume)(struct auth_exchange *,
	    enum auth_verdict, struct auth_octets *) = x->resume;
	struct auth_octets out = { NULL, 0 };

	*out_r = NULL;
	*len_r = 0;
	x->resume = NULL;
	if (x->is_over || resume == NULL)
		return ESMTP_AUTH_FAILED;
	return finish(x, resume(x, v, &out), out, out_r, len_r);
}
