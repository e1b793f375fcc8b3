/* What the files of sasl_client.h share. */

#ifndef PROTO_SASL_SASL_CLIENT_INT_H
#define PROTO_SASL_SASL_CLIENT_INT_H

#include "proto/sasl/sasl_client.h"

#define SASL_CLIENT_NONCE	64	/* octets, at most, of ours */
#define SASL_CLIENT_TYPE	24	/* of the name of a binding, with its NUL */

struct sasl_client_out {
	char	*s;		/* malloced, or NULL */
	size_t	 len;
};

struct sasl_client_mech {
	const char	*name;
	bool		 is_first;	/* the client begins */
	bool		 is_token;
	bool		 is_plus;
	/* step: ${in} NULL: the first.  0; 1: go_on() makes the answer; or -1
	 * with errno */
	int		(*step)(struct sasl_client *x, const char *in,
			    size_t len, struct sasl_client_out *out);
	/* go_on: the same; NULL: step() never returns 1 */
	int		(*go_on)(struct sasl_client *x,
			    struct sasl_client_out *out);
};

struct sasl_client_proof;

struct sasl_client {
	const struct sasl_client_mech	*mech;
	unsigned int			 nsteps;	/* that were made */
	bool				 is_done;
	bool				 is_plus_offered; /* any */
	char				 user[SASL_CLIENT_NAME_MAX + 1];
	char				 secret[SASL_CLIENT_SECRET_MAX + 1];
	char				 binding_type[SASL_CLIENT_TYPE];
	uint8_t				 binding[SASL_CLIENT_BINDING_MAX];
	size_t				 binding_len;	/* 0: none */
	/* of SCRAM */
	char				 nonce[SASL_CLIENT_NONCE + 1];
	char				*bare;		/* client-first-message-bare */
	uint8_t				 signature[64];	/* that the server has to show */
	size_t				 signature_len;
	struct sasl_client_proof	*proof;		/* under way, or NULL */
};

/* sasl_client_saslname(name, out): "," and "=" as RFC 5802 5.1 writes them;
 * ${out} has room for three times the octets. */
void sasl_client_saslname(const char *name, char *out);

/* sasl_client_nonce(x, nonce): Set that of SCRAM: ${nonce}, or a random one.
 * 0, or -1 with errno. */
int sasl_client_nonce(struct sasl_client *x, const char *nonce);

int sasl_client_scram(struct sasl_client *x, const char *in, size_t len,
    struct sasl_client_out *out);
int sasl_client_scram_go_on(struct sasl_client *x,
    struct sasl_client_out *out);
/* sasl_client_scram_end(x): Give up a proof that is under way. */
void sasl_client_scram_end(struct sasl_client *x);

#endif
