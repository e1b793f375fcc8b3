/* Settings: the checks between settings. */

#include <stdio.h>
#include <string.h>

#include "cmd/settings/settings_int.h"

/* Do the addresses have one in common, so that only one can be bound?  A
 * wildcard holds all of its family, ":25" those of both. */
static bool
overlap(const struct settings_listen *a, const struct settings_listen *b)
{
	static const struct in6_addr any6;

	if (a->path != NULL || b->path != NULL)
		return a->path != NULL && b->path != NULL &&
		    strcmp(a->path, b->path) == 0;
	/* 0: the system chooses different ones */
	if (a->addr.in.sin_port != b->addr.in.sin_port ||
	    a->addr.in.sin_port == 0)
		return false;
	if (a->is_any || b->is_any)
		return true;
	if (a->addr.sa.sa_family != b->addr.sa.sa_family)
		return false;
	if (a->addr.sa.sa_family == AF_INET)
		return a->addr.in.sin_addr.s_addr == INADDR_ANY ||
		    b->addr.in.sin_addr.s_addr == INADDR_ANY ||
		    a->addr.in.sin_addr.s_addr == b->addr.in.sin_addr.s_addr;
	return memcmp(&a->addr.in6.sin6_addr, &any6, sizeof(any6)) == 0 ||
	    memcmp(&b->addr.in6.sin6_addr, &any6, sizeof(any6)) == 0 ||
	    memcmp(&a->addr.in6.sin6_addr, &b->addr.in6.sin6_addr,
	    sizeof(any6)) == 0;
}

/* Two sections with one address, or one with an address of another's wildcard. */
static int
same_address(struct conf *c, const struct settings_listen *l,
    const struct settings_listen *other)
{
	char buf[CONF_AT_MAX];
	const char *at = conf_at_seen(&other->at, &l->at, buf, sizeof(buf));

	if (l->addr_len == other->addr_len &&
	    memcmp(&l->addr, &other->addr, l->addr_len) == 0)
		return conf_error(c, &l->at, "option 'Listen': the address "
		    "\"%s\" has another section in %s", l->name, at);
	return conf_error(c, &l->at, "option 'Listen': \"%s\" and \"%s\" in "
	    "%s have an address in common: remove one of them", l->name,
	    other->name, at);
}

/* What is about the file of a Unix socket has no meaning in the section of another
 * one; ESMTP_Listener may have both. */
static int
check_file(struct conf *c, const struct settings *s,
    const struct settings_listen *l)
{
	const struct conf_value *value;
	size_t row;

	if (l->path != NULL && strcmp(l->path, s->control) == 0)
		return conf_error(c, &l->at, "option 'Listen': the path of "
		    "\"%s\" is that of the option 'control': choose another "
		    "one", l->name);
	for (row = ROW_FIRST_SETTING; l->path == NULL && row < NROWS; row++)
		if (settings_is_of_file(row) && (value = conf_get(c,
		    l->peers->listen, row)) != NULL && value->at.file != NULL)
			return conf_error(c, &value->at, "option '%s': expected "
			    "a Listen \"" SETTINGS_UNIX "/path\" section around "
			    "it, found \"%s\", which is no Unix socket",
			    settings_schema.rows[row].field->name, l->name);
	return 0;
}

