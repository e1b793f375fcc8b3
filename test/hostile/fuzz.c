/* Messages of every kind, with every field changed. */

#include "test/hostile/hostile.h"

#include <errno.h>
#include <string.h>

#define PER_TURN	64	/* to each peer: as many as it reads in a pass */
#define PATIENCE	100	/* turns for a peer that reads nothing */
#define NVALUES		7
#define ENTRY_OCTETS	64	/* changed of the first entry, or of the text that the entries are */

static uint64_t seed;
static unsigned int first;	/* type that is sent first */

/* xorshift64 */
static uint64_t
draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static unsigned int
draw_below(unsigned int n)
{
	return (unsigned int)(draw() % n);
}

static uint32_t
changed(uint32_t v, unsigned int how)
{
	switch (how % NVALUES) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return UINT32_MAX;
	case 3:
		return v + 1;
	case 4:
		return v - 1;
	case 5:
		return 1u << 31;
	default:
		return (uint32_t)draw();
	}
}

struct letter {
	unsigned char	 octets[HOSTILE_PACKET];
	size_t		 len;
	size_t		 entries_at;
	int		 fds[HOSTILE_FDS];
	unsigned int	 nfds;
};

/* How many octets of entries are changed, one after the other. */
static size_t
entry_octets(unsigned int type)
{
	const struct channel_row *row = &msg_rows[type];
	size_t n = row->entry_octets;

	if (n == 1)
		n = row->max_entries;
	return n < ENTRY_OCTETS ? n : ENTRY_OCTETS;
}

/* As it was last sent, with as many entries as are known of it; or zeros, with
 * as many entries as are changed. */
static void
write_honest(struct letter *l, unsigned int type)
{
	const struct hostile_sent *s = &hostile.sent[type];
	size_t each = msg_rows[type].entry_octets, n = 0;

	if (each > 0)
		n = (s->len > 0 ? s->len : entry_octets(type)) / each;
	l->entries_at = hostile_packet(type, s->base, NULL, 0, l->octets);
	l->len = hostile_packet(type, s->base, s->entries, (unsigned int)n,
	    l->octets);
	l->nfds = msg_rows[type].has_fd ? 1 : 0;
	l->fds[0] = hostile.fds[draw_below(HOSTILE_FDS)];
}

static void
change_word(struct letter *l, size_t at, unsigned int how)
{
	uint32_t v;

	if (at + sizeof(v) > l->len)
		return;
	memcpy(&v, l->octets + at, sizeof(v));
	v = changed(v, how);
	memcpy(l->octets + at, &v, sizeof(v));
}

static size_t
base_words(unsigned int type)
{
	return (msg_rows[type].base_octets + 3) / 4;
}

/* A job that this process was given may be lost, so it does not say that it has
 * been done: then all other mail has to arrive. */
static bool
says_done(const struct letter *l)
{
	unsigned char head[HOSTILE_PACKET];
	struct job_result result;
	uint32_t type;
	size_t at;

	memcpy(&type, l->octets, sizeof(type));
	if (type != D_DONE)
		return false;
	at = hostile_packet(type, hostile.sent[type].base, NULL, 0, head);
	for (; at + sizeof(result) <= l->len; at += sizeof(result)) {
		memcpy(&result, l->octets + at, sizeof(result));
		if (hostile_has(result.job))
			return true;
	}
	return false;
}

/* Change the ${i}th word: of the base, or then of the entries. */
static void
change_field(struct letter *l, unsigned int type, size_t i, unsigned int how)
{
	size_t words = base_words(type), at;

	at = i < words ? CHANNEL_BASE_AT + i * 4 :
	    l->entries_at + (i - words) * 4;
	change_word(l, at, how);
	if (says_done(l))
		write_honest(l, type);
}

/* Each word of each type that may go to the peer, with each value.
 * The master kills an offender at once, so all types reach it only when each
 * has been the first, and random ones only when these are.
 * Return false: there are no more. */
static bool
write_ordered(struct letter *l, unsigned int peer, unsigned int i)
{
	unsigned int type, n, k;

	for (k = 0; first < NMSGS && k < NMSGS; k++) {
		type = (first + k) % NMSGS;
		if (!channel_row_goes(&msg_rows[type], hostile.child->role->id,
		    peer))
			continue;
		n = (unsigned int)(base_words(type) + entry_octets(type) / 4) *
		    NVALUES;
		if (i < n) {
			write_honest(l, type);
			change_field(l, type, i / NVALUES, i);
			return true;
		}
		i -= n;
	}
	return false;
}

static unsigned int
draw_type(unsigned int peer)
{
	unsigned int type, tries;

	for (tries = 0; tries < 200; tries++) {
		type = draw_below(NMSGS);
		if (draw_below(8) == 0 || channel_row_goes(&msg_rows[type],
		    hostile.child->role->id, peer))
			break;
	}
	return type;
}

