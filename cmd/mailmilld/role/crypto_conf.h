/* The configuration of OpenSSL: the file that the environment names, or the
 * system's. */

#ifndef CMD_MAILMILLD_ROLE_CRYPTO_CONF_H
#define CMD_MAILMILLD_ROLE_CRYPTO_CONF_H

#include <stddef.h>

#define CRYPTO_CONF_ERROR_MAX	400

/* crypto_conf_load(err_r, errlen): Load it, with the modules that it names, before
 * anything else of OpenSSL is used.  The system's file may be missing or have
 * errors, as in all programs.  One that OPENSSL_CONF names is what somebody relies
 * on, say for FIPS: all of it must be there.  Return 0, or -1 with a message. */
int crypto_conf_load(char *err_r, size_t errlen);

#endif
