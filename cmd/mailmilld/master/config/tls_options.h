/* TLS options that only OpenSSL can judge.
 * Apart from settings.h, so that what loads settings need not link OpenSSL. */

#ifndef CMD_MAILMILLD_MASTER_CONFIG_TLS_OPTIONS_H
#define CMD_MAILMILLD_MASTER_CONFIG_TLS_OPTIONS_H

#include "cmd/settings/settings.h"

/* tls_options_check(s, err_r, errlen): Protocols, ciphers and groups of every
 * scope with TLS.  Return 0, or -1 with file, line and option. */
int tls_options_check(const struct settings *s, char *err_r, size_t errlen);

#endif
