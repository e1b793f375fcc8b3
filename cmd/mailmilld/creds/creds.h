/* Certificates and keys, as the master has them and passes them on.
 * Owns: one version of all of them: the contents of certificates, client CAs
 * and OCSP responses in sealed memory, and open descriptors of the files of
 * private keys, from which the master never reads.
 * Knows nothing of processes but the account of the check. */

#ifndef CMD_MAILMILLD_CREDS_CREDS_H
#define CMD_MAILMILLD_CREDS_CREDS_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cmd/mailmilld/role/probe.h"
#include "cmd/settings/settings.h"
#include "cmd/settings/settings_tls.h"
#include "tls/tlsctx.h"

struct creds;

/* creds_open(s, version, err_r, errlen): Open all files that ${s} names and
 * read those that are public.  Before anything else is done with the result, a
 * process under keyd's account sees that each key belongs to its certificate:
 * creds_check().  NULL with "FILE: what is wrong" in ${err_r}.  Paths stay
 * those of ${s}, which must live as long.  Without any TLS in ${s}: one that
 * is empty, and needs no check. */
struct creds *creds_open(const struct settings *s, uint32_t version,
    char *err_r, size_t errlen);
void creds_free(struct creds *c);	/* NULL does nothing */

/* creds_check(c, account, spec_r): The check of ${c}, which lives until it is
 * started.
 * creds_use(c, p, err_r, errlen): It has ended: take what it says of the
 * certificates; what is not wrong but not right either (expired) is logged.
 * Return 0, or -1 with "FILE: what is wrong". */
void creds_check(struct creds *c, const struct account *account,
    struct probe_spec *spec_r);
int creds_use(struct creds *c, const struct probe *p, char *err_r,
    size_t errlen);

uint32_t creds_version(const struct creds *c);
/* A descriptor of its own for a reader, or -1 with errno. */
int creds_bundle(const struct creds *c);		/* for M_CERTS */
int creds_key(const struct creds *c, size_t pair);	/* for M_KEY */

/* creds_changed(c): Has one of the files become another since creds_open(),
 * and has nothing been written to any of them in the last second? */
bool creds_changed(const struct creds *c);

/* When certificate ${pair} ends, and its first name. */
time_t creds_expiry(const struct creds *c, size_t pair);
const char *creds_name(const struct creds *c, size_t pair);

/* The other side: what is in M_CERTS.
 * bundle_read(fd, s): Check and map it; ${fd} stays open.  NULL with errno
 * (EPROTO: not as ${s} wants it). */
struct bundle;
struct bundle *bundle_read(int fd, const struct settings *s);
void bundle_free(struct bundle *b);
struct tlsctx_octets bundle_cert(const struct bundle *b, size_t pair);
struct tlsctx_octets bundle_ocsp(const struct bundle *b, size_t pair);
struct tlsctx_octets bundle_client_ca(const struct bundle *b, size_t i);

#endif