/* Entries: none, one, as many as there may be, one more. */
static void
draw_entries(struct letter *l, unsigned int type)
{
	const struct channel_row *row = &msg_rows[type];
	const unsigned int counts[] = { 0, 1, draw_below(row->max_entries + 1),
	    row->max_entries, row->max_entries + 1 };
	uint32_t n = counts[draw_below(5)];
	size_t at = hostile_packet(type, hostile.sent[type].base, NULL, 0,
	    l->octets), i;
	uint64_t v = draw_below(3) == 0 ? draw() : draw_below(64);

	memcpy(l->octets + 4, &n, sizeof(n));
	l->len = at + n * row->entry_octets;
	if (l->len > sizeof(l->octets))
		l->len = sizeof(l->octets);
	for (i = at; i + sizeof(v) <= l->len; i += sizeof(v), v++)
		memcpy(l->octets + i, &v, sizeof(v));
}

static void
draw_letter(struct letter *l, unsigned int peer)
{
	unsigned int type = draw_type(peer), n;
	uint32_t v;

	write_honest(l, type);
	if (msg_rows[type].max_entries > 0 && draw_below(2) == 0)
		draw_entries(l, type);
	for (n = draw_below(4); n > 0; n--)
		change_word(l, CHANNEL_BASE_AT + 4 * draw_below((unsigned int)
		    (msg_rows[type].base_octets + 3) / 4), draw_below(NVALUES));
	switch (draw_below(16)) {
	case 0:		/* length */
		l->len = draw_below((unsigned int)l->len + 1);
		break;
	case 1:
		l->len += 1 + draw_below(2048);
		break;
	case 2:		/* descriptors */
		for (l->nfds = 0; l->nfds < draw_below(HOSTILE_FDS + 1);
		    l->nfds++)
			l->fds[l->nfds] = hostile.fds[l->nfds];
		break;
	case 3:		/* count */
		v = changed(hostile.sent[type].nentries, draw_below(NVALUES));
		memcpy(l->octets + 4, &v, sizeof(v));
		break;
	case 4:		/* type */
		v = changed(type, draw_below(NVALUES));
		memcpy(l->octets, &v, sizeof(v));
		break;
	default:
		break;
	}
	if (says_done(l))
		write_honest(l, type);
	if (l->len == 0)		/* trick_empty() */
		l->len = 1;
}

/* How far each link has come, and whether it has had all that is in order, or is
 * gone. */
static unsigned int	nsent[HOSTILE_LINKS];
static bool		has_all[HOSTILE_LINKS];

/* Return true: it has had all, or is gone. */
static bool
fuzz_link(unsigned int i, unsigned int nrandom)
{
	static struct letter l;
	const struct hostile_link *link = &hostile.links[i];
	unsigned int n;
	bool is_gone;

	for (n = 0; n < PER_TURN; n++) {
		memset(l.octets, 0, sizeof(l.octets));
		if (!write_ordered(&l, link->peer, nsent[i])) {
			has_all[i] = true;
			if (nrandom == 0)
				return true;
			draw_letter(&l, link->peer);
		}
		if (hostile_write(link, l.octets, l.len, l.fds, l.nfds) == -1) {
			/* a peer may close the channel of an offender */
			is_gone = errno != EAGAIN && errno != ETOOMANYREFS;
			has_all[i] = has_all[i] || is_gone;
			return is_gone;
		}
		nsent[i]++;
	}
	return false;
}

bool
trick_fuzz(uint64_t arg, unsigned int turn)
{
	static unsigned int left[HOSTILE_LINKS], idle[HOSTILE_LINKS];
	const unsigned int left_out = (unsigned int)(arg >> 32) &
	    UINT16_MAX;
	unsigned int i, before, total = 0, unfinished = 0;
	bool is_done = true;

	if (turn == 0) {
		first = (unsigned int)(arg >> 48);
		seed = 88172645463325252u + hostile.child->init.instance;
		for (i = 0; i < HOSTILE_LINKS; i++) {
			nsent[i] = idle[i] = 0;
			has_all[i] = false;
			left[i] = i < hostile.nlinks && (left_out &
			    ROLE_BIT(hostile.links[i].peer)) != 0 ? 0 :
			    (unsigned int)arg;
		}
	}
	for (i = 0; i < hostile.nlinks; i++) {
		before = nsent[i];
		if (left[i] > 0 && !fuzz_link(i, left[i]))
			is_done = false;
		else
			left[i] = 0;
		before = nsent[i] - before;
		idle[i] = before == 0 ? idle[i] + 1 : 0;
		if (idle[i] > PATIENCE)
			left[i] = 0;
		left[i] -= before < left[i] ? before : left[i];
		total += nsent[i];
		unfinished += !has_all[i] && (left_out &
		    ROLE_BIT(hostile.links[i].peer)) == 0;
	}
	if (is_done) {
		hostile_say("sent", total);
		hostile_say("unfinished", unfinished);
	}
	return is_done;
}

bool
trick_empty(uint64_t, unsigned int)
{
	unsigned int i;

	for (i = 0; i < hostile.nlinks; i++)
		(void)hostile_write(&hostile.links[i], "", 0, NULL, 0);
	return true;
}
