/* A session that another process has begun: see esmtp_move.c.
 * Owns: the checks of what the other process says of it.
 * The client has been greeted in the clear, so the session cannot go on where
 * the options demand TLS or a PROXY header first, or another protocol. */

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/factory/esmtp_factory_int.h"

/* The name goes into the log and into a Received field: it is one that the
 * client could have sent. */
static bool
is_good(const struct esmtp_moved *moved)
{
	size_t i, n = strnlen(moved->helo, sizeof(moved->helo));

	if (n > LIM_DOMAIN || moved->id[0] == '\0' ||
	    memchr(moved->id, '\0', sizeof(moved->id)) == NULL)
		return false;
	for (i = 0; i < n; i++)
		if (moved->helo[i] <= ' ' || moved->helo[i] > 126)
			return false;
	for (i = 0; moved->id[i] != '\0'; i++)
		if (!isxdigit((unsigned char)moved->id[i]))
			return false;
	return true;
}

/* Which protocol the client speaks, by what a library that may be older says */
static bool
is_lmtp(const struct esmtp_moved *moved)
{
	return moved->size >= sizeof(*moved) && moved->kind == ESMTP_KIND_LMTP;
}

int
esmtp_session_resume(accept_construct *ac, const struct esmtp_moved *moved,
    const struct timeval *now)
{
	message_construct *mc;
	char *helo = NULL;

	if (ac == NULL || moved == NULL || now == NULL ||
	    moved->size < offsetof(struct esmtp_moved, kind) ||
	    !is_good(moved) ||
	    ac->options->use_ssl ||
	    ac->options->proxy_protocol || ac->is_ended ||
	    is_lmtp(moved) != options_is_lmtp(ac->options) ||
	    esmtp_session_in(ac) != NULL) {
		errno = EINVAL;
		return -1;
	}
	if ((moved->has_helo && (helo = strdup(moved->helo)) == NULL) ||
	    (mc = esmtp_session_begin(ac, now)) == NULL) {
		free(helo);
		return -1;
	}
	mc->helo = helo;
	mc->is_esmtp = moved->is_esmtp != 0;
	mc->nmessages = moved->nmessages;
	mc->nrcpts = moved->nrcpts;
	mc->nerrors = moved->nerrors;
	memcpy(ac->id, moved->id, sizeof(ac->id));
	mc->is_resumed = 1;
	esmtp_set_state(mc, ES_SETUP);
	return 0;
}
