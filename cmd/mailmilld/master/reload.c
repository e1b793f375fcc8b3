/* Changing over to a new configuration.
 * Owns: reading it, the processes and listeners that wait for their turn.
 * A bad configuration, a port that cannot be bound, or a worker that does not
 * start with it: nothing has changed, and the log (and mailmillctl) says why.
 * While the new processes start the old ones go on serving. */

#include "cmd/mailmilld/master/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/master/certs.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/process/stats.h"

struct reload {
	struct config	 config;
	reload_done	*done;
	void		*closure;
};

static void
reload_end(struct master *m, const char *error)
{
	struct reload *r = m->reload;

	m->reload = NULL;
	if (r->done != NULL)
		r->done(r->closure, error);
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

static void
warn_if_changed(const char *name, const char *old, const char *new)
{
	if (strcmp(old, new) != 0)
		log_warnx("reload", "option=%s effect=%s", name,
		    "changes with the next start");
}

/* Settings that the running master does not change; say so. */
static void
warn_fixed(const struct settings *old, const struct settings *new)
{
	unsigned int id;

	warn_if_changed("pidfile", old->pidfile, new->pidfile);
	warn_if_changed("control", old->control, new->control);
	for (id = 0; id < NROLES; id++)
		/* a role that is new takes the account it is given */
		if (role_of(id)->account_setting != NULL &&
		    role_count(old, id) > 0)
			warn_if_changed(role_of(id)->account_setting,
			    role_account(old, id), role_account(new, id));
}

static int
reload_prepare(struct master *m, struct config *config, char *err_r,
    size_t errlen)
{
	if (config_read(m->config.generation + 1, config, err_r, errlen) == -1)
		return -1;
	if (strcmp(config->settings->spool, m->config.settings->spool) != 0) {
		snprintf(err_r, errlen, "%s: option 'spool': another spool "
		    "needs a restart", config_filename());
		config_clear(config);
		return -1;
	}
	/* a role may be new, and then its account is */
	if (accounts_find(config->settings, m->is_foreground,
	    m->accounts) == -1) {
		snprintf(err_r, errlen, "%s: an account is missing, the log "
		    "says which", config_filename());
		config_clear(config);
		return -1;
	}
	if (listeners_bind(m, config->settings) == -1) {
		snprintf(err_r, errlen, "%s: cannot bind, the log says why",
		    config_filename());
		config_clear(config);
		return -1;
	}
	return 0;
}

void
reload_begin(struct master *m, reload_done *done, void *closure)
{
	char err[SETTINGS_ERROR_MAX];
	struct reload *r;

	if (m->phase != MASTER_RUNNING || m->reload != NULL) {
		if (done != NULL)
			done(closure, m->reload != NULL ?
			    "a reload is in progress, try again" :
			    "the server is starting or stopping");
		else if (m->phase != MASTER_STOPPING)
			m->is_reload_wanted = true;
		return;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL) {
		log_err("reload-failed", "reason=%s", "memory");
		if (done != NULL)
			done(closure, "out of memory");
		return;
	}
	if (reload_prepare(m, &r->config, err, sizeof(err)) == -1) {
		log_errx("reload-failed", "reason=%s effect=%s", err,
		    "the old configuration stays in use");
		if (done != NULL)
			done(closure, err);
		free(r);
		return;
	}
	r->done = done;
	r->closure = closure;
	m->reload = r;
	warn_fixed(m->config.settings, r->config.settings);
	if (proc_start_all(m, &r->config) == -1)
		reload_abort(m, "cannot start processes");
}

/* The new processes are up: change over. */
static void
change_over(struct master *m)
{
	config_clear(&m->config);
	m->config = m->reload->config;
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
	certs_use(m);
	reload_end(m, NULL);
}

void
reload_step(struct master *m)
{
	if (m->reload != NULL && procs_ready(m, &m->reload->config))
		change_over(m);
	if (m->reload == NULL && m->is_reload_wanted) {
		m->is_reload_wanted = false;
		reload_begin(m, NULL, NULL);
	}
}
