/* The spool in memory: see simspool.h. */

#include "test/lib/simspool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/simsaid.h"

static const char id_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void
violation(struct simspool *s, const char *text)
{
	if (s->violation != NULL)
		s->violation(s->arg, text);
}

void
simspool_init(struct simspool *s, struct simclock *c)
{
	memset(s, 0, sizeof(*s));
	s->clock = c;
	s->room = SIZE_MAX;
}

static void
msg_free(struct spool_msg *m)
{
	size_t i;

	simalloc_quiet++;
	for (i = 0; i < m->nrcpts; i++)
		free(m->rcpts[i]);
	free(m->rcpts);
	free(m->sender);
	free(m->client);
	free(m->helo);
	free(m->session);
	free(m->said);
	free(m->body);
	free(m);
	simalloc_quiet--;
}

void
simspool_clear(struct simspool *s)
{
	struct spool_msg *m;

	while ((m = s->msgs) != NULL) {
		s->msgs = m->next;
		msg_free(m);
	}
	s->nopen = s->ncommitting = s->nsafe = s->nfailed = 0;
	s->buffered = 0;
	s->nwaiting = 0;
}

static void
wake_waiting(struct simspool *s)
{
	uint64_t waiting[64];
	size_t i, n;

	if (s->nwaiting == 0 || s->buffered >= s->room)
		return;
	n = s->nwaiting;
	memcpy(waiting, s->waiting, n * sizeof(waiting[0]));
	s->nwaiting = 0;
	for (i = 0; i < n; i++)
		s->room_again(s->arg, waiting[i]);
}

static void
room_happens(void *arg, uint64_t)
{
	wake_waiting(arg);
}

/* The wake-up comes from the loop, never from inside a call of a session. */
static void
unbuffer(struct simspool *s, struct spool_msg *m)
{
	s->buffered -= m->nbuffered;
	m->nbuffered = 0;
	if (s->nwaiting > 0)
		simclock_at(s->clock, 0, room_happens, s, 0);
}

/* As a spool does that writes bodies to files of their own. */
static void
stream_happens(void *arg, uint64_t)
{
	struct simspool *s = arg;
	struct spool_msg *m;

	s->is_streaming = false;
	for (m = s->msgs; m != NULL; m = m->next)
		unbuffer(s, m);
}

void
simspool_set_room(struct simspool *s, size_t octets)
{
	s->room = octets;
	wake_waiting(s);
}

struct spool_msg *
simspool_find(const struct simspool *s, const char *id, size_t len)
{
	struct spool_msg *m;

	for (m = s->msgs; m != NULL; m = m->next)
		if (strlen(m->id) == len && memcmp(m->id, id, len) == 0)
			return m;
	return NULL;
}

static int
spool_begin(void *arg, uint64_t handle, const struct timeval *now,
    struct spool_msg **msg_r)
{
	struct simspool *s = arg;
	struct spool_msg *m;
	uint64_t n;
	int i;

	if (now->tv_usec < 0 || now->tv_usec > 999999)
		violation(s, "begin: not a time");
	for (m = s->msgs; m != NULL; m = m->next)
		if (m->handle == handle && m->state == SIMSPOOL_OPEN)
			violation(s, "begin: the session has one open");
	if (s->begin_errno != 0
	    || (s->rand != NULL
	    && simrand_chance(s->rand, s->begin_permille))) {
		errno = s->begin_errno != 0 ? s->begin_errno : ENOSPC;
		return -1;
	}
	simalloc_quiet++;
	m = calloc(1, sizeof(*m));
	simalloc_quiet--;
	if (m == NULL)
		abort();
	m->spool = s;
	m->handle = handle;
	m->number = ++s->number;
	n = m->number * 7919;
	m->id[0] = 'S';
	for (i = 12; i > 0; i--, n /= 32)
		m->id[i] = id_digits[n % 32];
	m->next = s->msgs;
	s->msgs = m;
	s->nopen++;
	*msg_r = m;
	return 0;
}

