/* Transports: the rows of transport.def. */

#include "core/queue/queue_int.h"

static const struct {
	const char	*name;
	bool		 is_idempotent;
	size_t		 max_jobs;
} transports[NTRANSPORTS] = {
#define TRANSPORT(id, n, idempotent, max) \
	[TRANSPORT_##id] = { .name = n, .is_idempotent = idempotent, \
	    .max_jobs = max },
#include "core/queue/transport.def"
#undef TRANSPORT
};

const char *
queue_transport_name(enum transport t)
{
	return transports[t].name;
}

size_t
queue_transport_max_jobs(enum transport t)
{
	return transports[t].max_jobs;
}
