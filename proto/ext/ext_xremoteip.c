/* XREMOTEIP, of the documented Momentum: a client that is allowed to says which
 * address it speaks for.  As XCLIENT with an address alone, but the greeting
 * stays: clients go on with MAIL. */

#include <stdlib.h>
#include <string.h>

#include "proto/parse/xattr.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_proxy.h"
#include "proto/server/esmtp_verb.h"

enum esmtp_want
esmtp_cmd_xremoteip(struct esmtp_step *st, const char *arg, size_t len)
{
	message_construct *mc = st->mc;
	char text[ADDR_TEXT + sizeof("IPV6:")];
	union addr peer;

	if (len >= sizeof(text)) {
		esmtp_reply(st, RPL_SYNTAX);
		return W_GO;
	}
	memcpy(text, arg, len);
	text[len] = '\0';
	if (xattr_address(text, &peer) == -1) {
		esmtp_reply(st, RPL_SYNTAX);
		return W_GO;
	}
	if (mc->told == NULL &&
	    (mc->told = calloc(1, sizeof(*mc->told))) == NULL) {
		esmtp_reply(st, RPL_NOMEM);
		return W_GO;
	}
	/* a name belongs to another address than this one */
	esmtp_told_clear(mc->told, ESMTP_CLIENT_NAME, ESMTP_CLIENT_NAME);
	/* nor is the login the new client's */
	esmtp_auth_forget(mc);
	mc->told->is_greeted = true;
	esmtp_peer_claim(st, &peer.sa);
	return W_GO;
}

static enum esmtp_reply_id
may_use(const message_construct *mc)
{
	return mc->ac->options->allow_xclient ? RPL_OK : RPL_NOT_AUTHORIZED;
}

const struct esmtp_ext esmtp_ext_xremoteip = {
	.keyword = "XREMOTEIP",
	.may_use = may_use,
};