static const char *
spool_id(const struct spool_msg *m)
{
	return m->id;
}

static size_t
spool_room(void *arg, uint64_t handle)
{
	struct simspool *s = arg;
	size_t i;

	if (s->buffered < s->room)
		return s->room - s->buffered;
	for (i = 0; i < s->nwaiting; i++)
		if (s->waiting[i] == handle)
			return 0;
	if (s->nwaiting == sizeof(s->waiting) / sizeof(s->waiting[0]))
		violation(s, "room: more waiting sessions than the test has");
	else
		s->waiting[s->nwaiting++] = handle;
	if (s->stream_us != 0 && !s->is_streaming) {
		s->is_streaming = true;
		simclock_at(s->clock, s->stream_us, stream_happens, s, 0);
	}
	return 0;
}

static int
spool_append(struct spool_msg *m, const char *buf, size_t len)
{
	struct simspool *s = m->spool;
	size_t size;

	if (m->state != SIMSPOOL_OPEN)
		violation(s, "append: to a message that is not open");
	if (s->append_errno != 0) {
		if (len > s->append_after) {
			errno = s->append_errno;
			return -1;
		}
		s->append_after -= len;
	}
	if (s->rand != NULL && simrand_chance(s->rand, s->append_permille)) {
		errno = EIO;
		return -1;
	}
	if (m->len + len > m->size) {
		size = m->size == 0 ? 512 : m->size;
		while (size < m->len + len)
			size *= 2;
		simalloc_quiet++;
		m->body = realloc(m->body, size);
		simalloc_quiet--;
		if (m->body == NULL)
			abort();
		m->size = size;
	}
	if (len > 0)
		memcpy(m->body + m->len, buf, len);
	m->len += len;
	m->nbuffered += len;
	s->buffered += len;
	return 0;
}

static char *
copy_checked(struct simspool *s, const char *str, const char *what)
{
	const unsigned char *p;
	char text[64], *copy;

	if (str == NULL) {
		snprintf(text, sizeof(text), "commit: no %s", what);
		violation(s, text);
		str = "";
	}
	for (p = (const unsigned char *)str; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f) {
			snprintf(text, sizeof(text),
			    "commit: control character in %s", what);
			violation(s, text);
			break;
		}
	simalloc_quiet++;
	copy = strdup(str);
	simalloc_quiet--;
	if (copy == NULL)
		abort();
	return copy;
}

static void
copy_envelope(struct spool_msg *m, const struct spool_envelope *env)
{
	struct simspool *s = m->spool;
	char *said;
	size_t i;

	if (env->nrcpts == 0)
		violation(s, "commit: no recipient");
	m->sender = copy_checked(s, env->sender, "sender");
	m->client = copy_checked(s, env->client, "client");
	m->helo = copy_checked(s, env->helo, "helo");
	m->session = copy_checked(s, env->session, "session");
	simalloc_quiet++;
	m->rcpts = calloc(env->nrcpts + 1, sizeof(*m->rcpts));
	simalloc_quiet--;
	if (m->rcpts == NULL)
		abort();
	for (i = 0; i < env->nrcpts; i++) {
		m->rcpts[i] = copy_checked(s, env->rcpts[i], "recipient");
		if (strrchr(m->rcpts[i], '@') == NULL)
			violation(s, "commit: recipient without a domain");
	}
	m->nrcpts = env->nrcpts;
	m->received = env->received;
	m->flags = env->flags;
	simalloc_quiet++;
	said = simsaid(env);
	m->said = copy_checked(s, said, "parameters");
	free(said);
	simalloc_quiet--;
	m->ticket = env->ticket;
}

static void
decide(struct spool_msg *m, int error)
{
	struct simspool *s = m->spool;

	s->ncommitting--;
	if (error == 0) {
		m->state = SIMSPOOL_SAFE;
		m->safe_us = s->clock->now_us;
		s->nsafe++;
	} else {
		m->state = SIMSPOOL_FAILED;
		s->nfailed++;
	}
	unbuffer(s, m);
}

