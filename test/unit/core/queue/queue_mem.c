#include "test/unit/core/queue/queue_mem.h"

#include <sys/param.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/array.h"

struct mem mem;

static struct mem_message *
message_of(const struct queue_place *place)
{
	return mem.messages[place->origin.seq];
}

static void *
mem_open(const struct queue_config *,
    const struct queue_store_user *user, struct queue *q, int64_t now_ms)
{
	struct mem_message *m;
	size_t i;

	mem.user = user;
	mem.q = q;
	mem.now_ms = now_ms;
	mem.sync_ms = now_ms + MEM_SYNC_MS;
	mem.first = 0;
	for (i = 0; i < mem.nmessages; i++) {
		m = mem.messages[i];
		if (!mem.is_kill)
			m->written = m->flushed;
		m->ndone = m->written.n;
		m->is_done = m->written.is_all;
		m->is_held = false;
		memset(&m->file, 0, sizeof(m->file));
	}
	return &mem;
}

static void
mem_close(void *)
{
	size_t i;

	for (i = 0; i < mem.nmessages; i++) {
		cr_assert_not(mem.messages[i]->is_held);
		mem.user->forget(mem.q, &mem.messages[i]->file);
	}
}

static void
mem_begin(void *, int64_t now_ms)
{
	mem.now_ms = now_ms;
	if (mem.sync_ms > now_ms)
		return;
	(void)mem_flush(NULL);
	mem.sync_ms = now_ms + MEM_SYNC_MS;
}

static int64_t
mem_end(void *)
{
	struct mem_message *m;
	size_t i;

	for (i = 0; mem.is_unwritten && i < mem.nmessages; i++) {
		m = mem.messages[i];
		m->written = (struct mem_done){ m->ndone, m->is_done };
	}
	mem.is_unwritten = false;
	return mem.sync_ms;
}

static struct queue_record
record_of(size_t i)
{
	struct mem_message *m = mem.messages[i];

	return (struct queue_record){
		.place = { .id = m->id, .kept_id = m->is_kept ? m->id : 0,
			.file = &m->file, .offset = 64,
			.origin = { .segment = MEM_SEGMENT,
			.seq = (uint32_t)i } },
		.received_us = m->id >> 12, .octets = 7,
		.envelope = &m->view, .attempts = m->attempts,
		.is_repeated = m->was_read, .may_have_rows = m->was_read,
		.has_rows = m->is_kept,
		.again_ms = m->again_ms, .last_error = m->error,
	};
}

static bool
mem_read(void *)
{
	struct queue_record record;
	struct mem_message *m;
	size_t i;

	while (mem.first < mem.nmessages && mem.messages[mem.first]->is_done)
		mem.first++;
	for (i = mem.first; i < mem.nmessages && mem.user->has_room(mem.q);
	    i++) {
		m = mem.messages[i];
		if (m->is_done || m->is_held || m->again_ms > mem.now_ms)
			continue;
		record = record_of(i);
		m->is_held = m->was_read = true;
		m->again_ms = 0;
		if (mem.user->take(mem.q, &record) == 0)
			continue;
		cr_assert(mem.is_unreadable);
		m->is_held = false;
		m->again_ms = mem.now_ms + QUEUE_TROUBLE_MS;
	}
	return false;
}

static int
mem_open_file(void *, const struct queue_place *)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
mem_acknowledge(void *, const struct queue_place *place, uint32_t rcpt)
{
	struct mem_message *m = message_of(place);

	cr_assert_not(m->is_done);
	mem.is_unwritten = mem.is_unflushed = true;
	if (rcpt == QUEUE_RCPT_ALL)
		m->is_done = true;
	else
		m->done[m->ndone++] = rcpt;
}

static const uint32_t *
mem_acknowledged(void *, const struct queue_place *place, uint32_t *n_r)
{
	*n_r = message_of(place)->ndone;
	return message_of(place)->done;
}

static bool
mem_acknowledge_row(void *, const struct deferred_row *row)
{
	struct queue_place place = { .origin = row->origin };
	struct mem_message *m;
	uint32_t i;

	if (row->origin.segment != MEM_SEGMENT)
		return false;
	m = message_of(&place);
	for (i = 0; i < m->ndone && m->done[i] != row->rcpt_index; i++)
		continue;
	if (!m->is_done && i == m->ndone)
		mem_acknowledge(NULL, &place, row->rcpt_index);
	return m->flushed.n < m->ndone || m->flushed.is_all != m->is_done;
}

