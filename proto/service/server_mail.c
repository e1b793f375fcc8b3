/* The questions of a mailmill_server; see mailmill_server.h.
 * Owns: the policy module that asks about addresses, the memory of a question.
 *
 * A module asks the program about senders and recipients, in a phase of the
 * session that is suspended until the answer comes.  The program is asked about
 * a message in the commit (server_spool.c): so no module and no hook can refuse
 * a message after the program has made it safe. */

#include "proto/service/server_int.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/require.h"
#include "proto/validate.h"

#define NO_CODE	"The program has answered with an invalid code"

/* One question.  The program has its name until it answers.  Then it belongs to
 * the session alone, which frees it when it has taken the answer.  If a commit
 * waits for the answer, that is at once. */
struct server_question {
	struct mailmill_mail	*name;		/* the program's */
	struct server_session	*session;	/* NULL: ended */
	struct server_client	*client;	/* whose memory it is ... */
	size_t			 octets;	/* ... and how much */
	struct server_rcpt	*rcpts;		/* those accepted so far */
	struct server_octets	 body;
	esmtp_ticket		 ticket;	/* of the commit; 0: a phase waits */
	bool			 is_inside;	/* its function runs */
	bool			 is_answered;
	int			 code;
	char			*text;
	const char		*sender;
	char			 address[];	/* the sender follows */
};

/* Protects all questions: an answer may come in another thread than the
 * session's. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- fork(2) -------------------------------------------------------------- */

static void
before_fork(void)
{
	pthread_mutex_lock(&lock);
	server_client_freeze();
}

static void
after_fork(void)
{
	server_client_thaw(false);
	pthread_mutex_unlock(&lock);
}

/* The servers that a child makes use the same locks, so they are released in
 * the child, too. */
static void
in_child(void)
{
	server_client_thaw(true);
	pthread_mutex_unlock(&lock);
}

/* Order of the locks: mailmill_mail_answer() holds this lock while it takes the
 * schedulers' lock.  fork(2) has to take them in the same order.  It calls
 * first the function that was registered last, so a scheduler, which registers
 * its own, must have been made before this. */
