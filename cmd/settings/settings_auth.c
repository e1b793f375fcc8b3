/* Settings: can a back end do what is to be offered?
 * A message about one setting names its own line; one about two settings that
 * contradict each other names the Listen section for which both are in force. */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/settings/auth_spec.h"
#include "cmd/settings/settings_int.h"
#include "proto/server/esmtp_auth_mech.h"

static int
check_mechanism(struct conf *c, const struct conf_at *at, const char *name)
{
	const struct esmtp_auth_mech *m;
	char known[512] = "one of";
	size_t i, n = strlen(known);

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++) {
		if (strcasecmp(m->name, name) == 0)
			return 0;
		if (n < sizeof(known))
			n += (size_t)snprintf(known + n, sizeof(known) - n,
			    "%s %s", i == 0 ? "" : ",", m->name);
	}
	return conf_error_value(c, at, "Auth_Mechanisms", name, known);
}

static int
check_backend(struct conf *c, const struct conf_at *at, const char *spec)
{
	char err[AUTH_ERROR_MAX * 2];

	if (*spec == '\0' ||
	    auth_spec_check(spec, NULL, NULL, err, sizeof(err)) == 0)
		return 0;
	return conf_error(c, at, "option 'Auth_Backend': %s, found \"%s\"",
	    err, spec);
}

/* The values set in ${section} and in the sections within it. */
static int
check_section(struct conf *c, const struct conf_section *section)
{
	const struct conf_section *child;
	const struct conf_value *v;
	size_t i;

	v = conf_get(c, section, ROW_auth_mechanisms);
	for (i = 0; v != NULL && i < v->n; i++)
		if (check_mechanism(c, &v->at, v->v[i]) == -1)
			return -1;
	v = conf_get(c, section, ROW_auth_backend);
	if (v != NULL && v->n > 0 && check_backend(c, &v->at, v->v[0]) == -1)
		return -1;
	STAILQ_FOREACH(child, &section->children, link)
		if (check_section(c, child) == -1)
			return -1;
	return 0;
}

/* What a client of that scope would be offered, and its back end cannot do. */
static int
check_options(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	/* a connection that lets a client use all */
	const struct esmtp_auth_scope scope = { .options = o,
	    .can = auth_spec_can(o->auth_backend), .is_tls = true,
	    .is_verified = true };
	const char *name;
	size_t i;

	if (*o->auth_backend == '\0')
		return 0;
	for (i = 0; (name = esmtp_auth_mech_listed(&scope, i)) != NULL; i++)
		if (esmtp_auth_mech_may(&scope, name, strlen(name)) != RPL_OK)
			return conf_error(c, &l->at, "option "
			    "'Auth_Mechanisms': the back end \"%s\" cannot do "
			    "%s: take it off the list", o->auth_backend, name);
	return 0;
}

/* Can some client use some mechanism?  RPL_OK, or why not even the last of
 * them. */
static enum esmtp_reply_id
can_log_in(const struct esmtp_options *o)
{
	const struct esmtp_auth_scope scope = { .options = o,
	    .can = auth_spec_can(o->auth_backend),
	    .is_tls = o->tls_certificate.n > 0,
	    .is_verified = o->tls_certificate.n > 0 && *o->tls_client_ca };
	enum esmtp_reply_id id = RPL_AUTH_MECHANISM;
	const char *name;
	size_t i;

	for (i = 0; (name = esmtp_auth_mech_listed(&scope, i)) != NULL &&
	    id != RPL_OK; i++)
		id = esmtp_auth_mech_may(&scope, name, strlen(name));
	return id;
}

/* A client that has to log in must be able to: else all its mail is refused, and
 * no message says why. */
static int
check_required(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	enum esmtp_reply_id id;

	if (!o->require_auth)
		return 0;
	if (*o->auth_backend == '\0')
		return conf_error(c, &l->at, "option 'Require_Auth': nobody "
		    "can log in without Auth_Backend: set it, or take this "
		    "away");
	if ((id = can_log_in(o)) == RPL_AUTH_TLS)
		return conf_error(c, &l->at, "option 'Require_Auth': nobody "
		    "can log in, for %s inside TLS only: set TLS_Certificate "
		    "and TLS_Key%s", o->auth_without_tls ?
		    "what Auth_Mechanisms names works" : "passwords are taken",
		    o->auth_without_tls ? "" : ", or Auth_Without_TLS");
	if (id != RPL_OK)
		return conf_error(c, &l->at, "option 'Require_Auth': nobody "
		    "can log in, for EXTERNAL needs a client's certificate: "
		    "set TLS_Client_CA, or add to Auth_Mechanisms");
	return 0;
}

int
settings_auth_check(struct conf *c, const struct settings *s)
{
	const struct esmtp_options *o;
	size_t i, j;

	if (check_section(c, c->root) == -1)
		return -1;
	for (i = 0; i < s->nlistens; i++)
		for (j = 0; (o = settings_options_at(s, i, j)) != NULL; j++)
			if (check_options(c, &s->listens[i], o) == -1 ||
			    check_required(c, &s->listens[i], o) == -1)
				return -1;
	return 0;
}