static int
pick_error(const struct simspool *s)
{
	if (s->commit_errno != 0)
		return s->commit_errno;
	if (s->rand != NULL && simrand_chance(s->rand, s->commit_permille))
		return simrand_chance(s->rand, 500) ? ENOSPC : EIO;
	return 0;
}

static void
commit_happens(void *arg, uint64_t number)
{
	struct simspool *s = arg;
	struct spool_msg *m;
	int error;

	for (m = s->msgs; m != NULL && m->number != number; m = m->next)
		continue;
	if (m == NULL || m->state != SIMSPOOL_COMMITTING || s->is_held)
		return;
	error = pick_error(s);
	if (s->mutation == SIMSPOOL_CORRUPT && m->len > 0)
		m->body[m->len / 2] ^= 0x20;
	decide(m, error);
	if (s->mutation == SIMSPOOL_EARLY || s->mutation == SIMSPOOL_MUTE)
		return;
	s->done(s->arg, m->handle, m->ticket,
	    s->mutation == SIMSPOOL_LYING ? 0 : error);
}

static void
early_happens(void *arg, uint64_t number)
{
	struct simspool *s = arg;
	struct spool_msg *m;

	for (m = s->msgs; m != NULL; m = m->next)
		if (m->number == number)
			s->done(s->arg, m->handle, m->ticket, 0);
}

static int
spool_commit(struct spool_msg *m, const struct spool_envelope *env)
{
	struct simspool *s = m->spool;
	uint64_t delay = s->commit_delay_us;

	if (m->state != SIMSPOOL_OPEN)
		violation(s, "commit: of a message that is not open");
	if (s->refuse_errno != 0
	    || (s->rand != NULL
	    && simrand_chance(s->rand, s->refuse_permille))) {
		errno = s->refuse_errno != 0 ? s->refuse_errno : ENOMEM;
		return -1;
	}
	copy_envelope(m, env);
	m->state = SIMSPOOL_COMMITTING;
	s->nopen--;
	s->ncommitting++;
	if (s->rand != NULL && s->delay_max_us > 0)
		delay = simrand_below(s->rand, (uint32_t)s->delay_max_us);
	if (s->mutation == SIMSPOOL_EARLY) {
		simclock_at(s->clock, 0, early_happens, s, m->number);
		delay += 1000;
	}
	if (s->is_inside) {
		commit_happens(s, m->number);
		return 0;
	}
	simclock_at(s->clock, delay, commit_happens, s, m->number);
	return 0;
}

static void
spool_abort(struct spool_msg *m)
{
	struct spool_msg **p;
	struct simspool *s;

	if (m == NULL)
		return;
	s = m->spool;
	if (m->state != SIMSPOOL_OPEN) {
		violation(s, "abort: of a message that is not open");
		return;
	}
	for (p = &s->msgs; *p != NULL && *p != m; p = &(*p)->next)
		continue;
	if (*p == NULL) {
		violation(s, "abort: of an unknown message");
		return;
	}
	*p = m->next;
	s->nopen--;
	unbuffer(s, m);
	msg_free(m);
}

void
simspool_release(struct simspool *s)
{
	struct spool_msg *m;

	s->is_held = false;
	for (m = s->msgs; m != NULL; m = m->next)
		if (m->state == SIMSPOOL_COMMITTING)
			simclock_at(s->clock, 0, commit_happens, s, m->number);
}

const struct spool_ops simspool_ops = {
	.size = sizeof(struct spool_ops),
	.begin = spool_begin,
	.id = spool_id,
	.room = spool_room,
	.append = spool_append,
	.commit = spool_commit,
	.abort = spool_abort,
	.keeps = SPOOL_ENV_REQUIRETLS | SPOOL_ENV_SMTPUTF8,
};
