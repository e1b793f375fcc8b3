/* The verb AUTH, RFC 4954 4.
 * Owns: its syntax, and when it may be said.
 * Knows nothing of what follows: esmtp_auth.c does. */

#include <string.h>

#include "core/util/base64.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_verb.h"

/* In these the client does not begin (RFC 4422 5): an initial response has no
 * meaning.  LOGIN has no RFC, and clients send the name with it. */
static const char *const server_first[] = { "CRAM-MD5", "DIGEST-MD5" };

/* These are over with the initial response. */
static const char *const one_step[] = { "PLAIN", "EXTERNAL" };

static bool
is_in(const char *const *list, size_t n, const char *mech)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i], mech) == 0)
			return true;
	return false;
}

#define IS_IN(list, mech) \
	is_in(list, sizeof(list) / sizeof((list)[0]), mech)

/* May AUTH be said now?  RPL_OK or the refusal. */
static enum esmtp_reply_id
may_begin(const message_construct *mc)
{
	if (!mc->is_esmtp)
		return RPL_NO_HELLO;
	/* RFC 4954 4: no second one in a session */
	return mc->login != NULL ? RPL_AUTH_AGAIN : RPL_OK;
}

/* Decode the initial response: RPL_OK or the refusal. */
static enum esmtp_reply_id
initial_response(const char *arg, size_t len, char *buf, size_t *len_r)
{
	ssize_t n = 0;

	/* RFC 4954 4: "=" is one without octets */
	if (len != 1 || arg[0] != '=')
		n = base64_decode(arg, len, buf, LIM_AUTH_OCTETS);
	if (n == -1)
		return RPL_AUTH_BASE64;
	*len_r = (size_t)n;
	return RPL_OK;
}

enum esmtp_want
esmtp_cmd_auth(struct esmtp_step *st, const char *arg, size_t len)
{
	char mech[LIM_AUTH_MECHANISM + 1], octets[LIM_AUTH_OCTETS];
	const char *space = memchr(arg, ' ', len);
	size_t n = space != NULL ? (size_t)(space - arg) : len, used = 0;
	enum esmtp_reply_id id = may_begin(st->mc);

	if (id == RPL_OK)
		id = esmtp_auth_choose(st->mc, arg, n, mech);
	/* RFC 4954 4: last of a group, unless it is over with this line */
	if (id == RPL_OK && st->has_more &&
	    (space == NULL || !IS_IN(one_step, mech)))
		id = RPL_PIPELINE;
	if (id == RPL_OK && space != NULL && IS_IN(server_first, mech))
		id = RPL_AUTH_INITIAL;
	if (id == RPL_OK && space != NULL)
		id = initial_response(space + 1, len - n - 1, octets, &used);
	if (id == RPL_OK)
		esmtp_auth_begin(st, mech, space != NULL ? octets : NULL,
		    used);
	else
		esmtp_reply(st, id);
	if (space != NULL)
		explicit_bzero(octets, sizeof(octets));
	return W_GO;
}
