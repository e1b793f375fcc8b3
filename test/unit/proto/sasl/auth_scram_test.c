#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"

#include "proto/sasl/auth_mech.h"
#include "proto/sasl/auth_scram_int.h"

/* RFC 5802 3: StoredKey and ServerKey of a password. */
static void
keys_of(const char *password, const char *salt, unsigned int iterations,
    enum passwdfile_scram_hash hash, struct passwdfile_scram *k)
{
	const EVP_MD *md = hash == PASSWDFILE_SHA1 ? EVP_sha1() :
	    EVP_sha256();
	uint8_t salted[64], client[64];
	unsigned int n;

	memset(k, 0, sizeof(*k));
	k->iterations = iterations;
	k->salt_len = (size_t)base64_decode(salt, strlen(salt), k->salt,
	    sizeof(k->salt));
	k->key_len = (size_t)EVP_MD_get_size(md);
	PKCS5_PBKDF2_HMAC(password, -1, k->salt, (int)k->salt_len,
	    (int)iterations, md, (int)k->key_len, salted);
	HMAC(md, salted, (int)k->key_len, (const uint8_t *)"Client Key", 10,
	    client, &n);
	EVP_Digest(client, n, k->stored_key, NULL, md, NULL);
	HMAC(md, salted, (int)k->key_len, (const uint8_t *)"Server Key", 10,
	    k->server_key, &n);
}

struct vector {
	enum passwdfile_scram_hash	 hash;
	const char		*salt, *nonce;
	const char		*client_first, *server_first;
	const char		*client_final, *server_final;
};

