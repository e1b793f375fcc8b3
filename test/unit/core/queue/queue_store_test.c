/* The queue's logic on a store in memory: what it asks of a store is the table
 * of queue_store.h and nothing else. */

#include "core/queue/queue_store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/core/queue/queue_fixture.h"

#define MAX	16

struct mem_message {
	char		 envelope[512];
	struct spool_envelope_view view;
	struct queue_file file;
	uint64_t	 id;
	uint32_t	 done[MAX], ndone;
	uint32_t	 nflushed;	/* of these, what a crash does not take */
	bool		 is_done, is_done_flushed;
	bool		 was_read;	/* an agent may have had it */
	bool		 is_held, is_kept;
	uint32_t	 attempts;
	int64_t		 again_ms;
	char		 error[64];
};

struct mem_row {
	struct deferred_row row;
	char		 texts[4][64];
};

/* What is here when the store is closed is its disk. */
static struct mem {
	const struct queue_store_user *user;
	struct queue	*q;
	int64_t		 now_ms;
	struct mem_message messages[MAX];
	unsigned int	 nmessages, next;
	struct mem_row	 rows[MAX];
	unsigned int	 nrows;
	bool		 is_full;	/* nothing can be deferred */
	unsigned int	 nreleased;
} mem;

static struct mem_message *
message_of(const struct queue_place *place)
{
	return &mem.messages[place->seq];
}

static void *
mem_open(const struct queue_config *,
    const struct queue_store_user *user, struct queue *q, int64_t now_ms)
{
	struct mem_message *m;
	unsigned int i;

	mem.user = user;
	mem.q = q;
	mem.now_ms = now_ms;
	mem.next = 0;
	/* what was not flushed has gone with the process */
	for (i = 0; i < mem.nmessages; i++) {
		m = &mem.messages[i];
		m->ndone = m->nflushed;
		m->is_done = m->is_done_flushed;
		m->is_held = false;
		memset(&m->file, 0, sizeof(m->file));
	}
	return &mem;
}

static void
mem_close(void *)
{
	unsigned int i;

	for (i = 0; i < mem.nmessages; i++) {
		cr_assert_not(mem.messages[i].is_held);
		mem.user->forget(mem.q, &mem.messages[i].file);
	}
}

static void
mem_begin(void *, int64_t now_ms)
{
	mem.now_ms = now_ms;
}

static int64_t
mem_end(void *)
{
	return mem.now_ms + 1000;
}

static struct queue_record
record_of(unsigned int i)
{
	struct mem_message *m = &mem.messages[i];

	return (struct queue_record){
		.place = { .id = m->id, .file = &m->file, .seq = i,
			.offset = 64 },
		.received_us = m->id >> 12, .octets = 7,
		.envelope = &m->view, .attempts = m->attempts,
		.is_repeated = m->was_read, .has_rows = m->is_kept,
		.again_ms = m->again_ms, .last_error = m->error,
	};
}

