/* Settings: the Module sections.
 * Knows nothing of what modules are: what they are given is theirs to check. */

#include <stdlib.h>
#include <string.h>

#include "cmd/settings/settings_int.h"

static void
module_clear(struct settings_module *m)
{
	size_t i;

	for (i = 0; i < m->nkeys; i++) {
		free(m->keys[i].name);
		free(m->keys[i].value);
	}
	free(m->keys);
	free(m->path);
}

void
settings_modules_free(struct settings *s)
{
	size_t i;

	for (i = 0; i < s->nmodules; i++)
		module_clear(&s->modules[i]);
	free(s->modules);
}

static int
add_keys(struct conf *c, struct settings_module *m,
    const struct conf_section *section)
{
	struct settings_module_key *key, *grown;
	const struct conf_pair *pair;

	STAILQ_FOREACH(pair, &section->pairs, link) {
		grown = reallocarray(m->keys, m->nkeys + 1, sizeof(*grown));
		if (grown == NULL)
			return conf_nomem(c);
		m->keys = grown;
		key = &m->keys[m->nkeys++];
		key->at = pair->at;
		key->name = strdup(pair->name);
		key->value = strdup(pair->value);
		if (key->name == NULL || key->value == NULL)
			return conf_nomem(c);
	}
	return 0;
}

int
settings_modules_add(struct conf *c, struct settings *s,
    const struct conf_section *section)
{
	struct settings_module *m, *grown;

	if (s->nmodules == SETTINGS_MODULES_MAX)
		return conf_error(c, &section->at, "option 'Module': more than "
		    "%d sections", SETTINGS_MODULES_MAX);
	grown = reallocarray(s->modules, s->nmodules + 1, sizeof(*grown));
	if (grown == NULL)
		return conf_nomem(c);
	s->modules = grown;
	m = &s->modules[s->nmodules++];
	*m = (struct settings_module){ .at = section->at };
	if ((m->path = strdup(section->title)) == NULL)
		return conf_nomem(c);
	return add_keys(c, m, section);
}
