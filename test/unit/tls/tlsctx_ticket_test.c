#include <criterion/criterion.h>
#include <openssl/err.h>
#include <string.h>

#include "tls/tlsctx.h"
#include "tls_fixture.h"

static struct tls_ticket_key keys[3];
static SSL_SESSION *ticket;
static unsigned int ntickets;
static bool is_taken_over;	/* the server's process, which has the keys */

static int
on_session(SSL *, SSL_SESSION *s)
{
	SSL_SESSION_free(ticket);
	ticket = s;
	ntickets++;
	return 1;
}

static void
setup(void)
{
	size_t i;

	tls_setup();
	for (i = 0; i < 3; i++) {
		memset(keys[i].name, 'a' + (int)i, sizeof(keys[i].name));
		memset(keys[i].aes, 'k' + (int)i, sizeof(keys[i].aes));
		memset(keys[i].hmac, 'u' + (int)i, sizeof(keys[i].hmac));
	}
	SSL_CTX_set_session_cache_mode(tls_client_ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls_client_ctx, on_session);
	tls_tickets_set(keys, 1, 3600);
	tls_pair(KEYS_P256, "mx.example.test");
	tls_manner = SIGN_AT_ONCE;
}

static void
teardown(void)
{
	SSL_SESSION_free(ticket);
	tls_teardown();
}

TestSuite(tlsctx_ticket, .init = setup, .fini = teardown, .timeout = 60);

static const char *const versions[] = { "TLSv1.2", "TLSv1.3" };

/* One session with the ticket there is; was it resumed? */
static bool
visit(struct tlsctx *t, const char *host, uint8_t end_r[64])
{
	struct tls_description d;
	struct tls_link l;

	tls_open(&l, t);
	if (is_taken_over) {
		SSL_clear_options(l.server, SSL_OP_NO_TICKET);
		SSL_set_num_tickets(l.server, 1);
	}
	if (host != NULL)
		SSL_set_tlsext_host_name(l.client, host);
	if (ticket != NULL)
		cr_assert_eq(SSL_set_session(l.client, ticket), 1);
	cr_assert(tls_shake(&l));
	cr_assert_eq(tls_describe(l.server, &d), 0);
	cr_assert_eq(d.is_resumed, SSL_session_reused(l.client) == 1);
	free(d.server_name);
	if (end_r != NULL)
		cr_assert_eq(tls_server_end_point(l.server, end_r), 32);
	/* of a renewed one, TLS 1.2 does not tell on_session() */
	if (d.is_resumed && SSL_version(l.client) == TLS1_2_VERSION) {
		SSL_SESSION_free(ticket);
		ticket = SSL_get1_session(l.client);
	}
	SSL_shutdown(l.client);
	tls_close(&l);
	return d.is_resumed;
}

Test(tlsctx_ticket, resumes_in_another_context_with_the_same_keys)
{
	uint8_t first[64], second[64];
	struct tlsctx *a, *b;
	size_t v;

	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		a = tls_context();
		b = tls_context();
		cr_assert(!visit(a, NULL, first));
		cr_assert_eq(ntickets, 1);
		tlsctx_free(a);
		tls_nsigned = 0;
		cr_assert(visit(b, NULL, second));
		cr_assert_eq(tls_nsigned, 0);
		cr_assert_arr_eq(first, second, 32);
		/* a ticket is not to be used twice: RFC 8446 C.4 */
		cr_assert_eq(ntickets, v == 0 ? 1 : 2);
		cr_assert(visit(b, NULL, second));
		cr_assert_arr_eq(first, second, 32);
		tlsctx_free(b);
		SSL_SESSION_free(ticket);
		ticket = NULL;
		ntickets = 0;
	}
}

Test(tlsctx_ticket, an_older_key_still_opens_and_the_ticket_is_renewed)
{
	struct tlsctx *t;
	struct tls_ticket_key rotated[2];
	size_t v;

	rotated[0] = keys[1];
	rotated[1] = keys[0];
	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		t = tls_context();
		tls_tickets_set(keys, 1, 3600);
		cr_assert(!visit(t, NULL, NULL));
		tls_tickets_set(rotated, 2, 3600);
		cr_assert(visit(t, NULL, NULL));
		/* made by the new key, so the old one may go */
		tls_tickets_set(rotated, 1, 3600);
		cr_assert(visit(t, NULL, NULL));
		tls_tickets_set(&keys[2], 1, 3600);
		cr_assert(!visit(t, NULL, NULL));
		tlsctx_free(t);
		SSL_SESSION_free(ticket);
		ticket = NULL;
	}
}

Test(tlsctx_ticket, without_keys_there_are_none)
{
	struct tlsctx *t;
	size_t v;

	tls_tickets_set(NULL, 0, 3600);
	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		t = tls_context();
		cr_assert(!visit(t, NULL, NULL));
		cr_assert(ticket == NULL || SSL_SESSION_has_ticket(ticket)
		    == 0);
		tlsctx_free(t);
	}
}

