/* Signatures: the worker asks keyd.
 * Owns: the channel to keyd, the signatures that are pending.
 * Knows nothing of handshakes.  An answer names its session by handle, so that
 * one that comes late, or twice, finds none. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/process/log.h"
#include "tls/remote.h"

/* Each waits in a job of its handshake, and there are no more of those. */
#define PENDING_MAX	LIM_TLS_JOBS

struct pending {
	struct tls_sign	*sign;		/* NULL: free */
	uint64_t	 id;
	uint64_t	 handle;	/* of the session */
};

struct host_keyd {
	struct worker	*worker;
	struct chanev	*channel;	/* NULL: none now */
	uint64_t	 count;		/* of signatures asked for so far */
	unsigned int	 nfree;
	unsigned int	 free[PENDING_MAX];	/* indices */
	struct pending	 v[PENDING_MAX];
};

/* --- the table ------------------------------------------------------------ */

/* An id is a place in the table and a count that makes it unique. */
static struct pending *
pending_find(struct host_keyd *k, uint64_t id)
{
	struct pending *p = &k->v[id % PENDING_MAX];

	return p->sign != NULL && p->id == id ? p : NULL;
}

static struct pending *
pending_add(struct host_keyd *k, struct tls_sign *s,
    const accept_construct *ac)
{
	struct pending *p;
	unsigned int i;

	if (k->nfree == 0)
		return NULL;
	i = k->free[--k->nfree];
	p = &k->v[i];
	p->sign = s;
	p->id = k->count++ * PENDING_MAX + i;
	p->handle = ac->handle;
	s->id = p->id;
	return p;
}

static void
pending_remove(struct host_keyd *k, struct pending *p)
{
	p->sign = NULL;
	k->free[k->nfree++] = (unsigned int)(p - k->v);
}

/* Give the handshake its signature; NULL: there is none. */
static void
settle(struct host_keyd *k, struct pending *p, const uint8_t *sig, size_t len)
{
	accept_construct *ac = sessions_find(k->worker, p->handle);
	struct tls_sign *s = p->sign;

	pending_remove(k, p);
	tls_sign_done(s, sig, len);
	if (ac != NULL)
		schedule_event_and_dispatch(ac->event, E_ASYNC);
}

static void
fail_all(struct host_keyd *k)
{
	size_t i;

	for (i = 0; i < PENDING_MAX; i++)
		if (k->v[i].sign != NULL)
			settle(k, &k->v[i], NULL, 0);
}

/* --- the channel ---------------------------------------------------------- */

static void
on_signed(void *closure, struct channel_msg *msg)
{
	struct host_keyd *k = closure;
	struct msg_signed ms;
	struct pending *p;

	memcpy(&ms, msg->base, sizeof(ms));
	/* its session may have ended meanwhile */
	if ((p = pending_find(k, ms.id)) == NULL)
		return;
	if (ms.status == 0)
		settle(k, p, msg->entries, msg->nentries);
	else
		settle(k, p, NULL, 0);
}

static void
keyd_gone(void *closure)
{
	struct host_keyd *k = closure;

	k->channel = NULL;
	fail_all(k);
}

static const struct chanev_ops keyd_ops = {
	.on = { [K_SIGNED] = on_signed },
	.gone = keyd_gone
};

void
host_keyd_connect(struct host_keyd *k, int fd)
{
	chanev_free(k->channel);
	fail_all(k);
	k->channel = chanev_open(fd, ROLE_WORKER, ROLE_KEYD, &keyd_ops, k);
	if (k->channel == NULL)
		log_warn("keyd-connect", "effect=%s",
		    "no TLS until the next one");
}

/* --- what the provider asks ----------------------------------------------- */

static int
start(struct tls_sign *s, void *closure)
{
	struct host_keyd *k = closure;
	const accept_construct *ac = s->session;
	struct msg_sign ms = {
		.version = s->version,
		.pair = s->pair,
		.scheme = (uint32_t)s->scheme
	};
	struct pending *p;

	if (ac == NULL || k->channel == NULL || s->tbs_len > TLS_TBS_MAX ||
	    (p = pending_add(k, s, ac)) == NULL)
		return -1;
	ms.id = p->id;
	ms.listener = (uint32_t)ac->listener;
	if (chanev_send(k->channel, K_SIGN, &ms, s->tbs,
	    (unsigned int)s->tbs_len, -1) == 0)
		return 0;
	pending_remove(k, p);
	return -1;
}

static void
cancel(struct tls_sign *s, void *closure)
{
	struct host_keyd *k = closure;
	struct pending *p = pending_find(k, s->id);

	if (p != NULL && p->sign == s)
		pending_remove(k, p);
}

const struct tls_remote_ops host_keyd_ops = {
	.start = start,
	.cancel = cancel
};

/* -------------------------------------------------------------------------- */

struct host_keyd *
host_keyd_new(struct worker *w)
{
	struct host_keyd *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->worker = w;
	while (k->nfree < PENDING_MAX) {
		k->free[k->nfree] = k->nfree;
		k->nfree++;
	}
	return k;
}

void
host_keyd_free(struct host_keyd *k)
{
	if (k == NULL)
		return;
	chanev_free(k->channel);
	free(k);
}
