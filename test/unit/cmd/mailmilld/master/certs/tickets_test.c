#include <criterion/criterion.h>
#include <string.h>

#include "cmd/mailmilld/master/certs/tickets.h"

Test(tickets, the_newest_key_comes_first_and_the_oldest_goes)
{
	struct tickets *t = tickets_new();
	struct msg_tickets a, b;
	unsigned int i;

	cr_assert_not_null(t);
	tickets_message(t, 100, &a);
	cr_assert_eq(a.nkeys, 1);
	cr_assert_eq(a.lifetime, 100);
	for (i = 0; i < MSG_TICKET_KEYS + 2; i++) {
		tickets_rotate(t);
		tickets_message(t, 100, &b);
		cr_expect_eq(b.nkeys, i + 2 < MSG_TICKET_KEYS ? i + 2 :
		    MSG_TICKET_KEYS);
		cr_expect_neq(memcmp(&b.keys[0], &a.keys[0],
		    sizeof(a.keys[0])), 0);
		cr_expect_eq(memcmp(&b.keys[1], &a.keys[0],
		    sizeof(a.keys[0])), 0);
		a = b;
	}
	tickets_free(t);
}

Test(tickets, after_a_renewal_no_older_key_is_left)
{
	struct tickets *t = tickets_new();
	struct msg_tickets a, b;
	unsigned int i;

	cr_assert_not_null(t);
	for (i = 0; i < MSG_TICKET_KEYS; i++)
		tickets_rotate(t);
	tickets_message(t, 100, &a);
	tickets_renew(t);
	tickets_message(t, 100, &b);
	cr_expect_eq(b.nkeys, 1);
	cr_expect_eq(b.lifetime, 100);
	for (i = 0; i < a.nkeys; i++)
		cr_expect_neq(memcmp(&b.keys[0], &a.keys[i],
		    sizeof(a.keys[0])), 0);
	tickets_free(t);
}

Test(tickets, the_last_ticket_of_a_key_lives_out_its_time)
{
	/* a key makes tickets for one period, then opens them for as many
	 * periods as there are others kept */
	cr_expect_geq((MSG_TICKET_KEYS - 1) * tickets_period_ms(7200),
	    7200 * 1000);
	cr_expect_eq(tickets_period_ms(0), 0);
	cr_expect_gt(tickets_period_ms(1), 0);
}

Test(tickets, no_lifetime_is_no_key)
{
	struct tickets *t = tickets_new();
	struct msg_tickets m, none;

	cr_assert_not_null(t);
	memset(&none, 0, sizeof(none));
	tickets_message(t, 0, &m);
	cr_expect_eq(memcmp(&m, &none, sizeof(m)), 0);
	tickets_free(t);
}
