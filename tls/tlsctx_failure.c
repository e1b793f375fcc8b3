/* Why a handshake has failed, for the log; see tlsctx.h.
 * Owns: the texts. */

#include "tls/tlsctx.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include "tls/remote.h"

#define ALERT(n)	(SSL_AD_REASON_OFFSET + (n))	/* the client's */

static const struct {
	int			 reason;
	enum tls_failure_kind	 kind;
	const char		*text;
} reasons[] = {
	{ SSL_R_UNEXPECTED_EOF_WHILE_READING, TLS_FAILURE_CLOSED,
	    "the client has closed the connection" },
	{ SSL_R_WRONG_VERSION_NUMBER, TLS_FAILURE_PROTOCOL,
	    "the client did not send TLS" },
	{ SSL_R_HTTP_REQUEST, TLS_FAILURE_PROTOCOL,
	    "the client sent HTTP" },
	{ SSL_R_HTTPS_PROXY_REQUEST, TLS_FAILURE_PROTOCOL,
	    "the client sent HTTP" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, TLS_FAILURE_PROTOCOL,
	    "no protocol version in common" },
	{ SSL_R_VERSION_TOO_LOW, TLS_FAILURE_PROTOCOL,
	    "no protocol version in common" },
	{ SSL_R_NO_SHARED_CIPHER, TLS_FAILURE_PROTOCOL,
	    "no cipher in common, or none for our certificates" },
	{ SSL_R_NO_SUITABLE_GROUPS, TLS_FAILURE_PROTOCOL,
	    "no group in common" },
	{ SSL_R_NO_SUITABLE_KEY_SHARE, TLS_FAILURE_PROTOCOL,
	    "no group in common" },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, TLS_FAILURE_PROTOCOL,
	    "no signature algorithm in common for our certificates" },
	{ SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, TLS_FAILURE_PROTOCOL,
	    "no signature algorithm in common" },
	{ SSL_R_INAPPROPRIATE_FALLBACK, TLS_FAILURE_PROTOCOL,
	    "the client has fallen back to an older version without need" },
	{ SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED, TLS_FAILURE_PROTOCOL,
	    "the client wants to renegotiate unsafely" },
	{ SSL_R_NO_RENEGOTIATION, TLS_FAILURE_PROTOCOL,
	    "the client wants to renegotiate" },
	{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, TLS_FAILURE_VERIFY,
	    "the client has sent no certificate" },
	{ SSL_R_EXCESSIVE_MESSAGE_SIZE, TLS_FAILURE_PROTOCOL,
	    "the client has sent too long a message" },
	{ ALERT(SSL_AD_CLOSE_NOTIFY), TLS_FAILURE_CLOSED,
	    "the client has closed the connection" },
	{ ALERT(SSL_AD_USER_CANCELLED), TLS_FAILURE_CLOSED,
	    "the client has cancelled the handshake" },
	{ ALERT(SSL_AD_BAD_CERTIFICATE), TLS_FAILURE_OTHER,
	    "the client does not accept our certificate" },
	{ ALERT(SSL_AD_UNSUPPORTED_CERTIFICATE), TLS_FAILURE_OTHER,
	    "the client does not accept our certificate: its type" },
	{ ALERT(SSL_AD_CERTIFICATE_REVOKED), TLS_FAILURE_OTHER,
	    "the client does not accept our certificate: revoked" },
	{ ALERT(SSL_AD_CERTIFICATE_EXPIRED), TLS_FAILURE_OTHER,
	    "the client does not accept our certificate: expired" },
	{ ALERT(SSL_AD_CERTIFICATE_UNKNOWN), TLS_FAILURE_OTHER,
	    "the client does not accept our certificate" },
	{ ALERT(SSL_AD_UNKNOWN_CA), TLS_FAILURE_OTHER,
	    "the client does not know who issued our certificate" },
	{ ALERT(SSL_AD_ACCESS_DENIED), TLS_FAILURE_OTHER,
	    "the client does not accept our certificate: access denied" },
	{ ALERT(SSL_AD_PROTOCOL_VERSION), TLS_FAILURE_PROTOCOL,
	    "the client found no protocol version in common" },
	{ ALERT(SSL_AD_HANDSHAKE_FAILURE), TLS_FAILURE_PROTOCOL,
	    "the client found no algorithms in common" },
	{ ALERT(SSL_AD_INSUFFICIENT_SECURITY), TLS_FAILURE_PROTOCOL,
	    "the client wants stronger ciphers" },
	{ ALERT(SSL_AD_NO_RENEGOTIATION), TLS_FAILURE_PROTOCOL,
	    "the client wants to renegotiate" },
	{ ALERT(SSL_AD_INTERNAL_ERROR), TLS_FAILURE_OTHER,
	    "the client has failed" },
};

