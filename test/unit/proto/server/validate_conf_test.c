/* The variables of the option Context, as modules see them. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/scheduler.h"
#include "proto/validate.h"
#include "test/unit/proto/server/fake.h"

static struct fake *fake;
static char seen[256];
static bool sets_early, is_later;

static int
on_accept(const char *, const struct mailaddr *, accept_construct *,
    validate_context *v, void *)
{
	if (sets_early)
		validate_context_set(v, VCTX_CONN, "class", "module");
	return VALIDATE_CONT;
}

static int
on_connect(const char *, const struct mailaddr *, accept_construct *,
    validate_context *v, void *)
{
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s %s;",
	    validate_context_get(v, VCTX_CONN, "class"),
	    validate_context_get(v, VCTX_CONN, "tier"));
	if (!is_later)
		return VALIDATE_CONT;
	is_later = false;
	validate_context_delete(v, VCTX_CONN, "class");
	validate_context_set(v, VCTX_CONN, "tier", "2");
	return VALIDATE_AGAIN;
}

static void
start(void)
{
	static const struct validate_module module = {
		.size = sizeof(struct validate_module), .name = "test",
		.phase = { [VALIDATE_PHASE_ACCEPT] = on_accept,
		    [VALIDATE_PHASE_CONNECT] = on_connect } };

	cr_assert_eq(validate_module_register(&module), 0);
	fake = fake_new();
	fake_option(fake, "Context", "class=device", "tier=1", NULL);
}

Test(validate_conf, variables_are_there_in_the_connect_phase)
{
	start();
	fake_connect(fake);
	cr_expect_str_eq(seen, "device 1;");
	fake_end(fake);
}

Test(validate_conf, what_a_module_has_set_before_stays)
{
	sets_early = true;
	start();
	fake_connect(fake);
	cr_expect_str_eq(seen, "module 1;");
	fake_end(fake);
}

Test(validate_conf, what_a_module_does_while_it_waits_stays)
{
	is_later = true;
	start();
	fake_connect(fake);
	cr_expect_str_eq(seen, "device 1;");
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	cr_expect_neq(strstr(fake_say(fake, ""), "220 "), NULL);
	cr_expect_str_eq(seen, "device 1; 2;");
	fake_end(fake);
}
