/* TLS to next hops: one context for each file of authorities.
 * Owns: the contexts, which are made while files can still be opened. */

#include "cmd/mailmilld/relay/relay_int.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "tls/tls_client.h"

struct entry {
	const char		*path;		/* of TLS_CA_File */
	struct tls_client_ctx	*ctx;
	bool			 is_blind;	/* it could not be read */
};

struct relay_tls {
	size_t			 n;
	struct entry		 v[];
};

/* A context without authorities verifies nobody.  Return 0, or -1 having logged why
 * there is none. */
static int
load(const char *path, struct entry *e_r)
{
	struct tls_client_config config = { .protocols = "TLSv1.2 TLSv1.3" };
	char err[512];

	*e_r = (struct entry){ .path = path };
	if (tls_authorities_read(path, &config.authorities, err,
	    sizeof(err)) == -1) {
		e_r->is_blind = true;
		log_warnx("relay-authorities", "reason=%s effect=%s", err,
		    "no server is verified by them");
	}
	e_r->ctx = tls_client_ctx_new(&config, err, sizeof(err));
	free((void *)(uintptr_t)config.authorities.v);
	if (e_r->ctx == NULL)
		log_errx("relay-tls", "reason=%s", err);
	return e_r->ctx == NULL ? -1 : 0;
}

static const struct entry *
find(const struct relay_tls *t, const struct settings_domain *d)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strcmp(t->v[i].path, d->tls_ca_file) == 0)
			return &t->v[i];
	return NULL;
}

struct tls_client_ctx *
relay_tls_find(const struct relay_tls *t, const struct settings_domain *d)
{
	const struct entry *e = find(t, d);

	return e == NULL ? NULL : e->ctx;
}

bool
relay_tls_is_blind(const struct relay_tls *t, const struct settings_domain *d)
{
	const struct entry *e = find(t, d);

	return e != NULL && e->is_blind;
}

struct relay_tls *
relay_tls_load(const struct settings *s)
{
	const struct settings_domain *d;
	struct relay_tls *t;
	size_t i;

	t = calloc(1, sizeof(*t) + s->ndomains * sizeof(t->v[0]));
	if (t == NULL) {
		log_err("relay-tls", "step=%s", "start");
		return NULL;
	}
	for (i = 0; i < s->ndomains; i++) {
		d = &s->domains[i];
		if (!settings_is_relayed(d) ||
		    d->tls_level == SETTINGS_TLS_NONE ||
		    find(t, d) != NULL)
			continue;
		if (load(d->tls_ca_file, &t->v[t->n]) == -1) {
			relay_tls_free(t);
			return NULL;
		}
		t->n++;
	}
	return t;
}

void
relay_tls_free(struct relay_tls *t)
{
	size_t i;

	for (i = 0; t != NULL && i < t->n; i++)
		tls_client_ctx_free(t->v[i].ctx);
	free(t);
}
