#include "tls/ec_ssl.h"

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "test/lib/eventpair.h"
#include "tls/tlsio.h"

static SSL_CTX *ctx;
static Event *e;

static void
setup(void)
{
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv),
	    0);
	close(sv[1]);
	ctx = SSL_CTX_new(TLS_client_method());
	e = build_fd_event(sv[0], E_READ, E_AGGRESSIVE_NONE, no_callback,
	    NULL);
}

static void
teardown(void)
{
	event_close(e);
	event_free(e);
	SSL_CTX_free(ctx);
}

TestSuite(ec_ssl, .init = setup, .fini = teardown);

static void
put_tls(void)
{
	SSL *ssl = SSL_new(ctx);

	SSL_set_connect_state(ssl);
	cr_assert_eq(tlsio_attach(e, ssl), 0);
}

Test(ec_ssl, an_event_is_on_tls_or_is_not)
{
	cr_expect_eq(ec_ssl_is_event_ssl(NULL), 0);
	cr_expect_eq(ec_ssl_is_event_ssl(e), 0);
	put_tls();
	cr_expect_eq(ec_ssl_is_event_ssl(e), 1);
	tlsio_detach(e);
	cr_expect_eq(ec_ssl_is_event_ssl(e), 0);
}

Test(ec_ssl, its_context_is_one_as_long_as_it_is_on_tls)
{
	ec_ssl_ctx *c;

	cr_expect_null(ec_ssl_ctx_from_event(NULL));
	cr_expect_null(ec_ssl_ctx_from_event(e));
	cr_expect_eq(errno, EINVAL);
	put_tls();
	c = ec_ssl_ctx_from_event(e);
	cr_assert_not_null(c);
	cr_expect_eq(c->ssl, tlsio_ssl(e));
	cr_expect_eq(c->ssl_ctx, ctx);
	cr_expect_eq(c->error_code, 0);
	ec_ssl_set_verify_errmsg(c, 7, "one");
	cr_expect_eq(ec_ssl_ctx_from_event(e), c);
	cr_expect_eq(c->error_code, 7);
	tlsio_detach(e);
	cr_expect_null(ec_ssl_ctx_from_event(e));
	/* nothing of before is left */
	put_tls();
	c = ec_ssl_ctx_from_event(e);
	cr_expect_eq(c->error_code, 0);
	cr_expect_null(c->error_string);
	ec_ssl_set_verify_errmsg(c, 1, "freed with the event");
}

Test(ec_ssl, the_message_is_one_line)
{
	ec_ssl_ctx c = { 0 };

	ec_ssl_set_verify_errmsg(&c, 18, "self-signed\r\n250 OK\x80\t");
	cr_expect_eq(c.error_code, 18);
	cr_expect_str_eq(c.error_string, "self-signed??250 OK??");
	ec_ssl_set_verify_errmsg(&c, 19, "other");
	cr_expect_str_eq(c.error_string, "other");
	/* AddressSanitizer sees what is freed too early */
	ec_ssl_set_verify_errmsg(&c, 20, c.error_string);
	cr_expect_eq(c.error_code, 20);
	cr_expect_str_eq(c.error_string, "other");
	ec_ssl_set_verify_errmsg(&c, 21, NULL);
	cr_expect_eq(c.error_code, 0);
	cr_expect_null(c.error_string);
}

Test(ec_ssl, parameters_are_copied)
{
	ec_ssl_ctx_params p = { 0 };
	char name[] = "/etc/a.pem";

	cr_expect_eq(ec_ssl_set_ctx_param(&p.certfile, name), 1);
	name[5] = 'b';
	cr_expect_str_eq(p.certfile, "/etc/a.pem");
	cr_expect_eq(ec_ssl_set_ctx_param(&p.certfile, p.certfile), 1,
	    "to itself");
	cr_expect_str_eq(p.certfile, "/etc/a.pem");
	cr_expect_eq(ec_ssl_set_ctx_param(&p.certfile, NULL), 1);
	cr_expect_null(p.certfile);
	cr_expect_eq(ec_ssl_set_ctx_param(NULL, "x"), 0);
	cr_expect_eq(errno, EINVAL);
}

Test(ec_ssl, the_mode_of_verification_is_a_word)
{
	ec_ssl_ctx_params p = { .tls_verify = 77 };

	cr_expect_eq(ec_ssl_set_ctx_verify_mode(&p, "sometimes"), 0);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(ec_ssl_set_ctx_verify_mode(&p, NULL), 0);
	cr_expect_eq(ec_ssl_set_ctx_verify_mode(NULL, "none"), 0);
	cr_expect_eq(p.tls_verify, 77);
	cr_expect_eq(ec_ssl_set_ctx_verify_mode(&p, "None"), 1);
	cr_expect_eq(p.tls_verify, EC_SSL_VERIFY_NONE);
	cr_expect_eq(ec_ssl_set_ctx_verify_mode(&p, "ifavailable"), 1);
	cr_expect_eq(p.tls_verify, EC_SSL_VERIFY_IFAVAILABLE);
	cr_expect_eq(ec_ssl_set_ctx_verify_mode(&p, "required"), 1);
	cr_expect_eq(p.tls_verify, EC_SSL_VERIFY_REQUIRED);
	p.tls_verify = 0;
	cr_expect_eq(ec_ssl_set_ctx_verify_mode(&p, "require"), 1);
	cr_expect_eq(p.tls_verify, EC_SSL_VERIFY_REQUIRED);
}
