/* keyd's answers to relay: logins at next hops.
 * Owns: the exchanges (SASL) that relay has begun, how many a second it may
 * begin.
 * Knows nothing of SMTP, and of how the passwords come here (creds/hop_creds.h).
 *
 * A password stays here as long as the mechanism permits: with SCRAM relay gets a
 * proof that is good for that one server and exchange, and with its forms that
 * are bound to TLS for that one connection, of which relay says what it can be
 * told by.  PLAIN and LOGIN tell the
 * password itself, which relay gets for a server of which it says that it is
 * verified.  An attacker may control relay, and lie: so each exchange is in the
 * log, and there are not many in a second.
 *
 * SCRAM takes as long as the server says.  There is one slice of it in a pass of
 * the loop, whatever number of exchanges want one, and signatures get their turn
 * in between. */

#include "cmd/mailmilld/keyd/keyd_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"
#include "core/util/wipe.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/sasl/sasl_client.h"
#include "tls/tls_client.h"

#define EXCHANGES_MAX	4096	/* of a relay at once: as many as its connections */
#define BEGIN_RATE	100	/* a second */

/* One exchange. */
struct keyd_exchange {
	TAILQ_ENTRY(keyd_exchange) link;
	TAILQ_ENTRY(keyd_exchange) working;	/* with is_working */
	struct keyd_relay	*relay;
	uint64_t		 id;		/* relay's */
	uint32_t		 mechanism;	/* esmtp_auth_mech_at() */
	bool			 is_working;
	struct sasl_client	*sasl;
};

static void
exchange_free(struct keyd_exchange *x)
{
	if (x->is_working)
		TAILQ_REMOVE(&x->relay->keyd->working, x, working);
	TAILQ_REMOVE(&x->relay->exchanges, x, link);
	x->relay->nexchanges--;
	sasl_client_free(x->sasl);
	free(x);
}

static struct keyd_exchange *
find(const struct keyd_relay *r, uint64_t id)
{
	struct keyd_exchange *x;

	TAILQ_FOREACH (x, &r->exchanges, link)
		if (x->id == id)
			break;
	return x;
}

/* --- answers -------------------------------------------------------------- */

static void
refuse(struct keyd_relay *r, uint64_t id, int errnum)
{
	struct msg_hop_auth reply = { .id = id, .status = (uint32_t)errnum };

	(void)chanev_send(r->peer.ce, K_RESPONSE, &reply, NULL, 0, -1);
}

static void
work_on(struct keyd *kd);

/* A step has come to ${rc}, and ${out}, which it takes. */
static void
answer(struct keyd_exchange *x, int rc, char *out, size_t len)
{
	struct msg_hop_auth reply = { .id = x->id,
		.mechanism = x->mechanism };
	struct keyd *kd = x->relay->keyd;
	struct keyd_relay *r = x->relay;

	if (rc == 1) {
		if (!x->is_working)
			TAILQ_INSERT_TAIL(&kd->working, x, working);
		x->is_working = true;
		work_on(kd);
		return;
	}
	if (rc == -1 || len > MSG_HOP_OCTETS) {
		refuse(r, x->id, rc == -1 ? errno : EMSGSIZE);
		wipe_free(out, len);
		exchange_free(x);
		return;
	}
	if (out != NULL)
		reply.flags |= MSG_HOP_RESPONSE;
	if (sasl_client_is_done(x->sasl))
		reply.flags |= MSG_HOP_DONE;
	(void)chanev_send(r->peer.ce, K_RESPONSE, &reply, out,
	    (unsigned int)len, -1);
	wipe_free(out, len);
}

/* One slice, of the exchange whose turn it is. */
static void
on_work(void *closure)
{
	struct keyd *kd = closure;
	struct keyd_exchange *x = TAILQ_FIRST(&kd->working);
	char *out;
	size_t len;
	int rc;

	kd->work = NULL;
	if (x == NULL)
		return;
	TAILQ_REMOVE(&kd->working, x, working);
	x->is_working = false;
	rc = sasl_client_go_on(x->sasl, &out, &len);
	answer(x, rc, out, len);
	work_on(kd);
}

