/* What a session does with the spool: begin, append, commit, abort.
 * Owns: messages in progress and their blocks, the bound on them, the list of
 * sessions that wait for room.
 * Knows nothing of segments: the two threads write. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/spool/spool_writer_int.h"
#include "core/util/array.h"

#define PRESSURE_OCTETS	32768	/* past half of the bound, a body over this goes to its file */
#define PROBE_US	1000000	/* after a failed commit, one message a second is accepted, to try again */

size_t
spool_block_octets(const struct spool_block *b)
{
	return (sizeof(*b) + b->cap);
}

/* Where free blocks of this size are kept for the next messages, or NULL */
static struct spool_cache *
cache_of(struct spool_writer *w, size_t octets)
{
	if (octets == SPOOL_BLOCK_FIRST)
		return (&w->free_first);
	return (octets == SPOOL_BLOCK_MAX ? &w->free_max : NULL);
}

static struct spool_block *
block_new(struct spool_writer *w, size_t need)
{
	struct spool_cache *cache;
	struct spool_block *b;
	size_t octets = SPOOL_BLOCK_FIRST;

	while (octets - sizeof(*b) < need && octets < SPOOL_BLOCK_MAX)
		octets *= 2;
	cache = cache_of(w, octets);
	if (cache != NULL && (b = STAILQ_FIRST(&cache->blocks)) != NULL) {
		STAILQ_REMOVE_HEAD(&cache->blocks, link);
		cache->n--;
	} else if ((b = malloc(octets)) == NULL) {
		return (NULL);
	}
	b->cap = (uint32_t)(octets - sizeof(*b));
	b->start = 0;
	b->len = 0;
	w->held_octets += octets;
	return (b);
}

void
spool_block_free(struct spool_writer *w, struct spool_block *b)
{
	size_t octets = spool_block_octets(b);
	struct spool_cache *cache = cache_of(w, octets);

	w->held_octets -= octets;
	if (cache != NULL && cache->n < SPOOL_CACHE_OCTETS / octets) {
		STAILQ_INSERT_HEAD(&cache->blocks, b, link);
		cache->n++;
	} else {
		free(b);
	}
}

static void
free_blocks(struct spool_msg *msg)
{
	struct spool_block *b;

	while ((b = STAILQ_FIRST(&msg->blocks)) != NULL) {
		STAILQ_REMOVE_HEAD(&msg->blocks, link);
		spool_block_free(msg->w, b);
	}
}

void
spool_msg_free(struct spool_msg *msg)
{
	free_blocks(msg);
	if (msg->is_head_owned)
		free(msg->head);
	spool_sum_free(msg->sum);
	free(msg);
}

static void
open_add(struct spool_msg *msg)
{
	TAILQ_INSERT_TAIL(&msg->w->open, msg, open_link);
	__atomic_store_n(&msg->w->nopen, msg->w->nopen + 1, __ATOMIC_RELAXED);
}

static void
open_remove(struct spool_msg *msg)
{
	TAILQ_REMOVE(&msg->w->open, msg, open_link);
	__atomic_store_n(&msg->w->nopen, msg->w->nopen - 1, __ATOMIC_RELAXED);
}

/* On a full disk, refuse before the client sends the message. */
static int
begin_error(struct spool_writer *w, uint64_t now_us)
{
	int error;

	error = __atomic_load_n(&w->open_error, __ATOMIC_ACQUIRE);
	if (error != 0)
		return (error);
	error = __atomic_load_n(&w->make_error, __ATOMIC_RELAXED);
	if (error != 0 && __atomic_load_n(&w->cur_left, __ATOMIC_RELAXED) <
	    SPOOL_BEGIN_LEFT)
		return (error);
	error = __atomic_load_n(&w->commit_error, __ATOMIC_RELAXED);
	if (error != 0) {
		if (now_us >= w->probe_us && now_us - w->probe_us < PROBE_US)
			return (error);
		w->probe_us = now_us;
	}
	return (0);
}

static int
ops_begin(void *spool, uint64_t handle, const struct timeval *now,
    struct spool_msg **msg_r)
{
	struct spool_writer *w = spool;
	struct spool_msg *msg;
	uint64_t now_us;
	int error;

	now_us = (uint64_t)now->tv_sec * 1000000 + (uint64_t)now->tv_usec;
	if ((error = begin_error(w, now_us)) != 0) {
		errno = error;
		return (-1);
	}
	if ((msg = calloc(1, sizeof(*msg))) == NULL)
		return (-1);
	msg->w = w;
	msg->handle = handle;
	msg->body_fd = -1;
	STAILQ_INIT(&msg->blocks);
	msg->id = spool_id_next(&w->ids, now_us);
	spool_id_text(msg->id, msg->id_text);
	open_add(msg);
	*msg_r = msg;
	return (0);
}

