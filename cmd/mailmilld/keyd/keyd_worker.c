/* keyd's answers to the workers.
 * Owns: which key the session of a listener may use, how many signatures a second
 * a worker gets.
 * Knows nothing of how a key comes here (keyd.c) or signs (tls/keeper.h).
 *
 * An attacker may control a worker: what it sends is checked here and in the
 * keeper, and a request that is refused is logged. */

#include "cmd/mailmilld/keyd/keyd_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/settings/settings_tls.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/util/monotonic.h"

/* --- a request ------------------------------------------------------------ */

static int
sign(struct keyd_worker *w, const struct msg_sign *ask, const uint8_t *tbs,
    size_t len, uint8_t sig_r[TLS_SIG_MAX], size_t *len_r)
{
	const struct settings *s = w->keyd->settings;

	if (ask->listener >= s->nlistens || ask->pair >= s->tls->npairs ||
	    !settings_tls_may_use(s, ask->listener, ask->pair)) {
		errno = EACCES;
		return -1;
	}
	return keeper_sign(w->keyd->keeper, ask->version, ask->pair,
	    (enum tls_scheme)ask->scheme, tbs, len, sig_r, len_r);
}

static const struct {
	int		 errnum;
	const char	*text;
} reasons[] = {
	{ EACCES, "the listener may not use this key" },
	{ ENOKEY, "no such key" },
	{ EINVAL, "the scheme does not fit the key" },
	{ EPERM, "not what a TLS server signs" },
	{ EIO, "the signature failed" },
};

static const char *
reason_of(int errnum)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].errnum == errnum)
			return reasons[i].text;
	return strerror(errnum);
}

/* A worker may ask for a key that it may not use once, by mistake; often only
 * if somebody has taken it over: one line in a while is enough. */
static void
log_refused(struct keyd_worker *w, const struct msg_sign *ask, int errnum)
{
	uint64_t n = log_bound_count(&w->peer.refusals, monotonic_ms());

	stats_inc(STATS_KEY_REFUSED);
	if (n == 0)
		return;
	log_warnx("key-refused", "slot=%u instance=%u listener=%u pair=%u "
	    "version=%u scheme=%x reason=%s refused=%llu", w->peer.who.slot,
	    w->peer.who.instance, ask->listener, ask->pair, ask->version,
	    ask->scheme, reason_of(errnum), (unsigned long long)n);
}

static void
answer(struct keyd_worker *w, const struct channel_msg *msg)
{
	struct msg_signed reply = { 0 };
	uint8_t sig[TLS_SIG_MAX];
	struct msg_sign ask;
	size_t len = 0;

	memcpy(&ask, msg->base, sizeof(ask));
	reply.id = ask.id;
	if (sign(w, &ask, msg->entries, msg->nentries, sig, &len) == 0)
		stats_inc(STATS_KEY_SIGNATURES);
	else {
		reply.status = (uint32_t)errno;
		len = 0;
		log_refused(w, &ask, errno);
	}
	/* a worker that does not read its answers loses them */
	(void)chanev_send(w->peer.ce, K_SIGNED, &reply, sig,
	    (unsigned int)len, -1);
}

/* --- the channel ---------------------------------------------------------- */

static void
worker_free(struct keyd_worker *w)
{
	TAILQ_REMOVE(&w->keyd->workers, w, link);
	keyd_peer_close(&w->peer);
	free(w);
}

static void
on_sign(void *closure, struct channel_msg *msg)
{
	struct keyd_worker *w = closure;

	answer(w, msg);
	keyd_peer_keep_pace(&w->peer);
}

static void
worker_gone(void *closure)
{
	struct keyd_worker *w = closure;
	struct keyd *kd = w->keyd;

	worker_free(w);
	if (TAILQ_EMPTY(&kd->workers))
		kd->done(kd->closure);
}

static const struct chanev_ops worker_ops = {
	.on = { [K_SIGN] = on_sign },
	.gone = worker_gone
};

int
keyd_worker_open(struct keyd *kd, const struct msg_peer *who, int fd)
{
	struct keyd_worker *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		close(fd);
		errno = ENOMEM;
		return -1;
	}
	w->keyd = kd;
	bucket_init(&w->peer.bucket, (uint64_t)kd->settings->key_rate,
	    monotonic_ms());
	if (keyd_peer_open(&w->peer, who, fd, &worker_ops, w) == -1) {
		free(w);
		return -1;
	}
	TAILQ_INSERT_TAIL(&kd->workers, w, link);
	return 0;
}

void
keyd_workers_close(struct keyd *kd)
{
	struct keyd_worker *w;

	while ((w = TAILQ_FIRST(&kd->workers)) != NULL)
		worker_free(w);
}
