/* What each call of OpenSSL begins and ends with; see tlsio.h.
 * Owns: the mapping of its results to errno and masks. */

#include "tls/tlsio_int.h"

#include <openssl/err.h>

#include <errno.h>

#include "tls/tlsmem.h"

void
tlsio_wake(struct tlsio *t)
{
	if (!t->is_resting)
		return;
	t->is_resting = false;
	tlsmem_wake(t->ssl);
}

struct tlsio *
tlsio_enter(Event *e)
{
	struct tlsio *t = e->io_data;

	tlsio_wake(t);
	t->event = e;
	t->lower_errno = 0;
	/* a stale entry would be taken for this call's error */
	ERR_clear_error();
	return t;
}

int
tlsio_failure(struct tlsio *t, int rc, int *needmask)
{
	int mask = 0;

	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		mask = E_READ;
		break;
	case SSL_ERROR_WANT_WRITE:
		mask = E_WRITE;
		break;
	case SSL_ERROR_WANT_ASYNC:
	case SSL_ERROR_WANT_ASYNC_JOB:
		mask = E_ASYNC;
		break;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		t->is_failed = true;
		errno = t->lower_errno != 0 ? t->lower_errno : ECONNRESET;
		return -1;
	default:
		t->is_failed = true;
		errno = ERR_GET_REASON(ERR_peek_error()) ==
		    SSL_R_UNEXPECTED_EOF_WHILE_READING ? ECONNRESET : EPROTO;
		return -1;
	}
	if (needmask != NULL)
		*needmask = mask;
	errno = EAGAIN;
	return -1;
}
