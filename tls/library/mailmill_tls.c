/* TLS for embedders; see mailmill_tls.h.
 * Owns: the reading of the files, the host's functions for TLS. */

#include "tls/library/mailmill_tls.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/fileio.h"
#include "proto/options/options.h"
#include "tls/session/tls_session.h"

#define FILE_MAX	(4u << 20)	/* octets: of authorities, too */

struct mailmill_tls {
	struct tlsctx	*ctx;
};

/* What a context is made of, for as long as that takes. */
struct recipe {
	struct tlsctx_config	 config;
	struct tlsctx_pair	*pairs;
	const char *const	*certs, *const *keys; /* names of files, for messages */
	char			*error_r;
	size_t			 len;
};

/* --- files ---------------------------------------------------------------- */

static int
file_fails(const struct recipe *r, const char *path, const char *what)
{
	snprintf(r->error_r, r->len, "%s: %s: %s", path, what,
	    strerror(errno));
	return -1;
}

static void
octets_free(struct tlsctx_octets o)
{
	OPENSSL_clear_free((void *)(uintptr_t)o.v, o.len);
}

/* All of a file; OpenSSL frees it. */
static int
file_read(const struct recipe *r, const char *path, struct tlsctx_octets *o_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	off_t size;
	ssize_t n;
	char *buf;

	if (fd == -1)
		return file_fails(r, path, "cannot be opened");
	size = lseek(fd, 0, SEEK_END);
	if (size > FILE_MAX)
		errno = EFBIG;
	if (size < 0 || size > FILE_MAX ||
	    (buf = OPENSSL_malloc((size_t)size + 1)) == NULL) {
		fileio_close(fd);
		return file_fails(r, path, "cannot be read");
	}
	n = fileio_pread(fd, buf, (size_t)size, 0);
	fileio_close(fd);
	o_r->v = buf;
	o_r->len = n == -1 ? (size_t)size : (size_t)n;
	return n == -1 ? file_fails(r, path, "cannot be read") : 0;
}

static int
pair_read(const struct recipe *r, const struct esmtp_options *o, size_t i)
{
	struct tlsctx_pair *p = &r->pairs[i];

	if (file_read(r, o->tls_certificate.v[i], &p->cert) == -1 ||
	    file_read(r, o->tls_key.v[i], &p->key) == -1)
		return -1;
	/* or its key would be taken for one in another process */
	if (p->key.len == 0) {
		snprintf(r->error_r, r->len, "%s: is empty: expected a private "
		    "key in PEM", o->tls_key.v[i]);
		return -1;
	}
	return i >= o->tls_ocsp_response.n ? 0 :
	    file_read(r, o->tls_ocsp_response.v[i], &p->ocsp);
}

/* --- contexts ------------------------------------------------------------- */

static void
recipe_begin(struct recipe *r, const struct esmtp_options *o, char *error_r,
    size_t len)
{
	static const enum tlsctx_verify modes[] = {
		[ESMTP_VERIFY_OPTIONAL] = TLSCTX_VERIFY_OPTIONAL,
		[ESMTP_VERIFY_NONE] = TLSCTX_VERIFY_NONE,
		[ESMTP_VERIFY_REQUIRE] = TLSCTX_VERIFY_REQUIRE
	};

	memset(r, 0, sizeof(*r));
	r->config.protocols = o->tls_protocols;
	r->config.ciphers = o->tls_ciphers;
	r->config.ciphersuites = o->tlsv13_ciphersuites;
	r->config.groups = o->tls_groups;
	r->config.verify = modes[o->tls_verify_mode];
	r->error_r = error_r;
	r->len = len;
}

static void
recipe_end(struct recipe *r, size_t npairs)
{
	size_t i;

	octets_free(r->config.client_ca);
	for (i = 0; i < npairs; i++) {
		octets_free(r->pairs[i].cert);
		octets_free(r->pairs[i].key);
		octets_free(r->pairs[i].ocsp);
	}
	free(r->pairs);
}

/* What is wrong with pair number ${i}, as the context says it. */
static void
pair_fails(const struct recipe *r, int i, const char *why)
{
	size_t n = strlen(TLSCTX_OF_KEY);

	if (r->certs == NULL)
		snprintf(r->error_r, r->len, "the certificate: %s", why);
	else if (strncmp(why, TLSCTX_OF_KEY, n) == 0)
		snprintf(r->error_r, r->len, "%s: %s (TLS_Certificate is %s)",
		    r->keys[i], why + n, r->certs[i]);
	else
		snprintf(r->error_r, r->len, "%s: %s", r->certs[i], why);
}