static const char *
ops_id(const struct spool_msg *msg)
{
	return (msg->id_text);
}

/* All blocks of a large message go to the maker, and when it ${is_finished}
 * the message after them. */
static void
hand_over(struct spool_msg *msg, bool is_finished)
{
	struct spool_writer *w = msg->w;
	struct spool_block *b;

	STAILQ_FOREACH(b, &msg->blocks, link) {
		b->msg = msg;
		w->away_octets += spool_block_octets(b);
	}
	msg->nblocks = 0;
	(void)pthread_mutex_lock(&w->lock);
	STAILQ_CONCAT(&w->jobs, &msg->blocks);
	if (is_finished)
		STAILQ_INSERT_TAIL(&w->finish, msg, link);
	spool_wake_maker_locked(w);
	(void)pthread_mutex_unlock(&w->lock);
}

static int
go_large(struct spool_msg *msg)
{
	if ((msg->sum = spool_sum_new()) == NULL)
		return (-1);
	if (spool_share_begin(msg) == -1) {
		/* the next append would make another one */
		spool_sum_free(msg->sum);
		msg->sum = NULL;
		return (-1);
	}
	msg->is_large = true;
	hand_over(msg, false);
	return (0);
}

static bool
is_too_large(const struct spool_msg *msg, size_t len)
{
	const struct spool_writer *w = msg->w;

	if (msg->octets + len > w->config.large_octets)
		return (true);
	return (w->held_octets > w->config.buffer_octets / 2 &&
	    msg->octets >= PRESSURE_OCTETS);
}

static struct spool_block *
block_add(struct spool_msg *msg, size_t len)
{
	struct spool_block *b;
	uint32_t room;

	/* Later blocks are larger, so that a body has few pieces. */
	room = msg->octets == 0 ? SPOOL_HEAD_ROOM : 0;
	if (msg->octets > 0 && len < msg->octets)
		len = msg->octets < SPOOL_BLOCK_MAX / 2 ?
		    (size_t)msg->octets : SPOOL_BLOCK_MAX / 2;
	if ((b = block_new(msg->w, room + len)) == NULL)
		return (NULL);
	b->start = room;
	STAILQ_INSERT_TAIL(&msg->blocks, b, link);
	msg->nblocks++;
	return (b);
}

/* Has the maker failed with the body so far? */
static bool
has_failed(const struct spool_msg *msg)
{
	errno = __atomic_load_n(&msg->error, __ATOMIC_RELAXED);
	return (errno != 0);
}

static int
ops_append(struct spool_msg *msg, const char *buf, size_t len)
{
	struct spool_block *b;
	size_t n;

	if (has_failed(msg))
		return (-1);
	if (!msg->is_large && len > 0 && msg->octets > 0 &&
	    is_too_large(msg, len) && go_large(msg) == -1)
		return (-1);
	while (len > 0) {
		b = STAILQ_LAST(&msg->blocks, spool_block, link);
		if (b != NULL && b->start + b->len == b->cap) {
			if (msg->is_large) {
				if (spool_share_grow(msg) == -1)
					return (-1);
				hand_over(msg, false);
			}
			b = NULL;
		}
		if (b == NULL && (b = block_add(msg, len)) == NULL)
			return (-1);
		n = b->cap - b->start - b->len;
		if (n > len)
			n = len;
		memcpy(b->data + b->start + b->len, buf, n);
		b->len += (uint32_t)n;
		msg->octets += n;
		buf += n;
		len -= n;
	}
	return (0);
}

/* Place header and envelope: before the body in its block, if they fit. */
static int
head_place(struct spool_msg *msg, size_t octets)
{
	struct spool_block *b = STAILQ_FIRST(&msg->blocks);

	if (!msg->is_large && b != NULL && octets <= b->start) {
		msg->head = b->data + b->start - octets;
		return (0);
	}
	if ((msg->head = malloc(octets)) == NULL)
		return (-1);
	msg->is_head_owned = true;
	return (0);
}

