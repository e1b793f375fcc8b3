/* Settings: the options of each listener for each kind of client.
 * Owns: the lookup from the innermost scope outwards, done once per
 * combination of Peer sections when the configuration is loaded. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/settings/settings_int.h"

#define CHAIN	5	/* sections to look in, from the inside out */

static void
scope_free(struct settings_scope *scope)
{
	if (scope == NULL)
		return;
	options_clear(&scope->options);
	free(scope);
}

void
settings_peers_free(struct settings_peers *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n; i++)
		scope_free(p->v[i].scope);
	free(p->v);
	free(p->inner.v);
	free(p->outer.v);
	free(p);
}

static int
peer_cmp(const void *va, const void *vb)
{
	const struct settings_peer *a = va, *b = vb;

	return a->net.bits != b->net.bits ?
	    (a->net.bits < b->net.bits ? 1 : -1) :
	    memcmp(&a->net, &b->net, sizeof(a->net));
}

static int
same_network(struct conf *c, const struct conf_section *section,
    const struct conf_section *other)
{
	char buf[CONF_AT_MAX];

	return conf_error(c, &section->at, "option 'Peer': the network of "
	    "\"%s\" has another section in %s", section->title,
	    conf_at_seen(&other->at, &section->at, buf, sizeof(buf)));
}

static int
list_build(struct conf *c, const struct conf_section *section,
    struct settings_peer_list *list)
{
	const struct conf_section *child;
	size_t i, n = 0;

	STAILQ_FOREACH(child, &section->children, link)
		n += child->row == SECTION_PEER;
	if (n == 0)
		return 0;
	if ((list->v = calloc(n, sizeof(*list->v))) == NULL)
		return conf_nomem(c);
	STAILQ_FOREACH(child, &section->children, link) {
		if (child->row != SECTION_PEER)
			continue;
		netmask_parse(child->title, strlen(child->title),
		    &list->v[list->n].net);
		list->v[list->n++].section = child;
	}
	qsort(list->v, list->n, sizeof(*list->v), peer_cmp);
	for (i = 1; i < list->n; i++)
		if (memcmp(&list->v[i - 1].net, &list->v[i].net,
		    sizeof(list->v[i].net)) == 0)
			return same_network(c, list->v[i].section,
			    list->v[i - 1].section);
	return 0;
}

const struct conf_value *
settings_lookup(const struct conf *c, const struct conf_section *const *chain,
    size_t n, size_t row, const struct conf_section **section_r)
{
	const struct conf_value *value = NULL;
	size_t i;

	for (i = 0; i < n && value == NULL; i++)
		if (chain[i] != NULL)
			value = conf_get(c, chain[i], row);
	*section_r = value == NULL || value->at.file == NULL ? NULL :
	    chain[i - 1];
	return value;
}

static struct settings_scope *
resolve(const struct conf *c, const char *hostname,
    const struct conf_section *const *chain, size_t n)
{
	struct settings_scope *scope;
	const struct conf_section *section;
	const struct conf_value *value;
	char expected[CONF_EXPECTED_MAX];
	size_t row;

	if ((scope = calloc(1, sizeof(*scope))) == NULL)
		return NULL;
	scope->tls_context = -1;
	if (options_init(&scope->options, hostname) == -1)
		goto err1;
	for (row = 0; row < options_nrows; row++) {
		if ((value = settings_lookup(c, chain, n, row,
		    &section)) == NULL)
			continue;
		if (options_set(&scope->options, &options_rows[row],
		    (const char *const *)value->v, value->n, expected,
		    sizeof(expected)) == -1)
			goto err1;
	}
	return scope;
err1:
	scope_free(scope);
	return NULL;
}

/* Can a client be in both networks? */
static bool
overlap(const struct settings_peer *a, const struct settings_peer *b)
{
	return a == NULL || b == NULL || netmask_contains(&a->net, &b->net) ||
	    netmask_contains(&b->net, &a->net);
}

static const struct settings_peer *
peer_at(const struct settings_peer_list *list, size_t i)
{
	return i == list->n ? NULL : &list->v[i];
}

static void
chain_fill(const struct conf *c, const struct settings_peers *p,
    size_t inner, size_t outer, const struct conf_section *chain_r[CHAIN])
{
	const struct settings_peer *in = peer_at(&p->inner, inner);
	const struct settings_peer *out = peer_at(&p->outer, outer);

	chain_r[0] = in == NULL ? NULL : in->section;
	chain_r[1] = p->listen;
	chain_r[2] = out == NULL ? NULL : out->section;
	chain_r[3] = p->listen->parent;
	chain_r[4] = c->root;
}

