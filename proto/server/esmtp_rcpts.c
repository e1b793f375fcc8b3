/* The recipients of a transaction.
 * Owns: their memory, and the sums of it over all sessions of the host and of a
 * client; what RCPT has said of each.
 * Knows nothing of commands and replies. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/lim.h"
#include "core/util/array.h"
#include "core/util/utf8.h"
#include "proto/server/esmtp_txn.h"

size_t
esmtp_rcpts_octets(const struct esmtp_rcpts *r)
{
	return r->text_size + r->at_size * sizeof(*r->at) +
	    r->sorted_size * sizeof(*r->sorted) +
	    r->said_size * sizeof(*r->said);
}

/* They took ${before} octets. */
static void
count(struct esmtp_rcpts *r, size_t before)
{
	size_t more = esmtp_rcpts_octets(r) - before;

	*r->held += more;
	if (r->client != NULL)
		r->client->octets += more;
}

void
esmtp_rcpts_clear(struct esmtp_rcpts *r)
{
	const struct esmtp_rcpts none = { .held = r->held,
		.client = r->client };
	size_t before = esmtp_rcpts_octets(r);

	free(r->text);
	free(r->at);
	free(r->sorted);
	free(r->said);
	*r = none;
	count(r, before);
}

#define KEY_MAX	(3 * LIM_PATH)	/* octets: an address in lower case, UTF-8 */

/* The key of ${addr}: itself in lower case.  Return it, in ${room}, or NULL: there
 * is no memory to make it. */
static const char *
key_of(const char *addr, char room[KEY_MAX + 1])
{
	ssize_t n = utf8_lower(addr, strlen(addr), room, KEY_MAX);

	if (n == -1)
		return NULL;
	room[n] = '\0';
	return room;
}

static const char *
domain_of(const char *addr)
{
	const char *at = strrchr(addr, '@');

	return at != NULL ? at + 1 : "";
}

/* By domain, so that those of one are beside each other, then by the whole. */
static int
order(const char *a, const char *b, int (*cmp)(const char *, const char *))
{
	int of_domains = cmp(domain_of(a), domain_of(b));

	return of_domains != 0 ? of_domains : cmp(a, b);
}

/* The order of ${key} to the key of ${addr} is *${order_r}.  0, or -1: ENOMEM. */
static int
compare(const char *key, const char *addr, int *order_r)
{
	char room[KEY_MAX + 1];
	const char *other;

	if (utf8_is_ascii(addr, strlen(addr))) {
		*order_r = order(key, addr, strcasecmp);
		return 0;
	}
	if ((other = key_of(addr, room)) == NULL)
		return -1;
	*order_r = order(key, other, strcmp);
	return 0;
}

/* Where ${addr} is among the sorted ones, or would be, is *${i_r}: of several that
 * are equal, which are in the order in which they were added, the first, or, if
 * ${is_behind}, behind the last.  Return 1: it is there, 0: it is not, or -1:
 * ENOMEM. */
static int
find(const struct esmtp_rcpts *r, const char *addr, bool is_behind,
    size_t *i_r)
{
	size_t low = 0, high = r->n, middle;
	char room[KEY_MAX + 1];
	const char *key = key_of(addr, room);
	int to_middle, is_there = 0;

	if (key == NULL)
		return -1;
	while (low < high) {
		middle = (low + high) / 2;
		if (compare(key, r->text + r->sorted[middle], &to_middle) == -1)
			return -1;
		is_there |= to_middle == 0;
		if (to_middle < 0 || (to_middle == 0 && !is_behind))
			high = middle;
		else
			low = middle + 1;
	}
	*i_r = low;
	return is_there;
}

/* The number of the one whose text is at ${at}: they are in the order of their
 * texts. */
