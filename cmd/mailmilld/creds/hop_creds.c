/* The logins of next hops; see hop_creds.h. */

#include "cmd/mailmilld/creds/hop_creds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hop_creds {
	const struct settings	*settings;
	struct hop_logins	*v[];		/* of each Domain section; NULL: it has none */
};

/* Return 0, or -1 with a message. */
static int
load_domain(const struct settings_domain *d, struct hop_logins **t_r,
    char *err_r, size_t errlen)
{
	char why[SETTINGS_ERROR_MAX / 2], at[CONF_AT_MAX];
	size_t i;

	if ((*t_r = hop_logins_load(d->login, why, sizeof(why))) == NULL) {
		snprintf(err_r, errlen, "%s: option 'Login' of Domain \"%s\": "
		    "%s", conf_at_text(&d->at, at, sizeof(at)), d->name, why);
		return -1;
	}
	for (i = 0; i < d->route.n; i++)
		if (hop_logins_find(*t_r, d->route.v[i]) == NULL) {
			snprintf(err_r, errlen, "%s: option 'Login' of Domain "
			    "\"%s\": %.200s has no line for %.150s: write that "
			    "and user:password", conf_at_text(&d->at, at,
			    sizeof(at)), d->name, d->login, d->route.v[i]);
			return -1;
		}
	return 0;
}

struct hop_creds *
hop_creds_load(const struct settings *s, char *err_r, size_t errlen)
{
	struct hop_creds *c;
	size_t i;

	c = calloc(1, sizeof(*c) + s->ndomains * sizeof(c->v[0]));
	if (c == NULL) {
		snprintf(err_r, errlen, "option 'Login': out of memory");
		return NULL;
	}
	c->settings = s;
	for (i = 0; i < s->ndomains; i++)
		if (*s->domains[i].login != '\0' && load_domain(
		    &s->domains[i], &c->v[i], err_r, errlen) == -1) {
			hop_creds_free(c);
			return NULL;
		}
	return c;
}

void
hop_creds_free(struct hop_creds *c)
{
	size_t i;

	for (i = 0; c != NULL && i < c->settings->ndomains; i++)
		hop_logins_free(c->v[i]);
	free(c);
}

/* Has each token of ${t} a file with one?  Return 0, or -1 with a message. */
static int
check_tokens(const struct settings_domain *d, const struct hop_logins *t,
    char *err_r, size_t errlen)
{
	char token[HOP_LOGINS_TOKEN + 1], at[CONF_AT_MAX];
	const struct hop_login *l;
	size_t i;
	int rc;

	for (i = 0; (l = hop_logins_each(t, i)) != NULL; i++) {
		if (l->path == NULL)
			continue;
		rc = hop_login_token(l, token);
		explicit_bzero(token, sizeof(token));
		if (rc == 0)
			continue;
		snprintf(err_r, errlen, "%s: option 'Login' of Domain \"%s\": "
		    "%.200s: token for %.150s: %.200s: %s",
		    conf_at_text(&d->at, at, sizeof(at)), d->name, d->login,
		    l->hop, l->path, hop_login_fault(errno));
		return -1;
	}
	return 0;
}

int
hop_creds_check(const struct settings *s, char *err_r, size_t errlen)
{
	struct hop_creds *c = hop_creds_load(s, err_r, errlen);
	size_t i;
	int rc = c == NULL ? -1 : 0;

	for (i = 0; rc == 0 && i < s->ndomains; i++)
		if (c->v[i] != NULL)
			rc = check_tokens(&s->domains[i], c->v[i], err_r,
			    errlen);
	hop_creds_free(c);
	return rc;
}

const struct hop_login *
hop_creds_find(const struct hop_creds *c, size_t domain, size_t route)
{
	const struct settings_domain *d;

	if (domain >= c->settings->ndomains || c->v[domain] == NULL)
		return NULL;
	d = &c->settings->domains[domain];
	if (route >= d->route.n)
		return NULL;
	return hop_logins_find(c->v[domain], d->route.v[route]);
}
