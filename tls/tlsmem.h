/* Memory of TLS sessions that rest: OpenSSL's SSL object is 7.5 KiB of which
 * most octets are 0, for as long as the session lasts.
 * Owns: pages that hold one SSL object each, and what is left of it while the
 * pages are the kernel's.
 * Knows nothing of what is in it: the same octets are at the same address when
 * it is looked at again. */

#ifndef TLS_TLSMEM_H
#define TLS_TLSMEM_H

#include <openssl/ssl.h>

/* tlsmem_open(): Have OpenSSL's memory from here; before anything else of
 * OpenSSL is called, in a process with one thread that has SSL objects.
 * Without it, and when it returns -1, all that follows works and saves
 * nothing. */
int tlsmem_open(void);

/* tlsmem_ssl(ctx): SSL_new(3), into pages of its own while there are some. */
SSL *tlsmem_ssl(SSL_CTX *ctx);

/* tlsmem_rest(ssl): ${ssl} will not be used for a while.  tlsmem_wake(ssl):
 * it will be now; must come before any use, and before SSL_free(3). */
void tlsmem_rest(SSL *ssl);
void tlsmem_wake(SSL *ssl);

#endif
