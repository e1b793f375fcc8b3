/* Answers that come later, from any thread: see esmtp_factory.h.
 * Owns: which answers fit which question.
 * Knows nothing of what they lead to: proto/server/esmtp_ask.c. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/factory/esmtp_embed.h"
#include "proto/server/esmtp_output.h"

esmtp_ticket
esmtp_ticket_new(accept_construct *ac)
{
	message_construct *mc = accept_construct_get_message_construct(ac);
	struct esmtp_step *st = mc != NULL ? mc->step : NULL;
	char address[LIM_PATH + 2];
	const char *about = NULL;
	struct answers *answers;

	if (st == NULL || st->asking == ASK_NONE) {
		errno = EINVAL;
		return 0;
	}
	answers = &ac->host->answers;
	if (st->asking == ASK_RCPT) {
		if (mailaddr_format(st->ask_addr, address, sizeof(address)) ==
		    -1)
			return 0;
		about = address;
	}
	if (answers_state(answers, ac->questions, (int)st->asking, about) !=
	    ANSWERS_NONE) {
		errno = EINVAL;
		return 0;
	}
	return answers_open(answers, ac, &ac->questions, (int)st->asking,
	    about);
}

/* Any thread. */
static bool
is_fit(int kind, const struct answer *a)
{
	bool is_reply = a->code != 0;

	if (a->is_list)
		return kind == ASK_COMMIT;
	if (a->is_auth)
		return (kind == ASK_AUTH && a->value >= 0 &&
		    a->value <= ESMTP_AUTH_MALFORMED) || (kind == ASK_VERB &&
		    a->value > ESMTP_AUTH_CHALLENGE &&
		    a->value <= ESMTP_AUTH_MALFORMED);
	switch (kind) {
	case ASK_RCPT:
		return !is_reply && a->octets == NULL && a->value >= 0 &&
		    a->value <= ESMTP_RCPT_RELAY &&
		    a->value != ESMTP_RCPT_ASKED;
	case ASK_COMMIT:
		return is_reply || (a->octets == NULL && a->value >= 0);
	case ASK_PEER:
		return !is_reply && a->octets == NULL;
	case ASK_VERB:
		return is_reply || (a->value >= ESMTP_VERB_SYNTAX &&
		    a->value <= ESMTP_VERB_BUILTIN);
	default:
		return false;
	}
}

static int
give(struct esmtp_host *host, esmtp_ticket ticket, struct answer *a)
{
	int is_first = answers_give(&host->answers, ticket, is_fit, a);

	if (is_first == 1 && host->ops->wake != NULL)
		host->ops->wake(host->closure);
	return is_first == -1 ? -1 : 0;
}

int
esmtp_answer(struct esmtp_host *host, esmtp_ticket ticket, int value)
{
	struct answer a = { .value = value };

	return give(host, ticket, &a);
}

/* "x.y.z text", or text; NULL with errno (EINVAL, ENOMEM). */
static char *
reply_text(int code, const char *enhanced, const char *text)
{
	bool has_enhanced = enhanced != NULL && *enhanced != '\0';
	char buf[LIM_REPLY_LINE], is[ESMTP_ENHANCED_MAX];
	const char *rest;
	char *copy;

	if (text == NULL)
		text = "";
	if (strpbrk(text, "\r\n") != NULL)
		goto invalid;
	snprintf(buf, sizeof(buf), "%s%s%s", has_enhanced ? enhanced : "",
	    has_enhanced ? " " : "", text);
	if (has_enhanced) {
		esmtp_reply_split(buf, code, &rest, is);
		if (strcmp(is, enhanced) != 0 || rest == buf)
			goto invalid;
	}
	if ((copy = strdup(buf)) == NULL)
		errno = ENOMEM;
	return copy;
invalid:
	errno = EINVAL;
	return NULL;
}

int
esmtp_answer_reply(struct esmtp_host *host, esmtp_ticket ticket, int code,
    const char *enhanced, const char *text)
{
	struct answer a = { .code = code };

	if (code < 200 || code > 599 || code / 100 == 3) {
		errno = EINVAL;
		return -1;
	}
	if ((a.octets = reply_text(code, enhanced, text)) == NULL)
		return -1;
	a.len = strlen(a.octets);
	return give(host, ticket, &a);
}

/* "CODE TEXT" in ${line}; 0, or -1 with errno EINVAL. */
static int
rcpt_line(int code, const char *text, char line[LIM_REPLY_LINE])
{
	if (text == NULL)
		text = "";
	/* 421 would be of the session */
	if ((code != 0 && (code < 200 || code > 599 || code / 100 == 3)) ||
	    code == 421 || strpbrk(text, "\r\n") != NULL) {
		errno = EINVAL;
		return -1;
	}
	snprintf(line, LIM_REPLY_LINE, "%03d %s", code, text);
	return 0;
}

int
esmtp_answer_rcpts(struct esmtp_host *host, esmtp_ticket ticket,
    const int *codes, const char *const *texts, size_t n)
{
	struct answer a = { .is_list = true };
	char line[LIM_REPLY_LINE];
	size_t i, len;
	FILE *f;
	int error = 0;

	if (n == 0 || codes == NULL) {
		errno = EINVAL;
		return -1;
	}
	if ((f = open_memstream(&a.octets, &len)) == NULL)
		return -1;
	for (i = 0; i < n && error == 0; i++) {
		if (rcpt_line(codes[i], texts != NULL ? texts[i] : NULL,
		    line) == -1)
			error = errno;
		else if (fprintf(f, "%s%s", i > 0 ? "\n" : "", line) < 0)
			error = ENOMEM;
	}
	if (fclose(f) == EOF && error == 0)
		error = ENOMEM;
	if (error != 0) {
		free(a.octets);
		errno = error;
		return -1;
	}
	a.len = len;
	return give(host, ticket, &a);
}

int
esmtp_answer_auth(struct esmtp_host *host, esmtp_ticket ticket,
    enum esmtp_auth_status status, const char *octets, size_t len)
{
	struct answer a = { .value = (int)status, .is_auth = true };

	if (octets != NULL) {
		if (len > LIM_AUTH_OCTETS) {
			errno = EINVAL;
			return -1;
		}
		if ((a.octets = malloc(len + 1)) == NULL)
			return -1;
		memcpy(a.octets, octets, len);
		a.octets[len] = '\0';
		a.len = len;
	}
	return give(host, ticket, &a);
}

accept_construct *
esmtp_answered(struct esmtp_host *host)
{
	return answers_next(&host->answers);
}
