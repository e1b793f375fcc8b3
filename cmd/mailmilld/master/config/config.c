/* A configuration of the master: see config.h. */

#include "cmd/mailmilld/master/config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/authd/auth_check.h"
#include "cmd/mailmilld/creds/hop_creds.h"
#include "cmd/mailmilld/deliver/maildir_check.h"
#include "cmd/mailmilld/master/config/tls_options.h"
#include "cmd/mailmilld/module/modules.h"
#include "cmd/mailmilld/pipe/pipe_check.h"
#include "cmd/mailmilld/relay/route_check.h"
#include "cmd/mailmilld/sts/sts_check.h"
#include "cmd/settings/settings_tls.h"
#include "core/process/log.h"

static struct {
	const char		*filename;
	const char *const	*overrides;
	size_t			 n;
} source;

void
config_source(const char *filename, const char *const *overrides, size_t n)
{
	source.filename = filename;
	source.overrides = overrides;
	source.n = n;
}

const char *
config_filename(void)
{
	return source.filename;
}

static void
checks_end(struct config *config)
{
	size_t i;

	for (i = 0; i < CONFIG_NCHECKS; i++) {
		probe_free(config->checks[i]);
		config->checks[i] = NULL;
	}
}

void
config_clear(struct config *config)
{
	checks_end(config);
	creds_free(config->creds);
	config->creds = NULL;
	settings_free(config->settings);
	config->settings = NULL;
	if (config->fd > 0)
		close(config->fd);
	config->fd = -1;
}

/* --- reading -------------------------------------------------------------- */

/* What is checked here is what the children get: no file is read twice. */
static int
config_settings(struct config *config_r, char *err_r, size_t errlen)
{
	FILE *fp;

	config_r->fd = -1;
	if ((fp = fopen(source.filename, "re")) == NULL)
		goto err1;
	config_r->settings = settings_load(fp, source.filename,
	    source.overrides, source.n, err_r, errlen);
	fclose(fp);
	if (config_r->settings == NULL)
		return -1;
	if ((config_r->fd = settings_pack(config_r->settings)) != -1)
		return 0;
err1:
	snprintf(err_r, errlen, "%s: %s", source.filename, strerror(errno));
	return -1;
}

/* The files that the settings name. */
static int
config_files(struct config *config, char *err_r, size_t errlen)
{
	struct settings *s = config->settings;

	if (settings_load_recipients(s, err_r, errlen) == 0 &&
	    settings_load_sender_logins(s, err_r, errlen) == 0 &&
	    settings_load_aliases(s, err_r, errlen) == 0 &&
	    settings_load_transports(s, err_r, errlen) == 0 &&
	    settings_check_transports(s, err_r, errlen) == 0 &&
	    tls_options_check(s, err_r, errlen) == 0 &&
	    route_check_authorities(s, err_r, errlen) == 0 &&
	    sts_check_authorities(s, err_r, errlen) == 0 &&
	    hop_creds_check(s, err_r, errlen) == 0 &&
	    (config->creds = creds_open(s, 1, err_r, errlen)) != NULL)
		return 0;
	config_clear(config);
	return -1;
}

int
config_open(unsigned int generation, struct config *config_r, char *err_r,
    size_t errlen)
{
	memset(config_r, 0, sizeof(*config_r));
	config_r->generation = generation;
	if (config_settings(config_r, err_r, errlen) == 0)
		return 0;
	config_clear(config_r);
	return -1;
}

int
config_load(unsigned int generation, struct config *config_r, char *err_r,
    size_t errlen)
{
	return config_open(generation, config_r, err_r, errlen) == 0 ?
	    config_files(config_r, err_r, errlen) : -1;
}

/* --- checking ------------------------------------------------------------- */

/* What checks ${config}, and whether it has anything to check. */
static bool
check_of(struct config *config, enum config_check which,
    struct probe_spec *spec_r)
{
	const struct settings *s = config->settings;
	struct account account;

	switch (which) {
	case CONFIG_AUTH:
		auth_check(s, spec_r);
		return s->nbackends > 0;
	case CONFIG_CREDS:
		account_look(s, ROLE_KEYD, &account);
		creds_check(config->creds, &account, spec_r);
		return s->tls->npairs > 0;
	case CONFIG_MAILDIRS:
		maildir_check(s, spec_r);
		return s->ndomains > 0;
	case CONFIG_ROUTES:
		route_check(s, spec_r);
		return settings_relayers(s) > 0;
	case CONFIG_MODULES:
		modules_check(s, spec_r);
		return s->nmodules > 0;
	case CONFIG_PIPES:
		pipe_check(s, spec_r);
		return s->npipe_accounts > 0;
	case CONFIG_STS:
		sts_check(s, spec_r);
		return settings_has_sts(s);
	case CONFIG_NCHECKS:
		break;
	}
	return false;
}