static const struct {
	long		 result;
	const char	*text;
} verdicts[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED,
	    "the client's certificate: expired" },
	{ X509_V_ERR_CERT_NOT_YET_VALID,
	    "the client's certificate: not valid yet" },
	{ X509_V_ERR_CERT_REVOKED,
	    "the client's certificate: revoked" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
	    "the client's certificate: self-signed" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
	    "the client's certificate: its root is none of TLS_Client_CA" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	    "the client's certificate: its issuer is none of TLS_Client_CA" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
	    "the client's certificate: its issuer is none of TLS_Client_CA" },
	{ X509_V_ERR_INVALID_PURPOSE,
	    "the client's certificate: not for clients" },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG,
	    "the client's certificate: too long a chain" },
	{ X509_V_ERR_EE_KEY_TOO_SMALL,
	    "the client's certificate: too short a key" },
};

static const char *
verdict(long result)
{
	size_t i;

	for (i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		if (verdicts[i].result == result)
			return verdicts[i].text;
	return "the client's certificate does not verify";
}

/* The text for ${e}, the oldest entry of the error queue: it is the cause, the
 * later ones are consequences. */
static const char *
ssl_reason(SSL *ssl, unsigned long e, enum tls_failure_kind *kind_r)
{
	int reason = ERR_GET_REASON(e);
	size_t i;

	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		*kind_r = TLS_FAILURE_VERIFY;
		return verdict(SSL_get_verify_result(ssl));
	}
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].reason == reason) {
			*kind_r = reasons[i].kind;
			return reasons[i].text;
		}
	if (reason == ERR_R_EVP_LIB || reason == ERR_R_MALLOC_FAILURE ||
	    reason == ERR_R_INTERNAL_ERROR) {
		*kind_r = TLS_FAILURE_OTHER;
		return "OpenSSL has failed";
	}
	*kind_r = TLS_FAILURE_PROTOCOL;
	return reason >= SSL_AD_REASON_OFFSET ? "the client has sent an alert" :
	    "the client has broken the rules of TLS";
}

const char *
tls_failure(SSL *ssl, enum tls_failure_kind *kind_r)
{
	unsigned long e = ERR_peek_error();

	if (e == 0) {
		*kind_r = TLS_FAILURE_CLOSED;
		return "the connection was lost";
	}
	if (tls_remote_is_error(e)) {
		*kind_r = TLS_FAILURE_KEY;
		return "the private key gave no signature";
	}
	if (ERR_GET_LIB(e) == ERR_LIB_SSL)
		return ssl_reason(ssl, e, kind_r);
	/* libcrypto could not parse what the client sent */
	if (ERR_GET_LIB(e) == ERR_LIB_ASN1 || ERR_GET_LIB(e) == ERR_LIB_EC ||
	    ERR_GET_LIB(e) == ERR_LIB_X509) {
		*kind_r = TLS_FAILURE_PROTOCOL;
		return "the client has broken the rules of TLS";
	}
	*kind_r = TLS_FAILURE_OTHER;
	return "OpenSSL has failed";
}
