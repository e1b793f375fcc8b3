// mailmill in C++, with the scheduler of the library, and a policy that is a
// lambda.

#include <iostream>
#include <string>

#include <mailmill/lim.h>
#include <mailmill/scheduler.h>
#include <mailmill/validate.h>

#include "receiver.h"

static std::string recipient;

int
main()
{
	static struct validate_module policy = {};

	policy.size = sizeof(policy);
	policy.name = "lambda";
	policy.phase[VALIDATE_PHASE_RCPTTO] = [](const char *,
	    const struct mailaddr *addr, accept_construct *,
	    validate_context *, void *) -> int {
		char text[LIM_PATH + 2];

		if (mailaddr_format(addr, text, sizeof(text)) != -1)
			recipient = text;
		return VALIDATE_CONT;
	};
	if (validate_module_register(&policy) == -1)
		return 1;

	struct scheduler *loop = scheduler_create(nullptr);
	Event *session = receiver_start();

	if (schedule_event(session) == -1)
		return 1;
	while (scheduler_event_count(loop) > 0) {
		if (scheduler_pass(loop, 1000) == -1)
			return 1;
		if (!receiver_must_commit())
			continue;
		receiver_commit();
		schedule_event_and_dispatch(session, E_ASYNC);
	}
	scheduler_destroy(loop);
	if (recipient != "b@receiver.example") {
		std::cerr << "the policy has seen " << recipient << "\n";
		return 1;
	}
	return receiver_check("C++");
}
