/* The limits on failures: what an exchange, an attempt to log in, is charged to.
 * Owns: when an attempt is charged to a client and to a login, and when that is
 * taken back. */

#include "cmd/mailmilld/authd/authd_exchange_int.h"

#include "core/util/monotonic.h"

/* Has the back end refused a token, but the client's answer to the refusal is
 * outstanding? */
static bool
is_refused(const struct authd_exchange *e)
{
	return e->x != NULL && auth_exchange_is_refused(e->x);
}

/* The attempt has failed, and counts. */
static void
log_failed(const struct authd_exchange *e)
{
	if (!authd_log_failed(e->authd, e->slot, &e->request, &e->who,
	    e->login, e->why) && e->worker != NULL)
		authd_complain(e->worker, "more failed logins than are logged");
}

/* Nothing was tried, so nothing counts; a token that was refused does, even if
 * the client goes away before it is told. */
void
authd_attempt_take_back(struct authd_exchange *e)
{
	if (is_refused(e)) {
		log_failed(e);
		return;
	}
	(void)pthread_mutex_lock(&e->authd->limit_lock);
	if (e->has_attempt)
		auth_limit_unsure(e->authd->limit, &e->attempt);
	(void)pthread_mutex_unlock(&e->authd->limit_lock);
}

/* Charge the attempt to ${login} (NULL: to the client's address alone), and no
 * longer to what it was charged to before.  The caller has the lock. */
static bool
charge(struct authd_exchange *e, const char *login)
{
	const struct auth_from from = { .client = vouched_client(&e->who),
		.via = vouched_via(&e->who), .slot = e->slot };

	if (e->has_attempt)
		auth_limit_unsure(e->authd->limit, &e->attempt);
	e->has_attempt = true;
	e->is_blocked = !auth_limit_begin(e->authd->limit, &from, login,
	    monotonic_ms(), &e->attempt);
	return !e->is_blocked;
}

/* May the back end be asked?  Called on a thread. */
bool
authd_attempt_may(const char *login, void *closure)
{
	struct authd_exchange *e = closure;
	bool is_allowed;

	(void)pthread_mutex_lock(&e->authd->limit_lock);
	is_allowed = charge(e, login);
	(void)pthread_mutex_unlock(&e->authd->limit_lock);
	return is_allowed;
}

/* Count the verdict of a step.  A login that is known only now, since the back
 * end did the whole mechanism, is charged now.  Over the limit the answer is
 * BLOCKED for right and wrong passwords alike. */
void
authd_attempt_settle(struct authd_exchange *e)
{
	bool is_verdict = e->status == ESMTP_AUTH_OK ||
	    e->status == ESMTP_AUTH_FAILED;

	(void)pthread_mutex_lock(&e->authd->limit_lock);
	if (!e->is_blocked && is_verdict && (!e->has_attempt ||
	    (!e->attempt.has_login && *e->login != '\0')))
		(void)charge(e, *e->login != '\0' ? e->login : NULL);
	if (e->is_blocked) {
		e->status = ESMTP_AUTH_BLOCKED;
		e->why = ESMTP_WHY_BLOCKED;
	} else if (e->status == ESMTP_AUTH_OK)
		auth_limit_good(e->authd->limit, &e->attempt, monotonic_ms());
	else if (!is_verdict && e->has_attempt && !is_refused(e) &&
	    (e->status != ESMTP_AUTH_CHALLENGE || e->worker == NULL))
		auth_limit_unsure(e->authd->limit, &e->attempt);
	(void)pthread_mutex_unlock(&e->authd->limit_lock);
	if (e->is_blocked && e->attempt.is_via_spent)
		authd_log_proxy(e->authd, e->slot, &e->who);
	/* a token that was refused, whose client has left: as in authd_attempt_take_back() */
	if (e->status == ESMTP_AUTH_FAILED || (e->worker == NULL &&
	    e->status == ESMTP_AUTH_CHALLENGE && is_refused(e)))
		log_failed(e);
}
