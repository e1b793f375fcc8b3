/* TLS for programs that receive mail with libmailmill: a certificate and its
 * key, and the functions that a host offers STARTTLS and implicit TLS with; and
 * for those that send it, what a server has to show.
 * In libmailmill-tls; see mailmill_tls(3). */

#ifndef TLS_LIBRARY_MAILMILL_TLS_H
#define TLS_LIBRARY_MAILMILL_TLS_H

#include <stddef.h>

#include <mailmill/api.h>
#include <mailmill/esmtp_host.h>
#include <mailmill/esmtp_options.h>
#include <mailmill/mailmill_client.h>

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

/* --- clients -------------------------------------------------------------- */

struct mailmill_tls_client;

/* mailmill_tls_client_new(authorities, error_r, len): For connections to servers,
 * which are verified by the certificates in the file ${authorities}, in PEM, or
 * folder (openssl-rehash(1)); NULL: by those that OpenSSL trusts on this system.
 * They are read now.  NULL with a sentence in ${error_r}, which may be NULL.
 * mailmill_tls_client_free(tls): After the last client that uses it.  NULL does
 * nothing. */
struct mailmill_tls_client *mailmill_tls_client_new(const char *authorities,
    char *error_r, size_t len);
void mailmill_tls_client_free(struct mailmill_tls_client *tls);

/* mailmill_tls_client_use(tls, client, name, must_verify): TLS of ${client} is
 * that of ${tls}, when MAILMILL_CLIENT_TLS says so.  ${name}, which is copied, is
 * whom the server's certificate has to be for, a domain or the text of an
 * address; NULL: nothing verifies it.  ${must_verify}: a handshake with a server
 * that is not verified fails.  Return 0, or -1 with errno: EINVAL, no such name,
 * or ${must_verify} without one; EISCONN; ENOMEM. */
int mailmill_tls_client_use(struct mailmill_tls_client *tls,
    struct mailmill_client *client, const char *name, bool must_verify);

MAILMILL_END

#endif
