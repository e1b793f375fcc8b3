/* Aliases: a message to one becomes others, to those who get its mail.
 * Owns: that these are messages of the deferred store, whose rows come in the
 * transaction in which the rows of the aliases go.  So they are there once.  What of
 * the message's terms they have, RFC 3461 5.2.7.
 * Knows nothing of tables: queue_ops.expand() says who gets the mail. */

#include "core/queue/queue_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_id.h"
#include "core/util/array.h"
#include "core/util/utf8.h"

#define BATCH_RCPTS	20000		/* recipients of new messages in one transaction, about; the rest in the next */
#define BATCH_OCTETS	(32 << 20)	/* and octets of their bodies */

static bool
is_to_expand(const struct queue_rcpt *r)
{
	return r->is_alias && r->state == RCPT_OK;
}

static size_t
count_aliases(const struct queue_message *m)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++)
		n += is_to_expand(&m->rcpts[i]);
	return n;
}

/* --- one message ------------------------------------------------------------- */

struct expanding {
	struct queue	*q;
	struct queue_message *m;
	struct queue_children *made;
	const struct queue_record *of;
	struct queue_expansion x;
	const char	**aliases, **others;
	struct alias {
		struct queue_rcpt *r;
		struct spool_envelope_rcpt said;
		char	*original;	/* ORCPT that it has, or gets; owned */
	}		*v;
	int		 errnum;
};

/* The recipients of the envelope that are no aliases get the message themselves. */
static int
list_others(struct expanding *e, const struct spool_envelope_view *env)
{
	const char *cursor = NULL, *rcpt;
	int rc;

	e->others = calloc(env->nrcpts, sizeof(e->others[0]));
	if (e->others == NULL)
		return -1;
	while ((rcpt = spool_envelope_rcpt_next(env, &cursor)) != NULL) {
		rc = e->q->ops->is_alias(e->q->closure, rcpt);
		if (rc == -1) {
			errno = ENOMEM;
			return -1;
		}
		if (rc == 0)
			e->others[e->x.nothers++] = rcpt;
	}
	e->x.others = e->others;
	return 0;
}

/* The ORCPT of those who get the mail of ${r}: that of the sender, else the
 * alias.  RFC 3461 4.2, RFC 6533 3 */
static char *
original_of(const struct queue_rcpt *r, const struct spool_envelope_rcpt *said)
{
	char *text;

	if (said->orcpt != NULL)
		return strdup(said->orcpt);
	return asprintf(&text, "%s;%s", utf8_is_ascii(r->rcpt,
	    strlen(r->rcpt)) ? "rfc822" : "utf-8", r->rcpt) == -1 ? NULL : text;
}

/* Note the aliases of the message, and what was said of each. */
static int
list_aliases(struct expanding *e, const struct spool_envelope_view *env)
{
	size_t n = count_aliases(e->m);
	const char *cursor = NULL;
	struct queue_rcpt *r;
	struct alias *a;
	uint32_t i;

	e->v = calloc(n, sizeof(e->v[0]));
	e->aliases = calloc(n, sizeof(e->aliases[0]));
	if (e->v == NULL || e->aliases == NULL)
		return -1;
	/* in the order of the envelope, as spool_envelope_said() wants them */
	for (i = 0; i < e->m->nrcpts; i++) {
		r = &e->m->rcpts[i];
		if (!is_to_expand(r))
			continue;
		a = &e->v[e->x.naliases];
		a->r = r;
		spool_envelope_said(env, r->index, &cursor, &a->said);
		if ((a->original = original_of(r, &a->said)) == NULL)
			return -1;
		e->aliases[e->x.naliases++] = r->rcpt;
	}
	e->x.aliases = e->aliases;
	return 0;
}

/* What is told of ${r}, which gets the mail of an alias.  RFC 3461 5.2.7.1: what is
 * sent to a list is delivered to it; 5.2.7.2: of a single one, what the sender has
 * asked for; 5.2.7.3 (c): of several, none but the alias is told to be delivered. */