static void
work_on(struct keyd *kd)
{
	struct keyd_exchange *x;

	if (kd->work != NULL || TAILQ_EMPTY(&kd->working) ||
	    (kd->work = after_ms(0, on_work, kd)) != NULL)
		return;
	/* nobody would call for them again */
	while ((x = TAILQ_FIRST(&kd->working)) != NULL) {
		refuse(x->relay, x->id, ENOMEM);
		exchange_free(x);
	}
}

/* --- beginning one -------------------------------------------------------- */

/* Those of ${mechanisms} that may be used: relay has left out the others, but who
 * has taken it over may not have. */
static unsigned int
permitted(unsigned int mechanisms, bool is_verified)
{
	const struct esmtp_auth_mech *m;
	size_t i;

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
		if (!is_verified && (m->needs & (ESMTP_CAN_PASSWORD |
		    ESMTP_CAN_TOKEN)) != 0)
			mechanisms &= ~(1u << i);
	return mechanisms;
}

static uint32_t
number_of(const char *mechanism)
{
	const struct esmtp_auth_mech *m;
	uint32_t i;

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
		if (strcmp(m->name, mechanism) == 0)
			break;
	return i;
}

/* The mechanism ${name} with what ${l} has.  A token is read now, since somebody
 * may have written a new one.  NULL with errno. */
static struct sasl_client *
sasl_new(const struct hop_login *l, const char *name,
    struct sasl_client_login *login)
{
	char token[HOP_LOGINS_TOKEN + 1] = "";
	struct sasl_client *sasl = NULL;

	login->user = l->user;
	login->secret = login->is_token ? token : l->secret;
	if (!login->is_token || hop_login_token(l, token) == 0)
		sasl = sasl_client_new(name, login);
	explicit_bzero(token, sizeof(token));
	return sasl;
}

/* Return an exchange that has said nothing yet, or NULL with errno. */
static struct keyd_exchange *
exchange_new(struct keyd_relay *r, const struct msg_hop_login *ask,
    const struct channel_msg *msg)
{
	const struct hop_login *l = hop_creds_find(r->keyd->creds,
	    ask->domain, ask->route);
	struct sasl_client_login login = { .mechanisms = permitted(
		ask->mechanisms, ask->is_verified != 0),
		.binding_type = tls_client_binding_name(
		(enum tls_client_binding)ask->binding) };
	struct keyd_exchange *x;
	const char *name;

	if (l == NULL)
		return errno = ENOENT, NULL;
	if (r->nexchanges == EXCHANGES_MAX || find(r, ask->id) != NULL)
		return errno = EAGAIN, NULL;
	if (login.binding_type != NULL) {
		login.binding = msg->entries;
		login.binding_len = msg->nentries;
	}
	login.is_token = l->secret == NULL;
	if ((name = sasl_client_choose(&login)) == NULL)
		return errno = ENOTSUP, NULL;
	if ((x = calloc(1, sizeof(*x))) == NULL)
		return NULL;
	if ((x->sasl = sasl_new(l, name, &login)) == NULL) {
		free(x);
		return NULL;
	}
	x->relay = r;
	x->id = ask->id;
	x->mechanism = number_of(name);
	TAILQ_INSERT_TAIL(&r->exchanges, x, link);
	r->nexchanges++;
	return x;
}

static const struct {
	int		 errnum;
	const char	*text;
} reasons[] = {
	{ ENOENT, "there is no login for that next hop" },
	{ EAGAIN, "too many logins at once" },
	{ ENOTSUP, "the server offers no mechanism that this host has and that "
	    "does not tell the password or token to a server that is not "
	    "verified" },
	{ EILSEQ, "the name or the password is not UTF-8" },
};

static const char *
reason_of(int errnum)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].errnum == errnum)
			return reasons[i].text;
	/* what else there is, is of a token */
	return hop_login_fault(errnum);
}

