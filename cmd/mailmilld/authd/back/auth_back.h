/* What knows passwords: the back ends of authd.
 * Owns: the choice of one by "KIND:ARGUMENT" of Auth_Backend (the kinds are in
 * auth_spec.h).
 * Every call may block, and is made on a thread of authd's pool, several at a
 * time.  Knows nothing of SASL, except that one back end does the mechanisms
 * itself. */

#ifndef CMD_MAILMILLD_AUTHD_BACK_AUTH_BACK_H
#define CMD_MAILMILLD_AUTHD_BACK_AUTH_BACK_H

#include <netinet/in.h>
#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/settings/auth_spec.h"	/* AUTH_ERROR_MAX */

#define AUTH_LOGIN_MAX	255	/* octets of a name */

enum auth_verdict {
	AUTH_YES,
	AUTH_NO,		/* wrong, or no such user: not to be told apart */
	AUTH_UNSURE		/* no answer: 454 */
};

/* Who asks, for back ends that want to know. */
struct auth_client {
	const struct sockaddr	*peer;
	bool			 is_tls;
	const char		*session;	/* id, for logs */
	const char		*peer_name;	/* of a verified certificate, or NULL */
	uint64_t			 deadline_ms;	/* monotonic: give up then */
};

/* What SCRAM needs of a user instead of a password (RFC 5802 3). */
struct auth_scram {
	unsigned int	iterations;
	uint8_t		salt[64];
	size_t		salt_len;
	uint8_t		stored_key[64], server_key[64];
	size_t		key_len;	/* 20 or 32 */
};
enum auth_scram_hash { AUTH_SCRAM_SHA1, AUTH_SCRAM_SHA256 };

struct auth_back;

/* auth_back_open(spec, err_r, errlen): NULL with a message ("FILE:LINE:
 * ..."). */
struct auth_back *auth_back_open(const char *spec, char *err_r,
    size_t errlen);
void auth_back_free(struct auth_back *b);	/* NULL does nothing */

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
 * that the exchange can go on and fail at its end like another. */
enum auth_verdict auth_back_scram(struct auth_back *b,
    const struct auth_client *client, const char *login,
    enum auth_scram_hash hash, struct auth_scram *scram_r);

/* auth_back_cleartext(b, client, login, buf, len): The password itself, where
 * it is stored (CRAM-MD5).  AUTH_NO fills ${buf} in as well, with what nobody
 * knows. */
enum auth_verdict auth_back_cleartext(struct auth_back *b,
    const struct auth_client *client, const char *login, char *buf,
    size_t len);

/* A back end that does the mechanisms itself (Dovecot's protocol):
 * auth_back_relay(b) says so; then an exchange is begun with relay_start, which
 * gives the first answer, and goes on with relay_step.  ${*octets_r} is
 * malloced: the challenge of AUTH_RELAY_CHALLENGE, the login of the others. */
enum auth_relay_status { AUTH_RELAY_CHALLENGE, AUTH_RELAY_YES, AUTH_RELAY_NO,
	AUTH_RELAY_UNSURE };
struct auth_relay;
bool auth_back_relay(const struct auth_back *b);
enum auth_relay_status auth_relay_start(struct auth_back *b,
    const struct auth_client *client, const char *mech, const char *initial,
    size_t len, struct auth_relay **relay_r, char **octets_r, size_t *len_r);
enum auth_relay_status auth_relay_step(struct auth_relay *r,
    const struct auth_client *client, const char *response, size_t len,
    char **octets_r, size_t *len_r);
void auth_relay_free(struct auth_relay *r);	/* NULL does nothing */

#endif
