#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"

#include "test/unit/proto/sasl/auth_mech_fake.h"

static const char exporter[] = "0123456789abcdef0123456789abcdef";
static const char endpoint[] = "fedcba9876543210fedcba9876543210";

static void
bind_both(struct fake *f)
{
	f->start.exporter = (const uint8_t *)exporter;
	f->start.exporter_len = 32;
	f->start.endpoint = (const uint8_t *)endpoint;
	f->start.endpoint_len = 32;
	f->start.is_plus_offered = true;
}

/* A client of our own, for what GNU SASL's has not: RFC 5802 3. */
struct own {
	const char	*mech, *password;
	const char	*gs2;		/* "p=tls-server-end-point,," */
	const void	*binding;
	size_t		 binding_len;
	const char	*bare;		/* "n=user,r=..." */
	char		 auth_message[4096], final[2048];
	uint8_t		 server_key[64];
};

static const EVP_MD *
md_of(const struct own *o)
{
	return strstr(o->mech, "256") != NULL ? EVP_sha256() : EVP_sha1();
}

static void
own_first(const struct own *o, char *text, size_t size)
{
	snprintf(text, size, "%s%s", o->gs2, o->bare);
}

/* client-final-message for ${server_first}. */
static void
own_final(struct own *o, const char *server_first)
{
	char nonce[512], salt64[128], cb[256], cb64[512], proof64[128];
	uint8_t salt[64], salted[64], key[64], stored[64], signature[64];
	const EVP_MD *md = md_of(o);
	int len = EVP_MD_get_size(md), i;
	size_t cb_len = strlen(o->gs2);
	unsigned int n, iterations;
	ssize_t salt_len;

	cr_assert_eq(sscanf(server_first, "r=%511[^,],s=%127[^,],i=%u", nonce,
	    salt64, &iterations), 3, "%s", server_first);
	salt_len = base64_decode(salt64, strlen(salt64), salt, sizeof(salt));
	memcpy(cb, o->gs2, cb_len);
	memcpy(cb + cb_len, o->binding, o->binding_len);
	base64_encode(cb, cb_len + o->binding_len, cb64, sizeof(cb64));
	snprintf(o->final, sizeof(o->final), "c=%s,r=%s", cb64, nonce);
	snprintf(o->auth_message, sizeof(o->auth_message), "%s,%s,%s", o->bare,
	    server_first, o->final);
	PKCS5_PBKDF2_HMAC(o->password, -1, salt, (int)salt_len,
	    (int)iterations, md, len, salted);
	HMAC(md, salted, len, (const uint8_t *)"Server Key", 10,
	    o->server_key, &n);
	HMAC(md, salted, len, (const uint8_t *)"Client Key", 10, key, &n);
	EVP_Digest(key, n, stored, NULL, md, NULL);
	HMAC(md, stored, len, (const uint8_t *)o->auth_message,
	    strlen(o->auth_message), signature, &n);
	for (i = 0; i < len; i++)
		key[i] ^= signature[i];
	base64_encode(key, (size_t)len, proof64, sizeof(proof64));
	strcat(strcat(o->final, ",p="), proof64);
}

static bool
own_is_content(const struct own *o, const char *server_final)
{
	uint8_t signature[64];
	char text[128] = "v=";
	unsigned int n;

	HMAC(md_of(o), o->server_key, EVP_MD_get_size(md_of(o)),
	    (const uint8_t *)o->auth_message, strlen(o->auth_message),
	    signature, &n);
	base64_encode(signature, n, text + 2, sizeof(text) - 2);
	return strcmp(server_final, text) == 0;
}

static enum esmtp_auth_status
own_play(struct fake *f, struct own *o)
{
	struct auth_exchange *x = fake_exchange(f, o->mech);
	struct said said;
	char first[1024];

	own_first(o, first, sizeof(first));
	if (say_text(x, first, &said) == ESMTP_AUTH_CHALLENGE) {
		own_final(o, said.text);
		say_text(x, o->final, &said);
	}
	if (said.status == ESMTP_AUTH_CHALLENGE) {
		cr_assert(own_is_content(o, said.text));
		say_text(x, "", &said);
	}
	auth_exchange_free(x);
	return said.status;
}

static struct own
own_endpoint(const char *mech)
{
	return (struct own){ .mech = mech, .password = "pencil",
		.gs2 = "p=tls-server-end-point,,", .binding = endpoint,
		.binding_len = 32, .bare = "n=user,r=fyko+d2lbbFgONRv9qkx" };
}

static struct fake f;

static void
setup(void)
{
	fake_init(&f);
}

TestSuite(auth_mech_scram, .init = setup);