static bool
mem_read(void *)
{
	struct queue_record record;
	struct mem_message *m;
	unsigned int i;

	for (i = 0; i < mem.nmessages && mem.user->has_room(mem.q); i++) {
		m = &mem.messages[i];
		if (m->is_done || m->is_held || m->again_ms > mem.now_ms)
			continue;
		record = record_of(i);
		m->is_held = m->was_read = true;
		m->again_ms = 0;
		cr_assert_eq(mem.user->take(mem.q, &record), 0);
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

static int
mem_flush(void *)
{
	struct mem_message *m;
	unsigned int i;

	for (i = 0; i < mem.nmessages; i++) {
		m = &mem.messages[i];
		m->nflushed = m->ndone;
		m->is_done_flushed = m->is_done;
	}
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
	unsigned int i;

	for (i = 0; i < mem.nmessages; i++)
		if (place == NULL || place->seq == i)
			mem.messages[i].again_ms = 0;
}

static void
mem_release(void *, const struct queue_place *place)
{
	cr_assert(message_of(place)->is_held);
	message_of(place)->is_held = false;
	mem.nreleased++;
}

static int
mem_keep(void *, const struct queue_place *place)
{
	if (mem.is_full) {
		errno = ENOSPC;
		return -1;
	}
	message_of(place)->is_kept = true;
	return 0;
}

static struct mem_row *
find_row(uint64_t id, uint32_t rcpt)
{
	unsigned int i;

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
		row->last_error };
	size_t i;

	r->row = *row;
	for (i = 0; i < 4; i++)
		strlcpy(r->texts[i], strings[i], sizeof(r->texts[i]));
}

static int
mem_change(void *, const struct queue_change *changes, size_t n)
{
	struct mem_row *r;
	size_t i;

	for (i = 0; i < n; i++) {
		r = find_row(changes[i].row.id, changes[i].row.rcpt_index);
		if (changes[i].kind == CHANGE_DROP) {
			cr_assert_not_null(r);
			*r = mem.rows[--mem.nrows];
			continue;
		}
		cr_assert_eq(r == NULL, changes[i].kind == CHANGE_PUT);
		put_row(r == NULL ? &mem.rows[mem.nrows++] : r,
		    &changes[i].row);
	}
	return 0;
}

static int
mem_has(void *, uint64_t id, uint32_t rcpt)
{
	return find_row(id, rcpt) != NULL;
}

/* The rows that ${want} accepts */
static int
each_row(bool (*want)(const struct deferred_row *, uint64_t, int64_t),
    uint64_t id, int64_t n, deferred_func each, void *closure)
{
	struct deferred_row row;
	unsigned int i;
	int seen = 0;

	for (i = 0; i < mem.nrows; i++) {
		row = mem.rows[i].row;
		row.sender = mem.rows[i].texts[0];
		row.rcpt = mem.rows[i].texts[1];
		row.transport = mem.rows[i].texts[2];
		row.last_error = mem.rows[i].texts[3];
		if (!want(&row, id, n))
			continue;
		seen++;
		if (each(closure, &row) != 0)
			break;
	}
	return seen;
}

static bool
want_due(const struct deferred_row *row, uint64_t, int64_t now)
{
	return row->next_attempt <= now;
}

static bool
want_of(const struct deferred_row *row, uint64_t id, int64_t)
{
	return row->id == id;
}

static bool
want_behind(const struct deferred_row *row, uint64_t id, int64_t rcpt_index)
{
	return row->id > id || (row->id == id && row->rcpt_index > rcpt_index);
}

static int
mem_due(void *, int64_t now, unsigned int, deferred_func each,
    void *closure)
{
	return each_row(want_due, 0, now, each, closure);
}

static int
mem_page(void *, uint64_t id, uint32_t rcpt_index, unsigned int,
    deferred_func each, void *closure)
{
	return each_row(want_behind, id, rcpt_index, each, closure);
}

static int
mem_of(void *, uint64_t id, deferred_func each, void *closure)
{
	return each_row(want_of, id, 0, each, closure);
}

static int
mem_next(void *, int64_t *next_r)
{
	unsigned int i;

	*next_r = INT64_MAX / 1000;
	for (i = 0; i < mem.nrows; i++)
		if (mem.rows[i].row.next_attempt < *next_r)
			*next_r = mem.rows[i].row.next_attempt;
	return mem.nrows > 0;
}

static int
mem_hurry(void *, uint64_t id, int64_t now)
{
	unsigned int i;
	int n = 0;

	for (i = 0; i < mem.nrows; i++)
		if (id == 0 || mem.rows[i].row.id == id) {
			mem.rows[i].row.next_attempt = now;
			n++;
		}
	return n;
}

static int
mem_search(void *, struct queue_cursor *cursor, queue_record_func each,
    void *closure)
{
	struct queue_record record;

	while (cursor->offset < mem.nmessages) {
		record = record_of((unsigned int)cursor->offset++);
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
	unsigned int i;

	for (i = 0; i < mem.nmessages; i++)
		if (mem.messages[i].id == id) {
			record = record_of(i);
			return each(closure, &record);
		}
	return -1;
}

static const struct queue_store_ops mem_ops = {
	.open = mem_open,
	.close = mem_close,
	.begin = mem_begin,
	.end = mem_end,
	.read = mem_read,
	.open_file = mem_open_file,
	.acknowledge = mem_acknowledge,
	.acknowledged = mem_acknowledged,
	.flush = mem_flush,
	.put_back = mem_put_back,
	.again = mem_again,
	.release = mem_release,
	.keep = mem_keep,
	.change = mem_change,
	.has = mem_has,
	.due = mem_due,
	.page = mem_page,
	.of = mem_of,
	.next = mem_next,
	.hurry = mem_hurry,
	.search = mem_search,
	.read_deferred = mem_read_deferred,
};

/* -------------------------------------------------------------------------- */

static struct qf f;

static void
setup(void)
{
	qf_init(&f);
	f.config.store = &mem_ops;
	f.config.folder = NULL;
	f.config.queue_dirfd = f.config.incoming_dirfd = -1;
	qf_open(&f);
}

static void
teardown(void)
{
	qf_free(&f);
}

TestSuite(queue_store, .init = setup, .fini = teardown);

/* A new message for the recipients of qf_three */
static void
arrive(uint64_t id)
{
	struct mem_message *m = &mem.messages[mem.nmessages++];
	struct spool_envelope env = { .sender = "a@b.test", .rcpts = qf_three,
		.nrcpts = 3, .session = "s1", .client = "192.0.2.1",
		.helo = "client.test" };
	size_t len = spool_envelope_octets(&env);

	cr_assert_leq(len, sizeof(m->envelope));
	spool_envelope_encode(&env, m->envelope);
	cr_assert_eq(spool_envelope_decode(m->envelope, len, &m->view), 0);
	m->id = id;
}

Test(queue_store, a_message_is_read_delivered_and_acknowledged)
{
	arrive(QF_ID(1));
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	cr_assert_eq(f.jobs[1].job.offset, 64);
	cr_assert_not(f.jobs[1].job.is_repeated);
	queue_done(f.q, f.agent, f.jobs[1].job.job, 0, &f.now);
	cr_assert_eq(mem.messages[0].ndone, 1);
	cr_assert_eq(mem.messages[0].done[0], 1);
	queue_done(f.q, f.agent, f.jobs[0].job.job, 0, &f.now);
	cr_assert_not(mem.messages[0].is_done);
	queue_done(f.q, f.agent, f.jobs[2].job.job, 0, &f.now);
	cr_assert(mem.messages[0].is_done);
	cr_assert_eq(mem.nreleased, 1);
	f.njobs = 0;
	qf_pass(&f, 10000);
	cr_assert_eq(f.njobs, 0, "once");
}

Test(queue_store, what_fails_is_deferred_and_retried_when_it_is_due)
{
	arrive(QF_ID(1));
	qf_pass(&f, 0);
	queue_done(f.q, f.agent, f.jobs[0].job.job, 0, &f.now);
	queue_done(f.q, f.agent, f.jobs[1].job.job, EACCES, &f.now);
	queue_done(f.q, f.agent, f.jobs[2].job.job, EACCES, &f.now);
	f.njobs = 0;
	qf_pass(&f, 0);
	cr_assert(mem.messages[0].is_done, "the rows have it now");
	cr_assert(mem.messages[0].is_kept);
	cr_assert_eq(mem.nrows, 2);
	cr_assert_str_eq(mem.rows[0].texts[1], "b@x.test");
	cr_assert_str_eq(mem.rows[0].texts[2], "near");
	qf_pass(&f, 55000);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 6000);
	cr_assert_eq(f.njobs, 2);
	cr_assert(f.jobs[0].job.is_repeated);
	queue_done(f.q, f.agent, f.jobs[0].job.job, 0, &f.now);
	queue_done(f.q, f.agent, f.jobs[1].job.job, EACCES, &f.now);
	f.njobs = 0;
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 1);
	cr_assert_eq(mem.rows[0].row.attempts, 2);
	qf_pass(&f, 121000);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 0);
	cr_assert_eq(qf_listed(&f), 0);
}