static void
log_refused(struct keyd_relay *r, const struct msg_hop_login *ask, int errnum)
{
	const struct settings *s = r->keyd->settings;
	uint64_t n = log_bound_count(&r->peer.refusals, monotonic_ms());
	bool is_known = ask->domain < s->ndomains &&
	    ask->route < s->domains[ask->domain].route.n;

	if (n == 0)
		return;
	log_warnx("hop-login-refused", "slot=%u instance=%u target=%s reason=%s "
	    "refused=%llu", r->peer.who.slot, r->peer.who.instance, is_known ?
	    s->domains[ask->domain].route.v[ask->route] : "unknown",
	    reason_of(errnum), (unsigned long long)n);
}

/* --- the channel ---------------------------------------------------------- */

static void
on_login(void *closure, struct channel_msg *msg)
{
	struct keyd_relay *r = closure;
	const struct settings *s = r->keyd->settings;
	struct msg_hop_login ask;
	struct keyd_exchange *x;
	char *out;
	size_t len;
	int rc;

	memcpy(&ask, msg->base, sizeof(ask));
	if ((x = exchange_new(r, &ask, msg)) == NULL) {
		log_refused(r, &ask, errno);
		refuse(r, ask.id, errno);
	} else {
		log_event(LOG_LEVEL_INFO, "hop-login", "slot=%u target=%s "
		    "mechanism=%s verified=%s", r->peer.who.slot,
		    s->domains[ask.domain].route.v[ask.route],
		    esmtp_auth_mech_at(x->mechanism)->name,
		    ask.is_verified != 0 ? "yes" : "no");
		rc = sasl_client_begin(x->sasl, &out, &len);
		answer(x, rc, out, len);
	}
	keyd_peer_keep_pace(&r->peer);
}

static void
on_challenge(void *closure, struct channel_msg *msg)
{
	struct keyd_relay *r = closure;
	struct msg_hop_auth base;
	struct keyd_exchange *x;
	char *out;
	size_t len;
	int rc;

	memcpy(&base, msg->base, sizeof(base));
	if ((x = find(r, base.id)) == NULL || x->is_working) {
		refuse(r, base.id, EPROTO);
		return;
	}
	rc = sasl_client_step(x->sasl, msg->entries, msg->nentries, &out,
	    &len);
	answer(x, rc, out, len);
}

static void
on_end(void *closure, struct channel_msg *msg)
{
	struct msg_hop_auth base;
	struct keyd_exchange *x;

	memcpy(&base, msg->base, sizeof(base));
	if ((x = find(closure, base.id)) != NULL)
		exchange_free(x);
}

static void
relay_free(struct keyd_relay *r)
{
	struct keyd_exchange *x;

	while ((x = TAILQ_FIRST(&r->exchanges)) != NULL)
		exchange_free(x);
	TAILQ_REMOVE(&r->keyd->relays, r, link);
	keyd_peer_close(&r->peer);
	free(r);
}

static void
relay_gone(void *closure)
{
	struct keyd_relay *r = closure;
	struct keyd *kd = r->keyd;

	relay_free(r);
	kd->done(kd->closure);
}

static const struct chanev_ops relay_ops = {
	.on = {
		[K_LOGIN] = on_login,
		[K_CHALLENGE] = on_challenge,
		[K_LOGIN_END] = on_end
	},
	.gone = relay_gone
};

int
keyd_relay_open(struct keyd *kd, const struct msg_peer *who, int fd)
{
	struct keyd_relay *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		close(fd);
		errno = ENOMEM;
		return -1;
	}
	r->keyd = kd;
	TAILQ_INIT(&r->exchanges);
	bucket_init_room(&r->peer.bucket, BEGIN_RATE, BEGIN_RATE,
	    monotonic_ms());
	if (keyd_peer_open(&r->peer, who, fd, &relay_ops, r) == -1) {
		free(r);
		return -1;
	}
	TAILQ_INSERT_TAIL(&kd->relays, r, link);
	return 0;
}

void
keyd_relays_close(struct keyd *kd)
{
	struct keyd_relay *r;

	while ((r = TAILQ_FIRST(&kd->relays)) != NULL)
		relay_free(r);
	after_cancel(&kd->work);
}
