/* What a server has shown to a client; see tls_client.h.
 * Owns: the texts. */

#include "tls/tls_client_int.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALERT(reason)	((reason) - SSL_AD_REASON_OFFSET)

/* --- the certificate ------------------------------------------------------ */

static const struct {
	int		 error;
	enum tls_client_verdict verdict;
	const char	*text;
} verdicts[] = {
	{ X509_V_ERR_HOSTNAME_MISMATCH, TLS_CLIENT_MISMATCH,
	    "the server's certificate is for another name" },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, TLS_CLIENT_MISMATCH,
	    "the server's certificate is not for its address" },
	{ X509_V_ERR_CERT_HAS_EXPIRED, TLS_CLIENT_EXPIRED,
	    "the server's certificate, or that of its issuer, has expired" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, TLS_CLIENT_EXPIRED,
	    "the server's certificate, or that of its issuer, is not valid yet" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, TLS_CLIENT_UNTRUSTED,
	    "the server's certificate is signed by itself" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, TLS_CLIENT_UNTRUSTED,
	    "the server's certificate: its root is none of our authorities" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, TLS_CLIENT_UNTRUSTED,
	    "the server's certificate: its issuer is none of our authorities" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, TLS_CLIENT_UNTRUSTED,
	    "the server's certificate: its issuer is none of our authorities" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, TLS_CLIENT_UNTRUSTED,
	    "the server's certificate: its issuer is none of our authorities" },
	{ X509_V_ERR_DANE_NO_MATCH, TLS_CLIENT_NO_TLSA,
	    "the server's certificate: no TLSA record matches it" },
	{ X509_V_ERR_INVALID_PURPOSE, TLS_CLIENT_INVALID,
	    "the server's certificate is not for servers" },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG, TLS_CLIENT_INVALID,
	    "the server's certificate: too long a chain" },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, TLS_CLIENT_INVALID,
	    "the server's certificate: too short a key" },
};
#define NVERDICTS (sizeof(verdicts) / sizeof(verdicts[0]))

static enum tls_client_verdict
verdict_of(int error, char why[TLS_CLIENT_WHY_MAX])
{
	size_t i;

	for (i = 0; i < NVERDICTS; i++)
		if (verdicts[i].error == error) {
			snprintf(why, TLS_CLIENT_WHY_MAX, "%s",
			    verdicts[i].text);
			return verdicts[i].verdict;
		}
	snprintf(why, TLS_CLIENT_WHY_MAX, "the server's certificate: %s",
	    X509_verify_cert_error_string(error));
	return TLS_CLIENT_INVALID;
}

static enum tls_client_verdict
nothing(char why[TLS_CLIENT_WHY_MAX], const char *text)
{
	snprintf(why, TLS_CLIENT_WHY_MAX, "%s", text);
	return TLS_CLIENT_NOTHING;
}

/* A certificate without an error: by what is it verified? */
static enum tls_client_verdict
verified_by(const struct tls_client *t, SSL *ssl, char *why)
{
	uint8_t usage;

	if (!t->has_tlsa)
		return TLS_CLIENT_VERIFIED;
	if (SSL_get0_dane_tlsa(ssl, &usage, NULL, NULL, NULL, NULL) < 0)
		return verdict_of(X509_V_ERR_DANE_NO_MATCH, why);
	return usage == TLS_CLIENT_USAGE_EE ? TLS_CLIENT_DANE_EE :
	    TLS_CLIENT_DANE_TA;
}

static enum tls_client_verdict
judge(const struct tls_client *t, SSL *ssl, char why[TLS_CLIENT_WHY_MAX])
{
	long result = SSL_get_verify_result(ssl);

	if (t->has_unusable)
		return nothing(why, "none of the server's TLSA records can be "
		    "used");
	if (!t->has_tlsa && !t->has_name)
		return nothing(why, "no name to verify the server by");
	if (t->error != X509_V_OK)
		return verdict_of(t->error, why);
	if (SSL_get0_peer_certificate(ssl) == NULL)
		return verdict_of(X509_V_ERR_UNSPECIFIED, why);
	if (result != X509_V_OK)
		return verdict_of((int)result, why);
	return verified_by(t, ssl, why);
}

