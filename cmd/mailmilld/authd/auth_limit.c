/* The limits on failed logins.
 * Owns: three tables of counters (clients, logins, pairs of both), and their
 * memory, which outlives the process.  Peers that name clients are among these.
 * Knows nothing of clocks, passwords or who asks.
 *
 * A table consists of sets of WAYS entries; a key belongs to one set, and is in
 * any of its entries.
 *
 * A counter counts in windows of fixed length and approximates a sliding one:
 * it adds the count of the last window, weighted by the part of that window
 * which is still inside the sliding one.
 * Only a success makes a pair, so clients without an account cannot displace
 * pairs from their table.
 *
 * What is in the memory is never trusted: it has no pointers and no sizes, and
 * a time that has not come yet does not count.  At a reload the old authd
 * finishes while the new one counts already: at worst they lose a count to each
 * other. */

#include "cmd/mailmilld/authd/auth_limit.h"

#include <sys/mman.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "core/process/sealed.h"
#include "core/util/addr.h"
#include "core/util/fileio.h"
#include "core/util/wipe.h"

#define KEY_OCTETS	16
#define LOGIN_OCTETS	255		/* of a name that are looked at */
#define WAYS		8
#define KNOWN_MS	(AUTH_KNOWN_DAYS * 86400000ull)
#define SECRET_OCTETS	192		/* at least XXH3_SECRET_SIZE_MIN */

#define CHARGED_MAX	3		/* counters for one attempt */

/* What comes behind an address in a key.  No login has a NUL in it, so none
 * makes one of these of another. */
#define NAMED_OCTETS	1		/* 0: the client was named */
#define SLOT_OCTETS	(1 + sizeof(uint32_t))	/* 1, and a worker's number */

enum kind { CLIENT, LOGIN, PAIR, NKINDS };

struct entry {
	uint8_t		 key[KEY_OCTETS];	/* all zero: not in use */
	uint64_t	 start_ms;		/* of the window of ${count} */
	uint64_t	 used_ms;
	uint64_t	 good_ms;		/* of a pair: the last success */
	uint32_t	 count, before;
};

struct memory {
	uint8_t		 secret[SECRET_OCTETS];
	struct entry	 entries[];		/* of the tables, one by one */
};

struct auth_limit {
	struct auth_limit_config config;
	uint64_t	 window_ms;
	size_t		 nsets;			/* of each table */
	struct memory	*memory;
	uint8_t		 secret[SECRET_OCTETS];	/* a copy that stays */
};

static size_t
sets_of(size_t entries_max)
{
	return (entries_max + WAYS - 1) / WAYS;
}

static size_t
memory_octets(size_t entries_max)
{
	return sizeof(struct memory) + NKINDS * sets_of(entries_max) * WAYS *
	    sizeof(struct entry);
}

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

/* Many back ends ignore the case of a name, so all spellings count as one. */
static size_t
put_login(const char *login, uint8_t *buf)
{
	size_t i;

	for (i = 0; i < LOGIN_OCTETS && login[i] != '\0'; i++)
		buf[i] = (uint8_t)tolower((unsigned char)login[i]);
	return i;
}

static uint64_t
window_start(const struct auth_limit *l, uint64_t now_ms)
{
	return now_ms - now_ms % l->window_ms;
}

/* The peer that has named the client, in the words of one worker. */
static void
key_via(const struct auth_limit *l, const struct auth_from *from,
    uint8_t key_r[KEY_OCTETS])
{
	uint8_t buf[ADDR_NETWORK + SLOT_OCTETS];
	uint32_t slot = from->slot;

	addr_network(from->via, buf);
	buf[ADDR_NETWORK] = 1;
	memcpy(buf + ADDR_NETWORK + 1, &slot, sizeof(slot));
	key_make(l, buf, sizeof(buf), key_r);
}

static void
attempt_init(const struct auth_limit *l, const struct auth_from *from,
    const char *login, uint64_t now_ms, struct auth_attempt *a)
{
	uint8_t buf[ADDR_NETWORK + NAMED_OCTETS + LOGIN_OCTETS];
	size_t n = ADDR_NETWORK, m;

	memset(a, 0, sizeof(*a));
	a->start_ms = window_start(l, now_ms);
	addr_network(from->client, buf);
	if ((a->has_via = from->via != NULL)) {
		key_via(l, from, a->via);
		buf[n++] = 0;
	}
	key_make(l, buf, n, a->client);
	if ((a->has_login = login != NULL)) {
		m = put_login(login, buf + n);
		key_make(l, buf + n, m, a->login);
		key_make(l, buf, n + m, a->pair);
	}
}

