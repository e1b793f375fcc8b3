/* What the files of the simulated TLS share.  No other file includes it. */

#ifndef TEST_LIB_SIMTLS_INT_H
#define TEST_LIB_SIMTLS_INT_H

#include <openssl/x509.h>

#include "tls/tlsctx.h"

struct simtls_pair {
	X509		*cert;
	EVP_PKEY	*key;
	BIO		*text;		/* holds pem */
	struct tlsctx_octets pem;	/* of the certificate */
};

/* The authority signs the server's and the client's; the foreign one is a
 * client's of its own making. */
extern struct simtls_pair simtls_authority, simtls_server, simtls_member,
    simtls_foreign;

/* simtls_make_certificates(): 0 or -1. */
int simtls_make_certificates(void);

#endif
