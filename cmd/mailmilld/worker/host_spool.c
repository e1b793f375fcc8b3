/* The worker's spool, and what it says to the sessions.
 * Owns: its settings, its callbacks.  Each names a session by its handle. */

#include "cmd/mailmilld/worker/host_files.h"
#include "cmd/mailmilld/worker/worker_int.h"

#include <errno.h>
#include <string.h>

#include "core/process/log.h"
#include "core/util/addr.h"

static void
spool_done(void *closure, uint64_t handle, uint64_t ticket, int error)
{
	struct worker *w = closure;
	accept_construct *ac = sessions_find(w, handle);

	/* also if nobody waits for it any more */
	host_held_end(w, handle, error == 0);
	if (ac != NULL && esmtp_answer(w->host, ticket, error) == 0)
		session_wake(ac);
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

/* An IPv6 client has a /64 to choose from.  A client of a Unix socket has a key
 * that no address has. */
static void
spool_client(void *closure, uint64_t handle,
    unsigned char key[SPOOL_CLIENT_KEY])
{
	accept_construct *ac = sessions_find(closure, handle);
	const unsigned char *octets;
	uint32_t uid;
	int family;

	if (ac == NULL)
		return;
	_Static_assert(SPOOL_CLIENT_KEY == ADDR_NETWORK, "one client");
	if (addr_uid(&ac->remote_addr.sa, &uid))
		addr_network(&ac->remote_addr.sa, key);
	else if ((octets = addr_octets(&ac->remote_addr.sa, &family)) != NULL)
		memcpy(key, octets, family == AF_INET ? 4 : 8);
}

/* The worker is ready when messages can begin. */
static void
spool_opened(void *closure, int error)
{
	struct worker *w = closure;

	if (error == 0) {
		child_ready(w->child);
		return;
	}
	errno = error;
	log_err("spool", "step=%s", "number");
	w->has_failed = true;
	child_exit(w->child);
}

static const struct spool_writer_callbacks callbacks = {
	.done = spool_done,
	.opened = spool_opened,
	.room = spool_room,
	.client = spool_client,
	.committed = spool_committed
};

int
host_spool_open(struct worker *w)
{
	const struct settings *s = w->child->settings;
	struct spool_writer_config config = {
		.files = &host_files_ops,
		.segment_octets = (uint64_t)s->segment_size,
		.buffer_octets = (uint64_t)s->spool_buffer,
		.large_octets = (uint64_t)s->spool_large_message,
		.nworkers = (unsigned int)s->workers,
		.is_synced = s->spool_sync == SPOOL_SYNC_COMMIT,
		.maker_processors = w->is_bound ? &w->processors : NULL
	};

	w->files = host_files_new(config.is_synced, HOST_FILES_ASK_MS);
	config.files_closure = w->files;
	if (w->files != NULL)
		w->spool = spool_writer_open(&config, &callbacks, w);
	if (w->spool == NULL || spool_writer_attach(w->spool) == -1) {
		log_err("spool", "step=%s", "open");
		return -1;
	}
	return 0;
}
