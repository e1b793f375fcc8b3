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
};

struct relay_tls {
	size_t			 n;
	struct entry		 v[];
};

/* A context without authorities verifies nobody. */
static struct tls_client_ctx *
load(const char *path)
{
	struct tls_client_config config = { .protocols = "TLSv1.2 TLSv1.3" };
	char err[512];
	struct tls_client_ctx *ctx;

	if (tls_authorities_read(path, &config.authorities, err,
	    sizeof(err)) == -1)
		log_warnx("relay-authorities", "reason=%s effect=%s", err,
		    "no server is verified by them");
	ctx = tls_client_ctx_new(&config, err, sizeof(err));
	free((void *)(uintptr_t)config.authorities.v);
	if (ctx == NULL)
		log_errx("relay-tls", "reason=%s", err);
	return ctx;
}

struct tls_client_ctx *
relay_tls_find(const struct relay_tls *t, const struct settings_domain *d)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strcmp(t->v[i].path, d->tls_ca_file) == 0)
			return t->v[i].ctx;
	return NULL;
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
		    relay_tls_find(t, d) != NULL)
			continue;
		t->v[t->n] = (struct entry){ .path = d->tls_ca_file,
			.ctx = load(d->tls_ca_file) };
		if (t->v[t->n].ctx == NULL) {
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
