/* AUTH for embedders; see mailmill_sasl.h.
 * Owns: the exchanges of sessions, the questions that are not answered yet.
 * Knows nothing of mechanisms: proto/sasl/ does them. */

#include "tls/library/mailmill_sasl.h"

#include <sys/queue.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"
#include "proto/sasl/auth_mech.h"
#include "proto/server/esmtp_auth_mech.h"
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
	uint64_t		 question;	/* that is open; 0: none */
	bool			 is_inside;	/* the program's function runs */
	enum auth_verdict	 verdict;	/* that came inside it */
	bool			 is_answered;
};

struct mailmill_sasl {
	mailmill_sasl_password	 password;
	mailmill_sasl_keys	 keys;
	void			*closure;
	struct esmtp_auth_can	 can;
	TAILQ_HEAD(, exchange)	 waiting;
	uint64_t		 nquestions;
	/* for the keys of users that there are not */
	uint8_t			 secret[32];
	unsigned int		 iterations;
	size_t			 salt_len;
};

/* --- keys ----------------------------------------------------------------- */

static int
derive(const struct mailmill_sasl *sasl, const char *what, const char *login,
    uint8_t out_r[32])
{
	uint8_t key[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	return HMAC(EVP_sha256(), sasl->secret, sizeof(sasl->secret),
	    (const unsigned char *)what, strlen(what), key, &len) != NULL &&
	    HMAC(EVP_sha256(), key, (int)len, (const unsigned char *)login,
	    strlen(login), out_r, NULL) != NULL ? 0 : -1;
}

/* Keys for a user that there is not, the same for each attempt: so the exchange
 * goes on, and cannot be told from that of a user with another password. */
static enum auth_verdict
invent(const struct exchange *x)
{
	const struct mailmill_sasl *sasl = x->sasl;
	struct passwdfile_scram *k = x->keys;

	k->iterations = sasl->iterations;
	k->salt_len = sasl->salt_len;
	k->key_len = sizeof(k->stored_key);
	return derive(sasl, "salt", x->login, k->salt) == 0 &&
	    derive(sasl, "more", x->login, k->salt + 32) == 0 &&
	    derive(sasl, "stored", x->login, k->stored_key) == 0 &&
	    derive(sasl, "server", x->login, k->server_key) == 0 ?
	    AUTH_NO : AUTH_UNSURE;
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
	x->sasl->iterations = x->keys->iterations;
	x->sasl->salt_len = x->keys->salt_len;
	return AUTH_YES;
}

/* --- questions ------------------------------------------------------------ */

static uint64_t
question_open(struct exchange *x)
{
	x->is_inside = true;
	x->is_answered = false;
	x->question = ++x->sasl->nquestions;
	TAILQ_INSERT_TAIL(&x->sasl->waiting, x, link);
	return x->question;
}

static void
question_close(struct exchange *x)
{
	if (x->question == 0)
		return;
	TAILQ_REMOVE(&x->sasl->waiting, x, link);
	x->question = 0;
}

/* The program's function has returned. */
static enum auth_verdict
question_asked(struct exchange *x, enum mailmill_sasl_verdict verdict,
    const char *keys)
{
	x->is_inside = false;
	if (verdict == MAILMILL_SASL_LATER)
		return x->is_answered ? x->verdict : AUTH_PENDING;
	question_close(x);
	return verdict_of(x, verdict, keys);
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
	question_close(x);
	x->ac->host_auth = NULL;
	auth_exchange_free(x->auth);
	free(x);
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
		ac->auth_failure = esmtp_auth_why_text(
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

int
mailmill_sasl_answer(struct mailmill_sasl *sasl, uint64_t question,
    enum mailmill_sasl_verdict verdict, const char *keys)
{
	enum esmtp_auth_status status;
	enum auth_verdict v;
	struct exchange *x;
	Event *e;
	char *octets;
	size_t n;

	if (verdict != MAILMILL_SASL_NO && verdict != MAILMILL_SASL_YES &&
	    verdict != MAILMILL_SASL_UNSURE) {
		errno = EINVAL;
		return -1;
	}
	TAILQ_FOREACH(x, &sasl->waiting, link)
		if (x->question == question)
			break;
	if (x == NULL) {
		errno = ENOENT;
		return -1;
	}
	question_close(x);
	v = verdict_of(x, verdict, keys);
	if (x->is_inside) {
		x->verdict = v;
		x->is_answered = true;
		return 0;
	}
	e = x->ac->event;
	status = auth_exchange_resume(x->auth, v, &octets, &n);
	tell(x, status, octets, n);
	if (status != AUTH_STEP_PENDING && e->loop != NULL)
		(void)schedule_event_and_dispatch(e, E_ASYNC);
	return 0;
}

/* --- the host's functions ------------------------------------------------- */

static int
auth_start(void *closure, accept_construct *ac, const char *mech,
    const char *initial, size_t len)
{
	struct exchange *x = exchange_new(closure, ac, mech);

	if (x == NULL) {
		ac->auth_failure = "out of memory";
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
	if (RAND_bytes(sasl->secret, sizeof(sasl->secret)) != 1) {
		free(sasl);
		errno = ENOMEM;
		return NULL;
	}
	sasl->password = password;
	sasl->keys = keys;
	sasl->closure = closure;
	sasl->iterations = PASSWDFILE_ITERATIONS;
	sasl->salt_len = PASSWDFILE_SALT;
	TAILQ_INIT(&sasl->waiting);
	/* as in mailmilld, -PLUS is done where Auth_Mechanisms names it: clients
	 * that get the binding wrong try no other mechanism */
	if (password != NULL)
		sasl->can.usual |= ESMTP_CAN_PASSWORD;
	if (keys != NULL)
		sasl->can.usual |= ESMTP_CAN_KEYS;
	sasl->can.all = sasl->can.usual | (keys != NULL ? ESMTP_CAN_BIND : 0);
	return sasl;
}

void
mailmill_sasl_free(struct mailmill_sasl *sasl)
{
	if (sasl == NULL)
		return;
	explicit_bzero(sasl->secret, sizeof(sasl->secret));
	free(sasl);
}

void
mailmill_sasl_host(struct mailmill_sasl *sasl, struct esmtp_host_ops *ops)
{
	ops->auth_start = auth_start;
	ops->auth_step = auth_step;
	ops->auth_cancel = auth_cancel;
	ops->auth_can = auth_can;
	ops->auth_closure = sasl;
}
