/* The questions of a mailmill_server; see mailmill_server.h.
 * Owns: the policy that asks them, who frees a question.
 *
 * A question is asked by a module in a phase of the session, which is suspended
 * until the answer comes.  The program makes the message safe in the phase
 * DATA_SPOOL; the commit fails if it was not asked there, or has not said 2xx
 * (server_spool.c). */

#include "proto/service/server_int.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/require.h"
#include "proto/validate.h"

/* One question.  The program has it until it answers, then the session, until
 * it has heard the answer. */
struct mailmill_mail {
	struct server_session	*session;	/* NULL: ended */
	char			*address, *sender;
	char			**rcpts;	/* NULL behind the last */
	struct server_octets	 body;
	bool			 is_inside;	/* the function runs */
	bool			 is_answered;
	int			 code;
	char			*text;
};

/* Of all questions: between the thread that answers and that of the session. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
mail_free(struct mailmill_mail *m)
{
	size_t i;

	for (i = 0; m->rcpts != NULL && m->rcpts[i] != NULL; i++)
		free(m->rcpts[i]);
	free(m->rcpts);
	free(m->address);
	free(m->sender);
	free(m->text);
	server_octets_free(&m->body);
	free(m);
}

/* --- asking --------------------------------------------------------------- */

static char *
address_text(const struct mailaddr *addr)
{
	char text[LIM_PATH + 2];

	return mailaddr_format(addr, text, sizeof(text)) == -1 ? NULL :
	    strdup(text);
}

static int
copy_rcpts(struct mailmill_mail *m, validate_context *vctx)
{
	size_t n = validate_context_count(vctx, VALIDATE_COUNT_RCPTS), i;
	struct mailaddr addr;

	if ((m->rcpts = calloc(n + 1, sizeof(*m->rcpts))) == NULL)
		return -1;
	for (i = 0; i < n && validate_context_rcpt(vctx, i, &addr); i++)
		if ((m->rcpts[i] = address_text(&addr)) == NULL)
			return -1;
	return 0;
}

/* A question about ${addr}; NULL: about the message. */
static struct mailmill_mail *
mail_new(struct server_session *s, const struct mailaddr *addr,
    validate_context *vctx)
{
	struct mailmill_mail *m = calloc(1, sizeof(*m));
	struct mailaddr sender;

	if (m == NULL)
		return NULL;
	m->session = s;
	/* in the phase of the sender, it is that */
	if (copy_rcpts(m, vctx) == -1 ||
	    (m->sender = address_text(validate_context_sender(vctx, &sender) ?
	    &sender : addr)) == NULL ||
	    (addr != NULL ? (m->address = address_text(addr)) == NULL :
	    m->rcpts[0] != NULL &&
	    (m->address = strdup(m->rcpts[0])) == NULL)) {
		mail_free(m);
		return NULL;
	}
	if (addr == NULL)
		m->body = server_spool_take(s);
	return m;
}

/* The answer has come: the phase ends with it. */
static int
heard(struct server_session *s, validate_context *vctx)
{
	struct mailmill_mail *m = s->mail;
	int result = VALIDATE_CONT;

	s->mail = NULL;
	if (m->code < 200 || m->code > 299) {
		if (m->code >= 400 && m->code <= 599)
			validate_context_set_code(vctx, m->code, m->text);
		else
			validate_context_set_code(vctx, 451, "4.3.0 The "
			    "program has answered with a code that is none");
		result = VALIDATE_DONE;
	}
	mail_free(m);
	return result;
}

static int
ask(struct server_session *s, mailmill_server_ask f,
    const struct mailaddr *addr, validate_context *vctx)
{
	struct mailmill_mail *m = s->mail;
	bool is_answered;
	int code;

	if (m != NULL) {
		pthread_mutex_lock(&lock);
		is_answered = m->is_answered;
		pthread_mutex_unlock(&lock);
		return is_answered ? heard(s, vctx) : VALIDATE_AGAIN;
	}
	if ((m = mail_new(s, addr, vctx)) == NULL) {
		validate_context_set_code(vctx, 451, "4.3.0 Out of memory");
		return VALIDATE_DONE;
	}
	s->mail = m;
	m->is_inside = true;
	code = f(s->server->closure, m, m->address);
	pthread_mutex_lock(&lock);
	m->is_inside = false;
	if (code != MAILMILL_LATER) {
		m->code = code;
		m->is_answered = true;
	}
	is_answered = m->is_answered;
	pthread_mutex_unlock(&lock);
	return is_answered ? heard(s, vctx) : VALIDATE_AGAIN;
}

