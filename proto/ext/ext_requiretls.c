/* REQUIRETLS, RFC 8689: the message must not be relayed without TLS to a server
 * whose certificate is verified.  The envelope keeps the flag for a program
 * that relays; a delivery into a mailbox of this host is no relaying.  The
 * extension is offered inside TLS only (RFC 8689 2): elsewhere the parameter is
 * unknown.
 * RFC 8689 4.2.1: a server that has accepted such a message must keep to it.
 * Therefore the extension is offered only where the spool promises that: a
 * program that was built with an older struct spool_ops, or does not know of
 * this flag, would lose it. */

#include "proto/server/esmtp_ext.h"

static enum esmtp_reply_id
set_requiretls(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t)
{
	/* RFC 8689 2: the parameter has no value */
	if (value != NULL)
		return RPL_SYNTAX;
	p->env_flags |= SPOOL_ENV_REQUIRETLS;
	return RPL_OK;
}

static bool
is_offered(const message_construct *mc)
{
	return mc->ac->tls != NULL &&
	    (mc->ac->host->spool->keeps & SPOOL_ENV_REQUIRETLS) != 0;
}

static const struct esmtp_param params[] = {
	{ .keyword = "REQUIRETLS", .set = set_requiretls },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_requiretls = {
	.keyword = "REQUIRETLS",
	.is_offered = is_offered,
	.params = params,
};