/* The examples of RFC 5802 5 and RFC 7677 3. */
static const struct vector vectors[] = {
	{ PASSWDFILE_SHA1, "QSXCR+Q6sek8bf92", "3rfcNHYJY1ZVvWVs7j",
	    "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
	    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
	    "s=QSXCR+Q6sek8bf92,i=4096",
	    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
	    "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
	    "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=" },
	{ PASSWDFILE_SHA256, "W22ZaJ0SNY7soEsUEjb6gQ==",
	    "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
	    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
	    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" },
};

static void
begin(struct scram_server *s, const struct vector *v)
{
	struct scram_first first;

	memset(s, 0, sizeof(*s));
	s->hash = v->hash;
	keys_of("pencil", v->salt, 4096, v->hash, &s->keys);
	cr_assert_eq(scram_first_parse(v->client_first,
	    strlen(v->client_first), &first), 0);
	cr_assert_str_eq(first.name, "user");
	cr_assert_eq(scram_server_begin(s, v->client_first,
	    strlen(v->client_first), &first, v->nonce), 0);
	cr_assert_str_eq(s->first, v->server_first);
}

static int
check(const struct scram_server *s, const char *message, char *out,
    size_t size)
{
	struct scram_final final;

	cr_assert_eq(scram_final_parse(message, strlen(message), &final), 0,
	    "%s", message);
	return scram_server_check(s, message, &final, out, size);
}

Test(auth_scram, goes_through_the_examples_of_rfc_5802_and_rfc_7677)
{
	const struct vector *v;
	struct scram_server s;
	char out[96];

	for (v = vectors; v < vectors + 2; v++) {
		begin(&s, v);
		cr_assert_eq(check(&s, v->client_final, out, sizeof(out)), 1);
		cr_assert_str_eq(out, v->server_final);
		scram_server_wipe(&s);
	}
}

/* Each character of the message takes part in the proof. */
Test(auth_scram, takes_no_final_message_of_which_a_character_is_another)
{
	const struct vector *v = &vectors[1];
	struct scram_final final;
	struct scram_server s;
	char text[256], out[96];
	size_t i, len = strlen(v->client_final);

	begin(&s, v);
	for (i = 0; i < len; i++) {
		strcpy(text, v->client_final);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		if (scram_final_parse(text, len, &final) == 0)
			cr_assert_neq(scram_server_check(&s, text, &final, out,
			    sizeof(out)), 1, "%s", text);
	}
	scram_server_wipe(&s);
}

Test(auth_scram, a_proof_of_another_hash_is_none)
{
	struct scram_server s;
	char text[256], out[96];

	begin(&s, &vectors[1]);
	snprintf(text, sizeof(text), "c=biws,r=%s,"
	    "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
	    "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
	cr_assert_eq(check(&s, text, out, sizeof(out)), 0);
	scram_server_wipe(&s);
}

/* RFC 5802 7: the formal syntax */
Test(auth_scram, knows_the_grammar_of_a_first_message)
{
	static const struct {
		const char	*text, *name, *authzid, *binding;
		int		 error;
	} rows[] = {
		{ "n,,n=user,r=abc", "user", "", NULL, 0 },
		{ "y,,n=user,r=abc", "user", "", NULL, 0 },
		{ "n,a=boss,n=user,r=abc", "user", "boss", NULL, 0 },
		{ "p=tls-exporter,,n=u,r=a", "u", "", "tls-exporter", 0 },
		{ "n,,n=a=2Cb=3Dc,r=a", "a,b=c", "", NULL, 0 },
		{ "n,,n=M\xc3\xbcller,r=a", "M\xc3\xbcller", "", NULL, 0 },
		{ "n,,n=user,r=abc,x=1,y=zz", "user", "", NULL, 0 },
		{ "n,,m=1,n=user,r=abc", NULL, NULL, NULL, ENOTSUP },
		{ "", NULL, NULL, NULL, EINVAL },
		{ "n", NULL, NULL, NULL, EINVAL },
		{ "n,", NULL, NULL, NULL, EINVAL },
		{ "n,,", NULL, NULL, NULL, EINVAL },
		{ "x,,n=user,r=abc", NULL, NULL, NULL, EINVAL },
		{ "N,,n=user,r=abc", NULL, NULL, NULL, EINVAL },
		{ "p=,,n=user,r=abc", NULL, NULL, NULL, EINVAL },
		{ "p=tls_x,,n=user,r=abc", NULL, NULL, NULL, EINVAL },
		{ "p,,n=user,r=abc", NULL, NULL, NULL, EINVAL },
		{ "n,a=,n=user,r=abc", NULL, NULL, NULL, EINVAL },
		{ "n,boss,n=user,r=abc", NULL, NULL, NULL, EINVAL },
		{ "n,,n=,r=abc", NULL, NULL, NULL, EINVAL },
		{ "n,,n=user,r=", NULL, NULL, NULL, EINVAL },
		{ "n,,n=user", NULL, NULL, NULL, EINVAL },
		{ "n,,r=abc,n=user", NULL, NULL, NULL, EINVAL },
		{ "n,,n=us=er,r=abc", NULL, NULL, NULL, EINVAL },
		{ "n,,n=us=2cer,r=abc", NULL, NULL, NULL, EINVAL },
		{ "n,,n=M\xfcller,r=abc", NULL, NULL, NULL, EINVAL },
		{ "n,,n=user,r=a b", NULL, NULL, NULL, EINVAL },
		{ "n,,n=user,r=a\x7f", NULL, NULL, NULL, EINVAL },
		{ "n,,n=user,r=abc,", NULL, NULL, NULL, EINVAL },
		{ "n,,n=user,r=abc,x", NULL, NULL, NULL, EINVAL },
		{ "n,,n=user,r=abc,x=", NULL, NULL, NULL, EINVAL },
		{ "n,,n=user,r=abc,1=x", NULL, NULL, NULL, EINVAL },
	};
	struct scram_first f;
	size_t i;
	int res;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		errno = 0;
		res = scram_first_parse(rows[i].text, strlen(rows[i].text), &f);
		cr_assert_eq(res == -1 ? errno : 0, rows[i].error, "%s",
		    rows[i].text);
		if (rows[i].error != 0)
			continue;
		cr_assert_str_eq(f.name, rows[i].name);
		cr_assert_str_eq(f.authzid, rows[i].authzid);
		if (rows[i].binding != NULL)
			cr_assert_arr_eq(f.binding, rows[i].binding,
			    f.binding_len);
	}
}

Test(auth_scram, a_nul_is_nowhere_in_a_message)
{
	static const char first[] = "n,,n=us\0er,r=abc", nonce[] =
	    "n,,n=user,r=a\0c";
	struct scram_first f;

	cr_assert_eq(scram_first_parse(first, sizeof(first) - 1, &f), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(scram_first_parse(nonce, sizeof(nonce) - 1, &f), -1);
	cr_assert_eq(errno, EINVAL);
}

Test(auth_scram, names_and_nonces_have_a_length)
{
	char text[AUTH_NONCE_MAX + 64], *p;
	struct scram_first f;

	p = stpcpy(text, "n,,n=");
	memset(p, 'u', AUTH_LOGIN_MAX + 1);
	strcpy(p + AUTH_LOGIN_MAX + 1, ",r=a");
	cr_assert_eq(scram_first_parse(text, strlen(text), &f), -1);
	cr_assert_eq(errno, ENAMETOOLONG);
	strcpy(p + AUTH_LOGIN_MAX, ",r=a");
	cr_assert_eq(scram_first_parse(text, strlen(text), &f), 0);
	cr_assert_eq(strlen(f.name), AUTH_LOGIN_MAX);

	p = stpcpy(text, "n,,n=u,r=");
	memset(p, 'r', AUTH_NONCE_MAX + 1);
	cr_assert_eq(scram_first_parse(text, 9 + AUTH_NONCE_MAX, &f), 0);
	cr_assert_eq(scram_first_parse(text, 10 + AUTH_NONCE_MAX, &f), -1);
	cr_assert_eq(errno, EINVAL);
}

/* RFC 5802 7: the formal syntax */
Test(auth_scram, knows_the_grammar_of_a_final_message)
{
	static const struct {
		const char	*text;
		int		 res;
	} rows[] = {
		{ "c=biws,r=abc,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", 0 },
		{ "c=biws,r=abc,x=1,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", 0 },
		{ "", -1 },
		{ "c=biws", -1 },
		{ "c=biws,r=abc", -1 },
		{ "c=biws,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", -1 },
		{ "r=abc,c=biws,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", -1 },
		{ "c=biws,r=abc,p=", -1 },
		{ "c=biws,r=abc,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts", -1 },
		{ "c=biws,r=abc,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=,x=1", -1 },
		{ "c=biws,r=abc,p=v0X8,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", -1 },
		{ "c=biws,r=,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", -1 },
		{ "c=biws,r=abc,p=****", -1 },
	};
	struct scram_final f;
	char proof[256];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(scram_final_parse(rows[i].text,
		    strlen(rows[i].text), &f), rows[i].res, "%s",
		    rows[i].text);
	/* a proof that no hash is long enough for */
	memset(proof, 'A', sizeof(proof));
	memcpy(proof, "c=biws,r=abc,p=", 15);
	cr_assert_eq(scram_final_parse(proof, 15 + 88, &f), -1);
}
