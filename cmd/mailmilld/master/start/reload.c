/* Changing over to a new configuration.
 * Owns: the steps of it, the processes and listeners that wait for their turn.
 * First the configuration is read, and what it names is checked by processes
 * beside the loop; then its processes start; when they are ready, they take
 * over.  Until then the old ones serve.
 * A bad configuration, a port that cannot be bound, or a worker that does not
 * start with it: nothing has changed, and the log (and mailmillctl) says why. */

#include "cmd/mailmilld/master/start/start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/master/certs/certs.h"
#include "cmd/mailmilld/master/config/config.h"
#include "cmd/mailmilld/master/needs/daemon.h"
#include "cmd/mailmilld/master/needs/listen.h"
#include "cmd/mailmilld/master/needs/own_account.h"
#include "cmd/mailmilld/master/needs/spooldir.h"
#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/sessions/sessions.h"
#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/process/stats.h"

enum reload_stage {
	RELOAD_CHECKING,	/* what it names is being checked */
	RELOAD_STARTING		/* the new processes start */
};

struct reload {
	struct config		 config;
	enum reload_stage	 stage;
	unsigned int		 request;	/* the last one that it answers */
	bool			 is_second;	/* has replaced one in its checks */
	uint64_t		 ready_ms;	/* bounds RELOAD_STARTING */
};

/* --- the end -------------------------------------------------------------- */

/* Requests up to ${request} have their answer, which control_step() gives. */
static void
answer(struct master *m, unsigned int request, const char *error)
{
	m->reload_answered = request;
	strlcpy(m->reload_error, error, sizeof(m->reload_error));
	m->has_reload_answer = true;
	daemon_reloaded(error);
}

static void
reload_end(struct master *m, const char *error)
{
	struct reload *r = m->reload;

	m->reload = NULL;
	answer(m, r->request, error);
	free(r);
}

void
reload_abort(struct master *m, const char *why)
{
	struct proc *p;

	if (m->reload == NULL)
		return;
	log_errx("reload-failed", "reason=%s effect=%s", why,
	    "the old configuration stays in use");
	TAILQ_FOREACH(p, &m->procs, link)
		if (p->generation > m->config.generation) {
			p->state = PROC_DRAINING;
			proc_kill(p);
		}
	listeners_unbind(m);
	config_clear(&m->reload->config);
	reload_end(m, why);
}

void
reload_refuse(struct master *m, const char *why)
{
	reload_abort(m, why);
	if (m->reload_answered != m->wish.reloads)
		answer(m, m->wish.reloads, why);
}

/* --- the way there -------------------------------------------------------- */

static void
warn_if_changed(struct master *m, const char *name, const char *old,
    const char *new)
{
	if (strcmp(old, new) == 0)
		return;
	log_warnx("reload", "option=%s effect=%s", name,
	    "changes with the next start");
	if (*m->reload_fixed != '\0')
		strlcat(m->reload_fixed, ", ", sizeof(m->reload_fixed));
	strlcat(m->reload_fixed, name, sizeof(m->reload_fixed));
}

/* Settings that the running master does not change; say so. */
static void
warn_fixed(struct master *m, const struct settings *new)
{
	const struct settings *old = m->config.settings;
	unsigned int id;

	*m->reload_fixed = '\0';
	warn_if_changed(m, "pidfile", old->pidfile, new->pidfile);
	warn_if_changed(m, "control", old->control, new->control);
	for (id = 0; id < NROLES; id++)
		/* a role that is new takes the account it is given */
		if (role_of(id)->account_setting != NULL &&
		    role_shares(id) == id && role_count(old, id) > 0)
			warn_if_changed(m, role_of(id)->account_setting,
			    role_account(old, id), role_account(new, id));
}

/* Read it, and begin the checks.  Return 0, or -1 with why not. */
static int
prepare(struct master *m, struct config *config, char *err_r, size_t errlen)
{
	if (config_load(m->config.generation + 1, config, err_r, errlen) == -1)
		return -1;
	if (strcmp(config->settings->spool, m->config.settings->spool) != 0) {
		snprintf(err_r, errlen, "%s: option 'spool': another spool "
		    "needs a restart", config_filename());
		return -1;
	}
	return config_check(config, m->ops->probe, master_has_news, m, err_r,
	    errlen);
}

