/* What a verb of the program reads behind its command: lines, or so many
 * octets.
 * Owns: their bounds.
 * Knows nothing of what it reads: the verb's function gets that.
 *
 * Nothing of it is run as a command.  Octets are read to the last one, whatever
 * the function says.  A line that breaks a bound ends the session: only the
 * function knows which is the last. */

#include <string.h>

#include "core/lim.h"
#include "proto/command/esmtp_own.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_output.h"

/* How much may be read now.  Commands may follow the octets: of these, no more
 * is read than LIM_COMMAND_READ, as elsewhere. */
size_t
esmtp_read_size(const struct esmtp_step *st)
{
	const struct esmtp_reader *r = st->mc->reader;
	uint64_t max = r->line_max > 0 ? 0 : r->left;

	max = max < st->scratch_size ? max + LIM_COMMAND_READ : max;
	return (max < st->scratch_size ? max : st->scratch_size) - st->in_len;
}

static void
hand_over(struct esmtp_step *st, const char *octets, size_t len)
{
	struct esmtp_reader *r = st->mc->reader;

	esmtp_answering(st, r->name, "", 0);
	if (r->func == NULL || r->result != ESMTP_VERB_MORE)
		return;
	st->asking = ASK_VERB;
	r->result = r->func(st->mc, octets, len, r->closure);
	st->asking = ASK_NONE;
	if (esmtp_own_has_answered(st))
		r->is_answered = true;
	/* esmtp_verb_login() counts only in the call that ends the command */
	if (r->result != ESMTP_VERB_DONE)
		esmtp_auth_end(st->mc);
	if (r->result != ESMTP_VERB_LATER)
		answers_drop(&st->ac->host->answers, &st->ac->questions,
		    ASK_VERB);
}

static void
use(struct esmtp_step *st, size_t n)
{
	st->in_seen = 0;
	st->in += n;
	st->in_len -= n;
}

static enum esmtp_want
read_octets(struct esmtp_step *st)
{
	struct esmtp_reader *r = st->mc->reader;
	size_t n = st->in_len < r->left ? st->in_len : (size_t)r->left;
	const char *p = st->in;

	r->left -= n;
	use(st, n);
	hand_over(st, p, n);
	if (r->left > 0 || st->mc->is_dropped)
		return W_GO;
	return esmtp_own_returned(st, r->result == ESMTP_VERB_MORE ?
	    ESMTP_VERB_DONE : r->result);
}

/* The client has broken a bound. */
static enum esmtp_want
refuse(struct esmtp_step *st, enum esmtp_reply_id id)
{
	message_construct *mc = st->mc;
	bool is_answered = mc->reader->is_answered;

	esmtp_answering(st, mc->reader->name, "", 0);
	esmtp_own_stop(mc);
	esmtp_set_state(mc, ES_EXTENSION1);
	if (!is_answered)
		esmtp_reply(st, id);
	esmtp_own_lines_left(st);
	return W_GO;
}

/* RFC 5321 2.3.8: as for commands. */
static enum esmtp_want
read_line(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	struct esmtp_reader *r = mc->reader;
	size_t seen = st->in_seen < st->in_len ? st->in_seen : st->in_len;
	const char *line = st->in;
	const char *lf = memchr(line + seen, '\n', st->in_len - seen);
	size_t n, len;

	if (lf == NULL) {
		st->in_seen = st->in_len;
		return st->in_len < r->line_max + 2 ? W_READ :
		    refuse(st, RPL_LINE_LONG);
	}
	n = len = (size_t)(lf - line);
	if (len > 0 && line[len - 1] == '\r')
		len--;
	else if (mc->ac->options->lone_lf_in_commands !=
	    ESMTP_COMMAND_LF_FIX)
		return refuse(st, RPL_BARE_LF);
	if (len > r->line_max)
		return refuse(st, RPL_LINE_LONG);
	if (len + 2 > r->left)
		return refuse(st, RPL_TOO_BIG);
	r->left -= len + 2;
	use(st, n + 1);
	hand_over(st, line, len);
	if (r->result == ESMTP_VERB_MORE || mc->is_dropped)
		return W_GO;
	return esmtp_own_returned(st, r->result);
}

enum esmtp_want
esmtp_read(struct esmtp_step *st)
{
	if (st->in_len == 0)
		return W_READ;
	st->was_secret = true;	/* what it is, only the program knows */
	return st->mc->reader->line_max > 0 ? read_line(st) : read_octets(st);
}