static size_t
number_of(const struct esmtp_rcpts *r, uint32_t at)
{
	size_t low = 0, high = r->n - 1, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (r->at[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int
esmtp_rcpts_find(const struct esmtp_rcpts *r, const char *addr,
    size_t *first_r, size_t *end_r)
{
	int is_there = find(r, addr, false, first_r);

	return is_there == 1 ? find(r, addr, true, end_r) : is_there;
}

size_t
esmtp_rcpts_number(const struct esmtp_rcpts *r, size_t i)
{
	return number_of(r, r->sorted[i]);
}

/* Has none of those beside place ${i} of the sorted ones, where ${addr} is put or
 * was, its domain?  Domains have A-labels, so they are ASCII. */
static bool
is_new_domain(const struct esmtp_rcpts *r, size_t i, const char *addr)
{
	const char *domain = domain_of(addr);

	return (i == 0 || strcasecmp(domain,
	    domain_of(r->text + r->sorted[i - 1])) != 0) && (i == r->n ||
	    strcasecmp(domain, domain_of(r->text + r->sorted[i])) != 0);
}

/* Make room for one more, with a text of ${len} octets. */
static int
make_room(struct esmtp_rcpts *r, size_t len)
{
	uint32_t *at, *sorted, *said;
	char *text;

	if ((text = array_fit(r->text, &r->text_size, r->len + len, 1)) == NULL)
		return -1;
	r->text = text;
	at = array_fit(r->at, &r->at_size, r->n + 1, sizeof(*at));
	if (at == NULL)
		return -1;
	r->at = at;
	sorted = array_fit(r->sorted, &r->sorted_size, r->n + 1,
	    sizeof(*sorted));
	if (sorted == NULL)
		return -1;
	r->sorted = sorted;
	if (r->said == NULL)
		return 0;
	said = array_fit(r->said, &r->said_size, r->n + 1, sizeof(*said));
	if (said == NULL)
		return -1;
	r->said = said;
	return 0;
}

int
esmtp_rcpts_add(struct esmtp_rcpts *r, const char *addr, bool is_unique)
{
	size_t len = strlen(addr) + 1, before = esmtp_rcpts_octets(r), i;
	int failed, is_there = find(r, addr, true, &i);

	if (is_there == -1)
		return -1;
	if (is_there == 1 && is_unique)
		return 0;
	failed = make_room(r, len);
	count(r, before);
	if (failed == -1)
		return -1;
	r->ndomains += is_new_domain(r, i, addr);
	memmove(r->sorted + i + 1, r->sorted + i,
	    (r->n - i) * sizeof(*r->sorted));
	r->at[r->n] = r->sorted[i] = (uint32_t)r->len;
	if (r->said != NULL)
		r->said[r->n] = 0;
	memcpy(r->text + r->len, addr, len);
	r->len += len;
	r->n++;
	return 1;
}

/* The ${len} octets of text at ${at} are needed no more: those behind them move
 * up. */
static void
close_gap(struct esmtp_rcpts *r, uint32_t at, size_t len)
{
	size_t i;

	memmove(r->text + at, r->text + at + len, r->len - at - len);
	r->len -= len;
	for (i = 0; i < r->n; i++) {
		if (r->at[i] > at)
			r->at[i] -= (uint32_t)len;
		if (r->sorted[i] > at)
			r->sorted[i] -= (uint32_t)len;
		if (r->said != NULL && r->said[i] > at)
			r->said[i] -= (uint32_t)len;
	}
}

/* As find(), of the first one.  Where there is no memory, one that is written in
 * the same way is found nevertheless: what was just added can always be removed. */
static int
find_to_remove(const struct esmtp_rcpts *r, const char *addr, size_t *i_r)
{
	int is_there = find(r, addr, false, i_r);
	size_t i;

	for (i = 0; is_there == -1 && i < r->n; i++)
		if (strcmp(r->text + r->sorted[i], addr) == 0) {
			*i_r = i;
			return 1;
		}
	return is_there;
}

int
esmtp_rcpts_remove(struct esmtp_rcpts *r, const char *addr)
{
	uint32_t at, said;
	int is_there;
	size_t i, k;

	if ((is_there = find_to_remove(r, addr, &i)) != 1) {
		errno = is_there == 0 ? ENOENT : ENOMEM;
		return -1;
	}
	at = r->sorted[i];
	k = number_of(r, at);
	said = r->said != NULL ? r->said[k] : 0;
	r->n--;
	memmove(r->at + k, r->at + k + 1, (r->n - k) * sizeof(*r->at));
	if (r->said != NULL)
		memmove(r->said + k, r->said + k + 1,
		    (r->n - k) * sizeof(*r->said));
	memmove(r->sorted + i, r->sorted + i + 1,
	    (r->n - i) * sizeof(*r->sorted));
	r->ndomains -= is_new_domain(r, i, r->text + at);
	/* it is behind the address */
	if (said != 0)
		close_gap(r, said, 1 + strlen(r->text + said + 1) + 1);
	close_gap(r, at, strlen(r->text + at) + 1);
	return (int)k;
}

/* In the text behind the address: an octet of SPOOL_NOTIFY_*, then ORCPT, which
 * is never empty if it was said. */
int
esmtp_rcpts_say(struct esmtp_rcpts *r, unsigned int notify, const char *orcpt)
{
	size_t len = strlen(orcpt) + 1, before = esmtp_rcpts_octets(r);
	uint32_t *said;
	char *text;

	text = array_fit(r->text, &r->text_size, r->len + 1 + len, 1);
	if (text != NULL)
		r->text = text;
	said = array_fit(r->said, &r->said_size, r->n, sizeof(*said));
	if (said != NULL)
		r->said = said;
	count(r, before);
	if (text == NULL || said == NULL)
		return -1;
	r->said[r->n - 1] = (uint32_t)r->len;
	r->text[r->len] = (char)notify;
	memcpy(r->text + r->len + 1, orcpt, len);
	r->len += 1 + len;
	return 0;
}

unsigned int
esmtp_rcpts_said(const struct esmtp_rcpts *r, size_t i, const char **orcpt_r)
{
	const char *said;

	*orcpt_r = NULL;
	if (r->said == NULL || r->said[i] == 0)
		return 0;
	said = r->text + r->said[i];
	if (said[1] != '\0')
		*orcpt_r = said + 1;
	return (unsigned char)said[0];
}
