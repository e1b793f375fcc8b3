/* Answers that come later: a session waits for something that it has asked the
 * host, and the answer is in the table of questions (proto/answers/answers.h).
 * Owns: which answer ends which wait.
 * Knows nothing of how an answer gets there: proto/embed/embed_answer.c
 * does. */

#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_proxy.h"

/* Has the newest question of that kind been answered?  The session waits for
 * that one. */
static bool
is_given(accept_construct *ac, enum esmtp_ask what)
{
	return answers_state(&ac->host->answers, ac->questions, (int)what,
	    NULL) == ANSWERS_GIVEN;
}

void
esmtp_hear(message_construct *mc)
{
	accept_construct *ac = mc->ac;

	if (ac->questions == 0)
		return;
	switch (mc->wait) {
	case WAIT_AUTH:
		esmtp_auth_hear(mc);
		break;
	case WAIT_CLIENT:
	case WAIT_CLAIM:
		esmtp_proxy_hear(mc);
		break;
	case WAIT_RCPT:
		ac->is_async_done |= is_given(ac, ASK_RCPT);
		break;
	case WAIT_COMMIT:
		ac->is_async_done |= is_given(ac, ASK_COMMIT);
		break;
	case WAIT_VERB:
		ac->is_async_done |= is_given(ac, ASK_VERB);
		break;
	default:
		break;
	}
}
