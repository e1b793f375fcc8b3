/* AUTH for programs that receive mail with libmailmill: a program answers
 * whether a password is a user's, and the mechanisms are done here.  And the
 * logins of programs that send it.
 * In libmailmill-tls; see mailmill_sasl(3). */

#ifndef TLS_LIBRARY_MAILMILL_SASL_H
#define TLS_LIBRARY_MAILMILL_SASL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>
#include <mailmill/esmtp_factory.h>
#include <mailmill/esmtp_host.h>
#include <mailmill/mailmill_client.h>

MAILMILL_BEGIN

struct mailmill_sasl;

enum mailmill_sasl_verdict {
	MAILMILL_SASL_NO,	/* wrong, or no such user: 535 */
	MAILMILL_SASL_YES,
	MAILMILL_SASL_UNSURE,	/* nobody can tell now: 454 */
	MAILMILL_SASL_LATER	/* mailmill_sasl_answer() will be called */
};

/* A function that is asked: is ${password} the password of ${user}?  Neither
 * may be kept.  After MAILMILL_SASL_LATER, ${question} names it. */
typedef enum mailmill_sasl_verdict (*mailmill_sasl_password)(void *closure,
    accept_construct *ac, const char *user, const char *password,
    uint64_t question);

/* A function that is asked for the SCRAM-SHA-256 keys of ${user}: it returns
 * MAILMILL_SASL_YES with a copy of them in ${keys_r}, ${len} octets, as
 * "ITERATIONS,SALT,STOREDKEY,SERVERKEY", the last three in base64 (RFC 5803,
 * Dovecot's {SCRAM-SHA-256}, mailmill-passwd(5)); or one of the others. */
typedef enum mailmill_sasl_verdict (*mailmill_sasl_keys)(void *closure,
    accept_construct *ac, const char *user, char *keys_r, size_t len,
    uint64_t question);

#define MAILMILL_SASL_KEYS_MAX	256	/* octets of ${keys_r} */

/* mailmill_sasl_new(password, keys, closure): PLAIN and LOGIN are done with
 * ${password}, SCRAM-SHA-256 with ${keys}; one of the two may be NULL: those
 * are not offered then.  NULL: EINVAL, ENOMEM.
 * mailmill_sasl_free(sasl): After the last session; inside one of the functions,
 * or while a client logs in, it ends the process.  NULL does nothing. */
struct mailmill_sasl *mailmill_sasl_new(mailmill_sasl_password password,
    mailmill_sasl_keys keys, void *closure);
void mailmill_sasl_free(struct mailmill_sasl *sasl);

/* mailmill_sasl_set_unknown(sasl, secret, len, iterations, salt_len): What the
 * SCRAM keys of users that do not exist are made of: ${secret}, of ${len}
 * octets, at least MAILMILL_SASL_SECRET_MIN, which is copied; 0: a random one
 * of this object.  ${iterations} and ${salt_len} are what the keys of the users
 * have; 0: what those have that were asked for last.  Any thread.  Return 0, or
 * -1 with errno: EINVAL, a secret that is too short, iterations or a length
 * that no keys have; ENOMEM. */
#define MAILMILL_SASL_SECRET_MIN	16	/* octets */
int mailmill_sasl_set_unknown(struct mailmill_sasl *sasl, const void *secret,
    size_t len, unsigned int iterations, size_t salt_len);

/* mailmill_sasl_host(sasl, ops): Set the functions for AUTH in ${ops}.  Return
 * 0; or -1 with errno EINVAL: by its size, ${ops} has not got them. */
int mailmill_sasl_host(struct mailmill_sasl *sasl, struct esmtp_host_ops *ops)
    __attribute__((warn_unused_result));

/* mailmill_sasl_answer(sasl, question, verdict, keys): The answer to
 * ${question}; ${keys} are NULL unless it was one for keys and the verdict is
 * YES.  From any thread, if the session is on our scheduler; else from that of
 * the loop, and followed by an E_ASYNC dispatch of the session's event.  Return
 * 0; or -1 with errno: ENOENT, nobody waits for it (any more);
 * EINVAL, no such verdict. */
int mailmill_sasl_answer(struct mailmill_sasl *sasl, uint64_t question,
    enum mailmill_sasl_verdict verdict, const char *keys);

/* --- clients -------------------------------------------------------------- */

struct mailmill_sasl_client;

/* mailmill_sasl_client_new(user, secret, is_token): A login with a password, or
 * with a token (OAuth).  Both are copied.  NULL with errno: EINVAL, they are empty
 * or too long, or have octets that they cannot have; EILSEQ, they are not UTF-8;
 * ENOMEM.
 * mailmill_sasl_client_set(login, secret): It has this password, or token, from
 * the next connection on.  Return 0, or -1 with errno as above.
 * mailmill_sasl_client_free(login): Overwrite and free, after the last client that
 * uses it.  NULL does nothing. */
struct mailmill_sasl_client *mailmill_sasl_client_new(const char *user,
    const char *secret, bool is_token);
int mailmill_sasl_client_set(struct mailmill_sasl_client *login,
    const char *secret);
void mailmill_sasl_client_free(struct mailmill_sasl_client *login);

/* mailmill_sasl_client_use(login, client): ${client} logs in with it, when
 * MAILMILL_CLIENT_LOGIN says so: with a password by SCRAM-SHA-256-PLUS,
 * SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-1, PLAIN or LOGIN, with a token by
 * OAUTHBEARER or XOAUTH2; the first of these that the server offers.  Any number
 * of clients of the thread.  Return 0, or -1 with errno EISCONN. */
int mailmill_sasl_client_use(struct mailmill_sasl_client *login,
    struct mailmill_client *client);

MAILMILL_END

#endif