/* --- entries -------------------------------------------------------------- */

/* Begin a new window if it is time. */
static void
entry_roll(const struct auth_limit *l, struct entry *e, uint64_t now_ms)
{
	uint64_t start_ms = window_start(l, now_ms);

	/* a window that begins later is of another length (a reload), or one
	 * that no authd has written */
	if (start_ms <= e->start_ms && e->start_ms - start_ms <= l->window_ms)
		return;
	e->before = start_ms - e->start_ms <= l->window_ms ? e->count : 0;
	e->count = 0;
	e->start_ms = start_ms;
}

static unsigned int
entry_count(const struct auth_limit *l, struct entry *e, uint64_t now_ms)
{
	uint64_t left = l->window_ms - now_ms % l->window_ms;

	if (e == NULL)
		return 0;
	entry_roll(l, e, now_ms);
	return e->count + (unsigned int)((e->before * left + l->window_ms - 1) /
	    l->window_ms);
}

/* The set that ${key} belongs to. */
static struct entry *
set_of(const struct auth_limit *l, enum kind kind,
    const uint8_t key[KEY_OCTETS])
{
	uint64_t n;

	memcpy(&n, key, sizeof(n));
	return l->memory->entries + (kind * l->nsets + n % l->nsets) * WAYS;
}

static struct entry *
entry_find(const struct auth_limit *l, enum kind kind,
    const uint8_t key[KEY_OCTETS])
{
	struct entry *set = set_of(l, kind, key), *e;

	for (e = set; e < set + WAYS; e++)
		if (memcmp(e->key, key, KEY_OCTETS) == 0)
			return e;
	return NULL;
}

/* Choose the entry of a set to drop: that with the fewest failures, so that a
 * flood of new names does not displace what has failed often. */
static struct entry *
victim(const struct auth_limit *l, struct entry *set, uint64_t now_ms)
{
	unsigned int count, least = UINT32_MAX;
	struct entry *e, *best = set;

	for (e = set; e < set + WAYS; e++) {
		count = entry_count(l, e, now_ms);
		if (count < least ||
		    (count == least && e->used_ms < best->used_ms)) {
			least = count;
			best = e;
		}
	}
	return best;
}

static struct entry *
entry_get(const struct auth_limit *l, enum kind kind,
    const uint8_t key[KEY_OCTETS], uint64_t now_ms)
{
	struct entry *e = entry_find(l, kind, key);

	if (e == NULL) {
		e = victim(l, set_of(l, kind, key), now_ms);
		*e = (struct entry){ .start_ms = window_start(l, now_ms) };
		memcpy(e->key, key, KEY_OCTETS);
	}
	e->used_ms = now_ms;
	return e;
}

static void
charge(const struct auth_limit *l, struct entry *e, uint64_t now_ms)
{
	entry_roll(l, e, now_ms);
	e->count++;
}

/* Take back what began in the window of ${start_ms}, if the entry still has
 * it. */
static void
uncharge(const struct auth_limit *l, struct entry *e, uint64_t start_ms)
{
	if (e == NULL)
		return;
	if (e->start_ms == start_ms && e->count > 0)
		e->count--;
	else if (e->start_ms == start_ms + l->window_ms && e->before > 0)
		e->before--;
}

/* -------------------------------------------------------------------------- */

