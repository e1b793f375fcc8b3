#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/role/roles.h"
#include "cmd/settings/settings_tls.h"

#define ALL	(ROLE_BIT(NROLES) - 1)

Test(roles, each_child_has_a_name_a_program_and_an_account)
{
	struct settings s = { 0 };
	unsigned int id;
	char name[64];

	for (id = 0; id < NROLES; id++) {
		cr_assert_eq(role_of(id)->id, id);
		cr_assert_eq(role_by_name(role_name(id)), id);
		cr_assert((role_of(id)->main == NULL) == (id == ROLE_MASTER));
		/* of one for all processes, or of each */
		cr_assert((role_of(id)->account_setting == NULL) ==
		    (id == ROLE_MASTER || role_of(id)->own_account != NULL));
		if (role_of(id)->account_setting == NULL)
			continue;
		snprintf(name, sizeof(name), "account of %s", role_name(id));
		memcpy((char *)&s + role_of(id)->account_offset,
		    &(char *){ name }, sizeof(char *));
		cr_assert_str_eq(role_account(&s, id), name);
	}
	cr_assert_null(role_account(&s, ROLE_MASTER));
	cr_assert_eq(role_by_name("nobody"), NROLES);
	cr_assert_str_eq(role_name(NROLES), "unknown");
}

/* A start follows the peers, a stop goes the other way: both must end. */
Test(roles, no_role_asks_itself_by_way_of_others)
{
	unsigned int gone = 0, before, id;

	do {
		before = gone;
		for (id = 0; id < NROLES; id++)
			if ((role_askers(id) & ~gone) == 0)
				gone |= ROLE_BIT(id);
	} while (gone != before);
	cr_assert_eq(gone, ALL, "never ends: %x", ALL & ~gone);
}

Test(roles, each_worker_asks_one_keyd_and_each_other_peer)
{
	struct settings_tls tls = { .npairs = 1 };
	struct settings s = { .workers = 5, .keyds = 2, .tls = &tls };
	unsigned int w, k, n;

	cr_assert_eq(role_count(&s, ROLE_KEYD), 2);
	for (w = 1; w <= 5; w++) {
		for (n = 0, k = 1; k <= 2; k++)
			n += role_asks(&s, ROLE_WORKER, w, ROLE_KEYD, k);
		cr_assert_eq(n, 1);
		cr_assert(role_asks(&s, ROLE_WORKER, w, ROLE_KEYD,
		    w % 2 == 1 ? 1 : 2));
		cr_assert(role_asks(&s, ROLE_WORKER, w, ROLE_QUEUE, 1));
		cr_assert_not(role_asks(&s, ROLE_QUEUE, 1, ROLE_WORKER, w));
	}
	tls.npairs = 0;
	cr_assert_eq(role_count(&s, ROLE_KEYD), 0);
	cr_assert_not(role_asks(&s, ROLE_WORKER, 1, ROLE_KEYD, 1));
}

/* RFC 8460: it looks up who wants reports, and has them posted. */
Test(roles, the_queue_asks_the_resolver_and_sts_for_reports_alone)
{
	struct settings_domain d = { .mta_sts = true };
	struct settings s = { .resolvers = 2, .domains = &d, .ndomains = 1 };

	cr_expect_not(role_asks(&s, ROLE_QUEUE, 1, ROLE_RESOLVER, 1));
	cr_expect_eq(role_count(&s, ROLE_STS), 1);
	cr_expect_not(role_asks(&s, ROLE_QUEUE, 1, ROLE_STS, 1));
	cr_expect(role_asks(&s, ROLE_RELAY, 1, ROLE_STS, 1));
	s.tls_reports = true;
	cr_expect(role_asks(&s, ROLE_QUEUE, 1, ROLE_STS, 1));
	d.mta_sts = false;
	cr_expect_eq(role_count(&s, ROLE_STS), 1);
	cr_expect(role_asks(&s, ROLE_QUEUE, 1, ROLE_STS, 1));
	/* without policies it is for the queue alone */
	cr_expect_not(role_asks(&s, ROLE_RELAY, 1, ROLE_STS, 1));
	cr_expect(role_asks(&s, ROLE_QUEUE, 1, ROLE_RESOLVER, 1));
	/* as one that asks, it has one of them */
	cr_expect_not(role_asks(&s, ROLE_QUEUE, 1, ROLE_RESOLVER, 2));
	cr_expect_not(role_asks(&s, ROLE_RESOLVER, 1, ROLE_QUEUE, 1));
}
