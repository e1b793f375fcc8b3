/* Questions that are answered later; see answers.h.
 * A question is a slot of one table, and its ticket a number of the process that is
 * not given a second time: an answer that comes twice, or too late, or to another
 * host, has a ticket that no slot has.  A slot is found by its ticket in one of as
 * many lists as there are slots, which begin in the slots.  Slots are linked by
 * their numbers + 1, since the table moves when it grows. */

#include "proto/answers/answers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST	16
#define SLOTS_MAX	(1u << 30)

struct answers_slot {
	struct _accept_construct *ac;	/* NULL: free */
	char		*about;
	struct answer	 answer;
	uint64_t	 ticket;
	uint32_t	 list;		/* the first whose ticket belongs in this one's list */
	uint32_t	 listed;	/* the next in its list */
	uint32_t	 next;		/* of the session, or free */
	uint32_t	 after, before;	/* of those answered */
	uint8_t		 kind;
	bool		 is_given;
	bool		 is_queued;	/* the session has not been named yet */
};

/* --- all tables, for fork(2) ---------------------------------------------- */

static pthread_mutex_t tables_lock = PTHREAD_MUTEX_INITIALIZER;
static struct answers *tables;

static void
before_fork(void)
{
	struct answers *a;

	pthread_mutex_lock(&tables_lock);
	for (a = tables; a != NULL; a = a->next)
		pthread_mutex_lock(&a->lock);
}

static void
after_fork(void)
{
	struct answers *a;

	for (a = tables; a != NULL; a = a->next)
		pthread_mutex_unlock(&a->lock);
	pthread_mutex_unlock(&tables_lock);
}

/* A constructor, so that there is no other thread yet.  If another thread
 * forked meanwhile, its child would register the functions a second time.
 * Without memory for them, a child that is forked off while a thread answers
 * may wait for ever for the lock. */
__attribute__((constructor)) static void
watch_fork(void)
{
	(void)pthread_atfork(before_fork, after_fork, after_fork);
}

void
answers_init(struct answers *a)
{
	memset(a, 0, sizeof(*a));
	(void)pthread_mutex_init(&a->lock, NULL);
	pthread_mutex_lock(&tables_lock);
	a->next = tables;
	tables = a;
	pthread_mutex_unlock(&tables_lock);
}

void
answers_clear(struct answers *a)
{
	struct answers **at_table;
	uint32_t i;

	pthread_mutex_lock(&tables_lock);
	for (at_table = &tables; *at_table != NULL; at_table =
	    &(*at_table)->next)
		if (*at_table == a) {
			*at_table = a->next;
			break;
		}
	pthread_mutex_unlock(&tables_lock);
	for (i = 0; i < a->nslots; i++) {
		free(a->slots[i].about);
		free(a->slots[i].answer.octets);
	}
	free(a->slots);
	(void)pthread_mutex_destroy(&a->lock);
}

static struct answers_slot *
at(const struct answers *a, uint32_t number)
{
	return &a->slots[number - 1];
}

/* --- tickets -------------------------------------------------------------- */

/* The list that ${ticket} belongs in. */
static uint32_t *
list_of(const struct answers *a, uint64_t ticket)
{
	return &a->slots[ticket % a->nslots].list;
}

static void
enlist(struct answers *a, uint32_t i)
{
	struct answers_slot *s = at(a, i);
	uint32_t *list = list_of(a, s->ticket);

	s->listed = *list;
	*list = i;
}

static void
delist(struct answers *a, uint32_t i)
{
	uint32_t *link = list_of(a, at(a, i)->ticket);

	while (*link != i)
		link = &at(a, *link)->listed;
	*link = at(a, i)->listed;
}

/* The slot of an open question, or 0. */
static uint32_t
slot_of(const struct answers *a, uint64_t ticket)
{
	uint32_t i = a->nslots > 0 ? *list_of(a, ticket) : 0;

	while (i != 0 && at(a, i)->ticket != ticket)
		i = at(a, i)->listed;
	return i;
}

