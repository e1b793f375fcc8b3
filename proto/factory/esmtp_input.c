/* Input: from the wire to command lines and message bytes.
 * Owns: what a line is, the over-long line, the rest that is kept.
 * Knows nothing of what commands mean. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/command/esmtp_command.h"
#include "proto/command/esmtp_own.h"
#include "proto/factory/esmtp_factory_int.h"
#include "proto/message/esmtp_message.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_tls.h"
#include "proto/server/esmtp_txn.h"
#include "proto/server/esmtp_wait.h"

#define READS_MAX	8	/* full buffers read in one step, to be fair to other sessions */

/* The input that was kept comes first. */
void
esmtp_load_input(struct esmtp_step *st)
{
	message_construct *mc = st->mc;

	st->in = st->scratch;
	st->in_len = st->in_seen = st->scratch_used = 0;
	if (mc->in == NULL)
		return;
	st->in_len = st->scratch_used = mc->in->len;
	st->in_seen = mc->in->at;
	memcpy(st->in, mc->in->octets, mc->in->len);
}

/* Forget what was kept: passwords pass through here, so nothing of it stays
 * in freed memory. */
void
esmtp_drop_input(message_construct *mc)
{
	if (mc->in != NULL)
		explicit_bzero(mc->in->octets, mc->in->size);
	free(mc->in);
	mc->in = NULL;
}

/* Keep what is left.  Return 0 or -1 (ENOMEM). */
int
esmtp_save_input(struct esmtp_step *st)
{
	message_construct *mc = st->mc;

	if (st->in_len == 0 || (mc->in != NULL && mc->in->size < st->in_len))
		esmtp_drop_input(mc);
	if (st->in_len == 0)
		return 0;
	if (mc->in == NULL) {
		if ((mc->in = malloc(sizeof(*mc->in) + st->in_len)) == NULL)
			return -1;
		mc->in->size = (uint32_t)st->in_len;
	}
	memcpy(mc->in->octets, st->in, st->in_len);
	mc->in->len = (uint32_t)st->in_len;
	mc->in->at = (uint32_t)st->in_seen;
	return 0;
}

/* How much may be read now; 0: the spool has no room. */
static size_t
read_size(struct esmtp_step *st)
{
	const message_construct *mc = st->mc;
	size_t max, room;

	if (esmtp_is_reading(mc))
		return esmtp_read_size(st);
	if (!esmtp_is_in_data(mc))
		return LIM_COMMAND_READ - st->in_len;
	max = st->scratch_size - st->in_len;
	/* behind the chunk are commands */
	if (mc->is_in_chunk && max > LIM_COMMAND_READ &&
	    mc->chunk < max - LIM_COMMAND_READ)
		max = (size_t)mc->chunk + LIM_COMMAND_READ;
	room = esmtp_text_room(st);
	return room < max ? room : max;
}

enum esmtp_want
esmtp_fill(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	char *scratch = st->scratch;
	size_t max = read_size(st);
	int n, need = 0;

	if (max == 0)
		return esmtp_wait_for(st, WAIT_ROOM);
	if (st->in != scratch) {
		memmove(scratch, st->in, st->in_len);
		st->in = scratch;
	}
	n = event_read(st->event, scratch + st->in_len, (int)max, &need);
	if (n == 0)
		return esmtp_gone(st, 0);
	if (n < 0) {
		if (errno != EAGAIN)
			return esmtp_gone(st, errno);
		mc->need_read = (uint8_t)(need != 0 ? need : E_READ);
		st->may_read = false;
		return W_READ;
	}
	mc->need_read = E_READ;
	mc->idle_since = moment_of(&st->now);
	st->in_len += (size_t)n;
	if (st->scratch_used < st->in_len)
		st->scratch_used = st->in_len;
	/* a short read has emptied the socket: another would only fail */
	st->may_read = (size_t)n == max && ++st->nreads < READS_MAX;
	return W_GO;
}

/* The spool may have room again.  The client's time starts anew, since the
 * session did not read. */
enum esmtp_want
esmtp_room_resume(struct esmtp_step *st)
{
	esmtp_wait_for(st, WAIT_WRITE);
	st->mc->idle_since = moment_of(&st->now);
	st->may_read = true;
	return W_GO;
}

static void
use(struct esmtp_step *st, size_t n)
{
	st->in_seen = 0;
	st->in += n;
	st->in_len -= n;
}

/* Does a line end with this LF?  RFC 5321 2.3.8: a line ends with CRLF, and LF
 * alone MUST NOT be taken for its end.  The option that permits it is for old
 * devices.  If it is not set, the session ends: the client takes the LF for the
 * end of a line, but another server on the way may have taken it for text. */
static bool
is_line_end(const message_construct *mc, bool is_crlf)
{
	return is_crlf ||
	    mc->ac->options->lone_lf_in_commands == ESMTP_COMMAND_LF_FIX;
}

