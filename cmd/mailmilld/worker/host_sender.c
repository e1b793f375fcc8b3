/* What a login may do, and how one may log in: what the sessions of a worker
 * ask of Sender_Login and of the back end.
 * Knows nothing of passwords. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <stdio.h>

#include "cmd/settings/auth_spec.h"
#include "core/lim.h"
#include "core/table/sender_logins.h"

int
wire_may_send_as(void *host, accept_construct *ac, const char *login,
    const struct mailaddr *sender)
{
	const struct worker *w = host;
	const struct sender_logins *table;
	char address[LIM_PATH + 2];

	if (ac->options->sender_login[0] == '\0')
		return 1;
	table = settings_sender_logins(w->child->settings,
	    ac->options->sender_login);
	/* as the spool will have it: the same mailbox is one sender, however
	 * it is quoted */
	return table != NULL &&
	    mailaddr_format(sender, address, sizeof(address)) != -1 &&
	    sender_logins_may(table, login, address);
}

const char *const *
wire_auth_mechanisms(void *host, accept_construct *ac)
{
	(void)host;
	return auth_spec_mechanisms(ac->options->auth_backend, true);
}
