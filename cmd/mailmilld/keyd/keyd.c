/* The role keyd: the one process that has private keys, and passwords for next
 * hops.
 * Owns: its start (an account, a root and descriptors with nothing else in
 * them), the keys as they come from the master, version by version, its end.
 * Knows nothing of what is signed for whom (keyd_worker.c), and of logins
 * (keyd_login.c). */

#include "cmd/mailmilld/keyd/keyd_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/creds/creds.h"
#include "cmd/mailmilld/keyd/keyd_memory.h"
#include "cmd/mailmilld/role/child.h"
#include "cmd/settings/settings_tls.h"
#include "core/process/log.h"

struct role_state {
	struct child	*child;
	struct keyd	 keyd;
	/* the version that is coming: M_CERTS, M_KEY..., M_KEYS_END */
	struct bundle	*bundle;	/* NULL: none, or a bad one */
	uint32_t	 coming;
	size_t		 nkeys;		/* of it, good ones */
	/* the last one that was good, and is kept beside the next */
	uint32_t	 version;
};

/* --- keys from the master ------------------------------------------------- */

static void
check_memory(int rc)
{
	if (rc == -1)
		log_warn("keyd", "step=%s effect=%s", "lock-memory",
		    "keys may be written to swap space");
}

static void
on_certs(void *closure, struct channel_msg *msg)
{
	struct role_state *s = closure;
	struct msg_certs certs;

	memcpy(&certs, msg->base, sizeof(certs));
	bundle_free(s->bundle);
	s->coming = certs.version;
	s->nkeys = 0;
	s->bundle = msg->fd == -1 ? NULL :
	    bundle_read(msg->fd, s->keyd.settings);
	if (s->bundle == NULL)
		log_err("keyd-certificates", "version=%u", certs.version);
}

static void
on_key(void *closure, struct channel_msg *msg)
{
	struct role_state *s = closure;
	const struct settings_tls *tls = s->keyd.settings->tls;
	char err[KEEPER_ERROR_MAX] = "was not received: out of descriptors";
	struct tlsctx_octets cert;
	struct msg_key key;

	memcpy(&key, msg->base, sizeof(key));
	if (s->bundle == NULL || key.version != s->coming ||
	    key.pair >= tls->npairs)
		return;
	cert = bundle_cert(s->bundle, key.pair);
	if (msg->fd != -1 && keeper_load(s->keyd.keeper, key.version, key.pair,
	    msg->fd, cert.v, cert.len, err, sizeof(err)) == 0) {
		s->nkeys++;
		return;
	}
	log_errx("key", "file=%s certificate=%s reason=%s",
	    tls->pairs[key.pair].key, tls->pairs[key.pair].cert, err);
}

/* A version counts only whole; handshakes that began with the one before it
 * still end with that. */
static void
on_keys_end(void *closure, struct channel_msg *msg)
{
	struct role_state *s = closure;
	struct msg_keys_ready ready = { 0 };
	struct msg_certs certs;
	char text[LOG_ERROR_MAX];

	memcpy(&certs, msg->base, sizeof(certs));
	ready.version = certs.version;
	ready.is_good = s->bundle != NULL && certs.version == s->coming &&
	    s->nkeys == s->keyd.settings->tls->npairs;
	bundle_free(s->bundle);
	s->bundle = NULL;
	check_memory(keyd_memory_extend());
	if (ready.is_good) {
		keeper_forget(s->keyd.keeper, s->version);
		s->version = certs.version;
		log_event(LOG_LEVEL_INFO, "keys", "version=%u keys=%zu",
		    s->version, s->nkeys);
	} else {
		/* later the answer is enough: the keys of before are in use */
		if (!s->child->is_ready)
			child_trouble(s->child, log_last_error(text,
			    sizeof(text)));
		log_errx("keys", "version=%u effect=%s", certs.version,
		    "the keys of before stay in use");
	}
	(void)chanev_send(s->child->master, M_KEYS_READY, &ready, NULL, 0, -1);
}

/* --- life ----------------------------------------------------------------- */

static void
on_peer(void *closure, const struct msg_peer *peer, int fd)
{
	struct role_state *s = closure;

	if (peer->role == ROLE_RELAY) {
		if (keyd_relay_open(&s->keyd, peer, fd) == -1)
			log_err("keyd-connect", "slot=%u", peer->slot);
		return;
	}
	if (keyd_worker_open(&s->keyd, peer, fd) == -1)
		log_err("keyd-connect", "slot=%u", peer->slot);
}

/* Workers and relays end first, and close their channels with that. */
static void
exit_if_done(void *closure)
{
	struct role_state *s = closure;

	if (s->child->is_draining && TAILQ_EMPTY(&s->keyd.workers) &&
	    TAILQ_EMPTY(&s->keyd.relays))
		child_exit(s->child);
}

static const struct child_ops child_ops = {
	.on = {
		[M_CERTS] = on_certs,
		[M_KEY] = on_key,
		[M_KEYS_END] = on_keys_end
	},
	.peer = on_peer,
	.drain = exit_if_done
};

/* The files of Login, while they can be opened. */
static int
load_logins(struct keyd *kd)
{
	char err[SETTINGS_ERROR_MAX];

	kd->creds = hop_creds_load(kd->settings, err, sizeof(err));
	if (kd->creds != NULL)
		return 0;
	log_errx("keyd-logins", "reason=%s", err);
	return -1;
}

static int
keyd_main(struct child *c)
{
	struct role_state s = { .child = c, .keyd = { .settings = c->settings,
		.done = exit_if_done, .closure = &s } };
	int status = 1;

	TAILQ_INIT(&s.keyd.workers);
	TAILQ_INIT(&s.keyd.relays);
	TAILQ_INIT(&s.keyd.working);
	check_memory(keyd_memory_lock());
	/* the null device: nothing here uses standard output.  Standard error
	 * stays, for messages of libraries. */
	(void)dup2(STDIN_FILENO, STDOUT_FILENO);
	if (child_load_crypto(c) == -1 || load_logins(&s.keyd) == -1 ||
	    child_drop(c) == -1)
		goto out;
	check_memory(keyd_memory_extend());
	if ((s.keyd.keeper = keeper_new()) == NULL) {
		log_err("start", "role=%s", "keyd");
		goto out;
	}
	status = child_run(c, &child_ops, &s);
	keyd_workers_close(&s.keyd);
	keyd_relays_close(&s.keyd);
	bundle_free(s.bundle);
	keeper_free(s.keyd.keeper);
out:
	hop_creds_free(s.keyd.creds);
	return status;
}

static unsigned int
keyd_count(const struct settings *s)
{
	return s->tls->npairs > 0 || settings_has_logins(s) ?
	    (unsigned int)s->keyds : 0;
}

const struct role role_keyd = {
	.id = ROLE_KEYD,
	ROLE_ACCOUNT(key_user),
	.count = keyd_count,
	.main = keyd_main,
	.is_split = true,
	.root = SPOOL_EMPTY,
	.has_secrets = true,
	.profile = {
		/* certificates come as sealed memory */
		.calls = "fcntl:seals mlock2 pread64",
		.file_max = role_writes_nothing
	}
};
