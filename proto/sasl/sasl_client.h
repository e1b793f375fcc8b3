/* SASL: one exchange of one mechanism, on the client's side.
 * Owns: what is said in PLAIN (RFC 4616), LOGIN, SCRAM (RFC 5802, 7677),
 * OAUTHBEARER (RFC 7628) and XOAUTH2; which of them is the best one to be had.
 * Knows nothing of SMTP and base64.  Its memory is overwritten before it is
 * freed.
 *
 * SCRAM derives a key from the password, which takes as long as the server
 * says, up to SASL_CLIENT_ITERATIONS_MAX: some tenths of a second.  It is done
 * in slices of about a millisecond, so that others get their turn. */

#ifndef PROTO_SASL_SASL_CLIENT_H
#define PROTO_SASL_SASL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 5802 5.1, RFC 7677 4: a server has at least so many.  One that wants less
 * gets no proof: who sees it could try passwords faster. */
#define SASL_CLIENT_ITERATIONS_MIN	4096
#define SASL_CLIENT_ITERATIONS_MAX	1000000
#define SASL_CLIENT_SLICE		1024	/* iterations that are made at once */
#define SASL_CLIENT_NAME_MAX		255	/* octets of a name */
#define SASL_CLIENT_SECRET_MAX		8192	/* octets of a password or token */
#define SASL_CLIENT_BINDING_MAX		64	/* octets of a channel binding */

struct sasl_client;

struct sasl_client_login {
	const char	*user;
	const char	*secret;	/* the password, or the token */
	bool		 is_token;	/* it is a token: OAUTHBEARER, XOAUTH2 */
	/* what the connection can be told by (RFC 5056): its name, such as
	 * "tls-exporter" (RFC 9266), "tls-server-end-point" (RFC 5929), and its
	 * octets */
	const char	*binding_type;
	const uint8_t	*binding;
	size_t		 binding_len;	/* 0: there is none; at most SASL_CLIENT_BINDING_MAX */
	unsigned int	 mechanisms;	/* that the server offers, bits in the order of esmtp_auth_mech.def: is -PLUS among them, RFC 5802 6? */
	const char	*nonce;		/* of SCRAM, for tests; NULL: a random one */
};

/* sasl_client_choose(login): The best of login->mechanisms that can be done with
 * ${login}: its name, or NULL.  One that is bound to the channel is better than
 * one with a stronger hash: whoever stands in the middle could take the bound
 * one of that hash off the list, and leave another, so that the server does not
 * notice. */
const char *sasl_client_choose(const struct sasl_client_login *login);

/* sasl_client_new(mechanism, login): An exchange; ${mechanism} in capitals.
 * All is copied.  NULL with errno: EINVAL, the mechanism is not known, or
 * ${login} is not for it or too long; EILSEQ, the name or the password is not
 * UTF-8; ENOMEM.
 * sasl_client_free(x): NULL does nothing. */
struct sasl_client *sasl_client_new(const char *mechanism,
    const struct sasl_client_login *login);
void sasl_client_free(struct sasl_client *x);

/* sasl_client_begin(x, out_r, len_r): The initial response: *out_r is malloced,
 * or NULL where the server begins (LOGIN).  0, or -1 as below.
 * sasl_client_step(x, challenge, len, out_r, len_r): The answer to
 * ${challenge}; *out_r is malloced.
 * sasl_client_go_on(x, out_r, len_r): After 1, to be called until it returns
 * something else; in between there may be other work.
 * Both: 0; 1: the answer takes more work; or -1 with errno, and the exchange is
 * to be given up: EPROTO, the server does not keep to the mechanism, or does
 * not know the password itself (SCRAM); ENOMEM.  Whoever has sent *out_r
 * overwrites it. */
int sasl_client_begin(struct sasl_client *x, char **out_r, size_t *len_r);
int sasl_client_step(struct sasl_client *x, const char *challenge, size_t len,
    char **out_r, size_t *len_r);
int sasl_client_go_on(struct sasl_client *x, char **out_r, size_t *len_r);

/* sasl_client_is_done(x): Is all said, and has the server shown what it has to?
 * If not, a success that it reports does not count. */
bool sasl_client_is_done(const struct sasl_client *x);

#endif