int
server_mail_watch_fork(void)
{
	static bool is_watching;
	int error = 0;

	pthread_mutex_lock(&lock);
	if (!is_watching)
		error = pthread_atfork(before_fork, after_fork, in_child);
	is_watching |= error == 0;
	pthread_mutex_unlock(&lock);
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

/* --- what a question holds ------------------------------------------------ */

static void
question_free(struct server_question *q)
{
	struct server_client *c = q->client;
	size_t octets = q->octets;

	server_rcpts_unref(q->rcpts);
	server_octets_free(&q->body);
	free(q->text);
	free(q);
	server_client_give(c, octets);
}

/* --- asking --------------------------------------------------------------- */

static struct mailmill_mail *
name_new(struct server_question *q)
{
	struct mailmill_mail *name;

	pthread_mutex_lock(&lock);
	name = server_name_new(q);
	pthread_mutex_unlock(&lock);
	return name;
}

/* A question about ${address}.  NULL with errno. */
static struct server_question *
question_new(struct server_session *s, const char *address, const char *sender)
{
	size_t len = strlen(address) + 1, sender_len = strlen(sender) + 1;
	struct server_question *q;
	size_t octets;

	octets = sizeof(*q) + SERVER_NAME + len + sender_len;
	if (server_rcpts_follow(s) == -1 ||
	    server_client_take(s->client, octets, s->server->share) == -1)
		return NULL;
	if ((q = calloc(1, octets - SERVER_NAME)) == NULL ||
	    (q->name = name_new(q)) == NULL) {
		free(q);
		server_client_give(s->client, octets);
		errno = ENOMEM;
		return NULL;
	}
	q->session = s;
	q->client = s->client;
	q->octets = octets;
	q->rcpts = server_rcpts_ref(s->rcpts);
	memcpy(q->address, address, len);
	q->sender = memcpy(q->address + len, sender, sender_len);
	return q;
}

/* Call the program's function.  Return whether the question is answered; if
 * not, another thread may answer and free it at any moment. */
static bool
is_answered_now(struct server_question *q, mailmill_server_ask f)
{
	bool is_answered;
	int code;

	q->is_inside = true;
	code = f(q->session->server->closure, q->name, q->address);
	pthread_mutex_lock(&lock);
	q->is_inside = false;
	if (code != MAILMILL_LATER) {
		q->code = code;
		q->is_answered = true;
	}
	is_answered = q->is_answered;
	if (is_answered)
		server_name_drop(q->name);
	pthread_mutex_unlock(&lock);
	return is_answered;
}

static bool
is_answered_later(struct server_question *q)
{
	bool is_answered;

	pthread_mutex_lock(&lock);
	is_answered = q->is_answered;
	pthread_mutex_unlock(&lock);
	return is_answered;
}

void
server_mail_leave(struct server_session *s)
{
	struct server_question *q;
	bool is_ours = false;

	pthread_mutex_lock(&lock);
	if ((q = s->question) != NULL) {
		s->question = NULL;
		q->session = NULL;
		is_ours = q->is_answered;
	}
	pthread_mutex_unlock(&lock);
	if (is_ours)
		question_free(q);
}

/* --- messages ------------------------------------------------------------- */

/* Give the answer to the commit.  Return 0, or -1 (ENOENT): the session no
 * longer waits for it. */
static int
tell_commit(const struct server_question *q)
{
	struct esmtp_host *host = q->session->server->host;

	if (q->code >= 200 && q->code <= 299)
		return esmtp_answer(host, q->ticket, 0);
	if (q->code < 400 || q->code > 599)
		return esmtp_answer_reply(host, q->ticket, 451, "4.3.0",
		    NO_CODE);
	if (esmtp_answer_reply(host, q->ticket, q->code, NULL, q->text) == 0)
		return 0;
	return errno == ENOENT ? -1 :
	    /* there was no memory for the text */
	    esmtp_answer(host, q->ticket, ENOMEM);
}

int
server_mail_commit(struct server_session *s, struct server_octets *body,
    const struct spool_envelope *env)
{
	struct server_question *q;

	server_octets_trim(body);
	if ((q = question_new(s, env->rcpts[0], env->sender)) == NULL)
		return -1;
	q->body = *body;
	memset(body, 0, sizeof(*body));
	q->ticket = env->ticket;
	s->question = q;
	if (is_answered_now(q, s->server->on_message)) {
		s->question = NULL;
		(void)tell_commit(q);
		question_free(q);
	}
	return 0;
}

/* --- addresses ------------------------------------------------------------ */

/* The answer has come: end the phase with it. */
static int
heard(struct server_session *s, validate_context *vctx)
{
	struct server_question *q = s->question;
	int result = VALIDATE_CONT;

	s->question = NULL;
	if (q->code < 200 || q->code > 299) {
		if (q->code >= 400 && q->code <= 599)
			validate_context_set_code(vctx, q->code, q->text);
		else
			validate_context_set_code(vctx, 451, "4.3.0 " NO_CODE);
		result = VALIDATE_DONE;
	}
	question_free(q);
	return result;
}

static int
ask(struct server_session *s, mailmill_server_ask f,
    const struct mailaddr *addr, validate_context *vctx)
{
	const char *sender = esmtp_session_sender(s->ac);
	struct server_question *q = s->question;
	char address[LIM_PATH + 2];

	if (q != NULL)
		return is_answered_later(q) ? heard(s, vctx) : VALIDATE_AGAIN;
	if (mailaddr_format(addr, address, sizeof(address)) == -1)
		return validate_refuse(vctx, RPL_RESOURCES);
	/* in MAILFROM the session has no sender yet: it is the address */
	q = question_new(s, address, sender != NULL ? sender : address);
	if (q == NULL)
		return validate_refuse(vctx, errno == ENOSPC ? RPL_DISK :
		    RPL_NOMEM);
	s->question = q;
	return is_answered_now(q, f) ? heard(s, vctx) : VALIDATE_AGAIN;
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

int
server_mail_register(void)
{
	static const struct validate_module policy = {
		.size = sizeof(struct validate_module), .name = "mailmill_server",
		.phase[VALIDATE_PHASE_MAILFROM] = mailfrom,
		.phase[VALIDATE_PHASE_RCPTTO] = rcptto
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

/* The question that ${function} was called for, until the program answers it. */
static struct server_question *
question_of(const struct mailmill_mail *name, const char *function)
{
	struct server_question *q;

	pthread_mutex_lock(&lock);
	q = server_name_find(name);
	pthread_mutex_unlock(&lock);
	REQUIRE(function, q != NULL, "a mail is there until it is answered");
	return q;
}

const char *
mailmill_mail_sender(const struct mailmill_mail *mail)
{
	return question_of(mail, "mailmill_mail_sender")->sender;
}

const char *
mailmill_mail_rcpt(const struct mailmill_mail *mail, size_t i)
{
	return server_rcpts_get(question_of(mail, "mailmill_mail_rcpt")->rcpts,
	    i);
}

const char *
mailmill_mail_body(const struct mailmill_mail *mail, size_t *len_r)
{
	const struct server_question *q =
	    question_of(mail, "mailmill_mail_body");

	*len_r = q->body.len;
	return q->body.v;
}

accept_construct *
mailmill_mail_session(const struct mailmill_mail *mail)
{
	const struct server_question *q =
	    question_of(mail, "mailmill_mail_session");

	return q->session != NULL ? q->session->ac : NULL;
}

static void
set_answer(struct server_question *q, int code, const char *text)
{
	char *p;

	free(q->text);
	/* without memory for it, the reply has our own text */
	q->text = text != NULL ? strdup(text) : NULL;
	/* a reply is one line */
	for (p = q->text; p != NULL && (p = strpbrk(p, "\r\n")) != NULL; )
		*p = '?';
	q->code = code;
}

int
mailmill_mail_reply(struct mailmill_mail *mail, int code, const char *text)
{
	set_answer(question_of(mail, "mailmill_mail_reply"), code, text);
	return code;
}

int
mailmill_mail_answer(struct mailmill_mail *mail, int code, const char *text)
{
	struct server_question *q;
	struct server_session *s;
	bool is_over;
	int result;

	pthread_mutex_lock(&lock);
	q = server_name_find(mail);
	REQUIRE("mailmill_mail_answer", q != NULL && !q->is_answered,
	    "a question is answered once");
	s = q->session;
	set_answer(q, code, text);
	q->is_answered = true;
	is_over = s == NULL;
	result = is_over ? -1 : 0;
	/* else its function returns later, and may have more to ask of it */
	if (!q->is_inside)
		server_name_drop(mail);
	if (s != NULL && !q->is_inside) {
		if (q->ticket != 0) {
			/* the session may ask its next question as soon as it
			 * is told */
			s->question = NULL;
			result = tell_commit(q);
			is_over = true;
		}
		(void)schedule_event_and_dispatch(s->ac->event, E_ASYNC);
	}
	pthread_mutex_unlock(&lock);
	if (is_over)
		question_free(q);
	if (result == -1)
		errno = ENOENT;
	return result;
}