int
mem_flush(void *)
{
	struct mem_message *m;
	size_t i;

	for (i = 0; mem.is_unflushed && i < mem.nmessages; i++) {
		m = mem.messages[i];
		m->flushed = m->written =
		    (struct mem_done){ m->ndone, m->is_done };
	}
	mem.is_unwritten = mem.is_unflushed = false;
	return 0;
}

static void
mem_put_back(void *, const struct queue_place *place, const char *error)
{
	struct mem_message *m = message_of(place);

	m->attempts++;
	m->again_ms = mem.now_ms + 60000;
	strlcpy(m->error, error, sizeof(m->error));
}

static void
mem_again(void *, const struct queue_place *place)
{
	size_t i;

	for (i = 0; i < mem.nmessages; i++)
		if (place == NULL || place->origin.seq == i)
			mem.messages[i]->again_ms = 0;
}

static void
mem_release(void *, const struct queue_place *place)
{
	cr_assert(message_of(place)->is_held);
	message_of(place)->is_held = false;
	mem.nreleased++;
}

static int
mem_keep(void *, struct queue_place *place)
{
	if (mem.is_full) {
		errno = ENOSPC;
		return -1;
	}
	message_of(place)->is_kept = true;
	place->kept_id = place->id;
	return 0;
}

static struct mem_row *
find_row(uint64_t id, uint32_t rcpt)
{
	size_t i;

	for (i = 0; i < mem.nrows; i++)
		if (mem.rows[i].row.id == id && (rcpt == QUEUE_RCPT_ALL ||
		    mem.rows[i].row.rcpt_index == rcpt))
			return &mem.rows[i];
	return NULL;
}

static void
put_row(struct mem_row *r, const struct deferred_row *row)
{
	const char *const strings[] = { row->sender, row->rcpt, row->transport,
		row->last_error, row->outcome, row->enhanced, row->remote,
		row->waits_for, row->route };
	size_t i;

	r->row = *row;
	for (i = 0; i < 9; i++)
		strlcpy(r->texts[i], strings[i] == NULL ? "" : strings[i],
		    sizeof(r->texts[i]));
}

static struct mem_row *
new_row(void)
{
	mem.rows = array_fit(mem.rows, &mem.rows_room, mem.nrows + 1,
	    sizeof(mem.rows[0]));
	cr_assert_not_null(mem.rows);
	return &mem.rows[mem.nrows++];
}

/* What the queue has written as ${id} has a row now, or is dropped. */
static void
own_ends(uint64_t id, bool is_stored)
{
	struct mem_own **at, *own;

	for (at = &mem.own; (own = *at) != NULL; at = &own->next)
		if (own->id == id) {
			*at = own->next;
			if (is_stored && mem.told != NULL)
				mem.told(own->text);
			free(own);
			return;
		}
}

static void
give_up(struct mem_row *r, const struct deferred_row *said)
{
	const char *const texts[] = { said->last_error, said->outcome,
		said->enhanced, "", "" };
	size_t i;

	if (r->texts[4][0] != '\0')
		return;
	for (i = 0; i < 5; i++)
		strlcpy(r->texts[3 + i], texts[i], sizeof(r->texts[0]));
	r->row.next_attempt = said->next_attempt;
	r->row.code = 0;
	r->row.is_on_hold = false;
}

static int
mem_change(void *, const struct queue_change *changes, size_t n)
{
	struct deferred_row row;
	struct mem_row *r;
	size_t i;

	if (mem.is_full || mem.is_locked) {
		errno = mem.is_full ? ENOSPC : EBUSY;
		return -1;
	}
	mem.nchanged += n;
	mem.nmost = MAX(mem.nmost, n);
	for (i = 0; i < n; i++) {
		r = find_row(changes[i].row.id, changes[i].row.rcpt_index);
		if (changes[i].kind == CHANGE_DROP) {
			cr_assert_not_null(r);
			do
				*r = mem.rows[--mem.nrows];
			while (changes[i].row.rcpt_index == QUEUE_RCPT_ALL &&
			    (r = find_row(changes[i].row.id,
			    QUEUE_RCPT_ALL)) != NULL);
			continue;
		}
		cr_assert_eq(r == NULL, changes[i].kind == CHANGE_PUT);
		if (changes[i].kind == CHANGE_HURRY)
			r->row.next_attempt = changes[i].row.next_attempt;
		if (changes[i].kind == CHANGE_HOLD ||
		    changes[i].kind == CHANGE_RELEASE)
			r->row.is_on_hold = changes[i].kind == CHANGE_HOLD;
		if (changes[i].kind == CHANGE_GIVE_UP)
			give_up(r, &changes[i].row);
		if (changes[i].kind == CHANGE_ROUTE) {
			r->texts[7][0] = '\0';
			strlcpy(r->texts[8], changes[i].row.route,
			    sizeof(r->texts[8]));
			r->row.next_attempt = changes[i].row.next_attempt;
		}
		if (changes[i].kind >= CHANGE_HURRY)
			continue;
		row = changes[i].row;
		row.origin = r == NULL ? changes[i].place->origin :
		    r->row.origin;
		put_row(r == NULL ? new_row() : r, &row);
		own_ends(row.id, true);
	}
	return 0;
}

