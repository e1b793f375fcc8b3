/* TLS as one more opset under an Event: what is above it reads and writes as
 * on a plain socket.
 * Owns: the SSL object of an event, the mapping of its wishes to masks, the
 * number of handshakes that may wait for a signature at once.
 * Knows nothing of certificates, contexts and STARTTLS. */

#ifndef TLS_TLSIO_H
#define TLS_TLSIO_H

#include <openssl/ssl.h>

#include "core/event.h"

/* tlsio_attach(e, ssl): Takes ${ssl}, whose role is set
 * (SSL_set_accept_state(3) or SSL_set_connect_state(3)) and which has no BIO,
 * and puts it between ${e} and the opset that ${e} has now, a plain or a
 * simulated one.  Return 0, or -1 with errno ENOMEM (then ${ssl} is still the
 * caller's).
 *
 * The first read or write starts the handshake, and each later one goes on
 * with it; a server simply reads.
 * event_read: octets of at most one TLS record.  0: the peer sent
 *	close_notify.  -1 and errno: EAGAIN, with needmask E_READ or E_WRITE:
 *	when that comes true, read again, whichever it was; ECONNRESET: the
 *	connection ended without close_notify; EPROTO: the peer broke the rules
 *	of TLS, or its verification failed, and the thread's OpenSSL error queue
 *	says why until the next call; others as of the opset below.
 * event_write: at most one record.  After EAGAIN the same octets must be
 *	written again, but may have moved, and more may follow them.
 * event_sendfile: the same, through memory.
 * event_close: sends close_notify if that can be done at once, frees the SSL
 *	object, closes through the opset below and gives that back to ${e}.
 * event_accept: fails with EOPNOTSUPP.
 * event_rest: gives memory back, which the next call of any of these fetches.
 *
 * OpenSSL reads more from the socket than it hands out, which poll(2) cannot
 * see: event_pending() then says E_READ, and the scheduler calls the event
 * again; so a reader need not read until EAGAIN.  A loop of one's own has to
 * ask event_pending() after each callback. */
int tlsio_attach(Event *e, SSL *ssl);

/* tlsio_session(e, session): The private key is in another process
 * (tls/remote.h): the handshake runs as a job, which pauses while it waits for
 * a signature; tls_sign.session will be ${session}.  After tlsio_attach(),
 * before the handshake; ${session} lives as long as the event is on TLS. */
void tlsio_session(Event *e, void *session);

/* tlsio_handshake(e, &needmask): Begin or go on with the handshake, without
 * reading what comes behind it.  1: it is done.  0: call again when
 * *${needmask} came true: E_READ or E_WRITE; or E_ASYNC, alone, which somebody
 * dispatches to ${e}: the maker of the signature, or this module when another
 * handshake has ended and left room.  -1: it failed, errno as of event_read,
 * but 0 when the peer has closed the connection; tls_failure() of tls/tlsctx.h
 * says why, until the thread's next call.  Before it is done, reads and writes
 * do the same first: they too fail with EAGAIN and a needmask of E_ASYNC. */
int tlsio_handshake(Event *e, int *needmask);

/* tlsio_send_at_once(e): Nagle's algorithm (RFC 1122 4.2.3.4) would hold a second
 * write back until the first is acknowledged, which the peer delays (RFC 1122
 * 4.2.3.2): not on the socket of ${e}, if it is one of TCP. */
void tlsio_send_at_once(const Event *e);

/* tlsio_detach(e): Free the SSL object without a word to the peer, give ${e}
 * its former opset back; the descriptor stays open.  For an event that is to
 * be freed without being closed.  No effect without tlsio_attach().
 * A signature that it waits for is cancelled, as in event_close. */
void tlsio_detach(Event *e);

/* tlsio_ssl(e): The SSL object under ${e}, or NULL if it is not on TLS.  Not to
 * be kept: between callbacks it may not be there (tlsmem.h). */
SSL *tlsio_ssl(const Event *e);

#endif