/* Drop the rest of a line that was refused already, up to its end. */
static enum esmtp_want
swallow(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	const char *p = st->in, *end = st->in + st->in_len, *lf;

	while ((lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		bool is_crlf = lf > st->in ? lf[-1] == '\r' : mc->was_cr;

		p = lf + 1;
		if (is_line_end(mc, is_crlf)) {
			mc->is_swallowing = 0;
			use(st, (size_t)(p - st->in));
			return W_GO;
		}
		if (p == end)
			break;
	}
	mc->was_cr = end[-1] == '\r';
	use(st, st->in_len);
	return W_READ;
}

/* Refuse a line at once, and drop the rest of it as it comes: so a line gets
 * one reply, however it arrives. */
static enum esmtp_want
refuse_line(struct esmtp_step *st, enum esmtp_reply_id id, size_t n)
{
	if (esmtp_auth_is_reading(st->mc)) {
		esmtp_answering_last(st);
		esmtp_auth_break(st, id);
	} else {
		esmtp_answering(st, "", st->in, st->is_secret ? 0 : n);
		esmtp_reply(st, st->mc->is_body_refused ? RPL_BODY_REFUSED :
		    id);
		st->has_more = true;
		esmtp_input_refused(st, esmtp_verb_input_meant(st->in, n));
	}
	st->mc->is_swallowing = 1;
	st->mc->was_cr = st->in[n - 1] == '\r';
	use(st, n);
	return W_GO;
}

/* RFC 4954 4: the lines of AUTH may be longer than others. */
static size_t
line_max(const struct esmtp_step *st)
{
	const struct esmtp_verb *v;

	/* the command is run again: its length was checked before */
	if (st->mc->own != OWN_NONE)
		return LIM_AUTH_LINE;
	if (!st->is_secret)
		return LIM_COMMAND_LINE;
	if (esmtp_auth_is_reading(st->mc))
		return LIM_AUTH_LINE;
	v = esmtp_verb_secret(st->in, st->in_len);
	return v != NULL && st->in_len > v->name_len &&
	    st->in[v->name_len] == ' ' &&
	    esmtp_ext_is_offered(st->mc, v->extension) ? LIM_AUTH_LINE :
	    LIM_COMMAND_LINE;
}

/* A line of an AUTH exchange.  It is refused if it begins as a verb that data
 * follow and cannot be a response: it has a space, which base64 has not, or
 * input behind it, although a client waits for the reply to its response. */
static void
auth_line(struct esmtp_step *st, size_t len, bool has_more)
{
	unsigned int meant = esmtp_verb_input_meant(st->in, len);

	st->has_more = has_more;
	if (meant == 0 || (!has_more && memchr(st->in, ' ', len) == NULL)) {
		esmtp_auth_line(st, st->in, len);
		return;
	}
	esmtp_answering_last(st);
	esmtp_auth_break(st, RPL_AUTH_BASE64);
	esmtp_input_refused(st, meant);
}

static enum esmtp_want
next_line(struct esmtp_step *st)
{
	enum esmtp_want w = W_GO;
	const char *lf;
	size_t n, len, max, seen;

	if (st->in_len == 0)
		return W_READ;
	if (st->mc->is_swallowing)
		return swallow(st);
	st->is_secret = esmtp_auth_is_secret(st->mc, st->in, st->in_len);
	st->was_secret |= st->is_secret;
	max = line_max(st);
	n = st->in_len < max ? st->in_len : max;
	/* the rest of a line that has come in pieces */
	seen = st->in_seen < n ? st->in_seen : n;
	lf = memchr(st->in + seen, '\n', n - seen);
	if (lf == NULL && !esmtp_auth_is_reading(st->mc) &&
	    esmtp_is_foreign(st->in, n, false))
		return refuse_line(st, RPL_FOREIGN, n);
	if (lf == NULL) {
		st->in_seen = n;
		if (n < max)
			return W_READ;
		return refuse_line(st, RPL_LINE_LONG, n);
	}
	n = len = (size_t)(lf - st->in);
	n++;
	if (len > 0 && lf[-1] == '\r')
		len--;
	if (!is_line_end(st->mc, len + 2 == n))
		return refuse_line(st, RPL_BARE_LF, n);
	if (esmtp_auth_is_reading(st->mc))
		auth_line(st, len, st->in_len > n);
	else
		w = esmtp_command(st, st->in, len, st->in_len > n);
	if (w != W_GO)
		return w;	/* the command is repeated from here */
	esmtp_wait_over(st->mc);
	st->mc->is_announced = 0;
	st->mc->own = OWN_NONE;
	use(st, n);
	/* the session was sent back to its set-up */
	if (st->mc->state == ES_SETUP && !st->mc->is_closing)
		return esmtp_wait_rows[st->mc->wait].resume(st);
	return esmtp_auth_go_on(st);
}

/* Process input until it is used up, or something must be waited for. */
enum esmtp_want
esmtp_consume(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	enum esmtp_want w;

	while (!mc->is_closing) {
		if (esmtp_is_waiting(mc))
			return W_WAIT;
		if (st->out_size - st->out_len < ESMTP_REPLY_MAX &&
		    (w = esmtp_flush(st)) != W_GO)
			return w;
		if (mc->tls_stage != TLS_IDLE) {
			if ((w = esmtp_tls_step(st)) != W_GO)
				return w;
			continue;
		}
		if (esmtp_is_answering(mc)) {
			if (!esmtp_lmtp_next(st))
				esmtp_txn_reset(mc);
			continue;
		}
		w = esmtp_is_reading(mc) ? esmtp_read(st) :
		    mc->is_in_chunk ? esmtp_chunk(st) :
		    esmtp_is_in_body(mc) ? esmtp_body(st) : next_line(st);
		if (w != W_GO)
			return w;
	}
	return W_CLOSE;
}