/* Small numbers are none: they are other things than tickets. */
static uint64_t
new_ticket(void)
{
	static uint64_t last = UINT32_MAX;

	return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

/* --- asking --------------------------------------------------------------- */

/* The lists of another number of slots. */
static void
enlist_all(struct answers *a)
{
	uint32_t i;

	for (i = 0; i < a->nslots; i++)
		a->slots[i].list = 0;
	for (i = 1; i <= a->nslots; i++)
		if (at(a, i)->ac != NULL)
			enlist(a, i);
}

/* ${n} slots, more than there are.  Return 0 or -1 (ENOMEM). */
static int
grow(struct answers *a, uint32_t n)
{
	struct answers_slot *v;
	uint32_t i;

	if (n > SLOTS_MAX || (v = reallocarray(a->slots, n, sizeof(*v))) ==
	    NULL) {
		errno = ENOMEM;
		return -1;
	}
	memset(v + a->nslots, 0, (n - a->nslots) * sizeof(*v));
	for (i = n; i > a->nslots; i--) {
		v[i - 1].next = a->free;
		a->free = i;
	}
	a->slots = v;
	a->nslots = n;
	enlist_all(a);
	return 0;
}

int
answers_reserve(struct answers *a, uint32_t n)
{
	int rc;

	pthread_mutex_lock(&a->lock);
	rc = n > a->nslots ? grow(a, n) : 0;
	pthread_mutex_unlock(&a->lock);
	return rc;
}

uint64_t
answers_open(struct answers *a, struct _accept_construct *ac, uint32_t *chain,
    int kind, const char *about)
{
	struct answers_slot *s;
	uint64_t ticket = 0;
	char *copy = NULL;
	uint32_t i;

	if (about != NULL && (copy = strdup(about)) == NULL)
		return 0;
	pthread_mutex_lock(&a->lock);
	if (a->free != 0 || grow(a, a->nslots == 0 ? SLOTS_FIRST :
	    2 * a->nslots) == 0) {
		i = a->free;
		s = at(a, i);
		a->free = s->next;
		s->ac = ac;
		s->about = copy;
		s->kind = (uint8_t)kind;
		s->next = *chain;
		*chain = i;
		s->ticket = ticket = new_ticket();
		enlist(a, i);
	}
	pthread_mutex_unlock(&a->lock);
	if (ticket == 0)
		free(copy);
	return ticket;
}

/* --- answering ------------------------------------------------------------ */

static void
queue(struct answers *a, uint32_t i)
{
	struct answers_slot *s = at(a, i);

	s->after = 0;
	s->before = a->last;
	if (a->last != 0)
		at(a, a->last)->after = i;
	else
		a->first = i;
	a->last = i;
	s->is_queued = true;
}

static void
unqueue(struct answers *a, uint32_t i)
{
	struct answers_slot *s = at(a, i);

	if (!s->is_queued)
		return;
	if (s->before != 0)
		at(a, s->before)->after = s->after;
	else
		a->first = s->after;
	if (s->after != 0)
		at(a, s->after)->before = s->before;
	else
		a->last = s->before;
	s->is_queued = false;
}

int
answers_give(struct answers *a, uint64_t ticket,
    bool (*is_fit)(int kind, const struct answer *answer),
    struct answer *answer)
{
	struct answers_slot *s;
	int result = -1, errnum = ENOENT;
	uint32_t i;

	pthread_mutex_lock(&a->lock);
	if ((i = slot_of(a, ticket)) != 0 && !(s = at(a, i))->is_given) {
		if (is_fit(s->kind, answer)) {
			s->answer = *answer;
			s->is_given = true;
			result = a->first == 0;
			queue(a, i);
			answer->octets = NULL;
		} else
			errnum = EINVAL;
	}
	pthread_mutex_unlock(&a->lock);
	if (answer->octets != NULL) {
		/* it may be the name of a user, or a challenge */
		explicit_bzero(answer->octets, answer->len);
		free(answer->octets);
		answer->octets = NULL;
	}
	if (result == -1)
		errno = errnum;
	return result;
}

struct _accept_construct *
answers_next(struct answers *a)
{
	struct _accept_construct *ac = NULL;

	pthread_mutex_lock(&a->lock);
	if (a->first != 0) {
		ac = at(a, a->first)->ac;
		unqueue(a, a->first);
	}
	pthread_mutex_unlock(&a->lock);
	return ac;
}

/* --- hearing -------------------------------------------------------------- */

static bool
is_about(const struct answers_slot *s, int kind, const char *about)
{
	return (kind == -1 || s->kind == kind) && (about == NULL ||
	    (s->about != NULL && strcmp(s->about, about) == 0));
}

static struct answers_slot *
find(const struct answers *a, uint32_t chain, int kind, const char *about)
{
	for (; chain != 0; chain = at(a, chain)->next)
		if (is_about(at(a, chain), kind, about))
			return at(a, chain);
	return NULL;
}

enum answers_state
answers_state(struct answers *a, uint32_t chain, int kind, const char *about)
{
	enum answers_state state = ANSWERS_NONE;
	const struct answers_slot *s;

	if (chain == 0)
		return ANSWERS_NONE;
	pthread_mutex_lock(&a->lock);
	if ((s = find(a, chain, kind, about)) != NULL)
		state = s->is_given ? ANSWERS_GIVEN : ANSWERS_OPEN;
	pthread_mutex_unlock(&a->lock);
	return state;
}

int
answers_value(struct answers *a, uint32_t chain, int kind, const char *about)
{
	const struct answers_slot *s;
	int value = 0;

	pthread_mutex_lock(&a->lock);
	if ((s = find(a, chain, kind, about)) != NULL)
		value = s->answer.value;
	pthread_mutex_unlock(&a->lock);
	return value;
}

void
answers_settle(struct answers *a, uint32_t chain, int kind, int value)
{
	struct answers_slot *s;

	pthread_mutex_lock(&a->lock);
	for (; chain != 0; chain = s->next) {
		s = at(a, chain);
		if (s->kind == kind && !s->is_given) {
			s->answer.value = value;
			s->is_given = true;
		}
	}
	pthread_mutex_unlock(&a->lock);
}

/* The slot that *${link} names is free from now on; *${link} is the next. */
static void
release(struct answers *a, uint32_t *link)
{
	uint32_t i = *link;
	struct answers_slot *s = at(a, i);

	*link = s->next;
	unqueue(a, i);
	free(s->about);
	free(s->answer.octets);
	delist(a, i);
	*s = (struct answers_slot){ .list = s->list, .next = a->free };
	a->free = i;
}

bool
answers_take(struct answers *a, uint32_t *chain, int kind,
    struct answer *answer_r)
{
	uint32_t *link = chain;
	bool is_found = false;

	if (*chain == 0)
		return false;
	pthread_mutex_lock(&a->lock);
	while (*link != 0 && (at(a, *link)->kind != kind ||
	    !at(a, *link)->is_given))
		link = &at(a, *link)->next;
	if (*link != 0) {
		*answer_r = at(a, *link)->answer;
		at(a, *link)->answer.octets = NULL;
		release(a, link);
		is_found = true;
	}
	pthread_mutex_unlock(&a->lock);
	return is_found;
}

void
answers_close(struct answers *a, uint32_t *chain, int kind)
{
	uint32_t *link = chain;

	if (*chain == 0)
		return;
	pthread_mutex_lock(&a->lock);
	while (*link != 0)
		if (is_about(at(a, *link), kind, NULL) &&
		    !at(a, *link)->is_given)
			release(a, link);
		else {
			if (is_about(at(a, *link), kind, NULL))
				unqueue(a, *link);
			link = &at(a, *link)->next;
		}
	pthread_mutex_unlock(&a->lock);
}

void
answers_drop(struct answers *a, uint32_t *chain, int kind)
{
	uint32_t *link = chain;

	if (*chain == 0)
		return;
	pthread_mutex_lock(&a->lock);
	while (*link != 0)
		if (is_about(at(a, *link), kind, NULL))
			release(a, link);
		else
			link = &at(a, *link)->next;
	pthread_mutex_unlock(&a->lock);
}
