/* What the functions of verbs may do: see esmtp_factory.h.
 * Owns: the checks of what they ask for.
 * Knows nothing of what becomes of it: proto/command/esmtp_own.c. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/factory/esmtp_embed.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_txn.h"

_Static_assert(ESMTP_VERB_LINE_MAX + 2 == LIM_COMMAND_READ,
    "the longest line has to fit");
_Static_assert(ESMTP_QUESTION_MAX + sizeof("334 \r\n") - 1 == LIM_REPLY_LINE,
    "the longest question has to fit");

/* The step in which the session calls such a function; NULL with errno. */
static struct esmtp_step *
step_of(const message_construct *mc)
{
	if (mc != NULL && mc->step != NULL && mc->step->asking == ASK_VERB)
		return mc->step;
	errno = EINVAL;
	return NULL;
}

/* Has the command been answered, or will it be, as a login is? */
static bool
is_answered(const struct esmtp_step *st)
{
	const message_construct *mc = st->mc;

	return st->nreplies > 0 || mc->auth != NULL ||
	    (mc->reader != NULL && mc->reader->is_answered);
}

int
esmtp_extension_reply(message_construct *mc, int code, const char *enhanced,
    const char *text)
{
	struct esmtp_step *st = step_of(mc);
	char str[LIM_REPLY_LINE];
	size_t n = 0;

	if (text == NULL)
		text = "";
	/* a question is not cut: a part of a challenge is another challenge */
	if (st == NULL || is_answered(st) || !esmtp_own_may_reply(mc, code) ||
	    (code / 100 == 3 && strlen(text) > ESMTP_QUESTION_MAX)) {
		errno = EINVAL;
		return -1;
	}
	/* RFC 2034 4: a reply of 3xx has no enhanced status code */
	if (enhanced != NULL && *enhanced != '\0' && code / 100 != 3) {
		n = strnlen(enhanced, ESMTP_ENHANCED_MAX);
		memcpy(str, enhanced, n);
		str[n++] = ' ';
	}
	strncpy(str + n, text, sizeof(str) - n - 1);
	str[sizeof(str) - 1] = '\0';
	esmtp_reply_code(st, code, str);
	return 0;
}

static int
begin_reading(message_construct *mc, size_t line_max, uint64_t max,
    esmtp_read_func f, void *closure)
{
	struct esmtp_step *st = step_of(mc);

	if (st == NULL)
		return -1;
	if (max == 0 || !esmtp_own_may_read(mc)) {
		errno = EINVAL;
		return -1;
	}
	if (mc->reader != NULL) {
		errno = EBUSY;
		return -1;
	}
	if ((mc->reader = calloc(1, sizeof(*mc->reader))) == NULL)
		return -1;
	*mc->reader = (struct esmtp_reader){ .func = f, .closure = closure,
		.name = st->verb, .line_max = line_max, .left = max,
		.since = moment_of(&st->now), .result = ESMTP_VERB_MORE };
	return 0;
}

int
esmtp_verb_read_lines(message_construct *mc, size_t line_max, uint64_t max,
    esmtp_read_func f, void *closure)
{
	if (line_max == 0 || line_max > ESMTP_VERB_LINE_MAX || f == NULL) {
		errno = EINVAL;
		return -1;
	}
	return begin_reading(mc, line_max, max, f, closure);
}

int
esmtp_verb_read_octets(message_construct *mc, uint64_t n, esmtp_read_func f,
    void *closure)
{
	return begin_reading(mc, 0, n, f, closure);
}

int
esmtp_verb_reset(message_construct *mc)
{
	if (step_of(mc) == NULL)
		return -1;
	esmtp_txn_reset(mc);
	return 0;
}

/* The octets of ${login}; -1: it cannot be a login. */
static ssize_t
login_octets(enum esmtp_auth_status status, const char *login)
{
	size_t n = login != NULL ? strlen(login) : 0;

	if (status <= ESMTP_AUTH_CHALLENGE || status > ESMTP_AUTH_MALFORMED ||
	    n > LIM_AUTH_OCTETS)
		return -1;
	return status == ESMTP_AUTH_OK && !esmtp_auth_is_login(login, n) ?
	    -1 : (ssize_t)n;
}

int
esmtp_verb_login(message_construct *mc, enum esmtp_auth_status status,
    const char *login)
{
	struct esmtp_step *st = step_of(mc);
	ssize_t n = login_octets(status, login);

	if (st == NULL)
		return -1;
	switch (esmtp_own_may_log_in(mc)) {
	case RPL_OK:
		break;
	case RPL_AUTH_AGAIN:
		errno = EALREADY;
		return -1;
	case RPL_BAD_SEQUENCE:
		errno = EBUSY;
		return -1;
	default:
		n = -1;
		break;
	}
	if (n == -1 || is_answered(st)) {
		errno = EINVAL;
		return -1;
	}
	return esmtp_auth_claim(mc, st->verb, status, login, (size_t)n);
}
