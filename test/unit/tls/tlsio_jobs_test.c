#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "core/lim.h"
#include "core/scheduler.h"
#include "tls/tlsio.h"
#include "tls_fixture.h"

/* As many handshakes as there are jobs, all waiting for a signature, and some
 * more. */
enum { NMORE = 4 };
static struct tls_link full[LIM_TLS_JOBS], more[NMORE];
static bool is_called[NMORE];
static struct scheduler *sched;
static struct tlsctx *ctx;

static int
called(Event *, int eventtype, void *closure, struct timeval *)
{
	if (eventtype & E_ASYNC)
		*(bool *)closure = true;
	return E_ASYNC;
}

static void
setup(void)
{
	size_t i;

	tls_setup();
	tls_pair(KEYS_P256, "mx.example.test");
	ctx = tls_context();
	sched = scheduler_create(NULL);
	tls_manner = SIGN_NEVER_ANY;
	for (i = 0; i < LIM_TLS_JOBS; i++) {
		tls_open(&full[i], ctx);
		tls_step(&full[i]);
		cr_assert_eq(full[i].needmask, E_ASYNC);
	}
	for (i = 0; i < NMORE; i++) {
		tls_open(&more[i], ctx);
		more[i].event->callback = called;
		more[i].event->closure = &is_called[i];
	}
}

static void
teardown(void)
{
	size_t i;

	for (i = 0; i < NMORE; i++) {
		event_unschedule(more[i].event);
		tls_close(&more[i]);
	}
	for (i = 0; i < LIM_TLS_JOBS; i++)
		tls_close(&full[i]);
	tlsctx_free(ctx);
	scheduler_destroy(sched);
	tls_teardown();
}

TestSuite(tlsio_jobs, .init = setup, .fini = teardown, .timeout = 60);

/* The first has sent nothing yet, the others their ClientHello. */
static void
wait_all(void)
{
	size_t i;

	more[0].rc = tlsio_handshake(more[0].event, &more[0].needmask);
	for (i = 1; i < NMORE; i++)
		tls_step(&more[i]);
	for (i = 0; i < NMORE; i++) {
		cr_assert_eq(more[i].rc, 0);
		cr_assert_eq(more[i].needmask, E_ASYNC);
	}
	scheduler_pass(sched, 0);
	for (i = 0; i < NMORE; i++)
		cr_assert_not(is_called[i]);
}

static bool
is_called_now(size_t i)
{
	scheduler_pass(sched, 0);
	return is_called[i];
}

Test(tlsio_jobs, who_is_called_and_needs_no_job_calls_the_next)
{
	wait_all();
	event_close(full[0].event);
	cr_assert(is_called_now(0));
	cr_assert_not(is_called[1]);
	cr_assert_eq(tlsio_handshake(more[0].event, &more[0].needmask), 0);
	cr_assert_eq(more[0].needmask, E_READ);
	cr_assert(is_called_now(1));
	/* this one takes it */
	tls_step(&more[1]);
	cr_assert_eq(more[1].needmask, E_ASYNC);
	cr_assert_not(is_called_now(2));
	event_unschedule(more[1].event);
	event_close(more[1].event);
	cr_assert(is_called_now(2));
}

Test(tlsio_jobs, who_is_called_and_ends_instead_calls_the_next)
{
	wait_all();
	event_close(full[0].event);
	event_unschedule(more[0].event);
	event_close(more[0].event);
	cr_assert(is_called_now(1));
	cr_assert_not(is_called[2]);
}
