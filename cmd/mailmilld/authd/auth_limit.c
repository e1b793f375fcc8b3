/* The limits on failed logins.
 * Owns: three tables of counters (clients, logins, pairs of both), whose memory
 * is allocated at the start.
 * Knows nothing of clocks, passwords or who asks.
 *
 * A counter counts in windows of fixed length and approximates a sliding one:
 * it adds the count of the last window, weighted by the part of that window
 * which is still inside the sliding one.
 * Only a success makes a pair, so clients without an account cannot displace
 * pairs from their table. */

#include "cmd/mailmilld/authd/auth_limit.h"

#include <sys/queue.h>
#include <sys/tree.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "core/util/addr.h"

#define KEY_OCTETS	16
#define LOGIN_OCTETS	255		/* of a name that are looked at */
#define EVICT_LOOK	8		/* oldest entries, to choose from */
#define KNOWN_MS	(AUTH_KNOWN_DAYS * 86400000ull)
#define SECRET_OCTETS	192		/* at least XXH3_SECRET_SIZE_MIN */

enum kind { CLIENT, LOGIN, PAIR, NKINDS };

struct entry {
	RB_ENTRY(entry)		 node;
	TAILQ_ENTRY(entry)	 link;		/* the one used last is last */
	uint8_t			 key[KEY_OCTETS];
	uint64_t		 window;	/* of ${count} */
	uint64_t		 good_ms;	/* of a pair: the last success */
	uint32_t		 count, before;
};

RB_HEAD(auth_limit_tree, entry);

struct table {
	struct entry		*v;
	size_t			 used;
	struct auth_limit_tree	 tree;
	TAILQ_HEAD(, entry)	 lru;
};

struct auth_limit {
	struct auth_limit_config config;
	uint64_t		 window_ms;
	struct table		 tables[NKINDS];
	uint8_t			 secret[SECRET_OCTETS];
};

/* --- keys ----------------------------------------------------------------- */

/* The hash is keyed with a secret, so that nobody can choose names that
 * collide. */
static void
key_make(const struct auth_limit *l, const uint8_t *v, size_t len,
    uint8_t key_r[KEY_OCTETS])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSecret(v, len,
	    l->secret, sizeof(l->secret)));
	memcpy(key_r, canonical.digest, KEY_OCTETS);
}

/* The network of a client: an IPv4 address, mapped or not, or an IPv6 /64,
 * which is what one customer gets and can change within at will. */
static size_t
put_client(const struct sockaddr *peer, uint8_t *buf)
{
	const unsigned char *octets;
	int family;

	memset(buf, 0, 9);
	if ((octets = addr_octets(peer, &family)) != NULL) {
		buf[0] = family == AF_INET ? 4 : 6;
		memcpy(buf + 1, octets, family == AF_INET ? 4 : 8);
	}
	return 9;
}

/* Many back ends ignore the case of a name, so all spellings count as one. */
static size_t
put_login(const char *login, uint8_t *buf)
{
	size_t i;

	for (i = 0; i < LOGIN_OCTETS && login[i] != '\0'; i++)
		buf[i] = (uint8_t)tolower((unsigned char)login[i]);
	return i;
}

static void
attempt_init(const struct auth_limit *l, const struct sockaddr *peer,
    const char *login, uint64_t now_ms, struct auth_attempt *a)
{
	uint8_t buf[9 + LOGIN_OCTETS];
	size_t n, m;

	memset(a, 0, sizeof(*a));
	a->window = now_ms / l->window_ms;
	n = put_client(peer, buf);
	key_make(l, buf, n, a->client);
	if ((a->has_login = login != NULL)) {
		m = put_login(login, buf + n);
		key_make(l, buf + n, m, a->login);
		key_make(l, buf, n + m, a->pair);
	}
}

/* --- entries -------------------------------------------------------------- */

static int
entry_cmp(const struct entry *a, const struct entry *b)
{
	return memcmp(a->key, b->key, KEY_OCTETS);
}

