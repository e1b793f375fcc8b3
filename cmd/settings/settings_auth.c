/* Settings: can a back end do what is to be offered?
 * Where a setting stands alone its own line is named; where two of them do not
 * go together, the Listen section in which they meet. */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/settings/auth_mech_table.h"
#include "cmd/settings/auth_spec.h"
#include "cmd/settings/settings_int.h"

static int
check_mechanism(struct conf *c, int line, const char *name)
{
	const struct auth_mech *m;
	char known[512] = "one of";
	size_t i, n = strlen(known);

	for (i = 0; (m = auth_mech_at(i)) != NULL; i++) {
		if (strcasecmp(m->name, name) == 0)
			return 0;
		if (n < sizeof(known))
			n += (size_t)snprintf(known + n, sizeof(known) - n,
			    "%s %s", i == 0 ? "" : ",", m->name);
	}
	return conf_error_value(c, line, "Auth_Mechanisms", name, known);
}

static int
check_backend(struct conf *c, int line, const char *spec)
{
	char err[AUTH_ERROR_MAX * 2];

	if (*spec == '\0' ||
	    auth_spec_check(spec, NULL, NULL, err, sizeof(err)) == 0)
		return 0;
	return conf_error(c, line, "option 'Auth_Backend': %s, found \"%s\"",
	    err, spec);
}

/* What is written in ${section} and in those inside it. */
static int
check_section(struct conf *c, const struct conf_section *section)
{
	const struct conf_section *child;
	const struct conf_value *v;
	size_t i;

	v = conf_get(c, section, ROW_auth_mechanisms);
	for (i = 0; v != NULL && i < v->n; i++)
		if (check_mechanism(c, v->line, v->v[i]) == -1)
			return -1;
	v = conf_get(c, section, ROW_auth_backend);
	if (v != NULL && v->n > 0 && check_backend(c, v->line, v->v[0]) == -1)
		return -1;
	STAILQ_FOREACH(child, &section->children, link)
		if (check_section(c, child) == -1)
			return -1;
	return 0;
}

static bool
can(const char *const *mechs, const char *name)
{
	for (; *mechs != NULL; mechs++)
		if (strcasecmp(*mechs, name) == 0)
			return true;
	return false;
}

/* What a client of that scope would be offered, and its back end cannot do. */
static int
check_options(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	const char *const *mechs;
	size_t i;

	if (*o->auth_backend == '\0')
		return 0;
	mechs = auth_spec_mechanisms(o->auth_backend, false);
	for (i = 0; i < o->auth_mechanisms.n; i++)
		if (!can(mechs, o->auth_mechanisms.v[i]))
			return conf_error(c, l->line, "option "
			    "'Auth_Mechanisms': the back end \"%s\" cannot do "
			    "%s: take it off the list", o->auth_backend,
			    o->auth_mechanisms.v[i]);
	return 0;
}

/* Who has to log in must be able to: else all mail of such clients is refused,
 * and nobody is told why. */
static int
check_required(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	if (!o->require_auth)
		return 0;
	if (*o->auth_backend == '\0')
		return conf_error(c, l->line, "option 'Require_Auth': nobody "
		    "can log in without Auth_Backend: set it, or take this "
		    "away");
	if (o->tls_certificate.n == 0 && !o->auth_without_tls)
		return conf_error(c, l->line, "option 'Require_Auth': nobody "
		    "can log in, for passwords are taken inside TLS only: set "
		    "TLS_Certificate and TLS_Key, or Auth_Without_TLS");
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