static int
combine(struct conf *c, const struct settings *s, struct settings_peers *p,
    size_t inner, size_t outer)
{
	const struct conf_section *chain[CHAIN];
	struct settings_match *grown;

	if (!overlap(peer_at(&p->inner, inner), peer_at(&p->outer, outer)))
		return 0;
	chain_fill(c, p, inner, outer, chain);
	if ((p->n & (p->n - 1)) == 0) {	/* full at each power of two */
		grown = reallocarray(p->v, p->n == 0 ? 1 : p->n * 2,
		    sizeof(*grown));
		if (grown == NULL)
			goto err1;
		p->v = grown;
	}
	p->v[p->n] = (struct settings_match){ inner, outer,
		resolve(c, s->hostname, chain, CHAIN) };
	if (p->v[p->n].scope == NULL)
		goto err1;
	p->n++;
	return 0;
err1:
	return conf_nomem(c);
}

int
settings_peers_build(struct conf *c, const struct settings *s,
    struct settings_listen *l, const struct conf_section *section)
{
	struct settings_peers *p;
	size_t i, j;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return conf_nomem(c);
	l->peers = p;
	p->listen = section;
	if (list_build(c, section, &p->inner) == -1 ||
	    list_build(c, section->parent, &p->outer) == -1)
		return -1;
	/* in the order of match_cmp() */
	for (i = 0; i <= p->inner.n; i++)
		for (j = 0; j <= p->outer.n; j++)
			if (combine(c, s, p, i, j) == -1)
				return -1;
	l->options = &p->v[p->n - 1].scope->options;	/* in no Peer section */
	return 0;
}

static size_t
best_match(const struct settings_peer_list *list, const struct sockaddr *peer)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (netmask_match(&list->v[i].net, peer))
			break;
	return i;
}

static int
match_cmp(const void *va, const void *vb)
{
	const struct settings_match *a = va, *b = vb;

	if (a->inner != b->inner)
		return a->inner < b->inner ? -1 : 1;
	return a->outer < b->outer ? -1 : a->outer > b->outer;
}

const struct esmtp_options *
settings_options_for(const struct settings *s, size_t listen,
    const struct sockaddr *peer)
{
	const struct settings_peers *p = s->listens[listen].peers;
	struct settings_match key = { best_match(&p->inner, peer),
		best_match(&p->outer, peer), NULL };
	const struct settings_match *found;

	found = bsearch(&key, p->v, p->n, sizeof(*p->v), match_cmp);
	/* ${peer} is in both, so they overlap, so the pair is there */
	return found != NULL ? &found->scope->options :
	    s->listens[listen].options;
}

const struct esmtp_options *
settings_options_at(const struct settings *s, size_t listen, size_t i)
{
	const struct settings_peers *p = s->listens[listen].peers;

	return i < p->n ? &p->v[i].scope->options : NULL;
}

const struct settings_match *
settings_match_of(const struct settings_peers *p,
    const struct esmtp_options *o)
{
	size_t i;

	for (i = 0; &p->v[i].scope->options != o; i++)
		assert(i + 1 < p->n);
	return &p->v[i];
}

const struct conf_value *
settings_match_lookup(const struct conf *c, const struct settings_peers *p,
    const struct settings_match *m, size_t row,
    const struct conf_section **section_r)
{
	const struct conf_section *chain[CHAIN];

	chain_fill(c, p, m->inner, m->outer, chain);
	return settings_lookup(c, chain, CHAIN, row, section_r);
}

struct conf_at
settings_peers_at(const struct conf *c, const struct settings_peers *p,
    const struct esmtp_options *o, size_t row)
{
	const struct conf_section *section;
	const struct conf_value *value;

	value = settings_match_lookup(c, p, settings_match_of(p, o), row,
	    &section);
	return value != NULL ? value->at : p->listen->at;
}

int
settings_refuse(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o, size_t row, const char *value,
    const char *expected)
{
	struct conf_at at = settings_peers_at(c, l->peers, o, row);

	return conf_error_value(c, &at, options_rows[row].name, value,
	    expected);
}

static bool
is_in(const struct conf_list *list, const char *word)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (strcasecmp(list->v[i], word) == 0)
			return true;
	return false;
}

bool
settings_is_named(const struct settings *s, const char *extension)
{
	const struct esmtp_options *o;
	size_t listen, i;

	for (listen = 0; listen < s->nlistens; listen++)
		for (i = 0; (o = settings_options_at(s, listen, i)) != NULL; i++)
			if (is_in(&o->smtp_extensions, extension))
				return true;
	return false;
}

bool
settings_may_etrn(const struct settings *s, const char *domain,
    bool has_subdomains)
{
	const struct esmtp_options *o;
	size_t listen, i, len = strlen(domain);

	for (listen = 0; listen < s->nlistens; listen++)
		for (i = 0; (o = settings_options_at(s, listen, i)) != NULL; i++)
			if (options_may_etrn(o, domain, len, has_subdomains))
				return true;
	return false;
}
