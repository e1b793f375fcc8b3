/* The worker's spool, and what it says to the sessions.
 * Owns: its settings, its callbacks.  Each names a session by its handle. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <string.h>

#include "core/process/log.h"
#include "core/util/addr.h"

static void
spool_done(void *closure, uint64_t handle, int error)
{
	accept_construct *ac = sessions_find(closure, handle);

	if (ac == NULL)
		return;
	esmtp_commit_done(ac, error);
	schedule_event_and_dispatch(ac->event, E_ASYNC);
}

static bool
spool_room(void *closure, uint64_t handle)
{
	accept_construct *ac = sessions_find(closure, handle);

	if (ac == NULL)
		return false;
	session_wake(ac);
	return true;
}

static void
spool_committed(void *closure, const struct spool_position *position)
{
	tell_committed(closure, position);
}

/* An IPv6 client has a /64 to choose from. */
static void
spool_client(void *closure, uint64_t handle,
    unsigned char key[SPOOL_CLIENT_KEY])
{
	accept_construct *ac = sessions_find(closure, handle);
	const unsigned char *octets;
	int family;

	if (ac != NULL && (octets = addr_octets(&ac->peer.sa, &family)) != NULL)
		memcpy(key, octets, family == AF_INET ? 4 : 8);
}

static const struct spool_writer_callbacks callbacks = {
	.done = spool_done,
	.room = spool_room,
	.client = spool_client,
	.committed = spool_committed
};

int
host_spool_open(struct worker *w, int dirfd)
{
	const struct settings *s = w->child->settings;
	struct spool_writer_config config = {
		.dirfd = dirfd,
		.number = 1 + (w->child->init.instance - 1) % 4094,
		.segment_octets = (uint64_t)s->segment_size,
		.buffer_octets = (uint64_t)s->spool_buffer,
		.large_octets = (uint64_t)s->spool_large_message,
		.quota_octets = (uint64_t)s->spool_quota,
		.nworkers = (unsigned int)s->workers,
		.is_synced = s->spool_sync == SPOOL_SYNC_COMMIT,
		.maker_processors = w->is_bound ? &w->processors : NULL
	};

	w->spool = spool_writer_open(&config, &callbacks, w);
	if (w->spool == NULL || spool_writer_attach(w->spool) == -1) {
		log_err("spool", "step=%s", "open");
		return -1;
	}
	w->host.spool = &spool_writer_ops;
	w->host.spool_closure = w->spool;
	return 0;
}
