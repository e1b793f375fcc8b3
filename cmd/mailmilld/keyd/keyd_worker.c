/* keyd's answers to the workers.
 * Owns: the channels to them, which key the session of a listener may use, how
 * many signatures a second a worker gets.
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
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/scheduler.h"
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
	uint64_t n = log_bound_count(&w->refusals, monotonic_ms());

	stats_inc(STATS_KEY_REFUSED);
	if (n == 0)
		return;
	log_warnx("key-refused", "slot=%u instance=%u listener=%u pair=%u "
	    "version=%u scheme=%x reason=%s refused=%llu", w->who.slot,
	    w->who.instance, ask->listener, ask->pair, ask->version,
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
	(void)chanev_send(w->ce, K_SIGNED, &reply, sig, (unsigned int)len, -1);
}

/* --- pace ----------------------------------------------------------------- */

static void on_timer(void *);

/* What a worker asks for too soon stays in its channel, where it delays nobody
 * else. */
static void
hold(struct keyd_worker *w, unsigned int wait_ms)
{
	if ((w->timer = after_ms(wait_ms, on_timer, w)) != NULL)
		chanev_hold(w->ce);
}

/* A timer counts from the begin of the loop's pass, which may be long ago when
 * it is set after many signatures: so it can end too soon. */
static void
on_timer(void *closure)
{
	struct keyd_worker *w = closure;
	unsigned int wait_ms = bucket_wait(&w->bucket, monotonic_ms());

	w->timer = NULL;
	if (wait_ms > 0)
		hold(w, wait_ms);
	if (w->timer == NULL)
		chanev_resume(w->ce);
}

static void
keep_pace(struct keyd_worker *w)
{
	unsigned int wait_ms = bucket_take(&w->bucket, monotonic_ms());

	if (wait_ms > 0 && w->timer == NULL)
		hold(w, wait_ms);
}

/* --- the channel ---------------------------------------------------------- */

static void
worker_free(struct keyd_worker *w)
{
	TAILQ_REMOVE(&w->keyd->workers, w, link);
	after_cancel(&w->timer);
	chanev_free(w->ce);
	free(w);
}

static void
on_sign(void *closure, struct channel_msg *msg)
{
	struct keyd_worker *w = closure;

	answer(w, msg);
	keep_pace(w);
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
	w->who = *who;
	bucket_init(&w->bucket, (uint64_t)kd->settings->key_rate,
	    monotonic_ms());
	w->ce = chanev_open(fd, ROLE_KEYD, ROLE_WORKER, &worker_ops, w);
	chanev_name(w->ce, who->slot, who->instance);
	if (w->ce == NULL) {
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
