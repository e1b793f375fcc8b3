/* What the files of the TLS opset share: tlsio.c, octets; tlsio_handshake.c, the
 * handshake and its job; tlsio_step.c, what both do around a call of OpenSSL. */

#ifndef TLS_TLSIO_INT_H
#define TLS_TLSIO_INT_H

#include <sys/queue.h>

#include <stdbool.h>

#include "tls/ec_ssl.h"
#include "tls/tlsio.h"

struct tlsio {
	SSL			*ssl;
	Event			*event;		/* of the call in progress */
	const event_io_opset	*lower;
	void			*lower_data;
	void			*session;	/* tlsio_session() */
	struct _ec_ssl_ctx	*ctx;		/* ec_ssl.h; NULL: nobody has asked */
	int			 lower_errno;	/* of the last failure below */
	bool			 is_drained;	/* the last read ran dry */
	bool			 is_failed;	/* nothing more may be sent */
	bool			 is_eof;	/* the wire below has ended */
	bool			 is_mute;	/* nothing below is called any more */
	bool			 is_paused;	/* its job waits for a signature */
	bool			 is_resting;	/* its memory, too: tlsmem.h */
	bool			 is_waiting;	/* for room, in the list of those */
	bool			 is_called;	/* there was room, it comes soon */
	TAILQ_ENTRY(tlsio)	 waiting;
};

/* tlsio_of(e): The state of ${e}; NULL, it is not on TLS. */
struct tlsio *tlsio_of(const Event *e);

/* tlsio_enter(e): Before each call of OpenSSL.  tlsio_wake(t): The SSL object has
 * its memory again; tlsio_enter() does that too. */
struct tlsio *tlsio_enter(Event *e);
void tlsio_wake(struct tlsio *t);

/* tlsio_failure(t, rc, needmask): What a failed call means: always -1 with
 * errno, but 0 at a clean end. */
int tlsio_failure(struct tlsio *t, int rc, int *needmask);

/* tlsio_abandon(t): End the job of a handshake that goes away. */
void tlsio_abandon(struct tlsio *t);

#endif
