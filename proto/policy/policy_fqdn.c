/* Domains of one label, where Require_FQDN is set: RFC 6409 4.2: "The MSA MUST
 * ensure that all domains in the SMTP envelope are fully qualified", and 554 is
 * the reply to others. */

#include <string.h>

#include "proto/options/options.h"
#include "proto/validate.h"

/* The null sender and an address literal have no name to complete. */
static bool
is_qualified(const struct mailaddr *addr)
{
	return addr->domain_len == 0 || addr->is_literal ||
	    memchr(addr->domain, '.', addr->domain_len) != NULL;
}

static int
check(validate_context *vctx, const struct mailaddr *addr,
    enum esmtp_reply_id id)
{
	return !validate_context_options(vctx)->require_fqdn ||
	    is_qualified(addr) ? VALIDATE_CONT : validate_refuse(vctx, id);
}

static int
mailfrom(const char *, const struct mailaddr *addr, accept_construct *,
    validate_context *vctx, void *)
{
	return check(vctx, addr, RPL_SENDER_FQDN);
}

static int
rcptto(const char *, const struct mailaddr *addr, accept_construct *,
    validate_context *vctx, void *)
{
	/* RFC 5321 4.1.1.3: <postmaster> has no domain, but it may have got the
	 * default one here, which may be of one label */
	return mailaddr_is_postmaster(addr) ? VALIDATE_CONT :
	    check(vctx, addr, RPL_RCPT_FQDN);
}

const struct validate_module policy_fqdn = {
	.size = sizeof(struct validate_module), .name = "fqdn",
	.phase[VALIDATE_PHASE_MAILFROM] = mailfrom,
	.phase[VALIDATE_PHASE_RCPTTO] = rcptto,
};
