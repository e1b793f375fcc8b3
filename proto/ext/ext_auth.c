/* AUTH, RFC 4954: the line of the EHLO reply, and the AUTH parameter of MAIL.
 * Knows nothing of mechanisms and exchanges: esmtp_auth_mech.c and
 * esmtp_auth.c do those. */

#include <string.h>

#include "proto/parse/xtext.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_ext.h"

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
	n = xtext_decode(value, len, path + 1, sizeof(path) - 2);
	if (n == -1)
		return RPL_SYNTAX;
	if (n == 2 && memcmp(path + 1, "<>", 2) == 0)
		return RPL_OK;
	path[n + 1] = '>';
	/* the source route of a path is no part of a mailbox; UTF-8 is
	 * encoded, and then nobody reads it */
	if (path[1] == '@' || mailaddr_parse(path, (size_t)n + 2,
	    MAILADDR_ALLOW_LITERAL | MAILADDR_ALLOW_LONG |
	    MAILADDR_ALLOW_UTF8, &addr) != n + 2)
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
