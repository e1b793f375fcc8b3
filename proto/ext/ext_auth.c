/* AUTH, RFC 4954: the line of the EHLO reply, and the AUTH parameter of MAIL.
 * Knows nothing of mechanisms and exchanges: esmtp_auth_mech.c and
 * esmtp_auth.c do those. */

#include <errno.h>
#include <string.h>

#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_ext.h"

static int
hex(char c)
{
	/* RFC 3461 4: hexchar has capitals */
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int
bad(int errnum)
{
	errno = errnum;
	return -1;
}

ssize_t
esmtp_xtext_decode(const char *s, size_t len, char *out, size_t outlen)
{
	size_t i, n = 0;
	int c;

	for (i = 0; i < len; i++) {
		c = s[i];
		if (c == '+') {
			if (len - i < 3 || hex(s[i + 1]) == -1 ||
			    hex(s[i + 2]) == -1)
				return bad(EINVAL);
			c = hex(s[i + 1]) << 4 | hex(s[i + 2]);
			i += 2;
		} else if (c < '!' || c > '~' || c == '=')
			return bad(EINVAL);
		if (n == outlen)
			return bad(ENOSPC);
		out[n++] = (char)c;
	}
	return (ssize_t)n;
}

/* RFC 4954 5: a mailbox, or "<>".  Its form is checked and the value is then
 * forgotten, since no client is trusted to say who wrote a message. */
static enum esmtp_reply_id
set_auth(const struct esmtp_options *, struct esmtp_params *,
    const char *value, size_t len)
{
	char path[LIM_PATH + 3];
	struct mailaddr addr;
	ssize_t n;

	if (value == NULL)
		return RPL_SYNTAX;
	path[0] = '<';
	n = esmtp_xtext_decode(value, len, path + 1, sizeof(path) - 2);
	if (n == -1)
		return RPL_SYNTAX;
	if (n == 2 && memcmp(path + 1, "<>", 2) == 0)
		return RPL_OK;
	path[n + 1] = '>';
	/* the source route of a path is no part of a mailbox */
	if (path[1] == '@' || mailaddr_parse(path, (size_t)n + 2,
	    MAILADDR_ALLOW_LITERAL | MAILADDR_ALLOW_LONG, &addr) != n + 2)
		return RPL_SYNTAX;
	return RPL_OK;
}

static enum esmtp_reply_id
may_use(const message_construct *mc)
{
	return esmtp_auth_is_configured(mc) ? RPL_OK : RPL_NOT_IMPLEMENTED;
}

static const struct esmtp_param params[] = {
	{ .keyword = "AUTH", .set = set_auth },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_auth = {
	.keyword = "AUTH",
	.may_use = may_use,
	.is_offered = esmtp_auth_is_offered,
	.ehlo_arg = esmtp_auth_names,
	.params = params,
};