RB_PROTOTYPE(auth_limit_tree, entry, node, entry_cmp)
RB_GENERATE(auth_limit_tree, entry, node, entry_cmp)

/* Begin a new window if it is time. */
static void
entry_roll(struct entry *e, uint64_t window)
{
	if (window <= e->window)
		return;
	e->before = window == e->window + 1 ? e->count : 0;
	e->count = 0;
	e->window = window;
}

static unsigned int
entry_count(const struct auth_limit *l, struct entry *e, uint64_t now_ms)
{
	uint64_t left = l->window_ms - now_ms % l->window_ms;

	if (e == NULL)
		return 0;
	entry_roll(e, now_ms / l->window_ms);
	return e->count + (unsigned int)((e->before * left + l->window_ms - 1) /
	    l->window_ms);
}

static struct entry *
entry_find(struct table *t, const uint8_t key[KEY_OCTETS])
{
	struct entry wanted;

	memcpy(wanted.key, key, KEY_OCTETS);
	return RB_FIND(auth_limit_tree, &t->tree, &wanted);
}

/* Choose the entry to drop.  Entries with many failures are kept, so that a
 * flood of new names does not displace them. */
static struct entry *
victim(const struct auth_limit *l, struct table *t, uint64_t now_ms)
{
	struct entry *e, *best = TAILQ_FIRST(&t->lru);
	unsigned int i = 0;

	TAILQ_FOREACH(e, &t->lru, link) {
		if (i++ == EVICT_LOOK)
			break;
		if (entry_count(l, e, now_ms) < entry_count(l, best, now_ms))
			best = e;
	}
	return best;
}

static void
entry_touch(struct table *t, struct entry *e)
{
	TAILQ_REMOVE(&t->lru, e, link);
	TAILQ_INSERT_TAIL(&t->lru, e, link);
}

static struct entry *
entry_get(const struct auth_limit *l, struct table *t,
    const uint8_t key[KEY_OCTETS], uint64_t now_ms)
{
	struct entry *e;

	if ((e = entry_find(t, key)) != NULL) {
		entry_touch(t, e);
		return e;
	}
	if (t->used < l->config.entries_max) {
		e = &t->v[t->used++];
	} else {
		e = victim(l, t, now_ms);
		TAILQ_REMOVE(&t->lru, e, link);
		RB_REMOVE(auth_limit_tree, &t->tree, e);
		memset(e, 0, sizeof(*e));
	}
	memcpy(e->key, key, KEY_OCTETS);
	e->window = now_ms / l->window_ms;
	RB_INSERT(auth_limit_tree, &t->tree, e);
	TAILQ_INSERT_TAIL(&t->lru, e, link);
	return e;
}

static void
charge(const struct auth_limit *l, struct entry *e, uint64_t now_ms)
{
	entry_roll(e, now_ms / l->window_ms);
	e->count++;
}

/* Take back what began in ${window}, if the entry still has it. */
static void
uncharge(struct entry *e, uint64_t window)
{
	if (e == NULL)
		return;
	if (e->window == window && e->count > 0)
		e->count--;
	else if (e->window == window + 1 && e->before > 0)
		e->before--;
}

/* -------------------------------------------------------------------------- */

static struct entry *
known_pair(struct auth_limit *l, const struct auth_attempt *a, uint64_t now_ms)
{
	struct entry *e;

	if (!a->has_login ||
	    (e = entry_find(&l->tables[PAIR], a->pair)) == NULL ||
	    now_ms - e->good_ms > KNOWN_MS)
		return NULL;
	return e;
}

static bool
is_over(const struct auth_limit *l, struct entry *e, unsigned int max,
    uint64_t now_ms)
{
	return max > 0 && entry_count(l, e, now_ms) >= max;
}

static bool
begin_known(struct auth_limit *l, struct entry *e, struct auth_attempt *a,
    uint64_t now_ms)
{
	unsigned int max = l->config.login_max;

	a->is_known = true;
	entry_touch(&l->tables[PAIR], e);
	if (is_over(l, e, max > 0 ? max : l->config.client_max, now_ms))
		return false;
	charge(l, e, now_ms);
	a->is_charged = true;
	return true;
}

