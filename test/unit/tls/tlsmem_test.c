#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tls/tlsctx.h"
#include "tls/tlsio.h"
#include "tls/tlsmem.h"
#include "tls_fixture.h"

#define OBJECT	4096	/* octets: no SSL object is smaller */

static struct tlsctx *ctx;
static struct tls_link l;

static int is_open = -1;

/* The test runner itself may use OpenSSL, and then it is too late. */
__attribute__((constructor)) static void
open_early(void)
{
	is_open = tlsmem_open();
}

static void
setup(void)
{
	cr_assert_eq(is_open, 0);
	tls_setup();
	tls_pair(KEYS_P256, "mx.example.test");
	ctx = tls_context();
	tls_open(&l, ctx);
}

static void
teardown(void)
{
	tls_close(&l);
	tlsctx_free(ctx);
	tls_teardown();
}

TestSuite(tlsmem, .init = setup, .fini = teardown, .timeout = 60);

/* Is there nothing but 0? */
static bool
is_empty(const void *p)
{
	static const char zero[OBJECT];

	return memcmp(p, zero, OBJECT) == 0;
}

static void
say(const char *text)
{
	char buf[100];
	int mask, n = (int)strlen(text);

	cr_assert_eq(SSL_write(l.client, text, n), n);
	cr_assert_eq(event_read(l.event, buf, sizeof(buf), &mask), n);
	cr_assert_arr_eq(buf, text, n);
	cr_assert_eq(event_read(l.event, buf, sizeof(buf), &mask), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(event_write(l.event, text, n, &mask), n);
	cr_assert_eq(SSL_read(l.client, buf, sizeof(buf)), n);
}

Test(tlsmem, a_session_at_rest_is_as_it_was_when_it_wakes)
{
	char before[OBJECT];

	cr_assert(tls_shake(&l));
	say("EHLO client.example.test\r\n");
	memcpy(before, l.server, OBJECT);
	event_rest(l.event);
	cr_assert(is_empty(l.server));
	event_rest(l.event);
	cr_assert_eq(event_pending(l.event), 0);
	cr_assert(is_empty(l.server));
	cr_assert_eq(tlsio_ssl(l.event), l.server);
	cr_assert_arr_eq((char *)l.server, before, OBJECT);
	event_rest(l.event);
	say("MAIL FROM:<a@example.test>\r\n");
}

Test(tlsmem, a_handshake_does_not_rest)
{
	tls_manner = SIGN_NEVER;
	tls_step(&l);
	event_rest(l.event);
	cr_assert(!is_empty(l.server));
}

Test(tlsmem, what_has_come_already_is_not_put_to_rest)
{
	char c;
	int mask;

	cr_assert(tls_shake(&l));
	cr_assert_eq(SSL_write(l.client, "ab", 2), 2);
	cr_assert_eq(event_read(l.event, &c, 1, &mask), 1);
	event_rest(l.event);
	cr_assert(!is_empty(l.server));
	cr_assert_eq(event_read(l.event, &c, 1, &mask), 1);
}

Test(tlsmem, a_session_at_rest_may_be_closed)
{
	char c;

	cr_assert(tls_shake(&l));
	event_rest(l.event);
	event_close(l.event);
	/* with close_notify, as ever */
	cr_assert_eq(SSL_read(l.client, &c, 1), 0);
	cr_assert_eq(SSL_get_error(l.client, 0), SSL_ERROR_ZERO_RETURN);
}

Test(tlsmem, a_session_at_rest_may_be_detached_and_its_pages_used_again)
{
	SSL *first = l.server;

	cr_assert(tls_shake(&l));
	event_rest(l.event);
	tlsio_detach(l.event);
	tls_close(&l);
	tls_open(&l, ctx);
	cr_assert_eq(l.server, first);
	cr_assert(tls_shake(&l));
	say("EHLO client.example.test\r\n");
}