int
config_check(struct config *config,
    struct probe *(*start)(const struct probe_spec *spec),
    void (*done)(void *closure), void *closure, char *err_r, size_t errlen)
{
	struct probe_spec spec;
	size_t i;

	for (i = 0; i < CONFIG_NCHECKS; i++)
		if (check_of(config, i, &spec) &&
		    ((config->checks[i] = start(&spec)) == NULL ||
		    (done != NULL &&
		    probe_watch(config->checks[i], done, closure) == -1))) {
			snprintf(err_r, errlen, "%s: %s", spec.what,
			    strerror(errno));
			return -1;
		}
	return 0;
}

/* What a check has found missing does not keep the server from starting: at
 * boot it may come later, and no mail is lost meanwhile. */
static void
note_absent(struct config *config, const char *what)
{
	config->nabsent++;
	log_warnx("absent", "reason=%s", what);
}

static void
on_notice(void *closure, const char *text)
{
	if (strncmp(text, PROBE_ABSENT, strlen(PROBE_ABSENT)) == 0)
		note_absent(closure, text + strlen(PROBE_ABSENT));
	else if (strncmp(text, PROBE_LIMITED, strlen(PROBE_LIMITED)) == 0)
		log_warnx("limited", "reason=%s", text +
		    strlen(PROBE_LIMITED));
}

static int
judge(struct config *config, enum config_check which, char *err_r,
    size_t errlen)
{
	const struct probe *p = config->checks[which];
	int rc;

	if (which == CONFIG_CREDS)
		return creds_use(config->creds, p, err_r, errlen);
	rc = probe_judge(p, on_notice, config, err_r, errlen);
	/* a file server that does not answer */
	if (rc == -1 && (which == CONFIG_MAILDIRS || which == CONFIG_ROUTES)) {
		note_absent(config, err_r);
		return 0;
	}
	return rc;
}

int
config_verdict(struct config *config, char *err_r, size_t errlen)
{
	size_t i;
	int rc = 1;

	for (i = 0; i < CONFIG_NCHECKS; i++) {
		if (config->checks[i] == NULL)
			continue;
		if (!probe_has_ended(config->checks[i])) {
			rc = 0;
			continue;
		}
		if (judge(config, i, err_r, errlen) == -1)
			return -1;
		probe_free(config->checks[i]);
		config->checks[i] = NULL;
	}
	return rc;
}

int
config_complete(struct config *config, char *err_r, size_t errlen)
{
	size_t i;

	if (config_files(config, err_r, errlen) == -1)
		return -1;
	if (config_check(config, probe_start, NULL, NULL, err_r,
	    errlen) == 0) {
		for (i = 0; i < CONFIG_NCHECKS; i++)
			if (config->checks[i] != NULL)
				probe_wait(config->checks[i]);
		if (config_verdict(config, err_r, errlen) == 1)
			return 0;
	}
	config_clear(config);
	return -1;
}

static void
warn_trusting(const struct settings_listen *l)
{
	char at[CONF_AT_MAX];

	if (l->options->allow_xclient || l->options->allow_xcontext)
		log_warnx("trusts-all", "listener=%s at=%s effect=%s", l->name,
		    conf_at_text(&l->at, at, sizeof(at)), "Allow_XCLIENT or "
		    "Allow_XCONTEXT: every client may say that it is another "
		    "one; put it into a Peer section");
	if (l->options->vrfy_policy == ESMTP_VRFY_LOOKUP ||
	    l->options->expn_policy == ESMTP_VRFY_LOOKUP)
		log_warnx("trusts-all", "listener=%s at=%s effect=%s", l->name,
		    conf_at_text(&l->at, at, sizeof(at)), "VRFY_Policy or "
		    "EXPN_Policy is lookup: every client may find out which "
		    "mailboxes there are; put it into a Peer section");
	if (l->options->open_relay)
		log_warnx("open-relay", "listener=%s at=%s effect=%s", l->name,
		    conf_at_text(&l->at, at, sizeof(at)), "Open_Relay: every "
		    "client may send mail to anywhere; put it into a Peer "
		    "section");
}

void
config_warn(const struct config *config)
{
	const struct settings *s = config->settings;
	size_t i;

	if (s->sandbox == SANDBOX_OFF)
		log_warnx("sandbox-off", "effect=%s", "processes may make any "
		    "system call: for debugging only");
	if (s->ndomains == 0)
		log_warnx("no-domain", "effect=%s", "all mail is refused: add "
		    "a Domain section and reload");
	for (i = 0; i < s->nlistens; i++)
		warn_trusting(&s->listens[i]);
}