static int
mem_has(void *, uint64_t id, uint32_t rcpt)
{
	if (mem.is_unreadable) {
		errno = EIO;
		return -1;
	}
	return find_row(id, rcpt) != NULL;
}

static int
mem_find(void *, struct queue_place *place)
{
	place->kept_id = place->id;
	return mem_has(NULL, place->id, QUEUE_RCPT_ALL);
}

/* Is ${row} behind where ${query} is, in its order? */
static bool
is_behind(const struct deferred_row *row, const struct deferred_query *query)
{
	if (query->id == 0)
		return true;
	if (query->what == DEFERRED_DUE &&
	    row->next_attempt != query->next_attempt)
		return row->next_attempt > query->next_attempt;
	return row->id > query->id || (row->id == query->id &&
	    row->rcpt_index > query->rcpt_index);
}

static bool
is_wanted(const struct mem_row *r, const struct deferred_query *query)
{
	const struct deferred_row *row = &r->row;

	switch (query->what) {
	case DEFERRED_DUE:
		return !row->is_on_hold && row->next_attempt <= query->now;
	case DEFERRED_PAGE:
		cr_assert_null(query->domain, "no index here");
		return true;
	case DEFERRED_WAITS:
		return !row->is_on_hold &&
		    strcmp(r->texts[7], query->waits_for) == 0;
	case DEFERRED_OF:
		break;
	}
	return row->id == query->id;
}

static void
move_to(struct deferred_query *at, const struct deferred_row *row)
{
	at->next_attempt = row->next_attempt;
	at->id = row->id;
	at->rcpt_index = row->rcpt_index;
}

/* The first that ${query} wants behind ${at}, or NULL */
static const struct mem_row *
next_row(const struct deferred_query *query, const struct deferred_query *at)
{
	struct deferred_query best = *at;
	const struct mem_row *next = NULL, *r;

	for (r = mem.rows; r < mem.rows + mem.nrows; r++) {
		if (!is_wanted(r, query) || !is_behind(&r->row, at) ||
		    (next != NULL && is_behind(&r->row, &best)))
			continue;
		next = r;
		move_to(&best, &r->row);
	}
	return next;
}

static int
mem_rows(void *, const struct deferred_query *query, deferred_func each,
    void *closure)
{
	struct deferred_query at = *query;
	const struct mem_row *next;
	struct deferred_row row;
	int seen = 0;

	if (query->what == DEFERRED_OF)
		at.id = 0;
	while ((query->what == DEFERRED_OF || seen < (int)query->limit) &&
	    (next = next_row(query, &at)) != NULL) {
		row = next->row;
		row.sender = next->texts[0];
		row.rcpt = next->texts[1];
		row.transport = next->texts[2];
		row.last_error = next->texts[3];
		row.outcome = next->texts[4];
		row.enhanced = next->texts[5];
		row.remote = next->texts[6];
		row.waits_for = next->texts[7];
		row.route = next->texts[8];
		seen++;
		mem.nseen++;
		move_to(&at, &row);
		if (each(closure, &row) != 0)
			break;
	}
	return seen;
}

static int
mem_waited_for(void *, const char *behind, char *name_r, size_t len)
{
	const char *next = NULL;
	size_t i;

	for (i = 0; i < mem.nrows; i++)
		if (strcmp(mem.rows[i].texts[7], behind) > 0 &&
		    (next == NULL || strcmp(mem.rows[i].texts[7], next) < 0))
			next = mem.rows[i].texts[7];
	if (next != NULL)
		strlcpy(name_r, next, len);
	return next != NULL;
}