Test(tlsctx_ticket, resumes_for_a_host_of_its_own)
{
	struct tlsctx *t;
	size_t v;

	tls_pair(KEYS_P256, "other.example.test");
	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		t = tls_context();
		cr_assert(!visit(t, "other.example.test", NULL));
		cr_assert(visit(t, "other.example.test", NULL));
		tlsctx_free(t);
		SSL_SESSION_free(ticket);
		ticket = NULL;
	}
}

Test(tlsctx_ticket, is_of_no_use_where_clients_are_verified_otherwise)
{
	struct tlsctx *lax, *strict;
	size_t v;

	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		tls_config.verify = TLSCTX_VERIFY_NONE;
		lax = tls_context();
		tls_config.verify = TLSCTX_VERIFY_OPTIONAL;
		tls_config.client_ca = tls_config.pairs[0].cert;
		strict = tls_context();
		cr_assert(!visit(lax, NULL, NULL));
		cr_assert(!visit(strict, NULL, NULL));
		tlsctx_free(lax);
		tlsctx_free(strict);
		SSL_SESSION_free(ticket);
		ticket = NULL;
	}
}

/* An attacker who has the keys can write anything into a ticket, so a resumed
 * session says nothing about its client. */
Test(tlsctx_ticket, does_not_stand_for_a_certificate_of_the_client)
{
	struct tlsctx *t;
	size_t v;

	tls_config.verify = TLSCTX_VERIFY_OPTIONAL;
	tls_config.client_ca = tls_config.pairs[0].cert;
	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		t = tls_context();
		cr_assert(!visit(t, NULL, NULL));
		cr_assert(ticket == NULL || SSL_SESSION_has_ticket(ticket)
		    == 0);
		is_taken_over = true;
		cr_assert(!visit(t, NULL, NULL));
		cr_assert(SSL_SESSION_has_ticket(ticket) != 0);
		is_taken_over = false;
		cr_assert(!visit(t, NULL, NULL));
		tlsctx_free(t);
		SSL_SESSION_free(ticket);
		ticket = NULL;
	}
}

Test(tlsctx_ticket, is_of_no_use_where_other_ciphers_are_allowed)
{
	struct tlsctx *lax, *strict;

	tls_config.protocols = "TLSv1.2";
	tls_config.ciphers = "ECDHE-ECDSA-AES128-SHA256";
	lax = tls_context();
	tls_config.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
	strict = tls_context();
	cr_assert(!visit(lax, NULL, NULL));
	cr_assert(!visit(strict, NULL, NULL));
	cr_assert(visit(strict, NULL, NULL));
	tlsctx_free(lax);
	tlsctx_free(strict);
}

/* RFC 6066 3: a session is not resumed under another server name. */
Test(tlsctx_ticket, of_tls_1_2_is_for_the_host_name_that_it_began_with)
{
	static const struct {
		const char	*first, *second;
		bool		 is_same;
	} rows[] = {
		{ "mx.example.test", "mx.example.test", true },
		{ "mx.example.test", "MX.Example.TEST", true },
		{ "mx.example.test", "other.example.test", false },
		{ "other.example.test", "mx.example.test", false },
		{ "mx.example.test", "mx.example.test.", false },
		{ "mx.example.test", "mx.example.tes", false },
		{ "mx.example.test", NULL, false },
		{ NULL, "mx.example.test", false },
		{ NULL, NULL, true },
		/* none of ours: all get the first certificate */
		{ "a.example.org", "a.example.org", true },
		{ "a.example.org", "b.example.org", false },
		{ "a.example.org", NULL, false },
	};
	struct tlsctx *t;
	size_t i;

	tls_pair(KEYS_P256, "other.example.test");
	tls_config.protocols = "TLSv1.2";
	t = tls_context();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert(!visit(t, rows[i].first, NULL));
		ntickets = 0;
		cr_expect_eq(visit(t, rows[i].second, NULL), rows[i].is_same,
		    "%zu", i);
		/* the full handshake has brought a ticket for its own name */
		cr_expect_eq(ntickets, !rows[i].is_same, "%zu", i);
		cr_expect(visit(t, rows[i].second, NULL), "%zu", i);
		SSL_SESSION_free(ticket);
		ticket = NULL;
	}
	tlsctx_free(t);
}

Test(tlsctx_ticket, is_of_no_use_where_certificates_are_others)
{
	struct tlsctx *a, *b;
	size_t v;

	tls_pair(KEYS_P256, "mx.example.test");
	for (v = 0; v < 2; v++) {
		tls_config.protocols = versions[v];
		tls_config.npairs = 1;
		a = tls_context();
		tls_config.npairs = 2;
		b = tls_context();
		cr_assert(!visit(a, "mx.example.test", NULL));
		cr_assert(!visit(b, "mx.example.test", NULL));
		cr_assert(visit(b, "mx.example.test", NULL));
		tlsctx_free(a);
		tlsctx_free(b);
		SSL_SESSION_free(ticket);
		ticket = NULL;
	}
}
