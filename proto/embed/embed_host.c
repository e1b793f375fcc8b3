/* Hosts: see esmtp_host.h.
 * Owns: the copies of a program's tables, the buffers of a loop. */

#include "proto/esmtp_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/lim.h"
#include "core/util/require.h"
#include "core/util/sized.h"
#include "proto/server/esmtp_host_struct.h"

/* The buffers come last, since they are not cleared. */
struct owned {
	struct esmtp_host	host;
	struct esmtp_host_ops	ops;
	struct spool_ops	spool;
	char			scratch[LIM_SCRATCH];
	char			output[LIM_OUTPUT];
};

struct esmtp_host *
esmtp_host_new(const struct esmtp_host_ops *ops, void *closure,
    const struct spool_ops *spool, void *spool_closure)
{
	struct owned *o;

	if ((o = malloc(sizeof(*o))) == NULL)
		return NULL;
	memset(o, 0, offsetof(struct owned, scratch));
	if (sized_copy(&o->spool, sizeof(o->spool), spool) == -1 ||
	    o->spool.begin == NULL || o->spool.append == NULL ||
	    o->spool.commit == NULL || o->spool.abort == NULL ||
	    (ops != NULL && sized_copy(&o->ops, sizeof(o->ops), ops) == -1)) {
		free(o);
		errno = EINVAL;
		return NULL;
	}
	answers_init(&o->host.answers);
	o->host.pid = getpid();
	o->host.ops = &o->ops;
	o->host.closure = closure;
	o->host.spool = &o->spool;
	o->host.spool_closure = spool_closure;
	o->host.scratch = o->scratch;
	o->host.scratch_octets = sizeof(o->scratch);
	o->host.output = o->output;
	o->host.output_octets = sizeof(o->output);
	return &o->host;
}

void
esmtp_host_free(struct esmtp_host *host)
{
	if (host == NULL)
		return;
	REQUIRE_OUTSIDE("esmtp_host_free", host->step != NULL,
	    "a step of one of its sessions", "after the end of the last one");
	/* a child of fork(2) has copies of sessions that go on in its parent */
	REQUIRE("esmtp_host_free", host->nlive <= 0 || host->pid != getpid(),
	    "not before the end of the last of its sessions: "
	    "esmtp_session_free()");
	answers_clear(&host->answers);
	/* the host is the first member of what was allocated */
	free(host);
}

int
esmtp_host_set(struct esmtp_host *host, enum esmtp_host_setting what,
    uint64_t value)
{
	switch (what) {
	case ESMTP_HOST_DRAINING:
		host->is_draining = value != 0;
		return 0;
	case ESMTP_HOST_RECONFIGURED:
		host->is_reconfigured = value != 0;
		return 0;
	case ESMTP_HOST_HELD:
		host->is_held = value != 0;
		return 0;
	case ESMTP_HOST_RCPTS_MAX:
		host->held_max = value <= SIZE_MAX ? (size_t)value : SIZE_MAX;
		return 0;
	case ESMTP_HOST_CLIENT_RCPTS_MAX:
		host->client_max = value <= SIZE_MAX ? (size_t)value : SIZE_MAX;
		return 0;
	}
	errno = EINVAL;
	return -1;
}