static bool
is_verified(enum tls_client_verdict verdict)
{
	return verdict == TLS_CLIENT_VERIFIED ||
	    verdict == TLS_CLIENT_DANE_TA || verdict == TLS_CLIENT_DANE_EE;
}

/* The name in the certificate goes into the log. */
static void
copy_name(char to[TLS_CLIENT_WHY_MAX], const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return;
	if (i < TLS_CLIENT_WHY_MAX)
		memcpy(to, name, i + 1);
}

void
tls_client_shown(const struct tls_client *t, SSL *ssl,
    struct tls_client_shown *shown_r)
{
	const char *name;

	if (t->has_offered && SSL_session_reused(ssl) == 1) {
		*shown_r = t->offered;
		return;
	}
	memset(shown_r, 0, sizeof(*shown_r));
	shown_r->since = tls_client_now();
	shown_r->verdict = judge(t, ssl, shown_r->why);
	if (is_verified(shown_r->verdict) &&
	    (name = SSL_get0_peername(ssl)) != NULL)
		copy_name(shown_r->name, name);
}

void
tls_client_learn(struct tls_client *t, SSL *ssl)
{
	struct tls_client_facts *f = &t->facts;
	struct tls_client_shown shown;

	tls_client_shown(t, ssl, &shown);
	*f = (struct tls_client_facts) {
		.is_done = true,
		.is_verified = is_verified(shown.verdict),
		.is_resumed = SSL_session_reused(ssl) == 1,
		.verdict = shown.verdict,
		.protocol = SSL_get_version(ssl),
		.cipher = SSL_get_cipher_name(ssl),
		.bits = SSL_get_cipher_bits(ssl, NULL),
	};
	memcpy(f->name, shown.name, sizeof(f->name));
	memcpy(f->why, shown.why, sizeof(f->why));
}

/* --- a handshake that has failed ------------------------------------------ */

static const struct {
	int		 reason;
	const char	*text;
} reasons[] = {
	{ SSL_R_WRONG_VERSION_NUMBER, "the server did not send TLS" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "no protocol version in common" },
	{ SSL_R_VERSION_TOO_LOW, "no protocol version in common" },
	{ SSL_R_DH_KEY_TOO_SMALL, "the server's key for the exchange is too "
	    "short" },
	{ SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED,
	    "the server does not know safe renegotiation (RFC 5746)" },
	{ SSL_R_EXCESSIVE_MESSAGE_SIZE, "the server has sent too long a "
	    "message" },
};

static void
explain(char why[TLS_CLIENT_WHY_MAX], unsigned long e)
{
	int reason = ERR_GET_REASON(e);
	const char *words = ERR_reason_error_string(e);
	size_t i;

	if (ERR_GET_LIB(e) == ERR_LIB_SSL) {
		for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
			if (reasons[i].reason == reason) {
				snprintf(why, TLS_CLIENT_WHY_MAX, "%s",
				    reasons[i].text);
				return;
			}
		if (reason > SSL_AD_REASON_OFFSET) {
			snprintf(why, TLS_CLIENT_WHY_MAX, "the server has "
			    "ended the handshake with the alert \"%s\"",
			    SSL_alert_desc_string_long(ALERT(reason)));
			return;
		}
	}
	snprintf(why, TLS_CLIENT_WHY_MAX, "the TLS handshake has failed: %s",
	    words != NULL ? words : "OpenSSL does not say why");
}

void
tls_client_failed(struct tls_client *t, int errnum)
{
	struct tls_client_facts *f = &t->facts;
	unsigned long e = ERR_peek_error();

	memset(f, 0, sizeof(*f));
	if (t->must_verify && t->error != X509_V_OK)
		f->verdict = verdict_of(t->error, f->why);
	else if (errnum == 0 || errnum == ECONNRESET) {
		f->verdict = TLS_CLIENT_CLOSED;
		snprintf(f->why, sizeof(f->why), "the server has closed the "
		    "connection in the TLS handshake");
	} else if (e != 0) {
		f->verdict = TLS_CLIENT_BROKEN;
		explain(f->why, e);
	} else {
		f->verdict = TLS_CLIENT_CLOSED;
		snprintf(f->why, sizeof(f->why), "the connection has failed in "
		    "the TLS handshake: %s", strerror(errnum));
	}
}