static uint8_t
notify_of(const struct expanding *e, const struct queue_expansion_rcpt *r)
{
	unsigned int notify = e->v[r->alias].said.notify;

	if (e->x.senders[r->sender].is_list)
		return 0;
	if (e->x.verdicts[r->alias].what == QUEUE_ALIAS_ONE)
		return (uint8_t)notify;
	if (notify == SPOOL_NOTIFY_SUCCESS)
		return SPOOL_NOTIFY_NEVER;
	return (uint8_t)(notify & ~(unsigned int)SPOOL_NOTIFY_SUCCESS);
}

/* The envelope of what is sent on for ${sender}, without its recipients */
static struct spool_envelope
envelope_of(const struct expanding *e,
    const struct queue_expansion_sender *sender)
{
	const struct spool_envelope_view *env = e->of->envelope;
	struct spool_envelope envelope = { .sender = sender->address,
		.session = env->session, .client = env->client,
		.helo = env->helo, .flags = (env->flags |
		SPOOL_ENV_EXPANDED) & ~(unsigned int)SPOOL_ENV_HOLD_FOR,
		.solicit = env->solicit, .priority = env->priority };

	if (sender->is_list) {
		envelope.flags &= ~(unsigned int)(SPOOL_ENV_RET_FULL |
		    SPOOL_ENV_RET_HDRS | SPOOL_ENV_BY_RETURN |
		    SPOOL_ENV_BY_TRACE);
		return envelope;
	}
	envelope.envid = env->envid;
	envelope.deliver_by = env->deliver_by;
	return envelope;
}

static struct queue_child *
child_new(struct queue_children *made, size_t nrcpts)
{
	struct queue_child *grown = array_fit(made->v, &made->room,
	    made->n + 1, sizeof(*grown)), *child;

	if (grown == NULL)
		return NULL;
	made->v = grown;
	child = &grown[made->n];
	*child = (struct queue_child){ .rcpts = calloc(nrcpts,
	    sizeof(child->rcpts[0])), .notify = calloc(nrcpts, 1) };
	return child;
}

static void
child_clear(struct queue_child *child)
{
	size_t i;

	for (i = 0; i < child->nrcpts; i++)
		free(child->rcpts[i]);
	free(child->rcpts);
	free(child->notify);
	free(child->sender);
}

/* Give the recipients of ${sender}, of which there are ${left}, to ${child}, from
 * *${from} on, as many as an envelope takes.  Return 0, or -1 with errno. */
static int
fill_child(struct expanding *e, struct queue_child *child, size_t sender,
    size_t left, size_t *from, struct spool_envelope *env)
{
	const char **orcpts = calloc(left, sizeof(orcpts[0]));
	struct queue_expansion_rcpt *r;
	int rc = -1;
	size_t i;

	if (orcpts == NULL || child->rcpts == NULL || child->notify == NULL ||
	    (child->sender = strdup(env->sender)) == NULL)
		goto out;
	for (i = *from; i < e->x.nrcpts && child->nrcpts < left; i++) {
		r = &e->x.rcpts[i];
		if (r->sender != sender)
			continue;
		child->notify[child->nrcpts] = notify_of(e, r);
		orcpts[child->nrcpts] = e->v[r->alias].original;
		child->rcpts[child->nrcpts++] = r->rcpt;
		r->rcpt = NULL;
		*from = i + 1;
	}
	env->rcpts = (const char *const *)child->rcpts;
	env->nrcpts = child->nrcpts;
	env->notify = child->notify;
	env->orcpts = orcpts;
	rc = e->q->store_ops->own_place(e->q->store, &child->place);
	if (rc == 0)
		rc = e->q->store_ops->own_copy(e->q->store, &child->place, env,
		    e->of);
out:
	free(orcpts);
	return rc;
}

