/* Answers about the queue: the rows of deferred messages, in pieces.
 * Owns: where the search of the rows has got to, which of them a request is about. */

#include "core/queue/queue_answer.h"

const char *
queue_answer_row_state(const struct queue_answer *a,
    const struct deferred_row *row, const struct queue_rcpt *r)
{
	if (r != NULL && r->state == RCPT_SENT)
		return "delivering";
	if (row->outcome[0] != '\0')
		return row->outcome;
	if (row->is_on_hold)
		return "hold";
	return row->hold_until > a->now_s && row->attempts == 0 ? "held" :
	    "deferred";
}

bool
queue_answer_has_row(const struct queue_answer *a,
    const struct deferred_row *row, struct queue_message **m_r,
    struct queue_rcpt **r_r)
{
	struct queue_message *m = queue_message_deferred(a->q, row->id);
	uint32_t i;

	*m_r = m;
	*r_r = NULL;
	for (i = 0; m != NULL && i < m->nrcpts; i++)
		if (m->rcpts[i].index == row->rcpt_index)
			*r_r = &m->rcpts[i];
	if (a->id != 0)
		return row->id == a->id;
	return queue_filter_message(&a->filter, a->now_s, row->sender,
	    row->received_us, row->octets) &&
	    queue_filter_rcpt(&a->filter, row->rcpt,
	    queue_answer_row_state(a, row, *r_r), row->last_error);
}

void
queue_answer_at(struct queue_answer *a, const struct deferred_row *row)
{
	a->deferred_id = row->id;
	a->deferred_rcpt = row->rcpt_index;
}

int
queue_answer_rows(struct queue_answer *a, deferred_func each)
{
	const struct deferred_query of = { .what = DEFERRED_OF, .id = a->id },
	    page = { .what = DEFERRED_PAGE, .id = a->deferred_id,
		.rcpt_index = a->deferred_rcpt, .limit = PIECE_ROWS,
		.domain = a->has_domain ? a->domain : NULL };
	int n;

	a->is_full = false;
	n = a->q->store_ops->rows(a->q->store, a->id != 0 ? &of : &page, each,
	    a);
	if (n == -1)
		return -1;
	if (a->is_full)
		return 0;
	/* a page without a row that is valid would come again and again */
	return a->id != 0 || n < PIECE_ROWS ||
	    (a->deferred_id == page.id && a->deferred_rcpt == page.rcpt_index);
}
