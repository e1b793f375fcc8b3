/* BDAT: a message that comes in chunks of known size, RFC 3030.
 * Owns: where a chunk ends, and the one reply to each.
 * Knows nothing of what becomes of the message: esmtp_body.c does that.
 *
 * A chunk follows BDAT whatever is wrong with the command, and must not be run
 * as commands.  RFC 3030 2: "If a failure occurs after a BDAT command is received,
 * the receiver-SMTP MUST accept and discard the associated message data before
 * sending the appropriate 5XX or 4XX code."  So the reply to a refused BDAT is
 * taken back, and given when the chunk has been read.  The message is lost with
 * it: its other chunks get the same reply, until LAST, RSET or EHLO.  That is
 * one error of the client, and one report: Max_Errors would end the session
 * with 421, which tells a client to send the message again. */

#include <stdlib.h>

#include "proto/message/esmtp_message_int.h"
#include "proto/parse/esmtp_chunk.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_txn.h"
#include "proto/server/esmtp_verb.h"
#include "proto/server/esmtp_wait.h"

/* Is it known now that the message will be too big? */
static bool
is_too_big(const struct esmtp_step *st, uint64_t octets)
{
	uint64_t max = (uint64_t)st->ac->options->max_message_size;

	return max > 0 && (octets > max ||
	    st->mc->txn->octets > max - octets);
}

/* A message begins with this chunk.  Return false if it was refused. */
static bool
begin_message(struct esmtp_step *st, enum esmtp_want w, enum esmtp_reply_id id)
{
	struct esmtp_txn *t = st->mc->txn;

	t->is_chunked = 1;
	t->data_since = moment_of(&st->now);
	esmtp_text_begin(st);
	if (w == W_GO && id != RPL_DATA)
		esmtp_reply(st, id);
	return w == W_GO && id == RPL_DATA;
}

enum esmtp_want
esmtp_cmd_bdat(struct esmtp_step *st, const char *arg, size_t len)
{
	message_construct *mc = st->mc;
	struct esmtp_txn *t = mc->txn;
	struct esmtp_chunk chunk;
	enum esmtp_chunk_error error = esmtp_chunk_parse(arg, len, &chunk);
	enum esmtp_reply_id id = RPL_DATA;
	enum esmtp_want w;

	if (error != ESMTP_CHUNK_OK) {
		esmtp_reply(st, error == ESMTP_CHUNK_HUGE ? RPL_TOO_BIG :
		    RPL_CHUNK_SYNTAX);
		return W_GO;
	}
	if (!t->is_chunked) {
		if ((w = esmtp_body_begin(st, &id)) == W_WAIT)
			return w;
		if (!begin_message(st, w, id))
			return W_GO;
	} else if (mc->refusal != NULL)
		return W_GO;
	t->is_in_body = 1;
	esmtp_enter(mc, ES_DATA);
	if (is_too_big(st, chunk.octets))
		esmtp_text_fail(mc, RPL_TOO_BIG);
	return W_GO;
}

void
esmtp_chunk_begin(struct esmtp_step *st, size_t mark, const char *arg,
    size_t len)
{
	message_construct *mc = st->mc;
	bool is_of_message = mc->txn != NULL && mc->txn->is_chunked;
	struct esmtp_chunk chunk;

	if (esmtp_chunk_parse(arg, len, &chunk) != ESMTP_CHUNK_OK) {
		esmtp_answering(st, "", "", 0);
		esmtp_reply(st, RPL_CHUNK_END);
		return;
	}
	mc->is_in_chunk = 1;
	mc->chunk = chunk.octets;
	mc->is_last_chunk = chunk.is_last;
	/* the time limit of this chunk begins now, since nothing is answered
	 * before its end */
	mc->wait_since = moment_of(&st->now);
	if (st->nreplies == 0)
		return;
	mc->is_chunk_answered = 1;
	mc->refusal = esmtp_reply_take_back(st, mark);
	/* without memory for the reply, this chunk and the others get
	 * another */
	if (mc->refusal == NULL && is_of_message)
		esmtp_text_fail(mc, RPL_NOMEM);
}

/* A chunk that was refused has come in full: send the refusal. */
static void
refuse(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	bool is_of_message = mc->txn != NULL && mc->txn->is_chunked;
	size_t mark = st->out_len;

	if (mc->refusal != NULL)
		esmtp_reply_give_back(st, mc->refusal);
	else
		esmtp_reply(st, RPL_NOMEM);
	mc->is_chunk_answered = 0;
	if (is_of_message && !mc->is_last_chunk)
		return;		/* the next chunk gets the same reply */
	free(mc->refusal);
	mc->refusal = NULL;
	if (is_of_message)
		esmtp_txn_end(st, mark);
}

/* A chunk has come in full, but the message could not be kept: refuse this
 * chunk and the others with the same reply. */
static void
fail(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	size_t mark = st->out_len;

	esmtp_reply(st, (enum esmtp_reply_id)mc->txn->failure);
	if ((mc->refusal = esmtp_reply_take_back(st, mark)) == NULL)
		mc->txn->failure = RPL_NOMEM;
	refuse(st);
}

static enum esmtp_want
chunk_end(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	struct esmtp_txn *t = mc->txn;

	mc->is_in_chunk = 0;
	esmtp_answering_last(st);
	if (mc->is_chunk_answered || mc->refusal != NULL) {
		refuse(st);
		return W_GO;
	}
	if (mc->is_last_chunk)
		return esmtp_body_end(st);
	t->is_in_body = 0;
	esmtp_set_state(mc, ES_BODY_REPLY);
	if (t->failure != -1)
		fail(st);
	else
		esmtp_reply(st, RPL_CHUNK);
	return W_GO;
}

enum esmtp_want
esmtp_chunk(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	size_t room, at, n = st->in_len;

	esmtp_settle(mc);
	if (n > mc->chunk)
		n = (size_t)mc->chunk;
	if (n > 0 && esmtp_is_in_body(mc)) {
		if ((room = esmtp_text_room(st)) == 0)
			return esmtp_wait_for(st, WAIT_ROOM);
		if (n > room)
			n = room;
		for (at = 0; at < n;)
			at += esmtp_text(st, st->in + at, n - at);
	}
	st->in += n;
	st->in_len -= n;
	mc->chunk -= n;
	if (mc->chunk == 0)
		return chunk_end(st);
	return st->in_len == 0 ? W_READ : W_GO;
}
