/* Settings: which Domain sections send from the same addresses, and with which
 * limits.
 * Owns: what makes a stream.
 *
 * Sections that have an address of Source in common are one stream, since nobody
 * knows before a connection is made which of the two addresses of a section it comes
 * from.  So are those that each of them has one in common with. */

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "cmd/settings/settings_int.h"

struct use {
	unsigned char	 octets[ADDR_NETWORK];	/* of an address */
	unsigned char	 family;
	size_t		 domain;		/* which has it as Source */
};

static int
address_cmp(const struct use *a, const struct use *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->octets, b->octets, sizeof(a->octets));
}

static int
use_cmp(const void *va, const void *vb)
{
	const struct use *a = va, *b = vb;
	int order = address_cmp(a, b);

	return order != 0 ? order : (a->domain > b->domain) -
	    (a->domain < b->domain);
}

static struct use
use_of(const char *value, size_t domain)
{
	struct use u = { .domain = domain };
	const unsigned char *octets;
	union addr addr;
	int family;

	(void)settings_ip(value, &addr);	/* which the schema has checked */
	octets = addr_octets(&addr.sa, &family);
	u.family = family == AF_INET6;
	memcpy(u.octets, octets, family == AF_INET6 ? 16 : 4);
	return u;
}

/* The first section that is known to be of the stream of ${i}, with shorter ways
 * there for the next time */
static size_t
first_of(struct settings_domain *v, size_t i)
{
	while (v[i].stream.first != i) {
		v[i].stream.first = v[v[i].stream.first].stream.first;
		i = v[i].stream.first;
	}
	return i;
}

static void
join(struct settings_domain *v, size_t i, size_t j)
{
	i = first_of(v, i);
	j = first_of(v, j);
	v[MAX(i, j)].stream.first = MIN(i, j);
}

static void
limit(unsigned int *limit, int value)
{
	if (value > 0 && (*limit == 0 || (unsigned int)value < *limit))
		*limit = (unsigned int)value;
}

/* The limits of all sections of a stream are those of the first, and then of each. */
static void
share_limits(struct settings *s)
{
	struct settings_stream *first;
	struct settings_domain *d;
	size_t i;

	for (i = 0; i < s->ndomains; i++) {
		d = &s->domains[i];
		if (d->source.n == 0)
			continue;
		first = &s->domains[first_of(s->domains, i)].stream;
		limit(&first->max_connections, d->source_max_connections);
		limit(&first->max_rate, d->source_max_rate);
	}
	for (i = 0; i < s->ndomains; i++)
		if (s->domains[i].source.n > 0)
			s->domains[i].stream =
			    s->domains[first_of(s->domains, i)].stream;
}

int
settings_streams_build(struct conf *c, struct settings *s)
{
	struct settings_domain *d;
	struct use *v;
	size_t i, j, n = 0;

	if ((v = calloc(2 * s->ndomains + 1, sizeof(v[0]))) == NULL)
		return conf_nomem(c);
	for (i = 0; i < s->ndomains; i++) {
		d = &s->domains[i];
		d->stream.first = i;
		for (j = 0; j < d->source.n; j++)
			v[n++] = use_of(d->source.v[j], i);
	}
	if (n > 0)
		qsort(v, n, sizeof(v[0]), use_cmp);
	for (i = 1; i < n; i++)
		if (address_cmp(&v[i - 1], &v[i]) == 0)
			join(s->domains, v[i - 1].domain, v[i].domain);
	share_limits(s);
	free(v);
	return 0;
}

int
settings_stream_check(struct conf *c, const struct settings_domain *d)
{
	const char *option = d->source_max_rate > 0 ? "Source_Max_Rate" :
	    "Source_Max_Connections";

	if (d->source.n > 0 ||
	    (d->source_max_rate == 0 && d->source_max_connections == 0))
		return 0;
	return conf_error(c, &d->at, "option '%s' of Domain \"%s\": only "
	    "together with Source", option, d->name);
}
