/* The verb AUTH, RFC 4954 4.
 * Owns: its syntax, and when it may be said.
 * Knows nothing of what follows: esmtp_auth.c does. */

#include <string.h>

#include "core/util/base64.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_verb.h"

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

/* The argument of AUTH. */
struct auth_arg {
	char	 mech[LIM_AUTH_MECHANISM + 1];
	size_t	 mech_len;	/* as the client spells it */
	bool	 has_initial;
	size_t	 used;		/* octets of the initial response */
	char	 octets[LIM_AUTH_OCTETS];
};

static enum esmtp_reply_id
parse(const struct esmtp_step *st, const char *arg, size_t len,
    struct auth_arg *p)
{
	const char *space = memchr(arg, ' ', len);
	const char *initial = space != NULL ? space + 1 : NULL;
	size_t n = space != NULL ? (size_t)(space - arg) : len;
	enum esmtp_reply_id id = may_begin(st->mc);
	const struct esmtp_auth_mech *m;
	unsigned int flags;

	p->has_initial = space != NULL;
	p->mech_len = n;
	p->used = 0;
	/* RFC 4954 4 has one space, Windows Mail two */
	while (initial != NULL && *initial == ' ' &&
	    st->ac->options->allow_trailing_whitespace)
		initial++;
	if (id == RPL_OK)
		id = esmtp_auth_choose(st->mc, arg, n, p->mech);
	m = esmtp_auth_mech_find(arg, n);
	flags = m != NULL ? m->flags : 0;
	/* RFC 4954 4: last of a group, unless it is over with this line */
	if (id == RPL_OK && st->has_more &&
	    (space == NULL || !(flags & AM_ONE_STEP)))
		id = RPL_PIPELINE;
	/* RFC 4954 4: the server begins */
	if (id == RPL_OK && space != NULL && flags & AM_SERVER_FIRST)
		id = RPL_AUTH_INITIAL;
	if (id == RPL_OK && space != NULL)
		id = initial_response(initial, (size_t)(arg + len - initial),
		    p->octets, &p->used);
	return id;
}

static void
forget(struct auth_arg *p)
{
	if (p->has_initial)
		explicit_bzero(p->octets, sizeof(p->octets));
}

enum esmtp_reply_id
esmtp_auth_check(const struct esmtp_step *st, const char *arg, size_t len)
{
	struct auth_arg p;
	enum esmtp_reply_id id = parse(st, arg, len, &p);

	forget(&p);
	return id;
}

enum esmtp_want
esmtp_cmd_auth(struct esmtp_step *st, const char *arg, size_t len)
{
	struct auth_arg p;
	enum esmtp_reply_id id = parse(st, arg, len, &p);

	if (id == RPL_OK)
		esmtp_auth_begin(st, p.mech, p.has_initial ? p.octets : NULL,
		    p.used);
	else
		esmtp_auth_refuse(st, arg, p.mech_len, id);
	forget(&p);
	return W_GO;
}
