/* Settings: the files of Sender_Login.
 * Owns: their tables, one for each file however many scopes name it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/settings/settings_int.h"

struct settings_senders {
	const char		*value;	/* "file:PATH", of the options */
	struct conf_at		 at;	/* of the option */
	struct textfile		*table;	/* NULL: not loaded yet */
};

static struct settings_senders *
find(const struct settings *s, const char *value)
{
	size_t i;

	for (i = 0; i < s->nsenders; i++)
		if (strcmp(s->senders[i].value, value) == 0)
			return &s->senders[i];
	return NULL;
}

int
settings_senders_add(struct conf *c, struct settings *s,
    const struct settings_listen *l, const struct esmtp_options *o)
{
	struct settings_senders *grown;

	if (*o->sender_login == '\0' || find(s, o->sender_login) != NULL)
		return 0;
	grown = reallocarray(s->senders, s->nsenders + 1, sizeof(*grown));
	if (grown == NULL)
		return conf_nomem(c);
	s->senders = grown;
	s->senders[s->nsenders++] = (struct settings_senders){
		.value = o->sender_login,
		.at = settings_peers_at(c, l->peers, o, ROW_sender_login) };
	return 0;
}

void
settings_senders_free(struct settings *s)
{
	size_t i;

	for (i = 0; i < s->nsenders; i++)
		textfile_free(s->senders[i].table);
	free(s->senders);
}

int
settings_load_sender_logins(struct settings *s, char *err_r, size_t errlen)
{
	struct settings_senders *e;
	char why[SETTINGS_ERROR_MAX / 2], at[CONF_AT_MAX];
	size_t i;

	for (i = 0; i < s->nsenders; i++) {
		e = &s->senders[i];
		if (e->table == NULL)
			e->table = sender_logins_load(e->value +
			    strlen("file:"), settings_address, NULL, why,
			    sizeof(why));
		if (e->table != NULL)
			continue;
		snprintf(err_r, errlen, "%s: option 'Sender_Login': expected a "
		    "file with a sender and its logins in each line: %s",
		    conf_at_text(&e->at, at, sizeof(at)), why);
		return -1;
	}
	return 0;
}

const struct textfile *
settings_sender_logins(const struct settings *s, const char *value)
{
	const struct settings_senders *e = find(s, value);

	return e != NULL ? e->table : NULL;
}
