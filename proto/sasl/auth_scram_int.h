/* SCRAM as RFC 5802 has it, on OpenSSL: messages taken apart, proofs checked.
 * Owns: the grammar, strictly (RFC 5802 7); AuthMessage.
 * Pure: no back end, no random numbers. */

#ifndef PROTO_SASL_AUTH_SCRAM_INT_H
#define PROTO_SASL_AUTH_SCRAM_INT_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/sasl/auth_back.h"

/* client-first-message.  Pointers are into it. */
struct scram_first {
	char		 flag;		/* 'n', 'y', 'p' */
	const char	*binding;	/* its name, of 'p' */
	size_t		 binding_len;
	char		 authzid[AUTH_LOGIN_MAX + 1]; /* "": none */
	char		 name[AUTH_LOGIN_MAX + 1];
	const char	*nonce;
	size_t		 nonce_len;
	size_t		 gs2_len;	/* behind it: the bare message */
};

/* client-final-message. */
struct scram_final {
	const char	*binding;	/* base64 */
	size_t		 binding_len;
	const char	*nonce;
	size_t		 nonce_len;
	size_t		 without_len;	/* of the message without proof */
	uint8_t		 proof[64];
	size_t		 proof_len;
};

/* scram_first_parse(s, len, f_r): 0, or -1 with errno: EINVAL malformed,
 * ENOTSUP a mandatory extension ("m="), ENAMETOOLONG too long a name. */
int scram_first_parse(const char *s, size_t len, struct scram_first *f_r);

/* scram_final_parse(s, len, f_r): 0, or -1 (EINVAL). */
int scram_final_parse(const char *s, size_t len, struct scram_final *f_r);

/* What is kept between the two messages. */
struct scram_server {
	enum passwdfile_scram_hash	 hash;
	struct passwdfile_scram	 keys;
	uint8_t			 binding[64];
	size_t			 binding_len;
	char			*gs2, *bare, *first; /* malloced */
};

/* scram_server_begin(s, message, len, f, nonce): Make server-first-message,
 * s->first, from ${f}, the parsed ${message}; ${nonce} is appended to the
 * client's.  hash, keys and binding of ${s} are set.  Return 0, or -1 with
 * errno. */
int scram_server_begin(struct scram_server *s, const char *message, size_t len,
    const struct scram_first *f, const char *nonce);

/* scram_server_check(s, message, f, final_r, size): Does client-final-message
 * prove the key?  1 and server-final-message, 0, or -1 with errno: EPROTO, it
 * is not bound to our channel, or repeats another nonce.  96 octets are
 * enough. */
int scram_server_check(const struct scram_server *s, const char *message,
    const struct scram_final *f, char *final_r, size_t size);

/* scram_server_wipe(s): Free what it points to and overwrite it. */
void scram_server_wipe(struct scram_server *s);

#endif