static void
begin(struct master *m)
{
	char err[SETTINGS_ERROR_MAX];
	struct reload *r;

	if ((r = calloc(1, sizeof(*r))) == NULL) {
		log_err("reload-failed", "reason=%s", "memory");
		reload_refuse(m, "out of memory");
		return;
	}
	r->request = m->wish.reloads;
	m->reload = r;
	daemon_reloading();
	if (prepare(m, &r->config, err, sizeof(err)) == -1)
		reload_abort(m, err);
}

/* The checks have ended well: start what it needs.  Return 0, or -1 with why
 * not. */
static int
start(struct master *m, struct config *config, char *err_r, size_t errlen)
{
	char why[LOG_ERROR_MAX];

	/* a role that the old configuration did not need has no account yet, and
	 * its folder in the spool is not that account's */
	if (accounts_find(config->settings, m->is_trial, m->accounts) == -1 ||
	    own_accounts_find(m, config->settings) == -1 ||
	    spooldir_make(config->settings->spool, m->accounts) == -1 ||
	    listeners_bind(m, config->settings) == -1) {
		snprintf(err_r, errlen, "%s: %s", config_filename(),
		    log_last_error(why, sizeof(why)));
		return -1;
	}
	warn_fixed(m, config->settings);
	if (proc_start_all(m, config) == 0)
		return 0;
	snprintf(err_r, errlen, "cannot start processes");
	return -1;
}

static void
check_step(struct master *m)
{
	struct reload *r = m->reload;
	char err[SETTINGS_ERROR_MAX];

	switch (config_verdict(&r->config, err, sizeof(err))) {
	case 0:
		return;
	case 1:
		r->stage = RELOAD_STARTING;
		r->ready_ms = master_after(m, READY_LIMIT_MS);
		if (start(m, &r->config, err, sizeof(err)) == 0)
			return;
		/* FALLTHROUGH */
	default:
		reload_abort(m, err);
	}
}

/* The new processes are up: change over.  Those that last go on. */
static void
change_over(struct master *m)
{
	struct proc *p;

	config_clear(&m->config);
	m->config = m->reload->config;
	TAILQ_FOREACH(p, &m->procs, link)
		if (role_of(p->role)->is_lasting)
			p->generation = m->config.generation;
	respawns_cancel(m);
	procs_collect(m);
	listeners_switch(m);
	links_adopt(m);
	log_set_level(m->config.settings->level);
	master_relog(m);
	stats_inc(STATS_RELOADS);
	log_event(LOG_LEVEL_NOTICE, "reloaded", "generation=%u",
	    m->config.generation);
	config_warn(&m->config);
	drain_begin(m);
	certs_use(m);
	reload_end(m, "");
}

static void
starting_step(struct master *m)
{
	char err[SETTINGS_ERROR_MAX];

	switch (procs_are_ready(m, &m->reload->config, &m->reload->ready_ms,
	    err, sizeof(err))) {
	case 0:
		return;
	case 1:
		change_over(m);
		return;
	default:
		reload_abort(m, err);
	}
}

/* Another reload is asked for during the checks: the file may have changed
 * since it was read.  Only once: requests that come faster than the checks end
 * would start them again for ever.  A further one waits for its turn. */
static void
check_again(struct master *m)
{
	log_event(LOG_LEVEL_NOTICE, "reload", "effect=%s", "the configuration "
	    "is read again, another reload was asked for");
	config_clear(&m->reload->config);
	free(m->reload);
	m->reload = NULL;
	begin(m);
	if (m->reload != NULL)
		m->reload->is_second = true;
}

void
reload_step(struct master *m)
{
	struct reload *r = m->reload;

	if (r != NULL && r->stage == RELOAD_CHECKING && !r->is_second &&
	    r->request != m->wish.reloads)
		check_again(m);
	/* not while an answer waits, which its own answer would replace */
	if (m->reload == NULL && m->reload_answered != m->wish.reloads &&
	    !m->has_reload_answer)
		begin(m);
	if (m->reload != NULL && m->reload->stage == RELOAD_CHECKING)
		check_step(m);
	if (m->reload != NULL && m->reload->stage == RELOAD_STARTING)
		starting_step(m);
	/* another one has been asked for: it begins when this one has been
	 * answered (control_step()) */
	if (m->reload == NULL && m->reload_answered != m->wish.reloads)
		m->has_news = true;
}

uint64_t
reload_deadline(const struct master *m)
{
	return m->reload == NULL ? 0 : m->reload->ready_ms;
}
