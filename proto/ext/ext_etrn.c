/* ETRN, RFC 1985: a client whose mail waits here, since it is not always
 * connected, says that it is there now.
 * Owns: the command; for which domains a client may use it (ETRN_Domains).
 * Knows nothing of a queue: the host starts it. */

#include <string.h>

#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_verb.h"

static const struct esmtp_host_ops *
host_ops(const message_construct *mc)
{
	return mc->ac->host->ops;
}

static enum esmtp_reply_id
may_use(const message_construct *mc)
{
	if (host_ops(mc)->start_queue == NULL ||
	    options_is_lmtp(mc->ac->options))
		return RPL_NOT_IMPLEMENTED;
	return mc->ac->options->etrn_domains.n > 0 ? RPL_OK : RPL_ETRN_REFUSED;
}

static void
start(struct esmtp_step *st, const char *domain, size_t len,
    bool has_subdomains)
{
	static const enum esmtp_reply_id replies[] = {
		[ESMTP_START_OK] = RPL_ETRN_OK,
		[ESMTP_START_NONE] = RPL_ETRN_NONE,
		[ESMTP_START_PENDING] = RPL_ETRN_PENDING,
		[ESMTP_START_LATER] = RPL_ETRN_LATER,
		[ESMTP_START_REFUSED] = RPL_ETRN_REFUSED,
	};
	char name[LIM_DOMAIN + 1];
	enum esmtp_start_status status;
	size_t i;

	for (i = 0; i < len; i++)
		name[i] = domain[i] >= 'A' && domain[i] <= 'Z' ?
		    (char)(domain[i] + 32) : domain[i];
	name[len] = '\0';
	status = host_ops(st->mc)->start_queue(st->ac->host->closure, st->ac,
	    name, has_subdomains);
	if ((unsigned int)status > ESMTP_START_REFUSED)
		status = ESMTP_START_LATER;
	if (status == ESMTP_START_REFUSED)
		esmtp_reply(st, RPL_ETRN_REFUSED);
	else
		esmtp_reply_with(st, replies[status], name, len);
}

/* RFC 1985 5.3: "@" before a domain is for all that ends with it, of which the
 * client must be allowed all; "#" is before the name of a part of the queue. */
enum esmtp_want
esmtp_cmd_etrn(struct esmtp_step *st, const char *arg, size_t len)
{
	bool has_subdomains = arg[0] == '@';

	arg += has_subdomains;
	len -= has_subdomains;
	if (!has_subdomains && arg[0] == '#')
		esmtp_reply(st, RPL_ETRN_QUEUE);
	else if (!mailaddr_domain_valid(arg, len, false))
		esmtp_reply(st, RPL_ETRN_SYNTAX);
	else if (!options_may_etrn(st->ac->options, arg, len, has_subdomains))
		esmtp_reply(st, RPL_ETRN_REFUSED);
	else
		start(st, arg, len, has_subdomains);
	return W_GO;
}

const struct esmtp_ext esmtp_ext_etrn = {
	.keyword = "ETRN",
	.may_use = may_use,
};
