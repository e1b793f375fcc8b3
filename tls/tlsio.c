/* TLS as an opset; see tlsio.h.
 *
 * The SSL object moves its records through a BIO of ours, which calls the
 * opset below: so no SIGPIPE, as OpenSSL's own socket BIO would raise, and
 * TLS runs on a simulated wire too. */

#include "tls/tlsio_int.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "tls/tlsmem.h"

#define SENDFILE_CHUNK	16384	/* octets; the most that a record holds */

static const event_io_opset tlsio_opset;
static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

struct tlsio *
tlsio_of(const Event *e)
{
	return e->io_opset == &tlsio_opset ? e->io_data : NULL;
}

/* --- the BIO: from OpenSSL to the opset below -------------------------- */

/* Put the opset below in place for one call, and back. */
static void
swap_opset(struct tlsio *t)
{
	Event *e = t->event;
	const event_io_opset *opset = e->io_opset;
	void *data = e->io_data;

	e->io_opset = t->lower;
	e->io_data = t->lower_data;
	t->lower = opset;
	t->lower_data = data;
}

static int
bio_write(BIO *bio, const char *buf, int len)
{
	struct tlsio *t = BIO_get_data(bio);
	int n, needmask;

	BIO_clear_retry_flags(bio);
	if (t->is_mute)
		return -1;
	swap_opset(t);
	n = event_write(t->event, buf, len, &needmask);
	swap_opset(t);
	if (n == -1 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	else if (n == -1)
		t->lower_errno = errno;
	return n;
}

static int
bio_read(BIO *bio, char *buf, int len)
{
	struct tlsio *t = BIO_get_data(bio);
	int n, needmask;

	BIO_clear_retry_flags(bio);
	if (t->is_mute)
		return -1;
	swap_opset(t);
	n = event_read(t->event, buf, len, &needmask);
	swap_opset(t);
	if (n == -1 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	else if (n == -1)
		t->lower_errno = errno;
	else if (n == 0) {
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
		t->is_eof = true;
	} else
		/* in a write too, which may have brought what a read wants */
		t->is_drained = false;
	return n;
}

static long
bio_ctrl(BIO *bio, int cmd, long, void *)
{
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	/* nothing is buffered here, so a flush is always done */
	return cmd == BIO_CTRL_FLUSH;
}

static void
make_bio_method(void)
{
	BIO_METHOD *method;

	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
	    "mailmill event");
	if (method == NULL)
		return;
	if (!BIO_meth_set_write(method, bio_write) ||
	    !BIO_meth_set_read(method, bio_read) ||
	    !BIO_meth_set_ctrl(method, bio_ctrl)) {
		BIO_meth_free(method);
		return;
	}
	bio_method = method;
}

/* --- the opset: from the Event to OpenSSL ------------------------------ */

/* Finish the handshake first, so that no read or write ever runs as a job:
 * OpenSSL wants a job continued with the same buffers. */
static int
ready(struct tlsio *t, int *needmask)
{
	int rc;

	if (t->is_failed) {
		errno = EPROTO;
		return -1;
	}
	if (SSL_is_init_finished(t->ssl))
		return 0;
	rc = tlsio_handshake(t->event, needmask);
	if (rc == 0)
		errno = EAGAIN;
	else if (rc == -1 && errno == 0)
		errno = ECONNRESET;
	return rc == 1 ? 0 : -1;
}

static int
tlsio_read(Event *e, char *buf, int buflen, int *needmask)
{
	struct tlsio *t = tlsio_enter(e);
	int n;

	if (ready(t, needmask) == -1)
		return -1;
	n = SSL_read(t->ssl, buf, buflen);
	if (n > 0)
		return n;
	t->is_drained = true;
	return tlsio_failure(t, n, needmask);
}

static int
tlsio_write(Event *e, const char *buf, int buflen, int *needmask)
{
	struct tlsio *t = tlsio_enter(e);
	int n;

	if (ready(t, needmask) == -1)
		return -1;
	if (buflen == 0)
		return 0;
	n = SSL_write(t->ssl, buf, buflen);
	if (n > 0)
		return n;
	n = tlsio_failure(t, n, needmask);
	if (n == 0) {
		/* the end of what the peer sends is no success here */
		errno = EPIPE;
		n = -1;
	}
	return n;
}

static int
tlsio_sendfile(Event *e, int fd, off_t *offset, size_t count, int *needmask)
{
	char buf[SENDFILE_CHUNK];
	ssize_t len;
	int n;

	if (count > sizeof buf)
		count = sizeof buf;
	len = pread(fd, buf, count, *offset);
	if (len <= 0)
		return (int)len;
	n = tlsio_write(e, buf, (int)len, needmask);
	if (n > 0)
		*offset += n;
	return n;
}

static int
tlsio_accept(Event *, struct sockaddr *, socklen_t *)
{
	errno = EOPNOTSUPP;
	return -1;
}

static int
tlsio_close(Event *e)
{
	struct tlsio *t = tlsio_enter(e);

	/* one try: a peer that does not read must not keep us, and SMTP has
	 * its own end of a session, QUIT */
	if (!t->is_failed && SSL_is_init_finished(t->ssl))
		SSL_shutdown(t->ssl);
	tlsio_detach(e);
	ERR_clear_error();
	return e->io_opset->event_close(e);
}

/* After a read that ran dry, what OpenSSL holds is a part of a record, and the
 * rest has to come from the descriptor. */
static int
tlsio_pending(Event *e)
{
	struct tlsio *t = e->io_data;

	if (t->is_drained || t->is_failed || t->is_resting ||
	    !SSL_has_pending(t->ssl))
		return 0;
	return E_READ;
}

static void
tlsio_rest(Event *e)
{
	struct tlsio *t = e->io_data;

	if (t->is_resting || t->is_failed || !SSL_is_init_finished(t->ssl) ||
	    SSL_has_pending(t->ssl))
		return;
	t->is_resting = true;
	tlsmem_rest(t->ssl);
}

static const event_io_opset tlsio_opset = {
	.event_accept = tlsio_accept,
	.event_read = tlsio_read,
	.event_write = tlsio_write,
	.event_close = tlsio_close,
	.event_sendfile = tlsio_sendfile,
	.event_pending = tlsio_pending,
	.event_rest = tlsio_rest
};

int
tlsio_attach(Event *e, SSL *ssl)
{
	struct tlsio *t;
	BIO *bio;

	pthread_once(&bio_once, make_bio_method);
	if (bio_method == NULL)
		goto err0;
	t = calloc(1, sizeof *t);
	if (t == NULL)
		goto err0;
	bio = BIO_new(bio_method);
	if (bio == NULL)
		goto err1;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* a read returns after each record without data (key updates): a
	 * client that sends many must not hold the loop */
	SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
	/* one read(2) for a record instead of one for its head and one for
	 * its body; the caller's buffers are released when empty */
	SSL_set_read_ahead(ssl, 1);
	t->ssl = ssl;
	t->event = e;
	t->lower = e->io_opset;
	t->lower_data = e->io_data;
	e->io_opset = &tlsio_opset;
	e->io_data = t;
	return 0;

err1:
	free(t);
err0:
	errno = ENOMEM;
	return -1;
}

void
tlsio_send_at_once(const Event *e)
{
	int one = 1;

	(void)setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void
tlsio_detach(Event *e)
{
	struct tlsio *t = tlsio_of(e);

	if (t == NULL)
		return;
	e->io_opset = t->lower;
	e->io_data = t->lower_data;
	tlsio_wake(t);
	tlsio_abandon(t);
	SSL_free(t->ssl);
	if (t->ctx != NULL)
		free(t->ctx->error_string);
	free(t->ctx);
	free(t);
}

SSL *
tlsio_ssl(const Event *e)
{
	struct tlsio *t = tlsio_of(e);

	if (t == NULL)
		return NULL;
	tlsio_wake(t);
	return t->ssl;
}
