#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "tls/tlsctx.h"
#include "tls/tlsio.h"
#include "tls_fixture.h"

static struct tlsctx *ctx;
static struct tls_link l;
static enum tls_failure_kind kind;

static void
setup(void)
{
	tls_setup();
	tls_pair(KEYS_P256, "mx.example.test");
	ctx = tls_context();
	tls_open(&l, ctx);
}

static void
teardown(void)
{
	if (l.event != NULL)
		tls_close(&l);
	tlsctx_free(ctx);
	tls_teardown();
}

TestSuite(tlsctx_failure, .init = setup, .fini = teardown, .timeout = 60);

static void
expect(enum tls_failure_kind want, const char *text)
{
	cr_assert_eq(l.rc, -1);
	cr_assert_str_eq(tls_failure(l.server, &kind), text);
	cr_assert_eq(kind, want);
}

static void
handshake(void)
{
	l.rc = tlsio_handshake(l.event, &l.needmask);
	l.error = errno;
}

Test(tlsctx_failure, what_is_no_tls)
{
	cr_assert_eq(write(l.client_fd, "EHLO client.example.test\r\n", 26),
	    26);
	handshake();
	expect(TLS_FAILURE_PROTOCOL, "the client did not send TLS");
	cr_assert_eq(l.error, EPROTO);
	handshake();
	cr_assert_eq(l.rc, -1);
}

Test(tlsctx_failure, a_client_that_closes_at_once)
{
	close(l.client_fd);
	handshake();
	expect(TLS_FAILURE_CLOSED, "the client has closed the connection");
	cr_assert_eq(l.error, 0);
}

Test(tlsctx_failure, no_version_in_common)
{
	SSL_set_security_level(l.client, 0);
	SSL_set_min_proto_version(l.client, TLS1_VERSION);
	SSL_set_max_proto_version(l.client, TLS1_1_VERSION);
	cr_assert(!tls_shake(&l));
	expect(TLS_FAILURE_PROTOCOL, "no protocol version in common");
}

Test(tlsctx_failure, no_cipher_in_common)
{
	SSL_set_max_proto_version(l.client, TLS1_2_VERSION);
	cr_assert_eq(SSL_set_cipher_list(l.client, "AES128-SHA"), 1);
	cr_assert(!tls_shake(&l));
	expect(TLS_FAILURE_PROTOCOL,
	    "no cipher in common, or none for our certificates");
}

Test(tlsctx_failure, no_group_in_common)
{
	cr_assert_eq(SSL_set1_groups_list(l.client, "X448"), 1);
	cr_assert(!tls_shake(&l));
	expect(TLS_FAILURE_PROTOCOL, "no group in common");
}

Test(tlsctx_failure, no_signature)
{
	tls_manner = SIGN_FAILS;
	cr_assert(!tls_shake(&l));
	expect(TLS_FAILURE_KEY, "the private key gave no signature");
}

Test(tlsctx_failure, a_client_that_knows_not_our_issuer)
{
	SSL_set_verify(l.client, SSL_VERIFY_PEER, NULL);
	cr_assert(!tls_shake(&l));
	cr_assert_eq(l.rc, -1);
	cr_assert_not_null(strstr(tls_failure(l.server, &kind), "client"));
	cr_assert_eq(kind, TLS_FAILURE_OTHER);
}

/* --- at any octet --------------------------------------------------------- */

/* Let the client send its first ${max} octets of a handshake; return how many
 * there are in all. */
static size_t
send_part(size_t max)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char buf[4096];
	size_t sent = 0, all = 0;
	int i, n;

	SSL_set_bio(l.client, in, out);
	for (i = 0; i < 10; i++) {
		SSL_do_handshake(l.client);
		while ((n = BIO_read(out, buf, sizeof(buf))) > 0) {
			size_t part = (size_t)n;

			all += part;
			if (sent + part > max)
				part = max - sent;
			if (part > 0)
				cr_assert_eq(write(l.client_fd, buf, part),
				    (ssize_t)part);
			sent += part;
		}
		handshake();
		if (l.rc == 1)
			break;
		while ((n = (int)read(l.client_fd, buf, sizeof(buf))) > 0)
			BIO_write(in, buf, n);
	}
	return all;
}