static int
commit_prepare(struct spool_msg *msg, const struct spool_envelope *env)
{
	uint64_t most = msg->w->config.segment_octets - SPOOL_PAGE;
	size_t n;

	if (has_failed(msg) || (n = spool_envelope_octets(env)) == 0)
		return (-1);
	if (!msg->is_large && msg->octets > 0 &&
	    (spool_record_octets(n, msg->octets) > most ||
	    msg->octets > msg->w->config.large_octets) && go_large(msg) == -1)
		return (-1);
	if (spool_record_octets(n, msg->is_large ? 0 : msg->octets) > most) {
		errno = E2BIG;
		return (-1);
	}
	if (head_place(msg, SPOOL_RECORD_HEADER + n) == -1)
		return (-1);
	spool_envelope_encode(env, msg->head + SPOOL_RECORD_HEADER);
	msg->envelope_octets = (uint32_t)n;
	msg->received_us = (uint64_t)env->received.tv_sec * 1000000 +
	    (uint64_t)env->received.tv_usec;
	return (0);
}

static int
ops_commit(struct spool_msg *msg, const struct spool_envelope *env)
{
	struct spool_writer *w = msg->w;
	struct spool_block *b;

	if (commit_prepare(msg, env) == -1)
		return (-1);
	msg->ticket = env->ticket;
	open_remove(msg);
	spool_share_end(msg);
	w->nbusy++;
	if (msg->is_large) {
		hand_over(msg, true);
		return (0);
	}
	STAILQ_FOREACH(b, &msg->blocks, link)
		w->away_octets += spool_block_octets(b);
	STAILQ_INSERT_TAIL(&w->staged, msg, link);
	w->nstaged++;
	return (0);
}

static void
ops_abort(struct spool_msg *msg)
{
	if (msg == NULL)
		return;
	open_remove(msg);
	spool_share_end(msg);
	if (!msg->is_large) {
		spool_msg_free(msg);
		return;
	}
	free_blocks(msg);
	msg->is_aborted = true;
	hand_over(msg, true);
}

static int
waiter_add(struct spool_writer *w, uint64_t handle)
{
	uint64_t *v = array_fit(w->waiters, &w->waiters_room, w->nwaiters + 1,
	    sizeof(*v));

	if (v == NULL)
		return (-1);
	w->waiters = v;
	w->waiters[w->nwaiters++] = handle;
	return (0);
}

/* The bound is reached and the threads have nothing to write that would make
 * room: unfinished messages use all of the memory.  Write the oldest to files;
 * otherwise slow clients could stop all others. */
static void
squeeze(struct spool_writer *w)
{
	struct spool_msg *msg, *last;
	uint64_t goal = w->config.buffer_octets / 4;

	last = TAILQ_LAST(&w->open, spool_open_msgs);
	while (w->away_octets < goal &&
	    (msg = TAILQ_FIRST(&w->open)) != NULL) {
		TAILQ_REMOVE(&w->open, msg, open_link);
		TAILQ_INSERT_TAIL(&w->open, msg, open_link);
		if (!STAILQ_EMPTY(&msg->blocks)) {
			if (msg->is_large)
				hand_over(msg, false);
			else if (go_large(msg) == -1)
				break;
		}
		if (msg == last)
			break;
	}
}

static size_t
ops_room(void *spool, uint64_t handle)
{
	struct spool_writer *w = spool;

	if (w->held_octets < w->config.buffer_octets)
		return ((size_t)(w->config.buffer_octets - w->held_octets));
	if (w->away_octets == 0)
		squeeze(w);
	/* If the session cannot be noted, let it exceed the bound a little. */
	return (waiter_add(w, handle) == -1 ? SPOOL_BLOCK_FIRST : 0);
}

/* Sessions that wait do not read, so they do not ask again, nor see that their
 * clients have gone.  Those that have had the room may be silent. */
void
spool_waiters_wake(struct spool_writer *w)
{
	uint64_t budget;
	size_t n = 0;

	if (w->nwaiters == 0)
		return;
	if (w->held_octets >= w->config.buffer_octets) {
		if (w->away_octets == 0)
			squeeze(w);
		return;
	}
	budget = w->config.buffer_octets - w->held_octets;
	while (n < w->nwaiters) {
		if (!w->callbacks.room(w->closure, w->waiters[n++]))
			continue;
		if (budget <= SPOOL_BLOCK_MAX)
			break;
		budget -= SPOOL_BLOCK_MAX;
	}
	w->nwaiters -= n;
	memmove(w->waiters, w->waiters + n, w->nwaiters * sizeof(*w->waiters));
}

const struct spool_ops spool_writer_ops = {
	.size = sizeof(struct spool_ops),
	.begin = ops_begin,
	.id = ops_id,
	.room = ops_room,
	.append = ops_append,
	.commit = ops_commit,
	.abort = ops_abort,
	/* Maildirs are no relaying */
	.keeps = SPOOL_ENV_REQUIRETLS | SPOOL_ENV_SMTPUTF8,
};
