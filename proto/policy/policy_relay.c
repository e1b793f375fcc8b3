/* Relaying: to which domains may this client send?
 * Any client: to the domains of Relay_Domains, or if that is not set, to those
 * that the host delivers to.  To all domains: a client that Relay_Hosts,
 * Relay_For_Sending_Domains, Open_Relay, TLS_Verified_Peer_Can_Relay or
 * Auth_Can_Relay allows it. */

#include <string.h>

#include "core/util/netmask.h"
#include "proto/options/options.h"
#include "proto/validate.h"

static bool
is_host_listed(const struct conf_list *list, const struct sockaddr *sa)
{
	struct netmask nm;
	size_t i;

	for (i = 0; i < list->n; i++)
		if (netmask_parse(list->v[i], strlen(list->v[i]), &nm) != -1 &&
		    netmask_match(&nm, sa))
			return true;
	return false;
}

static bool
is_sender_listed(const struct conf_list *list,
    const validate_context *vctx)
{
	struct mailaddr sender;

	return list->n > 0 && validate_context_sender(vctx, &sender) &&
	    options_lists(list, sender.domain, sender.domain_len);
}

/* RFC 5321 4.5.1: mail for postmaster is accepted, without a domain and in each
 * domain that the host delivers to. */
static bool
is_our_postmaster(validate_context *vctx, const struct mailaddr *addr)
{
	return mailaddr_is_postmaster(addr) && (addr->domain_len == 0 ||
	    validate_context_lookup_rcpt(vctx, addr) == ESMTP_RCPT_OK);
}

/* Has an authority of TLS_Client_CA signed the client's certificate?  After
 * XCLIENT, the certificate is not the client's. */
static bool
is_verified_peer(const validate_context *vctx)
{
	const struct esmtp_tls *tls = validate_context_tls(vctx);

	return tls != NULL && tls->is_verified &&
	    validate_context_via(vctx) == NULL;
}

static bool
is_ours(validate_context *vctx, const struct mailaddr *addr)
{
	enum esmtp_rcpt_status status =
	    validate_context_lookup_rcpt(vctx, addr);

	return status != ESMTP_RCPT_FOREIGN && status != ESMTP_RCPT_RELAY;
}

static bool
may_relay(validate_context *vctx, const struct mailaddr *addr)
{
	const struct esmtp_options *o = validate_context_options(vctx);

	if (o->open_relay)
		return true;
	if (o->relay_domains.n > 0) {
		if (options_lists(&o->relay_domains, addr->domain,
		    addr->domain_len))
			return true;
	} else if (is_ours(vctx, addr))
		return true;
	return (o->tls_verified_peer_can_relay && is_verified_peer(vctx)) ||
	    is_our_postmaster(vctx, addr) ||
	    (o->auth_can_relay && validate_context_login(vctx) != NULL) ||
	    is_host_listed(&o->relay_hosts, validate_context_peer(vctx)) ||
	    is_sender_listed(&o->relay_for_sending_domains, vctx);
}

static int
rcptto(const char *, const struct mailaddr *addr, accept_construct *,
    validate_context *vctx, void *)
{
	if (!may_relay(vctx, addr))
		return validate_refuse(vctx, RPL_RELAY);
	return VALIDATE_CONT;
}

const struct validate_module policy_relay = {
	.size = sizeof(struct validate_module), .name = "relay",
	.phase[VALIDATE_PHASE_RCPTTO] = rcptto,
};