static void
close_everywhere(const char *protocol)
{
	size_t max, all;

	tlsctx_free(ctx);
	tls_config.protocols = protocol;
	tls_manner = SIGN_AT_ONCE;
	ctx = tls_context();
	tls_close(&l);
	tls_open(&l, ctx);
	all = send_part(100000);
	cr_assert_eq(l.rc, 1);
	for (max = 0; max < all; max++) {
		tls_close(&l);
		tls_open(&l, ctx);
		(void)send_part(max);
		cr_assert_eq(l.rc, 0, "%zu", max);
		close(l.client_fd);
		handshake();
		expect(TLS_FAILURE_CLOSED,
		    "the client has closed the connection");
		cr_assert_eq(l.error, 0);
		event_close(l.event);
		/* tls_close() closes it again */
		l.client_fd = dup(2);
	}
}

Test(tlsctx_failure, a_client_that_closes_at_any_octet_of_1_3)
{
	close_everywhere("TLSv1.3");
}

Test(tlsctx_failure, a_client_that_closes_at_any_octet_of_1_2)
{
	close_everywhere("TLSv1.2");
}

Test(tlsctx_failure, any_octet_may_be_wrong)
{
	char good[4096], bad[4096];
	BIO *out = BIO_new(BIO_s_mem());
	int i, n;

	tls_manner = SIGN_AT_ONCE;
	SSL_set_bio(l.client, BIO_new(BIO_s_mem()), out);
	SSL_do_handshake(l.client);
	n = BIO_read(out, good, sizeof(good));
	cr_assert_gt(n, 100);
	for (i = 0; i < n; i++) {
		tls_close(&l);
		tls_open(&l, ctx);
		memcpy(bad, good, (size_t)n);
		bad[i] ^= 0x41;
		cr_assert_eq(write(l.client_fd, bad, (size_t)n), n);
		handshake();
		cr_assert_neq(l.rc, 1);
		(void)tls_failure(l.server, &kind);
	}
}

/* --- a signature that does not come --------------------------------------- */

static void
pause_it(void)
{
	tls_manner = SIGN_NEVER;
	tls_step(&l);
	cr_assert_eq(l.rc, 0);
	cr_assert_eq(l.needmask, E_ASYNC);
	cr_assert_eq(event_pending(l.event), 0);
}

Test(tlsctx_failure, a_session_that_waits_may_be_asked_again)
{
	pause_it();
	tls_step(&l);
	cr_assert_eq(l.rc, 0);
	cr_assert_eq(l.needmask, E_ASYNC);
	tls_manner = SIGN_LATER;
	cr_assert(tls_shake(&l));
}

Test(tlsctx_failure, a_session_waits_whatever_is_in_openssl_s_queue)
{
	tls_has_errors = true;
	pause_it();
	tls_manner = SIGN_LATER;
	cr_assert(tls_shake(&l));
}

Test(tlsctx_failure, a_session_that_waits_may_be_closed)
{
	pause_it();
	event_close(l.event);
	cr_assert_eq(tls_ncancelled, 1);
}

Test(tlsctx_failure, a_session_that_waits_may_be_detached)
{
	pause_it();
	tlsio_detach(l.event);
	cr_assert_eq(tls_ncancelled, 1);
}

Test(tlsctx_failure, reads_wait_for_the_signature_too)
{
	char c;
	int mask = 0;

	tls_manner = SIGN_NEVER;
	(void)SSL_do_handshake(l.client);
	cr_assert_eq(event_read(l.event, &c, 1, &mask), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(mask, E_ASYNC);
}
