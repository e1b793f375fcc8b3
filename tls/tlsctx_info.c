/* What a certificate says, and what a handshake has come to; see tlsctx.h.
 * Owns: times, names and hashes for people and for channel bindings. */

#include "tls/tlsctx.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tlsctx_int.h"

#define NAME_OCTETS	256

/* --- names ---------------------------------------------------------------- */

/* Into ${buf} if it is printable ASCII and fits: it goes into headers, logs and
 * decisions. */
static bool
copy_name(const ASN1_STRING *s, char *buf, size_t size)
{
	int i, len = ASN1_STRING_length(s);
	const unsigned char *v = ASN1_STRING_get0_data(s);

	if (len <= 0 || (size_t)len >= size)
		return false;
	for (i = 0; i < len; i++)
		if (v[i] <= ' ' || v[i] > '~')
			return false;
	memcpy(buf, v, (size_t)len);
	buf[len] = '\0';
	return true;
}

static bool
alternative_name(X509 *cert, int type, char *buf, size_t size)
{
	GENERAL_NAMES *names;
	bool has = false;
	int i, is;

	names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (i = 0; !has && i < sk_GENERAL_NAME_num(names); i++) {
		const ASN1_STRING *s = GENERAL_NAME_get0_value(
		    sk_GENERAL_NAME_value(names, i), &is);

		has = is == type && copy_name(s, buf, size);
	}
	GENERAL_NAMES_free(names);
	return has;
}

static bool
subject_name(X509 *cert, int nid, char *buf, size_t size)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int i = X509_NAME_get_index_by_NID(subject, nid, -1);

	return i >= 0 && copy_name(X509_NAME_ENTRY_get_data(
	    X509_NAME_get_entry(subject, i)), buf, size);
}

int
tls_cert_info(struct tlsctx_octets cert, struct tls_cert_info *info_r,
    char *err_r, size_t errlen)
{
	STACK_OF(X509) *chain;
	EVP_PKEY *key;
	X509 *x;

	if (tlsctx_pem_read(cert, &chain, err_r, errlen) == -1)
		return -1;
	memset(info_r, 0, sizeof(*info_r));
	x = sk_X509_value(chain, 0);
	info_r->not_before = tlsctx_time(X509_get0_notBefore(x));
	info_r->not_after = tlsctx_time(X509_get0_notAfter(x));
	if (!alternative_name(x, GEN_DNS, info_r->name, sizeof(info_r->name)))
		(void)subject_name(x, NID_commonName, info_r->name,
		    sizeof(info_r->name));
	if ((key = X509_get0_pubkey(x)) != NULL)
		tlsctx_kind(key, info_r->kind, sizeof(info_r->kind));
	else
		snprintf(info_r->kind, sizeof(info_r->kind), "unknown");
	sk_X509_pop_free(chain, X509_free);
	ERR_clear_error();
	return 0;
}

/* --- a handshake ---------------------------------------------------------- */

static int
set_peer_name(SSL *ssl, struct tls_description *d)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	char name[NAME_OCTETS];

	/* without verification the result is good, too; and of a session that
	 * is resumed the ticket says it (tlsctx_ticket.c) */
	d->is_verified = cert != NULL && !d->is_resumed &&
	    (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0 &&
	    SSL_get_verify_result(ssl) == X509_V_OK;
	if (!d->is_verified ||
	    !(alternative_name(cert, GEN_EMAIL, name, sizeof(name)) ||
	    alternative_name(cert, GEN_DNS, name, sizeof(name)) ||
	    subject_name(cert, NID_pkcs9_emailAddress, name, sizeof(name)) ||
	    subject_name(cert, NID_commonName, name, sizeof(name))))
		return 0;
	return (d->peer_name = strdup(name)) != NULL ? 0 : -1;
}

int
tls_describe(SSL *ssl, struct tls_description *d_r)
{
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	memset(d_r, 0, sizeof(*d_r));
	d_r->protocol = SSL_get_version(ssl);
	d_r->cipher = SSL_get_cipher_name(ssl);
	d_r->bits = SSL_get_cipher_bits(ssl, NULL);
	d_r->is_resumed = SSL_session_reused(ssl) == 1;
	if (sni != NULL && (d_r->server_name = strdup(sni)) == NULL)
		return -1;
	if (set_peer_name(ssl, d_r) == -1) {
		free(d_r->server_name);
		d_r->server_name = NULL;
		return -1;
	}
	ERR_clear_error();
	return 0;
}

/* --- channel bindings ----------------------------------------------------- */

size_t
tls_exporter(SSL *ssl, uint8_t out_r[32])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	/* RFC 9266 4.2: before TLS 1.3 the keys belong to one session only
	 * with extended_master_secret */
	if (!SSL_is_init_finished(ssl) ||
	    (SSL_version(ssl) < TLS1_3_VERSION &&
	    SSL_get_extms_support(ssl) != 1))
		return 0;
	/* RFC 9266 2: the context is there, and empty */
	if (SSL_export_keying_material(ssl, out_r, 32, label,
	    sizeof(label) - 1, (const unsigned char *)"", 0, 1) != 1) {
		ERR_clear_error();
		return 0;
	}
	return 32;
}
