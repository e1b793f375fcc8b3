/* The master's part in TLS: see certs.h.
 * When a file has changed, all files are opened and checked (creds.h), then
 * sent to every keyd, and, when each keyd has answered that it can use them, to
 * the workers.  Should a step fail, the version in use stays in use. */

#include "cmd/mailmilld/master/certs/certs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/mailmilld/master/certs/tickets.h"
#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/settings/settings_tls.h"

#define EXPIRY_SOON_S	(14 * 86400)	/* of life left: begin to warn */
#define EXPIRY_AGAIN_MS	(86400 * 1000ULL) /* between warnings */
#define EXPIRY_LOOK_MS	(3600 * 1000)	/* between looks, when tls_check_interval
					 * is 0 and files are not watched */

static bool
has_tls(const struct master *m)
{
	return m->config.settings->tls->npairs > 0;
}

/* --- to the processes ----------------------------------------------------- */

static int
send_certs(struct proc *p, const struct creds *c)
{
	struct msg_certs certs = { .version = creds_version(c) };

	return proc_send_fd(p, M_CERTS, &certs, creds_bundle(c));
}

/* To a keyd: certificates, each key, and that this was all. */
static int
send_keys(struct proc *p, const struct creds *c, size_t npairs)
{
	struct msg_certs certs = { .version = creds_version(c) };
	struct msg_key key = { .version = creds_version(c) };
	size_t i;

	if (send_certs(p, c) == -1)
		return -1;
	for (i = 0; i < npairs; i++) {
		key.pair = (uint32_t)i;
		if (proc_send_fd(p, M_KEY, &key, creds_key(c, i)) == -1)
			return -1;
	}
	p->certs_sent = certs.version;
	p->certs_awaited++;
	return chanev_send(p->ce, M_KEYS_END, &certs, NULL, 0, -1);
}

/* The files of the keys in use may have been overwritten, so that only the next
 * version is good.  A new keyd gets both; its answer about the next version
 * is the one that counts. */
static int
send_all_keys(const struct master *m, struct proc *p,
    const struct config *config, size_t npairs)
{
	if (send_keys(p, config->creds, npairs) == -1)
		return -1;
	if (config != &m->config || m->certs.next == NULL ||
	    m->certs.check != NULL)
		return 0;
	return send_keys(p, m->certs.next, npairs);
}

static int
send_tickets(struct master *m, struct proc *p, const struct settings *s)
{
	struct msg_tickets msg;
	int rc;

	tickets_message(m->certs.tickets,
	    (unsigned int)s->tls_ticket_lifetime, &msg);
	rc = chanev_send(p->ce, M_TICKETS, &msg, NULL, 0, -1);
	explicit_bzero(&msg, sizeof(msg));
	return rc;
}

int
certs_send(struct master *m, struct proc *p, const struct config *config)
{
	size_t npairs = config->settings->tls->npairs;

	if (npairs == 0)
		return 0;
	if (m->certs.tickets == NULL &&
	    (m->certs.tickets = tickets_new()) == NULL)
		return -1;
	if (p->role == ROLE_KEYD)
		return send_all_keys(m, p, config, npairs);
	if (p->role == ROLE_WORKER && (send_certs(p, config->creds) == -1 ||
	    send_tickets(m, p, config->settings) == -1))
		return -1;
	return 0;
}

/* --- a change ------------------------------------------------------------- */

static bool
is_ours(const struct master *m, const struct proc *p, enum role_id role)
{
	return p->role == role && p->generation == m->config.generation;
}

static void
forget_next(struct certs *t)
{
	probe_free(t->check);
	t->check = NULL;
	creds_free(t->next);
	t->next = NULL;
}

/* Log once why changed files are not used. */
static void
refuse(struct master *m, const char *why)
{
	forget_next(&m->certs);
	if (strcmp(m->certs.error, why) == 0)
		return;
	strlcpy(m->certs.error, why, sizeof(m->certs.error));
	log_errx("tls-change-failed", "reason=%s effect=%s", why,
	    "the certificates and keys in use stay in use");
}

