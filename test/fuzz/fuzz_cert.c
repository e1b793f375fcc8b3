/* What the master, a worker and keyd read of certificates, keys and OCSP responses,
 * and the texts of options that are OpenSSL's: which of them, then the octets. */

#include "test/fuzz/fuzz.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/lib/simtls.h"
#include "tls/keeper.h"
#include "tls/tlsctx.h"

static struct tlsctx_octets
octets(const struct fuzz_input *in)
{
	return (struct tlsctx_octets){ (const char *)in->p, in->left };
}

static void
certificate(const struct fuzz_input *in)
{
	char err[TLSCTX_ERROR_MAX] = "";
	struct tls_cert_info info;

	if (tls_cert_info(octets(in), &info, err, sizeof(err)) == -1)
		FUZZ_HOLDS(err[0] != '\0');
	else
		FUZZ_HOLDS(memchr(info.name, '\0', sizeof(info.name)) !=
		    NULL && memchr(info.kind, '\0', sizeof(info.kind)) !=
		    NULL);
}

static void
ocsp(const struct fuzz_input *in, const char *cert)
{
	const struct tlsctx_octets c = { cert, strlen(cert) };
	char err[TLSCTX_ERROR_MAX] = "";

	if (tls_ocsp_check(octets(in), c, err, sizeof(err)) == -1)
		FUZZ_HOLDS(err[0] != '\0');
}

static void
key(const struct fuzz_input *in, const char *cert)
{
	char path[FUZZ_PATH], err[KEEPER_ERROR_MAX] = "";
	int fd = fuzz_file(in->p, in->left, path);
	struct keeper *k = keeper_new();

	FUZZ_HOLDS(k != NULL);
	if (keeper_load(k, 1, 0, fd, cert, strlen(cert), err, sizeof(err)) ==
	    -1)
		FUZZ_HOLDS(err[0] != '\0');
	keeper_free(k);
	close(fd);
}

/* One of its texts is of the input. */
static void
context(const struct fuzz_input *in, const char *cert, unsigned int what)
{
	struct tlsctx_pair pair = { .cert = { cert, strlen(cert) } };
	struct tlsctx_config c = { .protocols = "TLSv1.2 TLSv1.3",
		.ciphers = "", .ciphersuites = "", .groups = "",
		.verify = TLSCTX_VERIFY_OPTIONAL, .version = 1,
		.pairs = &pair, .npairs = 1 };
	char err[TLSCTX_ERROR_MAX] = "";
	struct tlsctx *t;
	int which = -1;

	if (what == 0)
		pair.cert = octets(in);
	else if (what == 1)
		c.client_ca = octets(in);
	else
		pair.ocsp = octets(in);
	t = tlsctx_new(&c, &which, err, sizeof(err));
	FUZZ_HOLDS(t != NULL || err[0] != '\0');
	tlsctx_free(t);
}

static void
texts(struct fuzz_input *in)
{
	char text[4][512], err[TLSCTX_ERROR_MAX] = "", which = '\0';
	struct tlsctx_config c = { .protocols = text[0], .ciphers = text[1],
		.ciphersuites = text[2], .groups = text[3] };
	const char *s;
	size_t i, len;

	for (i = 0; i < 4; i++) {
		s = fuzz_line(in, &len);
		snprintf(text[i], sizeof(text[i]), "%.*s", (int)len, s);
	}
	if (tlsctx_check(&c, &which, err, sizeof(err)) == -1)
		FUZZ_HOLDS(err[0] != '\0' && strchr("pcsg", which) != NULL);
}

void
fuzz_cert(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	uint8_t which = fuzz_octet(&in);
	const char *cert, *right;

	FUZZ_HOLDS(simtls_setup() == 0);
	simtls_server_pem(&cert, &right);
	switch (which % 7) {
	case 0:
		certificate(&in);
		break;
	case 1:
		ocsp(&in, cert);
		break;
	case 2:
		key(&in, cert);
		break;
	case 3:
		texts(&in);
		break;
	default:
		context(&in, cert, which % 7 - 4);
	}
	ERR_clear_error();
}
