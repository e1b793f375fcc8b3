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

/* One question.  It belongs to the program until that has answered, and then to
 * the session, which frees it when it has taken the answer.  If a commit waits
 * for the answer, that is at once. */
struct mailmill_mail {
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
mail_free(struct mailmill_mail *m)
{
	struct server_client *c = m->client;
	size_t octets = m->octets;

	server_rcpts_unref(m->rcpts);
	server_octets_free(&m->body);
	free(m->text);
	free(m);
	server_client_give(c, octets);
}

/* --- asking --------------------------------------------------------------- */

/* A question about ${address}.  NULL with errno. */
static struct mailmill_mail *
mail_new(struct server_session *s, const char *address, const char *sender)
{
	size_t len = strlen(address) + 1, sender_len = strlen(sender) + 1;
	struct mailmill_mail *m;
	size_t octets;

	octets = sizeof(*m) + len + sender_len;
	if (server_rcpts_follow(s) == -1 ||
	    server_client_take(s->client, octets, s->server->share) == -1)
		return NULL;
	if ((m = calloc(1, octets)) == NULL) {
		server_client_give(s->client, octets);
		errno = ENOMEM;
		return NULL;
	}
	m->session = s;
	m->client = s->client;
	m->octets = octets;
	m->rcpts = server_rcpts_ref(s->rcpts);
	memcpy(m->address, address, len);
	m->sender = memcpy(m->address + len, sender, sender_len);
	return m;
}

/* Call the program's function.  Return whether the question is answered; if
 * not, another thread may answer and free it at any moment. */
static bool
is_answered_now(struct mailmill_mail *m, mailmill_server_ask f)
{
	bool is_answered;
	int code;

	m->is_inside = true;
	code = f(m->session->server->closure, m, m->address);
	pthread_mutex_lock(&lock);
	m->is_inside = false;
	if (code != MAILMILL_LATER) {
		m->code = code;
		m->is_answered = true;
	}
	is_answered = m->is_answered;
	pthread_mutex_unlock(&lock);
	return is_answered;
}

static bool
is_answered_later(struct mailmill_mail *m)
{
	bool is_answered;

	pthread_mutex_lock(&lock);
	is_answered = m->is_answered;
	pthread_mutex_unlock(&lock);
	return is_answered;
}

void
server_mail_leave(struct server_session *s)
{
	struct mailmill_mail *m;
	bool is_ours = false;

	pthread_mutex_lock(&lock);
	if ((m = s->mail) != NULL) {
		s->mail = NULL;
		m->session = NULL;
		is_ours = m->is_answered;
	}
	pthread_mutex_unlock(&lock);
	if (is_ours)
		mail_free(m);
}

/* --- messages ------------------------------------------------------------- */

/* Give the answer to the commit.  Return 0, or -1 (ENOENT): the session no
 * longer waits for it. */
static int
tell_commit(const struct mailmill_mail *m)
{
	struct esmtp_host *host = m->session->server->host;

	if (m->code >= 200 && m->code <= 299)
		return esmtp_answer(host, m->ticket, 0);
	if (m->code < 400 || m->code > 599)
		return esmtp_answer_reply(host, m->ticket, 451, "4.3.0",
		    NO_CODE);
	if (esmtp_answer_reply(host, m->ticket, m->code, NULL, m->text) == 0)
		return 0;
	return errno == ENOENT ? -1 :
	    /* there was no memory for the text */
	    esmtp_answer(host, m->ticket, ENOMEM);
}

int
server_mail_commit(struct server_session *s, struct server_octets *body,
    const struct spool_envelope *env)
{
	struct mailmill_mail *m;

	server_octets_trim(body);
	if ((m = mail_new(s, env->rcpts[0], env->sender)) == NULL)
		return -1;
	m->body = *body;
	memset(body, 0, sizeof(*body));
	m->ticket = env->ticket;
	s->mail = m;
	if (is_answered_now(m, s->server->on_message)) {
		s->mail = NULL;
		(void)tell_commit(m);
		mail_free(m);
	}
	return 0;
}

/* --- addresses ------------------------------------------------------------ */

/* The answer has come: end the phase with it. */
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
			validate_context_set_code(vctx, 451, "4.3.0 " NO_CODE);
		result = VALIDATE_DONE;
	}
	mail_free(m);
	return result;
}

static int
ask(struct server_session *s, mailmill_server_ask f,
    const struct mailaddr *addr, validate_context *vctx)
{
	const char *sender = esmtp_session_sender(s->ac);
	struct mailmill_mail *m = s->mail;
	char address[LIM_PATH + 2];

	if (m != NULL)
		return is_answered_later(m) ? heard(s, vctx) : VALIDATE_AGAIN;
	if (mailaddr_format(addr, address, sizeof(address)) == -1)
		return validate_refuse(vctx, RPL_RESOURCES);
	/* in MAILFROM the session has no sender yet: it is the address */
	m = mail_new(s, address, sender != NULL ? sender : address);
	if (m == NULL)
		return validate_refuse(vctx, errno == ENOSPC ? RPL_DISK :
		    RPL_NOMEM);
	s->mail = m;
	return is_answered_now(m, f) ? heard(s, vctx) : VALIDATE_AGAIN;
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

const char *
mailmill_mail_sender(const struct mailmill_mail *mail)
{
	return mail->sender;
}

const char *
mailmill_mail_rcpt(const struct mailmill_mail *mail, size_t i)
{
	return server_rcpts_get(mail->rcpts, i);
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
	char *p;

	free(m->text);
	/* without memory for it, the reply has our own text */
	m->text = text != NULL ? strdup(text) : NULL;
	/* a reply is one line */
	for (p = m->text; p != NULL && (p = strpbrk(p, "\r\n")) != NULL; )
		*p = '?';
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
	bool is_over;
	int result;

	pthread_mutex_lock(&lock);
	REQUIRE("mailmill_mail_answer", !mail->is_answered,
	    "a question is answered once");
	s = mail->session;
	set_answer(mail, code, text);
	mail->is_answered = true;
	is_over = s == NULL;
	result = is_over ? -1 : 0;
	if (s != NULL && !mail->is_inside) {
		if (mail->ticket != 0) {
			/* the session may ask its next question as soon as it
			 * is told */
			s->mail = NULL;
			result = tell_commit(mail);
			is_over = true;
		}
		(void)schedule_event_and_dispatch(s->ac->event, E_ASYNC);
	}
	pthread_mutex_unlock(&lock);
	if (is_over)
		mail_free(mail);
	if (result == -1)
		errno = ENOENT;
	return result;
}
