#include <sys/mman.h>
#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "test/lib/eventpair.h"
#include "tls/tlsio.h"

static SSL_CTX *server_ctx, *client_ctx;
static Event *server, *client;

static X509 *
make_certificate(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"mx.example.test", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	cr_assert_neq(X509_sign(cert, key, EVP_sha256()), 0);
	return cert;
}

static void
put_tls(Event *e, int is_server)
{
	SSL *ssl = SSL_new(is_server ? server_ctx : client_ctx);

	if (is_server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	cr_assert_eq(tlsio_attach(e, ssl), 0);
	cr_assert_eq(tlsio_ssl(e), ssl);
}

static void
setup(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = make_certificate(key);
	Event *ends[2];

	server_ctx = SSL_CTX_new(TLS_server_method());
	cr_assert_eq(SSL_CTX_use_certificate(server_ctx, cert), 1);
	cr_assert_eq(SSL_CTX_use_PrivateKey(server_ctx, key), 1);
	client_ctx = SSL_CTX_new(TLS_client_method());
	X509_free(cert);
	EVP_PKEY_free(key);
	cr_assert_eq(event_pair(ends), 0);
	server = ends[0];
	client = ends[1];
	put_tls(server, 1);
	put_tls(client, 0);
}

static void
teardown(void)
{
	if (server != NULL && server->fd != -1)
		event_close(server);
	if (client != NULL && client->fd != -1)
		event_close(client);
	event_free(server);
	event_free(client);
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
}

TestSuite(tlsio, .init = setup, .fini = teardown);

/* One side writes, the other reads, both until it is through. */
static void
send_through(Event *from, Event *to, const char *text)
{
	int n, mask, len = (int)strlen(text), sent = 0, got = 0;
	char buf[100], none[1];

	while (got < len) {
		if (sent < len)
			n = event_write(from, text + sent, len - sent, &mask);
		else	/* session tickets have to be taken off the wire */
			n = event_read(from, none, 1, &mask);
		if (n > 0)
			sent += n;
		else
			cr_assert(n == -1 && errno == EAGAIN);
		n = event_read(to, buf + got, (int)sizeof buf - got, &mask);
		if (n > 0)
			got += n;
		else
			cr_assert(n == -1 && errno == EAGAIN);
	}
	cr_assert_eq(memcmp(buf, text, (size_t)len), 0);
}

Test(tlsio, reads_drive_the_handshake_and_say_what_to_wait_for)
{
	char buf[10];
	int mask = 0;

	cr_assert_eq(event_read(server, buf, 10, &mask), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(mask, E_READ);
	cr_assert_eq(event_read(client, buf, 10, &mask), -1);
	cr_assert_eq(errno, EAGAIN);
	while (!SSL_is_init_finished(tlsio_ssl(server)) ||
	    !SSL_is_init_finished(tlsio_ssl(client))) {
		cr_assert_eq(event_read(server, buf, 10, &mask), -1);
		cr_assert_eq(errno, EAGAIN);
		cr_assert_eq(event_read(client, buf, 10, &mask), -1);
		cr_assert_eq(errno, EAGAIN);
	}
}

Test(tlsio, carries_octets_both_ways)
{
	send_through(client, server, "EHLO client.example\r\n");
	send_through(server, client, "250 mx.example.test\r\n");
}

Test(tlsio, a_clean_end_is_0)
{
	char buf[10];
	int mask;

	send_through(client, server, "x");
	cr_assert_eq(event_close(client), 0);
	cr_assert_eq(event_read(server, buf, 10, &mask), 0);
	cr_assert_eq(event_read(server, buf, 10, &mask), 0);
}

Test(tlsio, an_end_without_close_notify_is_a_reset)
{
	char buf[10];
	int mask;

	send_through(client, server, "x");
	tlsio_detach(client);
	cr_assert_null(tlsio_ssl(client));
	cr_assert_eq(event_close(client), 0);
	cr_assert_eq(event_read(server, buf, 10, &mask), -1);
	cr_assert_eq(errno, ECONNRESET);
	cr_assert_eq(event_write(server, "x", 1, &mask), -1);
	cr_assert_eq(errno, EPROTO);
}

Test(tlsio, writing_to_a_vanished_peer_is_an_errno_not_a_signal)
{
	int mask;

	send_through(client, server, "x");
	tlsio_detach(client);
	event_close(client);
	cr_assert_eq(event_write(server, "x", 1, &mask), -1);
	cr_assert_eq(errno, EPIPE);
}

Test(tlsio, rubbish_is_a_protocol_error)
{
	char buf[10];
	int mask;

	cr_assert_eq(write(client->fd, "EHLO client.example\r\n", 21), 21);
	cr_assert_eq(event_read(server, buf, 10, &mask), -1);
	cr_assert_eq(errno, EPROTO);
	cr_assert_eq(event_read(server, buf, 10, &mask), -1);
	cr_assert_eq(errno, EPROTO);
	cr_assert_eq(event_pending(server), 0);
}

Test(tlsio, a_write_that_would_block_goes_on_from_another_buffer)
{
	static char out[3][50000], in[50000];
	int n, k, mask = 0;
	size_t sent = 0, got = 0;

	send_through(client, server, "x");
	memset(out, 'a', sizeof out);
	for (k = 0; (n = event_write(server, out[k % 3], 50000, &mask)) > 0;
	    k++)
		sent += (size_t)n;
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(mask, E_WRITE);
	while ((n = event_read(client, in, 50000, &mask)) > 0)
		got += (size_t)n;
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(mask, E_READ);
	n = event_write(server, out[(k + 1) % 3], 50000, &mask);
	cr_assert_gt(n, 0);
	sent += (size_t)n;
	while ((n = event_read(client, in, 50000, &mask)) > 0)
		got += (size_t)n;
	cr_assert_eq(got, sent);
}

Test(tlsio, closing_does_not_wait_for_a_peer_that_does_not_read)
{
	static char out[50000];
	int mask, fd = server->fd;

	send_through(client, server, "x");
	while (event_write(server, out, sizeof out, &mask) > 0)
		;
	cr_assert_eq(event_close(server), 0);
	cr_assert_eq(server->fd, -1);
	cr_assert_eq(server->io_opset, &event_plain_opset);
	cr_assert_null(tlsio_ssl(server));
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
}

Test(tlsio, closing_before_the_handshake_is_done_frees_all)
{
	char buf[10];
	int mask;

	cr_assert_eq(event_read(client, buf, 10, &mask), -1);
	cr_assert_eq(event_close(server), 0);
	cr_assert_eq(event_close(client), 0);
}

Test(tlsio, sends_files_and_does_not_accept)
{
	char buf[10];
	off_t offset = 3;
	int mask, fd;

	send_through(client, server, "x");
	fd = memfd_create("tlsio_test", MFD_CLOEXEC);
	cr_assert_eq(write(fd, "0123456789", 10), 10);
	cr_assert_eq(event_sendfile(server, fd, &offset, 4, &mask), 4);
	cr_assert_eq(offset, 7);
	cr_assert_eq(event_read(client, buf, 10, &mask), 4);
	cr_assert_eq(memcmp(buf, "3456", 4), 0);
	close(fd);
	cr_assert_eq(event_accept(server, NULL, NULL), -1);
	cr_assert_eq(errno, EOPNOTSUPP);
}

/* --- on a wire that gives one octet at a time --------------------------- */

static unsigned int nmoves;

static int
slow_read(Event *e, char *buf, int buflen, int *needmask)
{
	cr_assert_eq(e->io_data, &nmoves);
	if (++nmoves % 3 == 0) {
		errno = EAGAIN;
		*needmask = E_READ;
		return -1;
	}
	return event_plain_opset.event_read(e, buf, buflen > 0, needmask);
}

static int
slow_write(Event *e, const char *buf, int buflen, int *needmask)
{
	cr_assert_eq(e->io_data, &nmoves);
	if (++nmoves % 3 == 0) {
		errno = EAGAIN;
		*needmask = E_WRITE;
		return -1;
	}
	return event_plain_opset.event_write(e, buf, buflen > 0, needmask);
}

Test(tlsio, runs_on_whatever_opset_the_event_had)
{
	static event_io_opset slow;

	slow = event_plain_opset;
	slow.event_read = slow_read;
	slow.event_write = slow_write;
	tlsio_detach(server);
	tlsio_detach(client);
	server->io_opset = client->io_opset = &slow;
	server->io_data = client->io_data = &nmoves;
	put_tls(server, 1);
	put_tls(client, 0);
	send_through(client, server, "MAIL FROM:<a@example.org>\r\n");
	send_through(server, client, "250 2.1.0 OK\r\n");
	event_close(server);
	cr_assert_eq(server->io_opset, &slow);
	cr_assert_eq(server->io_data, &nmoves);
}

/* --- under the scheduler ------------------------------------------------- */

#define TOTAL	40000
#define STEP	1000

static int nread;

/* reads once for each call, and waits for a completion at every tenth */
static int
read_step(Event *event, int eventtype, void *, struct timeval *)
{
	int n, mask = E_READ;
	char buf[STEP];

	if (eventtype == E_ASYNC)
		return E_READ;
	cr_assert_eq(eventtype & E_ASYNC, 0);
	n = event_read(event, buf, STEP, &mask);
	if (n == -1) {
		cr_assert_eq(errno, EAGAIN);
		return mask;
	}
	nread += n;
	if (nread == TOTAL) {
		event_close(event);
		return 0;
	}
	if (nread / STEP % 10 == 0) {
		schedule_event_and_dispatch(event, E_ASYNC);
		return E_ASYNC;
	}
	return E_READ;
}

static int
write_all(Event *event, int, void *, struct timeval *)
{
	static char out[TOTAL];
	static int sent;
	int n, mask = E_WRITE;

	while (sent < TOTAL) {
		n = event_write(event, out + sent, TOTAL - sent, &mask);
		if (n == -1) {
			cr_assert_eq(errno, EAGAIN);
			return mask;
		}
		sent += n;
	}
	/* stays open, so that nothing but the data wakes the reader */
	return E_ASYNC;
}

Test(tlsio, nothing_is_stuck_in_openssl_when_the_socket_is_empty, .timeout = 60)
{
	struct scheduler *s = scheduler_create(NULL);

	server->callback = read_step;
	client->callback = write_all;
	client->mask = E_WRITE;
	cr_assert_eq(schedule_event(server), 0);
	cr_assert_eq(schedule_event(client), 0);
	while (scheduler_event_count(s) > 1)
		cr_assert_geq(scheduler_pass(s, -1), 0);
	cr_assert_eq(nread, TOTAL);
	event_unschedule(client);
	scheduler_destroy(s);
	server = NULL;
}