/* Octets of an envelope that ${r} needs */
static size_t
octets_of(const struct expanding *e, const struct queue_expansion_rcpt *r)
{
	/* lengths, NULs, the heads of two items and what NOTIFY says */
	return strlen(r->rcpt) + strlen(e->v[r->alias].original) + 32;
}

/* How many recipients of ${sender} from ${from} on there are for one envelope */
static size_t
count_for(const struct expanding *e, size_t sender, size_t from)
{
	size_t octets = 0, n = 0;

	for (; from < e->x.nrcpts; from++) {
		if (e->x.rcpts[from].sender != sender)
			continue;
		octets += octets_of(e, &e->x.rcpts[from]);
		if (octets > LIM_ENVELOPE_RCPTS)
			break;
		n++;
	}
	return n;
}

/* Write the messages of ${sender}: one, unless there are more recipients than an
 * envelope takes. */
static int
write_children(struct expanding *e, size_t sender)
{
	struct queue_children *made = e->made;
	struct spool_envelope env;
	struct queue_child *child;
	size_t from = 0, n;

	while ((n = count_for(e, sender, from)) > 0) {
		env = envelope_of(e, &e->x.senders[sender]);
		if ((child = child_new(made, n)) == NULL)
			return -1;
		made->n++;
		child->m = e->m;
		child->flags = env.flags;
		child->deliver_by = env.deliver_by;
		if (fill_child(e, child, sender, n, &from, &env) == -1)
			return -1;
		child->is_written = true;
		made->nrcpts += n;
		made->octets += e->m->octets;
	}
	return 0;
}

/* What becomes of the aliases themselves, RFC 3461 5.2.7 */
static void
judge_aliases(struct expanding *e)
{
	const struct queue_expansion_alias *verdict;
	struct job_error error;
	struct queue_rcpt *r;
	size_t i;

	for (i = 0; i < e->x.naliases; i++) {
		verdict = &e->x.verdicts[i];
		r = e->v[i].r;
		r->is_alias = false;
		if (r->notify == DEFERRED_NOTIFY_UNKNOWN)
			r->notify = (unsigned char)e->v[i].said.notify;
		if (verdict->what == QUEUE_ALIAS_MANY)
			r->outcome = QUEUE_EXPANDED;
		else if (verdict->what == QUEUE_ALIAS_LIST)
			r->outcome = QUEUE_DELIVERED;
		if (verdict->what != QUEUE_ALIAS_FAILED)
			continue;
		r->outcome = QUEUE_FAILED;
		memset(&error, 0, sizeof(error));
		strlcpy(error.enhanced, verdict->enhanced,
		    sizeof(error.enhanced));
		strlcpy(error.text, verdict->text, sizeof(error.text));
		free(r->reply);
		if ((r->reply = queue_reply_new(&error)) != NULL)
			r->reply->when = e->q->wall_ms / 1000;
	}
}

/* ${record} is the message. */
static int
expand_record(void *closure, const struct queue_record *record)
{
	struct expanding *e = closure;
	size_t i;
	int rc;

	e->of = record;
	rc = list_others(e, record->envelope);
	if (rc == 0)
		rc = list_aliases(e, record->envelope);
	if (rc == 0)
		rc = e->q->ops->expand(e->q->closure, &e->x);
	for (i = 0; rc == 0 && i < e->x.nsenders; i++)
		rc = write_children(e, i);
	if (rc == 0)
		judge_aliases(e);
	else
		e->errnum = errno != 0 ? errno : EIO;
	return 0;
}

static void
expanding_clear(struct expanding *e)
{
	size_t i;

	e->q->ops->expand_free(&e->x);
	for (i = 0; i < e->x.naliases; i++)
		free(e->v[i].original);
	free(e->v);
	free(e->aliases);
	free(e->others);
}

/* The aliases of ${m} wait: for their turn, or with ${errnum} as after an attempt
 * that has failed. */
