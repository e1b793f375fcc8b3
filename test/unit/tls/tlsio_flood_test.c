#include <sys/ioctl.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>

#include "tls/tlsio.h"
#include "tls_fixture.h"

TestSuite(tlsio_flood, .init = tls_setup, .fini = tls_teardown, .timeout = 60);

Test(tlsio_flood, key_updates_do_not_keep_a_read_from_returning)
{
	struct tls_link l;
	struct tlsctx *ctx;
	BIO *octets = BIO_new(BIO_s_mem());
	char c, *data;
	int i, left, mask = 0;
	long n;

	tls_pair(KEYS_P256, "mx.example.test");
	ctx = tls_context();
	tls_open(&l, ctx);
	cr_assert(tls_shake(&l));
	SSL_set0_wbio(l.client, octets);
	for (i = 0; i < 4000; i++) {
		cr_assert_eq(SSL_key_update(l.client,
		    SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		cr_assert_eq(SSL_do_handshake(l.client), 1);
	}
	cr_assert_eq(SSL_write(l.client, "x", 1), 1);
	n = BIO_get_mem_data(octets, &data);
	cr_assert_eq(write(l.client_fd, data, (size_t)n), n);
	cr_assert_eq(event_read(l.event, &c, 1, &mask), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(mask, E_READ);
	cr_assert_eq(ioctl(l.event->fd, FIONREAD, &left), 0);
	cr_expect_gt(left, n / 2);
	/* and yet all of it is read */
	for (i = 0; (n = event_read(l.event, &c, 1, &mask)) == -1; i++)
		cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(n, 1);
	cr_assert_eq(c, 'x');
	tls_close(&l);
	tlsctx_free(ctx);
}