/* The object, from a recipe that is complete. */
static struct mailmill_tls *
make(const struct recipe *r)
{
	struct mailmill_tls *tls;
	char why[TLSCTX_ERROR_MAX];
	int bad;

	if ((tls = calloc(1, sizeof(*tls))) == NULL) {
		snprintf(r->error_r, r->len, "out of memory");
		return NULL;
	}
	if ((tls->ctx = tlsctx_new(&r->config, &bad, why, sizeof(why))) != NULL)
		return tls;
	if (bad != -1)
		pair_fails(r, bad, why);
	else
		snprintf(r->error_r, r->len, "%s", why);
	free(tls);
	return NULL;
}

/* The authorities of clients, if there are any. */
static int
authorities_read(struct recipe *r, const struct esmtp_options *o)
{
	struct tls_cert_info info;
	char why[TLSCTX_ERROR_MAX];

	if (o->tls_client_ca[0] == '\0')
		return 0;
	if (file_read(r, o->tls_client_ca, &r->config.client_ca) == -1)
		return -1;
	if (r->config.verify == TLSCTX_VERIFY_NONE ||
	    tls_cert_info(r->config.client_ca, &info, why, sizeof(why)) == 0)
		return 0;
	snprintf(r->error_r, r->len, "%s: %s", o->tls_client_ca, why);
	return -1;
}

static int
files_read(struct recipe *r, const struct esmtp_options *o)
{
	size_t i, n = o->tls_certificate.n;

	if (n == 0 || o->tls_key.n != n) {
		snprintf(r->error_r, r->len, "%zu files in TLS_Certificate and "
		    "%zu in TLS_Key: name a certificate, and its key in the "
		    "same place of the other list", n, o->tls_key.n);
		return -1;
	}
	if ((r->pairs = calloc(n, sizeof(*r->pairs))) == NULL) {
		snprintf(r->error_r, r->len, "out of memory");
		return -1;
	}
	r->config.pairs = r->pairs;
	r->config.npairs = n;
	r->certs = (const char *const *)o->tls_certificate.v;
	r->keys = (const char *const *)o->tls_key.v;
	for (i = 0; i < n; i++)
		if (pair_read(r, o, i) == -1)
			return -1;
	return authorities_read(r, o);
}

struct mailmill_tls *
mailmill_tls_new(const struct esmtp_options *options, char *error_r,
    size_t len)
{
	struct mailmill_tls *tls = NULL;
	struct recipe r;

	recipe_begin(&r, options, error_r, error_r == NULL ? 0 : len);
	if (files_read(&r, options) == 0)
		tls = make(&r);
	recipe_end(&r, r.config.npairs);
	return tls;
}

struct mailmill_tls *
mailmill_tls_new_pem(const struct esmtp_options *options, const char *cert,
    const char *key, char *error_r, size_t len)
{
	struct tlsctx_pair pair = { .cert = { cert, strlen(cert) },
		.key = { key, strlen(key) } };
	struct mailmill_tls *tls = NULL;
	struct recipe r;

	recipe_begin(&r, options, error_r, error_r == NULL ? 0 : len);
	r.config.pairs = &pair;
	r.config.npairs = 1;
	/* as in pair_read() */
	if (pair.key.len == 0)
		snprintf(r.error_r, r.len, "no private key");
	else if (authorities_read(&r, options) == 0)
		tls = make(&r);
	recipe_end(&r, 0);
	return tls;
}

void
mailmill_tls_free(struct mailmill_tls *tls)
{
	if (tls == NULL)
		return;
	tlsctx_free(tls->ctx);
	free(tls);
}

void
mailmill_tls_renew(struct mailmill_tls *tls, struct mailmill_tls *renewed)
{
	struct tlsctx *former = tls->ctx;

	if (tls == renewed)
		return;
	tls->ctx = renewed->ctx;
	renewed->ctx = former;
	mailmill_tls_free(renewed);
}

/* --- the host's functions ------------------------------------------------- */

static int
start(void *closure, accept_construct *ac)
{
	struct mailmill_tls *tls = closure;

	return tls_session_start(ac, tls->ctx);
}

static int
handshake(void *, accept_construct *ac, int *needmask)
{
	enum tls_failure_kind kind;

	return tls_session_handshake(ac, needmask, &kind);
}

static void
end(void *, accept_construct *ac)
{
	tls_session_end(ac);
}

int
mailmill_tls_host(struct mailmill_tls *tls, struct esmtp_host_ops *ops)
{
	/* the last of what is set: ${ops} may be of a program with older
	 * headers, or have no size */
	if (ops->size < offsetof(struct esmtp_host_ops, tls_closure) +
	    sizeof(ops->tls_closure)) {
		errno = EINVAL;
		return -1;
	}
	ops->tls_start = start;
	ops->tls_handshake = handshake;
	ops->tls_end = end;
	ops->tls_closure = tls;
	return 0;
}