Test(auth_mech_scram, with_a_client_of_gsasl)
{
	static const char *const mechs[] = { "SCRAM-SHA-1", "SCRAM-SHA-256",
		"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS" };
	static const struct {
		const char		*login, *password;
		enum esmtp_auth_status	 status;
	} rows[] = {
		{ "user", "pencil", ESMTP_AUTH_OK },
		{ "user", "pen", ESMTP_AUTH_FAILED },
		{ "nobody", "pencil", ESMTP_AUTH_FAILED },
	};
	struct auth_exchange *x;
	struct client c;
	char cb[64];
	size_t i, j;

	bind_both(&f);
	base64_encode(exporter, 32, cb, sizeof(cb));
	for (i = 0; i < 4; i++) {
		for (j = 0; j < 3; j++) {
			x = fake_exchange(&f, mechs[i]);
			client_init(&c, mechs[i], rows[j].login,
			    rows[j].password);
			if (i >= 2)
				gsasl_property_set(c.session,
				    GSASL_CB_TLS_EXPORTER, cb);
			cr_assert_eq(play(x, &c), rows[j].status, "%s %s",
			    mechs[i], rows[j].login);
			cr_assert_str_eq(auth_exchange_login(x),
			    rows[j].login);
			client_free(&c);
			auth_exchange_free(x);
		}
	}
}

/* RFC 5929 4: tls-server-end-point */
Test(auth_mech_scram, bound_to_the_certificate_of_the_server)
{
	static const char *const mechs[] = { "SCRAM-SHA-1-PLUS",
		"SCRAM-SHA-256-PLUS" };
	struct own o;
	size_t i;

	bind_both(&f);
	for (i = 0; i < 2; i++) {
		o = own_endpoint(mechs[i]);
		cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_OK);
		o.password = "pen";
		cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_FAILED);
		o.password = "pencil";
		o.bare = "n=nobody,r=fyko+d2lbbFgONRv9qkx";
		cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_FAILED);
	}
}

Test(auth_mech_scram, our_own_client_is_bound_to_the_session_as_well)
{
	struct own o = own_endpoint("SCRAM-SHA-256-PLUS");

	bind_both(&f);
	o.gs2 = "p=tls-exporter,,";
	o.binding = exporter;
	cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_OK);
}

/* RFC 5802 6: the channel bindings of client and server must match. */
Test(auth_mech_scram, another_binding_fails)
{
	static const struct {
		const char	*mech, *gs2, *binding;
		size_t		 len;
	} rows[] = {
		{ "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,",
		    "fedcba9876543210fedcba987654321x", 32 },
		{ "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,",
		    "fedcba9876543210fedcba9876543210", 31 },
		{ "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", "", 0 },
		{ "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", exporter,
		    32 },
		{ "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", endpoint, 32 },
		{ "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "", 0 },
		{ "SCRAM-SHA-256-PLUS", "p=tls-unique,,", exporter, 32 },
		{ "SCRAM-SHA-256-PLUS", "n,,", "", 0 },
		{ "SCRAM-SHA-256-PLUS", "y,,", "", 0 },
		{ "SCRAM-SHA-256", "p=tls-exporter,,", exporter, 32 },
		{ "SCRAM-SHA-256", "p=tls-exporter,,", "", 0 },
		{ "SCRAM-SHA-256", "n,,", "x", 1 },
	};
	struct own o = own_endpoint(NULL);
	size_t i;

	bind_both(&f);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		o.mech = rows[i].mech;
		o.gs2 = rows[i].gs2;
		o.binding = rows[i].binding;
		o.binding_len = rows[i].len;
		cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_FAILED, "row %zu", i);
	}
}

Test(auth_mech_scram, a_binding_that_the_session_has_not_fails)
{
	struct own o = own_endpoint("SCRAM-SHA-256-PLUS");

	o.binding_len = 0;
	cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_FAILED);
	o.gs2 = "p=tls-exporter,,";
	cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_FAILED);
}

/* RFC 5802 6: somebody has taken -PLUS off the list */
Test(auth_mech_scram, a_downgrade_is_noticed)
{
	struct own o = own_endpoint("SCRAM-SHA-256");

	bind_both(&f);
	o.gs2 = "y,,";
	o.binding_len = 0;
	cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_FAILED);
	cr_assert_eq(f.nasked, 0);
	f.start.is_plus_offered = false;
	cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_OK);
}

Test(auth_mech_scram, nobody_acts_for_another)
{
	struct own o = own_endpoint("SCRAM-SHA-256");

	o.binding_len = 0;
	o.gs2 = "n,a=boss,";
	cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_FAILED);
	o.gs2 = "n,a=user,";
	cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_OK);
}

/* It goes as far as with a user, and its salt stays the same. */
Test(auth_mech_scram, an_unknown_user_looks_like_a_known_one)
{
	struct auth_exchange *x;
	struct said said[2];
	int i;

	for (i = 0; i < 2; i++) {
		x = fake_exchange(&f, "SCRAM-SHA-256");
		cr_assert_eq(say_text(x, "n,,n=nobody,r=abc", &said[i]),
		    ESMTP_AUTH_CHALLENGE);
		auth_exchange_free(x);
	}
	cr_assert_str_eq(strstr(said[0].text, ",s="),
	    strstr(said[1].text, ",s="));
	cr_assert_str_neq(said[0].text, said[1].text);
}

