/* Memory of TLS sessions that rest.  OpenSSL's SSL object is 7.5 KiB, of which
 * most octets are 0, for as long as the session lasts.  While it rests, only
 * the other octets are kept, and its pages go back to the kernel.
 * Owns: pages that hold one SSL object each.
 * Knows nothing of what is in them: after tlsmem_wake() the same octets are at
 * the same address. */

#ifndef TLS_TLSMEM_H
#define TLS_TLSMEM_H

#include <openssl/ssl.h>

/* tlsmem_open(): Make OpenSSL take its memory from this module.  To be called
 * before any other function of OpenSSL, in a process where one thread has all
 * SSL objects.  Return 0, or -1; then, and without this call, the functions
 * below work and save nothing. */
int tlsmem_open(void);

/* tlsmem_ssl(ctx): SSL_new(3), into pages of its own while there are some. */
SSL *tlsmem_ssl(SSL_CTX *ctx);

/* tlsmem_rest(ssl): ${ssl} will not be used for a while.  tlsmem_wake(ssl):
 * it will be now; must come before any use, and before SSL_free(3). */
void tlsmem_rest(SSL *ssl);
void tlsmem_wake(SSL *ssl);

#endif
