/* AUTH for embedders; see mailmill_sasl.h.
 * Owns: the exchanges of sessions, the questions that are not answered yet.
 * Knows nothing of mechanisms: proto/sasl/ does them.
 *
 * An answer may come in any thread, and the exchange goes on in that of its
 * session: an event of its own, on the session's scheduler, is dispatched
 * there.  Where the loop is the program's, answers come in its thread. */

#include "tls/library/mailmill_sasl.h"

#include <sys/queue.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"
#include "core/util/require.h"
#include "core/util/wipe.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/sasl/auth_mech.h"
#include "tls/tlsctx.h"
#include "tls/tlsio.h"

/* One exchange; of a session at most one. */
struct exchange {
	TAILQ_ENTRY(exchange)	 link;		/* while it waits for an answer */
	struct auth_back	 back;		/* asks the program */
	struct mailmill_sasl	*sasl;
	accept_construct	*ac;
	struct auth_exchange	*auth;
	struct passwdfile_scram	*keys;		/* where those are wanted */
	const char		*login;		/* whose keys */
	Event			*wake;		/* while it waits on a scheduler */
	/* by the lock of sasl */
	uint64_t		 question;	/* that is open; 0: none */
	bool			 is_inside;	/* the program's function runs */
	bool			 is_answered;
	enum mailmill_sasl_verdict answer;
	char			 answer_keys[MAILMILL_SASL_KEYS_MAX];
};

/* What the keys of users that do not exist are made of. */
struct like {
	unsigned int	 iterations;	/* 0: not set */
	size_t		 salt_len;
};
struct unknown {
	uint8_t		 random[32], secret[32];
	struct like	 set, seen;	/* by the program; of a user */
};

struct mailmill_sasl {
	mailmill_sasl_password	 password;
	mailmill_sasl_keys	 keys;
	void			*closure;
	struct esmtp_auth_can	 can;
	pthread_mutex_t		 lock;		/* of what follows */
	TAILQ_HEAD(, exchange)	 waiting;
	uint64_t		 nquestions;
	unsigned int		 ninside;	/* its functions run for so many */
	unsigned int		 nexchanges;	/* that are not over */
	struct unknown		 unknown;
};

/* --- keys ----------------------------------------------------------------- */

