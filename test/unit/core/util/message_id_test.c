#include <criterion/criterion.h>
#include <unistd.h>

#include "core/message_id.h"

Test(message_id, names_time_process_and_number)
{
	message_id a, b;

	ec_generate_connection_id(&a, 0x123456789a);
	ec_generate_connection_id(&b, 0x123456789a);
	cr_expect_eq(a.slot, 0x3456789a);
	cr_expect_eq(a.pid, (uint16_t)getpid());
	cr_expect_eq(b.counter, (uint16_t)(a.counter + 1));
}

Test(message_id, counts_on_after_the_last_number)
{
	message_id first, id;
	int i;

	ec_generate_connection_id(&first, 1);
	for (i = 0; i < 65536; i++)
		ec_generate_connection_id(&id, 1);
	cr_expect_eq(id.counter, first.counter);
}
