/* Logins at next hops, as relay has them made: keyd has the passwords, and says
 * what a server is to be told.
 * Owns: the channel to keyd, the exchanges that wait for its answer.
 * Keeps no password and no response: what keyd says is given on at once. */

#include "cmd/mailmilld/relay/relay_int.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/chanev.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"
#include "proto/auth/esmtp_auth_mech.h"

struct relay_logins *
relay_logins_new(void)
{
	struct relay_logins *ls = calloc(1, sizeof(*ls));

	if (ls != NULL)
		TAILQ_INIT(&ls->list);
	return ls;
}

/* --- one exchange --------------------------------------------------------- */

/* It is over, here. */
static void
forget(struct relay_login *l)
{
	if (l->id == 0)
		return;
	TAILQ_REMOVE(&l->logins->list, l, link);
	l->id = 0;
}

/* What is to be said next: ${mechanism} NULL, nothing can be. */
static void
say(struct relay_login *l, const char *mechanism, const char *response,
    size_t len)
{
	bool is_begun = l->is_begun;

	if (mechanism != NULL && is_begun)
		l->is_proved = true;
	else if (mechanism != NULL)
		l->is_bound = esmtp_auth_mech_is_plus(mechanism,
		    strlen(mechanism));
	l->is_waiting = false;
	l->is_begun = true;
	if (mechanism == NULL)
		forget(l);
	l->say(l->closure, is_begun, mechanism, response, len);
}

static void
ask(struct relay_login *l, enum msg_type type, const void *base,
    const char *entries, size_t len)
{
	l->is_waiting = true;
	if (len <= MSG_HOP_OCTETS && chanev_send(l->logins->ce, type, base,
	    entries, (unsigned int)len, -1) == 0)
		return;
	l->is_inside = true;
	say(l, NULL, NULL, 0);
	l->is_inside = false;
}

/* Whoever is in the place of a server that is not verified could make a connection that
 * has no binding, and pass on a login that is not bound: RFC 5802 6 calls its client
 * one that cannot be ("n"), and no server would notice. */
static unsigned int
mechanisms_of(const struct relay_login_offer *offer)
{
	return offer->is_tls && !offer->is_verified && offer->len == 0 ? 0 :
	    offer->mechanisms;
}

void
relay_login_begin(struct relay_login *l, const struct relay_login_offer *offer)
{
	struct msg_hop_login base = { .domain = (uint32_t)l->domain,
		.route = (uint32_t)l->route, .mechanisms = mechanisms_of(offer),
		.is_verified = offer->is_verified,
		.binding = offer->binding };

	base.id = l->id = ++l->logins->last_id;
	l->is_begun = l->is_done = l->has_told = false;
	l->is_bound = l->is_proved = l->is_again = false;
	TAILQ_INSERT_TAIL(&l->logins->list, l, link);
	ask(l, K_LOGIN, &base, (const char *)offer->octets, offer->len);
}

void
relay_login_step(struct relay_login *l, const char *challenge, size_t len)
{
	struct msg_hop_auth base = { .id = l->id };

	l->is_done = false;
	/* keyd has ended meanwhile: the next one does not know of it */
	ask(l, K_CHALLENGE, &base, challenge, l->id == 0 ? SIZE_MAX : len);
}

/* A server that does not know the binding says so when it hears its name (RFC 5802 6, 7),
 * and a wrong password is refused after the proof.  So nobody can have a proof that is
 * bound to something taken for one that is not: where the server is not verified, each
 * one is bound, and whoever stands in the middle cannot use it. */
bool
relay_login_refused(struct relay_login *l, bool has_other, bool is_verified)
{
	l->is_again = l->is_bound && !l->is_proved &&
	    (has_other || is_verified);
	l->nrefused += l->is_again;
	return l->is_again;
}

bool
relay_login_end(struct relay_login *l, bool is_right, const char *remote)
{
	struct msg_hop_auth base = { .id = l->id };
	bool is_good = l->is_done && is_right;
	uint64_t n;

	if (l->id != 0)
		(void)chanev_send(l->logins->ce, K_LOGIN_END, &base, NULL, 0,
		    -1);
	forget(l);
	if (is_good || !l->has_told || l->is_again ||
	    (n = log_bound_count(&l->logins->failures, monotonic_ms())) == 0)
		return is_good;
	log_warnx("hop-login-failed", "remote=%s failed=%llu advice=%s", remote,
	    (unsigned long long)n, "mail for it waits: compare its line in the "
	    "file of Login with the server's account, then reload");
	return is_good;
}

/* --- the channel ---------------------------------------------------------- */

static void
on_response(void *closure, struct channel_msg *msg)
{
	struct relay_logins *ls = closure;
	const struct esmtp_auth_mech *m;
	struct msg_hop_auth base;
	struct relay_login *l;

	memcpy(&base, msg->base, sizeof(base));
	TAILQ_FOREACH (l, &ls->list, link)
		if (l->id == base.id)
			break;
	/* the connection may have ended meanwhile */
	if (l == NULL || !l->is_waiting)
		return;
	m = esmtp_auth_mech_at(base.mechanism);
	if (base.status != 0 || m == NULL) {
		say(l, NULL, NULL, 0);
		return;
	}
	l->is_done = (base.flags & MSG_HOP_DONE) != 0;
	l->has_told = true;
	/* "": the response of no octets is one */
	say(l, m->name, (base.flags & MSG_HOP_RESPONSE) == 0 ? NULL :
	    msg->nentries == 0 ? "" : msg->entries, msg->nentries);
}

/* Nobody will answer. */
static void
fail_all(struct relay_logins *ls)
{
	struct relay_login *l, *next;

	TAILQ_FOREACH_SAFE (l, &ls->list, link, next)
		if (l->is_waiting)
			say(l, NULL, NULL, 0);
		else
			forget(l);
}

static void
on_gone(void *closure)
{
	struct relay_logins *ls = closure;

	ls->ce = NULL;
	fail_all(ls);
}

static const struct chanev_ops ops = {
	.on = { [K_RESPONSE] = on_response },
	.gone = on_gone
};

int
relay_logins_peer(struct relay_logins *ls, const struct msg_peer *who, int fd)
{
	chanev_free(ls->ce);
	fail_all(ls);
	ls->ce = chanev_open(fd, ROLE_RELAY, ROLE_KEYD, &ops, ls);
	if (ls->ce == NULL)
		return -1;
	chanev_name(ls->ce, who->slot, who->instance);
	return 0;
}

void
relay_logins_free(struct relay_logins *ls)
{
	if (ls == NULL)
		return;
	chanev_free(ls->ce);
	free(ls);
}