static int
derive(const struct unknown *u, const char *what, const char *login,
    uint8_t out_r[32])
{
	uint8_t key[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	int rc;

	rc = HMAC(EVP_sha256(), u->secret, sizeof(u->secret),
	    (const unsigned char *)what, strlen(what), key, &len) != NULL &&
	    HMAC(EVP_sha256(), key, (int)len, (const unsigned char *)login,
	    strlen(login), out_r, NULL) != NULL ? 0 : -1;
	explicit_bzero(key, sizeof(key));
	return rc;
}

/* Keys for a user that does not exist, the same for each attempt (RFC 5802 9).
 * So the exchange goes on, and looks like that of a user with another
 * password. */
static enum auth_verdict
invent(const struct exchange *x)
{
	struct passwdfile_scram *k = x->keys;
	enum auth_verdict v = AUTH_UNSURE;
	struct unknown u;

	pthread_mutex_lock(&x->sasl->lock);
	u = x->sasl->unknown;
	pthread_mutex_unlock(&x->sasl->lock);
	k->iterations = u.set.iterations != 0 ? u.set.iterations :
	    u.seen.iterations;
	k->salt_len = u.set.salt_len != 0 ? u.set.salt_len : u.seen.salt_len;
	k->key_len = sizeof(k->stored_key);
	if (derive(&u, "salt", x->login, k->salt) == 0 &&
	    derive(&u, "more", x->login, k->salt + 32) == 0 &&
	    derive(&u, "stored", x->login, k->stored_key) == 0 &&
	    derive(&u, "server", x->login, k->server_key) == 0)
		v = AUTH_NO;
	explicit_bzero(&u, sizeof(u));
	return v;
}

/* ${k} are keys of a user: those of others are made like them. */
static void
imitate(struct mailmill_sasl *sasl, const struct passwdfile_scram *k)
{
	pthread_mutex_lock(&sasl->lock);
	sasl->unknown.seen = (struct like){ k->iterations, k->salt_len };
	pthread_mutex_unlock(&sasl->lock);
}

/* What the program's ${verdict} is for the mechanism; ${keys} as it has them. */
static enum auth_verdict
verdict_of(struct exchange *x, enum mailmill_sasl_verdict verdict,
    const char *keys)
{
	if (verdict != MAILMILL_SASL_NO && verdict != MAILMILL_SASL_YES)
		return AUTH_UNSURE;
	if (x->keys == NULL)
		return verdict == MAILMILL_SASL_YES ? AUTH_YES : AUTH_NO;
	if (verdict == MAILMILL_SASL_NO)
		return invent(x);
	if (keys == NULL || passwdfile_scram_parse(PASSWDFILE_SHA256, keys,
	    x->keys) != NULL)
		return AUTH_UNSURE;
	imitate(x->sasl, x->keys);
	return AUTH_YES;
}

/* --- questions ------------------------------------------------------------ */

static int on_wake(Event *e, int eventtype, void *closure,
    struct timeval *now);

static uint64_t
question_open(struct exchange *x)
{
	uint64_t question;

	pthread_mutex_lock(&x->sasl->lock);
	x->sasl->ninside++;
	x->is_inside = true;
	x->is_answered = false;
	question = x->question = ++x->sasl->nquestions;
	TAILQ_INSERT_TAIL(&x->sasl->waiting, x, link);
	pthread_mutex_unlock(&x->sasl->lock);
	return question;
}

/* With the lock. */
static void
question_close(struct exchange *x)
{
	if (x->question == 0)
		return;
	TAILQ_REMOVE(&x->sasl->waiting, x, link);
	x->question = 0;
}

/* Have an event for an answer of another thread, if a scheduler can dispatch
 * it.  Return 0, or -1. */
static int
be_woken(struct exchange *x)
{
	if (x->ac->event->loop == NULL)
		return 0;
	x->wake = build_fd_event(-1, E_ASYNC, E_AGGRESSIVE_NONE, on_wake, x);
	if (x->wake != NULL && schedule_event(x->wake) == 0)
		return 0;
	event_free(x->wake);
	x->wake = NULL;
	return -1;
}

/* What the answer that has come is for the mechanism. */
static enum auth_verdict
question_answer(struct exchange *x)
{
	enum auth_verdict v = verdict_of(x, x->answer, x->answer_keys);

	explicit_bzero(x->answer_keys, sizeof(x->answer_keys));
	return v;
}

/* The program's function has returned. */
static enum auth_verdict
question_asked(struct exchange *x, enum mailmill_sasl_verdict verdict,
    const char *keys)
{
	bool is_waiting;

	pthread_mutex_lock(&x->sasl->lock);
	x->sasl->ninside--;
	x->is_inside = false;
	is_waiting = verdict == MAILMILL_SASL_LATER && !x->is_answered &&
	    be_woken(x) == 0;
	if (!is_waiting)
		question_close(x);
	pthread_mutex_unlock(&x->sasl->lock);
	if (is_waiting)
		return AUTH_PENDING;
	return verdict == MAILMILL_SASL_LATER && x->is_answered ?
	    question_answer(x) : verdict_of(x, verdict, keys);
}

static enum auth_verdict
ask_password(void *closure, const struct auth_client *, const char *login,
    const char *password)
{
	struct exchange *x = closure;
	struct mailmill_sasl *sasl = x->sasl;
	uint64_t question;

	if (sasl->password == NULL)
		return AUTH_UNSURE;
	x->keys = NULL;
	question = question_open(x);
	return question_asked(x, sasl->password(sasl->closure, x->ac, login,
	    password, question), NULL);
}

static enum auth_verdict
ask_keys(void *closure, const struct auth_client *, const char *login,
    enum passwdfile_scram_hash hash, struct passwdfile_scram *keys_r)
{
	struct exchange *x = closure;
	struct mailmill_sasl *sasl = x->sasl;
	char text[MAILMILL_SASL_KEYS_MAX] = "";
	enum auth_verdict v;
	uint64_t question;

	if (sasl->keys == NULL || hash != PASSWDFILE_SHA256)
		return AUTH_UNSURE;
	x->keys = keys_r;
	x->login = login;
	question = question_open(x);
	v = question_asked(x, sasl->keys(sasl->closure, x->ac, login, text,
	    sizeof(text), question), text);
	explicit_bzero(text, sizeof(text));
	return v;
}

static const struct auth_back_ops back_ops = { .password = ask_password,
	.scram = ask_keys };

/* --- exchanges ------------------------------------------------------------ */

static void
exchange_free(struct exchange *x)
{
	pthread_mutex_lock(&x->sasl->lock);
	question_close(x);
	x->sasl->nexchanges--;
	pthread_mutex_unlock(&x->sasl->lock);
	event_free(x->wake);
	x->ac->host_auth = NULL;
	auth_exchange_free(x->auth);
	wipe_free(x, sizeof(*x));
}

/* RFC 5802 6: was the client offered a mechanism with channel binding? */
static bool
has_plus(const struct mailmill_sasl *sasl, const accept_construct *ac)
{
	const struct esmtp_auth_scope scope = { .options = ac->options,
		.can = &sasl->can, .is_tls = ac->tls != NULL };
	const char *name;
	size_t i;

	for (i = 0; (name = esmtp_auth_mech_listed(&scope, i)) != NULL; i++)
		if (esmtp_auth_mech_is_plus(name, strlen(name)) &&
		    esmtp_auth_mech_may(&scope, name, strlen(name)) == RPL_OK)
			return true;
	return false;
}

static struct exchange *
exchange_new(struct mailmill_sasl *sasl, accept_construct *ac,
    const char *mech)
{
	uint8_t exporter[32], endpoint[64];
	struct auth_start start = { .mech = mech, .hostname = "",
		.client = { .peer = &ac->remote_addr.sa,
		.is_tls = ac->tls != NULL, .session = ac->id },
		.exporter = exporter, .endpoint = endpoint,
		.is_plus_offered = has_plus(sasl, ac) };
	struct exchange *x = calloc(1, sizeof(*x));
	SSL *ssl;

	if (x == NULL)
		return NULL;
	if (esmtp_auth_mech_is_plus(mech, strlen(mech)) &&
	    (ssl = tlsio_ssl(ac->event)) != NULL) {
		start.exporter_len = tls_exporter(ssl, exporter);
		start.endpoint_len = tls_server_end_point(ssl, endpoint);
	}
	x->back.ops = &back_ops;
	x->back.state = x;
	x->sasl = sasl;
	x->ac = ac;
	start.back = &x->back;
	if ((x->auth = auth_exchange_new(&start)) == NULL) {
		free(x);
		return NULL;
	}
	pthread_mutex_lock(&sasl->lock);
	sasl->nexchanges++;
	pthread_mutex_unlock(&sasl->lock);
	ac->host_auth = x;
	return x;
}

/* Tell the session what a step has come to; ${octets} are malloced. */
static void
tell(struct exchange *x, enum esmtp_auth_status status, char *octets,
    size_t len)
{
	const char *login = auth_exchange_login(x->auth);
	accept_construct *ac = x->ac;
	char name[AUTH_LOGIN_MAX + 1];

	if (status == AUTH_STEP_PENDING)
		return;
	if (status == ESMTP_AUTH_CHALLENGE) {
		esmtp_auth_done(ac, status, octets, len);
		free(octets);
		return;
	}
	if (status != ESMTP_AUTH_OK)
		ac->failure = esmtp_auth_why_text(
		    auth_exchange_why(x->auth));
	if (login != NULL)
		memcpy(name, login, strlen(login) + 1);
	exchange_free(x);
	esmtp_auth_done(ac, status, login != NULL ? name : NULL,
	    login != NULL ? strlen(name) : 0);
}

static void
step(struct exchange *x, const char *in, size_t len)
{
	char *octets;
	size_t n;
	enum esmtp_auth_status status = auth_exchange_step(x->auth, in, len, 0,
	    &octets, &n);

	tell(x, status, octets, n);
}

/* Go on with an exchange that has got its answer.  Return whether the session
 * has got one. */
static bool
resume(struct exchange *x)
{
	enum esmtp_auth_status status;
	char *octets;
	size_t n;

	status = auth_exchange_resume(x->auth, question_answer(x), &octets, &n);
	tell(x, status, octets, n);
	return status != AUTH_STEP_PENDING;
}

static int
on_wake(Event *, int, void *closure, struct timeval *)
{
	struct exchange *x = closure;
	Event *session = x->ac->event;

	x->wake = NULL;		/* it is freed behind this */
	if (resume(x))
		(void)schedule_event_and_dispatch(session, E_ASYNC);
	return 0;
}

/* With the lock.  The exchange that is to go on in this thread; NULL: another
 * one sees to it. */
static struct exchange *
take_answer(struct exchange *x, enum mailmill_sasl_verdict verdict,
    const char *keys)
{
	question_close(x);
	x->answer = verdict;
	/* what is cut is no good, and so are none */
	snprintf(x->answer_keys, sizeof(x->answer_keys), "%s",
	    keys != NULL ? keys : "");
	x->is_answered = true;
	if (x->is_inside)
		return NULL;
	if (x->wake == NULL)
		return x;
	(void)schedule_event_and_dispatch(x->wake, E_ASYNC);
	return NULL;
}

int
mailmill_sasl_answer(struct mailmill_sasl *sasl, uint64_t question,
    enum mailmill_sasl_verdict verdict, const char *keys)
{
	struct exchange *x;
	bool is_found;

	if (verdict != MAILMILL_SASL_NO && verdict != MAILMILL_SASL_YES &&
	    verdict != MAILMILL_SASL_UNSURE) {
		errno = EINVAL;
		return -1;
	}
	pthread_mutex_lock(&sasl->lock);
	TAILQ_FOREACH(x, &sasl->waiting, link)
		if (x->question == question)
			break;
	is_found = x != NULL;
	if (is_found)
		x = take_answer(x, verdict, keys);
	pthread_mutex_unlock(&sasl->lock);
	if (x != NULL)
		(void)resume(x);
	if (is_found)
		return 0;
	errno = ENOENT;
	return -1;
}

/* --- the host's functions ------------------------------------------------- */

static int
auth_start(void *closure, accept_construct *ac, const char *mech,
    const char *initial, size_t len)
{
	struct exchange *x = exchange_new(closure, ac, mech);

	if (x == NULL) {
		ac->failure = "out of memory";
		return -1;
	}
	step(x, initial, len);
	return 0;
}

static int
auth_step(void *, accept_construct *ac, const char *response, size_t len)
{
	step(ac->host_auth, response, len);
	return 0;
}

static void
auth_cancel(void *, accept_construct *ac)
{
	if (ac->host_auth != NULL)
		exchange_free(ac->host_auth);
}

static const struct esmtp_auth_can *
auth_can(void *closure, accept_construct *)
{
	const struct mailmill_sasl *sasl = closure;

	return &sasl->can;
}

struct mailmill_sasl *
mailmill_sasl_new(mailmill_sasl_password password, mailmill_sasl_keys keys,
    void *closure)
{
	struct mailmill_sasl *sasl;

	if (password == NULL && keys == NULL) {
		errno = EINVAL;
		return NULL;
	}
	if ((sasl = calloc(1, sizeof(*sasl))) == NULL)
		return NULL;
	if (RAND_bytes(sasl->unknown.random, sizeof(sasl->unknown.random)) != 1)
	{
		free(sasl);
		errno = ENOMEM;
		return NULL;
	}
	sasl->password = password;
	sasl->keys = keys;
	sasl->closure = closure;
	memcpy(sasl->unknown.secret, sasl->unknown.random,
	    sizeof(sasl->unknown.secret));
	sasl->unknown.seen = (struct like){ PASSWDFILE_ITERATIONS,
	    PASSWDFILE_SALT };
	TAILQ_INIT(&sasl->waiting);
	(void)pthread_mutex_init(&sasl->lock, NULL);
	/* as in mailmilld, -PLUS is done where Auth_Mechanisms names it: clients
	 * that get the binding wrong try no other mechanism */
	if (password != NULL)
		sasl->can.usual |= ESMTP_CAN_PASSWORD;
	if (keys != NULL)
		sasl->can.usual |= ESMTP_CAN_KEYS;
	sasl->can.all = sasl->can.usual | ESMTP_CAN_KNOWN_ONLY;
	if (keys != NULL)
		sasl->can.all |= ESMTP_CAN_BIND;
	return sasl;
}

void
mailmill_sasl_free(struct mailmill_sasl *sasl)
{
	unsigned int ninside, nexchanges;

	if (sasl == NULL)
		return;
	pthread_mutex_lock(&sasl->lock);
	ninside = sasl->ninside;
	nexchanges = sasl->nexchanges;
	pthread_mutex_unlock(&sasl->lock);
	REQUIRE_OUTSIDE("mailmill_sasl_free", ninside > 0,
	    "a function that it asks", "after the last session");
	REQUIRE("mailmill_sasl_free", nexchanges == 0,
	    "not while a client logs in: after the last session");
	(void)pthread_mutex_destroy(&sasl->lock);
	wipe_free(sasl, sizeof(*sasl));
}

int
mailmill_sasl_set_unknown(struct mailmill_sasl *sasl, const void *secret,
    size_t len, unsigned int iterations, size_t salt_len)
{
	static const unsigned char purpose[] = "SCRAM keys of unknown users";
	struct unknown *u = &sasl->unknown;
	uint8_t own[32] = { 0 };

	if ((len < MAILMILL_SASL_SECRET_MIN && len > 0) ||
	    (secret == NULL && len > 0) || len > INT_MAX ||
	    (iterations != 0 && (iterations < PASSWDFILE_ITER_MIN ||
	    iterations > PASSWDFILE_ITER_MAX)) ||
	    salt_len > sizeof(((struct passwdfile_scram *)NULL)->salt)) {
		errno = EINVAL;
		return -1;
	}
	/* a secret that has other uses is not used as it is */
	if (len > 0 && HMAC(EVP_sha256(), secret, (int)len, purpose,
	    sizeof(purpose) - 1, own, NULL) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	pthread_mutex_lock(&sasl->lock);
	memcpy(u->secret, len > 0 ? own : u->random, sizeof(u->secret));
	u->set = (struct like){ iterations, salt_len };
	pthread_mutex_unlock(&sasl->lock);
	explicit_bzero(own, sizeof(own));
	return 0;
}

int
mailmill_sasl_host(struct mailmill_sasl *sasl, struct esmtp_host_ops *ops)
{
	/* the last of what is set: ${ops} may be of a program with older
	 * headers, or have no size */
	if (ops->size < offsetof(struct esmtp_host_ops, auth_closure) +
	    sizeof(ops->auth_closure)) {
		errno = EINVAL;
		return -1;
	}
	ops->auth_start = auth_start;
	ops->auth_step = auth_step;
	ops->auth_cancel = auth_cancel;
	ops->auth_can = auth_can;
	ops->auth_closure = sasl;
	return 0;
}
