/* Settings: which Domain sections have one way to their next hops, and which have
 * ways that fail each for itself.
 * Owns: what makes two ways different, what a target of the queue is called. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/settings/settings_int.h"

static int
list_cmp(const conf_field_LIST *a, const conf_field_LIST *b)
{
	size_t i;
	int order;

	for (i = 0; i < a->n && i < b->n; i++)
		if ((order = strcmp(a->v[i], b->v[i])) != 0)
			return order;
	return (a->n > b->n) - (a->n < b->n);
}

/* Those to whom connections are made */
static int
hops_cmp(const struct settings_domain *a, const struct settings_domain *b)
{
	if (a->delivery != b->delivery)
		return a->delivery < b->delivery ? -1 : 1;
	return list_cmp(&a->route, &b->route);
}

/* Who this host is to them, what it demands and what it converts: with another one
 * of these, a connection or a message may be taken that is refused without. */
static int
way_cmp(const struct settings *s, const struct settings_domain *a,
    const struct settings_domain *b)
{
	bool is_mx = settings_is_mx(a);
	int order;

	if (a->tls_level != b->tls_level)
		return a->tls_level < b->tls_level ? -1 : 1;
	if (a->mime_conversion != b->mime_conversion)
		return a->mime_conversion - b->mime_conversion;
	if (is_mx && a->mta_sts != b->mta_sts)
		return a->mta_sts - b->mta_sts;
	if (is_mx && a->mx_port != b->mx_port)
		return a->mx_port < b->mx_port ? -1 : 1;
	if ((order = list_cmp(&a->source, &b->source)) != 0 ||
	    (order = strcmp(a->login, b->login)) != 0 ||
	    (order = strcmp(a->tls_ca_file, b->tls_ca_file)) != 0 ||
	    (order = strcasecmp(a->tls_name, b->tls_name)) != 0)
		return order;
	return strcasecmp(*a->helo != '\0' ? a->helo : s->hostname,
	    *b->helo != '\0' ? b->helo : s->hostname);
}

static int
cmp(const void *va, const void *vb, void *vs)
{
	const struct settings_domain *a =
	    *(const struct settings_domain *const *)va;
	const struct settings_domain *b =
	    *(const struct settings_domain *const *)vb;
	int order;

	if ((order = hops_cmp(a, b)) != 0 ||
	    (order = way_cmp(vs, a, b)) != 0)
		return order;
	return (a > b) - (a < b);
}

/* ${n} sections with the same next hops begin at ${v}.  Return how many. */
static size_t
note_group(const struct settings *s, struct settings_domain **v, size_t n)
{
	const struct settings_domain *first = v[0];
	size_t i, j;

	for (i = 1; i < n && hops_cmp(v[0], v[i]) == 0; i++)
		if (v[i] < first)
			first = v[i];
	for (j = 0; j < i; j++) {
		v[j]->same_hops = (size_t)(first - s->domains);
		v[j]->same_way = j > 0 && way_cmp(s, v[j - 1], v[j]) == 0 ?
		    v[j - 1]->same_way : (size_t)(v[j] - s->domains);
	}
	return i;
}

int
settings_ways_build(struct conf *c, struct settings *s)
{
	struct settings_domain **v;
	size_t i, n = 0;

	if ((v = calloc(s->ndomains + 1, sizeof(v[0]))) == NULL)
		return conf_nomem(c);
	for (i = 0; i < s->ndomains; i++)
		if (settings_is_relayed(&s->domains[i]))
			v[n++] = &s->domains[i];
	if (n > 0)
		qsort_r(v, n, sizeof(v[0]), cmp, s);
	for (i = 0; i < n; )
		i += note_group(s, v + i, n - i);
	free(v);
	return 0;
}

/* Is the way of ${d} the one whose target has the name of its next hops alone?
 * There is one such way to each: to the hosts of a domain, that of its own
 * section. */
static bool
is_plain(const struct settings *s, const struct settings_domain *d,
    const char *target)
{
	const struct settings_domain *own = !settings_is_mx(d) ? NULL :
	    settings_domain_find(s, target, strlen(target));

	return d->same_way == (own != NULL && settings_is_mx(own) ?
	    own->same_way : d->same_hops);
}

void
settings_way_target(const struct settings *s, const struct settings_domain *d,
    const char *target, char target_r[SETTINGS_WAY_MAX])
{
	if (is_plain(s, d, target))
		snprintf(target_r, SETTINGS_WAY_MAX, "%s", target);
	else
		snprintf(target_r, SETTINGS_WAY_MAX, "%s by %s", target,
		    s->domains[d->same_way].name);
}
