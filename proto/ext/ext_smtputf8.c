/* SMTPUTF8, RFC 6531: addresses and header fields in UTF-8.  The parameter of
 * MAIL, and of VRFY and EXPN; the envelope remembers it.
 * RFC 6531 3.1, 3.2: whoever has accepted such a message does not relay it to a
 * server without the extension.  And a program that was built before the library
 * had it does not expect addresses that are not ASCII.  So it is there where the
 * spool promises it, or where SMTP_Extensions names it. */

#include <string.h>
#include <strings.h>

#include "proto/server/esmtp_ext.h"

static bool
is_keyword(const char *s, size_t len)
{
	const char *keyword = esmtp_ext_smtputf8.keyword;

	return len == strlen(keyword) && strncasecmp(s, keyword, len) == 0;
}

static enum esmtp_reply_id
set_smtputf8(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t)
{
	/* RFC 6531 3.4: the parameter has no value */
	if (value != NULL)
		return RPL_SYNTAX;
	p->env_flags |= SPOOL_ENV_SMTPUTF8;
	return RPL_OK;
}

/* RFC 6531 3.1: a server that offers it offers 8BITMIME, too. */
static bool
is_offered(const message_construct *mc)
{
	return (mc->extensions & ESMTP_EXT_BIT(8BITMIME)) != 0 &&
	    ((mc->ac->host->spool->keeps & SPOOL_ENV_SMTPUTF8) != 0 ||
	    mc->ac->options->smtp_extensions.n > 0);
}

bool
esmtp_ext_may_utf8(const message_construct *mc)
{
	return mc->is_esmtp && esmtp_ext_is_offered(mc, ESMTP_EXT_SMTPUTF8);
}

bool
esmtp_ext_cut_utf8(const char *s, size_t *len)
{
	size_t n = strlen(esmtp_ext_smtputf8.keyword), end = *len;

	if (end <= n || !is_keyword(s + end - n, n) || s[end - n - 1] != ' ')
		return false;
	for (end -= n; end > 0 && s[end - 1] == ' '; end--)
		continue;
	*len = end;
	return true;
}

bool
esmtp_ext_names_utf8(const char *s, size_t len)
{
	const char *path_end = memchr(s, '>', len), *p, *space;

	for (p = path_end != NULL ? path_end : s; p < s + len; p = space) {
		while (p < s + len && *p == ' ')
			p++;
		space = memchr(p, ' ', (size_t)(s + len - p));
		if (space == NULL)
			space = s + len;
		if (is_keyword(p, (size_t)(space - p)))
			return true;
	}
	return false;
}

static const struct esmtp_param params[] = {
	{ .keyword = "SMTPUTF8", .set = set_smtputf8 },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_smtputf8 = {
	.keyword = "SMTPUTF8",
	.is_offered = is_offered,
	.params = params,
};