static int
mem_next(void *, int64_t *next_r)
{
	size_t i;

	*next_r = INT64_MAX / 1000;
	for (i = 0; i < mem.nrows; i++)
		if (mem.rows[i].row.next_attempt < *next_r)
			*next_r = mem.rows[i].row.next_attempt;
	return mem.nrows > 0;
}

/* Of all at once, whatever the limit. */
static int
mem_hurry_domain(void *, const char *domain, bool has_subdomains,
    struct deferred_domain *at, unsigned int, int64_t now)
{
	const char *name, *end;
	struct mem_row *r;
	int n = 0;

	if (mem.is_full) {
		errno = ENOSPC;
		return -1;
	}
	for (r = mem.rows; r < mem.rows + mem.nrows; r++) {
		name = strrchr(r->texts[1], '@') + 1;
		end = name + strlen(name) - MIN(strlen(domain), strlen(name));
		if (strcmp(end, domain) != 0 || (end > name &&
		    (!has_subdomains || end[-1] != '.')) ||
		    r->row.next_attempt <= now)
			continue;
		r->row.next_attempt = now;
		n++;
	}
	at->is_over = true;
	return n;
}

static void
shift_row(struct deferred_row *row, const struct deferred_shift *at)
{
	bool is_held = row->hold_until != 0 &&
	    row->next_attempt == row->hold_until;

	if (row->since != 0)
		row->since = MIN(MAX(row->since + at->seconds, 1), at->latest);
	if (row->deliver_by != 0)
		row->deliver_by = MAX(row->deliver_by + at->seconds, 1);
	if (row->hold_until != 0 && row->flags & SPOOL_ENV_HOLD_FOR)
		row->hold_until = MAX(row->hold_until + at->seconds, 1);
	row->hold_until = MIN(row->hold_until, at->held);
	row->next_attempt = is_held ? row->hold_until :
	    MIN(row->next_attempt + at->seconds, at->latest);
}

/* The first row behind where ${at} is, in the order of (id, rcpt_index), or NULL */
static struct mem_row *
row_behind(const struct deferred_shift *at)
{
	struct deferred_query from = { .what = DEFERRED_PAGE,
		.rcpt_index = (uint32_t)at->rcpt_index };
	struct mem_row *best = NULL, *r;
	size_t i;

	if (at->id[0] != '\0')
		cr_assert_eq(spool_id_parse(at->id, strlen(at->id), &from.id),
		    0);
	for (i = 0; i < mem.nrows; i++) {
		r = &mem.rows[i];
		if (is_behind(&r->row, &from) && (best == NULL ||
		    is_behind(&best->row, &(struct deferred_query){
		    .what = DEFERRED_PAGE, .id = r->row.id,
		    .rcpt_index = r->row.rcpt_index })))
			best = r;
	}
	return best;
}

static int
mem_shift(void *, struct deferred_shift *at, unsigned int limit)
{
	struct mem_row *r = NULL;
	unsigned int n;

	if (mem.is_full) {
		errno = ENOSPC;
		return -1;
	}
	for (n = 0; n < limit && (r = row_behind(at)) != NULL; n++) {
		shift_row(&r->row, at);
		spool_id_text(r->row.id, at->id);
		at->rcpt_index = r->row.rcpt_index;
	}
	at->has_begun = true;
	at->is_over = row_behind(at) == NULL;
	return (int)n;
}

static int
mem_search(void *, struct queue_cursor *cursor, queue_record_func each,
    void *closure)
{
	struct queue_record record;

	while (cursor->offset < mem.nmessages) {
		record = record_of(cursor->offset++);
		if (!message_of(&record.place)->is_done &&
		    each(closure, &record) != 0)
			return 0;
	}
	return 1;
}

static int
mem_read_deferred(void *, uint64_t id, queue_record_func each,
    void *closure)
{
	struct queue_record record;
	size_t i;

	for (i = 0; i < mem.nmessages; i++)
		if (mem.messages[i]->id == id) {
			record = record_of(i);
			return each(closure, &record);
		}
	return -1;
}

static int
mem_read_message(void *store, uint64_t id, size_t, queue_record_func each,
    void *closure)
{
	return mem_read_deferred(store, id, each, closure);
}

