/* What is said of a message for which there is no next hop; see mx.h.
 * Owns: the replies. */

#include "cmd/mailmilld/lookup/mx.h"

const struct mx_reply *
mx_end_reply(enum mx_end end)
{
	static const struct mx_reply later = { 451, "4.4.3",
		"the DNS gives no answer about it now" };
	static const struct mx_reply replies[MX_NENDS] = {
		[MX_END_ROUTE] = { 451, "4.3.5", "the host that the "
		    "configuration names as the next hop has no address, or is "
		    "this server" },
		[MX_END_NO_DOMAIN] = { 550, "5.1.2",
		    "does not exist in the DNS" },
		[MX_END_NO_HOST] = { 550, "5.4.4",
		    "has neither an MX record nor an address" },
		[MX_END_NO_ADDRESS] = { 550, "5.4.4",
		    "none of the hosts in its MX records has an address" },
		[MX_END_NULL] = { 556, "5.1.10",
		    "accepts no mail (null MX)" },	/* RFC 7505 4 */
		[MX_END_SELF] = { 550, "5.4.6",
		    "its mail would come back to this server, which does not "
		    "deliver it" },
		[MX_END_TOO_MUCH] = { 550, "5.4.4", "has too many MX records" },
		[MX_END_BAD_NAME] = { 550, "5.1.2", "is no domain" },
	};

	return replies[end].text == NULL ? &later : &replies[end];
}
