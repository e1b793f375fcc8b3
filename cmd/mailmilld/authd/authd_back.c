/* The back ends that authd has open.
 * Owns: one for each Auth_Backend, however many scopes of the settings name it.
 */

#include "cmd/mailmilld/authd/authd_int.h"

#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"

struct auth_back *
authd_back_find(const struct authd *a, const char *spec)
{
	size_t i;

	for (i = 0; i < a->nbacks; i++)
		if (strcmp(a->backs[i].spec, spec) == 0)
			return a->backs[i].back;
	return NULL;
}

static int
open_back(struct authd *a, const char *spec)
{
	char error[AUTH_ERROR_MAX];
	struct authd_back *v;

	if (authd_back_find(a, spec) != NULL)
		return 0;
	v = reallocarray(a->backs, a->nbacks + 1, sizeof(*v));
	if (v == NULL) {
		log_err("auth-backend", "backend=%s", spec);
		return -1;
	}
	a->backs = v;
	v[a->nbacks].spec = spec;
	v[a->nbacks].back = auth_back_open(spec, error, sizeof(error));
	if (v[a->nbacks].back == NULL) {
		log_errx("auth-backend", "backend=%s reason=%s", spec, error);
		return -1;
	}
	a->nbacks++;
	return 0;
}

int
authd_backs_open(struct authd *a)
{
	const struct settings *s = a->child->settings;
	size_t i;

	for (i = 0; i < s->nbackends; i++)
		if (open_back(a, s->backends[i].spec) == -1)
			return -1;
	return 0;
}

void
authd_backs_close(struct authd *a)
{
	size_t i;

	for (i = 0; i < a->nbacks; i++)
		auth_back_free(a->backs[i].back);
	free(a->backs);
}