static int
mem_own_place(void *, struct queue_place *place_r)
{
	static uint64_t id = 1ULL << 60;

	*place_r = (struct queue_place){ .id = ++id, .kept_id = id,
		.is_own = true, .origin.segment = id, .offset = 64 };
	return 0;
}

static int
mem_own_write(void *, const struct queue_place *place,
    const struct spool_envelope *, uint64_t, const char *text, size_t len)
{
	struct mem_own *own;

	if (mem.is_full) {
		errno = ENOSPC;
		return -1;
	}
	own = malloc(sizeof(*own) + len + 1);
	cr_assert_not_null(own);
	own->id = place->id;
	memcpy(own->text, text, len);
	own->text[len] = '\0';
	own->next = mem.own;
	mem.own = own;
	return 0;
}

static int
mem_own_copy(void *, const struct queue_place *, const struct spool_envelope *,
    const struct queue_record *)
{
	errno = ENOSYS;		/* these messages are for no aliases */
	return -1;
}

static void
mem_own_drop(void *, const struct queue_place *place)
{
	own_ends(place->id, false);
}

static void
mem_writer(void *, unsigned int, bool)
{
}

const struct queue_store_ops mem_ops = {
	.open = mem_open,
	.writer = mem_writer,
	.close = mem_close,
	.begin = mem_begin,
	.end = mem_end,
	.read = mem_read,
	.open_file = mem_open_file,
	.acknowledge = mem_acknowledge,
	.acknowledged = mem_acknowledged,
	.acknowledge_row = mem_acknowledge_row,
	.flush = mem_flush,
	.put_back = mem_put_back,
	.again = mem_again,
	.release = mem_release,
	.keep = mem_keep,
	.change = mem_change,
	.has = mem_has,
	.find = mem_find,
	.rows = mem_rows,
	.waited_for = mem_waited_for,
	.next = mem_next,
	.hurry_domain = mem_hurry_domain,
	.shift = mem_shift,
	.search = mem_search,
	.read_deferred = mem_read_deferred,
	.read_message = mem_read_message,
	.own_place = mem_own_place,
	.own_write = mem_own_write,
	.own_copy = mem_own_copy,
	.own_drop = mem_own_drop,
};

void
mem_arrive(uint64_t id)
{
	mem_arrive_for(id, qf_three, 3);
}

void
mem_arrive_for(uint64_t id, const char *const *rcpts, size_t nrcpts)
{
	mem_arrive_from(id, "a@b.test", rcpts, nrcpts);
}

void
mem_arrive_from(uint64_t id, const char *sender, const char *const *rcpts,
    size_t nrcpts)
{
	struct mem_message *m = calloc(1, sizeof(*m));
	struct spool_envelope env = { .sender = sender, .rcpts = rcpts,
		.nrcpts = nrcpts, .session = "s1", .client = "192.0.2.1",
		.helo = "client.test" };
	size_t len = spool_envelope_octets(&env);

	mem.messages = array_fit(mem.messages, &mem.messages_room,
	    mem.nmessages + 1, sizeof(mem.messages[0]));
	cr_assert(m != NULL && mem.messages != NULL);
	mem.messages[mem.nmessages++] = m;
	cr_assert_leq(len, sizeof(m->envelope));
	spool_envelope_encode(&env, m->envelope);
	cr_assert_eq(spool_envelope_decode(m->envelope, len, &m->view), 0);
	m->id = id;
}

void
mem_put_row(uint64_t id, int64_t next_attempt)
{
	const struct deferred_row row = { .id = id, .sender = "a@b.test",
		.rcpt = "b@x.test", .transport = "near", .last_error = "",
		.attempts = 1, .next_attempt = next_attempt,
		.since = (int64_t)((id >> 12) / 1000000) };

	put_row(new_row(), &row);
}

void
mem_free(void)
{
	size_t i;

	for (i = 0; i < mem.nmessages; i++)
		free(mem.messages[i]);
	while (mem.own != NULL)
		own_ends(mem.own->id, false);
	free(mem.messages);
	free(mem.rows);
	memset(&mem, 0, sizeof(mem));
}

void
mem_setup(struct qf *f)
{
	qf_init(f);
	f->config.store = &mem_ops;
	f->config.folder = NULL;
	f->config.queue_dirfd = f->config.incoming_dirfd = -1;
	qf_open(f);
}

void
mem_teardown(struct qf *f)
{
	qf_free(f);
	mem_free();
}