Test(queue_store, what_can_be_neither_delivered_nor_deferred_is_put_back)
{
	mem.is_full = true;
	arrive(QF_ID(1));
	qf_pass(&f, 0);
	queue_done(f.q, f.agent, f.jobs[0].job.job, 0, &f.now);
	queue_done(f.q, f.agent, f.jobs[1].job.job, EACCES, &f.now);
	queue_done(f.q, f.agent, f.jobs[2].job.job, 0, &f.now);
	f.njobs = 0;
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_not(mem.messages[0].is_done);
	cr_assert_not(mem.messages[0].is_held);
	cr_assert_eq(mem.nrows, 0);
	cr_assert_eq(qf_listed(&f), 1);
	mem.is_full = false;
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 1, "who has it is known");
	cr_assert_eq(f.jobs[0].job.rcpt, 1);
	qf_finish(&f, 0);
	cr_assert(mem.messages[0].is_done);
}

Test(queue_store, after_a_crash_what_was_not_flushed_is_repeated)
{
	arrive(QF_ID(1));
	arrive(QF_ID(2));
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 6);
	queue_done(f.q, f.agent, f.jobs[0].job.job, 0, &f.now);
	mem_flush(&mem);
	queue_done(f.q, f.agent, f.jobs[1].job.job, 0, &f.now);
	queue_done(f.q, f.agent, f.jobs[4].job.job, EACCES, &f.now);
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 1);
	qf_close(&f);
	arrive(QF_ID(3));
	qf_open(&f);
	qf_pass(&f, 0);
	/* of the first the two that were not flushed, of the second the two
	 * that are not deferred, and all of the new one */
	cr_assert_eq(f.njobs, 7);
	cr_assert_eq(f.jobs[0].job.rcpt, 1);
	cr_assert_eq(f.jobs[1].job.rcpt, 2);
	cr_assert_eq(f.jobs[2].job.rcpt, 0);
	cr_assert_eq(f.jobs[3].job.rcpt, 2);
	cr_assert(f.jobs[3].job.is_repeated);
	cr_assert_not(f.jobs[4].job.is_repeated);
	qf_finish(&f, 0);
	cr_assert(mem.messages[0].is_done);
	cr_assert(mem.messages[1].is_done);
	cr_assert_eq(mem.nrows, 1);
}

