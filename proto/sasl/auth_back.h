/* What a mechanism asks of what knows passwords: a back end.
 * Owns: the questions, and the table that each kind of back end fills in.
 * Knows nothing of the kinds: authd has some, an embedder brings its own. */

#ifndef PROTO_SASL_AUTH_BACK_H
#define PROTO_SASL_AUTH_BACK_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/table/passwdfile.h"	/* struct passwdfile_scram */

#define AUTH_LOGIN_MAX	255	/* octets of a name */

enum auth_verdict {
	AUTH_YES,
	AUTH_NO,		/* wrong, or no such user: not to be told apart */
	AUTH_UNSURE,		/* no answer: 454 */
	AUTH_CHALLENGE,		/* of relay_start and relay_step alone */
	AUTH_PENDING		/* of password and scram alone: the answer comes
				 * later, to auth_exchange_resume() */
};

/* The client that logs in, for back ends that decide by it or log it. */
struct auth_client {
	const struct sockaddr	*peer;
	bool			 is_tls;
	const char		*session;	/* id, for logs */
	const char		*peer_name;	/* of a verified certificate, or NULL */
	uint64_t			 deadline_ms;	/* monotonic: give up then */
};

struct auth_octets {
	char	*s;		/* malloced */
	size_t	 len;
};

/* What a kind of back end does; see the functions below.  NULL: it cannot do
 * that. */
struct auth_back_ops {
	/* when it returns NULL without a message, there was no memory */
	void	*(*open)(const char *arg, char *err_r, size_t errlen);
	void	 (*free)(void *state);
	/* NULL: there is no server that could be down */
	bool	 (*answers)(void *state, char *err_r, size_t errlen);
	enum auth_verdict (*password)(void *state,
	    const struct auth_client *client, const char *login,
	    const char *password);
	enum auth_verdict (*token)(void *state,
	    const struct auth_client *client, const char *login,
	    const char *token);
	enum auth_verdict (*exists)(void *state,
	    const struct auth_client *client, const char *login);
	enum auth_verdict (*scram)(void *state,
	    const struct auth_client *client, const char *login,
	    enum passwdfile_scram_hash hash, struct passwdfile_scram *scram_r);
	enum auth_verdict (*cleartext)(void *state,
	    const struct auth_client *client, const char *login, char *buf,
	    size_t len);

	/* Of a back end that does the mechanisms itself (Dovecot's protocol):
	 * an exchange is begun with relay_start, which gives the first answer,
	 * and goes on with relay_step.  ${*out} is empty before, and then has
	 * the challenge of AUTH_CHALLENGE, the login of the others.
	 * ${*relay_r}, the state of the exchange, may be set whatever the
	 * answer is, and is freed with relay_free.  It keeps ${client}. */
	enum auth_verdict (*relay_start)(void *state,
	    const struct auth_client *client, const char *mech,
	    const char *initial, size_t len, void **relay_r,
	    struct auth_octets *out);
	enum auth_verdict (*relay_step)(void *relay, const char *response,
	    size_t len, struct auth_octets *out);
	void	 (*relay_free)(void *relay);	/* NULL does nothing */
};

/* An open back end. */
struct auth_back {
	const struct auth_back_ops	*ops;
	void				*state;
};

/* auth_back_password(b, client, login, password): Is it right?  Equal time for
 * unknown users and wrong passwords. */
enum auth_verdict auth_back_password(struct auth_back *b,
    const struct auth_client *client, const char *login,
    const char *password);

/* auth_back_token(b, ...): The same of a bearer token (OAUTHBEARER,
 * XOAUTH2). */
enum auth_verdict auth_back_token(struct auth_back *b,
    const struct auth_client *client, const char *login, const char *token);

/* auth_back_exists(b, ...): May this user log in, as shown otherwise
 * (EXTERNAL)? */
enum auth_verdict auth_back_exists(struct auth_back *b,
    const struct auth_client *client, const char *login);

/* auth_back_scram(b, client, login, hash, scram_r): The keys of a user.
 * AUTH_NO fills ${scram_r} in as well, the same for each call of that name, so
 * that the exchange can go on and fail at its end like another.  After
 * AUTH_PENDING, it is filled in before auth_exchange_resume(). */
enum auth_verdict auth_back_scram(struct auth_back *b,
    const struct auth_client *client, const char *login,
    enum passwdfile_scram_hash hash, struct passwdfile_scram *scram_r);

/* auth_back_cleartext(b, client, login, buf, len): The password itself, where
 * it is stored (CRAM-MD5).  AUTH_NO fills ${buf} in as well, with what nobody
 * knows. */
enum auth_verdict auth_back_cleartext(struct auth_back *b,
    const struct auth_client *client, const char *login, char *buf,
    size_t len);

#endif
