/* What bounds connections; see relay_bound_int.h. */

#include "cmd/mailmilld/relay/relay_bound_int.h"

#include <stdlib.h>
#include <string.h>

#include "core/util/monotonic.h"

static int
bound_cmp(const struct relay_bound *a, const struct relay_bound *b)
{
	return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) :
	    memcmp(a->octets, b->octets, sizeof(a->octets));
}

RB_PROTOTYPE(relay_bound_tree, relay_bound, node, bound_cmp)
RB_GENERATE(relay_bound_tree, relay_bound, node, bound_cmp)

/* Of an address of this machine all octets count. */
static void
set_octets(struct relay_bound *b, const union addr *addr)
{
	const unsigned char *octets;
	int family;

	addr_network(&addr->sa, b->octets);
	if (b->kind == BOUND_SOURCE && (octets = addr_octets(&addr->sa,
	    &family)) != NULL && family == AF_INET6)
		memcpy(b->octets, octets, sizeof(b->octets));
}

struct relay_bound *
relay_bound_find(struct relay_bounds *t, enum relay_bound_kind kind,
    const union addr *addr)
{
	struct relay_bound key = { .kind = kind };

	set_octets(&key, addr);
	return RB_FIND(relay_bound_tree, &t->tree, &key);
}

struct relay_bound *
relay_bound_get(struct relay_bounds *t, enum relay_bound_kind kind,
    const union addr *addr)
{
	struct relay_bound *b = relay_bound_find(t, kind, addr);

	if (b != NULL || (b = calloc(1, sizeof(*b))) == NULL)
		return b;
	b->kind = kind;
	set_octets(b, addr);
	RB_INSERT(relay_bound_tree, &t->tree, b);
	return b;
}

struct relay_bound *
relay_bound_target(size_t max)
{
	struct relay_bound *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->kind = BOUND_TARGET;
	b->max = b->limit = max;
	return b;
}

static void
unkeep(struct relay_bounds *t, struct relay_bound *b)
{
	if (!b->is_kept)
		return;
	TAILQ_REMOVE(&t->kept, b, kept);
	b->is_kept = false;
	t->nkept--;
}

static void
forget(struct relay_bounds *t, struct relay_bound *b)
{
	unkeep(t, b);
	if (b->kind != BOUND_TARGET)
		RB_REMOVE(relay_bound_tree, &t->tree, b);
	free(b);
}

static bool
is_used(const struct relay_bound *b)
{
	return b->nconns > 0 || b->nwaiting > 0 || b->nhops > 0;
}

/* For each address that is kept, two that were kept before are looked at. */
static void
sweep(struct relay_bounds *t)
{
	struct relay_bound *b;
	unsigned int i;

	for (i = 0; i < 2 && (b = TAILQ_FIRST(&t->kept)) != NULL; i++) {
		if (is_used(b))
			unkeep(t, b);
		else if (t->nkept > RELAY_BOUNDS_KEPT ||
		    relay_rate_is_over(&b->rate, monotonic_ms()))
			forget(t, b);
		else {
			TAILQ_REMOVE(&t->kept, b, kept);
			TAILQ_INSERT_TAIL(&t->kept, b, kept);
		}
	}
}

void
relay_bound_put(struct relay_bounds *t, struct relay_bound *b)
{
	if (b == NULL || is_used(b))
		return;
	if (b->rate.next_us == 0 ||
	    relay_rate_is_over(&b->rate, monotonic_ms())) {
		forget(t, b);
		return;
	}
	if (!b->is_kept) {
		TAILQ_INSERT_TAIL(&t->kept, b, kept);
		b->is_kept = true;
		t->nkept++;
	}
	sweep(t);
}

void
relay_bounds_init(struct relay_bounds *t)
{
	RB_INIT(&t->tree);
	TAILQ_INIT(&t->kept);
	t->nkept = 0;
}

void
relay_bounds_free(struct relay_bounds *t)
{
	struct relay_bound *b;

	while ((b = TAILQ_FIRST(&t->kept)) != NULL)
		forget(t, b);
}

void
relay_bounds_begin(struct relay_bound *const v[NBOUNDS], uint64_t now_ms)
{
	unsigned int i;

	for (i = 0; i < NBOUNDS; i++) {
		if (v[i] == NULL)
			continue;
		if (v[i]->nconns++ == 0)
			v[i]->since_ms = now_ms;
		v[i]->count[CONN_OPENING]++;
	}
}

void
relay_bounds_move(struct relay_bound *const v[NBOUNDS],
    enum relay_conn_state from, enum relay_conn_state to, uint64_t now_ms)
{
	unsigned int i;

	for (i = 0; i < NBOUNDS; i++) {
		if (v[i] == NULL)
			continue;
		v[i]->count[from]--;
		v[i]->count[to]++;
		if (from == CONN_OPENING && to != CONN_LEAVING)
			v[i]->since_ms = now_ms;
	}
}

void
relay_bounds_end(struct relay_bounds *t,
    struct relay_bound *const v[NBOUNDS], enum relay_conn_state state)
{
	unsigned int i;

	for (i = 0; i < NBOUNDS; i++) {
		if (v[i] == NULL)
			continue;
		v[i]->count[state]--;
		v[i]->nconns--;
	}
	relay_bounds_put(t, v);
}

void
relay_bounds_put(struct relay_bounds *t,
    struct relay_bound *const v[NBOUNDS])
{
	unsigned int i;

	for (i = 0; i < NBOUNDS; i++)
		relay_bound_put(t, v[i]);
}

bool
relay_bound_is_silent(const struct relay_bound *b, uint64_t now_ms)
{
	return b->count[CONN_OPENING] == b->nconns &&
	    now_ms - b->since_ms >= RELAY_SILENT_MS;
}

bool
relay_bound_is_wanted(const struct relay_bound *b)
{
	return b->nwaiting > b->count[CONN_LEAVING];
}

bool
relay_bounds_are_waited_for(struct relay_bound *const v[NBOUNDS])
{
	unsigned int i;

	for (i = 0; i < NBOUNDS; i++)
		if (v[i] != NULL && v[i]->nwaiting > 0)
			return true;
	return false;
}

bool
relay_bounds_are_wanted(struct relay_bound *const v[NBOUNDS])
{
	unsigned int i;

	for (i = 0; i < NBOUNDS; i++)
		if (v[i] != NULL && relay_bound_is_wanted(v[i]))
			return true;
	return false;
}