Test(queue_store, requests_are_answered_from_it)
{
	char *answer;

	f.is_deaf = true;
	arrive(QF_ID(1));
	arrive(QF_ID(2));
	qf_pass(&f, 0);
	cr_assert_eq(qf_listed(&f), 2);
	answer = qf_ask(&f, "{\"action\":\"remove\",\"id\":\"618J1G7J00001\"}");
	cr_assert_str_eq(answer, "{\"removed\":3}\n");
	free(answer);
	cr_assert(mem.messages[0].is_done_flushed);
	f.is_deaf = false;
	qf_pass(&f, 500);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 3);
	answer = qf_ask(&f, "{\"action\":\"retry\",\"id\":\"all\"}");
	cr_assert_str_eq(answer, "{\"retried\":3}\n");
	free(answer);
	answer = qf_ask(&f, "{\"action\":\"show\",\"id\":\"618J1G7J00002\"}");
	cr_assert_not_null(strstr(answer, "\"helo\":\"client.test\""), "%s",
	    answer);
	free(answer);
	answer = qf_ask(&f, "{\"action\":\"remove\",\"id\":\"618J1G7J00002\"}");
	cr_assert_str_eq(answer, "{\"removed\":3}\n");
	free(answer);
	cr_assert_eq(mem.nrows, 0);
	cr_assert_eq(qf_listed(&f), 0);
}
