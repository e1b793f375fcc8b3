/* What a worker says of a new exchange, checked.
 * Owns: the layout of the texts behind A_START, in both directions.
 * Knows nothing of what is done with it. */

#ifndef CMD_MAILMILLD_ROLE_AUTH_REQUEST_H
#define CMD_MAILMILLD_ROLE_AUTH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/role/msg.h"
#include "core/lim.h"

#define AUTH_LOG_ID_MAX		32
#define AUTH_EXPORTER_OCTETS	32	/* RFC 9266 */
#define AUTH_ENDPOINT_MAX	64	/* a hash; RFC 5929 4.1 */
#define AUTH_PEER_NAME_MAX	255
#define AUTH_INITIAL_MAX	MSG_AUTH_STEP_OCTETS

_Static_assert(LIM_AUTH_MECHANISM + AUTH_LOG_ID_MAX + AUTH_INITIAL_MAX +
    AUTH_EXPORTER_OCTETS + AUTH_ENDPOINT_MAX + AUTH_PEER_NAME_MAX <=
    MSG_AUTH_START_OCTETS, "A_START does not hold its texts");

struct auth_request {
	uint64_t	 id;
	uint64_t	 session;	/* its handle */
	bool		 is_tls;
	char		 mech[LIM_AUTH_MECHANISM + 1];	/* capitals */
	char		 log_id[AUTH_LOG_ID_MAX + 1];	/* of the session, in the log */
	char		 peer_name[AUTH_PEER_NAME_MAX + 1]; /* "" for none */
	uint8_t		 exporter[AUTH_EXPORTER_OCTETS];
	uint8_t		 endpoint[AUTH_ENDPOINT_MAX];
	size_t		 exporter_len, endpoint_len;
	const char	*initial;	/* in the message; NULL: there is none */
	size_t		 initial_len;
};

/* auth_request_parse(base, entries, nentries, r): Check the form of an A_START.
 * Return 0, or -1 when no worker of ours would send that. */
int auth_request_parse(const struct msg_auth_start *base,
    const uint8_t *entries, unsigned int nentries, struct auth_request *r);

/* auth_request_put(r, base_r, buf, len): Write such a message.  Return octets
 * of ${buf}, or -1 when it has no room for them or ${r} could not be parsed
 * again. */
int auth_request_put(const struct auth_request *r,
    struct msg_auth_start *base_r, uint8_t *buf, size_t len);

#endif
