/* @look: what the server has said since it was asked last, and where the session
 * stands, as a table shows both.
 * Owns: the names of the states that a client can be in between two commands. */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proto/server/esmtp_verb.h"
#include "test/dialogues/play_int.h"

/* The code of a reply and its enhanced code: "250/2.1.0", or "354". */
static void
add_reply(char *said, size_t size, const char *line, size_t len)
{
	const char *class = line + 4;
	size_t n = 0;

	if (*said != '\0')
		strlcat(said, "+", size);
	if (len < 3 || !isdigit((unsigned char)line[0])) {
		strlcat(said, "octets", size);	/* an alert of TLS */
		return;
	}
	while (len > 4 + n && (isdigit((unsigned char)class[n]) ||
	    class[n] == '.'))
		n++;
	n = n > 4 && class[1] == '.' ? n : 0;
	snprintf(said + strlen(said), size - strlen(said), "%.3s%s%.*s", line,
	    n > 0 ? "/" : "", (int)n, class);
}

/* What was said, each reply by its last line. */
static void
take_replies(struct run *r, char *said, size_t size)
{
	const char *s = r->out, *end = r->out + r->nout, *nl;

	*said = '\0';
	for (; s < end; s = nl + 1) {
		nl = memchr(s, '\n', (size_t)(end - s));
		if (nl == NULL)
			nl = end - 1;
		if (nl - s < 4 || s[3] != '-')
			add_reply(said, size, s, (size_t)(nl - s));
	}
	if (*said == '\0')
		strlcpy(said, "none", size);
	r->nout = 0;
}

/* A name that says more than the number of the state does, or NULL. */
static const char *
name_of(const message_construct *mc)
{
	const struct esmtp_txn *t = mc->txn;

	if (mc->is_in_chunk)
		return t != NULL && mc->refusal == NULL ? "chunk" :
		    "refused-chunk";
	switch (mc->state) {
	case ES_EHLO:
		return "start";
	case ES_MAIL:
		return !mc->is_esmtp ? "helo" :
		    options_is_lmtp(mc->ac->options) ? "lhlo" : "ehlo";
	case ES_RCPT:
		return t->is_chunked ? "chunks" : t->rcpts.n > 0 ? "rcpt" :
		    "mail";
	case ES_BODY:
		return "data";
	case ES_ASYNC:
		return "commit";
	case ES_SETUP:
		return "setup";
	case ES_DENIED:
		return "denied";
	case ES_EXTENSION2:
		return "handshake";
	case ES_EXTENSION3:
		return mc->reader != NULL ? "lines" : "challenge";
	case ES_EXTENSION4:
		return "asking";
	default:
		return NULL;
	}
}

void
play_look(struct run *r)
{
	struct play_result *res = r->result;
	const message_construct *mc;
	const char *name;
	char *s = res->state;

	play_need_session(r);
	take_replies(r, res->said, sizeof(res->said));
	if (r->s->ac == NULL) {
		res->number = -1;
		strlcpy(s, "closed", sizeof(res->state));
		return;
	}
	mc = accept_construct_get_message_construct(r->s->ac);
	res->number = esmtp_session_state(r->s->ac);
	if (mc == NULL || (name = name_of(mc)) == NULL)
		name = esmtp_message_factory_state(res->number);
	snprintf(s, sizeof(res->state), "%s%s%s%s%s", name,
	    r->s->ac->tls != NULL ? "+tls" : "",
	    mc != NULL && mc->login != NULL ? "+login" : "",
	    mc != NULL && mc->is_body_refused ? "+refused" : "",
	    play_host->host.is_draining ? "+drain" : "");
	for (; *s != '\0'; s++)
		if (*s == ' ')
			*s = '-';
}
