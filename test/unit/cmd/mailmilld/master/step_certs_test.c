/* The master's state machine: changed certificates. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <poll.h>

TestSuite(step_certs, .init = step_setup, .fini = step_teardown);

/* --- certificates --------------------------------------------------------- */

#define RENEWED	{ "renew 50; wait 60000", "?keys" }

Test(step_certs, changed_certificates_go_to_keyd_and_then_to_workers)
{
	PLAY(STARTED, RENEWED, { "connect", "w1@1<" },
	    { "keys good", "k1@1=2" },
	    { "usable k1@1", "w1@1=2 w2@1=2" },
	    { "wait 60000", "" });
}

Test(step_certs, changed_certificates_that_are_bad_change_nothing)
{
	PLAY(STARTED, RENEWED,
	    { "keys bad they do not belong together", "" },
	    { "wait 60000", "?keys" }, { "keys good", "k1@1=2" },
	    { "unusable k1@1", "" }, { "connect", "w1@1<" });
}

Test(step_certs, a_keyd_that_dies_meanwhile_is_given_both)
{
	PLAY(STARTED, RENEWED, { "exit k1@1", "+k1@1" },
	    { "keys good", "" }, { "ready k1@1", "k1@1=2" },
	    { "exit k1@1; wait 250", "" }, { "wait 250", "k1@1=2 +k1@1" },
	    { "ready k1@1; usable k1@1", "w1@1=2 w2@1=2" });
}

Test(step_certs, a_keyd_that_cannot_use_what_it_starts_with_is_killed)
{
	PLAY({ "begin", ALL_START }, { "unusable k1@1", "!k1@1" },
	    { "exit k1@1", "+k1@1" });
}

Test(step_certs, a_reload_brings_its_own_certificates)
{
	PLAY(STARTED, RENEWED, CHANGED_OVER, { "wait 60000",
	      "!q1@1 !s1@1" });
}

Test(step_certs, a_stop_ends_the_check_of_certificates)
{
	struct pollfd p = { .events = POLLOUT };

	PLAY(STARTED, RENEWED, { "term", "-w1@1 -w2@1 stopping deaf" });
	p.fd = step_check_fds[CONFIG_CREDS];
	cr_expect(poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0);
}