/* Begin the check of m->certs.next; it ends in certs_step(). */
static int
begin_check(struct master *m, char *err_r, size_t errlen)
{
	struct certs *t = &m->certs;
	struct probe_spec spec;

	creds_check(t->next, &m->accounts[ROLE_KEYD], &spec);
	if ((t->check = m->ops->probe(&spec)) != NULL &&
	    probe_watch(t->check, master_has_news, m) == 0)
		return 0;
	snprintf(err_r, errlen, "%s: %s", spec.what, strerror(errno));
	return -1;
}

static void
look(struct master *m)
{
	struct certs *t = &m->certs;
	char err[SETTINGS_ERROR_MAX];

	if (m->phase != MASTER_RUNNING || m->reload != NULL ||
	    t->next != NULL || !creds_changed(m->config.creds))
		return;
	t->next = creds_open(m->config.settings, t->version + 1, err,
	    sizeof(err));
	if (t->next == NULL || begin_check(m, err, sizeof(err)) == -1)
		refuse(m, err);
}

/* The check has ended. */
static void
end_check(struct master *m)
{
	struct certs *t = &m->certs;
	char err[SETTINGS_ERROR_MAX];

	if (creds_use(t->next, t->check, err, sizeof(err)) == -1) {
		refuse(m, err);
		return;
	}
	probe_free(t->check);
	t->check = NULL;
	t->version++;
}

/* Every keyd has the next version: send it to the workers. */
static void
switch_over(struct master *m)
{
	struct certs *t = &m->certs;
	struct proc *p;

	creds_free(m->config.creds);
	m->config.creds = t->next;
	t->next = NULL;
	*t->error = '\0';
	t->has_warned = false;
	TAILQ_FOREACH(p, &m->procs, link)
		if (is_ours(m, p, ROLE_WORKER) &&
		    send_certs(p, m->config.creds) == -1)
			log_warn("tls-change", "role=%s slot=%u",
			    role_name(p->role), p->slot);
	log_event(LOG_LEVEL_NOTICE, "tls-change", "version=%u effect=%s",
	    creds_version(m->config.creds),
	    "changed certificates and keys are in use");
}

/* Have all keyds the next version?  Those that were not sent it get it. */
static void
hand_on(struct master *m)
{
	struct certs *t = &m->certs;
	unsigned int ngood = 0;
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link) {
		if (!is_ours(m, p, ROLE_KEYD) || p->state != PROC_READY)
			continue;
		if (p->certs_sent < creds_version(t->next) && send_keys(p,
		    t->next, m->config.settings->tls->npairs) == -1)
			proc_kill(p);	/* it may have got a part of them */
		ngood += p->certs_good == creds_version(t->next);
	}
	if (ngood == role_count(m->config.settings, ROLE_KEYD))
		switch_over(m);
}

/* A keyd can use what it was sent last, or not. */
static void
take_answer(struct master *m, struct proc *p)
{
	const struct msg_keys_ready *answer = &p->keys_answer;

	p->has_keys_answer = false;
	if (answer->is_good)
		p->certs_good = answer->version;
	else if (is_ours(m, p, ROLE_KEYD) && m->certs.next != NULL &&
	    answer->version == creds_version(m->certs.next))
		refuse(m, "keyd cannot use them, its lines in the log say why");
	else {
		/* the keys that it started with: without them it is of no
		 * use */
		if (*p->trouble == '\0')
			strlcpy(p->trouble, "it cannot use its keys, the log "
			    "says why", sizeof(p->trouble));
		proc_kill(p);
	}
}

/* --- the end of a certificate --------------------------------------------- */

static long long
seconds_left(const struct master *m, size_t pair)
{
	return (long long)creds_expiry(m->config.creds, pair) -
	    (long long)time(NULL);
}

static void
warn_expiry(struct master *m)
{
	const struct settings_tls *tls = m->config.settings->tls;
	struct certs *t = &m->certs;
	long long left;
	size_t i;

	if (t->has_warned &&
	    m->ops->now_ms() - t->warned_ms < EXPIRY_AGAIN_MS)
		return;
	for (i = 0; i < tls->npairs; i++) {
		left = seconds_left(m, i);
		if (left >= EXPIRY_SOON_S)
			continue;
		t->has_warned = true;
		t->warned_ms = m->ops->now_ms();
		log_warnx("tls-expiry", "certificate=%s name=%s days=%lld "
		    "effect=%s", tls->pairs[i].cert,
		    creds_name(m->config.creds, i), left / 86400, left < 0 ?
		    "it has expired, clients may refuse it" :
		    "it expires soon");
	}
}

