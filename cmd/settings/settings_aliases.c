/* Settings: the files of Aliases, and the keys of SRS.
 * Owns: what an address in such a file may be beside the other settings. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/settings/settings_int.h"
#include "core/lim.h"

/* The file of which the addresses are, and the Domain sections that there are */
struct naming {
	const struct settings	*s;
	const char		*aliases;
};

static const char *
write_address(const char *s, size_t *len, char text_r[TEXTFILE_ADDRESS_MAX])
{
	const char *why = settings_address(NULL, s, len, text_r);

	if (why == NULL && *len == 1 && *text_r == '*')
		return "'*' is no address: \"@domain\" is for all of a domain";
	return why;
}

/* An alias in a domain that does not use this file would never be looked for. */
static const char *
alias_address(const void *closure, const char *s, size_t *len,
    char text_r[TEXTFILE_ADDRESS_MAX])
{
	const struct naming *n = closure;
	const char *why = write_address(s, len, text_r), *domain;
	const struct settings_domain *d;

	if (why != NULL || (domain = settings_address_domain(text_r,
	    *len)) == NULL)
		return why;
	d = settings_domain_find(n->s, domain,
	    (size_t)(text_r + *len - domain));
	if (d == NULL)
		return "there is no Domain section for this alias";
	return settings_is_same_file(d->aliases, n->aliases) ? NULL :
	    "the Domain section for this alias does not use this file";
}

/* Mail for an address that no section is for would wait in the queue. */
static const char *
target_address(const void *closure, const char *s, size_t *len,
    char text_r[TEXTFILE_ADDRESS_MAX])
{
	const struct naming *n = closure;
	const char *why = write_address(s, len, text_r), *domain;

	if (why != NULL || (domain = settings_address_domain(text_r,
	    *len)) == NULL)
		return why;
	return settings_domain_find(n->s, domain,
	    (size_t)(text_r + *len - domain)) != NULL ? NULL :
	    "there is no Domain section for this address; Domain \"*\" is for "
	    "all others";
}

static int
load_keys(struct settings *s, char *err_r, size_t errlen)
{
	char why[SETTINGS_ERROR_MAX / 2], at[CONF_AT_MAX];

	if (*s->srs_domain == '\0' || s->srs != NULL)
		return 0;
	if ((s->srs = srs_load(s->srs_key_file, why, sizeof(why))) != NULL)
		return 0;
	snprintf(err_r, errlen, "%s: option 'SRS_Key_File': expected a file "
	    "with a key in each line: %s", settings_at(s, "SRS_Key_File", at,
	    sizeof(at)), why);
	return -1;
}

/* The table of the file that ${d} names.  NULL: in ${why_r} is why. */
static const struct aliases *
find_table(struct settings *s, const struct settings_domain *d, char *why_r,
    size_t len)
{
	const struct naming n = { .s = s, .aliases = d->aliases };
	struct aliases *a = settings_files_find(&s->alias_files, d->aliases);

	if (a != NULL || (a = aliases_load(d->aliases + strlen("file:"),
	    alias_address, target_address, &n, why_r, len)) == NULL)
		return a;
	if (settings_files_add(&s->alias_files, d->aliases, a) == 0)
		return a;
	strlcpy(why_r, strerror(errno), len);
	aliases_free(a);
	return NULL;
}

int
settings_load_aliases(struct settings *s, char *err_r, size_t errlen)
{
	char why[SETTINGS_ERROR_MAX / 2], at[CONF_AT_MAX];
	struct settings_domain *d;
	size_t i;

	for (i = 0; i < s->ndomains; i++) {
		d = &s->domains[i];
		if (*d->aliases == '\0')
			continue;
		d->aliases_table = find_table(s, d, why, sizeof(why));
		if (d->aliases_table != NULL)
			continue;
		snprintf(err_r, errlen, "%s: option 'Aliases': expected a file "
		    "with an alias and its addresses in each line: %s",
		    conf_at_text(&d->aliases_at, at, sizeof(at)), why);
		return -1;
	}
	return load_keys(s, err_r, errlen);
}
