#include "keys_fixture.h"

#include <sys/mman.h>

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>
#include <unistd.h>

const char *const keys_names[KEYS_NKINDS] = { "RSA", "RSA-PSS",
    "P-256", "P-384", "P-521", "ED25519" };

static EVP_PKEY *
rsa_key(const char *name)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, name, NULL);
	EVP_PKEY *key = NULL;

	cr_assert_eq(EVP_PKEY_keygen_init(ctx), 1);
	cr_assert_eq(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048), 1);
	cr_assert_eq(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *
keys_make(enum keys_kind kind)
{
	const char *name = keys_names[kind];
	EVP_PKEY *key;

	if (kind <= KEYS_RSA_PSS)
		key = rsa_key(name);
	else if (kind == KEYS_ED25519)
		key = EVP_PKEY_Q_keygen(NULL, NULL, name);
	else
		key = EVP_EC_gen(name);
	cr_assert_not_null(key);
	return key;
}

X509 *
keys_certificate(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -86400);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"mx.example.test", -1, -1, 0);
	X509_set_issuer_name(x, name);
	cr_assert_neq(X509_sign(x, key, EVP_PKEY_is_a(key, "ED25519") ? NULL :
	    EVP_sha256()), 0);
	return x;
}

char *
keys_cert_pem(X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *copy;
	long len;

	cr_assert_eq(PEM_write_bio_X509(bio, x), 1);
	len = BIO_get_mem_data(bio, &data);
	copy = strndup(data, (size_t)len);
	BIO_free(bio);
	return copy;
}

int
keys_text_file(const char *text)
{
	int fd = memfd_create("key", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

int
keys_file(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	int fd;

	cr_assert_eq(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL,
	    NULL), 1);
	cr_assert_eq(BIO_write(bio, "", 1), 1);
	BIO_get_mem_data(bio, &data);
	fd = keys_text_file(data);
	BIO_free(bio);
	return fd;
}

char *
keys_text(EVP_PKEY *key, bool is_traditional, const EVP_CIPHER *cipher)
{
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char pass[] = "pass";
	char *data, *copy;
	long len;

	if (is_traditional)
		cr_assert_eq(PEM_write_bio_PrivateKey_traditional(bio, key,
		    cipher, cipher != NULL ? pass : NULL,
		    cipher != NULL ? 4 : 0, NULL, NULL), 1);
	else
		cr_assert_eq(PEM_write_bio_PKCS8PrivateKey(bio, key, cipher,
		    cipher != NULL ? "pass" : NULL, cipher != NULL ? 4 : 0,
		    NULL, NULL), 1);
	len = BIO_get_mem_data(bio, &data);
	copy = strndup(data, (size_t)len);
	BIO_free(bio);
	return copy;
}

size_t
keys_tls13(uint8_t *tbs, const char *context, size_t hash)
{
	memset(tbs, ' ', 64);
	memcpy(tbs + 64, context, strlen(context) + 1);
	memset(tbs + 64 + strlen(context) + 1, 0xab, hash);
	return 64 + strlen(context) + 1 + hash;
}

void
keys_open(struct keys_link *p, X509 *cert, EVP_PKEY *key, int version)
{
	BIO *a, *b;

	memset(p, 0, sizeof(*p));
	p->server_ctx = SSL_CTX_new(TLS_server_method());
	p->client_ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(p->server_ctx, version);
	SSL_CTX_set_max_proto_version(p->server_ctx, version);
	cr_assert_eq(SSL_CTX_use_certificate(p->server_ctx, cert), 1);
	cr_assert_eq(SSL_CTX_use_PrivateKey(p->server_ctx, key), 1);
	cr_assert_eq(SSL_CTX_check_private_key(p->server_ctx), 1);
	p->server = SSL_new(p->server_ctx);
	p->client = SSL_new(p->client_ctx);
	SSL_set_mode(p->server, SSL_MODE_ASYNC);
	SSL_set_accept_state(p->server);
	SSL_set_connect_state(p->client);
	cr_assert_eq(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(p->server, a, a);
	SSL_set_bio(p->client, b, b);
}

void
keys_close(struct keys_link *p)
{
	SSL_free(p->server);
	SSL_free(p->client);
	SSL_CTX_free(p->server_ctx);
	SSL_CTX_free(p->client_ctx);
}

bool
keys_step(struct keys_link *p)
{
	ERR_clear_error();
	p->client_rc = SSL_do_handshake(p->client);
	ERR_clear_error();
	p->server_rc = SSL_do_handshake(p->server);
	return p->client_rc == 1 && p->server_rc == 1;
}

int
keys_server_error(const struct keys_link *p)
{
	return SSL_get_error(p->server, p->server_rc);
}
