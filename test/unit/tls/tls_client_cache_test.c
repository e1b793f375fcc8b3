#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <string.h>

#include "core/lim.h"
#include "tls/tls_client_int.h"

static SSL_CTX *ctx;
static struct tls_client_cache *cache;
static SSL_SESSION *session;
static struct tls_client_shown shown;
static int64_t now;

static void
setup(void)
{
	static const unsigned char id[] = "id", secret[48] = "secret";
	const SSL_CIPHER *cipher;
	SSL *ssl;

	ctx = SSL_CTX_new(TLS_client_method());
	cache = tls_client_cache_new(ctx);
	cr_assert_not_null(cache);
	cr_assert_eq(tls_client_cache_of(ctx), cache);
	ssl = SSL_new(ctx);
	cipher = sk_SSL_CIPHER_value(SSL_get_ciphers(ssl), 0);
	session = SSL_SESSION_new();
	cr_assert_eq(SSL_SESSION_set_cipher(session, cipher), 1);
	cr_assert_eq(SSL_SESSION_set_protocol_version(session,
	    TLS1_3_VERSION), 1);
	cr_assert_eq(SSL_SESSION_set1_id(session, id, sizeof(id)), 1);
	cr_assert_eq(SSL_SESSION_set1_master_key(session, secret,
	    sizeof(secret)), 1);
	SSL_free(ssl);
	now = 1000000;
	shown = (struct tls_client_shown) { .verdict = TLS_CLIENT_DANE_TA,
		.since = now, .name = "mx.example.test" };
}

static void
teardown(void)
{
	SSL_SESSION_free(session);
	SSL_CTX_free(ctx);
}

TestSuite(tls_client_cache, .init = setup, .fini = teardown, .timeout = 60);

static void
put(unsigned int i)
{
	uint8_t key[TLS_CLIENT_KEY] = { (uint8_t)i, (uint8_t)(i >> 8) };

	tls_client_cache_put(cache, key, session, &shown, now);
}

static bool
has(unsigned int i)
{
	uint8_t key[TLS_CLIENT_KEY] = { (uint8_t)i, (uint8_t)(i >> 8) };
	struct tls_client_shown got;
	SSL_SESSION *s = tls_client_cache_get(cache, key, now, &got);

	if (s == NULL)
		return false;
	cr_assert_eq(got.verdict, TLS_CLIENT_DANE_TA);
	cr_assert_str_eq(got.name, "mx.example.test");
	SSL_SESSION_free(s);
	return true;
}

Test(tls_client_cache, the_ones_used_last_are_kept)
{
	unsigned int i;

	for (i = 0; i < LIM_TLS_SESSIONS; i++)
		put(i);
	cr_assert(has(0));
	put(LIM_TLS_SESSIONS);
	cr_assert(has(0));
	cr_assert(!has(1));
	cr_assert(has(2));
	cr_assert(has(LIM_TLS_SESSIONS));
	/* one that is put again takes no place of another */
	put(LIM_TLS_SESSIONS);
	cr_assert(has(3));
}

Test(tls_client_cache, none_is_kept_longer_than_its_time)
{
	put(1);
	now += LIM_TLS_SESSION_SECONDS - 1;
	cr_assert(has(1));
	now++;
	cr_assert(!has(1));
	/* one that is too old when it comes does not leave a newer one */
	shown.since = now;
	put(2);
	shown.since -= LIM_TLS_SESSION_SECONDS;
	put(2);
	cr_assert(!has(2));
}

Test(tls_client_cache, one_that_is_too_large_is_not_kept)
{
	static unsigned char data[LIM_TLS_SESSION];

	put(1);
	cr_assert_eq(SSL_SESSION_set1_ticket_appdata(session, data,
	    sizeof(data)), 1);
	put(1);
	cr_assert(!has(1));
}

Test(tls_client_cache, one_is_dropped)
{
	static const uint8_t key[TLS_CLIENT_KEY] = { 1 };

	put(1);
	put(2);
	tls_client_cache_drop(cache, key);
	tls_client_cache_drop(cache, key);
	cr_assert(!has(1));
	cr_assert(has(2));
}
