/* SIGTERM ends a program as exit(3) does: what looks for leaks then looks.
 * Linked to the examples by examples.py. */

#include <signal.h>
#include <stdlib.h>

static void
on_term(int signo)
{
	(void)signo;
	exit(0);
}

static void stop_init(void) __attribute__((constructor));

static void
stop_init(void)
{
	signal(SIGTERM, on_term);
}
