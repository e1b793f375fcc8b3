/* Settings: the tables that say by which Domain section mail goes.
 * Owns: the two files, and which of them decides. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/settings/route_extension.h"
#include "cmd/settings/settings_int.h"
#include "core/table/transports.h"

/* An agent knows a section by its number. */
const struct settings_domain *
settings_section_to(const struct settings *s, const char *name,
    const char **why_r)
{
	const struct settings_domain *d = settings_section(s, name);

	if (d != NULL && settings_section_numbered(s, d->number) == d)
		return d;
	*why_r = d == NULL ? (errno == ENOMEM ? "out of memory: try again" :
	    "there is no Domain section of that name") :
	    "this Domain section has the number of another one: give one of them "
	    "another name";
	return NULL;
}

static const char *
line_fault(const void *closure, const char *address, size_t len,
    const char *words)
{
	const char *why = transports_fault(address, len, words);

	if (why == NULL)
		(void)settings_section_to(closure, words, &why);
	return why;
}

static int
load(struct settings *s, const char *option, const char *value,
    struct textfile **table_r, char *err_r, size_t errlen)
{
	char why[SETTINGS_ERROR_MAX / 2], at[CONF_AT_MAX];

	if (*value == '\0' || *table_r != NULL)
		return 0;
	*table_r = textfile_load(value + strlen("file:"), settings_address, s,
	    line_fault, why, sizeof(why));
	if (*table_r != NULL)
		return 0;
	snprintf(err_r, errlen, "%s: option '%s': expected a file with an "
	    "address and the name of a Domain section in each line: %s",
	    settings_at(s, option, at, sizeof(at)), option, why);
	return -1;
}

int
settings_load_transports(struct settings *s, char *err_r, size_t errlen)
{
	if (load(s, "Transport_Table", s->transport_table, &s->transports,
	    err_r, errlen) == -1)
		return -1;
	return load(s, "Sender_Transport_Table", s->sender_transport_table,
	    &s->sender_transports, err_r, errlen);
}

/* What ${t}, which may be NULL, says of ${address} */
static int
find(const struct settings *s, const struct textfile *t, const char *address,
    const struct settings_domain **section_r)
{
	const char *name, *at = strrchr(address, '@');
	const struct settings_domain *d = at == NULL ? NULL :
	    settings_domain_find(s, at + 1, strlen(at + 1));
	char bare[ROUTE_ADDRESS_MAX];
	size_t ext;

	*section_r = NULL;
	if (t == NULL)
		return 0;
	ext = d == NULL ? 0 : route_extension(d, address);
	if (ext != 0 && route_extension_strip(address, ext, bare) == -1) {
		if (errno == ENOMEM)
			return -1;
		ext = 0;
	}
	if ((name = transports_find(t, address, ext != 0 ? bare :
	    NULL)) == NULL)
		return errno == ENOENT ? 0 : -1;
	*section_r = settings_section(s, name);
	return *section_r == NULL && errno == ENOMEM ? -1 : 0;
}

/* Mail for our own domains is not led elsewhere by whoever sends it. */
int
settings_transport(const struct settings *s, const char *rcpt,
    const char *sender, const struct settings_domain **section_r)
{
	const char *at = strrchr(rcpt, '@');
	char whole[ROUTE_ADDRESS_MAX];

	if (at == NULL && s->default_domain != NULL) {
		/* <postmaster> is that of a domain of ours, and its lines count */
		snprintf(whole, sizeof(whole), "%s@%s", rcpt,
		    s->default_domain->name);
		rcpt = whole;
		at = strrchr(rcpt, '@');
	}
	if (find(s, s->transports, rcpt, section_r) == -1)
		return -1;
	if (*section_r != NULL || *sender == '\0' || at == NULL ||
	    settings_is_ours(s, at + 1, strlen(at + 1)))
		return 0;
	return find(s, s->sender_transports, sender, section_r);
}

int
settings_check_transports(const struct settings *s, char *err_r, size_t errlen)
{
	static const char option[] = "double_bounce_recipient";
	const char *address = s->double_bounce_recipient;
	const char *domain = strrchr(address, '@');
	const struct settings_domain *d = NULL;
	char at[CONF_AT_MAX];

	if (domain == NULL || settings_domain_find(s, domain + 1,
	    strlen(domain + 1)) != NULL ||
	    settings_transport(s, address, "", &d) == -1 || d != NULL)
		return 0;
	snprintf(err_r, errlen, "%s: option '%s': expected an address in a "
	    "domain that has a Domain section, or a line in Transport_Table, "
	    "found \"%s\"", settings_at(s, option, at, sizeof(at)), option,
	    address);
	return -1;
}
