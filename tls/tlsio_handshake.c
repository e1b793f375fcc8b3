/* The handshake of the TLS opset; see tlsio.h.
 * Owns: OpenSSL's job of a handshake, which has a stack of its own while it
 * waits for a signature; the list of handshakes that wait for such a stack.
 * Knows nothing of how signatures are made: tls/remote.h does. */

#include "tls/tlsio_int.h"

#include <openssl/async.h>
#include <openssl/err.h>

#include <errno.h>

#include "core/lim.h"
#include "core/scheduler.h"
#include "tls/remote.h"

TAILQ_HEAD(waiters, tlsio);

static _Thread_local struct waiters waiters;
static _Thread_local bool is_thread_ready;

/* OpenSSL's pool of stacks never shrinks, so it has a bound that does not
 * depend on the number of clients. */
static void
thread_ready(void)
{
	if (is_thread_ready)
		return;
	TAILQ_INIT(&waiters);
	is_thread_ready = true;
	/* if this fails, the first handshake fails too, and tells why */
	(void)ASYNC_init_thread(LIM_TLS_JOBS, 0);
	ERR_clear_error();
}

static void
wait_for_room(struct tlsio *t)
{
	if (t->is_waiting)
		return;
	t->is_waiting = true;
	TAILQ_INSERT_TAIL(&waiters, t, waiting);
}

static void
wait_no_more(struct tlsio *t)
{
	if (!t->is_waiting)
		return;
	t->is_waiting = false;
	TAILQ_REMOVE(&waiters, t, waiting);
}

/* There is room for one more job: wake the first handshake in the list.  If it
 * does not start a job, it wakes the next one. */
static void
leave_room(void)
{
	struct tlsio *next = TAILQ_FIRST(&waiters);

	if (next == NULL ||
	    schedule_event_and_dispatch(next->event, E_ASYNC) == -1)
		return;
	wait_no_more(next);
	next->is_called = true;
}

void
tlsio_session(Event *e, void *session)
{
	struct tlsio *t = tlsio_enter(e);

	thread_ready();
	t->session = session;
	SSL_set_mode(t->ssl, SSL_MODE_ASYNC);
}

/* One step; notes whether a job is left behind. */
static int
step(struct tlsio *t)
{
	bool had_room = t->is_paused || t->is_called;
	bool has_none;
	int rc;

	wait_no_more(t);
	t->is_called = false;
	tls_remote_session(t->session);
	rc = SSL_do_handshake(t->ssl);
	tls_remote_session(NULL);
	has_none = SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_ASYNC_JOB;
	/* SSL_get_error(3) would rather see what else is in the error queue,
	 * and the job would be forgotten */
	t->is_paused = SSL_waiting_for_async(t->ssl) == 1;
	if (has_none)
		wait_for_room(t);
	else if (had_room && !t->is_paused)
		leave_room();
	return rc;
}

/* What a step that was not the last one means. */
static int
unfinished(struct tlsio *t, int rc, int *needmask)
{
	if (!t->is_paused)
		return tlsio_failure(t, rc, needmask);
	if (needmask != NULL)
		*needmask = E_ASYNC;
	errno = EAGAIN;
	return -1;
}

int
tlsio_handshake(Event *e, int *needmask)
{
	struct tlsio *t = tlsio_enter(e);
	int rc;

	if (t->is_failed) {
		errno = EPROTO;
		return -1;
	}
	rc = step(t);
	if (rc == 1) {
		/* what follows needs no key */
		SSL_clear_mode(t->ssl, SSL_MODE_ASYNC);
		t->is_drained = false;
		return 1;
	}
	t->is_drained = true;
	if (unfinished(t, rc, needmask) == 0) {
		/* close_notify instead of the rest of the handshake */
		t->is_failed = t->is_eof = true;
		errno = ECONNRESET;
	} else if (errno == EAGAIN)
		return 0;
	if (t->is_eof && errno == ECONNRESET)
		errno = 0;
	return -1;
}

/* OpenSSL frees a job's stack, and what lies on it, only when the job returns:
 * so it is made to. */
void
tlsio_abandon(struct tlsio *t)
{
	wait_no_more(t);
	if (t->is_called) {
		t->is_called = false;
		leave_room();
	}
	if (!t->is_paused)
		return;
	t->is_mute = true;
	(void)tls_remote_cancel(t->session);
	ERR_clear_error();
	(void)step(t);
	ERR_clear_error();
}
