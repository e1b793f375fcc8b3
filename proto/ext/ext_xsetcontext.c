/* XSETCONTEXT, of the documented Momentum: a client that is allowed to sets
 * variables of the connection, which policy modules read. */

#include <errno.h>
#include <string.h>

#include "proto/parse/xtext.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_verb.h"

struct pair {
	char	key[LIM_VCTX_KEY + 1];
	char	value[LIM_VCTX_VALUE + 1];
};

/* The next "name=value" of *${s}, which moves behind it.  Return 1; 0: there is
 * none; -1: it is malformed. */
static int
next_pair(const char **s, const char *end, struct pair *p)
{
	const char *stop, *value;
	size_t len;
	ssize_t n;

	while (*s < end && **s == ' ')
		(*s)++;
	if (*s == end)
		return 0;
	if ((stop = memchr(*s, ' ', (size_t)(end - *s))) == NULL)
		stop = end;
	len = options_variable(*s, (size_t)(stop - *s));
	if (len == 0 || *s + len == stop || (*s)[len] != '=')
		return -1;
	memcpy(p->key, *s, len);
	p->key[len] = '\0';
	value = *s + len + 1;
	n = xtext_decode(value, (size_t)(stop - value), p->value,
	    sizeof(p->value) - 1);
	/* other octets would be somebody's header or line of the log */
	if (n == -1 || !xtext_is_printable(p->value, (size_t)n))
		return -1;
	p->value[n] = '\0';
	*s = stop;
	return 1;
}

static enum esmtp_reply_id
set(message_construct *mc, const char *s, const char *end)
{
	struct pair p;

	while (next_pair(&s, end, &p) == 1)
		if (validate_context_tell(&mc->vctx, p.key, p.value) == -1)
			return errno == E2BIG ? RPL_CONTEXT_ROOM : RPL_NOMEM;
	return RPL_OK;
}

enum esmtp_want
esmtp_cmd_xsetcontext(struct esmtp_step *st, const char *arg, size_t len)
{
	const char *s = arg, *end = arg + len;
	bool is_untold = false;
	struct pair p;
	int rc;

	/* none of them, if one is malformed, or a module's */
	while ((rc = next_pair(&s, end, &p)) == 1)
		is_untold |= validate_context_is_untold(&st->mc->vctx, p.key);
	esmtp_reply(st, rc == -1 ? RPL_SYNTAX : is_untold ?
	    RPL_CONTEXT_TAKEN : set(st->mc, arg, end));
	return W_GO;
}

static enum esmtp_reply_id
may_use(const message_construct *mc)
{
	return mc->ac->options->allow_xcontext ? RPL_OK : RPL_NOT_AUTHORIZED;
}

const struct esmtp_ext esmtp_ext_xsetcontext = {
	.keyword = "XSETCONTEXT",
	.may_use = may_use,
};