/* The fake's keys for others are worked out of the same password: the proof is
 * good, the user is none. */
Test(auth_mech_scram, a_proof_for_keys_made_up_is_worth_nothing)
{
	static const char *const mechs[] = { "SCRAM-SHA-256",
		"SCRAM-SHA-256-PLUS" };
	struct own o = own_endpoint("SCRAM-SHA-256");
	size_t i;

	bind_both(&f);
	for (i = 0; i < 2; i++) {
		o.mech = mechs[i];
		o.gs2 = i == 0 ? "n,," : "p=tls-server-end-point,,";
		o.binding_len = i == 0 ? 0 : 32;
		o.bare = "n=nobody,r=fyko";
		cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_FAILED, "%s",
		    mechs[i]);
		o.bare = "n=user,r=fyko";
		cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_OK);
	}
}

/* RFC 4954 4: the client answers the last challenge with an empty line. */
Test(auth_mech_scram, the_last_response_is_empty)
{
	struct own o = own_endpoint("SCRAM-SHA-256");
	struct auth_exchange *x;
	struct said said;
	char first[256];
	int i;

	o.gs2 = "n,,";
	o.binding_len = 0;
	for (i = 0; i < 2; i++) {
		x = fake_exchange(&f, "SCRAM-SHA-256");
		own_first(&o, first, sizeof(first));
		say_text(x, first, &said);
		own_final(&o, said.text);
		cr_assert_eq(say_text(x, o.final, &said),
		    ESMTP_AUTH_CHALLENGE);
		cr_assert_eq(say_text(x, i == 0 ? "x" : "", &said),
		    i == 0 ? ESMTP_AUTH_MALFORMED : ESMTP_AUTH_OK);
		cr_assert_eq(say_text(x, "", &said), ESMTP_AUTH_FAILED);
		auth_exchange_free(x);
	}
}

Test(auth_mech_scram, a_nonce_of_another_exchange_fails)
{
	static const char *const mechs[] = { "SCRAM-SHA-256",
		"SCRAM-SHA-256-PLUS" };
	struct own o = own_endpoint(NULL);
	struct auth_exchange *x;
	struct said said;
	char first[256];
	size_t i;

	bind_both(&f);
	for (i = 0; i < 2; i++) {
		o.gs2 = i == 0 ? "n,," : "p=tls-server-end-point,,";
		o.binding_len = i == 0 ? 0 : 32;
		o.mech = mechs[i];
		own_first(&o, first, sizeof(first));
		x = fake_exchange(&f, mechs[i]);
		say_text(x, first, &said);
		own_final(&o, said.text);
		auth_exchange_free(x);
		/* what has been overheard, played again */
		x = fake_exchange(&f, mechs[i]);
		say_text(x, first, &said);
		cr_assert_eq(say_text(x, o.final, &said), ESMTP_AUTH_FAILED,
		    "%s", mechs[i]);
		auth_exchange_free(x);
	}
}

Test(auth_mech_scram, a_back_end_that_does_not_answer_is_later)
{
	struct own o = own_endpoint("SCRAM-SHA-256-PLUS");

	bind_both(&f);
	f.is_down = true;
	cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_LATER);
	o.mech = "SCRAM-SHA-1";
	o.gs2 = "n,,";
	cr_assert_eq(own_play(&f, &o), ESMTP_AUTH_LATER);
}

Test(auth_mech_scram, what_is_no_message_is_malformed)
{
	struct auth_exchange *x;
	struct said said;

	x = fake_exchange(&f, "SCRAM-SHA-256");
	cr_assert_eq(say_text(x, "", &said), ESMTP_AUTH_MALFORMED);
	auth_exchange_free(x);
	x = fake_exchange(&f, "SCRAM-SHA-256");
	cr_assert_eq(say_text(x, "n,,n=user,r=abc", &said),
	    ESMTP_AUTH_CHALLENGE);
	cr_assert_eq(say_text(x, "", &said), ESMTP_AUTH_MALFORMED);
	auth_exchange_free(x);
	/* an extension that has to be understood, RFC 5802 5.1 */
	x = fake_exchange(&f, "SCRAM-SHA-256");
	cr_assert_eq(say_text(x, "n,,m=x,n=user,r=abc", &said),
	    ESMTP_AUTH_FAILED);
	auth_exchange_free(x);
}

Test(auth_mech_scram, a_name_that_prepares_to_nothing_fails)
{
	struct auth_exchange *x;
	struct said said;

	x = fake_exchange(&f, "SCRAM-SHA-256");
	cr_assert_eq(say_text(x, "n,,n=\xc2\xad,r=abc", &said),
	    ESMTP_AUTH_FAILED);
	cr_assert_null(auth_exchange_login(x));
	auth_exchange_free(x);
}
