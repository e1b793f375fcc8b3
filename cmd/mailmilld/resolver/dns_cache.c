/* Answers that are still good; see dns_cache.h.
 * Owns: the entries, by name and by last use. */

#include "cmd/mailmilld/resolver/dns_cache.h"

#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#define MALLOC_OCTETS	32	/* what malloc(3) takes beyond an entry, at most */

struct dns_entry {
	RB_ENTRY(dns_entry)	 node;
	TAILQ_ENTRY(dns_entry)	 link;		/* the last used first */
	enum dns_type		 type;
	enum lookup_status	 status;
	bool			 is_authentic;
	uint64_t		 end_ms;
	const char		*name;
	const char		*alias;
	size_t			 len;
	size_t			 octets;	/* of the whole entry */
	uint8_t			 records[];	/* then come the name and the alias */
};
RB_HEAD(dns_entries, dns_entry);

struct dns_cache {
	struct dns_entries		 entries;
	TAILQ_HEAD(dns_used, dns_entry)	 used;
	size_t				 n, octets, max_octets;
};

static int
entry_cmp(const struct dns_entry *a, const struct dns_entry *b)
{
	int order = strcmp(a->name, b->name);

	return order != 0 ? order : (int)a->type - (int)b->type;
}

RB_PROTOTYPE(dns_entries, dns_entry, node, entry_cmp)
RB_GENERATE(dns_entries, dns_entry, node, entry_cmp)

static void
entry_free(struct dns_cache *c, struct dns_entry *e)
{
	RB_REMOVE(dns_entries, &c->entries, e);
	TAILQ_REMOVE(&c->used, e, link);
	c->n--;
	c->octets -= e->octets;
	free(e);
}

static struct dns_entry *
find(struct dns_cache *c, const char *name, enum dns_type type)
{
	struct dns_entry key = { .name = name, .type = type };

	return RB_FIND(dns_entries, &c->entries, &key);
}

bool
dns_cache_find(struct dns_cache *c, const char *name, enum dns_type type,
    uint64_t now_ms, struct lookup_answer *answer_r)
{
	struct dns_entry *e = find(c, name, type);

	if (e == NULL)
		return false;
	if (now_ms >= e->end_ms) {
		entry_free(c, e);
		return false;
	}
	TAILQ_REMOVE(&c->used, e, link);
	TAILQ_INSERT_HEAD(&c->used, e, link);
	memset(answer_r, 0, sizeof(*answer_r));
	answer_r->status = e->status;
	answer_r->ttl_s = (unsigned int)((e->end_ms - now_ms) / 1000);
	answer_r->is_authentic = e->is_authentic;
	strlcpy(answer_r->alias, e->alias, sizeof(answer_r->alias));
	answer_r->records = e->records;
	answer_r->len = e->len;
	return true;
}

static unsigned int
keep_s(const struct lookup_answer *a)
{
	unsigned int max = a->status == LOOKUP_FOUND ||
	    a->status == LOOKUP_TOO_MUCH ? DNS_TTL_MAX_S :
	    DNS_TTL_NEGATIVE_MAX_S;

	if (a->status == LOOKUP_TEMPORARY)
		return DNS_TTL_FAILED_S;
	return a->ttl_s < max ? a->ttl_s : max;
}

void
dns_cache_put(struct dns_cache *c, const char *name, enum dns_type type,
    uint64_t now_ms, const struct lookup_answer *a)
{
	size_t name_len = strlen(name) + 1, alias_len = strlen(a->alias) + 1;
	size_t octets = sizeof(struct dns_entry) + a->len + name_len +
	    alias_len + MALLOC_OCTETS;
	struct dns_entry *e = find(c, name, type);
	char *texts;

	if (e != NULL)
		entry_free(c, e);
	if (keep_s(a) == 0 || octets > c->max_octets)
		return;
	while (c->octets > c->max_octets - octets)
		entry_free(c, TAILQ_LAST(&c->used, dns_used));
	if ((e = calloc(1, octets - MALLOC_OCTETS)) == NULL)
		return;
	texts = (char *)e->records + a->len;
	e->type = type;
	e->status = a->status;
	e->is_authentic = a->is_authentic;
	e->end_ms = now_ms + keep_s(a) * 1000ULL;
	e->name = memcpy(texts, name, name_len);
	e->alias = memcpy(texts + name_len, a->alias, alias_len);
	e->len = a->len;
	e->octets = octets;
	if (a->len > 0)
		memcpy(e->records, a->records, a->len);
	RB_INSERT(dns_entries, &c->entries, e);
	TAILQ_INSERT_HEAD(&c->used, e, link);
	c->n++;
	c->octets += octets;
}

struct dns_cache *
dns_cache_new(size_t max_octets)
{
	struct dns_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	RB_INIT(&c->entries);
	TAILQ_INIT(&c->used);
	c->max_octets = max_octets;
	return c;
}

size_t
dns_cache_octets(const struct dns_cache *c)
{
	return c->octets;
}

size_t
dns_cache_entries(const struct dns_cache *c)
{
	return c->n;
}

void
dns_cache_free(struct dns_cache *c)
{
	struct dns_entry *e;

	if (c == NULL)
		return;
	while ((e = TAILQ_FIRST(&c->used)) != NULL)
		entry_free(c, e);
	free(c);
}