bool
auth_limit_begin(struct auth_limit *l, const struct sockaddr *peer,
    const char *login, uint64_t now_ms, struct auth_attempt *attempt_r)
{
	struct auth_attempt *a = attempt_r;
	struct entry *e, *client, *name = NULL;

	attempt_init(l, peer, login, now_ms, a);
	if ((e = known_pair(l, a, now_ms)) != NULL)
		return begin_known(l, e, a, now_ms);
	client = entry_get(l, &l->tables[CLIENT], a->client, now_ms);
	if (is_over(l, client, l->config.client_max, now_ms))
		return false;
	if (a->has_login) {
		name = entry_get(l, &l->tables[LOGIN], a->login, now_ms);
		if (is_over(l, name, l->config.login_max, now_ms))
			return false;
		charge(l, name, now_ms);
	}
	charge(l, client, now_ms);
	a->is_charged = true;
	return true;
}

/* The counters that an attempt is charged to; NULL: one less. */
static void
entries_of(struct auth_limit *l, const struct auth_attempt *a,
    struct entry *entries_r[2])
{
	entries_r[0] = a->is_known ? entry_find(&l->tables[PAIR], a->pair) :
	    entry_find(&l->tables[CLIENT], a->client);
	entries_r[1] = a->is_known || !a->has_login ? NULL :
	    entry_find(&l->tables[LOGIN], a->login);
}

void
auth_limit_unsure(struct auth_limit *l, struct auth_attempt *attempt)
{
	struct entry *entries[2];

	if (!attempt->is_charged)
		return;
	attempt->is_charged = false;
	entries_of(l, attempt, entries);
	uncharge(entries[0], attempt->window);
	uncharge(entries[1], attempt->window);
}

void
auth_limit_good(struct auth_limit *l, struct auth_attempt *attempt,
    uint64_t now_ms)
{
	bool was_charged = attempt->is_charged;
	struct entry *e;

	auth_limit_unsure(l, attempt);
	if (!was_charged || !attempt->has_login)
		return;
	e = entry_get(l, &l->tables[PAIR], attempt->pair, now_ms);
	e->good_ms = now_ms;
}

unsigned int
auth_limit_delay(struct auth_limit *l, const struct auth_attempt *attempt,
    uint64_t now_ms)
{
	unsigned int n, m, ms = AUTH_DELAY_MIN_MS;
	struct entry *entries[2];

	entries_of(l, attempt, entries);
	n = entry_count(l, entries[0], now_ms);
	m = entry_count(l, entries[1], now_ms);
	if (m > n)
		n = m;
	while (n-- > 1 && ms < AUTH_DELAY_MAX_MS)
		ms *= 2;
	return ms < AUTH_DELAY_MAX_MS ? ms : AUTH_DELAY_MAX_MS;
}

struct auth_limit *
auth_limit_new(const struct auth_limit_config *config)
{
	struct auth_limit *l;
	unsigned int i;

	if (config->entries_max == 0 || config->window_s == 0) {
		errno = EINVAL;
		return NULL;
	}
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	l->config = *config;
	l->window_ms = config->window_s * 1000ull;
	arc4random_buf(l->secret, sizeof(l->secret));
	for (i = 0; i < NKINDS; i++) {
		RB_INIT(&l->tables[i].tree);
		TAILQ_INIT(&l->tables[i].lru);
		/* memory of entries that are never used is never touched */
		l->tables[i].v = calloc(config->entries_max,
		    sizeof(struct entry));
		if (l->tables[i].v == NULL) {
			auth_limit_free(l);
			return NULL;
		}
	}
	return l;
}

void
auth_limit_free(struct auth_limit *l)
{
	unsigned int i;

	if (l == NULL)
		return;
	for (i = 0; i < NKINDS; i++)
		free(l->tables[i].v);
	free(l);
}
