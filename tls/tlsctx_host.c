/* Which certificates a client gets: by the host that it asks for (SNI, RFC 6066
 * 3) one context, and within it OpenSSL chooses by kind of key.
 * Owns: how pairs are put together, the switch of contexts. */

#include "tls/tlsctx.h"

#include <openssl/x509v3.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tlsctx_int.h"

#define NAME_MAX_OCTETS	256
#define TYPES_MAX	4	/* of keys: RSA, RSA-PSS, EC, Ed25519 */

static int hosts_index = -1;
static pthread_once_t hosts_once = PTHREAD_ONCE_INIT;

/* --- names ---------------------------------------------------------------- */

/* To OpenSSL a certificate with the wildcard ${name} is valid for it, too. */
static bool
is_valid_for(X509 *cert, const char *name)
{
	return cert == NULL || X509_check_host(cert, name, 0, 0, NULL) == 1;
}

/* The number of host names of ${cert}; -1 when ${other} is not valid for one of
 * them (NULL: that is not asked).  As in X509_check_host(3), the common name
 * counts only where there is no DNS name. */
static int
count_names(X509 *cert, X509 *other)
{
	GENERAL_NAMES *names;
	char buf[NAME_MAX_OCTETS];
	bool has_dns = false;
	int i, n = 0;

	names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (i = 0; n != -1 && i < sk_GENERAL_NAME_num(names); i++) {
		int type, len;
		const ASN1_STRING *s =
		    GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i),
		    &type);

		if (type != GEN_DNS)
			continue;
		has_dns = true;
		len = ASN1_STRING_length(s);
		if (len <= 0 || len >= (int)sizeof(buf))
			continue;
		memcpy(buf, ASN1_STRING_get0_data(s), (size_t)len);
		buf[len] = '\0';
		n = is_valid_for(other, buf) ? n + 1 : -1;
	}
	GENERAL_NAMES_free(names);
	if (!has_dns && X509_NAME_get_text_by_NID(X509_get_subject_name(cert),
	    NID_commonName, buf, sizeof(buf)) > 0)
		n = is_valid_for(other, buf) ? 1 : -1;
	return n;
}

/* Is ${other} valid for every name that ${leader} is valid for?  For a leader
 * without names only another certificate without names is. */
static bool
is_covered(X509 *leader, X509 *other)
{
	int n = leader == other ? 1 : count_names(leader, other);

	return n > 0 || (n == 0 && count_names(other, NULL) == 0);
}

/* --- SNI ------------------------------------------------------------------ */

static const struct tlsctx_host *
find_host(const struct tlsctx_hosts *hosts, const char *name)
{
	const struct tlsctx_host *best = NULL;
	size_t i;

	for (i = 0; i < hosts->n; i++)
		if ((best == NULL || hosts->v[i].nkinds > best->nkinds) &&
		    X509_check_host(hosts->v[i].leader, name, 0, 0, NULL) == 1)
			best = &hosts->v[i];
	return best;
}

/* RFC 6066 3: the server may continue with a name that it does not know.  A
 * mail server has to: clients that do not verify certificates send any name. */
static int
on_server_name(SSL *ssl, int *, void *arg)
{
	const struct tlsctx_hosts *hosts = arg;
	const struct tlsctx_host *host;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	if (name == NULL || (host = find_host(hosts, name)) == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	if (host->ctx != SSL_get_SSL_CTX(ssl))
		(void)SSL_set_SSL_CTX(ssl, host->ctx);
	return SSL_TLSEXT_ERR_OK;
}

/* --- the contexts --------------------------------------------------------- */

static void
hosts_free(struct tlsctx_hosts *hosts)
{
	size_t i;

	if (hosts == NULL)
		return;
	/* the first owns this, not the other way round */
	for (i = 1; i < hosts->n; i++)
		SSL_CTX_free(hosts->v[i].ctx);
	tlsctx_certs_free(hosts->certs);
	free(hosts);
}

static void
ctx_gone(void *, void *ptr, CRYPTO_EX_DATA *, int, long, void *)
{
	hosts_free(ptr);
}

static void
make_index(void)
{
	hosts_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, ctx_gone);
}

/* Are ${a} and ${b} valid for the same names? */
static bool
is_twin(X509 *a, X509 *b)
{
	return is_covered(a, b) && is_covered(b, a);
}

static bool
has_type(const char *const *types, size_t n, const char *type)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

/* Give ${host} its certificates: the leader, and of each other type of key the
 * first one that is valid for all of the leader's names.  An SSL_CTX holds one
 * certificate of each type. */
static int
add_certificates(struct tlsctx_host *host,
    const struct tlsctx_certs *certs, size_t leader)
{
	const struct tlsctx_cert *v = certs->v;
	const char *types[TYPES_MAX] = {
	    EVP_PKEY_get0_type_name(v[leader].key) };
	size_t i;

	if (tlsctx_certs_add(host->ctx, certs, leader) == -1)
		return -1;
	host->nkinds = 1;
	for (i = 0; i < certs->n && host->nkinds < TYPES_MAX; i++) {
		const char *type = EVP_PKEY_get0_type_name(v[i].key);

		if (has_type(types, host->nkinds, type) ||
		    !is_covered(v[leader].cert, v[i].cert))
			continue;
		if (tlsctx_certs_add(host->ctx, certs, i) == -1)
			return -1;
		types[host->nkinds++] = type;
	}
	return 0;
}

/* Is there a context already that is the same as ${leader}'s would be? */
static bool
is_done(const struct tlsctx_hosts *hosts, const struct tlsctx_certs *certs,
    size_t leader)
{
	size_t i;
	X509 *cert = certs->v[leader].cert;

	for (i = 0; i < hosts->n; i++)
		if (is_twin(hosts->v[i].leader, cert))
			return true;
	return false;
}

SSL_CTX *
tlsctx_hosts_new(struct tlsctx_certs *certs, SSL_CTX *(*make)(void *closure),
    void *closure)
{
	struct tlsctx_hosts *hosts;
	struct tlsctx_host *h;
	SSL_CTX *first;
	size_t i;

	pthread_once(&hosts_once, make_index);
	hosts = calloc(1, sizeof(*hosts) + certs->n * sizeof(hosts->v[0]));
	if (hosts_index == -1 || hosts == NULL) {
		tlsctx_certs_free(certs);
		free(hosts);
		return NULL;
	}
	hosts->certs = certs;
	for (i = 0; i < certs->n; i++) {
		if (is_done(hosts, certs, i))
			continue;
		h = &hosts->v[hosts->n];
		if ((h->ctx = make(closure)) == NULL)
			goto err1;
		hosts->n++;
		h->leader = certs->v[i].cert;
		if (add_certificates(h, certs, i) == -1 ||
		    SSL_CTX_set_app_data(h->ctx, certs) != 1)
			goto err1;
	}
	first = hosts->v[0].ctx;
	SSL_CTX_set_tlsext_servername_callback(first, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(first, hosts);
	if (SSL_CTX_set_ex_data(first, hosts_index, hosts) == 1)
		return first;
err1:
	if (hosts->n > 0)
		SSL_CTX_free(hosts->v[0].ctx);
	hosts_free(hosts);
	return NULL;
}
