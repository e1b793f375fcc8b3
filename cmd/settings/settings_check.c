/* Settings: the checks between settings. */

#include <string.h>

#include "cmd/settings/settings_int.h"

static bool
same_address(const struct settings_listen *a, const struct settings_listen *b)
{
	return a->addr_len == b->addr_len &&
	    memcmp(&a->addr, &b->addr, a->addr_len) == 0 &&
	    a->addr.in.sin_port != 0;	/* 0: the system chooses different ones */
}

static int
check_listens(struct conf *c, const struct settings *s)
{
	char buf[CONF_AT_MAX];
	size_t i, j;

	if (s->nlistens == 0)
		return conf_error(c, &c->root->at, "no Listen section is "
		    "enabled: write ESMTP_Listener { Listen \":25\" { } }");
	for (i = 0; i < s->nlistens; i++)
		for (j = 0; j < i; j++)
			if (same_address(&s->listens[i], &s->listens[j]))
				return conf_error(c, &s->listens[i].at,
				    "option 'Listen': the address \"%s\" has "
				    "another section in %s",
				    s->listens[i].name, conf_at_seen(
				    &s->listens[j].at, &s->listens[i].at, buf,
				    sizeof(buf)));
	return 0;
}

/* Does ${pattern} hold %d? */
static bool
has_domain(const char *pattern)
{
	for (; (pattern = strchr(pattern, '%')) != NULL; pattern += 2)
		if (pattern[1] == 'd')
			return true;
	return false;
}

static int
check_domains(struct conf *c, const struct settings *s)
{
	const struct settings_domain *d;
	size_t i;

	for (i = 0; i < s->ndomains; i++) {
		d = &s->domains[i];
		if (d->name[0] == '*' && !has_domain(d->maildir))
			return conf_error_value(c, &d->maildir_at, "Maildir",
			    d->maildir, "a path with %d, since the section is "
			    "for more than one domain");
	}
	return 0;
}

/* Each domain that mail is accepted for must have a Domain section. */
static int
check_relay_domains(struct conf *c, const struct settings *s,
    const struct conf_section *section)
{
	const struct conf_section *child;
	const struct conf_value *value;
	size_t i;

	value = conf_get(c, section, ROW_relay_domains);
	for (i = 0; value != NULL && i < value->n; i++)
		if (settings_domain_find(s, value->v[i],
		    strlen(value->v[i])) == NULL)
			return conf_error_value(c, &value->at,
			    "Relay_Domains", value->v[i],
			    "domains that have a Domain section");
	STAILQ_FOREACH(child, &section->children, link)
		if (check_relay_domains(c, s, child) == -1)
			return -1;
	return 0;
}

static int
check_numbers(struct conf *c, const struct settings *s)
{
	const struct conf_value *value;

	if (s->max_retry_interval < s->retry_interval) {
		value = conf_get(c, c->root, ROW_max_retry_interval);
		if (value == NULL)
			value = conf_get(c, c->root, ROW_retry_interval);
		return conf_error(c, &value->at, "option "
		    "'max_retry_interval': expected no less than "
		    "retry_interval");
	}
	if (s->spool_large_message > s->segment_size / 2) {
		value = conf_get(c, c->root, ROW_spool_large_message);
		if (value == NULL)
			value = conf_get(c, c->root, ROW_segment_size);
		return conf_error(c, &value->at, "option "
		    "'spool_large_message': expected at most half of "
		    "segment_size");
	}
	return 0;
}

int
settings_check(struct conf *c, const struct settings *s)
{
	if (check_numbers(c, s) == -1 || check_listens(c, s) == -1 ||
	    check_domains(c, s) == -1 || settings_auth_check(c, s) == -1)
		return -1;
	return check_relay_domains(c, s, c->root);
}
