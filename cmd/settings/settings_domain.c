/* Settings: the Domain sections.
 * Owns: their order, the search for one, whether a domain is ours, the
 * tables of the files that they name, loading those of recipients. */

#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "cmd/settings/settings_int.h"
#include "core/lim.h"
#include "core/util/idna.h"

static int
domain_cmp(const void *va, const void *vb)
{
	const struct settings_domain *a = va, *b = vb;

	return strcmp(a->name, b->name);
}

/* Never 0 */
static uint32_t
number_of(const char *name)
{
	uint32_t n = (uint32_t)XXH3_64bits(name, strlen(name));

	return n != 0 ? n : 1;
}

void
settings_domains_sort(struct settings *s)
{
	const char *first = NULL;
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		s->domains[i].number = number_of(s->domains[i].name);
	for (i = 0; i < s->ndomains && first == NULL; i++)
		if (s->domains[i].name[0] != '*')
			first = s->domains[i].name;
	if (s->ndomains > 0)
		qsort(s->domains, s->ndomains, sizeof(*s->domains),
		    domain_cmp);
	for (i = 0; i < s->ndomains; i++)
		if (s->domains[i].name == first)
			s->default_domain = &s->domains[i];
}

static const struct settings_domain *
find_name(const struct settings *s, char *name)
{
	struct settings_domain key = { .name = name };

	if (s->ndomains == 0)
		return NULL;
	return bsearch(&key, s->domains, s->ndomains, sizeof(key),
	    domain_cmp);
}

const struct settings_domain *
settings_section(const struct settings *s, const char *name)
{
	const struct settings_domain *d;
	char ascii[IDNA_MAX + 1];

	/* as add_domain() has made the name of its title */
	if (idna_ascii(name, strlen(name), ascii, sizeof(ascii)) == -1) {
		if (errno != ENOMEM)
			errno = ENOENT;
		return NULL;
	}
	if ((d = find_name(s, ascii)) == NULL)
		errno = ENOENT;
	return d;
}

const struct settings_domain *
settings_section_numbered(const struct settings *s, uint32_t number)
{
	const struct settings_domain *found = NULL;
	size_t i;

	for (i = 0; i < s->ndomains; i++) {
		if (s->domains[i].number != number)
			continue;
		if (found != NULL)
			return NULL;
		found = &s->domains[i];
	}
	return found;
}

const struct settings_domain *
settings_domain_find(const struct settings *s, const char *domain, size_t len)
{
	const struct settings_domain *d;
	char name[LIM_DOMAIN + 1], any[] = "*", *dot;
	size_t i;

	if (len == 0 || len > LIM_DOMAIN)
		return NULL;
	for (i = 0; i < len; i++)
		name[i] = (char)tolower((unsigned char)domain[i]);
	name[len] = '\0';
	if ((d = find_name(s, name)) != NULL)
		return d;
	for (dot = strchr(name, '.'); dot != NULL && dot > name;
	    dot = strchr(dot + 1, '.')) {
		dot[-1] = '*';		/* "*.suffix" in place */
		if ((d = find_name(s, dot - 1)) != NULL)
			return d;
	}
	return find_name(s, any);
}

bool
settings_is_ours(const struct settings *s, const char *domain, size_t len)
{
	const struct settings_domain *d = settings_domain_find(s, domain, len);

	return d != NULL && strcmp(d->name, "*") != 0;
}

bool
settings_is_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	if (strcmp(a, b) == 0)
		return true;
	return *a != '\0' && *b != '\0' && stat(a + strlen("file:"), &sa) == 0 &&
	    stat(b + strlen("file:"), &sb) == 0 && sa.st_dev == sb.st_dev &&
	    sa.st_ino == sb.st_ino;
}

/* The file of which the addresses are, and the Domain sections that there are */
struct listing {
	const struct settings	*s;
	const char		*recipients;
};

/* An address of a domain whose recipients are not in this file would never be
 * looked for. */
static const char *
recipient_address(const void *closure, const char *s, size_t *len,
    char text_r[TEXTFILE_ADDRESS_MAX])
{
	const struct listing *l = closure;
	const char *why = settings_address(NULL, s, len, text_r), *domain;
	const struct settings_domain *d;

	if (why != NULL || (domain = settings_address_domain(text_r,
	    *len)) == NULL)
		return why;
	d = settings_domain_find(l->s, domain,
	    (size_t)(text_r + *len - domain));
	if (d == NULL)
		return "there is no Domain section for this address";
	return settings_is_same_file(d->recipients, l->recipients) ? NULL :
	    "the Domain section for this address does not use this file";
}

void *
settings_files_find(const struct settings_files *files, const char *value)
{
	size_t i;

	for (i = 0; i < files->n; i++)
		if (strcmp(files->v[i].value, value) == 0)
			return files->v[i].table;
	return NULL;
}

int
settings_files_add(struct settings_files *files, const char *value,
    void *table)
{
	struct settings_file *grown;

	grown = reallocarray(files->v, files->n + 1, sizeof(*grown));
	if (grown == NULL)
		return -1;
	files->v = grown;
	grown[files->n++] = (struct settings_file){ value, table };
	return 0;
}

/* The table of the file that ${d} names.  NULL: in ${why_r} is why. */
static const struct textfile *
find_table(struct settings *s, const struct settings_domain *d, char *why_r,
    size_t len)
{
	const struct listing l = { .s = s, .recipients = d->recipients };
	struct textfile *t = settings_files_find(&s->recipient_files,
	    d->recipients);

	if (t != NULL || (t = recipients_load(d->recipients + strlen("file:"),
	    recipient_address, &l, why_r, len)) == NULL)
		return t;
	if (settings_files_add(&s->recipient_files, d->recipients, t) == 0)
		return t;
	strlcpy(why_r, strerror(errno), len);
	textfile_free(t);
	return NULL;
}

static int
load_recipients(struct settings *s, struct settings_domain *d, char *err_r,
    size_t errlen)
{
	char why[SETTINGS_ERROR_MAX / 2], at[CONF_AT_MAX];

	if (*d->recipients == '\0' || (d->recipients_table = find_table(s, d,
	    why, sizeof(why))) != NULL)
		return 0;
	snprintf(err_r, errlen, "%s: option 'Recipients': expected a "
	    "file with one address a line: %s", conf_at_text(
	    &d->recipients_at, at, sizeof(at)), why);
	return -1;
}

int
settings_load_recipients(struct settings *s, char *err_r, size_t errlen)
{
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		if (load_recipients(s, &s->domains[i], err_r, errlen) == -1)
			return -1;
	return 0;
}

int
settings_load_mailboxes(struct settings *s, char *err_r, size_t errlen)
{
	struct settings_domain *d;
	size_t i;

	for (i = 0; i < s->ndomains; i++) {
		d = &s->domains[i];
		if (settings_is_maildir(d) && *d->recipient_delimiter != '\0' &&
		    load_recipients(s, d, err_r, errlen) == -1)
			return -1;
	}
	return 0;
}
