/* Sender addresses: may a login use one?  The file of Sender_Login decides. */

#include "cmd/mailmilld/worker/worker_int.h"

#include "core/lim.h"
#include "core/table/sender_logins.h"

int
host_sender_may_use(void *host, accept_construct *ac, const char *login,
    const struct mailaddr *sender)
{
	const struct worker *w = host;
	const struct sender_logins *table;
	char address[LIM_PATH + 2];

	if (ac->options->sender_login[0] == '\0')
		return 1;
	table = settings_sender_logins(w->child->settings,
	    ac->options->sender_login);
	/* in the form that the spool gets, so that quotes make no difference */
	return table != NULL &&
	    mailaddr_format(sender, address, sizeof(address)) != -1 &&
	    sender_logins_may(table, login, address);
}