static int
check_listens(struct conf *c, const struct settings *s)
{
	size_t i, j;

	if (s->nlistens == 0)
		return conf_error(c, &c->root->at, "no Listen section is "
		    "enabled: write ESMTP_Listener { Listen \":25\" { } }");
	for (i = 0; i < s->nlistens; i++) {
		if (check_file(c, s, &s->listens[i]) == -1)
			return -1;
		for (j = 0; j < i; j++)
			if (overlap(&s->listens[i], &s->listens[j]))
				return same_address(c, &s->listens[i],
				    &s->listens[j]);
	}
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

/* Sections whose titles are one domain, in UTF-8 and as A-labels. */
static int
same_domain(struct conf *c, const struct settings_domain *d,
    const struct settings_domain *other)
{
	char buf[CONF_AT_MAX];

	/* the later one is the one too many */
	if (d->at.line < other->at.line)
		return same_domain(c, other, d);
	return conf_error(c, &d->at, "option 'Domain': \"%s\" has another "
	    "section in %s, in UTF-8 or with \"xn--\": remove one of them",
	    d->name, conf_at_seen(&other->at, &d->at, buf, sizeof(buf)));
}

static int
check_domains(struct conf *c, const struct settings *s)
{
	const struct settings_domain *d;
	size_t i;

	for (i = 0; i < s->ndomains; i++) {
		d = &s->domains[i];
		if (i > 0 && strcmp(d->name, d[-1].name) == 0)
			return same_domain(c, &d[-1], d);
		if (settings_route_check(c, s, d) == -1)
			return -1;
		if (d->times.max_retry_interval < d->times.retry_interval)
			return conf_error(c, &d->at, "option "
			    "'max_retry_interval' of Domain \"%s\": expected "
			    "no less than retry_interval", d->name);
		if (settings_is_maildir(d) && d->name[0] == '*' &&
		    !has_domain(d->maildir))
			return conf_error_value(c, &d->maildir_at, "Maildir",
			    d->maildir, "a path with %d, since the section is "
			    "for more than one domain");
	}
	return 0;
}

/* Each domain that mail is accepted for, or can wait for, must have a Domain
 * section. */
static int
check_have_section(struct conf *c, const struct settings *s,
    const struct settings_listen *l, const struct esmtp_options *o, size_t row,
    const struct conf_list *list)
{
	const char *domain;
	size_t i;

	for (i = 0; i < list->n; i++) {
		domain = list->v[i];
		if (settings_domain_find(s, domain, strlen(domain)) == NULL)
			return settings_refuse(c, l, o, row, domain,
			    "domains that have a Domain section");
	}
	return 0;
}

/* Where a recipient without a domain would be, there must be mailboxes. */
static int
check_qualifier(struct conf *c, const struct settings *s,
    const struct settings_listen *l, const struct esmtp_options *o)
{
	const char *domain = o->domain_for_recipients;

	if (*domain == '\0' ||
	    settings_domain_find(s, domain, strlen(domain)) != NULL)
		return 0;
	return settings_refuse(c, l, o, ROW_domain_for_recipients, domain,
	    "a domain that has a Domain section");
}

/* Each of the classes is right, but are they too many? */
static int
check_classes(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	const conf_field_LIST *list = &o->no_soliciting;
	char expected[CONF_EXPECTED_MAX], found[32];

	if (options_classes((const char *const *)list->v, list->n, expected,
	    sizeof(expected)) == 0)
		return 0;
	snprintf(found, sizeof(found), "%zu classes", list->n);
	return settings_refuse(c, l, o, ROW_no_soliciting, found, expected);
}

/* Each of the variables is right, but are they too many, or one of them twice? */
static int
check_context(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	const conf_field_LIST *list = &o->context;
	char expected[CONF_EXPECTED_MAX], found[32];

	if (options_pairs((const char *const *)list->v, list->n, expected,
	    sizeof(expected)) == 0)
		return 0;
	snprintf(found, sizeof(found), "%zu variables", list->n);
	return settings_refuse(c, l, o, ROW_context, found, expected);
}

/* RFC 2033 5: what LMTP must have; and "the LMTP protocol MUST NOT be used on
 * TCP port 25". */
static int
check_kind(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	const char *missing = options_missing(o);
	char expected[CONF_EXPECTED_MAX];

	if (options_is_lmtp(o) && ntohs(l->addr.in.sin_port) == 25)
		return settings_refuse(c, l, o, ROW_kind, "lmtp", "smtp on "
		    "port 25, where RFC 2033 forbids LMTP: listen on another "
		    "one, 24 for example");
	if (missing == NULL)
		return 0;
	snprintf(expected, sizeof(expected), "a list with %s, which RFC 2033 "
	    "wants of LMTP", missing);
	return settings_refuse(c, l, o, ROW_smtp_extensions,
	    o->smtp_extensions.v[0], expected);
}

/* Is the number of ${row} right beside that of ${other}?  If not, the message
 * is about the first of them that is set. */
static int
check_pair(struct conf *c, bool is_right, size_t row, size_t other,
    const char *expected)
{
	const struct conf_value *value;

	if (is_right)
		return 0;
	if ((value = conf_get(c, c->root, row)) == NULL)
		value = conf_get(c, c->root, other);
	return conf_error(c, &value->at, "option '%s': expected %s %s",
	    settings_schema.rows[row].field->name, expected,
	    settings_schema.rows[other].field->name);
}

static int
check_options(struct conf *c, const struct settings *s,
    const struct settings_listen *l)
{
	const struct esmtp_options *o;
	size_t i;

	for (i = 0; (o = settings_options_at(s, (size_t)(l - s->listens),
	    i)) != NULL; i++)
		if (settings_auth_check(c, l, o) == -1 ||
		    check_have_section(c, s, l, o, ROW_relay_domains,
		    &o->relay_domains) == -1 ||
		    check_have_section(c, s, l, o, ROW_etrn_domains,
		    &o->etrn_domains) == -1 ||
		    check_qualifier(c, s, l, o) == -1 ||
		    check_classes(c, l, o) == -1 ||
		    check_context(c, l, o) == -1 ||
		    check_kind(c, l, o) == -1 ||
		    settings_tls_check(c, l, o) == -1)
			return -1;
	return 0;
}

/* QUEUE_AGENTS_MAX of core/queue/queue.h */
static int
check_agents(struct conf *c, const struct settings *s)
{
	const struct conf_value *value = conf_get(c, c->root, ROW_deliverers);
	unsigned int discarders = settings_discarders(s);

	if (s->deliverers + settings_relayers(s) + s->npipe_accounts +
	    discarders <= 64)
		return 0;
	return conf_error(c, &value->at, "option 'deliverers': expected a "
	    "number that makes at most 64 processes with relayers (%lld), "
	    "one for each Pipe_User (%u), and one if anything is discarded "
	    "(%u), found %lld", (long long)s->relayers, s->npipe_accounts,
	    discarders, (long long)s->deliverers);
}

/* Is ${row} set beside ${other}, or neither of them? */
static int
check_both(struct conf *c, const char *value, size_t row,
    const char *other_value, size_t other, const char *expected)
{
	if (*value != '\0' || *other_value == '\0')
		return 0;
	return conf_error(c, &conf_get(c, c->root, other)->at,
	    "option '%s': expected %s beside it, %s",
	    settings_schema.rows[other].field->name,
	    settings_schema.rows[row].field->name, expected);
}

/* SRS_Domain and its keys are set together, and it is a domain of ours. */
static int
check_srs(struct conf *c, const struct settings *s)
{
	if (check_both(c, s->srs_key_file, ROW_srs_key_file, s->srs_domain,
	    ROW_srs_domain, "the file of the keys that sign its addresses")
	    == -1 ||
	    check_both(c, s->srs_domain, ROW_srs_domain, s->srs_key_file,
	    ROW_srs_key_file, "the domain of the addresses that they sign")
	    == -1)
		return -1;
	if (*s->srs_domain == '\0' || settings_is_ours(s, s->srs_domain,
	    strlen(s->srs_domain)))
		return 0;
	return conf_error_value(c, &conf_get(c, c->root, ROW_srs_domain)->at,
	    settings_schema.rows[ROW_srs_domain].field->name, s->srs_domain,
	    "a domain that has a Domain section of its own, where what is "
	    "returned arrives");
}

/* Whoever is told in place of a sender can be: there is a way to the address.  What
 * Transport_Table says is known later: settings_check_transports(). */
static int
check_double_bounce(struct conf *c, const struct settings *s)
{
	const char *address = s->double_bounce_recipient;
	const char *at = strrchr(address, '@');

	if (settings_check_address(c, address, ROW_double_bounce_recipient) ==
	    -1)
		return -1;
	if (*address == '\0' || *s->transport_table != '\0' ||
	    settings_domain_find(s, at + 1, strlen(at + 1)) != NULL)
		return 0;
	return conf_error_value(c, &conf_get(c, c->root,
	    ROW_double_bounce_recipient)->at, settings_schema.rows[
	    ROW_double_bounce_recipient].field->name, address,
	    "an address in a domain that has a Domain section");
}

int
settings_check(struct conf *c, struct settings *s)
{
	size_t i;

	if (check_pair(c, s->times.max_retry_interval >= s->times.retry_interval,
	    ROW_max_retry_interval, ROW_retry_interval, "no less than") == -1 ||
	    check_pair(c, s->spool_large_message <= s->segment_size / 2,
	    ROW_spool_large_message, ROW_segment_size, "at most half of") ==
	    -1 || settings_pipe_check(c, s) == -1 || check_agents(c, s) == -1 ||
	    check_double_bounce(c, s) == -1 || check_listens(c, s) == -1 ||
	    check_domains(c, s) == -1 || check_srs(c, s) == -1 ||
	    settings_report_check(c, s) == -1)
		return -1;
	for (i = 0; i < s->nlistens; i++)
		if (check_options(c, s, &s->listens[i]) == -1)
			return -1;
	return 0;
}