void
server_mail_leave(struct server_session *s)
{
	struct mailmill_mail *m = s->mail;
	bool is_ours;

	if (m == NULL)
		return;
	s->mail = NULL;
	pthread_mutex_lock(&lock);
	m->session = NULL;
	is_ours = m->is_answered;
	pthread_mutex_unlock(&lock);
	if (is_ours)
		mail_free(m);
}

/* --- the policy ----------------------------------------------------------- */

static int
mailfrom(const char *, const struct mailaddr *addr, accept_construct *ac,
    validate_context *vctx, void *)
{
	struct server_session *s = server_session_of(ac);

	return s == NULL || s->server->on_sender == NULL ? VALIDATE_CONT :
	    ask(s, s->server->on_sender, addr, vctx);
}

static int
rcptto(const char *, const struct mailaddr *addr, accept_construct *ac,
    validate_context *vctx, void *)
{
	struct server_session *s = server_session_of(ac);

	return s == NULL || s->server->on_rcpt == NULL ? VALIDATE_CONT :
	    ask(s, s->server->on_rcpt, addr, vctx);
}

static int
data_spool(const char *, const struct mailaddr *, accept_construct *ac,
    validate_context *vctx, void *)
{
	struct server_session *s = server_session_of(ac);
	int result;

	if (s == NULL)
		return VALIDATE_CONT;
	result = ask(s, s->server->on_message, NULL, vctx);
	s->is_safe = result == VALIDATE_CONT;
	return result;
}

int
server_mail_register(void)
{
	static const struct validate_module policy = {
		.size = sizeof(struct validate_module), .name = "mailmill_server",
		.phase[VALIDATE_PHASE_MAILFROM] = mailfrom,
		.phase[VALIDATE_PHASE_RCPTTO] = rcptto,
		.phase[VALIDATE_PHASE_DATA_SPOOL] = data_spool
	};
	static bool is_registered;
	int result = 0;

	pthread_mutex_lock(&lock);
	if (!is_registered)
		result = validate_module_register(&policy);
	is_registered = result == 0;
	pthread_mutex_unlock(&lock);
	return result;
}

/* --- the program's side --------------------------------------------------- */

const char *
mailmill_mail_sender(const struct mailmill_mail *mail)
{
	return mail->sender;
}

const char *
mailmill_mail_rcpt(const struct mailmill_mail *mail, size_t i)
{
	size_t n;

	for (n = 0; n < i && mail->rcpts[n] != NULL; n++)
		continue;
	return mail->rcpts[n];
}

const char *
mailmill_mail_body(const struct mailmill_mail *mail, size_t *len_r)
{
	*len_r = mail->body.len;
	return mail->body.v;
}

accept_construct *
mailmill_mail_session(const struct mailmill_mail *mail)
{
	return mail->session != NULL ? mail->session->ac : NULL;
}

static void
set_answer(struct mailmill_mail *m, int code, const char *text)
{
	free(m->text);
	/* without memory, words of our own */
	m->text = text != NULL ? strdup(text) : NULL;
	m->code = code;
}

int
mailmill_mail_reply(struct mailmill_mail *mail, int code, const char *text)
{
	set_answer(mail, code, text);
	return code;
}

int
mailmill_mail_answer(struct mailmill_mail *mail, int code, const char *text)
{
	struct server_session *s;

	pthread_mutex_lock(&lock);
	REQUIRE("mailmill_mail_answer", !mail->is_answered,
	    "a question is answered once");
	s = mail->session;
	set_answer(mail, code, text);
	mail->is_answered = true;
	if (s != NULL && !mail->is_inside)
		(void)schedule_event_and_dispatch(s->ac->event, E_ASYNC);
	pthread_mutex_unlock(&lock);
	if (s != NULL)
		return 0;
	mail_free(mail);
	errno = ENOENT;
	return -1;
}