static void
put_off(struct queue *q, struct queue_message *m, int errnum)
{
	struct queue_rcpt *r;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (!is_to_expand(r))
			continue;
		r->state = RCPT_FAILED;
		if (errnum == 0)
			continue;
		r->is_alias = false;
		r->errnum = errnum;
		free(r->reply);
		r->reply = queue_reply_text("the alias cannot be expanded now");
	}
	if (errnum != 0)
		queue_judge(q, m);
}

static void
expand_message(struct queue *q, struct queue_message *m,
    struct queue_children *made)
{
	struct expanding e = { .q = q, .m = m, .made = made };
	size_t before = made->n, nrcpts = made->nrcpts;
	uint64_t octets = made->octets;
	char id[SPOOL_ID_TEXT + 1];

	e.x.sender = m->sender;
	e.x.now = q->wall_ms / 1000;
	if (q->store_ops->read_message(q->store, m->place.id, 0, expand_record,
	    &e) == -1)
		e.errnum = errno;
	expanding_clear(&e);
	if (e.errnum == 0)
		return;
	spool_id_text(m->place.id, id);
	log_warnx("expand", "id=%s reason=%s", id, strerror(e.errnum));
	while (made->n > before) {
		made->n--;
		if (made->v[made->n].is_written)
			q->store_ops->own_drop(q->store,
			    &made->v[made->n].place);
		child_clear(&made->v[made->n]);
	}
	made->nrcpts = nrcpts;
	made->octets = octets;
	put_off(q, m, e.errnum);
}

/* --- all of a transaction ---------------------------------------------------- */

void
queue_children_make(struct queue *q, const struct queue_messages *batch,
    struct queue_children *made)
{
	struct queue_message *m;

	TAILQ_FOREACH (m, batch, settle) {
		if (m->place.file != NULL || count_aliases(m) == 0)
			continue;
		if (made->nrcpts >= BATCH_RCPTS || made->octets >= BATCH_OCTETS)
			put_off(q, m, 0);
		else
			expand_message(q, m, made);
	}
}

void
queue_children_change(const struct queue *q,
    const struct queue_children *made, struct queue_change *changes)
{
	const struct queue_child *child;
	size_t i, j, n = 0;

	for (i = 0; i < made->n; i++) {
		child = &made->v[i];
		for (j = 0; j < child->nrcpts; j++, n++) {
			changes[n] = (struct queue_change){ .kind = CHANGE_PUT,
				.place = &child->place };
			changes[n].row = (struct deferred_row){
				.id = child->place.id,
				.rcpt_index = (uint32_t)j,
				.sender = child->sender,
				.rcpt = child->rcpts[j], .transport = "",
				.received_us = child->m->received_us,
				.octets = child->m->octets,
				.next_attempt = q->wall_ms / 1000,
				.since = child->m->since,
				.flags = child->flags,
				.deliver_by = child->deliver_by,
				.priority = child->m->priority,
				.notify = child->notify[j] };
		}
	}
}

void
queue_children_end(struct queue *q, struct queue_children *made,
    bool is_stored)
{
	char id[SPOOL_ID_TEXT + 1], of[SPOOL_ID_TEXT + 1];
	struct queue_child *child;
	size_t i;

	for (i = 0; i < made->n; i++) {
		child = &made->v[i];
		if (!is_stored)
			q->store_ops->own_drop(q->store, &child->place);
		spool_id_text(child->place.id, id);
		spool_id_text(child->m->place.id, of);
		if (is_stored) {
			stats_inc(STATS_EXPANDED);
			log_event(LOG_LEVEL_INFO, "expanded",
			    "id=%s of=%s from=%s nrcpts=%zu size=%llu",
			    id, of, child->sender, child->nrcpts,
			    (unsigned long long)child->m->octets);
		}
		child_clear(child);
	}
	free(made->v);
	*made = (struct queue_children){ .n = 0 };
}
