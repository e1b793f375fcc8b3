/* TLS for programs that receive mail with libmailmill: a certificate and its
 * key, and the functions that a host offers STARTTLS and implicit TLS with.
 * In libmailmill-tls; see mailmill_tls(3). */

#ifndef TLS_LIBRARY_MAILMILL_TLS_H
#define TLS_LIBRARY_MAILMILL_TLS_H

#include <stddef.h>

#include <mailmill/api.h>
#include <mailmill/esmtp_host.h>
#include <mailmill/esmtp_options.h>

MAILMILL_BEGIN

struct mailmill_tls;

#define MAILMILL_TLS_ERROR_MAX	512	/* octets of a message */

/* mailmill_tls_new(options, error_r, len): Certificates, keys and client
 * authorities are read from the files that ${options} names (TLS_Certificate,
 * TLS_Key, TLS_Client_CA), and its other TLS options are heeded: all of them
 * now.
 * mailmill_tls_new_pem(options, cert, key, error_r, len): The same with one
 * certificate, with its chain, and its key, as PEM texts.
 * NULL with a sentence in ${error_r}, which may be NULL. */
struct mailmill_tls *mailmill_tls_new(const struct esmtp_options *options,
    char *error_r, size_t len);
struct mailmill_tls *mailmill_tls_new_pem(const struct esmtp_options *options,
    const char *cert, const char *key, char *error_r, size_t len);

/* mailmill_tls_free(tls): After the last handshake with it has ended, best with
 * the host.  Sessions that have had theirs go on.  NULL does nothing. */
void mailmill_tls_free(struct mailmill_tls *tls);

/* mailmill_tls_renew(tls, renewed): From now on handshakes of ${tls} are done
 * with what ${renewed} has.  Takes ${renewed}. */
void mailmill_tls_renew(struct mailmill_tls *tls, struct mailmill_tls *renewed);

/* mailmill_tls_host(tls, ops): Set the functions for TLS in ${ops}.  Return 0;
 * or -1 with errno EINVAL: by its size, ${ops} has not got them. */
int mailmill_tls_host(struct mailmill_tls *tls, struct esmtp_host_ops *ops)
    __attribute__((warn_unused_result));

MAILMILL_END

#endif
