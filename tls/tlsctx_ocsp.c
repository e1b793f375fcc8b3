/* OCSP responses (RFC 6960); see tlsctx.h.
 * Owns: which response is of use, and until when it may be sent. */

#include "tls/tlsctx.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include <stdio.h>

#include "tls/tlsctx_int.h"

/* What a response says of ${cert}.  NULL with a message: nothing. */
static OCSP_SINGLERESP *
find_single(OCSP_BASICRESP *basic, X509 *cert, char *err_r, size_t errlen)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	ASN1_INTEGER *of;
	OCSP_SINGLERESP *one;
	int i;

	for (i = 0; i < OCSP_resp_count(basic); i++) {
		one = OCSP_resp_get0(basic, i);
		if (OCSP_id_get0_info(NULL, NULL, NULL, &of,
		    (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(one))
		    == 1 && ASN1_INTEGER_cmp(of, serial) == 0)
			return one;
	}
	snprintf(err_r, errlen, "is for another certificate");
	return NULL;
}

static int
read_single(struct tlsctx_cert *c, OCSP_BASICRESP *basic, char *err_r,
    size_t errlen)
{
	ASN1_GENERALIZEDTIME *this_update = NULL, *next_update = NULL;
	OCSP_SINGLERESP *one = find_single(basic, c->cert, err_r, errlen);

	if (one == NULL)
		return -1;
	if (OCSP_single_get0_status(one, NULL, NULL, &this_update,
	    &next_update) != V_OCSP_CERTSTATUS_GOOD) {
		snprintf(err_r, errlen, "does not say that the certificate is "
		    "good");
		return -1;
	}
	c->this_update = tlsctx_time(this_update);
	/* RFC 6960 2.4: without it there may be a newer one at any time */
	c->next_update = next_update != NULL ? tlsctx_time(next_update) : -1;
	if (c->this_update == -1 || c->next_update == -1) {
		snprintf(err_r, errlen, "has no time of the next update");
		return -1;
	}
	return 0;
}

static int
ocsp_read(struct tlsctx_cert *c, struct tlsctx_octets ocsp, char *err_r,
    size_t errlen)
{
	const unsigned char *p = (const unsigned char *)ocsp.v;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)ocsp.len);
	OCSP_BASICRESP *basic = NULL;
	int rc = -1;

	if (response == NULL || p != (const unsigned char *)ocsp.v + ocsp.len)
		snprintf(err_r, errlen, "is not an OCSP response in DER");
	else if (OCSP_response_status(response) !=
	    OCSP_RESPONSE_STATUS_SUCCESSFUL ||
	    (basic = OCSP_response_get1_basic(response)) == NULL)
		snprintf(err_r, errlen, "is an OCSP response that reports "
		    "an error");
	else
		rc = read_single(c, basic, err_r, errlen);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	return rc;
}

void
tlsctx_ocsp_load(struct tlsctx_cert *cert, struct tlsctx_octets ocsp)
{
	char err[TLSCTX_ERROR_MAX];

	if (ocsp.len == 0 || ocsp_read(cert, ocsp, err, sizeof(err)) == -1)
		return;
	cert->ocsp = OPENSSL_memdup(ocsp.v, ocsp.len);
	cert->ocsp_len = ocsp.len;
}

int
tls_ocsp_check(struct tlsctx_octets ocsp, struct tlsctx_octets cert,
    char *err_r, size_t errlen)
{
	struct tlsctx_cert c = { 0 };
	STACK_OF(X509) *chain;
	time_t now = time(NULL);
	int rc;

	if (tlsctx_pem_read(cert, &chain, err_r, errlen) == -1)
		return -1;
	c.cert = sk_X509_value(chain, 0);
	rc = ocsp_read(&c, ocsp, err_r, errlen);
	if (rc == 0 && (now < c.this_update || now >= c.next_update)) {
		snprintf(err_r, errlen, now < c.this_update ?
		    "is not valid yet" : "has expired");
		rc = -1;
	}
	sk_X509_pop_free(chain, X509_free);
	return rc;
}