bool
certs_first_expiry(const struct master *m, long long *seconds_r)
{
	long long left;
	size_t i;

	if (!has_tls(m))
		return false;
	*seconds_r = seconds_left(m, 0);
	for (i = 1; i < m->config.settings->tls->npairs; i++)
		if ((left = seconds_left(m, i)) < *seconds_r)
			*seconds_r = left;
	return true;
}

json_t *
certs_json(const struct master *m)
{
	const struct settings_tls *tls = m->config.settings->tls;
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < tls->npairs; i++)
		json_array_append_new(a, json_pack("{s:s, s:s, s:I, s:I}",
		    "certificate", tls->pairs[i].cert,
		    "name", creds_name(m->config.creds, i),
		    "expires", (json_int_t)creds_expiry(m->config.creds, i),
		    "seconds", (json_int_t)seconds_left(m, i)));
	return a;
}

/* --- what is due ---------------------------------------------------------- */

static void
look_later(struct master *m)
{
	int64_t interval_s = m->config.settings->tls_check_interval;

	m->certs.look_ms = master_after(m, interval_s == 0 ? EXPIRY_LOOK_MS :
	    (uint64_t)interval_s * 1000);
}

/* The period counts from the last rotation, so that frequent reloads do not
 * delay the next one. */
static void
rotate_later(struct master *m)
{
	struct certs *t = &m->certs;
	unsigned int period_ms = tickets_period_ms(
	    (unsigned int)m->config.settings->tls_ticket_lifetime);

	t->rotate_ms = period_ms == 0 ? 0 : t->rotated_ms + period_ms;
}

/* With ${is_distrusted} a worker that cannot get the new keys is killed: it would
 * go on to open tickets that an attacker can make. */
static void
spread_tickets(struct master *m, bool is_distrusted)
{
	struct proc *p;

	/* also those that a reload in progress has started */
	TAILQ_FOREACH(p, &m->procs, link) {
		if (p->role != ROLE_WORKER || !p->has_tls || p->is_killed ||
		    p->has_exited ||
		    send_tickets(m, p, m->config.settings) == 0)
			continue;
		log_warn("tls-tickets", "slot=%u effect=%s", p->slot,
		    is_distrusted ? "killed: it cannot be sent the new keys, "
		    "and the old ones may be known" :
		    "it makes tickets with the old keys");
		if (is_distrusted)
			proc_kill(p);
	}
}

static void
rotate(struct master *m)
{
	m->certs.rotated_ms = m->ops->now_ms();
	tickets_rotate(m->certs.tickets);
	spread_tickets(m, false);
	rotate_later(m);
}

void
certs_distrust(struct master *m)
{
	if (m->certs.tickets == NULL)
		return;
	tickets_renew(m->certs.tickets);
	spread_tickets(m, true);
}

void
certs_step(struct master *m)
{
	struct certs *t = &m->certs;
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->has_keys_answer)
			take_answer(m, p);
	if (master_is_due(m, &t->look_ms)) {
		if (m->config.settings->tls_check_interval > 0)
			look(m);
		warn_expiry(m);
		look_later(m);
	}
	if (master_is_due(m, &t->rotate_ms))
		rotate(m);
	if (t->check != NULL && probe_has_ended(t->check))
		end_check(m);
	if (t->next != NULL && t->check == NULL)
		hand_on(m);
}

void
certs_stop(struct master *m)
{
	forget_next(&m->certs);
	m->certs.look_ms = m->certs.rotate_ms = 0;
}

void
certs_use(struct master *m)
{
	struct certs *t = &m->certs;

	certs_stop(m);
	*t->error = '\0';
	t->has_warned = false;
	if (!has_tls(m))
		return;
	t->version = creds_version(m->config.creds);
	if (t->rotated_ms == 0)
		t->rotated_ms = m->ops->now_ms();
	warn_expiry(m);
	look_later(m);
	rotate_later(m);
}

void
certs_close(struct master *m)
{
	certs_stop(m);
	tickets_free(m->certs.tickets);
	m->certs.tickets = NULL;
}