static struct entry *
known_pair(struct auth_limit *l, const struct auth_attempt *a, uint64_t now_ms)
{
	struct entry *e;

	if (!a->has_login ||
	    (e = entry_find(l, PAIR, a->pair)) == NULL ||
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
	e->used_ms = now_ms;
	if (is_over(l, e, max > 0 ? max : l->config.client_max, now_ms))
		return false;
	charge(l, e, now_ms);
	a->is_charged = true;
	return true;
}

/* Make room for the key, and find out whether it has all that it may have. */
static bool
is_spent(const struct auth_limit *l, enum kind kind,
    const uint8_t key[KEY_OCTETS], unsigned int max, uint64_t now_ms)
{
	return is_over(l, entry_get(l, kind, key, now_ms), max, now_ms);
}

/* The counters that an attempt is charged to; NULL: one less.  That of the peer
 * which has named the client is the last. */
static void
entries_of(struct auth_limit *l, const struct auth_attempt *a,
    struct entry *entries_r[CHARGED_MAX])
{
	entries_r[0] = a->is_known ? entry_find(l, PAIR, a->pair) :
	    entry_find(l, CLIENT, a->client);
	entries_r[1] = a->is_known || !a->has_login ? NULL :
	    entry_find(l, LOGIN, a->login);
	entries_r[2] = a->is_known || !a->has_via ? NULL :
	    entry_find(l, CLIENT, a->via);
}

bool
auth_limit_begin(struct auth_limit *l, const struct auth_from *from,
    const char *login, uint64_t now_ms, struct auth_attempt *attempt_r)
{
	const struct auth_limit_config *c = &l->config;
	struct entry *e, *entries[CHARGED_MAX];
	struct auth_attempt *a = attempt_r;
	unsigned int i;

	attempt_init(l, from, login, now_ms, a);
	if ((e = known_pair(l, a, now_ms)) != NULL)
		return begin_known(l, e, a, now_ms);
	a->is_via_spent = a->has_via &&
	    is_spent(l, CLIENT, a->via, c->via_max, now_ms);
	if (a->is_via_spent ||
	    is_spent(l, CLIENT, a->client, c->client_max, now_ms) ||
	    (a->has_login &&
	    is_spent(l, LOGIN, a->login, c->login_max, now_ms)))
		return false;
	entries_of(l, a, entries);
	for (i = 0; i < CHARGED_MAX; i++)
		if (entries[i] != NULL)
			charge(l, entries[i], now_ms);
	a->is_charged = true;
	return true;
}

void
auth_limit_unsure(struct auth_limit *l, struct auth_attempt *attempt)
{
	struct entry *entries[CHARGED_MAX];
	unsigned int i;

	if (!attempt->is_charged)
		return;
	attempt->is_charged = false;
	entries_of(l, attempt, entries);
	for (i = 0; i < CHARGED_MAX; i++)
		uncharge(l, entries[i], attempt->start_ms);
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
	e = entry_get(l, PAIR, attempt->pair, now_ms);
	e->good_ms = now_ms;
}

unsigned int
auth_limit_delay(struct auth_limit *l, const struct auth_attempt *attempt,
    uint64_t now_ms)
{
	unsigned int n, m, ms = AUTH_DELAY_MIN_MS;
	struct entry *entries[CHARGED_MAX];

	/* not by the peer that has named the client: it may have many */
	entries_of(l, attempt, entries);
	n = entry_count(l, entries[0], now_ms);
	m = entry_count(l, entries[1], now_ms);
	if (m > n)
		n = m;
	while (n-- > 1 && ms < AUTH_DELAY_MAX_MS)
		ms *= 2;
	return ms < AUTH_DELAY_MAX_MS ? ms : AUTH_DELAY_MAX_MS;
}

int
auth_limit_memory(size_t entries_max)
{
	size_t octets = memory_octets(entries_max);
	struct memory *m;
	int fd;

	if ((fd = sealed_create("mailmill-logins", octets)) == -1)
		return -1;
	if ((m = sealed_map(fd, octets)) == NULL) {
		fileio_close(fd);
		return -1;
	}
	arc4random_buf(m->secret, sizeof(m->secret));
	munmap(m, octets);
	return fd;
}

struct auth_limit *
auth_limit_new(const struct auth_limit_config *config, int fd)
{
	struct auth_limit *l;

	if (config->entries_max == 0 || config->window_s == 0) {
		errno = EINVAL;
		return NULL;
	}
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	l->config = *config;
	l->window_ms = config->window_s * 1000ull;
	l->nsets = sets_of(config->entries_max);
	l->memory = sealed_map(fd, memory_octets(config->entries_max));
	if (l->memory == NULL) {
		free(l);
		return NULL;
	}
	memcpy(l->secret, l->memory->secret, sizeof(l->secret));
	return l;
}

void
auth_limit_free(struct auth_limit *l)
{
	if (l == NULL)
		return;
	munmap(l->memory, memory_octets(l->config.entries_max));
	wipe_free(l, sizeof(*l));
}
